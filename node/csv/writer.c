/* See writer.h. */
#include "node/csv/writer.h"

static void quoting_mark(struct csv_writer *writer, const struct csv_mark *mark)
{
    for (size_t i = 0; i < mark->len; i++)
        writer->quoting[mark->data[i]] = 1;
}

void csv_writer_init(struct csv_writer *writer, const struct csv_dialect *dialect,
                     const struct csv_times *times, enum csv_doubles doubles)
{
    *writer = (struct csv_writer){.dialect = *dialect, .times = *times, .doubles = doubles};
    quoting_mark(writer, &dialect->field);
    quoting_mark(writer, &dialect->record);
    writer->quoting['"'] = writer->quoting['\r'] = writer->quoting['\n'] = 1;
}

void csv_writer_deinit(struct csv_writer *writer)
{
    bytes_deinit(&writer->cell);
    *writer = (struct csv_writer){0};
}

static bool needs_quotes(const struct csv_writer *writer, struct span text)
{
    if (text.len == writer->dialect.null.len &&
        (text.len == 0 || memcmp(text.data, writer->dialect.null.data, text.len) == 0))
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (writer->quoting[text.data[i]])
            return true;
    return text.len > 0 && text.data[0] == 0xef; /* maybe a byte order mark */
}

static void text_append(const struct csv_writer *writer, struct span text, struct bytes *out)
{
    if (!needs_quotes(writer, text)) {
        bytes_append_span(out, text);
        return;
    }
    bytes_append_u8(out, '"');
    size_t at = 0;
    while (at < text.len) {
        const uint8_t *quote = memchr(text.data + at, '"', text.len - at);
        size_t end = quote == NULL ? text.len : (size_t)(quote - text.data) + 1;
        bytes_append(out, text.data + at, end - at);
        if (quote != NULL)
            bytes_append_u8(out, '"');
        at = end;
    }
    bytes_append_u8(out, '"');
}

/* "-1.5e-07" -> "-0.00000015", "1e+22" -> "10000000000000000000000": the same digits. */
static void exponent_expand(struct bytes *text)
{
    struct bytes plain BYTES_CLEANUP = {0};
    const uint8_t *mark = text->len > 0 ? memchr(text->data, 'e', text->len) : NULL;
    if (mark == NULL)
        mark = text->len > 0 ? memchr(text->data, 'E', text->len) : NULL;
    if (mark == NULL)
        return;
    bytes_append_u8(text, 0);
    long exponent = strtol((const char *)mark + 1, NULL, 10);
    char digits[32];
    long count = 0, point = -1;
    for (const uint8_t *at = text->data; at < mark && count < (long)sizeof digits; at++) {
        if (*at == '.')
            point = count;
        else if (*at >= '0' && *at <= '9')
            digits[count++] = (char)*at;
    }
    point = (point < 0 ? count : point) + exponent;
    if (text->data[0] == '-')
        bytes_append_u8(&plain, '-');
    if (point <= 0)
        bytes_append_text(&plain, "0.");
    for (long i = point < 0 ? point : 0; i < count || i < point; i++) {
        if (i == point && i > 0)
            bytes_append_u8(&plain, '.');
        bytes_append_u8(&plain, i < 0 || i >= count ? '0' : (uint8_t)digits[i]);
    }
    bytes_clear(text);
    bytes_append_span(text, bytes_span(&plain));
}

static void value_append(struct csv_writer *writer, struct type type, struct value value,
                         struct bytes *out)
{
    if (value.null) {
        bytes_append_span(out, csv_mark_span(&writer->dialect.null));
        return;
    }
    if (type.kind == TYPE_STRING) {
        text_append(writer, value.text, out);
        return;
    }
    bytes_clear(&writer->cell);
    if (type.kind == TYPE_DATETIME && !csv_times_plain(&writer->times))
        csv_times_format(&writer->times, value.i64, &writer->cell);
    else
        value_format(type, value, &writer->cell);
    if (type.kind == TYPE_DOUBLE && writer->doubles == CSV_DOUBLES_PLAIN && isfinite(value.f64))
        exponent_expand(&writer->cell);
    text_append(writer, bytes_span(&writer->cell), out);
}

static void record_end(const struct csv_writer *writer, struct bytes *out)
{
    if (writer->dialect.record.len == 0)
        bytes_append_u8(out, '\n');
    else
        bytes_append_span(out, csv_mark_span(&writer->dialect.record));
}

void csv_writer_header(struct csv_writer *writer, const struct column *columns, size_t count,
                       struct bytes *out)
{
    for (size_t c = 0; c < count; c++) {
        if (c > 0)
            bytes_append_span(out, csv_mark_span(&writer->dialect.field));
        text_append(writer, columns[c].name, out);
    }
    record_end(writer, out);
}

void csv_writer_rows(struct csv_writer *writer, const struct batch *batch, size_t row_count,
                     struct bytes *out)
{
    ASSERT(row_count <= batch->rows);
    for (size_t row = 0; row < row_count; row++) {
        for (size_t c = 0; c < batch->vector_count; c++) {
            if (c > 0)
                bytes_append_span(out, csv_mark_span(&writer->dialect.field));
            const struct vector *vector = &batch->vectors[c];
            value_append(writer, vector->type, vector_value(vector, row), out);
        }
        record_end(writer, out);
    }
}
