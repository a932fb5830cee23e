#include "store/repack.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/pack_drop.h"
#include "store/parts.h"
#include "store/mark_walk.h"

#define REPACK_ROUND_PACKS 64 /* to one reading of the file index */

/* What a store needs to open again after a full disk stays free, reserve or not. */
#define REPACK_SPARE_BYTES (32 * MIB(1))

struct thin_pack {
    struct pack_id id;
    uint64_t live_bytes;
    size_t file_from, file_count; /* in the round's files */
    bool keeps;                   /* a file could not be copied */
    uint64_t leaving_bytes;       /* in the batch that is being built */
};

struct live_file {
    struct digest digest;
    struct pack_id pack;
    uint32_t slot;
    uint32_t file_bytes;
};

struct repack {
    struct store *store;
    struct repack_counts *counts;
    struct pack_id after; /* packs up to this one have had their turn */
    uint64_t end;         /* and from this one on they are new */
    /* a round */
    struct thin_pack packs[REPACK_ROUND_PACKS]; /* ascending */
    size_t pack_count;
    struct live_file *files; /* by pack, then slot */
    size_t file_count, file_capacity;
    /* a step */
    struct pack *into;               /* NULL until the first file */
    const struct live_file **copied; /* by slot of `into` */
    struct bytes scratch;
};

static void repack_deinit(struct repack *repack)
{
    mem_free(repack->files);
    mem_free(repack->copied);
    bytes_deinit(&repack->scratch);
}

/* ---- a round: thin packs and their live files ---- */

static bool pack_is_thin(const struct pack_record *record, unsigned thin_percent)
{
    return record->state == PACK_LIVE && !record->busy && record->live_bytes > 0 &&
           record->live_bytes * 100 < record->bytes * thin_percent;
}

static void round_select(struct repack *repack)
{
    struct index *index = &repack->store->index;
    repack->pack_count = 0;
    index_lock(index);
    size_t i = index_pack_at(index, (struct pack_id){repack->after.n + 1});
    for (; i < index->pack_count && repack->pack_count < REPACK_ROUND_PACKS; i++) {
        const struct pack_record *record = &index->packs[i];
        if (record->id.n >= repack->end)
            break;
        if (pack_is_thin(record, repack->store->thin_percent))
            repack->packs[repack->pack_count++] = (struct thin_pack){.id = record->id};
    }
    index_unlock(index);
}

static struct thin_pack *round_find(struct repack *repack, struct pack_id id)
{
    for (size_t low = 0, high = repack->pack_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (repack->packs[middle].id.n == id.n)
            return &repack->packs[middle];
        if (repack->packs[middle].id.n < id.n)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static enum err_code file_gather(void *context, struct span key, struct span value, struct err *err)
{
    struct repack *repack = context;
    struct file_record record;
    TRY(file_record_decode(value, &record, err));
    if (key.len != DIGEST_BYTES)
        return err_set(err, ERR_CORRUPT, "file index: a key of %zu bytes", key.len);
    struct thin_pack *pack = record.place == PLACE_PACK ? round_find(repack, record.pack) : NULL;
    if (pack == NULL)
        return ERR_OK;
    if (repack->file_count == repack->file_capacity) {
        repack->file_capacity = repack->file_capacity == 0 ? 1024 : 2 * repack->file_capacity;
        repack->files = mem_realloc(repack->files, repack->file_capacity, sizeof(*repack->files));
    }
    struct live_file *file = &repack->files[repack->file_count++];
    *file = (struct live_file){
        .pack = record.pack, .slot = record.slot, .file_bytes = record.file_bytes};
    memcpy(file->digest.b, key.data, DIGEST_BYTES);
    pack->live_bytes += record.file_bytes;
    pack->file_count++;
    return ERR_OK;
}

static int file_compare(const void *a, const void *b)
{
    const struct live_file *x = a, *y = b;
    if (x->pack.n != y->pack.n)
        return x->pack.n < y->pack.n ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static enum err_code round_gather(struct repack *repack, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    repack->file_count = 0;
    while (!end)
        TRY(mark_walk_piece(repack->store->db, FAMILY_FILES, &after, file_gather, repack, &end,
                            err));
    if (repack->file_count > 0)
        qsort(repack->files, repack->file_count, sizeof(*repack->files), file_compare);
    size_t at = 0;
    for (size_t i = 0; i < repack->pack_count; i++) {
        repack->packs[i].file_from = at;
        at += repack->packs[i].file_count;
    }
    return ERR_OK;
}

/* ---- a step: copying ---- */

/* The file's bytes, as they should be. Not found: damaged, or gone; it is left alone. */
static enum err_code file_fetch(struct repack *repack, const struct live_file *file,
                                bool *ret_whole, struct err *err)
{
    uint8_t key[PACK_KEY_BYTES];
    struct err fault = {0};
    bool found = false;
    pack_key_encode(file->pack, file->slot, key);
    enum err_code code = db_find(repack->store->db, NULL, pack_family(file->pack),
                                 span_of(key, sizeof(key)), &repack->scratch, &found, &fault);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return err_set(err, code, "%s", fault.message);
    *ret_whole = false;
    if (code == ERR_OK && found && repack->scratch.len == file->file_bytes) {
        struct digest digest = digest_of(DOMAIN_FILE, bytes_span(&repack->scratch));
        *ret_whole = digest_equal(&digest, &file->digest);
    }
    return ERR_OK;
}

static enum err_code file_copy(struct repack *repack, const struct live_file *file,
                               struct thin_pack *from, struct err *err)
{
    bool whole;
    size_t slot = 0;
    TRY(file_fetch(repack, file, &whole, err));
    if (!whole) {
        from->keeps = true;
        repack->counts->files_damaged++;
        return ERR_OK;
    }
    if (repack->into == NULL)
        TRY(pack_begin(repack->store->packs, &repack->into, err));
    pack_files_get(repack->into, &slot);
    repack->copied[slot] = file;
    return pack_append(repack->into, &file->digest, &(struct holder){0},
                       bytes_span(&repack->scratch), err);
}

static enum err_code step_copy(struct repack *repack, size_t from, size_t to, struct err *err)
{
    for (size_t i = from; i < to; i++) {
        struct thin_pack *pack = &repack->packs[i];
        for (size_t f = 0; f < pack->file_count; f++)
            TRY(file_copy(repack, &repack->files[pack->file_from + f], pack, err));
    }
    return ERR_OK;
}

/* ---- a step: switching over ---- */

/* One file now lives in the new pack, unless it went or moved meanwhile. */
static enum err_code file_switch(struct repack *repack, struct db_batch *batch, uint32_t slot,
                                 struct pack_record *into, struct err *err)
{
    struct index *index = &repack->store->index;
    const struct live_file *file = repack->copied[slot];
    struct file_record record;
    bool found;
    TRY(index_find_file(index, &file->digest, &record, &found, err));
    if (!found || record.place != PLACE_PACK || record.pack.n != file->pack.n)
        return ERR_OK;
    record.pack = into->id;
    record.slot = PACK_SLOT_FIRST + slot;
    index_put_file(batch, &file->digest, &record);
    into->live_bytes += file->file_bytes;
    round_find(repack, file->pack)->leaving_bytes += file->file_bytes;
    return ERR_OK;
}

/* The old pack's record without what leaves it in this batch. */
static struct pack_record left_behind(struct index *index, const struct thin_pack *pack)
{
    struct pack_record record = *index_pack_find(index, pack->id);
    record.live_bytes -=
        record.live_bytes < pack->leaving_bytes ? record.live_bytes : pack->leaving_bytes;
    return record;
}

static enum err_code switch_step_locked(struct repack *repack, uint32_t from, uint32_t to,
                                        struct err *err)
{
    struct index *index = &repack->store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    struct pack_record *record = index_pack_find(index, pack_id_get(repack->into));
    ASSERT(record != NULL);
    struct pack_record changed = *record;
    changed.state = PACK_LIVE;
    changed.bytes = pack_bytes_get(repack->into);
    for (size_t i = 0; i < repack->pack_count; i++)
        repack->packs[i].leaving_bytes = 0;
    for (uint32_t slot = from; slot < to; slot++)
        TRY(file_switch(repack, &batch, slot, &changed, err));
    index_put_pack(&batch, &changed);
    for (size_t i = 0; i < repack->pack_count; i++) {
        struct pack_record left;
        if (repack->packs[i].leaving_bytes == 0)
            continue;
        left = left_behind(index, &repack->packs[i]);
        index_put_pack(&batch, &left);
    }
    TRY(db_write(index->db, &batch, false, err));
    *record = changed;
    for (size_t i = 0; i < repack->pack_count; i++) {
        if (repack->packs[i].leaving_bytes > 0)
            *index_pack_find(index, repack->packs[i].id) = left_behind(index, &repack->packs[i]);
    }
    return ERR_OK;
}

static enum err_code step_switch(struct repack *repack, struct err *err)
{
    size_t count;
    pack_files_get(repack->into, &count);
    for (size_t from = 0; from < count; from += INDEX_STEP_RECORDS) {
        size_t to = from + INDEX_STEP_RECORDS < count ? from + INDEX_STEP_RECORDS : count;
        index_lock(&repack->store->index);
        enum err_code code = switch_step_locked(repack, (uint32_t)from, (uint32_t)to, err);
        index_unlock(&repack->store->index);
        TRY(code);
        CRASH_POINT(CRASH_REPACK_STEP);
    }
    repack->counts->packs_written++;
    repack->counts->files_copied += count;
    repack->counts->file_bytes_copied += pack_bytes_get(repack->into);
    return ERR_OK;
}

/* Packs that nothing names any more go; the drop syncs first. */
static enum err_code step_drop(struct repack *repack, size_t from, size_t to, struct err *err)
{
    struct pack_id emptied[REPACK_ROUND_PACKS];
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        if (!repack->packs[i].keeps)
            emptied[count++] = repack->packs[i].id;
    }
    TRY(packs_drop(&repack->store->index, emptied, count, err));
    repack->counts->packs_copied += count;
    return ERR_OK;
}

/* ---- steps ---- */

static bool room_for(const struct repack *repack, uint64_t bytes)
{
    const struct space space = {.path = repack->store->space.path};
    return space_check(&space, bytes + REPACK_SPARE_BYTES, NULL) == ERR_OK;
}

/* How many packs from `from` on go into one new pack; 0: there is no room for even the first. */
static size_t step_plan(const struct repack *repack, size_t from)
{
    uint64_t bytes = 0, files = 0;
    size_t i = from;
    for (; i < repack->pack_count; i++) {
        bytes += repack->packs[i].live_bytes;
        files += repack->packs[i].file_count;
        bool fits = bytes <= PACK_BYTES_MAX && files <= PACK_SLOTS_MAX;
        if ((!fits && i > from) || !room_for(repack, bytes))
            break;
    }
    return i - from;
}

static enum err_code step_run(struct repack *repack, size_t from, size_t to, struct err *err)
{
    TRY(step_copy(repack, from, to, err));
    if (repack->into != NULL) {
        TRY(pack_ingest(repack->store->packs, repack->into, err));
        CRASH_POINT(CRASH_REPACK_INGESTED);
        TRY(step_switch(repack, err));
        CRASH_POINT(CRASH_REPACK_SWITCHED);
        pack_end(repack->into);
        repack->into = NULL;
    }
    return step_drop(repack, from, to, err);
}

static enum err_code round_run(struct repack *repack, struct err *err)
{
    for (size_t at = 0, count; at < repack->pack_count; at += count) {
        count = step_plan(repack, at);
        if (count == 0) {
            repack->counts->packs_skipped++;
            count = 1;
            continue;
        }
        enum err_code code = step_run(repack, at, at + count, err);
        if (repack->into != NULL)
            pack_end(repack->into);
        repack->into = NULL;
        TRY(code);
    }
    return ERR_OK;
}

enum err_code repack_run(struct store *store, struct repack_counts *counts, struct err *err)
{
    struct repack *repack MEM_CLEANUP = mem_calloc(1, sizeof(*repack));
    *repack = (struct repack){.store = store, .counts = counts};
    repack->copied = mem_calloc(PACK_SLOTS_MAX, sizeof(*repack->copied));
    index_lock(&store->index);
    repack->end = store->index.pack_next;
    index_unlock(&store->index);
    enum err_code code = ERR_OK;
    for (;;) {
        round_select(repack);
        if (repack->pack_count == 0)
            break;
        repack->after = repack->packs[repack->pack_count - 1].id;
        code = round_gather(repack, err);
        if (code == ERR_OK)
            code = round_run(repack, err);
        if (code != ERR_OK)
            break;
    }
    repack_deinit(repack);
    return code;
}
