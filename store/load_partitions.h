/* The partitions that a load has met: key -> index in order of first row, and their order by key.
 * One thread at a time.
 */
#ifndef STORE_LOAD_PARTITIONS_H
#define STORE_LOAD_PARTITIONS_H

#include "proto/bytes.h"

struct load_partitions {
    size_t count;
    struct bytes keys;
    size_t *ends; /* of each key in `keys` */
    size_t capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two */
};

void load_partitions_deinit(struct load_partitions *partitions);
/* The key's index, a new one when it is new. */
uint32_t load_partitions_add(struct load_partitions *partitions, struct span key);
struct span load_partitions_key(const struct load_partitions *partitions, uint32_t index);
/* Indexes in ascending order of key; `count` of them, the caller's. */
uint32_t *load_partitions_sorted(const struct load_partitions *partitions);
size_t load_partitions_memory(const struct load_partitions *partitions);

#endif
