/* fsck: what is named is here, and the books add up.
 *
 * 1. From the catalog's roots down, every page is read, checked and decoded, every file is found.
 * 2. The same below every page of `pages`, named or not: CLOSED.
 * 3. Every file's place exists, nothing else lies in the nursery, and the live bytes of packs and
 *    nursery are the sums of their files.
 * 4. What is stored has a holder, and what is held is stored. No record bears a number that no
 *    collection has had: it would never go.
 * 5. The chain of the audit log is whole (audit.h).
 *
 * Each fault says what is wrong, where, and what to do about it. What costs only space is put right by
 * the next clean-up; what is lost can be had again by SCRUB, by XCOPY or from the data's owner.
 */
#include <stdarg.h>

#include "store/collect.h"
#include "store/files.h"
#include "store/parts.h"
#include "store/mark_walk.h"

struct fsck {
    struct store *store;
    const struct collect_tree *tree;
    enum fsck_depth depth;
    fsck_on_fault *on_fault;
    void *fault_context;
    struct collect_mark mark;
    struct bytes scratch;
    struct fsck_counts counts;
    /* the books, as of one moment */
    struct db_view *view;
    struct db_iter *held; /* through the view */
    uint64_t collection;
    struct pack_record *packs; /* live_bytes counts down */
    size_t pack_count;
    uint64_t small_bytes;
};

static void fsck_deinit(struct fsck *fsck)
{
    collect_mark_deinit(&fsck->mark);
    bytes_deinit(&fsck->scratch);
    db_iter_close(fsck->held);
    db_view_close(fsck->view);
    mem_free(fsck->packs);
}

static void fsck_fault(struct fsck *fsck, const struct digest *digest, const char *what)
{
    fsck->counts.faults++;
    if (fsck->on_fault != NULL)
        fsck->on_fault(fsck->fault_context, digest, what);
}

#define REPAIR_SPACE "it costs space only; the next clean-up (CLEANUP) puts it right"
#define REPAIR_LOST  "run SCRUB, or XCOPY the snapshots and load the tables that need it again"

__attribute__((format(printf, 3, 4))) static void
fsck_report(struct fsck *fsck, const struct digest *digest, const char *form, ...)
{
    char what[ERR_MESSAGE_BYTES];
    va_list values;
    va_start(values, form);
    vsnprintf(what, sizeof(what), form, values);
    va_end(values);
    fsck_fault(fsck, digest, what);
}

static const struct digest none;

/* ---- pages and files that are named ---- */

static void page_fault(void *context, const struct digest *digest, const struct err *fault)
{
    fsck_report(context, digest, "%s; %s", fault->message, REPAIR_LOST);
}

static void file_check(void *context, const struct digest *digest)
{
    struct fsck *fsck = context;
    struct err fault;
    uint64_t file_bytes = 0;
    bool found = true;
    enum err_code code =
        fsck->depth == FSCK_REHASH
            ? file_read(fsck->store, digest, FILE_CHECK_DIGEST, &fsck->scratch, &fault)
            : file_find(fsck->store, digest, &file_bytes, &found, &fault);
    if (code != ERR_OK)
        fsck_report(fsck, digest, "%s; %s", fault.message, REPAIR_LOST);
    else if (!found)
        fsck_report(fsck, digest, "a page names this file and it is not here; %s", REPAIR_LOST);
    fsck->counts.files++;
    fsck->counts.file_bytes += fsck->depth == FSCK_REHASH ? fsck->scratch.len : file_bytes;
}

static enum err_code page_stored(void *context, struct span key, struct span value, struct err *err)
{
    struct fsck *fsck = context;
    struct digest digest;
    (void)value; /* read and checked by the walk */
    if (key.len != DIGEST_BYTES)
        return err_set(err, ERR_CORRUPT, "pages: a key of %zu bytes", key.len);
    memcpy(digest.b, key.data, DIGEST_BYTES);
    collect_mark_page(&fsck->mark, &digest);
    return ERR_OK;
}

static enum err_code fsck_named(struct fsck *fsck, struct err *err)
{
    struct mark_walk walk = {.store = fsck->store,
                             .tree = fsck->tree,
                             .mark = &fsck->mark,
                             .on_fault = page_fault,
                             .on_fault_context = fsck};
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    fsck->mark.on_file = file_check;
    fsck->mark.on_file_context = fsck;
    TRY(fsck->tree->roots(fsck->tree->context, fsck->store, &fsck->mark, err));
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_FAILS, err));
    while (!end) {
        TRY(mark_walk_piece(fsck->store->db, FAMILY_PAGES, &after, page_stored, fsck, &end, err));
        TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_FAILS, err));
    }
    fsck->counts.pages = fsck->mark.pages;
    return ERR_OK;
}

/* ---- the books ---- */

static enum err_code books_open(struct fsck *fsck, struct err *err)
{
    struct index *index = &fsck->store->index;
    struct span empty = {0};
    index_lock(index);
    enum err_code code = db_view_open(index->db, &fsck->view, err);
    fsck->pack_count = index->pack_count;
    fsck->packs = mem_calloc(index->pack_count + 1, sizeof(*fsck->packs));
    if (index->pack_count > 0)
        memcpy(fsck->packs, index->packs, index->pack_count * sizeof(*fsck->packs));
    fsck->small_bytes = index->small_bytes;
    fsck->collection = index->collection;
    index_unlock(index);
    TRY(code);
    return db_iter_open(fsck->store->db, fsck->view, FAMILY_HELD, empty, empty, &fsck->held, err);
}

/* Every record is stored for somebody, and by a collection that has been. */
static enum err_code books_record(struct fsck *fsck, const struct digest *digest, uint64_t stamp,
                                  struct err *err)
{
    struct span key, value;
    bool found;
    if (stamp > fsck->collection)
        fsck_report(fsck, digest,
                    "its number %" PRIu64 " is above that of the last clean-up, %" PRIu64
                    ": it would never be cleaned up; load or pull it into an empty data directory",
                    stamp, fsck->collection);
    db_iter_seek(fsck->held, digest_span(digest));
    TRY(db_iter_next(fsck->held, &key, &value, &found, err));
    if (!found || key.len != HELD_KEY_BYTES || memcmp(key.data, digest->b, DIGEST_BYTES) != 0)
        fsck_report(fsck, digest, "no account holds it; pulling it again makes it held");
    return ERR_OK;
}

static bool page_stamp(struct span value, uint64_t *ret_stamp)
{
    if (value.len < PAGE_STAMP_BYTES)
        return false; /* told already, as a page that cannot be read */
    *ret_stamp = load_u64(value.data);
    return true;
}

static enum err_code books_pages(struct fsck *fsck, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span empty = {0}, key, value;
    bool found = true;
    TRY(db_iter_open(fsck->store->db, fsck->view, FAMILY_PAGES, empty, empty, &iter, err));
    for (;;) {
        uint64_t stamp;
        struct digest digest;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != DIGEST_BYTES || !page_stamp(value, &stamp))
            continue;
        memcpy(digest.b, key.data, DIGEST_BYTES);
        TRY(books_record(fsck, &digest, stamp, err));
    }
}

/* What is held is stored. */
static enum err_code books_held(struct fsck *fsck, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span empty = {0}, key, value;
    bool found = true;
    TRY(db_iter_open(fsck->store->db, fsck->view, FAMILY_HELD, empty, empty, &iter, err));
    for (;;) {
        struct digest digest;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != HELD_KEY_BYTES) {
            fsck_report(fsck, &none, "held: a key of %zu bytes; %s", key.len, REPAIR_LOST);
            continue;
        }
        memcpy(digest.b, key.data, DIGEST_BYTES);
        struct span at = digest_span(&digest);
        TRY(db_find(fsck->store->db, fsck->view, FAMILY_FILES, at, &fsck->scratch, &found, err));
        if (!found)
            TRY(db_find(fsck->store->db, fsck->view, FAMILY_PAGES, at, &fsck->scratch, &found,
                        err));
        if (!found)
            fsck_report(fsck, &digest,
                        "account %" PRIu64 " holds it and it is not here; pulling it again helps",
                        load_u64(key.data + DIGEST_BYTES));
    }
}

static struct pack_record *books_pack(struct fsck *fsck, struct pack_id id)
{
    size_t low = 0, high = fsck->pack_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fsck->packs[middle].id.n < id.n)
            low = middle + 1;
        else
            high = middle;
    }
    return low < fsck->pack_count && fsck->packs[low].id.n == id.n ? &fsck->packs[low] : NULL;
}

static enum err_code books_small(struct fsck *fsck, const struct digest *digest, uint64_t bytes,
                                 struct err *err)
{
    bool found;
    TRY(db_find(fsck->store->db, fsck->view, FAMILY_SMALL, digest_span(digest), &fsck->scratch,
                &found, err));
    if (!found || fsck->scratch.len != bytes)
        fsck_report(fsck, digest, "a small file is not there, or of another length; %s",
                    REPAIR_LOST);
    fsck->small_bytes -= bytes;
    return ERR_OK;
}

static enum err_code books_file(struct fsck *fsck, struct span key, struct span value,
                                struct err *err)
{
    struct file_record record;
    struct digest digest = {{0}};
    TRY(file_record_decode(value, &record, err));
    if (key.len == DIGEST_BYTES)
        memcpy(digest.b, key.data, DIGEST_BYTES);
    TRY(books_record(fsck, &digest, record.stamp, err));
    if (record.place == PLACE_SMALL)
        return books_small(fsck, &digest, record.file_bytes, err);
    struct pack_record *pack = books_pack(fsck, record.pack);
    if (pack == NULL || pack->state != PACK_LIVE)
        fsck_report(fsck, &digest, "its pack %" PRIu64 " is not live; %s", record.pack.n,
                    REPAIR_LOST);
    else
        pack->live_bytes -= record.file_bytes;
    return ERR_OK;
}

/* Nothing stays in `small` that is indexed elsewhere or not at all. */
static enum err_code books_nursery(struct fsck *fsck, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span empty = {0}, key, value;
    bool found = true;
    TRY(db_iter_open(fsck->store->db, fsck->view, FAMILY_SMALL, empty, empty, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct file_record record = {0};
        struct digest digest = {{0}};
        if (key.len == DIGEST_BYTES)
            memcpy(digest.b, key.data, DIGEST_BYTES);
        TRY(db_find(fsck->store->db, fsck->view, FAMILY_FILES, key, &fsck->scratch, &found, err));
        if (found)
            TRY(file_record_decode(bytes_span(&fsck->scratch), &record, err));
        if (!found || record.place != PLACE_SMALL)
            fsck_report(fsck, &digest,
                        "a small file that nothing points at: %zu bytes wasted; "
                        "load or pull into an empty data directory to be rid of it",
                        value.len);
    }
}

static void books_packs(struct fsck *fsck)
{
    for (size_t i = 0; i < fsck->pack_count; i++) {
        const struct pack_record *left = &fsck->packs[i];
        const char *wrong = (int64_t)left->live_bytes > 0 ? "more" : "fewer";
        if (left->live_bytes != 0)
            fsck_report(fsck, &none,
                        "pack %" PRIu64 ": its record has %s live bytes than its files; %s",
                        left->id.n, wrong, REPAIR_SPACE);
        if (!left->busy && left->state != PACK_LIVE)
            fsck_report(fsck, &none, "pack %" PRIu64 " was begun and never ended; %s", left->id.n,
                        REPAIR_SPACE);
    }
    if (fsck->small_bytes != 0)
        fsck_report(fsck, &none,
                    "the bytes of small files are not those of its files (%+" PRId64
                    "); they move to a pack too early or too late, and nothing is lost",
                    (int64_t)fsck->small_bytes);
}

static enum err_code fsck_books(struct fsck *fsck, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span empty = {0}, key, value;
    bool found = true;
    TRY(books_open(fsck, err));
    TRY(db_iter_open(fsck->store->db, fsck->view, FAMILY_FILES, empty, empty, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        TRY(books_file(fsck, key, value, err));
    }
    TRY(books_nursery(fsck, err));
    TRY(books_pages(fsck, err));
    TRY(books_held(fsck, err));
    books_packs(fsck);
    return ERR_OK;
}

/* ---- the audit log ---- */

static void audit_fault(void *context, const char *what)
{
    fsck_report(context, &none, "%s", what);
}

static enum err_code fsck_audit(struct fsck *fsck, struct err *err)
{
    uint64_t faults = 0; /* counted as they are told */
    return audit_check(fsck->store, audit_fault, fsck, &faults, err);
}

enum err_code store_fsck(struct store *store, const struct collect_tree *tree,
                         enum fsck_depth depth, fsck_on_fault *on_fault, void *fault_context,
                         struct fsck_counts *ret_counts, struct err *err)
{
    struct fsck fsck = {.store = store,
                        .tree = tree,
                        .depth = depth,
                        .on_fault = on_fault,
                        .fault_context = fault_context};
    pthread_mutex_lock(&store->collect_lock);
    enum err_code code = fsck_named(&fsck, err);
    if (code == ERR_OK)
        code = fsck_books(&fsck, err);
    if (code == ERR_OK)
        code = fsck_audit(&fsck, err);
    pthread_mutex_unlock(&store->collect_lock);
    if (code == ERR_OK)
        *ret_counts = fsck.counts;
    fsck_deinit(&fsck);
    return code;
}
