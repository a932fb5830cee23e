/* The bulk cipher of a session, behind one file so that its provider can be changed by measurement:
 * libcrypto's, three times as fast as libsodium's (docs/decisions/bulk-cipher.md). The handshake keeps to
 * libsodium (noise.c).
 *
 * A seal is one direction's key and its counter. AESGCM's nonce is 4 zero bytes and the counter
 * big-endian, ChaChaPoly's 4 zero bytes and the counter little-endian (Noise, revision 34, section
 * 12). Associated data is empty.
 * Memory: the expanded key is libcrypto's, wiped by seal_deinit. One thread at a time.
 */
#ifndef TRANSPORT_SEAL_H
#define TRANSPORT_SEAL_H

#include <sodium.h>

#include "proto/bytes.h"

#define SEAL_KEY_BYTES 32
#define SEAL_TAG_BYTES 16

enum suite { /* on the wire */
             SUITE_AESGCM = 1,
             SUITE_CHACHAPOLY = 2,
};

enum seal_direction {
    SEAL_SEND,
    SEAL_RECEIVE,
};

struct seal {
    struct evp_cipher_ctx_st *context;
    enum suite suite;
    uint64_t counter; /* of the next message */
};

/* ChaChaPoly always; AESGCM where the processor has it. False for numbers that are no suite. */
bool suite_available(unsigned suite);
const char *suite_name(enum suite suite); /* "AESGCM" */

void seal_init(struct seal *seal, enum suite suite, enum seal_direction direction,
               const uint8_t key[SEAL_KEY_BYTES]);
void seal_deinit(struct seal *seal); /* zeroed is allowed */
/* Writes plain.len + SEAL_TAG_BYTES to ret_sealed, which may be plain.data itself. */
void seal_encrypt(struct seal *seal, struct span plain, uint8_t *ret_sealed);
/* Writes sealed.len - SEAL_TAG_BYTES to ret_plain (may be sealed.data). False: not sealed with this
 * key at this place, or too short; what is in ret_plain then must not be used, and the counter has
 * not moved. */
MUST_USE bool seal_decrypt(struct seal *seal, struct span sealed, uint8_t *ret_plain);

#endif
