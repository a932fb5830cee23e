#include "node/statement/grantee.h"

#define ACCOUNT_PREFIX "ALIYUN$"
#define USER_PREFIX    "RAM$"

static bool begins(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len > len && strncasecmp((const char *)text.data, prefix, len) == 0;
}

/* "name" of ALIYUN$name and RAM$name:user. */
static struct span account_part(struct span principal)
{
    size_t from = strlen(begins(principal, USER_PREFIX) ? USER_PREFIX : ACCOUNT_PREFIX);
    if (principal.len <= from)
        return principal;
    struct span rest = span_slice(principal, from, principal.len - from);
    const uint8_t *colon = memchr(rest.data, ':', rest.len);
    return colon == NULL ? rest : span_slice(rest, 0, (size_t)(colon - rest.data));
}

void grantee_account_append(struct span name, struct bytes *out)
{
    if (begins(name, USER_PREFIX))
        bytes_printf(out, ACCOUNT_PREFIX "%.*s", SPAN_PRINTF(account_part(name)));
}

enum err_code grantee_name(const struct statement_call *call, struct span written,
                           struct span *ret_name, struct err *err)
{
    BYTES_CLEANUP struct bytes name = {0};
    if (!begins(written, USER_PREFIX) || memchr(written.data, ':', written.len) != NULL) {
        *ret_name = written;
        return ERR_OK;
    }
    struct span account = account_part(span_text(call->principal->name));
    size_t prefix = strlen(USER_PREFIX);
    bytes_printf(&name, "%s%.*s:%.*s", USER_PREFIX, SPAN_PRINTF(account),
                 SPAN_PRINTF(span_slice(written, prefix, written.len - prefix)));
    return statement_copy(call, bytes_span(&name), ret_name, err);
}

enum err_code grantee_principal(const struct statement_call *call, struct span written,
                                struct principal *ret_principal, struct err *err)
{
    struct span name;
    TRY(grantee_name(call, written, &name, err));
    if (principals_find_name(call->services->principals, name, ret_principal))
        return ERR_OK;
    return err_set(err, ERR_NOT_FOUND, "there is no account or user %.*s in region %s",
                   SPAN_PRINTF(name), call->services->region);
}

enum err_code grantee_check(const struct statement_call *call, const struct project_record *project,
                            struct span name, struct err *err)
{
    const struct principal *caller = call->principal;
    struct principal grantee;
    if (!principals_find_name(call->services->principals, name, &grantee))
        return ERR_OK;
    if (strcmp(grantee.name, caller->name) == 0)
        return err_set(err, ERR_SEMANTIC, "%s cannot change its own rights", caller->name);
    if (!grantee.user && grantee.account.n == project->owner.n)
        return err_set(err, ERR_SEMANTIC, "%s owns project %.*s: it has all rights, and keeps them",
                       grantee.name, SPAN_PRINTF(project->name));
    if (caller->user && (!grantee.user || grantee.account.n != caller->account.n))
        return err_set(err, ERR_DENIED,
                       "%s is a RAM user and manages RAM users of its own account only; the "
                       "project's owner manages %s",
                       caller->name, grantee.name);
    return ERR_OK;
}

enum err_code grantee_user_check(const struct statement_call *call,
                                 const struct project_record *project, struct span name,
                                 struct err *err)
{
    struct principal grantee;
    struct rights_query query = {.project = project->id, .principal = name};
    bool known = principals_find_name(call->services->principals, name, &grantee);
    if (known)
        query.number = grantee.number;
    if (known && rights_ask(call->services->store, &query).is_user)
        return ERR_OK;
    return err_set(err, ERR_NOT_FOUND, "%.*s is not a user of the project: ADD USER first",
                   SPAN_PRINTF(name));
}

/* ---- for views ---- */

void user_id_of(const struct statement_services *services, uint64_t number,
                char ret_id[OPAQUE_ID_TEXT_BYTES])
{
    opaque_id(services->identity, "strait/1 user id", number, ret_id);
}

struct span user_id_format(const struct statement_services *services, struct span name,
                           char ret_id[OPAQUE_ID_TEXT_BYTES])
{
    struct principal principal;
    if (name.len == 0 || !principals_find_name(services->principals, name, &principal))
        return (struct span){0};
    user_id_of(services, principal.number, ret_id);
    return span_text(ret_id);
}

/* ---- actions ---- */

void actions_print(uint64_t actions, enum object_kind kind, struct bytes *out)
{
    size_t count = 0;
    if (actions == actions_of(kind)) {
        bytes_append_text(out, "All");
        return;
    }
    for (uint64_t left = actions; left != 0; left &= left - 1) {
        enum action action;
        if (action_of_number((uint8_t)__builtin_ctzll(left), &action))
            bytes_printf(out, "%s%s", count++ == 0 ? "" : " | ", action_name(action));
    }
}

static enum err_code action_unknown(struct span name, enum object_kind kind, struct err *err)
{
    BYTES_CLEANUP struct bytes known = {0};
    for (uint64_t left = actions_of(kind); left != 0; left &= left - 1) {
        enum action action;
        if (action_of_number((uint8_t)__builtin_ctzll(left), &action))
            bytes_printf(&known, "%s, ", action_name(action));
    }
    return err_set(err, ERR_SEMANTIC, "%.*s is no action on a %s; there are %.*sAll",
                   (int)(name.len < 40 ? name.len : 40), (const char *)name.data,
                   kind == OBJECT_PROJECT ? "project" : "table", SPAN_PRINTF(bytes_span(&known)));
}

enum err_code grantee_actions(const struct grant *grant, uint64_t *ret_actions, struct err *err)
{
    enum object_kind kind = grant->object == GRANT_ON_PROJECT ? OBJECT_PROJECT : OBJECT_TABLE;
    uint64_t actions = 0;
    for (size_t i = 0; i < grant->action_count; i++) {
        struct span name = grant->actions[i];
        enum action action;
        uint64_t wanted;
        if (name_equal(name, span_text("All")))
            wanted = actions_of(kind);
        else if (action_find(name, kind, &action))
            wanted = UINT64_C(1) << action_number(action);
        else
            return action_unknown(name, kind, err);
        if ((actions & wanted) != 0)
            return err_set(err, ERR_SEMANTIC, "%.*s is named twice", SPAN_PRINTF(name));
        actions |= wanted;
    }
    *ret_actions = actions;
    return ERR_OK;
}
