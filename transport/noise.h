/* Noise_IK_25519_{AESGCM,ChaChaPoly}_BLAKE2b, from libsodium's parts (Noise, revision 34).
 *
 *     IK:  <- s          the initiator knows the responder's key beforehand
 *          ...
 *          -> e, es, s, ss, payload
 *          <- e, ee, se, payload
 *
 * Knows no sizes of Strait and no connection: handshake.h gives the messages their form.
 * Invariant: after a step that failed the state only takes noise_free.
 * Memory: the state is libsodium memory, wiped by noise_free. One thread at a time.
 */
#ifndef TRANSPORT_NOISE_H
#define TRANSPORT_NOISE_H

#include "transport/seal.h"

#define NOISE_KEY_BYTES  32
#define NOISE_HASH_BYTES 64
/* What the two messages add to their payloads. */
#define NOISE_REQUEST_KEY_BYTES (NOISE_KEY_BYTES + NOISE_KEY_BYTES + SEAL_TAG_BYTES) /* e, s */
#define NOISE_REQUEST_BYTES     (NOISE_REQUEST_KEY_BYTES + SEAL_TAG_BYTES)
#define NOISE_REPLY_BYTES       (NOISE_KEY_BYTES + SEAL_TAG_BYTES)

struct noise;

/* The secret is borrowed until noise_free. */
struct noise *noise_new_initiator(enum suite suite, const uint8_t secret[NOISE_KEY_BYTES],
                                  const uint8_t remote[NOISE_KEY_BYTES], struct span prologue);
struct noise *noise_new_responder(enum suite suite, const uint8_t secret[NOISE_KEY_BYTES],
                                  struct span prologue);
void noise_free(struct noise *noise); /* NULL is allowed */
void noise_free_pointer(struct noise **noise);
#define NOISE_CLEANUP __attribute__((cleanup(noise_free_pointer)))
/* For the public vectors alone: the ephemeral secret that else is drawn. */
void noise_set_ephemeral(struct noise *noise, const uint8_t secret[NOISE_KEY_BYTES]);

/* Initiator. Writes payload.len + NOISE_REQUEST_BYTES. False: the other's key is a bad point. */
MUST_USE bool noise_write_request(struct noise *noise, struct span payload, uint8_t *ret_message);
/* Responder, in two steps: first whose key it is (two DH less for strangers), then the payload.
 * `message` of the first is NOISE_REQUEST_KEY_BYTES, of the second the rest. */
MUST_USE bool noise_read_request_key(struct noise *noise, struct span message,
                                     uint8_t ret_remote[NOISE_KEY_BYTES]);
MUST_USE bool noise_read_request_payload(struct noise *noise, struct span message,
                                         uint8_t *ret_payload);
/* Responder. Writes payload.len + NOISE_REPLY_BYTES. */
MUST_USE bool noise_write_reply(struct noise *noise, struct span payload, uint8_t *ret_message);
/* Initiator. Writes message.len - NOISE_REPLY_BYTES. */
MUST_USE bool noise_read_reply(struct noise *noise, struct span message, uint8_t *ret_payload);

/* After the last message: the two directions' seals (the caller's to deinit), and the hash that names
 * the session. */
void noise_split(struct noise *noise, struct seal *ret_send, struct seal *ret_receive);
const uint8_t *noise_hash(const struct noise *noise);

#endif
