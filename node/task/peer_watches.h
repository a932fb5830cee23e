/* Watches of peers (PEER_WATCH) at the source: a request that finds nothing new is held, without a worker or
 * a thread, until a snapshot is made here or its time is over.
 *
 *     listener -> worker: watch_look --- found, or refused ---------> reply
 *                            | nothing, or "no table, or no right"      ^
 *                            v                                          |
 *                          parked --- a snapshot was made: look again ---+
 *                            +------- its time is over: the last look ---+
 *
 * Invariants: 1. "nothing new" and "no table, or no right to it" come at the end of the wait. 2. each answer is of a
 * look that began after the last snapshot here was made. 3. at most PEER_WATCHES_PARKED of a peer are parked
 * (half of what its connection may have out); one more is answered at once.
 *
 * Threads: any; looks run on the workers, the timer is the loop's. What is told: watch_look.h.
 */
#ifndef NODE_TASK_PEER_WATCHES_H
#define NODE_TASK_PEER_WATCHES_H

#include "node/auditor.h"
#include "node/loop.h"
#include "node/task/watch_look.h"
#include "node/workers.h"
#include "transport/listener.h"

#define PEER_WATCHES_PARKED (LIMIT_REQUESTS_IN_FLIGHT / 2)

struct peer_watches;

struct peer_watches_options { /* borrowed */
    struct loop *loop;
    struct workers *workers;
    const struct xcopy_rights *rights;
    struct auditor *auditor;
};

struct peer_watches *peer_watches_new(const struct peer_watches_options *options);
/* Answers all; what comes later is refused. Not on the loop. */
void peer_watches_stop(struct peer_watches *watches);
/* After workers and loop. NULL is fine. */
void peer_watches_free(struct peer_watches *watches);

/* Takes the request. On a link worker: does not wait. */
void peer_watches_add(struct peer_watches *watches, struct request *request);
/* A snapshot was made: its commit is durable. Does not wait. */
void peer_watches_made(struct peer_watches *watches);
size_t peer_watches_parked(struct peer_watches *watches);

#endif
