#include "store/pack.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "proto/limits.h"
#include "store/crash.h"

/* Long enough to have a block of its own (DB_BLOCK_DEVIATION_PERCENT). */
static const char pack_mark[] = "strait: column files are between two of these";

#define SPACE_STEP_BYTES MIB(1) /* the disk is asked for room in such steps */

/* A seal waits for company while so many others bring files (of a copy: also what comes after this commit), */
#define GROUP_OTHERS   4
#define GROUP_FINISHES 6                        /* until so many wait, */
#define GROUP_BYTES    (PACK_BYTES_MAX / 4 * 3) /* or so much is to be sealed; */
#define GROUP_VAIN_MAX 2                        /* but not when so many have waited for nobody */
#define GROUP_TRIAL    64                       /* except now and then */

enum pack_phase {
    PHASE_IDLE,    /* open, nobody at it */
    PHASE_BUSY,    /* open, one thread appends */
    PHASE_SEALING, /* one thread makes it durable */
    PHASE_DONE,
    PHASE_FAILED,
};

struct pack {
    struct index *index;
    struct pack_id id;
    struct db_sst *sst;
    char *path;
    struct pack_file *files; /* by slot */
    size_t file_count;
    size_t file_capacity;
    uint64_t bytes;     /* of the files */
    uint64_t sst_bytes; /* of the file that holds them, once it is finished */
    atomic_uint refs;

    /* guarded by packs.lock */
    enum pack_phase phase;
    bool wanted;        /* somebody waits to seal it: nobody takes it for appending */
    struct err failure; /* PHASE_FAILED */
};

/* Who waits in packs_finish for the end of these. */
struct finish {
    struct pack *const *list;
    size_t count;
    struct finish *next;
};

struct packs {
    struct index *index;
    const struct space *space;
    const char *tmp_dir;

    pthread_mutex_t lock; /* the fields below, and the phases */
    pthread_cond_t moved; /* an open pack may be free, or there is room for another */
    pthread_cond_t ended; /* a pack has ended, or can now be sealed */
    struct pack *open[PACK_WRITERS_MAX]; /* IDLE, BUSY or SEALING; each holds a reference */
    unsigned opening;                    /* being begun, not in `open` yet */
    size_t writers;                      /* packs_join */
    struct finish *finishing;
    bool led; /* one of these seals, for all of them: what others fill goes on being filled */
    uint32_t group_wait_ms;
    uint64_t finishes;      /* so many have come */
    unsigned vain_finishes; /* those that waited for nobody since anybody had company */
    uint64_t space_bytes;   /* known to be free, and not used yet */
};

/* ---- one pack ---- */

struct pack_id pack_id_get(const struct pack *pack)
{
    return pack->id;
}

uint64_t pack_bytes_get(const struct pack *pack)
{
    return pack->bytes;
}

const struct pack_file *pack_files_get(const struct pack *pack, size_t *ret_count)
{
    *ret_count = pack->file_count;
    return pack->files;
}

/* Takes the next id and writes it down, for invariant 1 not yet synced. */
static enum err_code id_reserve(struct index *index, struct pack_id *ret_id, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    index_lock(index);
    struct pack_record record = {.id = {index->pack_next}, .state = PACK_RESERVED};
    index_put_pack(&batch, &record);
    index_put_number(&batch, "pack_next", record.id.n + 1);
    enum err_code code = db_write(index->db, &batch, false, err);
    if (code == ERR_OK) {
        index->pack_next++;
        index_pack_add(index, record.id)->busy = true;
    }
    index_unlock(index);
    TRY(code);
    *ret_id = record.id;
    return ERR_OK;
}

static void pack_free(struct pack *pack)
{
    db_sst_close(pack->sst);
    mem_free(pack->files);
    mem_free(pack->path);
    mem_free(pack);
}

/* Frees what the pack needs for writing only. From here on it is clean-up's like any other: also
 * what a failure has left of it. */
static void pack_end_writing(struct pack *pack)
{
    db_sst_close(pack->sst);
    pack->sst = NULL;
    unlink(pack->path); /* gone already when it was ingested */
    index_lock(pack->index);
    index_pack_find(pack->index, pack->id)->busy = false;
    index_unlock(pack->index);
}

static enum err_code pack_open_file(struct pack *pack, struct err *err)
{
    TRY(db_sync(pack->index->db, err));
    CRASH_POINT(CRASH_PACK_RESERVED);
    return db_sst_open(pack->index->db, pack->path, &pack->sst, err);
}

enum err_code pack_begin(struct packs *packs, struct pack **ret_pack, struct err *err)
{
    struct pack_id id;
    TRY(id_reserve(packs->index, &id, err));
    struct bytes path BYTES_CLEANUP = {0};
    bytes_printf(&path, "%s/pack-%016" PRIx64 ".sst", packs->tmp_dir, id.n);
    struct pack *pack = mem_calloc(1, sizeof(*pack));
    *pack = (struct pack){.index = packs->index, .id = id, .phase = PHASE_BUSY};
    atomic_init(&pack->refs, 1);
    pack->path = mem_strdup((const char *)path.data);
    enum err_code code = pack_open_file(pack, err);
    if (code != ERR_OK) {
        pack_end(pack);
        return code;
    }
    *ret_pack = pack;
    return ERR_OK;
}

static enum err_code slot_put(struct pack *pack, size_t slot, struct span value, struct err *err)
{
    uint8_t key[PACK_KEY_BYTES];
    pack_key_encode(pack->id, (uint32_t)slot, key);
    return db_sst_put(pack->sst, span_of(key, sizeof(key)), value, err);
}

enum err_code pack_append(struct pack *pack, const struct digest *digest,
                          const struct holder *holder, struct span file, struct err *err)
{
    ASSERT(pack->file_count < PACK_SLOTS_MAX && file.len <= LIMIT_FILE_BYTES);
    if (pack->file_count == 0)
        TRY(slot_put(pack, 0, span_text(pack_mark), err));
    TRY(slot_put(pack, PACK_SLOT_FIRST + pack->file_count, file, err));
    if (pack->file_count == pack->file_capacity) {
        pack->file_capacity = pack->file_capacity == 0 ? 64 : 2 * pack->file_capacity;
        pack->files = mem_realloc(pack->files, pack->file_capacity, sizeof(*pack->files));
    }
    pack->files[pack->file_count++] =
        (struct pack_file){.digest = *digest, .holder = *holder, .file_bytes = (uint32_t)file.len};
    pack->bytes += file.len;
    CRASH_POINT(CRASH_PACK_APPENDED);
    return ERR_OK;
}

static bool pack_fits(const struct pack *pack, size_t file_bytes)
{
    return pack->file_count < PACK_SLOTS_MAX && pack->bytes + file_bytes <= PACK_BYTES_MAX;
}

static enum err_code pack_seal_file(struct pack *pack, struct err *err)
{
    TRY(slot_put(pack, PACK_SLOT_FIRST + pack->file_count, span_text(pack_mark), err));
    TRY(db_sst_finish(pack->sst, &pack->sst_bytes, err));
    db_sst_close(pack->sst);
    pack->sst = NULL;
    CRASH_POINT(CRASH_PACK_SYNCED);
    return ERR_OK;
}

/* ---- indexing what a pack holds ---- */

/* A step of indexing, which is one batch. */
struct index_step {
    struct db_batch batch;
    struct digest_set brought; /* indexed by it: two accounts may bring one file in one pack */
    uint64_t live_bytes;       /* of the pack, with the step */
};

static void index_step_deinit(struct index_step *step)
{
    db_batch_deinit(&step->batch);
    digest_set_deinit(&step->brought);
}

/* One file of a pack that is now in the database. What is indexed already stays where it is: these
 * bytes are dead then. But what is listed as damaged is replaced. */
static enum err_code file_index(struct index *index, struct index_step *step,
                                const struct pack *pack, uint32_t slot, struct err *err)
{
    const struct pack_file *file = &pack->files[slot];
    struct db_batch *batch = &step->batch;
    struct file_record record;
    if (digest_set_has(&step->brought, &file->digest))
        return index_hold(index, batch, &file->digest, &file->holder, file->file_bytes, err);
    bool found;
    TRY(index_find_file(index, &file->digest, &record, &found, err));
    bool damaged = index_damaged(index, &file->digest);
    if (damaged)
        index_heal(index, batch, &file->digest, found ? &record : NULL);
    if (!found || damaged) {
        found = false;
        record = (struct file_record){.place = PLACE_PACK,
                                      .pack = pack->id,
                                      .slot = PACK_SLOT_FIRST + slot,
                                      .file_bytes = file->file_bytes};
        step->live_bytes += file->file_bytes;
        digest_set_add(&step->brought, &file->digest);
    }
    if (!found || record.stamp < index->collection) {
        record.stamp = index->collection;
        index_put_file(batch, &file->digest, &record);
    }
    return index_hold(index, batch, &file->digest, &file->holder, file->file_bytes, err);
}

static enum err_code pack_index_step_locked(struct index *index, const struct pack *pack,
                                            size_t from, size_t to, struct err *err)
{
    __attribute__((cleanup(index_step_deinit))) struct index_step step = {0};
    struct pack_record *record = index_pack_find(index, pack->id);
    ASSERT(record != NULL);
    struct pack_record changed = *record;
    changed.state = PACK_LIVE;
    changed.bytes = pack->bytes;
    step.live_bytes = changed.live_bytes;
    index_batch_begin(index);
    for (size_t slot = from; slot < to; slot++)
        TRY(file_index(index, &step, pack, (uint32_t)slot, err));
    changed.live_bytes = step.live_bytes;
    index_put_pack(&step.batch, &changed);
    TRY(index_batch_write(index, &step.batch, err));
    *record = changed;
    return ERR_OK;
}

static enum err_code pack_index(struct index *index, const struct pack *pack, struct err *err)
{
    for (size_t from = 0; from < pack->file_count; from += INDEX_STEP_RECORDS) {
        size_t to = from + INDEX_STEP_RECORDS;
        if (to > pack->file_count)
            to = pack->file_count;
        index_lock(index);
        enum err_code code = pack_index_step_locked(index, pack, from, to, err);
        index_heals_end(index, code == ERR_OK);
        index_unlock(index);
        TRY(code);
        CRASH_POINT(CRASH_PACK_INDEX_STEP);
    }
    CRASH_POINT(CRASH_PACK_INDEXED);
    return ERR_OK;
}

/* Nobody looks for its files in this pack any more: they are indexed, or lost with it. */
static void pack_settle(struct index *index, const struct pack *pack)
{
    for (size_t from = 0; from < pack->file_count; from += INDEX_STEP_RECORDS) {
        index_lock(index);
        for (size_t i = from; i < pack->file_count && i < from + INDEX_STEP_RECORDS; i++)
            pin_map_settle(&index->claims, &pack->files[i].digest, pack->files[i].holder.account,
                           pack);
        index_unlock(index);
    }
}

/* ---- sealing ---- */

/* Packs on their way into the database, of one family. */
struct ingest {
    struct pack *const *list;
    size_t count;
    bool there[PACK_WRITERS_MAX]; /* by place in the list */
};

/* First key, last key and length: an id is used once. */
static enum err_code ingest_note(void *context, enum family family, struct span first_key,
                                 struct span last_key, uint64_t file_bytes, struct err *err)
{
    struct ingest *ingest = context;
    uint8_t first[PACK_KEY_BYTES], last[PACK_KEY_BYTES];
    (void)family;
    (void)err;
    for (size_t i = 0; i < ingest->count; i++) {
        const struct pack *pack = ingest->list[i];
        pack_key_encode(pack->id, 0, first);
        pack_key_encode(pack->id, PACK_SLOT_FIRST + (uint32_t)pack->file_count, last);
        if (file_bytes == pack->sst_bytes && span_equal(first_key, span_of(first, sizeof(first))) &&
            span_equal(last_key, span_of(last, sizeof(last))))
            ingest->there[i] = true;
    }
    return ERR_OK;
}

static enum err_code ingest_offer(struct packs *packs, const struct ingest *ingest, struct err *err)
{
    const char *paths[PACK_WRITERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ingest->count; i++) {
        if (!ingest->there[i])
            paths[count++] = ingest->list[i]->path;
    }
    enum family family = pack_family(ingest->list[0]->id);
    return count == 0 ? ERR_OK : db_ingest(packs->index->db, family, paths, count, err);
}

/* Once more when the database could be opened again. What it took in although it said otherwise it has
 * by then (taken.h), and would refuse. */
static enum err_code run_ingest(struct packs *packs, struct pack *const *list, size_t count,
                                struct err *err)
{
    struct db *db = packs->index->db;
    struct ingest ingest = {.list = list, .count = count};
    enum err_code code = ingest_offer(packs, &ingest, err);
    if (code != ERR_OK && db_latched(db) && db_recover(db, NULL) == ERR_OK) {
        TRY(db_pack_files_each(db, ingest_note, &ingest, err));
        code = ingest_offer(packs, &ingest, err);
    }
    TRY(code);
    CRASH_POINT(CRASH_PACK_INGESTED);
    return ERR_OK;
}

static enum err_code list_seal(struct packs *packs, struct pack *const *list, size_t count,
                               struct err *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(pack_seal_file(list[i], err));
    for (size_t from = 0, to; from < count; from = to) {
        enum family family = pack_family(list[from]->id);
        for (to = from + 1; to < count && pack_family(list[to]->id) == family; to++)
            ;
        TRY(run_ingest(packs, list + from, to - from, err));
    }
    for (size_t i = 0; i < count; i++)
        TRY(pack_index(packs->index, list[i], err));
    return db_sync(packs->index->db, err);
}

/* The end of packs in phase SEALING: done, or failed when failure is not NULL. */
static void packs_settle(struct packs *packs, struct pack *const *list, size_t count,
                         const struct err *failure)
{
    for (size_t i = 0; i < count; i++) {
        pack_end_writing(list[i]);
        pack_settle(packs->index, list[i]);
    }
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < count; i++) {
        list[i]->phase = failure == NULL ? PHASE_DONE : PHASE_FAILED;
        if (failure != NULL)
            list[i]->failure = *failure;
        for (size_t at = 0; at < PACK_WRITERS_MAX; at++) {
            if (packs->open[at] == list[i])
                packs->open[at] = NULL;
        }
    }
    pthread_cond_broadcast(&packs->moved);
    pthread_cond_broadcast(&packs->ended);
    pthread_mutex_unlock(&packs->lock);
    for (size_t i = 0; i < count; i++)
        pack_unref(list[i]); /* of `open` */
}

/* Makes packs in phase SEALING durable, or fails them all; `list` is in order of id. */
static enum err_code packs_seal(struct packs *packs, struct pack *const *list, size_t count,
                                struct err *err)
{
    struct err failure = {0};
    enum err_code code = list_seal(packs, list, count, &failure);
    packs_settle(packs, list, count, code == ERR_OK ? NULL : &failure);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", failure.message);
}

/* ---- the open packs ---- */

struct packs *packs_new(struct index *index, const struct space *space, const char *tmp_dir)
{
    struct packs *packs = mem_calloc(1, sizeof(*packs));
    packs->index = index;
    packs->space = space;
    packs->tmp_dir = tmp_dir;
    packs->group_wait_ms = PACK_GROUP_WAIT_MS;
    pthread_mutex_init(&packs->lock, NULL);
    pthread_cond_init(&packs->moved, NULL);
    pthread_cond_init(&packs->ended, NULL);
    return packs;
}

void packs_join(struct packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    packs->writers++;
    pthread_mutex_unlock(&packs->lock);
}

void packs_leave(struct packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    packs->writers--;
    pthread_cond_broadcast(&packs->ended); /* fewer to wait for */
    pthread_mutex_unlock(&packs->lock);
}

void packs_group_wait_set(struct packs *packs, uint32_t wait_ms)
{
    pthread_mutex_lock(&packs->lock);
    packs->group_wait_ms = wait_ms;
    pthread_mutex_unlock(&packs->lock);
}

void packs_free(struct packs *packs)
{
    if (packs == NULL)
        return;
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++) {
        struct pack *pack = packs->open[i];
        if (pack == NULL)
            continue;
        ASSERT(pack->phase == PHASE_IDLE && atomic_load(&pack->refs) == 1);
        pack_settle(packs->index, pack);
        pack_end_writing(pack);
        pack_free(pack);
    }
    pthread_cond_destroy(&packs->moved);
    pthread_cond_destroy(&packs->ended);
    pthread_mutex_destroy(&packs->lock);
    mem_free(packs);
}

/* The fullest idle pack that has room; else *ret_full is one that has not, if any. */
static struct pack *idle_find_locked(struct packs *packs, size_t file_bytes, struct pack **ret_full)
{
    struct pack *best = NULL;
    *ret_full = NULL;
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++) {
        struct pack *pack = packs->open[i];
        if (pack == NULL || pack->phase != PHASE_IDLE || pack->wanted)
            continue;
        if (!pack_fits(pack, file_bytes))
            *ret_full = pack;
        else if (best == NULL || pack->bytes > best->bytes)
            best = pack;
    }
    return best;
}

static bool room_locked(const struct packs *packs)
{
    unsigned used = packs->opening;
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++)
        used += packs->open[i] != NULL;
    return used < PACK_WRITERS_MAX;
}

/* Begins one more; called with room and the lock, returns without the lock. */
static enum err_code packs_begin(struct packs *packs, struct pack **ret_pack, struct err *err)
{
    packs->opening++;
    pthread_mutex_unlock(&packs->lock);
    struct pack *pack = NULL;
    enum err_code code = pack_begin(packs, &pack, err);
    pthread_mutex_lock(&packs->lock);
    packs->opening--;
    for (size_t i = 0; code == ERR_OK && i < PACK_WRITERS_MAX; i++) {
        if (packs->open[i] == NULL) {
            packs->open[i] = pack;
            break;
        }
    }
    pthread_cond_broadcast(&packs->moved);
    pthread_mutex_unlock(&packs->lock);
    if (code == ERR_OK)
        *ret_pack = pack;
    return code;
}

/* A step ahead where there is room for it; near the end file by file. */
static enum err_code packs_space_check(struct packs *packs, size_t file_bytes, struct err *err)
{
    pthread_mutex_lock(&packs->lock);
    bool known = packs->space_bytes >= file_bytes;
    if (known)
        packs->space_bytes -= file_bytes;
    pthread_mutex_unlock(&packs->lock);
    if (known)
        return ERR_OK;
    if (space_check(packs->space, file_bytes + SPACE_STEP_BYTES, NULL) != ERR_OK)
        return space_check(packs->space, file_bytes, err);
    pthread_mutex_lock(&packs->lock);
    packs->space_bytes = SPACE_STEP_BYTES;
    pthread_mutex_unlock(&packs->lock);
    return ERR_OK;
}

enum err_code packs_take(struct packs *packs, size_t file_bytes, struct pack **ret_pack,
                         struct err *err)
{
    TRY(packs_space_check(packs, file_bytes, err));
    pthread_mutex_lock(&packs->lock);
    for (;;) {
        struct pack *full;
        struct pack *pack = idle_find_locked(packs, file_bytes, &full);
        if (pack != NULL) {
            pack->phase = PHASE_BUSY;
            pthread_mutex_unlock(&packs->lock);
            *ret_pack = pack;
            return ERR_OK;
        }
        if (full != NULL) {
            full->phase = PHASE_SEALING;
            pthread_mutex_unlock(&packs->lock);
            TRY(packs_seal(packs, &full, 1, err));
            pthread_mutex_lock(&packs->lock);
        } else if (room_locked(packs)) {
            return packs_begin(packs, ret_pack, err);
        } else {
            pthread_cond_wait(&packs->moved, &packs->lock);
        }
    }
}

void packs_give_back(struct packs *packs, struct pack *pack, const struct err *failure)
{
    pthread_mutex_lock(&packs->lock);
    ASSERT(pack->phase == PHASE_BUSY);
    pack->phase = failure == NULL ? PHASE_IDLE : PHASE_SEALING;
    pthread_cond_broadcast(&packs->moved);
    if (pack->wanted)
        pthread_cond_broadcast(&packs->ended);
    pthread_mutex_unlock(&packs->lock);
    if (failure != NULL)
        packs_settle(packs, &pack, 1, failure);
}

void pack_ref(struct pack *pack)
{
    atomic_fetch_add(&pack->refs, 1);
}

void pack_unref(struct pack *pack)
{
    if (atomic_fetch_sub(&pack->refs, 1) == 1)
        pack_free(pack);
}

enum err_code pack_done(struct packs *packs, struct pack *pack, bool *ret_done, struct err *err)
{
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&packs->lock);
    if (pack->phase == PHASE_FAILED)
        code = err_set(err, pack->failure.code, "%s", pack->failure.message);
    else
        *ret_done = pack->phase == PHASE_DONE;
    pthread_mutex_unlock(&packs->lock);
    return code;
}

/* ---- the end of packs, for all who wait for it ---- */

static bool finish_ended_locked(const struct finish *finish)
{
    for (size_t i = 0; i < finish->count; i++) {
        if (finish->list[i]->phase != PHASE_DONE && finish->list[i]->phase != PHASE_FAILED)
            return false;
    }
    return true;
}

static bool finish_has(const struct finish *finish, const struct pack *pack)
{
    for (size_t i = 0; i < finish->count; i++) {
        if (finish->list[i] == pack)
            return true;
    }
    return false;
}

/* Moves the idle packs that anybody waits for to SEALING, in order of id; nobody fills the others any more. */
static size_t wanted_claim_locked(struct packs *packs, struct pack *ret_claimed[PACK_WRITERS_MAX])
{
    size_t claimed = 0;
    for (const struct finish *finish = packs->finishing; finish != NULL; finish = finish->next) {
        for (size_t i = 0; i < finish->count; i++) {
            struct pack *pack = finish->list[i];
            pack->wanted = true;
            if (pack->phase != PHASE_IDLE)
                continue;
            pack->phase = PHASE_SEALING;
            size_t at = claimed++;
            for (; at > 0 && ret_claimed[at - 1]->id.n > pack->id.n; at--)
                ret_claimed[at] = ret_claimed[at - 1];
            ret_claimed[at] = pack;
        }
    }
    return claimed;
}

/* It waits for a pack that nobody has begun to seal. */
static bool finish_open_locked(const struct finish *finish)
{
    for (size_t i = 0; i < finish->count; i++) {
        const struct pack *pack = finish->list[i];
        if ((pack->phase == PHASE_IDLE || pack->phase == PHASE_BUSY) && !pack->wanted)
            return true;
    }
    return false;
}

/* Of the open packs that anybody waits for; one that is being filled counts when it is idle again. */
static uint64_t awaited_bytes_locked(const struct packs *packs)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < PACK_WRITERS_MAX; i++) {
        const struct pack *pack = packs->open[i];
        const struct finish *finish = packs->finishing;
        while (pack != NULL && finish != NULL && !finish_has(finish, pack))
            finish = finish->next;
        if (pack != NULL && finish != NULL && pack->phase == PHASE_IDLE)
            bytes += pack->bytes;
    }
    return bytes;
}

/* Will others who run soon come to have packs sealed as well, and is it worth waiting for them? */
static bool company_comes_locked(const struct packs *packs)
{
    size_t finishes = 0;
    for (const struct finish *finish = packs->finishing; finish != NULL; finish = finish->next)
        finishes += finish_open_locked(finish);
    return packs->writers >= GROUP_OTHERS && finishes < GROUP_FINISHES &&
           awaited_bytes_locked(packs) < GROUP_BYTES;
}

/* Many small packs, each with its own syncs, would cost more than what is in them: a seal waits a
 * little for others who fill packs. Who is alone, or nearly, does not wait; and nobody while those
 * others stand still, as when their source is away. */
static void company_await_locked(struct packs *packs, const struct finish *finish)
{
    struct timespec until;
    uint64_t number = ++packs->finishes;
    if (finish->next != NULL)
        packs->vain_finishes = 0;
    if (packs->vain_finishes >= GROUP_VAIN_MAX && number % GROUP_TRIAL != 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += packs->group_wait_ms / 1000;
    until.tv_nsec += packs->group_wait_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int waited = 0;
    while (waited != ETIMEDOUT && finish_open_locked(finish) && company_comes_locked(packs))
        waited = pthread_cond_clockwait(&packs->ended, &packs->lock, CLOCK_MONOTONIC, &until);
    if (waited == ETIMEDOUT && packs->finishes == number)
        packs->vain_finishes++;
}

static void finish_leave_locked(struct packs *packs, const struct finish *finish)
{
    struct finish **at = &packs->finishing;
    while (*at != finish)
        at = &(*at)->next;
    *at = finish->next;
}

/* One of those who wait seals for all of them; who comes meanwhile waits for the next seal, with all others. */
enum err_code packs_finish(struct packs *packs, struct pack *const *list, size_t count,
                           struct err *err)
{
    if (count == 0)
        return ERR_OK;
    pthread_mutex_lock(&packs->lock);
    struct finish finish = {.list = list, .count = count, .next = packs->finishing};
    packs->finishing = &finish;
    company_await_locked(packs, &finish);
    while (!finish_ended_locked(&finish)) {
        struct pack *claimed[PACK_WRITERS_MAX];
        size_t claimed_count = packs->led ? 0 : wanted_claim_locked(packs, claimed);
        if (claimed_count == 0) {
            pthread_cond_wait(&packs->ended, &packs->lock);
            continue;
        }
        packs->led = true;
        pthread_mutex_unlock(&packs->lock);
        /* A failure is met below, in the packs. */
        (void)!packs_seal(packs, claimed, claimed_count, NULL);
        pthread_mutex_lock(&packs->lock);
        packs->led = false;
        pthread_cond_broadcast(&packs->ended);
    }
    finish_leave_locked(packs, &finish);
    pthread_mutex_unlock(&packs->lock);
    for (size_t i = 0; i < count; i++) {
        bool done = false;
        TRY(pack_done(packs, list[i], &done, err));
        ASSERT(done);
    }
    return ERR_OK;
}

static struct pack *abandoned_claim(struct packs *packs)
{
    struct pack *found = NULL;
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < PACK_WRITERS_MAX && found == NULL; i++) {
        struct pack *pack = packs->open[i];
        if (pack != NULL && pack->phase == PHASE_IDLE && atomic_load(&pack->refs) == 1)
            found = pack;
    }
    if (found != NULL)
        found->phase = PHASE_SEALING;
    pthread_mutex_unlock(&packs->lock);
    return found;
}

void packs_seal_abandoned(struct packs *packs)
{
    for (struct pack *pack; (pack = abandoned_claim(packs)) != NULL;) {
        if (pack->file_count == 0) { /* the library refuses an empty file */
            const struct err empty = {.code = ERR_CANCELLED, .message = "an empty pack"};
            packs_settle(packs, &pack, 1, &empty);
        } else {
            (void)!packs_seal(packs, &pack, 1, NULL);
        }
    }
}

/* ---- a pack of one's own ---- */

enum err_code pack_ingest(struct packs *packs, struct pack *pack, struct err *err)
{
    TRY(pack_seal_file(pack, err));
    return run_ingest(packs, &pack, 1, err);
}

void pack_end(struct pack *pack)
{
    pack_end_writing(pack);
    pack_unref(pack);
}
