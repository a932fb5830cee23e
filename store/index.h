/* What the store knows of its content in memory, and the lock of content commits.
 *
 *     meta       "pack_next"   -> u64         the next pack id
 *                "collection"  -> u64         number of the last clean-up begun
 *                "small_bytes" -> u64         bytes in `small`
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

#include "proto/ids.h"
#include "store/db.h"
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
    bool indexing; /* in memory only: some of its files are not indexed yet */
    uint64_t bytes;
    uint64_t live_bytes;
};

/* ---- the index ---- */

struct collect_mark; /* mark.h */

struct index {
    struct db *db;
    uint64_t small_bytes_max; /* the nursery moves out above this */

    pthread_mutex_t lock;
    struct pin_map pins;
    struct pack_record *packs; /* ascending by id */
    size_t pack_count;
    size_t pack_capacity;
    uint64_t pack_next;
    uint64_t collection;
    uint64_t small_bytes;
    bool nursery_moving;
    struct collect_mark *mark; /* of the running collection; NULL when there is none */
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
/* The id is new. The pointer holds until the next add or remove. */
struct pack_record *index_pack_add(struct index *index, struct pack_id id);
void index_pack_remove(struct index *index, struct pack_id id);
void index_put_pack(struct db_batch *batch, const struct pack_record *record);
void index_put_number(struct db_batch *batch, const char *name, uint64_t value);
enum err_code index_find_file(struct index *index, const struct digest *digest,
                              struct file_record *ret_record, bool *ret_found, struct err *err);
void index_put_file(struct db_batch *batch, const struct digest *digest,
                    const struct file_record *record);
void index_put_held(struct db_batch *batch, const struct digest *digest, struct account_id account);

#endif
