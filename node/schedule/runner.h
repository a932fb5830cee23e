/* Runs schedules: what is due begins, what failed is tried again, what waits is asked again.
 *
 *     timer (loop) ──► runner_pass (worker): due? ──► run_job (worker each): statement by statement
 *                            ▲                             │ waits for a task: polled by the pass
 *                            └──────── run's record, a commit after each statement ◄──┘
 *
 * Invariants: 1. of a schedule one run goes at a time. 2. A run is in the store before its first statement
 * and after each; what a crash leaves goes on with the same statement ids, so nothing is done twice.
 * 3. Nothing begins while the clock is doubted (node/clock_watch.h). 4. Runs are as their creator, rights
 * asked by each statement. 5. At most RUNNER_ACTIVE_MAX at once, so that operators find workers.
 * Threads: one lock, for the count of jobs. What is known of schedules belongs to the pass, of which there is one at a time; a run
 * that goes belongs to the worker that is in it, else to the pass (`working`). The others: any. Elsewhere: when runs are due (plan.h), what a
 * statement of one is (step.h).
 */
#ifndef NODE_SCHEDULE_RUNNER_H
#define NODE_SCHEDULE_RUNNER_H

#include "node/loop.h"
#include "node/schedule/schedule_store.h"
#include "node/statement/statement.h"
#include "node/workers.h"

#define RUNNER_ACTIVE_MAX   16
#define RUNNER_PENDING_MAX  LIMIT_SCHEDULE_BACKFILL /* of a schedule; the clock adds no more */
#define RUNNER_TICK_MS      1000
#define RUNNER_TICK_BUSY_MS 100 /* while a run waits for a task */

struct runner;

struct runner_options { /* borrowed until runner_free */
    const struct statement_services *services;
    struct loop *loop;       /* NULL: nobody ticks; who has it calls runner_pass */
    struct workers *workers; /* NULL: runs go on within runner_pass */
    uint64_t (*now_ms)(void *context);
    bool (*believed)(void *context); /* the clock, at this moment */
    void *context;
};

enum err_code runner_open(const struct runner_options *options, struct runner **ret_runner,
                          struct err *err) MUST_USE;
/* Begins no more, tells what reads to end, and waits until no worker is in a run; runs go on after the next
 * start. Before the workers are stopped; NULL is fine. */
void runner_stop(struct runner *runner);
void runner_free(struct runner *runner); /* NULL is fine */

/* A schedule was made, changed or dropped, or a run asked for. Any thread; NULL is fine. */
void runner_changed(struct runner *runner);
/* One look at everything. */
void runner_pass(struct runner *runner);

/* When a schedule runs next, and by its clock; false: it does not (paused, over, only by a trigger). */
bool schedule_next_s(const struct schedule *schedule, int64_t after_s, int64_t *ret_s);

#endif
