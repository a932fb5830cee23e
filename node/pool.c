#include "node/pool.h"

#include <pthread.h>

#include "proto/bytes.h"

struct job {
    pool_function run;
    void *argument;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct job *ring; /* owns */
    size_t capacity;
    size_t first;
    size_t count;
    bool stopping;
    pthread_t *threads; /* owns */
    size_t thread_count;
};

static bool job_take(struct pool *pool, struct job *ret_job)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->count == 0 && !pool->stopping)
        pthread_cond_wait(&pool->posted, &pool->lock);
    bool found = pool->count > 0;
    if (found) {
        *ret_job = pool->ring[pool->first];
        pool->first = (pool->first + 1) % pool->capacity;
        pool->count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

static void *worker_main(void *argument)
{
    struct pool *pool = argument;
    struct job job;
    while (job_take(pool, &job))
        job.run(job.argument);
    return NULL;
}

enum err_code pool_start(const struct pool_options *options, struct pool **ret_pool,
                         struct err *err)
{
    ASSERT(options->workers > 0 && options->mailbox_jobs > 0);
    struct pool *pool = mem_calloc(1, sizeof(*pool));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    pool->capacity = options->mailbox_jobs;
    pool->ring = mem_calloc(pool->capacity, sizeof(*pool->ring));
    pool->threads = mem_calloc(options->workers, sizeof(*pool->threads));
    for (; pool->thread_count < options->workers; pool->thread_count++) {
        pthread_t *thread = &pool->threads[pool->thread_count];
        if (pthread_create(thread, NULL, worker_main, pool) != 0) {
            pool_stop(pool);
            return err_set(err, ERR_NO_MEMORY, "cannot start thread %zu of pool %s",
                           pool->thread_count + 1, options->name);
        }
        char name[16];
        snprintf(name, sizeof(name), "%.10s/%zu", options->name, pool->thread_count % 1000);
        pthread_setname_np(*thread, name);
    }
    *ret_pool = pool;
    return ERR_OK;
}

void pool_stop(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->posted);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->threads);
    mem_free(pool->ring);
    mem_free(pool);
}

enum err_code pool_post(struct pool *pool, pool_function run, void *argument, struct err *err)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->count < pool->capacity;
    if (room) {
        pool->ring[(pool->first + pool->count) % pool->capacity] = (struct job){run, argument};
        pool->count++;
        pthread_cond_signal(&pool->posted);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!room)
        return err_set(err, ERR_BUSY, "%zu jobs are waiting already; try again", pool->capacity);
    return ERR_OK;
}

size_t pool_waiting(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->count;
    pthread_mutex_unlock(&pool->lock);
    return count;
}
