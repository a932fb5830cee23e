#include "node/sql/parser_trial.h"

#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- the product pages ---- */

static void test_statements_of_the_clone_page_parse_as_printed(void **state)
{
    (void)state;
    const struct statement *s = parse("SET odps.namespace.schema=false;");
    assert_int_equal(s->kind, STATEMENT_SET);
    span_is(s->set.key, "odps.namespace.schema");
    span_is(s->set.value, "false");
    s = parse("CLONE TABLE project_analytics.sales_data TO project_reporting.sales_data IF EXISTS "
              "OVERWRITE;");
    assert_int_equal(s->kind, STATEMENT_CLONE_TABLE);
    name_is(s->clone_table.source, "project_analytics", "sales_data");
    name_is(s->clone_table.destination, "project_reporting", "sales_data");
    assert_int_equal(s->clone_table.existing, CLONE_EXISTING_OVERWRITE);
    s = parse("ADD USER ALIYUN$destination_owner@aliyunid.com;");
    assert_int_equal(s->kind, STATEMENT_ADD_USER);
    span_is(s->user, "ALIYUN$destination_owner@aliyunid.com");
    s = parse("GRANT CreateTable, CreateInstance ON PROJECT project_analytics TO USER "
              "ALIYUN$destination_owner@aliyunid.com;");
    assert_int_equal(s->kind, STATEMENT_GRANT);
    assert_int_equal(s->grant.action_count, 2);
    span_is(s->grant.actions[1], "CreateInstance");
    assert_int_equal(s->grant.object, GRANT_ON_PROJECT);
    s = parse("GRANT Select ON TABLE sales_data TO USER ALIYUN$destination_owner@aliyunid.com;");
    span_is(s->grant.actions[0], "Select");
    name_is(s->grant.name, "", "sales_data");
    span_is(parse("USE project_analytics;")->project, "project_analytics");
    s = parse("SELECT * FROM sales_data LIMIT 2;");
    assert_int_equal(s->select.limit, 2);
    assert_null(s->select.items[0].expr);
    assert_int_equal(parse("DESC sales_data;")->kind, STATEMENT_DESC);
}

static void test_statements_of_the_xcopy_page_parse_as_printed(void **state)
{
    (void)state;
    const struct statement *s =
        parse("-- A user creates a snapshot in the Singapore region (Region-SGP).\n"
              "CREATE SNAPSHOT TABLE Project_A.table_x_snapshot_20260101 CLONE Project_A.table_x;");
    assert_int_equal(s->kind, STATEMENT_CREATE_SNAPSHOT);
    name_is(s->create_snapshot.name, "Project_A", "table_x_snapshot_20260101");
    name_is(s->create_snapshot.source, "Project_A", "table_x");
    s = parse("XCOPY SNAPSHOT Project_A.table_x_snapshot_20260101 TO SNAPSHOT "
              "Project_B.table_x_snapshot_20260101 OPTIONS( src_region =\xE2\x80\x9D "
              "ap-southeast-1\xE2\x80\x9D);");
    assert_int_equal(s->kind, STATEMENT_XCOPY);
    name_is(s->xcopy.destination, "Project_B", "table_x_snapshot_20260101");
    span_is(option_find(&s->xcopy.options, "SRC_REGION")->value.text, "ap-southeast-1");
    s = parse("XCOPY SNAPSHOT src_project.a_snapshot_20260101 TO SNAPSHOT a_snapshot_20260101 "
              "options(src_region=\"cn-hongkong\");");
    name_is(s->xcopy.destination, "", "a_snapshot_20260101");
    span_is(option_find(&s->xcopy.options, "src_region")->value.text, "cn-hongkong");
    s = parse("SELECT * FROM Project_B.table_x_snapshot_20260101;");
    name_is(s->select.from->name, "Project_B", "table_x_snapshot_20260101");
    s = parse("CREATE TABLE table_x CLONE table_x_snapshot_20260101;");
    assert_int_equal(s->kind, STATEMENT_RESTORE_TABLE);
    name_is(s->restore_table.source, "", "table_x_snapshot_20260101");
    s = parse("SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = 'p' "
              "AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE \"%_snapshot_20260101\";");
    assert_true(s->select.from->name.system);
    name_is(s->select.from->name, "", "tables");
    assert_int_equal(s->select.where->kind, EXPR_AND);
    assert_int_equal(s->select.where->arg_count, 3);
    error_is("CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a;", ERR_PARSE,
             "line 1, column 34: found '$', expected a word (parameters such as ${name} are "
             "replaced only in schedules)");
}

/* ---- one test a group ---- */

static void test_create_table_keeps_every_clause(void **state)
{
    (void)state;
    const struct statement *s = parse(
        "create table if not exists p.default.t (id BIGINT NOT NULL COMMENT 'key', amount "
        "decimal(10, 2) DEFAULT 1.50BD, `order` STRING) COMMENT 'sales' PARTITIONED BY (d DATE, r "
        "STRING COMMENT \"region\") LIFECYCLE 30 TBLPROPERTIES (\"a\"=\"b\")");
    const struct create_table *t = &s->create_table;
    assert_int_equal(s->kind, STATEMENT_CREATE_TABLE);
    name_is(t->name, "p", "t");
    assert_true(t->if_not_exists);
    assert_int_equal(t->column_count, 3);
    assert_true(t->columns[0].not_null);
    span_is(t->columns[0].comment, "key");
    assert_int_equal(t->columns[1].type.precision, 10);
    assert_int_equal(t->columns[1].type.scale, 2);
    assert_true(t->columns[1].has_default);
    span_is(t->columns[1].default_value.text, "1.50");
    span_is(t->columns[2].name, "order");
    assert_int_equal(t->partition_column_count, 2);
    assert_int_equal(t->partition_columns[0].type.kind, TYPE_DATE);
    span_is(t->partition_columns[1].comment, "region");
    assert_int_equal(t->lifecycle_days, 30);
    span_is(option_find(&t->properties, "A")->value.text, "b");
    span_is(t->comment, "sales");
}

static void test_insert_gives_rows_of_literals(void **state)
{
    (void)state;
    const struct statement *s = parse("INSERT INTO t (a, b) VALUES (1, 'x'), (-2, NULL)");
    assert_false(s->insert.overwrite);
    assert_int_equal(s->insert.row_count, 2);
    assert_int_equal(s->insert.row_width, 2);
    span_is(s->insert.columns[1], "b");
    span_is(s->insert.values[2].text, "-2");
    assert_int_equal(s->insert.values[3].kind, LITERAL_NULL);
    s = parse("INSERT OVERWRITE TABLE p.t PARTITION (d = DATE '2024-01-15', r='cn') VALUES "
              "(TRUE, 299.00BD, - 9223372036854775808)");
    assert_true(s->insert.overwrite);
    assert_int_equal(s->insert.partition.count, 2);
    assert_int_equal(s->insert.partition.items[0].value.kind, LITERAL_DATE);
    span_is(s->insert.values[2].text, "-9223372036854775808");
}

static void test_insert_takes_a_query_and_partitions_without_a_value(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "INSERT INTO t SELECT a FROM s",
        "INSERT INTO TABLE t WITH w AS (SELECT 1) SELECT * FROM w",
        "INSERT INTO t (SELECT a FROM s)",
        "INSERT INTO t ((SELECT a FROM s) UNION ALL SELECT 2)",
        "INSERT OVERWRITE TABLE t SELECT 1 UNION SELECT 2 ORDER BY 1 LIMIT 3",
    };
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        const struct statement *s = parse(queries[i]);
        assert_non_null(s->insert.query);
        assert_int_equal(s->insert.column_count, 0);
        assert_int_equal(s->insert.row_count, 0);
        assert_ptr_equal(statement_written_query(s), s->insert.query);
    }
    const struct statement *s =
        parse("INSERT INTO t PARTITION(a='x', `b`, c) (d, e) (SELECT 1, 2, 3, 4)");
    assert_int_equal(s->insert.column_count, 2);
    assert_int_equal(s->insert.partition.count, 3);
    assert_false(s->insert.partition.items[0].dynamic);
    assert_true(s->insert.partition.items[1].dynamic);
    span_is(s->insert.partition.items[2].column, "c");
    assert_null(statement_written_query(parse("INSERT INTO t VALUES (1)")));
    s = parse("EXPLAIN INSERT INTO t SELECT 1");
    assert_non_null(s->explained->insert.query);
    assert_null(statement_written_query(s));
}

static void test_a_table_comes_from_columns_another_table_or_a_query(void **state)
{
    (void)state;
    const struct statement *s = parse("CREATE TABLE IF NOT EXISTS t COMMENT 'c' LIFECYCLE 3 AS "
                                      "SELECT a FROM s");
    assert_int_equal(s->kind, STATEMENT_CREATE_TABLE);
    assert_true(s->create_table.if_not_exists && !s->create_table.has_like);
    assert_int_equal(s->create_table.lifecycle_days, 3);
    assert_ptr_equal(statement_written_query(s), s->create_table.query);
    assert_non_null(s->create_table.query);
    s = parse("CREATE OR REPLACE TABLE t LIKE p.s");
    assert_true(s->create_table.or_replace && s->create_table.has_like);
    name_is(s->create_table.like, "p", "s");
    s = parse("CREATE OR REPLACE TABLE t (a INT)");
    assert_int_equal(s->kind, STATEMENT_CREATE_TABLE);
    assert_true(s->create_table.or_replace);
    assert_null(statement_written_query(s));
    error_is("CREATE OR REPLACE TABLE IF NOT EXISTS t (a INT)", ERR_SEMANTIC,
             "line 1, column 25: OR REPLACE and IF NOT EXISTS exclude each other: write one of "
             "them");
    error_is("CREATE TABLE t LIKE s AS SELECT 1", ERR_PARSE,
             "line 1, column 23: found AS, expected the end of the statement");
    error_is("CREATE TABLE t", ERR_PARSE,
             "line 1, column 15: found the end of the statement, expected (, AS, LIKE or CLONE");
}

static void test_partitions_are_added_and_dropped(void **state)
{
    (void)state;
    const struct statement *s =
        parse("ALTER TABLE t ADD IF NOT EXISTS PARTITION (a=1, b='x') PARTITION (a=2, b='y')");
    assert_int_equal(s->kind, STATEMENT_ADD_PARTITIONS);
    assert_true(s->partitions.if_exists);
    assert_int_equal(s->partitions.partitions.count, 2);
    span_is(s->partitions.partitions.specs[1].items[1].column, "b");
    s = parse("ALTER TABLE t DROP PARTITION (a=1), PARTITION (a=2), PARTITION(a=3)");
    assert_int_equal(s->kind, STATEMENT_DROP_PARTITIONS);
    assert_false(s->partitions.if_exists);
    assert_int_equal(s->partitions.partitions.count, 3);
}

static void test_tables_are_altered(void **state)
{
    (void)state;
    const struct statement *s = parse("ALTER TABLE p.t RENAME TO q.`u`");
    assert_int_equal(s->kind, STATEMENT_ALTER_TABLE);
    assert_int_equal(s->alter_table.kind, ALTER_RENAME);
    span_is(s->alter_table.table.project, "p");
    span_is(s->alter_table.renamed.project, "q");
    span_is(s->alter_table.renamed.object, "u");
    s = parse("alter table t set comment ''");
    assert_int_equal(s->alter_table.kind, ALTER_COMMENT);
    assert_int_equal(s->alter_table.comment.len, 0);
    s = parse("ALTER TABLE t SET LIFECYCLE 37231");
    assert_int_equal(s->alter_table.kind, ALTER_LIFECYCLE);
    assert_int_equal(s->alter_table.lifecycle_days, 37231);
    s = parse("ALTER TABLE t ENABLE LIFECYCLE");
    assert_int_equal(s->alter_table.kind, ALTER_LIFECYCLE_SWITCH);
    assert_true(s->alter_table.on && s->alter_table.partition.count == 0);
    s = parse("ALTER TABLE t PARTITION (a=1) DISABLE LIFECYCLE");
    assert_int_equal(s->alter_table.kind, ALTER_LIFECYCLE_SWITCH);
    assert_true(!s->alter_table.on && s->alter_table.partition.count == 1);
    s = parse("ALTER TABLE t TOUCH");
    assert_true(s->alter_table.kind == ALTER_TOUCH && s->alter_table.partition.count == 0);
    s = parse("ALTER TABLE t TOUCH PARTITION (a=1, b='x')");
    assert_int_equal(s->alter_table.partition.count, 2);
    s = parse("ALTER TABLE t PARTITION (a=1) RENAME TO PARTITION (a=2)");
    assert_int_equal(s->alter_table.kind, ALTER_RENAME_PARTITION);
    span_is(s->alter_table.partition.items[0].value.text, "1");
    span_is(s->alter_table.renamed_partition.items[0].value.text, "2");
    s = parse("TRUNCATE TABLE t");
    assert_int_equal(s->kind, STATEMENT_TRUNCATE_TABLE);
    assert_int_equal(s->truncate.partitions.count, 0);
    s = parse("TRUNCATE TABLE t PARTITION (a=1), PARTITION (a=2)");
    assert_int_equal(s->truncate.partitions.count, 2);
    s = parse("CREATE TABLE touch (rename BIGINT)"); /* no reserved words */
    span_is(s->create_table.columns[0].name, "rename");
}

static void test_alterations_that_cannot_be_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *days, *found;
    } wrong[] = {
        {"0", "0"},         {"-1", "-"},
        {"37232", "37232"}, {"99999999999999999999", "99999999999999999999"},
        {"1.5", "1.5"},     {"", "the end of the statement"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        char text[80], message[160];
        snprintf(text, sizeof(text), "ALTER TABLE t SET LIFECYCLE %s", wrong[i].days);
        snprintf(message, sizeof(message),
                 "line 1, column 29: found %s, expected the lifecycle in days, 1 to 37231",
                 wrong[i].found);
        error_is(text, ERR_PARSE, message);
    }
    error_is("CREATE TABLE t (a INT) LIFECYCLE 0", ERR_PARSE,
             "line 1, column 34: found 0, expected the lifecycle in days, 1 to 37231");
    error_is(
        "ALTER TABLE t MOVE", ERR_PARSE,
        "line 1, column 15: found MOVE, expected ADD, DROP, RENAME TO, SET COMMENT, SET "
        "LIFECYCLE, ENABLE or DISABLE LIFECYCLE, TOUCH, PARTITION, [RANGE] CLUSTERED BY or NOT "
        "CLUSTERED");
    error_is("ALTER TABLE t SET OWNER 'x'", ERR_PARSE,
             "line 1, column 19: found OWNER, expected COMMENT or LIFECYCLE");
    error_is("ALTER TABLE t RENAME u", ERR_PARSE, "line 1, column 22: found u, expected TO");
    error_is("ALTER TABLE t PARTITION (a=1) TOUCH", ERR_PARSE,
             "line 1, column 31: found TOUCH, expected RENAME TO PARTITION, ENABLE or DISABLE "
             "LIFECYCLE");
    error_is("ALTER TABLE t PARTITION (a=1) RENAME TO u", ERR_PARSE,
             "line 1, column 41: found u, expected PARTITION");
    error_is("ALTER TABLE t TOUCH PARTITION (a=1), PARTITION (a=2)", ERR_PARSE,
             "line 1, column 36: found ,, expected the end of the statement");
    error_is("TRUNCATE t", ERR_PARSE, "line 1, column 10: found t, expected TABLE");
    error_is("TRUNCATE TABLE t a=1", ERR_PARSE,
             "line 1, column 18: found a, expected the end of the statement");
}

static void test_clustering_of_tables_is_read_as_written(void **state)
{
    (void)state;
    const struct statement *s = parse(
        "CREATE TABLE t (a BIGINT, b STRING) CLUSTERED BY (a, `b`) SORTED BY (b DESC, a) INTO "
        "16 BUCKETS LIFECYCLE 3");
    const struct cluster_clause *clause = &s->create_table.clustering;
    assert_int_equal(clause->kind, CLUSTER_BY_HASH);
    assert_int_equal(clause->bucket_count, 16);
    assert_int_equal(clause->column_count, 2);
    span_is(clause->columns[1].name, "b");
    assert_int_equal(clause->sort_count, 2);
    assert_true(clause->sort_columns[0].descending && !clause->sort_columns[1].descending);
    assert_int_equal(s->create_table.lifecycle_days, 3);
    s = parse("CREATE TABLE t (a BIGINT) range clustered by (a)");
    assert_int_equal(s->create_table.clustering.kind, CLUSTER_BY_RANGE);
    assert_int_equal(s->create_table.clustering.bucket_count, 0);
    s = parse("ALTER TABLE p.t RANGE CLUSTERED BY (a) SORTED BY (a ASC, b) INTO 4096 BUCKETS");
    assert_int_equal(s->kind, STATEMENT_ALTER_CLUSTERING);
    span_is(s->alter_clustering.table.object, "t");
    assert_int_equal(s->alter_clustering.clause.bucket_count, 4096);
    s = parse("ALTER TABLE t NOT CLUSTERED");
    assert_int_equal(s->alter_clustering.clause.kind, CLUSTER_BY_NOTHING);
    assert_int_equal(parse("CREATE TABLE t (a BIGINT)")->create_table.clustering.kind,
                     CLUSTER_BY_NOTHING);
}

static void test_snapshot_statements_keep_their_options(void **state)
{
    (void)state;
    const struct statement *s =
        parse("CREATE OR REPLACE SNAPSHOT TABLE s CLONE t OPTIONS(expiration_timestamp = TIMESTAMP "
              "'2030-01-01 00:00:00', description = 'x')");
    assert_true(s->create_snapshot.or_replace);
    assert_int_equal(option_find(&s->create_snapshot.options, "expiration_timestamp")->value.kind,
                     LITERAL_TIMESTAMP);
    s = parse("CREATE SNAPSHOT TABLE IF NOT EXISTS s CLONE t");
    assert_true(s->create_snapshot.if_not_exists);
    assert_true(parse("DROP SNAPSHOT TABLE IF EXISTS s")->drop.if_exists);
    s = parse("CREATE TABLE IF NOT EXISTS t CLONE s");
    assert_true(!s->restore_table.or_replace && s->restore_table.if_not_exists);
    assert_true(parse("CREATE OR REPLACE TABLE t CLONE s")->restore_table.or_replace);
    s = parse("CLONE TABLE a PARTITION (d='1'), PARTITION (d='2') TO b IF EXISTS IGNORE");
    assert_int_equal(s->clone_table.partitions.count, 2);
    assert_int_equal(s->clone_table.existing, CLONE_EXISTING_IGNORE);
    s = parse("clone table a.b partition(d='1', e=2) to c if exists;");
    assert_int_equal(s->clone_table.existing, CLONE_EXISTING_FAIL);
    assert_int_equal(s->clone_table.partitions.specs[0].count, 2);
    s = parse(
        "CREATE EXTERNAL TABLE IF NOT EXISTS x (a BIGINT COMMENT 'c') COMMENT 't' PARTITIONED BY "
        "(p STRING) STORED BY 'h.C' WITH SERDEPROPERTIES ('delimiter'='|') LOCATION "
        "'oss://bucket/d/' TBLPROPERTIES ('k'='v');");
    assert_int_equal(s->kind, STATEMENT_CREATE_TABLE);
    assert_true(s->create_table.if_not_exists);
    assert_true(span_equal(s->create_table.external,
                           span_text("STORED BY 'h.C' WITH SERDEPROPERTIES ('delimiter'='|')")));
    assert_true(span_equal(s->create_table.location, span_text("oss://bucket/d/")));
    s = parse("CREATE OR REPLACE EXTERNAL TABLE x (a INT) STORED AS ORC LOCATION 'oss://b/'");
    assert_true(s->create_table.or_replace && s->create_table.external.len > 0);
    s = parse("xcopy snapshot p.s to snapshot s options(src_region=cn-hongkong, wait=false, "
              "queue='true')");
    span_is(option_find(&s->xcopy.options, "src_region")->value.text, "cn-hongkong");
    bool wait = true, queue = false, absent = true;
    assert_int_equal(option_boolean(&s->xcopy.options, "wait", &wait, NULL), ERR_OK);
    assert_int_equal(option_boolean(&s->xcopy.options, "queue", &queue, NULL), ERR_OK);
    assert_int_equal(option_boolean(&s->xcopy.options, "absent", &absent, NULL), ERR_OK);
    assert_true(!wait && queue && absent);
    s = parse("EXPLAIN XCOPY SNAPSHOT p.s TO SNAPSHOT s OPTIONS(src_region='r')");
    assert_int_equal(s->explained->kind, STATEMENT_XCOPY);
}

static void test_verify_snapshot(void **state)
{
    (void)state;
    const struct statement *s = parse("VERIFY SNAPSHOT p.s DEEP");
    assert_true(s->verify_snapshot.deep && !s->verify_snapshot.against);
    span_is(s->verify_snapshot.name.project, "p");
    assert_false(parse("verify snapshot s")->verify_snapshot.deep);
    s = parse("VERIFY SNAPSHOT q.s AGAINST OPTIONS(region='r-1')");
    assert_true(s->verify_snapshot.against);
    span_is(s->verify_snapshot.region, "r-1");
    span_is(s->verify_snapshot.other.project, "q"); /* named as this one */
    span_is(s->verify_snapshot.other.object, "s");
    s = parse("VERIFY SNAPSHOT s AGAINST OPTIONS(snapshot='p.t', region='r')");
    span_is(s->verify_snapshot.other.project, "p");
    span_is(s->verify_snapshot.other.object, "t");
    s = parse("VERIFY SNAPSHOT s AGAINST OPTIONS(region='r', snapshot='t')");
    span_is(s->verify_snapshot.other.project, "");
    span_is(s->verify_snapshot.other.object, "t");
    static const char *const names[] = {"''", "'.t'", "'p.'", "5"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char text[128];
        snprintf(text, sizeof(text), "VERIFY SNAPSHOT s AGAINST OPTIONS(region='r', snapshot=%s)",
                 names[i]);
        error_is(text, ERR_PARSE,
                 "line 1, column 56: found no snapshot's name, expected one like 'sales_1' or "
                 "'project.sales_1'");
    }
    error_is("VERIFY SNAPSHOT s AGAINST OPTIONS(snapshot='t')", ERR_PARSE,
             "line 1, column 48: found the end of the statement, expected OPTIONS(region=...)");
    error_is("VERIFY SNAPSHOT s AGAINST OPTIONS(region='')", ERR_PARSE,
             "line 1, column 42: found no region name, expected 1 to 64 characters such as "
             "ap-southeast-1");
    error_is("VERIFY SNAPSHOT s AGAINST", ERR_PARSE,
             "line 1, column 26: found the end of the statement, expected OPTIONS(region=...)");
}

static void test_session_statements(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum show_kind kind;
    } shows[] = {{"SHOW TABLES", SHOW_TABLES},
                 {"SHOW SNAPSHOT TABLES IN p LIKE 'x%'", SHOW_SNAPSHOT_TABLES},
                 {"SHOW PARTITIONS t", SHOW_PARTITIONS},
                 {"SHOW PROJECTS", SHOW_PROJECTS},
                 {"SHOW TASKS", SHOW_TASKS},
                 {"SHOW CREATE TABLE t", SHOW_CREATE_TABLE},
                 {"SHOW HISTORY FOR TABLE t", SHOW_HISTORY},
                 {"SHOW HISTORY FOR TABLES t", SHOW_HISTORY},
                 {"SHOW CHANNELS", SHOW_CHANNELS},
                 {"SHOW XCOPY TOKENS", SHOW_XCOPY_TOKENS}};
    for (size_t i = 0; i < ARRAY_COUNT(shows); i++)
        assert_int_equal(parse(shows[i].sql)->show.kind, shows[i].kind);
    const struct statement *s = parse("DESCRIBE EXTENDED p.t PARTITION (d='1')");
    assert_true(s->desc.extended);
    assert_int_equal(s->desc.partition.count, 1);
    assert_false(parse("DESC extended")->desc.extended);
    span_is(parse("CANCEL TASK 3f2a-00")->task, "3f2a-00");
    span_is(parse("CANCEL TASK '3f2a'")->task, "3f2a");
    assert_int_equal(parse("SCRUB")->scrub.kind, SCRUB_ALL);
    assert_int_equal(parse("scrub all;")->scrub.kind, SCRUB_ALL);
    assert_int_equal(parse("SCRUB TABLE p.t")->scrub.kind, SCRUB_TABLE);
    span_is(parse("SCRUB SNAPSHOT s")->scrub.name.object, "s");
    error_is("SCRUB t", ERR_PARSE, "line 1, column 7: found t, expected TABLE");
    span_is(parse("SET a.b = 'x y' -- said")->set.value, "x y");
    span_is(parse("SET a.b = x y ; ")->set.value, "x y");
    assert_int_equal(parse("WHOAMI")->kind, STATEMENT_WHOAMI);
    assert_int_equal(parse("cleanup")->kind, STATEMENT_CLEANUP);
    assert_int_equal(parse("list users;")->kind, STATEMENT_LIST_USERS);
}

static void test_operators_statements(void **state)
{
    (void)state;
    const struct statement *s = parse("CREATE PROJECT IF NOT EXISTS p OWNER 'ALIYUN$a'");
    span_is(s->create_project.owner, "ALIYUN$a");
    s = parse("ALTER ACCOUNT 'ALIYUN$a' ADD PUBLIC KEY 'k'");
    assert_int_equal(s->kind, STATEMENT_ALTER_KEYS);
    assert_false(s->alter_keys.user || s->alter_keys.drop || s->alter_keys.last);
    span_is(s->alter_keys.public_key, "k");
    s = parse("ALTER USER RAM$a:u DROP LAST PUBLIC KEY 'k'");
    assert_true(s->alter_keys.user && s->alter_keys.drop && s->alter_keys.last);
    span_is(s->alter_keys.name, "RAM$a:u");
    s = parse("CREATE USER IF NOT EXISTS RAM$a@b.com:u PUBLIC KEY 'k'");
    assert_int_equal(s->kind, STATEMENT_CREATE_USER);
    assert_true(s->create_account.if_not_exists);
    s = parse("DROP USER IF EXISTS `RAM$a:u`");
    assert_int_equal(s->kind, STATEMENT_DROP_USER);
    assert_true(s->drop_principal.if_exists);
    assert_int_equal(parse("DROP ACCOUNT ALIYUN$a")->kind, STATEMENT_DROP_ACCOUNT);
    assert_int_equal(parse("LIST RAM USERS")->show.kind, SHOW_RAM_USERS);
    assert_int_equal(parse("SHOW ACCOUNTS")->show.kind, SHOW_ACCOUNTS);
    span_is(parse("SHOW PUBLIC KEYS FOR RAM$a:u")->show.user, "RAM$a:u");
    s = parse("CREATE ACCOUNT ALIYUN$a PUBLIC KEY 'k'");
    span_is(s->create_account.account, "ALIYUN$a");
    span_is(s->create_account.public_key, "k");
    s = parse("DROP PROJECT IF EXISTS `p`");
    assert_int_equal(s->kind, STATEMENT_DROP_PROJECT);
    span_is(s->drop_project.project, "p");
    assert_true(s->drop_project.if_exists);
    assert_false(parse("DROP PROJECT p")->drop_project.if_exists);
    assert_true(parse("ALTER PROJECT p ENABLE XCOPY")->alter_switch.on);
    assert_false(parse("ALTER PROJECT p DISABLE XCOPY")->alter_switch.on);
    assert_true(
        parse("ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE")->alter_switch.on);
    assert_false(parse("alter account set xcopy channel off")->alter_switch.on);
    span_is(parse("REVOKE XCOPY TOKEN '00ff'")->xcopy_token, "00ff");
    span_is(parse("revoke xcopy token 00ff")->xcopy_token, "00ff");
    assert_int_equal(parse("REVOKE xcopy ON t FROM USER RAM$a:u")->kind, STATEMENT_REVOKE);
    assert_int_equal(parse("SHOW XCOPY CHANNEL")->show.kind, SHOW_XCOPY_CHANNEL);
    s = parse("ALTER CHANNEL FROM 'r' SET BANDWIDTH '2 Gbit/s'");
    span_is(s->alter_channel.bandwidth, "2 Gbit/s");
    assert_false(s->alter_channel.in_window || s->alter_channel.is_default);
    s = parse("ALTER CHANNEL FROM 'r' SET BANDWIDTH DEFAULT BETWEEN '22:00' AND '06:00'");
    assert_true(s->alter_channel.in_window && s->alter_channel.is_default);
    span_is(s->alter_channel.from, "22:00");
    span_is(s->alter_channel.to, "06:00");
    s = parse("ALTER CHANNEL FROM 'r' SET BANDWIDTH '' BETWEEN '' AND '' TIMEZONE 'UTC'");
    assert_false(s->alter_channel.is_default);
    span_is(s->alter_channel.timezone, "UTC");
    span_is(parse("REMOVE USER `RAM$acc:role/x`")->user, "RAM$acc:role/x");
    assert_int_equal(parse("REVOKE All ON t FROM USER RAM$a:u")->kind, STATEMENT_REVOKE);
}

/* "((a + (b * c)) = 1)" */
static void render(const struct expr *e, struct bytes *out)
{
    static const char *const ops[] = {"+", "-",  "*", "/",  "%", "||",
                                      "=", "<>", "<", "<=", ">", ">="};
    static const char *const words[] = {[EXPR_AND] = "AND",
                                        [EXPR_OR] = "OR",
                                        [EXPR_NOT] = "NOT",
                                        [EXPR_NEGATE] = "-",
                                        [EXPR_IS_NULL] = "IS_NULL",
                                        [EXPR_BETWEEN] = "BETWEEN",
                                        [EXPR_IN] = "IN",
                                        [EXPR_LIKE] = "LIKE",
                                        [EXPR_CAST] = "CAST",
                                        [EXPR_CASE] = "CASE",
                                        [EXPR_DISTINCT] = "DISTINCT",
                                        [EXPR_RLIKE] = "RLIKE"};
    if (e->kind == EXPR_LITERAL || e->kind == EXPR_COLUMN || e->kind == EXPR_STAR) {
        struct span text = e->kind == EXPR_STAR      ? span_text("*")
                           : e->kind == EXPR_LITERAL ? e->literal.text
                                                     : e->name;
        bytes_append_span(out, text);
        return;
    }
    bytes_printf(out, "(%s%s", e->negated ? "!" : "", e->simple ? "simple " : "");
    if (e->kind == EXPR_CALL)
        bytes_append_span(out, e->name);
    else
        bytes_append_text(out, e->kind == EXPR_BINARY ? ops[e->op] : words[e->kind]);
    for (size_t i = 0; i < e->arg_count; i++) {
        bytes_append_u8(out, ' ');
        render(e->args[i], out);
    }
    for (size_t i = 0; i < e->within_count; i++) {
        bytes_append_text(out, (e->descending >> i & 1) != 0 ? " by-" : " by+");
        render(e->within[i], out);
    }
    bytes_append_text(out, e->has_else ? " else)" : ")");
}

static void test_expressions_bind_as_usual(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *tree;
    } cases[] = {
        {"a + b * c = 1", "(= (+ a (* b c)) 1)"},
        {"a - b - c", "(- (- a b) c)"},
        {"a / b % c", "(% (/ a b) c)"},
        {"a OR b AND NOT c = d OR e", "(OR a (AND b (NOT (= c d))) e)"},
        {"NOT a IS NULL", "(NOT (IS_NULL a))"},
        {"a NOT BETWEEN 1 AND 2 AND b", "(AND (!BETWEEN a 1 2) b)"},
        {"a IN (1, 'x') = TRUE", "(= (IN a 1 x) true)"},
        {"a NOT LIKE 'b' || 'c'", "(!LIKE a (|| b c))"},
        {"-a + - 5", "(+ (- a) -5)"},
        {"(a + b) * -(c)", "(* (+ a b) (- c))"},
        {"count(*) + Sum(DISTINCT t.a) ", "(+ (count *) (Sum a))"},
        {"CAST(a AS DECIMAL(10,2)) IS NOT NULL", "(!IS_NULL (CAST a))"},
        {"a != b <> c == d", "(= (<> (<> a b) c) d)"},
        {"DATE '2024-01-15' = date", "(= 2024-01-15 date)"},
        {"CASE WHEN a THEN b WHEN c THEN d END + 1", "(+ (CASE a b c d) 1)"},
        {"CASE a + 1 WHEN 2 THEN b ELSE CASE WHEN c THEN d END END",
         "(simple CASE (+ a 1) 2 b (CASE c d) else)"},
        {"a <=> b AND c IS NOT TRUE", "(AND (!DISTINCT a b) (DISTINCT c true))"},
        {"a IS FALSE OR a IS DISTINCT FROM b + 1", "(OR (!DISTINCT a false) (DISTINCT a (+ b 1)))"},
        {"a IS NOT DISTINCT FROM b", "(!DISTINCT a b)"},
        {"a + b DIV c * d", "(+ a (* (DIV b c) d))"},
        {"a NOT RLIKE 'b' OR a REGEXP b", "(OR (!RLIKE a b) (RLIKE a b))"},
        {"EXTRACT(year FROM a + b)", "(DATEPART (+ a b) year)"},
        {"IF(a, b, c)", "(IF a b c)"},
        {"WM_CONCAT(',', a) WITHIN GROUP (ORDER BY b DESC, c + 1 ASC, d)",
         "(WM_CONCAT , a by-b by+(+ c 1) by+d)"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        BYTES_CLEANUP struct bytes sql = {0};
        BYTES_CLEANUP struct bytes tree = {0};
        bytes_printf(&sql, "SELECT %s", cases[i].sql);
        bytes_append_u8(&sql, 0);
        const struct statement *s = parse((const char *)sql.data);
        render(s->select.items[0].expr, &tree);
        span_is(bytes_span(&tree), cases[i].tree);
    }
}

static void test_select_keeps_every_clause(void **state)
{
    (void)state;
    const struct statement *s =
        parse("SELECT DISTINCT t.*, a AS x, count(1) n FROM p.t AS t WHERE a > 1 GROUP BY a, b "
              "HAVING count(*) > 2 ORDER BY a DESC, n ASC LIMIT 10 OFFSET 5");
    const struct select *q = &s->select;
    assert_true(q->distinct);
    assert_int_equal(q->item_count, 3);
    span_is(q->items[0].qualifier, "t");
    span_is(q->items[1].alias, "x");
    span_is(q->items[2].alias, "n");
    span_is(q->from->alias, "t");
    assert_int_equal(q->group_by_count, 2);
    assert_non_null(q->having);
    assert_true(q->order_by[0].descending && !q->order_by[1].descending);
    assert_true(q->limit == 10 && q->offset == 5);
    s = parse("SELECT a FROM t LIMIT 5, 10");
    assert_true(s->select.limit == 10 && s->select.offset == 5);
    assert_null(parse("SELECT 1")->select.from);
}

static void test_joins_bind_from_the_left_and_closer_than_a_comma(void **state)
{
    (void)state;
    const struct from *from =
        parse("SELECT 1 FROM p.a, b x LEFT OUTER JOIN (SELECT 2) AS d ON x.i = d.i FULL JOIN c ON "
              "1 = 1 CROSS JOIN e")
            ->select.from;
    assert_true(from->kind == FROM_JOIN && from->join == JOIN_CROSS && from->on == NULL);
    name_is(from->left->name, "p", "a");
    const struct from *cross = from->right;
    assert_true(cross->join == JOIN_CROSS && cross->right->kind == FROM_TABLE);
    const struct from *full = cross->left;
    assert_true(full->join == JOIN_FULL && full->on != NULL);
    const struct from *left = full->left;
    assert_int_equal(left->join, JOIN_LEFT);
    span_is(left->left->alias, "x");
    assert_int_equal(left->right->kind, FROM_QUERY);
    span_is(left->right->alias, "d");
    span_is(left->on->args[0]->qualifier, "x");
    static const struct {
        const char *words;
        enum join_kind kind;
    } kinds[] = {{"JOIN", JOIN_INNER},           {"INNER JOIN", JOIN_INNER},
                 {"RIGHT JOIN", JOIN_RIGHT},     {"right outer join", JOIN_RIGHT},
                 {"FULL OUTER JOIN", JOIN_FULL}, {"LEFT SEMI JOIN", JOIN_SEMI},
                 {"LEFT ANTI JOIN", JOIN_ANTI}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char sql[80];
        snprintf(sql, sizeof(sql), "SELECT 1 FROM a %s b ON a.i = b.i", kinds[i].words);
        assert_int_equal(parse(sql)->select.from->join, kinds[i].kind);
    }
    error_is("SELECT 1 FROM a JOIN b", ERR_PARSE,
             "line 1, column 23: found the end of the statement, expected ON");
    error_is("SELECT 1 FROM a SEMI JOIN b ON 1", ERR_PARSE,
             "line 1, column 17: found SEMI, expected the end of the statement");
    error_is("SELECT 1 FROM (SELECT 2)", ERR_PARSE,
             "line 1, column 25: found the end of the statement, expected an alias for the query");
}

static void test_set_operations_bind_from_the_left_and_intersect_closer(void **state)
{
    (void)state;
    const struct select *q =
        &parse("SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3 MINUS (SELECT 4 "
               "ORDER BY 1 LIMIT 1) UNION DISTINCT SELECT 5 ORDER BY 1 LIMIT 9")
             ->select;
    assert_int_equal(q->branch_count, 4);
    assert_true(q->ops[0] == SET_UNION_ALL && q->ops[1] == SET_EXCEPT && q->ops[2] == SET_UNION);
    assert_int_equal(q->branches[1]->branch_count, 2);
    assert_int_equal(q->branches[1]->ops[0], SET_INTERSECT);
    assert_true(q->branches[2]->has_limit && q->branches[2]->branch_count == 0);
    assert_true(q->order_by_count == 1 && q->limit == 9);
    q = &parse("(SELECT 1 LIMIT 2) ORDER BY 1 LIMIT 3")->select;
    assert_true(q->branch_count == 1 && q->limit == 3 && q->branches[0]->limit == 2);
    q = &parse("((SELECT 1) UNION SELECT 2) EXCEPT SELECT 3")->select;
    assert_true(q->branch_count == 2 && q->ops[0] == SET_EXCEPT &&
                q->branches[0]->branch_count == 2);
    assert_int_equal(parse("EXPLAIN (SELECT 1) UNION SELECT 2")->explained->select.branch_count, 2);
}

static void test_queries_stand_in_expressions_and_in_with(void **state)
{
    (void)state;
    const struct select *q =
        &parse(
             "WITH a AS (SELECT 1 x), b AS (SELECT x FROM a) SELECT (SELECT max(x) FROM a), p.b.x, "
             "p.b.* FROM b WHERE NOT EXISTS (SELECT 1) AND x NOT IN (WITH c AS (SELECT 2) SELECT * "
             "FROM c)")
             ->select;
    assert_int_equal(q->with_count, 2);
    span_is(q->with[1].name, "b");
    assert_int_equal(q->items[0].expr->kind, EXPR_QUERY);
    span_is(q->items[1].expr->project, "p");
    span_is(q->items[1].expr->qualifier, "b");
    span_is(q->items[2].project, "p");
    span_is(q->items[2].qualifier, "b");
    assert_int_equal(q->where->args[0]->args[0]->kind, EXPR_EXISTS);
    assert_true(q->where->args[1]->kind == EXPR_IN_QUERY && q->where->args[1]->negated);
    assert_int_equal(q->where->args[1]->query->with_count, 1);
    error_is("SELECT (SELECT 1", ERR_PARSE,
             "line 1, column 17: found the end of the statement, expected )");
    error_is("WITH a (SELECT 1) SELECT 1", ERR_PARSE, "line 1, column 8: found (, expected AS");
    error_is("WITH a AS (SELECT 1)", ERR_PARSE,
             "line 1, column 21: found the end of the statement, expected SELECT");
}

static void test_rights(void **state)
{
    (void)state;
    const struct statement *s = parse("GRANT describe, Select ON TABLE p.t TO USER RAM$a:u "
                                      "PrivilegeProperties(\"expires\"=\"30\")");
    assert_int_equal(s->kind, STATEMENT_GRANT);
    assert_int_equal(s->grant.action_count, 2);
    span_is(s->grant.actions[1], "Select");
    name_is(s->grant.name, "p", "t");
    assert_int_equal(s->grant.expires_days, 30);
    assert_false(s->grant.to_role);
    s = parse("REVOKE All ON PROJECT p FROM ROLE dev");
    assert_true(s->kind == STATEMENT_REVOKE && s->grant.to_role);
    assert_int_equal(s->grant.object, GRANT_ON_PROJECT);
    span_is(s->grant.user, "dev");
    s = parse("GRANT dev, admin TO USER RAM$u");
    assert_int_equal(s->kind, STATEMENT_GRANT_ROLE);
    assert_int_equal(s->grant_role.role_count, 2);
    span_is(s->grant_role.roles[1], "admin");
    span_is(s->grant_role.user, "RAM$u");
    assert_int_equal(parse("REVOKE dev FROM ALIYUN$a")->kind, STATEMENT_REVOKE_ROLE);
    assert_int_equal(parse("DESCRIBE ROLE dev")->kind, STATEMENT_DESC_ROLE);
    s = parse("DESC role"); /* a table of that name */
    assert_int_equal(s->kind, STATEMENT_DESC);
    name_is(s->desc.name, "", "role");
    s = parse("SHOW ACL FOR p ON TYPE PROJECT");
    assert_true(s->show.kind == SHOW_ACL && s->show.object == GRANT_ON_PROJECT);
    s = parse("SHOW GRANTS FOR ROLE dev");
    assert_true(s->show.of_role);
    s = parse("SET PROJECTPROTECTION=True;");
    assert_true(s->kind == STATEMENT_SET_PROTECTION && s->protect);
    assert_true(statement_changes(s));
    assert_false(parse("SET ProjectProtection=false")->protect);
    s = parse("ADD TRUSTEDPROJECT 'r-1.p.q'");
    span_is(s->trusted.region, "r-1");
    span_is(s->trusted.project, "p.q");
    span_is(parse("REMOVE TRUSTEDPROJECT p")->trusted.region, "");
    error_is("SET ProjectProtection=1", ERR_SEMANTIC,
             "line 1, column 5: SET ProjectProtection takes true or false; exceptions are whole "
             "projects: ADD TRUSTEDPROJECT");
    error_is("GRANT Select ON t TO RAM$a:u PRIVILEGEPROPERTIES(\"expires\"=\"x\")", ERR_SEMANTIC,
             "line 1, column 30: \"expires\" is a number of days from 1 to 36500");
}

static void test_clauses_of_create_table_stand_once(void **state)
{
    (void)state;
    error_is("CREATE TABLE t (a INT) LIFECYCLE 3 COMMENT 'c' LIFECYCLE 300", ERR_PARSE,
             "line 1, column 48: found LIFECYCLE for the second time");
    error_is("CREATE TABLE t (a INT) CLUSTERED BY (a) INTO 2 BUCKETS RANGE CLUSTERED BY (a)",
             ERR_PARSE, "line 1, column 56: found CLUSTERED BY for the second time");
    error_is("CREATE EXTERNAL TABLE t (a INT) COMMENT 'c' STORED AS ORC LOCATION 'o' COMMENT 'c'",
             ERR_PARSE, "line 1, column 72: found COMMENT for the second time");
    error_is(
        "CREATE OR REPLACE EXTERNAL TABLE IF NOT EXISTS t (a INT) STORED AS ORC LOCATION 'o'",
        ERR_SEMANTIC,
        "line 1, column 34: OR REPLACE and IF NOT EXISTS exclude each other: write one of them");
}

static void test_errors_say_place_found_and_expected(void **state)
{
    (void)state;
    error_is("SELEC 1", ERR_PARSE,
             "line 1, column 1: found SELEC, expected a statement such as SELECT, CREATE TABLE "
             "or XCOPY");
    error_is("CREATE FOO", ERR_PARSE,
             "line 1, column 8: found FOO, expected TABLE, EXTERNAL, OR, SNAPSHOT, PROJECT, "
             "ACCOUNT, USER, ROLE, SCHEDULE");
    error_is("SELECT a\nFROM t WHERE", ERR_PARSE,
             "line 2, column 13: found the end of the statement, expected an expression");
    error_is("SELECT FROM t", ERR_PARSE,
             "line 1, column 8: found FROM, expected an expression (FROM is a keyword: write it "
             "in back-quotes)");
    error_is("DROP TABLE a b", ERR_PARSE,
             "line 1, column 14: found b, expected the end of the statement");
    error_is("CLONE TABLE a TO b IF EXISTS REPLACE", ERR_PARSE,
             "line 1, column 30: found REPLACE, expected OVERWRITE or IGNORE");
    error_is("CLONE TABLE a TO b IF NOT EXISTS", ERR_PARSE,
             "line 1, column 20: found IF, expected IF EXISTS OVERWRITE or IF EXISTS "
             "IGNORE");
    error_is("CLONE TABLE a PARTITION() TO b", ERR_PARSE,
             "line 1, column 25: found ), expected a partition column");
    error_is("CLONE TABLE a PARTITION(d='1'), TO b", ERR_PARSE,
             "line 1, column 33: found TO, expected PARTITION");
    error_is("CLONE TABLE a", ERR_PARSE,
             "line 1, column 14: found the end of the statement, expected TO");
    error_is("CLONE TABLE a TO b TO c", ERR_PARSE,
             "line 1, column 20: found TO, expected the end of the statement");
    error_is("CLONE TABLE p.a TO b OPTIONS(src_region='x')", ERR_PARSE,
             "line 1, column 22: CLONE TABLE takes no OPTIONS and stays within its region: from "
             "another one, CREATE SNAPSHOT TABLE there and XCOPY SNAPSHOT here");
    error_is("GRANT Read ON FUNCTION f TO USER ALIYUN$a", ERR_SEMANTIC,
             "line 1, column 15: rights are granted ON PROJECT or ON TABLE, which snapshots are as "
             "well; there are no FUNCTION objects");
    error_is("CREATE EXTERNAL TABLE t (a BIGINT)", ERR_PARSE,
             "line 1, column 35: found the end of the statement, expected STORED BY 'handler' "
             "or STORED AS format, and LOCATION '...'");
    error_is("CREATE EXTERNAL TABLE t (a BIGINT) STORED BY 'x' LIFECYCLE 3", ERR_PARSE,
             "line 1, column 50: found LIFECYCLE, expected LOCATION '...'");
    error_is("CREATE EXTERNAL TABLE t (a BIGINT) STORED AS ORC LOCATION 'oss://b/' LIFECYCLE 3",
             ERR_SEMANTIC,
             "line 1, column 81: an external table has no LIFECYCLE: its rows are not here");
    error_is("XCOPY SNAPSHOT p.s TO SNAPSHOT s OPTIONS(wait=true)", ERR_PARSE,
             "line 1, column 52: found the end of the statement, expected "
             "OPTIONS(src_region=...)");
    error_is("XCOPY SNAPSHOT p.s TO SNAPSHOT s OPTIONS(region='x')", ERR_PARSE,
             "line 1, column 42: found option region, expected src_region, wait, queue, "
             "expiration_timestamp");
    error_is("XCOPY SNAPSHOT s TO SNAPSHOT s OPTIONS(src_region='x')", ERR_PARSE,
             "line 1, column 16: found a source without its project, expected project.snapshot");
    error_is("INSERT INTO t VALUES (1,2), (3)", ERR_PARSE,
             "line 1, column 29: found 1 values in row 2, expected 2 as in row 1");
    error_is("INSERT INTO t (a) VALUES (1,2)", ERR_PARSE,
             "line 1, column 13: found 2 values for 1 columns, expected as many");
    error_is("INSERT INTO t VALUES (200Y)", ERR_PARSE,
             "line 1, column 23: found 200, expected a number in range");
    error_is("SELECT DATE '2024-02-30'", ERR_PARSE,
             "line 1, column 13: '2024-02-30' is not a valid DATE");
    error_is("SELECT a FROM x.y.z", ERR_PARSE,
             "line 1, column 15: found schema y, expected project.table, project.default.table "
             "or SYSTEM_CATALOG.INFORMATION_SCHEMA.view");
    error_is(
        "SHOW", ERR_PARSE,
        "line 1, column 5: found the end of the statement, expected TABLES, SNAPSHOT, "
        "PARTITIONS, PROJECTS, TASKS, CREATE, HISTORY, CHANNELS, XCOPY, GRANTS, ACCOUNTS, RAM, "
        "PUBLIC, ACL, SCHEDULES, SCHEDULE");
    error_is("", ERR_PARSE,
             "line 1, column 1: found the end of the statement, expected a statement such as "
             "SELECT, CREATE TABLE or XCOPY");
}

static void test_what_comes_later_is_named(void **state)
{
    (void)state;
    error_is("CREATE TABLE t (a BIGINT NOT NULL, PRIMARY KEY (a))", ERR_SEMANTIC,
             "line 1, column 36: PRIMARY KEY makes a Delta table, which is not supported yet");
    error_is("PURGE TABLE x", ERR_SEMANTIC, "line 1, column 1: PURGE is not supported yet");
    error_is(
        "SELECT a FROM t EXCEPT ALL SELECT 1", ERR_SEMANTIC,
        "line 1, column 17: EXCEPT ALL is not supported: write EXCEPT, which drops equal rows");
    error_is("SELECT ROW_NUMBER() OVER (ORDER BY a) FROM t", ERR_SEMANTIC,
             "line 1, column 21: window functions (OVER) are not supported: join with a query that "
             "groups");
    error_is("SELECT * FROM t NATURAL JOIN u", ERR_SEMANTIC,
             "line 1, column 17: NATURAL JOIN is not supported: write JOIN ... ON a.x = b.x");
    error_is("SELECT * FROM t JOIN u USING (a)", ERR_SEMANTIC,
             "line 1, column 24: USING is not supported: write ON a.x = b.x");
    error_is("SELECT * FROM t LATERAL VIEW EXPLODE(a) v AS x", ERR_SEMANTIC,
             "line 1, column 17: LATERAL VIEW is not supported: there are no arrays to take apart");
    error_is("SELECT a FROM t TABLESAMPLE (10 PERCENT)", ERR_SEMANTIC,
             "line 1, column 17: TABLESAMPLE is not supported: write WHERE HASH(x) % 100 = 0, or "
             "LIMIT");
    error_is("SELECT a FROM t DISTRIBUTE BY a SORT BY a", ERR_SEMANTIC,
             "line 1, column 17: DISTRIBUTE BY is not supported: leave it out: rows are not "
             "distributed");
    error_is("SELECT a FROM t WHERE a > 1 SORT BY a", ERR_SEMANTIC,
             "line 1, column 29: SORT BY is not supported: write ORDER BY");
    error_is("SELECT a FROM t x CLUSTER BY a", ERR_SEMANTIC,
             "line 1, column 19: CLUSTER BY is not supported: write ORDER BY");
    error_is("SELECT a FROM t GROUP BY ROLLUP(a, b)", ERR_SEMANTIC,
             "line 1, column 26: ROLLUP is not supported: write a query for each grouping and "
             "UNION ALL");
    error_is("SELECT a FROM t GROUP BY a, GROUPING SETS ((a), ())", ERR_SEMANTIC,
             "line 1, column 29: GROUPING SETS is not supported: write a query for each grouping "
             "and UNION ALL");
    error_is("SELECT a FROM t GROUP BY a WITH CUBE", ERR_SEMANTIC,
             "line 1, column 28: WITH CUBE is not supported: write a query for each grouping and "
             "UNION ALL");
    error_is("SELECT a FROM t ORDER BY a DESC NULLS LAST", ERR_SEMANTIC,
             "line 1, column 33: NULLS LAST is not supported: NULL is the least value; write ORDER "
             "BY x IS NULL, x for another place");
    parse("SELECT /*+ MAPJOIN(b) */ a sort FROM t cluster, u distribute WHERE rollup = nulls");
    error_is("XCOPY TABLE p.t TO TABLE t", ERR_PARSE,
             "line 1, column 13: XCOPY copies snapshots, not tables: snapshot it first with "
             "CREATE SNAPSHOT TABLE s CLONE t, then XCOPY SNAPSHOT p.s TO SNAPSHOT s "
             "OPTIONS(src_region=...)");
}

/* ---- limits ---- */

static enum err_code parse_repeated(const char *head, const char *piece, size_t times,
                                    const char *tail, size_t arena_bytes)
{
    BYTES_CLEANUP struct bytes sql = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, arena_bytes);
    bytes_append_text(&sql, head);
    for (size_t i = 0; i < times; i++)
        bytes_append_text(&sql, piece);
    bytes_append_text(&sql, tail);
    struct statement *statement;
    return statement_parse(bytes_span(&sql), &arena, &statement, NULL);
}

static void test_nesting_is_limited_and_chains_are_not(void **state)
{
    (void)state;
    size_t big = 200000;
    assert_int_equal(parse_repeated("SELECT ", "(", big, "1", 1 << 20), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT ", "NOT ", big, "1", 1 << 20), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT ", "- ", big, "a", 1 << 20), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT ", "f(", big, "1", 1 << 20), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT a", "+a", big, "", 1 << 30), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT a", "+a", LIMIT_EXPRESSION_DEPTH - 1, "", 1 << 20),
                     ERR_OK);
    assert_int_equal(parse_repeated("SELECT a", "+a", LIMIT_EXPRESSION_DEPTH, "", 1 << 20),
                     ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT a", " OR a=1", 5000, "", 1 << 24), ERR_OK);
    assert_int_equal(parse_repeated("", "(", LIMIT_QUERY_DEPTH - 1, "SELECT 1", MIB(8)), ERR_PARSE);
    assert_int_equal(parse_repeated("", "(", 100000, "SELECT 1", MIB(8)), ERR_LIMIT);
    assert_int_equal(parse_repeated("", "SELECT * FROM (", 100000, "", MIB(8)), ERR_LIMIT);
    assert_int_equal(parse_repeated("", "SELECT 1 WHERE 1 IN (", 100000, "", MIB(8)), ERR_LIMIT);
    assert_int_equal(parse_repeated("", "WITH a AS (", 100000, "", MIB(8)), ERR_LIMIT);
    assert_int_equal(
        parse_repeated("SELECT 1", " UNION SELECT 1", LIMIT_SET_BRANCHES - 1, "", MIB(8)), ERR_OK);
    assert_int_equal(parse_repeated("SELECT 1", " UNION SELECT 1", LIMIT_SET_BRANCHES, "", MIB(8)),
                     ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT 1 FROM t", ", t", LIMIT_JOIN_TABLES - 1, "", MIB(8)),
                     ERR_OK);
    assert_int_equal(parse_repeated("SELECT 1 FROM t", ", t", LIMIT_JOIN_TABLES, "", MIB(8)),
                     ERR_LIMIT);
}

static void test_size_and_memory_are_limited(void **state)
{
    (void)state;
    size_t fits = LIMIT_STATEMENT_BYTES - strlen("INSERT INTO t VALUES (1)");
    assert_int_equal(
        parse_repeated("INSERT INTO t VALUES (1)", ",(1)", fits / 4, "", STATEMENT_ARENA_BYTES),
        ERR_OK);
    assert_int_equal(
        parse_repeated("INSERT INTO t VALUES (1)", ",(1)", fits / 4 + 1, "", STATEMENT_ARENA_BYTES),
        ERR_LIMIT);
    assert_int_equal(parse_repeated("INSERT INTO t VALUES (1)", ",(1)", 1000, "", 10000),
                     ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT a", " OR a=1", 1000, "", 10000), ERR_LIMIT);
    assert_int_equal(parse_repeated("SELECT 1", "", 0, "", 16), ERR_LIMIT);
}

/* ---- literals as values ---- */

static void test_literals_become_values_of_a_columns_type(void **state)
{
    (void)state;
    struct value value;
    struct err err = {0};
    struct literal number = {.kind = LITERAL_INTEGER, .text = span_text("-5")};
    assert_int_equal(literal_value(&number, (struct type){TYPE_INT, 0, 0}, &value, &err), ERR_OK);
    assert_int_equal(value.i64, -5);
    assert_int_equal(literal_value(&number, (struct type){TYPE_DECIMAL, 10, 2}, &value, &err),
                     ERR_OK);
    assert_true(value.decimal == -500);
    assert_int_equal(literal_value(&number, (struct type){TYPE_STRING, 0, 0}, &value, &err),
                     ERR_OK);
    span_is(value.text, "-5");
    struct literal date = {.kind = LITERAL_STRING, .text = span_text("1970-01-02")};
    assert_int_equal(literal_value(&date, (struct type){TYPE_DATETIME, 0, 0}, &value, &err),
                     ERR_OK);
    assert_int_equal(value.i64, 86400000);
    struct literal stamp = {.kind = LITERAL_TIMESTAMP,
                            .text = span_text("1970-01-01 00:00:00.001000000")};
    assert_int_equal(literal_value(&stamp, (struct type){TYPE_DATETIME, 0, 0}, &value, &err),
                     ERR_OK);
    assert_int_equal(value.i64, 1);
    assert_int_equal(literal_value(&stamp, (struct type){TYPE_INT, 0, 0}, &value, &err), ERR_CAST);
    assert_string_equal(err.message, "the TIMESTAMP literal 1970-01-01 00:00:00.001000000 does not "
                                     "fit type INT");
    struct literal null = {.kind = LITERAL_NULL};
    assert_int_equal(literal_value(&null, (struct type){TYPE_INT, 0, 0}, &value, &err), ERR_OK);
    assert_true(value.null);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&parser_trial_arena, 1 << 24);
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
        cmocka_unit_test(test_statements_of_the_clone_page_parse_as_printed),
        cmocka_unit_test(test_statements_of_the_xcopy_page_parse_as_printed),
        cmocka_unit_test(test_create_table_keeps_every_clause),
        cmocka_unit_test(test_insert_gives_rows_of_literals),
        cmocka_unit_test(test_insert_takes_a_query_and_partitions_without_a_value),
        cmocka_unit_test(test_a_table_comes_from_columns_another_table_or_a_query),
        cmocka_unit_test(test_partitions_are_added_and_dropped),
        cmocka_unit_test(test_tables_are_altered),
        cmocka_unit_test(test_alterations_that_cannot_be_say_where),
        cmocka_unit_test(test_clustering_of_tables_is_read_as_written),
        cmocka_unit_test(test_snapshot_statements_keep_their_options),
        cmocka_unit_test(test_verify_snapshot),
        cmocka_unit_test(test_session_statements),
        cmocka_unit_test(test_operators_statements),
        cmocka_unit_test(test_expressions_bind_as_usual),
        cmocka_unit_test(test_select_keeps_every_clause),
        cmocka_unit_test(test_joins_bind_from_the_left_and_closer_than_a_comma),
        cmocka_unit_test(test_set_operations_bind_from_the_left_and_intersect_closer),
        cmocka_unit_test(test_queries_stand_in_expressions_and_in_with),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_clauses_of_create_table_stand_once),
        cmocka_unit_test(test_errors_say_place_found_and_expected),
        cmocka_unit_test(test_what_comes_later_is_named),
        cmocka_unit_test(test_nesting_is_limited_and_chains_are_not),
        cmocka_unit_test(test_size_and_memory_are_limited),
        cmocka_unit_test(test_literals_become_values_of_a_columns_type),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
