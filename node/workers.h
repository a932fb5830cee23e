/* A pool of worker threads behind one bounded mailbox.
 *
 * Two of them run in a node (docs/THREADS.md): `link` for handshakes, sealing and small requests,
 * `work` for statements, encoding and packs, so that two long SELECTs never cost a lease. A worker
 * may block on disk or a lock, never on a peer. Jobs run in the order posted, each on one worker.
 */
#ifndef NODE_WORKERS_H
#define NODE_WORKERS_H

#include "proto/err.h"

#include <stddef.h>

struct workers;

typedef void (*workers_function)(void *argument);

struct workers_options {
    const char *name; /* of the threads, at most 10 characters */
    size_t workers;
    size_t mailbox_jobs; /* jobs that may wait */
};

enum err_code workers_start(const struct workers_options *options, struct workers **ret_workers,
                            struct err *err);
/* Runs what waits, then ends the threads; what is posted later is refused. NULL is fine. */
void workers_stop(struct workers *workers);
/* Stops too. Nobody posts any more. NULL is fine. */
void workers_free(struct workers *workers);
/* ERR_BUSY when the mailbox is full: nothing happened then. Never blocks. */
enum err_code workers_post(struct workers *workers, workers_function run, void *argument,
                           struct err *err);
size_t workers_waiting(struct workers *workers); /* jobs not begun, for counters */

#endif
