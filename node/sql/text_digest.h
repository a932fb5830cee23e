/* Digests of texts for SELECT's MD5, SHA1, SHA2 and CRC32, which others must be able to compute too.
 * Not for anything of our own: that is proto/digest.h. Pure; any thread. */
#ifndef NODE_SQL_TEXT_DIGEST_H
#define NODE_SQL_TEXT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_DIGEST_BYTES_MAX 64

enum text_digest {
    TEXT_DIGEST_MD5,
    TEXT_DIGEST_SHA1,
    TEXT_DIGEST_SHA224,
    TEXT_DIGEST_SHA256,
    TEXT_DIGEST_SHA384,
    TEXT_DIGEST_SHA512,
};

/* The digest's bytes; 0: this system does not offer it (a policy may forbid MD5). */
size_t text_digest(enum text_digest digest, const void *data, size_t len,
                   uint8_t ret_digest[TEXT_DIGEST_BYTES_MAX]);
uint32_t text_crc32(const void *data, size_t len);

#endif
