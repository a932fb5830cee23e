#include "transport/turns.h"

#include "proto/bytes.h"

void turns_deinit(struct turns *turns)
{
    mem_free(turns->flows);
    *turns = (struct turns){0};
}

/* Those that have rested begin anew: they need no place. */
static void rested_drop(struct turns *turns)
{
    size_t kept = 0;
    for (size_t i = 0; i < turns->count; i++)
        if (turns->flows[i].end > turns->now)
            turns->flows[kept++] = turns->flows[i];
    turns->count = kept;
}

static struct turn *flow_add(struct turns *turns, uint64_t flow)
{
    if (turns->count == turns->capacity)
        rested_drop(turns);
    if (turns->count == turns->capacity) {
        turns->capacity = turns->capacity == 0 ? 16 : 2 * turns->capacity;
        turns->flows = mem_realloc(turns->flows, turns->capacity, sizeof(*turns->flows));
    }
    struct turn *turn = &turns->flows[turns->count++];
    *turn = (struct turn){.flow = flow};
    return turn;
}

uint64_t turns_take(struct turns *turns, uint64_t flow, uint64_t bytes)
{
    struct turn *turn = NULL;
    for (size_t i = 0; i < turns->count && turn == NULL; i++)
        if (turns->flows[i].flow == flow)
            turn = &turns->flows[i];
    if (turn == NULL)
        turn = flow_add(turns, flow);
    uint64_t begin = turn->end > turns->now ? turn->end : turns->now;
    turn->end = begin + bytes;
    return begin;
}

void turns_pass(struct turns *turns, uint64_t turn)
{
    if (turn > turns->now)
        turns->now = turn;
}
