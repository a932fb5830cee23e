#include "node/schedule/plan.h"

static int64_t minute_of(int64_t local_s)
{
    return (local_s - (local_s % 60 + 60) % 60) / 60;
}

bool plan_next(const struct plan *plan, int64_t after_s, int64_t *ret_s)
{
    if (after_s < plan->from_s)
        after_s = plan->from_s - 1;
    /* What the clock has shown by now is planned by now (zone_utc_s): only what is later on it can come. */
    int64_t minute = minute_of(zone_local_s(plan->zone, after_s));
    while (cron_next(&plan->cron, minute, &minute)) {
        int64_t planned_s = zone_utc_s(plan->zone, minute * 60);
        if (planned_s > plan->to_s)
            return false;
        if (planned_s > after_s) {
            *ret_s = planned_s;
            return true;
        }
    }
    return false;
}

bool plan_last(const struct plan *plan, int64_t at_s, int64_t *ret_s)
{
    static const int64_t back_s[] = {3600, INT64_C(86400) * 2, INT64_C(86400) * 40,
                                     INT64_C(86400) * 366, INT64_C(86400) * 366 * CRON_YEARS_MAX};
    if (at_s > plan->to_s) /* else all that there ever was is walked through */
        at_s = plan->to_s;
    for (size_t i = 0; i < ARRAY_COUNT(back_s); i++) {
        int64_t planned_s;
        bool found = false;
        for (int64_t after_s = at_s - back_s[i];
             plan_next(plan, after_s, &planned_s) && planned_s <= at_s; after_s = planned_s) {
            *ret_s = planned_s;
            found = true;
        }
        if (found)
            return true;
    }
    return false;
}

static void due_all(const struct plan *plan, int64_t until_s, int64_t now_s, size_t room,
                    struct plan_due *due)
{
    int64_t planned_s;
    due->until_s = now_s;
    while (plan_next(plan, until_s, &planned_s) && planned_s <= now_s) {
        if (due->count == room) {
            due->until_s = until_s;
            return;
        }
        due->planned_s[due->count++] = planned_s;
        until_s = planned_s;
    }
}

void plan_due(const struct plan *plan, enum missed_runs missed, int64_t until_s, int64_t now_s,
              size_t room, struct plan_due *ret_due)
{
    struct plan_due due = {.until_s = until_s};
    int64_t missed_s;
    ASSERT(room <= PLAN_DUE_MAX);
    if (now_s > until_s && room > 0) {
        int64_t from_s = until_s;
        if (missed != MISSED_RUNS_ALL && now_s - PLAN_ON_TIME_S > until_s)
            from_s = now_s - PLAN_ON_TIME_S; /* what is late, but not missed */
        due_all(plan, from_s, now_s, room, &due);
        bool any = from_s > until_s && plan_last(plan, from_s, &missed_s) && missed_s > until_s;
        if (any && missed == MISSED_RUNS_LATEST && due.count == 0)
            due.planned_s[due.count++] = missed_s;
        else if (any) {
            due.skipped = true;
            due.last_s = missed_s;
        }
    }
    due.has_next = plan_next(plan, due.until_s, &due.next_s);
    *ret_due = due;
}
