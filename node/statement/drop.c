/* DROP TABLE, DROP SNAPSHOT TABLE. */
#include "node/statement/lookup.h"

/* Finds what is dropped, with Drop authorised. *ret_there false: IF EXISTS was said and it is not. */
static enum err_code drop_find(const struct statement_call *call, struct lookup *ret_lookup,
                               bool *ret_there, struct err *err)
{
    const struct drop_object *drop = &call->statement->drop;
    struct err reason;
    enum err_code code = lookup_any(call, &drop->name, ACTION_DROP, ret_lookup, &reason);
    *ret_there = code == ERR_OK;
    if (code == ERR_OK || (code == ERR_TABLE_NOT_FOUND && drop->if_exists))
        return ERR_OK;
    return err_set(err, code, "%s", reason.message);
}

enum err_code statement_drop_table(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    (void)answer;
    struct lookup lookup;
    bool there;
    TRY(drop_find(call, &lookup, &there, err));
    if (!there)
        return ERR_OK;
    if (lookup.kind != NAME_TABLE)
        return err_set(err, ERR_SEMANTIC, "%.*s is a snapshot: use DROP SNAPSHOT TABLE",
                       SPAN_PRINTF(lookup.name));
    struct change_note note = statement_note(call);
    return table_drop(call->services->store, lookup.id, &note, err);
}

enum err_code statement_drop_snapshot(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    (void)answer;
    struct lookup lookup;
    bool there;
    TRY(drop_find(call, &lookup, &there, err));
    if (!there)
        return ERR_OK;
    if (lookup.kind != NAME_SNAPSHOT)
        return err_set(err, ERR_SEMANTIC, "%.*s is a table: use DROP TABLE",
                       SPAN_PRINTF(lookup.name));
    struct change_note note = statement_note(call);
    return snapshot_drop(call->services->store, lookup.id, &note, err);
}
