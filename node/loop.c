#include "node/loop.h"

#include <pthread.h>
#include <time.h>

#include "proto/bytes.h"

struct event {
    loop_function run;
    void *argument;
    struct event *next;
};

struct loop {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct event *first; /* owns; in order of posting */
    struct event **last;
    bool stopping;
    pthread_t thread;
    struct loop_timer *timers; /* sorted by due_ms; loop thread only */
};

uint64_t loop_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wait_until(struct loop *loop, uint64_t due_ms)
{
    struct timespec at = {
        .tv_sec = (time_t)(due_ms / 1000),
        .tv_nsec = (long)(due_ms % 1000) * 1000000,
    };
    pthread_cond_timedwait(&loop->posted, &loop->lock, &at);
}

/* All events posted so far, or NULL when a timer is due or the loop ends. */
static struct event *events_take(struct loop *loop, bool *ret_end)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->first == NULL && !loop->stopping) {
        if (loop->timers == NULL)
            pthread_cond_wait(&loop->posted, &loop->lock);
        else if (loop->timers->due_ms > loop_now_ms())
            wait_until(loop, loop->timers->due_ms);
        else
            break;
    }
    struct event *events = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    *ret_end = loop->stopping && events == NULL;
    pthread_mutex_unlock(&loop->lock);
    return events;
}

static void events_run(struct event *event)
{
    while (event != NULL) {
        struct event *next = event->next;
        event->run(event->argument);
        mem_free(event);
        event = next;
    }
}

static void timers_run(struct loop *loop)
{
    uint64_t now = loop_now_ms();
    while (loop->timers != NULL && loop->timers->due_ms <= now) {
        struct loop_timer *timer = loop->timers;
        loop->timers = timer->next;
        timer->armed = false;
        timer->run(timer->argument);
    }
}

static void *loop_main(void *argument)
{
    struct loop *loop = argument;
    bool end = false;
    while (!end) {
        events_run(events_take(loop, &end));
        if (!end)
            timers_run(loop);
    }
    return NULL;
}

enum err_code loop_start(struct loop **ret_loop, struct err *err)
{
    struct loop *loop = mem_calloc(1, sizeof(*loop));
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&loop->posted, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0) {
        pthread_cond_destroy(&loop->posted);
        pthread_mutex_destroy(&loop->lock);
        mem_free(loop);
        return err_set(err, ERR_NO_MEMORY, "cannot start the loop thread");
    }
    pthread_setname_np(loop->thread, "loop");
    *ret_loop = loop;
    return ERR_OK;
}

void loop_stop(struct loop *loop)
{
    if (loop == NULL)
        return;
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    pthread_cond_signal(&loop->posted);
    pthread_mutex_unlock(&loop->lock);
    pthread_join(loop->thread, NULL);
    pthread_cond_destroy(&loop->posted);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
}

bool loop_post(struct loop *loop, loop_function run, void *argument)
{
    struct event *event = mem_alloc(sizeof(*event));
    *event = (struct event){.run = run, .argument = argument};
    pthread_mutex_lock(&loop->lock);
    bool taken = !loop->stopping;
    if (taken) {
        *loop->last = event;
        loop->last = &event->next;
        pthread_cond_signal(&loop->posted);
    }
    pthread_mutex_unlock(&loop->lock);
    if (!taken)
        mem_free(event);
    return taken;
}

struct call {
    loop_function run;
    void *argument;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    bool done;
};

static void call_run(void *argument)
{
    struct call *call = argument;
    call->run(call->argument);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->finished);
    pthread_mutex_unlock(&call->lock);
}

bool loop_call(struct loop *loop, loop_function run, void *argument)
{
    ASSERT(!loop_is_current(loop));
    struct call call = {.run = run, .argument = argument};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.finished, NULL);
    bool taken = loop_post(loop, call_run, &call);
    pthread_mutex_lock(&call.lock);
    while (taken && !call.done)
        pthread_cond_wait(&call.finished, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.finished);
    pthread_mutex_destroy(&call.lock);
    return taken;
}

bool loop_is_current(const struct loop *loop)
{
    return pthread_equal(pthread_self(), loop->thread) != 0;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms)
{
    ASSERT(loop_is_current(loop));
    loop_timer_cancel(loop, timer);
    timer->due_ms = loop_now_ms() + delay_ms;
    timer->armed = true;
    struct loop_timer **at = &loop->timers;
    while (*at != NULL && (*at)->due_ms <= timer->due_ms)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    ASSERT(loop_is_current(loop));
    if (!timer->armed)
        return;
    struct loop_timer **at = &loop->timers;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    timer->armed = false;
}
