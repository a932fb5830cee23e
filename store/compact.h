/* Families of small records after mass deletes: what was deleted lies in files until a compaction meets
 * it, and every scan steps over it.
 *
 * A clean-up steps through all of `pages` and `files`, so it knows what part it has deleted since the
 * last compaction: from a quarter on (COMPACT_DEAD_PART), and some ten thousand records, the family
 * and `held` are rewritten. So a record is rewritten at most three times for each deleted one, and a scan
 * steps over at most a third more than there is. `small` is rewritten when its files have twice the
 * bytes that live in it and more than one buffer.
 *
 * It goes in sixteen steps by the first half byte of the digest, each of which has to find its room
 * (else it waits for the next clean-up), so that a large family neither needs its size again nor keeps
 * a reopening waiting for long.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "proto/err.h"
#include <stdint.h>

struct store;

#define COMPACT_DEAD_PART    4     /* one in so many */
#define COMPACT_DEAD_RECORDS 10000 /* fewer are left to the database */

/* Records deleted since the last compaction; forgotten at a start. Guarded by the lock of collections. */
struct compact_counts {
    uint64_t pages, files;
};

/* What one sweep saw and deleted. *ret_steps: steps of compaction done. */
struct compact_sweep {
    uint64_t pages_seen, pages_deleted;
    uint64_t files_seen, files_deleted;
};
enum err_code compact_run(struct store *store, const struct compact_sweep *sweep,
                          uint64_t *ret_steps, struct err *err);

#endif
