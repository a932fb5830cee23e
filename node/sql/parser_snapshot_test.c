/* ALTER SNAPSHOT TABLE, CREATE TABLE ... CLONE ... TIMESTAMP AS OF. */
#include "node/sql/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct arena arena;

/* NULL: it is refused, with the words. */
static const struct statement *parsed(const char *sql, const char *words)
{
    struct statement *statement = NULL;
    struct err err = {0};
    enum err_code code = statement_parse(span_text(sql), &arena, &statement, &err);
    if (words == NULL ? code != ERR_OK : code != ERR_PARSE || strstr(err.message, words) == NULL)
        fail_msg("%s: %s '%s'", sql, err_name(code), err.message);
    return statement;
}

static bool is(struct span span, const char *text)
{
    return span_equal(span, span_text(text));
}

static void a_snapshot_is_altered(void **state)
{
    (void)state;
    const struct statement *s = parsed(
        "alter snapshot table p.s set options(expiration_timestamp=NULL, description='x');", NULL);
    assert_int_equal(s->kind, STATEMENT_ALTER_SNAPSHOT);
    const struct alter_snapshot *alter = &s->alter_snapshot;
    assert_int_equal(alter->kind, ALTER_SNAPSHOT_OPTIONS);
    assert_true(is(alter->name.project, "p") && is(alter->name.object, "s"));
    assert_int_equal(option_find(&alter->options, "expiration_timestamp")->value.kind,
                     LITERAL_NULL);
    assert_int_equal(parsed("ALTER SNAPSHOT TABLE s HOLD", NULL)->alter_snapshot.kind,
                     ALTER_SNAPSHOT_HOLD);
    assert_int_equal(parsed("ALTER SNAPSHOT TABLE s RELEASE;", NULL)->alter_snapshot.kind,
                     ALTER_SNAPSHOT_RELEASE);
    parsed("ALTER SNAPSHOT s HOLD", "column 16: found s, expected TABLE");
    parsed("ALTER SNAPSHOT TABLE s KEEP",
           "line 1, column 24: found KEEP, expected SET OPTIONS(...), HOLD or RELEASE");
    parsed("ALTER SNAPSHOT TABLE s SET COMMENT 'x'", "found COMMENT, expected OPTIONS");
    parsed("ALTER SNAPSHOT TABLE s SET OPTIONS()",
           "column 28: found no option, expected expiration_timestamp or description");
    parsed("ALTER SNAPSHOT TABLE s SET OPTIONS(lifecycle=3)", "lifecycle");
    parsed("ALTER SNAPSHOT TABLE s HOLD RELEASE", "found RELEASE, expected the end");
}

static void a_table_is_cloned_as_of_a_time(void **state)
{
    (void)state;
    const struct restore_table *r =
        &parsed("CREATE OR REPLACE TABLE t CLONE p.base IN REGION 'ap-1' TIMESTAMP AS OF "
                "TIMESTAMP '2026-01-01 00:00:00'",
                NULL)
             ->restore_table;
    assert_true(r->as_of && r->or_replace && is(r->region, "ap-1"));
    assert_true(is(r->source.project, "p") && is(r->source.object, "base"));
    assert_int_equal(r->time.kind, LITERAL_TIMESTAMP);
    const struct statement *s =
        parsed("CREATE TABLE IF NOT EXISTS t CLONE base TIMESTAMP AS OF '2026-01-01'", NULL);
    assert_int_equal(s->kind, STATEMENT_RESTORE_TABLE);
    r = &s->restore_table;
    assert_true(r->as_of && r->if_not_exists && r->region.len == 0);
    assert_true(is(r->time.text, "2026-01-01"));
    assert_false(parsed("CREATE TABLE t CLONE s", NULL)->restore_table.as_of);
    parsed("CREATE TABLE t CLONE b IN REGION 'r'",
           "found the end of the statement, expected TIMESTAMP");
    parsed("CREATE TABLE t CLONE b IN 'r' TIMESTAMP AS OF '2026-01-01'", "expected REGION 'name'");
    parsed("CREATE TABLE t CLONE b IN REGION '' TIMESTAMP AS OF '2026-01-01'",
           "column 34: found no region name, expected 1 to 64 characters such as ap-southeast-1");
    parsed("CREATE TABLE t CLONE b TIMESTAMP '2026-01-01'", "expected AS");
    parsed("CREATE TABLE t CLONE b TIMESTAMP AS '2026-01-01'", "expected OF");
    parsed("CREATE TABLE t CLONE b TIMESTAMP AS OF", "found the end of the statement");
}

int main(void)
{
    arena_init(&arena, MIB(4));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_altered),
        cmocka_unit_test(a_table_is_cloned_as_of_a_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
