#include "node/load_rows.h"

#include "node/ingest.h"
#include "node/statement/lookup.h"
#include "node/statement/partition.h"
#include "proto/key.h"

#define UPLOAD_ACTION "UPLOAD" /* in the audit log, when it was refused */

struct load_rows {
    struct ingest *ingest;
    const struct statement_services *services;
    struct statement_audit audit;
    struct table_id table;
    enum upload_mode mode;
    struct arena arena;
    struct column *columns; /* of what is appended */
    size_t column_count;
    size_t partition_column_count;
    struct value fixed[LIMIT_PARTITION_LEVELS]; /* values named at begin */
    bool is_fixed[LIMIT_PARTITION_LEVELS];
};

/* ---- open, close ---- */

static enum err_code fixed_parse(struct load_rows *rows, const struct operator_pair *pair,
                                 struct err *err)
{
    const struct schema *schema = ingest_schema(rows->ingest);
    bool is_partition;
    const struct column *column = schema_find(schema, pair->key, &is_partition);
    if (column == NULL || !is_partition)
        return err_set(err, ERR_SEMANTIC, "%.*s is not a partition column", SPAN_PRINTF(pair->key));
    size_t level = (size_t)(column - schema->partition_columns);
    if (rows->is_fixed[level])
        return err_set(err, ERR_SEMANTIC, "partition column %.*s is given twice",
                       SPAN_PRINTF(pair->key));
    struct span text = arena_copy(&rows->arena, pair->value);
    if (text.data == NULL)
        return err_set(err, ERR_LIMIT, "the partition is too long");
    TRY(value_parse(column->type, text, &rows->fixed[level], err));
    TRY(partition_value_check(column, rows->fixed[level], err));
    rows->is_fixed[level] = true;
    return ERR_OK;
}

/* What chunks hold: data columns, then the partition columns that are not fixed. */
static enum err_code columns_choose(struct load_rows *rows, struct err *err)
{
    const struct schema *schema = ingest_schema(rows->ingest);
    size_t most = schema->column_count + schema->partition_column_count;
    rows->columns = arena_alloc(&rows->arena, most, sizeof(*rows->columns));
    if (rows->columns == NULL)
        return err_set(err, ERR_LIMIT, "too many columns");
    for (size_t i = 0; i < schema->column_count; i++)
        rows->columns[rows->column_count++] = schema->columns[i];
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        if (rows->is_fixed[i])
            continue;
        rows->columns[rows->column_count++] = schema->partition_columns[i];
        rows->partition_column_count++;
    }
    return ERR_OK;
}

static void fixed_key(const struct load_rows *rows, struct bytes *key)
{
    const struct schema *schema = ingest_schema(rows->ingest);
    for (size_t i = 0; i < schema->partition_column_count; i++)
        key_append_value(key, schema->partition_columns[i].type, rows->fixed[i]);
}

/* A partition that is named: it must be there, or be made; a load into it touches it. */
static enum err_code fixed_check(struct load_rows *rows, const struct operator_load_begin *begin,
                                 struct err *err)
{
    const struct schema *schema = ingest_schema(rows->ingest);
    bool whole = rows->partition_column_count == 0;
    if (schema->partition_column_count == 0)
        return ERR_OK;
    if (!whole && !begin->auto_partition)
        return err_set(err, ERR_PARAMETER,
                       "%.*s is partitioned: name the partition (TABLE/%.*s=\"...\") or take it "
                       "from the data with -acp=true",
                       SPAN_PRINTF(begin->table), SPAN_PRINTF(schema->partition_columns[0].name));
    if (!whole)
        return ERR_OK;
    BYTES_CLEANUP struct bytes key = {0};
    bool has = begin->auto_partition;
    fixed_key(rows, &key);
    if (!has)
        TRY(ingest_has_partition(rows->ingest, bytes_span(&key), &has, err));
    if (!has)
        return err_set(err, ERR_NOT_FOUND,
                       "the partition does not exist: ALTER TABLE ... ADD PARTITION, or make it "
                       "with -acp=true");
    return rows->mode == UPLOAD_APPEND && !begin->auto_partition
               ? ERR_OK
               : ingest_touch(rows->ingest, bytes_span(&key), err);
}

static enum err_code load_rows_fill(struct load_rows *rows, const struct load_rows_options *options,
                                    struct err *err)
{
    const struct statement_services *services = options->services;
    const struct operator_load_begin *begin = options->begin;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    const struct statement_call call = {
        .services = services,
        .principal = options->principal,
        .arena = &arena,
        .audit = &rows->audit,
    };
    const struct name name = {.project = begin->project, .object = begin->table};
    struct lookup lookup;
    enum err_code code = lookup_table(&call, &name, ACTION_UPDATE, &lookup, err);
    if (code != ERR_OK) {
        statement_refused(&call, UPLOAD_ACTION, err);
        return code;
    }
    TRY(lookup_has_rows(&lookup, "tunnel upload", err));
    const struct ingest_options ingest = {
        .store = services->store,
        .account = lookup.project.owner,
        .table = lookup.id,
        .mode = begin->mode,
        .memory_bytes = options->memory_bytes,
    };
    rows->table = lookup.id;
    TRY(ingest_open(&ingest, &rows->ingest, err));
    for (size_t i = 0; i < begin->partition_count; i++)
        TRY(fixed_parse(rows, &begin->partition[i], err));
    TRY(columns_choose(rows, err));
    return fixed_check(rows, begin, err);
}

enum err_code load_rows_open(const struct load_rows_options *options, struct load_rows **ret_rows,
                             struct err *err)
{
    struct load_rows *rows = mem_calloc(1, sizeof(*rows));
    rows->mode = options->begin->mode;
    rows->services = options->services;
    snprintf(rows->audit.address, sizeof(rows->audit.address), "%s", options->address);
    arena_init(&rows->arena, MIB(1));
    enum err_code code = load_rows_fill(rows, options, err);
    if (code != ERR_OK) {
        load_rows_close(rows);
        return code;
    }
    *ret_rows = rows;
    return ERR_OK;
}

void load_rows_close(struct load_rows *rows)
{
    if (rows == NULL)
        return;
    ingest_close(rows->ingest);
    arena_deinit(&rows->arena);
    mem_free(rows);
}

struct load_columns load_rows_columns(const struct load_rows *rows)
{
    return (struct load_columns){rows->columns, rows->column_count, rows->partition_column_count};
}

/* ---- rows ---- */

/* Texts that become partitions: once checked, a run of equal ones is not checked again. */
static enum err_code partition_values_check(const struct column *column,
                                            const struct vector *vector, struct err *err)
{
    struct span last = {0};
    for (size_t row = 0; column->type.kind == TYPE_STRING && row < vector->rows; row++) {
        struct value value = vector_value(vector, row);
        if (!value.null && last.data != NULL && span_equal(value.text, last))
            continue;
        if (partition_value_check(column, value, err) != ERR_OK)
            return err_set(err, ERR_BAD_DATA, "row %zu of the chunk: %s", row + 1, err->message);
        last = value.text;
    }
    return ERR_OK;
}

/* Rows as they came, with the fixed partition values put in. */
enum err_code load_rows_append(struct load_rows *rows, struct span encoded, struct err *err)
{
    const struct schema *schema = ingest_schema(rows->ingest);
    const struct schema given = operator_schema(rows->columns, rows->column_count);
    BATCH_CLEANUP struct batch chunk;
    BATCH_CLEANUP struct batch whole;
    batch_init(&chunk, &given);
    batch_init_all(&whole, schema);
    TRY(batch_decode(encoded, &chunk, err));
    size_t from = 0;
    for (size_t i = 0; i < whole.vector_count; i++) {
        size_t level = i - schema->column_count; /* huge for data columns */
        if (i >= schema->column_count && rows->is_fixed[level]) {
            for (size_t row = 0; row < chunk.rows; row++)
                vector_append(&whole.vectors[i], rows->fixed[level]);
            continue;
        }
        if (i >= schema->column_count)
            TRY(partition_values_check(&schema->partition_columns[level], &chunk.vectors[from],
                                       err));
        struct vector swap = whole.vectors[i];
        whole.vectors[i] = chunk.vectors[from];
        chunk.vectors[from++] = swap;
    }
    whole.rows = chunk.rows;
    return ingest_append(rows->ingest, &whole, err);
}

/* ---- commit ---- */

/* A load may last for hours, and its right end meanwhile: the audit log has it. */
static void refusal_note(struct load_rows *rows, const struct load_rows_commit *commit,
                         const struct err *err)
{
    struct store *store = rows->services->store;
    const struct statement_call call = {.services = rows->services,
                                        .principal = commit->principal,
                                        .id = commit->id,
                                        .audit = &rows->audit};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct table_record table;
    struct project_record project;
    if (table_get(store, NULL, rows->table, &arena, &table, NULL) == ERR_OK &&
        project_get(store, NULL, table.project, &arena, &project, NULL) == ERR_OK)
        statement_note_refused(&call, &project, table.name);
    statement_refused(&call, UPLOAD_ACTION, err);
}

enum err_code load_rows_commit(struct load_rows *rows, const struct load_rows_commit *commit,
                               struct outcome *ret_outcome, struct err *err)
{
    const struct ingest_commit ingest = {
        .operation = rows->mode == UPLOAD_APPEND ? OPERATION_LOAD : OPERATION_OVERWRITE,
        .now_ms = statement_now_ms(),
        .principals = rows->services->principals,
        .principal = commit->principal,
        .statement = commit->id,
        .content = commit->content,
    };
    struct err reason = {0};
    enum err_code code = ingest_commit(rows->ingest, &ingest, ret_outcome, &reason);
    if (code == ERR_DENIED)
        refusal_note(rows, commit, &reason);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}
