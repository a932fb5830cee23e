/* Rows in a frame, as the product page prints them: see format.h.
 *
 *     +----+------------+--------+
 *     | id | order_date | amount |
 *     +----+------------+--------+
 *     |  1 | 2024-01-15 | 299.00 |
 *     +----+------------+--------+
 *
 * Cells are kept as text until the widths are known: at the end, or when they are too many.
 */
#include "node/client/format.h"

#include "node/client/terminal.h"
#include "proto/limits.h"

struct table_format {
    struct format base;
    size_t *widths;    /* columns on screen */
    struct bytes held; /* cells so far, one after another */
    size_t *ends;      /* of each cell in held */
    size_t cell_count;
    size_t cell_capacity;
    bool started; /* the head is out, widths stand */
};

static bool is_number(struct type type)
{
    return type.kind == TYPE_BIGINT || type.kind == TYPE_INT || type.kind == TYPE_DOUBLE ||
           type.kind == TYPE_DECIMAL;
}

static void rule_append(const struct table_format *table, struct bytes *out)
{
    for (size_t c = 0; c < table->base.count; c++) {
        bytes_append_u8(out, '+');
        for (size_t i = 0; i < table->widths[c] + 2; i++)
            bytes_append_u8(out, '-');
    }
    bytes_append_text(out, "+\n");
}

static void cell_append(const struct table_format *table, size_t column, struct span text,
                        bool to_right, struct bytes *out)
{
    size_t width = text_width(text);
    size_t blanks = width < table->widths[column] ? table->widths[column] - width : 0;
    bytes_append_text(out, column == 0 ? "| " : " | ");
    if (to_right)
        blanks_append(blanks, out);
    bytes_append_span(out, text);
    if (!to_right)
        blanks_append(blanks, out);
    if (column + 1 == table->base.count)
        bytes_append_text(out, " |\n");
}

static void cell_hold(struct table_format *table, size_t column, struct value value)
{
    struct type type = table->base.columns[column].type;
    size_t start = table->held.len;
    if (value.null)
        bytes_append_text(&table->held, "NULL");
    else if (type.kind == TYPE_STRING)
        shown_append(value.text, &table->held);
    else
        value_format(type, value, &table->held);
    if (table->cell_count == table->cell_capacity) {
        table->cell_capacity = table->cell_capacity == 0 ? 256 : 2 * table->cell_capacity;
        table->ends = mem_realloc(table->ends, table->cell_capacity, sizeof *table->ends);
    }
    table->ends[table->cell_count++] = table->held.len;
    size_t width = text_width(span_of(table->held.data + start, table->held.len - start));
    if (!table->started && width > table->widths[column])
        table->widths[column] = width;
}

static void head_append(struct table_format *table, struct bytes *out)
{
    if (table->started)
        return;
    table->started = true;
    rule_append(table, out);
    for (size_t c = 0; c < table->base.count; c++) {
        struct bytes name BYTES_CLEANUP = {0};
        shown_append(table->base.columns[c].name, &name);
        cell_append(table, c, bytes_span(&name), false, out);
    }
    rule_append(table, out);
}

static void held_append(struct table_format *table, struct bytes *out)
{
    size_t start = 0;
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->base.count;
        struct span text = span_of(table->held.data + start, table->ends[i] - start);
        cell_append(table, column, text, is_number(table->base.columns[column].type), out);
        start = table->ends[i];
    }
    table->cell_count = 0;
    bytes_clear(&table->held);
}

static void table_rows(struct format *format, const struct batch *batch, struct bytes *out)
{
    struct table_format *table = (struct table_format *)format;
    for (size_t row = 0; row < batch->rows; row++) {
        for (size_t c = 0; c < format->count; c++)
            cell_hold(table, c, vector_value(&batch->vectors[c], row));
        if (!table->started && table->held.len > LIMIT_TABLE_FORMAT_BYTES)
            head_append(table, out);
        if (table->started)
            held_append(table, out);
    }
}

static void table_end(struct format *format, struct bytes *out)
{
    struct table_format *table = (struct table_format *)format;
    head_append(table, out);
    held_append(table, out);
    rule_append(table, out);
    bytes_deinit(&table->held);
    mem_free(table->ends);
    mem_free(table->widths);
    mem_free(table);
}

static struct format *table_new(const struct format_kind *kind, const struct column *columns,
                                size_t count)
{
    struct table_format *table = mem_calloc(1, sizeof *table);
    table->base = (struct format){.kind = kind, .columns = columns, .count = count};
    table->widths = mem_calloc(count, sizeof *table->widths);
    for (size_t c = 0; c < count; c++) {
        struct bytes name BYTES_CLEANUP = {0};
        shown_append(columns[c].name, &name);
        table->widths[c] = text_width(bytes_span(&name));
    }
    return &table->base;
}

const struct format_kind format_table = {"table", table_new, table_rows, table_end};
