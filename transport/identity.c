#include "transport/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "proto/limits.h"

#define SECRET_PREFIX     "strait-secret-1 "
#define PUBLIC_PREFIX     "strait1_"
#define CHECKSUM_BYTES    4
#define PAIR_BYTES        64
#define PAIR_TEXT_BYTES   (PAIR_BYTES + CHECKSUM_BYTES)
#define PAIR_BASE64_BYTES 91 /* without padding */
#define SECRET_FILE_BYTES 256
#define DOMAIN_REGISTER   "strait/1 key"
#define PROOF_MARK        '.'
#define PROOF_BASE64      86 /* of a signature, without padding */

struct identity { /* in libsodium memory */
    uint8_t sign_secret[crypto_sign_SECRETKEYBYTES];
    uint8_t noise_secret[32];
    uint8_t sign_seed[32];
    struct public_identity public;
};

static void checksum_of(const uint8_t pair[PAIR_BYTES], uint8_t ret_checksum[CHECKSUM_BYTES])
{
    struct digest digest = digest_of(DOMAIN_KEY_STRING, span_of(pair, PAIR_BYTES));
    memcpy(ret_checksum, digest.b, CHECKSUM_BYTES);
}

static void pair_format(const uint8_t *first, const uint8_t *second,
                        char ret_text[PAIR_BASE64_BYTES + 1])
{
    uint8_t raw[PAIR_TEXT_BYTES];
    memcpy(raw, first, 32);
    memcpy(raw + 32, second, 32);
    checksum_of(raw, raw + PAIR_BYTES);
    sodium_bin2base64(ret_text, PAIR_BASE64_BYTES + 1, raw, sizeof(raw),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(raw, sizeof(raw));
}

/* NULL when well, else what is wrong. */
static const char *pair_parse(struct span text, uint8_t ret_pair[PAIR_BYTES])
{
    uint8_t raw[PAIR_TEXT_BYTES];
    uint8_t checksum[CHECKSUM_BYTES];
    size_t len = 0;
    if (text.len != PAIR_BASE64_BYTES)
        return "it has the wrong length";
    if (sodium_base642bin(raw, sizeof(raw), (const char *)text.data, text.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len != sizeof(raw))
        return "it has a character that does not belong there";
    checksum_of(raw, checksum);
    bool right = memcmp(checksum, raw + PAIR_BYTES, CHECKSUM_BYTES) == 0;
    /* libsodium takes some bytes above 127 for digits [found by the fuzzer]: only our own form counts */
    char again[PAIR_BASE64_BYTES + 1];
    pair_format(raw, raw + 32, again);
    bool own = memcmp(again, text.data, PAIR_BASE64_BYTES) == 0;
    if (right && own)
        memcpy(ret_pair, raw, PAIR_BYTES);
    sodium_memzero(raw, sizeof(raw));
    sodium_memzero(again, sizeof(again));
    if (!right)
        return "its checksum is wrong (was it copied whole?)";
    return own ? NULL : "it has a character that does not belong there";
}

static struct identity *identity_of(const uint8_t seed[32], const uint8_t noise_secret[32])
{
    struct identity *identity = sodium_malloc(sizeof(*identity));
    ASSERT(identity != NULL);
    memcpy(identity->sign_seed, seed, 32);
    memcpy(identity->noise_secret, noise_secret, 32);
    crypto_sign_seed_keypair(identity->public.sign.b, identity->sign_secret, seed);
    crypto_scalarmult_base(identity->public.noise.b, noise_secret);
    sodium_mprotect_readonly(identity);
    return identity;
}

struct identity *identity_generate(void)
{
    int started = sodium_init(); /* 1 when it was already */
    ASSERT(started >= 0);
    uint8_t seed[32];
    uint8_t noise_secret[32];
    randombytes_buf(seed, sizeof(seed));
    randombytes_buf(noise_secret, sizeof(noise_secret));
    struct identity *identity = identity_of(seed, noise_secret);
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(noise_secret, sizeof(noise_secret));
    return identity;
}

void identity_free(struct identity *identity)
{
    sodium_free(identity);
}

void identity_free_pointer(struct identity **identity)
{
    identity_free(*identity);
}

/* --- the secret file --- */

static bool write_whole(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

/* The name is durable too. */
static void directory_sync(const char *path)
{
    char *directory MEM_CLEANUP = mem_strdup(path);
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        slash[slash == directory ? 1 : 0] = '\0';
    int fd = open(slash == NULL ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static enum err_code secret_write(const struct identity *identity, const char *path,
                                  struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFIG, "key file %s: exists already and is left as it is", path);
    if (fd < 0)
        return err_set(err, ERR_IO, "key file %s: cannot be made: %s", path, strerror(errno));
    char text[sizeof(SECRET_PREFIX) + PAIR_BASE64_BYTES + 2] = SECRET_PREFIX;
    size_t at = strlen(SECRET_PREFIX);
    pair_format(identity->sign_seed, identity->noise_secret, text + at);
    text[at + PAIR_BASE64_BYTES] = '\n';
    bool ok = fchmod(fd, 0600) == 0 && write_whole(fd, text, at + PAIR_BASE64_BYTES + 1) &&
              fsync(fd) == 0;
    int reason = errno;
    sodium_memzero(text, sizeof(text));
    if (close(fd) != 0 || !ok) {
        unlink(path); /* ours, made a moment ago */
        return err_set(err, ERR_IO, "key file %s: cannot be written: %s", path, strerror(reason));
    }
    directory_sync(path);
    return ERR_OK;
}

enum err_code identity_create(const char *path, struct identity **ret_identity, struct err *err)
{
    IDENTITY_CLEANUP struct identity *identity = identity_generate();
    TRY(secret_write(identity, path, err));
    *ret_identity = identity;
    identity = NULL;
    return ERR_OK;
}

static enum err_code secret_check(int fd, const char *path, struct err *err)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return err_set(err, ERR_CONFIG, "key file %s: %s", path, strerror(errno));
    if (!S_ISREG(stat.st_mode))
        return err_set(err, ERR_CONFIG, "key file %s: not a file", path);
    if ((stat.st_mode & 07077) != 0)
        return err_set(
            err, ERR_CONFIG,
            "key file %s: mode %03o lets others read it; chmod 600 it, or make a new key "
            "if others could",
            path, stat.st_mode & 07777);
    return ERR_OK;
}

/* Reads at most `capacity`; -1 on failure. */
static ssize_t read_whole(int fd, char *text, size_t capacity)
{
    size_t len = 0;
    while (len < capacity) {
        ssize_t n = read(fd, text + len, capacity - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static enum err_code secret_parse(struct span text, const char *path,
                                  struct identity **ret_identity, struct err *err)
{
    size_t prefix = strlen(SECRET_PREFIX);
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    if (text.len < prefix || memcmp(text.data, SECRET_PREFIX, prefix) != 0)
        return err_set(err, ERR_CONFIG, "key file %s: not a Strait secret key (keygen makes one)",
                       path);
    uint8_t pair[PAIR_BYTES];
    const char *wrong = pair_parse(span_slice(text, prefix, text.len - prefix), pair);
    if (wrong != NULL)
        return err_set(err, ERR_CONFIG, "key file %s: damaged: %s", path, wrong);
    *ret_identity = identity_of(pair, pair + 32);
    sodium_memzero(pair, sizeof(pair));
    return ERR_OK;
}

enum err_code identity_load(const char *path, struct identity **ret_identity, struct err *err)
{
    int started = sodium_init();
    ASSERT(started >= 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "key file %s: cannot be opened: %s", path, strerror(errno));
    char text[SECRET_FILE_BYTES];
    enum err_code code = secret_check(fd, path, err);
    if (code == ERR_OK) {
        ssize_t len = read_whole(fd, text, sizeof(text));
        if (len < 0)
            code = err_set(err, ERR_CONFIG, "key file %s: %s", path, strerror(errno));
        else
            code = secret_parse(span_of(text, (size_t)len), path, ret_identity, err);
    }
    sodium_memzero(text, sizeof(text));
    close(fd);
    return code;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    int sign = sodium_memcmp(a->sign_seed, b->sign_seed, sizeof(a->sign_seed));
    int noise = sodium_memcmp(a->noise_secret, b->noise_secret, sizeof(a->noise_secret));
    return (sign | noise) == 0;
}

/* --- the public half --- */

const struct public_identity *identity_public(const struct identity *identity)
{
    return &identity->public;
}

const uint8_t *identity_noise_secret(const struct identity *identity)
{
    return identity->noise_secret;
}

const char *public_identity_format(const struct public_identity *identity,
                                   char ret_text[PUBLIC_IDENTITY_TEXT_BYTES])
{
    size_t at = strlen(PUBLIC_PREFIX);
    memcpy(ret_text, PUBLIC_PREFIX, at);
    pair_format(identity->sign.b, identity->noise.b, ret_text + at);
    return ret_text;
}

enum err_code public_identity_parse(struct span text, struct public_identity *ret_identity,
                                    struct err *err)
{
    size_t prefix = strlen(PUBLIC_PREFIX);
    if (text.len < prefix || memcmp(text.data, PUBLIC_PREFIX, prefix) != 0)
        return err_set(err, ERR_PARAMETER, "not a public key: it does not begin with %s",
                       PUBLIC_PREFIX);
    uint8_t pair[PAIR_BYTES];
    const char *wrong = pair_parse(span_slice(text, prefix, text.len - prefix), pair);
    if (wrong != NULL)
        return err_set(err, ERR_PARAMETER, "not a public key: %s", wrong);
    memcpy(ret_identity->sign.b, pair, 32);
    memcpy(ret_identity->noise.b, pair + 32, 32);
    return ERR_OK;
}

bool noise_key_equal(const struct noise_key *a, const struct noise_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool identity_key_equal(const struct identity_key *a, const struct identity_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* --- signatures --- */

static void signed_bytes(const char *domain, struct span content, struct bytes *out)
{
    bytes_append(out, domain, strlen(domain) + 1); /* the zero ends the domain */
    bytes_append_span(out, content);
}

void identity_sign(const struct identity *identity, const char *domain, struct span content,
                   struct signature *ret_signature)
{
    BYTES_CLEANUP struct bytes message = {0};
    signed_bytes(domain, content, &message);
    crypto_sign_detached(ret_signature->b, NULL, message.data, message.len, identity->sign_secret);
}

bool signature_verify(const struct signature *signature, const struct identity_key *key,
                      const char *domain, struct span content)
{
    BYTES_CLEANUP struct bytes message = {0};
    signed_bytes(domain, content, &message);
    return crypto_sign_verify_detached(signature->b, message.data, message.len, key->b) == 0;
}

static void registration_bytes(const struct public_identity *identity, struct span region,
                               struct span name, struct bytes *out)
{
    bytes_append(out, identity->sign.b, sizeof(identity->sign.b));
    bytes_append(out, identity->noise.b, sizeof(identity->noise.b));
    bytes_append_u8(out, (uint8_t)region.len);
    bytes_append_span(out, region);
    bytes_append_u8(out, (uint8_t)name.len);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bytes_append_u8(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c);
    }
}

void registration_sign(const struct identity *identity, struct span region, struct span name,
                       struct signature *ret_signature)
{
    ASSERT(region.len <= LIMIT_REGION_BYTES && name.len <= LIMIT_PRINCIPAL_BYTES);
    BYTES_CLEANUP struct bytes content = {0};
    registration_bytes(&identity->public, region, name, &content);
    identity_sign(identity, DOMAIN_REGISTER, bytes_span(&content), ret_signature);
}

bool registration_verify(const struct signature *signature, const struct public_identity *identity,
                         struct span region, struct span name)
{
    if (region.len > LIMIT_REGION_BYTES || name.len > LIMIT_PRINCIPAL_BYTES)
        return false;
    BYTES_CLEANUP struct bytes content = {0};
    registration_bytes(identity, region, name, &content);
    return signature_verify(signature, &identity->sign, DOMAIN_REGISTER, bytes_span(&content));
}

/* --- registration as one string --- */

static void proof_encode(const struct signature *signature, char ret_text[PROOF_BASE64 + 1])
{
    sodium_bin2base64(ret_text, PROOF_BASE64 + 1, signature->b, sizeof(signature->b),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void registration_format(const struct identity *identity, struct span region, struct span name,
                         char ret_text[REGISTRATION_TEXT_BYTES])
{
    struct signature signature;
    registration_sign(identity, region, name, &signature);
    public_identity_format(&identity->public, ret_text);
    size_t at = strlen(ret_text);
    ret_text[at] = PROOF_MARK;
    proof_encode(&signature, ret_text + at + 1);
}

/* False: not the one form that proof_encode gives. */
static bool proof_decode(struct span text, struct signature *ret_signature)
{
    char again[PROOF_BASE64 + 1];
    size_t len = 0;
    if (text.len != PROOF_BASE64 ||
        sodium_base642bin(ret_signature->b, sizeof(ret_signature->b), (const char *)text.data,
                          text.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len != sizeof(ret_signature->b))
        return false;
    proof_encode(ret_signature, again);
    return memcmp(again, text.data, PROOF_BASE64) == 0;
}

enum err_code registration_parse(struct span text, struct span region, struct span name,
                                 struct public_identity *ret_identity, struct err *err)
{
    struct public_identity identity;
    struct signature signature;
    const uint8_t *mark = text.len == 0 ? NULL : memchr(text.data, PROOF_MARK, text.len);
    size_t at = mark == NULL ? text.len : (size_t)(mark - text.data);
    TRY(public_identity_parse(span_slice(text, 0, at), &identity, err));
    if (mark == NULL)
        return err_set(err, ERR_PARAMETER,
                       "the key comes without the proof that it is its holder's; "
                       "strait pubkey --for %.*s '%.*s' FILE prints both",
                       SPAN_PRINTF(region), SPAN_PRINTF(name));
    if (!proof_decode(span_slice(text, at + 1, text.len - at - 1), &signature))
        return err_set(err, ERR_PARAMETER,
                       "the key's proof, behind the dot, is malformed (was it copied whole?)");
    if (!registration_verify(&signature, &identity, region, name))
        return err_set(err, ERR_PARAMETER,
                       "the key's proof is not for %.*s in %.*s; "
                       "strait pubkey --for %.*s '%.*s' FILE prints the right one",
                       SPAN_PRINTF(name), SPAN_PRINTF(region), SPAN_PRINTF(region),
                       SPAN_PRINTF(name));
    *ret_identity = identity;
    return ERR_OK;
}
