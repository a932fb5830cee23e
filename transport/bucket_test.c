#include "transport/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static void test_a_steady_flow_waits_as_the_rate_says(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(8000000); /* a byte a microsecond */
    uint64_t now_us = 100 * SECOND;
    uint64_t wait_us = 0;
    for (int i = 0; i < 1000; i++)
        wait_us = bucket_reserve(bucket, 10000, now_us);
    /* the last of 10 MB goes when the others have gone, less the burst */
    assert_in_range(wait_us, 9950000, 9990000);
    assert_int_equal(bucket_bytes_total(bucket), 10000000);
    bucket_unref(bucket);
}

static void test_a_rest_saves_up_a_burst_and_no_more(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(8000000);
    assert_int_equal(bucket_reserve(bucket, 10000, 100 * SECOND), 0);
    assert_int_equal(bucket_reserve(bucket, 10000, 200 * SECOND), 0);
    assert_int_equal(bucket_reserve(bucket, 10000, 200 * SECOND), 0);
    assert_int_equal(bucket_reserve(bucket, 10000, 200 * SECOND), 0); /* 20 ms are used up */
    assert_int_equal(bucket_reserve(bucket, 10000, 200 * SECOND), 10000);
    bucket_unref(bucket);
}

static void test_a_new_rate_holds_from_the_next_reservation(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(8000000);
    uint64_t now_us = 100 * SECOND;
    bucket_reserve(bucket, 20000, now_us);
    bucket_set_rate(bucket, 16000000);
    bucket_reserve(bucket, 20000, now_us);
    assert_int_equal(bucket_reserve(bucket, 1, now_us), 10000);
    assert_int_equal(bucket_rate(bucket), 16000000);
    bucket_unref(bucket);
}

static void test_rates_have_a_default_and_a_floor(void **state)
{
    (void)state;
    struct bucket *bucket = bucket_new(0);
    assert_int_equal(bucket_rate(bucket), BUCKET_DEFAULT_BITS_PER_SECOND);
    bucket_set_rate(bucket, 1);
    assert_int_equal(bucket_rate(bucket), BUCKET_MIN_BITS_PER_SECOND);
    bucket_unref(bucket_ref(bucket));
    bucket_unref(bucket);
    assert_int_equal(bucket_reserve(NULL, UINT64_MAX, 5), 0);
    assert_null(bucket_ref(NULL));
    bucket_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steady_flow_waits_as_the_rate_says),
        cmocka_unit_test(test_a_rest_saves_up_a_burst_and_no_more),
        cmocka_unit_test(test_a_new_rate_holds_from_the_next_reservation),
        cmocka_unit_test(test_rates_have_a_default_and_a_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
