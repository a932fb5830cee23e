/* INSERT INTO | OVERWRITE ... [PARTITION(...)] VALUES | SELECT: through the same pipeline as tunnel
 * loads.
 */
#include "node/ingest.h"
#include "node/limits.h"
#include "node/statement/insert_plan.h"
#include "node/statement/lookup.h"
#include "node/statement/written_query.h"

#define INSERT_BATCH_ROWS 8192

/* ---- VALUES ---- */

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

static enum err_code row_append(const struct insert_plan *plan, const struct literal *row,
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

static enum err_code rows_ingest(const struct insert *insert, const struct insert_plan *plan,
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
        .principals = call->services->principals,
        .principal = call->principal,
        .statement = call->id,
        .content = call->content,
    };
    struct outcome outcome;
    return ingest_commit(ingest, &commit, &outcome, err);
}

static struct ingest_options options_of(const struct statement_call *call,
                                        const struct lookup *lookup)
{
    return (struct ingest_options){
        .store = call->services->store,
        .account = lookup->project.owner,
        .table = lookup->id,
        .mode = call->statement->insert.overwrite ? UPLOAD_OVERWRITE : UPLOAD_APPEND,
        .memory_bytes = limits_get(call->services->limits).load_memory_bytes,
    };
}

/* "a row has 1 value, table has 2: a, b" */
static enum err_code width_check(const struct insert *insert, const struct insert_plan *plan,
                                 const char *what, const char *of, size_t width, struct err *err)
{
    if (width == plan->width)
        return ERR_OK;
    BYTES_CLEANUP struct bytes names = {0};
    insert_plan_names(plan, &names);
    return err_set(err, ERR_SEMANTIC, "%s %zu %s%s, %s has %zu: %.*s", what, width, of,
                   width == 1 ? "" : "s",
                   insert->column_count > 0 || insert->partition.count > 0 ? "INSERT" : "table",
                   plan->width, SPAN_PRINTF(bytes_span(&names)));
}

static enum err_code insert_values(const struct statement_call *call, const struct lookup *lookup,
                                   struct err *err)
{
    const struct insert *insert = &call->statement->insert;
    const struct ingest_options options = options_of(call, lookup);
    INGEST_CLEANUP struct ingest *ingest = NULL;
    TRY(ingest_open(&options, &ingest, err));
    struct insert_plan plan;
    TRY(insert_plan_make(call, insert, ingest_schema(ingest), &plan, err));
    if (insert->row_count > 0)
        TRY(width_check(insert, &plan, "a row has", "value", insert->row_width, err));
    TRY(rows_ingest(insert, &plan, ingest, err));
    return insert_commit(call, ingest, insert->overwrite, err);
}

/* ---- SELECT ---- */

/* The one partition that is named is there afterwards, whatever the query gives; of the others only
 * those of its rows are touched. */
static enum err_code named_partition_touch(const struct insert_plan *plan, struct ingest *ingest,
                                           struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    if (!plan->one_partition)
        return ERR_OK;
    insert_plan_key(plan, &key);
    return ingest_touch(ingest, bytes_span(&key), err);
}

static enum err_code insert_select(const struct statement_call *call, const struct lookup *lookup,
                                   struct err *err)
{
    const struct insert *insert = &call->statement->insert;
    struct ingest_options options = options_of(call, lookup);
    WRITTEN_QUERY_CLEANUP struct written_query query = {0};
    INGEST_CLEANUP struct ingest *ingest = NULL;
    TRY(written_query_open(&query, call, &lookup->project, insert->query, err));
    query.table = lookup;
    options.memory_bytes = query.memory_bytes;
    options.watch = written_query_watch(&query);
    TRY(ingest_open(&options, &ingest, err));
    struct insert_plan plan;
    size_t width;
    select_columns(query.cursor, &width);
    TRY(insert_plan_make(call, insert, ingest_schema(ingest), &plan, err));
    TRY(width_check(insert, &plan, "SELECT gives", "column", width, err));
    TRY(named_partition_touch(&plan, ingest, err));
    TRY(written_query_run(&query, &plan, ingest, err));
    return insert_commit(call, ingest, insert->overwrite, err);
}

enum err_code statement_insert(const struct statement_call *call, struct answer *answer,
                               struct err *err)
{
    (void)answer;
    const struct insert *insert = &call->statement->insert;
    struct lookup lookup;
    TRY(lookup_table(call, &insert->table, ACTION_UPDATE, &lookup, err));
    TRY(lookup_has_rows(&lookup, "INSERT", err));
    return insert->query != NULL ? insert_select(call, &lookup, err)
                                 : insert_values(call, &lookup, err);
}
