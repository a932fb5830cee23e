#include "node/sql/source_memory.h"

#include "node/sql/parser.h"

struct pass {
    struct source_memory *source;
    struct batch batch;
    size_t at;
    size_t batches;
};

static size_t width(const struct source_memory *source)
{
    return source->schema.column_count + source->schema.partition_column_count;
}

static const struct column *column_of(const struct source_memory *source, size_t i)
{
    return i < source->schema.column_count
               ? &source->schema.columns[i]
               : &source->schema.partition_columns[i - source->schema.column_count];
}

/* ---- the source ---- */

static enum err_code pass_open(void *table, const struct select_scan *scan, void **ret_pass,
                               struct err *err)
{
    (void)err;
    struct source_memory *source = table;
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    struct type types[SOURCE_MEMORY_COLUMNS];
    ASSERT(scan->column_count <= SOURCE_MEMORY_COLUMNS);
    for (size_t i = 0; i < scan->column_count; i++) {
        source->columns[i] = scan->columns[i];
        types[i] = column_of(source, scan->columns[i])->type;
    }
    for (size_t i = 0; i < scan->range_count && i < SOURCE_MEMORY_COLUMNS; i++)
        source->ranges[i] = scan->ranges[i];
    source->last = *scan;
    source->last.columns = source->columns;
    source->last.ranges = source->ranges;
    source->opened++;
    batch_init_types(&pass->batch, types, scan->column_count);
    pass->source = source;
    *ret_pass = pass;
    return ERR_OK;
}

static enum err_code pass_next(void *opaque, const struct batch **ret_batch, struct err *err)
{
    struct pass *pass = opaque;
    const struct source_memory *source = pass->source;
    size_t left = source->rows.rows - pass->at;
    size_t rows = left < source->batch_rows ? left : source->batch_rows;
    if (source->fail_after > 0 && pass->batches == source->fail_after)
        return err_set(err, ERR_CORRUPT, "file abc: wrong digest");
    *ret_batch = NULL;
    if (rows == 0)
        return ERR_OK;
    batch_clear(&pass->batch);
    for (size_t i = 0; i < pass->batch.vector_count; i++)
        vector_append_range(&pass->batch.vectors[i], &source->rows.vectors[source->columns[i]],
                            pass->at, rows);
    pass->batch.rows = rows;
    pass->at += rows;
    pass->batches++;
    *ret_batch = &pass->batch;
    return ERR_OK;
}

static void pass_close(void *opaque)
{
    struct pass *pass = opaque;
    pass->source->closed++;
    batch_deinit(&pass->batch);
    mem_free(pass);
}

static const struct select_source_ops memory_ops = {pass_open, pass_next, pass_close};

static enum err_code catalog_find(void *context, const struct name *name,
                                  struct select_source *ret_source, struct err *err)
{
    struct source_memory *source = context;
    if (span_equal(name->object, span_text("absent")))
        return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s", SPAN_PRINTF(name->object));
    source->found++;
    *ret_source = (struct select_source){&memory_ops, source, &source->schema};
    return ERR_OK;
}

static void catalog_release(void *context, struct select_source *source)
{
    (void)source;
    ((struct source_memory *)context)->released++;
}

/* ---- set up ---- */

void source_memory_init(struct source_memory *source, const struct schema *schema,
                        size_t batch_rows)
{
    *source = (struct source_memory){.schema = *schema, .batch_rows = batch_rows};
    source->catalog = (struct select_catalog){source, catalog_find, catalog_release};
    batch_init_all(&source->rows, schema);
}

void source_memory_deinit(struct source_memory *source)
{
    ASSERT(source->opened == source->closed && source->found == source->released);
    batch_deinit(&source->rows);
}

void source_memory_add(struct source_memory *source, const char *const *texts)
{
    for (size_t i = 0; i < width(source); i++) {
        struct value value = {.null = texts[i] == NULL};
        struct vector *vector = &source->rows.vectors[i];
        struct err err;
        if (texts[i] != NULL &&
            value_parse(vector->type, span_text(texts[i]), &value, &err) != ERR_OK) {
            fprintf(stderr, "%s\n", err.message);
            abort();
        }
        vector_append(vector, value);
    }
    source->rows.rows++;
}

/* ---- running ---- */

static void render(const struct batch *batch, struct bytes *text)
{
    for (size_t row = 0; row < batch->rows; row++) {
        for (size_t i = 0; i < batch->vector_count; i++) {
            struct value value = vector_value(&batch->vectors[i], row);
            bytes_append_text(text, i > 0 ? "|" : "");
            if (value.null)
                bytes_append_text(text, "NULL");
            value_format(batch->vectors[i].type, value, text);
        }
        bytes_append_u8(text, '\n');
    }
}

static enum err_code fetch_all(struct select_cursor *cursor, struct bytes *text, struct err *err)
{
    struct batch batch;
    bool end = false;
    enum err_code code = ERR_OK;
    select_batch_init(cursor, &batch);
    while (code == ERR_OK && !end) {
        code = select_next(cursor, 64, &batch, &end, err);
        if (code == ERR_OK)
            render(&batch, text);
    }
    batch_deinit(&batch);
    return code;
}

enum err_code source_memory_select(struct source_memory *source, const char *sql,
                                   struct bytes *ret_text, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    struct statement *statement;
    struct select_cursor *cursor;
    struct select_options options = {.catalog = &source->catalog};
    TRY(statement_parse(span_text(sql), &arena, &statement, err));
    ASSERT(statement->kind == STATEMENT_SELECT);
    TRY(select_open(&statement->select, statement->text, &options, &cursor, err));
    arena_reset(&arena); /* nothing of the statement is needed any more */
    bytes_clear(ret_text);
    enum err_code code = fetch_all(cursor, ret_text, err);
    select_close(cursor);
    return code;
}
