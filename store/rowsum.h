/* Row checksum: "the same rows" told from a partition's rows alone, whatever their order and
 * layout.
 *
 * The sum mod 2^128 over all rows of SipHash-2-4-128 (fixed public key) of the row: for each column
 * that is not NULL, in order of column id, u32 id, u8 type and the length-prefixed value; NULLs are
 * left out, the id says which. docs/FORMATS.md, "Row checksum". It guards against mistakes, not
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
    const struct schema *schema; /* borrows until deinit */
    struct rowsum_column *order; /* data columns in order of column id */
    struct bytes row;            /* scratch */
    unsigned __int128 sum;
};

void rowsum_init(struct rowsum *rowsum, const struct schema *schema);
void rowsum_deinit(struct rowsum *rowsum);
#define ROWSUM_CLEANUP __attribute__((cleanup(rowsum_deinit)))

/* Adds rows [at, at + rows) of a batch of this schema. */
void rowsum_add(struct rowsum *rowsum, const struct batch *batch, size_t at, size_t rows);
/* The sum since init or reset. */
struct row_checksum rowsum_get(const struct rowsum *rowsum);
void rowsum_reset(struct rowsum *rowsum);

/* a + b: a partition that gets another segment. */
struct row_checksum row_checksum_add(struct row_checksum a, struct row_checksum b);
bool row_checksum_equal(struct row_checksum a, struct row_checksum b);

#endif
