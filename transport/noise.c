#include "transport/noise.h"

#define HMAC_BLOCK_BYTES 128 /* BLAKE2b's */

#define NONCE_BYTES 12
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == NONCE_BYTES, "nonce");
_Static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == NONCE_BYTES, "nonce");

struct noise {
    uint8_t key[NOISE_KEY_BYTES];
    bool keyed; /* and the key is unused: IK seals once with each, so that the nonce is always 0 */
    bool initiator;
    bool ephemeral_set;
    enum suite suite;
    uint8_t h[NOISE_HASH_BYTES];
    uint8_t ck[NOISE_HASH_BYTES];
    const uint8_t *s_secret;
    uint8_t s[NOISE_KEY_BYTES];
    uint8_t e_secret[NOISE_KEY_BYTES];
    uint8_t e[NOISE_KEY_BYTES];
    uint8_t rs[NOISE_KEY_BYTES];
    uint8_t re[NOISE_KEY_BYTES];
};

static void hmac(const uint8_t *key, struct span a, struct span b, uint8_t ret[NOISE_HASH_BYTES])
{
    uint8_t pad[HMAC_BLOCK_BYTES];
    uint8_t inner[NOISE_HASH_BYTES];
    crypto_generichash_state state;

    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < NOISE_HASH_BYTES; i++)
        pad[i] ^= key[i];
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    crypto_generichash_update(&state, pad, sizeof(pad));
    if (a.len > 0)
        crypto_generichash_update(&state, a.data, a.len);
    if (b.len > 0)
        crypto_generichash_update(&state, b.data, b.len);
    crypto_generichash_final(&state, inner, sizeof(inner));

    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    crypto_generichash_update(&state, pad, sizeof(pad));
    crypto_generichash_update(&state, inner, sizeof(inner));
    crypto_generichash_final(&state, ret, NOISE_HASH_BYTES);
    sodium_memzero(pad, sizeof(pad));
    sodium_memzero(inner, sizeof(inner));
    sodium_memzero(&state, sizeof(state));
}

/* Section 4.3, two outputs. */
static void hkdf(const uint8_t *chaining_key, struct span material,
                 uint8_t ret_first[NOISE_HASH_BYTES], uint8_t ret_second[NOISE_HASH_BYTES])
{
    static const uint8_t one = 1;
    static const uint8_t two = 2;
    uint8_t temporary[NOISE_HASH_BYTES];
    uint8_t first[NOISE_HASH_BYTES];
    hmac(chaining_key, material, (struct span){0}, temporary);
    hmac(temporary, span_of(&one, 1), (struct span){0}, first);
    hmac(temporary, span_of(first, sizeof(first)), span_of(&two, 1), ret_second);
    memcpy(ret_first, first, sizeof(first));
    sodium_memzero(temporary, sizeof(temporary));
    sodium_memzero(first, sizeof(first));
}

static void mix_hash(struct noise *noise, struct span data)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    crypto_generichash_update(&state, noise->h, NOISE_HASH_BYTES);
    if (data.len > 0)
        crypto_generichash_update(&state, data.data, data.len);
    crypto_generichash_final(&state, noise->h, NOISE_HASH_BYTES);
}

/* MixKey of a DH; false where the other's point gives the zero secret. */
static bool mix_dh(struct noise *noise, const uint8_t *secret, const uint8_t *point)
{
    uint8_t shared[NOISE_KEY_BYTES];
    uint8_t key[NOISE_HASH_BYTES];
    bool ok = crypto_scalarmult(shared, secret, point) == 0;
    if (ok) {
        hkdf(noise->ck, span_of(shared, sizeof(shared)), noise->ck, key);
        memcpy(noise->key, key, NOISE_KEY_BYTES);
        noise->keyed = true;
    }
    sodium_memzero(shared, sizeof(shared));
    sodium_memzero(key, sizeof(key));
    return ok;
}

static void encrypt_and_hash(struct noise *noise, struct span plain, uint8_t *ret_sealed)
{
    static const uint8_t nonce[NONCE_BYTES];
    ASSERT(noise->keyed);
    noise->keyed = false;
    if (noise->suite == SUITE_AESGCM)
        crypto_aead_aes256gcm_encrypt(ret_sealed, NULL, plain.data, plain.len, noise->h,
                                      NOISE_HASH_BYTES, NULL, nonce, noise->key);
    else
        crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain.data, plain.len, noise->h,
                                                  NOISE_HASH_BYTES, NULL, nonce, noise->key);
    mix_hash(noise, span_of(ret_sealed, plain.len + SEAL_TAG_BYTES));
}

static bool decrypt_and_hash(struct noise *noise, struct span sealed, uint8_t *ret_plain)
{
    static const uint8_t nonce[NONCE_BYTES];
    ASSERT(noise->keyed);
    noise->keyed = false;
    int failed;
    if (noise->suite == SUITE_AESGCM)
        failed = crypto_aead_aes256gcm_decrypt(ret_plain, NULL, NULL, sealed.data, sealed.len,
                                               noise->h, NOISE_HASH_BYTES, nonce, noise->key);
    else
        failed = crypto_aead_chacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed.data,
                                                           sealed.len, noise->h, NOISE_HASH_BYTES,
                                                           nonce, noise->key);
    if (failed != 0)
        return false;
    mix_hash(noise, sealed);
    return true;
}

static struct noise *noise_new(enum suite suite, const uint8_t *secret, struct span prologue)
{
    struct noise *noise = sodium_malloc((sizeof(*noise) + 63) / 64 * 64); /* keeps alignment */
    ASSERT(noise != NULL);
    memset(noise, 0, sizeof(*noise));
    noise->suite = suite;
    noise->s_secret = secret;
    crypto_scalarmult_base(noise->s, secret);
    const char *name = suite == SUITE_AESGCM ? "Noise_IK_25519_AESGCM_BLAKE2b"
                                             : "Noise_IK_25519_ChaChaPoly_BLAKE2b";
    memcpy(noise->h, name, strlen(name)); /* shorter than the hash: padded, not hashed */
    memcpy(noise->ck, noise->h, NOISE_HASH_BYTES);
    mix_hash(noise, prologue);
    return noise;
}

struct noise *noise_new_initiator(enum suite suite, const uint8_t secret[NOISE_KEY_BYTES],
                                  const uint8_t remote[NOISE_KEY_BYTES], struct span prologue)
{
    struct noise *noise = noise_new(suite, secret, prologue);
    noise->initiator = true;
    memcpy(noise->rs, remote, NOISE_KEY_BYTES);
    mix_hash(noise, span_of(noise->rs, NOISE_KEY_BYTES));
    return noise;
}

struct noise *noise_new_responder(enum suite suite, const uint8_t secret[NOISE_KEY_BYTES],
                                  struct span prologue)
{
    struct noise *noise = noise_new(suite, secret, prologue);
    mix_hash(noise, span_of(noise->s, NOISE_KEY_BYTES));
    return noise;
}

void noise_free(struct noise *noise)
{
    sodium_free(noise); /* wipes */
}

void noise_free_pointer(struct noise **noise)
{
    noise_free(*noise);
}

void noise_set_ephemeral(struct noise *noise, const uint8_t secret[NOISE_KEY_BYTES])
{
    memcpy(noise->e_secret, secret, NOISE_KEY_BYTES);
    noise->ephemeral_set = true;
}

static void write_ephemeral(struct noise *noise, uint8_t *ret_message)
{
    if (!noise->ephemeral_set)
        randombytes_buf(noise->e_secret, NOISE_KEY_BYTES);
    crypto_scalarmult_base(noise->e, noise->e_secret);
    memcpy(ret_message, noise->e, NOISE_KEY_BYTES);
    mix_hash(noise, span_of(noise->e, NOISE_KEY_BYTES));
}

static void read_ephemeral(struct noise *noise, struct span message)
{
    memcpy(noise->re, message.data, NOISE_KEY_BYTES);
    mix_hash(noise, span_of(noise->re, NOISE_KEY_BYTES));
}

bool noise_write_request(struct noise *noise, struct span payload, uint8_t *ret_message)
{
    ASSERT(noise->initiator);
    write_ephemeral(noise, ret_message);
    if (!mix_dh(noise, noise->e_secret, noise->rs)) /* es */
        return false;
    encrypt_and_hash(noise, span_of(noise->s, NOISE_KEY_BYTES), ret_message + NOISE_KEY_BYTES);
    if (!mix_dh(noise, noise->s_secret, noise->rs)) /* ss */
        return false;
    encrypt_and_hash(noise, payload, ret_message + NOISE_REQUEST_KEY_BYTES);
    return true;
}

bool noise_read_request_key(struct noise *noise, struct span message,
                            uint8_t ret_remote[NOISE_KEY_BYTES])
{
    ASSERT(!noise->initiator);
    if (message.len != NOISE_REQUEST_KEY_BYTES)
        return false;
    read_ephemeral(noise, message);
    if (!mix_dh(noise, noise->s_secret, noise->re)) /* es */
        return false;
    struct span sealed = span_slice(message, NOISE_KEY_BYTES, NOISE_KEY_BYTES + SEAL_TAG_BYTES);
    if (!decrypt_and_hash(noise, sealed, noise->rs))
        return false;
    memcpy(ret_remote, noise->rs, NOISE_KEY_BYTES);
    return true;
}

bool noise_read_request_payload(struct noise *noise, struct span message, uint8_t *ret_payload)
{
    return mix_dh(noise, noise->s_secret, noise->rs) && /* ss */
           decrypt_and_hash(noise, message, ret_payload);
}

bool noise_write_reply(struct noise *noise, struct span payload, uint8_t *ret_message)
{
    ASSERT(!noise->initiator);
    write_ephemeral(noise, ret_message);
    if (!mix_dh(noise, noise->e_secret, noise->re) || /* ee */
        !mix_dh(noise, noise->e_secret, noise->rs))   /* se */
        return false;
    encrypt_and_hash(noise, payload, ret_message + NOISE_KEY_BYTES);
    return true;
}

bool noise_read_reply(struct noise *noise, struct span message, uint8_t *ret_payload)
{
    ASSERT(noise->initiator);
    if (message.len < NOISE_REPLY_BYTES)
        return false;
    read_ephemeral(noise, message);
    if (!mix_dh(noise, noise->e_secret, noise->re) || /* ee */
        !mix_dh(noise, noise->s_secret, noise->re))   /* se */
        return false;
    struct span sealed = span_slice(message, NOISE_KEY_BYTES, message.len - NOISE_KEY_BYTES);
    return decrypt_and_hash(noise, sealed, ret_payload);
}

void noise_split(struct noise *noise, struct seal *ret_send, struct seal *ret_receive)
{
    uint8_t first[NOISE_HASH_BYTES];
    uint8_t second[NOISE_HASH_BYTES];
    hkdf(noise->ck, (struct span){0}, first, second);
    seal_init(ret_send, noise->suite, SEAL_SEND, noise->initiator ? first : second);
    seal_init(ret_receive, noise->suite, SEAL_RECEIVE, noise->initiator ? second : first);
    sodium_memzero(first, sizeof(first));
    sodium_memzero(second, sizeof(second));
}

const uint8_t *noise_hash(const struct noise *noise)
{
    return noise->h;
}
