/* Decodes any bytes as a schema; what is accepted is valid and encodes to the same bytes. */
#include "proto/limits.h"
#include "proto/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct schema schema;
    if (schema_decode(span_of(data, size), &arena, &schema, NULL) != ERR_OK)
        return 0;
    BYTES_CLEANUP struct bytes again = {0};
    schema_encode(&schema, &again);
    ASSERT(span_equal(bytes_span(&again), span_of(data, size)));
    return 0;
}
