#include "node/sql/exact_sum.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/random_test.h"

#define NUMBERS 200
#define ROUNDS  2000

static double sum_of(const double *numbers, size_t count)
{
    struct exact_sum sum = {0};
    for (size_t i = 0; i < count; i++)
        exact_sum_add(&sum, numbers[i]);
    return exact_sum_get(&sum);
}

static void is(double wanted, const double *numbers, size_t count)
{
    double found = sum_of(numbers, count);
    if (memcmp(&found, &wanted, sizeof(found)) != 0)
        fail_msg("%zu numbers gave %.17g, wanted %.17g", count, found, wanted);
}

static void test_nothing_is_lost_on_the_way(void **state)
{
    (void)state;
    is(0, NULL, 0);
    is(1, (const double[]){1e16, 1, -1e16}, 3);
    is(DBL_MAX, (const double[]){DBL_MAX, DBL_MAX, -DBL_MAX}, 3);
    is(0.1 + 0.2, (const double[]){0.1, 0.2}, 2);
    is(0, (const double[]){0.1, -0.1}, 2);
    is(5e-324, (const double[]){1e308, 5e-324, -1e308}, 3);
    is(-5e-324, (const double[]){-1e308, -5e-324, 1e308}, 3);
    is(DBL_MIN, (const double[]){DBL_MIN / 2, DBL_MIN / 2}, 2);
    is(1, (const double[]){1, 0x1p-53}, 2);                       /* a tie goes to even */
    is(1 + DBL_EPSILON, (const double[]){1, 0x1p-53, 5e-324}, 3); /* a little above it does not */
    is(-1 - DBL_EPSILON, (const double[]){-1, -0x1p-53, -5e-324}, 3);
}

static void test_what_is_no_number_stays(void **state)
{
    (void)state;
    assert_true(isnan(sum_of((const double[]){1, NAN}, 2)));
    assert_true(isnan(sum_of((const double[]){INFINITY, 1, -INFINITY}, 3)));
    is(INFINITY, (const double[]){INFINITY, -1e308}, 2);
    is(-INFINITY, (const double[]){-INFINITY, 1}, 2);
    is(INFINITY, (const double[]){DBL_MAX, DBL_MAX}, 2);
    is(-INFINITY, (const double[]){-DBL_MAX, -DBL_MAX}, 2);
}

/* Multiples of 2^-60 below 2^40: their sum fits 128 bits, and its conversion rounds once. */
static void test_sums_are_rounded_once_whatever_the_order(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < ROUNDS; round++) {
        double numbers[NUMBERS];
        decimal128 whole = 0;
        for (size_t i = 0; i < NUMBERS; i++) {
            int64_t mantissa = (int64_t)random_next(&random) >> (11 + random_below(&random, 50));
            unsigned shift = (unsigned)random_below(&random, 48);
            numbers[i] = ldexp((double)mantissa, (int)shift - 60);
            whole += (decimal128)mantissa * ((decimal128)1 << shift);
        }
        is(ldexp((double)whole, -60), numbers, NUMBERS);
        for (size_t i = NUMBERS - 1; i > 0; i--) {
            size_t other = (size_t)random_below(&random, i + 1);
            double number = numbers[i];
            numbers[i] = numbers[other];
            numbers[other] = number;
        }
        is(ldexp((double)whole, -60), numbers, NUMBERS);
    }
}

/* Any bits at all: forth and back again is nothing. */
static void test_every_number_cancels_itself(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < ROUNDS; round++) {
        struct exact_sum sum = {0};
        double numbers[NUMBERS];
        for (size_t i = 0; i < NUMBERS; i++) {
            uint64_t bits = random_next(&random);
            memcpy(&numbers[i], &bits, sizeof(bits));
            numbers[i] = isfinite(numbers[i]) ? numbers[i] : 1;
            exact_sum_add(&sum, numbers[i]);
        }
        for (size_t i = 1; i < NUMBERS; i++)
            exact_sum_add(&sum, -numbers[i]);
        assert_true(exact_sum_get(&sum) == numbers[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_on_the_way),
        cmocka_unit_test(test_what_is_no_number_stays),
        cmocka_unit_test(test_sums_are_rounded_once_whatever_the_order),
        cmocka_unit_test(test_every_number_cancels_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
