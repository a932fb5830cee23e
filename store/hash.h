/* A fast 64-bit hash of values: where row groups are cut and how dictionaries find values.
 *
 * The constants and steps are part of the format (docs/FORMATS.md, "Row groups"): another hash cuts
 * elsewhere. It is no defence against chosen input, and need not be: row groups have hard limits,
 * and a dictionary gives up when it searches too long. Any thread.
 */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include "proto/bytes.h"

#define HASH_SEED UINT64_C(0x9ae16a3b2f90404f)
#define HASH_LEFT UINT64_C(0xd6e8feb86659fd93)
#define HASH_NULL UINT64_C(0xa0761d6478bd642f)

/* Both halves of the 128-bit product, folded. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product =
        (unsigned __int128)(a ^ HASH_LEFT) * (unsigned __int128)(b ^ HASH_SEED);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_word(const uint8_t *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len); /* little-endian: proto/block.c asserts it */
    return word;
}

static inline uint64_t hash_text(struct span text)
{
    uint64_t hash = hash_mix(text.len, HASH_SEED);
    const uint8_t *at = text.data;
    size_t left = text.len;
    for (; left >= 16; left -= 16, at += 16)
        hash = hash_mix(hash_word(at, 8) ^ hash, hash_word(at + 8, 8) + hash);
    if (left >= 8) {
        hash = hash_mix(hash_word(at, 8), hash);
        at += 8;
        left -= 8;
    }
    return left > 0 ? hash_mix(hash_word(at, left), hash) : hash;
}

#endif
