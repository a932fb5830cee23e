#include "node/sql/text_sum.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/random_test.h"

#define TEXTS  300
#define ROUNDS 200

static void add(struct text_sum *sum, const char *text)
{
    struct err err;
    if (text_sum_add(sum, span_text(text), &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
}

static void shows(struct text_sum *sum, const char *wanted)
{
    BYTES_CLEANUP struct bytes text = {0};
    text_sum_format(sum, &text);
    bytes_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, wanted);
}

#define SUMS_TO(wanted, ...)                                                                       \
    do {                                                                                           \
        struct text_sum sum = {0};                                                                 \
        const char *const texts[] = {__VA_ARGS__};                                                 \
        for (size_t i = 0; i < ARRAY_COUNT(texts); i++)                                            \
            add(&sum, texts[i]);                                                                   \
        shows(&sum, wanted);                                                                       \
    } while (0)

static void test_a_text_counts_with_the_number_it_begins_with(void **state)
{
    (void)state;
    SUMS_TO("0", "");
    SUMS_TO("0", "abc", "e5", ".", "-", "+.", " 7", "NaN", "Infinity", "-inf");
    SUMS_TO("12", "12e34ab");
    SUMS_TO("12", "12e");
    SUMS_TO("12", "12e+");
    SUMS_TO("1200", "12e2");
    SUMS_TO("1200", "+12E+2");
    SUMS_TO("-0.0125", "-1.25e-2");
    SUMS_TO("1", "1e400"); /* no DOUBLE is as large: the whole text is no number */
    SUMS_TO("0.5", ".5x");
    SUMS_TO("5", "5.");
    SUMS_TO("1.2", "1.2.3");
    SUMS_TO("0", "-0");
    SUMS_TO("0", "0e999999999999999999999");
}

static void test_every_digit_counts(void **state)
{
    (void)state;
    SUMS_TO("12345678901234567890123456789013", "12345678901234567890123456789012", "1");
    SUMS_TO("99999999999999999999999999999999.00000000000000000001",
            "99999999999999999999999999999999", "0.00000000000000000001");
    SUMS_TO("0.3", "0.1", "0.2");
    SUMS_TO("1", "1e300", "1", "-1e300");
    SUMS_TO("-1", "1e15", "-1", "-1e15");
    SUMS_TO("1000000000", "999999999", "1");
    SUMS_TO("-0.000000001", "-1e-9");
    SUMS_TO("0", "1e-361"); /* left out */
}

static void test_as_a_double_it_is_rounded_once(void **state)
{
    (void)state;
    struct text_sum sum = {0};
    add(&sum, "9007199254740992");
    add(&sum, "1");
    assert_true(text_sum_get(&sum) == 9007199254740992.0);
    add(&sum, "0.0001");
    assert_true(text_sum_get(&sum) == 9007199254740994.0);
    for (int i = 0; i < 3; i++)
        add(&sum, "1.7e308");
    assert_true(text_sum_get(&sum) >
                1.7976931348623157e308); /* infinite, and the digits are there */
}

static void test_a_number_too_large_is_refused(void **state)
{
    (void)state;
    char text[TEXT_SUM_WHOLE + 2];
    struct text_sum sum = {0};
    struct err err;
    memset(text, '9', sizeof(text));
    assert_int_equal(text_sum_add(&sum, span_of(text, TEXT_SUM_WHOLE), &err), ERR_OK);
    assert_int_equal(text_sum_add(&sum, span_of(text, TEXT_SUM_WHOLE + 1), &err), ERR_CAST);
    memset(text, '0', 1 + TEXT_SUM_WHOLE);
    assert_int_equal(text_sum_add(&sum, span_of(text, sizeof(text)), &err), ERR_OK);
}

/* In any order, and as the integers that they are. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < ROUNDS; round++) {
        char texts[TEXTS][24];
        struct text_sum forward = {0}, backward = {0};
        int64_t whole = 0;
        for (size_t i = 0; i < TEXTS; i++) {
            int64_t number = (int64_t)(random_next(&random) >> (random_next(&random) % 40 + 15));
            number = (random_next(&random) & 1) != 0 ? -number : number;
            whole += number;
            snprintf(texts[i], sizeof(texts[i]), "%" PRId64 "ab", number);
            add(&forward, texts[i]);
        }
        for (size_t i = TEXTS; i-- > 0;)
            add(&backward, texts[i]);
        char wanted[24];
        snprintf(wanted, sizeof(wanted), "%" PRId64, whole);
        shows(&forward, wanted);
        shows(&backward, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_counts_with_the_number_it_begins_with),
        cmocka_unit_test(test_every_digit_counts),
        cmocka_unit_test(test_as_a_double_it_is_rounded_once),
        cmocka_unit_test(test_a_number_too_large_is_refused),
        cmocka_unit_test(test_order_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
