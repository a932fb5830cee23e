/* XCOPY SNAPSHOT, CANCEL TASK, SHOW TASKS: the tasks are node/task's; here are the statements. */
#include "node/statement/lookup.h"
#include "node/task/xcopy_destination.h"

/* ---- XCOPY's row ---- */

static void columns_set(struct answer *answer)
{
    static const struct answer_column columns[] = {
        {"task_id", TYPE_STRING, true},          {"state", TYPE_STRING, true},
        {"partitions_total", TYPE_BIGINT, true}, {"partitions_moved", TYPE_BIGINT, true},
        {"files_moved", TYPE_BIGINT, true},      {"bytes_moved", TYPE_BIGINT, true},
        {"bytes_skipped", TYPE_BIGINT, true},    {"wire_bytes", TYPE_BIGINT, true},
        {"seconds", TYPE_DOUBLE, true},
    };
    answer_columns(answer, columns, ARRAY_COUNT(columns));
}

static void row_add(struct answer *answer, const struct task_status *status)
{
    char id[TASK_ID_TEXT_BYTES];
    const struct task_counters *counters = &status->counters;
    answer_add_text(answer, span_text(task_id_format(&status->id, id)));
    answer_add_text(answer, span_text(task_state_name(status->state)));
    answer_add_number(answer, counters->partitions_total);
    answer_add_number(answer, counters->partitions_moved);
    answer_add_number(answer, counters->files_moved);
    answer_add_number(answer, counters->bytes_moved);
    answer_add_number(answer, counters->bytes_skipped);
    answer_add_number(answer, counters->wire_bytes);
    answer_add_real(answer, (double)status->elapsed_ms / 1000.0);
}

/* ---- waiting for a task ---- */

struct task_wait {
    struct tasks *tasks;
    struct task_id id;
    char phase[TASK_PHASE_BYTES];
};

static enum err_code ended_answer(const struct task_status *status, struct answer *answer,
                                  struct err *err)
{
    char id[TASK_ID_TEXT_BYTES];
    task_id_format(&status->id, id);
    if (status->state == TASK_FAILED)
        return err_set(err, status->error.code, "task %s: %s", id, status->error.message);
    if (status->state == TASK_CANCELLED)
        return err_set(err, ERR_CANCELLED, "task %s was cancelled", id);
    row_add(answer, status);
    return ERR_OK;
}

static enum err_code task_poll(void *context, struct answer *answer,
                               struct operator_progress *progress, bool *ret_ended, struct err *err)
{
    struct task_wait *wait = context;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * LIMIT_STATEMENT_BYTES);
    struct task_status status;
    TRY(tasks_status(wait->tasks, &wait->id, &arena, &status, err));
    snprintf(wait->phase, sizeof(wait->phase), "%s", status.phase);
    *progress = (struct operator_progress){
        .phase = span_text(wait->phase),
        .has_task = true,
        .task = wait->id,
        .bytes_done = status.counters.bytes_moved,
        .bytes_total = status.bytes_planned,
        .files_done = status.counters.files_moved,
        .files_total = status.files_total,
        .elapsed_ms = status.moving_ms,
    };
    *ret_ended = status.state != TASK_QUEUED && status.state != TASK_RUNNING;
    return *ret_ended ? ended_answer(&status, answer, err) : ERR_OK;
}

static void task_wait_close(void *context)
{
    mem_free(context);
}

static void answer_wait_for(struct answer *answer, struct tasks *tasks, const struct task_id *id)
{
    struct task_wait *wait = mem_calloc(1, sizeof(*wait));
    wait->tasks = tasks;
    wait->id = *id;
    answer->wait = (struct answer_wait){task_poll, task_wait_close, wait};
}

/* ---- XCOPY ---- */

static enum err_code expiration_get(const struct option_list *options, uint64_t *ret_expires_ms,
                                    struct err *err)
{
    const struct option *option = option_find(options, "expiration_timestamp");
    *ret_expires_ms = 0;
    return option == NULL ? ERR_OK : snapshot_expiration_parse(option, ret_expires_ms, err);
}

enum err_code xcopy_order_make(const struct statement_call *call, const struct xcopy *xcopy,
                               struct tasks_order *ret_order, struct err *err)
{
    const struct option *region = option_find(&xcopy->options, "src_region");
    struct project_record project;
    TRY(lookup_new(call, &xcopy->destination, &project, err));
    if (region == NULL)
        return err_set(err, ERR_SEMANTIC, "XCOPY needs OPTIONS(src_region=\"...\")");
    if (call->token.len == 0 && call->schedule.len > 0)
        return err_set(err, ERR_CREDENTIALS,
                       "schedule %.*s has no delegation for this copy: DROP SCHEDULE and CREATE "
                       "SCHEDULE sign anew",
                       SPAN_PRINTF(call->schedule));
    if (call->token.len == 0)
        return err_set(err, ERR_CREDENTIALS,
                       "XCOPY came without a delegation signed by its principal; use `strait sql`");
    struct tasks_order order = {
        .principal = call->principal,
        .statement_id = call->id,
        .statement = call->statement->text,
        .audit = statement_audited(call),
        .token = call->token,
        .schedule = call->schedule,
        .source_region = region->value.text,
        .source_project = xcopy->source.project,
        .source_snapshot = xcopy->source.object,
        .destination_project = project.name,
        .destination_snapshot = xcopy->destination.object,
    };
    TRY(expiration_get(&xcopy->options, &order.expires_ms, err));
    TRY(option_boolean(&xcopy->options, "queue", &order.queues, err));
    *ret_order = order;
    return ERR_OK;
}

enum err_code statement_xcopy(const struct statement_call *call, struct answer *answer,
                              struct err *err)
{
    struct tasks *tasks = call->services->tasks;
    struct tasks_order order;
    bool wait = true;
    struct task_id id;
    TRY(xcopy_order_make(call, &call->statement->xcopy, &order, err));
    TRY(option_boolean(&call->statement->xcopy.options, "wait", &wait, err));
    TRY(tasks_start(tasks, &order, &id, err));
    columns_set(answer);
    if (wait) {
        answer_wait_for(answer, tasks, &id);
        return ERR_OK;
    }
    struct task_status status;
    TRY(tasks_status(tasks, &id, call->arena, &status, err));
    row_add(answer, &status);
    return ERR_OK;
}

/* ---- CANCEL TASK ---- */

enum err_code statement_cancel_task(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    struct span text = call->statement->task;
    struct task_id id;
    struct task_status status;
    if (!task_id_parse(text, &id))
        return err_set(err, ERR_SEMANTIC, "'%.*s' is not a task's id; SHOW TASKS lists them",
                       SPAN_PRINTF(text));
    bool known = tasks_status(call->services->tasks, &id, call->arena, &status, NULL) == ERR_OK;
    TRY(tasks_cancel(call->services->tasks, call->principal, &id, err));
    if (known && status.ended_ms > 0)
        answer_set_notice(answer, "the task had ended: %s", task_state_name(status.state));
    return ERR_OK;
}

/* ---- SHOW TASKS ---- */

static void task_add(struct answer *answer, const struct task_status *status)
{
    char id[TASK_ID_TEXT_BYTES];
    char error[ERR_MESSAGE_BYTES + 128];
    answer_add_text(answer, span_text(task_id_format(&status->id, id)));
    answer_add_text(answer, status->statement);
    answer_add_text(answer, span_text(task_state_name(status->state)));
    answer_add_text(answer, span_text(status->phase));
    answer_add_number(answer, status->counters.files_moved);
    answer_add_number(answer, status->files_total);
    answer_add_number(answer, status->counters.bytes_moved);
    answer_add_number(answer, status->bytes_planned);
    answer_add_time(answer, status->started_ms);
    answer_add_time(answer, status->ended_ms);
    if (status->error.code == ERR_OK)
        answer_add_null(answer);
    else
        answer_add_text(answer, span_text(err_format(&status->error, error, sizeof(error))));
}

enum err_code statement_show_tasks(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    static const struct answer_column columns[] = {
        {"task_id", TYPE_STRING, true},    {"statement", TYPE_STRING, true},
        {"state", TYPE_STRING, true},      {"phase", TYPE_STRING, true},
        {"files_done", TYPE_BIGINT, true}, {"files_total", TYPE_BIGINT, true},
        {"bytes_done", TYPE_BIGINT, true}, {"bytes_total", TYPE_BIGINT, true},
        {"started", TYPE_DATETIME, false}, {"ended", TYPE_DATETIME, false},
        {"error", TYPE_STRING, false},
    };
    struct task_status *list;
    size_t count;
    TRY(tasks_list(call->services->tasks, call->principal, call->arena, &list, &count, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < count; i++)
        task_add(answer, &list[i]);
    return ERR_OK;
}
