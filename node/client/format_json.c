/* Rows as JSON, an object a line: see format.h. */
#include "node/client/format.h"

#define EXACT_IN_DOUBLE (INT64_C(1) << 53)

static struct format *json_new(const struct format_kind *kind, const struct column *columns,
                               size_t count)
{
    struct format *json = mem_calloc(1, sizeof *json);
    *json = (struct format){.kind = kind, .columns = columns, .count = count};
    return json;
}

/* RFC 8259, section 7. */
static void text_append(struct span text, struct bytes *out)
{
    static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
    size_t plain = 0;
    bytes_append_u8(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        bytes_append(out, text.data + plain, i - plain);
        plain = i + 1;
        const char *letter = byte == 0 ? NULL : strchr(letters, byte);
        if (letter != NULL)
            bytes_printf(out, "\\%c", escapes[letter - letters]);
        else
            bytes_printf(out, "\\u%04x", byte);
    }
    if (plain < text.len)
        bytes_append(out, text.data + plain, text.len - plain);
    bytes_append_u8(out, '"');
}

static bool bare(struct type type, struct value value)
{
    switch (type.kind) {
    case TYPE_BIGINT:
    case TYPE_INT:
        return value.i64 >= -EXACT_IN_DOUBLE && value.i64 <= EXACT_IN_DOUBLE;
    case TYPE_DOUBLE:
        return isfinite(value.f64);
    case TYPE_BOOLEAN:
        return true;
    case TYPE_DECIMAL:
    case TYPE_STRING:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    return false;
}

static void value_append(struct type type, struct value value, struct bytes *out)
{
    if (value.null)
        bytes_append_text(out, "null");
    else if (type.kind == TYPE_STRING)
        text_append(value.text, out);
    else if (bare(type, value))
        value_format(type, value, out);
    else {
        bytes_append_u8(out, '"');
        value_format(type, value, out);
        bytes_append_u8(out, '"');
    }
}

static void json_rows(struct format *format, const struct batch *batch, struct bytes *out)
{
    for (size_t row = 0; row < batch->rows; row++) {
        for (size_t c = 0; c < format->count; c++) {
            bytes_append_text(out, c == 0 ? "{" : ", ");
            text_append(format->columns[c].name, out);
            bytes_append_text(out, ": ");
            value_append(format->columns[c].type, vector_value(&batch->vectors[c], row), out);
        }
        bytes_append_text(out, "}\n");
    }
}

static void json_end(struct format *format, struct bytes *out)
{
    (void)out;
    mem_free(format);
}

const struct format_kind format_json = {"json", json_new, json_rows, json_end};
