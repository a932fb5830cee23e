/* Where a partition's rows are cut into row groups: by content, so that an inserted or removed row
 * moves the groups near it and not all that follow.
 *
 * A group ends after a row whose hash has ROW_GROUP_CUT_ZERO_BITS zero bits, once it has
 * ROW_GROUP_ROWS_MIN rows; always at ROW_GROUP_ROWS_MAX rows, and before the row that would bring a
 * column over ROW_GROUP_COLUMN_BYTES_MAX or the whole over ROW_GROUP_BYTES_MAX plain bytes
 * (vector_plain_bytes). It has at least one row.
 *
 * Invariant: cuts depend on the rows and their order alone: not on how they came in batches, not on
 * memory. A row's hash is over its data columns by id; its constants are part of the format.
 */
#ifndef STORE_ROWGROUP_H
#define STORE_ROWGROUP_H

#include "proto/vector.h"

struct row_group_cutter {
    size_t column_count;
    size_t *column_bytes; /* of the open group; owned */
    size_t bytes;
    size_t rows;
};

void row_group_cutter_init(struct row_group_cutter *cutter, size_t column_count);
void row_group_cutter_deinit(struct row_group_cutter *cutter);

/* One hash a row of at .. at + rows, over the first `column_count` vectors. */
void row_hashes(const struct batch *batch, const struct column *columns, size_t column_count,
                size_t at, size_t rows, uint64_t *ret_hashes);

/* How many of the rows at .. at + rows belong to the open group: all, or fewer, and then (or when
 * the last one ends it) *ret_ended is true and the next call begins a new group. hashes[0] is row
 * `at`'s. May be 0 with *ret_ended true. */
size_t row_group_take(struct row_group_cutter *cutter, const struct batch *batch,
                      const uint64_t *hashes, size_t at, size_t rows, bool *ret_ended);
/* The next row begins a new group, whatever the rows say: a segment ends. */
void row_group_cutter_reset(struct row_group_cutter *cutter);

#endif
