/* CSV file -> batches, by the columns of a table.
 *
 * The columns are given flat, in the order of the batch's vectors (data columns, then partition
 * columns where the file brings them). With a header they are matched by name, ASCII case folded:
 * each exactly once, and nothing else; without one by position. Errors name file, line, column, the
 * text and the type expected, with ERR_BAD_DATA:
 *
 *     day.csv: line 17, column amount: "12,x" is not a DECIMAL(10,2)
 *
 * Bad records (wrong number of fields, a text that is no value of its type, NULL in a NOT NULL
 * column, text after a closing quote) end the reading, or with discard_bad are passed over until
 * they are more than bad_max. A quote that is never closed, a damaged .zst and a wrong header end
 * it always. One thread.
 */
#ifndef NODE_CSV_READER_H
#define NODE_CSV_READER_H

#include "node/csv/input.h"
#include "node/csv/split.h"
#include "node/csv/times.h"
#include "proto/vector.h"

struct csv_read_options {
    struct csv_dialect dialect; /* validated */
    struct csv_times times;
    bool loose_schema; /* superfluous fields are dropped, missing ones NULL */
    bool discard_bad;
    uint64_t bad_max;
    void (*on_bad)(void *context, const struct err *err); /* each one passed over; or NULL */
    void *on_bad_context;
};

struct csv_reader;

struct csv_reader_counts {
    uint64_t rows;
    uint64_t bad;
    struct csv_input_progress input;
};

/* Borrows `columns` until close. path: a file, .zst, or "-". Reads the header. */
enum err_code csv_reader_open(const char *path, const struct column *columns, size_t column_count,
                              const struct csv_read_options *options,
                              struct csv_reader **ret_reader, struct err *err);
void csv_reader_close(struct csv_reader *reader); /* NULL too */
void csv_reader_close_pointer(struct csv_reader **reader);
#define CSV_READER_CLEANUP __attribute__((cleanup(csv_reader_close_pointer)))

/* Appends rows to the batch until it has about `bytes_max` of values; at the end of the file
 * *ret_end. After an error the batch holds the rows before the bad one; reading does not go on. */
enum err_code csv_reader_next(struct csv_reader *reader, size_t bytes_max, struct batch *batch,
                              bool *ret_end, struct err *err);
struct csv_reader_counts csv_reader_counts(const struct csv_reader *reader);

#endif
