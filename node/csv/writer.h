/* Batches -> CSV that the reader turns into the same batches.
 *
 * A field is quoted when it has a quote, CR, LF or a byte of a delimiter in it, begins with a byte
 * order mark, or would be read as NULL. Records end in the record delimiter, LF when none is named.
 */
#ifndef NODE_CSV_WRITER_H
#define NODE_CSV_WRITER_H

#include "node/csv/dialect.h"
#include "node/csv/times.h"
#include "proto/vector.h"

/* How a DOUBLE is written. Both forms are read back as the same value. */
enum csv_doubles {
    CSV_DOUBLES_SHORT, /* shortest, with an exponent where that is shorter: proto/type.h */
    CSV_DOUBLES_PLAIN, /* no exponent */
};

struct csv_writer {
    struct csv_dialect dialect;
    struct csv_times times;
    enum csv_doubles doubles;
    uint8_t quoting[256]; /* 1: a field with this byte is quoted */
    struct bytes cell;
};

/* The dialect has been validated. */
void csv_writer_init(struct csv_writer *writer, const struct csv_dialect *dialect,
                     const struct csv_times *times, enum csv_doubles doubles);
void csv_writer_deinit(struct csv_writer *writer);
/* Append to out. */
void csv_writer_header(struct csv_writer *writer, const struct column *columns, size_t count,
                       struct bytes *out);
void csv_writer_rows(struct csv_writer *writer, const struct batch *batch, size_t row_count,
                     struct bytes *out); /* the first row_count rows */

#endif
