#include "node/statement/catalog.h"

#include "node/statement/lookup.h"
#include "node/statement/system_view.h"
#include "node/table_source.h"

struct catalog_read {
    struct lookup lookup;
    struct catalog_read *next;
};

static enum err_code read_note(struct catalog_scope *scope, const struct lookup *lookup,
                               struct err *err)
{
    struct catalog_read *read = arena_alloc(scope->call->arena, 1, sizeof(*read));
    if (read == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    *read = (struct catalog_read){.lookup = *lookup, .next = scope->reads};
    scope->reads = read;
    return ERR_OK;
}

enum err_code catalog_ask_again(const struct catalog_scope *scope, struct err *err)
{
    for (const struct catalog_read *read = scope->reads; read != NULL; read = read->next) {
        ARENA_CLEANUP struct arena arena;
        struct project_record from;
        arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
        TRY(lookup_again(scope->call, &read->lookup, ACTION_SELECT, &arena, &from, err));
        if (scope->into != NULL)
            TRY(lookup_leave(scope->call, &read->lookup, &from, scope->into, err));
    }
    return ERR_OK;
}

static enum err_code catalog_source_find(void *context, const struct name *name,
                                         struct select_source *ret_source, struct err *err)
{
    struct catalog_scope *scope = context;
    const struct statement_call *call = scope->call;
    struct lookup lookup;
    struct table_source *source;
    if (name->system)
        return system_view_find(call, name, ret_source, err);
    TRY(lookup_any(call, name, ACTION_SELECT, &lookup, err));
    if (scope->into != NULL)
        TRY(lookup_leave(call, &lookup, &lookup.project, scope->into, err));
    TRY(lookup_has_rows(&lookup, "SELECT", err));
    TRY(read_note(scope, &lookup, err));
    TRY(table_source_open(call->services->store, lookup.id, &source, err));
    *ret_source = (struct select_source){
        .ops = &table_source_ops,
        .table = source,
        .schema = table_source_schema(source),
        .project = lookup.project.name, /* in the call's arena */
        .object = name->object,
    };
    return ERR_OK;
}

static void catalog_source_release(void *context, struct select_source *source)
{
    (void)context;
    if (source->ops == &table_source_ops)
        table_source_close(source->table);
    else
        system_view_close(source->table);
}

struct select_catalog statement_catalog(struct catalog_scope *scope)
{
    return (struct select_catalog){
        .context = scope,
        .find = catalog_source_find,
        .release = catalog_source_release,
    };
}
