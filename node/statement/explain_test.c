/* EXPLAIN SELECT says what the scan then does; over row groups large enough to have statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/statement/trial.h"
#include "node/table_source.h"

#define GROUP_ROWS 1100 /* above STATISTICS_ROWS_MIN */

static struct trial trial;

/* One segment, so one row group: id from `first`; units NULL when it is below 0. */
static void group_insert(const char *day, int first, int units, const char *name)
{
    BYTES_CLEANUP struct bytes text = {0};
    bytes_printf(&text, "INSERT INTO sales PARTITION(day='%s') VALUES ", day);
    for (int i = 0; i < GROUP_ROWS; i++) {
        bytes_printf(&text, "%s(%d, ", i > 0 ? ", " : "", first + i);
        if (units < 0)
            bytes_append_text(&text, "NULL");
        else
            bytes_printf(&text, "%d", units + i % 7);
        bytes_printf(&text, ", %d.125, '%s%d')", i, name, i);
    }
    bytes_append_u8(&text, 0);
    trial_gives(&trial, (const char *)text.data, "");
}

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    trial_project(&trial);
    trial_gives(&trial,
                "CREATE TABLE sales (id BIGINT, units BIGINT, price DOUBLE, name STRING) "
                "PARTITIONED BY (day DATE)",
                "");
    group_insert("2024-01-01", 0, 10, "ant");
    group_insert("2024-01-01", 10000, -1, "bee");
    group_insert("2024-01-02", 20000, 30, "cat");
    group_insert("2024-01-03", 30000, 40, "dog");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

/* partition|partitions|action|reason|row_groups of each row; the rest, and the table, aside. */
static void explained(const char *where, const char *wanted)
{
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes got = {0};
    char sql[512];
    snprintf(sql, sizeof(sql), "EXPLAIN SELECT sum(units) FROM sales %s", where);
    if (trial_run(&trial, sql, &text) != ERR_OK)
        fail_msg("%s: %s", sql, (const char *)text.data);
    char *rows = NULL;
    for (char *row = strtok_r((char *)text.data, ";", &rows); row != NULL;
         row = strtok_r(NULL, ";", &rows)) {
        char *table_end = strchr(row, ',');
        char *end = row + strlen(row);
        for (int i = 0; i < 3; i++) { /* rows, files, bytes */
            while (end[-1] != ',')
                end--;
            end--;
        }
        assert_non_null(table_end);
        bytes_printf(&got, "%.*s\n", (int)(end - table_end - 1), table_end + 1);
    }
    bytes_append_u8(&got, 0);
    if (strcmp((const char *)got.data, wanted) != 0)
        fail_msg("%s:\n%s", where, (const char *)got.data);
}

static void all_is_read_where_nothing_is_said(void **state)
{
    (void)state;
    explained("", "day=2024-01-01,1,read,NULL,2\nday=2024-01-02,1,read,NULL,1\n"
                  "day=2024-01-03,1,read,NULL,1\nNULL,3,total,columns: units,4\n");
}

static void partitions_are_left_out_by_their_value(void **state)
{
    (void)state;
    explained("WHERE day = '2024-01-03'",
              "day=2024-01-01 .. day=2024-01-02,2,skip,partition column day,NULL\n"
              "day=2024-01-03,1,read,NULL,1\nNULL,3,total,columns: units, day,1\n");
    explained("WHERE day IN (DATE '2024-01-01', DATE '2024-01-03') AND id < 5",
              "day=2024-01-01,1,read,NULL,1\n"
              "day=2024-01-01,1,skip,min and max of id: 10000 .. 11099,1\n"
              "day=2024-01-02,1,skip,partition column day,NULL\n"
              "day=2024-01-03,1,skip,min and max of id: 30000 .. 31099,1\n"
              "NULL,3,total,columns: id, units, day,1\n");
}

static void row_groups_are_left_out_by_what_they_hold(void **state)
{
    (void)state;
    explained("WHERE units IS NULL",
              "day=2024-01-01,1,skip,units is never NULL,1\nday=2024-01-01,1,read,NULL,1\n"
              "day=2024-01-02,1,skip,units is never NULL,1\n"
              "day=2024-01-03,1,skip,units is never NULL,1\nNULL,3,total,columns: units,1\n");
    explained("WHERE units IN (31, 99) OR units BETWEEN 44 AND 50",
              "day=2024-01-01,1,skip,min and max of units: 10 .. 16,1\n"
              "day=2024-01-01,1,skip,units is NULL throughout,1\n"
              "day=2024-01-02,1,read,NULL,1\nday=2024-01-03,1,read,NULL,1\n"
              "NULL,3,total,columns: units,2\n");
    explained("WHERE name LIKE 'c%' AND day < '2024-01-03'",
              "day=2024-01-01,1,skip,min and max of name: ant0 .. bee999,2\n"
              "day=2024-01-02,1,read,NULL,1\nday=2024-01-03,1,skip,partition column day,NULL\n"
              "NULL,3,total,columns: units, name, day,1\n");
    explained("WHERE id > 5 AND id < 5 AND day = '2024-01-02'",
              "day=2024-01-01,1,skip,partition column day,NULL\n"
              "day=2024-01-02,1,skip,no value of id satisfies the condition,1\n"
              "day=2024-01-03,1,skip,partition column day,NULL\n"
              "NULL,3,total,columns: id, units, day,0\n");
}

static void whole_row_groups_are_answered_from_statistics(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    trial_gives(&trial,
                "EXPLAIN SELECT count(*), count(units), min(id), max(price) FROM sales "
                "WHERE id >= 0 AND id < 30010 AND day <> '2024-01-01'",
                "@.sales,day=2024-01-01,1,skip,partition column day,NULL,NULL,NULL,NULL;"
                "@.sales,day=2024-01-02,1,read,from statistics, without its rows,1,1100,0,0;"
                "@.sales,day=2024-01-03,1,read,NULL,1,1100,2,1339;"
                "@.sales,NULL,3,total,columns: id, units, price, day,2,2200,2,1339");
    trial_gives(&trial,
                "SELECT count(*), count(units), min(id), max(price) FROM sales "
                "WHERE id >= 0 AND id < 30010 AND day <> '2024-01-01'",
                "1110,1110,20000,1099.125");
}

/* Texts that statistics cut, NaN, zeros of both signs, NULLs throughout: as reading has it. */
static void statistics_say_what_the_rows_do(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    trial_gives(&trial,
                "CREATE TABLE odd (s STRING, u STRING, x DOUBLE, y DOUBLE, z DOUBLE, n BIGINT, "
                "w DOUBLE, one INT)",
                "");
    bytes_append_text(&text, "INSERT INTO odd VALUES ");
    for (int i = 0; i < GROUP_ROWS; i++)
        bytes_printf(&text,
                     "%s('a text of thirty bytes and more %d', 'u%d\xF4\x8F\xBF\xBF', %s, "
                     "'NaN', %s, NULL, %s, 1)",
                     i > 0 ? ", " : "", i, i, i == 7 ? "'NaN'" : "0.5", i % 2 == 0 ? "0.0" : "5.5",
                     i % 2 == 0 ? "'-0.0'" : "-5.5");
    bytes_append_u8(&text, 0);
    trial_gives(&trial, (const char *)text.data, "");
    static const char *const columns[] = {"s", "u", "x", "y", "z", "n", "w"};
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        for (int end = 0; end < 2; end++) {
            BYTES_CLEANUP struct bytes known = {0};
            BYTES_CLEANUP struct bytes read = {0};
            char sql[128];
            snprintf(sql, sizeof(sql), "SELECT %s(%s), count(%s) FROM odd WHERE one = 1",
                     end == 0 ? "min" : "max", columns[i], columns[i]);
            assert_int_equal(trial_run(&trial, sql, &known), ERR_OK);
            snprintf(sql, sizeof(sql), "SELECT %s(%s), count(%s) FROM odd WHERE one + 0 = 1",
                     end == 0 ? "min" : "max", columns[i], columns[i]);
            assert_int_equal(trial_run(&trial, sql, &read), ERR_OK);
            assert_string_equal((const char *)known.data, (const char *)read.data);
        }
    }
    const struct table_scan_totals before = table_scan_totals();
    trial_gives(&trial,
                "SELECT min(u), max(x), min(y), max(y), min(n), max(n) FROM odd WHERE one = 1",
                "u0\xF4\x8F\xBF\xBF,NaN,NaN,NaN,NULL,NULL");
    assert_int_equal(table_scan_totals().files, before.files);
}

/* The last row of EXPLAIN is what the counters of the run say; files are fewer where no row of a row
 * group got so far that a column was looked at. */
static void what_is_said_is_what_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        uint64_t files_less;
        bool from_statistics;
    } runs[] = {
        {"SELECT count(*) FROM sales", 0, true},
        {"SELECT * FROM sales", 0, false},
        {"SELECT sum(id) FROM sales WHERE price > 100 AND units < 13", 0, false},
        {"SELECT name FROM sales WHERE id BETWEEN 20500 AND 30005 ORDER BY name", 0, false},
        {"SELECT count(*) FROM sales WHERE day <> '2024-01-02' OR name LIKE 'dog1%'", 3, false},
        {"SELECT max(price) FROM sales WHERE NOT (units IS NOT NULL)", 0, false},
        {"SELECT name, count(*) FROM sales WHERE id IN (7, 10007, 99999) GROUP BY name", 0, false},
        {"SELECT id FROM sales WHERE units + id = 20031", 0, false},
        {"SELECT count(*), min(id), max(price), count(units), min(name), max(day) FROM sales", 0,
         true},
        {"SELECT count(*) FROM sales WHERE id < 10500 AND units IS NULL", 0, false},
        {"SELECT name FROM sales WHERE datepart(day, 'dd') = 3", 3, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++) {
        BYTES_CLEANUP struct bytes rows = {0};
        BYTES_CLEANUP struct bytes plan = {0};
        char text[256], wanted[128];
        const struct table_scan_totals before = table_scan_totals();
        assert_int_equal(trial_run(&trial, runs[i].query, &rows), ERR_OK);
        const struct table_scan_totals after = table_scan_totals();
        snprintf(text, sizeof(text), "EXPLAIN %s", runs[i].query);
        assert_int_equal(trial_run(&trial, text, &plan), ERR_OK);
        snprintf(wanted, sizeof(wanted), ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",",
                 after.row_groups - before.row_groups, after.rows - before.rows,
                 after.files - before.files + runs[i].files_less);
        const char *bytes = strrchr((const char *)plan.data, ',');
        assert_non_null(bytes);
        size_t len = (size_t)(bytes + 1 - (const char *)plan.data);
        assert_true(len > strlen(wanted));
        assert_memory_equal((const char *)plan.data + len - strlen(wanted), wanted, strlen(wanted));
        uint64_t read = after.file_bytes - before.file_bytes;
        if (runs[i].files_less == 0)
            assert_int_equal(strtoull(bytes + 1, NULL, 10), read);
        else
            assert_true(strtoull(bytes + 1, NULL, 10) > read);
        assert_int_equal(table_scan_totals().files, after.files); /* EXPLAIN opens none */
        assert_int_equal(after.files == before.files, runs[i].from_statistics);
    }
}

static void tables_of_others_are_not_explained(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    const struct statement_id id = {{9}};
    assert_int_equal(
        trial_run_as(&trial, &trial.other, &id, "EXPLAIN SELECT 1 FROM @.sales", &text),
        ERR_DENIED);
    trial_refuses(&trial, "EXPLAIN SELECT nothing FROM sales", ERR_SEMANTIC, "no column nothing");
    trial_gives(&trial, "EXPLAIN SELECT 1", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_say_what_the_rows_do),
        cmocka_unit_test(whole_row_groups_are_answered_from_statistics),
        cmocka_unit_test(all_is_read_where_nothing_is_said),
        cmocka_unit_test(partitions_are_left_out_by_their_value),
        cmocka_unit_test(row_groups_are_left_out_by_what_they_hold),
        cmocka_unit_test(what_is_said_is_what_is_read),
        cmocka_unit_test(tables_of_others_are_not_explained),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
