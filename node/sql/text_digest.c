#include "node/sql/text_digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <zlib.h>

static const char *const names[] = {
    [TEXT_DIGEST_MD5] = "MD5",       [TEXT_DIGEST_SHA1] = "SHA1",
    [TEXT_DIGEST_SHA224] = "SHA224", [TEXT_DIGEST_SHA256] = "SHA256",
    [TEXT_DIGEST_SHA384] = "SHA384", [TEXT_DIGEST_SHA512] = "SHA512",
};

/* Looked up once, for the life of the process: a look-up costs more than a row's digest. */
static EVP_MD *kinds[sizeof(names) / sizeof(names[0])];
static pthread_once_t kinds_once = PTHREAD_ONCE_INIT;

static void kinds_find(void)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        kinds[i] = EVP_MD_fetch(NULL, names[i], NULL);
}

size_t text_digest(enum text_digest digest, const void *data, size_t len,
                   uint8_t ret_digest[TEXT_DIGEST_BYTES_MAX])
{
    unsigned bytes = 0;
    pthread_once(&kinds_once, kinds_find);
    if (kinds[digest] == NULL ||
        EVP_Digest(data, len, ret_digest, &bytes, kinds[digest], NULL) != 1)
        return 0;
    return bytes;
}

uint32_t text_crc32(const void *data, size_t len)
{
    return (uint32_t)crc32_z(0, data, len);
}
