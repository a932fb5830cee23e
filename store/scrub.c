#include "store/scrub.h"

#include "store/damage.h"
#include "store/db_look.h"
#include "store/family.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/roots.h"
#include "store/snapshot.h"
#include "store/mark_walk.h"

struct scrub {
    struct store *store;
    const struct scrub_watch *watch;
    struct scrub_counts counts;
    struct bytes scratch;
    struct arena arena; /* of one record */
    struct collect_mark mark;
    bool rehash;     /* trees: files are read, too */
    bool stopped;    /* asked to */
    uint64_t budget; /* bytes left of a step */
    enum family family;
    bool faulted; /* the last piece of this family could not be read: told already */
};

static void scrub_init(struct scrub *scrub, struct store *store, const struct scrub_watch *watch)
{
    *scrub = (struct scrub){.store = store, .watch = watch, .budget = UINT64_MAX};
    arena_init(&scrub->arena, CATALOG_ARENA_BYTES);
}

static void scrub_deinit(struct scrub *scrub)
{
    bytes_deinit(&scrub->scratch);
    arena_deinit(&scrub->arena);
    collect_mark_deinit(&scrub->mark);
}
#define SCRUB_CLEANUP __attribute__((cleanup(scrub_deinit)))

static bool scrub_stopped(struct scrub *scrub)
{
    if (!scrub->stopped && scrub->watch->stop != NULL)
        scrub->stopped = scrub->watch->stop(scrub->watch->context);
    return scrub->stopped;
}

static enum err_code scrub_go_on(struct scrub *scrub, struct err *err)
{
    return scrub_stopped(scrub) ? err_set(err, ERR_CANCELLED, "the scrub was stopped") : ERR_OK;
}

static void scrub_spend(struct scrub *scrub, uint64_t bytes)
{
    scrub->budget -= bytes < scrub->budget ? bytes : scrub->budget;
}

static void scrub_tell(struct scrub *scrub, const char *where, const char *what)
{
    scrub->counts.faults++;
    if (scrub->watch->on_fault != NULL)
        scrub->watch->on_fault(scrub->watch->context, where, what);
}

/* Of a record that has no second copy. */
static void scrub_fault(struct scrub *scrub, const char *what)
{
    char words[ERR_MESSAGE_BYTES + 64];
    bool said = strstr(what, "restore ") != NULL; /* some have more that helps, and say so */
    snprintf(words, sizeof(words), "%s%s", what, said ? "" : "; restore data_dir from a copy");
    scrub_tell(scrub, family_name(scrub->family), words);
}

/* ---- what has a digest ---- */

/* Read once more before it is listed: it may have moved, or been deleted, between two looks. */
static enum err_code item_read(struct scrub *scrub, const struct digest *digest,
                               enum damage_kind kind, struct err *err)
{
    enum err_code code = ERR_CORRUPT;
    for (int tries = 0; tries < 2 && code == ERR_CORRUPT; tries++)
        code = kind == DAMAGE_FILE
                   ? file_read_stored(scrub->store, digest, FILE_CHECK_DIGEST, &scrub->scratch, err)
                   : page_read_stored(scrub->store, digest, &scrub->scratch, err);
    return code;
}

static enum err_code item_check(struct scrub *scrub, const struct digest *digest,
                                enum damage_kind kind, struct err *err)
{
    struct err cause;
    TRY(scrub_go_on(scrub, err));
    enum err_code code = item_read(scrub, digest, kind, &cause);
    if (code == ERR_CORRUPT) {
        damage_note(scrub->store, digest, kind, cause.message);
        scrub->counts.listed++;
        scrub_spend(scrub, KIB(4));
        return ERR_OK;
    }
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", cause.message);
    scrub_spend(scrub, scrub->scratch.len);
    if (!damage_has(scrub->store, digest))
        return ERR_OK;
    scrub->counts.healed++;
    return damage_forget(scrub->store, digest, err);
}

static enum err_code file_check(struct scrub *scrub, const struct digest *digest, struct err *err)
{
    bytes_clear(&scrub->scratch);
    TRY(item_check(scrub, digest, DAMAGE_FILE, err));
    scrub->counts.files++;
    scrub->counts.file_bytes += scrub->scratch.len;
    return ERR_OK;
}

static bool key_digest(struct scrub *scrub, struct span key, size_t key_bytes,
                       struct digest *ret_digest)
{
    if (key.len != key_bytes) {
        scrub_fault(scrub, "a key of the wrong length");
        return false;
    }
    memcpy(ret_digest->b, key.data + key.len - DIGEST_BYTES, DIGEST_BYTES);
    return true;
}

static enum err_code on_file(void *context, struct span key, struct span value, struct err *err)
{
    struct digest digest;
    (void)value; /* read again with the file */
    return key_digest(context, key, DIGEST_BYTES, &digest) ? file_check(context, &digest, err)
                                                           : ERR_OK;
}

static enum err_code on_page(void *context, struct span key, struct span value, struct err *err)
{
    struct scrub *scrub = context;
    struct digest digest;
    (void)value;
    if (!key_digest(scrub, key, DIGEST_BYTES, &digest))
        return ERR_OK;
    bytes_clear(&scrub->scratch);
    TRY(item_check(scrub, &digest, DAMAGE_PAGE, err));
    scrub->counts.pages++;
    if (scrub->scratch.len == 0 || damage_has(scrub->store, &digest))
        return ERR_OK;
    struct collect_mark mute = {.mute = true};
    struct err cause;
    uint32_t level;
    const struct collect_tree *tree = catalog_tree();
    if (tree->children(tree->context, bytes_span(&scrub->scratch), &mute, &level, &cause) != ERR_OK)
        scrub_fault(scrub, cause.message); /* stored like this: fetching it again would not help */
    return ERR_OK;
}

static enum err_code on_staged(void *context, struct span key, struct span value, struct err *err)
{
    struct scrub *scrub = context;
    struct digest digest;
    if (!key_digest(scrub, key, STAGED_KEY_BYTES, &digest))
        return ERR_OK;
    scrub->counts.pages++;
    scrub_spend(scrub, value.len);
    struct digest found = digest_of(DOMAIN_PAGE, value);
    if (digest_equal(&found, &digest))
        return ERR_OK;
    scrub_tell(scrub, family_name(scrub->family),
               "a page on its way here was damaged; its task asks for it again");
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    db_batch_delete(&batch, FAMILY_STAGED, key);
    return db_write(scrub->store->db, &batch, true, err);
}

/* ---- records ---- */

static enum err_code snapshot_check(struct span value, struct arena *arena, struct err *err)
{
    struct snapshot_record snapshot;
    struct snapshot_claim claim;
    TRY(snapshot_record_decode(value, arena, &snapshot, err));
    TRY(snapshot_claim_decode(snapshot.claim, arena, &claim, err));
    TRY(snapshot_verify(snapshot.claim, &snapshot.maker, snapshot.signature, err));
    if (!digest_equal(&claim.version, &snapshot.version.version))
        return err_set(err, ERR_CORRUPT, "a snapshot's version is not the one that was signed");
    return ERR_OK;
}

#define X(record)                                                                                  \
    static enum err_code record##_check(struct span value, struct arena *arena, struct err *err)   \
    {                                                                                              \
        struct record decoded;                                                                     \
        return record##_decode(value, arena, &decoded, err);                                       \
    }
X(account_record)
X(project_record)
X(table_record)
X(history_record)
X(outcome_record)
X(root_record)
#undef X

static const struct record_form {
    char prefix; /* first byte of the key */
    size_t bytes;
    enum err_code (*check)(struct span value, struct arena *arena, struct err *err);
} catalog_forms[] = {
    {'A', 8, NULL}, /* account id */
    {'k', 8, NULL},
    {'x', 8, NULL},
    {'P', 8, NULL}, /* project id */
    {'N', 9, NULL}, /* kind, id */
    {'n', 8, NULL}, /* id */
    {'b', 8, NULL},
    {'a', 0, account_record_check},
    {'p', 0, project_record_check},
    {'t', 0, table_record_check},
    {'s', 0, snapshot_check},
    {'o', 0, outcome_record_check},
    {'r', 0, root_record_check},
};

static enum err_code catalog_check(struct span key, struct span value, struct arena *arena,
                                   struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(catalog_forms); i++) {
        const struct record_form *form = &catalog_forms[i];
        if (key.len == 0 || (char)key.data[0] != form->prefix)
            continue;
        if (form->check != NULL)
            return form->check(value, arena, err);
        return value.len == form->bytes ? ERR_OK
                                        : err_set(err, ERR_CORRUPT, "record '%c' has %zu bytes",
                                                  form->prefix, value.len);
    }
    return ERR_OK; /* of a later version */
}

static enum err_code on_record(void *context, struct span key, struct span value, struct err *err)
{
    struct scrub *scrub = context;
    struct err cause;
    enum err_code code = ERR_OK;
    TRY(scrub_go_on(scrub, err));
    scrub->counts.records++;
    scrub_spend(scrub, key.len + value.len);
    arena_reset(&scrub->arena);
    if (scrub->family == FAMILY_CATALOG)
        code = catalog_check(key, value, &scrub->arena, &cause);
    else if (scrub->family == FAMILY_HISTORY)
        code = history_record_check(value, &scrub->arena, &cause);
    else if (scrub->watch->record != NULL)
        code = scrub->watch->record(scrub->watch->context, scrub->family, key, value, &cause);
    if (code != ERR_OK)
        scrub_fault(scrub, cause.message);
    return ERR_OK;
}

/* ---- a family, piece by piece ---- */

static enum err_code family_piece(struct scrub *scrub, enum family family,
                                  mark_walk_on_record *on_record_of, struct bytes *after,
                                  bool *ret_end, struct err *err)
{
    struct err cause;
    scrub->family = family;
    const struct mark_walk_visit visit = {on_record_of, scrub, &scrub->budget};
    enum err_code code = mark_walk_visit(scrub->store->db, family, after, &visit, ret_end, &cause);
    if (code == ERR_OK)
        scrub->faulted = false;
    if (code == ERR_CORRUPT) {
        /* What of files and pages stands in the block and is named is looked for from the names. */
        bool named = family == FAMILY_FILES || family == FAMILY_PAGES;
        if (!scrub->faulted && !named)
            scrub_fault(scrub, cause.message);
        scrub->faulted = true;
        *ret_end = !mark_walk_skip(after);
        return ERR_OK;
    }
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", cause.message);
}

/* ---- down from the names ---- */

static void tree_page_fault(void *context, const struct digest *digest, const struct err *fault)
{
    struct scrub *scrub = context;
    damage_note(scrub->store, digest, DAMAGE_PAGE, fault->message);
    scrub->counts.listed++;
}

static void tree_file(void *context, const struct digest *digest)
{
    struct scrub *scrub = context;
    struct err cause;
    uint64_t bytes;
    bool found;
    if (scrub_stopped(scrub))
        return;
    if (file_find(scrub->store, digest, &bytes, &found, &cause) != ERR_OK)
        scrub_fault(scrub, cause.message);
    else if (!found)
        damage_note(scrub->store, digest, DAMAGE_FILE, "it is not here");
    else if (scrub->rehash && file_check(scrub, digest, &cause) != ERR_OK && !scrub->stopped)
        scrub_fault(scrub, cause.message);
}

static enum err_code trees_drain(struct scrub *scrub, struct err *err)
{
    struct mark_walk walk = {.store = scrub->store,
                             .tree = catalog_tree(),
                             .mark = &scrub->mark,
                             .on_fault = tree_page_fault,
                             .on_fault_context = scrub};
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_FAILS, err));
    return scrub_go_on(scrub, err);
}

/* What is listed, not stored, and not named either. */
static enum err_code list_settle(struct scrub *scrub, struct err *err)
{
    struct damage *list MEM_CLEANUP = NULL;
    size_t count;
    TRY(damage_list(scrub->store, &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (digest_set_has(&scrub->mark.marked, &list[i].digest))
            continue;
        struct err cause;
        if (item_read(scrub, &list[i].digest, list[i].kind, &cause) != ERR_NOT_FOUND)
            continue;
        TRY(damage_forget(scrub->store, &list[i].digest, err));
        scrub->counts.healed++;
    }
    return ERR_OK;
}

static enum err_code trees_check_locked(struct scrub *scrub, struct err *err)
{
    const struct collect_tree *tree = catalog_tree();
    scrub->family = FAMILY_CATALOG;
    scrub->mark.on_file = tree_file;
    scrub->mark.on_file_context = scrub;
    TRY(tree->roots(tree->context, scrub->store, &scrub->mark, err));
    TRY(trees_drain(scrub, err));
    return list_settle(scrub, err);
}

/* Nothing is swept meanwhile: what is not here is missing. A record that cannot be read was told. */
static enum err_code trees_check(struct scrub *scrub, struct err *err)
{
    struct err cause;
    pthread_mutex_lock(&scrub->store->collect_lock);
    enum err_code code = trees_check_locked(scrub, &cause);
    pthread_mutex_unlock(&scrub->store->collect_lock);
    if (code == ERR_CORRUPT || code == ERR_BAD_DATA)
        scrub_fault(scrub, cause.message);
    else if (code != ERR_OK)
        return err_set(err, code, "%s", cause.message);
    return ERR_OK;
}

/* ---- the database's files ---- */

static void on_file_fault(void *context, const char *what)
{
    scrub_tell(context, "database", what);
}

static enum err_code marker_look(struct scrub *scrub, struct err *err)
{
    bool mended;
    TRY(store_marker_mend(scrub->store, &mended, err));
    if (mended)
        scrub_tell(scrub, "data_dir",
                   "the file `store` (whose data this is) was damaged or missing; "
                   "it is written again, and SCRUB then finds it whole");
    return ERR_OK;
}

/* *after: the number of the last table that was looked at. */
static enum err_code files_piece(struct scrub *scrub, struct bytes *after, bool *ret_end,
                                 struct err *err)
{
    uint64_t number = 0;
    TRY(scrub_go_on(scrub, err));
    if (after->len == sizeof(number))
        memcpy(&number, after->data, sizeof(number));
    if (number == 0)
        TRY(marker_look(scrub, err));
    TRY(db_look(scrub->store->db, &number, on_file_fault, scrub, ret_end, err));
    bytes_clear(after);
    bytes_append(after, &number, sizeof(number));
    scrub_spend(scrub, DB_LOOK_TABLES * KIB(64));
    return ERR_OK;
}

/* ---- a round ---- */

/* In this order; a position names its place here. */
static const struct scrub_phase {
    enum family family;             /* FAMILY_COUNT: the database's files */
    mark_walk_on_record *on_record; /* NULL: the trees */
} phases[] = {
    {FAMILY_FILES, on_file},        {FAMILY_PAGES, on_page},     {FAMILY_STAGED, on_staged},
    {FAMILY_CATALOG, on_record},    {FAMILY_HISTORY, on_record}, {FAMILY_TASKS, on_record},
    {FAMILY_LEASES, on_record},     {FAMILY_METER, on_record},   {FAMILY_SCHEDULE, on_record},
    {FAMILY_AUDIT, on_record},      {FAMILY_META, on_record},    {FAMILY_HELD, on_record},
    {FAMILY_PACK_STATE, on_record}, {FAMILY_DAMAGED, on_record}, {FAMILY_CATALOG, NULL},
    {FAMILY_COUNT, NULL},
};

struct position {
    size_t phase;
    struct bytes after;
};

static void position_deinit(struct position *position)
{
    bytes_deinit(&position->after);
}
#define POSITION_CLEANUP __attribute__((cleanup(position_deinit)))

static enum err_code round_go(struct scrub *scrub, struct position *position, struct err *err)
{
    while (position->phase < ARRAY_COUNT(phases) && scrub->budget > 0) {
        const struct scrub_phase *phase = &phases[position->phase];
        bool end = true;
        if (phase->family == FAMILY_COUNT)
            TRY(files_piece(scrub, &position->after, &end, err));
        else if (phase->on_record == NULL)
            TRY(trees_check(scrub, err));
        else
            TRY(family_piece(scrub, phase->family, phase->on_record, &position->after, &end, err));
        if (!end)
            continue;
        bytes_clear(&position->after);
        scrub->faulted = false;
        position->phase++;
    }
    return ERR_OK;
}

enum err_code scrub_store(struct store *store, const struct scrub_watch *watch,
                          struct scrub_counts *ret_counts, struct err *err)
{
    SCRUB_CLEANUP struct scrub scrub;
    POSITION_CLEANUP struct position position = {0};
    scrub_init(&scrub, store, watch);
    TRY(db_recover(store->db, err));
    db_cache_drop(store->db);
    TRY(round_go(&scrub, &position, err));
    *ret_counts = scrub.counts;
    return ERR_OK;
}

enum err_code scrub_table(struct store *store, struct table_id id, const struct scrub_watch *watch,
                          struct scrub_counts *ret_counts, struct err *err)
{
    SCRUB_CLEANUP struct scrub scrub;
    scrub_init(&scrub, store, watch);
    scrub.family = FAMILY_CATALOG;
    scrub.rehash = true;
    scrub.mark.on_file = tree_file;
    scrub.mark.on_file_context = &scrub;
    struct version_ref ref;
    CONTENT_CLEANUP struct content *content = NULL;
    db_cache_drop(store->db);
    TRY(content_open(store, (struct account_id){0}, &content, err));
    TRY(reader_pin(store, id, content, &ref, err));
    collect_mark_page(&scrub.mark, &ref.page);
    collect_mark_page(&scrub.mark, &ref.attribute_root);
    TRY(trees_drain(&scrub, err));
    scrub.counts.pages = scrub.mark.pages;
    *ret_counts = scrub.counts;
    return ERR_OK;
}

/* ---- steps of a round ---- */

static const char position_key[] = "scrub";

static enum err_code position_load(struct store *store, struct position *position, struct err *err)
{
    bool found;
    TRY(db_find(store->db, NULL, FAMILY_META, span_text(position_key), &position->after, &found,
                err));
    if (!found || position->after.len == 0 || position->after.data[0] >= ARRAY_COUNT(phases)) {
        bytes_clear(&position->after);
        return ERR_OK;
    }
    position->phase = position->after.data[0];
    memmove(position->after.data, position->after.data + 1, position->after.len - 1);
    position->after.len--;
    return ERR_OK;
}

/* Not synced: after a power cut a few files are read once more. */
static enum err_code position_keep(struct store *store, const struct position *position,
                                   struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t phase = (uint8_t)(position->phase % ARRAY_COUNT(phases));
    db_batch_put_parts(&batch, FAMILY_META, span_text(position_key), span_of(&phase, 1),
                       bytes_span(&position->after));
    return db_write(store->db, &batch, false, err);
}

enum err_code scrub_step(struct store *store, uint64_t bytes_max, const struct scrub_watch *watch,
                         struct scrub_counts *ret_counts, bool *ret_ended, struct err *err)
{
    SCRUB_CLEANUP struct scrub scrub;
    POSITION_CLEANUP struct position position = {0};
    scrub_init(&scrub, store, watch);
    scrub.budget = bytes_max;
    TRY(db_recover(store->db, err));
    TRY(position_load(store, &position, err));
    TRY(round_go(&scrub, &position, err));
    TRY(position_keep(store, &position, err));
    *ret_ended = position.phase == ARRAY_COUNT(phases);
    *ret_counts = scrub.counts;
    return ERR_OK;
}
