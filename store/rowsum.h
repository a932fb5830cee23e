/* Row checksum: "the same rows" told from a partition's rows alone, whatever their order and
 * layout.
 *
 * The sum mod 2^128 over all rows of SipHash-2-4-128 (fixed public key) of the row: for each data
 * column in order of id  u32 id | u8 kind | u8 precision | u8 scale | u8 NULL 1, value 0 | value, where
 * a value is 8 bytes (integers, the bits of a double), 16 (DECIMAL), u32 length + bytes (STRING) or
 * nothing (NULL), all big-endian. docs/FORMATS.md, "Row checksum". It guards against mistakes, not
 * against forgers.
 *
 * Adding a row, a batch, or another partition's sum are all the same addition, so several writers
 * may sum apart and add at the end. One thread at a time.
 */
#ifndef STORE_ROWSUM_H
#define STORE_ROWSUM_H

#include "proto/page.h"
#include "proto/vector.h"

struct rowsum {
    size_t column_count;
    struct rowsum_column *columns; /* in order of id */
    struct bytes row;              /* scratch: one row's bytes */
    unsigned __int128 sum;
};

/* Takes what it needs from the schema; nothing is borrowed. */
void rowsum_init(struct rowsum *rowsum, const struct schema *schema);
void rowsum_deinit(struct rowsum *rowsum);
#define ROWSUM_CLEANUP __attribute__((cleanup(rowsum_deinit)))

/* Adds rows [at, at + rows) of a batch whose first vectors are the schema's data columns. */
void rowsum_add(struct rowsum *rowsum, const struct batch *batch, size_t at, size_t rows);
/* The sum since init or reset. */
struct row_checksum rowsum_get(const struct rowsum *rowsum);
void rowsum_reset(struct rowsum *rowsum);

/* a + b: a partition that gets another segment. */
struct row_checksum row_checksum_add(struct row_checksum a, struct row_checksum b);
bool row_checksum_equal(struct row_checksum a, struct row_checksum b);

#endif
