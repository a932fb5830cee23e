#include "node/sql/parser.h"

#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct arena test_arena;

static const struct statement *parse(const char *sql)
{
    struct statement *statement = NULL;
    struct err err = {0};
    if (statement_parse(span_text(sql), &test_arena, &statement, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.message);
    return statement;
}

static void span_is(struct span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    if (span.len > 0)
        assert_memory_equal(span.data, text, span.len);
}

static void name_is(struct name name, const char *project, const char *object)
{
    span_is(name.project, project);
    span_is(name.object, object);
}

static void error_is(const char *sql, enum err_code code, const char *message)
{
    struct statement *statement = NULL;
    struct err err = {0};
    assert_int_equal(statement_parse(span_text(sql), &test_arena, &statement, &err), code);
    assert_null(statement);
    assert_string_equal(err.message, message);
}

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
    name_is(s->select.from, "Project_B", "table_x_snapshot_20260101");
    s = parse("CREATE TABLE table_x CLONE table_x_snapshot_20260101;");
    assert_int_equal(s->kind, STATEMENT_RESTORE_TABLE);
    name_is(s->restore_table.source, "", "table_x_snapshot_20260101");
    s = parse("SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.tables WHERE table_catalog = 'p' "
              "AND table_type = 'SNAPSHOT_TABLE' AND table_name LIKE \"%_snapshot_20260101\";");
    assert_true(s->select.from.system);
    name_is(s->select.from, "", "tables");
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
    s = parse("CREATE OR REPLACE TABLE IF NOT EXISTS t CLONE s");
    assert_true(s->restore_table.or_replace && s->restore_table.if_not_exists);
    s = parse("CLONE TABLE a PARTITION (d='1'), PARTITION (d='2') TO b IF EXISTS IGNORE");
    assert_int_equal(s->clone_table.partitions.count, 2);
    assert_int_equal(s->clone_table.existing, CLONE_EXISTING_IGNORE);
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
    span_is(parse("SET a.b = 'x y' -- said")->set.value, "x y");
    span_is(parse("SET a.b = x y ; ")->set.value, "x y");
    assert_int_equal(parse("WHOAMI")->kind, STATEMENT_WHOAMI);
    assert_int_equal(parse("list users;")->kind, STATEMENT_LIST_USERS);
}

static void test_operators_statements(void **state)
{
    (void)state;
    const struct statement *s = parse("CREATE PROJECT IF NOT EXISTS p OWNER 'ALIYUN$a'");
    span_is(s->create_project.owner, "ALIYUN$a");
    s = parse("CREATE ACCOUNT ALIYUN$a PUBLIC KEY 'k'");
    span_is(s->create_account.account, "ALIYUN$a");
    span_is(s->create_account.public_key, "k");
    assert_true(parse("ALTER PROJECT p ENABLE XCOPY")->alter_switch.on);
    assert_false(parse("ALTER PROJECT p DISABLE XCOPY")->alter_switch.on);
    assert_true(
        parse("ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE")->alter_switch.on);
    s = parse("ALTER CHANNEL FROM 'r' SET BANDWIDTH '2 Gbit/s'");
    span_is(s->alter_channel.bandwidth, "2 Gbit/s");
    span_is(parse("REMOVE USER `RAM$acc:role/x`")->user, "RAM$acc:role/x");
    assert_int_equal(parse("REVOKE All ON t FROM USER RAM$a:u")->kind, STATEMENT_REVOKE);
}

/* "((a + (b * c)) = 1)" */
static void render(const struct expr *e, struct bytes *out)
{
    static const char *const ops[] = {"+", "-",  "*", "/",  "%", "||",
                                      "=", "<>", "<", "<=", ">", ">="};
    static const char *const words[] = {
        [EXPR_AND] = "AND",  [EXPR_OR] = "OR",           [EXPR_NOT] = "NOT",
        [EXPR_NEGATE] = "-", [EXPR_IS_NULL] = "IS_NULL", [EXPR_BETWEEN] = "BETWEEN",
        [EXPR_IN] = "IN",    [EXPR_LIKE] = "LIKE",       [EXPR_CAST] = "CAST"};
    if (e->kind == EXPR_LITERAL || e->kind == EXPR_COLUMN || e->kind == EXPR_STAR) {
        struct span text = e->kind == EXPR_STAR      ? span_text("*")
                           : e->kind == EXPR_LITERAL ? e->literal.text
                                                     : e->name;
        bytes_append_span(out, text);
        return;
    }
    bytes_printf(out, "(%s", e->negated ? "!" : "");
    if (e->kind == EXPR_CALL)
        bytes_append_span(out, e->name);
    else
        bytes_append_text(out, e->kind == EXPR_BINARY ? ops[e->op] : words[e->kind]);
    for (size_t i = 0; i < e->arg_count; i++) {
        bytes_append_u8(out, ' ');
        render(e->args[i], out);
    }
    bytes_append_u8(out, ')');
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
    span_is(q->from_alias, "t");
    assert_int_equal(q->group_by_count, 2);
    assert_non_null(q->having);
    assert_true(q->order_by[0].descending && !q->order_by[1].descending);
    assert_true(q->limit == 10 && q->offset == 5);
    s = parse("SELECT a FROM t LIMIT 5, 10");
    assert_true(s->select.limit == 10 && s->select.offset == 5);
    assert_false(parse("SELECT 1")->select.has_from);
}

static void test_errors_say_place_found_and_expected(void **state)
{
    (void)state;
    error_is("SELEC 1", ERR_PARSE,
             "line 1, column 1: found SELEC, expected a statement such as SELECT, CREATE TABLE "
             "or XCOPY");
    error_is("CREATE FOO", ERR_PARSE,
             "line 1, column 8: found FOO, expected TABLE, OR, SNAPSHOT, PROJECT, ACCOUNT");
    error_is("SELECT a\nFROM t WHERE", ERR_PARSE,
             "line 2, column 13: found the end of the statement, expected an expression");
    error_is("SELECT FROM t", ERR_PARSE,
             "line 1, column 8: found FROM, expected an expression (FROM is a keyword: write it "
             "in back-quotes)");
    error_is("DROP TABLE a b", ERR_PARSE,
             "line 1, column 14: found b, expected the end of the statement");
    error_is("CLONE TABLE a TO b IF EXISTS", ERR_PARSE,
             "line 1, column 29: found the end of the statement, expected OVERWRITE or IGNORE");
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
    error_is("SHOW", ERR_PARSE,
             "line 1, column 5: found the end of the statement, expected TABLES, SNAPSHOT, "
             "PARTITIONS, PROJECTS, TASKS, CREATE, HISTORY, CHANNELS, XCOPY, GRANTS");
    error_is("", ERR_PARSE,
             "line 1, column 1: found the end of the statement, expected a statement such as "
             "SELECT, CREATE TABLE or XCOPY");
}

static void test_what_comes_later_is_named(void **state)
{
    (void)state;
    error_is("SCRUB", ERR_SEMANTIC, "line 1, column 1: SCRUB is not supported yet");
    error_is("CREATE SCHEDULE x CRON '1'", ERR_SEMANTIC,
             "line 1, column 1: CREATE SCHEDULE is not supported yet");
    error_is("REVOKE XCOPY TOKEN x", ERR_SEMANTIC,
             "line 1, column 1: REVOKE XCOPY TOKEN is not supported yet");
    error_is("SELECT a FROM t JOIN u ON 1", ERR_SEMANTIC,
             "line 1, column 17: joins are not supported yet");
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
    arena_init(&test_arena, 1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&test_arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements_of_the_clone_page_parse_as_printed),
        cmocka_unit_test(test_statements_of_the_xcopy_page_parse_as_printed),
        cmocka_unit_test(test_create_table_keeps_every_clause),
        cmocka_unit_test(test_insert_gives_rows_of_literals),
        cmocka_unit_test(test_partitions_are_added_and_dropped),
        cmocka_unit_test(test_snapshot_statements_keep_their_options),
        cmocka_unit_test(test_session_statements),
        cmocka_unit_test(test_operators_statements),
        cmocka_unit_test(test_expressions_bind_as_usual),
        cmocka_unit_test(test_select_keeps_every_clause),
        cmocka_unit_test(test_errors_say_place_found_and_expected),
        cmocka_unit_test(test_what_comes_later_is_named),
        cmocka_unit_test(test_nesting_is_limited_and_chains_are_not),
        cmocka_unit_test(test_size_and_memory_are_limited),
        cmocka_unit_test(test_literals_become_values_of_a_columns_type),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
