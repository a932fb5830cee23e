#include "transport/seal.h"

#define NONCE_BYTES 12
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == NONCE_BYTES, "nonce");
_Static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == NONCE_BYTES, "nonce");
_Static_assert(crypto_aead_aes256gcm_ABYTES == SEAL_TAG_BYTES, "tag");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == SEAL_TAG_BYTES, "tag");

bool suite_available(unsigned suite)
{
    if (suite == SUITE_AESGCM)
        return crypto_aead_aes256gcm_is_available() != 0;
    return suite == SUITE_CHACHAPOLY;
}

const char *suite_name(enum suite suite)
{
    return suite == SUITE_AESGCM ? "AESGCM" : "ChaChaPoly";
}

void seal_init(struct seal *seal, enum suite suite, const uint8_t key[SEAL_KEY_BYTES])
{
    ASSERT(suite_available(suite));
    seal->suite = suite;
    seal->counter = 0;
    if (suite == SUITE_AESGCM)
        crypto_aead_aes256gcm_beforenm(&seal->aes, key);
    else
        memcpy(seal->chacha, key, SEAL_KEY_BYTES);
}

static void nonce_of(const struct seal *seal, uint8_t ret_nonce[NONCE_BYTES])
{
    ASSERT(seal->counter <
           UINT64_MAX); /* the last one is reserved; a connection ends long before */
    memset(ret_nonce, 0, NONCE_BYTES);
    if (seal->suite == SUITE_AESGCM) {
        store_u64(ret_nonce + 4, seal->counter);
    } else {
        for (int i = 0; i < 8; i++)
            ret_nonce[4 + i] = (uint8_t)(seal->counter >> (8 * i));
    }
}

void seal_encrypt(struct seal *seal, struct span associated, struct span plain, uint8_t *ret_sealed)
{
    uint8_t nonce[NONCE_BYTES];
    nonce_of(seal, nonce);
    if (seal->suite == SUITE_AESGCM) {
        crypto_aead_aes256gcm_encrypt_afternm(ret_sealed, NULL, plain.data, plain.len,
                                              associated.data, associated.len, NULL, nonce,
                                              &seal->aes);
    } else {
        crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain.data, plain.len,
                                                  associated.data, associated.len, NULL, nonce,
                                                  seal->chacha);
    }
    seal->counter++;
}

bool seal_decrypt(struct seal *seal, struct span associated, struct span sealed, uint8_t *ret_plain)
{
    if (sealed.len < SEAL_TAG_BYTES)
        return false;
    uint8_t nonce[NONCE_BYTES];
    nonce_of(seal, nonce);
    int failed;
    if (seal->suite == SUITE_AESGCM) {
        failed = crypto_aead_aes256gcm_decrypt_afternm(ret_plain, NULL, NULL, sealed.data,
                                                       sealed.len, associated.data, associated.len,
                                                       nonce, &seal->aes);
    } else {
        failed = crypto_aead_chacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed.data,
                                                           sealed.len, associated.data,
                                                           associated.len, nonce, seal->chacha);
    }
    if (failed != 0)
        return false;
    seal->counter++;
    return true;
}
