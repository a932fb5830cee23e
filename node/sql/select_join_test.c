/* SELECT over more than one table, and queries within queries. */
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

static struct column emp_columns[] = {
    COLUMN(1, "id", TYPE_BIGINT, 0, 0), COLUMN(2, "name", TYPE_STRING, 0, 0),
    COLUMN(3, "dept", TYPE_BIGINT, 0, 0), COLUMN(4, "pay", TYPE_DECIMAL, 10, 2)};
static const struct schema emp_schema = {emp_columns, ARRAY_COUNT(emp_columns), NULL, 0, 5};
static struct source_memory emp;
static const char *const emp_rows[][4] = {{"1", "ann", "10", "5.00"},
                                          {"2", "bob", "20", "3.50"},
                                          {"3", "cid", NULL, "1.00"},
                                          {"4", "dan", "40", NULL}};

static struct column dept_columns[] = {COLUMN(1, "id", TYPE_BIGINT, 0, 0),
                                       COLUMN(2, "title", TYPE_STRING, 0, 0),
                                       COLUMN(3, "boss", TYPE_INT, 0, 0)};
static struct column dept_partitions[] = {COLUMN(4, "p", TYPE_BIGINT, 0, 0)};
static const struct schema dept_schema = {dept_columns, ARRAY_COUNT(dept_columns), dept_partitions,
                                          1, 5};
static struct source_memory dept;
static const char *const dept_rows[][4] = {{"10", "sales", "1", "1"},
                                           {"20", "it", "3", "1"},
                                           {"20", "ops", NULL, "2"},
                                           {NULL, "none", "2", "2"},
                                           {"50", "law", "9", "3"}};

static void result_is(const char *sql, const char *wanted)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    if (source_memory_select(&emp, sql, &text, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.message);
    bytes_append_u8(&text, 0);
    if (strcmp((const char *)text.data, wanted) != 0)
        fail_msg("%s\ngave   %s\nwanted %s", sql, (const char *)text.data, wanted);
}

static void select_fails(const char *sql, enum err_code code, const char *message)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    enum err_code got = source_memory_select(&emp, sql, &text, &err);
    if (got != code || strcmp(err.message, message) != 0)
        fail_msg("gave   %d %s\nwanted %d %s\n%s", (int)got, err.message, (int)code, message, sql);
}

/* ---- joins ---- */

static void test_an_inner_join_keeps_pairs_that_match(void **state)
{
    (void)state;
    static const char wanted[] = "ann|sales\nbob|it\nbob|ops\n";
    result_is("SELECT name, title FROM emp e JOIN dept d ON e.dept = d.id ORDER BY 1, 2", wanted);
    result_is("SELECT name, title FROM emp, dept WHERE dept = dept.id ORDER BY 1, 2", wanted);
    result_is("SELECT p.emp.name, title FROM p.emp CROSS JOIN dept d WHERE emp.dept = d.id "
              "ORDER BY 1, 2",
              wanted);
    result_is("SELECT count(*) FROM emp, dept", "20\n");
    result_is("SELECT count(*) FROM emp a, emp b, emp c WHERE a.id < b.id AND b.id < c.id", "4\n");
    result_is("SELECT d.*, e.id FROM emp e JOIN dept d ON e.id = boss AND d.p = 1",
              "10|sales|1|1|1\n20|it|3|1|3\n");
}

static void test_outer_joins_fill_with_nulls(void **state)
{
    (void)state;
    result_is("SELECT name, title FROM emp e LEFT JOIN dept d ON e.dept = d.id ORDER BY 1, 2",
              "ann|sales\nbob|it\nbob|ops\ncid|NULL\ndan|NULL\n");
    result_is("SELECT name, title FROM emp e RIGHT JOIN dept d ON e.dept = d.id ORDER BY 1, 2",
              "NULL|law\nNULL|none\nann|sales\nbob|it\nbob|ops\n");
    result_is("SELECT name, title FROM emp e FULL JOIN dept d ON e.dept = d.id ORDER BY 1, 2",
              "NULL|law\nNULL|none\nann|sales\nbob|it\nbob|ops\ncid|NULL\ndan|NULL\n");
    result_is("SELECT name, title FROM emp e LEFT JOIN dept d ON e.dept = d.id AND d.p = 2 "
              "WHERE d.id IS NULL ORDER BY 1",
              "ann|NULL\ncid|NULL\ndan|NULL\n");
    /* dept's rows with an id must be read: left out, they would leave NULLs behind */
    result_is("SELECT name FROM emp e LEFT JOIN dept d ON e.dept = d.id WHERE d.id IS NULL "
              "ORDER BY 1",
              "cid\ndan\n");
    result_is("SELECT name, title FROM emp e LEFT JOIN dept d ON e.dept = d.id AND e.id = 1 "
              "ORDER BY 1",
              "ann|sales\nbob|NULL\ncid|NULL\ndan|NULL\n");
    result_is("SELECT a.name, title, b.name FROM emp a LEFT JOIN dept d ON a.dept = d.id FULL JOIN "
              "emp b ON boss = b.id ORDER BY 1, 2, 3",
              "NULL|NULL|bob\nNULL|NULL|dan\nann|sales|ann\nbob|it|cid\nbob|ops|NULL\n"
              "cid|NULL|NULL\ndan|NULL|NULL\n");
}

static void test_a_condition_without_columns_is_one_of_its_join_only(void **state)
{
    (void)state;
    result_is("SELECT a.id, b.id, title FROM emp a JOIN emp b ON 1 = 0 RIGHT JOIN dept ON title = "
              "a.name ORDER BY 3",
              "NULL|NULL|it\nNULL|NULL|law\nNULL|NULL|none\nNULL|NULL|ops\nNULL|NULL|sales\n");
    result_is(
        "SELECT id FROM emp e WHERE (SELECT count(title) FROM emp a JOIN emp b ON e.id = 2 FULL "
        "JOIN dept ON FALSE) = 5 ORDER BY 1",
        "1\n2\n3\n4\n");
}

/* a, (b RIGHT JOIN c): the comma's left side gets no NULLs. */
static void test_a_join_behind_a_comma_stands_alone(void **state)
{
    (void)state;
    result_is("SELECT a.id, e.id, d.title FROM emp a, emp e RIGHT JOIN dept d ON e.dept = d.id AND "
              "d.p > 1 WHERE a.id < 3 ORDER BY 1, 2, 3",
              "1|NULL|it\n1|NULL|law\n1|NULL|none\n1|NULL|sales\n1|2|ops\n"
              "2|NULL|it\n2|NULL|law\n2|NULL|none\n2|NULL|sales\n2|2|ops\n");
    result_is("SELECT a.id, e.id, d.title FROM emp a, emp e LEFT JOIN dept d ON e.dept = d.id "
              "WHERE a.id = 1 AND e.id > 2 ORDER BY 1, 2",
              "1|3|NULL\n1|4|NULL\n");
}

static void test_semi_and_anti_joins_give_left_rows_once(void **state)
{
    (void)state;
    result_is("SELECT * FROM emp e LEFT SEMI JOIN dept d ON e.dept = d.id ORDER BY e.id",
              "1|ann|10|5.00\n2|bob|20|3.50\n");
    result_is("SELECT id, name FROM emp e LEFT ANTI JOIN dept d ON e.dept = d.id ORDER BY id",
              "3|cid\n4|dan\n");
    result_is("SELECT id FROM emp e LEFT ANTI JOIN dept d ON e.dept = d.id AND e.id > 1 ORDER BY 1",
              "1\n3\n4\n");
    result_is("SELECT id FROM emp e LEFT ANTI JOIN dept d ON NULL ORDER BY id", "1\n2\n3\n4\n");
    result_is("SELECT e.name, f.name, d.title FROM emp e LEFT SEMI JOIN dept x ON e.dept = x.id "
              "LEFT ANTI JOIN dept y ON y.boss = e.id RIGHT JOIN emp f ON f.dept = e.dept "
              "LEFT JOIN dept d ON d.id = f.dept ORDER BY 1, 2, 3",
              "NULL|ann|sales\nNULL|bob|it\nNULL|bob|ops\nNULL|cid|NULL\nNULL|dan|NULL\n");
    select_fails("SELECT title FROM emp e LEFT SEMI JOIN dept d ON e.dept = d.id", ERR_SEMANTIC,
                 "line 1, column 8: title belongs to the right side of a semi or anti join, whose "
                 "columns stand only in its ON");
}

static void test_a_name_that_could_be_two_columns_is_refused(void **state)
{
    (void)state;
    select_fails("SELECT name,\n  id FROM emp e JOIN dept ON e.dept = dept.id", ERR_SEMANTIC,
                 "line 2, column 3: column id could be e.id or p.dept.id: say which");
    select_fails("SELECT 1 FROM emp e JOIN dept d ON id = boss", ERR_SEMANTIC,
                 "line 1, column 36: column id could be e.id or d.id: say which");
    select_fails("SELECT x FROM (SELECT id x, name x FROM emp) d", ERR_SEMANTIC,
                 "line 1, column 8: d has more than one column x");
    select_fails("SELECT 1 FROM emp JOIN p.EMP ON 1 = 1", ERR_SEMANTIC,
                 "line 1, column 24: EMP stands twice in FROM: give one of them another alias");
    select_fails("SELECT 1 FROM emp d, (SELECT 1) d", ERR_SEMANTIC,
                 "line 1, column 22: d stands twice in FROM: give one of them another alias");
    select_fails("SELECT emp.id FROM p.emp, q.emp", ERR_SEMANTIC,
                 "line 1, column 8: column id could be p.emp.id or q.emp.id: say which");
    result_is("SELECT count(*), sum(q.emp.id) FROM p.emp, q.emp WHERE p.emp.id = q.emp.id",
              "4|10\n");
    select_fails("SELECT nme FROM emp e JOIN dept d ON 1 = 1", ERR_SEMANTIC,
                 "line 1, column 8: no table has a column nme, did you mean e.name?");
    select_fails("SELECT d.name FROM emp e JOIN dept d ON 1 = 1", ERR_SEMANTIC,
                 "line 1, column 8: table d has no column name; it has id, title, boss, p");
    select_fails("SELECT 1 FROM emp a JOIN emp b ON c.id = 1 JOIN emp c ON 1 = 1", ERR_SEMANTIC,
                 "line 1, column 35: there is no table or alias c");
    select_fails("SELECT 1 FROM emp a, emp b JOIN emp c ON a.id = 1", ERR_SEMANTIC,
                 "line 1, column 42: there is no table or alias a");
    select_fails("SELECT x.* FROM emp e", ERR_SEMANTIC,
                 "line 1, column 8: there is no table or alias x");
    select_fails("SELECT 1 FROM emp e JOIN dept d ON e.id", ERR_SEMANTIC,
                 "line 1, column 36: ON needs a BOOLEAN, found BIGINT");
    select_fails("SELECT 1 FROM emp e JOIN dept d ON count(*) = 1", ERR_SEMANTIC,
                 "line 1, column 36: count cannot stand in ON");
}

/* ---- queries in FROM and WITH ---- */

static void test_derived_tables_have_their_own_columns(void **state)
{
    (void)state;
    result_is(
        "SELECT d.n, d.total * 2 FROM (SELECT dept n, sum(pay) total FROM emp GROUP BY dept) d "
        "WHERE total > 1 ORDER BY n",
        "10|10.00\n20|7.00\n");
    result_is("SELECT x.name, y.title FROM (SELECT * FROM emp WHERE id < 3) x LEFT JOIN (SELECT "
              "id, max(title) title FROM dept GROUP BY id) y ON x.dept = y.id ORDER BY 1",
              "ann|sales\nbob|ops\n");
    result_is("SELECT count(*) FROM (SELECT * FROM emp, (SELECT 1 one) z) y", "4\n");
    result_is("SELECT count(*) FROM (SELECT count(*) FROM emp WHERE id > 9) y", "1\n");
    result_is("SELECT count(*) FROM (SELECT DISTINCT dept > 10, 1 FROM emp) y", "3\n");
    result_is("SELECT _c0 FROM (SELECT id + 1 FROM emp ORDER BY id DESC LIMIT 1) y", "5\n");
    select_fails("SELECT 1 FROM emp e, (SELECT e.id) d", ERR_SEMANTIC,
                 "line 1, column 30: there is no table or alias e");
    select_fails("SELECT nam FROM (SELECT name FROM emp) d", ERR_SEMANTIC,
                 "line 1, column 8: d has no column nam, did you mean name?");
}

static void test_with_names_queries_for_those_behind(void **state)
{
    (void)state;
    result_is(
        "WITH a AS (SELECT id, dept FROM emp WHERE id < 4), b AS (SELECT id + 1 n, dept FROM A) "
        "SELECT a.id, b.n FROM a JOIN b ON a.id = b.n ORDER BY 1",
        "2|2\n3|3\n");
    result_is("WITH emp AS (SELECT 7 id FROM dept) SELECT sum(id), (SELECT max(id) FROM emp) FROM "
              "emp",
              "35|7\n");
    result_is(
        "WITH a AS (SELECT 1 x) SELECT * FROM (WITH a AS (SELECT x + 1 x FROM a) SELECT x FROM "
        "a) d, a",
        "2|1\n");
    select_fails("WITH a AS (SELECT 1), A AS (SELECT 2) SELECT * FROM a", ERR_SEMANTIC,
                 "line 1, column 23: A stands twice in WITH");
    select_fails("WITH a AS (SELECT * FROM absent) SELECT 1", ERR_TABLE_NOT_FOUND,
                 "line 1, column 26: absent");
}

/* ---- subqueries ---- */

static void test_a_subquery_is_a_value(void **state)
{
    (void)state;
    result_is("SELECT (SELECT max(id) FROM dept) + 1, (SELECT title FROM dept WHERE p = 3)",
              "51|law\n");
    result_is("SELECT (SELECT title FROM dept WHERE p = 9) IS NULL", "true\n");
    result_is("SELECT name FROM emp WHERE pay = (SELECT max(pay) FROM emp)", "ann\n");
    result_is("SELECT name, (SELECT count(*) FROM dept d WHERE d.id = e.dept) n FROM emp e "
              "ORDER BY n DESC, name",
              "bob|2\nann|1\ncid|0\ndan|0\n");
    result_is("SELECT name FROM emp e WHERE 1 < (SELECT count(*) FROM dept d WHERE d.id = e.dept)",
              "bob\n");
    result_is("SELECT dept % 20 k, count(*) FROM emp GROUP BY dept % 20 HAVING count(*) >= (SELECT "
              "min(boss) FROM dept WHERE boss > 1) ORDER BY k",
              "0|2\n");
    result_is(
        "SELECT dept, (SELECT max(title) FROM dept d WHERE d.id = emp.dept) FROM emp GROUP BY "
        "dept ORDER BY 1",
        "NULL|NULL\n10|sales\n20|ops\n40|NULL\n");
    select_fails("SELECT (SELECT id FROM emp)", ERR_SEMANTIC,
                 "line 1, column 8: a subquery that stands for a value has more than one row");
    select_fails("SELECT name FROM emp e WHERE id = (SELECT d.p FROM dept d WHERE d.id = e.dept)",
                 ERR_SEMANTIC,
                 "line 1, column 35: a subquery that stands for a value has more than one row");
    select_fails(
        "SELECT (SELECT id, name FROM emp)", ERR_SEMANTIC,
        "line 1, column 9: a subquery that stands for a value has one column, this one has "
        "2");
    select_fails("SELECT count(*), (SELECT max(d.id) FROM dept d WHERE d.id = emp.dept) FROM emp",
                 ERR_SEMANTIC,
                 "line 1, column 61: column dept must be in GROUP BY or inside an aggregate");
    select_fails("SELECT (SELECT sum(emp.id) FROM dept d) FROM emp", ERR_SEMANTIC,
                 "line 1, column 16: an aggregate over columns of the query around alone belongs "
                 "into that query");
}

#define MANY "(SELECT id FROM emp)"

static void test_a_subquery_runs_only_where_its_branch_is_taken(void **state)
{
    (void)state;
    result_is("SELECT CASE WHEN id > 9 THEN " MANY " ELSE id END FROM emp WHERE id < 3", "1\n2\n");
    result_is("SELECT 10 + CASE id WHEN 9 THEN " MANY " WHEN 1 THEN (SELECT max(id) FROM dept) END "
              "FROM emp WHERE id < 3",
              "60\nNULL\n");
    result_is("SELECT IF(id > 9, CAST((SELECT max(title) FROM dept) AS BIGINT), 5) FROM emp "
              "WHERE id = 1",
              "5\n");
    result_is("SELECT COALESCE(id, " MANY ") + 1 FROM emp WHERE COALESCE(id > 2, 1 < " MANY ")",
              "4\n5\n");
    result_is("SELECT max(CASE WHEN id > 9 THEN " MANY " ELSE id END) FROM emp", "4\n");
    result_is("SELECT CASE WHEN (SELECT count(*) FROM dept d WHERE d.id = e.dept) > 1 THEN name "
              "WHEN id > 9 THEN CASE WHEN id > 10 THEN 'x' ELSE (SELECT title FROM dept) END END "
              "FROM emp e ORDER BY id",
              "NULL\nbob\nNULL\nNULL\n");
    result_is("SELECT CASE WHEN id > 9 THEN CASE WHEN id > 9 THEN CASE WHEN id > 9 THEN CASE WHEN "
              "id > 9 THEN (SELECT max(id) FROM dept) END END END ELSE 3 END FROM emp WHERE id = 1",
              "3\n"); /* deeper than stand apart */
    select_fails("SELECT CASE WHEN id > 3 THEN " MANY " END FROM emp", ERR_SEMANTIC,
                 "line 1, column 30: a subquery that stands for a value has more than one row");
}

static void test_in_and_exists_use_three_valued_logic(void **state)
{
    (void)state;
    result_is("SELECT name FROM emp WHERE dept IN (SELECT id FROM dept) ORDER BY 1", "ann\nbob\n");
    result_is("SELECT name FROM emp WHERE dept NOT IN (SELECT id FROM dept)", "");
    result_is("SELECT name FROM emp WHERE dept NOT IN (SELECT id FROM dept WHERE id IS NOT NULL)",
              "dan\n");
    result_is("SELECT name FROM emp WHERE dept NOT IN (SELECT id FROM dept WHERE p = 9) ORDER BY 1",
              "ann\nbob\ncid\ndan\n");
    result_is("SELECT NULL IN (SELECT 1), NULL IN (SELECT 1 FROM emp WHERE id > 9), 1 IN (SELECT "
              "NULL), 1 NOT IN (SELECT id FROM emp)",
              "NULL|false|NULL|false\n");
    result_is("SELECT name FROM emp e WHERE EXISTS (SELECT * FROM dept d WHERE d.id = e.dept) "
              "ORDER BY 1",
              "ann\nbob\n");
    result_is(
        "SELECT name FROM emp e WHERE NOT EXISTS (SELECT 1 FROM dept d WHERE d.id = e.dept AND "
        "d.p = 1) ORDER BY 1",
        "cid\ndan\n");
    result_is("SELECT EXISTS (SELECT count(*) FROM emp WHERE id > 9), EXISTS (SELECT 1 FROM emp "
              "WHERE id > 9)",
              "true|false\n");
    result_is("SELECT name FROM emp e WHERE id IN (SELECT boss FROM dept d WHERE d.id = e.dept)",
              "ann\n");
    result_is("SELECT name FROM emp WHERE pay IN (SELECT 5) OR id || '' IN (SELECT '2')",
              "ann\nbob\n");
    result_is(
        "SELECT name FROM emp WHERE '1' || id IN (SELECT DISTINCT id FROM emp UNION ALL SELECT "
        "13)",
        "cid\n");
    select_fails(
        "SELECT 1 FROM emp WHERE id IN (SELECT id, p FROM dept)", ERR_SEMANTIC,
        "line 1, column 32: a subquery that stands for a value has one column, this one has "
        "2");
    select_fails("SELECT 1 FROM emp WHERE id IN (SELECT DATE '2024-01-01')", ERR_SEMANTIC,
                 "line 1, column 39: DATE cannot be compared with BIGINT");
}

static void test_queries_see_those_around_them(void **state)
{
    (void)state;
    result_is(
        "SELECT name, (SELECT max(n) FROM (SELECT d.p + e.id n FROM dept d WHERE d.id = e.dept) "
        "x) FROM emp e ORDER BY 1",
        "ann|2\nbob|4\ncid|NULL\ndan|NULL\n");
    result_is("SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.id = e.dept AND "
              "EXISTS (SELECT 1 FROM emp f WHERE f.id = d.boss AND f.dept = e.dept))",
              "ann\n");
    result_is("SELECT name FROM emp e WHERE e.id IN (SELECT d.boss FROM dept d WHERE d.p = 1 UNION "
              "SELECT e.id - e.id % 2 FROM dept LIMIT 99) ORDER BY 1",
              "ann\nbob\ncid\ndan\n");
    result_is("SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d LEFT SEMI JOIN emp f ON "
              "f.id = d.boss AND f.id = e.id)  ORDER BY 1",
              "ann\nbob\ncid\n");
}

/* ---- set operations ---- */

static void test_set_operations(void **state)
{
    (void)state;
    result_is("SELECT id FROM emp WHERE id < 3 UNION ALL SELECT boss FROM dept ORDER BY 1",
              "NULL\n1\n1\n2\n2\n3\n9\n");
    result_is("SELECT id FROM emp UNION SELECT boss FROM dept ORDER BY id DESC LIMIT 3",
              "9\n4\n3\n");
    result_is("SELECT id FROM emp INTERSECT SELECT boss FROM dept ORDER BY 1", "1\n2\n3\n");
    result_is("SELECT boss FROM dept EXCEPT SELECT id FROM emp ORDER BY 1", "NULL\n9\n");
    result_is("SELECT boss FROM dept MINUS (SELECT id FROM emp UNION ALL SELECT NULL)", "9\n");
    result_is("SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3", "1\n");
    result_is("(SELECT 1 UNION ALL SELECT 3) INTERSECT SELECT 3", "3\n");
    result_is(
        "(SELECT id FROM emp ORDER BY id DESC LIMIT 1) UNION ALL (SELECT id FROM emp ORDER BY "
        "id LIMIT 1)",
        "4\n1\n");
    result_is("SELECT count(*), sum(n) FROM (SELECT id n FROM emp UNION ALL SELECT p FROM dept) u "
              "WHERE n > 1",
              "6|16\n");
    result_is("SELECT pay FROM emp WHERE id = 1 UNION ALL SELECT 2.125BD UNION ALL SELECT 3 UNION "
              "ALL SELECT NULL",
              "5.000\n2.125\n3.000\nNULL\n");
    result_is("SELECT 1 UNION SELECT 1.0 UNION SELECT 1L", "1\n");
    result_is("SELECT DISTINCT pay FROM emp WHERE id = 1 UNION ALL SELECT 0.5", "5.00\n0.50\n");
    result_is(
        "SELECT DISTINCT pay FROM emp WHERE id = 1 UNION ALL SELECT 0.125 + id FROM emp WHERE "
        "id = 1",
        "5\n1.125\n");
    select_fails("SELECT id, name FROM emp UNION ALL SELECT id FROM dept", ERR_SEMANTIC,
                 "line 1, column 36: query 2 of a set operation has 1 columns, the first has 2");
    select_fails("SELECT id, name FROM emp UNION ALL SELECT 1, 'x' UNION ALL SELECT id, TRUE FROM "
                 "dept",
                 ERR_SEMANTIC,
                 "line 1, column 71: column 2, name, is BOOLEAN in query 3 of a set operation and "
                 "STRING before");
    select_fails("SELECT id FROM emp UNION SELECT id FROM dept ORDER BY id + 1", ERR_SEMANTIC,
                 "line 1, column 55: ORDER BY of a set operation takes names and numbers of result "
                 "columns only");
}

/* ---- what the sources are asked for ---- */

/* What the source of dept is asked for, its pieces as source_memory.h writes them. */
static void domains_are(const char *from_and_where, const char *wanted)
{
    BYTES_CLEANUP struct bytes text = {0};
    char sql[400];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", from_and_where);
    assert_int_equal(source_memory_select(&emp, sql, &text, NULL), ERR_OK);
    if (!span_equal(bytes_span(&dept.domains), span_text(wanted)))
        fail_msg("%s: '%.*s', wanted '%s'", sql, SPAN_PRINTF(bytes_span(&dept.domains)), wanted);
}

static void test_conjuncts_prune_where_that_changes_nothing(void **state)
{
    (void)state;
    domains_are("emp e JOIN dept d ON e.dept = d.id WHERE d.p = 2", "p: [2, 2]\n");
    domains_are("emp e JOIN dept d ON e.dept = d.id AND d.p BETWEEN 1 AND 2", "p: [1, 2]\n");
    domains_are("emp e LEFT JOIN dept d ON e.dept = d.id AND d.p = 2", "p: [2, 2]\n");
    domains_are("emp e LEFT JOIN dept d ON e.dept = d.id WHERE d.p = 2", "p: [2, 2]\n");
    domains_are("emp e LEFT JOIN dept d ON e.dept = d.id WHERE d.p IS NULL", "");
    domains_are("emp e LEFT JOIN dept d ON e.dept = d.id WHERE d.p = 2 OR e.id = 1", "");
    domains_are("dept d LEFT JOIN emp e ON e.dept = d.id AND d.p = 2", "");
    domains_are("emp e RIGHT JOIN dept d ON e.dept = d.id AND d.p = 2", "");
    domains_are("dept d RIGHT JOIN emp e ON e.dept = d.id AND d.p = 2", "p: [2, 2]\n");
    domains_are("emp e FULL JOIN dept d ON e.dept = d.id AND d.p = 2", "");
    domains_are("emp e FULL JOIN dept d ON e.dept = d.id WHERE d.p = 2", "p: [2, 2]\n");
    domains_are("emp e LEFT ANTI JOIN dept d ON e.dept = d.id AND d.p = 2", "p: [2, 2]\n");
    domains_are("dept d LEFT ANTI JOIN emp e ON e.dept = d.id AND d.p = 2", "");
    domains_are("dept d LEFT SEMI JOIN emp e ON e.dept = d.id AND d.p = 2", "p: [2, 2]\n");
    domains_are("(SELECT id, p q FROM dept) d WHERE q = 2", "p: [2, 2]\n");
    domains_are("(SELECT id, p q FROM dept WHERE p > 1) d WHERE q < 3", "p: (1, 3)\n");
    domains_are("(SELECT p q, count(*) FROM dept GROUP BY p UNION ALL SELECT 7, 7) d WHERE q = 2",
                "p: [2, 2]\n");
    domains_are("(SELECT id, p q FROM dept ORDER BY id LIMIT 2) d WHERE q = 2", "");
    domains_are("(SELECT id, p + 0 q FROM dept) d WHERE q = 2", "");
    domains_are("emp WHERE id IN (SELECT boss FROM dept WHERE p = 2)", "p: [2, 2]\n");
    BYTES_CLEANUP struct bytes text = {0};
    assert_int_equal(
        source_memory_select(&emp,
                             "WITH w AS (SELECT id, p FROM dept) SELECT count(*) FROM w a "
                             "JOIN w b ON a.id = b.id WHERE a.p = 1",
                             &text, NULL),
        ERR_OK);
    assert_int_equal(dept.domains.len, 0); /* b wants the other rows */
}

static void test_only_columns_that_reach_the_result_are_read(void **state)
{
    (void)state;
    result_is("SELECT count(*) FROM (SELECT * FROM dept) d", "5\n");
    assert_int_equal(dept.last.column_count, 0);
    result_is(
        "SELECT max(title) FROM (SELECT * FROM (SELECT id, title, p FROM dept) x WHERE p > 2) d",
        "law\n");
    assert_int_equal(dept.last.column_count, 2);
    size_t opened = dept.opened;
    result_is("SELECT count(*) FROM emp e WHERE EXISTS (SELECT * FROM dept d WHERE d.id = e.dept)",
              "2\n");
    assert_int_equal(dept.last.column_count, 1);
    assert_int_equal(dept.opened - opened, 1); /* once, not for each row of emp */
}

/* ---- limits ---- */

/* Queries in one another, each in parentheses, calls and lists as deep as they may be printed. */
static void nested_query(struct bytes *sql, unsigned depth)
{
    bytes_printf(
        sql,
        "SELECT x%u.id FROM emp x%u LEFT JOIN dept y%u ON (x%u.id > 0 OR (y%u.p = 1 AND (x%u.id "
        "= 3 OR NOT (x%u.name LIKE 'q' AND ",
        depth, depth, depth, depth, depth, depth, depth);
    if (depth == 0) {
        bytes_append_text(sql, "1 = 1");
    } else {
        bytes_printf(sql, "1 < x%u.id + (SELECT count(*) FROM emp z%u WHERE z%u.id IN (", depth,
                     depth, depth);
        nested_query(sql, depth - 1);
        bytes_append_text(sql, "))");
    }
    bytes_printf(sql, ")))) WHERE x%u.id = top.id GROUP BY x%u.id HAVING count(*) > 0 ORDER BY 1",
                 depth, depth);
}

static void nested_is(unsigned depth, enum err_code code, const char *message)
{
    BYTES_CLEANUP struct bytes sql = {0};
    bytes_append_text(&sql,
                      "SELECT id FROM emp top WHERE (id > 0 AND (id < 9 OR (name = 'x' AND (NOT "
                      "(id = 7 OR (id IN (");
    nested_query(&sql, depth);
    bytes_append_text(&sql, ")))))))");
    bytes_append_u8(&sql, 0);
    if (code == ERR_OK)
        result_is((const char *)sql.data, "1\n2\n3\n4\n");
    else
        select_fails((const char *)sql.data, code, message);
}

static void test_correlated_queries_nest_to_their_limit(void **state)
{
    (void)state;
    nested_is(0, ERR_OK, NULL);
    nested_is(1, ERR_OK, NULL);
    nested_is(2, ERR_LIMIT,
              "queries that use columns of those around them are nested deeper than 4");
}

static void repeated(struct bytes *sql, const char *head, const char *piece, size_t times,
                     const char *tail)
{
    bytes_append_text(sql, head);
    for (size_t i = 0; i < times; i++)
        bytes_append_text(sql, piece);
    bytes_append_text(sql, tail);
    bytes_append_u8(sql, 0);
}

static void test_queries_in_from_and_in_nest_deep(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes from = {0};
    bytes_append_text(&from, "SELECT count(*) FROM ");
    for (unsigned i = 0; i < LIMIT_QUERY_DEPTH - 2; i++)
        bytes_append_text(&from, "(SELECT id + 0 id FROM ");
    bytes_append_text(&from, "(SELECT id FROM emp) d");
    for (unsigned i = 0; i < LIMIT_QUERY_DEPTH - 2; i++)
        bytes_append_text(&from, ") d");
    bytes_append_u8(&from, 0);
    result_is((const char *)from.data, "4\n");
    BYTES_CLEANUP struct bytes in = {0};
    repeated(&in, "SELECT count(*) FROM emp WHERE ", "id IN (SELECT id FROM emp WHERE ",
             LIMIT_QUERY_DEPTH - 1, "id > 1");
    in.len--;
    for (unsigned i = 0; i < LIMIT_QUERY_DEPTH - 1; i++)
        bytes_append_u8(&in, ')');
    bytes_append_u8(&in, 0);
    result_is((const char *)in.data, "3\n");
}

static void test_wide_statements_run_and_wider_ones_are_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes set = {0};
    repeated(&set, "SELECT count(*) FROM (SELECT id FROM emp", " UNION ALL SELECT id FROM emp",
             LIMIT_SET_BRANCHES - 1, ") d");
    result_is((const char *)set.data, "1024\n");
    BYTES_CLEANUP struct bytes joins = {0};
    bytes_append_text(&joins, "SELECT count(*), max(a31.name) FROM emp a0");
    for (unsigned i = 1; i < LIMIT_JOIN_TABLES; i++)
        bytes_printf(&joins, " %s JOIN emp a%u ON a%u.id = a%u.id",
                     i % 4 == 1   ? "FULL"
                     : i % 4 == 2 ? "LEFT"
                     : i % 4 == 3 ? "RIGHT"
                                  : "",
                     i, i - 1, i);
    bytes_append_u8(&joins, 0);
    result_is((const char *)joins.data, "4|dan\n");
    BYTES_CLEANUP struct bytes chain = {0};
    bytes_append_text(&chain, "WITH a0 AS (SELECT id FROM emp)");
    for (unsigned i = 1; i < 30; i++)
        bytes_printf(&chain, ", a%u AS (SELECT x.id FROM a%u x JOIN a%u y ON x.id = y.id)", i,
                     i - 1, i - 1);
    bytes_append_text(&chain, " SELECT * FROM a29");
    bytes_append_u8(&chain, 0);
    select_fails(
        (const char *)chain.data, ERR_LIMIT,
        "line 1, column 631: the statement reads more than 4096 queries and tables, counting "
        "those of WITH as often as they are named");
}

/* Each program gets its columns in another way: by themselves, in one pack, in several. */
static void test_an_expression_may_use_every_column_of_a_wide_table(void **state)
{
    (void)state;
    static const size_t counts[] = {109, 110, 111, 126, 127, 234, 235, 236, 1100};
    static struct column columns[1100];
    static char names[ARRAY_COUNT(columns)][8];
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        int len = snprintf(names[i], sizeof(names[i]), "w%zu", i);
        columns[i] = (struct column){.id = (uint32_t)i + 1,
                                     .name = span_of(names[i], (size_t)len),
                                     .type.kind = i % 3 == 0 ? TYPE_BIGINT : TYPE_STRING};
    }
    struct schema schema = {columns, ARRAY_COUNT(columns), NULL, 0, ARRAY_COUNT(columns) + 1};
    struct source_memory wide;
    const char *row[ARRAY_COUNT(columns)];
    source_memory_init(&wide, &schema, 10);
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++)
        row[i] = i % 7 == 1 ? NULL : i % 5 == 1 && i % 3 != 0 ? "" : names[i] + 1;
    source_memory_add(&wide, row);
    for (size_t k = 0; k < ARRAY_COUNT(counts); k++) {
        BYTES_CLEANUP struct bytes sql = {0};
        BYTES_CLEANUP struct bytes wanted = {0};
        BYTES_CLEANUP struct bytes text = {0};
        struct err err = {0};
        bytes_append_text(&sql, "SELECT CONCAT_WS(','");
        for (size_t i = 0; i < counts[k]; i++) {
            bytes_printf(&sql,
                         i % 3 == 0 ? ",COALESCE(CAST(w%zu AS STRING),'-')" : ",COALESCE(w%zu,'-')",
                         i);
            bytes_printf(&wanted, "%s%s", i > 0 ? "," : "", row[i] == NULL ? "-" : row[i]);
        }
        bytes_append(&sql, ") FROM t", sizeof(") FROM t"));
        bytes_append(&wanted, "\n", 1);
        if (source_memory_select(&wide, (const char *)sql.data, &text, &err) != ERR_OK)
            fail_msg("%zu columns: %s", counts[k], err.message);
        assert_int_equal(text.len, wanted.len);
        assert_memory_equal(text.data, wanted.data, text.len);
    }
    source_memory_deinit(&wide);
}

static int setup(void **state)
{
    (void)state;
    if (select_start("/tmp", NULL) != ERR_OK)
        return 1;
    source_memory_init(&emp, &emp_schema, 3);
    source_memory_init(&dept, &dept_schema, 2);
    emp.name = "emp";
    emp.next = &dept;
    for (size_t i = 0; i < ARRAY_COUNT(emp_rows); i++)
        source_memory_add(&emp, emp_rows[i]);
    for (size_t i = 0; i < ARRAY_COUNT(dept_rows); i++)
        source_memory_add(&dept, dept_rows[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_memory_deinit(&emp);
    source_memory_deinit(&dept);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_inner_join_keeps_pairs_that_match),
        cmocka_unit_test(test_outer_joins_fill_with_nulls),
        cmocka_unit_test(test_a_condition_without_columns_is_one_of_its_join_only),
        cmocka_unit_test(test_a_join_behind_a_comma_stands_alone),
        cmocka_unit_test(test_semi_and_anti_joins_give_left_rows_once),
        cmocka_unit_test(test_a_name_that_could_be_two_columns_is_refused),
        cmocka_unit_test(test_derived_tables_have_their_own_columns),
        cmocka_unit_test(test_with_names_queries_for_those_behind),
        cmocka_unit_test(test_a_subquery_is_a_value),
        cmocka_unit_test(test_a_subquery_runs_only_where_its_branch_is_taken),
        cmocka_unit_test(test_in_and_exists_use_three_valued_logic),
        cmocka_unit_test(test_queries_see_those_around_them),
        cmocka_unit_test(test_set_operations),
        cmocka_unit_test(test_conjuncts_prune_where_that_changes_nothing),
        cmocka_unit_test(test_only_columns_that_reach_the_result_are_read),
        cmocka_unit_test(test_correlated_queries_nest_to_their_limit),
        cmocka_unit_test(test_queries_in_from_and_in_nest_deep),
        cmocka_unit_test(test_an_expression_may_use_every_column_of_a_wide_table),
        cmocka_unit_test(test_wide_statements_run_and_wider_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
