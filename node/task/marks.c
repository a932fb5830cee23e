#include "node/task/marks.h"

void marks_deinit(struct marks *marks)
{
    mem_free(marks->slots);
    *marks = (struct marks){0};
}

static uint64_t *slot_of(const struct marks *marks, uint64_t hash)
{
    size_t mask = marks->slot_count - 1;
    size_t at = hash & mask;
    while (marks->slots[at] != 0 && marks->slots[at] != hash)
        at = (at + 1) & mask;
    return &marks->slots[at];
}

bool marks_has(const struct marks *marks, uint64_t hash)
{
    return marks->slot_count > 0 && *slot_of(marks, hash) == hash;
}

static void marks_grow(struct marks *marks)
{
    struct marks old = *marks;
    marks->slot_count = old.slot_count == 0 ? 64 : 2 * old.slot_count;
    marks->slots = mem_calloc(marks->slot_count, sizeof(uint64_t));
    for (size_t i = 0; i < old.slot_count; i++)
        if (old.slots[i] != 0)
            *slot_of(marks, old.slots[i]) = old.slots[i];
    mem_free(old.slots);
}

void marks_add(struct marks *marks, uint64_t hash)
{
    ASSERT(hash != 0);
    if (2 * (marks->used + 1) > marks->slot_count)
        marks_grow(marks);
    uint64_t *slot = slot_of(marks, hash);
    marks->used += *slot == 0;
    *slot = hash;
}
