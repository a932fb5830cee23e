#include "node/statement/lookup.h"

#include <ctype.h>

static enum err_code project_named(const struct statement_call *call, struct span name,
                                   struct project_record *ret_project, struct err *err)
{
    if (name.len == 0)
        name = call->project;
    if (name.len == 0)
        return err_set(err, ERR_SEMANTIC,
                       "no project is chosen: write project.name, or USE project first");
    struct err reason;
    enum err_code code =
        project_find(call->services->store, NULL, name, call->arena, ret_project, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "project %.*s does not exist in region %s",
                       SPAN_PRINTF(name), call->services->region);
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    return ERR_OK;
}

enum err_code lookup_project(const struct statement_call *call, struct span name,
                             enum action action, struct project_record *ret_project,
                             struct err *err)
{
    struct project_record project;
    TRY(project_named(call, name, &project, err));
    TRY(authorise(call->principal, action, object_project(project.owner, project.name), err));
    *ret_project = project;
    return ERR_OK;
}

static enum err_code record_get(const struct statement_call *call, struct lookup *lookup,
                                struct err *err)
{
    struct store *store = call->services->store;
    if (lookup->kind == NAME_TABLE)
        return table_get(store, NULL, lookup->id, call->arena, &lookup->table, err);
    return snapshot_get(store, NULL, lookup->id, call->arena, &lookup->snapshot, err);
}

enum err_code lookup_any(const struct statement_call *call, const struct name *name,
                         enum action action, struct lookup *ret_lookup, struct err *err)
{
    if (name->system)
        return err_set(err, ERR_SEMANTIC, "views of INFORMATION_SCHEMA are not supported yet");
    struct lookup lookup = {.name = name->object};
    TRY(project_named(call, name->project, &lookup.project, err));
    TRY(authorise(call->principal, action,
                  object_table(lookup.project.owner, lookup.project.name, name->object), err));
    struct name_target target;
    struct err reason;
    enum err_code code =
        name_find(call->services->store, NULL, lookup.project.id, name->object, &target, &reason);
    if (code == ERR_TABLE_NOT_FOUND)
        return err_set(err, code, "\"%.*s\" \"%.*s\"", SPAN_PRINTF(lookup.project.name),
                       SPAN_PRINTF(name->object));
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    lookup.kind = target.kind;
    lookup.id = target.id;
    code = record_get(call, &lookup, &reason);
    if (code == ERR_NOT_FOUND) /* dropped between the two look-ups */
        code = ERR_TABLE_NOT_FOUND;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    *ret_lookup = lookup;
    return ERR_OK;
}

enum err_code lookup_table(const struct statement_call *call, const struct name *name,
                           enum action action, struct lookup *ret_lookup, struct err *err)
{
    struct lookup lookup;
    TRY(lookup_any(call, name, action, &lookup, err));
    if (lookup.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC, "%.*s is a snapshot and cannot be changed as a table",
                       SPAN_PRINTF(name->object));
    *ret_lookup = lookup;
    return ERR_OK;
}

enum err_code lookup_snapshot(const struct statement_call *call, const struct name *name,
                              enum action action, struct lookup *ret_lookup, struct err *err)
{
    struct lookup lookup;
    TRY(lookup_any(call, name, action, &lookup, err));
    if (lookup.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_SEMANTIC, "%.*s is a table, not a snapshot",
                       SPAN_PRINTF(name->object));
    *ret_lookup = lookup;
    return ERR_OK;
}

static bool name_valid(struct span name)
{
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES || !isalpha(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum(name.data[i]) && name.data[i] != '_')
            return false;
    }
    return true;
}

enum err_code lookup_new(const struct statement_call *call, const struct name *name,
                         struct project_record *ret_project, struct err *err)
{
    if (name->system)
        return err_set(err, ERR_SEMANTIC, "nothing can be made in SYSTEM_CATALOG");
    if (!name_valid(name->object))
        return err_set(err, ERR_SEMANTIC,
                       "\"%.*s\" cannot be a name: a letter, then letters, digits and '_', at most "
                       "%d bytes",
                       SPAN_PRINTF(name->object), LIMIT_NAME_BYTES);
    return lookup_project(call, name->project, ACTION_CREATE_TABLE, ret_project, err);
}

const struct version_ref *lookup_version(const struct lookup *lookup)
{
    return lookup->kind == NAME_TABLE ? &lookup->table.version : &lookup->snapshot.version;
}
