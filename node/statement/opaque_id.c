#include "node/statement/opaque_id.h"

#include "proto/digest.h"

void opaque_id(const struct identity *identity, const char *purpose, uint64_t number,
               char ret_text[OPAQUE_ID_TEXT_BYTES])
{
    uint8_t bytes[8];
    struct signature signature;
    char hex[DIGEST_HEX_BYTES];
    store_u64(bytes, number);
    identity_sign(identity, purpose, span_of(bytes, sizeof(bytes)), &signature);
    struct digest digest = digest_of(DOMAIN_STATEMENT, span_of(signature.b, sizeof(signature.b)));
    digest_hex(&digest, hex);
    memcpy(ret_text, hex, OPAQUE_ID_TEXT_BYTES - 1);
    ret_text[OPAQUE_ID_TEXT_BYTES - 1] = '\0';
}
