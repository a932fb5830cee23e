/* Rows of a result as text: table, csv, json.
 *
 *     format_new -> format_rows ... -> format_end       each appends to `out`, which the caller
 *                                                       writes away and clears as it likes
 *
 * table  the frame of the product page: width of a column by what it shows (utf8proc), numbers to
 *        the right, NULL as NULL, control characters as \n or \x1b. The widths are those of the
 *        first LIMIT_TABLE_FORMAT_BYTES; wider cells after that push their line out.
 * csv    RFC 4180 with a header; NULL is empty, the empty text is "" (node/csv/dialect.h).
 * json   an object a line; DECIMAL, integers beyond 2^53 and non-finite doubles are strings.
 *
 * Adding a format: one file, one line in format.c.
 */
#ifndef NODE_CLIENT_FORMAT_H
#define NODE_CLIENT_FORMAT_H

#include "proto/vector.h"

struct format;

struct format_kind {
    const char *name;
    struct format *(*new)(const struct format_kind *kind, const struct column *columns,
                          size_t count);
    void (*rows)(struct format *format, const struct batch *batch, struct bytes *out);
    void (*end)(struct format *format, struct bytes *out); /* frees too */
};

extern const struct format_kind format_table, format_csv, format_json;

/* "table", "csv", "json"; NULL when unknown. */
const struct format_kind *format_find(const char *name);
const char *format_names(void); /* "table, csv or json" */

/* Borrows the columns until the end. */
struct format *format_new(const struct format_kind *kind, const struct column *columns,
                          size_t count);
void format_rows(struct format *format, const struct batch *batch, struct bytes *out);
void format_end(struct format *format, struct bytes *out);

/* What every kind's struct begins with. */
struct format {
    const struct format_kind *kind;
    const struct column *columns;
    size_t count;
};

#endif
