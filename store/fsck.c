/* fsck: what is named is here, and the books add up.
 *
 * 1. From the catalog's roots down, every page is read, checked and decoded, every file is found.
 * 2. The same below every page of `pages`, named or not: CLOSED.
 * 3. Every file's place exists, nothing else lies in the nursery, and the live bytes of packs and
 *    nursery are the sums of their files.
 */
#include "store/collect.h"
#include "store/files.h"
#include "store/parts.h"
#include "store/walk.h"

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
    struct pack_record *packs; /* live_bytes counts down */
    size_t pack_count;
    uint64_t small_bytes;
};

static void fsck_deinit(struct fsck *fsck)
{
    collect_mark_deinit(&fsck->mark);
    bytes_deinit(&fsck->scratch);
    db_view_close(fsck->view);
    mem_free(fsck->packs);
}

static void fsck_fault(struct fsck *fsck, const struct digest *digest, const char *what)
{
    fsck->counts.faults++;
    if (fsck->on_fault != NULL)
        fsck->on_fault(fsck->fault_context, digest, what);
}

/* ---- pages and files that are named ---- */

static void page_fault(void *context, const struct digest *digest, const struct err *fault)
{
    fsck_fault(context, digest, fault->message);
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
        fsck_fault(fsck, digest, fault.message);
    else if (!found)
        fsck_fault(fsck, digest, "the file is not here");
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
    struct walk walk = {.store = fsck->store,
                        .tree = fsck->tree,
                        .mark = &fsck->mark,
                        .on_fault = page_fault,
                        .on_fault_context = fsck};
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    fsck->mark.on_file = file_check;
    fsck->mark.on_file_context = fsck;
    TRY(fsck->tree->roots(fsck->tree->context, fsck->store, &fsck->mark, err));
    TRY(walk_drain(&walk, WALK_ABSENT_FAILS, err));
    while (!end) {
        TRY(walk_piece(fsck->store->db, FAMILY_PAGES, &after, page_stored, fsck, &end, err));
        TRY(walk_drain(&walk, WALK_ABSENT_FAILS, err));
    }
    fsck->counts.pages = fsck->mark.pages;
    return ERR_OK;
}

/* ---- the books ---- */

static enum err_code books_open(struct fsck *fsck, struct err *err)
{
    struct index *index = &fsck->store->index;
    index_lock(index);
    enum err_code code = db_view_open(index->db, &fsck->view, err);
    fsck->pack_count = index->pack_count;
    fsck->packs = mem_calloc(index->pack_count, sizeof(*fsck->packs));
    if (index->pack_count > 0)
        memcpy(fsck->packs, index->packs, index->pack_count * sizeof(*fsck->packs));
    fsck->small_bytes = index->small_bytes;
    index_unlock(index);
    return code;
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
        fsck_fault(fsck, digest, "a small file is not there, or of another length");
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
    if (record.place == PLACE_SMALL)
        return books_small(fsck, &digest, record.file_bytes, err);
    struct pack_record *pack = books_pack(fsck, record.pack);
    if (pack == NULL || pack->state != PACK_LIVE)
        fsck_fault(fsck, &digest, "its pack is not live");
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
            fsck_fault(fsck, &digest, "a small file that nothing points at");
    }
}

static enum err_code fsck_books(struct fsck *fsck, struct err *err)
{
    static const struct digest none;
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
    for (size_t i = 0; i < fsck->pack_count; i++) {
        if (fsck->packs[i].live_bytes != 0)
            fsck_fault(fsck, &none, "the live bytes of a pack are not those of its files");
    }
    if (fsck->small_bytes != 0)
        fsck_fault(fsck, &none, "the bytes of small files are not those of its files");
    return ERR_OK;
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
    pthread_mutex_unlock(&store->collect_lock);
    if (code == ERR_OK)
        *ret_counts = fsck.counts;
    fsck_deinit(&fsck);
    return code;
}
