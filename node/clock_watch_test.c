#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/clock_watch.h"

#define NOW_MS    UINT64_C(1770000000000)
#define HOUR_MS   (UINT64_C(3600) * 1000)
#define YEAR_MS   (365 * 24 * HOUR_MS)
#define MINUTE_MS UINT64_C(60000)

struct clocks {
    struct clock_watch watch;
    uint64_t wall_ms, monotonic_ms;
};

static enum clock_verdict look_after(struct clocks *clocks, uint64_t passed_ms, int64_t jump_ms)
{
    clocks->monotonic_ms += passed_ms;
    clocks->wall_ms += passed_ms + (uint64_t)jump_ms;
    return clock_watch_look(&clocks->watch, clocks->wall_ms, clocks->monotonic_ms);
}

static void clocks_start(struct clocks *clocks, uint64_t believed_ms)
{
    *clocks = (struct clocks){.wall_ms = NOW_MS, .monotonic_ms = 5000};
    clock_watch_init(&clocks->watch, believed_ms, clocks->monotonic_ms);
}

static void test_a_clock_that_goes_on_is_believed(void **state)
{
    (void)state;
    struct clocks clocks;
    clocks_start(&clocks, 0);
    for (int i = 0; i < 10000; i++) /* a drift of a second a minute never adds up */
        assert_int_equal(look_after(&clocks, MINUTE_MS, i % 2 == 0 ? 1000 : 900), CLOCK_BELIEVED);
}

static void test_a_jump_is_told_once_and_doubted_until_it_is_back(void **state)
{
    (void)state;
    const int64_t jumps[] = {(int64_t)YEAR_MS, -(int64_t)YEAR_MS, -(int64_t)NOW_MS,
                             (int64_t)HOUR_MS};
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct clocks clocks;
        clocks_start(&clocks, 0);
        assert_int_equal(look_after(&clocks, MINUTE_MS, 0), CLOCK_BELIEVED);
        assert_int_equal(look_after(&clocks, MINUTE_MS, jumps[i]), CLOCK_JUMPED);
        assert_int_equal(look_after(&clocks, MINUTE_MS, 0), CLOCK_DOUBTED);
        assert_int_equal(look_after(&clocks, MINUTE_MS, -jumps[i]), CLOCK_BELIEVED);
    }
}

static void test_it_is_believed_again_after_a_steady_day(void **state)
{
    (void)state;
    struct clocks clocks;
    clocks_start(&clocks, 0);
    look_after(&clocks, MINUTE_MS, 0);
    assert_int_equal(look_after(&clocks, 0, (int64_t)YEAR_MS), CLOCK_JUMPED);
    assert_int_equal(look_after(&clocks, 20 * HOUR_MS, 0), CLOCK_DOUBTED);
    assert_int_equal(look_after(&clocks, 0, (int64_t)YEAR_MS), CLOCK_JUMPED); /* counts anew */
    assert_int_equal(look_after(&clocks, 23 * HOUR_MS, 0), CLOCK_DOUBTED);
    assert_int_equal(look_after(&clocks, HOUR_MS, 0), CLOCK_BELIEVED);
    assert_int_equal(look_after(&clocks, MINUTE_MS, 0), CLOCK_BELIEVED);
}

static void test_a_start_compares_with_what_was_last_believed(void **state)
{
    (void)state;
    const struct {
        uint64_t believed_ms;
        enum clock_verdict verdict;
    } cases[] = {
        {NOW_MS, CLOCK_BELIEVED},
        {NOW_MS - 24 * HOUR_MS, CLOCK_BELIEVED}, /* was down for a day */
        {NOW_MS - YEAR_MS, CLOCK_JUMPED},
        {NOW_MS + YEAR_MS, CLOCK_JUMPED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clocks clocks;
        clocks_start(&clocks, cases[i].believed_ms);
        assert_int_equal(look_after(&clocks, 0, 0), cases[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clock_that_goes_on_is_believed),
        cmocka_unit_test(test_a_jump_is_told_once_and_doubted_until_it_is_back),
        cmocka_unit_test(test_it_is_believed_again_after_a_steady_day),
        cmocka_unit_test(test_a_start_compares_with_what_was_last_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
