/* The one door to RocksDB: families, batches, iterators, pack files.
 *
 *     store, catalog, content, packs ...  ->  struct db  ->  rocksdb/c.h (db.c only, by db_options.h)
 *
 * Invariants:
 * 1. Every family exists and has the options of docs/FORMATS.md; a write is in the log before it is
 *    visible, and logs are replayed in order up to a torn tail, never past damage.
 * 2. After a failed write or ingest the database is taken as latched: it is closed and opened again,
 *    once there is room for that and all readers have left; the failed one at once, so that an old
 *    failure costs nobody a write, else the next. Until then it is read only, also when opening it
 *    failed; while the disk takes nothing at all it is not closed. A file that a failed ingest deleted
 *    and the manifest names comes back (taken.h). Whether a failed write is there after that is open:
 *    as after a lost answer.
 * 3. An iterator or view is closed on the thread that opened it (that thread may go on reading while
 *    others wait for a reopening).
 * Threads: any; a batch and an iterator belong to one thread at a time.
 * Not here: what keys and values mean (files.h, pack.h, page.h, catalog_commit.h).
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "proto/bytes.h"

#define DB_PACK_FAMILIES 16

/* X(enum, name): all but packs00 to packs15, which come first. */
#define DB_FAMILIES(X)                                                                             \
    X(FAMILY_SMALL, "small")                                                                       \
    X(FAMILY_FILES, "files")                                                                       \
    X(FAMILY_HELD, "held")                                                                         \
    X(FAMILY_PAGES, "pages")                                                                       \
    X(FAMILY_STAGED, "staged")                                                                     \
    X(FAMILY_PACK_STATE, "pack_state")                                                             \
    X(FAMILY_CATALOG, "catalog")                                                                   \
    X(FAMILY_HISTORY, "history")                                                                   \
    X(FAMILY_TASKS, "tasks")                                                                       \
    X(FAMILY_LEASES, "leases")                                                                     \
    X(FAMILY_METER, "meter")                                                                       \
    X(FAMILY_SCHEDULE, "schedule")                                                                 \
    X(FAMILY_AUDIT, "audit")                                                                       \
    X(FAMILY_META, "meta")                                                                         \
    X(FAMILY_DAMAGED, "damaged")

enum family {
    FAMILY_PACKS_FIRST = 0,
    FAMILY_PACKS_LAST = DB_PACK_FAMILIES - 1,
#define X(family, name) family,
    DB_FAMILIES(X)
#undef X
        FAMILY_COUNT
};

struct db;
struct db_iter;
struct db_view;
struct db_sst;

/* path: the database's own directory; its parent exists. create: make it when it is not there
 * (else ERR_NOT_FOUND). Damage, or a file that is missing, is ERR_CORRUPT. */
enum err_code db_open(const char *path, bool create, struct db **ret_db, struct err *err);
/* No iterator, view or call may be under way. NULL is fine. */
void db_close(struct db *db);

/* ---- reading ---- */

/* ret_value is overwritten (kept when not found). A view reads as of its opening; NULL reads now. */
enum err_code db_find(struct db *db, struct db_view *view, enum family family, struct span key,
                      struct bytes *ret_value, bool *ret_found, struct err *err);

/* The same without its value. */
enum err_code db_has(struct db *db, enum family family, struct span key, bool *ret_found,
                     struct err *err);

/* One moment of all families. */
enum err_code db_view_open(struct db *db, struct db_view **ret_view, struct err *err);
void db_view_close(struct db_view *view);

/* Keys that begin with prefix (may be empty), ascending, from `from` on (empty: from the first). */
enum err_code db_iter_open(struct db *db, struct db_view *view, enum family family,
                           struct span prefix, struct span from, struct db_iter **ret_iter,
                           struct err *err);
/* Steps to the first or next entry; *ret_key and *ret_value borrow until the next call. At the end
 * *ret_found is false. */
enum err_code db_iter_next(struct db_iter *iter, struct span *ret_key, struct span *ret_value,
                           bool *ret_found, struct err *err);
/* The next step goes to the first key at or beyond `key`. */
void db_iter_seek(struct db_iter *iter, struct span key);
void db_iter_close(struct db_iter *iter); /* NULL is fine */
void db_iter_close_pointer(struct db_iter **iter);
#define DB_ITER_CLEANUP __attribute__((cleanup(db_iter_close_pointer)))

/* What is kept in memory of files goes, so that the next reads come from the disk. */
void db_cache_drop(struct db *db);

/* ---- writing ---- */

/* Changes to be written as one. Zeroed is valid and empty; copies what it is given. */
struct db_batch {
    struct bytes steps; /* family u8 | put u8 | key u32+bytes | value u32+bytes (puts), repeated */
    size_t count;
};

void db_batch_deinit(struct db_batch *batch);
void db_batch_clear(struct db_batch *batch); /* keeps the memory */
void db_batch_put(struct db_batch *batch, enum family family, struct span key, struct span value);
/* The value in two parts. */
void db_batch_put_parts(struct db_batch *batch, enum family family, struct span key,
                        struct span head, struct span tail);
void db_batch_delete(struct db_batch *batch, enum family family, struct span key);
/* False: the batch leaves the key as it is. Else whether the key is there after it, and its value,
 * which borrows until the batch changes. Looks at all of the batch. */
bool db_batch_find(const struct db_batch *batch, enum family family, struct span key,
                   struct span *ret_value, bool *ret_there);
#define DB_BATCH_CLEANUP __attribute__((cleanup(db_batch_deinit)))

struct db_batch_step {
    enum family family;
    bool put;
    struct span key, value; /* value: of a put */
};
/* Its steps in order; reader: of batch->steps. False: that was all. */
bool db_batch_next(struct reader *reader, struct db_batch_step *ret_step);

/* All or nothing. sync: durable on return, together with everything written before. An empty batch
 * is fine. ERR_NO_SPACE when the disk is full. */
enum err_code db_write(struct db *db, struct db_batch *batch, bool sync, struct err *err);
/* Everything written so far is durable on return. */
enum err_code db_sync(struct db *db, struct err *err);
/* What stands in the logs is in tables on return, and new logs are begun; after a failure the logs
 * stand as they stood. */
enum err_code db_flush(struct db *db, struct err *err) MUST_USE;
/* What that takes of the disk at most; 0: the database is closed since a write failed. */
uint64_t db_flush_bytes(struct db *db);
/* One moment of all families as a database of its own at `path`, which is not there yet and is on the same
 * file system: tables are second names, log and manifest copies. What writes waits meanwhile, so flush
 * before. After a failure nothing is at `path`. */
enum err_code db_checkpoint(struct db *db, const char *path, struct err *err) MUST_USE;
/* Its directory. */
const char *db_path(const struct db *db);

/* ---- after mass deletes ---- */

/* Bytes of the family's files, dead ones among them. */
enum err_code db_family_bytes(struct db *db, enum family family, uint64_t *ret_bytes,
                              struct err *err);
/* Flushes and compactions of all families that run or wait; 0: the files stay as they are until the
 * next write. */
enum err_code db_jobs_count(struct db *db, uint64_t *ret_jobs, struct err *err);
/* Rewrites the family's files within [from, to) without what was deleted (empty `to`: to the end).
 * Takes as much space again as the range for a time. A failure meets the next write. */
enum err_code db_compact(struct db *db, enum family family, struct span from, struct span to,
                         struct err *err);

/* ---- pack files ---- */

/* A sorted file beside the database; keys ascend. Deleting what an abandoned one left is the
 * caller's duty. finish writes the end and syncs; then only db_sst_close remains. */
enum err_code db_sst_open(struct db *db, const char *path, struct db_sst **ret_sst,
                          struct err *err);
enum err_code db_sst_put(struct db_sst *sst, struct span key, struct span value, struct err *err);
enum err_code db_sst_finish(struct db_sst *sst, uint64_t *ret_file_bytes, struct err *err);
void db_sst_close(struct db_sst *sst); /* NULL is fine */

/* Moves finished files of one family into the database in one step; their key ranges are new. After a
 * failure, and db_recover, they may be there all the same: as db_pack_files_each says. */
enum err_code db_ingest(struct db *db, enum family family, const char *const *paths,
                        size_t path_count, struct err *err);
/* Drops the files that lie within [from, to] whole. Open iterators keep what they read. */
enum err_code db_drop_files(struct db *db, enum family family, struct span from, struct span to,
                            struct err *err);

/* Calls on_file for every file of the pack families; stops at the first error. Keys borrow. */
typedef enum err_code db_on_file(void *context, enum family family, struct span first_key,
                                 struct span last_key, uint64_t file_bytes, struct err *err);
enum err_code db_pack_files_each(struct db *db, db_on_file *on_file, void *context,
                                 struct err *err);

/* ---- after a failure ---- */

/* Closes and opens again when latched; waits for readers. ERR_BUSY when this thread is one.
 * ERR_NO_SPACE when there is no room for it yet. */
enum err_code db_recover(struct db *db, struct err *err);
/* A write failed and the database was not opened again since. */
bool db_latched(struct db *db);

#endif
