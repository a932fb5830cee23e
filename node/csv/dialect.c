/* See dialect.h. */
#include "node/csv/dialect.h"

#include "proto/digest.h"

struct csv_dialect csv_dialect_default(void)
{
    struct csv_dialect dialect = {.field = {.data = {','}, .len = 1}};
    return dialect;
}

struct span csv_mark_span(const struct csv_mark *mark)
{
    return span_of(mark->data, mark->len);
}

enum err_code csv_mark_set(struct span text, struct csv_mark *ret_mark, struct err *err)
{
    struct csv_mark mark = {.len = text.len};
    if (text.len > LIMIT_CSV_MARK_BYTES)
        return err_set(err, ERR_PARAMETER, "\"%.*s\" is longer than %d bytes", SPAN_PRINTF(text),
                       LIMIT_CSV_MARK_BYTES);
    if (text.len > 0)
        memcpy(mark.data, text.data, text.len);
    *ret_mark = mark;
    return ERR_OK;
}

/* One escape after its backslash. Returns the characters consumed, 0 when there is no such. */
static size_t escape_parse(struct span after, uint8_t *ret_byte)
{
    static const char letters[] = "rnt\\", meanings[] = "\r\n\t\\";
    uint8_t code[2];
    if (after.len == 0)
        return 0;
    const char *letter = memchr(letters, after.data[0], sizeof letters - 1);
    if (letter != NULL) {
        *ret_byte = (uint8_t)meanings[letter - letters];
        return 1;
    }
    if (after.data[0] != 'u' || after.len < 5 ||
        !hex_decode(span_slice(after, 1, 4), code, sizeof code) || code[0] != 0 || code[1] >= 0x80)
        return 0;
    *ret_byte = code[1];
    return 5;
}

enum err_code csv_mark_parse(struct span text, struct csv_mark *ret_mark, struct err *err)
{
    struct csv_mark mark = {0};
    for (size_t at = 0; at < text.len;) {
        uint8_t byte = text.data[at++];
        if (byte == '\\') {
            size_t used = escape_parse(span_slice(text, at, text.len - at), &byte);
            if (used == 0)
                return err_set(err, ERR_PARAMETER,
                               "\"%.*s\": an escape is one of \\r \\n \\t \\\\ \\u0000 to \\u007f",
                               SPAN_PRINTF(text));
            at += used;
        }
        if (mark.len == LIMIT_CSV_MARK_BYTES)
            return err_set(err, ERR_PARAMETER, "\"%.*s\" is longer than %d bytes",
                           SPAN_PRINTF(text), LIMIT_CSV_MARK_BYTES);
        mark.data[mark.len++] = byte;
    }
    if (mark.len == 0)
        return err_set(err, ERR_PARAMETER, "a delimiter has at least one byte");
    *ret_mark = mark;
    return ERR_OK;
}

static bool shares_byte(const struct csv_mark *a, const struct csv_mark *b)
{
    for (size_t i = 0; i < a->len; i++)
        if (memchr(b->data, a->data[i], b->len) != NULL)
            return true;
    return false;
}

enum err_code csv_dialect_validate(const struct csv_dialect *dialect, struct err *err)
{
    static const struct csv_mark quote = {.data = {'"'}, .len = 1};
    static const struct csv_mark line_end = {.data = {'\n'}, .len = 1};
    const struct csv_mark *record = dialect->record.len > 0 ? &dialect->record : &line_end;

    if (dialect->field.len == 0)
        return err_set(err, ERR_PARAMETER, "the field delimiter is empty");
    if (shares_byte(&dialect->field, &quote) || shares_byte(record, &quote))
        return err_set(err, ERR_PARAMETER, "a delimiter may not contain a double quote");
    if (memmem(dialect->field.data, dialect->field.len, record->data, record->len) != NULL)
        return err_set(err, ERR_PARAMETER,
                       "the field delimiter may not contain the record delimiter");
    if (shares_byte(&dialect->null, &quote) || shares_byte(&dialect->null, &dialect->field) ||
        shares_byte(&dialect->null, record))
        return err_set(
            err, ERR_PARAMETER,
            "the null indicator may not contain a double quote or a byte of a delimiter");
    return ERR_OK;
}
