/* Decodes any bytes as an entry of the audit log. What is accepted encodes to the same bytes. */
#include "proto/audit.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    BYTES_CLEANUP struct bytes again = {0};
    ARENA_CLEANUP struct arena arena;
    struct audit_record record;
    arena_init(&arena, AUDIT_ARENA_BYTES);
    if (audit_record_decode(input, &arena, &record, NULL) == ERR_OK) {
        audit_record_encode(&record, &again);
        ASSERT(span_equal(bytes_span(&again), input));
    }
    return 0;
}
