#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/statement/show_like.h"
#include "node/statement/trial.h"

static struct trial trial;

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int project(void **state)
{
    (void)state;
    trial_project(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

/* However much of its memory a statement took (a client decides that), its outcome finds room. */
static void an_outcome_finds_room_when_the_memory_is_spent(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, KIB(16));
    const struct statement_call call = {
        .services = &trial.services, .principal = &trial.root, .arena = &arena};
    while (arena_alloc(&arena, 1, 1) != NULL)
        ;
    for (int i = 0; i < 3; i++) {
        struct change_note note = statement_note(&call);
        assert_true(note.outcome.data != NULL && note.outcome.len > 0);
        while (arena_alloc(&arena, 1, 1) != NULL)
            ;
    }
}

#define SALES                                                                                      \
    "CREATE TABLE sales (id BIGINT NOT NULL, amount DECIMAL(10,2), note STRING DEFAULT 'none') "   \
    "COMMENT 'c' PARTITIONED BY (day DATE, shop STRING)"

static void rows_come_back_in_their_partitions(void **state)
{
    (void)state;
    trial_gives(&trial, SALES, "");
    trial_gives(&trial,
                "INSERT INTO sales PARTITION(day='2024-01-02', shop='b') VALUES (1, 2.5BD, 'x'), "
                "(2, NULL, NULL)",
                "");
    trial_gives(&trial, "INSERT INTO sales VALUES (3, 1BD, 'y', '2024-01-01', 'a')", "");
    trial_gives(&trial, "INSERT INTO sales PARTITION(shop='b') VALUES (4, 1BD, 'z', '2024-01-02')",
                "");
    trial_gives(&trial, "SELECT * FROM sales ORDER BY id",
                "1,2.50,x,2024-01-02,b;2,NULL,NULL,2024-01-02,b;3,1.00,y,2024-01-01,a;"
                "4,1.00,z,2024-01-02,b");
    trial_gives(&trial, "SELECT id FROM sales WHERE day = DATE '2024-01-01'", "3");
    trial_gives(&trial, "SELECT count(*) FROM @.sales", "4");
}

static void overwrite_replaces_the_named_partition_only(void **state)
{
    (void)state;
    trial_gives(&trial, SALES, "");
    trial_gives(&trial,
                "INSERT INTO sales VALUES (1, 1BD, 'x', '2024-01-01', 'a'), (2, 1BD, 'x', "
                "'2024-01-02', 'a')",
                "");
    trial_gives(&trial,
                "INSERT OVERWRITE TABLE sales PARTITION(day='2024-01-01', shop='a') VALUES (9, "
                "1BD, 'y')",
                "");
    trial_gives(&trial, "SELECT id FROM sales ORDER BY id", "2;9");
}

static void listed_columns_take_defaults_for_the_others(void **state)
{
    (void)state;
    trial_gives(&trial, SALES, "");
    trial_gives(&trial, "INSERT INTO sales PARTITION(day='2024-01-01', shop='a') (id) VALUES (1)",
                "");
    trial_gives(&trial, "SELECT id, amount, note FROM sales", "1,NULL,none");
    trial_refuses(&trial,
                  "INSERT INTO sales PARTITION(day='2024-01-01', shop='a') (amount) VALUES (1BD)",
                  ERR_SEMANTIC, "id is NOT NULL");
    trial_refuses(&trial,
                  "INSERT INTO sales PARTITION(day='2024-01-01', shop='a') (id, ID) VALUES (1, 2)",
                  ERR_SEMANTIC, "twice");
    trial_refuses(&trial,
                  "INSERT INTO sales PARTITION(day='2024-01-01', shop='a') (nope) VALUES (1)",
                  ERR_SEMANTIC, "nope does not exist");
}

static void a_bad_row_changes_nothing_and_is_named(void **state)
{
    (void)state;
    trial_gives(&trial, SALES, "");
    trial_refuses(&trial,
                  "INSERT INTO sales VALUES (1, 1BD, 'x', '2024-01-01', 'a'), (2, 1BD, 'x', "
                  "'2024-02-30', 'a')",
                  ERR_CAST, "row 2: column day");
    trial_refuses(&trial, "INSERT INTO sales VALUES (1, 1BD)", ERR_SEMANTIC,
                  "a row has 2 values, table has 5: ");
    trial_refuses(&trial, "INSERT INTO sales VALUES (1, 1BD, 'x', '2024-01-01', 'a/b')",
                  ERR_SEMANTIC, "'/'");
    trial_refuses(&trial, "INSERT INTO sales VALUES (1, 1BD, 'x', '2024-01-01', '')", ERR_SEMANTIC,
                  "shop");
    trial_gives(&trial, "SELECT count(*) FROM sales", "0");
    trial_gives(&trial, "SHOW PARTITIONS sales", "");
}

static void partitions_are_added_and_dropped(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE p (a INT) PARTITIONED BY (n BIGINT)", "");
    trial_gives(&trial, "ALTER TABLE p ADD PARTITION (n=2) PARTITION (n=-1)", "");
    trial_refuses(&trial, "ALTER TABLE p ADD PARTITION (n=7) PARTITION (n=2)", ERR_EXISTS,
                  "[\"n=2\"]");
    trial_gives(&trial, "ALTER TABLE p ADD IF NOT EXISTS PARTITION (n=2)", "");
    trial_gives(&trial, "ALTER TABLE p DROP PARTITION (n=-1)", "");
    trial_refuses(&trial, "ALTER TABLE p DROP PARTITION (n=-1)", ERR_NOT_FOUND, "n=-1");
    trial_gives(&trial, "ALTER TABLE p DROP IF EXISTS PARTITION (n=-1)", "");
    trial_refuses(&trial, "ALTER TABLE p ADD PARTITION (m=1)", ERR_SEMANTIC,
                  "m is not a partition column");
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, "SHOW PARTITIONS p", &out), ERR_OK);
    assert_non_null(strstr((char *)out.data, "n=2,0,0,"));
    assert_null(strstr((char *)out.data, ";"));
}

static void a_snapshot_stays_what_it_was_and_restores(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    trial_gives(&trial, "INSERT INTO t VALUES (1)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    trial_gives(&trial, "INSERT OVERWRITE TABLE t VALUES (2)", "");
    trial_gives(&trial, "SELECT a FROM s", "1");
    trial_gives(&trial, "SELECT a FROM t", "2");
    trial_gives(&trial, "CREATE TABLE r CLONE s", "");
    trial_gives(&trial, "INSERT INTO r VALUES (3)", "");
    trial_gives(&trial, "SELECT a FROM r ORDER BY a", "1;3");
    trial_gives(&trial, "SELECT a FROM s", "1");
    trial_restart(&trial);
    trial_gives(&trial, "SELECT a FROM s", "1");
    trial_gives(&trial, "DROP SNAPSHOT TABLE s", "");
    trial_refuses(&trial, "SELECT a FROM s", ERR_TABLE_NOT_FOUND, "\"@\" \"s\"");
}

static void tables_and_snapshots_are_not_taken_for_each_other(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    trial_refuses(&trial, "DROP TABLE s", ERR_SEMANTIC, "DROP SNAPSHOT TABLE");
    trial_refuses(&trial, "DROP SNAPSHOT TABLE t", ERR_SEMANTIC, "DROP TABLE");
    trial_refuses(&trial, "CREATE TABLE x CLONE t", ERR_SEMANTIC, "CLONE TABLE");
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE x CLONE s", ERR_SEMANTIC, "made of a table");
    trial_refuses(&trial, "INSERT INTO s VALUES (1)", ERR_SEMANTIC, "snapshot");
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE s CLONE t", ERR_EXISTS, "OR REPLACE");
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE IF NOT EXISTS t CLONE t", ERR_EXISTS, "table @.t");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE IF NOT EXISTS s CLONE t", "");
    static const char *const makers[] = {
        "CREATE TABLE IF NOT EXISTS s (a INT)", "CREATE TABLE IF NOT EXISTS s AS SELECT 1 AS a",
        "CREATE TABLE IF NOT EXISTS s LIKE t", "CREATE TABLE s (a INT)"};
    for (size_t i = 0; i < ARRAY_COUNT(makers); i++)
        trial_refuses(&trial, makers[i], ERR_EXISTS, "snapshot @.s already exists");
    trial_gives(&trial, "INSERT INTO t VALUES (5)", "");
    trial_gives(&trial, "CREATE OR REPLACE SNAPSHOT TABLE s CLONE t", "");
    trial_gives(&trial, "SELECT a FROM s", "5");
}

static void if_exists_and_if_not_exists_keep_quiet(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    trial_refuses(&trial, "CREATE TABLE T (b INT)", ERR_EXISTS, "already exists");
    trial_gives(&trial, "CREATE TABLE IF NOT EXISTS T (b INT)", "");
    trial_gives(&trial, "SHOW CREATE TABLE t", "CREATE TABLE `@`.`t` (\n    `a` INT\n);\n");
    trial_gives(&trial, "DROP TABLE t", "");
    trial_refuses(&trial, "DROP TABLE t", ERR_TABLE_NOT_FOUND, "\"t\"");
    trial_gives(&trial, "DROP TABLE IF EXISTS t", "");
    trial_gives(&trial, "DROP SNAPSHOT TABLE IF EXISTS t", "");
    trial_refuses(&trial, "CREATE PROJECT @", ERR_EXISTS, "@");
    trial_gives(&trial, "CREATE PROJECT IF NOT EXISTS @", "");
}

static void names_that_cannot_be_are_refused(void **state)
{
    (void)state;
    trial_refuses(&trial, "CREATE TABLE `a b` (a INT)", ERR_SEMANTIC, "cannot be a name");
    trial_refuses(&trial, "CREATE TABLE nope.t (a INT)", ERR_NOT_FOUND, "project nope");
    trial_refuses(&trial, "CREATE TABLE t (a INT, A STRING)", ERR_SEMANTIC, "A");
    trial_refuses(&trial, "CREATE TABLE t (a INT) PARTITIONED BY (d DOUBLE)", ERR_SEMANTIC, "d");
    trial_refuses(&trial, "USE nope", ERR_NOT_FOUND, "nope");
}

static void the_same_statement_id_does_nothing_twice(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    const struct statement_id id = {{7, 97}};
    const char *text = "INSERT INTO t VALUES (1)";
    for (int i = 0; i < 3; i++) {
        BYTES_CLEANUP struct bytes out = {0};
        assert_int_equal(trial_run_as(&trial, &trial.root, &id, text, &out), ERR_OK);
        if (i == 1)
            trial_restart(&trial);
    }
    trial_gives(&trial, "SELECT count(*) FROM t", "1");
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, "INSERT INTO t VALUES (2)", &out),
                     ERR_PARAMETER);
}

/* Every change is remembered: a second run of each answers the same and changes nothing. */
static void every_change_is_remembered(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "CREATE PROJECT @_2",
        "ALTER PROJECT @_2 DISABLE XCOPY",
        "CREATE TABLE t (a INT) PARTITIONED BY (n BIGINT)",
        "ALTER TABLE t ADD PARTITION (n=1)",
        "ALTER TABLE t DROP PARTITION (n=1)",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE u RENAME TO t",
        "ALTER TABLE t SET COMMENT 'c'",
        "ALTER TABLE t SET LIFECYCLE 3",
        "ALTER TABLE t DISABLE LIFECYCLE",
        "ALTER TABLE t TOUCH",
        "INSERT INTO t PARTITION(n=1) VALUES (1)",
        "ALTER TABLE t TOUCH PARTITION (n=1)",
        "ALTER TABLE t PARTITION (n=1) DISABLE LIFECYCLE",
        "ALTER TABLE t PARTITION (n=1) RENAME TO PARTITION (n=2)",
        "TRUNCATE TABLE t PARTITION (n=2)",
        "TRUNCATE TABLE t",
        "INSERT INTO t PARTITION(n=2) VALUES (1)",
        "CREATE SNAPSHOT TABLE s CLONE t",
        "CREATE TABLE r CLONE s",
        "DROP SNAPSHOT TABLE s",
        "DROP TABLE r",
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        const struct statement_id id = {{(uint8_t)(100 + i), 98}};
        for (int times = 0; times < 2; times++) {
            BYTES_CLEANUP struct bytes out = {0};
            if (trial_run_as(&trial, &trial.root, &id, changes[i], &out) != ERR_OK)
                fail_msg("%s, time %d: %s", changes[i], times + 1, (char *)out.data);
        }
    }
    trial_gives(&trial, "SELECT count(*) FROM t", "1");
}

static void another_account_is_denied_everything(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "CREATE PROJECT mine",
        "CREATE TABLE x (a INT)",
        "DROP TABLE t",
        "ALTER TABLE t ADD PARTITION (n=1)",
        "ALTER TABLE t DROP PARTITION (n=1)",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t SET COMMENT 'c'",
        "ALTER TABLE t SET LIFECYCLE 3",
        "ALTER TABLE t ENABLE LIFECYCLE",
        "ALTER TABLE t PARTITION (n=1) DISABLE LIFECYCLE",
        "ALTER TABLE t TOUCH",
        "ALTER TABLE t PARTITION (n=1) RENAME TO PARTITION (n=2)",
        "TRUNCATE TABLE t",
        "TRUNCATE TABLE nope",
        "INSERT INTO t PARTITION(n=1) VALUES (1)",
        "CREATE SNAPSHOT TABLE x CLONE t",
        "DROP SNAPSHOT TABLE s",
        "CREATE TABLE x CLONE s",
        "SELECT * FROM t",
        "SELECT * FROM nope",
        "DESC t",
        "SHOW TABLES",
        "SHOW SNAPSHOT TABLES",
        "SHOW PARTITIONS t",
        "SHOW CREATE TABLE t",
        "SHOW HISTORY FOR TABLE t",
        "USE @",
        "ALTER PROJECT @ ENABLE XCOPY",
    };
    trial_gives(&trial, "CREATE TABLE t (a INT) PARTITIONED BY (n BIGINT)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        const struct statement_id id = {{(uint8_t)(i + 1), 99}};
        if (trial_run_as(&trial, &trial.other, &id, statements[i], &out) != ERR_DENIED)
            fail_msg("%s: %s", statements[i], (char *)out.data);
    }
    BYTES_CLEANUP struct bytes projects = {0};
    const struct statement_id id = {{200, 99}};
    assert_int_equal(trial_run_as(&trial, &trial.other, &id, "SHOW PROJECTS", &projects), ERR_OK);
    assert_string_equal((char *)projects.data, "");
}

static void lists_have_their_columns(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    trial_gives(&trial, "INSERT INTO t VALUES (1)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t OPTIONS(description='d')", "");
    trial_begins(&trial, "SHOW TABLES", "t,TABLE,1,1,");
    trial_begins(&trial, "SHOW SNAPSHOT TABLES", "@,s,t,");
    trial_begins(&trial, "SHOW HISTORY FOR TABLE t", "2,");
    trial_gives(&trial, "SHOW TABLES LIKE 'x%'", "");
    trial_gives(&trial, "SHOW TABLES LIKE ''", "");
    trial_begins(&trial, "SHOW TABLES LIKE '*'", "t,TABLE,1,1,");
    trial_gives(&trial, "DESC t", "a,INT,true,false,");
    trial_gives(&trial, "WHOAMI", "ALIYUN$root,cn-hongkong,true,@");
}

static void cleanup_is_the_operators_and_says_what_it_did(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    unsigned long before, after, live, pages, files;
    const struct statement_id id = {{200}};
    trial_project(&trial);
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    trial_gives(&trial, "INSERT INTO t VALUES (1)", "");
    trial_gives(&trial, "INSERT OVERWRITE TABLE t VALUES (2)", "");
    assert_int_equal(trial_run(&trial, "CLEANUP", &text), ERR_OK);
    assert_int_equal(sscanf((const char *)text.data, "%lu,%lu,%lu,%lu,%lu,", &before, &after, &live,
                            &pages, &files),
                     5);
    assert_true(pages > 0 && files > 0 && after < before && live <= after);
    trial_gives(&trial, "SELECT a FROM t", "2");
    bytes_clear(&text);
    assert_int_equal(trial_run_as(&trial, &trial.other, &id, "CLEANUP", &text), ERR_DENIED);
}

static void a_session_may_lower_the_limits_of_select(void **state)
{
    (void)state;
    trial_gives(&trial, "SET select_time = 60", "");
    trial_gives(&trial, "SET SELECT_MEMORY = 8MiB", "");
    trial_gives(&trial, "SET select_rows = 5", ""); /* the node has no limit of its own */
    trial_refuses(&trial, "SET select_time = 601", ERR_SEMANTIC, "this node allows at most 600");
    trial_refuses(&trial, "SET select_tiem = 60", ERR_SEMANTIC, "there are select_time");
    trial_gives(&trial, "SET odps.sql.anything = 1", "");
    trial_refuses(&trial, "SET select_time = 0", ERR_SEMANTIC, "write seconds, like 60");
    trial_refuses(&trial, "SET select_memory = lots", ERR_SEMANTIC, "write like 64MiB");
    trial_refuses(&trial, "SET select_rows = 1KiB", ERR_SEMANTIC, "write rows, like 1000");
}

static void like_folds_case_and_goes_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *pattern;
        bool fits;
    } cases[] = {
        {"sales", "SALES", true}, {"sales", "s%s", true},
        {"sales", "s_les", true}, {"sales", "%al%", true},
        {"sales", "a%", false},   {"sales", "sales_", false},
        {"aab", "%ab", true},     {"", "%", true},
        {"", "_", false},         {"mississippi", "m%iss%pi", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(show_like(span_text(cases[i].name), span_text(cases[i].pattern)),
                         cases[i].fits);
}

static void settings_choose_how_strict_a_select_is(void **state)
{
    (void)state;
    trial_refuses(&trial, "SELECT CAST('12x' AS BIGINT)", ERR_CAST, "'12x' is not a valid BIGINT");
    trial_gives(&trial, "SELECT SUM('12x')", "12");
    trial.setting =
        (struct operator_pair){span_text("odps.function.strictmode"), span_text("false")};
    trial_gives(&trial, "SELECT CAST('12x' AS BIGINT)", "12");
    trial.setting.value = span_text("true");
    trial_refuses(&trial, "SELECT SUM('12x')", ERR_CAST, "'12x' is not a valid DOUBLE");
    trial.setting.value = span_text("perhaps");
    trial_refuses(&trial, "SELECT 1", ERR_PARAMETER, "expected true or false");
    trial.setting = (struct operator_pair){0};
    trial_refuses(&trial, "SET odps.sql.udf.strict.mode=perhaps", ERR_PARAMETER,
                  "expected true or false");
    trial_gives(&trial, "SET odps.sql.udf.strict.mode=true", "");
}

static void now_is_one_instant_near_the_clock(void **state)
{
    (void)state;
    int64_t before = (int64_t)statement_now_ms() / 1000;
    BYTES_CLEANUP struct bytes text = {0};
    assert_int_equal(trial_run(&trial, "SELECT UNIX_TIMESTAMP(), NOW() = GETDATE()", &text),
                     ERR_OK);
    bytes_append_u8(&text, 0);
    char *end;
    int64_t seen = strtoll((const char *)text.data, &end, 10);
    assert_true(seen >= before && seen <= (int64_t)statement_now_ms() / 1000);
    assert_string_equal(end, ",true");
}

#define TEST(name) cmocka_unit_test_setup(name, project)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_outcome_finds_room_when_the_memory_is_spent),
        TEST(rows_come_back_in_their_partitions),
        TEST(overwrite_replaces_the_named_partition_only),
        TEST(listed_columns_take_defaults_for_the_others),
        TEST(a_bad_row_changes_nothing_and_is_named),
        TEST(partitions_are_added_and_dropped),
        TEST(a_snapshot_stays_what_it_was_and_restores),
        TEST(tables_and_snapshots_are_not_taken_for_each_other),
        TEST(if_exists_and_if_not_exists_keep_quiet),
        TEST(names_that_cannot_be_are_refused),
        TEST(the_same_statement_id_does_nothing_twice),
        TEST(every_change_is_remembered),
        TEST(another_account_is_denied_everything),
        TEST(lists_have_their_columns),
        cmocka_unit_test(cleanup_is_the_operators_and_says_what_it_did),
        TEST(settings_choose_how_strict_a_select_is),
        TEST(now_is_one_instant_near_the_clock),
        TEST(a_session_may_lower_the_limits_of_select),
        cmocka_unit_test(like_folds_case_and_goes_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
