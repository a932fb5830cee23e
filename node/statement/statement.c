#include "node/statement/statement.h"

#include <time.h>

#include "node/rights_alarm.h"
#include "node/task/xcopy_destination.h"
#include "node/task/xcopy_source.h"

#define NOTE_ARENA_BYTES KIB(1) /* of an outcome: under 200 bytes, and its notice */

/* NULL: known to the grammar, not to this node yet. */
static statement_function *const functions[STATEMENT_KIND_COUNT] = {
    [STATEMENT_SELECT] = statement_select,
    [STATEMENT_EXPLAIN] = statement_explain,
    [STATEMENT_INSERT] = statement_insert,
    [STATEMENT_CREATE_TABLE] = statement_create_table,
    [STATEMENT_DROP_TABLE] = statement_drop_table,
    [STATEMENT_ADD_PARTITIONS] = statement_add_partitions,
    [STATEMENT_DROP_PARTITIONS] = statement_drop_partitions,
    [STATEMENT_ALTER_TABLE] = statement_alter_table,
    [STATEMENT_TRUNCATE_TABLE] = statement_truncate_table,
    [STATEMENT_ALTER_CLUSTERING] = statement_alter_clustering,
    [STATEMENT_CREATE_SNAPSHOT] = statement_create_snapshot,
    [STATEMENT_ALTER_SNAPSHOT] = statement_alter_snapshot,
    [STATEMENT_DROP_SNAPSHOT] = statement_drop_snapshot,
    [STATEMENT_RESTORE_TABLE] = statement_restore_table,
    [STATEMENT_CLONE_TABLE] = statement_clone_table,
    [STATEMENT_XCOPY] = statement_xcopy,
    [STATEMENT_VERIFY_SNAPSHOT] = statement_verify,
    [STATEMENT_SCRUB] = statement_scrub,
    [STATEMENT_CANCEL_TASK] = statement_cancel_task,
    [STATEMENT_CREATE_ACCOUNT] = statement_create_account,
    [STATEMENT_CREATE_USER] = statement_create_user,
    [STATEMENT_ALTER_KEYS] = statement_alter_keys,
    [STATEMENT_DROP_ACCOUNT] = statement_drop_account,
    [STATEMENT_DROP_USER] = statement_drop_user,
    [STATEMENT_CREATE_PROJECT] = statement_create_project,
    [STATEMENT_DROP_PROJECT] = statement_drop_project,
    [STATEMENT_ALTER_PROJECT_XCOPY] = statement_alter_project,
    [STATEMENT_ALTER_ACCOUNT_CHANNEL] = statement_alter_account_channel,
    [STATEMENT_REVOKE_TOKEN] = statement_revoke_token,
    [STATEMENT_CREATE_SCHEDULE] = statement_create_schedule,
    [STATEMENT_ALTER_SCHEDULE] = statement_alter_schedule,
    [STATEMENT_DROP_SCHEDULE] = statement_drop_schedule,
    [STATEMENT_RUN_SCHEDULE] = statement_run_schedule,
    [STATEMENT_ALTER_CHANNEL] = statement_alter_channel,
    [STATEMENT_SHOW] = statement_show,
    [STATEMENT_DESC] = statement_desc,
    [STATEMENT_USE] = statement_use,
    [STATEMENT_SET] = statement_set,
    [STATEMENT_WHOAMI] = statement_whoami,
    [STATEMENT_CLEANUP] = statement_cleanup,
    [STATEMENT_ADD_USER] = statement_add_user,
    [STATEMENT_REMOVE_USER] = statement_remove_user,
    [STATEMENT_LIST_USERS] = statement_list_users,
    [STATEMENT_CREATE_ROLE] = statement_create_role,
    [STATEMENT_DROP_ROLE] = statement_drop_role,
    [STATEMENT_LIST_ROLES] = statement_list_roles,
    [STATEMENT_DESC_ROLE] = statement_desc_role,
    [STATEMENT_GRANT_ROLE] = statement_grant_role,
    [STATEMENT_REVOKE_ROLE] = statement_revoke_role,
    [STATEMENT_GRANT] = statement_grant,
    [STATEMENT_REVOKE] = statement_revoke,
    [STATEMENT_SET_PROTECTION] = statement_set_protection,
    [STATEMENT_ADD_TRUSTED] = statement_add_trusted,
    [STATEMENT_REMOVE_TRUSTED] = statement_remove_trusted,
    [STATEMENT_LIST_TRUSTED] = statement_list_trusted,
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

/* What changed between reading and committing is read again; it may have been this very statement. */
static enum err_code function_run(statement_function *function, const struct statement_call *call,
                                  struct answer *answer, struct err *err)
{
    enum err_code code = ERR_CONFLICT;
    for (int i = 0; i < STATEMENT_CONFLICT_TRIES && code == ERR_CONFLICT; i++) {
        bool replayed = false;
        answer_deinit(answer);
        answer_init(answer);
        call->audit->has_refused = false; /* of the try before */
        if (statement_changes(call->statement))
            TRY(outcome_replay(call, answer, &replayed, err));
        code = replayed ? ERR_OK : function(call, answer, err);
    }
    return code;
}

/* What may be copied from here and to here follows from rights. Also when it failed for another reason than
 * the caller's rights: it may have failed after its commit. */
static void copies_follow(const struct statement_call *call, enum err_code code)
{
    if (!statement_kind_rights(call->statement->kind) ||
        (code != ERR_OK && err_class(code) == CLASS_DENIED))
        return;
    if (call->services->source != NULL)
        source_recheck(call->services->source);
    if (call->services->tasks != NULL)
        tasks_recheck(call->services->tasks);
    if (call->services->rights_alarm != NULL)
        rights_alarm_set(call->services->rights_alarm);
}

/* Other regions may wait for it. Also when it failed after its commit. */
static void watches_follow(const struct statement_call *call)
{
    if (call->services->source != NULL && call->statement->kind == STATEMENT_CREATE_SNAPSHOT)
        source_snapshot_made(call->services->source);
}

enum err_code statement_run(const struct statement_call *call, struct answer *answer,
                            struct err *err)
{
    enum statement_kind kind = call->statement->kind;
    statement_function *function = functions[kind];
    if (function == NULL)
        return err_set(err, ERR_SEMANTIC, "%s is not supported yet", statement_kind_text(kind));
    struct err reason;
    enum err_code code = function_run(function, call, answer, &reason);
    copies_follow(call, code);
    watches_follow(call);
    if (code == ERR_OK)
        return ERR_OK;
    statement_refused(call, NULL, &reason);
    return err_set(err, code, "%s", reason.message);
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
    return statement_note_saying(call, "");
}

struct change_note statement_note_saying(const struct statement_call *call, const char *notice)
{
    const struct outcome outcome = {.content = call->content, .notice = span_text(notice)};
    BYTES_CLEANUP struct bytes encoded = {0};
    outcome_encode(&outcome, &encoded);
    /* A statement that took all the memory that it may must not end the node: this is on top. */
    call->arena->budget_bytes += NOTE_ARENA_BYTES;
    struct span copy = arena_copy(call->arena, bytes_span(&encoded));
    ASSERT(copy.data != NULL);
    return (struct change_note){
        .now_ms = statement_now_ms(),
        .principal = span_text(call->principal->name),
        .statement = &call->id,
        .outcome = copy,
        .principal_id = principal_id(call->principal),
        .audit = statement_audited(call),
    };
}
