/* Clustered tables as statements see them: what is refused, which buckets a query reads, and that it finds the same rows
 * as without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/fsck.h"
#include "node/statement/trial.h"
#include "node/table_source.h"
#include "proto/random_test.h"

#define ROWS 600

static struct trial trial;

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    trial_project(&trial);
    return 0;
}

/* All rows of all clustered tables are where they belong. */
static int stop(void **state)
{
    (void)state;
    uint64_t faults = 0;
    struct err err = {0};
    if (clustering_check(trial.store, stdout, &faults, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(faults, 0);
    trial_stop(&trial);
    return 0;
}

/* ---- what may be written ---- */

static void what_cannot_be_clustered_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *clause;
        enum err_code code;
        const char *words;
    } bad[] = {
        {"CLUSTERED BY (x) INTO 4 BUCKETS", ERR_SEMANTIC, "no column x"},
        {"CLUSTERED BY (ds) INTO 4 BUCKETS", ERR_SEMANTIC, "ds is a partition column"},
        {"CLUSTERED BY (a, A) INTO 4 BUCKETS", ERR_SEMANTIC, "named twice"},
        {"CLUSTERED BY (a) SORTED BY (b, b DESC) INTO 4 BUCKETS", ERR_SEMANTIC, "named twice"},
        {"CLUSTERED BY (a) SORTED BY (y) INTO 4 BUCKETS", ERR_SEMANTIC, "SORTED BY: the table has"},
        {"CLUSTERED BY (a)", ERR_PARSE, "expected INTO"},
        {"CLUSTERED BY (a) INTO 0 BUCKETS", ERR_PARSE, "1 to 4096"},
        {"CLUSTERED BY (a) INTO 4097 BUCKETS", ERR_PARSE, "1 to 4096"},
        {"CLUSTERED BY () INTO 4 BUCKETS", ERR_PARSE, "a column's name"},
        {"CLUSTERED BY (a DESC) INTO 4 BUCKETS", ERR_PARSE, "DESC"},
        {"CLUSTERED BY (a) INTO 4", ERR_PARSE, "BUCKETS"},
        {"RANGE CLUSTERED BY (a) SORTED BY (b, a) INTO 4 BUCKETS", ERR_SEMANTIC, "BY first"},
        {"RANGE CLUSTERED BY (a, b) SORTED BY (a)", ERR_SEMANTIC, "BY first"},
        {"CLUSTERED BY (a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a) INTO 4 BUCKETS", ERR_LIMIT,
         "more than 16"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "CREATE TABLE bad (a BIGINT, b STRING) PARTITIONED BY (ds STRING) %s",
                 bad[i].clause);
        trial_refuses(&trial, text, bad[i].code, bad[i].words);
    }
    trial_refuses(&trial, "SELECT * FROM bad", ERR_TABLE_NOT_FOUND, "bad");
    trial_gives(&trial, "CREATE TABLE flat (a BIGINT) CLUSTERED BY (a) INTO 2 BUCKETS", "");
    trial_refuses(&trial, "ALTER TABLE flat NOT CLUSTERED", ERR_SEMANTIC, "has no partitions");
    trial_refuses(&trial, "ALTER TABLE flat CLUSTER", ERR_PARSE, "CLUSTERED BY or NOT CLUSTERED");
}

static void what_show_create_prints_makes_the_same_table(void **state)
{
    (void)state;
    static const char *const clauses[] = {
        "CLUSTERED BY (a, `order by`) SORTED BY (b DESC, a) INTO 16 BUCKETS",
        "RANGE CLUSTERED BY (b) INTO 8 BUCKETS",
        "RANGE CLUSTERED BY (b) SORTED BY (b DESC, a)",
        "CLUSTERED BY (a) INTO 4096 BUCKETS LIFECYCLE 3",
    };
    for (size_t i = 0; i < ARRAY_COUNT(clauses); i++) {
        char text[256];
        BYTES_CLEANUP struct bytes first = {0}, second = {0};
        snprintf(text, sizeof(text), "CREATE TABLE same (a BIGINT, b STRING, `order by` INT) %s",
                 clauses[i]);
        trial_gives(&trial, text, "");
        assert_int_equal(trial_run(&trial, "SHOW CREATE TABLE same", &first), ERR_OK);
        assert_non_null(strstr((const char *)first.data, "CLUSTERED BY"));
        trial_gives(&trial, "DROP TABLE same", "");
        char *end = strrchr((char *)first.data, ';');
        while (end != NULL && end[1] != '\n') /* the statement's own end, not the answer's */
            *end = '\0', end = strrchr((char *)first.data, ';');
        if (end != NULL)
            *end = '\0';
        trial_gives(&trial, (const char *)first.data, "");
        assert_int_equal(trial_run(&trial, "SHOW CREATE TABLE same", &second), ERR_OK);
        assert_memory_equal(first.data, second.data, strlen((const char *)first.data));
        trial_gives(&trial, "DROP TABLE same", "");
    }
}

/* ---- which buckets are read ---- */

/* Of EXPLAIN's last row, what it says of buckets; also: it agrees with the counters of a run. */
static void reads_buckets(const char *query, const char *wanted)
{
    BYTES_CLEANUP struct bytes rows = {0}, plan = {0};
    char text[512], counters[128];
    const struct table_scan_totals before = table_scan_totals();
    if (trial_run(&trial, query, &rows) != ERR_OK)
        fail_msg("%s: %s", query, (const char *)rows.data);
    const struct table_scan_totals after = table_scan_totals();
    snprintf(text, sizeof(text), "EXPLAIN %s", query);
    assert_int_equal(trial_run(&trial, text, &plan), ERR_OK);
    snprintf(counters, sizeof(counters), "%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, wanted,
             after.row_groups - before.row_groups, after.rows - before.rows,
             after.files - before.files, after.file_bytes - before.file_bytes);
    size_t len = strlen((const char *)plan.data), expected = strlen(counters);
    if (len < expected || strcmp((const char *)plan.data + len - expected, counters) != 0)
        fail_msg("%s:\n%s\ndoes not end with %s", query, (const char *)plan.data, counters);
}

static void rows_insert(const char *into, int from, int count)
{
    BYTES_CLEANUP struct bytes text = {0};
    bytes_printf(&text, "INSERT INTO %s VALUES ", into);
    for (int i = from; i < from + count; i++)
        bytes_printf(&text, "%s(%d, %d, 'n%03d', %d.5, DATE '2024-01-%02d')", i > from ? "," : "",
                     i, i % 50, i % 97, i % 13, 1 + i % 28);
    bytes_append_u8(&text, 0);
    trial_gives(&trial, (const char *)text.data, "");
}

static void table_make(const char *name, const char *clause)
{
    char text[256];
    snprintf(text, sizeof(text),
             "CREATE TABLE %s (id BIGINT, unit INT, name STRING, price DECIMAL(10,2), day DATE) %s",
             name, clause);
    trial_gives(&trial, text, "");
}

static void equality_on_the_clustering_columns_reads_one_bucket_of_each_segment(void **state)
{
    (void)state;
    table_make("h", "CLUSTERED BY (id) SORTED BY (id) INTO 8 BUCKETS");
    rows_insert("h", 0, ROWS);
    reads_buckets("SELECT name FROM h", "; buckets: 8 read, 0 skipped");
    reads_buckets("SELECT name FROM h WHERE id = 77", "; buckets: 1 read, 7 skipped");
    reads_buckets("SELECT count(*) FROM h WHERE unit < 3 AND 77 = id",
                  "; buckets: 1 read, 7 skipped");
    rows_insert("h", ROWS, ROWS);
    reads_buckets("SELECT name FROM h WHERE id = 77", "; buckets: 1 read, 15 skipped");
    trial_gives(&trial, "SELECT id, name FROM h WHERE id = 77", "77,n077");
    table_make("one", "CLUSTERED BY (id) INTO 8 BUCKETS"); /* without min and max to go by */
    rows_insert("one", 0, ROWS);
    reads_buckets("SELECT name FROM one WHERE id IN (1, 2, 3)", "; buckets: 3 read, 5 skipped");
    reads_buckets("SELECT name FROM one WHERE id = 1 OR id = 2", "; buckets: 2 read, 6 skipped");
    reads_buckets("SELECT name FROM one WHERE id IS NULL", "; buckets: 0 read, 8 skipped");
    reads_buckets("SELECT name FROM one WHERE id > 5", "; buckets: 8 read, 0 skipped");
    reads_buckets("SELECT name FROM one WHERE id = 5 OR name = 'n001'",
                  "; buckets: 8 read, 0 skipped");
}

static void several_columns_and_every_type_find_their_bucket(void **state)
{
    (void)state;
    table_make("two", "CLUSTERED BY (name, unit) INTO 64 BUCKETS");
    rows_insert("two", 0, ROWS);
    BYTES_CLEANUP struct bytes rows = {0};
    assert_int_equal(
        trial_run(&trial, "SELECT count(*) FROM two WHERE name = 'n010' AND unit = 10", &rows),
        ERR_OK);
    assert_string_equal((const char *)rows.data, "1");
    reads_buckets("SELECT id FROM two WHERE name = 'n010' AND unit = 10",
                  "; buckets: 1 read, 63 skipped");
    reads_buckets("SELECT id FROM two WHERE name = 'n010'", "; buckets: 64 read, 0 skipped");
    table_make("dec", "CLUSTERED BY (price) INTO 4096 BUCKETS");
    rows_insert("dec", 0, ROWS);
    reads_buckets("SELECT id FROM dec WHERE price = 3.50BD", "; buckets: 1 read, 12 skipped");
    table_make("dated", "CLUSTERED BY (day) INTO 4096 BUCKETS");
    rows_insert("dated", 0, ROWS);
    reads_buckets("SELECT id FROM dated WHERE day = DATE '2024-01-05'",
                  "; buckets: 1 read, 27 skipped");
    trial_gives(&trial, "CREATE TABLE real (x DOUBLE) CLUSTERED BY (x) INTO 4096 BUCKETS", "");
    trial_gives(&trial, "INSERT INTO real VALUES (0.0), (-0.0), (1.5), (NULL)", "");
    reads_buckets("SELECT x FROM real WHERE x = 0", "; buckets: 1 read, 2 skipped");
    trial_gives(&trial, "SELECT count(*) FROM real WHERE x = 0", "2");
    reads_buckets("SELECT x FROM real WHERE x IS NULL", "; buckets: 1 read, 2 skipped");
    trial_gives(&trial, "SELECT count(*) FROM real WHERE x IS NULL", "1");
    reads_buckets("SELECT x FROM real WHERE x = 1.5 OR x IS NULL", "; buckets: 2 read, 1 skipped");
    trial_gives(&trial, "SELECT count(*) FROM real WHERE x = 1.5 OR x IS NULL", "2");
}

/* Row groups of fewer than STATISTICS_ROWS_MIN rows have no min and max: their sort keys do it. */
static void ranges_are_left_out_by_their_sort_keys(void **state)
{
    (void)state;
    table_make("r", "RANGE CLUSTERED BY (id) INTO 10 BUCKETS");
    rows_insert("r", 0, ROWS);
    reads_buckets("SELECT name FROM r WHERE id = 77", "; buckets: 1 read, 9 skipped");
    reads_buckets("SELECT name FROM r WHERE id BETWEEN 50 AND 70", "; buckets: 2 read, 8 skipped");
    reads_buckets("SELECT name FROM r WHERE id >= 540", "; buckets: 1 read, 9 skipped");
    reads_buckets("SELECT name FROM r WHERE id < -1 OR id > 600", "; buckets: 0 read, 10 skipped");
    table_make("down", "RANGE CLUSTERED BY (unit) SORTED BY (unit DESC, id) INTO 10 BUCKETS");
    rows_insert("down", 0, ROWS);
    reads_buckets("SELECT name FROM down WHERE unit = 49", "; buckets: 1 read, 9 skipped");
    reads_buckets("SELECT name FROM down WHERE unit = 49 AND id < 40",
                  "; buckets: 0 read, 10 skipped");
    reads_buckets("SELECT name FROM down WHERE unit <= 5", "; buckets: 2 read, 8 skipped");
}

/* ---- the same rows as without ---- */

static void random_condition(struct random *random, struct bytes *out, int depth)
{
    static const char *const operators[] = {"=", "<", "<=", ">", ">=", "<>"};
    static const char *const columns[] = {"a", "b", "x"};
    uint64_t kind = random_below(random, depth > 0 ? 8 : 6);
    const char *column = columns[random_below(random, 3)];
    bool text = column[0] == 'b';
    if (kind >= 6) {
        bytes_append_text(out, "(");
        random_condition(random, out, depth - 1);
        bytes_append_text(out, kind == 6 ? " AND " : " OR ");
        random_condition(random, out, depth - 1);
        bytes_append_text(out, ")");
    } else if (kind == 5) {
        bytes_printf(out, "%s IS %sNULL", column, random_below(random, 2) == 0 ? "" : "NOT ");
    } else if (kind >= 3) {
        bytes_printf(out, "%s IN (", column);
        for (int i = 0; i < 3; i++)
            bytes_printf(out, text ? "%s'%c'" : "%s%d", i > 0 ? ", " : "",
                         (text ? 'a' : -4) + (int)random_below(random, 9));
        bytes_append_text(out, ")");
    } else {
        bytes_printf(out, text ? "%s %s '%c'" : "%s %s %d", column,
                     operators[kind == 0 ? 0 : random_below(random, 6)],
                     (text ? 'a' : -4) + (int)random_below(random, 9));
    }
}

static void random_rows(struct random *random, struct bytes *out)
{
    for (int i = 0; i < 150; i++) {
        bytes_append_text(out, i > 0 ? ", (" : "(");
        for (int c = 0; c < 3; c++) {
            int value = (int)random_below(random, 9) - 4;
            bytes_append_text(out, c > 0 ? ", " : "");
            if (random_below(random, 8) == 0)
                bytes_append_text(out, "NULL");
            else
                bytes_printf(out, c == 1 ? "'%c'" : "%d", c == 1 ? 'e' + value : value);
        }
        bytes_append_text(out, ")");
    }
}

static void queries_find_what_they_find_without_clustering(void **state)
{
    (void)state;
    static const char *const clauses[] = {
        "",
        "CLUSTERED BY (a) INTO 7 BUCKETS",
        "CLUSTERED BY (b, a) SORTED BY (x DESC, b) INTO 5 BUCKETS",
        "CLUSTERED BY (x) SORTED BY (b DESC, x, a DESC) INTO 300 BUCKETS",
        "RANGE CLUSTERED BY (a) INTO 6 BUCKETS",
        "RANGE CLUSTERED BY (b, x) SORTED BY (b DESC, x, a DESC) INTO 30 BUCKETS",
    };
    struct random random = random_start();
    for (size_t t = 0; t < ARRAY_COUNT(clauses); t++) {
        char text[256];
        snprintf(text, sizeof(text), "CREATE TABLE same%zu (a BIGINT, b STRING, x DOUBLE) %s", t,
                 clauses[t]);
        trial_gives(&trial, text, "");
    }
    for (int segment = 0; segment < 2; segment++) {
        BYTES_CLEANUP struct bytes rows = {0};
        random_rows(&random, &rows);
        for (size_t t = 0; t < ARRAY_COUNT(clauses); t++) {
            BYTES_CLEANUP struct bytes text = {0};
            bytes_printf(&text, "INSERT INTO same%zu VALUES %.*s", t,
                         SPAN_PRINTF(bytes_span(&rows)));
            bytes_append_u8(&text, 0);
            trial_gives(&trial, (const char *)text.data, "");
        }
    }
    for (int round = 0; round < 60; round++) {
        BYTES_CLEANUP struct bytes condition = {0}, plain = {0};
        random_condition(&random, &condition, 3);
        for (size_t t = 0; t < ARRAY_COUNT(clauses); t++) {
            BYTES_CLEANUP struct bytes text = {0}, rows = {0};
            bytes_printf(&text, "SELECT a, b, x FROM same%zu WHERE %.*s ORDER BY a, b, x LIMIT 400",
                         t, SPAN_PRINTF(bytes_span(&condition)));
            bytes_append_u8(&text, 0);
            struct bytes *into = t == 0 ? &plain : &rows;
            if (trial_run(&trial, (const char *)text.data, into) != ERR_OK)
                fail_msg("%s: %s", (const char *)text.data, (const char *)into->data);
            if (t > 0 && strcmp((const char *)plain.data, (const char *)rows.data) != 0)
                fail_msg("%s:\n%s\nand without:\n%s", (const char *)text.data,
                         (const char *)rows.data, (const char *)plain.data);
        }
    }
}

/* ---- partitions ---- */

static void the_clustering_is_the_partitions_and_alter_acts_on_new_ones(void **state)
{
    (void)state;
    trial_gives(&trial,
                "CREATE TABLE parts (id BIGINT, unit INT, name STRING, price DECIMAL(10,2), day "
                "DATE) PARTITIONED BY (p BIGINT) CLUSTERED BY (id) INTO 4 BUCKETS",
                "");
    rows_insert("parts PARTITION(p=1)", 0, 100);
    trial_gives(&trial, "ALTER TABLE parts ADD PARTITION (p=2)", "");
    trial_gives(&trial,
                "ALTER TABLE parts RANGE CLUSTERED BY (unit) SORTED BY (unit, id) INTO 5 BUCKETS",
                "");
    rows_insert("parts PARTITION(p=1)", 100, 100);
    rows_insert("parts PARTITION(p=2)", 0, 100);
    rows_insert("parts PARTITION(p=3)", 0, 100);
    reads_buckets("SELECT name FROM parts WHERE p = 1 AND id = 7", "; buckets: 2 read, 6 skipped");
    reads_buckets("SELECT name FROM parts WHERE p = 2 AND id = 7", "; buckets: 1 read, 3 skipped");
    reads_buckets("SELECT name FROM parts WHERE p = 3 AND id = 7", "; buckets: 5 read, 0 skipped");
    reads_buckets("SELECT name FROM parts WHERE p = 3 AND unit = 7",
                  "; buckets: 1 read, 4 skipped");
    trial_gives(&trial, "ALTER TABLE parts NOT CLUSTERED", "");
    rows_insert("parts PARTITION(p=4)", 0, 100);
    reads_buckets("SELECT name FROM parts WHERE p = 4 AND id = 7", "columns: id, name, p");
    rows_insert("parts PARTITION(p=2)", 100, 100); /* its own, also while the table has none */
    reads_buckets("SELECT name FROM parts WHERE p = 2 AND id = 7", "; buckets: 2 read, 6 skipped");
    trial_gives(&trial,
                "INSERT OVERWRITE TABLE parts PARTITION(p=1) VALUES (7, 1, 'x', 1, DATE "
                "'2024-01-01')",
                "");
    reads_buckets("SELECT name FROM parts WHERE p = 1 AND id = 7", "columns: id, name, p");
    trial_gives(&trial, "SELECT count(*) FROM parts WHERE id = 7", "4");
}

static void snapshots_and_restored_tables_keep_it(void **state)
{
    (void)state;
    table_make("base", "CLUSTERED BY (id) SORTED BY (id) INTO 8 BUCKETS");
    rows_insert("base", 0, ROWS);
    trial_gives(&trial, "CREATE SNAPSHOT TABLE frozen CLONE base", "");
    trial_gives(&trial, "INSERT OVERWRITE TABLE base VALUES (1, 1, 'x', 1, DATE '2024-01-01')", "");
    reads_buckets("SELECT name FROM frozen WHERE id = 77", "; buckets: 1 read, 7 skipped");
    trial_gives(&trial, "CREATE TABLE restored CLONE frozen", "");
    rows_insert("restored", ROWS, ROWS); /* by the default that came along */
    reads_buckets("SELECT name FROM restored WHERE id = 77", "; buckets: 1 read, 15 skipped");
    reads_buckets("SELECT name FROM base WHERE id = 1", "; buckets: 1 read, 0 skipped");
}

static void clones_likes_and_tables_of_queries_are_clustered(void **state)
{
    (void)state;
    table_make("origin", "CLUSTERED BY (id) SORTED BY (id) INTO 8 BUCKETS");
    rows_insert("origin", 0, ROWS);
    trial_gives(&trial, "CLONE TABLE origin TO cloned", "");
    reads_buckets("SELECT name FROM cloned WHERE id = 77", "; buckets: 1 read, 7 skipped");
    rows_insert("cloned", ROWS, ROWS);
    reads_buckets("SELECT name FROM cloned WHERE id = 77", "; buckets: 1 read, 15 skipped");
    trial_gives(&trial, "CREATE TABLE alike LIKE origin", "");
    trial_gives(&trial, "INSERT INTO alike SELECT * FROM origin", "");
    reads_buckets("SELECT name FROM alike WHERE id = 77", "; buckets: 1 read, 7 skipped");
    trial_gives(&trial, "TRUNCATE TABLE alike", "");
    rows_insert("alike", 0, ROWS);
    reads_buckets("SELECT name FROM alike WHERE id = 77", "; buckets: 1 read, 7 skipped");
    trial_gives(&trial,
                "CREATE TABLE asked CLUSTERED BY (n) INTO 4 BUCKETS AS SELECT id AS n, name FROM "
                "origin",
                "");
    reads_buckets("SELECT name FROM asked WHERE n = 77", "; buckets: 1 read, 3 skipped");
    trial_gives(&trial, "SELECT name FROM asked WHERE n = 77", "n077");
    trial_gives(&trial, "CREATE OR REPLACE TABLE asked AS SELECT id AS n, name FROM origin", "");
    reads_buckets("SELECT name FROM asked WHERE n = 77", "columns: n, name");
    trial_refuses(&trial, "CREATE TABLE bad CLUSTERED BY (id) INTO 4 BUCKETS LIKE origin",
                  ERR_SEMANTIC, "LIKE brings the clustering");
    trial_refuses(&trial, "CREATE TABLE bad CLUSTERED BY (no) INTO 4 BUCKETS AS SELECT 1 AS a",
                  ERR_SEMANTIC, "no");
}

static void describes(const char *name, const char *words, bool is_said)
{
    BYTES_CLEANUP struct bytes text = {0};
    char statement[64];
    snprintf(statement, sizeof(statement), "DESC EXTENDED %s", name);
    trial_shows(&trial, statement, &text);
    if ((strstr((const char *)text.data, words) != NULL) != is_said)
        fail_msg("%s\n%s", words, (const char *)text.data);
}

static void cloned_rows_stay_as_their_source_stored_them_until_they_are_overwritten(void **state)
{
    (void)state;
    table_make("eight", "CLUSTERED BY (id) SORTED BY (id DESC) INTO 8 BUCKETS");
    rows_insert("eight", 0, ROWS);
    table_make("three", "CLUSTERED BY (name) INTO 3 BUCKETS");
    table_make("heap", "");
    describes("three", "RowsStoredAs:", false);
    trial_gives(&trial, "CLONE TABLE eight TO three IF EXISTS OVERWRITE", "");
    trial_gives(&trial, "CLONE TABLE eight TO heap IF EXISTS OVERWRITE", "");
    describes("three", "| BucketNum:                3 ", true);
    describes("three",
              "| RowsStoredAs:             CLUSTERED BY (`id`) SORTED BY (`id` DESC) INTO 8 "
              "BUCKETS ",
              true);
    rows_insert("three", ROWS, ROWS);
    reads_buckets("SELECT name FROM three WHERE id = 77", "; buckets: 1 read, 15 skipped");
    reads_buckets("SELECT name FROM heap WHERE id = 77", "; buckets: 1 read, 7 skipped");
    trial_gives(&trial, "INSERT OVERWRITE TABLE three SELECT * FROM three", "");
    describes("three", "RowsStoredAs:", false);
    reads_buckets("SELECT id FROM three WHERE name = 'n077'", "; buckets: 1 read, 2 skipped");
    trial_gives(&trial, "CLONE TABLE heap TO eight IF EXISTS OVERWRITE", "");
    describes("eight", "RowsStoredAs:", false);
    trial_gives(&trial, "TRUNCATE TABLE heap", "");
    rows_insert("heap", 0, 10);
    trial_gives(&trial, "CLONE TABLE heap TO eight IF EXISTS OVERWRITE", "");
    trial_gives(&trial, "SELECT count(*) FROM eight WHERE id = 7", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_clustered_is_refused),
        cmocka_unit_test(what_show_create_prints_makes_the_same_table),
        cmocka_unit_test(equality_on_the_clustering_columns_reads_one_bucket_of_each_segment),
        cmocka_unit_test(several_columns_and_every_type_find_their_bucket),
        cmocka_unit_test(ranges_are_left_out_by_their_sort_keys),
        cmocka_unit_test(queries_find_what_they_find_without_clustering),
        cmocka_unit_test(the_clustering_is_the_partitions_and_alter_acts_on_new_ones),
        cmocka_unit_test(snapshots_and_restored_tables_keep_it),
        cmocka_unit_test(clones_likes_and_tables_of_queries_are_clustered),
        cmocka_unit_test(cloned_rows_stay_as_their_source_stored_them_until_they_are_overwritten),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
