/* Finds the distinct values of a column, while they are few enough for a dictionary.
 *
 * Gives for each value its index in order of first appearance, and for each index where its value
 * first stood. It gives up, by rules that look at the values alone and so are part of the format:
 * beyond DICTIONARY_VALUES_MAX distinct values, when of the first DICTIONARY_PROBE_VALUES more than
 * half are distinct, or when hashes collide too much. One thread at a time.
 */
#ifndef STORE_DICTIONARY_H
#define STORE_DICTIONARY_H

#include "proto/bytes.h"
#include "proto/type.h"

#define DICTIONARY_VALUES_MAX   65536
#define DICTIONARY_PROBE_VALUES 8192

/* The values of a column without its NULLs: one of the three. Borrows. */
struct dense {
    enum dense_class { DENSE_WORDS, DENSE_WIDE, DENSE_TEXT } class;
    size_t count;
    const uint64_t *words; /* integers; doubles by their bits */
    const decimal128 *wide;
    const uint8_t *text;
    const uint32_t *starts; /* DENSE_TEXT: of each value in text */
    const uint32_t *lengths;
};

/* Zeroed is valid; kept from call to call. */
struct dictionary {
    uint32_t *slots;
    uint32_t *indexes; /* of each value */
    uint32_t *firsts;  /* of each index */
    size_t capacity;   /* of indexes and firsts */
    size_t count;
};

void dictionary_deinit(struct dictionary *dictionary);
bool dictionary_build(struct dictionary *dictionary, const struct dense *dense);

static inline struct span dense_text(const struct dense *dense, size_t at)
{
    uint32_t len = dense->lengths[at];
    return (struct span){.data = len == 0 ? NULL : dense->text + dense->starts[at], .len = len};
}

static inline bool dense_equal(const struct dense *dense, size_t a, size_t b)
{
    if (dense->class == DENSE_WORDS)
        return dense->words[a] == dense->words[b];
    if (dense->class == DENSE_WIDE)
        return dense->wide[a] == dense->wide[b];
    uint32_t len = dense->lengths[a];
    return len == dense->lengths[b] &&
           (len == 0 ||
            memcmp(dense->text + dense->starts[a], dense->text + dense->starts[b], len) == 0);
}

#endif
