/* See terminal.h. */
#include "node/client/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <utf8proc.h>

#define COLUMNS_DEFAULT 80
#define LINES_DEFAULT   24
#define SIDE_MAX        10000 /* what a variable may say */

static size_t side(unsigned short told, const char *variable, size_t otherwise)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (told > 0)
        return told;
    unsigned long number = text == NULL ? 0 : strtoul(text, &end, 10);
    return end != NULL && *end == 0 && number > 0 && number <= SIDE_MAX ? number : otherwise;
}

struct terminal_size terminal_size(int file)
{
    struct winsize told = {0};
    if (ioctl(file, TIOCGWINSZ, &told) != 0)
        told = (struct winsize){0};
    return (struct terminal_size){.columns = side(told.ws_col, "COLUMNS", COLUMNS_DEFAULT),
                                  .lines = side(told.ws_row, "LINES", LINES_DEFAULT)};
}

/* One character: its bytes are the result, at least 1 of a text that is not empty; *ret_columns: its width. */
static size_t character_next(struct span text, utf8proc_int32_t *ret_character, size_t *ret_columns)
{
    utf8proc_ssize_t used = utf8proc_iterate(text.data, (utf8proc_ssize_t)text.len, ret_character);
    if (used <= 0) {
        *ret_character = -1;
        *ret_columns = 1;
        return 1;
    }
    int columns = utf8proc_charwidth(*ret_character);
    *ret_columns = columns > 0 ? (size_t)columns : 0;
    return (size_t)used;
}

size_t text_width(struct span text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t character;
        size_t columns;
        at += character_next(span_slice(text, at, text.len - at), &character, &columns);
        width += columns;
    }
    return width;
}

void shown_append(struct span text, struct bytes *out)
{
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t character;
        size_t columns;
        size_t used = character_next(span_slice(text, at, text.len - at), &character, &columns);
        if (character < 0)
            bytes_printf(out, "\\x%02x", text.data[at]);
        else if (character == '\n')
            bytes_append_text(out, "\\n");
        else if (character == '\r')
            bytes_append_text(out, "\\r");
        else if (character == '\t')
            bytes_append_text(out, "\\t");
        else if (character < 0x20 || (character >= 0x7f && character < 0xa0))
            bytes_printf(out, "\\x%02x", (unsigned)character);
        else
            bytes_append(out, text.data + at, used);
        at += used;
    }
}

/* How many bytes of the text stand in so many columns. */
static size_t fitting_bytes(struct span text, size_t columns)
{
    size_t at = 0, width = 0;
    while (at < text.len) {
        utf8proc_int32_t character;
        size_t more;
        size_t used = character_next(span_slice(text, at, text.len - at), &character, &more);
        if (width + more > columns)
            break;
        width += more;
        at += used;
    }
    return at;
}

void shown_append_cut(struct span text, size_t columns, struct bytes *out)
{
    static const char more[] = "...";
    struct bytes shown BYTES_CLEANUP = {0};
    shown_append(text, &shown);
    struct span all = bytes_span(&shown);
    if (text_width(all) <= columns) {
        bytes_append_span(out, all);
        return;
    }
    size_t dots = columns > sizeof more - 1 ? sizeof more - 1 : 0;
    bytes_append_span(out, span_slice(all, 0, fitting_bytes(all, columns - dots)));
    bytes_append(out, more, dots);
}

void shown_append_padded(struct span text, size_t columns, struct bytes *out)
{
    size_t start = out->len;
    shown_append_cut(text, columns, out);
    size_t width = text_width(span_of(out->data + start, out->len - start));
    blanks_append(columns - width, out);
}

void blanks_append(size_t count, struct bytes *out)
{
    for (size_t i = 0; i < count; i++)
        bytes_append_u8(out, ' ');
}
