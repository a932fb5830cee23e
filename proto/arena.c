#include "proto/arena.h"

#include <stdalign.h>

#define ARENA_BLOCK_BYTES 4096

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    alignas(max_align_t) uint8_t memory[];
};

void arena_init(struct arena *arena, size_t budget_bytes)
{
    *arena = (struct arena){.budget_bytes = budget_bytes};
}

void arena_deinit(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        mem_free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    arena_deinit(arena);
    arena->exhausted = false;
}

static struct arena_block *arena_grow(struct arena *arena, size_t need)
{
    size_t left = arena->budget_bytes - arena->used_bytes;
    if (need > left)
        return NULL;
    /* Blocks double with use, so that a large arena has few; never beyond the budget. */
    size_t size = arena->used_bytes < ARENA_BLOCK_BYTES ? ARENA_BLOCK_BYTES : arena->used_bytes;
    if (size > 1024 * 1024)
        size = 1024 * 1024;
    if (size < need)
        size = need;
    if (size > left)
        size = left;
    struct arena_block *block = mem_alloc(sizeof(*block) + size);
    block->next = arena->blocks;
    block->used = 0;
    block->size = size;
    arena->blocks = block;
    arena->used_bytes += size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t bytes)
{
    size_t need;
    if (__builtin_mul_overflow(count, bytes, &need) || need > SIZE_MAX - alignof(max_align_t)) {
        arena->exhausted = true;
        return NULL;
    }
    need = (need + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < need) {
        block = arena_grow(arena, need);
        if (block == NULL) {
            arena->exhausted = true;
            return NULL;
        }
    }
    void *memory = block->memory + block->used;
    block->used += need;
    return memset(memory, 0, need);
}

struct span arena_copy(struct arena *arena, struct span content)
{
    uint8_t *copy = arena_alloc(arena, 1, content.len + 1);
    if (copy == NULL)
        return span_of(NULL, 0);
    if (content.len > 0)
        memcpy(copy, content.data, content.len);
    return span_of(copy, content.len);
}
