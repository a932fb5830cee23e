/* See reader.h. A record is converted whole before any vector grows, so a bad one leaves no trace.
 */
#include "node/csv/reader.h"

#define SHOWN_BYTES 60 /* of a text in a message */
#define NO_FIELD    SIZE_MAX

struct csv_reader {
    char *path; /* as messages name it */
    const struct column *columns;
    size_t column_count;
    struct csv_read_options options;
    struct csv_input *input;
    struct csv_split split;
    size_t field_count;   /* a record must have so many (strict), or the header had */
    size_t *fields;       /* of column i, or NO_FIELD */
    struct value *values; /* of the record at hand */
    size_t fixed_bytes;   /* of a row, beside its texts */
    uint64_t line;        /* of the record at hand: a line, or see split.lines_meaningful */
    uint64_t rows;
    uint64_t bad;
};

/* "day.csv: line 17" before the message. */
static enum err_code place_wrap(const struct csv_reader *reader, struct err *err)
{
    return err_wrap(err, "%s: %s %" PRIu64, reader->path,
                    reader->split.lines_meaningful ? "line" : "record", reader->line);
}

/* The next record, read on where needed. SPLIT_MORE: the file is at its end. */
static enum err_code record_next(struct csv_reader *reader, enum split_result *ret_result,
                                 struct err *err)
{
    while (true) {
        size_t len = 0, used = 0;
        bool last = false;
        uint8_t *window = csv_input_window(reader->input, &len, &last);
        reader->line = reader->split.lines_meaningful ? reader->split.line : reader->split.record;
        enum split_result result = csv_split_next(&reader->split, window, len, last, &used, err);
        if (result != SPLIT_MORE)
            csv_input_consume(reader->input, used);
        else if (!last) {
            TRY(csv_input_fill(reader->input, err));
            continue;
        }
        *ret_result = result;
        return ERR_OK;
    }
}

static bool name_equal(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static void name_list(struct bytes *list, const char *what, struct span name)
{
    bytes_printf(list, "%s%s%.*s", list->len > 0 ? ", " : "", what, SPAN_PRINTF(name));
}

/* Matches the header's names with the columns, each exactly once. */
static enum err_code header_match(struct csv_reader *reader, struct err *err)
{
    struct bytes wrong BYTES_CLEANUP = {0};
    for (size_t f = 0; f < reader->split.field_count; f++) {
        struct span name = reader->split.fields[f].text;
        size_t c = 0;
        while (c < reader->column_count && !name_equal(name, reader->columns[c].name))
            c++;
        if (c == reader->column_count && !reader->options.loose_schema)
            name_list(&wrong, "unknown column ", name);
        else if (c < reader->column_count && reader->fields[c] != NO_FIELD)
            name_list(&wrong, "twice ", name);
        else if (c < reader->column_count)
            reader->fields[c] = f;
    }
    for (size_t c = 0; c < reader->column_count && !reader->options.loose_schema; c++)
        if (reader->fields[c] == NO_FIELD)
            name_list(&wrong, "missing column ", reader->columns[c].name);
    if (wrong.len > 0)
        return err_set(err, ERR_BAD_DATA, "%s: the header does not fit the table: %.*s",
                       reader->path, SPAN_PRINTF(bytes_span(&wrong)));
    reader->field_count = reader->split.field_count;
    return ERR_OK;
}

static enum err_code header_read(struct csv_reader *reader, struct err *err)
{
    enum split_result result;
    for (size_t c = 0; c < reader->column_count; c++)
        reader->fields[c] = reader->options.dialect.header ? NO_FIELD : c;
    reader->field_count = reader->column_count;
    if (!reader->options.dialect.header)
        return ERR_OK;
    TRY(record_next(reader, &result, err));
    if (result == SPLIT_MORE)
        return err_set(err, ERR_BAD_DATA, "%s: the file is empty, a header was expected",
                       reader->path);
    if (result == SPLIT_BAD)
        return place_wrap(reader, err);
    return header_match(reader, err);
}

static size_t type_fixed_bytes(enum type_kind kind)
{
    return kind == TYPE_DECIMAL ? 17 : kind == TYPE_STRING ? 5 : 9; /* with the validity byte */
}

enum err_code csv_reader_open(const char *path, const struct column *columns, size_t column_count,
                              const struct csv_read_options *options,
                              struct csv_reader **ret_reader, struct err *err)
{
    ASSERT(column_count > 0);
    struct csv_reader *reader CSV_READER_CLEANUP = mem_calloc(1, sizeof *reader);
    reader->path = mem_strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    reader->columns = columns;
    reader->column_count = column_count;
    reader->options = *options;
    reader->fields = mem_calloc(column_count, sizeof *reader->fields);
    reader->values = mem_calloc(column_count, sizeof *reader->values);
    for (size_t c = 0; c < column_count; c++)
        reader->fixed_bytes += type_fixed_bytes(columns[c].type.kind);
    csv_split_init(&reader->split, &options->dialect);
    TRY(csv_input_open(path, &reader->input, err));
    TRY(header_read(reader, err));
    *ret_reader = reader;
    reader = NULL;
    return ERR_OK;
}

void csv_reader_close(struct csv_reader *reader)
{
    if (reader == NULL)
        return;
    csv_input_close(reader->input);
    csv_split_deinit(&reader->split);
    mem_free(reader->fields);
    mem_free(reader->values);
    mem_free(reader->path);
    mem_free(reader);
}

void csv_reader_close_pointer(struct csv_reader **reader)
{
    csv_reader_close(*reader);
}

struct csv_reader_counts csv_reader_counts(const struct csv_reader *reader)
{
    return (struct csv_reader_counts){
        .rows = reader->rows, .bad = reader->bad, .input = csv_input_progress(reader->input)};
}

/* Up to 18 digits with a sign: nearly every number there is. Others go through value_parse. */
static bool integer_parse(struct span text, int64_t *ret_value)
{
    size_t at = text.len > 0 && text.data[0] == '-';
    int64_t value = 0;
    if (text.len == at || text.len - at > 18)
        return false;
    for (size_t i = at; i < text.len; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        value = 10 * value + digit;
    }
    *ret_value = at != 0 ? -value : value;
    return true;
}

static enum err_code text_bad(const struct column *column, struct span text, struct err *err)
{
    char type[TYPE_TEXT_BYTES];
    size_t shown = text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES;
    if (column->type.kind == TYPE_STRING && text.len > LIMIT_CELL_BYTES)
        return err_set(err, ERR_BAD_DATA, "column %.*s: a text of %zu bytes, %zu is the most",
                       SPAN_PRINTF(column->name), text.len, LIMIT_CELL_BYTES);
    if (column->type.kind == TYPE_STRING)
        return err_set(err, ERR_BAD_DATA, "column %.*s: a text that is not valid UTF-8",
                       SPAN_PRINTF(column->name));
    return err_set(err, ERR_BAD_DATA, "column %.*s: \"%.*s\"%s is not a %s",
                   SPAN_PRINTF(column->name), (int)shown, (const char *)text.data,
                   shown < text.len ? "..." : "", type_format(column->type, type));
}

static enum err_code field_convert(const struct csv_reader *reader, const struct column *column,
                                   const struct csv_field *field, struct value *ret_value,
                                   struct err *err)
{
    const struct csv_mark *null = &reader->options.dialect.null;
    if (!field->quoted && field->text.len == null->len &&
        (null->len == 0 || memcmp(field->text.data, null->data, null->len) == 0)) {
        *ret_value = (struct value){.null = true};
        return column->not_null ? err_set(err, ERR_BAD_DATA, "column %.*s is NOT NULL",
                                          SPAN_PRINTF(column->name))
                                : ERR_OK;
    }
    struct value value = {0};
    if (column->type.kind == TYPE_BIGINT && integer_parse(field->text, &value.i64)) {
        *ret_value = value;
        return ERR_OK;
    }
    bool fits;
    if (column->type.kind == TYPE_DATETIME && !csv_times_plain(&reader->options.times))
        fits = csv_times_parse(&reader->options.times, field->text, &value.i64);
    else
        fits = field->text.len <= LIMIT_CELL_BYTES &&
               value_parse(column->type, field->text, &value, NULL) == ERR_OK;
    if (!fits)
        return text_bad(column, field->text, err);
    *ret_value = value;
    return ERR_OK;
}

/* The record at hand -> reader->values. */
static enum err_code record_convert(struct csv_reader *reader, struct err *err)
{
    struct csv_field null = {0};
    size_t found = reader->split.field_count;
    if (found != reader->field_count && !reader->options.loose_schema)
        return err_set(
            err, ERR_BAD_DATA,
            "column mismatch, expected %zu columns, %zu columns found, please check data "
            "or delimiter",
            reader->field_count, found);
    for (size_t c = 0; c < reader->column_count; c++) {
        size_t f = reader->fields[c];
        const struct csv_field *field = &null;
        if (f < found)
            field = &reader->split.fields[f];
        else
            null.text = csv_mark_span(&reader->options.dialect.null);
        TRY(field_convert(reader, &reader->columns[c], field, &reader->values[c], err));
    }
    return ERR_OK;
}

static bool record_empty(const struct csv_reader *reader)
{
    const struct csv_field *field = &reader->split.fields[0];
    return reader->split.field_count == 1 && field->text.len == 0 && !field->quoted &&
           reader->field_count > 1;
}

/* Returns the bytes appended. */
static size_t row_append(struct csv_reader *reader, struct batch *batch)
{
    size_t bytes = reader->fixed_bytes;
    for (size_t c = 0; c < reader->column_count; c++) {
        const struct value *value = &reader->values[c];
        vector_append(&batch->vectors[c], *value);
        if (reader->columns[c].type.kind == TYPE_STRING && !value->null)
            bytes += value->text.len;
    }
    batch->rows++;
    reader->rows++;
    return bytes;
}

/* A bad record: passed over, or the end. err is set. */
static enum err_code bad_take(struct csv_reader *reader, struct err *err)
{
    bool hopeless = err->code == ERR_PARSE;
    bool maybe_header = reader->split.record == 2 && !reader->options.dialect.header;
    struct err plain = *err;
    (void)err_set(err, ERR_BAD_DATA, "%s%s", plain.message,
                  maybe_header && !hopeless ? " (is it a header? then -h=true)" : "");
    place_wrap(reader, err);
    if (hopeless || !reader->options.discard_bad)
        return ERR_BAD_DATA;
    reader->bad++;
    if (reader->bad > reader->options.bad_max)
        return err_wrap(err, "more than %" PRIu64 " bad records, the last one",
                        reader->options.bad_max);
    if (reader->options.on_bad != NULL)
        reader->options.on_bad(reader->options.on_bad_context, err);
    return ERR_OK;
}

enum err_code csv_reader_next(struct csv_reader *reader, size_t bytes_max, struct batch *batch,
                              bool *ret_end, struct err *err)
{
    ASSERT(batch->vector_count == reader->column_count);
    struct err own;
    struct err *why = err != NULL ? err : &own;
    size_t bytes = 0;
    while (bytes < bytes_max) {
        enum split_result result;
        TRY(record_next(reader, &result, why));
        if (result == SPLIT_MORE) {
            *ret_end = true;
            return ERR_OK;
        }
        if (result == SPLIT_RECORD && record_empty(reader))
            continue;
        if (result == SPLIT_BAD || record_convert(reader, why) != ERR_OK)
            TRY(bad_take(reader, why));
        else
            bytes += row_append(reader, batch);
    }
    *ret_end = false;
    return ERR_OK;
}
