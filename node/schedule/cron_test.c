/* Five fields against a second reading of them, minute by minute, over expressions made at random. */
#include "node/schedule/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/random_test.h"

static struct cron parsed(const char *text)
{
    struct cron cron;
    struct err err;
    if (cron_parse(span_text(text), &cron, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    return cron;
}

static int64_t minute_of(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return timegm(&tm) / 60;
}

static void next_is(const char *text, const char *after, const char *next)
{
    struct cron cron = parsed(text);
    int64_t minute;
    assert_true(cron_next(&cron, minute_of(after), &minute));
    time_t s = (time_t)minute * 60;
    struct tm tm;
    char found[32];
    gmtime_r(&s, &tm);
    strftime(found, sizeof(found), "%Y-%m-%d %H:%M", &tm);
    assert_string_equal(found, next);
}

static void test_the_next_time_of_what_people_write(void **state)
{
    (void)state;
    next_is("0 1 * * *", "2026-01-01 01:00", "2026-01-02 01:00");
    next_is("0 1 * * *", "2026-01-01 00:59", "2026-01-01 01:00");
    next_is("*/15 8-10 * * mon-FRI", "2026-01-02 10:45", "2026-01-05 08:00");
    next_is("5,35 */6 1 jan,JUL *", "2026-01-01 18:35", "2026-07-01 00:05");
    next_is("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00");
    next_is("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00");
    next_is("59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59");
    next_is("0 0 * * 7", "2026-01-01 00:00", "2026-01-04 00:00");
    next_is("0 0 * * 5-7", "2026-01-04 00:00", "2026-01-09 00:00");
    next_is("\t0  0 1-7/3 * * ", "2026-01-01 00:00", "2026-01-04 00:00");
}

static void test_of_two_day_fields_either_fits_unless_one_begins_with_a_star(void **state)
{
    (void)state;
    next_is("0 0 13 * FRI", "2026-01-01 00:00", "2026-01-02 00:00");
    next_is("0 0 13 * FRI", "2026-01-09 00:00", "2026-01-13 00:00");
    next_is("0 0 */2 * MON", "2026-01-01 00:00", "2026-01-05 00:00");
    next_is("0 0 */2 * MON", "2026-01-05 00:00", "2026-01-19 00:00"); /* the 12th is even */
    next_is("0 0 13 * *", "2026-01-01 00:00", "2026-01-13 00:00");
}

static void test_what_is_no_cron_is_refused_by_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"", "expected five fields"},
        {"0 1 * *", "expected five fields"},
        {"0 1 * * * *", "expected five fields"},
        {"60 1 * * *", "the minute '60'"},
        {"0 24 * * *", "the hour '24'"},
        {"0 1 0 * *", "the day of the month '0'"},
        {"0 1 * 13 *", "the month '13'"},
        {"0 1 * * 8", "the weekday '8'"},
        {"0 1 * FOO *", "the month 'FOO'"},
        {"0 1 * JANUARY *", "the month 'JANUARY'"},
        {"5/10 * * * *", "the minute '5/10'"},
        {"*/0 * * * *", "the minute '*/0'"},
        {"*/60 * * * *", "the minute '*/60'"},
        {"9-5 * * * *", "the minute '9-5'"},
        {"1,,2 * * * *", "the minute '1,,2'"},
        {"1, * * * *", "the minute '1,'"},
        {"-1 * * * *", "the minute '-1'"},
        {"1-2-3 * * * *", "the minute '1-2-3'"},
        {"99999999999 * * * *", "the minute"},
        {"@daily", "expected five fields"},
        {"0 0 30 2 *", "no such day ever comes"},
        {"0 0 31 4,6,9,11 *", "no such day ever comes"},
        {"0 MON * * *", "the hour 'MON'"},
        {"0 1 * * SUN-", "the weekday 'SUN-'"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct cron cron;
        struct err err = {0};
        assert_int_equal(cron_parse(span_text(cases[i].text), &cron, &err), ERR_SEMANTIC);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("'%s': %s", cases[i].text, err.message);
    }
}

/* ---- at random ---- */

struct model_field {
    bool values[64];
    bool star;
};

static const char *const month_names[] = {"jan", "Feb", "MAR", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "Mon", "TUE", "wed", "thu", "fri", "sat"};
static const unsigned lows[] = {0, 0, 1, 1, 0};
static const unsigned highs[] = {59, 23, 31, 12, 7};

static void value_write(struct random *random, size_t field, unsigned value, struct bytes *text)
{
    bool named = random_below(random, 2) == 0;
    if (field == 3 && named)
        bytes_append_text(text, month_names[value - 1]);
    else if (field == 4 && named && value < 7)
        bytes_append_text(text, day_names[value]);
    else
        bytes_printf(text, "%u", value);
}

/* One random field: its text, and which values it means by the words of cron.h. */
static void field_make(struct random *random, size_t field, struct bytes *text,
                       struct model_field *model)
{
    unsigned low = lows[field], high = highs[field];
    size_t items = 1 + random_below(random, 3);
    memset(model, 0, sizeof(*model));
    for (size_t i = 0; i < items; i++) {
        unsigned step = 1;
        unsigned a = low + (unsigned)random_below(random, high - low + 1);
        unsigned b = a + (unsigned)random_below(random, high - a + 1);
        uint64_t kind = random_below(random, 4);
        if (i > 0)
            bytes_append_u8(text, ',');
        if (kind == 0) {
            bytes_append_u8(text, '*');
            model->star = model->star || i == 0;
            a = low;
            b = high;
        } else if (kind == 1) {
            value_write(random, field, a, text);
            b = a;
        } else {
            value_write(random, field, a, text);
            bytes_append_u8(text, '-');
            value_write(random, field, b, text);
        }
        if (kind != 1 && random_below(random, 2) == 0) {
            step = 1 + (unsigned)random_below(random, high);
            bytes_printf(text, "/%u", step);
        }
        for (unsigned v = a; v <= b; v++) {
            if ((v - a) % step == 0)
                model->values[field == 4 && v == 7 ? 0 : v] = true;
        }
    }
}

static bool model_matches(const struct model_field fields[5], int64_t minute)
{
    time_t s = (time_t)minute * 60;
    struct tm tm;
    gmtime_r(&s, &tm);
    bool day = fields[2].values[tm.tm_mday];
    bool weekday = fields[4].values[tm.tm_wday];
    bool days = fields[2].star || fields[4].star ? day && weekday : day || weekday;
    return fields[0].values[tm.tm_min] && fields[1].values[tm.tm_hour] &&
           fields[3].values[tm.tm_mon + 1] && days;
}

static void test_random_expressions_mean_what_their_words_say(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t round = 0; round < 300; round++) {
        BYTES_CLEANUP struct bytes text = {0};
        struct model_field fields[5];
        for (size_t i = 0; i < 5; i++) {
            if (i > 0)
                bytes_append_u8(&text, ' ');
            field_make(&random, i, &text, &fields[i]);
        }
        struct cron cron;
        struct err err;
        if (cron_parse(bytes_span(&text), &cron, &err) != ERR_OK) {
            assert_non_null(strstr(err.message, "no such day")); /* 30 February, by chance */
            continue;
        }
        int64_t begin = (int64_t)random_below(&random, UINT64_C(60) * 366 * 1440);
        int64_t next;
        bool found = cron_next(&cron, begin - 1, &next);
        assert_true(found);
        for (int64_t minute = begin; minute < begin + 20 * 1440; minute++) {
            bool fits = model_matches(fields, minute);
            if (cron_matches(&cron, minute) != fits)
                fail_msg("%.*s at %" PRId64, SPAN_PRINTF(bytes_span(&text)), minute);
            if (fits != (minute == next) && minute <= next)
                fail_msg("%.*s: next of %" PRId64 " is %" PRId64 ", not %" PRId64,
                         SPAN_PRINTF(bytes_span(&text)), begin, minute, next);
            if (fits)
                assert_true(cron_next(&cron, minute, &next));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_time_of_what_people_write),
        cmocka_unit_test(test_of_two_day_fields_either_fits_unless_one_begins_with_a_star),
        cmocka_unit_test(test_what_is_no_cron_is_refused_by_its_field),
        cmocka_unit_test(test_random_expressions_mean_what_their_words_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
