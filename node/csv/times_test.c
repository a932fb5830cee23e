/* Patterns and zones of times.h, there and back. */
#include "node/csv/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MS_2024_01_15_10_30 INT64_C(1705314600000) /* 2024-01-15 10:30:00 UTC */

static void expect(const struct csv_times *times, int64_t ms, const char *text)
{
    struct bytes out BYTES_CLEANUP = {0};
    int64_t back = 0;
    csv_times_format(times, ms, &out);
    bytes_append_u8(&out, 0);
    assert_string_equal(out.data, text);
    assert_true(csv_times_parse(times, span_text(text), &back));
    assert_int_equal(back, ms);
}

static void patterns_are_followed_exactly(void **state)
{
    (void)state;
    struct csv_times times = csv_times_default();
    int64_t ms;
    assert_int_equal(csv_times_pattern_set(&times, span_text("dd.MM.yyyy 'at' HH:mm:ss.SSS"), NULL),
                     ERR_OK);
    expect(&times, MS_2024_01_15_10_30 + 7, "15.01.2024 at 10:30:00.007");
    expect(&times, -1, "31.12.1969 at 23:59:59.999");
    assert_false(csv_times_parse(&times, span_text("15.01.2024 at 10:30:00"), &ms));
    assert_false(csv_times_parse(&times, span_text("30.02.2024 at 10:30:00.000"), &ms));
    assert_false(csv_times_parse(&times, span_text("15.13.2024 at 10:30:00.000"), &ms));
    assert_false(csv_times_parse(&times, span_text("15.01.2024 at 10:30:00.0000"), &ms));
}

static void unknown_patterns_are_refused(void **state)
{
    (void)state;
    struct csv_times times = csv_times_default();
    static const char *const wrong[] = {"", "yy-MM-dd", "yyyy-MM-dd yyyy", "EEE", "'open", "yyyyy"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(csv_times_pattern_set(&times, span_text(wrong[i]), NULL), ERR_PARAMETER);
    assert_true(csv_times_plain(&times));
}

static void offsets_shift_the_local_time(void **state)
{
    (void)state;
    static const char *const same[] = {"+08:00", "+0800", "+8", "UTC+8", "gmt+08"};
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        struct csv_times times = csv_times_default();
        assert_int_equal(csv_times_zone_set(&times, span_text(same[i]), NULL), ERR_OK);
        expect(&times, MS_2024_01_15_10_30, "2024-01-15 18:30:00");
    }
    struct csv_times times = csv_times_default();
    assert_int_equal(csv_times_zone_set(&times, span_text("-03:30"), NULL), ERR_OK);
    expect(&times, MS_2024_01_15_10_30, "2024-01-15 07:00:00");
    assert_int_equal(csv_times_zone_set(&times, span_text("+15"), NULL), ERR_PARAMETER);
    assert_int_equal(csv_times_zone_set(&times, span_text("Nowhere/Town"), NULL), ERR_PARAMETER);
    assert_int_equal(csv_times_zone_set(&times, span_text("../../etc/passwd"), NULL),
                     ERR_PARAMETER);
}

static void named_zones_follow_their_summer_time(void **state)
{
    (void)state;
    struct csv_times times = csv_times_default();
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
        skip();
    assert_int_equal(csv_times_zone_set(&times, span_text("Europe/Berlin"), NULL), ERR_OK);
    expect(&times, MS_2024_01_15_10_30, "2024-01-15 11:30:00");
    expect(&times, INT64_C(1721039400000), "2024-07-15 12:30:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_followed_exactly),
        cmocka_unit_test(unknown_patterns_are_refused),
        cmocka_unit_test(offsets_shift_the_local_time),
        cmocka_unit_test(named_zones_follow_their_summer_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
