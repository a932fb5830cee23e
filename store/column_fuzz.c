/* column_decode: the first byte picks the type, the rest is the file. What it takes is within the
 * limits and encodes and decodes again to the same values. */
#include "store/column.h"

#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct type types[] = {
    {.kind = TYPE_BIGINT},  {.kind = TYPE_INT},
    {.kind = TYPE_DOUBLE},  {.kind = TYPE_STRING},
    {.kind = TYPE_BOOLEAN}, {.kind = TYPE_DECIMAL, .precision = 10, .scale = 2},
    {.kind = TYPE_DATE},    {.kind = TYPE_DATETIME},
};

static void check_again(struct column_codec *codec, const struct vector *vector)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    VECTOR_CLEANUP struct vector back;
    vector_init(&back, vector->type);
    column_encode(codec, vector, 0, vector->rows, &encoded);
    ASSERT(column_decode(codec, bytes_span(&encoded), &back, NULL) == ERR_OK);
    ASSERT(back.rows == vector->rows && back.null_count == vector->null_count);
    for (size_t row = 0; row < back.rows; row++)
        ASSERT(value_compare(back.type, vector_value(&back, row), vector_value(vector, row)) == 0);
}

/* Of malformed columns too; where the whole can be decoded, its front is the same. */
static void check_front(struct column_codec *codec, struct span encoded, const struct vector *whole)
{
    VECTOR_CLEANUP struct vector front;
    vector_init(&front, whole->type);
    bool good = column_decode_front(codec, encoded, 1 + encoded.len % 300, &front, NULL) == ERR_OK;
    ASSERT(good || whole->rows == 0);
    for (size_t row = 0; row < front.rows && whole->rows > 0; row++)
        ASSERT(value_compare(front.type, vector_value(&front, row), vector_value(whole, row)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    VECTOR_CLEANUP struct vector vector;
    vector_init(&vector, types[data[0] % ARRAY_COUNT(types)]);
    if (column_decode(codec, span_of(data + 1, size - 1), &vector, NULL) == ERR_OK) {
        ASSERT(vector.rows <= ROW_GROUP_ROWS_MAX);
        if (vector.rows <= 10000)
            check_again(codec, &vector);
    }
    check_front(codec, span_of(data + 1, size - 1), &vector);
    return 0;
}
