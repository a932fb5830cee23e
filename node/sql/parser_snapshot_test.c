/* ALTER SNAPSHOT TABLE, CREATE TABLE ... CLONE ... TIMESTAMP AS OF. */
#include "node/sql/parser_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void refuses(const char *sql, const char *words)
{
    struct statement *statement = NULL;
    struct err err = {0};
    enum err_code code = statement_parse(span_text(sql), &parser_trial_arena, &statement, &err);
    if (code != ERR_PARSE || strstr(err.message, words) == NULL)
        fail_msg("%s: %s '%s'", sql, err_name(code), err.message);
}

static void a_snapshot_is_altered(void **state)
{
    (void)state;
    const struct statement *s =
        parse("alter snapshot table p.s set options(expiration_timestamp=NULL, description='x');");
    assert_int_equal(s->kind, STATEMENT_ALTER_SNAPSHOT);
    const struct alter_snapshot *alter = &s->alter_snapshot;
    assert_int_equal(alter->kind, ALTER_SNAPSHOT_OPTIONS);
    name_is(alter->name, "p", "s");
    assert_int_equal(option_find(&alter->options, "expiration_timestamp")->value.kind,
                     LITERAL_NULL);
    assert_int_equal(parse("ALTER SNAPSHOT TABLE s HOLD")->alter_snapshot.kind,
                     ALTER_SNAPSHOT_HOLD);
    assert_int_equal(parse("ALTER SNAPSHOT TABLE s RELEASE;")->alter_snapshot.kind,
                     ALTER_SNAPSHOT_RELEASE);
    refuses("ALTER SNAPSHOT s HOLD", "column 16: found s, expected TABLE");
    refuses("ALTER SNAPSHOT TABLE s KEEP",
            "line 1, column 24: found KEEP, expected SET OPTIONS(...), HOLD or RELEASE");
    refuses("ALTER SNAPSHOT TABLE s SET COMMENT 'x'", "found COMMENT, expected OPTIONS");
    refuses("ALTER SNAPSHOT TABLE s SET OPTIONS()",
            "column 28: found no option, expected expiration_timestamp or description");
    refuses("ALTER SNAPSHOT TABLE s SET OPTIONS(lifecycle=3)", "lifecycle");
    refuses("ALTER SNAPSHOT TABLE s HOLD RELEASE", "found RELEASE, expected the end");
}

static void a_table_is_cloned_as_of_a_time(void **state)
{
    (void)state;
    const struct restore_table *r =
        &parse("CREATE OR REPLACE TABLE t CLONE p.base IN REGION 'ap-1' TIMESTAMP AS OF "
               "TIMESTAMP '2026-01-01 00:00:00'")
             ->restore_table;
    assert_true(r->as_of && r->or_replace);
    span_is(r->region, "ap-1");
    name_is(r->source, "p", "base");
    assert_int_equal(r->time.kind, LITERAL_TIMESTAMP);
    const struct statement *s =
        parse("CREATE TABLE IF NOT EXISTS t CLONE base TIMESTAMP AS OF '2026-01-01'");
    assert_int_equal(s->kind, STATEMENT_RESTORE_TABLE);
    r = &s->restore_table;
    assert_true(r->as_of && r->if_not_exists && r->region.len == 0);
    span_is(r->time.text, "2026-01-01");
    assert_false(parse("CREATE TABLE t CLONE s")->restore_table.as_of);
    refuses("CREATE TABLE t CLONE b IN REGION 'r'",
            "found the end of the statement, expected TIMESTAMP");
    refuses("CREATE TABLE t CLONE b IN 'r' TIMESTAMP AS OF '2026-01-01'", "expected REGION 'name'");
    refuses("CREATE TABLE t CLONE b IN REGION '' TIMESTAMP AS OF '2026-01-01'",
            "column 34: found no region name, expected 1 to 64 characters such as ap-southeast-1");
    refuses("CREATE TABLE t CLONE b TIMESTAMP '2026-01-01'", "expected AS");
    refuses("CREATE TABLE t CLONE b TIMESTAMP AS '2026-01-01'", "expected OF");
    refuses("CREATE TABLE t CLONE b TIMESTAMP AS OF", "found the end of the statement");
}

static int setup(void **state)
{
    (void)state;
    arena_init(&parser_trial_arena, MIB(4));
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
        cmocka_unit_test(a_snapshot_is_altered),
        cmocka_unit_test(a_table_is_cloned_as_of_a_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
