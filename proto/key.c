#include "proto/key.h"

#include "proto/limits.h"

#define SIGN_BIT    (UINT64_C(1) << 63)
#define TEXT_ESCAPE 0xFF
#define TEXT_END    0x01

void key_append_i64(struct bytes *key, int64_t value)
{
    bytes_append_u64(key, (uint64_t)value ^ SIGN_BIT);
}

int64_t reader_key_i64(struct reader *reader)
{
    uint64_t raw = reader_u64(reader);
    return reader_ok(reader) ? (int64_t)(raw ^ SIGN_BIT) : 0;
}

void key_append_text(struct bytes *key, struct span text)
{
    static const uint8_t escape[] = {0x00, TEXT_ESCAPE};
    static const uint8_t end[] = {0x00, TEXT_END};
    while (text.len > 0) {
        const uint8_t *zero = memchr(text.data, 0, text.len);
        size_t clean = zero == NULL ? text.len : (size_t)(zero - text.data);
        bytes_append(key, text.data, clean);
        if (zero != NULL) {
            bytes_append(key, escape, sizeof(escape));
            clean++;
        }
        text = span_slice(text, clean, text.len - clean);
    }
    bytes_append(key, end, sizeof(end));
}

bool reader_key_text(struct reader *reader, struct bytes *text)
{
    size_t before = text->len;
    while (reader_ok(reader)) {
        struct span left = reader->left;
        const uint8_t *zero = left.len == 0 ? NULL : memchr(left.data, 0, left.len);
        if (zero == NULL)
            break;
        bytes_append_span(text, reader_span(reader, (size_t)(zero - left.data)));
        reader_u8(reader);
        uint8_t mark = reader_u8(reader);
        if (mark == TEXT_END)
            return true;
        if (mark != TEXT_ESCAPE)
            break;
        bytes_append_u8(text, 0);
    }
    reader->failed = true;
    text->len = before;
    return false;
}

bool key_append_prefix_end(struct bytes *key, struct span prefix)
{
    while (prefix.len > 0 && prefix.data[prefix.len - 1] == 0xFF)
        prefix.len--;
    if (prefix.len == 0)
        return false;
    bytes_append(key, prefix.data, prefix.len - 1);
    bytes_append_u8(key, (uint8_t)(prefix.data[prefix.len - 1] + 1));
    return true;
}

void key_append_value(struct bytes *key, struct type type, struct value value)
{
    ASSERT(type_partitions(type) && !value.null);
    if (type.kind == TYPE_STRING)
        key_append_text(key, value.text);
    else
        key_append_i64(key, value.i64);
}

bool reader_key_value(struct reader *reader, struct type type, struct bytes *text,
                      struct value *ret_value)
{
    ASSERT(type_partitions(type));
    struct value value = {0};
    if (type.kind == TYPE_STRING) {
        size_t before = text->len;
        if (!reader_key_text(reader, text))
            return false;
        value.text = span_of(text->data + before, text->len - before);
        if (!span_is_utf8(value.text) || value.text.len > LIMIT_PARTITION_VALUE_BYTES) {
            text->len = before;
            reader->failed = true;
        }
    } else {
        value.i64 = reader_key_i64(reader);
        if (!value_in_range(type, value))
            reader->failed = true;
    }
    if (!reader_ok(reader))
        return false;
    *ret_value = value;
    return true;
}

bool reader_key_value_text(struct reader *reader, struct type type, struct bytes *text)
{
    struct value value;
    if (!reader_key_value(reader, type, text, &value))
        return false;
    if (type.kind != TYPE_STRING)
        value_format(type, value, text);
    return true;
}
