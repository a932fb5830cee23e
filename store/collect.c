#include "store/collect.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/holders.h"
#include "store/pack_drop.h"
#include "store/pack_tally.h"
#include "store/parts.h"
#include "store/mark_walk.h"
#include "store/repack.h"

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
    struct pack_tally tally;
    uint64_t pages_seen, files_seen;            /* by the sweeps */
    struct bytes holders;                       /* keys of `held`, of the records of one step, */
    size_t holders_end[COLLECT_DELETE_RECORDS]; /* up to here for each of them */
    struct bytes scratch;
    struct collect_counts counts;
};

static void collect_deinit(struct collect *collect)
{
    collect_mark_deinit(&collect->mark);
    for (size_t level = 0; level < LEVEL_COUNT; level++)
        digest_list_deinit(&collect->dead_pages[level]);
    digest_list_deinit(&collect->dead_files);
    pack_tally_deinit(&collect->tally);
    bytes_deinit(&collect->holders);
    bytes_deinit(&collect->scratch);
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
    struct mark_walk walk = {
        .store = collect->store, .tree = collect->tree, .mark = &collect->mark};
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_SKIPS, err)); /* the pins */
    TRY(collect->tree->roots(collect->tree->context, collect->store, &collect->mark, err));
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_FAILS, err));
    TRY(mark_walk_staged(&walk, err));
    while (collect_take_extra(collect))
        TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_SKIPS, err));
    collect->counts.pages_marked = collect->mark.pages;
    collect->counts.files_marked = collect->mark.files;
    collect->counts.staged_unreadable = walk.staged_unreadable;
    return ERR_OK;
}

/* ---- sweep: what pages and files have in common ---- */

/* Who holds the records of a step. Read without the lock: whoever records a holder gives the record
 * this collection's number under one hold of it, so one that is dead under the lock has no new
 * holders. */
static enum err_code holders_gather(struct collect *collect, const struct digest *digests,
                                    size_t count, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    bytes_clear(&collect->holders);
    TRY(db_iter_open(collect->store->db, NULL, FAMILY_HELD, none, digest_span(&digests[0]), &iter,
                     err));
    for (size_t i = 0; i < count; i++) {
        db_iter_seek(iter, digest_span(&digests[i]));
        for (;;) {
            TRY(db_iter_next(iter, &key, &value, &found, err));
            if (!found || key.len != HELD_KEY_BYTES ||
                memcmp(key.data, digests[i].b, DIGEST_BYTES) != 0)
                break;
            bytes_append_span(&collect->holders, key);
        }
        collect->holders_end[i] = collect->holders.len;
    }
    return ERR_OK;
}

/* The holders of the step's i-th record. */
static void holders_delete(const struct collect *collect, size_t i, struct db_batch *batch)
{
    for (size_t at = i == 0 ? 0 : collect->holders_end[i - 1]; at < collect->holders_end[i];
         at += HELD_KEY_BYTES)
        db_batch_delete(batch, FAMILY_HELD, span_of(collect->holders.data + at, HELD_KEY_BYTES));
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
    collect->pages_seen++;
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

/* *ret_dead: it went into the batch. */
static enum err_code page_delete(struct collect *collect, struct db_batch *batch,
                                 const struct digest *digest, bool *ret_dead, struct err *err)
{
    struct index *index = &collect->store->index;
    bool found;
    *ret_dead = false;
    TRY(db_find(index->db, NULL, FAMILY_PAGES, digest_span(digest), &collect->scratch, &found,
                err));
    if (!found || collect->scratch.len < PAGE_STAMP_BYTES ||
        !record_dead_locked(collect, digest, load_u64(collect->scratch.data)))
        return ERR_OK;
    db_batch_delete(batch, FAMILY_PAGES, digest_span(digest));
    *ret_dead = true;
    return ERR_OK;
}

static enum err_code pages_sweep_step_locked(struct collect *collect, const struct digest *digests,
                                             size_t count, uint64_t *deleted, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t i = 0; i < count; i++) {
        bool dead;
        TRY(page_delete(collect, &batch, &digests[i], &dead, err));
        if (dead)
            holders_delete(collect, i, &batch);
        *deleted += dead;
    }
    return db_write(collect->store->db, &batch, false, err);
}

static enum err_code pages_sweep_step(struct collect *collect, const struct digest *digests,
                                      size_t count, struct err *err)
{
    uint64_t deleted = 0;
    TRY(holders_gather(collect, digests, count, err));
    index_lock(&collect->store->index);
    enum err_code code = pages_sweep_step_locked(collect, digests, count, &deleted, err);
    index_unlock(&collect->store->index);
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
        TRY(mark_walk_piece(collect->store->db, FAMILY_PAGES, &after, page_consider, collect, &end,
                            err));
    for (size_t level = LEVEL_COUNT; level-- > 0;) {
        const struct digest_list *list = &collect->dead_pages[level];
        for (size_t at = 0; at < list->count; at += COLLECT_DELETE_RECORDS) {
            size_t left = list->count - at;
            TRY(pages_sweep_step(collect, list->digests + at,
                                 left < COLLECT_DELETE_RECORDS ? left : COLLECT_DELETE_RECORDS,
                                 err));
        }
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
    collect->files_seen++;
    if (record.stamp < collect->number && !digest_set_has(&collect->mark.marked, &digest))
        digest_list_push(&collect->dead_files, &digest);
    else
        pack_tally_add(&collect->tally, &record);
    return ERR_OK;
}

/* What a step takes from packs and the nursery, to be undone when its batch is not written. */
struct file_sweep {
    const struct digest *digests;
    size_t count;
    struct {
        struct pack_id pack;
        uint64_t bytes;
    } taken[COLLECT_DELETE_RECORDS];
    size_t taken_count;
    uint64_t small_bytes;
    uint64_t files;
    uint64_t file_bytes;
};

/* Counts come from the disk: one that is too low stays at zero, and is counted again below. */
static void file_take(struct index *index, const struct file_record *record,
                      struct file_sweep *sweep)
{
    struct pack_record *pack = index_pack_find(index, record->pack);
    if (pack == NULL)
        return;
    uint64_t bytes = pack->live_bytes < record->file_bytes ? pack->live_bytes : record->file_bytes;
    pack->live_bytes -= bytes;
    sweep->taken[sweep->taken_count].pack = record->pack;
    sweep->taken[sweep->taken_count++].bytes = bytes;
}

static enum err_code file_delete(struct collect *collect, struct db_batch *batch,
                                 const struct digest *digest, struct file_sweep *sweep,
                                 struct err *err)
{
    struct index *index = &collect->store->index;
    struct file_record record;
    bool found;
    TRY(index_find_file(index, digest, &record, &found, err));
    if (!found)
        return ERR_OK;
    if (!record_dead_locked(collect, digest, record.stamp)) {
        pack_tally_add(&collect->tally, &record);
        return ERR_OK;
    }
    holders_delete(collect, (size_t)(digest - sweep->digests), batch);
    db_batch_delete(batch, FAMILY_FILES, digest_span(digest));
    if (record.place == PLACE_PACK)
        file_take(index, &record, sweep);
    if (record.place == PLACE_SMALL) {
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
    for (size_t i = 0; i < sweep->count; i++)
        TRY(file_delete(collect, &batch, &sweep->digests[i], sweep, err));
    for (size_t i = 0; i < sweep->taken_count; i++)
        index_put_pack(&batch, index_pack_find(index, sweep->taken[i].pack));
    uint64_t small_bytes =
        index->small_bytes > sweep->small_bytes ? index->small_bytes - sweep->small_bytes : 0;
    index_put_number(&batch, "small_bytes", small_bytes);
    TRY(db_write(index->db, &batch, false, err));
    index->small_bytes = small_bytes;
    return ERR_OK;
}

static enum err_code files_sweep_step(struct collect *collect, const struct digest *digests,
                                      size_t count, struct err *err)
{
    struct index *index = &collect->store->index;
    struct file_sweep *sweep MEM_CLEANUP = mem_calloc(1, sizeof(*sweep));
    sweep->digests = digests;
    sweep->count = count;
    TRY(holders_gather(collect, digests, count, err));
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
    pack_tally_begin(&collect->tally, &collect->store->index);
    while (!end) {
        collect->dead_files.count = 0;
        TRY(mark_walk_piece(collect->store->db, FAMILY_FILES, &after, file_consider, collect, &end,
                            err));
        const struct digest_list *dead = &collect->dead_files;
        for (size_t at = 0; at < dead->count; at += COLLECT_DELETE_RECORDS) {
            size_t left = dead->count - at;
            TRY(files_sweep_step(collect, dead->digests + at,
                                 left < COLLECT_DELETE_RECORDS ? left : COLLECT_DELETE_RECORDS,
                                 err));
        }
    }
    return ERR_OK;
}

/* ---- packs ---- */

static enum err_code packs_sweep(struct collect *collect, struct err *err)
{
    struct index *index = &collect->store->index;
    size_t count = 0;
    struct pack_id *dead MEM_CLEANUP = NULL;
    TRY(pack_tally_settle(&collect->tally, index, &collect->counts.packs_recounted, err));
    pack_tally_take_dead(&collect->tally, &dead, &count);
    TRY(packs_drop(index, dead, count, err));
    collect->counts.packs_dropped += count;
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err_code collect_compact(struct collect *collect, struct err *err)
{
    const struct collect_counts *counts = &collect->counts;
    const struct compact_sweep sweep = {
        .pages_seen = collect->pages_seen,
        .pages_deleted = counts->pages_deleted,
        .files_seen = collect->files_seen,
        .files_deleted = counts->files_deleted,
    };
    return compact_run(collect->store, &sweep, &collect->counts.compact_steps, err);
}

static enum err_code collect_all(struct collect *collect, struct err *err)
{
    packs_seal_abandoned(collect->store->packs); /* with the old number: swept in this one */
    TRY(collect_begin(collect, err));
    TRY(collect_mark_all(collect, err));
    TRY(pages_sweep(collect, err));
    TRY(files_sweep(collect, err));
    TRY(holders_sweep(collect->store, collect->tree, collect->number,
                      &collect->counts.holders_deleted, err));
    TRY(packs_sweep(collect, err));
    TRY(repack_run(collect->store, &collect->counts.repack, err));
    TRY(collect_compact(collect, err));
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
