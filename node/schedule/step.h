/* One statement of a run: from the schedule's text to the statement that an operator could have sent,
 * and what it answered.
 *
 *     step_prepare ── expand, parse, may it stand here ──► step_start ──► done, failed, or waits (step_poll)
 *
 * It runs as the schedule's creator through statement_run, with every right asked there. Ids follow from
 * schedule, planned time, attempt and place (schedule_statement_id): again is a replay.
 * One thread at a time; step_start blocks as its statement does, step_poll never.
 */
#ifndef NODE_SCHEDULE_STEP_H
#define NODE_SCHEDULE_STEP_H

#include "node/schedule/schedule.h"
#include "node/statement/statement.h"

/* A run's text with its parameters replaced, and what a statement of it is called with. */
struct step_context { /* borrows */
    const struct statement_services *services;
    const struct schedule *schedule;
    struct span project; /* the schedule's */
    const struct schedule_run *run;
    int64_t planned_local_s;
    int64_t now_s;
    bool past; /* the planned time is so long ago that a snapshot would be of another day */
};

struct step;

/* Statement `run->step`. Fails as the statement would: ERR_PARSE, ERR_SEMANTIC, ERR_DENIED (the creator is gone, or
 * the key that the schedule was made with). */
enum err_code step_open(const struct step_context *context, struct step **ret_step,
                        struct err *err) MUST_USE;
void step_close(struct step *step); /* NULL is fine; ends what it waits for, not a task */

/* *ret_waits: for a task; step_poll says when it has ended. */
enum err_code step_start(struct step *step, atomic_bool *cancel, bool *ret_waits,
                         struct err *err) MUST_USE;
enum err_code step_poll(struct step *step, bool *ret_ended, struct err *err) MUST_USE;
bool step_has_rows(const struct step *step, uint64_t *ret_rows); /* of a query, read to the end */

/* ---- at CREATE SCHEDULE ---- */

/* Every statement, as planned at planned_local_s, expands and parses and may stand in a schedule. *ret_step:
 * which does not; *ret_at: where in its text, or 0. */
enum err_code steps_check(const struct schedule *schedule, int64_t planned_local_s,
                          size_t *ret_step, size_t *ret_at, struct err *err) MUST_USE;
/* Does any of them make a snapshot? Of steps that were checked. */
bool steps_make_snapshots(const struct schedule *schedule, int64_t planned_local_s);

#endif
