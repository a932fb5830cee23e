#include "transport/envelope.h"

void head_encode(const struct head *head, uint8_t ret_encoded[ENVELOPE_HEAD_BYTES])
{
    ret_encoded[0] = (uint8_t)head->kind;
    ret_encoded[1] = head->method;
    store_u16(ret_encoded + 2, head->status);
    store_u32(ret_encoded + 4, head->header_bytes);
    store_u32(ret_encoded + 8, head->body_bytes);
    store_u64(ret_encoded + 12, head->request_id);
    store_u32(ret_encoded + 20, head->deadline_ms);
}

/* Fields that the kind does not use are zero. */
static bool reserved_clear(const struct head *head)
{
    switch (head->kind) {
    case ENVELOPE_REQUEST:
        return head->status == 0 && head->request_id != 0 && head->deadline_ms != 0;
    case ENVELOPE_REPLY:
        return head->method == 0 && head->request_id != 0 && head->deadline_ms == 0 &&
               (head->status == 0 || head->body_bytes == 0);
    case ENVELOPE_PING:
    case ENVELOPE_PONG:
        return head->method == 0 && head->status == 0 && head->header_bytes == 0 &&
               head->body_bytes == 0 && head->deadline_ms == 0;
    }
    return false;
}

enum err_code head_decode(struct span encoded, size_t body_bytes_max, struct head *ret_head,
                          struct err *err)
{
    struct reader reader = reader_of(encoded);
    uint8_t kind = reader_u8(&reader);
    struct head head = {.method = reader_u8(&reader)};
    head.status = reader_u16(&reader);
    head.header_bytes = reader_u32(&reader);
    head.body_bytes = reader_u32(&reader);
    head.request_id = reader_u64(&reader);
    head.deadline_ms = reader_u32(&reader);
    if (!reader_ok(&reader))
        return err_set(err, ERR_PEER, "message of %zu bytes", encoded.len);
    if (kind < ENVELOPE_REQUEST || kind > ENVELOPE_PONG)
        return err_set(err, ERR_PEER, "message of unknown kind %u", kind);
    head.kind = (enum envelope_kind)kind;
    if (!reserved_clear(&head))
        return err_set(err, ERR_PEER, "message of kind %u with a field that is not its own", kind);
    if (head.header_bytes > LIMIT_HEADER_BYTES)
        return err_set(err, ERR_PEER, "header of %" PRIu32 " bytes", head.header_bytes);
    if (head.body_bytes > body_bytes_max)
        return err_set(err, ERR_PEER, "body of %" PRIu32 " bytes where %zu may come",
                       head.body_bytes, body_bytes_max);
    *ret_head = head;
    return ERR_OK;
}
