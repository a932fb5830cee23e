/* The ciphers of a session, behind one file so that their provider can be changed by measurement.
 *
 * A seal is one direction's key and its counter. AESGCM's nonce is 4 zero bytes and the counter
 * big-endian, ChaChaPoly's the counter little-endian (Noise, revision 34, section 12).
 * Memory: lies inside the owner's locked memory. One thread at a time.
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

struct seal {
    union {
        crypto_aead_aes256gcm_state aes; /* expanded key */
        uint8_t chacha[SEAL_KEY_BYTES];
    };
    enum suite suite;
    uint64_t counter; /* of the next message */
};

/* ChaChaPoly always; AESGCM where the processor has it. False for numbers that are no suite. */
bool suite_available(unsigned suite);
const char *suite_name(enum suite suite); /* "AESGCM" */

void seal_init(struct seal *seal, enum suite suite, const uint8_t key[SEAL_KEY_BYTES]);
/* Writes plain.len + SEAL_TAG_BYTES to ret_sealed, which may be plain.data itself. */
void seal_encrypt(struct seal *seal, struct span associated, struct span plain,
                  uint8_t *ret_sealed);
/* Writes sealed.len - SEAL_TAG_BYTES to ret_plain (may be sealed.data). False: not sealed with this
 * key at this place, or too short; ret_plain's content is then undefined but never the plain text,
 * and the counter has not moved. */
bool seal_decrypt(struct seal *seal, struct span associated, struct span sealed,
                  uint8_t *ret_plain);

#endif
