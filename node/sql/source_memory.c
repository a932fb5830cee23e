#include "node/sql/source_memory.h"

#include "node/sql/lexer.h"
#include "node/sql/parser.h"

struct pass {
    struct source_memory *source;
    struct select_scan scan;
    struct batch batch;
    struct select_summary *summaries;
    bool summarised;                       /* the batch at hand */
    size_t columns[SOURCE_MEMORY_COLUMNS]; /* several passes of one table may be open */
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

/* ---- domains as text ---- */

static void end_format(bool has, struct value value, struct type type, struct bytes *out)
{
    if (has)
        value_format(type, value, out);
    else
        bytes_append_text(out, "..");
}

static void domain_format(struct source_memory *source, const struct select_domain *domain)
{
    struct bytes *out = &source->domains;
    const struct column *column = column_of(source, domain->column);
    bytes_append_span(out, column->name);
    bytes_append_text(out, ":");
    for (size_t i = 0; i < domain->interval_count; i++) {
        const struct select_interval *interval = &domain->intervals[i];
        bytes_append_text(out, interval->low_open ? " (" : " [");
        end_format(interval->has_low, interval->low, column->type, out);
        bytes_append_text(out, ", ");
        end_format(interval->has_high, interval->high, column->type, out);
        bytes_append_text(out, interval->high_open ? ")" : "]");
    }
    bytes_append_text(out, domain->null ? " NULL\n" : "\n");
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
        source->columns[i] = pass->columns[i] = scan->columns[i];
        types[i] = column_of(source, scan->columns[i])->type;
    }
    bytes_clear(&source->domains);
    for (size_t i = 0; i < scan->domain_count; i++)
        domain_format(source, &scan->domains[i]);
    source->last = *scan;
    source->last.columns = source->columns;
    source->last.domains = NULL;
    source->opened++;
    batch_init_types(&pass->batch, types, scan->column_count);
    pass->source = source;
    pass->scan = *scan;
    pass->summaries = mem_calloc(scan->column_count + 1, sizeof(*pass->summaries));
    *ret_pass = pass;
    return ERR_OK;
}

static size_t slice_rows(const struct pass *pass)
{
    size_t left = pass->source->rows.rows - pass->at;
    return left < pass->source->batch_rows ? left : pass->source->batch_rows;
}

/* As the statistics of row groups would have it: rows that no domain allows are not given out. */
static bool slice_wanted(const struct pass *pass, size_t rows)
{
    const struct source_memory *source = pass->source;
    for (size_t i = 0; i < pass->scan.domain_count; i++) {
        const struct select_domain *domain = &pass->scan.domains[i];
        struct type type = column_of(source, domain->column)->type;
        const struct vector *vector = &source->rows.vectors[domain->column];
        struct select_bounds bounds = {0};
        for (size_t row = pass->at; row < pass->at + rows; row++)
            select_bounds_add(&bounds, type, vector_value(vector, row));
        if (!select_domain_possible(domain, type, &bounds))
            return false;
    }
    return true;
}

/* Of the next rows: what statistics know of them is enough. */
static bool slice_known(struct pass *pass, size_t rows)
{
    for (size_t i = 0; i < pass->scan.column_count; i++) {
        const struct vector *vector = &pass->source->rows.vectors[pass->columns[i]];
        struct select_summary summary = {.type = vector->type};
        struct select_bounds *bounds = &summary.bounds;
        for (size_t row = pass->at; row < pass->at + rows; row++) {
            struct value value = vector_value(vector, row);
            summary.null_count += value.null;
            select_bounds_add(bounds, vector->type, value);
        }
        bool is_double = vector->type.kind == TYPE_DOUBLE;
        summary.exact_min = !(is_double && bounds->has_min && bounds->min.f64 == 0);
        summary.exact_max = !(is_double && bounds->has_max && bounds->max.f64 == 0);
        pass->summaries[i] = summary;
    }
    return pass->scan.enough(pass->scan.context, pass->summaries, rows);
}

static const struct select_summary *pass_summary(void *opaque)
{
    const struct pass *pass = opaque;
    return pass->summarised ? pass->summaries : NULL;
}

static enum err_code pass_next(void *opaque, const struct batch **ret_batch, struct err *err)
{
    struct pass *pass = opaque;
    struct source_memory *source = pass->source;
    size_t rows = slice_rows(pass);
    while (rows > 0 && !slice_wanted(pass, rows)) {
        source->pruned++;
        pass->at += rows;
        rows = slice_rows(pass);
    }
    pass->summarised = rows > 0 && pass->scan.enough != NULL && slice_known(pass, rows);
    source->summarised += pass->summarised;
    if (source->fail_after > 0 && pass->batches == source->fail_after)
        return err_set(err, ERR_CORRUPT, "file abc: wrong digest");
    *ret_batch = NULL;
    if (rows == 0)
        return ERR_OK;
    batch_clear(&pass->batch);
    pass->batch.rows = rows;
    pass->at += rows;
    pass->batches++;
    *ret_batch = &pass->batch;
    return ERR_OK;
}

static enum err_code pass_fetch(void *opaque, size_t column, size_t rows, struct err *err)
{
    struct pass *pass = opaque;
    struct source_memory *source = pass->source;
    struct vector *vector = &pass->batch.vectors[column];
    ASSERT(!pass->summarised);
    (void)err;
    if (rows > pass->batch.rows)
        rows = pass->batch.rows;
    vector_clear(vector);
    vector_append_range(vector, &source->rows.vectors[pass->columns[column]],
                        pass->at - pass->batch.rows, rows);
    source->fetched_columns++;
    source->fetched_rows += rows;
    return ERR_OK;
}

static void pass_close(void *opaque)
{
    struct pass *pass = opaque;
    pass->source->closed++;
    batch_deinit(&pass->batch);
    mem_free(pass->summaries);
    mem_free(pass);
}

static const struct select_source_ops memory_ops = {.open = pass_open,
                                                    .next = pass_next,
                                                    .fetch = pass_fetch,
                                                    .summary = pass_summary,
                                                    .close = pass_close};

static enum err_code catalog_find(void *context, const struct name *name,
                                  struct select_source *ret_source, struct err *err)
{
    struct source_memory *source = context;
    if (span_equal(name->object, span_text("absent")))
        return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s", SPAN_PRINTF(name->object));
    source->found++;
    struct source_memory *table = source;
    while (table->name != NULL && !name_equal(name->object, span_text(table->name))) {
        table = table->next;
        ASSERT(table != NULL);
    }
    struct span project = name->project.len > 0 ? name->project : span_text("p");
    *ret_source = (struct select_source){&memory_ops, table, &table->schema, project, name->object};
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
    bytes_deinit(&source->domains);
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
    struct select_options options = {.catalog = &source->catalog,
                                     .limits.time_ms_max = source->time_ms_max};
    TRY(statement_parse(span_text(sql), &arena, &statement, err));
    ASSERT(statement->kind == STATEMENT_SELECT);
    TRY(select_open(&statement->select, statement->text, &options, &cursor, err));
    arena_reset(&arena); /* nothing of the statement is needed any more */
    bytes_clear(ret_text);
    enum err_code code = fetch_all(cursor, ret_text, err);
    select_close(cursor);
    return code;
}
