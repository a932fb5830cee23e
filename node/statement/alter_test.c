/* ALTER TABLE and TRUNCATE TABLE as statements: what they change, what they leave, what they refuse, and
 * what a reader sees who began before. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/statement/trial.h"
#include "node/turn.h"
#include "proto/random_test.h"
#include "store/roots.h"
#include "store/table.h"

static struct trial trial;

static int start(void **state)
{
    (void)state;
    trial_start(&trial);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    trial_stop(&trial);
    return 0;
}

static int project(void **state)
{
    (void)state;
    trial_project(&trial);
    return 0;
}

static int whole(void **state)
{
    (void)state;
    trial_is_whole(&trial);
    return 0;
}

/* ---- what a table is ---- */

/* The record's parts that are compared; its texts are not kept. */
static struct table_record record_of(const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct project_record found;
    struct table_record table;
    struct err err;
    if (project_find(trial.store, NULL, span_text(trial.project), &arena, &found, &err) != ERR_OK ||
        table_find(trial.store, NULL, found.id, span_text(name), &arena, &table, &err) != ERR_OK)
        fail_msg("%s", err.message);
    table.name = table.owner = table.comment = (struct span){0};
    table.properties = NULL;
    return table;
}

static enum err_code attribute_keep(void *context, const struct partition_row *row, struct err *err)
{
    (void)err;
    struct page_attribute *attribute = context;
    if (attribute->created_ms == 0)
        *attribute = row->attribute;
    return ERR_OK;
}

/* Of the table's first partition. */
static struct page_attribute attribute_of(const char *name)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct page_attribute attribute = {0};
    struct err err;
    if (reader_open(trial.store, record_of(name).id, &reader, &err) != ERR_OK ||
        reader_partitions(reader, span_of(NULL, 0), attribute_keep, &attribute, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return attribute;
}

static bool same_version(struct table_record a, struct table_record b)
{
    return digest_equal(&a.version.version, &b.version.version);
}

/* What is done next has another time. */
static void time_passes(void)
{
    for (uint64_t now_ms = statement_now_ms(); statement_now_ms() <= now_ms;)
        ;
}

static bool is_shown(const char *statement, const char *part)
{
    BYTES_CLEANUP struct bytes display = {0};
    trial_shows(&trial, statement, &display);
    return strstr((const char *)display.data, part) != NULL;
}

static void sales(void)
{
    trial_gives(&trial, "CREATE TABLE t (a BIGINT, s STRING) PARTITIONED BY (d DATE, n BIGINT)",
                "");
    trial_gives(&trial,
                "INSERT INTO t VALUES (1, 'x', '2024-01-01', 5), (2, 'y', '2024-01-01', 5), "
                "(3, 'z', '2024-01-02', -5), (4, NULL, '2024-01-03', 0)",
                "");
}

/* ---- names ---- */

static void a_renamed_table_keeps_its_id_rows_and_history(void **state)
{
    (void)state;
    sales();
    struct table_record before = record_of("t");
    trial_gives(&trial, "ALTER TABLE T RENAME TO Other_1", "");
    struct table_record after = record_of("other_1");
    assert_int_equal(after.id.n, before.id.n);
    assert_int_equal(after.sequence, before.sequence + 1);
    assert_int_equal(after.modified_ms, before.modified_ms);
    assert_true(version_ref_equal(&after.version, &before.version));
    trial_refuses(&trial, "SELECT * FROM t", ERR_TABLE_NOT_FOUND, "\"t\"");
    trial_gives(&trial, "SELECT a FROM OTHER_1 WHERE d = DATE '2024-01-01' ORDER BY a", "1;2");
    trial_begins(&trial, "SHOW TABLES", "Other_1,TABLE,3,4,");
    trial_begins(&trial, "SHOW HISTORY FOR TABLE other_1", "3,");
    trial_gives(&trial, "CREATE TABLE t (b INT)", ""); /* the name is free */
    trial_restart(&trial);
    trial_gives(&trial, "SELECT count(*) FROM @.other_1", "4");
}

static void a_name_changes_its_case(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "ALTER TABLE t RENAME TO T", "");
    trial_begins(&trial, "SHOW TABLES", "T,TABLE,");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO T", ERR_EXISTS, "table T exists already");
}

static void a_name_that_is_taken_or_cannot_be_is_refused(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "CREATE TABLE u (a INT)", "");
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO U", ERR_EXISTS, "table U exists already");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO S", ERR_EXISTS, "snapshot S exists already");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO `a b`", ERR_SEMANTIC,
                  "line 1, column 25: \"a b\" cannot be a name");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO elsewhere.t", ERR_SEMANTIC,
                  "line 1, column 25: a table stays in its project @");
    trial_refuses(&trial, "ALTER TABLE t RENAME TO SYSTEM_CATALOG.INFORMATION_SCHEMA.x",
                  ERR_SEMANTIC, "SYSTEM_CATALOG");
    trial_refuses(&trial, "ALTER TABLE nope RENAME TO x", ERR_TABLE_NOT_FOUND, "\"nope\"");
    assert_int_equal(record_of("t").sequence, 2); /* nothing half done */
    trial_gives(&trial, "ALTER TABLE t RENAME TO @.v", "");
    trial_gives(&trial, "SELECT count(*) FROM v", "4");
}

/* ---- comment, lifecycle ---- */

static void comment_and_lifecycle_are_the_records(void **state)
{
    (void)state;
    sales();
    struct table_record before = record_of("t");
    assert_true(is_shown("DESC t", "LastDDLTime:"));
    time_passes();
    trial_gives(&trial, "ALTER TABLE t SET COMMENT 'of “shops”, \\'all\\''", "");
    trial_gives(&trial, "ALTER TABLE t SET LIFECYCLE 30", "");
    assert_true(is_shown("DESC t", "| TableComment:             of “shops”, 'all' "));
    assert_true(is_shown("DESC t", "| Lifecycle:                30 "));
    assert_false(is_shown("DESC t", "LifecycleEnabled"));
    trial_gives(&trial, "ALTER TABLE t DISABLE LIFECYCLE", "");
    assert_true(is_shown("DESC t", "| LifecycleEnabled:         false "));
    assert_true(is_shown("SHOW CREATE TABLE t", "DISABLE LIFECYCLE"));
    struct table_record after = record_of("t");
    assert_true(after.lifecycle_disabled && after.lifecycle_days == 30);
    assert_int_equal(after.modified_ms, before.modified_ms);
    assert_true(after.ddl_ms > before.modified_ms && before.ddl_ms == 0);
    assert_true(version_ref_equal(&after.version, &before.version));
    trial_gives(&trial, "ALTER TABLE t ENABLE LIFECYCLE", "");
    trial_gives(&trial, "ALTER TABLE t SET COMMENT ''", "");
    assert_false(record_of("t").lifecycle_disabled);
    assert_false(is_shown("DESC t", "shops"));
}

static void rows_are_no_definition_and_partitions_are(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "TRUNCATE TABLE t", "");
    assert_int_equal(record_of("t").ddl_ms, 0);
    static const char *const definitions[] = {
        "ALTER TABLE t ADD PARTITION (d='2024-01-09', n=9)",
        "ALTER TABLE t PARTITION (d='2024-01-09', n=9) RENAME TO PARTITION (d='2024-01-09', n=8)",
        "ALTER TABLE t DROP PARTITION (d='2024-01-09', n=8)",
        "ALTER TABLE t SET LIFECYCLE 3",
    };
    for (size_t i = 0; i < ARRAY_COUNT(definitions); i++) {
        uint64_t before_ms = record_of("t").ddl_ms;
        time_passes();
        trial_gives(&trial, definitions[i], "");
        assert_true(record_of("t").ddl_ms > before_ms);
    }
}

static void a_partitions_lifecycle_is_switched_and_stays_so(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a BIGINT) PARTITIONED BY (n BIGINT)", "");
    trial_gives(&trial, "INSERT INTO t VALUES (1, 1)", "");
    struct table_record before = record_of("t");
    struct page_attribute first = attribute_of("t");
    time_passes();
    trial_gives(&trial, "ALTER TABLE t PARTITION (n=1) DISABLE LIFECYCLE", "");
    assert_true(attribute_of("t").lifecycle_off);
    assert_int_equal(attribute_of("t").modified_ms, first.modified_ms);
    assert_int_equal(record_of("t").modified_ms, before.modified_ms);
    assert_true(same_version(record_of("t"), before));
    assert_true(is_shown("DESC t PARTITION (n=1)", "| LifecycleEnabled:         false "));
    trial_gives(&trial, "INSERT OVERWRITE TABLE t PARTITION (n=1) VALUES (2)", "");
    trial_gives(&trial, "TRUNCATE TABLE t", "");
    trial_gives(&trial, "ALTER TABLE t TOUCH PARTITION (n=1)", "");
    trial_gives(&trial, "ALTER TABLE t PARTITION (n=1) RENAME TO PARTITION (n=0)", "");
    assert_true(attribute_of("t").lifecycle_off);
    assert_int_equal(attribute_of("t").created_ms, first.created_ms);
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    trial_gives(&trial, "ALTER TABLE t PARTITION (n=0) ENABLE LIFECYCLE", "");
    assert_false(attribute_of("t").lifecycle_off);
    trial_gives(&trial, "CREATE TABLE r CLONE s", "");
    assert_true(attribute_of("r").lifecycle_off);
}

static void touch_sets_the_time_and_nothing_else(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "CREATE TABLE plain (a INT)", "");
    struct table_record parted = record_of("t"), plain = record_of("plain");
    struct page_attribute first = attribute_of("t");
    time_passes();
    trial_gives(&trial, "ALTER TABLE t TOUCH", "");
    assert_true(record_of("t").modified_ms > parted.modified_ms);
    assert_int_equal(attribute_of("t").modified_ms, first.modified_ms); /* each has its own */
    trial_gives(&trial, "ALTER TABLE t TOUCH PARTITION (n=5, d='2024-01-01')", "");
    assert_true(attribute_of("t").modified_ms > first.modified_ms);
    assert_int_equal(attribute_of("t").created_ms, first.created_ms);
    trial_gives(&trial, "ALTER TABLE plain TOUCH", "");
    assert_true(record_of("plain").modified_ms > plain.modified_ms);
    assert_true(attribute_of("plain").modified_ms > plain.modified_ms);
    assert_true(same_version(record_of("t"), parted));
    assert_int_equal(record_of("t").sequence, parted.sequence + 2);
}

/* ---- partitions' names ---- */

static void a_renamed_partition_keeps_rows_and_times(void **state)
{
    (void)state;
    sales();
    struct page_attribute first = attribute_of("t");
    time_passes();
    /* to a larger key, a smaller one, and between others */
    trial_gives(&trial,
                "ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION "
                "(n=7, d='2025-01-01')",
                "");
    trial_gives(&trial,
                "ALTER TABLE t PARTITION (d='2024-01-03', n=0) RENAME TO PARTITION "
                "(d='2024-01-03', n=-9)",
                "");
    trial_gives(&trial,
                "ALTER TABLE t PARTITION (d='2025-01-01', n=7) RENAME TO PARTITION "
                "(d='2023-12-31', n=1)",
                "");
    assert_int_equal(attribute_of("t").modified_ms, first.modified_ms);
    assert_int_equal(attribute_of("t").created_ms, first.created_ms);
    trial_gives(&trial, "SELECT * FROM t ORDER BY a",
                "1,x,2023-12-31,1;2,y,2023-12-31,1;3,z,2024-01-02,-5;4,NULL,2024-01-03,-9");
    assert_int_equal(record_of("t").version.totals.rows, 4);
    trial_gives(&trial, "INSERT INTO t VALUES (5, 'v', '2023-12-31', 1)", "");
    trial_gives(&trial, "SELECT a FROM t WHERE n = 1 ORDER BY a", "1;2;5");
    BYTES_CLEANUP struct bytes history = {0};
    assert_int_equal(trial_run(&trial, "SHOW HISTORY FOR TABLE t", &history), ERR_OK);
    assert_non_null(strstr((char *)history.data, ",ALTER,"));
}

static void partitions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "CREATE TABLE plain (a INT)", "");
    static const struct {
        const char *text;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='2024-01-02', n=-5)",
         ERR_EXISTS, "existed values: [\"d=2024-01-02/n=-5\"]"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='2024-01-01', n=5)",
         ERR_EXISTS, "d=2024-01-01/n=5"},
        {"ALTER TABLE t PARTITION (d='2024-01-09', n=5) RENAME TO PARTITION (d='2024-01-01', n=6)",
         ERR_NOT_FOUND, "partition d=2024-01-09/n=5 does not exist"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='2024-01-01')",
         ERR_SEMANTIC, "line 1, column 57: PARTITION(...) lacks n"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='x', n=5)", ERR_CAST,
         "line 1, column 57: "},
        {"ALTER TABLE t PARTITION (d='2024-01-01', m=5) DISABLE LIFECYCLE", ERR_SEMANTIC,
         "line 1, column 15: m is not a partition column"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', a=5) DISABLE LIFECYCLE", ERR_SEMANTIC,
         "a is not a partition column"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', d='2024-01-01') DISABLE LIFECYCLE", ERR_SEMANTIC,
         "d is given twice"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=NULL) DISABLE LIFECYCLE", ERR_SEMANTIC,
         "n cannot be NULL"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=9) ENABLE LIFECYCLE", ERR_NOT_FOUND, "n=9"},
        {"ALTER TABLE t TOUCH PARTITION (d='2024-01-01', n=9)", ERR_NOT_FOUND, "n=9"},
        {"TRUNCATE TABLE t PARTITION (d='2024-01-01', n=5), PARTITION (d='2024-01-01', n=9)",
         ERR_NOT_FOUND, "n=9"},
        {"TRUNCATE TABLE t PARTITION (d='2024-01-01', n=5), PARTITION (n=5, d='2024-01-01')",
         ERR_SEMANTIC, "a partition is named twice"},
        {"TRUNCATE TABLE t PARTITION (d='2024-01-01')", ERR_SEMANTIC, "lacks n"},
        {"TRUNCATE TABLE t PARTITION (d='2024-01-01', n='x')", ERR_CAST, "partition column n: 'x'"},
        {"TRUNCATE TABLE plain PARTITION (a=1)", ERR_SEMANTIC, "has no partitions"},
        {"ALTER TABLE plain PARTITION (a=1) DISABLE LIFECYCLE", ERR_SEMANTIC, "has no partitions"},
        {"TRUNCATE TABLE nope", ERR_TABLE_NOT_FOUND, "\"nope\""},
    };
    uint64_t sequence = record_of("t").sequence;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        trial_refuses(&trial, cases[i].text, cases[i].code, cases[i].words);
    assert_int_equal(record_of("t").sequence, sequence);
    trial_gives(&trial, "SELECT count(*) FROM t", "4");
}

/* ---- TRUNCATE ---- */

static void truncate_takes_rows_and_leaves_partitions(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    struct page_attribute first = attribute_of("t");
    time_passes();
    trial_gives(&trial,
                "TRUNCATE TABLE t PARTITION (d='2024-01-03', n=0), PARTITION (d='2024-01-01', n=5)",
                "");
    trial_gives(&trial, "SELECT a FROM t", "3");
    assert_int_equal(record_of("t").version.totals.partitions, 3);
    assert_true(attribute_of("t").modified_ms > first.modified_ms);
    assert_int_equal(attribute_of("t").created_ms, first.created_ms);
    trial_gives(&trial, "INSERT INTO t PARTITION (d='2024-01-01', n=5) VALUES (9, 'n')", "");
    trial_gives(&trial, "SELECT a FROM t ORDER BY a", "3;9");
    trial_gives(&trial, "TRUNCATE TABLE t", "");
    trial_gives(&trial, "TRUNCATE TABLE t", ""); /* of nothing: nothing */
    trial_gives(&trial, "SELECT count(*) FROM t", "0");
    assert_int_equal(record_of("t").version.totals.partitions, 3);
    assert_int_equal(record_of("t").version.totals.rows, 0);
    assert_int_equal(record_of("t").version.totals.bytes, 0);
    trial_gives(&trial, "SELECT count(*) FROM s", "4");
    BYTES_CLEANUP struct bytes history = {0};
    assert_int_equal(trial_run(&trial, "SHOW HISTORY FOR TABLE t", &history), ERR_OK);
    assert_non_null(strstr((char *)history.data, ",TRUNCATE,"));
}

static void a_table_without_partitions_is_truncated(void **state)
{
    (void)state;
    trial_gives(&trial, "CREATE TABLE t (a INT)", "");
    struct table_record empty = record_of("t");
    trial_gives(&trial, "INSERT INTO t VALUES (1), (2)", "");
    trial_gives(&trial, "INSERT INTO t VALUES (3)", "");
    trial_gives(&trial, "TRUNCATE TABLE t", "");
    assert_true(same_version(record_of("t"), empty));
    trial_gives(&trial, "INSERT INTO t VALUES (4)", "");
    trial_gives(&trial, "SELECT a FROM t", "4");
}

/* ---- equal content, whatever the way to it ---- */

#define PARTS      1200
#define PART_STEPS 60

/* The partition that row i is in, and whether it has been truncated. */
struct model {
    int64_t key[PARTS];
    bool is_empty[PARTS];
};

static bool model_has(const struct model *model, int64_t key)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (model->key[i] == key)
            return true;
    }
    return false;
}

/* Makes table `name` as the model says, by one INSERT. */
static void model_insert(const struct model *model, const char *name)
{
    BYTES_CLEANUP struct bytes insert = {0};
    BYTES_CLEANUP struct bytes add = {0};
    char create[80];
    snprintf(create, sizeof(create), "CREATE TABLE %s (a BIGINT) PARTITIONED BY (n BIGINT)", name);
    trial_gives(&trial, create, "");
    bytes_printf(&insert, "INSERT INTO %s VALUES ", name);
    bytes_printf(&add, "ALTER TABLE %s ADD IF NOT EXISTS", name);
    for (size_t i = 0; i < PARTS; i++) {
        if (model->is_empty[i])
            bytes_printf(&add, " PARTITION (n=%" PRId64 ")", model->key[i]);
        else
            bytes_printf(&insert, "(%zu, %" PRId64 "),", i, model->key[i]);
    }
    insert.data[insert.len - 1] = 0; /* the last comma */
    trial_gives(&trial, (const char *)insert.data, "");
    bytes_append_u8(&add, 0);
    if (strstr((const char *)add.data, "PARTITION (") != NULL)
        trial_gives(&trial, (const char *)add.data, "");
}

static void model_step(struct model *model, struct random *random)
{
    char text[160];
    size_t i = random_below(random, PARTS);
    int64_t key = (int64_t)random_below(random, 4 * PARTS) - 2 * PARTS;
    if (random_below(random, 4) == 0) {
        snprintf(text, sizeof(text), "TRUNCATE TABLE t PARTITION (n=%" PRId64 ")", model->key[i]);
        model->is_empty[i] = true;
    } else if (!model_has(model, key)) {
        snprintf(text, sizeof(text),
                 "ALTER TABLE t PARTITION (n=%" PRId64 ") RENAME TO PARTITION (n=%" PRId64 ")",
                 model->key[i], key);
        model->key[i] = key;
    } else {
        snprintf(text, sizeof(text), "ALTER TABLE t TOUCH PARTITION (n=%" PRId64 ")", key);
    }
    trial_gives(&trial, text, "");
}

static void renamed_and_truncated_is_as_if_made_so(void **state)
{
    (void)state;
    struct random random = random_start();
    static struct model model;
    memset(&model, 0, sizeof(model));
    for (size_t i = 0; i < PARTS; i++)
        model.key[i] = (int64_t)i;
    model_insert(&model, "t");
    for (size_t step = 0; step < PART_STEPS; step++)
        model_step(&model, &random);
    model_insert(&model, "u");
    assert_true(same_version(record_of("t"), record_of("u")));
}

/* ---- who reads, who writes, who asks again ---- */

static void a_reader_sees_what_it_began_with(void **state)
{
    (void)state;
    static const struct {
        const char *change, *after;
    } changes[] = {
        {"ALTER TABLE t RENAME TO u", "SELECT count(*) FROM u"},
        {"ALTER TABLE u RENAME TO t", "SELECT count(*) FROM t"},
        {"ALTER TABLE t SET COMMENT 'c'", "SELECT count(*) FROM t"},
        {"ALTER TABLE t TOUCH", "SELECT count(*) FROM t"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) DISABLE LIFECYCLE",
         "SELECT count(*) FROM t"},
        {"ALTER TABLE t PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='2024-01-04', n=5)",
         "SELECT count(*) FROM t WHERE d <> DATE '2024-01-01'"},
        {"TRUNCATE TABLE t PARTITION (d='2024-01-02', n=-5)", "SELECT count(*) + 1 FROM t"},
        {"TRUNCATE TABLE t", "SELECT count(*) + 4 FROM t"},
    };
    sales();
    const char *name = "t";
    BYTES_CLEANUP struct bytes rows = {0};
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        char text[80];
        snprintf(text, sizeof(text), "SELECT * FROM %s", name);
        bytes_clear(&rows);
        assert_int_equal(trial_run(&trial, text, &rows), ERR_OK);
        struct trial_cursor *cursor = trial_open(&trial, text);
        trial_gives(&trial, changes[i].change, "");
        trial_gives(&trial, changes[i].after, "4");
        BYTES_CLEANUP struct bytes cleaned = {0};
        assert_int_equal(trial_run(&trial, "CLEANUP", &cleaned), ERR_OK);
        trial_rest(cursor, (const char *)rows.data);
        name = i == 0 ? "u" : "t";
    }
}

#define WRITES_EACH 12

struct writer {
    const char *first, *second;
    uint8_t number;
    enum err_code code;
    struct bytes said;
    atomic_bool done;
};

static void *write_turns(void *argument)
{
    struct writer *writer = argument;
    for (uint8_t i = 0; i < WRITES_EACH && writer->code == ERR_OK; i++) {
        const struct statement_id id = {{i, writer->number, 77}};
        bytes_clear(&writer->said);
        writer->code = trial_run_as(&trial, &trial.root, &id,
                                    i % 2 == 0 ? writer->first : writer->second, &writer->said);
    }
    return NULL;
}

static void writers_of_one_table_take_turns(void **state)
{
    (void)state;
    sales();
    uint64_t before = record_of("t").sequence;
    struct writer writers[] = {
        {.first = "ALTER TABLE t SET COMMENT 'a'", .second = "ALTER TABLE t SET LIFECYCLE 9"},
        {.first = "INSERT INTO t VALUES (1, 'x', '2024-01-01', 5)",
         .second = "ALTER TABLE t TOUCH PARTITION (d='2024-01-01', n=5)"},
        {.first = "ALTER TABLE t PARTITION (d='2024-01-02', n=-5) RENAME TO PARTITION "
                  "(d='2024-01-09', n=1)",
         .second = "ALTER TABLE t PARTITION (d='2024-01-09', n=1) RENAME TO PARTITION "
                   "(d='2024-01-02', n=-5)"},
    };
    pthread_t threads[ARRAY_COUNT(writers)];
    for (size_t i = 0; i < ARRAY_COUNT(writers); i++) {
        writers[i].number = (uint8_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_turns, &writers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(writers); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < ARRAY_COUNT(writers); i++) {
        if (writers[i].code != ERR_OK)
            fail_msg("%s", (const char *)writers[i].said.data);
        bytes_deinit(&writers[i].said);
    }
    assert_int_equal(record_of("t").sequence, before + ARRAY_COUNT(writers) * WRITES_EACH);
    trial_gives(&trial, "SELECT count(*) FROM t", "10");
}

static void *write_once(void *argument)
{
    struct writer *writer = argument;
    const struct statement_id id = {{writer->number, 78}};
    writer->code = trial_run_as(&trial, &trial.root, &id, writer->first, &writer->said);
    atomic_store(&writer->done, true);
    return NULL;
}

/* One that did not wait is done long before it is looked at; one that waits costs this test 50 ms. */
static void whoever_changes_a_table_waits_for_its_turn(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ALTER TABLE t ADD PARTITION (d='2024-03-01', n=1)",
        "ALTER TABLE t DROP PARTITION (d='2024-03-01', n=1)",
        "ALTER TABLE t NOT CLUSTERED",
        "ALTER TABLE t SET COMMENT 'b'",
        "TRUNCATE TABLE t",
    };
    sales();
    struct table_id table = record_of("t").id;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct writer writer = {.first = texts[i], .number = (uint8_t)i};
        pthread_t thread;
        table_turn_take(table);
        assert_int_equal(pthread_create(&thread, NULL, write_once, &writer), 0);
        for (int look = 0; look < 10 && !atomic_load(&writer.done); look++)
            usleep(5000);
        bool waited = !atomic_load(&writer.done);
        table_turn_give(table);
        pthread_join(thread, NULL);
        if (!waited || writer.code != ERR_OK)
            fail_msg("%s: %s", texts[i], (const char *)writer.said.data);
        bytes_deinit(&writer.said);
    }
}

static void a_change_sent_again_is_done_once(void **state)
{
    (void)state;
    sales();
    trial_gives(&trial, "INSERT INTO t VALUES (5, 'x', '2024-01-05', 5)", "");
    const struct statement_id id = {{1, 2, 3}};
    BYTES_CLEANUP struct bytes said = {0};
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, "TRUNCATE TABLE t", &said), ERR_OK);
    trial_gives(&trial, "INSERT INTO t VALUES (6, 'x', '2024-01-05', 5)", "");
    uint64_t sequence = record_of("t").sequence;
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, "TRUNCATE TABLE t", &said), ERR_OK);
    trial_gives(&trial, "SELECT a FROM t", "6");
    assert_int_equal(record_of("t").sequence, sequence);
}

static void snapshots_are_immutable(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "ALTER TABLE s RENAME TO r",
        "ALTER TABLE s SET COMMENT 'c'",
        "ALTER TABLE s SET LIFECYCLE 3",
        "ALTER TABLE s DISABLE LIFECYCLE",
        "ALTER TABLE s TOUCH",
        "ALTER TABLE s PARTITION (d='2024-01-01', n=5) DISABLE LIFECYCLE",
        "ALTER TABLE s PARTITION (d='2024-01-01', n=5) RENAME TO PARTITION (d='2024-01-01', n=6)",
        "TRUNCATE TABLE s",
    };
    sales();
    trial_gives(&trial, "CREATE SNAPSHOT TABLE s CLONE t", "");
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
        trial_refuses(&trial, changes[i], ERR_SEMANTIC,
                      "s is a snapshot; snapshots are immutable: CREATE TABLE t CLONE s makes");
    trial_gives(&trial, "SELECT count(*) FROM s", "4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, project, whole)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_renamed_table_keeps_its_id_rows_and_history),
        TEST(a_name_changes_its_case),
        TEST(a_name_that_is_taken_or_cannot_be_is_refused),
        TEST(comment_and_lifecycle_are_the_records),
        TEST(rows_are_no_definition_and_partitions_are),
        TEST(a_partitions_lifecycle_is_switched_and_stays_so),
        TEST(touch_sets_the_time_and_nothing_else),
        TEST(a_renamed_partition_keeps_rows_and_times),
        TEST(partitions_that_cannot_be_are_refused),
        TEST(truncate_takes_rows_and_leaves_partitions),
        TEST(a_table_without_partitions_is_truncated),
        TEST(renamed_and_truncated_is_as_if_made_so),
        TEST(a_reader_sees_what_it_began_with),
        TEST(writers_of_one_table_take_turns),
        TEST(whoever_changes_a_table_waits_for_its_turn),
        TEST(a_change_sent_again_is_done_once),
        TEST(snapshots_are_immutable),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
