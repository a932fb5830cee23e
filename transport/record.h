/* Records: what a connection carries after the handshake, in each direction.
 *
 *     u16 n (17 to 65535) | n bytes: a Noise transport message (empty associated data)
 *
 * A message (envelope.h) is cut into records of RECORD_PLAIN_BYTES_MAX plain bytes, the last shorter;
 * record_plain_next says the one length that is right, and any other is a broken peer.
 * Threads: the caller's; a seal belongs to one at a time.
 */
#ifndef TRANSPORT_RECORD_H
#define TRANSPORT_RECORD_H

#include "proto/limits.h"
#include "transport/seal.h"

#define RECORD_HEAD_BYTES 2
#define RECORD_OVERHEAD   (RECORD_HEAD_BYTES + SEAL_TAG_BYTES)
#define RECORD_BYTES_MAX  (RECORD_OVERHEAD + RECORD_PLAIN_BYTES_MAX)

/* Plain bytes of the next record of a message of which `left` bytes are still to go (not 0). */
static inline size_t record_plain_next(uint64_t left)
{
    return left < RECORD_PLAIN_BYTES_MAX ? (size_t)left : RECORD_PLAIN_BYTES_MAX;
}

/* Sealed bytes of a message. */
uint64_t record_bytes_of(uint64_t message_bytes);

/* plain has 1 to RECORD_PLAIN_BYTES_MAX bytes and may lie at ret_record + RECORD_HEAD_BYTES; writes
 * plain.len + RECORD_OVERHEAD. */
size_t record_seal(struct seal *seal, struct span plain, uint8_t *ret_record);

enum record_state {
    RECORD_WHOLE,   /* the first record of the input is complete */
    RECORD_PARTIAL, /* more bytes are needed */
    RECORD_BAD,     /* a length that no record has */
};
/* On RECORD_WHOLE: the sealed part (borrows) and the bytes to go on by. */
enum record_state record_find(struct span input, struct span *ret_sealed, size_t *ret_bytes);

#endif
