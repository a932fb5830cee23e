/* batch_decode: what it takes encodes to the same bytes. */
#include "proto/vector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct type types[] = {
        {.kind = TYPE_BIGINT},
        {.kind = TYPE_INT},
        {.kind = TYPE_DOUBLE},
        {.kind = TYPE_DECIMAL, .precision = 38, .scale = 18},
        {.kind = TYPE_STRING},
        {.kind = TYPE_BOOLEAN},
        {.kind = TYPE_DATE},
        {.kind = TYPE_DATETIME},
        {.kind = TYPE_DECIMAL, .precision = 10, .scale = 2},
    };
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, types, ARRAY_COUNT(types));
    if (batch_decode(span_of(data, size), &batch, NULL) == ERR_OK) {
        BYTES_CLEANUP struct bytes again = {0};
        batch_encode(&batch, &again);
        ASSERT(span_equal(bytes_span(&again), span_of(data, size)));
    }
    return 0;
}
