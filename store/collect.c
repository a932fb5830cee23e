#include "store/collect.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/parts.h"
#include "store/walk.h"

/* Pages that nobody can read are deleted first, as if above all others. */
#define LEVEL_UNREADABLE LIMIT_TREE_DEPTH
#define LEVEL_COUNT      (LIMIT_TREE_DEPTH + 1)

struct collect {
    struct store *store;
    const struct collect_tree *tree;
    struct collect_mark mark;
    uint64_t number; /* of this collection */
    struct digest_list dead_pages[LEVEL_COUNT];
    struct digest_list dead_files; /* of one piece */
    struct collect_counts counts;
};

static void collect_deinit(struct collect *collect)
{
    collect_mark_deinit(&collect->mark);
    for (size_t level = 0; level < LEVEL_COUNT; level++)
        digest_list_deinit(&collect->dead_pages[level]);
    digest_list_deinit(&collect->dead_files);
}

/* ---- mark ---- */

/* From here on what is stored bears the new number, and what is relied on is told to us. What is
 * pinned now is marked before the roots are read: a content that closes in between has its root
 * named by then. */
static enum err_code collect_begin(struct collect *collect, struct err *err)
{
    struct index *index = &collect->store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    index_lock(index);
    ASSERT(index->mark == NULL);
    index_put_number(&batch, "collection", index->collection + 1);
    enum err_code code = db_write(index->db, &batch, false, err);
    if (code == ERR_OK) {
        collect->number = ++index->collection;
        index->mark = &collect->mark;
        size_t at = 0;
        for (const struct pin *pin; (pin = pin_map_next(&index->pins, &at)) != NULL;) {
            if (pin->kind == PIN_PAGE)
                collect_mark_page(&collect->mark, &pin->digest);
            else
                collect_mark_file(&collect->mark, &pin->digest);
        }
    }
    index_unlock(index);
    TRY(code);
    CRASH_POINT(CRASH_COLLECT_RAISED);
    return db_sync(index->db, err);
}

/* Pages relied on since the walk began; with none left the sweep may begin. */
static bool collect_take_extra(struct collect *collect)
{
    struct index *index = &collect->store->index;
    index_lock(index);
    struct digest_list extra = collect->mark.extra;
    collect->mark.extra = (struct digest_list){0};
    collect->mark.sweeping = extra.count == 0;
    index_unlock(index);
    for (size_t i = 0; i < extra.count; i++)
        collect_mark_page(&collect->mark, &extra.digests[i]);
    bool taken = extra.count > 0;
    digest_list_deinit(&extra);
    return taken;
}

static enum err_code collect_mark_all(struct collect *collect, struct err *err)
{
    struct walk walk = {.store = collect->store, .tree = collect->tree, .mark = &collect->mark};
    TRY(walk_drain(&walk, WALK_ABSENT_SKIPS, err)); /* the pins */
    TRY(collect->tree->roots(collect->tree->context, collect->store, &collect->mark, err));
    TRY(walk_drain(&walk, WALK_ABSENT_FAILS, err));
    TRY(walk_staged(&walk, err));
    while (collect_take_extra(collect))
        TRY(walk_drain(&walk, WALK_ABSENT_SKIPS, err));
    collect->counts.pages_marked = collect->mark.pages;
    collect->counts.files_marked = collect->mark.files;
    return ERR_OK;
}

/* ---- sweep: what pages and files have in common ---- */

static enum err_code held_delete(struct index *index, struct db_batch *batch,
                                 const struct digest *digest, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    TRY(db_iter_open(index->db, NULL, FAMILY_HELD, digest_span(digest), none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        db_batch_delete(batch, FAMILY_HELD, key);
    }
}

/* Under the lock: neither marked nor relied on nor stored since. */
static bool record_dead_locked(const struct collect *collect, const struct digest *digest,
                               uint64_t stamp)
{
    return stamp < collect->number && !digest_set_has(&collect->mark.marked, digest) &&
           pin_map_find(&collect->store->index.pins, digest) == NULL;
}

/* ---- sweep: pages ---- */

static enum err_code page_consider(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct collect *collect = context;
    struct digest digest;
    if (key.len != DIGEST_BYTES || value.len < PAGE_STAMP_BYTES)
        return err_set(err, ERR_CORRUPT, "pages: a record of %zu bytes", value.len);
    memcpy(digest.b, key.data, DIGEST_BYTES);
    if (load_u64(value.data) >= collect->number || digest_set_has(&collect->mark.marked, &digest))
        return ERR_OK;
    struct span page = span_slice(value, PAGE_STAMP_BYTES, value.len - PAGE_STAMP_BYTES);
    uint32_t level;
    collect->mark.mute = true;
    if (collect->tree->children(collect->tree->context, page, &collect->mark, &level, NULL) !=
            ERR_OK ||
        level >= LEVEL_UNREADABLE)
        level = LEVEL_UNREADABLE;
    collect->mark.mute = false;
    digest_list_push(&collect->dead_pages[level], &digest);
    return ERR_OK;
}

static enum err_code page_delete(struct collect *collect, struct db_batch *batch,
                                 const struct digest *digest, uint64_t *deleted, struct err *err)
{
    struct index *index = &collect->store->index;
    struct bytes raw BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(index->db, NULL, FAMILY_PAGES, digest_span(digest), &raw, &found, err));
    if (!found || raw.len < PAGE_STAMP_BYTES ||
        !record_dead_locked(collect, digest, load_u64(raw.data)))
        return ERR_OK;
    db_batch_delete(batch, FAMILY_PAGES, digest_span(digest));
    (*deleted)++;
    return held_delete(index, batch, digest, err);
}

static enum err_code pages_sweep_step(struct collect *collect, const struct digest_list *list,
                                      size_t *at, struct err *err)
{
    struct index *index = &collect->store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    enum err_code code = ERR_OK;
    uint64_t deleted = 0;
    index_lock(index);
    for (size_t end = *at + COLLECT_STEP_RECORDS; code == ERR_OK && *at < list->count && *at < end;
         (*at)++)
        code = page_delete(collect, &batch, &list->digests[*at], &deleted, err);
    if (code == ERR_OK)
        code = db_write(index->db, &batch, false, err);
    index_unlock(index);
    TRY(code);
    collect->counts.pages_deleted += deleted;
    CRASH_POINT(CRASH_COLLECT_PAGE_STEP);
    return ERR_OK;
}

static enum err_code pages_sweep(struct collect *collect, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    while (!end)
        TRY(walk_piece(collect->store->db, FAMILY_PAGES, &after, page_consider, collect, &end,
                       err));
    for (size_t level = LEVEL_COUNT; level-- > 0;) {
        const struct digest_list *list = &collect->dead_pages[level];
        for (size_t at = 0; at < list->count;)
            TRY(pages_sweep_step(collect, list, &at, err));
    }
    return ERR_OK;
}

/* ---- sweep: files ---- */

static enum err_code file_consider(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct collect *collect = context;
    struct file_record record;
    struct digest digest;
    TRY(file_record_decode(value, &record, err));
    if (key.len != DIGEST_BYTES)
        return err_set(err, ERR_CORRUPT, "file index: a key of %zu bytes", key.len);
    memcpy(digest.b, key.data, DIGEST_BYTES);
    if (record.stamp < collect->number && !digest_set_has(&collect->mark.marked, &digest))
        digest_list_push(&collect->dead_files, &digest);
    return ERR_OK;
}

/* What a step takes from packs and the nursery, to be undone when its batch is not written. */
struct file_sweep {
    struct {
        struct pack_id pack;
        uint64_t bytes;
    } taken[COLLECT_STEP_RECORDS];
    size_t taken_count;
    uint64_t small_bytes;
    uint64_t files;
    uint64_t file_bytes;
};

static enum err_code file_delete(struct collect *collect, struct db_batch *batch,
                                 const struct digest *digest, struct file_sweep *sweep,
                                 struct err *err)
{
    struct index *index = &collect->store->index;
    struct file_record record;
    bool found;
    TRY(index_find_file(index, digest, &record, &found, err));
    if (!found || !record_dead_locked(collect, digest, record.stamp))
        return ERR_OK;
    struct pack_record *pack = NULL;
    if (record.place == PLACE_PACK) {
        pack = index_pack_find(index, record.pack);
        if (pack == NULL || pack->live_bytes < record.file_bytes)
            return err_set(err, ERR_CORRUPT, "pack %" PRIu64 ": its live bytes do not add up",
                           record.pack.n);
    }
    TRY(held_delete(index, batch, digest, err));
    db_batch_delete(batch, FAMILY_FILES, digest_span(digest));
    if (pack != NULL) {
        pack->live_bytes -= record.file_bytes;
        sweep->taken[sweep->taken_count].pack = record.pack;
        sweep->taken[sweep->taken_count++].bytes = record.file_bytes;
    } else {
        db_batch_delete(batch, FAMILY_SMALL, digest_span(digest));
        sweep->small_bytes += record.file_bytes;
    }
    sweep->files++;
    sweep->file_bytes += record.file_bytes;
    return ERR_OK;
}

static enum err_code files_sweep_step_locked(struct collect *collect, struct file_sweep *sweep,
                                             struct err *err)
{
    struct index *index = &collect->store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t i = 0; i < collect->dead_files.count; i++)
        TRY(file_delete(collect, &batch, &collect->dead_files.digests[i], sweep, err));
    for (size_t i = 0; i < sweep->taken_count; i++)
        index_put_pack(&batch, index_pack_find(index, sweep->taken[i].pack));
    if (sweep->small_bytes > index->small_bytes)
        return err_set(err, ERR_CORRUPT, "small files: their bytes do not add up");
    index_put_number(&batch, "small_bytes", index->small_bytes - sweep->small_bytes);
    TRY(db_write(index->db, &batch, false, err));
    index->small_bytes -= sweep->small_bytes;
    return ERR_OK;
}

static enum err_code files_sweep_step(struct collect *collect, struct err *err)
{
    struct index *index = &collect->store->index;
    struct file_sweep *sweep MEM_CLEANUP = mem_calloc(1, sizeof(*sweep));
    ASSERT(collect->dead_files.count <= COLLECT_STEP_RECORDS);
    index_lock(index);
    enum err_code code = files_sweep_step_locked(collect, sweep, err);
    for (size_t i = 0; code != ERR_OK && i < sweep->taken_count; i++)
        index_pack_find(index, sweep->taken[i].pack)->live_bytes += sweep->taken[i].bytes;
    index_unlock(index);
    TRY(code);
    collect->counts.files_deleted += sweep->files;
    collect->counts.file_bytes_deleted += sweep->file_bytes;
    CRASH_POINT(CRASH_COLLECT_FILE_STEP);
    return ERR_OK;
}

static enum err_code files_sweep(struct collect *collect, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    while (!end) {
        collect->dead_files.count = 0;
        TRY(walk_piece(collect->store->db, FAMILY_FILES, &after, file_consider, collect, &end,
                       err));
        if (collect->dead_files.count > 0)
            TRY(files_sweep_step(collect, err));
    }
    return ERR_OK;
}

/* ---- dead packs ---- */

/* The next pack without a live byte; marked as dying. */
static enum err_code pack_find_dead(struct index *index, struct pack_id after,
                                    struct pack_id *ret_id, bool *ret_found, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    enum err_code code = ERR_OK;
    bool found = false;
    index_lock(index);
    for (size_t i = 0; i < index->pack_count && !found; i++) {
        struct pack_record *record = &index->packs[i];
        bool dead = record->state == PACK_DYING ||
                    (record->state == PACK_LIVE && !record->indexing && record->live_bytes == 0);
        if (record->id.n <= after.n || !dead)
            continue;
        struct pack_record dying = *record;
        dying.state = PACK_DYING;
        index_put_pack(&batch, &dying);
        code = db_write(index->db, &batch, false, err);
        if (code == ERR_OK)
            *record = dying;
        *ret_id = record->id;
        found = true;
    }
    index_unlock(index);
    if (code == ERR_OK)
        *ret_found = found;
    return code;
}

static enum err_code pack_drop(struct index *index, struct pack_id id, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[8];
    TRY(db_sync(index->db, err)); /* nothing points at it, and it is dying: durably */
    CRASH_POINT(CRASH_PACK_DYING);
    TRY(index_drop_pack_file(index, id, err));
    CRASH_POINT(CRASH_PACK_DROPPED);
    store_u64(key, id.n);
    db_batch_delete(&batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)));
    index_lock(index);
    enum err_code code = db_write(index->db, &batch, false, err);
    if (code == ERR_OK)
        index_pack_remove(index, id);
    index_unlock(index);
    return code;
}

static enum err_code packs_sweep(struct collect *collect, struct err *err)
{
    struct pack_id id = {0};
    for (;;) {
        bool found;
        TRY(pack_find_dead(&collect->store->index, id, &id, &found, err));
        if (!found)
            return ERR_OK;
        TRY(pack_drop(&collect->store->index, id, err));
        collect->counts.packs_dropped++;
    }
}

/* ---- all of it ---- */

static enum err_code collect_all(struct collect *collect, struct err *err)
{
    TRY(collect_begin(collect, err));
    TRY(collect_mark_all(collect, err));
    TRY(pages_sweep(collect, err));
    TRY(files_sweep(collect, err));
    TRY(packs_sweep(collect, err));
    return db_sync(collect->store->db, err);
}

enum err_code collect_run(struct store *store, const struct collect_tree *tree,
                          struct collect_counts *ret_counts, struct err *err)
{
    TRY(db_recover(store->db, err));
    struct collect *collect = mem_calloc(1, sizeof(*collect));
    collect->store = store;
    collect->tree = tree;
    pthread_mutex_lock(&store->collect_lock);
    enum err_code code = collect_all(collect, err);
    index_lock(&store->index);
    store->index.mark = NULL;
    index_unlock(&store->index);
    pthread_mutex_unlock(&store->collect_lock);
    if (code == ERR_OK)
        *ret_counts = collect->counts;
    collect_deinit(collect);
    mem_free(collect);
    return code;
}
