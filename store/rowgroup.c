#include "store/rowgroup.h"

#include "proto/limits.h"
#include "store/hash.h"

void row_group_cutter_init(struct row_group_cutter *cutter, size_t column_count)
{
    *cutter = (struct row_group_cutter){.column_count = column_count,
                                        .column_bytes = mem_calloc(column_count, sizeof(size_t))};
}

void row_group_cutter_deinit(struct row_group_cutter *cutter)
{
    mem_free(cutter->column_bytes);
    *cutter = (struct row_group_cutter){0};
}

/* ---- hashes: column by column, so that the type is decided once ---- */

static void hash_text_column(const struct vector *vector, uint64_t id, size_t at, size_t rows,
                             uint64_t *hashes)
{
    for (size_t i = 0; i < rows; i++) {
        struct value value = vector_value(vector, at + i);
        hashes[i] = hash_mix(hashes[i] ^ (value.null ? HASH_NULL : hash_text(value.text)), id);
    }
}

static void hash_decimal_column(const struct vector *vector, uint64_t id, size_t at, size_t rows,
                                uint64_t *hashes)
{
    for (size_t i = 0; i < rows; i++) {
        decimal128 value = vector->decimal[at + i];
        uint64_t word = hash_mix((uint64_t)value, (uint64_t)(value >> 64));
        hashes[i] = hash_mix(hashes[i] ^ (vector->valid[at + i] != 0 ? word : HASH_NULL), id);
    }
}

static void hash_word_column(const struct vector *vector, uint64_t id, size_t at, size_t rows,
                             uint64_t *hashes)
{
    for (size_t i = 0; i < rows; i++) {
        uint64_t word;
        memcpy(&word, &vector->i64[at + i], 8); /* doubles too, by their bits */
        word = vector->valid[at + i] != 0 ? hash_mix(word, 1) : HASH_NULL;
        hashes[i] = hash_mix(hashes[i] ^ word, id);
    }
}

void row_hashes(const struct batch *batch, const struct column *columns, size_t column_count,
                size_t at, size_t rows, uint64_t *ret_hashes)
{
    ASSERT(column_count <= batch->vector_count && at + rows <= batch->rows);
    for (size_t i = 0; i < rows; i++)
        ret_hashes[i] = HASH_SEED;
    for (size_t c = 0; c < column_count; c++) {
        const struct vector *vector = &batch->vectors[c];
        if (vector->type.kind == TYPE_STRING)
            hash_text_column(vector, columns[c].id, at, rows, ret_hashes);
        else if (vector->type.kind == TYPE_DECIMAL)
            hash_decimal_column(vector, columns[c].id, at, rows, ret_hashes);
        else
            hash_word_column(vector, columns[c].id, at, rows, ret_hashes);
    }
}

/* ---- cuts ---- */

/* Counts the row in; false when it would bring the group over a limit of bytes. */
static bool row_fits(struct row_group_cutter *cutter, const struct batch *batch, size_t row)
{
    size_t total = 0;
    bool fits = true;
    for (size_t c = 0; c < cutter->column_count; c++) {
        size_t bytes = vector_plain_bytes(&batch->vectors[c], row);
        total += bytes;
        fits = fits && cutter->column_bytes[c] + bytes <= ROW_GROUP_COLUMN_BYTES_MAX;
    }
    fits = fits && cutter->bytes + total <= ROW_GROUP_BYTES_MAX;
    if (!fits && cutter->rows > 0)
        return false;
    for (size_t c = 0; c < cutter->column_count; c++)
        cutter->column_bytes[c] += vector_plain_bytes(&batch->vectors[c], row);
    cutter->bytes += total;
    cutter->rows++;
    return true;
}

/* Bytes of rows at .. at + rows. */
static size_t column_plain_bytes(const struct vector *vector, size_t at, size_t rows)
{
    size_t bytes = rows * vector_plain_bytes(vector, at);
    if (vector->type.kind == TYPE_STRING) {
        uint32_t start = at == 0 ? 0 : vector->text_end[at - 1];
        bytes = rows * sizeof(uint32_t) + (vector->text_end[at + rows - 1] - start);
    }
    return bytes;
}

/* Do that many rows stay within the limits of bytes? Then none of them has to be looked at. */
static bool rows_fit(const struct row_group_cutter *cutter, const struct batch *batch, size_t at,
                     size_t rows)
{
    size_t total = cutter->bytes;
    for (size_t c = 0; c < cutter->column_count; c++) {
        size_t bytes = column_plain_bytes(&batch->vectors[c], at, rows);
        if (cutter->column_bytes[c] + bytes > ROW_GROUP_COLUMN_BYTES_MAX)
            return false;
        total += bytes;
    }
    return total <= ROW_GROUP_BYTES_MAX;
}

/* Counts in rows that fit; the caller looks for cuts. */
static void rows_count(struct row_group_cutter *cutter, const struct batch *batch, size_t at,
                       size_t rows)
{
    for (size_t c = 0; c < cutter->column_count; c++) {
        size_t bytes = column_plain_bytes(&batch->vectors[c], at, rows);
        cutter->column_bytes[c] += bytes;
        cutter->bytes += bytes;
    }
    cutter->rows += rows;
}

void row_group_cutter_reset(struct row_group_cutter *cutter)
{
    memset(cutter->column_bytes, 0, cutter->column_count * sizeof(size_t));
    cutter->bytes = 0;
    cutter->rows = 0;
}

/* A group with so many rows ends after the one with this hash. */
static bool ends_after(size_t rows, uint64_t hash)
{
    const uint64_t mask = (UINT64_C(1) << ROW_GROUP_CUT_ZERO_BITS) - 1;
    return (rows >= ROW_GROUP_ROWS_MIN && (hash & mask) == 0) || rows == ROW_GROUP_ROWS_MAX;
}

size_t row_group_take(struct row_group_cutter *cutter, const struct batch *batch,
                      const uint64_t *hashes, size_t at, size_t rows, bool *ret_ended)
{
    size_t taken = 0;
    bool ended = false;
    if (rows > 0 && rows_fit(cutter, batch, at, rows)) {
        while (!ended && taken < rows) {
            ended = ends_after(cutter->rows + taken + 1, hashes[taken]);
            taken++;
        }
        rows_count(cutter, batch, at, taken);
    }
    while (!ended && taken < rows) {
        if (!row_fits(cutter, batch, at + taken)) {
            ended = true;
            break;
        }
        ended = ends_after(cutter->rows, hashes[taken]);
        taken++;
    }
    if (ended)
        row_group_cutter_reset(cutter);
    *ret_ended = ended;
    return taken;
}
