#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/channel_schedule.h"

#define MBIT      UINT64_C(1000000)
#define MINUTE_MS UINT64_C(60000)
#define DAY_MS    (1440 * MINUTE_MS)

static uint16_t minute(const char *text)
{
    uint16_t minute;
    assert_int_equal(minute_parse(span_text(text), &minute, NULL), ERR_OK);
    return minute;
}

static enum err_code set(struct channel_schedule *schedule, const char *from, const char *to,
                         uint64_t bits_per_second, struct err *err)
{
    const struct channel_window window = {minute(from), minute(to), bits_per_second};
    return schedule_window_set(schedule, &window, err);
}

static uint64_t rate_at(const struct channel_schedule *schedule, const char *time)
{
    return schedule_rate(schedule, 20000 * DAY_MS + minute(time) * MINUTE_MS);
}

static void assert_windows(const struct channel_schedule *schedule, const char *text)
{
    BYTES_CLEANUP struct bytes windows = {0};
    schedule_windows_format(schedule, &windows);
    bytes_append_u8(&windows, 0);
    assert_string_equal((char *)windows.data, text);
}

static void test_bandwidths_are_read_in_bits_and_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bits;
    } cases[] = {
        {"2 Gbit/s", 2000 * MBIT},    {"2Gbit/s", 2000 * MBIT},
        {"2 gbit/s", 2000 * MBIT},    {"2Gbps", 2000 * MBIT},
        {" 50  Mbit/s ", 50 * MBIT},  {"250 MB/s", 2000 * MBIT},
        {"1000 kbit/s", MBIT},        {"1000000 bit/s", MBIT},
        {"1000000 bps", MBIT},        {"0.5 gbps", 500 * MBIT},
        {"1.125 Mbit/s", 1125000},    {"125 kB/s", MBIT},
        {"125000 B/s", MBIT},         {"1000 Gbit/s", 1000000 * MBIT},
        {"125 GB/s", 1000000 * MBIT}, {"1000 KBPS", 0},
        {"1000 Kbps", MBIT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t bits = 0;
        enum err_code code = bandwidth_parse(span_text(cases[i].text), &bits, NULL);
        assert_int_equal(bits, cases[i].bits);
        assert_int_equal(code, cases[i].bits == 0 ? ERR_PARAMETER : ERR_OK);
    }
}

static void test_what_is_no_bandwidth_is_refused_with_the_forms(void **state)
{
    (void)state;
    static const char *const none[] = {"",           "Gbit/s",
                                       "2",          "2 Gb/s",
                                       "2 MBps",     "-1 Mbit/s",
                                       "2. Mbit/s",  ".5 Gbit/s",
                                       "1e3 Mbit/s", "2 Gbit/s 3",
                                       "2 Gibit/s",  "1.0001 Mbit/s",
                                       "2,5 Gbit/s", "99999999999999999999999999 bit/s"};
    static const char *const outside[] = {"0 bit/s",         "999 kbit/s", "0.999 Mbit/s",
                                          "1000.001 Gbit/s", "126 GB/s",   "999999999999.999 GB/s"};
    struct err err;
    uint64_t bits;
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        assert_int_equal(bandwidth_parse(span_text(none[i]), &bits, &err), ERR_PARAMETER);
        assert_non_null(strstr(err.message, "is no bandwidth: write a number and kbit/s"));
    }
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++) {
        assert_int_equal(bandwidth_parse(span_text(outside[i]), &bits, &err), ERR_PARAMETER);
        assert_non_null(strstr(err.message, "from 1 Mbit/s to 1000 Gbit/s"));
    }
}

static void test_a_bandwidth_is_shown_in_its_largest_unit(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *text;
    } cases[] = {{10000 * MBIT, "10 Gbit/s"},  {1500 * MBIT, "1.5 Gbit/s"},
                 {50 * MBIT, "50 Mbit/s"},     {1234567, "1234.567 kbit/s"},
                 {1500001, "1500.001 kbit/s"}, {MBIT, "1 Mbit/s"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        uint64_t bits;
        bandwidth_format(cases[i].bits, &text);
        assert_int_equal(bandwidth_parse(bytes_span(&text), &bits, NULL), ERR_OK);
        assert_int_equal(bits, cases[i].bits);
        bytes_append_u8(&text, 0);
        assert_string_equal((char *)text.data, cases[i].text);
    }
}

static void test_times_are_hours_and_minutes(void **state)
{
    (void)state;
    static const char *const none[] = {"", "24:00", "12:60", "1:00", "12.30", "12:3a", "012:30"};
    struct err err;
    uint16_t at;
    assert_int_equal(minute("00:00"), 0);
    assert_int_equal(minute("23:59"), 1439);
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        assert_int_equal(minute_parse(span_text(none[i]), &at, &err), ERR_PARAMETER);
        assert_non_null(strstr(err.message, "'00:00' to '23:59', UTC"));
    }
}

static void test_a_window_holds_from_its_begin_to_before_its_end(void **state)
{
    (void)state;
    struct channel_schedule schedule = {.bits_per_second = 7 * MBIT};
    assert_int_equal(set(&schedule, "08:00", "18:30", 50 * MBIT, NULL), ERR_OK);
    assert_int_equal(rate_at(&schedule, "07:59"), 7 * MBIT);
    assert_int_equal(rate_at(&schedule, "08:00"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "18:29"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "18:30"), 7 * MBIT);
}

static void test_a_window_goes_over_midnight(void **state)
{
    (void)state;
    struct channel_schedule schedule = {0};
    assert_int_equal(set(&schedule, "22:00", "06:00", 50 * MBIT, NULL), ERR_OK);
    assert_int_equal(set(&schedule, "21:00", "22:00", 60 * MBIT, NULL), ERR_OK);
    assert_int_equal(rate_at(&schedule, "20:59"), 0);
    assert_int_equal(rate_at(&schedule, "21:59"), 60 * MBIT);
    assert_int_equal(rate_at(&schedule, "22:00"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "23:59"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "00:00"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "05:59"), 50 * MBIT);
    assert_int_equal(rate_at(&schedule, "06:00"), 0);
    assert_windows(&schedule, "21:00-22:00 60 Mbit/s, 22:00-06:00 50 Mbit/s");
}

static void test_windows_do_not_overlap(void **state)
{
    (void)state;
    struct channel_schedule schedule = {0};
    struct err err;
    assert_int_equal(set(&schedule, "22:00", "06:00", 50 * MBIT, NULL), ERR_OK);
    assert_int_equal(set(&schedule, "10:00", "12:00", 60 * MBIT, NULL), ERR_OK);
    static const char *const over[][2] = {
        {"05:59", "07:00"}, {"21:00", "22:01"}, {"23:00", "23:30"}, {"00:00", "06:00"},
        {"09:00", "13:00"}, {"12:01", "12:00"}, {"22:00", "05:00"}, {"10:00", "11:00"}};
    for (size_t i = 0; i < ARRAY_COUNT(over); i++) {
        assert_int_equal(set(&schedule, over[i][0], over[i][1], MBIT, &err), ERR_SEMANTIC);
        assert_non_null(strstr(err.message, "overlaps another one of this channel, "));
        assert_windows(&schedule, "10:00-12:00 60 Mbit/s, 22:00-06:00 50 Mbit/s");
    }
    assert_non_null(strstr(err.message, "10:00-12:00 60 Mbit/s; remove that first (SET BANDWIDTH "
                                        "DEFAULT BETWEEN '10:00' AND '12:00')"));
    assert_int_equal(set(&schedule, "22:00", "06:00", 70 * MBIT, NULL), ERR_OK); /* its place */
    assert_windows(&schedule, "10:00-12:00 60 Mbit/s, 22:00-06:00 70 Mbit/s");
    assert_int_equal(schedule_window_drop(&schedule, minute("10:00"), minute("13:00"), &err),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no window from 10:00 to 13:00; it has 10:00-12:00 60"));
    assert_int_equal(schedule_window_drop(&schedule, minute("10:00"), minute("12:00"), NULL),
                     ERR_OK);
    assert_windows(&schedule, "22:00-06:00 70 Mbit/s");
}

static void test_windows_have_a_maximum(void **state)
{
    (void)state;
    struct channel_schedule schedule = {0};
    for (uint16_t i = 0; i < CHANNEL_WINDOWS_MAX; i++) {
        const struct channel_window window = {(uint16_t)(2 * i), (uint16_t)(2 * i + 1), MBIT};
        assert_int_equal(schedule_window_set(&schedule, &window, NULL), ERR_OK);
    }
    assert_int_equal(set(&schedule, "12:00", "13:00", MBIT, NULL), ERR_LIMIT);
}

static void test_a_record_comes_back_and_what_is_none_is_refused(void **state)
{
    (void)state;
    struct channel_schedule schedule = {.bits_per_second = 2000 * MBIT}, back;
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(set(&schedule, "22:00", "06:00", 50 * MBIT, NULL), ERR_OK);
    assert_int_equal(set(&schedule, "10:00", "12:00", 60 * MBIT, NULL), ERR_OK);
    schedule_encode(&schedule, &encoded);
    assert_int_equal(schedule_decode(bytes_span(&encoded), &back, NULL), ERR_OK);
    assert_int_equal(back.bits_per_second, schedule.bits_per_second);
    assert_windows(&back, "10:00-12:00 60 Mbit/s, 22:00-06:00 50 Mbit/s");
    for (size_t len = 0; len < encoded.len; len++)
        assert_int_equal(schedule_decode(span_of(encoded.data, len), &back, NULL), ERR_CORRUPT);
    static const struct { /* a byte of it, what it becomes */
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 1}, {8, 3}, {8, 1}, {9, 9}, {11, 9}, {13, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        uint8_t was = encoded.data[wrong[i].at];
        encoded.data[wrong[i].at] = wrong[i].value;
        assert_int_equal(schedule_decode(bytes_span(&encoded), &back, NULL), ERR_CORRUPT);
        encoded.data[wrong[i].at] = was;
    }
    memcpy(encoded.data + 11, encoded.data + 9, 2); /* from its begin to its begin */
    assert_int_equal(schedule_decode(bytes_span(&encoded), &back, NULL), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bandwidths_are_read_in_bits_and_bytes),
        cmocka_unit_test(test_what_is_no_bandwidth_is_refused_with_the_forms),
        cmocka_unit_test(test_a_bandwidth_is_shown_in_its_largest_unit),
        cmocka_unit_test(test_times_are_hours_and_minutes),
        cmocka_unit_test(test_a_window_holds_from_its_begin_to_before_its_end),
        cmocka_unit_test(test_a_window_goes_over_midnight),
        cmocka_unit_test(test_windows_do_not_overlap),
        cmocka_unit_test(test_windows_have_a_maximum),
        cmocka_unit_test(test_a_record_comes_back_and_what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
