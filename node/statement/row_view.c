#include "node/statement/row_view.h"

#define CHUNK_ROWS 1024

struct row_view {
    const struct system_view *view;
    struct batch rows;
};

struct pass {
    const struct row_view *view;
    struct select_scan scan;
    struct batch batch;
    size_t next;
};

struct row_view *row_view_new(const struct system_view *view)
{
    struct row_view *rows = mem_calloc(1, sizeof(*rows));
    MEM_CLEANUP struct type *types = mem_calloc(view->column_count, sizeof(*types));
    for (size_t i = 0; i < view->column_count; i++)
        types[i] = (struct type){.kind = view->columns[i].kind};
    rows->view = view;
    batch_init_types(&rows->rows, types, view->column_count);
    return rows;
}

void row_view_free(void *view)
{
    struct row_view *rows = view;
    if (rows == NULL)
        return;
    batch_deinit(&rows->rows);
    mem_free(rows);
}

enum err_code row_view_add(struct row_view *view, const struct value *values, struct err *err)
{
    if (batch_memory_bytes(&view->rows) > ROW_VIEW_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s has more rows than are listed at once (%zu)",
                       view->view->name, view->rows.rows);
    for (size_t i = 0; i < view->view->column_count; i++)
        vector_append(&view->rows.vectors[i], values[i]);
    view->rows.rows++;
    return ERR_OK;
}

/* ---- as a source of rows ---- */

static enum err_code pass_open(void *table, const struct select_scan *scan, void **ret_pass,
                               struct err *err)
{
    (void)err;
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    pass->view = system_view_state(table);
    pass->scan = *scan;
    system_view_batch_init(pass->view->view, scan, &pass->batch);
    *ret_pass = pass;
    return ERR_OK;
}

static enum err_code pass_next(void *opaque, const struct batch **ret_batch, struct err *err)
{
    (void)err;
    struct pass *pass = opaque;
    const struct batch *from = &pass->view->rows;
    size_t rows = from->rows - pass->next < CHUNK_ROWS ? from->rows - pass->next : CHUNK_ROWS;
    batch_clear(&pass->batch);
    for (size_t i = 0; i < pass->scan.column_count; i++)
        vector_append_range(&pass->batch.vectors[i], &from->vectors[pass->scan.columns[i]],
                            pass->next, rows);
    pass->batch.rows = rows;
    pass->next += rows;
    *ret_batch = rows > 0 ? &pass->batch : NULL;
    return ERR_OK;
}

static void pass_close(void *opaque)
{
    struct pass *pass = opaque;
    batch_deinit(&pass->batch);
    mem_free(pass);
}

static enum err_code pass_explain(void *table, const struct select_scan *scan,
                                  select_part_function *on_part, void *context, struct err *err)
{
    (void)scan;
    const struct row_view *view = system_view_state(table);
    const struct select_part part = {.reason = SELECT_READ, .rows = view->rows.rows};
    return on_part(context, &part, err);
}

const struct select_source_ops row_view_ops = {
    .open = pass_open,
    .next = pass_next,
    .close = pass_close,
    .explain = pass_explain,
};

/* ---- values ---- */

struct value row_text(struct span text)
{
    return (struct value){.null = text.len == 0 || !span_is_utf8(text), .text = text};
}

struct value row_number(uint64_t number)
{
    return (struct value){.i64 = number > INT64_MAX ? INT64_MAX : (int64_t)number};
}

struct value row_time(uint64_t time_ms)
{
    return (struct value){.null = time_ms == 0, .i64 = (int64_t)time_ms};
}

struct value row_boolean(bool truth)
{
    return (struct value){.i64 = truth};
}

struct value row_real(double number, bool null)
{
    return (struct value){.null = null, .f64 = number};
}
