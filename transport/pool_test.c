#include "transport/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ACTORS 40
#define POKES  2000

struct counter {
    struct actor actor;
    unsigned steps;     /* the step's alone: TSan sees it if two run at once */
    atomic_uint wanted; /* pokes so far */
    unsigned seen;
    bool timed;
    uint64_t started_us;
    uint64_t woken_us;
    atomic_bool finished;
};

static bool counter_step(struct actor *actor)
{
    struct counter *counter = (struct counter *)actor;
    counter->steps++;
    counter->seen = atomic_load(&counter->wanted);
    if (counter->timed && pool_now_us() >= counter->started_us + 20000)
        counter->woken_us = pool_now_us();
    return counter->seen == POKES || counter->woken_us != 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;
static unsigned finished_count;

static void counter_finish(struct actor *actor)
{
    (void)actor;
    pthread_mutex_lock(&lock);
    finished_count++;
    pthread_cond_signal(&finished);
    pthread_mutex_unlock(&lock);
}

static void wait_finished(unsigned count)
{
    pthread_mutex_lock(&lock);
    while (finished_count < count)
        pthread_cond_wait(&finished, &lock);
    finished_count = 0;
    pthread_mutex_unlock(&lock);
}

static void *poker(void *argument)
{
    struct counter *counters = argument;
    for (int i = 0; i < POKES / 2; i++) {
        for (int k = 0; k < ACTORS; k++) {
            atomic_fetch_add(&counters[k].wanted, 1);
            actor_poke(&counters[k].actor);
        }
    }
    return NULL;
}

static void test_no_poke_is_lost_and_no_step_runs_twice_at_once(void **state)
{
    (void)state;
    static struct counter counters[ACTORS];
    struct pool *pool;
    pthread_t threads[2];
    assert_int_equal(pool_new(&(struct pool_options){.workers = 4}, &pool, NULL), ERR_OK);
    for (int i = 0; i < ACTORS; i++)
        actor_init(&counters[i].actor, pool, counter_step, counter_finish);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, poker, counters), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    wait_finished(ACTORS);
    for (int i = 0; i < ACTORS; i++)
        assert_int_equal(counters[i].seen, POKES);
    pool_free(pool);
}

static void test_times_come_in_their_order_and_the_earliest_counts(void **state)
{
    (void)state;
    struct counter counters[3] = {0};
    struct pool *pool;
    assert_int_equal(pool_new(NULL, &pool, NULL), ERR_OK);
    uint64_t now_us = pool_now_us();
    for (int i = 0; i < 3; i++) {
        actor_init(&counters[i].actor, pool, counter_step, counter_finish);
        counters[i].timed = true;
        counters[i].started_us = now_us + (uint64_t)i * 20000;
    }
    for (int i = 2; i >= 0; i--) {
        actor_wake_at(&counters[i].actor, now_us + UINT64_C(3600000000));
        actor_wake_at(&counters[i].actor, counters[i].started_us + 20000);
        actor_wake_at(&counters[i].actor, now_us + UINT64_C(7200000000));
    }
    wait_finished(3);
    for (int i = 0; i < 3; i++)
        assert_true(counters[i].woken_us >= counters[i].started_us + 20000);
    assert_true(counters[0].woken_us <= counters[1].woken_us);
    assert_true(counters[1].woken_us <= counters[2].woken_us);
    pool_free(pool);
}

static void test_options_have_the_limits_as_defaults(void **state)
{
    (void)state;
    struct pool *pool;
    assert_int_equal(pool_new(NULL, &pool, NULL), ERR_OK);
    const struct pool_options *options = pool_options(pool);
    assert_true(options->workers >= 2);
    assert_int_equal(options->handshake_timeout_ms, 5000);
    assert_int_equal(options->ping_after_ms, 10000);
    assert_int_equal(options->silence_max_ms, 30000);
    assert_int_equal(options->connection_life_ms, 3600000);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_poke_is_lost_and_no_step_runs_twice_at_once),
        cmocka_unit_test(test_times_come_in_their_order_and_the_earliest_counts),
        cmocka_unit_test(test_options_have_the_limits_as_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
