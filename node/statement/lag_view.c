/* INFORMATION_SCHEMA.XCOPY_LAG: of each table of which replicas are here, how old the newest one is, and
 * how far behind the source's newest snapshot, as the source told this account when it was last pulled from, told_seconds
 * ago. lag_seconds is NULL where that says nothing any more (lag.h). Damaged replicas count as none.
 *
 * One reads what one may DESC. Times of making are the source's clock's.
 */
#include "node/statement/lag.h"
#include "node/statement/row_view.h"

static const struct system_view_column columns[] = {
    {"project", TYPE_STRING, true},          {"source_region", TYPE_STRING, true},
    {"source_project", TYPE_STRING, true},   {"source_table", TYPE_STRING, true},
    {"replicas", TYPE_BIGINT, true},         {"newest_replica", TYPE_STRING, false},
    {"snapshot_made", TYPE_DATETIME, false}, {"replicated", TYPE_DATETIME, false},
    {"age_seconds", TYPE_BIGINT, false},     {"source_newest_made", TYPE_DATETIME, false},
    {"source_told", TYPE_DATETIME, false},   {"lag_seconds", TYPE_BIGINT, false},
    {"told_seconds", TYPE_BIGINT, false},    {"damaged_replicas", TYPE_BIGINT, true},
};

static struct value seconds_since(uint64_t then_ms, uint64_t now_ms)
{
    return row_number(now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0);
}

static enum err_code lag_put(void *context, const struct project_record *project,
                             const struct lag *lag, struct err *err)
{
    struct row_view *rows = context;
    static const struct value none = {.null = true};
    uint64_t now_ms = statement_now_ms();
    bool whole = lag->is_whole;
    const struct value values[] = {
        row_text(project->name),
        row_text(lag->region),
        row_text(lag->project),
        row_text(lag->name),
        row_number(lag->replicas),
        whole ? row_text(lag->replica) : none,
        whole ? row_time(lag->made_ms) : none,
        whole ? row_time(lag->replicated_ms) : none,
        whole ? seconds_since(lag->made_ms, now_ms) : none,
        row_time(lag->newest_ms),
        row_time(lag->told_ms),
        lag_is_known(lag, now_ms) ? row_number(lag_seconds(lag)) : none,
        lag->newest_ms == 0 ? none : seconds_since(lag->told_ms, now_ms),
        row_number(lag->damaged),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(rows, values, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct row_view *rows = row_view_new(self);
    const struct lag_ask ask = {
        .store = call->services->store,
        .principal = call->principal,
        .cancel = call->cancel,
        .callback = lag_put,
        .context = rows,
    };
    enum err_code code = lag_each(&ask, err);
    if (code != ERR_OK) {
        row_view_free(rows);
        return code;
    }
    *ret_state = rows;
    return ERR_OK;
}

const struct system_view lag_view = {
    .name = "XCOPY_LAG",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
