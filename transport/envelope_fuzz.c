/* Record framing and message heads, as they come from a peer after the seal was opened. */
#include "transport/envelope.h"
#include "transport/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct span sealed;
    size_t bytes;
    while (record_find(input, &sealed, &bytes) == RECORD_WHOLE) {
        ASSERT(bytes <= input.len && bytes <= RECORD_BYTES_MAX);
        ASSERT(sealed.data == input.data + RECORD_HEAD_BYTES && sealed.len > SEAL_TAG_BYTES);
        input = span_slice(input, bytes, input.len - bytes);
    }
    struct head head;
    struct err err;
    if (head_decode(span_of(data, size), LIMIT_BODY_BYTES, &head, &err) == ERR_OK) {
        uint8_t encoded[ENVELOPE_HEAD_BYTES];
        head_encode(&head, encoded);
        ASSERT(memcmp(encoded, data, sizeof(encoded)) == 0); /* one form for one head */
        ASSERT(head.header_bytes <= LIMIT_HEADER_BYTES && head.body_bytes <= LIMIT_BODY_BYTES);
    }
    return 0;
}
