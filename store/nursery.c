/* The nursery: what small commits brought lives in family `small` and moves to a pack together.
 *
 *     read `small` -> pack (reserved) -> ingest -> switch the index over, 1,000 at a time -> sync
 *
 * A reader that finds a file gone from `small` looks up again and finds it in the pack: its record
 * changes in the same batch. Until the switch is synced a crash leaves a reserved pack, which the
 * next opening drops, or files of both kinds, which is fine.
 */
#include "proto/limits.h"
#include "store/crash.h"
#include "store/parts.h"

/* Copies files of `small` until the pack is full. */
static enum err_code nursery_copy(struct store *store, struct pack *pack, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    size_t count = 0;
    TRY(db_iter_open(store->db, NULL, FAMILY_SMALL, none, none, &iter, err));
    while (count < PACK_SLOTS_MAX) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found || pack_bytes_get(pack) + value.len > PACK_BYTES_MAX)
            return ERR_OK;
        if (key.len != DIGEST_BYTES || value.len > LIMIT_FILE_BYTES)
            return err_set(err, ERR_CORRUPT, "small files: a record that cannot be read");
        struct digest digest;
        memcpy(digest.b, key.data, DIGEST_BYTES);
        TRY(pack_append(pack, &digest, &(struct holder){0}, value, err));
        count++;
    }
    return ERR_OK;
}

/* One file now lives in the pack, unless it went meanwhile. */
static enum err_code nursery_switch_one(struct index *index, const struct pack_file *file,
                                        struct pack_id pack, uint32_t slot, struct db_batch *batch,
                                        uint64_t *moved_bytes, struct err *err)
{
    struct file_record record;
    bool found;
    TRY(index_find_file(index, &file->digest, &record, &found, err));
    if (!found || record.place != PLACE_SMALL)
        return ERR_OK;
    record.place = PLACE_PACK;
    record.pack = pack;
    record.slot = slot;
    index_put_file(batch, &file->digest, &record);
    db_batch_delete(batch, FAMILY_SMALL, digest_span(&file->digest));
    *moved_bytes += file->file_bytes;
    return ERR_OK;
}

static enum err_code nursery_switch_step_locked(struct index *index, const struct pack *pack,
                                                size_t from, size_t to, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    size_t count;
    const struct pack_file *files = pack_files_get(pack, &count);
    struct pack_record *record = index_pack_find(index, pack_id_get(pack));
    ASSERT(record != NULL && to <= count);
    uint64_t moved_bytes = 0;
    for (size_t i = from; i < to; i++)
        TRY(nursery_switch_one(index, &files[i], pack_id_get(pack), PACK_SLOT_FIRST + (uint32_t)i,
                               &batch, &moved_bytes, err));
    struct pack_record changed = *record;
    changed.state = PACK_LIVE;
    changed.bytes = pack_bytes_get(pack);
    changed.live_bytes += moved_bytes;
    index_put_pack(&batch, &changed);
    /* The number comes from the disk: when it is wrong it is wrong, and no file is lost by it. */
    uint64_t left = index->small_bytes > moved_bytes ? index->small_bytes - moved_bytes : 0;
    index_put_number(&batch, "small_bytes", left);
    TRY(db_write(index->db, &batch, false, err));
    *record = changed;
    index->small_bytes = left;
    return ERR_OK;
}

static enum err_code nursery_switch(struct index *index, const struct pack *pack, struct err *err)
{
    size_t count;
    pack_files_get(pack, &count);
    for (size_t from = 0; from < count; from += INDEX_STEP_RECORDS) {
        size_t to = from + INDEX_STEP_RECORDS < count ? from + INDEX_STEP_RECORDS : count;
        index_lock(index);
        enum err_code code = nursery_switch_step_locked(index, pack, from, to, err);
        index_unlock(index);
        TRY(code);
        CRASH_POINT(CRASH_NURSERY_STEP);
    }
    return db_sync(index->db, err);
}

static enum err_code nursery_move_all(struct store *store, struct pack *pack, struct err *err)
{
    size_t count;
    TRY(nursery_copy(store, pack, err));
    pack_files_get(pack, &count);
    if (count == 0)
        return ERR_OK;
    TRY(pack_ingest(store->packs, pack, err));
    CRASH_POINT(CRASH_NURSERY_INGESTED);
    return nursery_switch(&store->index, pack, err);
}

enum err_code nursery_move(struct store *store, struct err *err)
{
    struct index *index = &store->index;
    index_lock(index);
    bool due = !index->nursery_moving && index->small_bytes >= index->small_bytes_max;
    if (due)
        index->nursery_moving = true;
    index_unlock(index);
    if (!due)
        return ERR_OK;
    struct pack *pack = NULL;
    enum err_code code = space_check(&store->space, PACK_BYTES_MAX, err);
    if (code == ERR_OK)
        code = pack_begin(store->packs, &pack, err);
    if (code == ERR_OK)
        code = nursery_move_all(store, pack, err);
    if (pack != NULL)
        pack_end(pack);
    index_lock(index);
    index->nursery_moving = false;
    index_unlock(index);
    return code;
}
