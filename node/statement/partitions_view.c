/* INFORMATION_SCHEMA.PARTITIONS: of the tables and snapshots that one may Describe; in order of their values
 * within one. partition_name is what PARTITION(...) takes: ds='20190130',hh='01'. */
#include "node/sql/lexer.h"
#include "node/statement/object_view.h"
#include "proto/key.h"

static const struct system_view_column columns[] = {
    {"table_catalog", TYPE_STRING, true},
    {"table_schema", TYPE_STRING, true},
    {"table_name", TYPE_STRING, true},
    {"partition_name", TYPE_STRING, true},
    {"create_time", TYPE_DATETIME, false},
    {"last_modified_time", TYPE_DATETIME, false},
    {"data_length", TYPE_BIGINT, true},
    {"is_archived", TYPE_BOOLEAN, true},
    {"is_exstore", TYPE_BOOLEAN, true},
    {"cluster_type", TYPE_STRING, false},
    {"number_buckets", TYPE_BIGINT, false},
    /* ours */
    {"row_count", TYPE_BIGINT, true},
};

static enum err_code name_append(const struct schema *schema, struct span key, struct bytes *out,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct reader reader = reader_of(key);
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        const struct column *column = &schema->partition_columns[i];
        bytes_clear(&text);
        if (!reader_key_value_text(&reader, column->type, &text))
            return err_set(err, ERR_CORRUPT, "partition key does not fit its table");
        bytes_printf(out, "%s%.*s=", i > 0 ? "," : "", SPAN_PRINTF(column->name));
        literal_append(out, bytes_span(&text));
    }
    return ERR_OK;
}

static enum err_code row_put(struct object_pass *pass, const struct schema *schema,
                             const struct partition_row *row, struct bytes *name, struct err *err)
{
    struct value values[ARRAY_COUNT(columns)];
    object_pass_names(pass, values);
    bytes_clear(name);
    TRY(name_append(schema, row->key, name, err));
    size_t at = OBJECT_VIEW_REST;
    values[at++] = row_text(bytes_span(name));
    values[at++] = row_time(row->attribute.created_ms);
    values[at++] = row_time(row->attribute.modified_ms);
    values[at++] = row_number(row->partition.byte_count);
    values[at++] = row_boolean(false);
    values[at++] = row_boolean(false);
    clustering_values(&row->partition.clustering, &values[at], &values[at + 1]);
    at += 2;
    values[at++] = row_number(row->partition.row_count);
    ASSERT(at == ARRAY_COUNT(columns));
    object_pass_put(pass, values);
    return ERR_OK;
}

static enum err_code rows(struct object_pass *pass, bool *ret_more, struct err *err)
{
    BYTES_CLEANUP struct bytes name = {0};
    const struct version_record *version;
    if (!object_pass_may(pass, ACTION_DESCRIBE))
        return ERR_OK;
    TRY(object_pass_version(pass, &version, err));
    if (version->schema.partition_column_count == 0)
        return ERR_OK;
    if (pass->partitions == NULL)
        pass->partitions = partition_cursor_new(pass->reader, (struct span){0});
    while (pass->batch.rows < OBJECT_VIEW_CHUNK_ROWS) {
        struct partition_row row;
        bool end;
        TRY(partition_cursor_next(pass->partitions, &row, &end, err));
        if (end)
            return ERR_OK;
        TRY(row_put(pass, &version->schema, &row, &name, err));
    }
    *ret_more = true;
    return ERR_OK;
}

static const struct object_functions functions = {.rows = rows};

const struct system_view partitions_view = {
    .name = "PARTITIONS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &object_view_ops,
    .open = object_view_open,
    .close = object_view_free,
    .object = &functions,
};
