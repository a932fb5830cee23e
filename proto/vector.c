#include "proto/vector.h"

#include "proto/limits.h"

#define SHORT_TEXT_BYTES 16 /* copied without a look at the length */

/* ---- vectors ---- */

static size_t slot_bytes(struct type type)
{
    return type.kind == TYPE_DECIMAL  ? sizeof(decimal128)
           : type.kind == TYPE_STRING ? sizeof(uint32_t)
                                      : sizeof(int64_t);
}

void vector_init(struct vector *vector, struct type type)
{
    ASSERT(type_valid(type));
    *vector = (struct vector){.type = type};
}

void vector_deinit(struct vector *vector)
{
    mem_free(vector->valid);
    mem_free(vector->i64);
    bytes_deinit(&vector->text);
    *vector = (struct vector){.type = vector->type};
}

void vector_clear(struct vector *vector)
{
    vector->rows = 0;
    vector->null_count = 0;
    bytes_clear(&vector->text);
}

void vector_reserve(struct vector *vector, size_t more_rows)
{
    size_t need;
    ASSERT(!__builtin_add_overflow(vector->rows, more_rows, &need));
    if (need <= vector->capacity)
        return;
    size_t capacity = vector->capacity + vector->capacity / 2;
    if (capacity < need)
        capacity = need;
    if (capacity < 16)
        capacity = 16;
    vector->valid = mem_realloc(vector->valid, capacity, 1);
    vector->i64 = mem_realloc(vector->i64, capacity, slot_bytes(vector->type));
    vector->capacity = capacity;
}

size_t vector_memory_bytes(const struct vector *vector)
{
    return vector->capacity * (1 + slot_bytes(vector->type)) + vector->text.capacity;
}

static void append_text(struct vector *vector, struct span text)
{
    ASSERT(text.len <= LIMIT_VECTOR_TEXT_BYTES - vector->text.len);
    bytes_append_span(&vector->text, text);
    vector->text_end[vector->rows] = (uint32_t)vector->text.len;
}

void vector_append(struct vector *vector, struct value value)
{
    vector_reserve(vector, 1);
    if (value.null)
        value = (struct value){.null = true};
    switch (vector->type.kind) {
    case TYPE_STRING:
        append_text(vector, value.null ? span_of(NULL, 0) : value.text);
        break;
    case TYPE_DECIMAL:
        vector->decimal[vector->rows] = value.null ? 0 : value.decimal;
        break;
    case TYPE_DOUBLE:
        vector->f64[vector->rows] = value.null ? 0 : value.f64;
        break;
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        vector->i64[vector->rows] = value.null ? 0 : value.i64;
        break;
    }
    vector->valid[vector->rows] = value.null ? 0 : 1;
    vector->null_count += value.null ? 1 : 0;
    vector->rows++;
}

static uint32_t text_start(const struct vector *vector, size_t row)
{
    return row == 0 ? 0 : vector->text_end[row - 1];
}

static void append_text_range(struct vector *vector, const struct vector *from, size_t at,
                              size_t rows)
{
    uint32_t start = text_start(from, at);
    uint32_t len = from->text_end[at + rows - 1] - start;
    ASSERT(len <= LIMIT_VECTOR_TEXT_BYTES - vector->text.len);
    uint32_t shift = (uint32_t)vector->text.len - start; /* modulo 2^32 */
    bytes_append(&vector->text, from->text.data == NULL ? NULL : from->text.data + start, len);
    for (size_t i = 0; i < rows; i++)
        vector->text_end[vector->rows + i] = from->text_end[at + i] + shift;
}

static size_t zero_bytes_count(const uint8_t *at, size_t len)
{
    size_t ones = 0;
    for (size_t i = 0; i < len; i++)
        ones += at[i];
    return len - ones;
}

void vector_append_range(struct vector *vector, const struct vector *from, size_t at, size_t rows)
{
    ASSERT(type_equal(vector->type, from->type) && vector != from);
    ASSERT(at <= from->rows && rows <= from->rows - at);
    if (rows == 0)
        return;
    vector_reserve(vector, rows);
    memcpy(vector->valid + vector->rows, from->valid + at, rows);
    if (from->null_count > 0)
        vector->null_count += zero_bytes_count(from->valid + at, rows);
    if (vector->type.kind == TYPE_STRING) {
        append_text_range(vector, from, at, rows);
    } else if (vector->type.kind == TYPE_DECIMAL) {
        memcpy(vector->decimal + vector->rows, from->decimal + at, rows * sizeof(decimal128));
    } else {
        memcpy(vector->i64 + vector->rows, from->i64 + at, rows * sizeof(int64_t));
    }
    vector->rows += rows;
}

static void append_text_rows(struct vector *vector, const struct vector *from, const uint32_t *rows,
                             size_t count)
{
    uint32_t *ends = vector->text_end + vector->rows;
    size_t len = vector->text.len;
    for (size_t i = 0; i < count; i++) {
        len += from->text_end[rows[i]] - text_start(from, rows[i]);
        ASSERT(len <= LIMIT_VECTOR_TEXT_BYTES);
        ends[i] = (uint32_t)len;
    }
    bytes_reserve(&vector->text, len - vector->text.len + SHORT_TEXT_BYTES);
    uint8_t *to = vector->text.data + vector->text.len;
    for (size_t i = 0; i < count; i++) {
        size_t start = text_start(from, rows[i]);
        size_t text_len = from->text_end[rows[i]] - start;
        if (text_len <= SHORT_TEXT_BYTES && start + SHORT_TEXT_BYTES <= from->text.len)
            memcpy(to, from->text.data + start, SHORT_TEXT_BYTES); /* what is too much goes under */
        else if (text_len > 0)
            memcpy(to, from->text.data + start, text_len);
        to += text_len;
    }
    vector->text.len = len;
}

static void append_valid_rows(struct vector *vector, const struct vector *from,
                              const uint32_t *rows, size_t count)
{
    uint8_t *to = vector->valid + vector->rows;
    if (from->null_count == 0) {
        memset(to, 1, count);
        return;
    }
    size_t ones = 0;
    for (size_t i = 0; i < count; i++) {
        to[i] = from->valid[rows[i]];
        ones += to[i];
    }
    vector->null_count += count - ones;
}

void vector_append_rows(struct vector *vector, const struct vector *from, const uint32_t *rows,
                        size_t count)
{
    ASSERT(type_equal(vector->type, from->type) && vector != from);
    if (count == 0)
        return;
    uint32_t last = 0;
    for (size_t i = 0; i < count; i++)
        last = rows[i] > last ? rows[i] : last;
    ASSERT(last < from->rows);
    vector_reserve(vector, count);
    append_valid_rows(vector, from, rows, count);
    if (vector->type.kind == TYPE_STRING) {
        append_text_rows(vector, from, rows, count);
    } else if (vector->type.kind == TYPE_DECIMAL) {
        for (size_t i = 0; i < count; i++)
            vector->decimal[vector->rows + i] = from->decimal[rows[i]];
    } else {
        int64_t *to = vector->i64 + vector->rows;
        for (size_t i = 0; i < count; i++)
            memcpy(&to[i], &from->i64[rows[i]], sizeof(int64_t)); /* doubles too */
    }
    vector->rows += count;
}

struct value vector_value(const struct vector *vector, size_t row)
{
    ASSERT(row < vector->rows);
    struct value value = {.null = vector->valid[row] == 0};
    if (value.null)
        return value;
    if (vector->type.kind == TYPE_STRING) {
        uint32_t start = text_start(vector, row);
        uint32_t len = vector->text_end[row] - start;
        value.text = span_of(len == 0 ? NULL : vector->text.data + start, len);
    } else if (vector->type.kind == TYPE_DECIMAL) {
        value.decimal = vector->decimal[row];
    } else if (vector->type.kind == TYPE_DOUBLE) {
        value.f64 = vector->f64[row];
    } else {
        value.i64 = vector->i64[row];
    }
    return value;
}

size_t vector_plain_bytes(const struct vector *vector, size_t row)
{
    if (vector->type.kind != TYPE_STRING)
        return slot_bytes(vector->type);
    return sizeof(uint32_t) + (vector->text_end[row] - text_start(vector, row));
}

/* ---- batches ---- */

void batch_init_types(struct batch *batch, const struct type *types, size_t count)
{
    *batch =
        (struct batch){.vector_count = count, .vectors = mem_calloc(count, sizeof(struct vector))};
    for (size_t i = 0; i < count; i++)
        vector_init(&batch->vectors[i], types[i]);
}

static void batch_init_columns(struct batch *batch, const struct schema *schema,
                               size_t partition_columns)
{
    size_t count = schema->column_count + partition_columns;
    MEM_CLEANUP struct type *types = mem_calloc(count, sizeof(*types));
    for (size_t i = 0; i < schema->column_count; i++)
        types[i] = schema->columns[i].type;
    for (size_t i = 0; i < partition_columns; i++)
        types[schema->column_count + i] = schema->partition_columns[i].type;
    batch_init_types(batch, types, count);
}

void batch_init(struct batch *batch, const struct schema *schema)
{
    batch_init_columns(batch, schema, 0);
}

void batch_init_all(struct batch *batch, const struct schema *schema)
{
    batch_init_columns(batch, schema, schema->partition_column_count);
}

void batch_deinit(struct batch *batch)
{
    for (size_t i = 0; i < batch->vector_count; i++)
        vector_deinit(&batch->vectors[i]);
    mem_free(batch->vectors);
    *batch = (struct batch){0};
}

void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->vector_count; i++)
        vector_clear(&batch->vectors[i]);
    batch->rows = 0;
}

size_t batch_memory_bytes(const struct batch *batch)
{
    size_t bytes = batch->vector_count * sizeof(struct vector);
    for (size_t i = 0; i < batch->vector_count; i++)
        bytes += vector_memory_bytes(&batch->vectors[i]);
    return bytes;
}

void batch_append_range(struct batch *batch, const struct batch *from, size_t at, size_t rows)
{
    ASSERT(batch->vector_count == from->vector_count);
    for (size_t i = 0; i < batch->vector_count; i++)
        vector_append_range(&batch->vectors[i], &from->vectors[i], at, rows);
    batch->rows += rows;
}
