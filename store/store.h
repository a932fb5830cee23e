/* A node's durable state: one data directory, opened by one process.
 *
 *     DATA_DIR/store        what this is: format, region, node (text)
 *     DATA_DIR/store.lock   flock of the process that has it open, and its pid
 *     DATA_DIR/db/          the database
 *     DATA_DIR/tmp/         packs being written, loads that spill; emptied by store_open
 *
 * Content (column files, pages) comes in by content.h and is invisible by itself; catalog_commit.h
 * makes things visible; files.h and pages.h read; collect.h cleans up and checks.
 *
 * Invariants:
 * 1. CLOSED: a page in `pages` implies that all below it is here.
 * 2. Pack ids only grow and are used once, ever.
 * 3. A live pack record has its file, and a pack file has its record; else store_open refuses.
 * Threads: all functions of the store may be called from any thread, unless they say otherwise.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "proto/ids.h"

/* What a program has to know to open the store, and raised with each record that an older one would call
 * damaged, or lose. The history: docs/FORMATS.md, "Formats of a store". */
#define STORE_FORMAT               3
#define STORE_FORMAT_OLDEST        1 /* that is opened; it becomes STORE_FORMAT then */
#define STORE_PROGRAM_BYTES_MAX    40
#define DISK_RESERVE_BYTES_DEFAULT (UINT64_C(256) << 20)

struct store;

struct store_options {
    const char *data_dir; /* made when missing (its parent is not) */
    const char *region;
    struct identity_key identity;
    const struct identity_key
        *former; /* which the node had: a directory of theirs becomes identity's */
    size_t former_count;
    uint64_t disk_reserve_bytes; /* stays free; DROP, expiry and clean-up may use it */
};

/* ERR_LOCKED: another process has it (the message gives its pid). ERR_VERSION: a newer format
 * (the message says which, and whose).
 * ERR_CONFIG: another node's or region's directory. ERR_CORRUPT: what is damaged, and what to do.
 * Arms crash points (crash.h). */
enum err_code store_open(const struct store_options *options, struct store **ret_store,
                         struct err *err);
/* How it was found when it was opened. */
struct store_origin {
    unsigned format; /* STORE_FORMAT: nothing had to be raised, or the store was made */
    char program[STORE_PROGRAM_BYTES_MAX + 1]; /* that opened it before; "": it did not say */
};
void store_origin_get(const struct store *store, struct store_origin *ret_origin);
/* For a clean stop, before store_close: nothing rests on the database's log on return, where a flipped
 * byte has no second copy and keeps the store from opening. Nothing is lost without it, or if it fails:
 * ERR_NO_SPACE beyond the reserve, ERR_IO; the log stands, and the next opening reads it. */
enum err_code store_flush(struct store *store, struct err *err) MUST_USE;
/* Everything opened from it is closed before. NULL is fine. */
void store_close(struct store *store);

/* "DATA_DIR/tmp": for files that need not outlive the process. Borrowed until store_close. */
const char *store_tmp_dir(const struct store *store);

uint64_t store_disk_reserve_bytes(const struct store *store);
/* For what is asked from now on; a load under way keeps what it began with. Any thread. */
void store_set_disk_reserve(struct store *store, uint64_t bytes);

/* ERR_NO_SPACE, with bytes free and needed, unless the reserve stays free after `bytes` more. */
enum err_code store_space_check(const struct store *store, uint64_t bytes, struct err *err);

struct store_usage {
    uint64_t pack_count;
    uint64_t pack_bytes;      /* of live packs */
    uint64_t pack_live_bytes; /* of those, bytes of indexed files */
    uint64_t small_bytes;     /* in the nursery */
    uint64_t collection;      /* number of the last clean-up begun */
    uint64_t lock_us_max;     /* the longest that content commits had to wait for one step */
};

void store_usage_get(struct store *store, struct store_usage *ret_usage);

/* What asks the file system, and may wait for it. */
struct store_disk {
    uint64_t total_bytes, free_bytes; /* of the file system; free: to this process */
    uint64_t database_bytes;          /* its tables that are no packs; without its logs */
};
/* ERR_IO. */
enum err_code store_disk_get(struct store *store, struct store_disk *ret_disk,
                             struct err *err) MUST_USE;

#endif
