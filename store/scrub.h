/* Scrub: everything that is stored is read from the disk again and compared with what names it.
 *
 *     contents  every indexed column file: its bytes are hashed
 *     pages     every page: hashed, decoded
 *     staged    pages of unfinished pulls: hashed; a damaged one goes, its task asks for it again
 *     records   catalog, history, tasks, leases and the store's own books: the database's checksums,
 *               decoding, signatures of snapshots
 *     trees     down from every name: what is named is here
 *     files     the marker file; those of the database, which it holds in memory while it is open (db_look.h)
 *
 * A damaged file or page is listed (damage.h); one that is right again, or gone with all that named it,
 * leaves the list. Records have no second copy: they are told as faults, and what to do.
 *
 * Memory: a piece of 1,000 keys, one file; `trees` the marks of a clean-up. Threads: any, one scrub of
 * each kind at a time is sensible; `trees` waits for a clean-up and holds off the next.
 */
#ifndef STORE_SCRUB_H
#define STORE_SCRUB_H

#include "proto/ids.h"
#include "store/db.h"

struct store;

struct scrub_watch {
    /* What is damaged but has no digest: which family, what is wrong. May be NULL. */
    void (*on_fault)(void *context, const char *family, const char *what);
    /* A record of the families that node owns (tasks, leases): ERR_CORRUPT tells it. May be NULL. */
    enum err_code (*record)(void *context, enum family family, struct span key, struct span value,
                            struct err *err);
    bool (*stop)(void *context); /* asked often; true: ERR_CANCELLED. May be NULL */
    void *context;
};

struct scrub_counts {
    uint64_t files, file_bytes, pages, records;
    uint64_t listed; /* found damaged, be it listed before or not */
    uint64_t healed; /* were listed, and are right again or gone */
    uint64_t faults; /* told to on_fault */
};

/* All of it, now. */
enum err_code scrub_store(struct store *store, const struct scrub_watch *watch,
                          struct scrub_counts *ret_counts, struct err *err) MUST_USE;
/* What one table or snapshot names. ERR_NOT_FOUND. */
enum err_code scrub_table(struct store *store, struct table_id id, const struct scrub_watch *watch,
                          struct scrub_counts *ret_counts, struct err *err) MUST_USE;
/* About so many bytes more, from where the last step ended, also that of another process; durable.
 * *ret_ended: that was the end of a round, the next step begins a new one. */
enum err_code scrub_step(struct store *store, uint64_t bytes_max, const struct scrub_watch *watch,
                         struct scrub_counts *ret_counts, bool *ret_ended,
                         struct err *err) MUST_USE;

#endif
