/* Schedules that wait for a snapshot in another region: ON SNAPSHOT OF project.table OPTIONS(src_region=...).
 *
 *     triggers_changed ──► look (worker): a trigger for each such schedule that is not paused
 *     trigger: ask (link) ──► the source holds it until there is one, at most 60 s ──► take (worker) ──► ask
 *                                                                                      │
 *                         one commit: the run, and the number of the snapshot ◄────────┘ ──► on_fired
 *
 * Invariants: 1. a snapshot begins at most one run: its number is durable with the run. 2. what was made
 * while link or node was down is found by its number at the next ask; several at once as MISSED RUNS says.
 * 3. a trigger has one request, job or timer at a time, and ends when its schedule is gone, changed or paused.
 * 4. nothing here grants anything: the token was signed by the creator, the source asks for rights.
 *
 * A snapshot that was made before the schedule (resumed: before that) begins none. The planned time of
 * its run is when it was made, by the source's clock, or the first second behind it that has no run.
 * What the source tells of its newest snapshot goes to XCOPY_LAG (node/task/meter.h).
 *
 * Threads: any; what is under way is under one lock. Nobody waits for a peer.
 */
#ifndef NODE_SCHEDULE_TRIGGER_H
#define NODE_SCHEDULE_TRIGGER_H

#include "node/loop.h"
#include "node/peers.h"
#include "node/schedule/schedule_store.h"
#include "node/workers.h"

#define TRIGGER_PAUSE_MS     1000 /* after what failed; doubles */
#define TRIGGER_PAUSE_MS_MAX 60000
#define TRIGGER_POLL_MS      10000 /* of those that the source does not hold: it has enough of ours */

struct triggers;

struct triggers_options { /* borrowed until triggers_free */
    struct store *store;
    struct peers *peers;
    struct loop *loop;
    struct workers *workers;
    void (*on_fired)(void *context); /* runs were added */
    void *context;
    uint32_t wait_ms; /* 0: PEER_WATCH_WAIT_MAX_MS */
};

enum err_code triggers_open(const struct triggers_options *options, struct triggers **ret_triggers,
                            struct err *err) MUST_USE;
/* Asks no more. Before the links are closed; NULL is fine. */
void triggers_stop(struct triggers *triggers);
/* After links, workers and loop are gone. NULL is fine. */
void triggers_free(struct triggers *triggers);

/* A schedule was made, changed or dropped. Any thread; does not wait. NULL is fine. */
void triggers_changed(struct triggers *triggers);

/* How a schedule's trigger fares; false: it has none under way. */
struct trigger_status {
    uint64_t answered_ms; /* when the source answered last, since 1970; 0: not yet */
    struct err trouble;   /* of the last ask; ERR_OK: none */
};
bool trigger_status_get(struct triggers *triggers, uint64_t schedule,
                        struct trigger_status *ret_status);

#endif
