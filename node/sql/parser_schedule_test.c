/* CREATE SCHEDULE and what is done with one: text to tree. */
#include "node/sql/parser_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_a_schedule_keeps_every_clause_and_its_statements_as_written(void **state)
{
    (void)state;
    const struct statement *s = parse(
        "CREATE SCHEDULE IF NOT EXISTS p.daily RETRY 3 EVERY 30 MINUTES CRON '0 1 * * *' ON "
        "SNAPSHOT "
        "OF src_project.a OPTIONS(src_region=\"cn-hongkong\") TIMEZONE 'Asia/Hong_Kong' EFFECTIVE "
        "FROM '2026-01-01' TO DATE '9999-12-31' AFTER other MISSED RUNS ALL SET "
        "var1='$[yyyymmdd]', "
        "var2='${yyyymmdd-1}' COMMENT 'as printed' AS BEGIN\n"
        "  -- the first; of two\n"
        "  CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a;\n"
        "  SELECT CASE 1 WHEN 1 THEN ';' END FROM b_$[yyyymmdd]; ;\n"
        "END;");
    const struct create_schedule *c = &s->create_schedule;
    assert_int_equal(s->kind, STATEMENT_CREATE_SCHEDULE);
    name_is(c->name, "p", "daily");
    assert_true(c->if_not_exists && c->has_cron && c->on_snapshot && c->has_from && c->has_to);
    span_is(c->cron, "0 1 * * *");
    name_is(c->trigger, "src_project", "a");
    span_is(option_find(&c->trigger_options, "src_region")->value.text, "cn-hongkong");
    span_is(c->timezone, "Asia/Hong_Kong");
    span_is(c->effective_from.text, "2026-01-01");
    assert_int_equal(c->effective_to.kind, LITERAL_DATE);
    span_is(c->after, "other");
    assert_int_equal(c->retry_count, 3);
    assert_int_equal(c->retry_minutes, 30);
    assert_int_equal(c->missed, MISSED_RUNS_ALL);
    assert_int_equal(c->variable_count, 2);
    span_is(c->variables[1].name, "var2");
    span_is(c->variables[1].value, "${yyyymmdd-1}");
    span_is(c->comment, "as printed");
    assert_int_equal(c->step_count, 2);
    span_is(c->steps[0].text, "CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a");
    span_is(c->steps[1].text, "SELECT CASE 1 WHEN 1 THEN ';' END FROM b_$[yyyymmdd]");
    span_is(span_slice(s->text, c->steps[1].at, 6), "SELECT");
}

static void test_what_is_done_with_a_schedule_parses(void **state)
{
    (void)state;
    const struct statement *s = parse("ALTER SCHEDULE p.daily PAUSE");
    assert_true(s->alter_schedule.pause);
    name_is(s->alter_schedule.name, "p", "daily");
    assert_false(parse("ALTER SCHEDULE daily RESUME")->alter_schedule.pause);
    s = parse("DROP SCHEDULE IF EXISTS daily");
    assert_int_equal(s->kind, STATEMENT_DROP_SCHEDULE);
    assert_true(s->drop.if_exists);
    s = parse(
        "RUN SCHEDULE daily FOR '2026-01-01' TO '2026-01-05' OPTIONS(allow_past_snapshots=true)");
    span_is(s->run_schedule.first.text, "2026-01-01");
    span_is(s->run_schedule.last.text, "2026-01-05");
    assert_non_null(option_find(&s->run_schedule.options, "allow_past_snapshots"));
    assert_false(parse("RUN SCHEDULE daily FOR DATE '2026-01-05'")->run_schedule.has_last);
    s = parse("SHOW SCHEDULES IN p LIKE 'd*'");
    assert_int_equal(s->show.kind, SHOW_SCHEDULES);
    span_is(s->show.project, "p");
    s = parse("SHOW SCHEDULE RUNS FOR p.daily");
    assert_int_equal(s->show.kind, SHOW_SCHEDULE_RUNS);
    name_is(s->show.name, "p", "daily");
    name_is(parse("SHOW SCHEDULE RUNS")->show.name, "", "");
    s = parse("SHOW CREATE SCHEDULE p.daily");
    assert_int_equal(s->show.kind, SHOW_CREATE_SCHEDULE);
    name_is(s->show.name, "p", "daily");
}

static void test_a_schedule_that_is_not_one_is_refused_where_it_ends(void **state)
{
    (void)state;
    error_is("CREATE SCHEDULE s AS BEGIN SELECT 1; END", ERR_PARSE,
             "line 1, column 19: found AS, expected CRON '...' or ON SNAPSHOT OF project.table "
             "OPTIONS(src_region=...)");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' CRON '0 2 * * *' AS BEGIN SELECT 1; END",
             ERR_PARSE, "line 1, column 36: found CRON for the second time");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; SELECT 2", ERR_PARSE,
             "line 1, column 55: found no end of this, expected a statement and its ';', or END");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT ';", ERR_PARSE,
             "line 1, column 45: found no end of this, expected a statement and its ';', or END");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN ; END", ERR_PARSE,
             "line 1, column 39: found no statement between BEGIN and END");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' SET a='1', a='2' AS BEGIN SELECT 1; END",
             ERR_PARSE, "line 1, column 47: found variable a for the second time");
    error_is("CREATE SCHEDULE s ON SNAPSHOT OF p.t AS BEGIN SELECT 1; END", ERR_PARSE,
             "line 1, column 38: found AS, expected OPTIONS(src_region=...)");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' AS BEGIN SELECT 1; END SELECT 2", ERR_PARSE,
             "line 1, column 59: found SELECT, expected the end of the statement");
    error_is("CREATE SCHEDULE s CRON '0 1 * * *' RETRY 0 EVERY 5 MINUTES AS BEGIN SELECT 1; END",
             ERR_PARSE, "line 1, column 42: expected RETRY 1 EVERY 1 MINUTES at least");
    error_is(
        "RUN SCHEDULE s FOR 5", ERR_PARSE,
        "line 1, column 20: expected a day or time such as '2026-01-05' or '2026-01-05 01:00:00'");
}

static int setup(void **state)
{
    (void)state;
    arena_init(&parser_trial_arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&parser_trial_arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_schedule_keeps_every_clause_and_its_statements_as_written),
        cmocka_unit_test(test_what_is_done_with_a_schedule_parses),
        cmocka_unit_test(test_a_schedule_that_is_not_one_is_refused_where_it_ends),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
