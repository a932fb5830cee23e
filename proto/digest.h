/* Names of content: BLAKE2b-256, with a domain per kind so that no bytes have one name in two
 * roles.
 *
 * Column files are the one exception in form, not in kind: their digest is the plain BLAKE2b-256 of
 * the stored bytes keyed with nothing, so that any tool can check them (docs/FORMATS.md).
 */
#ifndef PROTO_DIGEST_H
#define PROTO_DIGEST_H

#include <stdbool.h>

#include <sodium.h>

#include "proto/bytes.h"

#define DIGEST_BYTES     32
#define DIGEST_HEX_BYTES (2 * DIGEST_BYTES + 1)

struct digest {
    uint8_t b[DIGEST_BYTES];
};

/* X(enum, text). The text is BLAKE2b's key: "strait/1 " + text. DOMAIN_FILE has none. */
#define DIGEST_DOMAINS(X)                                                                          \
    X(DOMAIN_FILE, "")                                                                             \
    X(DOMAIN_PAGE, "page")                                                                         \
    X(DOMAIN_VERSION, "version")                                                                   \
    X(DOMAIN_LEASE, "lease")                                                                       \
    X(DOMAIN_STATEMENT, "statement")                                                               \
    X(DOMAIN_KEY_STRING, "key string")                                                             \
    X(DOMAIN_AUDIT, "audit")

enum digest_domain {
#define X(domain, text) domain,
    DIGEST_DOMAINS(X)
#undef X
        DIGEST_DOMAIN_COUNT
};

struct digest_state {
    crypto_generichash_state state;
};

struct digest digest_of(enum digest_domain domain, struct span content);
void digest_init(struct digest_state *state, enum digest_domain domain);
void digest_update(struct digest_state *state, struct span content);
/* Length-prefixed (u32), so that a row of parts has one reading. */
void digest_update_part(struct digest_state *state, struct span part);
void digest_update_u64(struct digest_state *state, uint64_t value);
struct digest digest_final(struct digest_state *state);

bool digest_equal(const struct digest *a, const struct digest *b);
int digest_compare(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *digest);
struct span digest_span(const struct digest *digest); /* borrows */
const char *digest_hex(const struct digest *digest, char ret_hex[DIGEST_HEX_BYTES]);
bool digest_parse(const char *hex, struct digest *ret_digest);

/* Lower-case hex of any bytes, appended. */
void bytes_append_hex(struct bytes *bytes, struct span content);
/* False unless hex is exactly 2 * len hex digits. */
bool hex_decode(struct span hex, uint8_t *ret_data, size_t len);

#endif
