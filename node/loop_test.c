#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/loop.h"

struct script {
    struct loop *loop;
    struct loop_timer timers[3];
    char trace[16];
    size_t length;
};

static struct script script;

static void trace_add(char c)
{
    script.trace[script.length++] = c;
}

static void fire_a(void *argument)
{
    (void)argument;
    trace_add('a');
}

static void fire_b(void *argument)
{
    (void)argument;
    trace_add('b');
}

static void arm(void *argument)
{
    (void)argument;
    script.timers[0] = (struct loop_timer){.run = fire_a};
    script.timers[1] = (struct loop_timer){.run = fire_b};
    script.timers[2] = (struct loop_timer){.run = fire_b};
    loop_timer_start(script.loop, &script.timers[2], 3600000);
    loop_timer_start(script.loop, &script.timers[0], 1);
    loop_timer_start(script.loop, &script.timers[1], 0);
    loop_timer_cancel(script.loop, &script.timers[2]);
}

static void still_armed(void *argument)
{
    *(bool *)argument = script.timers[0].armed || script.timers[1].armed;
}

static void timers_fire_in_order_of_time(void **state)
{
    (void)state;
    script = (struct script){0};
    assert_int_equal(loop_start(&script.loop, NULL), ERR_OK);
    assert_true(loop_call(script.loop, arm, NULL));
    bool armed = true;
    while (armed)
        assert_true(loop_call(script.loop, still_armed, &armed));
    loop_stop(script.loop);
    assert_string_equal(script.trace, "ba");
    assert_false(script.timers[2].armed);
}

static void count(void *argument)
{
    (*(int *)argument)++;
}

static void stop_runs_what_was_posted_before(void **state)
{
    (void)state;
    struct loop *loop;
    assert_int_equal(loop_start(&loop, NULL), ERR_OK);
    int n = 0;
    for (int i = 0; i < 1000; i++)
        assert_true(loop_post(loop, count, &n));
    loop_stop(loop);
    assert_int_equal(n, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_time),
        cmocka_unit_test(stop_runs_what_was_posted_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
