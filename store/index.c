#include "store/index.h"
#include "store/family.h"

/* Packs of neighbouring ids share a family, so that one ingest call takes several. */
#define PACK_FAMILY_RUN 4

#define PACK_RECORD_BYTES 17

/* ---- records ---- */

void file_record_encode(const struct file_record *record, uint8_t ret_raw[FILE_RECORD_BYTES])
{
    ret_raw[0] = (uint8_t)record->place;
    store_u64(ret_raw + 1, record->pack.n);
    store_u32(ret_raw + 9, record->slot);
    store_u32(ret_raw + 13, record->file_bytes);
    store_u64(ret_raw + 17, record->stamp);
}

enum err_code file_record_decode(struct span raw, struct file_record *ret_record, struct err *err)
{
    if (raw.len != FILE_RECORD_BYTES || (raw.data[0] != PLACE_PACK && raw.data[0] != PLACE_SMALL))
        return err_set(err, ERR_CORRUPT, "file index: a record of %zu bytes cannot be read",
                       raw.len);
    *ret_record = (struct file_record){
        .place = (enum file_place)raw.data[0],
        .pack = {load_u64(raw.data + 1)},
        .slot = load_u32(raw.data + 9),
        .file_bytes = load_u32(raw.data + 13),
        .stamp = load_u64(raw.data + 17),
    };
    return ERR_OK;
}

void pack_key_encode(struct pack_id pack, uint32_t slot, uint8_t ret_key[PACK_KEY_BYTES])
{
    store_u64(ret_key, pack.n);
    store_u32(ret_key + 8, slot);
}

void held_key_encode(const struct digest *digest, struct account_id account,
                     uint8_t ret_key[HELD_KEY_BYTES])
{
    memcpy(ret_key, digest->b, DIGEST_BYTES);
    store_u64(ret_key + DIGEST_BYTES, account.n);
}

void staged_key_encode(const struct task_id *task, const struct digest *digest,
                       uint8_t ret_key[STAGED_KEY_BYTES])
{
    memcpy(ret_key, task->b, sizeof(task->b));
    memcpy(ret_key + sizeof(task->b), digest->b, DIGEST_BYTES);
}

enum family pack_family(struct pack_id pack)
{
    return (enum family)(pack.n / PACK_FAMILY_RUN % DB_PACK_FAMILIES);
}

enum err_code pack_record_decode(struct span key, struct span raw, struct pack_record *ret_record,
                                 struct err *err)
{
    if (key.len != 8 || raw.len != PACK_RECORD_BYTES || raw.data[0] < PACK_RESERVED ||
        raw.data[0] > PACK_DYING)
        return err_set(err, ERR_CORRUPT, "pack records: one cannot be read");
    *ret_record = (struct pack_record){
        .id = {load_u64(key.data)},
        .state = (enum pack_state)raw.data[0],
        .bytes = load_u64(raw.data + 1),
        .live_bytes = load_u64(raw.data + 9),
    };
    return ERR_OK;
}

/* ---- the table of packs ---- */

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void index_lock(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    index->held_from_ns = clock_ns();
}

void index_unlock(struct index *index)
{
    uint64_t held_ns = clock_ns() - index->held_from_ns;
    if (held_ns > index->held_ns_max)
        index->held_ns_max = held_ns;
    pthread_mutex_unlock(&index->lock);
}

size_t index_pack_at(const struct index *index, struct pack_id id)
{
    size_t low = 0, high = index->pack_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->packs[middle].id.n < id.n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct pack_record *index_pack_find(struct index *index, struct pack_id id)
{
    size_t at = index_pack_at(index, id);
    return at < index->pack_count && index->packs[at].id.n == id.n ? &index->packs[at] : NULL;
}

struct pack_record *index_pack_add(struct index *index, struct pack_id id)
{
    size_t at = index_pack_at(index, id);
    ASSERT(at == index->pack_count || index->packs[at].id.n != id.n);
    if (index->pack_count == index->pack_capacity) {
        index->pack_capacity = index->pack_capacity == 0 ? 64 : 2 * index->pack_capacity;
        index->packs = mem_realloc(index->packs, index->pack_capacity, sizeof(*index->packs));
    }
    struct pack_record *record = &index->packs[at];
    memmove(record + 1, record, (index->pack_count - at) * sizeof(*record));
    index->pack_count++;
    *record = (struct pack_record){.id = id, .state = PACK_RESERVED};
    return record;
}

void index_pack_remove(struct index *index, struct pack_id id)
{
    struct pack_record *record = index_pack_find(index, id);
    ASSERT(record != NULL);
    size_t at = (size_t)(record - index->packs);
    memmove(record, record + 1, (index->pack_count - at - 1) * sizeof(*record));
    index->pack_count--;
}

void index_put_pack(struct db_batch *batch, const struct pack_record *record)
{
    uint8_t key[8], raw[PACK_RECORD_BYTES];
    store_u64(key, record->id.n);
    raw[0] = (uint8_t)record->state;
    store_u64(raw + 1, record->bytes);
    store_u64(raw + 9, record->live_bytes);
    db_batch_put(batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)), span_of(raw, sizeof(raw)));
}

void index_put_number(struct db_batch *batch, const char *name, uint64_t value)
{
    uint8_t raw[8];
    store_u64(raw, value);
    db_batch_put(batch, FAMILY_META, span_text(name), span_of(raw, sizeof(raw)));
}

enum err_code index_find_file(struct index *index, const struct digest *digest,
                              struct file_record *ret_record, bool *ret_found, struct err *err)
{
    struct bytes raw BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(index->db, NULL, FAMILY_FILES, digest_span(digest), &raw, &found, err));
    if (found)
        TRY(file_record_decode(bytes_span(&raw), ret_record, err));
    *ret_found = found;
    return ERR_OK;
}

void index_put_file(struct db_batch *batch, const struct digest *digest,
                    const struct file_record *record)
{
    uint8_t raw[FILE_RECORD_BYTES];
    file_record_encode(record, raw);
    db_batch_put(batch, FAMILY_FILES, digest_span(digest), span_of(raw, sizeof(raw)));
}

/* ---- opening ---- */

static enum err_code number_load(struct db *db, const char *name, uint64_t absent,
                                 uint64_t *ret_value, struct err *err)
{
    struct bytes raw BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(db, NULL, FAMILY_META, span_text(name), &raw, &found, err));
    if (found && raw.len != 8)
        return err_set(err, ERR_CORRUPT, "meta record %s: %zu bytes, wanted 8", name, raw.len);
    *ret_value = found ? load_u64(raw.data) : absent;
    return ERR_OK;
}

static enum err_code packs_load(struct index *index, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    TRY(db_iter_open(index->db, NULL, FAMILY_PACK_STATE, none, none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct pack_record record;
        TRY(pack_record_decode(key, value, &record, err));
        *index_pack_add(index, record.id) = record;
    }
}

/* Marks in `has_file` the packs that have one. */
static enum err_code pack_file_check(void *context, enum family family, struct span first_key,
                                     struct span last_key, uint64_t file_bytes, struct err *err)
{
    struct index *index = context;
    if (first_key.len != PACK_KEY_BYTES || last_key.len != PACK_KEY_BYTES ||
        memcmp(first_key.data, last_key.data, 8) != 0)
        return err_set(err, ERR_CORRUPT, "%s: a file of %" PRIu64 " bytes is no pack",
                       family_name(family), file_bytes);
    struct pack_id id = {load_u64(first_key.data)};
    struct pack_record *record = index_pack_find(index, id);
    if (record == NULL || pack_family(id) != family)
        return err_set(err, ERR_CORRUPT,
                       "%s: pack %" PRIu64 " has a file but no record; restore the data directory "
                       "from a copy, or pull its tables again into an empty one",
                       family_name(family), id.n);
    record->has_file = true;
    return ERR_OK;
}

enum err_code index_drop_pack_file(struct index *index, struct pack_id id, struct err *err)
{
    uint8_t from[PACK_KEY_BYTES], to[PACK_KEY_BYTES];
    pack_key_encode(id, 0, from);
    pack_key_encode(id, UINT32_MAX, to);
    return db_drop_files(index->db, pack_family(id), span_of(from, sizeof(from)),
                         span_of(to, sizeof(to)), err);
}

/* Live packs have their file; all others go. */
static enum err_code packs_settle(struct index *index, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    size_t kept = 0;
    for (size_t i = 0; i < index->pack_count; i++) {
        struct pack_record *record = &index->packs[i];
        uint8_t key[8];
        store_u64(key, record->id.n);
        if (record->state == PACK_LIVE && !record->has_file)
            return err_set(err, ERR_CORRUPT,
                           "pack %" PRIu64 " (%" PRIu64 " bytes) has a record but no file; restore "
                           "the data directory from a copy, or pull its tables again into an empty "
                           "one",
                           record->id.n, record->bytes);
        if (record->state == PACK_LIVE) {
            index->packs[kept++] = *record;
            continue;
        }
        if (record->has_file)
            TRY(index_drop_pack_file(index, record->id, err));
        db_batch_delete(&batch, FAMILY_PACK_STATE, span_of(key, sizeof(key)));
    }
    index->pack_count = kept;
    return db_write(index->db, &batch, true, err);
}

static enum err_code index_load(struct index *index, struct err *err)
{
    TRY(number_load(index->db, "pack_next", 1, &index->pack_next, err));
    TRY(number_load(index->db, "collection", 1, &index->collection, err));
    TRY(number_load(index->db, "small_bytes", 0, &index->small_bytes, err));
    TRY(number_load(index->db, "holding", 1, &index->holding, err));
    TRY(packs_load(index, err));
    TRY(index_damage_load(index, err));
    if (index->pack_count > 0 && index->packs[index->pack_count - 1].id.n >= index->pack_next)
        return err_set(err, ERR_CORRUPT, "pack records: pack %" PRIu64 " is beyond the next id",
                       index->packs[index->pack_count - 1].id.n);
    TRY(db_pack_files_each(index->db, pack_file_check, index, err));
    return packs_settle(index, err);
}

enum err_code index_open(struct index *index, struct db *db, struct err *err)
{
    *index = (struct index){.db = db};
    pthread_mutex_init(&index->lock, NULL);
    enum err_code code = index_load(index, err);
    if (code != ERR_OK)
        index_close(index);
    return code;
}

void index_close(struct index *index)
{
    pthread_mutex_destroy(&index->lock);
    pin_map_deinit(&index->pins);
    pin_map_deinit(&index->claims);
    index_damage_deinit(index);
    mem_free(index->packs);
    mem_free(index->tallies);
}
