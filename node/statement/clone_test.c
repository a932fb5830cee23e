/* CLONE TABLE as a statement: what it makes, what it refuses, and that it races with nobody. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/statement/clone_schema.h"
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

#define SALES_COLUMNS                                                                              \
    " (id BIGINT NOT NULL COMMENT 'of the sale', amount DECIMAL(10,2)) COMMENT 'what was sold' "   \
    "PARTITIONED BY (day DATE COMMENT 'of payment', shop STRING)"
#define ALL_SALES "1,1.00,2024-01-01,a;2,2.00,2024-01-01,b;3,3.00,2024-01-02,a;4,4.00,2024-01-02,b"

static void sales_make(void)
{
    trial_gives(&trial, "CREATE TABLE sales" SALES_COLUMNS " LIFECYCLE 9", "");
    trial_gives(&trial,
                "INSERT INTO sales VALUES (1, 1BD, '2024-01-01', 'a'), (2, 2BD, '2024-01-01', "
                "'b'), (3, 3BD, '2024-01-02', 'a'), (4, 4BD, '2024-01-02', 'b')",
                "");
}

static void rows_are(const char *table, const char *rows)
{
    char text[64];
    snprintf(text, sizeof(text), "SELECT * FROM %s ORDER BY id", table);
    trial_gives(&trial, text, rows);
}

/* ---- what it makes ---- */

static void a_new_table_is_the_source_without_its_lifecycle(void **state)
{
    (void)state;
    sales_make();
    trial_gives(&trial, "CLONE TABLE sales TO @.copy", "");
    rows_are("copy", ALL_SALES);
    trial_gives(&trial, "SHOW CREATE TABLE copy",
                "CREATE TABLE `@`.`copy` (\n    `id` BIGINT NOT NULL COMMENT 'of the sale',\n    "
                "`amount` DECIMAL(10,2)\n)\nCOMMENT 'what was sold'\nPARTITIONED BY (\n    `day` "
                "DATE COMMENT 'of payment',\n    `shop` STRING\n);\n");
    trial_gives(&trial, "INSERT INTO copy VALUES (5, 5BD, '2024-01-03', 'a')", "");
    trial_gives(&trial, "ALTER TABLE copy DROP PARTITION (day='2024-01-01', shop='a')", "");
    rows_are("sales", ALL_SALES);
    trial_gives(&trial, "DROP TABLE sales", "");
    trial_begins(&trial, "CLEANUP", "");
    rows_are("copy", "2,2.00,2024-01-01,b;3,3.00,2024-01-02,a;4,4.00,2024-01-02,b;"
                     "5,5.00,2024-01-03,a");
}

static void specs_name_what_is_below_them(void **state)
{
    (void)state;
    sales_make();
    trial_gives(&trial, "CLONE TABLE sales PARTITION(day='2024-01-02') TO two", "");
    rows_are("two", "3,3.00,2024-01-02,a;4,4.00,2024-01-02,b");
    trial_gives(&trial,
                "CLONE TABLE sales PARTITION(shop='b', day='2024-01-01'), "
                "PARTITION(day='2024-01-02') TO three",
                "");
    rows_are("three", "2,2.00,2024-01-01,b;3,3.00,2024-01-02,a;4,4.00,2024-01-02,b");
    trial_gives(&trial, "CLONE TABLE sales PARTITION(shop='a') TO shops", "");
    rows_are("shops", "1,1.00,2024-01-01,a;3,3.00,2024-01-02,a");
}

static void overwrite_ignore_and_neither(void **state)
{
    (void)state;
    sales_make();
    trial_gives(&trial, "CREATE TABLE o" SALES_COLUMNS " LIFECYCLE 3", "");
    trial_gives(&trial,
                "INSERT INTO o VALUES (10, 1BD, '2024-01-01', 'a'), (50, 5BD, '2024-01-05', 'a')",
                "");
    trial_gives(&trial, "INSERT INTO o VALUES (11, 1BD, '2024-01-01', 'a')", ""); /* 2 segments */
#define BEFORE "10,1.00,2024-01-01,a;11,1.00,2024-01-01,a;50,5.00,2024-01-05,a"
    static const char both[] = "IF EXISTS OVERWRITE replaces its partitions, IF EXISTS IGNORE adds";
    trial_refuses(&trial, "CLONE TABLE sales TO o", ERR_EXISTS, both);
    trial_refuses(&trial, "CLONE TABLE sales TO o IF EXISTS", ERR_EXISTS, both);
    rows_are("o", BEFORE);
    trial_gives(&trial, "CLONE TABLE sales PARTITION(day='2024-01-01') TO o IF EXISTS IGNORE", "");
    rows_are("o", "2,2.00,2024-01-01,b;" BEFORE);
    trial_gives(&trial, "CLONE TABLE sales TO o IF EXISTS OVERWRITE", "");
    rows_are("o", ALL_SALES ";50,5.00,2024-01-05,a");
    trial_gives(&trial, "CLONE TABLE sales TO fresh IF EXISTS", "");
    trial_gives(&trial, "CLONE TABLE sales TO fresher IF EXISTS IGNORE", "");
    rows_are("fresher", ALL_SALES);
    BYTES_CLEANUP struct bytes out = {0};
    assert_int_equal(trial_run(&trial, "SHOW CREATE TABLE o", &out), ERR_OK);
    assert_non_null(strstr((const char *)out.data, "LIFECYCLE 3"));
    trial_begins(&trial, "SHOW HISTORY FOR TABLE o", "5,");
}

static void a_table_without_partitions_is_one(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE s (id BIGINT)", "");
    trial_gives(&trial, "CREATE TABLE d (id BIGINT)", "");
    trial_gives(&trial, "INSERT INTO s VALUES (1), (2)", "");
    trial_gives(&trial, "INSERT INTO d VALUES (7)", "");
    trial_gives(&trial, "CLONE TABLE s TO d IF EXISTS IGNORE", "");
    rows_are("d", "7");
    trial_gives(&trial, "CLONE TABLE s TO d IF EXISTS OVERWRITE", "");
    rows_are("d", "1;2");
    trial_gives(&trial, "INSERT INTO s VALUES (3)", "");
    rows_are("d", "1;2");
}

static void history_names_it_and_an_outcome_is_remembered(void **state)
{
    (void)state;
    static const struct statement_id id = {{0xC1, 7}};
    sales_make();
    for (int i = 0; i < 2; i++) {
        BYTES_CLEANUP struct bytes out = {0};
        assert_int_equal(trial_run_as(&trial, &trial.root, &id, "CLONE TABLE sales TO once", &out),
                         ERR_OK);
    }
    BYTES_CLEANUP struct bytes history = {0};
    assert_int_equal(trial_run(&trial, "SHOW HISTORY FOR TABLE once", &history), ERR_OK);
    assert_non_null(strstr((const char *)history.data, ",CLONE,ALIYUN$root,4,"));
    static const struct statement_id other = {{0xC1, 8}};
    for (int i = 0; i < 2; i++) {
        BYTES_CLEANUP struct bytes out = {0};
        assert_int_equal(trial_run_as(&trial, &trial.root, &other,
                                      "CLONE TABLE sales TO once IF EXISTS OVERWRITE", &out),
                         ERR_OK);
    }
    trial_begins(&trial, "SHOW HISTORY FOR TABLE once", "2,");
}

/* ---- what it refuses ---- */

static void columns_that_differ_are_named_with_how(void **state)
{
    (void)state;
    static const struct {
        const char *columns, *partition, *words;
    } cases[] = {
        {"a BIGINT NOT NULL, c STRING, b DECIMAL(10,2)", "p INT, q STRING",
         "column 2 is b in the source and c in the destination, which has it in another place"},
        {"a BIGINT NOT NULL, x DECIMAL(10,2), c STRING", "p INT, q STRING",
         "column 2 is b in the source and x in the destination - "},
        {"a BIGINT NOT NULL, b DECIMAL(10,3), c STRING", "p INT, q STRING",
         "column 2, b, is DECIMAL(10,2) in the source and DECIMAL(10,3) in the destination"},
        {"a BIGINT, b DECIMAL(10,2), c STRING", "p INT, q STRING",
         "column 1, a, is NOT NULL in the source and nullable in the destination"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2) NOT NULL, c STRING", "p INT, q STRING",
         "column 2, b, is nullable in the source and NOT NULL in the destination"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2)", "p INT, q STRING",
         "column 3, c, is in the source only: the source has 3, the destination 2"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2), c STRING, d INT", "p INT, q STRING",
         "column 4, d, is in the destination only: the source has 3, the destination 4"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2), c STRING", "p BIGINT, q STRING",
         "partition column 1, p, is INT in the source and BIGINT in the destination"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2), c STRING", "q STRING, p INT",
         "partition column 1 is p in the source and q in the destination, which has it in"},
        {"a BIGINT NOT NULL, b DECIMAL(10,2), c STRING", "p INT",
         "partition column 2, q, is in the source only: the source has 2, the destination 1"},
    };
    trial_gives(&trial,
                "CREATE TABLE s (a BIGINT NOT NULL, b DECIMAL(10,2), c STRING) PARTITIONED BY (p "
                "INT, q STRING)",
                "");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "CREATE TABLE d%zu (%s) PARTITIONED BY (%s)", i,
                 cases[i].columns, cases[i].partition);
        trial_gives(&trial, text, "");
        snprintf(text, sizeof(text), "CLONE TABLE s TO d%zu IF EXISTS OVERWRITE", i);
        /* " - " ends a text: nothing follows what the case says */
        size_t len = strlen(cases[i].words);
        bool ends = len > 3 && strcmp(cases[i].words + len - 3, " - ") == 0;
        BYTES_CLEANUP struct bytes out = {0};
        assert_int_equal(trial_run(&trial, text, &out), ERR_SEMANTIC);
        MEM_CLEANUP char *words = mem_strndup(span_of(cases[i].words, ends ? len - 3 : len));
        const char *found = strstr((const char *)out.data, words);
        if (found == NULL || (ends && strcmp(found, words) != 0))
            fail_msg("%s: %s", text, (const char *)out.data);
    }
    trial_gives(&trial,
                "CREATE TABLE same (A BIGINT NOT NULL COMMENT 'x', B DECIMAL(10,2) DEFAULT 1BD, c "
                "STRING) PARTITIONED BY (P INT, q STRING)",
                "");
    trial_gives(&trial, "CLONE TABLE s TO same IF EXISTS OVERWRITE", "");
}

/* No statement gives a column another id yet; whatever will, its files are not the others'. */
static void columns_of_other_ids_are_not_the_same(void **state)
{
    (void)state;
    struct column is = {.id = 1, .name = span_text("a"), .type = {.kind = TYPE_BIGINT}};
    struct column to = is;
    struct schema source = {.columns = &is, .column_count = 1, .next_column_id = 3};
    struct schema destination = {.columns = &to, .column_count = 1, .next_column_id = 3};
    struct err err;
    assert_int_equal(clone_schema_check(&source, &destination, &err), ERR_OK);
    to.id = 2;
    assert_int_equal(clone_schema_check(&source, &destination, &err), ERR_SEMANTIC);
    assert_non_null(strstr(err.message, "INSERT ... SELECT"));
}

static void what_cannot_be_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"CLONE TABLE absent TO c", ERR_TABLE_NOT_FOUND, "\"absent\""},
        {"CLONE TABLE elsewhere.t TO c", ERR_NOT_FOUND, "XCOPY SNAPSHOT"},
        {"CLONE TABLE sales TO elsewhere.c", ERR_NOT_FOUND, "project elsewhere does not exist"},
        {"CLONE TABLE sales TO `1c`", ERR_SEMANTIC, "cannot be a name"},
        {"CLONE TABLE sales TO SALES", ERR_SEMANTIC, "cloned onto itself"},
        {"CLONE TABLE sales TO @.sales IF EXISTS OVERWRITE", ERR_SEMANTIC, "cloned onto itself"},
        {"CLONE TABLE sales PARTITION(day='2024-01-01') TO sales IF EXISTS IGNORE", ERR_SEMANTIC,
         "cloned onto itself"},
        {"CLONE TABLE frozen TO c", ERR_SEMANTIC, "use CREATE TABLE ... CLONE @.frozen"},
        {"CLONE TABLE sales TO frozen IF EXISTS OVERWRITE", ERR_SEMANTIC, "is a snapshot"},
        {"CLONE TABLE SYSTEM_CATALOG.INFORMATION_SCHEMA.tables TO c", ERR_SEMANTIC,
         "is a view of SYSTEM_CATALOG"},
        {"CLONE TABLE sales TO SYSTEM_CATALOG.INFORMATION_SCHEMA.tables", ERR_SEMANTIC,
         "SYSTEM_CATALOG"},
        {"CLONE TABLE flat PARTITION(day='2024-01-01') TO c", ERR_SEMANTIC, "has no partitions"},
        {"CLONE TABLE sales PARTITION(week=1) TO c", ERR_SEMANTIC,
         "line 1, column 19: week is not a partition"},
        {"CLONE TABLE sales PARTITION(id=1) TO c", ERR_SEMANTIC, "id is not a partition"},
        {"CLONE TABLE sales PARTITION(day='no day') TO c", ERR_CAST, "no day"},
        {"CLONE TABLE sales PARTITION(day=NULL) TO c", ERR_SEMANTIC, "cannot be NULL"},
        {"CLONE TABLE sales PARTITION(day='2024-01-01', day='2024-01-02') TO c", ERR_SEMANTIC,
         "day is given twice"},
        {"CLONE TABLE sales PARTITION(day='2024-02-01') TO c", ERR_NOT_FOUND,
         "PARTITION(day=2024-02-01) names no partition"},
        {"CLONE TABLE sales PARTITION(day='2024-01-01'), PARTITION(shop='x') TO c", ERR_NOT_FOUND,
         "line 1, column 48: PARTITION(shop=x) names no partition"},
        {"CLONE TABLE sales PARTITION(shop='a', day='2024-01-01'), PARTITION(day='2024-01-01', "
         "shop='a') TO c",
         ERR_SEMANTIC, "name a partition twice"},
        {"CLONE TABLE sales PARTITION(day='2024-01-01', shop='b'), PARTITION(day='2024-01-01') "
         "TO c",
         ERR_SEMANTIC, "name a partition twice"},
        {"CLONE TABLE sales PARTITION(day='2024-01-01'), PARTITION(shop='a') TO c", ERR_SEMANTIC,
         "PARTITION(day=2024-01-01) and PARTITION(shop=a) name a partition twice"},
        {"CLONE TABLE outside TO c", ERR_SEMANTIC, "is an external table"},
        {"CLONE TABLE flat TO outside IF EXISTS OVERWRITE", ERR_SEMANTIC, "is an external table"},
        {"TRUNCATE TABLE outside", ERR_SEMANTIC, "is an external table"},
        {"ALTER TABLE outside SET LIFECYCLE 3", ERR_SEMANTIC, "is an external table"},
    };
    sales_make();
    trial_gives(&trial, "CREATE TABLE flat (id BIGINT)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE frozen CLONE sales", "");
    trial_gives(&trial,
                "CREATE EXTERNAL TABLE outside (id BIGINT) STORED BY 'h' LOCATION 'oss://b/'", "");
    BYTES_CLEANUP struct bytes before = {0};
    BYTES_CLEANUP struct bytes after = {0};
    assert_int_equal(trial_run(&trial, "SHOW TABLES", &before), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char words[128];
        const char *at = strchr(cases[i].words, '@');
        if (at == NULL)
            snprintf(words, sizeof(words), "%s", cases[i].words);
        else
            snprintf(words, sizeof(words), "%.*s%s%s", (int)(at - cases[i].words), cases[i].words,
                     trial.project, at + 1);
        trial_refuses(&trial, cases[i].text, cases[i].code, words);
    }
    assert_int_equal(trial_run(&trial, "SHOW TABLES", &after), ERR_OK);
    assert_string_equal(before.data, after.data);
    rows_are("sales", ALL_SALES);
}

static void rights_are_asked_on_both_sides(void **state)
{
    (void)state;
    sales_make();
    BYTES_CLEANUP struct bytes out = {0};
    static const struct statement_id id = {{0xC1, 9}};
    assert_int_equal(trial_run_as(&trial, &trial.other, &id, "CLONE TABLE sales TO mine", &out),
                     ERR_DENIED);
    assert_non_null(strstr((const char *)out.data, "Select"));
    trial_gives(&trial, "CREATE PROJECT of_other OWNER 'ALIYUN$other'", "");
    trial_refuses(&trial, "CLONE TABLE sales TO of_other.mine", ERR_DENIED, "CreateTable");
}

static void an_existing_table_takes_ten_thousand_at_once(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes add = {0};
    trial_gives(&trial, "CREATE TABLE s (id BIGINT) PARTITIONED BY (p INT)", "");
    trial_gives(&trial, "CREATE TABLE d (id BIGINT) PARTITIONED BY (p INT)", "");
    bytes_append_text(&add, "ALTER TABLE s ADD");
    for (int i = 0; i < LIMIT_CLONE_PARTITIONS; i++)
        bytes_printf(&add, " PARTITION (p=%d)", i);
    bytes_append_u8(&add, 0);
    trial_gives(&trial, (const char *)add.data, "");
    trial_gives(&trial, "CLONE TABLE s TO d IF EXISTS OVERWRITE", "");
    trial_gives(&trial, "ALTER TABLE s ADD PARTITION (p=-1)", "");
    static const char words[] = "at most 10000 partitions";
    trial_refuses(&trial, "CLONE TABLE s TO d IF EXISTS OVERWRITE", ERR_LIMIT, words);
    trial_refuses(&trial, "CLONE TABLE s TO d IF EXISTS IGNORE", ERR_LIMIT, words);
    trial_gives(&trial, "CLONE TABLE s TO fresh", "");
    trial_gives(&trial, "CLONE TABLE s PARTITION(p=-1) TO d IF EXISTS IGNORE", "");
    trial_begins(&trial, "SHOW HISTORY FOR TABLE d", "3,");
    trial_gives(&trial, "CLONE TABLE s PARTITION(p=9999), PARTITION(p=0), PARTITION(p=5000) TO few",
                "");
    trial_gives(&trial, "TRUNCATE TABLE few PARTITION(p=0), PARTITION(p=5000), PARTITION(p=9999)",
                "");
    trial_begins(&trial, "SHOW TABLES LIKE 'few'", "few,TABLE,3,");
}

static void an_external_table_is_metadata(void **state)
{
    (void)state;
    static const char create[] =
        "CREATE EXTERNAL TABLE `@`.`x` (\n    `id` BIGINT\n)\nCOMMENT 'far away'\nPARTITIONED BY "
        "(\n    `day` DATE\n)\nSTORED BY 'h.Csv' WITH SERDEPROPERTIES ('d'='|')\nLOCATION "
        "'oss://b/it\\'s/';\n";
    trial_gives(&trial, create, "");
    trial_gives(&trial, "SHOW CREATE TABLE x", create);
    trial_begins(&trial, "SHOW TABLES", "x,EXTERNAL TABLE,0,0,0,");
    static const char words[] = "is an external table";
    trial_refuses(&trial, "SELECT * FROM x", ERR_SEMANTIC, words);
    trial_refuses(&trial, "INSERT INTO x VALUES (1, '2024-01-01')", ERR_SEMANTIC, words);
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE s CLONE x", ERR_SEMANTIC, words);
    trial_refuses(&trial, create, ERR_EXISTS, "already exists");
    trial_restart(&trial);
    trial_gives(&trial, "SHOW CREATE TABLE x", create);
    static const char other[] =
        "CREATE OR REPLACE EXTERNAL TABLE x (a INT) STORED AS ORC LOCATION 'oss://c/'";
    trial_gives(&trial, other, "");
    trial_gives(&trial, other, "");
    trial_gives(&trial, "SHOW CREATE TABLE x",
                "CREATE EXTERNAL TABLE `@`.`x` (\n    `a` INT\n)\nSTORED AS ORC\nLOCATION "
                "'oss://c/';\n");
    trial_refuses(&trial, "ALTER TABLE x SET LIFECYCLE 3", ERR_SEMANTIC, words);
    trial_refuses(&trial, "ALTER TABLE x DISABLE LIFECYCLE", ERR_SEMANTIC, words);
    trial_gives(&trial, "DROP TABLE x", "");
    trial_refuses(&trial, "SHOW CREATE TABLE x", ERR_TABLE_NOT_FOUND, "x");
}

static void a_transactional_table_is_not_frozen(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE acid (id BIGINT) TBLPROPERTIES ('Transactional'='TRUE')", "");
    trial_gives(&trial, "CREATE TABLE not_acid (id BIGINT) TBLPROPERTIES ('transactional'='t')",
                "");
    trial_gives(&trial, "INSERT INTO acid VALUES (7)", "");
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE s CLONE acid", ERR_SEMANTIC,
                  "acid is a transactional table");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE not_acid", "");
    trial_gives(&trial, "CLONE TABLE acid TO twin", "");
    trial_gives(&trial, "SELECT id FROM twin", "7");
    trial_refuses(&trial, "CREATE SNAPSHOT TABLE t CLONE twin", ERR_SEMANTIC,
                  "twin is a transactional table");
    trial_refuses(&trial, "CLONE TABLE not_acid TO acid IF EXISTS OVERWRITE", ERR_SEMANTIC,
                  "clone into a new one");
    trial_gives(&trial, "SELECT id FROM acid", "7");
    trial_gives(&trial, "CREATE TABLE plain AS SELECT * FROM acid", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE t CLONE plain", "");
}

/* ---- races ---- */

#define RACE_ROUNDS 25

struct racer {
    uint8_t number;
    const char *text; /* '#': the round; runs until the clones are made */
    atomic_bool *done;
    enum err_code code;
    char message[256];
};

static void *race(void *context)
{
    struct racer *racer = context;
    for (uint32_t round = 0; racer->code == ERR_OK && !atomic_load(racer->done); round++) {
        struct statement_id id = {{0xD0, racer->number}};
        BYTES_CLEANUP struct bytes text = {0};
        BYTES_CLEANUP struct bytes out = {0};
        store_u32(id.b + 4, round);
        for (const char *c = racer->text; *c != '\0'; c++) {
            if (*c == '#')
                bytes_printf(&text, "%u", round);
            else
                bytes_append_u8(&text, (uint8_t)*c);
        }
        bytes_append_u8(&text, 0);
        racer->code = trial_run_as(&trial, &trial.root, &id, (const char *)text.data, &out);
        snprintf(racer->message, sizeof(racer->message), "%s", (const char *)out.data);
    }
    return NULL;
}

/* The source's two partitions say the same at every moment; so does each clone of it. */
static void a_clone_is_one_moment_of_a_source_that_is_written(void **state)
{
    (void)state;
    atomic_bool done = false;
    struct racer racers[] = {
        {1, "INSERT OVERWRITE TABLE s VALUES (#, 1), (#, 2)", &done, ERR_OK, ""},
        {2, "INSERT OVERWRITE TABLE d VALUES (#, 7)", &done, ERR_OK, ""},
        {3, "CLEANUP", &done, ERR_OK, ""}, /* history goes at once here */
    };
    pthread_t threads[ARRAY_COUNT(racers)];
    trial_gives(&trial, "CREATE TABLE s (id BIGINT) PARTITIONED BY (p INT)", "");
    trial_gives(&trial, "CREATE TABLE d (id BIGINT) PARTITIONED BY (p INT)", "");
    trial_gives(&trial, "INSERT INTO s VALUES (0, 1), (0, 2)", "");
    for (size_t i = 0; i < ARRAY_COUNT(racers); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (int round = 0; round < RACE_ROUNDS; round++) {
        trial_gives(&trial, "CLONE TABLE s TO d IF EXISTS OVERWRITE", "");
        trial_gives(&trial, "SELECT count(*), count(DISTINCT id) FROM d WHERE p < 3", "2,1");
        trial_gives(&trial, "CLONE TABLE s TO fresh", "");
        trial_gives(&trial, "SELECT count(*), count(DISTINCT id) FROM fresh", "2,1");
        trial_gives(&trial, "DROP TABLE fresh", "");
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < ARRAY_COUNT(racers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (racers[i].code != ERR_OK)
            fail_msg("%s: %s", racers[i].text, racers[i].message);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, project)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_table_is_the_source_without_its_lifecycle),
        TEST(specs_name_what_is_below_them),
        TEST(overwrite_ignore_and_neither),
        TEST(a_table_without_partitions_is_one),
        TEST(history_names_it_and_an_outcome_is_remembered),
        TEST(columns_that_differ_are_named_with_how),
        TEST(columns_of_other_ids_are_not_the_same),
        TEST(what_cannot_be_is_refused_and_changes_nothing),
        TEST(rights_are_asked_on_both_sides),
        TEST(an_existing_table_takes_ten_thousand_at_once),
        TEST(an_external_table_is_metadata),
        TEST(a_transactional_table_is_not_frozen),
        TEST(a_clone_is_one_moment_of_a_source_that_is_written),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
