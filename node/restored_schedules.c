#include "node/restored_schedules.h"

#include "node/schedule/schedule_store.h"

static const char skipped_text[] =
    "the node was restored from a backup that was cut before it ended";

struct pausing {
    struct store *store;
    uint64_t now_ms;
    size_t paused, skipped;
};

static enum err_code schedule_pause(void *context, struct project_id project,
                                    const struct schedule *schedule, struct err *err)
{
    struct pausing *pausing = context;
    const struct change_note note = {.now_ms = pausing->now_ms, .principal = schedule->creator};
    if (schedule->paused)
        return ERR_OK;
    pausing->paused++;
    return schedule_pause_set(pausing->store, project, schedule, true,
                              (int64_t)(pausing->now_ms / 1000), &note, err);
}

static enum err_code run_skip(void *context, uint64_t schedule, const struct schedule_run *run,
                              struct err *err)
{
    struct pausing *pausing = context;
    struct schedule_run skipped = *run;
    skipped.state = RUN_SKIPPED;
    skipped.ended_ms = pausing->now_ms;
    skipped.message = span_text(skipped_text);
    pausing->skipped++;
    return schedule_run_put(pausing->store, schedule, run, &skipped, err);
}

enum err_code restored_schedules_pause(struct store *store, uint64_t now_ms, size_t *ret_paused,
                                       size_t *ret_skipped, struct err *err)
{
    struct pausing pausing = {.store = store, .now_ms = now_ms};
    const struct project_id all = {0};
    size_t damaged;
    TRY(schedule_each(store, all, schedule_pause, &pausing, &damaged, err));
    TRY(schedule_run_each(store, 0, false, run_skip, &pausing, err));
    *ret_paused = pausing.paused;
    *ret_skipped = pausing.skipped;
    return ERR_OK;
}
