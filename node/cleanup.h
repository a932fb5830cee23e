/* The clean-up job: what has expired goes out of the catalog (expiry.h), then the store gives its
 * space back.
 *
 *     timer (node.c) ─┬─► cleanup_run ──► expiry_run, collect_run      every clean_up_interval
 *     CLEANUP; ───────┘
 *
 * One clean-up at a time: a second waits for the first. Threads: any worker.
 */
#ifndef NODE_CLEANUP_H
#define NODE_CLEANUP_H

#include "store/collect.h"

struct store;
struct expiry;
struct cleanup;

struct cleanup_options { /* both borrowed */
    struct store *store;
    struct expiry *expiry;
};

struct cleanup *cleanup_new(const struct cleanup_options *options);
void cleanup_free(struct cleanup *cleanup); /* NULL is fine */

/* Expires, collects, logs what was done. */
enum err_code cleanup_run(struct cleanup *cleanup, struct collect_counts *ret_counts,
                          struct err *err);

struct cleanup_status {
    uint64_t last_ms; /* since 1970: end of the last one that did not fail; before it, the start */
    uint64_t deleted_bytes_total, copied_bytes_total; /* since the start */
    struct collect_counts last;
};

void cleanup_status_get(struct cleanup *cleanup, struct cleanup_status *ret_status);

#endif
