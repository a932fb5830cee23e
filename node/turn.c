#include "node/turn.h"

#include <pthread.h>

/* Tables whose turn somebody has: as many as there are workers, so a list will do. The process has
 * one store. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct turn {
        struct table_id table;
        struct turn *next;
    } * turns;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER};

static struct turn **turn_find_locked(struct table_id table)
{
    struct turn **at = &state.turns;
    while (*at != NULL && (*at)->table.n != table.n)
        at = &(*at)->next;
    return at;
}

void table_turn_take(struct table_id table)
{
    struct turn *turn = mem_alloc(sizeof(*turn));
    pthread_mutex_lock(&state.lock);
    while (*turn_find_locked(table) != NULL)
        pthread_cond_wait(&state.given, &state.lock);
    *turn = (struct turn){table, state.turns};
    state.turns = turn;
    pthread_mutex_unlock(&state.lock);
}

void table_turn_give(struct table_id table)
{
    pthread_mutex_lock(&state.lock);
    struct turn **at = turn_find_locked(table);
    struct turn *turn = *at;
    ASSERT(turn != NULL);
    *at = turn->next;
    pthread_cond_broadcast(&state.given);
    pthread_mutex_unlock(&state.lock);
    mem_free(turn);
}

void table_turn_end(struct table_id *table)
{
    if (table->n != 0)
        table_turn_give(*table);
}
