/* What a schedule's creator signs, and what nobody should be made to sign. */
#include "node/schedule/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "node/sql/parser.h"

static struct arena arena;
static struct err err;

static const struct create_schedule *schedule_of(const char *text)
{
    struct statement *statement;
    arena_reset(&arena);
    if (statement_parse(span_text(text), &arena, &statement, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(statement->kind, STATEMENT_CREATE_SCHEDULE);
    return &statement->create_schedule;
}

static enum err_code grants_of(const char *text, struct schedule_grants *ret_grants)
{
    const struct create_schedule *create = schedule_of(text);
    return schedule_grants_find(create, span_text("demo"), &arena, ret_grants, &err);
}

/* Each: rights, region, source -> destination; the runs. */
static void grants_are(const char *text, const char *expected)
{
    struct schedule_grants grants;
    BYTES_CLEANUP struct bytes shown = {0};
    if (grants_of(text, &grants) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    for (size_t i = 0; i < grants.count; i++) {
        const struct schedule_grant *grant = &grants.list[i];
        bytes_printf(&shown, "%zu %s %.*s %.*s.%.*s -> %.*s.%.*s; ", grant->step,
                     grant->rights == TOKEN_WATCH ? "watch" : "copy",
                     SPAN_PRINTF(grant->source.region), SPAN_PRINTF(grant->source.project),
                     SPAN_PRINTF(grant->source.snapshot), SPAN_PRINTF(grant->destination.project),
                     SPAN_PRINTF(grant->destination.snapshot));
    }
    bytes_printf(&shown, "%" PRIu32, grants.runs_a_day);
    bytes_append_u8(&shown, 0);
    assert_string_equal((const char *)shown.data, expected);
}

static void refused(const char *text, const char *words)
{
    struct schedule_grants grants;
    assert_int_not_equal(grants_of(text, &grants), ERR_OK);
    if (strstr(err.message, words) == NULL)
        fail_msg("%s: %s", text, err.message);
}

#define CRON "CREATE SCHEDULE s CRON '0 2 * * *' AS BEGIN "
#define ON   "CREATE SCHEDULE s ON SNAPSHOT OF a.t OPTIONS(src_region='r') AS BEGIN "
#define XCOPY(source, destination, region)                                                         \
    "XCOPY SNAPSHOT " source " TO SNAPSHOT " destination " OPTIONS(src_region='" region "'); "

static void test_the_text_before_the_first_parameter_is_signed(void **state)
{
    (void)state;
    grants_are(CRON XCOPY("a.x_$[yyyymmdd]", "b.y_$bizdate", "r") "END",
               "1 copy r a.x_* -> b.y_*; 32");
    grants_are(CRON XCOPY("a.x_${yyyymmdd-1}_end", "y", "r") "END", "1 copy r a.x_* -> demo.y; 32");
    grants_are(CRON XCOPY("a.x", "y", "r") "END", "1 copy r a.x -> demo.y; 32");
    grants_are("CREATE SCHEDULE s CRON '0 2 * * *' SET day='x_1' AS BEGIN " XCOPY(
                   "a.w${day}", "b.w${day}", "r") "END",
               "1 copy r a.w* -> b.w*; 32"); /* what a variable says may change with a schedule */
    grants_are(CRON "CREATE SNAPSHOT TABLE x_$[yyyymmdd] CLONE t; END", "32");
    grants_are(CRON "EXPLAIN " XCOPY("a.x", "y", "r") "END", "32");
}

static void test_names_that_would_be_signed_for_everything_are_refused(void **state)
{
    (void)state;
    const char *words = "would be signed for every snapshot of the project";
    refused(CRON XCOPY("a.`$[yyyymmdd]`", "y", "r") "END", words);
    refused(CRON XCOPY("a.x", "`$[yyyymmdd]`", "r") "END", words);
    refused(CRON "SELECT 1; " XCOPY("a.`$bizdate`", "y", "r") "END", "statement 2 of the schedule");
    refused(CRON XCOPY("a$[yyyy].x", "y", "r") "END",
            "source's project of an XCOPY is written out");
    refused(CRON XCOPY("a.x", "b$[yyyy].y", "r") "END", "destination's project");
    refused(CRON XCOPY("a.x", "y", "r$[yyyy]") "END", "region of an XCOPY is written out");
    refused(ON XCOPY("b.${snapshot}", "y", "r") "END", words); /* of another project */
    refused(ON XCOPY("a.${snapshot}", "y", "q") "END", words); /* and region than the trigger's */
    refused(ON XCOPY("a.x", "${snapshot}", "r") "END", words);
    refused(CRON XCOPY("a.${snapshot}", "y", "r") "END", "${snapshot}");
    refused(CRON XCOPY("a.x_$[what]", "y", "r") "END", "$[what]");
}

static void test_a_triggers_copies_are_signed_for_its_table(void **state)
{
    (void)state;
    grants_are(ON XCOPY("a.${snapshot}", "b.${snapshot}", "r") "END",
               "0 watch r a.* OF t -> demo.*; 1 copy r a.* OF t -> b.*; 10000");
    grants_are(ON XCOPY("a.${snapshot}", "b.t_${created}", "r") "END",
               "0 watch r a.* OF t -> demo.*; 1 copy r a.* OF t -> b.t_*; 10000");
    grants_are(ON XCOPY("a.x_${snapshot}", "b.y", "r") "END",
               "0 watch r a.* OF t -> demo.*; 1 copy r a.x_* -> b.y; 10000");
    grants_are(ON "SELECT 1; END", "0 watch r a.* OF t -> demo.*; 10000");
}

static void test_runs_have_room_for_tries_and_hands(void **state)
{
    (void)state;
    grants_are("CREATE SCHEDULE s CRON '*/30 1,2 * * *' RETRY 2 EVERY 5 MINUTES AS BEGIN SELECT 1; "
               "END",
               "43"); /* 4 x 3 and a month's by hand */
    grants_are(
        "CREATE SCHEDULE s CRON '* * * * *' RETRY 100 EVERY 1 MINUTES AS BEGIN SELECT 1; END",
        "10000");
}

static void test_a_grant_is_one_tokens(void **state)
{
    (void)state;
    struct schedule_grants grants;
    assert_int_equal(grants_of(CRON XCOPY("a.x_$[yyyymmdd]", "b.y_$bizdate", "r") "END", &grants),
                     ERR_OK);
    struct token token = {.kind = TOKEN_STANDING,
                          .rights = TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES,
                          .source = {span_text("r"), span_text("A"), span_text("x_*")},
                          .destination = {span_text("here"), span_text("b"), span_text("y_*")},
                          .schedule = span_text("S")};
    const struct token right = token;
    struct span schedule = span_text("s");
    assert_true(schedule_grant_fits(&grants.list[0], schedule, &token));
    token.kind = TOKEN_ONCE;
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.rights = TOKEN_RIGHTS_ALL;
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.schedule = span_text("other");
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.source.region = span_text("q");
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.source.snapshot = span_text("x_2*");
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.destination.project = span_text("c");
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
    token = right;
    token.destination.snapshot = span_text("y_1");
    assert_false(schedule_grant_fits(&grants.list[0], schedule, &token));
}

static void test_more_than_a_request_carries_is_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    struct schedule_grants grants;
    bytes_append_text(&text, CRON);
    for (int i = 0; i <= LIMIT_STATEMENT_TOKENS; i++)
        bytes_printf(&text, "XCOPY SNAPSHOT a.x TO SNAPSHOT y%d OPTIONS(src_region='r'); ", i);
    bytes_append_text(&text, "END");
    bytes_append_u8(&text, 0);
    assert_int_equal(grants_of((const char *)text.data, &grants), ERR_LIMIT);
}

int main(void)
{
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_text_before_the_first_parameter_is_signed),
        cmocka_unit_test(test_names_that_would_be_signed_for_everything_are_refused),
        cmocka_unit_test(test_a_triggers_copies_are_signed_for_its_table),
        cmocka_unit_test(test_runs_have_room_for_tries_and_hands),
        cmocka_unit_test(test_a_grant_is_one_tokens),
        cmocka_unit_test(test_more_than_a_request_carries_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
