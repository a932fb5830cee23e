#include "store/pack_tally.h"

void pack_tally_deinit(struct pack_tally *tally)
{
    mem_free(tally->packs);
    *tally = (struct pack_tally){0};
}

void pack_tally_begin(struct pack_tally *tally, struct index *index)
{
    index_lock(index);
    tally->packs = mem_calloc(index->pack_count + 1, sizeof(*tally->packs));
    for (size_t i = 0; i < index->pack_count; i++) {
        index->packs[i].thinned = false;
        if (!index->packs[i].busy)
            tally->packs[tally->count++].id = index->packs[i].id;
    }
    index_unlock(index);
}

void pack_tally_add(struct pack_tally *tally, const struct file_record *record)
{
    if (record->place != PLACE_PACK)
        return;
    size_t low = 0, high = tally->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tally->packs[middle].id.n < record->pack.n)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == tally->count || tally->packs[low].id.n != record->pack.n)
        return;
    tally->packs[low].files++;
    tally->packs[low].bytes += record->file_bytes;
}

/* A pack with files is live whatever its record says (a write that failed may be there after all). One
 * that files left while it was counted keeps its number: who took them did, too. */
static struct pack_record counted(const struct pack_record *record,
                                  const struct pack_tally_one *one)
{
    struct pack_record right = *record;
    if (!record->thinned)
        right.live_bytes = one->bytes;
    if (one->files > 0)
        right.state = PACK_LIVE;
    if (right.bytes < right.live_bytes)
        right.bytes = right.live_bytes;
    return right;
}

static enum err_code settle_step_locked(const struct pack_tally *tally, struct index *index,
                                        size_t from, size_t to, uint64_t *recounted,
                                        struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t i = from; i < to; i++) {
        const struct pack_record *record = index_pack_find(index, tally->packs[i].id);
        ASSERT(record != NULL); /* only clean-up removes records */
        struct pack_record right = counted(record, &tally->packs[i]);
        if (right.live_bytes != record->live_bytes || right.state != record->state)
            index_put_pack(&batch, &right);
    }
    *recounted += batch.count;
    TRY(db_write(index->db, &batch, false, err));
    for (size_t i = from; i < to; i++) {
        struct pack_record *record = index_pack_find(index, tally->packs[i].id);
        *record = counted(record, &tally->packs[i]);
    }
    return ERR_OK;
}

enum err_code pack_tally_settle(const struct pack_tally *tally, struct index *index,
                                uint64_t *ret_recounted, struct err *err)
{
    *ret_recounted = 0;
    for (size_t from = 0; from < tally->count; from += INDEX_STEP_RECORDS) {
        size_t to =
            tally->count - from < INDEX_STEP_RECORDS ? tally->count : from + INDEX_STEP_RECORDS;
        index_lock(index);
        enum err_code code = settle_step_locked(tally, index, from, to, ret_recounted, err);
        index_unlock(index);
        TRY(code);
    }
    return ERR_OK;
}

void pack_tally_take_dead(const struct pack_tally *tally, struct pack_id **ret_ids,
                          size_t *ret_count)
{
    struct pack_id *ids = mem_calloc(tally->count + 1, sizeof(*ids));
    size_t count = 0;
    for (size_t i = 0; i < tally->count; i++) {
        if (tally->packs[i].files == 0)
            ids[count++] = tally->packs[i].id;
    }
    *ret_ids = ids;
    *ret_count = count;
}
