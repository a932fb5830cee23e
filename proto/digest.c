#include "proto/digest.h"

static const char *const domain_text[DIGEST_DOMAIN_COUNT] = {
#define X(domain, text) [domain] = text,
    DIGEST_DOMAINS(X)
#undef X
};

void digest_init(struct digest_state *state, enum digest_domain domain)
{
    ASSERT(domain < DIGEST_DOMAIN_COUNT);
    char key[64];
    size_t key_bytes = 0;
    if (domain != DOMAIN_FILE)
        key_bytes = (size_t)snprintf(key, sizeof(key), "strait/1 %s", domain_text[domain]);
    /* BLAKE2b keys are at least 16 bytes in libsodium: pad with zeros. */
    if (key_bytes > 0 && key_bytes < crypto_generichash_KEYBYTES_MIN) {
        memset(key + key_bytes, 0, crypto_generichash_KEYBYTES_MIN - key_bytes);
        key_bytes = crypto_generichash_KEYBYTES_MIN;
    }
    ASSERT(crypto_generichash_init(&state->state, key_bytes == 0 ? NULL : (const uint8_t *)key,
                                   key_bytes, DIGEST_BYTES) == 0);
}

void digest_update(struct digest_state *state, struct span content)
{
    if (content.len > 0)
        crypto_generichash_update(&state->state, content.data, content.len);
}

void digest_update_part(struct digest_state *state, struct span part)
{
    ASSERT(part.len <= UINT32_MAX);
    uint8_t length[4];
    store_u32(length, (uint32_t)part.len);
    digest_update(state, span_of(length, sizeof(length)));
    digest_update(state, part);
}

void digest_update_u64(struct digest_state *state, uint64_t value)
{
    uint8_t raw[8];
    store_u64(raw, value);
    digest_update(state, span_of(raw, sizeof(raw)));
}

struct digest digest_final(struct digest_state *state)
{
    struct digest digest;
    crypto_generichash_final(&state->state, digest.b, sizeof(digest.b));
    return digest;
}

struct digest digest_of(enum digest_domain domain, struct span content)
{
    struct digest_state state;
    digest_init(&state, domain);
    digest_update(&state, content);
    return digest_final(&state);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_BYTES) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_BYTES);
}

bool digest_is_zero(const struct digest *digest)
{
    static const struct digest zero;
    return digest_equal(digest, &zero);
}

struct span digest_span(const struct digest *digest)
{
    return span_of(digest->b, DIGEST_BYTES);
}

const char *digest_hex(const struct digest *digest, char ret_hex[DIGEST_HEX_BYTES])
{
    return sodium_bin2hex(ret_hex, DIGEST_HEX_BYTES, digest->b, DIGEST_BYTES);
}

bool digest_parse(const char *hex, struct digest *ret_digest)
{
    struct digest digest;
    if (!hex_decode(span_text(hex), digest.b, DIGEST_BYTES))
        return false;
    *ret_digest = digest;
    return true;
}

void bytes_append_hex(struct bytes *bytes, struct span content)
{
    static const char digits[] = "0123456789abcdef";
    bytes_reserve(bytes, 2 * content.len);
    for (size_t i = 0; i < content.len; i++) {
        bytes_append_u8(bytes, (uint8_t)digits[content.data[i] >> 4]);
        bytes_append_u8(bytes, (uint8_t)digits[content.data[i] & 15]);
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(struct span hex, uint8_t *ret_data, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.data[2 * i]);
        int low = hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_data[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
