#include "node/statement/clone_schema.h"

/* One of the two lists of both tables. */
struct columns {
    const char *what; /* "column", "partition column" */
    const struct column *source, *destination;
    size_t source_count, destination_count;
};

static bool names_equal(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static bool is_elsewhere(const struct columns *columns, struct span name)
{
    for (size_t i = 0; i < columns->destination_count; i++) {
        if (names_equal(columns->destination[i].name, name))
            return true;
    }
    return false;
}

static const char *nullable_text(const struct column *column)
{
    return column->not_null ? "NOT NULL" : "nullable";
}

static enum err_code column_check(const struct columns *columns, size_t i, struct err *err)
{
    const struct column *is = &columns->source[i];
    const struct column *to = &columns->destination[i];
    char is_type[TYPE_TEXT_BYTES], to_type[TYPE_TEXT_BYTES];
    if (!names_equal(is->name, to->name))
        return err_set(err, ERR_SEMANTIC,
                       "%s %zu is %.*s in the source and %.*s in the destination%s", columns->what,
                       i + 1, SPAN_PRINTF(is->name), SPAN_PRINTF(to->name),
                       is_elsewhere(columns, is->name) ? ", which has it in another place" : "");
    if (!type_equal(is->type, to->type))
        return err_set(err, ERR_SEMANTIC,
                       "%s %zu, %.*s, is %s in the source and %s in the destination", columns->what,
                       i + 1, SPAN_PRINTF(is->name), type_format(is->type, is_type),
                       type_format(to->type, to_type));
    if (is->not_null != to->not_null)
        return err_set(err, ERR_SEMANTIC,
                       "%s %zu, %.*s, is %s in the source and %s in the destination", columns->what,
                       i + 1, SPAN_PRINTF(is->name), nullable_text(is), nullable_text(to));
    if (is->id != to->id)
        return err_set(err, ERR_SEMANTIC,
                       "%s %zu, %.*s, was added to one of the tables later: its files know it by "
                       "another number; use INSERT ... SELECT",
                       columns->what, i + 1, SPAN_PRINTF(is->name));
    return ERR_OK;
}

static enum err_code columns_check(const struct columns *columns, struct err *err)
{
    size_t is = columns->source_count, to = columns->destination_count;
    for (size_t i = 0; i < is && i < to; i++)
        TRY(column_check(columns, i, err));
    if (is == to)
        return ERR_OK;
    const struct column *first = is > to ? &columns->source[to] : &columns->destination[is];
    return err_set(err, ERR_SEMANTIC,
                   "%s %zu, %.*s, is in the %s only: the source has %zu, the destination %zu",
                   columns->what, (is < to ? is : to) + 1, SPAN_PRINTF(first->name),
                   is > to ? "source" : "destination", is, to);
}

enum err_code clone_schema_check(const struct schema *source, const struct schema *destination,
                                 struct err *err)
{
    const struct columns data = {"column", source->columns, destination->columns,
                                 source->column_count, destination->column_count};
    const struct columns partition = {
        "partition column", source->partition_columns, destination->partition_columns,
        source->partition_column_count, destination->partition_column_count};
    if (columns_check(&data, err) != ERR_OK || columns_check(&partition, err) != ERR_OK)
        return err_wrap(err, "CLONE TABLE into a table that exists needs equal columns");
    return ERR_OK;
}
