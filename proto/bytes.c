#include "proto/bytes.h"

#include <stdarg.h>

/* ---- memory ---- */

static void *mem_checked(void *memory, size_t bytes)
{
    if (memory == NULL && bytes != 0) {
        fprintf(stderr, "out of memory: %zu bytes\n", bytes);
        abort();
    }
    return memory;
}

static size_t mem_product(size_t count, size_t bytes)
{
    size_t product;
    ASSERT(!__builtin_mul_overflow(count, bytes, &product));
    return product;
}

void *mem_alloc(size_t bytes)
{
    return mem_checked(malloc(bytes == 0 ? 1 : bytes), bytes);
}

void *mem_calloc(size_t count, size_t bytes)
{
    size_t product = mem_product(count, bytes);
    return mem_checked(calloc(1, product == 0 ? 1 : product), product);
}

void *mem_realloc(void *old, size_t count, size_t bytes)
{
    size_t product = mem_product(count, bytes);
    return mem_checked(realloc(old, product == 0 ? 1 : product), product);
}

char *mem_strdup(const char *text)
{
    return mem_strndup(span_text(text));
}

char *mem_strndup(struct span text)
{
    char *copy = mem_alloc(text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

void mem_free(void *memory)
{
    free(memory);
}

void mem_free_pointer(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

/* ---- spans ---- */

struct span span_of(const void *data, size_t len)
{
    return (struct span){.data = data, .len = len};
}

struct span span_text(const char *text)
{
    return span_of(text, strlen(text));
}

struct span bytes_span(const struct bytes *bytes)
{
    return span_of(bytes->data, bytes->len);
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int span_compare(struct span a, struct span b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

struct span span_slice(struct span span, size_t at, size_t len)
{
    ASSERT(at <= span.len && len <= span.len - at);
    return span_of(len == 0 ? NULL : span.data + at, len);
}

/* Unicode 15, table 3-7: well-formed UTF-8 byte sequences. */
static size_t utf8_sequence_bytes(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t need = lead >= 0xC2 && lead <= 0xDF   ? 2
                  : lead >= 0xE0 && lead <= 0xEF ? 3
                  : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                 : 0;
    if (need == 0 || need > left)
        return 0;
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    return need;
}

bool span_is_utf8(struct span span)
{
    size_t at = 0;
    while (at < span.len) {
        uint64_t eight;
        if (span.len - at >= 8) {
            memcpy(&eight, span.data + at, 8);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += 8;
                continue;
            }
        }
        size_t step = utf8_sequence_bytes(span.data + at, span.len - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* ---- bytes ---- */

void bytes_deinit(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void bytes_clear(struct bytes *bytes)
{
    bytes->len = 0;
}

void bytes_reserve(struct bytes *bytes, size_t more)
{
    size_t need;
    ASSERT(!__builtin_add_overflow(bytes->len, more, &need));
    if (need <= bytes->capacity)
        return;
    size_t capacity = bytes->capacity + bytes->capacity / 2;
    if (capacity < need)
        capacity = need;
    if (capacity < 64)
        capacity = 64;
    bytes->data = mem_realloc(bytes->data, capacity, 1);
    bytes->capacity = capacity;
}

void bytes_resize(struct bytes *bytes, size_t len)
{
    if (len > bytes->len)
        bytes_reserve(bytes, len - bytes->len);
    bytes->len = len;
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    if (len == 0)
        return;
    bytes_reserve(bytes, len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void bytes_append_span(struct bytes *bytes, struct span span)
{
    bytes_append(bytes, span.data, span.len);
}

void bytes_append_text(struct bytes *bytes, const char *text)
{
    bytes_append(bytes, text, strlen(text));
}

void bytes_append_u8(struct bytes *bytes, uint8_t value)
{
    bytes_append(bytes, &value, 1);
}

void bytes_append_u16(struct bytes *bytes, uint16_t value)
{
    uint8_t raw[2];
    store_u16(raw, value);
    bytes_append(bytes, raw, sizeof(raw));
}

void bytes_append_u32(struct bytes *bytes, uint32_t value)
{
    uint8_t raw[4];
    store_u32(raw, value);
    bytes_append(bytes, raw, sizeof(raw));
}

void bytes_append_u64(struct bytes *bytes, uint64_t value)
{
    uint8_t raw[8];
    store_u64(raw, value);
    bytes_append(bytes, raw, sizeof(raw));
}

void bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int wanted = vsnprintf(NULL, 0, format, args);
    ASSERT(wanted >= 0);
    bytes_reserve(bytes, (size_t)wanted + 1);
    vsnprintf((char *)bytes->data + bytes->len, (size_t)wanted + 1, format, again);
    bytes->len += (size_t)wanted;
    va_end(again);
    va_end(args);
}

/* ---- reader ---- */

struct reader reader_of(struct span span)
{
    return (struct reader){.left = span};
}

bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}

bool reader_end(const struct reader *reader)
{
    return !reader->failed && reader->left.len == 0;
}

struct span reader_span(struct reader *reader, size_t len)
{
    if (reader->failed || len > reader->left.len) {
        reader->failed = true;
        return span_of(NULL, 0);
    }
    struct span taken = span_of(reader->left.data, len);
    if (len > 0)
        reader->left = span_of(reader->left.data + len, reader->left.len - len);
    return taken;
}

void reader_copy(struct reader *reader, void *ret_data, size_t len)
{
    struct span taken = reader_span(reader, len);
    if (taken.len == len && len > 0)
        memcpy(ret_data, taken.data, len);
    else
        memset(ret_data, 0, len);
}

uint8_t reader_u8(struct reader *reader)
{
    uint8_t value;
    reader_copy(reader, &value, 1);
    return value;
}

uint16_t reader_u16(struct reader *reader)
{
    uint8_t raw[2];
    reader_copy(reader, raw, sizeof(raw));
    return load_u16(raw);
}

uint32_t reader_u32(struct reader *reader)
{
    uint8_t raw[4];
    reader_copy(reader, raw, sizeof(raw));
    return load_u32(raw);
}

uint64_t reader_u64(struct reader *reader)
{
    uint8_t raw[8];
    reader_copy(reader, raw, sizeof(raw));
    return load_u64(raw);
}
