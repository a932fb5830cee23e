#include "node/sql/select.h"

#include "node/sql/parser.h"
#include "node/sql/resources.h"
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
                 "line 1, column 8: a result does not fit BIGINT: 9223372036854775807 and 1");
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
    result_is("SELECT count(*), count(*) FROM t", "4|4\n"); /* of batches, of 3 rows and 1 */
    result_is("SELECT DISTINCT n + 1 FROM (SELECT count(*) n FROM t LIMIT 5) c", "5\n");
    result_is("SELECT count(*) FROM t UNION ALL SELECT id FROM t WHERE id = (SELECT count(*) - 3 "
              "FROM t)",
              "4\n1\n");
    result_is("SELECT count(*) FROM (SELECT id FROM t WHERE id < 0) c", "0\n");
    result_is("SELECT id FROM t ORDER BY region, id DESC LIMIT 2 OFFSET 1", "1\n2\n");
    result_is("SELECT sum(units) + count(*) * 2 FROM t", "2147483656\n");
    select_fails("SELECT sum(id) FROM t WHERE id > 3 OR sum(id) > 1", ERR_SEMANTIC,
                 "line 1, column 39: sum cannot stand in WHERE");
    select_fails("SELECT sum(CAST('9e37' AS DECIMAL(38,0)) * rowid) FROM t", ERR_SEMANTIC,
                 "line 1, column 12: a result does not fit DECIMAL(38,0)");
}

static void test_choices_and_functions_work_on_rows(void **state)
{
    (void)state;
    result_is("SELECT id, CASE WHEN rate > 1e300 THEN 'much' WHEN rate > 0 THEN 'some' ELSE "
              "region END FROM t ORDER BY 1",
              "1|some\n2|much\n3|NULL\n9223372036854775807|\xC3\xA9t\xC3\xA9\n");
    result_is("SELECT CASE WHEN id > 5 THEN 0 ELSE id + 9223372036854775800 END FROM t ORDER BY 1",
              "0\n9223372036854775801\n9223372036854775802\n9223372036854775803\n");
    result_is("SELECT IF(region = 'Asia', 1, CAST('x' AS BIGINT)) FROM t WHERE id = 1", "1\n");
    select_fails("SELECT IF(region = 'Asia', 1, CAST('x' AS BIGINT)) FROM t", ERR_CAST,
                 "line 1, column 8: 'x' is not a valid BIGINT");
    result_is("SELECT id FROM t WHERE LENGTH(region) = 3 OR UPPER(region) = 'ASIA' AND paid IS "
              "NOT TRUE ORDER BY id",
              "2\n9223372036854775807\n");
    result_is("SELECT MONTH(day), UPPER(region) r, count(*) FROM t GROUP BY UPPER(region), "
              "MONTH(day) HAVING LENGTH(r) > 3 ORDER BY LENGTH(r)",
              "1|ASIA|2\n");
    result_is("SELECT COALESCE(units, amount, 0) FROM t ORDER BY id",
              "3.00\n-2.00\n-0.10\n2147483647.00\n");
    result_is("SELECT id FROM t WHERE region <=> NULL", "3\n");
    result_is("SELECT id FROM t WHERE paid IS DISTINCT FROM TRUE ORDER BY id", "2\n3\n");
    result_is("SELECT id FROM t WHERE rate <=> CAST('NaN' AS DOUBLE)", "2\n");
    result_is("SELECT ROUND(amount, 1), ROUND(amount), TRUNC(rate, 0), ABS(units) FROM t ORDER BY "
              "id LIMIT 2",
              "299.0|299|0|3\n450.5|451|NaN|2\n");
    result_is("SELECT GREATEST(units, id), LEAST(units, 5), NVL(region, big) FROM t ORDER BY id",
              "3|3|Asia\n2|-2|asia\n3|NULL|NULL\n9223372036854775807|5|\xC3\xA9t\xC3\xA9\n");
    result_is("SELECT CONCAT_WS('|', id, amount, rate, at, day) FROM t WHERE id < 3 ORDER BY id",
              "1|299.00|0.1|2024-01-15 10:00:00.500|2024-01-15\n"
              "2|450.50|NaN|2024-01-16 00:00:00|2024-01-16\n");
    select_fails("SELECT UPPER(region), count(*) FROM t GROUP BY LOWER(region)", ERR_SEMANTIC,
                 "line 1, column 14: column region must be in GROUP BY or inside an aggregate");
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
    select_fails("SELECT id FROM\n  absent", ERR_TABLE_NOT_FOUND, "line 2, column 3: absent");
    select_fails("SELECT x", ERR_SEMANTIC,
                 "line 1, column 8: there is no column x: the statement has no FROM");
    select_fails("SELECT md6(id) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: there is no function md6, did you mean MD5?");
    select_fails("SELECT id, summ(id) FROM t", ERR_SEMANTIC,
                 "line 1, column 12: there is no function summ, did you mean SUM?");
    select_fails("SELECT randomblob(1) FROM t", ERR_SEMANTIC,
                 "line 1, column 8: there is no function randomblob");
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
    select_fails("SELECT CAST(region AS BIGINT) FROM t", ERR_CAST,
                 "line 1, column 8: 'Asia' is not a valid BIGINT");
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

static void domains_are(const char *where, const char *wanted)
{
    BYTES_CLEANUP struct bytes sql = {0};
    BYTES_CLEANUP struct bytes text = {0};
    bytes_append_text(&sql, "SELECT id FROM t WHERE ");
    bytes_append_text(&sql, where);
    bytes_append_u8(&sql, 0);
    struct err err = {0};
    if (source_memory_select(&sales, (const char *)sql.data, &text, &err) != ERR_OK)
        fail_msg("%s: %s", where, err.message);
    bytes_append_u8(&sales.domains, 0);
    assert_string_equal((const char *)sales.domains.data, wanted);
}

/* Columns and rows that were fetched from the source of 4 rows, in batches of 3 and 1. */
static void fetches(const char *sql, const char *wanted, size_t columns, size_t rows)
{
    sales.fetched_columns = sales.fetched_rows = 0;
    result_is(sql, wanted);
    if (sales.fetched_columns != columns || sales.fetched_rows != rows)
        fail_msg("%s: %zu columns, %zu rows", sql, sales.fetched_columns, sales.fetched_rows);
}

static void test_columns_are_fetched_when_a_row_gets_to_them(void **state)
{
    (void)state;
    fetches("SELECT region, paid FROM t WHERE id = 2", "asia|false\n", 3, 9);
    fetches("SELECT region, paid FROM t WHERE id + 0 = 5", "", 2, 4);
    fetches("SELECT region FROM t LIMIT 1", "Asia\n", 1, 3);
    fetches("SELECT region, id FROM t LIMIT 1 OFFSET 3", "été|9223372036854775807\n", 2, 2);
    fetches("SELECT count(*) FROM t", "4\n", 0, 0);
    fetches("SELECT count(*), count(region), min(id), max(day) FROM t", "4|3|1|2024-01-17\n", 0, 0);
    fetches("SELECT max(id) - min(id) + count(*) FROM t WHERE id BETWEEN 1 AND 3", "5\n", 0, 0);
    fetches("SELECT count(*) FROM t WHERE id >= 2", "3\n", 1, 3);
    fetches("SELECT count(region) FROM t HAVING min(id) = 1 ORDER BY max(id)", "3\n", 0, 0);
    fetches("SELECT count(DISTINCT region) FROM t", "3\n", 2, 4);
    fetches("SELECT min(id + 1) FROM t WHERE id < 9", "2\n", 1, 3);
}

static void test_comparisons_become_domains(void **state)
{
    (void)state;
    domains_are("id = 1", "id: [1, 1]\n");
    domains_are("id <> 1", "id: [.., 1) (1, ..]\n");
    domains_are("1 < id AND 9 >= id", "id: (1, 9]\n");
    domains_are("units BETWEEN -5 AND 5", "units: [-5, 5]\n");
    domains_are("units NOT BETWEEN -5 AND 5", "units: [.., -5) (5, ..]\n");
    domains_are("units BETWEEN NULL AND 5", "units:\n");
    domains_are("NOT (units BETWEEN NULL AND 5)", "units: (5, ..]\n");
    domains_are("id = NULL", "id:\n");
    domains_are("paid", "paid: [true, true]\n");
    domains_are("NOT paid", "paid: [false, false]\n");
    domains_are("day = '2024-01-16'", "day: [2024-01-16, 2024-01-16]\n");
}

static void test_lists_and_unions_become_domains(void **state)
{
    (void)state;
    domains_are("id IN (3, 1, NULL, 3)", "id: [1, 1] [3, 3]\n");
    domains_are("id NOT IN (3, 1)", "id: [.., 1) (1, 3) (3, ..]\n");
    domains_are("id NOT IN (3, NULL)", "id:\n");
    domains_are("id < 3 OR id IN (3, 7) OR id BETWEEN 5 AND 8", "id: [.., 3] [5, 8]\n");
    domains_are("id < 3 OR id > 3", "id: [.., 3) (3, ..]\n");
    domains_are("NOT (id < 3 OR id > 5)", "id: [3, 5]\n");
    domains_are("(id = 1 AND units = 2) OR (id = 5 AND units > 9)",
                "id: [1, 1] [5, 5]\nunits: [2, 2] (9, ..]\n");
    domains_are("id IN (1, 2) AND id IN (2, 3) AND id < 9", "id: [2, 2]\n");
    domains_are("id > 5 AND id < 5", "id:\n");
    domains_are("id = 1 OR id <> 1", "id: [.., ..]\n");
}

static void test_nulls_and_prefixes_become_domains(void **state)
{
    (void)state;
    domains_are("units IS NULL", "units: NULL\n");
    domains_are("units IS NOT NULL", "units: [.., ..]\n");
    domains_are("units IS NULL OR units = 3", "units: [3, 3] NULL\n");
    domains_are("NOT (units IS NULL) AND units < 2", "units: [.., 2)\n");
    domains_are("region LIKE 'as%'", "region: [as, at)\n");
    domains_are("region LIKE 'as_a%'", "region: [as, at)\n");
    domains_are("region LIKE 'a\\\\_%'", "region: [a, b)\n");
    domains_are("region LIKE 'asia'", "region: [asia, asia]\n");
    domains_are("region LIKE '%a'", "region: [.., ..]\n");
    domains_are("region NOT LIKE 'as%'", "region: [.., ..]\n");
}

static void test_what_is_not_understood_limits_nothing(void **state)
{
    (void)state;
    domains_are("units + 0 = -2 OR (id = 2) IS NOT NULL", "");
    domains_are("id = 1 OR units = 2", "");
    domains_are("id = units", "");
    domains_are("id IN (1, units)", "");
    domains_are("NOT (id = 1 AND units = 2)", "");
    domains_are("id > 0 OR id <= 0 OR id IS NULL", "");
}

static void test_a_long_list_becomes_one_interval(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes where = {0};
    bytes_append_text(&where, "id IN (1");
    for (size_t i = 1; i <= SELECT_INTERVALS_MAX; i++) {
        char item[16];
        snprintf(item, sizeof(item), ",%zu", 1 + 2 * i);
        bytes_append_text(&where, item);
    }
    bytes_append(&where, ")", 2);
    domains_are((const char *)where.data, "id: [1, 8193]\n");
}

/* ---- pruning ---- */

#define UNIVERSE 9 /* values: NULL, NaN, -inf, -1, -0.0, 0.0, 1, 2, inf */

static struct value universe_value(unsigned i)
{
    static const double values[] = {0, NAN, -INFINITY, -1, -0.0, 0.0, 1, 2, INFINITY};
    return (struct value){.null = i == 0, .f64 = values[i]};
}

static bool domain_holds(const struct select_domain *domain, struct value value)
{
    struct type type = {.kind = TYPE_DOUBLE};
    for (size_t i = 0; i < domain->interval_count; i++) {
        const struct select_interval *interval = &domain->intervals[i];
        int low = interval->has_low ? value_compare(type, value, interval->low) : 1;
        int high = interval->has_high ? value_compare(type, value, interval->high) : -1;
        if (!value.null && (low > 0 || (low == 0 && !interval->low_open)) &&
            (high < 0 || (high == 0 && !interval->high_open)))
            return true;
    }
    return value.null && domain->null;
}

/* Of every set of values: bounds as a row group gives them. */
static struct select_bounds bounds_of(unsigned members)
{
    struct type type = {.kind = TYPE_DOUBLE};
    struct select_bounds bounds = {0};
    for (unsigned i = 0; i < UNIVERSE; i++) {
        if ((members >> i & 1) != 0)
            select_bounds_add(&bounds, type, universe_value(i));
    }
    return bounds;
}

static void test_no_value_of_the_domain_is_pruned(void **state)
{
    (void)state;
    struct type type = {.kind = TYPE_DOUBLE};
    size_t pruned = 0;
    for (unsigned i = 0; i < 16 * UNIVERSE * UNIVERSE; i++) {
        struct value low = universe_value(1 + i / 16 % (UNIVERSE - 1));
        struct value high = universe_value(1 + i / 16 / UNIVERSE % (UNIVERSE - 1));
        const struct select_interval interval = {(i & 1) != 0, (i & 2) != 0, (i & 4) != 0,
                                                 (i & 8) != 0, low,          high};
        const struct select_domain domain = {
            .null = i % 3 == 0, .intervals = &interval, .interval_count = 1};
        for (unsigned members = 1; members < 1u << UNIVERSE; members++) {
            bool holds = false;
            for (unsigned k = 0; k < UNIVERSE; k++)
                holds =
                    holds || ((members >> k & 1) != 0 && domain_holds(&domain, universe_value(k)));
            const struct select_bounds bounds = bounds_of(members);
            bool possible = select_domain_possible(&domain, type, &bounds);
            assert_true(possible || !holds);
            pruned += !possible;
        }
    }
    assert_true(pruned > 10000);
    const struct select_interval above = {.has_low = true, .low.f64 = 9};
    const struct select_domain domain = {.intervals = &above, .interval_count = 1};
    const struct select_bounds unknown = {.has_value = true};
    assert_true(select_domain_possible(&domain, type, &unknown));
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
        .catalog = &sales.catalog, .cancel = &run->cancel, .limits.time_ms_max = time_ms_max};
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

/* Types that share a representation: the wider is the result's. */
static void test_results_have_the_wider_type(void **state)
{
    (void)state;
    struct run run;
    size_t count;
    run_open(&run,
             "SELECT greatest(units, id), CASE WHEN paid THEN units ELSE id END, ABS(units), "
             "least(units, 1), coalesce(units, 2) FROM t",
             0);
    const struct result_column *columns = select_columns(run.cursor, &count);
    static const enum type_kind wanted[] = {TYPE_BIGINT, TYPE_BIGINT, TYPE_BIGINT, TYPE_INT,
                                            TYPE_INT};
    assert_int_equal(count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(columns[i].type.kind, wanted[i]);
    run_close(&run);
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
        .catalog = &source->catalog, .cancel = &run.cancel, .limits.time_ms_max = time_ms_max};
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
    assert_string_equal(
        err.message,
        "the query took longer than select_time allows (1 ms): ask for less, or raise it");
    assert_int_equal(many_run(&source, 100000, false, &err), ERR_OK);
    source_memory_deinit(&source);
}

/* The whole result of a query over many rows within limits. */
static enum err_code limited_run(struct source_memory *source, const char *sql,
                                 const struct select_limits *limits, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct statement *statement;
    struct select_cursor *cursor;
    const struct select_options options = {.catalog = &source->catalog, .limits = *limits};
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    assert_int_equal(statement_parse(span_text(sql), &arena, &statement, NULL), ERR_OK);
    assert_int_equal(select_open(&statement->select, statement->text, &options, &cursor, err),
                     ERR_OK);
    BATCH_CLEANUP struct batch batch;
    select_batch_init(cursor, &batch);
    enum err_code code = ERR_OK;
    bool end = false;
    while (code == ERR_OK && !end)
        code = select_next(cursor, KIB(64), &batch, &end, err);
    select_close(cursor);
    assert_int_equal(resources_temp_total(), 0); /* whatever was written is gone */
    return code;
}

static void test_a_query_keeps_within_its_limits(void **state)
{
    (void)state;
    static const char sort[] = "SELECT v, v || 'some more text to be sorted with it' FROM t "
                               "ORDER BY v % 977, v";
    static const char group[] = "SELECT count(DISTINCT v || 'abcdefghijklmnopqrstuvw') FROM t";
    struct source_memory source;
    struct err err;
    many_rows(&source, 200000);
    struct select_limits limits = {.memory_bytes_max = 64 * MIB(1), .temp_bytes_max = 64 * MIB(1)};
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_OK);
    assert_int_equal(limited_run(&source, group, &limits, &err), ERR_OK);
    limits.memory_bytes_max = 1 * MIB(1);
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "select_memory allows (1048576 bytes)"));
    limits.memory_bytes_max = 16 * MIB(1);
    limits.temp_bytes_max = 1 * MIB(1);
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "select_temp allows (1048576 bytes)"));
    limits.temp_bytes_max = 0;
    limits.disk_reserve_bytes = UINT64_C(1) << 60;
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_NO_SPACE);
    assert_non_null(strstr(err.message, "disk_reserve"));
    limits = (struct select_limits){.rows_max = 200000};
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_OK);
    limits.rows_max--;
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "select_rows allows (199999)"));
    source_memory_deinit(&source);
}

/* Another query holds a part of what all may have together. */
static void test_all_queries_together_keep_within_a_limit(void **state)
{
    (void)state;
    static const char sort[] = "SELECT v, v || 'some more text to be sorted with it' FROM t "
                               "ORDER BY v % 977, v";
    struct source_memory source;
    struct err err;
    many_rows(&source, 200000);
    struct select_limits limits = {.memory_bytes_max = 512 * MIB(1)};
    static const char group[] = "SELECT count(DISTINCT v || 'abcdefghijklmnopqrstuvw') FROM t";
    struct resources other = {0};
    struct resources *before = resources_enter(&other);
    void *held = resources_malloc(20 * MIB(1));
    resources_leave(before);
    assert_in_range(resources_memory_total(), 20 * MIB(1), 21 * MIB(1));
    resources_total_set(26 * MIB(1)); /* what can be written is */
    assert_int_equal(limited_run(&source, group, &limits, &err), ERR_OK);
    resources_total_set(22 * MIB(1));
    assert_int_equal(limited_run(&source, sort, &limits, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, "select_memory_total allows (23068672 bytes)"));
    assert_in_range(resources_memory_total(), 20 * MIB(1), 21 * MIB(1));
    before = resources_enter(&other);
    resources_free(held);
    assert_in_range(resources_memory_total(), 0, MIB(1));
    resources_end(&other);
    resources_leave(before);
    assert_int_equal(resources_memory_total(), 0);
    resources_total_set(0);
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
        cmocka_unit_test(test_choices_and_functions_work_on_rows),
        cmocka_unit_test(test_wrong_names_get_a_suggestion),
        cmocka_unit_test(test_what_does_not_fit_together_is_refused),
        cmocka_unit_test(test_only_used_columns_are_read),
        cmocka_unit_test(test_columns_are_fetched_when_a_row_gets_to_them),
        cmocka_unit_test(test_comparisons_become_domains),
        cmocka_unit_test(test_lists_and_unions_become_domains),
        cmocka_unit_test(test_nulls_and_prefixes_become_domains),
        cmocka_unit_test(test_what_is_not_understood_limits_nothing),
        cmocka_unit_test(test_a_long_list_becomes_one_interval),
        cmocka_unit_test(test_no_value_of_the_domain_is_pruned),
        cmocka_unit_test(test_deep_and_long_expressions_run),
        cmocka_unit_test(test_closed_parentheses_nest),
        cmocka_unit_test(test_thousands_of_conditions_run),
        cmocka_unit_test(test_results_have_the_wider_type),
        cmocka_unit_test(test_results_come_in_pieces),
        cmocka_unit_test(test_a_query_stops_when_told_or_too_slow),
        cmocka_unit_test(test_a_query_keeps_within_its_limits),
        cmocka_unit_test(test_all_queries_together_keep_within_a_limit),
        cmocka_unit_test(test_the_sources_error_is_the_querys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
