#include "node/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "node/log.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool runs;
    bool hangup;
    int stop; /* the signal; 0: none came */
} signals = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_make(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
}

/* Nothing is undone: the lock on data_dir goes with the process, the next start clears up. */
static void start_leave(int number)
{
    log_event_last(LOG_INFO, "ended during its start", LOG_NUMBER("signal", number));
    _exit(0);
}

/* The lock is held but for the wait. */
static void stop_limit(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_SECONDS_MAX;
    while (pthread_cond_clockwait(&signals.changed, &signals.lock, CLOCK_MONOTONIC, &until) !=
           ETIMEDOUT)
        continue;
    log_event_last(LOG_ERROR, "did not stop in time: the process ends as it is",
                   LOG_NUMBER("seconds", STOP_SECONDS_MAX));
    _exit(STOP_STATUS_LATE);
}

static void *signals_main(void *argument)
{
    sigset_t set;
    (void)argument;
    set_make(&set);
    for (;;) {
        int number = 0;
        ASSERT(sigwait(&set, &number) == 0);
        pthread_mutex_lock(&signals.lock);
        if (number != SIGHUP && !signals.runs)
            start_leave(number);
        if (number == SIGHUP)
            signals.hangup = true;
        else
            signals.stop = number;
        pthread_cond_signal(&signals.changed);
        if (signals.stop != 0)
            stop_limit();
        pthread_mutex_unlock(&signals.lock);
    }
    return NULL;
}

enum err_code signals_start(struct err *err)
{
    sigset_t set;
    pthread_t thread;
    set_make(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_create(&thread, NULL, signals_main, NULL) != 0)
        return err_set(err, ERR_NO_MEMORY, "cannot start the thread that waits for signals");
    pthread_setname_np(thread, "signals");
    pthread_detach(thread);
    return ERR_OK;
}

void signals_running(void)
{
    pthread_mutex_lock(&signals.lock);
    signals.runs = true;
    pthread_mutex_unlock(&signals.lock);
}

int signals_next(void)
{
    pthread_mutex_lock(&signals.lock);
    while (signals.stop == 0 && !signals.hangup)
        pthread_cond_wait(&signals.changed, &signals.lock);
    int number = signals.stop != 0 ? signals.stop : SIGHUP;
    signals.hangup = false;
    pthread_mutex_unlock(&signals.lock);
    return number;
}

/* ---- what is no node ---- */

static void on_end(int number)
{
    _exit(128 + number);
}

void signals_end_at_once(void)
{
    if (getpid() != 1) /* else the default does it, and shells see by which signal */
        return;
    signal(SIGTERM, on_end);
    signal(SIGINT, on_end);
}
