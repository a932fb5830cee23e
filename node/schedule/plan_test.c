/* Zones against libc's reading of the same files, and plans through clocks that are set forward and back. */
#include "node/schedule/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>

#include "proto/random_test.h"

static struct zone *zone_of(const char *name)
{
    struct zone *zone;
    struct err err;
    if (zone_open(span_text(name), &zone, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return zone;
}

static int64_t utc_of(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return timegm(&tm);
}

static const char *text_of(int64_t s)
{
    static char text[4][32];
    static size_t at;
    time_t t = (time_t)s;
    struct tm tm;
    gmtime_r(&t, &tm);
    at = (at + 1) % ARRAY_COUNT(text);
    strftime(text[at], sizeof(text[at]), "%Y-%m-%d %H:%M", &tm);
    return text[at];
}

/* ---- zones ---- */

static void test_every_instant_is_what_libc_says(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Europe/Berlin",     "America/New_York",
        "Asia/Hong_Kong",    "Europe/Dublin",
        "Africa/Casablanca", "Australia/Lord_Howe",
        "America/St_Johns",  "Asia/Kathmandu",
        "Pacific/Apia",      "UTC",
        "America/Nuuk",      "Asia/Gaza",
        "Africa/Monrovia",   "America/Santiago",
        "Etc/GMT+5",         "Pacific/Chatham",
        "Asia/Tokyo",        "Asia/Singapore",
        "Antarctica/Troll",
    };
    struct random random = random_start();
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        ZONE_CLEANUP struct zone *zone = zone_of(names[i]);
        setenv("TZ", names[i], 1);
        tzset();
        for (size_t k = 0; k < 20000; k++) { /* 1910 to 2140 */
            time_t s = (time_t)random_below(&random, UINT64_C(230) * 366 * 86400) -
                       (time_t)60 * 365 * 86400;
            struct tm tm;
            localtime_r(&s, &tm);
            if (zone_local_s(zone, s) != s + tm.tm_gmtoff)
                fail_msg("%s at %" PRId64 ": %" PRId64 ", not %ld", names[i], (int64_t)s,
                         zone_local_s(zone, s) - s, tm.tm_gmtoff);
            int64_t utc_s = zone_utc_s(zone, s + tm.tm_gmtoff);
            assert_true(utc_s <= s); /* that instant, or an earlier one that shows the same */
            assert_int_equal(zone_local_s(zone, utc_s), s + tm.tm_gmtoff);
        }
    }
    unsetenv("TZ");
}

static void local_is(const char *zone_name, const char *local, const char *utc)
{
    ZONE_CLEANUP struct zone *zone = zone_of(zone_name);
    assert_string_equal(text_of(zone_utc_s(zone, utc_of(local))), utc);
}

static void test_what_is_left_out_is_the_next_and_what_comes_twice_is_the_first(void **state)
{
    (void)state;
    local_is("Europe/Berlin", "2026-03-29 01:59", "2026-03-29 00:59");
    local_is("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00");
    local_is("Europe/Berlin", "2026-03-29 03:00", "2026-03-29 01:00");
    local_is("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30");
    local_is("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00");
    local_is("America/New_York", "2026-03-08 02:30", "2026-03-08 07:00");
    local_is("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30");
    local_is("America/New_York", "2040-11-04 01:30", "2040-11-04 05:30"); /* behind the table */
    local_is("Asia/Hong_Kong", "2026-07-01 01:00", "2026-06-30 17:00");
    local_is("Asia/Hong_Kong", "1979-05-13 03:30", "1979-05-12 19:30"); /* set forward at 3:30 */
    local_is("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00");   /* a day left out */
}

static void test_names_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "Europe",
        "Europe/Nowhere",
        "../../../etc/passwd",
        "/etc/localtime",
        "Europe/../UTC",
        "right/UTC",
        "posix/UTC",
        "tzdata.zi",
        "Europe/",
        "leapseconds",
        "Asia//Tokyo",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct zone *zone = NULL;
        struct err err;
        assert_int_equal(zone_open(span_text(names[i]), &zone, &err), ERR_SEMANTIC);
        assert_null(zone);
    }
}

/* ---- plans ---- */

static struct plan plan_of(const char *cron, const struct zone *zone)
{
    struct plan plan = {.zone = zone, .from_s = INT64_MIN, .to_s = INT64_MAX};
    struct err err;
    if (cron_parse(span_text(cron), &plan.cron, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return plan;
}

static void planned_are(const char *cron, const char *zone_name, const char *after,
                        const char *const *planned)
{
    ZONE_CLEANUP struct zone *zone = zone_of(zone_name);
    struct plan plan = plan_of(cron, zone);
    int64_t s = utc_of(after);
    for (; *planned != NULL; planned++) {
        assert_true(plan_next(&plan, s, &s));
        assert_string_equal(text_of(s), *planned);
    }
}

static void test_plans_go_through_clocks_that_are_set(void **state)
{
    (void)state;
    /* forward: 2:30 is left out and runs at 3:00, once with what is planned then */
    planned_are("30 2 * * *", "Europe/Berlin", "2026-03-27 12:00",
                (const char *[]){"2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30", NULL});
    planned_are("0,30 2-3 * * *", "Europe/Berlin", "2026-03-28 23:00",
                (const char *[]){"2026-03-29 01:00", "2026-03-29 01:30", "2026-03-30 00:00", NULL});
    planned_are("30 2 * * *", "America/New_York", "2026-03-08 06:00",
                (const char *[]){"2026-03-08 07:00", "2026-03-09 06:30", NULL});
    /* back: once */
    planned_are("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00",
                (const char *[]){"2026-10-25 00:30", "2026-10-26 01:30", NULL});
    planned_are("30 * * * *", "Europe/Berlin", "2026-10-25 00:00",
                (const char *[]){"2026-10-25 00:30", "2026-10-25 02:30", NULL});
    planned_are("30 1 * * *", "America/New_York", "2026-11-01 05:30",
                (const char *[]){"2026-11-02 06:30", NULL});
    planned_are("0 1 * * *", "Asia/Hong_Kong", "2026-01-01 00:00",
                (const char *[]){"2026-01-01 17:00", "2026-01-02 17:00", NULL});
}

/* Minute by minute of UTC: planned is where the clock shows, for the first time, what cron means, or goes
 * past it. */
static void test_planned_times_are_those_of_a_walk_over_every_minute(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"};
    static const char *const crons[] = {"*/30 * * * *", "30 1,2 * * *", "15 2-3 * * *",
                                        "0 0 * * *"};
    static const char *const begins[] = {"2026-03-07 00:00", "2026-03-28 00:00",
                                         "2026-04-04 00:00", "2026-10-03 00:00",
                                         "2026-10-24 00:00", "2026-10-31 00:00"};
    for (size_t i = 0; i < ARRAY_COUNT(zones) * ARRAY_COUNT(crons) * ARRAY_COUNT(begins); i++) {
        ZONE_CLEANUP struct zone *zone = zone_of(zones[i % ARRAY_COUNT(zones)]);
        struct plan plan = plan_of(crons[i / ARRAY_COUNT(zones) % ARRAY_COUNT(crons)], zone);
        int64_t begin_s = utc_of(begins[i / ARRAY_COUNT(zones) / ARRAY_COUNT(crons)]);
        int64_t planned_s = begin_s - 1, shown = zone_local_s(zone, begin_s - 86400) / 60;
        assert_true(plan_next(&plan, planned_s, &planned_s));
        for (int64_t s = begin_s - 86400; s < begin_s + 2 * 86400; s += 60) {
            int64_t now = zone_local_s(zone, s) / 60;
            bool due = false;
            for (; shown < now; shown++) /* each minute of the clock once, in its order */
                due = cron_matches(&plan.cron, shown + 1) || due;
            if (s < begin_s)
                continue;
            assert_int_equal(due, s == planned_s);
            if (due)
                assert_true(plan_next(&plan, planned_s, &planned_s));
        }
    }
}

static void test_plans_keep_within_their_effective_dates(void **state)
{
    (void)state;
    ZONE_CLEANUP struct zone *zone = zone_of("UTC");
    struct plan plan = plan_of("0 1 * * *", zone);
    int64_t s;
    plan.from_s = utc_of("2026-01-02 01:00");
    plan.to_s = utc_of("2026-01-03 01:00");
    assert_true(plan_next(&plan, utc_of("2025-01-01 00:00"), &s));
    assert_string_equal(text_of(s), "2026-01-02 01:00");
    assert_true(plan_next(&plan, s, &s));
    assert_false(plan_next(&plan, s, &s));
    assert_false(plan_last(&plan, utc_of("2026-01-02 00:59"), &s));
    assert_true(plan_last(&plan, utc_of("2030-01-02 00:59"), &s));
    assert_string_equal(text_of(s), "2026-01-03 01:00");
}

static void test_the_last_planned_time_is_the_one_before_the_next(void **state)
{
    (void)state;
    static const char *const crons[] = {"* * * * *", "*/7 3 * * *", "0 1 * * MON", "0 0 29 2 *"};
    struct random random = random_start();
    ZONE_CLEANUP struct zone *zone = zone_of("Europe/Berlin");
    for (size_t i = 0; i < 400; i++) {
        struct plan plan = plan_of(crons[i % ARRAY_COUNT(crons)], zone);
        int64_t at_s = (int64_t)random_below(&random, UINT64_C(100) * 366 * 86400), last_s, next_s;
        assert_true(plan_last(&plan, at_s, &last_s));
        assert_true(last_s <= at_s);
        assert_true(plan_next(&plan, last_s, &next_s));
        assert_true(next_s > at_s);
    }
}

/* The runner asks this of each run that waits, at each pass. */
static void test_the_last_planned_time_of_what_ended_long_ago_is_found_at_once(void **state)
{
    (void)state;
    ZONE_CLEANUP struct zone *zone = zone_of("Europe/Berlin");
    static const char *const crons[] = {"* * * * *", "* * 1 1 *"};
    for (size_t i = 0; i < ARRAY_COUNT(crons); i++) {
        struct plan plan = plan_of(crons[i], zone);
        int64_t at_s = utc_of("2026-01-02 00:59"), last_s;
        plan.to_s = utc_of("2024-01-01 12:00");
        clock_t begun = clock();
        for (int k = 0; k < 20; k++)
            assert_true(plan_last(&plan, at_s, &last_s));
        assert_string_equal(text_of(last_s), "2024-01-01 12:00");
        assert_true(clock() - begun < CLOCKS_PER_SEC); /* of work; many, if each minute is walked */
    }
}

static void due_are(enum missed_runs missed, const char *until, const char *now,
                    const char *const *planned, bool skipped)
{
    ZONE_CLEANUP struct zone *zone = zone_of("UTC");
    struct plan plan = plan_of("0 1 * * *", zone);
    struct plan_due due;
    plan_due(&plan, missed, utc_of(until), utc_of(now), PLAN_DUE_MAX, &due);
    size_t count = 0;
    for (; planned[count] != NULL; count++) {
        assert_true(count < due.count);
        assert_string_equal(text_of(due.planned_s[count]), planned[count]);
    }
    assert_int_equal(due.count, count);
    assert_int_equal(due.skipped, skipped);
    assert_string_equal(text_of(due.until_s), now);
    assert_true(due.has_next);
}

static void test_missed_runs_are_made_up_or_left_out_as_the_schedule_says(void **state)
{
    (void)state;
    static const enum missed_runs all[] = {MISSED_RUNS_ALL, MISSED_RUNS_LATEST, MISSED_RUNS_SKIP};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) { /* nothing was missed */
        due_are(all[i], "2026-01-01 00:00", "2026-01-01 00:59", (const char *[]){NULL}, false);
        due_are(all[i], "2026-01-01 00:00", "2026-01-01 01:00",
                (const char *[]){"2026-01-01 01:00", NULL}, false);
        due_are(all[i], "2026-01-01 00:59", "2026-01-01 01:01",
                (const char *[]){"2026-01-01 01:00", NULL}, false);
    }
    due_are(MISSED_RUNS_ALL, "2026-01-01 00:00", "2026-01-03 12:00",
            (const char *[]){"2026-01-01 01:00", "2026-01-02 01:00", "2026-01-03 01:00", NULL},
            false);
    due_are(MISSED_RUNS_LATEST, "2026-01-01 00:00", "2026-01-03 12:00",
            (const char *[]){"2026-01-03 01:00", NULL}, false);
    due_are(MISSED_RUNS_SKIP, "2026-01-01 00:00", "2026-01-03 12:00", (const char *[]){NULL}, true);
    due_are(MISSED_RUNS_SKIP, "2026-01-01 00:00", "2026-01-03 01:01",
            (const char *[]){"2026-01-03 01:00", NULL}, true);
    due_are(MISSED_RUNS_LATEST, "2026-01-01 00:00", "2026-01-03 01:01",
            (const char *[]){"2026-01-03 01:00", NULL}, true);
}

static void test_a_node_that_was_down_for_long_makes_up_a_few_at_a_time(void **state)
{
    (void)state;
    ZONE_CLEANUP struct zone *zone = zone_of("UTC");
    struct plan plan = plan_of("* * * * *", zone);
    struct plan_due due;
    int64_t until_s = utc_of("2026-01-01 00:00"), now_s = utc_of("2026-02-01 00:00");
    size_t count = 0;
    while (until_s < now_s) {
        plan_due(&plan, MISSED_RUNS_ALL, until_s, now_s, 7, &due);
        assert_true(due.count <= 7);
        for (size_t i = 0; i < due.count; i++)
            assert_int_equal(due.planned_s[i], utc_of("2026-01-01 00:00") + 60 * (int64_t)++count);
        until_s = due.until_s;
    }
    assert_int_equal(count, 31 * 1440);
    plan_due(&plan, MISSED_RUNS_ALL, utc_of("2026-01-01 00:00"), now_s, 0, &due);
    assert_int_equal(due.count, 0);
    assert_int_equal(due.until_s, utc_of("2026-01-01 00:00"));
    plan_due(&plan, MISSED_RUNS_ALL, now_s, utc_of("2026-01-01 00:00"), 7,
             &due); /* a clock set back */
    assert_int_equal(due.count, 0);
    assert_int_equal(due.until_s, now_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_instant_is_what_libc_says),
        cmocka_unit_test(test_what_is_left_out_is_the_next_and_what_comes_twice_is_the_first),
        cmocka_unit_test(test_names_that_are_none_are_refused),
        cmocka_unit_test(test_plans_go_through_clocks_that_are_set),
        cmocka_unit_test(test_planned_times_are_those_of_a_walk_over_every_minute),
        cmocka_unit_test(test_plans_keep_within_their_effective_dates),
        cmocka_unit_test(test_the_last_planned_time_is_the_one_before_the_next),
        cmocka_unit_test(test_the_last_planned_time_of_what_ended_long_ago_is_found_at_once),
        cmocka_unit_test(test_missed_runs_are_made_up_or_left_out_as_the_schedule_says),
        cmocka_unit_test(test_a_node_that_was_down_for_long_makes_up_a_few_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
