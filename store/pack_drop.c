#include "store/pack_drop.h"

#include "store/crash.h"

#define DROP_STEP_PACKS 64 /* packs to one sync */

static enum err_code packs_mark_dying(struct index *index, const struct pack_id *ids, size_t count,
                                      struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    index_lock(index);
    for (size_t i = 0; i < count; i++) {
        struct pack_record *record = index_pack_find(index, ids[i]);
        ASSERT(record != NULL && !record->busy);
        record->state = PACK_DYING; /* from here on it takes no file: also if the write fails */
        index_put_pack(&batch, record);
    }
    enum err_code code = db_write(index->db, &batch, false, err);
    index_unlock(index);
    TRY(code);
    return db_sync(index->db, err);
}

static enum err_code packs_forget(struct index *index, const struct pack_id *ids, size_t count,
                                  struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t key[8];
        store_u64(key, ids[i].n);
        db_batch_delete(&batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)));
    }
    index_lock(index);
    enum err_code code = db_write(index->db, &batch, false, err);
    for (size_t i = 0; code == ERR_OK && i < count; i++)
        index_pack_remove(index, ids[i]);
    index_unlock(index);
    return code;
}

static enum err_code packs_drop_step(struct index *index, const struct pack_id *ids, size_t count,
                                     struct err *err)
{
    TRY(packs_mark_dying(index, ids, count, err));
    CRASH_POINT(CRASH_PACK_DYING);
    for (size_t i = 0; i < count; i++) {
        TRY(index_drop_pack_file(index, ids[i], err));
        CRASH_POINT(CRASH_PACK_DROPPED);
    }
    return packs_forget(index, ids, count, err);
}

enum err_code packs_drop(struct index *index, const struct pack_id *ids, size_t count,
                         struct err *err)
{
    for (size_t at = 0; at < count; at += DROP_STEP_PACKS) {
        size_t step = count - at < DROP_STEP_PACKS ? count - at : DROP_STEP_PACKS;
        TRY(packs_drop_step(index, ids + at, step, err));
    }
    return ERR_OK;
}
