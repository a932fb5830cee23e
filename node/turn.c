#include "node/turn.h"

#include <pthread.h>
#include <time.h>

/* Tables whose turn somebody has: as many as there are workers, so a list will do. The process has
 * one store. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t given;
    size_t waiting;
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

static void turn_add_locked(struct table_id table)
{
    struct turn *turn = mem_alloc(sizeof(*turn));
    *turn = (struct turn){table, state.turns};
    state.turns = turn;
}

void table_turn_take(struct table_id table)
{
    pthread_mutex_lock(&state.lock);
    state.waiting++;
    while (*turn_find_locked(table) != NULL)
        pthread_cond_wait(&state.given, &state.lock);
    state.waiting--;
    turn_add_locked(table);
    pthread_mutex_unlock(&state.lock);
}

bool table_turn_take_within(struct table_id table, uint32_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)wait_ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int rc = 0;
    pthread_mutex_lock(&state.lock);
    state.waiting++;
    while (*turn_find_locked(table) != NULL && rc == 0)
        rc = pthread_cond_clockwait(&state.given, &state.lock, CLOCK_MONOTONIC, &until);
    state.waiting--;
    bool mine = *turn_find_locked(table) == NULL;
    if (mine)
        turn_add_locked(table);
    pthread_mutex_unlock(&state.lock);
    return mine;
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

size_t table_turns_waited(void)
{
    pthread_mutex_lock(&state.lock);
    size_t waiting = state.waiting;
    pthread_mutex_unlock(&state.lock);
    return waiting;
}

void table_turn_end(struct table_id *table)
{
    if (table->n != 0)
        table_turn_give(*table);
}
