/* Digests and hashes. */
#include "node/sql/function.h"

#include "node/sql/evaluate.h"
#include "node/sql/text_digest.h"

#define HASH_FACTOR 31

/* ---- digests: lower-case hex ---- */

static enum err_code text_digest_hex(const struct function_call *call, enum text_digest kind,
                                     struct value *ret_value, struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    struct span text = call->args[0].text;
    uint8_t digest[TEXT_DIGEST_BYTES_MAX];
    uint8_t *out = NULL;
    size_t bytes = text_digest(kind, text.len > 0 ? (const void *)text.data : "", text.len, digest);
    if (bytes == 0)
        return err_set(err, ERR_SEMANTIC, "%s is not offered on this system",
                       call->node->function->name);
    TRY(function_text_new(call, 2 * bytes, &out, err));
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = (uint8_t)hex[digest[i] >> 4];
        out[2 * i + 1] = (uint8_t)hex[digest[i] & 15];
    }
    *ret_value = (struct value){.text = span_of(out, 2 * bytes)};
    return ERR_OK;
}

static enum err_code digest_text(const struct function_call *call, struct value *ret_value,
                                 struct err *err)
{
    return text_digest_hex(call, (enum text_digest)call->node->function->variant, ret_value, err);
}

/* SHA2(text, bits): 0 is 256 */
static enum err_code sha2(const struct function_call *call, struct value *ret_value,
                          struct err *err)
{
    static const struct {
        int64_t bits;
        enum text_digest kind;
    } kinds[] = {{0, TEXT_DIGEST_SHA256},
                 {224, TEXT_DIGEST_SHA224},
                 {256, TEXT_DIGEST_SHA256},
                 {384, TEXT_DIGEST_SHA384},
                 {512, TEXT_DIGEST_SHA512}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (kinds[i].bits == call->args[1].i64)
            return text_digest_hex(call, kinds[i].kind, ret_value, err);
    }
    return function_undefined(call, ret_value, err,
                              "there are 224, 256, 384 and 512 bits, no %" PRId64,
                              call->args[1].i64);
}

static enum err_code crc32_of(const struct function_call *call, struct value *ret_value,
                              struct err *err)
{
    (void)err;
    struct span text = call->args[0].text;
    *ret_value = (struct value){.i64 = (int64_t)text_crc32(text.data, text.len)};
    return ERR_OK;
}

/* ---- HASH ---- */

static uint64_t hash_bytes(const uint8_t *bytes, size_t len)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < len; i++)
        hash = hash * HASH_FACTOR + (uint64_t)(int64_t)(int8_t)bytes[i];
    return hash;
}

/* A number stands for itself, a text for the polynomial of its bytes, as Hive does; what compares
 * equal hashes equal. */
static uint64_t hash_value(struct type type, struct value value)
{
    if (value.null)
        return 0;
    switch (type.kind) {
    case TYPE_STRING:
        return hash_bytes(value.text.data, value.text.len);
    case TYPE_DOUBLE: {
        double number = value.f64 == 0 ? 0 : isnan(value.f64) ? NAN : value.f64;
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        return bits ^ (bits >> 32);
    }
    case TYPE_DECIMAL: {
        uint8_t text[16];
        uint64_t low = (uint64_t)value.decimal, high = (uint64_t)(value.decimal >> 64);
        store_u64(text, high);
        store_u64(text + 8, low);
        return hash_bytes(text, sizeof(text));
    }
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    return (uint64_t)value.i64;
}

/* h = 31 h + e(value), modulo 2^64; NULL counts 0 */
static enum err_code hash(const struct function_call *call, struct value *ret_value,
                          struct err *err)
{
    (void)err;
    uint64_t sum = 0;
    for (size_t i = 0; i < call->arg_count; i++)
        sum = sum * HASH_FACTOR + hash_value(call->node->args[i]->type, call->args[i]);
    *ret_value = (struct value){.i64 = (int64_t)sum};
    return ERR_OK;
}

static const struct function rows[] = {
    FUNCTION("MD5", "t", TYPE_STRING, digest_text, .variant = TEXT_DIGEST_MD5),
    FUNCTION("SHA", "t", TYPE_STRING, digest_text, .variant = TEXT_DIGEST_SHA1),
    FUNCTION("SHA1", "t", TYPE_STRING, digest_text, .variant = TEXT_DIGEST_SHA1),
    FUNCTION("SHA2", "ti", TYPE_STRING, sha2),
    FUNCTION("CRC32", "t", TYPE_BIGINT, crc32_of),
    FUNCTION("HASH", "?a*", TYPE_BIGINT, hash),
};

const struct function_table function_hash_table = {rows, ARRAY_COUNT(rows)};
