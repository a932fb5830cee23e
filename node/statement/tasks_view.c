/* INFORMATION_SCHEMA.XCOPY_TASKS: SHOW TASKS for queries, with all that is known of a task. One sees
 * one's own; an account's main principal all of the account. Ended ones are kept for a day. */
#include "node/statement/row_view.h"
#include "node/task/xcopy_destination.h"

#define LIST_ARENA_BYTES (64 * MIB(1))

static const struct system_view_column columns[] = {
    {"task_id", TYPE_STRING, true},
    {"state", TYPE_STRING, true},
    {"phase", TYPE_STRING, true},
    {"principal", TYPE_STRING, true},
    {"source_region", TYPE_STRING, false},
    {"source_project", TYPE_STRING, false},
    {"source_snapshot", TYPE_STRING, false},
    {"project", TYPE_STRING, false},
    {"snapshot", TYPE_STRING, false},
    {"partitions_total", TYPE_BIGINT, true},
    {"partitions_moved", TYPE_BIGINT, true},
    {"files_done", TYPE_BIGINT, true},
    {"files_total", TYPE_BIGINT, true},
    {"bytes_done", TYPE_BIGINT, true},
    {"bytes_total", TYPE_BIGINT, true},
    {"bytes_skipped", TYPE_BIGINT, true},
    {"wire_bytes", TYPE_BIGINT, true},
    {"bytes_per_second", TYPE_DOUBLE, false},
    {"retries", TYPE_BIGINT, true},
    {"last_trouble", TYPE_STRING, false},
    {"created", TYPE_DATETIME, true},
    {"started", TYPE_DATETIME, false},
    {"ended", TYPE_DATETIME, false},
    {"seconds", TYPE_DOUBLE, false},
    {"error", TYPE_STRING, false},
    {"statement", TYPE_STRING, true},
};

#define ERROR_BYTES (ERR_MESSAGE_BYTES + 128)

static struct value error_text(const struct err *err, char ret_text[ERROR_BYTES])
{
    if (err->code == ERR_OK)
        return (struct value){.null = true};
    return row_text(span_text(err_format(err, ret_text, ERROR_BYTES)));
}

static enum err_code task_put(const struct task_status *status, struct row_view *rows,
                              struct err *err)
{
    char id[TASK_ID_TEXT_BYTES], error[ERROR_BYTES], trouble[ERROR_BYTES];
    const struct task_counters *counters = &status->counters;
    double seconds = (double)status->moving_ms / 1000.0;
    bool idle = status->moving_ms == 0;
    const struct value values[] = {
        row_text(span_text(task_id_format(&status->id, id))),
        row_text(span_text(task_state_name(status->state))),
        row_text(span_text(status->phase)),
        row_text(status->principal),
        row_text(status->source.region),
        row_text(status->source.project),
        row_text(status->source.snapshot),
        row_text(status->destination.project),
        row_text(status->destination.snapshot),
        row_number(counters->partitions_total),
        row_number(counters->partitions_moved),
        row_number(counters->files_moved),
        row_number(status->files_total),
        row_number(counters->bytes_moved),
        row_number(status->bytes_planned),
        row_number(counters->bytes_skipped),
        row_number(counters->wire_bytes),
        row_real(idle ? 0 : (double)counters->bytes_moved / seconds, idle),
        row_number(status->tries_again),
        error_text(&status->trouble, trouble),
        row_time(status->created_ms),
        row_time(status->started_ms),
        row_time(status->ended_ms),
        row_real(seconds, status->started_ms == 0),
        error_text(&status->error, error),
        row_text(status->statement),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(rows, values, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct task_status *list;
    size_t count;
    arena_init(&arena, LIST_ARENA_BYTES);
    TRY(tasks_list(call->services->tasks, call->principal, &arena, &list, &count, err));
    struct row_view *rows = row_view_new(self);
    for (size_t i = 0; i < count; i++) {
        if (task_put(&list[i], rows, err) == ERR_OK)
            continue;
        row_view_free(rows);
        return err->code;
    }
    *ret_state = rows;
    return ERR_OK;
}

const struct system_view tasks_view = {
    .name = "XCOPY_TASKS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
