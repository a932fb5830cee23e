/* Decodes any bytes as each kind of catalog record and as a version record. What is accepted encodes
 * to the same bytes. Claims and version records come from other regions. */
#include "proto/catalog.h"
#include "proto/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span input, struct bytes *again)
{
    ASSERT(span_equal(bytes_span(again), input));
    bytes_clear(again);
}

static void decode_records(struct span input, struct arena *arena, struct bytes *again)
{
#define X(record)                                                                                  \
    {                                                                                              \
        struct record value;                                                                       \
        arena_reset(arena);                                                                        \
        if (record##_decode(input, arena, &value, NULL) == ERR_OK) {                               \
            record##_encode(&value, again);                                                        \
            check(input, again);                                                                   \
        }                                                                                          \
    }
    CATALOG_RECORDS(X)
#undef X
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    BYTES_CLEANUP struct bytes again = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    decode_records(input, &arena, &again);
    struct version_record version;
    arena_reset(&arena);
    if (version_decode(input, &arena, &version, NULL) == ERR_OK) {
        ASSERT(version_is(input));
        ASSERT(version_encode(&version, &again, NULL) == ERR_OK);
        check(input, &again);
    }
    return 0;
}
