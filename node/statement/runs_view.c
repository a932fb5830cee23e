/* INFORMATION_SCHEMA.SCHEDULE_RUNS: what SHOW SCHEDULE RUNS says, of all projects; of each schedule for who may
 * see it (schedule.c). */
#include "node/schedule/schedule_store.h"
#include "node/statement/row_view.h"

static const struct system_view_column columns[] = {
    {"project", TYPE_STRING, true},
    {"schedule", TYPE_STRING, true},
    {"creator", TYPE_STRING, true},
    {"planned", TYPE_DATETIME, true},
    {"state", TYPE_STRING, true},
    {"cause", TYPE_STRING, true},
    {"attempt", TYPE_BIGINT, true},
    {"statements_done", TYPE_BIGINT, true},
    {"statements_total", TYPE_BIGINT, true},
    {"last_rows", TYPE_BIGINT, true},
    {"started", TYPE_DATETIME, false},
    {"ended", TYPE_DATETIME, false},
    {"snapshot", TYPE_STRING, false},
    {"error", TYPE_STRING, false},
};

struct listing {
    const struct statement_call *call;
    struct row_view *rows;
    const struct project_record *project;
    const struct schedule *schedule;
};

static enum err_code run_take(void *context, uint64_t id, const struct schedule_run *run,
                              struct err *err)
{
    const struct listing *listing = context;
    (void)id;
    const struct value values[] = {
        row_text(listing->project->name),
        row_text(listing->schedule->name),
        row_text(listing->schedule->creator),
        row_time((uint64_t)run->planned_s * 1000),
        row_text(span_text(run_state_name(run->state))),
        row_text(span_text(run_cause_name(run->cause))),
        row_number(run->attempt + 1),
        row_number(run->step),
        row_number(listing->schedule->step_count),
        row_number(run->rows),
        row_time(run->started_ms),
        row_time(run->ended_ms),
        row_text(run->snapshot),
        row_text(run->message),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(listing->rows, values, err);
}

static enum err_code schedule_take(void *context, struct project_id project,
                                   const struct schedule *schedule, struct err *err)
{
    struct listing *listing = context;
    struct store *store = listing->call->services->store;
    (void)project;
    if (!schedule_is_seen(listing->call, listing->project, schedule))
        return ERR_OK;
    listing->schedule = schedule;
    TRY(schedule_run_each(store, schedule->id, true, run_take, listing, err));
    return schedule_run_each(store, schedule->id, false, run_take, listing, err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct listing *listing = context;
    struct store *store = listing->call->services->store;
    size_t damaged;
    if (authorise(listing->call->principal, ACTION_ENTER, object_project(store, project), NULL) !=
        ERR_OK)
        return ERR_OK;
    listing->project = project;
    return schedule_each(store, project->id, schedule_take, listing, &damaged, err);
}

static enum err_code view_open(const struct statement_call *call, void **ret_state, struct err *err)
{
    struct listing listing = {.call = call, .rows = row_view_new(&runs_view)};
    enum err_code code = project_each(call->services->store, NULL, project_take, &listing, err);
    if (code != ERR_OK) {
        row_view_free(listing.rows);
        return code;
    }
    *ret_state = listing.rows;
    return ERR_OK;
}

const struct system_view runs_view = {
    .name = "SCHEDULE_RUNS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
