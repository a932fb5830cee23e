#include "transport/record.h"

uint64_t record_bytes_of(uint64_t message_bytes)
{
    uint64_t records = (message_bytes + RECORD_PLAIN_BYTES_MAX - 1) / RECORD_PLAIN_BYTES_MAX;
    return message_bytes + records * RECORD_OVERHEAD;
}

size_t record_seal(struct seal *seal, struct span plain, uint8_t *ret_record)
{
    ASSERT(plain.len >= 1 && plain.len <= RECORD_PLAIN_BYTES_MAX);
    store_u16(ret_record, (uint16_t)(plain.len + SEAL_TAG_BYTES));
    seal_encrypt(seal, plain, ret_record + RECORD_HEAD_BYTES);
    return plain.len + RECORD_OVERHEAD;
}

enum record_state record_find(struct span input, struct span *ret_sealed, size_t *ret_bytes)
{
    if (input.len < RECORD_HEAD_BYTES)
        return RECORD_PARTIAL;
    size_t len = load_u16(input.data);
    if (len <= SEAL_TAG_BYTES)
        return RECORD_BAD;
    if (input.len - RECORD_HEAD_BYTES < len)
        return RECORD_PARTIAL;
    *ret_sealed = span_slice(input, RECORD_HEAD_BYTES, len);
    *ret_bytes = RECORD_HEAD_BYTES + len;
    return RECORD_WHOLE;
}
