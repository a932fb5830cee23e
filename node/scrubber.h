/* The node's scrub: a little of the store every few seconds, all of it when asked, and repairs.
 *
 *     timer ──► scrub_step (scrub_rate bytes a second) ──► list of damage ──► repair_begin
 *     SCRUB ──► scrubber_run                            ──┘
 *
 * At the end of each round, and in SCRUB ALL, the node's own two files are looked at (own_files.h).
 *
 * Threads: timers on the loop, steps on the task workers, at most one at a time; scrubber_run on the
 * caller's, beside them. Counts are atomic.
 */
#ifndef NODE_SCRUBBER_H
#define NODE_SCRUBBER_H

#include <stdatomic.h>

#include "node/loop.h"
#include "node/own_files.h"
#include "node/workers.h"
#include "store/scrub.h"

#define SCRUB_STEP_MS 5000
#define SCRUB_REST_MS (3600 * 1000) /* between two rounds: a small store is not read all the time */

struct tasks;
struct scrubber;

struct scrubber_options { /* borrowed until scrubber_free */
    struct store *store;
    struct tasks *tasks;
    struct loop *loop;
    struct workers *workers;
    struct own_files *own;     /* borrowed */
    uint64_t bytes_per_second; /* 0: only when asked */
};

struct scrubber *scrubber_new(const struct scrubber_options *options);
void scrubber_set_rate(struct scrubber *scrubber,
                       uint64_t bytes_per_second); /* from the next step on */
/* No step begins any more; one under way is told to end. */
void scrubber_stop(struct scrubber *scrubber);
void scrubber_free(struct scrubber *scrubber); /* NULL is fine */

/* What cannot be read and has no digest, as it is found. Borrows. */
struct scrubber_fault {
    enum { FAULT_RECORD, FAULT_KEY_FILE, NOTE_CONFIGURATION } kind; /* a note counts as no fault */
    const char *family;                                             /* of a record; else NULL */
    const char *what;
};
typedef void scrubber_on_fault(void *context, const struct scrubber_fault *fault);
/* All of the store and the node's own files (id 0), or what one table or snapshot names. *cancel ends it. */
enum err_code scrubber_run(struct scrubber *scrubber, struct table_id id, atomic_bool *cancel,
                           scrubber_on_fault *on_fault, void *context,
                           struct scrub_counts *ret_counts, struct err *err) MUST_USE;

struct scrubber_totals {
    uint64_t bytes;  /* of column files, hashed since the start */
    uint64_t faults; /* of records and the key file, as the last whole round found them */
};
struct scrubber_totals scrubber_totals_get(struct scrubber *scrubber);

#endif
