/* tasks, watch, cancel: what XCOPY does in the background. */
#include "node/operator.h"

#define TASKS_ARENA_BYTES (64 * MIB(1))

enum err_code handle_tasks(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, TASKS_ARENA_BYTES);
    struct operator_task_query query;
    struct operator_tasks tasks;
    TRY(operator_task_query_decode(request_header(call->request), &arena, &query, err));
    TRY(tasks_snapshot(call->services->statements->tasks, &call->principal, &query, &arena, &tasks,
                       err));
    operator_tasks_encode(&tasks, body);
    return ERR_OK;
}

enum err_code handle_watch(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    (void)body;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct operator_task_query query;
    TRY(operator_task_query_decode(request_header(call->request), &arena, &query, err));
    watches_add(call->services->watches, &call->principal, &query, call->request);
    call->request = NULL;
    return ERR_OK;
}

enum err_code handle_cancel(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)body;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct tasks *tasks = call->services->statements->tasks;
    struct operator_cancel cancel;
    struct operator_cancelled cancelled = {0};
    struct task_status status;
    TRY(operator_cancel_decode(request_header(call->request), &cancel, err));
    bool known = tasks_status(tasks, &cancel.task, &arena, &status, NULL) == ERR_OK;
    TRY(tasks_cancel(tasks, &call->principal, &cancel.task,
                     err)); /* who may not see it learns nothing */
    if (known && status.ended_ms > 0)
        cancelled.ended = span_text(task_state_name(status.state));
    operator_cancelled_encode(&cancelled, header);
    return ERR_OK;
}
