/* Batches as blocks: batch_encode and batch_decode of proto/vector.h.
 *
 *     u8 version 1 | u8 0 | u16 vectors | u32 rows, then for each vector
 *     u8 0 | 1 has NULLs | [validity: one bit a row, lowest first, the last byte padded with zeros]
 *     values of all rows, little-endian: BIGINT, DATETIME, DOUBLE 8 bytes; INT, DATE 4; BOOLEAN 1;
 *     DECIMAL 16; STRING the 4-byte ends of all rows, then the text
 *
 * Decoding walks the block twice: the first walk checks everything and remembers where the parts
 * are, the second copies; so a failed call leaves the batch as it was.
 */
#include "proto/vector.h"

#include "proto/limits.h"

#define BLOCK_VERSION 1

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied in host order");

static size_t block_value_bytes(struct type type)
{
    switch (type.kind) {
    case TYPE_BOOLEAN:
        return 1;
    case TYPE_INT:
    case TYPE_DATE:
    case TYPE_STRING:
        return 4;
    case TYPE_DECIMAL:
        return 16;
    case TYPE_BIGINT:
    case TYPE_DOUBLE:
    case TYPE_DATETIME:
        return 8;
    }
    return 0;
}

/* ---- encode ---- */

void validity_append(const uint8_t *valid, size_t rows, struct bytes *out)
{
    size_t at = out->len;
    bytes_resize(out, at + (rows + 7) / 8);
    uint8_t *bits = out->data + at;
    size_t row = 0;
    for (; row + 8 <= rows; row += 8) {
        uint64_t eight; /* eight bytes of 0 | 1 to eight bits: each lands in the top byte */
        memcpy(&eight, valid + row, 8);
        *bits++ = (uint8_t)((eight * UINT64_C(0x0102040810204080)) >> 56);
    }
    if (row < rows) {
        *bits = 0;
        for (size_t i = 0; row + i < rows; i++)
            *bits |= (uint8_t)(valid[row + i] << i);
    }
}

static void encode_values(const struct vector *vector, struct bytes *out)
{
    size_t width = block_value_bytes(vector->type);
    size_t rows = vector->rows;
    size_t at = out->len;
    bytes_resize(out, at + rows * width);
    if (rows == 0)
        return;
    uint8_t *to = out->data + at;
    if (vector->type.kind == TYPE_STRING) {
        memcpy(to, vector->text_end, rows * 4);
        bytes_append(out, vector->text.data, vector->text_end[rows - 1]);
    } else if (width == 4) {
        for (size_t i = 0; i < rows; i++) {
            int32_t narrow = (int32_t)vector->i64[i];
            memcpy(to + i * 4, &narrow, 4);
        }
    } else if (width == 1) {
        for (size_t i = 0; i < rows; i++)
            to[i] = (uint8_t)vector->i64[i];
    } else {
        memcpy(to, vector->i64, rows * width);
    }
}

void batch_encode(const struct batch *batch, struct bytes *out)
{
    ASSERT(batch->rows <= LIMIT_BATCH_ROWS && batch->vector_count <= UINT16_MAX);
    bytes_append_u8(out, BLOCK_VERSION);
    bytes_append_u8(out, 0);
    bytes_append_u16(out, (uint16_t)batch->vector_count);
    bytes_append_u32(out, (uint32_t)batch->rows);
    for (size_t i = 0; i < batch->vector_count; i++) {
        const struct vector *vector = &batch->vectors[i];
        ASSERT(vector->rows == batch->rows);
        bytes_append_u8(out, vector->null_count > 0 ? 1 : 0);
        if (vector->null_count > 0)
            validity_append(vector->valid, vector->rows, out);
        encode_values(vector, out);
    }
}

/* ---- decode ---- */

struct block_vector {
    struct span validity; /* empty: no NULLs */
    struct span values;
    struct span text; /* STRING */
};

bool validity_valid(struct span bits, size_t rows, size_t *ret_nulls)
{
    ASSERT(bits.len == (rows + 7) / 8);
    size_t ones = 0;
    for (size_t i = 0; i < bits.len; i++)
        ones += (size_t)__builtin_popcount(bits.data[i]);
    if (rows % 8 != 0 && bits.data[bits.len - 1] >> rows % 8 != 0)
        return false;
    *ret_nulls = rows - ones;
    return true;
}

void validity_unpack(struct span bits, size_t rows, uint8_t *ret_valid)
{
    for (size_t row = 0; row < rows; row++)
        ret_valid[row] = bits.data[row / 8] >> row % 8 & 1;
}

bool text_ends_valid(const uint8_t *ends, size_t rows, struct span text)
{
    uint32_t last = 0;
    for (size_t i = 0; i < rows; i++) {
        uint32_t end;
        memcpy(&end, ends + i * 4, 4);
        if (end < last || end - last > LIMIT_CELL_BYTES || end > text.len)
            return false;
        if (end < text.len && (text.data[end] & 0xC0) == 0x80) /* inside a character */
            return false;
        last = end;
    }
    return last == text.len && span_is_utf8(text);
}

static struct value block_value(struct type type, const uint8_t *at)
{
    struct value value = {0};
    if (type.kind == TYPE_INT || type.kind == TYPE_DATE) {
        int32_t narrow;
        memcpy(&narrow, at, 4);
        value.i64 = narrow;
    } else if (type.kind == TYPE_BOOLEAN) {
        value.i64 = *at;
    } else if (type.kind == TYPE_DECIMAL) {
        memcpy(&value.decimal, at, 16);
    } else {
        memcpy(&value.i64, at, 8);
    }
    return value;
}

static bool ranges_valid(struct type type, struct span values, size_t rows)
{
    size_t width = block_value_bytes(type);
    if (type.kind == TYPE_BOOLEAN) {
        uint8_t all = 0;
        for (size_t i = 0; i < rows; i++)
            all |= values.data[i];
        return all <= 1;
    }
    if (type.kind != TYPE_DATE && type.kind != TYPE_DATETIME && type.kind != TYPE_DECIMAL)
        return true;
    decimal128 limit = type.kind == TYPE_DECIMAL ? decimal_power(type.precision) : 0;
    for (size_t i = 0; i < rows; i++) {
        struct value value = block_value(type, values.data + i * width);
        bool good = type.kind == TYPE_DECIMAL ? value.decimal < limit && value.decimal > -limit
                                              : value_in_range(type, value);
        if (!good)
            return false;
    }
    return true;
}

/* Invariant 2 of proto/vector.h. */
static bool zero_under_nulls(struct type type, const struct block_vector *part, size_t rows)
{
    static const uint8_t zero[16];
    size_t width = block_value_bytes(type);
    for (size_t row = 0; row < rows; row++) {
        if ((part->validity.data[row / 8] >> row % 8 & 1) != 0)
            continue;
        const uint8_t *at = part->values.data + row * width;
        const uint8_t *expected = type.kind == TYPE_STRING && row > 0 ? at - width : zero;
        if (memcmp(at, expected, width) != 0)
            return false;
    }
    return true;
}

static bool block_vector_read(struct reader *reader, struct type type, size_t rows,
                              struct block_vector *ret_part)
{
    struct block_vector part = {0};
    uint8_t has_nulls = reader_u8(reader);
    size_t nulls = 0;
    if (has_nulls > 1)
        return false;
    if (has_nulls == 1) {
        part.validity = reader_span(reader, (rows + 7) / 8);
        if (!reader_ok(reader) || !validity_valid(part.validity, rows, &nulls) || nulls == 0)
            return false;
    }
    part.values = reader_span(reader, rows * block_value_bytes(type));
    if (!reader_ok(reader))
        return false;
    if (type.kind == TYPE_STRING && rows > 0) {
        uint32_t end;
        memcpy(&end, part.values.data + (rows - 1) * 4, 4);
        part.text = reader_span(reader, end);
        if (!reader_ok(reader) || !text_ends_valid(part.values.data, rows, part.text))
            return false;
    } else if (!ranges_valid(type, part.values, rows)) {
        return false;
    }
    if (nulls > 0 && !zero_under_nulls(type, &part, rows))
        return false;
    *ret_part = part;
    return true;
}

static void block_vector_fill(const struct block_vector *part, size_t rows, struct vector *vector)
{
    vector_clear(vector);
    vector_reserve(vector, rows);
    vector->rows = rows;
    if (rows == 0)
        return;
    if (part->validity.len > 0) {
        validity_unpack(part->validity, rows, vector->valid);
        validity_valid(part->validity, rows, &vector->null_count);
    } else {
        memset(vector->valid, 1, rows);
    }
    size_t width = block_value_bytes(vector->type);
    const uint8_t *from = part->values.data;
    if (vector->type.kind == TYPE_STRING) {
        memcpy(vector->text_end, from, rows * 4);
        bytes_append_span(&vector->text, part->text);
    } else if (width == 4) {
        for (size_t i = 0; i < rows; i++) {
            int32_t narrow;
            memcpy(&narrow, from + i * 4, 4);
            vector->i64[i] = narrow;
        }
    } else if (width == 1) {
        for (size_t i = 0; i < rows; i++)
            vector->i64[i] = from[i];
    } else {
        memcpy(vector->i64, from, rows * width);
    }
}

enum err_code batch_decode(struct span encoded, struct batch *batch, struct err *err)
{
    struct reader reader = reader_of(encoded);
    uint8_t version = reader_u8(&reader);
    uint8_t reserved = reader_u8(&reader);
    size_t count = reader_u16(&reader);
    size_t rows = reader_u32(&reader);
    if (!reader_ok(&reader) || version != BLOCK_VERSION || reserved != 0)
        return err_set(err, ERR_BAD_DATA, "not a block of rows (%zu bytes)", encoded.len);
    if (count != batch->vector_count || rows > LIMIT_BATCH_ROWS || (count == 0 && rows > 0))
        return err_set(err, ERR_BAD_DATA, "block of rows: %zu columns, expected %zu; %zu rows",
                       count, batch->vector_count, rows);
    MEM_CLEANUP struct block_vector *parts = mem_calloc(count, sizeof(*parts));
    for (size_t i = 0; i < count; i++) {
        if (!block_vector_read(&reader, batch->vectors[i].type, rows, &parts[i]))
            return err_set(err, ERR_BAD_DATA, "block of rows: column %zu of %zu is malformed",
                           i + 1, count);
    }
    if (!reader_end(&reader))
        return err_set(err, ERR_BAD_DATA, "block of rows: %zu bytes after the last column",
                       reader.left.len);
    for (size_t i = 0; i < count; i++)
        block_vector_fill(&parts[i], rows, &batch->vectors[i]);
    batch->rows = rows;
    return ERR_OK;
}
