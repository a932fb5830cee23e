#include "store/mend.h"

#include "store/damage.h"
#include "store/mark_walk.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/roots.h"

#define PACK_TRIES_MAX 64 /* slots within an unreadable block */

static const struct span none = {0};

/* ---- a family, piece by piece ---- */

/* Changes of a piece are written after it. */
struct books {
    struct db *db;
    struct db_batch batch;
    struct bytes scratch;
    struct index packs; /* its table of packs alone */
    bool states_lost, fill;
    uint64_t collection, small_bytes;
    struct db_iter *held;
    struct names *names;
};

static void books_deinit(struct books *books)
{
    db_iter_close(books->held);
    db_batch_deinit(&books->batch);
    bytes_deinit(&books->scratch);
    mem_free(books->packs.packs);
}
#define BOOKS_CLEANUP __attribute__((cleanup(books_deinit)))

static enum err_code books_write(struct books *books, struct err *err)
{
    TRY(db_write(books->db, &books->batch, false, err));
    db_batch_clear(&books->batch);
    return ERR_OK;
}

/* A block that cannot be read is passed over: that is for SCRUB. */
static enum err_code family_each(struct books *books, enum family family,
                                 mark_walk_on_record *on_record, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    for (bool end = false; !end;) {
        struct err cause;
        enum err_code code =
            mark_walk_piece(books->db, family, &after, on_record, books, &end, &cause);
        if (code == ERR_CORRUPT)
            end = !mark_walk_skip(&after);
        else if (code != ERR_OK)
            return err_set(err, code, "%s", cause.message);
        TRY(books_write(books, err));
    }
    return ERR_OK;
}

/* What cannot be read is taken as there. */
static enum err_code record_find(struct books *books, enum family family, struct span key,
                                 bool *ret_found, struct err *err)
{
    struct err cause;
    enum err_code code = db_find(books->db, NULL, family, key, &books->scratch, ret_found, &cause);
    if (code == ERR_CORRUPT) {
        bytes_clear(&books->scratch);
        *ret_found = true;
        return ERR_OK;
    }
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", cause.message);
}

/* ---- packs that are here ---- */

static enum err_code pack_seen(void *context, enum family family, struct span first_key,
                               struct span last_key, uint64_t file_bytes, struct err *err)
{
    struct books *books = context;
    (void)family;
    (void)last_key;
    if (first_key.len != PACK_KEY_BYTES)
        return err_set(err, ERR_CORRUPT, "a file of packs has a key of %zu bytes", first_key.len);
    struct pack_id id = {load_u64(first_key.data)};
    if (index_pack_find(&books->packs, id) != NULL)
        return ERR_OK; /* two files of one pack: opening the index tells */
    struct pack_record *pack = index_pack_add(&books->packs, id);
    pack->state = PACK_LIVE;
    pack->bytes = file_bytes;
    return ERR_OK;
}

/* Where records were lost an older one may have come up: a file that is here counts as live then. */
static enum err_code on_pack_state(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct books *books = context;
    struct pack_record record;
    struct pack_record *pack = NULL;
    (void)err;
    if (pack_record_decode(key, value, &record, NULL) == ERR_OK)
        pack = index_pack_find(&books->packs, record.id);
    if (pack == NULL)
        db_batch_delete(&books->batch, FAMILY_PACK_STATE, key);
    else if (!books->states_lost)
        pack->state = record.state;
    return ERR_OK;
}

static bool place_is_here(struct books *books, const struct file_record *record)
{
    const struct pack_record *pack = index_pack_find(&books->packs, record->pack);
    return pack != NULL && pack->state == PACK_LIVE;
}

/* ---- the index of files ---- */

static enum err_code on_file_place(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct books *books = context;
    struct file_record record;
    bool here = false;
    if (file_record_decode(value, &record, NULL) == ERR_OK) {
        if (record.place == PLACE_SMALL)
            TRY(record_find(books, FAMILY_SMALL, key, &here, err));
        else
            here = place_is_here(books, &record);
    }
    if (!here)
        db_batch_delete(&books->batch, FAMILY_FILES, key);
    return ERR_OK;
}

static enum err_code file_found(struct books *books, const struct digest *digest,
                                const struct file_record *record, struct err *err)
{
    bool found;
    TRY(record_find(books, FAMILY_FILES, digest_span(digest), &found, err));
    if (!found)
        index_put_file(&books->batch, digest, record);
    return books->batch.count < INDEX_STEP_RECORDS ? ERR_OK : books_write(books, err);
}

/* From slot `from` on; *ret_next: behind the last that could be read. */
static enum err_code pack_read(struct books *books, struct pack_id pack, uint32_t from,
                               uint32_t *ret_next, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    uint8_t first[PACK_KEY_BYTES];
    struct span key, value;
    bool found;
    pack_key_encode(pack, from, first);
    *ret_next = from;
    TRY(db_iter_open(books->db, NULL, pack_family(pack), span_of(first, 8),
                     span_of(first, sizeof(first)), &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct file_record record = {.place = PLACE_PACK,
                                     .pack = pack,
                                     .slot = load_u32(key.data + 8),
                                     .file_bytes = (uint32_t)value.len,
                                     .stamp = books->collection};
        const struct digest digest = digest_of(DOMAIN_FILE, value);
        TRY(file_found(books, &digest, &record, err));
        *ret_next = record.slot + 1;
    }
}

static enum err_code pack_index(struct books *books, struct pack_id pack, struct err *err)
{
    struct err cause;
    uint32_t from = 0, next = 0;
    enum err_code code = pack_read(books, pack, 0, &next, &cause);
    for (int tries = 0; code == ERR_CORRUPT && tries < PACK_TRIES_MAX; tries++) {
        from = next > from ? next + 1 : from + 1;
        code = pack_read(books, pack, from, &next, &cause);
    }
    if (code != ERR_OK && code != ERR_CORRUPT)
        return err_set(err, code, "%s", cause.message);
    return books_write(books, err);
}

/* Nothing lies in the nursery but what is indexed there. */
static enum err_code on_small(void *context, struct span key, struct span value, struct err *err)
{
    struct books *books = context;
    struct file_record record = {
        .place = PLACE_SMALL, .file_bytes = (uint32_t)value.len, .stamp = books->collection};
    struct digest digest;
    struct file_record indexed = {0};
    bool found = false;
    if (key.len == DIGEST_BYTES) {
        memcpy(digest.b, key.data, DIGEST_BYTES);
        TRY(record_find(books, FAMILY_FILES, key, &found, err));
    }
    if (found && (books->scratch.len == 0 ||
                  (file_record_decode(bytes_span(&books->scratch), &indexed, NULL) == ERR_OK &&
                   indexed.place == PLACE_SMALL)))
        return ERR_OK;
    if (!found && books->fill && key.len == DIGEST_BYTES)
        index_put_file(&books->batch, &digest, &record);
    else
        db_batch_delete(&books->batch, FAMILY_SMALL, key);
    return ERR_OK;
}

static enum err_code on_file_bytes(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct books *books = context;
    struct file_record record;
    (void)key;
    TRY(file_record_decode(value, &record, err));
    if (record.place == PLACE_SMALL)
        books->small_bytes += record.file_bytes;
    else if (place_is_here(books, &record))
        index_pack_find(&books->packs, record.pack)->live_bytes += record.file_bytes;
    return ERR_OK;
}

static enum err_code packs_put(struct books *books, struct err *err)
{
    for (size_t i = 0; i < books->packs.pack_count; i++) {
        index_put_pack(&books->batch, &books->packs.packs[i]);
        if (books->batch.count >= INDEX_STEP_RECORDS)
            TRY(books_write(books, err));
    }
    index_put_number(&books->batch, "small_bytes", books->small_bytes);
    return books_write(books, err);
}

enum err_code mend_index(struct db *db, const bool lost[FAMILY_COUNT], struct err *err)
{
    BOOKS_CLEANUP struct books books = {
        .db = db, .states_lost = lost[FAMILY_PACK_STATE], .fill = lost[FAMILY_FILES]};
    bool found;
    TRY(db_find(db, NULL, FAMILY_META, span_text("collection"), &books.scratch, &found, err));
    books.collection = found && books.scratch.len == 8 ? load_u64(books.scratch.data) : 1;
    TRY(db_pack_files_each(db, pack_seen, &books, err));
    TRY(family_each(&books, FAMILY_PACK_STATE, on_pack_state, err));
    TRY(family_each(&books, FAMILY_FILES, on_file_place, err));
    for (size_t i = 0; i < books.packs.pack_count && books.fill; i++) {
        if (books.packs.packs[i].state == PACK_LIVE)
            TRY(pack_index(&books, books.packs.packs[i].id, err));
    }
    TRY(family_each(&books, FAMILY_SMALL, on_small, err));
    TRY(family_each(&books, FAMILY_FILES, on_file_bytes, err));
    return packs_put(&books, err);
}

/* ---- names ---- */

struct names {
    struct store *store;
    struct collect_mark mark;
    struct books books;
    bool missing; /* below the page at hand */
    uint64_t dropped;
};

static void names_deinit(struct names *names)
{
    collect_mark_deinit(&names->mark);
    books_deinit(&names->books);
}

static void lost_page(void *context, const struct digest *digest, const struct err *fault)
{
    struct names *names = context;
    damage_note(names->store, digest, DAMAGE_PAGE, fault->message);
}

static bool file_is_here(struct names *names, const struct digest *digest)
{
    struct err cause;
    uint64_t bytes;
    bool found = false;
    return file_find(names->store, digest, &bytes, &found, &cause) != ERR_OK || found;
}

static void lost_file(void *context, const struct digest *digest)
{
    struct names *names = context;
    if (!file_is_here(names, digest))
        damage_note(names->store, digest, DAMAGE_FILE, "it was lost with a damaged file");
}

static void below_file(void *context, const struct digest *digest)
{
    struct names *names = context;
    names->missing = names->missing || !file_is_here(names, digest);
}

/* A page that nothing names is left of something dropped or unfinished: whole below, or of no use. */
static enum err_code on_unnamed_page(void *context, struct span key, struct span value,
                                     struct err *err)
{
    struct books *books = context;
    struct names *names = books->names;
    struct digest digest;
    if (key.len != DIGEST_BYTES || value.len < PAGE_STAMP_BYTES)
        return ERR_OK; /* fsck tells */
    memcpy(digest.b, key.data, DIGEST_BYTES);
    if (digest_set_has(&names->mark.marked, &digest))
        return ERR_OK;
    const struct collect_tree *tree = catalog_tree();
    struct collect_mark below = {.on_file = below_file, .on_file_context = names};
    uint32_t level;
    names->missing = false;
    enum err_code code = tree->children(
        tree->context, span_slice(value, PAGE_STAMP_BYTES, value.len - PAGE_STAMP_BYTES), &below,
        &level, NULL);
    names->missing = names->missing || code != ERR_OK;
    for (size_t i = 0; i < below.walk.count && !names->missing; i++) {
        bool found = false;
        code = page_find(names->store, &below.walk.digests[i], &found, err);
        names->missing = code != ERR_OK || !found;
    }
    collect_mark_deinit(&below);
    if (!names->missing)
        return ERR_OK;
    db_batch_delete(&books->batch, FAMILY_PAGES, key);
    names->dropped++;
    return ERR_OK;
}

enum err_code mend_names(struct store *store, struct err *err)
{
    __attribute__((cleanup(names_deinit))) struct names names = {.store = store,
                                                                 .books = {.db = store->db}};
    const struct collect_tree *tree = catalog_tree();
    names.books.names = &names;
    struct mark_walk walk = {.store = store,
                             .tree = tree,
                             .mark = &names.mark,
                             .on_fault = lost_page,
                             .on_fault_context = &names};
    names.mark.on_file = lost_file;
    names.mark.on_file_context = &names;
    TRY(tree->roots(tree->context, store, &names.mark, err));
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_FAILS, err));
    do { /* what stood above a page that went is not whole either */
        names.dropped = 0;
        TRY(family_each(&names.books, FAMILY_PAGES, on_unnamed_page, err));
    } while (names.dropped > 0);
    return ERR_OK;
}

/* ---- who holds what ---- */

static enum err_code on_held(void *context, struct span key, struct span value, struct err *err)
{
    struct books *books = context;
    bool found = false;
    (void)value;
    if (key.len != HELD_KEY_BYTES)
        return ERR_OK; /* fsck tells */
    struct span digest = span_slice(key, 0, DIGEST_BYTES);
    TRY(record_find(books, FAMILY_FILES, digest, &found, err));
    if (!found)
        TRY(record_find(books, FAMILY_PAGES, digest, &found, err));
    if (!found)
        db_batch_delete(&books->batch, FAMILY_HELD, key);
    return ERR_OK;
}

/* Held by nobody (holders.h), if nobody is known: whoever asks for it pulls it. */
static enum err_code on_stored(void *context, struct span key, struct span value, struct err *err)
{
    struct books *books = context;
    struct span holder, ignored;
    struct digest digest;
    struct err cause;
    bool found = false;
    (void)value;
    (void)err;
    if (key.len != DIGEST_BYTES)
        return ERR_OK;
    db_iter_seek(books->held, key);
    enum err_code code = db_iter_next(books->held, &holder, &ignored, &found, &cause);
    if (code != ERR_OK ||
        (found && holder.len == HELD_KEY_BYTES && memcmp(holder.data, key.data, DIGEST_BYTES) == 0))
        return ERR_OK;
    uint8_t nobody[HELD_KEY_BYTES];
    memcpy(digest.b, key.data, DIGEST_BYTES);
    held_key_encode(&digest, (struct account_id){0}, nobody);
    db_batch_put(&books->batch, FAMILY_HELD, span_of(nobody, sizeof(nobody)), none);
    return ERR_OK;
}

enum err_code mend_held(struct db *db, struct err *err)
{
    BOOKS_CLEANUP struct books books = {.db = db};
    TRY(family_each(&books, FAMILY_HELD, on_held, err));
    TRY(db_iter_open(db, NULL, FAMILY_HELD, none, none, &books.held, err));
    TRY(family_each(&books, FAMILY_FILES, on_stored, err));
    return family_each(&books, FAMILY_PAGES, on_stored, err);
}
