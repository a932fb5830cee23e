#include "node/sql/select.h"

#include "node/sql/parser.h"
#include "node/sql/source_memory.h"
#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SPAN(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define COLUMN(number, text, ...)                                                                  \
    {                                                                                              \
        .id = (number), .name = SPAN(text), .type = { __VA_ARGS__ }                                \
    }

static struct column sales_columns[] = {
    COLUMN(1, "id", TYPE_BIGINT, 0, 0),    COLUMN(2, "amount", TYPE_DECIMAL, 10, 2),
    COLUMN(3, "big", TYPE_DECIMAL, 38, 4), COLUMN(4, "region", TYPE_STRING, 0, 0),
    COLUMN(5, "rate", TYPE_DOUBLE, 0, 0),  COLUMN(6, "paid", TYPE_BOOLEAN, 0, 0),
    COLUMN(7, "at", TYPE_DATETIME, 0, 0),  COLUMN(8, "units", TYPE_INT, 0, 0),
    COLUMN(9, "rowid", TYPE_BIGINT, 0, 0), COLUMN(10, "or\"der", TYPE_STRING, 0, 0),
};
static struct column sales_partitions[] = {COLUMN(11, "day", TYPE_DATE, 0, 0)};
static const struct schema sales_schema = {sales_columns, ARRAY_COUNT(sales_columns),
                                           sales_partitions, 1, 12};

static struct source_memory sales;

static const char *const sales_rows[][11] = {
    {"1", "299.00", "12345678901234567890.1234", "Asia", "0.1", "true", "2024-01-15 10:00:00.5",
     "3", "7", "x", "2024-01-15"},
    {"2", "450.50", "-0.0001", "asia", "NaN", "false", "2024-01-16 00:00:00", "-2", "7", "x'y",
     "2024-01-16"},
    {"3", "-0.10", NULL, NULL, "-Infinity", NULL, NULL, NULL, "7", NULL, "2024-01-16"},
    {"9223372036854775807", NULL, "1.0000", "\xC3\xA9t\xC3\xA9", NULL, "true",
     "1969-12-31 23:59:59.999", "2147483647", "8", "", "2024-01-17"},
};

static void result_is(const char *sql, const char *wanted)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    if (source_memory_select(&sales, sql, &text, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.message);
    bytes_append_u8(&text, 0);
    if (strcmp((const char *)text.data, wanted) != 0)
        fail_msg("%s\ngave   %s\nwanted %s", sql, (const char *)text.data, wanted);
}

static void select_fails(const char *sql, enum err_code code, const char *message)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    assert_int_equal(source_memory_select(&sales, sql, &text, &err), code);
    assert_string_equal(err.message, message);
}

/* ---- what comes out ---- */

static void test_columns_come_in_the_order_asked_and_typed(void **state)
{
    (void)state;
    result_is("SELECT id, AMOUNT, big, region FROM p.t WHERE id = 1",
              "1|299.00|12345678901234567890.1234|Asia\n");
    result_is("SELECT * FROM t LIMIT 1",
              "1|299.00|12345678901234567890.1234|Asia|0.1|true|2024-01-15 10:00:00.500|3|7|x|"
              "2024-01-15\n");
}

static void test_qualifiers_follow_the_alias(void **state)
{
    (void)state;
    result_is("SELECT x.day, x.`or\"der` FROM t x WHERE x.rowid = 8", "2024-01-17|\n");
    select_fails("SELECT t.day FROM t x", ERR_SEMANTIC,
                 "line 1, column 8: there is no table or alias t");
}

static void test_conditions_use_three_valued_logic(void **state)
{
    (void)state;
    result_is("SELECT id FROM t WHERE paid", "1\n9223372036854775807\n");
    result_is("SELECT id FROM t WHERE NOT paid", "2\n");
    result_is("SELECT id FROM t WHERE paid IS NULL", "3\n");
    result_is("SELECT id FROM t WHERE region <> 'Asia'", "2\n9223372036854775807\n");
    result_is("SELECT id FROM t WHERE region IN ('Asia', NULL)", "1\n");
    result_is("SELECT id FROM t WHERE region NOT IN ('Asia', NULL)", "");
    result_is("SELECT id FROM t WHERE units NOT BETWEEN -2 AND 3", "9223372036854775807\n");
    result_is("SELECT id FROM t WHERE NULL OR id = 2", "2\n");
    result_is("SELECT id FROM t WHERE units = NULL", "");
    result_is("SELECT NULL IS NULL, NOT NULL, TRUE AND NULL, FALSE AND NULL, NULL OR TRUE",
              "true|NULL|NULL|false|true\n");
}

static void test_a_quotient_of_integers_is_a_double(void **state)
{
    (void)state;
    result_is("SELECT 5/2, 5%2, -5%3, 4/2, 1/0, 1%0", "2.5|1|-2|2|NULL|NULL\n");
    result_is("SELECT units/2 FROM t WHERE id = 1", "1.5\n");
    select_fails("SELECT id + 1 FROM t", ERR_SEMANTIC,
                 "a result does not fit BIGINT: 9223372036854775807 and 1");
    select_fails("SELECT 9223372036854775807 + 1", ERR_SEMANTIC,
                 "line 1, column 8: a result does not fit BIGINT: 9223372036854775807 and 1");
    result_is("SELECT units * units FROM t WHERE units > 10", "4611686014132420609\n");
    result_is("SELECT -9223372036854775808 % -1", "0\n");
}

static void test_like_minds_case_and_counts_characters(void **state)
{
    (void)state;
    result_is("SELECT id FROM t WHERE region LIKE 'A%'", "1\n");
    result_is("SELECT id FROM t WHERE region LIKE '___'", "9223372036854775807\n");
    result_is("SELECT id FROM t WHERE region NOT LIKE '%sia'", "9223372036854775807\n");
    result_is(
        "SELECT 'a%c' LIKE 'a\\%c', 'abc' LIKE 'a\\%c', 'a_c' LIKE 'a\\_c', 'abc' LIKE 'a\\_c'",
        "true|false|true|false\n");
    result_is(
        "SELECT 'aXbXc' LIKE '%X%c', 'aab' LIKE '%ab', '' LIKE '%', '' LIKE '_', 'ab' LIKE 'a'",
        "true|true|true|false|false\n");
}

static void test_nan_is_kept_and_greatest(void **state)
{
    (void)state;
    result_is("SELECT rate FROM t ORDER BY rate", "NULL\n-Infinity\n0.1\nNaN\n");
    result_is("SELECT max(rate), min(rate), count(rate), sum(rate) FROM t",
              "NaN|-Infinity|3|NaN\n");
    result_is("SELECT id FROM t WHERE rate > 1e300", "2\n");
    result_is("SELECT rate + 1, rate = rate FROM t WHERE id = 2", "NaN|true\n");
    result_is("SELECT count(*), rate FROM t GROUP BY rate HAVING rate > 1", "1|NaN\n");
    result_is("SELECT CAST('NaN' AS DOUBLE) = CAST('NaN' AS DOUBLE), CAST('Infinity' AS DOUBLE)",
              "true|Infinity\n");
}

static void test_decimals_are_exact(void **state)
{
    (void)state;
    result_is("SELECT sum(amount), avg(amount), min(amount), max(amount) FROM t",
              "749.40|249.800000|-0.10|450.50\n");
    result_is("SELECT sum(big), max(big) FROM t",
              "12345678901234567891.1233|12345678901234567890.1234\n");
    result_is("SELECT amount * 3, amount + 0.005BD, amount / 3 FROM t WHERE id = 1",
              "897.00|299.005|99.6666666666667\n");
    result_is("SELECT id FROM t WHERE amount = 450.5", "2\n");
    result_is("SELECT id FROM t WHERE amount > 450.495", "2\n");
    result_is("SELECT id FROM t WHERE amount > '298.999'", "1\n2\n");
    result_is("SELECT id FROM t WHERE big < 0", "2\n");
    result_is("SELECT id FROM t WHERE big BETWEEN -0.0001BD AND 1", "2\n9223372036854775807\n");
    result_is("SELECT big FROM t ORDER BY big DESC",
              "12345678901234567890.1234\n1.0000\n-0.0001\nNULL\n");
    result_is("SELECT 0.1BD + 0.2BD = 0.3BD, 1BD / 3BD, -7.5BD % 2BD", "true|0.333333|-1.5\n");
    result_is("SELECT CAST(2.345BD AS DECIMAL(5,2)), CAST(-2.345BD AS DECIMAL(5,2)), CAST(0.1 AS "
              "DECIMAL(5,3))",
              "2.35|-2.35|0.100\n");
    select_fails("SELECT 99999999999999999999999999999999999999BD * 10BD", ERR_SEMANTIC,
                 "line 1, column 8: a result does not fit DECIMAL(38,0)");
}

static void test_days_and_times_compare_as_values(void **state)
{
    (void)state;
    result_is("SELECT id FROM t WHERE day >= '2024-01-16' AND day < DATE '2024-01-17'", "2\n3\n");
    result_is("SELECT id FROM t WHERE at = '2024-01-16'", "2\n");
    result_is("SELECT id FROM t WHERE at > DATETIME '2024-01-15 10:00:00'", "1\n2\n");
    result_is("SELECT id FROM t WHERE at >= day AND id < 5", "1\n2\n");
    result_is("SELECT id FROM t WHERE day = '2024-01-15 00:00:01'", "");
    result_is("SELECT CAST(at AS DATE), CAST(day AS STRING) FROM t WHERE id > 5",
              "1969-12-31|2024-01-17\n");
    select_fails("SELECT id FROM t WHERE day = 'yesterday'", ERR_CAST,
                 "line 1, column 30: 'yesterday' is not a valid DATE");
}

static void test_texts_may_hold_anything(void **state)
{
    (void)state;
    result_is("SELECT \"or\" || 'x', 'it''s', 'a\\'b\"c'", "orx|its|a'b\"c\n");
    BYTES_CLEANUP struct bytes text = {0};
    assert_int_equal(source_memory_select(&sales,
                                          "SELECT 'a\\0b', 'a\\0b' || region, 'a\\0c' > "
                                          "'a\\0b' FROM t WHERE id = 1",
                                          &text, NULL),
                     ERR_OK);
    static const char wanted[] = "a\0b|a\0bAsia|true\n";
    assert_int_equal(text.len, sizeof(wanted) - 1);
    assert_memory_equal(text.data, wanted, text.len);
    result_is("SELECT region || NULL, `or\"der` || units FROM t WHERE id = 2", "NULL|x'y-2\n");
}

static void test_groups_and_orders(void **state)
{
    (void)state;
    result_is("SELECT day, count(*), count(region), sum(units) FROM t GROUP BY day ORDER BY day",
              "2024-01-15|1|1|3\n2024-01-16|2|1|-2\n2024-01-17|1|1|2147483647\n");
    result_is("SELECT units % 2 AS odd, count(*) n FROM t GROUP BY units % 2 ORDER BY n DESC, odd",
              "1|2\nNULL|1\n0|1\n");
    result_is("SELECT units % 2 odd, count(*) FROM t GROUP BY odd HAVING odd = 1", "1|2\n");
    result_is("SELECT count(DISTINCT rowid), avg(rowid), sum(DISTINCT rowid) FROM t",
              "2|7.25|15\n");
    result_is("SELECT DISTINCT rowid FROM t ORDER BY 1 DESC", "8\n7\n");
    result_is("SELECT count(*), sum(id), max(region) FROM t WHERE id < 0", "0|NULL|NULL\n");
    result_is("SELECT count(*) FROM t WHERE id < 0 GROUP BY region", "");
    result_is("SELECT count(*) FROM t GROUP BY 'x'", "4\n");
    result_is("SELECT count(1), count(NULL) FROM t", "4|0\n");
    result_is("SELECT id FROM t ORDER BY region, id DESC LIMIT 2 OFFSET 1", "1\n2\n");
    result_is("SELECT sum(units) + count(*) * 2 FROM t", "2147483656\n");
    select_fails("SELECT sum(id) FROM t WHERE id > 3 OR sum(id) > 1", ERR_SEMANTIC,
                 "line 1, column 39: sum cannot stand in WHERE");
    select_fails("SELECT sum(CAST('9e37' AS DECIMAL(38,0)) * rowid) FROM t", ERR_SEMANTIC,
                 "a result does not fit DECIMAL(38,0)");
}

/* ---- refusals ---- */

static void test_wrong_names_get_a_suggestion(void **state)
{
    (void)state;
    select_fails(
        "SELECT id,\n nocolumn FROM t", ERR_SEMANTIC,
        "line 2, column 2: table t has no column nocolumn; it has id, amount, big, region, "
        "rate, paid, at, units, rowid, or\"der, day");
    select_fails("SELECT regoin FROM t", ERR_SEMANTIC,
                 "line 1, column 8: table t has no column regoin, did you mean region?");
    select_fails("SELECT id FROM absent", ERR_TABLE_NOT_FOUND, "absent");
    select_fails("SELECT x", ERR_SEMANTIC,
                 "line 1, column 8: there is no column x: the statement has no FROM");
    select_fails(
        "SELECT md5(id) FROM t", ERR_SEMANTIC,
        "line 1, column 8: there is no function md5 (yet); there are COUNT, SUM, AVG, MIN, "
        "MAX");
    select_fails("SELECT randomblob(1) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: there is no function randomblob (yet); there are COUNT, SUM, "
                 "AVG, MIN, MAX");
}

static void test_what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    select_fails("SELECT id FROM t WHERE id", ERR_SEMANTIC,
                 "line 1, column 24: WHERE needs a BOOLEAN, found BIGINT");
    select_fails("SELECT id FROM t WHERE paid = 1", ERR_SEMANTIC,
                 "line 1, column 31: INT cannot be compared with BOOLEAN");
    select_fails("SELECT region, count(*) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: column region must be in GROUP BY or inside an aggregate");
    select_fails("SELECT count(*) FROM t ORDER BY id", ERR_SEMANTIC,
                 "line 1, column 33: column id must be in GROUP BY or inside an aggregate");
    select_fails("SELECT sum(max(id)) FROM t", ERR_SEMANTIC,
                 "line 1, column 12: max stands inside another aggregate");
    select_fails("SELECT sum(day) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: sum needs numbers, found DATE");
    select_fails("SELECT day + 1 FROM t", ERR_SEMANTIC,
                 "line 1, column 8: DATE is no number: arithmetic needs numbers");
    select_fails("SELECT CAST(day AS BIGINT) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: DATE cannot be cast to BIGINT");
    select_fails("SELECT id FROM t ORDER BY 2", ERR_SEMANTIC,
                 "line 1, column 27: there is no result column 2, there are 1");
    select_fails("SELECT DISTINCT id FROM t ORDER BY day", ERR_SEMANTIC,
                 "line 1, column 36: with DISTINCT, ORDER BY takes result columns only");
    select_fails("SELECT *", ERR_SEMANTIC, "line 1, column 8: * needs a FROM");
    select_fails("SELECT CAST(region AS BIGINT) FROM t", ERR_CAST, "'Asia' is not a valid BIGINT");
    select_fails("SELECT id FROM t HAVING id > 1", ERR_SEMANTIC,
                 "line 1, column 25: HAVING needs GROUP BY or an aggregate");
}

/* ---- what the source is asked for ---- */

static void columns_are(const size_t *wanted, size_t count)
{
    assert_int_equal(sales.last.column_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(sales.columns[i], wanted[i]);
}

static void test_only_used_columns_are_read(void **state)
{
    (void)state;
    result_is("SELECT count(*) FROM t", "4\n");
    columns_are(NULL, 0);
    result_is("SELECT sum(units) FROM t WHERE day < '2024-01-16'", "3\n");
    columns_are((const size_t[]){7, 10}, 2);
    result_is("SELECT count(*) FROM t GROUP BY region HAVING max(id) = 1 ORDER BY min(rate)",
              "1\n");
    columns_are((const size_t[]){0, 3, 4}, 3);
}

static void test_conjuncts_become_ranges(void **state)
{
    (void)state;
    result_is(
        "SELECT id FROM t WHERE day = '2024-01-16' AND (2 <= id AND units BETWEEN -5 AND 5) AND "
        "(id = 1 OR id = 2) AND region IN ('b', 'asia') AND amount < 500 AND rate <> 1",
        "2\n");
    static const struct {
        size_t column;
        enum binary_op op;
    } wanted[] = {{10, OP_EQUAL},     {0, OP_GREATER_EQUAL}, {7, OP_GREATER_EQUAL},
                  {7, OP_LESS_EQUAL}, {3, OP_GREATER_EQUAL}, {3, OP_LESS_EQUAL},
                  {1, OP_LESS}};
    assert_int_equal(sales.last.range_count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        assert_int_equal(sales.ranges[i].column, wanted[i].column);
        assert_int_equal(sales.ranges[i].op, wanted[i].op);
    }
    result_is("SELECT id FROM t WHERE NOT (id = 1) AND units + 0 = -2 AND (id = 2) IS NOT NULL",
              "2\n");
    assert_int_equal(sales.last.range_count, 0);
}

static void test_a_literal_on_the_left_mirrors_the_range(void **state)
{
    (void)state;
    static const enum binary_op wanted[] = {OP_GREATER, OP_GREATER_EQUAL, OP_LESS, OP_LESS_EQUAL,
                                            OP_EQUAL};
    result_is("SELECT id FROM t WHERE 1 < id AND 2 <= id AND 9 > units AND 9 >= units AND "
              "'2024-01-16' = day",
              "2\n");
    assert_int_equal(sales.last.range_count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        assert_int_equal(sales.ranges[i].op, wanted[i]);
}

static void test_ranges_prune_by_bounds(void **state)
{
    (void)state;
    struct type type = {.kind = TYPE_DOUBLE};
    struct select_bounds bounds = {.has_min = true, .has_max = true, .min.f64 = 2, .max.f64 = 5};
    static const struct {
        enum binary_op op;
        double value;
        bool possible;
    } cases[] = {
        {OP_EQUAL, 1, false},      {OP_EQUAL, 2, true},         {OP_EQUAL, 6, false},
        {OP_LESS, 2, false},       {OP_LESS, 3, true},          {OP_LESS_EQUAL, 2, true},
        {OP_GREATER, 5, false},    {OP_GREATER, 4, true},       {OP_GREATER_EQUAL, 5, true},
        {OP_LESS_EQUAL, 1, false}, {OP_GREATER_EQUAL, 6, false}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct select_range range = {.op = cases[i].op, .value.f64 = cases[i].value};
        assert_int_equal(select_range_possible(&range, type, &bounds), cases[i].possible);
    }
    struct select_range above = {.op = OP_GREATER, .value.f64 = 9};
    bounds.has_nan = true; /* and NaN is above */
    assert_true(select_range_possible(&above, type, &bounds));
    bounds = (struct select_bounds){0};
    assert_true(select_range_possible(&above, type, &bounds));
}

/* ---- size ---- */

static void repeated_is(const char *head, const char *piece, size_t times, const char *tail,
                        const char *wanted)
{
    BYTES_CLEANUP struct bytes sql = {0};
    bytes_append_text(&sql, head);
    for (size_t i = 0; i < times; i++)
        bytes_append_text(&sql, piece);
    bytes_append_text(&sql, tail);
    bytes_append_u8(&sql, 0);
    result_is((const char *)sql.data, wanted);
}

static void test_deep_and_long_expressions_run(void **state)
{
    (void)state;
    repeated_is("SELECT id", "+1-1", 120, " FROM t WHERE id = 1", "1\n");
    repeated_is("SELECT id FROM t WHERE ", "NOT ", 250, "(id = 1)", "1\n");
}

static void test_closed_parentheses_nest(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes sql = {0};
    bytes_append_text(&sql, "SELECT id FROM t WHERE ");
    for (int i = 0; i < 120; i++)
        bytes_append_text(&sql, "(paid OR NOT ");
    bytes_append_text(&sql, "id = 2");
    for (int i = 0; i < 120; i++)
        bytes_append_u8(&sql, ')');
    bytes_append_u8(&sql, 0);
    result_is((const char *)sql.data, "1\n2\n9223372036854775807\n");
}

static void test_thousands_of_conditions_run(void **state)
{
    (void)state;
    repeated_is("SELECT id FROM t WHERE id = 1", " OR rowid = 9", 5000, "", "1\n");
    repeated_is("SELECT id FROM t WHERE id = 1", " AND rowid < 9", 2000, "", "1\n");
    repeated_is("SELECT id FROM t WHERE id IN (1", ", 5", 50000, ")", "1\n");
    repeated_is("SELECT id FROM t WHERE rate IN (0.1", ", 5.5", 20000, ")", "1\n");
}

/* ---- running ---- */

struct run {
    struct arena arena;
    struct select_cursor *cursor;
    struct batch batch;
    atomic_bool cancel;
};

static void run_open(struct run *run, const char *sql, uint64_t time_ms_max)
{
    struct statement *statement;
    struct select_options options = {
        .catalog = &sales.catalog, .cancel = &run->cancel, .time_ms_max = time_ms_max};
    atomic_init(&run->cancel, false);
    arena_init(&run->arena, 1 << 20);
    assert_int_equal(statement_parse(span_text(sql), &run->arena, &statement, NULL), ERR_OK);
    assert_int_equal(select_open(&statement->select, statement->text, &options, &run->cursor, NULL),
                     ERR_OK);
    select_batch_init(run->cursor, &run->batch);
}

static void run_close(struct run *run)
{
    batch_deinit(&run->batch);
    select_close(run->cursor);
    arena_deinit(&run->arena);
}

static void test_results_come_in_pieces(void **state)
{
    (void)state;
    struct run run;
    bool end = false;
    size_t rows = 0;
    run_open(&run, "SELECT id n, 1/2 FROM t", 0);
    size_t count;
    const struct result_column *columns = select_columns(run.cursor, &count);
    assert_int_equal(count, 2);
    assert_memory_equal(columns[0].name.data, "n", 1);
    assert_memory_equal(columns[1].name.data, "_c1", 3);
    assert_int_equal(columns[1].type.kind, TYPE_DOUBLE);
    for (int i = 0; i < 10 && !end; i++) {
        assert_int_equal(select_next(run.cursor, 1, &run.batch, &end, NULL), ERR_OK);
        assert_true(run.batch.rows <= 1);
        rows += run.batch.rows;
    }
    assert_true(end);
    assert_int_equal(rows, 4);
    assert_int_equal(select_next(run.cursor, 1, &run.batch, &end, NULL), ERR_OK);
    assert_true(end && run.batch.rows == 0);
    run_close(&run);
}

/* A table whose cross of expressions takes long: many equal rows. */
static void many_rows(struct source_memory *source, size_t rows)
{
    static struct column columns[] = {COLUMN(1, "v", TYPE_BIGINT, 0, 0)};
    static const struct schema schema = {columns, 1, NULL, 0, 2};
    source_memory_init(source, &schema, 8192);
    for (size_t i = 0; i < rows; i++)
        vector_append(&source->rows.vectors[0], (struct value){.i64 = (int64_t)i});
    source->rows.rows = rows;
}

static enum err_code many_run(struct source_memory *source, uint64_t time_ms_max, bool cancel,
                              struct err *err)
{
    struct run run = {0};
    struct statement *statement;
    struct select_options options = {
        .catalog = &source->catalog, .cancel = &run.cancel, .time_ms_max = time_ms_max};
    bool end;
    arena_init(&run.arena, 1 << 20);
    atomic_init(&run.cancel, cancel);
    static const char sql[] = "SELECT count(*) FROM t WHERE v % 7 = 1 AND v || '' LIKE '%1'";
    assert_int_equal(statement_parse(span_text(sql), &run.arena, &statement, NULL), ERR_OK);
    assert_int_equal(select_open(&statement->select, statement->text, &options, &run.cursor, NULL),
                     ERR_OK);
    select_batch_init(run.cursor, &run.batch);
    enum err_code code = select_next(run.cursor, 1, &run.batch, &end, err);
    run_close(&run);
    return code;
}

static void test_a_query_stops_when_told_or_too_slow(void **state)
{
    (void)state;
    struct source_memory source;
    struct err err;
    many_rows(&source, 200000);
    assert_int_equal(many_run(&source, 0, true, &err), ERR_CANCELLED);
    assert_string_equal(err.message, "the query was cancelled");
    assert_int_equal(many_run(&source, 1, false, &err), ERR_TIMEOUT);
    assert_string_equal(err.message, "the query took longer than 1 ms");
    assert_int_equal(many_run(&source, 100000, false, &err), ERR_OK);
    source_memory_deinit(&source);
}

static void test_the_sources_error_is_the_querys(void **state)
{
    (void)state;
    sales.fail_after = 1;
    select_fails("SELECT id FROM t", ERR_CORRUPT, "file abc: wrong digest");
    select_fails("SELECT count(*) FROM t", ERR_CORRUPT, "file abc: wrong digest");
    sales.fail_after = 0;
}

static int setup(void **state)
{
    (void)state;
    if (select_start("/tmp", NULL) != ERR_OK)
        return 1;
    source_memory_init(&sales, &sales_schema, 3);
    for (size_t i = 0; i < ARRAY_COUNT(sales_rows); i++)
        source_memory_add(&sales, sales_rows[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_memory_deinit(&sales);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_come_in_the_order_asked_and_typed),
        cmocka_unit_test(test_qualifiers_follow_the_alias),
        cmocka_unit_test(test_conditions_use_three_valued_logic),
        cmocka_unit_test(test_a_quotient_of_integers_is_a_double),
        cmocka_unit_test(test_like_minds_case_and_counts_characters),
        cmocka_unit_test(test_nan_is_kept_and_greatest),
        cmocka_unit_test(test_decimals_are_exact),
        cmocka_unit_test(test_days_and_times_compare_as_values),
        cmocka_unit_test(test_texts_may_hold_anything),
        cmocka_unit_test(test_groups_and_orders),
        cmocka_unit_test(test_wrong_names_get_a_suggestion),
        cmocka_unit_test(test_what_does_not_fit_together_is_refused),
        cmocka_unit_test(test_only_used_columns_are_read),
        cmocka_unit_test(test_conjuncts_become_ranges),
        cmocka_unit_test(test_a_literal_on_the_left_mirrors_the_range),
        cmocka_unit_test(test_ranges_prune_by_bounds),
        cmocka_unit_test(test_deep_and_long_expressions_run),
        cmocka_unit_test(test_closed_parentheses_nest),
        cmocka_unit_test(test_thousands_of_conditions_run),
        cmocka_unit_test(test_results_come_in_pieces),
        cmocka_unit_test(test_a_query_stops_when_told_or_too_slow),
        cmocka_unit_test(test_the_sources_error_is_the_querys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
