#include "store/statistics.h"

#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct span stored(const struct statistic *statistic)
{
    return span_of(statistic->data, statistic->len);
}

/* Enough rows of NULL for statistics to be made, then the values. */
static void vector_of_texts(struct vector *vector, const struct span *texts, size_t count)
{
    vector_init(vector, (struct type){.kind = TYPE_STRING});
    for (size_t i = 0; i < STATISTICS_ROWS_MIN; i++)
        vector_append(vector, (struct value){.null = true});
    for (size_t i = 0; i < count; i++)
        vector_append(vector, (struct value){.text = texts[i]});
}

static void test_no_value_is_outside_of_its_statistics(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t round = 0; round < 100; round++) {
        VECTOR_CLEANUP struct vector vector;
        BYTES_CLEANUP struct bytes value = {0};
        vector_init(&vector, random_types[round % ARRAY_COUNT(random_types)]);
        random_vector(&random, &vector, STATISTICS_ROWS_MIN + 50,
                      (enum random_shape)random_below(&random, SHAPE_COUNT), 10);
        struct statistics statistics = statistics_of(&vector, 0, vector.rows);
        assert_int_equal(statistics.null_count, vector.null_count);
        size_t nans = 0;
        for (size_t row = 0; row < vector.rows; row++) {
            struct value v = vector_value(&vector, row);
            bool nan = !v.null && vector.type.kind == TYPE_DOUBLE && isnan(v.f64);
            nans += nan ? 1 : 0;
            if (v.null || nan)
                continue;
            bytes_clear(&value);
            statistic_append(vector.type, v, &value);
            assert_true(statistics.min.present);
            assert_true(span_compare(stored(&statistics.min), bytes_span(&value)) <= 0);
            if (statistics.max.present)
                assert_true(span_compare(stored(&statistics.max), bytes_span(&value)) >= 0);
        }
        assert_int_equal(statistics.nan_count, nans);
    }
}

static void test_stored_forms_keep_the_order_and_come_back(void **state)
{
    (void)state;
    struct random random = random_start();
    BYTES_CLEANUP struct bytes text_a = {0}, text_b = {0}, a = {0}, b = {0};
    for (size_t round = 0; round < 20000; round++) {
        struct type type = random_types[round % ARRAY_COUNT(random_types)];
        int64_t last = 0;
        struct value x = random_value(&random, type, SHAPE_WIDE, &last, &text_a);
        struct value y = random_value(&random, type, SHAPE_WIDE, &last, &text_b);
        if (type.kind == TYPE_DOUBLE && (isnan(x.f64) || isnan(y.f64)))
            continue;
        bytes_clear(&a);
        bytes_clear(&b);
        statistic_append(type, x, &a);
        statistic_append(type, y, &b);
        int order = span_compare(bytes_span(&a), bytes_span(&b));
        int expected = value_compare(type, x, y);
        assert_int_equal((order > 0) - (order < 0), (expected > 0) - (expected < 0));
        struct value back;
        if (a.len <= STATISTICS_TEXT_BYTES) {
            assert_true(statistic_value(type, bytes_span(&a), &back));
            assert_int_equal(value_compare(type, back, x), 0);
        }
    }
    struct value back;
    assert_false(statistic_value(random_types[0], span_of("1234567", 7), &back));
    assert_false(
        statistic_value(random_types[1], span_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8), &back));
    assert_false(statistic_value(random_types[2], span_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8),
                                 &back)); /* a NaN */
    assert_false(statistic_value(random_types[4], span_of("\xFF", 1), &back));
}

static void test_few_rows_have_no_statistics_but_counts(void **state)
{
    (void)state;
    VECTOR_CLEANUP struct vector vector;
    vector_init(&vector, (struct type){.kind = TYPE_DOUBLE});
    for (size_t i = 0; i < STATISTICS_ROWS_MIN - 1; i++)
        vector_append(&vector, i == 0 ? (struct value){.null = true}
                                      : (struct value){.f64 = i == 1 ? NAN : 1});
    struct statistics statistics = statistics_of(&vector, 0, vector.rows);
    assert_false(statistics.min.present || statistics.max.present);
    assert_int_equal(statistics.null_count, 1);
    assert_int_equal(statistics.nan_count, 1);
    vector_append(&vector, (struct value){.f64 = 1});
    assert_true(statistics_of(&vector, 0, vector.rows).min.present);
}

static void test_zeros_are_signed_outward(void **state)
{
    (void)state;
    for (int negative = 0; negative < 2; negative++) {
        VECTOR_CLEANUP struct vector vector;
        vector_init(&vector, (struct type){.kind = TYPE_DOUBLE});
        for (size_t i = 0; i < STATISTICS_ROWS_MIN; i++)
            vector_append(&vector, (struct value){.f64 = negative == 1 ? -0.0 : 0.0});
        struct statistics statistics = statistics_of(&vector, 0, vector.rows);
        struct value min, max;
        assert_true(statistic_value(vector.type, stored(&statistics.min), &min));
        assert_true(statistic_value(vector.type, stored(&statistics.max), &max));
        assert_true(signbit(min.f64) != 0 && signbit(max.f64) == 0);
    }
}

static void test_all_null_or_nan_has_neither_min_nor_max(void **state)
{
    (void)state;
    VECTOR_CLEANUP struct vector vector;
    vector_init(&vector, (struct type){.kind = TYPE_DOUBLE});
    for (size_t i = 0; i < STATISTICS_ROWS_MIN; i++)
        vector_append(&vector, (struct value){.f64 = NAN});
    struct statistics statistics = statistics_of(&vector, 0, vector.rows);
    assert_false(statistics.min.present || statistics.max.present);
    assert_int_equal(statistics.nan_count, STATISTICS_ROWS_MIN);
}

static void check_text(const char *in, const char *min, const char *max)
{
    VECTOR_CLEANUP struct vector vector;
    struct span text = span_text(in);
    vector_of_texts(&vector, &text, 1);
    struct statistics statistics = statistics_of(&vector, 0, vector.rows);
    assert_true(span_equal(stored(&statistics.min), span_text(min)));
    assert_int_equal(statistics.max.present, max != NULL);
    if (max != NULL)
        assert_true(span_equal(stored(&statistics.max), span_text(max)));
}

#define X31 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Z30 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

static void test_long_strings_are_cut_at_characters_and_rounded_up(void **state)
{
    (void)state;
    check_text(X31 "x", X31 "x", X31 "x");  /* fits */
    check_text(X31 "xy", X31 "x", X31 "y"); /* cut, last character raised */
    check_text(X31 "\xC3\xA9", X31, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy");
    check_text(X31 "\x7Fy", X31 "\x7F", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy"); /* 80 needs two bytes */
    check_text(Z30 "\xDF\xBFy", Z30 "\xDF\xBF", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzz{");
    check_text(Z30 "zz\xF4\x8F\xBF\xBF", Z30 "zz", Z30 "z{");
    check_text("xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xED\x9F\xBFy",
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xED\x9F\xBF",
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xEE\x80\x80"); /* over the surrogates */
    check_text("\xED\x9F\xBF" X31,
               "\xED\x9F\xBF"
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
               "\xED\x9F\xBF"
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxy");
}

static void test_the_greatest_string_has_no_max(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    for (int i = 0; i < 9; i++)
        bytes_append_text(&text, "\xF4\x8F\xBF\xBF"); /* U+10FFFF */
    BYTES_CLEANUP struct bytes cut = {0};
    bytes_append(&cut, text.data, 32);
    bytes_append_u8(&text, 0);
    bytes_append_u8(&cut, 0);
    check_text((const char *)text.data, (const char *)cut.data, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_value_is_outside_of_its_statistics),
        cmocka_unit_test(test_stored_forms_keep_the_order_and_come_back),
        cmocka_unit_test(test_few_rows_have_no_statistics_but_counts),
        cmocka_unit_test(test_zeros_are_signed_outward),
        cmocka_unit_test(test_all_null_or_nan_has_neither_min_nor_max),
        cmocka_unit_test(test_long_strings_are_cut_at_characters_and_rounded_up),
        cmocka_unit_test(test_the_greatest_string_has_no_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
