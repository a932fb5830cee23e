#include "transport/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>

#define WORKERS_MAX 64
#define TIME_NEVER  UINT64_MAX

enum actor_state {
    ACTOR_IDLE,
    ACTOR_QUEUED,
    ACTOR_RUNNING,
    ACTOR_POKED, /* while running: runs again */
    ACTOR_OVER,
};

struct actor_queue {
    struct actor *first;
    struct actor **last;
    pthread_cond_t filled;
};

struct pool {
    struct pool_options options;
    uint8_t boot_id[16];
    pthread_t workers[WORKERS_MAX];
    unsigned worker_count;
    pthread_t clock;
    pthread_t reaper;
    bool clock_started;
    bool reaper_started;

    atomic_size_t leaving;

    pthread_mutex_t lock; /* all below, and the timers in the actors */
    bool stopping;
    struct actor_queue ready;
    struct actor_queue over;
    struct actor **heap; /* by due_us, earliest first */
    size_t heap_count;
    size_t heap_capacity;
    pthread_cond_t earlier;
    size_t bodies_bytes;
    struct actor *awaiting; /* memory of bodies */
};

uint64_t pool_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t pool_now_ms(void)
{
    return pool_now_us() / 1000;
}

/* --- queues; under the lock --- */

static void queue_init(struct actor_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
    pthread_cond_init(&queue->filled, NULL);
}

static void queue_push_locked(struct actor_queue *queue, struct actor *actor)
{
    actor->next = NULL;
    *queue->last = actor;
    queue->last = &actor->next;
    pthread_cond_signal(&queue->filled);
}

static struct actor *queue_pop_locked(struct actor_queue *queue)
{
    struct actor *actor = queue->first;
    if (actor != NULL) {
        queue->first = actor->next;
        if (queue->first == NULL)
            queue->last = &queue->first;
    }
    return actor;
}

/* --- timers: a binary heap; under the lock --- */

static void heap_place(struct pool *pool, size_t at, struct actor *actor)
{
    pool->heap[at] = actor;
    actor->heap_index = at;
}

static void heap_up(struct pool *pool, size_t at)
{
    struct actor *actor = pool->heap[at];
    while (at > 0 && pool->heap[(at - 1) / 2]->due_us > actor->due_us) {
        heap_place(pool, at, pool->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_place(pool, at, actor);
}

static void heap_down(struct pool *pool, size_t at)
{
    struct actor *actor = pool->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= pool->heap_count)
            break;
        if (child + 1 < pool->heap_count &&
            pool->heap[child + 1]->due_us < pool->heap[child]->due_us)
            child++;
        if (pool->heap[child]->due_us >= actor->due_us)
            break;
        heap_place(pool, at, pool->heap[child]);
        at = child;
    }
    heap_place(pool, at, actor);
}

static void timer_clear_locked(struct pool *pool, struct actor *actor)
{
    if (actor->due_us == TIME_NEVER)
        return;
    size_t at = actor->heap_index;
    actor->due_us = TIME_NEVER;
    struct actor *last = pool->heap[--pool->heap_count];
    if (last == actor)
        return;
    heap_place(pool, at, last);
    heap_up(pool, at);
    heap_down(pool, last->heap_index);
}

static void timer_set_locked(struct pool *pool, struct actor *actor, uint64_t due_us)
{
    if (actor->due_us == TIME_NEVER) {
        if (pool->heap_count == pool->heap_capacity) {
            pool->heap_capacity = pool->heap_capacity * 2 + 16;
            pool->heap = mem_realloc(pool->heap, pool->heap_capacity, sizeof(*pool->heap));
        }
        pool->heap[pool->heap_count] = actor;
        actor->heap_index = pool->heap_count++;
    }
    actor->due_us = due_us;
    heap_up(pool, actor->heap_index);
    if (pool->heap[0] == actor)
        pthread_cond_signal(&pool->earlier);
}

/* --- actors --- */

void actor_init(struct actor *actor, struct pool *pool, bool (*step)(struct actor *),
                void (*finish)(struct actor *))
{
    *actor = (struct actor){.pool = pool, .step = step, .finish = finish, .due_us = TIME_NEVER};
    atomic_init(&actor->state, ACTOR_IDLE);
}

/* True when the caller has to queue it. */
static bool poke_wants_queue(struct actor *actor)
{
    int state = atomic_load(&actor->state);
    for (;;) {
        if (state == ACTOR_IDLE) {
            if (atomic_compare_exchange_weak(&actor->state, &state, ACTOR_QUEUED))
                return true;
        } else if (state == ACTOR_RUNNING) {
            if (atomic_compare_exchange_weak(&actor->state, &state, ACTOR_POKED))
                return false;
        } else {
            return false;
        }
    }
}

void actor_poke(struct actor *actor)
{
    if (!poke_wants_queue(actor))
        return;
    struct pool *pool = actor->pool;
    pthread_mutex_lock(&pool->lock);
    queue_push_locked(&pool->ready, actor);
    pthread_mutex_unlock(&pool->lock);
}

void actor_wake_at(struct actor *actor, uint64_t due_us)
{
    struct pool *pool = actor->pool;
    pthread_mutex_lock(&pool->lock);
    if (due_us < actor->due_us && atomic_load(&actor->state) != ACTOR_OVER)
        timer_set_locked(pool, actor, due_us);
    pthread_mutex_unlock(&pool->lock);
}

/* --- memory of bodies --- */

bool actor_has_memory(struct actor *actor)
{
    struct pool *pool = actor->pool;
    pthread_mutex_lock(&pool->lock);
    bool has = pool->bodies_bytes < pool->options.bodies_bytes_max;
    if (!has && !actor->awaits_memory) {
        actor->awaits_memory = true;
        actor->awaiting_next = pool->awaiting;
        pool->awaiting = actor;
    }
    pthread_mutex_unlock(&pool->lock);
    return has;
}

void pool_bodies_take(struct pool *pool, size_t bytes)
{
    pthread_mutex_lock(&pool->lock);
    pool->bodies_bytes += bytes;
    pthread_mutex_unlock(&pool->lock);
}

void pool_bodies_give(struct pool *pool, size_t bytes)
{
    pthread_mutex_lock(&pool->lock);
    ASSERT(pool->bodies_bytes >= bytes);
    pool->bodies_bytes -= bytes;
    while (pool->awaiting != NULL && pool->bodies_bytes < pool->options.bodies_bytes_max) {
        struct actor *actor = pool->awaiting;
        pool->awaiting = actor->awaiting_next;
        actor->awaits_memory = false;
        if (poke_wants_queue(actor))
            queue_push_locked(&pool->ready, actor);
    }
    pthread_mutex_unlock(&pool->lock);
}

void pool_leaving_begin(struct pool *pool)
{
    atomic_fetch_add(&pool->leaving, 1);
}

void pool_leaving_end(struct pool *pool)
{
    size_t before = atomic_fetch_sub(&pool->leaving, 1);
    ASSERT(before > 0);
}

bool pool_may_accept(const struct pool *pool)
{
    return atomic_load(&pool->leaving) < LIMIT_STREAMS_LEAVING;
}

static void await_end_locked(struct pool *pool, struct actor *actor)
{
    struct actor **at = &pool->awaiting;
    while (actor->awaits_memory && *at != actor)
        at = &(*at)->awaiting_next;
    if (actor->awaits_memory)
        *at = actor->awaiting_next;
    actor->awaits_memory = false;
}

static void actor_run(struct pool *pool, struct actor *actor)
{
    atomic_store(&actor->state, ACTOR_RUNNING);
    bool over = actor->step(actor);
    int running = ACTOR_RUNNING;
    if (!over && atomic_compare_exchange_strong(&actor->state, &running, ACTOR_IDLE))
        return; /* from here on another worker may have it */
    pthread_mutex_lock(&pool->lock);
    if (over) {
        atomic_store(&actor->state, ACTOR_OVER);
        timer_clear_locked(pool, actor);
        await_end_locked(pool, actor);
        queue_push_locked(&pool->over, actor);
    } else {
        atomic_store(&actor->state, ACTOR_QUEUED); /* poked meanwhile: behind the others */
        queue_push_locked(&pool->ready, actor);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* --- threads --- */

static void *worker_main(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct actor *actor = queue_pop_locked(&pool->ready);
        if (actor != NULL) {
            pthread_mutex_unlock(&pool->lock);
            actor_run(pool, actor);
            pthread_mutex_lock(&pool->lock);
        } else if (pool->stopping) {
            break;
        } else {
            pthread_cond_wait(&pool->ready.filled, &pool->lock);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void *reaper_main(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct actor *actor = queue_pop_locked(&pool->over);
        if (actor != NULL) {
            pthread_mutex_unlock(&pool->lock);
            actor->finish(actor);
            pthread_mutex_lock(&pool->lock);
        } else if (pool->stopping) {
            break;
        } else {
            pthread_cond_wait(&pool->over.filled, &pool->lock);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void due_wake_locked(struct pool *pool)
{
    uint64_t now_us = pool_now_us();
    while (pool->heap_count > 0 && pool->heap[0]->due_us <= now_us) {
        struct actor *actor = pool->heap[0];
        timer_clear_locked(pool, actor);
        if (poke_wants_queue(actor))
            queue_push_locked(&pool->ready, actor);
    }
}

static void *clock_main(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        due_wake_locked(pool);
        if (pool->heap_count == 0) {
            pthread_cond_wait(&pool->earlier, &pool->lock);
            continue;
        }
        uint64_t due_us = pool->heap[0]->due_us;
        struct timespec until = {.tv_sec = (time_t)(due_us / 1000000),
                                 .tv_nsec = (long)(due_us % 1000000) * 1000};
        pthread_cond_timedwait(&pool->earlier, &pool->lock, &until);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* --- life --- */

static void options_fill(struct pool_options *options)
{
    if (options->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        options->workers = cores < 2 ? 2 : cores > 8 ? 8 : (unsigned)cores;
    }
    if (options->workers > WORKERS_MAX)
        options->workers = WORKERS_MAX;
    if (options->handshake_timeout_ms == 0)
        options->handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    if (options->ping_after_ms == 0)
        options->ping_after_ms = PING_AFTER_MS;
    if (options->silence_max_ms == 0)
        options->silence_max_ms = SILENCE_MAX_MS;
    if (options->connection_life_ms == 0)
        options->connection_life_ms = CONNECTION_LIFE_MS;
    if (options->connection_life_bytes == 0)
        options->connection_life_bytes = CONNECTION_LIFE_BYTES;
    if (options->bodies_bytes_max == 0)
        options->bodies_bytes_max = LIMIT_BODIES_BYTES;
}

enum err_code pool_new(const struct pool_options *options, struct pool **ret_pool, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, ERR_INTERNAL, "libsodium does not start");
    struct pool *pool = mem_calloc(1, sizeof(*pool));
    if (options != NULL)
        pool->options = *options;
    options_fill(&pool->options);
    randombytes_buf(pool->boot_id, sizeof(pool->boot_id));
    pthread_mutex_init(&pool->lock, NULL);
    queue_init(&pool->ready);
    queue_init(&pool->over);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->earlier, &monotonic);
    pthread_condattr_destroy(&monotonic);

    int failed = 0;
    for (unsigned i = 0; i < pool->options.workers && failed == 0; i++) {
        failed = pthread_create(&pool->workers[i], NULL, worker_main, pool);
        pool->worker_count += failed == 0;
    }
    if (failed == 0) {
        failed = pthread_create(&pool->clock, NULL, clock_main, pool);
        pool->clock_started = failed == 0;
    }
    if (failed == 0) {
        failed = pthread_create(&pool->reaper, NULL, reaper_main, pool);
        pool->reaper_started = failed == 0;
    }
    if (failed != 0) {
        pool_free(pool);
        return err_set(err, ERR_LIMIT, "no thread can be started: %s", strerror(failed));
    }
    *ret_pool = pool;
    return ERR_OK;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->ready.filled);
    pthread_cond_broadcast(&pool->over.filled);
    pthread_cond_broadcast(&pool->earlier);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i], NULL);
    if (pool->clock_started)
        pthread_join(pool->clock, NULL);
    if (pool->reaper_started)
        pthread_join(pool->reaper, NULL);
    /* the workers may have ended actors after the reaper looked for the last time */
    for (struct actor *actor = queue_pop_locked(&pool->over); actor != NULL;
         actor = queue_pop_locked(&pool->over))
        actor->finish(actor);
    pthread_cond_destroy(&pool->ready.filled);
    pthread_cond_destroy(&pool->over.filled);
    pthread_cond_destroy(&pool->earlier);
    ASSERT(pool->bodies_bytes == 0); /* who took a body freed it before */
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->heap);
    mem_free(pool);
}

const struct pool_options *pool_options(const struct pool *pool)
{
    return &pool->options;
}

const uint8_t *pool_boot_id(const struct pool *pool)
{
    return pool->boot_id;
}
