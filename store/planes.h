/* A row of integers in as few whole bytes each as they need: the smallest one, then the differences
 * to it, byte by byte in planes (all lowest bytes, then all second ones ...), which zstd likes.
 *
 *     u8 width 0 to 8 | u64 smallest | width planes of `count` bytes, lowest first
 *
 * Signed or unsigned is the caller's: differences are modulo 2^64. No threads.
 */
#ifndef STORE_PLANES_H
#define STORE_PLANES_H

#include "proto/bytes.h"

#define PLANES_HEADER_BYTES 9

/* Whole bytes that hold 0 .. range. */
unsigned planes_width(uint64_t range);
static inline size_t planes_bytes(size_t count, unsigned width)
{
    return PLANES_HEADER_BYTES + count * width;
}

void planes_append(const uint64_t *values, size_t count, uint64_t smallest, unsigned width,
                   struct bytes *out);
/* The same for any values, unsigned: finds smallest and width itself. */
void planes_append_unsigned(const uint32_t *values, size_t count, struct bytes *out);

/* Reads planes of `stored` values and writes the first `count` of them; false (and the reader fails)
 * when short or malformed. */
bool planes_read(struct reader *reader, size_t stored, size_t count, uint64_t *ret_values);
/* The same; false also when one of these is beyond `max`. */
bool planes_read_unsigned(struct reader *reader, size_t stored, size_t count, uint32_t max,
                          uint32_t *ret_values);

#endif
