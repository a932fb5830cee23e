/* How a CSV file is written down: its delimiters, header and mark for NULL.
 *
 * The rules are RFC 4180's, with what tunnel options change:
 *   - A field that begins with a double quote is quoted: it ends at the next single quote, two
 *     quotes in it mean one, and delimiters and line ends in it are content. A quote further inside
 *     an unquoted field is an ordinary character.
 *   - A field delimiter is one byte or several; the record delimiter is LF or CR LF when none is
 *     named, else exactly the bytes named.
 *   - An unquoted field equal to the null indicator is NULL; a quoted one never is. So with the
 *     empty indicator (the default) `,,` is NULL and `,"",` the empty text.
 *   - A record without any byte is skipped, unless one column is expected: then it is that field.
 *   - A UTF-8 byte order mark at the start is skipped.
 */
#ifndef NODE_CSV_DIALECT_H
#define NODE_CSV_DIALECT_H

#include "proto/bytes.h"
#include "proto/limits.h"

struct csv_mark {
    uint8_t data[LIMIT_CSV_MARK_BYTES];
    size_t len;
};

struct csv_dialect {
    struct csv_mark field;  /* one byte at least */
    struct csv_mark record; /* empty: LF, and CR LF is read too */
    struct csv_mark null;   /* null indicator */
    bool header;
};

struct csv_dialect csv_dialect_default(void); /* comma, LF or CR LF, empty indicator, no header */
/* Copies literally. ERR_PARAMETER when too long. */
enum err_code csv_mark_set(struct span text, struct csv_mark *ret_mark, struct err *err);
/* With the escapes of delimiters: \r \n \t \\ \uXXXX (below 0080). */
enum err_code csv_mark_parse(struct span text, struct csv_mark *ret_mark, struct err *err);
/* What cannot be read back is refused: a field delimiter with a record delimiter or a quote in it, a
 * null indicator with a byte of either. ERR_PARAMETER. */
enum err_code csv_dialect_validate(const struct csv_dialect *dialect, struct err *err);
struct span csv_mark_span(const struct csv_mark *mark); /* borrows */

#endif
