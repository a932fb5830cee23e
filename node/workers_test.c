#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "node/workers.h"

static atomic_int ran;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void count_run(void *argument)
{
    (void)argument;
    atomic_fetch_add(&ran, 1);
}

static void gate_wait(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&ran, 1);
}

static struct workers *workers_of(size_t count, size_t jobs)
{
    struct workers *workers;
    struct err err;
    const struct workers_options options = {"test", count, jobs};
    assert_int_equal(workers_start(&options, &workers, &err), ERR_OK);
    return workers;
}

static void a_full_mailbox_refuses_and_does_not_block(void **state)
{
    (void)state;
    atomic_store(&ran, 0);
    struct workers *workers = workers_of(1, 2);
    pthread_mutex_lock(&gate);
    struct err err;
    int taken = 0;
    while (workers_post(workers, gate_wait, NULL, &err) == ERR_OK)
        taken++;
    assert_int_equal(err.code, ERR_BUSY);
    assert_in_range(taken, 2, 3); /* two wait, one may be in hand */
    pthread_mutex_unlock(&gate);
    workers_free(workers);
    assert_int_equal(atomic_load(&ran), taken);
}

static void stop_runs_what_waits_and_refuses_what_comes_later(void **state)
{
    (void)state;
    atomic_store(&ran, 0);
    struct workers *workers = workers_of(3, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(workers_post(workers, count_run, NULL, NULL), ERR_OK);
    workers_stop(workers);
    assert_int_equal(atomic_load(&ran), 1000);
    assert_int_equal(workers_post(workers, count_run, NULL, NULL), ERR_BUSY);
    workers_free(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_mailbox_refuses_and_does_not_block),
        cmocka_unit_test(stop_runs_what_waits_and_refuses_what_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
