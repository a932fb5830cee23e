/* What the store knows of its content in memory, and the lock of content commits.
 *
 *     meta       "pack_next"   -> u64         the next pack id
 *                "collection"  -> u64         number of the last clean-up begun
 *                "small_bytes" -> u64         bytes in `small`
 *                "holding"     -> u64         the period of holding that runs (held.h)
 *     pack_state pack u64      -> state u8 | bytes u64 | live bytes u64
 *
 * Invariants: 1. the table of packs, small_bytes and collection equal what the database holds
 * whenever the lock is free: they change after the batch that says so is written. 2. Batches that
 * touch files, held, pages, small or pack_state are built from what was read under the same hold of
 * the lock, at most INDEX_STEP_RECORDS records at a time.
 * Threads: `lock` guards every field below it; no other lock is taken inside it.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <pthread.h>

#include <stdatomic.h>

#include "proto/ids.h"
#include "store/db.h"
#include "store/mark.h"
#include "store/pins.h"

#define INDEX_STEP_RECORDS 1000

/* ---- records ---- */

enum file_place {
    PLACE_PACK = 1,
    PLACE_SMALL = 2,
};

struct file_record {
    enum file_place place;
    struct pack_id pack; /* PLACE_PACK */
    uint32_t slot;       /* PLACE_PACK */
    uint32_t file_bytes;
    uint64_t stamp;
};

#define FILE_RECORD_BYTES 25
#define PACK_KEY_BYTES    12
#define HELD_KEY_BYTES    (DIGEST_BYTES + 8)
#define PAGE_STAMP_BYTES  8
#define STAGED_KEY_BYTES  (16 + DIGEST_BYTES)

void file_record_encode(const struct file_record *record, uint8_t ret_raw[FILE_RECORD_BYTES]);
enum err_code file_record_decode(struct span raw, struct file_record *ret_record, struct err *err);
void pack_key_encode(struct pack_id pack, uint32_t slot, uint8_t ret_key[PACK_KEY_BYTES]);
void held_key_encode(const struct digest *digest, struct account_id account,
                     uint8_t ret_key[HELD_KEY_BYTES]);
void staged_key_encode(const struct task_id *task, const struct digest *digest,
                       uint8_t ret_key[STAGED_KEY_BYTES]);
enum family pack_family(struct pack_id pack);

enum pack_state {
    PACK_RESERVED = 1, /* id taken; its file, if any, is not to be trusted */
    PACK_LIVE = 2,     /* in the database, indexed (or being indexed) */
    PACK_DYING = 3,    /* its file is being dropped */
};

struct pack_record {
    struct pack_id id;
    enum pack_state state;
    bool busy;     /* in memory only: it is being written or indexed */
    bool has_file; /* in memory only, while opening */
    bool thinned;  /* in memory only: a file got another place since the last tally began */
    uint64_t bytes;
    uint64_t live_bytes;
};

/* Of family pack_state. */
enum err_code pack_record_decode(struct span key, struct span raw, struct pack_record *ret_record,
                                 struct err *err);

/* ---- what is damaged (damage.h) ---- */

/* A digest with new bytes in a batch that is not written yet: a listed one, or one that gets another
 * place. */
struct heal {
    struct digest digest;
    struct pack_id pack; /* that has its bytes until now; 0: none */
    uint64_t bytes;
};

struct damage_set {
    atomic_size_t count;    /* also read without the lock: 0 most of the time */
    struct digest *digests; /* ascending; as family `damaged` */
    size_t capacity;
    struct digest_set clean; /* pages below which nothing is listed, as far as was looked */
    uint64_t generation;     /* of `clean`: raised when something is listed */
    struct heal *heals;      /* of the batch being built */
    size_t heal_count, heal_capacity;
};

/* ---- the index ---- */

/* For whom a content is stored, and whose tally counts it. */
struct holder {
    struct account_id account;
    bool counts;
    struct task_id task; /* valid if counts */
};

struct index_tally { /* held.h */
    struct task_id task;
    uint64_t files, bytes;           /* as the database holds them */
    uint64_t files_more, bytes_more; /* in the batch that is being built */
};

struct collect_mark; /* mark.h */

struct index {
    struct db *db;
    uint64_t small_bytes_max; /* the nursery moves out above this */

    pthread_mutex_t lock;
    struct pin_map pins;
    struct pin_map claims;     /* files of accounts that are in packs and not indexed yet */
    struct pack_record *packs; /* ascending by id */
    size_t pack_count;
    size_t pack_capacity;
    uint64_t pack_next;
    uint64_t collection;
    uint64_t small_bytes;
    uint64_t holding;
    struct index_tally *tallies; /* of tasks that run: few */
    size_t tally_count;
    bool nursery_moving;
    uint64_t held_from_ns, held_ns_max; /* how long the lock was held: now since, at most ever */
    struct collect_mark *mark;          /* of the running collection; NULL when there is none */
    struct damage_set damage;
};

/* Loads the records, compares them with the pack files, drops reserved and dying packs. */
enum err_code index_open(struct index *index, struct db *db, struct err *err);
void index_close(struct index *index);

/* Drops the pack's file, if it has one. Not the record. Without the lock. */
enum err_code index_drop_pack_file(struct index *index, struct pack_id id, struct err *err);

void index_lock(struct index *index);
void index_unlock(struct index *index);

/* The caller holds the lock in all below. */
struct pack_record *index_pack_find(struct index *index, struct pack_id id);
/* The first at or above id, as a place in `packs`; pack_count when there is none. */
size_t index_pack_at(const struct index *index, struct pack_id id);
/* The id is new. The pointer holds until the next add or remove. */
struct pack_record *index_pack_add(struct index *index, struct pack_id id);
void index_pack_remove(struct index *index, struct pack_id id);
void index_put_pack(struct db_batch *batch, const struct pack_record *record);
void index_put_number(struct db_batch *batch, const char *name, uint64_t value);
enum err_code index_find_file(struct index *index, const struct digest *digest,
                              struct file_record *ret_record, bool *ret_found, struct err *err);
void index_put_file(struct db_batch *batch, const struct digest *digest,
                    const struct file_record *record);

/* held.c: a batch that makes content held is begun, gets an index_hold for each, and is written. */
void index_batch_begin(struct index *index);
/* file_bytes: 0 for a page, which no tally counts. What is held already stays as it is. */
enum err_code index_hold(struct index *index, struct db_batch *batch, const struct digest *digest,
                         const struct holder *holder, uint64_t file_bytes, struct err *err);
enum err_code index_batch_write(struct index *index, struct db_batch *batch, struct err *err);

/* damage.c. Whether the file or page is listed as damaged. */
bool index_damaged(const struct index *index, const struct digest *digest);
/* The batch stores it anew: it is not listed any more. replaced: the record of the damaged file, whose
 * bytes in its pack are dead then; NULL: there is none. */
void index_heal(struct index *index, struct db_batch *batch, const struct digest *digest,
                const struct file_record *replaced);
/* The same of a file that is not listed and gets another place, once in a batch. */
void index_replace(struct index *index, struct db_batch *batch, const struct digest *digest,
                   const struct file_record *replaced);
/* The batch was written (ok) or not: the end of its heals. After every batch that may have some. */
void index_heals_end(struct index *index, bool ok);
enum err_code index_damage_load(struct index *index, struct err *err);
void index_damage_deinit(struct index *index);

#endif
