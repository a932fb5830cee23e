#include "transport/seal.h"

#include <string.h>

#include <openssl/evp.h>

#define NONCE_BYTES 12

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

void seal_init(struct seal *seal, enum suite suite, enum seal_direction direction,
               const uint8_t key[SEAL_KEY_BYTES])
{
    ASSERT(suite_available(suite));
    const EVP_CIPHER *cipher = suite == SUITE_AESGCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    seal->suite = suite;
    seal->counter = 0;
    seal->context = EVP_CIPHER_CTX_new();
    ASSERT(seal->context != NULL);
    int ok = EVP_CipherInit_ex(seal->context, cipher, NULL, key, NULL, direction == SEAL_SEND);
    ASSERT(ok == 1);
}

void seal_deinit(struct seal *seal)
{
    EVP_CIPHER_CTX_free(seal->context);
    seal->context = NULL;
}

static void nonce_of(const struct seal *seal, uint8_t ret_nonce[NONCE_BYTES])
{
    ASSERT(seal->counter < UINT64_MAX); /* the last is reserved; a connection ends long before */
    memset(ret_nonce, 0, NONCE_BYTES);
    if (seal->suite == SUITE_AESGCM) {
        store_u64(ret_nonce + 4, seal->counter);
    } else {
        for (int i = 0; i < 8; i++)
            ret_nonce[4 + i] = (uint8_t)(seal->counter >> (8 * i));
    }
}

void seal_encrypt(struct seal *seal, struct span plain, uint8_t *ret_sealed)
{
    uint8_t nonce[NONCE_BYTES];
    int len;
    int rest;
    ASSERT(plain.len <= INT32_MAX);
    nonce_of(seal, nonce);
    int ok = EVP_EncryptInit_ex(seal->context, NULL, NULL, NULL, nonce);
    ok &= EVP_EncryptUpdate(seal->context, ret_sealed, &len, plain.data, (int)plain.len);
    ok &= EVP_EncryptFinal_ex(seal->context, ret_sealed + len, &rest);
    ok &= EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES,
                              ret_sealed + plain.len);
    ASSERT(ok == 1 && (size_t)(len + rest) == plain.len);
    seal->counter++;
}

bool seal_decrypt(struct seal *seal, struct span sealed, uint8_t *ret_plain)
{
    uint8_t nonce[NONCE_BYTES];
    uint8_t tag[SEAL_TAG_BYTES];
    int len;
    int rest;
    if (sealed.len < SEAL_TAG_BYTES || sealed.len > INT32_MAX)
        return false;
    size_t plain_bytes = sealed.len - SEAL_TAG_BYTES;
    memcpy(tag, sealed.data + plain_bytes, sizeof(tag));
    nonce_of(seal, nonce);
    int ok = EVP_DecryptInit_ex(seal->context, NULL, NULL, NULL, nonce);
    ok &= EVP_DecryptUpdate(seal->context, ret_plain, &len, sealed.data, (int)plain_bytes);
    ok &= EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag);
    ASSERT(ok == 1);
    if (EVP_DecryptFinal_ex(seal->context, ret_plain + len, &rest) != 1)
        return false;
    seal->counter++;
    return true;
}
