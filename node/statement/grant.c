/* GRANT and REVOKE of actions: the project's owner, and users in its role admin. */
#include "node/statement/grantee.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* What it is granted on, with the right to manage authorised. */
struct grant_target {
    struct project_record project;
    struct table_id object; /* 0: the project */
};

static enum err_code target_find(const struct statement_call *call, const struct grant *grant,
                                 struct grant_target *ret_target, struct err *err)
{
    struct grant_target target = {0};
    struct lookup lookup;
    bool whole = grant->object == GRANT_ON_PROJECT;
    if (grant->name.system)
        return err_set(err, ERR_SEMANTIC, "rights on SYSTEM_CATALOG are not granted");
    TRY(lookup_project(call, whole ? grant->name.object : grant->name.project, ACTION_ADMINISTER,
                       &target.project, err));
    if (!whole) {
        TRY(lookup_any(call, &grant->name, ACTION_DESCRIBE, &lookup, err));
        target.object = lookup.id;
    }
    *ret_target = target;
    return ERR_OK;
}

static enum err_code change_make(const struct statement_call *call, struct grant_change *ret_change,
                                 struct err *err)
{
    const struct grant *grant = &call->statement->grant;
    struct grant_target target;
    struct grant_change change = {.grantee = {.is_role = grant->to_role, .name = grant->user}};
    TRY(target_find(call, grant, &target, err));
    TRY(grantee_actions(grant, &change.actions, err));
    if (!grant->to_role) {
        TRY(grantee_name(call, grant->user, &change.grantee.name, err));
        TRY(grantee_check(call, &target.project, change.grantee.name, err));
        if (call->statement->kind == STATEMENT_GRANT)
            TRY(grantee_user_check(call, &target.project, change.grantee.name, err));
    }
    change.project = target.project.id;
    change.object = target.object;
    *ret_change = change;
    return ERR_OK;
}

enum err_code statement_grant(const struct statement_call *call, struct answer *answer,
                              struct err *err)
{
    (void)answer;
    struct grant_change change;
    TRY(change_make(call, &change, err));
    struct change_note note = statement_note(call);
    int64_t days = call->statement->grant.expires_days;
    if (days > 0)
        change.expires_ms = note.now_ms + (uint64_t)days * DAY_MS;
    return grants_give(call->services->store, &change, &note, err);
}

enum err_code statement_revoke(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    (void)answer;
    const struct grant *grant = &call->statement->grant;
    struct grant_change change;
    TRY(change_make(call, &change, err));
    struct change_note note = statement_note(call);
    uint64_t missing;
    struct err reason;
    enum err_code code = grants_take(call->services->store, &change, &note, &missing, &reason);
    if (code != ERR_NOT_FOUND || missing == 0)
        return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
    BYTES_CLEANUP struct bytes names = {0};
    actions_print(missing, grant->object == GRANT_ON_PROJECT ? OBJECT_PROJECT : OBJECT_TABLE,
                  &names);
    return err_set(err, ERR_NOT_FOUND, "%.*s: not granted to %.*s on %.*s; nothing was revoked",
                   SPAN_PRINTF(bytes_span(&names)), SPAN_PRINTF(change.grantee.name),
                   SPAN_PRINTF(grant->name.object));
}
