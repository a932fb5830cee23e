/* SELECT: bound and executed by node/sql over the tables' sources. */
#include "node/sql/select.h"

#include "node/statement/lookup.h"
#include "node/table_source.h"

/* ---- tables as SELECT sees them ---- */

static enum err_code catalog_source_find(void *context, const struct name *name,
                                         struct select_source *ret_source, struct err *err)
{
    const struct statement_call *call = context;
    struct lookup lookup;
    struct table_source *source;
    TRY(lookup_any(call, name, ACTION_SELECT, &lookup, err));
    TRY(table_source_open(call->services->store, lookup.id, &source, err));
    *ret_source = (struct select_source){
        .ops = &table_source_ops,
        .table = source,
        .schema = table_source_schema(source),
    };
    return ERR_OK;
}

static void catalog_source_release(void *context, struct select_source *source)
{
    (void)context;
    table_source_close(source->table);
}

/* ---- the answer's stream ---- */

struct selection {
    struct select_catalog catalog;
    struct select_cursor *cursor;
};

static enum err_code selection_next(void *context, size_t bytes_max, struct batch *batch,
                                    bool *ret_end, struct err *err)
{
    struct selection *selection = context;
    return select_next(selection->cursor, bytes_max, batch, ret_end, err);
}

static void selection_close(void *context)
{
    struct selection *selection = context;
    select_close(selection->cursor);
    mem_free(selection);
}

static void columns_set(struct answer *answer, const struct select_cursor *cursor)
{
    size_t count;
    const struct result_column *columns = select_columns(cursor, &count);
    struct column *full = mem_calloc(count, sizeof(*full));
    for (size_t i = 0; i < count; i++) {
        full[i].name = columns[i].name;
        full[i].type = columns[i].type;
    }
    answer_set_columns(answer, full, count);
    mem_free(full);
}

enum err_code statement_select(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    struct selection *selection = mem_calloc(1, sizeof(*selection));
    selection->catalog = (struct select_catalog){
        .context = (void *)call, /* lives as long as the run, and so longer than the answer */
        .find = catalog_source_find,
        .release = catalog_source_release,
    };
    const struct select_options options = {
        .catalog = &selection->catalog,
        .cancel = call->cancel,
    };
    enum err_code code = select_open(&call->statement->select, call->statement->text, &options,
                                     &selection->cursor, err);
    if (code != ERR_OK) {
        mem_free(selection);
        return code;
    }
    columns_set(answer, selection->cursor);
    answer->stream = (struct answer_stream){selection_next, selection_close, selection};
    return ERR_OK;
}
