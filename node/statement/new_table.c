#include "node/statement/new_table.h"

static enum err_code replaced_find(const struct statement_call *call, const struct name *name,
                                   struct new_table *new, struct err *err)
{
    struct lookup lookup;
    TRY(lookup_any(call, name, ACTION_DROP, &lookup, err));
    if (lookup.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC,
                       "%.*s is a snapshot: CREATE OR REPLACE TABLE replaces tables alone",
                       SPAN_PRINTF(name->object));
    new->replaces = lookup.id;
    return ERR_OK;
}

enum err_code new_table_look(const struct statement_call *call, const struct name *name,
                             bool or_replace, bool if_not_exists, struct new_table *ret_new,
                             struct err *err)
{
    struct new_table new = {
        .name = name->object, .or_replace = or_replace, .if_not_exists = if_not_exists};
    struct name_target target;
    struct err reason;
    TRY(lookup_new(call, name, &new.project, err));
    enum err_code code =
        name_find(call->services->store, NULL, new.project.id, name->object, &target, &reason);
    if (code != ERR_OK && code != ERR_TABLE_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    new.taken = code == ERR_OK && !or_replace;
    if (new.taken)
        new.snapshot = target.kind == NAME_SNAPSHOT;
    if (code == ERR_OK && or_replace)
        TRY(replaced_find(call, name, &new, err));
    *ret_new = new;
    return ERR_OK;
}

enum err_code new_table_taken(const struct new_table *new, struct err *err)
{
    if (new->snapshot)
        return err_set(
            err, ERR_EXISTS,
            "AlreadyExistsException(message:snapshot %.*s.%.*s already exists; tables and "
            "snapshots share their names: choose another)",
            SPAN_PRINTF(new->project.name), SPAN_PRINTF(new->name));
    if (new->if_not_exists)
        return ERR_OK;
    return err_set(err, ERR_EXISTS,
                   "AlreadyExistsException(message:%.*s.%.*s already exists; CREATE TABLE IF NOT "
                   "EXISTS leaves it as it is)",
                   SPAN_PRINTF(new->project.name), SPAN_PRINTF(new->name));
}

enum err_code new_table_result(const struct new_table *new, enum err_code code,
                               const struct err *reason, struct err *err)
{
    if (code == ERR_OK)
        return ERR_OK;
    if (code == ERR_EXISTS && new->or_replace)
        return err_set(err, ERR_CONFLICT, "%.*s has been made by another statement meanwhile",
                       SPAN_PRINTF(new->name));
    if (code == ERR_EXISTS)
        return new_table_taken(new, err);
    return err_set(err, code, "%s", reason->message);
}
