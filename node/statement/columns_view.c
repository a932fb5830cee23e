/* INFORMATION_SCHEMA.COLUMNS: data columns, then partition columns, of the tables and snapshots that one may
 * Describe. */
#include "node/statement/object_view.h"

static const struct system_view_column columns[] = {
    {"table_catalog", TYPE_STRING, true},    {"table_schema", TYPE_STRING, true},
    {"table_name", TYPE_STRING, true},       {"column_name", TYPE_STRING, true},
    {"ordinal_position", TYPE_BIGINT, true}, {"column_default", TYPE_STRING, false},
    {"is_nullable", TYPE_BOOLEAN, true},     {"data_type", TYPE_STRING, true},
    {"column_comment", TYPE_STRING, false},  {"is_partition_key", TYPE_BOOLEAN, true},
    {"is_primary_key", TYPE_BOOLEAN, true},
};

static void row_put(struct object_pass *pass, const struct column *column, size_t position,
                    bool partition)
{
    struct value values[ARRAY_COUNT(columns)];
    char type[TYPE_TEXT_BYTES];
    size_t at = OBJECT_VIEW_REST;
    object_pass_names(pass, values);
    values[at++] = row_text(column->name);
    values[at++] = row_number(position);
    values[at++] = (struct value){.null = !column->has_default, .text = column->default_text};
    values[at++] = row_boolean(!partition && !column->not_null);
    values[at++] = row_text(span_text(type_format(column->type, type)));
    values[at++] = row_text(column->comment);
    values[at++] = row_boolean(partition);
    values[at++] = row_boolean(false);
    ASSERT(at == ARRAY_COUNT(columns));
    object_pass_put(pass, values);
}

static enum err_code rows(struct object_pass *pass, bool *ret_more, struct err *err)
{
    const struct version_record *version;
    (void)ret_more;
    if (!object_pass_may(pass, ACTION_DESCRIBE))
        return ERR_OK;
    TRY(object_pass_version(pass, &version, err));
    const struct schema *schema = &version->schema;
    for (size_t i = 0; i < schema->column_count; i++)
        row_put(pass, &schema->columns[i], i + 1, false);
    for (size_t i = 0; i < schema->partition_column_count; i++)
        row_put(pass, &schema->partition_columns[i], schema->column_count + i + 1, true);
    return ERR_OK;
}

static const struct object_functions functions = {.rows = rows};

const struct system_view columns_view = {
    .name = "COLUMNS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &object_view_ops,
    .open = object_view_open,
    .close = object_view_free,
    .object = &functions,
};
