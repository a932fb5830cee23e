#include "store/dictionary.h"

#include "store/hash.h"

#define SLOT_COUNT     ((size_t)DICTIONARY_VALUES_MAX * 2)
#define PROBES_A_VALUE 16 /* on average, else it gives up */
#define SLOT_EMPTY     UINT32_MAX
#define SLOT_COUNT_MIN 64

void dictionary_deinit(struct dictionary *dictionary)
{
    mem_free(dictionary->slots);
    mem_free(dictionary->indexes);
    mem_free(dictionary->firsts);
    *dictionary = (struct dictionary){0};
}

static inline uint64_t dense_hash(const struct dense *dense, size_t at)
{
    if (dense->class == DENSE_WORDS)
        return hash_mix(dense->words[at], HASH_NULL);
    if (dense->class == DENSE_WIDE)
        return hash_mix((uint64_t)dense->wide[at], (uint64_t)(dense->wide[at] >> 64));
    return hash_text(dense_text(dense, at));
}

static void dictionary_prepare(struct dictionary *dictionary, size_t count, size_t *ret_slots)
{
    size_t slots = SLOT_COUNT_MIN;
    while (slots < 2 * count && slots < SLOT_COUNT)
        slots *= 2;
    if (dictionary->slots == NULL)
        dictionary->slots = mem_calloc(SLOT_COUNT, sizeof(uint32_t));
    memset(dictionary->slots, 0xFF, slots * sizeof(uint32_t));
    if (dictionary->capacity < count) {
        dictionary->indexes = mem_realloc(dictionary->indexes, count, sizeof(uint32_t));
        dictionary->firsts = mem_realloc(dictionary->firsts, count, sizeof(uint32_t));
        dictionary->capacity = count;
    }
    dictionary->count = 0;
    *ret_slots = slots;
}

/* The class is a constant of each call below, so that the compiler makes a loop for each. */
static inline __attribute__((always_inline)) bool dictionary_fill(struct dictionary *dictionary,
                                                                  struct dense dense,
                                                                  enum dense_class class,
                                                                  size_t slots)
{
    size_t probes_left = dense.count * PROBES_A_VALUE;
    dense.class = class;
    for (size_t i = 0; i < dense.count; i++) {
        size_t slot = dense_hash(&dense, i) & (slots - 1);
        uint32_t index;
        while ((index = dictionary->slots[slot]) != SLOT_EMPTY &&
               !dense_equal(&dense, dictionary->firsts[index], i)) {
            slot = (slot + 1) & (slots - 1);
            if (probes_left-- == 0)
                return false;
        }
        if (index == SLOT_EMPTY) {
            if (dictionary->count == DICTIONARY_VALUES_MAX)
                return false;
            index = (uint32_t)dictionary->count++;
            dictionary->slots[slot] = index;
            dictionary->firsts[index] = (uint32_t)i;
        }
        dictionary->indexes[i] = index;
        if (i + 1 == DICTIONARY_PROBE_VALUES && dictionary->count > DICTIONARY_PROBE_VALUES / 2)
            return false;
    }
    return true;
}

bool dictionary_build(struct dictionary *dictionary, const struct dense *dense)
{
    size_t slots;
    dictionary_prepare(dictionary, dense->count, &slots);
    switch (dense->class) {
    case DENSE_WORDS:
        return dictionary_fill(dictionary, *dense, DENSE_WORDS, slots);
    case DENSE_WIDE:
        return dictionary_fill(dictionary, *dense, DENSE_WIDE, slots);
    case DENSE_TEXT:
        break;
    }
    return dictionary_fill(dictionary, *dense, DENSE_TEXT, slots);
}
