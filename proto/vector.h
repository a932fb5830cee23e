/* Values of one column in memory, and a batch of them: what loads bring in and scans give out.
 *
 * Invariants: 1. every vector of a batch has batch.rows rows. 2. A NULL row's value is zero (or the
 * empty text), so that equal rows are equal bytes. 3. Type fixes which array is in use.
 * Memory: a vector owns its arrays. One thread at a time. What is compressed: store/column.h
 * (column files).
 */
#ifndef PROTO_VECTOR_H
#define PROTO_VECTOR_H

#include "proto/schema.h"

struct vector {
    struct type type;
    size_t rows;
    size_t capacity;
    size_t null_count;
    uint8_t *valid; /* one byte a row: 1 value, 0 NULL */
    union {
        int64_t *i64; /* BIGINT, INT, BOOLEAN, DATE, DATETIME: units as in struct value */
        double *f64;
        decimal128 *decimal;
        uint32_t *text_end; /* STRING: end of row i in text; row 0 starts at 0 */
    };
    struct bytes text; /* STRING: all values, one after another; below 4 GiB */
};

struct batch {
    size_t rows;
    size_t vector_count;
    struct vector *vectors; /* data columns in schema order */
};

void vector_init(struct vector *vector, struct type type);
void vector_deinit(struct vector *vector);
void vector_clear(struct vector *vector);                      /* keeps the memory */
void vector_append(struct vector *vector, struct value value); /* copies text */
void vector_append_range(struct vector *vector, const struct vector *from, size_t at, size_t rows);
/* Rows of `from` in the order given, repeated or not. */
void vector_append_rows(struct vector *vector, const struct vector *from, const uint32_t *rows,
                        size_t count);
struct value vector_value(const struct vector *vector, size_t row); /* text borrows */
size_t vector_memory_bytes(const struct vector *vector);            /* allocated */
void vector_reserve(struct vector *vector, size_t more_rows);
/* Of one row: 8, DECIMAL 16, STRING 4 and its bytes; the same for NULL. Row groups are cut by it.
 */
size_t vector_plain_bytes(const struct vector *vector, size_t row);

void batch_init(struct batch *batch, const struct schema *schema);
/* Data columns, then partition columns: what a load takes and a scan may give. */
void batch_init_all(struct batch *batch, const struct schema *schema);
void batch_init_types(struct batch *batch, const struct type *types, size_t count);
void batch_deinit(struct batch *batch);
void batch_clear(struct batch *batch);
size_t batch_memory_bytes(const struct batch *batch); /* allocated */
#define VECTOR_CLEANUP __attribute__((cleanup(vector_deinit)))
#define BATCH_CLEANUP  __attribute__((cleanup(batch_deinit)))
/* Rows at .. at + rows of `from`, whose vectors have the same types. */
void batch_append_range(struct batch *batch, const struct batch *from, size_t at, size_t rows);

/* The plain block form of a batch (docs/FORMATS.md): what loads, results and spill files carry.
 * Types are not in it: both sides know them. decode validates everything (counts, lengths, UTF-8,
 * ranges of each type, zero under NULL) before it changes the batch, which was made with the types
 * and is replaced, and gives ERR_BAD_DATA. Memory: at most 17 times the encoded bytes. */
void batch_encode(const struct batch *batch, struct bytes *out);
enum err_code batch_decode(struct span encoded, struct batch *batch, struct err *err);

/* Parts of the block form that column files use too (store/column.h). Validity: one bit a row,
 * lowest first, the last byte padded with zeros; `bits` has exactly the bytes for `rows`. */
void validity_append(const uint8_t *valid, size_t rows, struct bytes *out);
bool validity_valid(struct span bits, size_t rows, size_t *ret_nulls); /* padding is zero */
void validity_unpack(struct span bits, size_t rows, uint8_t *ret_valid);
/* `ends` (4 bytes a row, host order) cut the whole text into UTF-8 cells of allowed length. */
bool text_ends_valid(const uint8_t *ends, size_t rows, struct span text);

#endif
