/* Byte ranges. `struct span` never owns, `struct bytes` always does.
 *
 * Reading untrusted bytes: struct reader. It compares a length with what is left before it moves;
 * after the first short read everything it returns is zero and reader_ok() is false, so a decoder
 * reads a whole structure and asks once.
 */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

struct span {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;
};

/* Growing buffer. Zeroed is valid and empty. Allocation failure ends the process (see bytes.c). */
struct bytes {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

struct span span_of(const void *data, size_t len);
struct span span_text(const char *text); /* without the terminating zero */
struct span bytes_span(const struct bytes *bytes);
bool span_equal(struct span a, struct span b);
int span_compare(struct span a, struct span b); /* unsigned bytes, shorter first */
/* The caller has checked that at + len <= span.len. */
struct span span_slice(struct span span, size_t at, size_t len);
bool span_is_utf8(struct span span); /* no surrogates, no overlong forms; NUL is a character */

/* "%.*s" arguments. */
#define SPAN_PRINTF(span) (int)((span).len), (const char *)((span).data)

void bytes_deinit(struct bytes *bytes);
void bytes_clear(struct bytes *bytes);                /* keeps the memory */
void bytes_reserve(struct bytes *bytes, size_t more); /* room for `more` beyond len */
void bytes_resize(struct bytes *bytes, size_t len);   /* new bytes are undefined */
void bytes_append(struct bytes *bytes, const void *data, size_t len);
void bytes_append_span(struct bytes *bytes, struct span span);
void bytes_append_text(struct bytes *bytes, const char *text);
void bytes_append_u8(struct bytes *bytes, uint8_t value);
void bytes_append_u16(struct bytes *bytes, uint16_t value); /* big-endian, as all below */
void bytes_append_u32(struct bytes *bytes, uint32_t value);
void bytes_append_u64(struct bytes *bytes, uint64_t value);
void bytes_printf(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define BYTES_CLEANUP __attribute__((cleanup(bytes_deinit)))

struct reader {
    struct span left;
    bool failed;
};

struct reader reader_of(struct span span);
bool reader_ok(const struct reader *reader);  /* nothing was short so far */
bool reader_end(const struct reader *reader); /* ok, and nothing is left */
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* Borrows from the input; empty when short. */
struct span reader_span(struct reader *reader, size_t len);
void reader_copy(struct reader *reader, void *ret_data, size_t len);

static inline uint16_t load_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t load_u64(const uint8_t *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static inline void store_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void store_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* Memory: never NULL; the process ends when the system has none (bounded use is the callers' duty,
 * by the limits of proto/limits.h). Count and size are multiplied with an overflow check. */
#define NEVER_NULL __attribute__((returns_nonnull))
void *mem_alloc(size_t bytes) NEVER_NULL;
void *mem_calloc(size_t count, size_t bytes) NEVER_NULL;
void *mem_realloc(void *old, size_t count, size_t bytes) NEVER_NULL;
char *mem_strdup(const char *text) NEVER_NULL;
char *mem_strndup(struct span text); /* adds the terminating zero */
void mem_free(void *memory);
void mem_free_pointer(void *pointer_to_pointer); /* for MEM_CLEANUP */
#define MEM_CLEANUP __attribute__((cleanup(mem_free_pointer)))

#endif
