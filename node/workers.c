#include "node/workers.h"

#include <pthread.h>

#include "proto/bytes.h"

struct job {
    workers_function run;
    void *argument;
};

struct workers {
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

static bool job_take(struct workers *workers, struct job *ret_job)
{
    pthread_mutex_lock(&workers->lock);
    while (workers->count == 0 && !workers->stopping)
        pthread_cond_wait(&workers->posted, &workers->lock);
    bool found = workers->count > 0;
    if (found) {
        *ret_job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->capacity;
        workers->count--;
    }
    pthread_mutex_unlock(&workers->lock);
    return found;
}

static void *worker_main(void *argument)
{
    struct workers *workers = argument;
    struct job job;
    while (job_take(workers, &job))
        job.run(job.argument);
    return NULL;
}

enum err_code workers_start(const struct workers_options *options, struct workers **ret_workers,
                            struct err *err)
{
    ASSERT(options->workers > 0 && options->mailbox_jobs > 0);
    struct workers *workers = mem_calloc(1, sizeof(*workers));
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->posted, NULL);
    workers->capacity = options->mailbox_jobs;
    workers->ring = mem_calloc(workers->capacity, sizeof(*workers->ring));
    workers->threads = mem_calloc(options->workers, sizeof(*workers->threads));
    for (; workers->thread_count < options->workers; workers->thread_count++) {
        pthread_t *thread = &workers->threads[workers->thread_count];
        if (pthread_create(thread, NULL, worker_main, workers) != 0) {
            workers_free(workers);
            return err_set(err, ERR_NO_MEMORY, "cannot start thread %zu of %s",
                           workers->thread_count + 1, options->name);
        }
        char name[16];
        snprintf(name, sizeof(name), "%.10s/%zu", options->name, workers->thread_count % 1000);
        pthread_setname_np(*thread, name);
    }
    *ret_workers = workers;
    return ERR_OK;
}

void workers_stop(struct workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->posted);
    pthread_mutex_unlock(&workers->lock);
    for (size_t i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    workers->thread_count = 0;
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    workers_stop(workers);
    pthread_cond_destroy(&workers->posted);
    pthread_mutex_destroy(&workers->lock);
    mem_free(workers->threads);
    mem_free(workers->ring);
    mem_free(workers);
}

enum err_code workers_post(struct workers *workers, workers_function run, void *argument,
                           struct err *err)
{
    pthread_mutex_lock(&workers->lock);
    bool stopping = workers->stopping;
    bool room = workers->count < workers->capacity && !stopping;
    if (room) {
        workers->ring[(workers->first + workers->count) % workers->capacity] =
            (struct job){run, argument};
        workers->count++;
        pthread_cond_signal(&workers->posted);
    }
    pthread_mutex_unlock(&workers->lock);
    if (stopping)
        return err_set(err, ERR_BUSY, "the node is stopping");
    if (!room)
        return err_set(err, ERR_BUSY, "%zu jobs are waiting already; try again", workers->capacity);
    return ERR_OK;
}

size_t workers_waiting(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    size_t count = workers->count;
    pthread_mutex_unlock(&workers->lock);
    return count;
}
