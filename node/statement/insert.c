/* INSERT INTO | OVERWRITE ... [PARTITION(...)] VALUES: through the same pipeline as tunnel loads.
 *
 * Partition columns that PARTITION(...) does not give come last in each row, in their order.
 */
#include "node/ingest.h"
#include "node/statement/lookup.h"
#include "node/statement/partition.h"
#include "proto/key.h"

#define INSERT_BATCH_ROWS 8192

/* For each column of the whole row (data, then partition): where its value comes from. */
struct row_plan {
    size_t column_count;
    struct row_source {
        const struct column *column;
        size_t at;          /* among the row's values; SIZE_MAX: always `value` */
        struct value value; /* constant of PARTITION(...), default, or NULL */
        bool is_partition;
    } * sources;
    size_t width; /* values that a row must have */
};

static enum err_code default_value(const struct column *column, struct value *ret_value,
                                   struct err *err)
{
    *ret_value = (struct value){.null = true};
    if (!column->has_default)
        return ERR_OK;
    return value_parse(column->type, column->default_text, ret_value, err);
}

static size_t listed_at(const struct insert *insert, struct span name)
{
    for (size_t i = 0; i < insert->column_count; i++) {
        if (insert->columns[i].len == name.len &&
            strncasecmp((const char *)insert->columns[i].data, (const char *)name.data, name.len) ==
                0)
            return i;
    }
    return SIZE_MAX;
}

/* INSERT INTO t (a, b): every listed name is a data column, once. */
static enum err_code list_check(const struct insert *insert, const struct schema *schema,
                                struct err *err)
{
    for (size_t i = 0; i < insert->column_count; i++) {
        struct span name = insert->columns[i];
        bool is_partition;
        const struct column *column = schema_find(schema, name, &is_partition);
        if (column == NULL)
            return err_set(err, ERR_SEMANTIC, "column %.*s does not exist", SPAN_PRINTF(name));
        if (listed_at(insert, name) != i)
            return err_set(err, ERR_SEMANTIC, "column %.*s is listed twice", SPAN_PRINTF(name));
        if (is_partition)
            return err_set(err, ERR_SEMANTIC,
                           "partition column %.*s cannot be listed: its values come last",
                           SPAN_PRINTF(name));
    }
    return ERR_OK;
}

static enum err_code plan_data(const struct insert *insert, const struct schema *schema,
                               struct row_plan *plan, struct err *err)
{
    TRY(list_check(insert, schema, err));
    for (size_t i = 0; i < schema->column_count; i++) {
        struct row_source *source = &plan->sources[i];
        source->column = &schema->columns[i];
        source->at = insert->column_count == 0 ? i : listed_at(insert, source->column->name);
        if (source->at == SIZE_MAX)
            TRY(default_value(source->column, &source->value, err));
    }
    plan->width = insert->column_count == 0 ? schema->column_count : insert->column_count;
    return ERR_OK;
}

static enum err_code plan_make(const struct statement_call *call, const struct insert *insert,
                               const struct schema *schema, struct row_plan *ret_plan,
                               struct err *err)
{
    struct row_plan plan = {.column_count = schema->column_count + schema->partition_column_count};
    plan.sources = arena_alloc(call->arena, plan.column_count, sizeof(*plan.sources));
    if (plan.sources == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    TRY(plan_data(insert, schema, &plan, err));
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    TRY(partition_spec_values(schema, &insert->partition, values, given, err));
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        struct row_source *source = &plan.sources[schema->column_count + i];
        source->column = &schema->partition_columns[i];
        source->is_partition = true;
        source->at = given[i] ? SIZE_MAX : plan.width++;
        source->value = values[i];
    }
    *ret_plan = plan;
    return ERR_OK;
}

static enum err_code cell_value(const struct row_source *source, const struct literal *row,
                                struct value *ret_value, struct err *err)
{
    struct value value = source->value;
    const struct column *column = source->column;
    if (source->at != SIZE_MAX &&
        literal_value(&row[source->at], column->type, &value, err) != ERR_OK)
        return err_wrap(err, "column %.*s", SPAN_PRINTF(column->name));
    if (value.null && column->not_null)
        return err_set(err, ERR_SEMANTIC, "column %.*s is NOT NULL", SPAN_PRINTF(column->name));
    if (source->is_partition)
        TRY(partition_value_check(column, value, err));
    *ret_value = value;
    return ERR_OK;
}

static enum err_code row_append(const struct row_plan *plan, const struct literal *row,
                                struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < plan->column_count; i++) {
        struct value value;
        TRY(cell_value(&plan->sources[i], row, &value, err));
        vector_append(&batch->vectors[i], value);
    }
    batch->rows++;
    return ERR_OK;
}

static enum err_code rows_ingest(const struct insert *insert, const struct row_plan *plan,
                                 struct ingest *ingest, struct err *err)
{
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, ingest_schema(ingest));
    for (size_t i = 0; i < insert->row_count; i++) {
        const struct literal *row = insert->values + i * insert->row_width;
        if (row_append(plan, row, &batch, err) != ERR_OK)
            return insert->row_count == 1 ? err->code : err_wrap(err, "row %zu", i + 1);
        if (batch.rows < INSERT_BATCH_ROWS && i + 1 < insert->row_count)
            continue;
        TRY(ingest_append(ingest, &batch, err));
        batch_clear(&batch);
    }
    return ERR_OK;
}

static enum err_code insert_commit(const struct statement_call *call, struct ingest *ingest,
                                   bool overwrite, struct err *err)
{
    const struct ingest_commit commit = {
        .operation = overwrite ? OPERATION_OVERWRITE : OPERATION_INSERT,
        .now_ms = statement_now_ms(),
        .principal = span_text(call->principal->name),
        .statement = call->id,
        .content = call->content,
    };
    struct outcome outcome;
    return ingest_commit(ingest, &commit, &outcome, err);
}

enum err_code statement_insert(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    (void)answer;
    const struct insert *insert = &call->statement->insert;
    struct lookup lookup;
    TRY(lookup_table(call, &insert->table, ACTION_UPDATE, &lookup, err));
    const struct ingest_options options = {
        .store = call->services->store,
        .account = lookup.project.owner,
        .table = lookup.id,
        .mode = insert->overwrite ? UPLOAD_OVERWRITE : UPLOAD_APPEND,
        .memory_bytes = call->services->load_memory_bytes,
    };
    INGEST_CLEANUP struct ingest *ingest = NULL;
    TRY(ingest_open(&options, &ingest, err));
    struct row_plan plan;
    TRY(plan_make(call, insert, ingest_schema(ingest), &plan, err));
    if (insert->row_count > 0 && insert->row_width != plan.width)
        return err_set(err, ERR_SEMANTIC, "a row has %zu values; %zu are needed", insert->row_width,
                       plan.width);
    TRY(rows_ingest(insert, &plan, ingest, err));
    return insert_commit(call, ingest, insert->overwrite, err);
}
