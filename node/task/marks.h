/* A growing set of hashes (64 bits, well mixed, never 0): what was seen once. One thread. */
#ifndef NODE_TASK_MARKS_H
#define NODE_TASK_MARKS_H

#include "proto/bytes.h"

/* Zeroed is valid and empty. */
struct marks {
    uint64_t *slots; /* open addressing; 0 is free */
    size_t slot_count, used;
};

void marks_deinit(struct marks *marks);
bool marks_has(const struct marks *marks, uint64_t hash);
void marks_add(struct marks *marks, uint64_t hash);

#endif
