#include "node/channel_keeping.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MBIT  UINT64_C(1000000)
#define LIMIT (50 * MBIT)
#define TICK  100
#define BYTES (LIMIT / 8 / 10) /* of a tick, exactly the limit */

static const uint8_t boot_a[KEEPING_BOOT_BYTES] = {1}, boot_b[KEEPING_BOOT_BYTES] = {2};

/* `percent` of the limit for `ticks`; the tick at which it was seen not to be kept, or 0. */
static unsigned comes(struct channel_keeping *keeping, unsigned percent, unsigned ticks)
{
    const struct channel_seen seen = {BYTES * percent / 100, TICK, LIMIT / 8 / 100 * percent};
    for (unsigned i = 1; i <= ticks; i++)
        if (keeping_sees(keeping, &seen))
            return i;
    return 0;
}

static void answers(struct channel_keeping *keeping, uint64_t bits, const uint8_t *boot,
                    bool answered, bool taken)
{
    struct channel_told told = {.bits = bits, .answered = answered, .taken = taken};
    memcpy(told.boot, boot, sizeof(told.boot));
    keeping_told(keeping, &told);
}

static struct channel_keeping obeying(void)
{
    struct channel_keeping keeping = {0};
    keeping_limit(&keeping, LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
    answers(&keeping, LIMIT, boot_a, true, true);
    return keeping;
}

static void test_it_is_read_exactly_until_the_source_says_that_it_knows(void **state)
{
    (void)state;
    struct channel_keeping keeping = {0};
    keeping_limit(&keeping, LIMIT);
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    assert_false(keeping_tells(&keeping, false, boot_a)); /* nobody to tell */
    assert_true(keeping_tells(&keeping, true, boot_a));
    assert_false(keeping_tells(&keeping, true, boot_a)); /* once at a time */
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    answers(&keeping, LIMIT, boot_a, true, true);
    assert_true(keeping_read_rate(&keeping) == KEEPING_BACKSTOP * LIMIT);
    assert_false(keeping_tells(&keeping, true, boot_a));
}

static void test_who_does_not_take_it_is_read_exactly_and_not_asked_again(void **state)
{
    (void)state;
    struct channel_keeping keeping = {0};
    keeping_limit(&keeping, LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
    answers(&keeping, LIMIT, boot_a, true, false);
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    assert_false(keeping_tells(&keeping, true, boot_a));
    assert_int_equal(comes(&keeping, 300, 10000), 0); /* it was never believed */
}

static void test_an_answer_that_was_lost_is_asked_for_again(void **state)
{
    (void)state;
    struct channel_keeping keeping = {0};
    keeping_limit(&keeping, LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
    answers(&keeping, LIMIT, boot_a, false, false);
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
}

static void test_another_limit_is_told_and_read_exactly_meanwhile(void **state)
{
    (void)state;
    struct channel_keeping keeping = obeying();
    keeping_limit(&keeping, 2 * LIMIT);
    assert_true(keeping_read_rate(&keeping) == 2 * LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
    keeping_limit(&keeping, 3 * LIMIT); /* while the request is out: its answer is of the old one */
    answers(&keeping, 2 * LIMIT, boot_a, true, true);
    assert_true(keeping_read_rate(&keeping) == 3 * LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_a));
    answers(&keeping, 3 * LIMIT, boot_a, true, true);
    assert_true(keeping_read_rate(&keeping) == KEEPING_BACKSTOP * 3 * LIMIT);
}

static void test_another_process_at_the_source_knows_of_nothing(void **state)
{
    (void)state;
    struct channel_keeping keeping = obeying();
    assert_false(keeping_tells(&keeping, false, boot_b));
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    assert_true(keeping_tells(&keeping, true, boot_b));
    answers(&keeping, LIMIT, boot_b, true, true);
    assert_true(keeping_read_rate(&keeping) == KEEPING_BACKSTOP * LIMIT);
}

static void test_a_source_that_keeps_it_is_believed_for_ever(void **state)
{
    (void)state;
    struct channel_keeping keeping = obeying();
    assert_int_equal(comes(&keeping, 800, 20), 0); /* buffers, at the backstop's rate */
    assert_int_equal(comes(&keeping, 109, 100000), 0);
    assert_true(keeping_read_rate(&keeping) == KEEPING_BACKSTOP * LIMIT);
}

/* Not for a minute at eight times the limit: until more has come than buffers hold. */
static void test_one_that_does_not_is_held_after_what_buffers_hold(void **state)
{
    (void)state;
    struct channel_keeping keeping = obeying();
    unsigned tick = comes(&keeping, 800, 10000);
    uint64_t too_much = (uint64_t)tick * BYTES * (800 - KEEPING_PERCENT) / 100;
    assert_true(tick > 0 && tick * TICK < KEEPING_GRACE_MS);
    assert_true(too_much > KEEPING_EXCESS_BYTES && too_much < KEEPING_EXCESS_BYTES + 8 * BYTES);
    assert_true(keeping_read_rate(&keeping) == LIMIT);
    assert_false(keeping_tells(&keeping, true, boot_a)); /* it has been told */
    answers(&keeping, LIMIT, boot_b, true, true);
    assert_true(keeping_read_rate(&keeping) ==
                KEEPING_BACKSTOP * LIMIT); /* another, or another limit */
}

static void test_one_that_sends_a_little_more_is_held_after_a_minute(void **state)
{
    (void)state;
    struct channel_keeping keeping = obeying();
    assert_int_equal(comes(&keeping, 120, 10000), KEEPING_GRACE_MS / TICK + 1);
    assert_true(keeping_read_rate(&keeping) == LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_read_exactly_until_the_source_says_that_it_knows),
        cmocka_unit_test(test_who_does_not_take_it_is_read_exactly_and_not_asked_again),
        cmocka_unit_test(test_an_answer_that_was_lost_is_asked_for_again),
        cmocka_unit_test(test_another_limit_is_told_and_read_exactly_meanwhile),
        cmocka_unit_test(test_another_process_at_the_source_knows_of_nothing),
        cmocka_unit_test(test_a_source_that_keeps_it_is_believed_for_ever),
        cmocka_unit_test(test_one_that_does_not_is_held_after_what_buffers_hold),
        cmocka_unit_test(test_one_that_sends_a_little_more_is_held_after_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
