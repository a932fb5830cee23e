/* Who a node or a principal is: two independent keys, Ed25519 (signs, the identity everywhere) and
 * X25519 (Noise only: such keys must not serve elsewhere).
 *
 *     secret file   "strait-secret-1 " base64url(Ed25519 seed 32 | X25519 secret 32 | checksum 4)
 * "\n" public token  "strait1_" base64url(Ed25519 public 32 | X25519 public 32 | checksum 4)
 *
 * The checksum is the start of DOMAIN_KEY_STRING over the 64 bytes before it: a typing mistake is
 * an error and not a stranger.
 *
 * Invariants: 1. secrets live in libsodium's locked memory and are wiped. 2. A secret file is made
 * with mode 0600, never over an existing one, and refused when its mode is wider.
 * Threads: a loaded identity is immutable; all functions may be called from any thread.
 */
#ifndef TRANSPORT_IDENTITY_H
#define TRANSPORT_IDENTITY_H

#include "proto/ids.h"

#define SIGNATURE_BYTES            64
#define PUBLIC_IDENTITY_TEXT_BYTES 100 /* prefix 8, base64 91, terminating zero */

struct noise_key { /* X25519 public key: names a connection's other end */
    uint8_t b[32];
};

struct public_identity {
    struct identity_key sign; /* Ed25519 */
    struct noise_key noise;   /* X25519 */
};

struct signature {
    uint8_t b[SIGNATURE_BYTES];
};

struct identity; /* holds the secrets */

/* New keys from the system's randomness. Free with identity_free. */
struct identity *identity_generate(void);
/* New keys, written to `path` and synced. ERR_EXISTS when there is a file (it is left alone),
 * ERR_IO. */
enum err_code identity_create(const char *path, struct identity **ret_identity, struct err *err);
/* ERR_CONFIG: no such file, mode wider than 0600, not a key file, wrong checksum; the message says
 * which and what to do. */
enum err_code identity_load(const char *path, struct identity **ret_identity, struct err *err);
void identity_free(struct identity *identity); /* wipes; NULL is allowed */
void identity_free_pointer(struct identity **identity);
#define IDENTITY_CLEANUP __attribute__((cleanup(identity_free_pointer)))

/* Both secrets, compared in constant time. */
bool identity_equal(const struct identity *a, const struct identity *b);

const struct public_identity *identity_public(const struct identity *identity);
/* The X25519 secret, 32 bytes of locked memory; borrows. For transport/handshake.c alone. */
const uint8_t *identity_noise_secret(const struct identity *identity);

const char *public_identity_format(const struct public_identity *identity,
                                   char ret_text[PUBLIC_IDENTITY_TEXT_BYTES]);
/* Strict: the one form that format gives. ERR_PARAMETER says what is wrong. */
enum err_code public_identity_parse(struct span text, struct public_identity *ret_identity,
                                    struct err *err);

bool noise_key_equal(const struct noise_key *a, const struct noise_key *b);
bool identity_key_equal(const struct identity_key *a, const struct identity_key *b);

/* Ed25519 over domain, one zero byte, content. The domain is text such as "strait/1 token". */
void identity_sign(const struct identity *identity, const char *domain, struct span content,
                   struct signature *ret_signature);
/* False for a wrong signature, another domain, another key. */
bool signature_verify(const struct signature *signature, const struct identity_key *key,
                      const char *domain, struct span content);

/* What comes with a public token where it is registered, so that nobody registers a key that is
 * not theirs: a signature, domain "strait/1 key", over both halves, region and name (each u8 length
 * and bytes; the name in small letters, for its case does not count). Region at most
 * LIMIT_REGION_BYTES, name at most LIMIT_PRINCIPAL_BYTES. */
void registration_sign(const struct identity *identity, struct span region, struct span name,
                       struct signature *ret_signature);
bool registration_verify(const struct signature *signature, const struct public_identity *identity,
                         struct span region, struct span name);

/* Both as one string: "strait1_..." "." base64url(signature 64), what PUBLIC KEY '...' takes. */
#define REGISTRATION_TEXT_BYTES (PUBLIC_IDENTITY_TEXT_BYTES + 1 + 86)
void registration_format(const struct identity *identity, struct span region, struct span name,
                         char ret_text[REGISTRATION_TEXT_BYTES]);
/* Strict, and verified: the key, when its holder wants it registered under this name here.
 * ERR_PARAMETER says what is wrong and how to get the right string. */
enum err_code registration_parse(struct span text, struct span region, struct span name,
                                 struct public_identity *ret_identity, struct err *err);

#endif
