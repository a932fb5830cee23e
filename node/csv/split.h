/* Bytes of a CSV file -> records of fields. No I/O, no types.
 *
 * The caller holds a window of the file that starts at a record and asks for one record after the
 * other; SPLIT_MORE means: read on and ask again from the same place. Doubled quotes are undone in
 * the window itself, so it is the caller's writable memory; only bytes of a finished record change.
 */
#ifndef NODE_CSV_SPLIT_H
#define NODE_CSV_SPLIT_H

#include "node/csv/dialect.h"

struct csv_field {
    struct span text; /* borrows from the window, quotes undone */
    bool quoted;
    bool doubled; /* quoted, and some quote in it was written twice */
};

struct csv_split {
    struct csv_dialect dialect;
    uint8_t special[256];     /* 1: first byte of a delimiter */
    struct csv_field *fields; /* of the last record; owned */
    size_t field_count;
    size_t field_capacity;
    uint64_t line;         /* of the next record's first byte, from 1; counts LF */
    uint64_t record;       /* number of the next record, from 1; empty ones count */
    bool lines_meaningful; /* the record delimiter ends in LF: line is a line, else see record */
};

enum split_result {
    SPLIT_RECORD,
    SPLIT_MORE, /* the window ends within a record, or is empty */
    SPLIT_BAD,  /* *err says why; *ret_used skips to the next record where one can be found */
};

/* dialect has been validated. */
void csv_split_init(struct csv_split *split, const struct csv_dialect *dialect);
void csv_split_deinit(struct csv_split *split);
/* `last`: nothing follows the window; then SPLIT_MORE means that it is empty. A record ended by the
 * end of the file counts. Writes *ret_used, split->fields and field_count unless SPLIT_MORE; line
 * and record are advanced by the record. ERR_BAD_DATA: text after a closing quote; ERR_PARSE: a
 * quote that is never closed (nothing after it can be trusted; *ret_used is the whole window). */
enum split_result csv_split_next(struct csv_split *split, uint8_t *window, size_t len, bool last,
                                 size_t *ret_used, struct err *err);

#endif
