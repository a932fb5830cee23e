/* ADD USER, REMOVE USER, LIST USERS, and roles: the project's owner, and users in its role admin. Who
 * is in that role is the owner's decision alone. */
#include "node/statement/grantee.h"

/* ---- users ---- */

enum err_code statement_add_user(const struct statement_call *call, struct answer *answer,
                                 struct err *err)
{
    (void)answer;
    struct project_record project;
    struct principal principal;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    TRY(grantee_principal(call, call->statement->user, &principal, err));
    TRY(grantee_check(call, &project, span_text(principal.name), err));
    const struct member_record member = {
        .project = project.id, .name = span_text(principal.name), .principal = principal.number};
    struct change_note note = statement_note(call);
    return member_add(call->services->store, &member, &note, err);
}

static enum err_code admin_check(const struct statement_call *call,
                                 const struct project_record *project, struct err *err)
{
    return authorise(call->principal, ACTION_OWN, object_project(call->services->store, project),
                     err);
}

static bool is_in_admin(const struct statement_call *call, const struct project_record *project,
                        struct span name)
{
    struct principal principal;
    if (!principals_find_name(call->services->principals, name, &principal))
        return false;
    const struct rights_query query = {
        .project = project->id, .principal = name, .number = principal.number};
    return rights_ask(call->services->store, &query).is_admin;
}

enum err_code statement_remove_user(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)answer;
    struct project_record project;
    struct span name;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    TRY(grantee_name(call, call->statement->user, &name, err));
    TRY(grantee_check(call, &project, name, err));
    if (is_in_admin(call, &project, name))
        TRY(admin_check(call, &project, err));
    struct change_note note = statement_note(call);
    return member_remove(call->services->store, project.id, name, &note, err);
}

static enum err_code add_user_row(void *context, const struct member_record *member,
                                  struct err *err)
{
    struct answer *answer = context;
    (void)err;
    answer_add_text(answer, member->name);
    answer_add_time(answer, member->added_ms);
    answer_add_text(answer, member->added_by);
    return ERR_OK;
}

enum err_code statement_list_users(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    static const struct answer_column columns[] = {{"user", TYPE_STRING, true},
                                                   {"added", TYPE_DATETIME, true},
                                                   {"added_by", TYPE_STRING, true}};
    struct project_record project;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return member_each(call->services->store, project.id, add_user_row, answer, err);
}

/* ---- roles ---- */

enum err_code statement_create_role(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)answer;
    struct project_record project;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    if (!name_valid(call->statement->role))
        return name_invalid(call->statement->role, err);
    const struct role_record role = {.project = project.id, .name = call->statement->role};
    struct change_note note = statement_note(call);
    return role_create(call->services->store, &role, &note, err);
}

enum err_code statement_drop_role(const struct statement_call *call, struct answer *answer,
                                  struct err *err)
{
    (void)answer;
    struct span name = call->statement->role;
    struct project_record project;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    if (name_equal(name, span_text("admin")))
        return err_set(err, ERR_SEMANTIC, "every project has the role admin");
    struct change_note note = statement_note(call);
    struct err reason;
    enum err_code code = role_drop(call->services->store, project.id, name, &note, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "there is no role %.*s in project %.*s; LIST ROLES shows them",
                       SPAN_PRINTF(name), SPAN_PRINTF(project.name));
    if (code == ERR_PARAMETER)
        return err_set(err, ERR_SEMANTIC, "role %.*s: %s; REVOKE it from them first",
                       SPAN_PRINTF(name), reason.message);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

static enum err_code add_role_row(void *context, const struct role_record *role, struct err *err)
{
    struct answer *answer = context;
    (void)err;
    answer_add_text(answer, role->name);
    answer_add_time(answer, role->created_ms);
    if (role->id == ROLE_ADMIN_ID)
        answer_add_null(answer);
    else
        answer_add_text(answer, role->created_by);
    return ERR_OK;
}

enum err_code statement_list_roles(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    static const struct answer_column columns[] = {{"role", TYPE_STRING, true},
                                                   {"created", TYPE_DATETIME, false},
                                                   {"created_by", TYPE_STRING, false}};
    static const struct role_record admin = {.name = {(const uint8_t *)"admin", 5},
                                             .id = ROLE_ADMIN_ID};
    struct project_record project;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    TRY(add_role_row(answer, &admin, err));
    return role_each(call->services->store, project.id, add_role_row, answer, err);
}

/* ---- users in roles ---- */

static enum err_code role_change_make(const struct statement_call *call,
                                      struct role_change *ret_change, struct err *err)
{
    const struct grant_role *grant = &call->statement->grant_role;
    struct project_record project;
    struct role_change change = {.roles = grant->roles, .role_count = grant->role_count};
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    TRY(grantee_name(call, grant->user, &change.member, err));
    TRY(grantee_check(call, &project, change.member, err));
    if (call->statement->kind == STATEMENT_GRANT_ROLE)
        TRY(grantee_user_check(call, &project, change.member, err));
    for (size_t i = 0; i < grant->role_count; i++) {
        if (name_equal(grant->roles[i], span_text("admin")))
            TRY(admin_check(call, &project, err));
        for (size_t j = 0; j < i; j++) {
            if (name_equal(grant->roles[i], grant->roles[j]))
                return err_set(err, ERR_SEMANTIC, "role %.*s is named twice",
                               SPAN_PRINTF(grant->roles[i]));
        }
    }
    change.project = project.id;
    *ret_change = change;
    return ERR_OK;
}

enum err_code statement_grant_role(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    (void)answer;
    struct role_change change;
    TRY(role_change_make(call, &change, err));
    struct change_note note = statement_note(call);
    return role_give(call->services->store, &change, &note, err);
}

enum err_code statement_revoke_role(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    (void)answer;
    struct role_change change;
    TRY(role_change_make(call, &change, err));
    struct change_note note = statement_note(call);
    return role_take(call->services->store, &change, &note, err);
}
