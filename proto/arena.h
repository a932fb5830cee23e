/* Memory that goes at once: a capped arena.
 *
 * Decoding untrusted messages takes all its memory from one arena with a hard budget, so a message
 * that unpacks to more than it may is an error and not an allocation. Also the AST's memory.
 * One thread at a time.
 */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H

#include "proto/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t budget_bytes;        /* hard limit on all blocks together */
    size_t used_bytes;
    bool exhausted; /* an allocation was refused since init or reset */
};

void arena_init(struct arena *arena, size_t budget_bytes);
void arena_deinit(struct arena *arena); /* frees everything taken from it */
void arena_reset(struct arena *arena);  /* the same, and usable again */
#define ARENA_CLEANUP __attribute__((cleanup(arena_deinit)))

/* Zeroed, aligned for any type; NULL when the budget is spent. */
void *arena_alloc(struct arena *arena, size_t count, size_t bytes);
/* Copies; with a terminating zero after the copy. data is NULL when the budget is spent. */
struct span arena_copy(struct arena *arena, struct span content);

#endif
