#include "store/load_partitions.h"

#include "store/hash.h"

#define SLOT_EMPTY UINT32_MAX

void load_partitions_deinit(struct load_partitions *partitions)
{
    bytes_deinit(&partitions->keys);
    mem_free(partitions->ends);
    mem_free(partitions->slots);
    *partitions = (struct load_partitions){0};
}

struct span load_partitions_key(const struct load_partitions *partitions, uint32_t index)
{
    ASSERT(index < partitions->count);
    size_t start = index == 0 ? 0 : partitions->ends[index - 1];
    size_t len = partitions->ends[index] - start;
    return span_of(len == 0 ? NULL : partitions->keys.data + start, len);
}

/* The slot of the key, or the empty one where it belongs. */
static uint32_t *find_slot(const struct load_partitions *partitions, struct span key)
{
    size_t mask = partitions->slot_count - 1;
    for (size_t at = hash_text(key) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &partitions->slots[at];
        if (*slot == SLOT_EMPTY || span_equal(load_partitions_key(partitions, *slot), key))
            return slot;
    }
}

static void grow_slots(struct load_partitions *partitions)
{
    mem_free(partitions->slots);
    partitions->slot_count = partitions->slot_count == 0 ? 64 : partitions->slot_count * 2;
    partitions->slots = mem_calloc(partitions->slot_count, sizeof(uint32_t));
    memset(partitions->slots, 0xFF, partitions->slot_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < partitions->count; i++)
        *find_slot(partitions, load_partitions_key(partitions, i)) = i;
}

uint32_t load_partitions_add(struct load_partitions *partitions, struct span key)
{
    if (2 * (partitions->count + 1) > partitions->slot_count)
        grow_slots(partitions);
    uint32_t *slot = find_slot(partitions, key);
    if (*slot != SLOT_EMPTY)
        return *slot;
    if (partitions->count == partitions->capacity) {
        partitions->capacity = partitions->capacity * 2 + 16;
        partitions->ends = mem_realloc(partitions->ends, partitions->capacity, sizeof(size_t));
    }
    bytes_append_span(&partitions->keys, key);
    *slot = (uint32_t)partitions->count;
    partitions->ends[partitions->count++] = partitions->keys.len;
    return *slot;
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct load_partitions *partitions = context;
    return span_compare(load_partitions_key(partitions, *(const uint32_t *)a),
                        load_partitions_key(partitions, *(const uint32_t *)b));
}

uint32_t *load_partitions_sorted(const struct load_partitions *partitions)
{
    uint32_t *sorted = mem_calloc(partitions->count, sizeof(*sorted));
    for (uint32_t i = 0; i < partitions->count; i++)
        sorted[i] = i;
    qsort_r(sorted, partitions->count, sizeof(*sorted), compare_keys,
            (void *)(uintptr_t)partitions);
    return sorted;
}

size_t load_partitions_memory(const struct load_partitions *partitions)
{
    return partitions->keys.capacity + partitions->capacity * sizeof(size_t) +
           partitions->slot_count * sizeof(uint32_t);
}
