#include "transport/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SECOND UINT64_C(1000000)

#define RATE          8000000 /* bits a second: a byte a microsecond */
#define FRAMED(bytes) ((bytes) + (bytes)*BUCKET_FRAMING_PERCENT / 100)
#define BURST         200000 /* of RATE */

/* Until the ticket's turn, by looking whenever it is said to: microseconds from now_us on. */
static uint64_t waited_us(struct bucket *bucket, uint64_t ticket, uint64_t now_us)
{
    uint64_t at_us = now_us, wait_us;
    while ((wait_us = bucket_wait_us(bucket, ticket, at_us)) > 0) {
        assert_in_range(wait_us, 1, BUCKET_LOOK_US);
        at_us += wait_us;
    }
    return at_us - now_us;
}

static void test_a_steady_flow_waits_as_the_rate_says(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(RATE);
    uint64_t now_us = 100 * SECOND;
    uint64_t ticket = 0;
    for (int i = 0; i < 1000; i++)
        ticket = bucket_take(bucket, 10000, now_us);
    /* the last of 10 MB goes when the others have gone, less the burst */
    assert_in_range(waited_us(bucket, ticket, now_us), FRAMED(9990000) - BURST - 1000,
                    FRAMED(9990000) - BURST + 1000);
    assert_int_equal(bucket_bytes_total(bucket), 10000000);
    bucket_unref(bucket);
}

static void test_who_came_first_goes_first(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(RATE);
    uint64_t now_us = 100 * SECOND, last_us = 0;
    uint64_t tickets[10];
    bucket_take(bucket, BURST, now_us);
    for (int i = 0; i < 10; i++)
        tickets[i] = bucket_take(bucket, 50000, now_us);
    for (int i = 1; i < 10; i++) {
        uint64_t at_us = now_us;
        while (bucket_wait_us(bucket, tickets[i], at_us) > 0)
            at_us += 500; /* time only goes on: the next ticket's is later */
        now_us = at_us;
        assert_true(i == 1 || at_us - last_us >= FRAMED(50000) - 1000);
        assert_true(i == 1 || at_us - last_us <= FRAMED(50000) + 1000);
        last_us = at_us;
    }
    bucket_unref(bucket);
}

static void test_a_rest_saves_up_a_burst_and_no_more(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(RATE);
    assert_int_equal(bucket_wait_us(bucket, bucket_take(bucket, 10000, 100 * SECOND), 100 * SECOND),
                     0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            bucket_wait_us(bucket, bucket_take(bucket, BURST / 2, 200 * SECOND), 200 * SECOND), 0);
    uint64_t ticket = bucket_take(bucket, 10000, 200 * SECOND); /* 200 ms are used up */
    assert_in_range(waited_us(bucket, ticket, 200 * SECOND), FRAMED(BURST) - BURST,
                    FRAMED(BURST) - BURST + 2);
    bucket_unref(bucket);
}

/* What is taken already waits by the new rate, too: a change does not wait behind what was asked. */
static void test_a_new_rate_counts_for_those_that_wait(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(BUCKET_MIN_BITS_PER_SECOND);
    uint64_t now_us = 100 * SECOND;
    bucket_take(bucket, 16000000, now_us);
    uint64_t ticket = bucket_take(bucket, 1, now_us); /* 132 s of 1 Mbit/s are before it */
    assert_int_equal(bucket_wait_us(bucket, ticket, now_us), BUCKET_LOOK_US);
    now_us += SECOND; /* at the old rate */
    bucket_set_rate(bucket, 100 * RATE, now_us);
    assert_int_equal(bucket_rate(bucket), 100 * RATE);
    uint64_t left = FRAMED(16000000) - 125000 - 25000; /* less a second, and the burst */
    assert_in_range(waited_us(bucket, ticket, now_us), left / 100 - 100, left / 100 + 100);
    now_us += 10 * SECOND;
    bucket_take(bucket, 64000000, now_us); /* a moment of this rate, minutes of the next one */
    bucket_set_rate(bucket, BUCKET_MIN_BITS_PER_SECOND, now_us);
    ticket = bucket_take(bucket, 1, now_us);
    assert_in_range(waited_us(bucket, ticket, now_us), 200000, 260000);
    bucket_unref(bucket);
}

/* In any ten seconds, whatever is done with the rate: what goes is the rate's integral. */
static void test_what_goes_is_what_the_rates_allow(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(RATE);
    uint64_t now_us = 100 * SECOND;
    uint64_t ticket = bucket_take(bucket, 10000, now_us), sent = 0;
    double allowed = 0.02;
    static const uint64_t rates[] = {RATE, 50 * RATE, 3 * RATE, 7 * RATE};
    for (size_t i = 0; i < 4; i++) {
        bucket_set_rate(bucket, rates[i], now_us);
        for (uint64_t end_us = now_us + 10 * SECOND; now_us < end_us; now_us += 100)
            while (bucket_wait_us(bucket, ticket, now_us) == 0) {
                sent += 10000;
                ticket = bucket_take(bucket, 10000, now_us);
            }
        allowed += 10 * (double)rates[i] / 8 / (1 + BUCKET_FRAMING_PERCENT / 100.0);
        assert_in_range(sent, (uint64_t)(0.999 * allowed), (uint64_t)(1.001 * allowed) + BURST);
    }
    bucket_unref(bucket);
}

/* What a fast rate saved up is no credit for minutes of a slow one. */
static void test_a_burst_is_of_the_rate_that_holds(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(100 * RATE);
    bucket_take(bucket, 1, 100 * SECOND);
    bucket_set_rate(bucket, RATE, 200 * SECOND);
    bucket_take(bucket, BURST, 200 * SECOND);
    uint64_t ticket = bucket_take(bucket, 1, 200 * SECOND);
    assert_in_range(bucket_wait_us(bucket, ticket, 200 * SECOND), FRAMED(BURST) - BURST - 1,
                    FRAMED(BURST) - BURST + 2);
    bucket_unref(bucket);
}

static void test_a_clock_read_late_takes_nothing_back(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(RATE);
    bucket_take(bucket, BURST + 20000, 100 * SECOND);
    uint64_t ticket = bucket_take(bucket, 20000, 100 * SECOND);
    uint64_t wait_us = bucket_wait_us(bucket, ticket, 100 * SECOND);
    assert_int_equal(bucket_wait_us(bucket, ticket, 99 * SECOND), wait_us);
    assert_int_equal(bucket_wait_us(bucket, ticket, 100 * SECOND), wait_us);
    bucket_unref(bucket);
}

static void test_rates_have_a_default_and_a_floor(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(0);
    assert_int_equal(bucket_rate(bucket), BUCKET_DEFAULT_BITS_PER_SECOND);
    bucket_set_rate(bucket, 1, SECOND);
    assert_int_equal(bucket_rate(bucket), BUCKET_MIN_BITS_PER_SECOND);
    bucket_unref(bucket_ref(bucket));
    bucket_unref(bucket);
    assert_int_equal(bucket_wait_us(NULL, bucket_take(NULL, UINT64_MAX, 5), 5), 0);
    assert_null(bucket_ref(NULL));
    bucket_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steady_flow_waits_as_the_rate_says),
        cmocka_unit_test(test_who_came_first_goes_first),
        cmocka_unit_test(test_a_rest_saves_up_a_burst_and_no_more),
        cmocka_unit_test(test_a_new_rate_counts_for_those_that_wait),
        cmocka_unit_test(test_what_goes_is_what_the_rates_allow),
        cmocka_unit_test(test_a_burst_is_of_the_rate_that_holds),
        cmocka_unit_test(test_a_clock_read_late_takes_nothing_back),
        cmocka_unit_test(test_rates_have_a_default_and_a_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
