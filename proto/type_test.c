#include "proto/limits.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct type bigint = {.kind = TYPE_BIGINT};
static const struct type integer = {.kind = TYPE_INT};
static const struct type real = {.kind = TYPE_DOUBLE};
static const struct type string = {.kind = TYPE_STRING};
static const struct type boolean = {.kind = TYPE_BOOLEAN};
static const struct type date = {.kind = TYPE_DATE};
static const struct type datetime = {.kind = TYPE_DATETIME};
static const struct type money = {.kind = TYPE_DECIMAL, .precision = 10, .scale = 2};
static const struct type widest = {.kind = TYPE_DECIMAL, .precision = 38, .scale = 18};

struct form {
    struct type type;
    const char *in;
    const char *out; /* NULL: refused */
};

static void check_forms(const struct form *forms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct value value;
        struct err err = {0};
        enum err_code code = value_parse(forms[i].type, span_text(forms[i].in), &value, &err);
        if (forms[i].out == NULL) {
            if (code != ERR_CAST)
                fail_msg("'%s' was taken", forms[i].in);
            continue;
        }
        if (code != ERR_OK)
            fail_msg("'%s': %s", forms[i].in, err.message);
        BYTES_CLEANUP struct bytes text = {0};
        value_format(forms[i].type, value, &text);
        bytes_append_u8(&text, 0);
        assert_string_equal((const char *)text.data, forms[i].out);
    }
}

static void test_integers_are_strict_and_ranged(void **state)
{
    (void)state;
    const struct form forms[] = {
        {bigint, "0", "0"},
        {bigint, "-0", "0"},
        {bigint, "+17", "17"},
        {bigint, "007", "7"},
        {bigint, "9223372036854775807", "9223372036854775807"},
        {bigint, "-9223372036854775808", "-9223372036854775808"},
        {bigint, "9223372036854775808", NULL},
        {bigint, "-9223372036854775809", NULL},
        {bigint, "18446744073709551617", NULL},
        {bigint, "", NULL},
        {bigint, "-", NULL},
        {bigint, " 1", NULL},
        {bigint, "1 ", NULL},
        {bigint, "1.0", NULL},
        {integer, "2147483647", "2147483647"},
        {integer, "2147483648", NULL},
        {integer, "-2147483648", "-2147483648"},
        {integer, "-2147483649", NULL},
        {boolean, "true", "true"},
        {boolean, "FALSE", "false"},
        {boolean, "1", "true"},
        {boolean, "0", "false"},
        {boolean, "yes", NULL},
        {boolean, "", NULL},
    };
    check_forms(forms, ARRAY_COUNT(forms));
}

static void test_doubles_print_the_shortest_text_that_reads_back(void **state)
{
    (void)state;
    const struct form forms[] = {
        {real, "0.1", "0.1"},
        {real, "1", "1"},
        {real, "-0", "-0"},
        {real, "1e3", "1000"},
        {real, "5e-324", "4.94065645841247e-324"},
        {real, "1.7976931348623157e308", "1.7976931348623157e+308"},
        {real, "0.30000000000000004", "0.30000000000000004"},
        {real, "123456789012345680000", "1.2345678901234568e+20"},
        {real, "1e400", NULL},
        {real, "1e-400", "0"},
        {real, "nan", "NaN"},
        {real, "Infinity", "Infinity"},
        {real, "-INFINITY", "-Infinity"},
        {real, ".5", "0.5"},
        {real, "5.", "5"},
        {real, ".", NULL},
        {real, "0x10", NULL},
        {real, "1e", NULL},
        {real, "1e5x", NULL},
        {real, "", NULL},
    };
    check_forms(forms, ARRAY_COUNT(forms));
}

static void test_decimals_round_half_away_from_zero(void **state)
{
    (void)state;
    const struct form forms[] = {
        {money, "12.345", "12.35"},
        {money, "-12.345", "-12.35"},
        {money, "12.344999", "12.34"},
        {money, "0", "0.00"},
        {money, "-0.001", "0.00"},
        {money, ".5", "0.50"},
        {money, "99999999.99", "99999999.99"},
        {money, "99999999.995", NULL},
        {money, "100000000", NULL},
        {money, "1e2", NULL},
        {money, "1.2.3", NULL},
        {money, "-", NULL},
        {money, ".", NULL},
        {widest, "99999999999999999999.999999999999999999",
         "99999999999999999999.999999999999999999"},
        {widest, "-99999999999999999999.999999999999999999",
         "-99999999999999999999.999999999999999999"},
        {widest, "99999999999999999999.9999999999999999995", NULL},
        {widest, "100000000000000000000", NULL},
        {widest, "999999999999999999999999999999999999999999999999999", NULL},
        {{.kind = TYPE_DECIMAL, .precision = 38},
         "99999999999999999999999999999999999999",
         "99999999999999999999999999999999999999"},
        {{.kind = TYPE_DECIMAL, .precision = 2, .scale = 2}, "0.99", "0.99"},
        {{.kind = TYPE_DECIMAL, .precision = 2, .scale = 2}, "1", NULL},
    };
    check_forms(forms, ARRAY_COUNT(forms));
}

/* Zeros in front make a text too long for the short way. */
static void test_decimals_read_the_same_the_short_way_and_the_long(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789012345678901234567899.-";
    struct random random = random_start();
    for (int round = 0; round < 20000; round++) {
        char text[64] = "-0000000000000000000000";
        bool negative = random_below(&random, 2) == 1;
        size_t zeros = strlen(text), len = random_below(&random, 20);
        for (size_t i = 0; i < len; i++)
            text[zeros + i] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
        struct type type = {.kind = TYPE_DECIMAL, .precision = (uint8_t)random_below(&random, 39)};
        type.precision = type.precision == 0 ? 1 : type.precision;
        type.scale = (uint8_t)random_below(&random, type.precision < 18 ? type.precision + 1 : 19);
        struct value slow = {0}, fast = {0};
        enum err_code slow_code =
            value_parse(type, span_text(text + (negative ? 0 : 1)), &slow, NULL);
        text[zeros - 2] = '-';
        size_t at = negative ? zeros - 2 : zeros - 1; /* with one zero, so that it is a number */
        text[zeros - 1] = '0';
        if (value_parse(type, span_text(text + at), &fast, NULL) != slow_code ||
            (slow_code == ERR_OK && slow.decimal != fast.decimal))
            fail_msg("'%s' as DECIMAL(%u,%u)", text + at, (unsigned)type.precision,
                     (unsigned)type.scale);
    }
}

static void test_dates_are_real_days(void **state)
{
    (void)state;
    const struct form forms[] = {
        {date, "1970-01-01", "1970-01-01"},
        {date, "0000-01-01", "0000-01-01"},
        {date, "9999-12-31", "9999-12-31"},
        {date, "2000-02-29", "2000-02-29"},
        {date, "1900-02-29", NULL},
        {date, "2024-02-30", NULL},
        {date, "2024-13-01", NULL},
        {date, "2024-00-01", NULL},
        {date, "2024-1-1", NULL},
        {date, "2024-01-01 ", NULL},
        {datetime, "2024-02-29 23:59:59", "2024-02-29 23:59:59"},
        {datetime, "1969-12-31 23:59:59.999", "1969-12-31 23:59:59.999"},
        {datetime, "0000-01-01 00:00:00.001", "0000-01-01 00:00:00.001"},
        {datetime, "2024-01-01 01:02:03.5", "2024-01-01 01:02:03.500"},
        {datetime, "2024-01-01 01:02:03.000", "2024-01-01 01:02:03"},
        {datetime, "2024-01-01 24:00:00", NULL},
        {datetime, "2024-01-01 00:60:00", NULL},
        {datetime, "2024-01-01 00:00:60", NULL},
        {datetime, "2024-01-01T00:00:00", NULL},
        {datetime, "2024-01-01 00:00:00.", NULL},
        {datetime, "2024-01-01 00:00:00.1234", NULL},
        {datetime, "2024-01-01", NULL},
    };
    check_forms(forms, ARRAY_COUNT(forms));
}

static void test_every_day_of_ten_thousand_years_comes_back(void **state)
{
    (void)state;
    int64_t expected = date_from_civil(0, 1, 1);
    for (int64_t days = expected; days <= date_from_civil(9999, 12, 31); days++) {
        int64_t year;
        unsigned month, day;
        date_to_civil(days, &year, &month, &day);
        if (date_from_civil(year, month, day) != days || day < 1 || day > 31)
            fail_msg("day %" PRId64, days);
    }
    assert_int_equal(date_from_civil(1970, 1, 1), 0);
    assert_int_equal(date_from_civil(2024, 3, 1) - date_from_civil(2024, 2, 28), 2);
}

static void test_every_value_reads_back_as_it_was_printed(void **state)
{
    (void)state;
    struct random random = random_start();
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes printed = {0};
    for (size_t round = 0; round < 20000; round++) {
        struct type type = random_types[round % ARRAY_COUNT(random_types)];
        int64_t last = 0;
        struct value value =
            random_value(&random, type, (enum random_shape)(round % SHAPE_COUNT), &last, &text);
        bytes_clear(&printed);
        value_format(type, value, &printed);
        struct value back;
        struct err err = {0};
        if (value_parse(type, bytes_span(&printed), &back, &err) != ERR_OK)
            fail_msg("%s", err.message);
        assert_int_equal(value_compare(type, value, back), 0);
        assert_true(value_in_range(type, value));
    }
}

static void test_error_names_text_and_type(void **state)
{
    (void)state;
    struct value value = {.i64 = 42};
    struct err err = {0};
    assert_int_equal(value_parse(bigint, span_text("abc"), &value, &err), ERR_CAST);
    assert_string_equal(err.message, "'abc' is not a valid BIGINT");
    assert_int_equal(value.i64, 42);
    assert_int_equal(value_parse(money, span_text("x\xFF"), &value, &err), ERR_CAST);
    assert_true(span_is_utf8(span_text(err.message)));
    assert_int_equal(value_parse(string, span_text("\xC0\x80"), &value, &err), ERR_CAST);
}

static void test_a_string_over_the_cell_limit_is_refused(void **state)
{
    (void)state;
    MEM_CLEANUP char *text = mem_alloc(LIMIT_CELL_BYTES + 1);
    memset(text, 'x', LIMIT_CELL_BYTES + 1);
    struct value value;
    assert_int_equal(value_parse(string, span_of(text, LIMIT_CELL_BYTES), &value, NULL), ERR_OK);
    assert_int_equal(value_parse(string, span_of(text, LIMIT_CELL_BYTES + 1), &value, NULL),
                     ERR_CAST);
}

static void test_types_have_names(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"bigint", "BIGINT"},
        {" Int ", "INT"},
        {"DECIMAL", "DECIMAL(38,18)"},
        {"decimal( 10 , 2 )", "DECIMAL(10,2)"},
        {"DECIMAL(5)", "DECIMAL(5,0)"},
        {"datetime", "DATETIME"},
        {"date", "DATE"},
    };
    static const char *const bad[] = {"",
                                      "TEXT",
                                      "BIGINT x",
                                      "DECIMAL(0)",
                                      "DECIMAL(39,1)",
                                      "DECIMAL(10,19)",
                                      "DECIMAL(2,3)",
                                      "DECIMAL(10",
                                      "DECIMAL(100,2)",
                                      "INT(4)"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct type type;
        char text[TYPE_TEXT_BYTES];
        assert_int_equal(type_parse(span_text(good[i][0]), &type, NULL), ERR_OK);
        assert_string_equal(type_format(type, text), good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct type type;
        assert_int_equal(type_parse(span_text(bad[i]), &type, NULL), ERR_PARSE);
    }
}

static void test_order_puts_null_first_and_nan_last(void **state)
{
    (void)state;
    const struct value null = {.null = true};
    const struct value ascending[] = {null,       {.f64 = -INFINITY}, {.f64 = -1}, {.f64 = 0},
                                      {.f64 = 1}, {.f64 = INFINITY},  {.f64 = NAN}};
    for (size_t a = 0; a < ARRAY_COUNT(ascending); a++) {
        for (size_t b = 0; b < ARRAY_COUNT(ascending); b++) {
            int order = value_compare(real, ascending[a], ascending[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
    const struct value negative_zero = {.f64 = -0.0};
    assert_int_equal(value_compare(real, negative_zero, ascending[3]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_strict_and_ranged),
        cmocka_unit_test(test_doubles_print_the_shortest_text_that_reads_back),
        cmocka_unit_test(test_decimals_round_half_away_from_zero),
        cmocka_unit_test(test_decimals_read_the_same_the_short_way_and_the_long),
        cmocka_unit_test(test_dates_are_real_days),
        cmocka_unit_test(test_every_day_of_ten_thousand_years_comes_back),
        cmocka_unit_test(test_every_value_reads_back_as_it_was_printed),
        cmocka_unit_test(test_error_names_text_and_type),
        cmocka_unit_test(test_a_string_over_the_cell_limit_is_refused),
        cmocka_unit_test(test_types_have_names),
        cmocka_unit_test(test_order_puts_null_first_and_nan_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
