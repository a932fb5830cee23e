/* Schedules run on a clock of the test's own: what is due, what is made up, what waits, whose rights, and
 * what a kill -9 between statements leaves (the program runs itself as a child: "act DIR NOW" with a crash
 * point armed).
 */
#include "node/schedule/runner.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "node/limits.h"
#include "node/statement/trial.h"

#define DAY_S  INT64_C(86400)
#define HOUR_S INT64_C(3600)

static struct limits limits =
    LIMITS_OF(.load_memory_bytes = MIB(64),
              .select = {.time_ms_max = 600000, .memory_bytes_max = 64 * MIB(1)});
static struct trial trial;
static struct runner *runner;
static int64_t now_s; /* the runner's clock */
static bool believed;
static char self[256];

static uint64_t clock_now_ms(void *context)
{
    (void)context;
    return (uint64_t)now_s * 1000;
}

static bool clock_believed(void *context)
{
    (void)context;
    return believed;
}

static void runner_make(void)
{
    const struct runner_options options = {
        .services = &trial.services, .now_ms = clock_now_ms, .believed = clock_believed};
    struct err err;
    if (runner_open(&options, &runner, &err) != ERR_OK)
        fail_msg("%s", err.message);
    trial.services.schedules = runner;
}

static void runner_end(void)
{
    runner_stop(runner);
    runner_free(runner);
    runner = NULL;
    trial.services.schedules = NULL;
}

/* The node is down, and the clock goes on. */
static void restart_after(int64_t seconds)
{
    runner_end();
    trial_restart(&trial);
    now_s += seconds;
    runner_make();
}

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

/* Midnight in UTC, before which schedules of the test are made. */
static int project(void **state)
{
    (void)state;
    now_s = (int64_t)(statement_now_ms() / 1000);
    now_s += DAY_S - now_s % DAY_S;
    believed = true;
    trial_project_of_rows(&trial);
    runner_make();
    return 0;
}

static int whole(void **state)
{
    (void)state;
    runner_end();
    trial_is_whole(&trial);
    return 0;
}

static void clock_goes(int64_t seconds)
{
    now_s += seconds;
    runner_pass(runner);
}

/* "2026-01-05 01:00"; the first bytes of it are its day. */
static const char *time_text(int64_t at_s)
{
    static char text[8][32];
    static size_t at;
    time_t time = (time_t)at_s;
    struct tm tm;
    gmtime_r(&time, &tm);
    at = (at + 1) % ARRAY_COUNT(text);
    strftime(text[at], sizeof(text[at]), "%Y-%m-%d %H:%M", &tm);
    return text[at];
}

static const char *date_text(int64_t at_s)
{
    char *text = (char *)(uintptr_t)time_text(at_s);
    text[10] = '\0';
    return text;
}

/* As in names: 20260105. */
static const char *name_text(int64_t at_s)
{
    char *text = (char *)(uintptr_t)date_text(at_s);
    memmove(text + 4, text + 5, 2);
    memmove(text + 6, text + 8, 3);
    return text;
}

/* Schedules begin with the test's clock, whatever hour it really is. */
__attribute__((format(printf, 1, 2))) static void sql(const char *format, ...)
{
    char text[2048], whole_text[2200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *cron = strstr(text, " CRON '");
    snprintf(whole_text, sizeof(whole_text), "%s", text);
    if (cron != NULL && strstr(text, "EFFECTIVE") == NULL)
        snprintf(whole_text, sizeof(whole_text), "%.*s EFFECTIVE FROM '%s'%s", (int)(cron - text),
                 text, date_text(now_s), cron);
    trial_root(&trial, whole_text);
}

__attribute__((format(printf, 2, 3))) static void gives(const char *rows, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trial.as = NULL;
    trial_gives(&trial, text, rows);
}

/* What SHOW SCHEDULE RUNS says of all runs: "planned state ...; ..." in order. */
static void runs_are(const char *name, const char *expected)
{
    BYTES_CLEANUP struct bytes out = {0}, seen = {0};
    char text[64];
    snprintf(text, sizeof(text), "SHOW SCHEDULE RUNS FOR %s", name);
    trial.as = NULL;
    if (trial_run(&trial, text, &out) != ERR_OK)
        fail_msg("%.*s", SPAN_PRINTF(bytes_span(&out)));
    bytes_append_u8(&out, 0);
    for (char *row = (char *)out.data, *next; row != NULL && *row != '\0'; row = next) {
        next = strchr(row, ';');
        if (next != NULL)
            *next++ = '\0';
        char *planned = strchr(row, ',') + 1;
        char *state = strchr(planned, ',') + 1;
        bytes_printf(&seen, "%s%.11s%.5s %.*s", seen.len > 0 ? "; " : "", planned, planned + 11,
                     (int)strcspn(state, ","), state);
    }
    bytes_append_u8(&seen, 0);
    assert_string_equal((const char *)seen.data, expected);
}

/* ---- */

static void test_a_due_run_does_what_its_text_says_once(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' SET var1='$[yyyymmdd]' AS BEGIN "
        "CREATE SNAPSHOT TABLE a_${var1} CLONE t; SELECT * FROM a_$[yyyymmdd]; END");
    clock_goes(HOUR_S - 1);
    runs_are("daily", "");
    clock_goes(1);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 SUCCEEDED", date_text(now_s));
    runs_are("daily", expected);
    gives("3", "SELECT COUNT(*) FROM a_%s", name_text(now_s));
    for (int i = 0; i < 30; i++)
        clock_goes(60);
    runs_are("daily", expected);
    clock_goes(DAY_S);
    gives("2", "SELECT COUNT(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE principal = "
               "'ALIYUN$root' AND address = 'schedule @.daily' AND action = 'CREATE SNAPSHOT "
               "TABLE'");
}

static void test_missed_runs_are_as_the_schedule_says(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE s_all CRON '0 1 * * *' MISSED RUNS ALL AS BEGIN SELECT 1; END");
    sql("CREATE SCHEDULE s_last CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    sql("CREATE SCHEDULE s_skip CRON '0 1 * * *' MISSED RUNS SKIP AS BEGIN SELECT 1; END");
    int64_t first_s = now_s + HOUR_S;
    restart_after(2 * DAY_S + 5 * HOUR_S);
    runner_pass(runner);
    char expected[256];
    snprintf(expected, sizeof(expected), "%s SUCCEEDED; %s SUCCEEDED; %s SUCCEEDED",
             time_text(first_s), time_text(first_s + DAY_S), time_text(first_s + 2 * DAY_S));
    runs_are("s_all", expected);
    snprintf(expected, sizeof(expected), "%s SUCCEEDED", time_text(first_s + 2 * DAY_S));
    runs_are("s_last", expected);
    snprintf(expected, sizeof(expected), "%s SKIPPED", time_text(first_s + 2 * DAY_S));
    runs_are("s_skip", expected);
}

static void test_a_doubted_clock_begins_nothing(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    runner_pass(runner);
    believed = false;
    clock_goes(4000 * DAY_S);
    runs_are("daily", "");
    now_s -= 4000 * DAY_S;
    believed = true;
    clock_goes(HOUR_S);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 SUCCEEDED", date_text(now_s));
    runs_are("daily", expected);
}

static void test_a_failed_statement_is_tried_again_from_there(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' RETRY 2 EVERY 30 MINUTES AS BEGIN "
        "INSERT INTO t VALUES (7); SELECT * FROM late; END");
    clock_goes(HOUR_S);
    const char *day = date_text(now_s);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 RETRY", day);
    runs_are("daily", expected);
    clock_goes(HOUR_S / 2 - 1);
    runs_are("daily", expected);
    restart_after(1);
    runner_pass(runner);
    runs_are("daily", expected);
    sql("CREATE TABLE late (a BIGINT)");
    clock_goes(HOUR_S / 2);
    snprintf(expected, sizeof(expected), "%s 01:00 SUCCEEDED", day);
    runs_are("daily", expected);
    gives("1", "SELECT COUNT(*) FROM t WHERE a = 7");
}

static void test_what_fails_to_the_end_says_why(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' RETRY 1 EVERY 1 MINUTE AS BEGIN SELECT 1; "
        "SELECT * FROM nothing; END");
    clock_goes(HOUR_S);
    clock_goes(60);
    BYTES_CLEANUP struct bytes out = {0};
    trial.as = NULL;
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    assert_non_null(strstr((const char *)out.data, "FAILED,CLOCK,2,1,2,1,"));
    assert_non_null(strstr((const char *)out.data, "statement 2: "));
    assert_non_null(strstr((const char *)out.data, "nothing"));
    clock_goes(3 * 60);
    gives("1", "SELECT 1"); /* and the node lives */
}

static void test_a_run_waits_for_the_one_that_it_comes_after(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE first CRON '0 1 * * *' AS BEGIN SELECT * FROM late; END");
    sql("CREATE SCHEDULE second CRON '0 2 * * *' AFTER first AS BEGIN INSERT INTO t VALUES (8); "
        "END");
    clock_goes(2 * HOUR_S);
    const char *day = date_text(now_s);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 FAILED", day);
    runs_are("first", expected);
    snprintf(expected, sizeof(expected), "%s 02:00 WAITING", day);
    runs_are("second", expected);
    trial_begins(&trial, "SHOW SCHEDULE RUNS FOR second", "second,");
    restart_after(HOUR_S);
    clock_goes(HOUR_S);
    runs_are("second", expected);
    sql("CREATE TABLE late (a BIGINT)");
    sql("RUN SCHEDULE first FOR '%s'", day);
    clock_goes(1);
    clock_goes(1);
    snprintf(expected, sizeof(expected), "%s 02:00 SUCCEEDED", day);
    runs_are("second", expected);
    gives("1", "SELECT COUNT(*) FROM t WHERE a = 8");
    clock_goes(DAY_S); /* the next day's need nobody */
    gives("2", "SELECT COUNT(*) FROM t WHERE a = 8");
}

static void test_a_paused_schedule_rests_and_its_pause_is_not_made_up(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' MISSED RUNS ALL AS BEGIN SELECT 1; END");
    sql("ALTER SCHEDULE daily PAUSE");
    clock_goes(3 * DAY_S);
    runs_are("daily", "");
    trial_begins(&trial, "SHOW SCHEDULES",
                 "daily,ALIYUN$root,PAUSED,0 1 * * *,UTC,NULL,NULL,NULL,");
    sql("ALTER SCHEDULE daily RESUME");
    sql("DROP SCHEDULE daily");
    trial_refuses(&trial, "SHOW SCHEDULE RUNS FOR daily", ERR_NOT_FOUND, "there is no schedule");
    gives("", "DROP SCHEDULE IF EXISTS daily");
    clock_goes(3 * DAY_S);
    gives("", "SHOW SCHEDULE RUNS");
}

static void test_a_backfill_runs_each_planned_time_in_order(void **state)
{
    (void)state;
    sql("CREATE TABLE days (d STRING)");
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' EFFECTIVE FROM '2100-01-01' TIMEZONE "
        "'Asia/Hong_Kong' SET d='$[yyyymmdd]' AS "
        "BEGIN INSERT INTO days VALUES ('${d}'); END");
    sql("RUN SCHEDULE daily FOR '2026-01-01' TO '2026-01-03'");
    for (int i = 0; i < 5; i++)
        clock_goes(1);
    gives("20260101;20260102;20260103", "SELECT d FROM days ORDER BY d");
    runs_are("daily", "2025-12-31 17:00 SUCCEEDED; 2026-01-01 17:00 SUCCEEDED; 2026-01-02 17:00 "
                      "SUCCEEDED");
    sql("RUN SCHEDULE daily FOR '2026-01-02'"); /* again is again */
    clock_goes(1);
    gives("2", "SELECT COUNT(*) FROM days WHERE d = '20260102'");
    trial_refuses(&trial, "RUN SCHEDULE daily FOR '2026-01-03' TO '2026-01-02'", ERR_SEMANTIC,
                  "before the first");
    trial_refuses(&trial, "RUN SCHEDULE daily FOR '2020-01-01' TO '2026-01-02'", ERR_LIMIT,
                  "more than 400 runs");
    trial_refuses(&trial, "RUN SCHEDULE daily FOR 'today'", ERR_SEMANTIC,
                  "'today' is neither a day like");
    trial_tells(&trial, "RUN SCHEDULE daily FOR '2098-01-02' TO '2098-01-03'",
                "2 runs, 2 when their time comes: SHOW SCHEDULE RUNS FOR daily");
    clock_goes(1);
    gives("4", "SELECT COUNT(*) FROM days");
}

static void test_a_schedule_is_shown_with_all_that_was_said_of_it(void **state)
{
    (void)state;
    static const char text[] =
        "CREATE SCHEDULE daily CRON '0 1 * * *' EFFECTIVE FROM '2020-01-02' TO '2020-01-03' RETRY "
        "3 EVERY 5 MINUTES MISSED RUNS SKIP SET d='$[yyyymmdd]', e='it\\'s' AS BEGIN SELECT "
        "'${d}'; "
        "END";
    trial_tells(&trial, text, "EFFECTIVE has ended: only RUN SCHEDULE daily runs it");
    trial_refuses(&trial, text, ERR_EXISTS, "DROP SCHEDULE daily first");
    trial_allows(
        &trial, &trial.root,
        "CREATE SCHEDULE other CRON '0 1 * * *' TIMEZONE 'America/New_York' EFFECTIVE FROM "
        "'1960-01-01' TO '9999-12-31' AS BEGIN SELECT 1; END",
        "");
    trial_allows(&trial, &trial.root,
                 "CREATE SCHEDULE plain CRON '0 1 * * *' AS BEGIN SELECT 1; END", "");
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULES", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    const char *shown = (const char *)out.data;
    if (strstr(shown,
               ",d='$[yyyymmdd]', e='it\\'s',2020-01-02 00:00:00,2020-01-03 23:59:59,3 EVERY "
               "5 MINUTES,SKIP;other,") == NULL ||
        strstr(shown, ",NULL,1960-01-01 05:00:00,9999-12-31 23:59:59,NULL,LATEST;plain") == NULL ||
        strstr(shown, ",NULL,NULL,NULL,NULL,LATEST") == NULL)
        fail_msg("%s", shown);
    trial_refuses(&trial, "RUN SCHEDULE other FOR '9999-12-31 23:59:00'", ERR_SEMANTIC,
                  "of the years 1 to 9999");
    trial_refuses(&trial, "RUN SCHEDULE other FOR '9999-12-31 18:59:00' TO '9999-12-31 19:00:00'",
                  ERR_SEMANTIC, "no run is planned then");
    sql("RUN SCHEDULE other FOR '9999-12-31 18:59:00'");
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS", &out), ERR_OK);
}

static void test_a_drop_tells_of_the_run_that_goes_on(void **state)
{
    (void)state;
    struct project_record found;
    struct schedule schedule;
    struct err err;
    struct change_note change = {.now_ms = statement_now_ms(),
                                 .principal = span_text(ROOT_ACCOUNT_NAME)};
    struct schedule_run run = {.planned_s = now_s, .state = RUN_RUNNING};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    if (project_find(trial.store, NULL, span_text(trial.project), &arena, &found, &err) != ERR_OK ||
        schedule_find(trial.store, found.id, span_text("s"), &arena, &schedule, &err) != ERR_OK ||
        schedule_runs_add(trial.store, &schedule, &run, 1, NULL, &change, &err) != ERR_OK)
        fail_msg("%s", err.message);
    trial_tells(&trial, "DROP SCHEDULE s", "a run of it is under way");
}

/* What was looked up is changed, and not what somebody else made of its name meanwhile. */
static void test_a_schedule_that_was_made_anew_is_another(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct project_record project_found;
    struct schedule found;
    struct err err;
    const struct change_note note = {.now_ms = (uint64_t)now_s * 1000,
                                     .principal = span_text(ROOT_ACCOUNT_NAME)};
    const struct schedule_run run = {.planned_s = now_s, .cause = RUN_OF_OPERATOR};
    arena_init(&arena, MIB(1));
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project_found, &err),
        ERR_OK);
    assert_int_equal(
        schedule_find(trial.store, project_found.id, span_text("s"), &arena, &found, &err), ERR_OK);
    sql("DROP SCHEDULE s");
    assert_int_equal(schedule_runs_add(trial.store, &found, &run, 1, NULL, &note, &err),
                     ERR_CONFLICT);
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 2; END");
    assert_int_equal(schedule_drop(trial.store, project_found.id, &found, &note, &err),
                     ERR_CONFLICT);
    assert_int_equal(
        schedule_pause_set(trial.store, project_found.id, &found, true, 0, &note, &err),
        ERR_CONFLICT);
    trial_begins(&trial, "SHOW SCHEDULES", "s,ALIYUN$root,ACTIVE,");
}

/* Who has many runs to make up for keeps no other waiting until they are all done. */
static void test_schedules_take_turns(void **state)
{
    (void)state;
    sql("CREATE TABLE done (a BIGINT)");
    sql("CREATE TABLE seen (a BIGINT)");
    sql("CREATE SCHEDULE z CRON '0 1 * * *' AS BEGIN INSERT INTO seen SELECT COUNT(*) FROM done; "
        "END");
    for (int i = 0; i < RUNNER_ACTIVE_MAX; i++) {
        sql("CREATE SCHEDULE a%d CRON '0 1 * * *' AS BEGIN INSERT INTO done VALUES (1); END", i);
        sql("RUN SCHEDULE a%d FOR '2026-01-01' TO '2026-01-03'", i);
    }
    sql("RUN SCHEDULE z FOR '2026-01-01'");
    clock_goes(1);
    gives("48", "SELECT COUNT(*) FROM done");
    gives("16", "SELECT a FROM seen");
}

/* No screen is made of all that a project's schedules did. */
static void test_a_screen_of_runs_ends(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct project_record project_found;
    struct schedule found;
    struct schedule_run runs[LIMIT_SCHEDULE_BACKFILL];
    struct err err;
    arena_init(&arena, MIB(1));
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project_found, &err),
        ERR_OK);
    assert_int_equal(
        schedule_find(trial.store, project_found.id, span_text("s"), &arena, &found, &err), ERR_OK);
    for (int64_t at = 0; at <= LIMIT_SCREEN_ROWS; at += LIMIT_SCHEDULE_BACKFILL) {
        for (int64_t i = 0; i < LIMIT_SCHEDULE_BACKFILL; i++)
            runs[i] = (struct schedule_run){.planned_s = at + i, .cause = RUN_OF_OPERATOR};
        assert_int_equal(
            schedule_runs_add(trial.store, &found, runs, LIMIT_SCHEDULE_BACKFILL, NULL, NULL, &err),
            ERR_OK);
    }
    trial_refuses(&trial, "SHOW SCHEDULE RUNS", ERR_LIMIT, "there are more than 10000 runs");
    trial_refuses(&trial, "SHOW SCHEDULE RUNS FOR s", ERR_LIMIT, "more than 10000 runs");
    sql("DROP SCHEDULE s");
}

/* Who may ask for runs has no node remember more than so many. */
static void test_what_is_asked_for_and_has_not_run_is_limited(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    for (int i = 0; i < 2; i++)
        sql("RUN SCHEDULE s FOR '%d-01-01' TO '%d-12-31'", 2100 + i, 2100 + i);
    trial_refuses(&trial, "RUN SCHEDULE s FOR '2102-01-01' TO '2102-12-31'", ERR_LIMIT,
                  "730 runs of the schedule have not ended");
    sql("RUN SCHEDULE s FOR '2102-01-01'");
    sql("DROP SCHEDULE s");
}

static void test_a_snapshot_of_a_past_day_is_refused_unless_it_is_meant(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE daily CRON '0 1 * * *' MISSED RUNS ALL AS BEGIN CREATE SNAPSHOT TABLE "
        "a_$[yyyymmdd] CLONE t; END");
    trial_refuses(&trial, "RUN SCHEDULE daily FOR '2026-01-05'", ERR_SEMANTIC,
                  "keep the data of today under that day's name");
    sql("RUN SCHEDULE daily FOR '2026-01-05' OPTIONS(allow_past_snapshots=true)");
    clock_goes(1);
    gives("3", "SELECT COUNT(*) FROM a_20260105");
    restart_after(2 * DAY_S + HOUR_S); /* three are missed; two are of past days */
    runner_pass(runner);
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    size_t failed = 0;
    for (const char *at = (const char *)out.data; (at = strstr(at, ",FAILED,")) != NULL; at++)
        failed++;
    assert_int_equal(failed, 2);
    gives("3", "SELECT COUNT(*) FROM a_%s", name_text(now_s));
}

static void test_a_run_has_its_creators_rights_as_they_are_now(void **state)
{
    (void)state;
    sql("ADD USER ALIYUN$other");
    trial_denies(&trial, &trial.other,
                 "CREATE SCHEDULE s CRON '* * * * *' AS BEGIN SELECT * FROM t; END",
                 "has no CreateInstance");
    sql("GRANT CreateInstance ON PROJECT @ TO USER ALIYUN$other");
    trial_allows(&trial, &trial.other,
                 "CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT * FROM t; END", "");
    clock_goes(HOUR_S);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 FAILED", date_text(now_s));
    runs_are("s", expected); /* who administers the project sees it */
    sql("GRANT Select ON TABLE t TO USER ALIYUN$other");
    sql("RUN SCHEDULE s FOR '%s'", date_text(now_s));
    clock_goes(1);
    snprintf(expected, sizeof(expected), "%s 01:00 SUCCEEDED", date_text(now_s));
    runs_are("s", expected);
    sql("REMOVE USER ALIYUN$other");
    clock_goes(DAY_S);
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS FOR s", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    assert_non_null(strstr((const char *)out.data, "ALIYUN$other"));
    assert_non_null(strstr((const char *)out.data, ",FAILED,"));
}

static void test_a_creator_who_is_gone_fails_runs_and_no_more(void **state)
{
    (void)state;
    sql("ADD USER RAM$root:u");
    sql("GRANT CreateInstance ON PROJECT @ TO USER RAM$root:u");
    trial_allows(&trial, &trial.user, "CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END",
                 "");
    principals_remove(trial.principals, span_text(trial.user.name));
    clock_goes(HOUR_S);
    BYTES_CLEANUP struct bytes out = {0};
    trial.as = NULL;
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS FOR s", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    assert_non_null(strstr((const char *)out.data, "RAM$root:u, who is gone"));
    const struct principal_spec spec = {.name = span_text(trial.user.name),
                                        .account = trial.user.account,
                                        .number = trial.user.number + 1000, /* another one */
                                        .user = true};
    principals_put(trial.principals, &spec);
    clock_goes(DAY_S);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 FAILED; %s 01:00 FAILED",
             date_text(now_s - DAY_S), date_text(now_s));
    runs_are("s", expected);
    principals_put(trial.principals, &(struct principal_spec){.name = span_text(trial.user.name),
                                                              .account = trial.user.account,
                                                              .number = trial.user.number,
                                                              .user = true});
}

/* A schedule of the name that somebody else made since is not the one that it was made after. */
static void test_who_comes_after_learns_of_no_other_schedule(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes out = {0};
    sql("ADD USER RAM$root:u");
    sql("GRANT CreateInstance ON PROJECT @ TO USER RAM$root:u");
    trial_allows(&trial, &trial.user,
                 "CREATE SCHEDULE first CRON '0 1 * * *' AS BEGIN SELECT 1; END", "");
    trial_allows(&trial, &trial.user,
                 "CREATE SCHEDULE second CRON '0 2 * * *' AFTER first AS BEGIN SELECT 1; END", "");
    trial_allows(&trial, &trial.user, "DROP SCHEDULE first", "");
    trial.as = NULL;
    sql("CREATE SCHEDULE first CRON '0 1 * * *' AS BEGIN SELECT * FROM missing; END");
    clock_goes(2 * HOUR_S);
    clock_goes(1);
    trial.as = &trial.user;
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS FOR second", &out), ERR_OK);
    trial.as = NULL;
    bytes_append_u8(&out, 0);
    assert_null(strstr((const char *)out.data, "FAILED"));
    assert_non_null(strstr((const char *)out.data, "there is no schedule first with a CRON"));
}

static void test_strangers_learn_nothing(void **state)
{
    (void)state;
    sql("ADD USER ALIYUN$other");
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    static const char *const texts[][2] = {
        {"ALTER SCHEDULE ", " PAUSE"},
        {"DROP SCHEDULE ", ""},
        {"RUN SCHEDULE ", " FOR '2026-01-01'"},
        {"SHOW SCHEDULE RUNS FOR ", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        BYTES_CLEANUP struct bytes there = {0}, absent = {0};
        char text[128];
        trial.as = &trial.other;
        snprintf(text, sizeof(text), "%ss%s", texts[i][0], texts[i][1]);
        assert_int_equal(trial_run(&trial, text, &there), ERR_NOT_FOUND);
        snprintf(text, sizeof(text), "%sx%s", texts[i][0], texts[i][1]);
        assert_int_equal(trial_run(&trial, text, &absent), ERR_NOT_FOUND);
        assert_int_equal(there.len, absent.len);
        trial.as = &trial.stranger;
        assert_int_equal(trial_run(&trial, text, &absent), ERR_DENIED);
    }
    clock_goes(HOUR_S);
    static const char view[] = "SELECT schedule, state, cause FROM "
                               "SYSTEM_CATALOG.INFORMATION_SCHEMA.SCHEDULE_RUNS WHERE project = "
                               "'@'";
    trial_allows(&trial, &trial.root, view, "s,SUCCEEDED,CLOCK");
    trial_allows(&trial, &trial.other, view, "");
    trial_allows(&trial, &trial.stranger, view, "");
    trial_allows(&trial, &trial.other, "SHOW SCHEDULES", "");
    trial_allows(&trial, &trial.other, "SHOW SCHEDULE RUNS", "");
    trial_allows(&trial, &trial.other, "DROP SCHEDULE IF EXISTS s", "");
    trial_begins(&trial, "SHOW SCHEDULES", "s,ALIYUN$root,ACTIVE,");
}

static void test_what_cannot_run_is_refused_where_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"CREATE SCHEDULE s CRON '0 1 * *' AS BEGIN SELECT 1; END",
         "line 1, column 24: cron: expected five"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' TIMEZONE 'Moon' AS BEGIN SELECT 1; END",
         "line 1, column 45: there is no time zone 'Moon'"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; SELECT a_${nothing}; END",
         "line 1, column 64: statement 2: ${nothing} is neither"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' SET v='$[hh]' AS BEGIN SELECT 1; END",
         "line 1, column 43: $[hh] is neither"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' SET yyyymm='1' AS BEGIN SELECT 1; END",
         "line 1, column 40: ${yyyymm} is a date"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELEC 1; END",
         "line 1, column 45: statement 1: line 1, column 1: found SELEC"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN USE p; END",
         "USE has no place in a schedule"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN RUN SCHEDULE s FOR '2026-01-01'; END",
         "RUN SCHEDULE has no place in a schedule"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AFTER x AS BEGIN SELECT 1; END",
         "there is no schedule x"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AFTER s AS BEGIN SELECT 1; END", "come after itself"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' EFFECTIVE FROM '2026-01-02' TO '2026-01-01' AS BEGIN "
         "SELECT 1; END",
         "ends before it begins"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' EFFECTIVE FROM 'soon' AS BEGIN SELECT 1; END", "soon"},
        {"CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT * FROM ${snapshot}; END",
         "${snapshot} is neither"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        trial.as = NULL;
        enum err_code code = trial_run(&trial, cases[i].text, &out);
        bytes_append_u8(&out, 0);
        if (code == ERR_OK || strstr((const char *)out.data, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].text, (const char *)out.data);
    }
    gives("", "SHOW SCHEDULES");
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    trial_refuses(&trial, "CREATE SCHEDULE S CRON '0 1 * * *' AS BEGIN SELECT 1; END", ERR_EXISTS,
                  "already");
    gives("", "CREATE SCHEDULE IF NOT EXISTS s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
}

static void test_settings_last_until_the_run_ends(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SET odps.namespace.schema=true; SET "
        "strait.select.time=0; SELECT * FROM t; END");
    clock_goes(HOUR_S);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s 01:00 SUCCEEDED", date_text(now_s));
    runs_are("s", expected);
}

/* As a trigger does (trigger.h): a run for the snapshot, with its number. */
static enum err_code fire(const struct schedule *schedule, const char *snapshot, uint64_t from,
                          uint64_t to)
{
    struct err err;
    struct schedule_run run = {
        .planned_s = now_s, .cause = RUN_OF_SNAPSHOT, .snapshot = span_text(snapshot)};
    enum err_code code = schedule_runs_fire(trial.store, schedule, &run, 1, from, to, &err);
    runner_changed(runner);
    return code;
}

static void test_a_snapshot_at_a_source_starts_a_run_once(void **state)
{
    (void)state;
    struct project_record found;
    struct err err;
    struct change_note change = {.now_ms = statement_now_ms(),
                                 .principal = span_text(ROOT_ACCOUNT_NAME)};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    sql("CREATE TABLE seen (name STRING)");
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &found, &err), ERR_OK);
    struct span step = span_text("INSERT INTO seen VALUES ('${snapshot} ${created}')");
    struct schedule made = {.name = span_text("s"),
                            .creator = span_text(ROOT_ACCOUNT_NAME),
                            .creator_id = principal_id(&trial.root),
                            .created_ms = statement_now_ms(),
                            .timezone = span_text("UTC"),
                            .from_s = INT64_MIN,
                            .to_s = INT64_MAX,
                            .trigger_region = span_text("cn-hongkong"),
                            .trigger_project = span_text("src"),
                            .trigger_table = span_text("a"),
                            .steps = &step,
                            .step_count = 1};
    assert_int_equal(schedule_create(trial.store, found.id, &made, &change, &err), ERR_OK);
    assert_int_equal(schedule_find(trial.store, found.id, span_text("s"), &arena, &made, &err),
                     ERR_OK);
    assert_int_equal(fire(&made, "a_1", 0, 5), ERR_OK);
    assert_int_equal(fire(&made, "a_1", 0, 5), ERR_CONFLICT);
    assert_int_equal(fire(&made, "a_2", 5, 6), ERR_OK);
    for (int i = 0; i < 4; i++)
        clock_goes(1);
    assert_int_equal(fire(&made, "a_1", 5, 6), ERR_CONFLICT);
    clock_goes(1);
    char expected[128];
    const char *day = date_text(now_s);
    snprintf(expected, sizeof(expected), "a_1 %.4s%.2s%.2s000000;a_2 %.4s%.2s%.2s000001", day,
             day + 5, day + 8, day, day + 5, day + 8);
    gives(expected, "SELECT name FROM seen ORDER BY name");
}

static void test_history_is_kept_for_a_while(void **state)
{
    (void)state;
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END");
    for (int i = 0; i < 35; i++)
        clock_goes(DAY_S);
    BYTES_CLEANUP struct bytes out = {0};
    trial.as = NULL;
    assert_int_equal(trial_run(&trial, "SHOW SCHEDULE RUNS FOR s", &out), ERR_OK);
    bytes_append_u8(&out, 0);
    size_t count = 0;
    for (const char *at = (const char *)out.data; (at = strstr(at, "SUCCEEDED")) != NULL; at++)
        count++;
    assert_in_range(count, SCHEDULE_RUNS_KEPT_DAYS - 1, SCHEDULE_RUNS_KEPT_DAYS + 1);
}

static enum err_code count_id(void *context, uint64_t schedule, struct err *err)
{
    size_t *count = context;
    (void)schedule;
    (void)err;
    ++*count;
    return ERR_OK;
}

static size_t ids_count(void)
{
    size_t count = 0;
    struct err err;
    assert_int_equal(schedule_ids_each(trial.store, count_id, &count, &err), ERR_OK);
    return count;
}

static void test_a_project_that_is_dropped_takes_its_schedules(void **state)
{
    (void)state;
    clock_goes(2 * HOUR_S); /* what other tests left is swept */
    clock_goes(2 * HOUR_S);
    size_t before = ids_count();
    trial_project(&trial);
    sql("CREATE SCHEDULE s CRON '* * * * *' AS BEGIN SELECT 1; END");
    clock_goes(60);
    assert_int_equal(ids_count(), before + 1);
    gives("", "DROP PROJECT @");
    for (int i = 0; i < 3; i++) /* its next run finds it gone: nothing is read anew for an hour */
        clock_goes(60);
    assert_int_equal(ids_count(), before);
    trial_project_of_rows(&trial);
}

/* ---- kill -9 ---- */

static enum err_code act_store(const char *folder, struct store **ret_store, struct err *err)
{
    struct store_options options = {
        .data_dir = folder, .region = "cn-hongkong", .disk_reserve_bytes = MIB(1)};
    const char *identity = getenv("RUNNER_IDENTITY");
    if (identity == NULL || sodium_hex2bin(options.identity.b, sizeof(options.identity.b), identity,
                                           strlen(identity), NULL, NULL, NULL) != 0)
        return err_set(err, ERR_CONFIG, "no identity");
    TRY(store_open(&options, ret_store, err));
    return select_start(store_tmp_dir(*ret_store), err);
}

/* The child: the same node, whose clock is at `at`. */
static int act(const char *folder, int64_t at_s)
{
    struct err err = {0};
    struct store *store = NULL;
    struct principals *principals = NULL;
    const struct principal_spec root = {
        .name = span_text("ALIYUN$root"), .account = {1}, .number = 1};
    now_s = at_s;
    believed = true;
    if (act_store(folder, &store, &err) != ERR_OK ||
        principals_new(&(struct config_list){0}, &principals, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    principals_put(principals, &root);
    trial.services = (struct statement_services){
        .auditor = auditor_new(store),
        .store = store,
        .principals = principals,
        .region = "cn-hongkong",
        .limits = &limits,
    };
    runner_make();
    for (int i = 0; i < 3; i++)
        runner_pass(runner);
    return 0;
}

static int child_run(const char *armed)
{
    char at[32], identity[2 * sizeof(struct identity_key) + 1];
    const struct identity_key key = identity_public(trial.identity)->sign;
    snprintf(at, sizeof(at), "%" PRId64, now_s);
    sodium_bin2hex(identity, sizeof(identity), key.b, sizeof(key.b));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("STRAIT_CRASH", armed, 1);
        setenv("RUNNER_IDENTITY", identity, 1);
        execl(self, self, "act", trial.folder, at, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_a_killed_run_goes_on_and_nothing_is_lost_or_doubled(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* processes that are killed: nothing of threads is seen */
#endif
    (void)state;
    static const char *const armed[] = {
        "schedule.planned",     "schedule.begun",       "schedule.step_done:1",
        "schedule.step_done:2", "schedule.step_done:3", "schedule.step_kept:1",
        "schedule.step_kept:3", "catalog.written:1",    "catalog.written:2",
        "catalog.written:3",    "catalog.written:4",    "catalog.written:5",
        "catalog.written:6",    "catalog.checked:3",
    };
    gives("", "CREATE TABLE done (d STRING, n BIGINT)");
    sql("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN INSERT INTO done VALUES ('$[yyyymmdd]', 1); "
        "INSERT INTO done VALUES ('$[yyyymmdd]', 2); INSERT INTO done VALUES ('$[yyyymmdd]', 3); "
        "END");
    now_s += HOUR_S;
    for (size_t i = 0; i < ARRAY_COUNT(armed); i++) {
        const char *day = name_text(now_s);
        runner_end();
        trial_close(&trial);
        int status = child_run(armed[i]);
        trial_reopen(&trial);
        runner_make();
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s was not reached (status %d)", armed[i], status);
        runner_pass(runner);
        runner_pass(runner);
        gives("1;2;3", "SELECT n FROM done WHERE d = '%s' ORDER BY n", day);
        gives("0", "SELECT COUNT(*) FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE "
                   "outcome <> 'OK' AND address = 'schedule @.s'");
        now_s += DAY_S;
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "act") == 0)
        return act(argv[2], strtoll(argv[3], NULL, 10));
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, project, whole)
    const struct CMUnitTest tests[] = {
        TEST(test_a_due_run_does_what_its_text_says_once),
        TEST(test_missed_runs_are_as_the_schedule_says),
        TEST(test_a_doubted_clock_begins_nothing),
        TEST(test_a_failed_statement_is_tried_again_from_there),
        TEST(test_what_fails_to_the_end_says_why),
        TEST(test_a_run_waits_for_the_one_that_it_comes_after),
        TEST(test_a_paused_schedule_rests_and_its_pause_is_not_made_up),
        TEST(test_a_backfill_runs_each_planned_time_in_order),
        TEST(test_a_schedule_that_was_made_anew_is_another),
        TEST(test_schedules_take_turns),
        TEST(test_a_screen_of_runs_ends),
        TEST(test_what_is_asked_for_and_has_not_run_is_limited),
        TEST(test_a_schedule_is_shown_with_all_that_was_said_of_it),
        TEST(test_a_drop_tells_of_the_run_that_goes_on),
        TEST(test_a_snapshot_of_a_past_day_is_refused_unless_it_is_meant),
        TEST(test_a_run_has_its_creators_rights_as_they_are_now),
        TEST(test_a_creator_who_is_gone_fails_runs_and_no_more),
        TEST(test_who_comes_after_learns_of_no_other_schedule),
        TEST(test_strangers_learn_nothing),
        TEST(test_what_cannot_run_is_refused_where_it_stands),
        TEST(test_settings_last_until_the_run_ends),
        TEST(test_a_snapshot_at_a_source_starts_a_run_once),
        TEST(test_history_is_kept_for_a_while),
        TEST(test_a_project_that_is_dropped_takes_its_schedules),
        TEST(test_a_killed_run_goes_on_and_nothing_is_lost_or_doubled),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
