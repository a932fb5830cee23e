#include "node/statement/system_view.h"

#include "node/sql/lexer.h"

#define NAME_SHOWN_BYTES 30 /* the list is to be seen whole */

static const struct system_view *const views[] = {
    &catalogs_view, &tables_view, &partitions_view, &columns_view, &privileges_view,
    &users_view,    &roles_view,  &user_roles_view, &audit_view,   &lag_view,
    &receipts_view, &tasks_view,  &usage_view,      &runs_view,
};

/* An opened view: what SELECT holds as its table. */
struct opened {
    const struct system_view *view;
    void *state;
    struct schema schema;
    struct column *columns;
};

static struct type column_type(const struct system_view *view, size_t i)
{
    return (struct type){.kind = view->columns[i].kind};
}

static struct opened *opened_new(const struct system_view *view, void *state)
{
    struct opened *opened = mem_calloc(1, sizeof(*opened));
    opened->view = view;
    opened->state = state;
    opened->columns = mem_calloc(view->column_count, sizeof(*opened->columns));
    for (size_t i = 0; i < view->column_count; i++)
        opened->columns[i] = (struct column){.id = (uint32_t)(i + 1),
                                             .name = span_text(view->columns[i].name),
                                             .type = column_type(view, i),
                                             .not_null = view->columns[i].not_null};
    opened->schema = (struct schema){.columns = opened->columns,
                                     .column_count = view->column_count,
                                     .next_column_id = (uint32_t)view->column_count + 1};
    return opened;
}

void system_view_close(void *table)
{
    struct opened *opened = table;
    if (opened == NULL)
        return;
    opened->view->close(opened->state);
    mem_free(opened->columns);
    mem_free(opened);
}

static enum err_code unknown(const struct name *name, struct err *err)
{
    BYTES_CLEANUP struct bytes list = {0};
    struct span shown = name->object;
    if (shown.len > NAME_SHOWN_BYTES) {
        shown.len = NAME_SHOWN_BYTES;
        while (shown.len > 0 && (shown.data[shown.len] & 0xC0) == 0x80)
            shown.len--; /* whole characters */
    }
    for (size_t i = 0; i < ARRAY_COUNT(views); i++)
        bytes_printf(&list, "%s%s", i > 0 ? ", " : "", views[i]->name);
    return err_set(err, ERR_TABLE_NOT_FOUND, "no view %.*s; INFORMATION_SCHEMA has %.*s",
                   SPAN_PRINTF(shown), SPAN_PRINTF(bytes_span(&list)));
}

enum err_code system_view_find(const struct statement_call *call, const struct name *name,
                               struct select_source *ret_source, struct err *err)
{
    size_t at = 0;
    while (at < ARRAY_COUNT(views) && !name_equal(name->object, span_text(views[at]->name)))
        at++;
    if (at == ARRAY_COUNT(views))
        return unknown(name, err);
    const struct system_view *view = views[at];
    void *state;
    TRY(view->open(view, call, &state, err));
    struct opened *opened = opened_new(view, state);
    *ret_source = (struct select_source){
        .ops = view->ops,
        .table = opened,
        .schema = &opened->schema,
        .project = span_text(SYSTEM_VIEW_SCHEMA),
        .object = span_text(view->name),
    };
    return ERR_OK;
}

/* ---- for the views ---- */

void *system_view_state(void *table)
{
    return ((struct opened *)table)->state;
}

void system_view_batch_init(const struct system_view *view, const struct select_scan *scan,
                            struct batch *batch)
{
    MEM_CLEANUP struct type *types = mem_calloc(scan->column_count + 1, sizeof(*types));
    for (size_t i = 0; i < scan->column_count; i++)
        types[i] = column_type(view, scan->columns[i]);
    batch_init_types(batch, types, scan->column_count);
}

void system_view_row(const struct select_scan *scan, const struct value *values,
                     struct batch *batch)
{
    for (size_t i = 0; i < scan->column_count; i++)
        vector_append(&batch->vectors[i], values[scan->columns[i]]);
    batch->rows++;
}
