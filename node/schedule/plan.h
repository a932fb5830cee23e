/* When a schedule's runs are planned, and which of them are due. All of it is arithmetic on what is
 * given: no clock is read, nothing is stored.
 *
 *     planned times:  cron (cron.h) by a zone's clock (zone.h), within [from_s, to_s], each once
 *     due:            those behind until_s that are not later than now_s; missed ones as MISSED RUNS says
 *
 * A local time that does not exist is planned at the next that does; one that comes twice at its first.
 * Instants are seconds since 1970, UTC. Pure.
 */
#ifndef NODE_SCHEDULE_PLAN_H
#define NODE_SCHEDULE_PLAN_H

#include "node/schedule/cron.h"
#include "node/schedule/zone.h"
#include "node/sql/ast.h"

#define PLAN_ON_TIME_S 120 /* later than this, a run was missed */
#define PLAN_DUE_MAX   100 /* at once; what is left stays due */

struct plan {
    struct cron cron;
    const struct zone *zone;
    int64_t from_s; /* INT64_MIN: since ever */
    int64_t to_s;   /* INT64_MAX: for ever; else of it */
};

/* The first behind after_s. False: there is none (any more). */
bool plan_next(const struct plan *plan, int64_t after_s, int64_t *ret_s);
/* The last that is not later than at_s. False: there is none. */
bool plan_last(const struct plan *plan, int64_t at_s, int64_t *ret_s);

struct plan_due {
    int64_t planned_s[PLAN_DUE_MAX];
    size_t count;
    int64_t until_s; /* what was planned up to here is decided */
    bool skipped;    /* something missed will not run: */
    int64_t last_s;  /* the last of that */
    bool has_next;   /* behind until_s: */
    int64_t next_s;
};

/* room: how many may be made due, at most PLAN_DUE_MAX. */
void plan_due(const struct plan *plan, enum missed_runs missed, int64_t until_s, int64_t now_s,
              size_t room, struct plan_due *ret_due);

#endif
