/* A pool of worker threads behind one bounded mailbox.
 *
 * Two of them run in a node (docs/THREADS.md): `link` for handshakes, sealing and small requests,
 * `work` for statements, encoding and packs, so that two long SELECTs never cost a lease. A worker
 * may block on disk or a lock, never on a peer. Jobs run in the order posted, each on one worker.
 */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include "proto/err.h"

#include <stddef.h>

struct pool;

typedef void (*pool_function)(void *argument);

struct pool_options {
    const char *name; /* of the threads, at most 10 characters */
    size_t workers;
    size_t mailbox_jobs; /* jobs that may wait */
};

enum err_code pool_start(const struct pool_options *options, struct pool **ret_pool,
                         struct err *err);
/* Runs what waits, then ends the threads. Nobody posts any more. NULL is fine. */
void pool_stop(struct pool *pool);
/* ERR_BUSY when the mailbox is full: nothing happened then. Never blocks. */
enum err_code pool_post(struct pool *pool, pool_function run, void *argument, struct err *err);
size_t pool_waiting(struct pool *pool); /* jobs not begun, for counters */

#endif
