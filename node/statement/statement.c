#include "node/statement/statement.h"

#include <time.h>

/* NULL: known to the grammar, not to this node yet. */
static statement_function *const functions[STATEMENT_KIND_COUNT] = {
    [STATEMENT_SELECT] = statement_select,
    [STATEMENT_INSERT] = statement_insert,
    [STATEMENT_CREATE_TABLE] = statement_create_table,
    [STATEMENT_DROP_TABLE] = statement_drop_table,
    [STATEMENT_ADD_PARTITIONS] = statement_add_partitions,
    [STATEMENT_DROP_PARTITIONS] = statement_drop_partitions,
    [STATEMENT_CREATE_SNAPSHOT] = statement_create_snapshot,
    [STATEMENT_DROP_SNAPSHOT] = statement_drop_snapshot,
    [STATEMENT_RESTORE_TABLE] = statement_restore_table,
    [STATEMENT_XCOPY] = statement_xcopy,
    [STATEMENT_CANCEL_TASK] = statement_cancel_task,
    [STATEMENT_CREATE_PROJECT] = statement_create_project,
    [STATEMENT_SHOW] = statement_show,
    [STATEMENT_DESC] = statement_desc,
    [STATEMENT_USE] = statement_use,
    [STATEMENT_SET] = statement_set,
    [STATEMENT_WHOAMI] = statement_whoami,
};

/* True: the answer is the remembered one. */
static enum err_code outcome_replay(const struct statement_call *call, struct answer *answer,
                                    bool *ret_replayed, struct err *err)
{
    OUTCOME_CLEANUP struct outcome outcome = {0};
    TRY(outcome_find(call->services->store, call->principal->name, &call->id, &call->content,
                     &outcome, ret_replayed, err));
    if (*ret_replayed && outcome.notice.len > 0)
        answer_set_notice(answer, "%.*s", SPAN_PRINTF(bytes_span(&outcome.notice)));
    return ERR_OK;
}

/* What changed between reading and committing is read again. */
static enum err_code function_run(statement_function *function, const struct statement_call *call,
                                  struct answer *answer, struct err *err)
{
    enum err_code code = ERR_CONFLICT;
    for (int i = 0; i < STATEMENT_CONFLICT_TRIES && code == ERR_CONFLICT; i++) {
        answer_deinit(answer);
        answer_init(answer);
        code = function(call, answer, err);
    }
    return code;
}

enum err_code statement_run(const struct statement_call *call, struct answer *answer,
                            struct err *err)
{
    enum statement_kind kind = call->statement->kind;
    statement_function *function = functions[kind];
    if (function == NULL)
        return err_set(err, ERR_SEMANTIC, "%s is not supported yet", statement_kind_text(kind));
    if (statement_changes(call->statement)) {
        bool replayed;
        TRY(outcome_replay(call, answer, &replayed, err));
        if (replayed)
            return ERR_OK;
    }
    return function_run(function, call, answer, err);
}

enum err_code statement_project(const struct statement_call *call, struct span project,
                                struct span *ret_project, struct err *err)
{
    if (project.len == 0)
        project = call->project;
    if (project.len == 0)
        return err_set(err, ERR_SEMANTIC,
                       "no project is chosen: write project.name, or USE project first");
    *ret_project = project;
    return ERR_OK;
}

uint64_t statement_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void statement_remember(const struct statement_call *call, struct catalog_change *change)
{
    const struct outcome outcome = {.content = call->content, .time_ms = statement_now_ms()};
    outcome_remember(change, call->principal->name, &call->id, &outcome);
}
