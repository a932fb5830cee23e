/* The head of a message.
 *
 *     u8 kind | u8 method | u16 status | u32 header bytes | u32 body bytes | u64 request id | u32 deadline ms   = 24
 *     then the header, then the body
 *
 * status: 0, or in a reply the number of an enum err_code; the header is then its message, UTF-8, and
 * there is no body. Fields that a kind does not use are zero, and checked.
 * Threads: pure.
 */
#ifndef TRANSPORT_ENVELOPE_H
#define TRANSPORT_ENVELOPE_H

#include "proto/bytes.h"
#include "proto/limits.h"

#define ENVELOPE_HEAD_BYTES 24

enum envelope_kind { /* on the wire */
                     ENVELOPE_REQUEST = 1,
                     ENVELOPE_REPLY = 2,
                     ENVELOPE_PING = 3,
                     ENVELOPE_PONG = 4,
};

struct head {
    enum envelope_kind kind;
    uint8_t method;
    uint16_t status;
    uint32_t header_bytes;
    uint32_t body_bytes;
    uint64_t request_id;
    uint32_t deadline_ms;
};

void head_encode(const struct head *head, uint8_t ret_encoded[ENVELOPE_HEAD_BYTES]);
/* ERR_PEER: an unknown kind, a reserved field set, a header above LIMIT_HEADER_BYTES, a body above
 * body_bytes_max. Whether an id is outstanding is the connection's to check. */
enum err_code head_decode(struct span encoded, size_t body_bytes_max, struct head *ret_head,
                          struct err *err);

#endif
