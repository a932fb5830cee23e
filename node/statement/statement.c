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
    [STATEMENT_ALTER_PROJECT_XCOPY] = statement_alter_project,
    [STATEMENT_SHOW] = statement_show,
    [STATEMENT_DESC] = statement_desc,
    [STATEMENT_USE] = statement_use,
    [STATEMENT_SET] = statement_set,
    [STATEMENT_WHOAMI] = statement_whoami,
};

/* True: it was done before, and the answer is the remembered one. */
static enum err_code outcome_replay(const struct statement_call *call, struct answer *answer,
                                    bool *ret_replayed, struct err *err)
{
    struct outcome_record record;
    struct outcome outcome;
    struct err local;
    enum err_code code = outcome_find(call->services->store, span_text(call->principal->name),
                                      &call->id, call->arena, &record, &local);
    *ret_replayed = false;
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", local.message);
    TRY(outcome_decode(record.outcome, &call->content, &outcome, err));
    if (outcome.notice.len > 0)
        answer_set_notice(answer, "%.*s", SPAN_PRINTF(outcome.notice));
    *ret_replayed = true;
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

uint64_t statement_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

enum err_code statement_copy(const struct statement_call *call, struct span content,
                             struct span *ret_copy, struct err *err)
{
    struct span copy = arena_copy(call->arena, content);
    if (copy.data == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    *ret_copy = copy;
    return ERR_OK;
}

struct change_note statement_note(const struct statement_call *call)
{
    const struct outcome outcome = {.content = call->content};
    BYTES_CLEANUP struct bytes encoded = {0};
    outcome_encode(&outcome, &encoded);
    struct span copy = arena_copy(call->arena, bytes_span(&encoded));
    ASSERT(copy.data != NULL); /* under 200 bytes: the arena's budget leaves room for it */
    return (struct change_note){
        .now_ms = statement_now_ms(),
        .principal = span_text(call->principal->name),
        .statement = &call->id,
        .outcome = copy,
    };
}
