/* INSERT ... SELECT, CREATE TABLE AS | LIKE, CREATE OR REPLACE TABLE: what they do and refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/ingest.h"
#include "node/statement/catalog.h"
#include "node/limits.h"
#include "node/statement/trial.h"
#include "node/turn.h"

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

#define SOURCE                                                                                     \
    "CREATE TABLE s (id BIGINT, amount DOUBLE, note STRING, day DATE);"                            \
    "INSERT INTO s VALUES (1, 0.5, 'x', '2024-01-01'), (2, NULL, NULL, '2024-01-02'), "            \
    "(3, 1.25, 'z', '2024-01-01')"

static void gives_all(const char *texts)
{
    MEM_CLEANUP char *copy = mem_strdup(texts);
    char *rest = NULL;
    for (char *one = strtok_r(copy, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest))
        trial_gives(&trial, one, "");
}

static int source(void **state)
{
    (void)state;
    trial_project(&trial);
    gives_all(SOURCE);
    return 0;
}

/* Whether SHOW CREATE TABLE has the words, in which '@' is the project. */
static bool create_has(const char *table, const char *words)
{
    BYTES_CLEANUP struct bytes out = {0};
    BYTES_CLEANUP struct bytes wanted = {0};
    char text[64];
    snprintf(text, sizeof(text), "SHOW CREATE TABLE %s", table);
    assert_int_equal(trial_run(&trial, text, &out), ERR_OK);
    for (const char *c = words; *c != '\0'; c++)
        bytes_append_text(&wanted, *c == '@' ? trial.project : (char[]){*c, '\0'});
    bytes_append_u8(&wanted, 0);
    return strstr((const char *)out.data, (const char *)wanted.data) != NULL;
}

static void shows(const char *table, const char *words)
{
    assert_true(create_has(table, words));
}

static void shows_not(const char *table, const char *words)
{
    assert_false(create_has(table, words));
}

static bool version_same(const char *a, const char *b)
{
    struct version_ref of_a = trial_version(&trial, a), of_b = trial_version(&trial, b);
    return digest_equal(&of_a.version, &of_b.version);
}

/* ---- where rows go ---- */

static void a_query_goes_into_one_named_partition(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (id BIGINT, note STRING) PARTITIONED BY (day DATE, shop STRING);"
              "INSERT INTO t PARTITION(shop='a', day='2024-01-01') SELECT id, note FROM s;"
              "INSERT INTO t PARTITION(day='2024-01-01', shop='a') (note) SELECT 'more'");
    trial_gives(&trial, "SELECT * FROM t ORDER BY id",
                "NULL,more,2024-01-01,a;1,x,2024-01-01,a;2,NULL,2024-01-01,a;3,z,2024-01-01,a");
    gives_all("INSERT OVERWRITE TABLE t PARTITION(day='2024-01-01', shop='a') SELECT id, note FROM "
              "s WHERE id = 2");
    trial_gives(&trial, "SELECT * FROM t", "2,NULL,2024-01-01,a");
}

static void rows_choose_their_partitions(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (id BIGINT) PARTITIONED BY (shop STRING, day DATE);"
              "INSERT INTO t PARTITION(shop, day) SELECT id, note, day FROM s WHERE note <> 'z';"
              "INSERT INTO t PARTITION(day, shop) SELECT id, day, note FROM s WHERE note = 'z';"
              "INSERT INTO t PARTITION(shop='m', day) SELECT id * 10, day FROM s;"
              "INSERT INTO t SELECT 7, 'w', DATE '2024-03-01'");
    trial_gives(&trial, "SELECT * FROM t ORDER BY id",
                "1,x,2024-01-01;3,z,2024-01-01;7,w,2024-03-01;10,m,2024-01-01;20,m,2024-01-02;"
                "30,m,2024-01-01");
    gives_all("INSERT OVERWRITE TABLE t PARTITION(shop='m', day) SELECT 11, DATE '2024-01-01'");
    trial_gives(&trial, "SELECT id, day FROM t WHERE shop = 'm' ORDER BY id",
                "11,2024-01-01;20,2024-01-02");
}

static void an_empty_result_empties_what_is_named_and_nothing_else(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (id BIGINT) PARTITIONED BY (shop STRING);"
              "INSERT INTO t PARTITION(shop) SELECT id, note FROM s WHERE note IS NOT NULL;"
              "INSERT OVERWRITE TABLE t PARTITION(shop) SELECT id, note FROM s WHERE id > 99");
    trial_gives(&trial, "SELECT * FROM t ORDER BY id", "1,x;3,z");
    gives_all("INSERT OVERWRITE TABLE t PARTITION(shop='x') SELECT id FROM s WHERE id > 99");
    trial_gives(&trial, "SELECT * FROM t ORDER BY id", "3,z");
    trial_begins(&trial, "SHOW PARTITIONS t", "shop=x,0,");
    gives_all("INSERT INTO t PARTITION(shop='new') SELECT id FROM s WHERE id > 99");
    trial_begins(&trial, "SHOW PARTITIONS t", "shop=new,0,");
    gives_all("CREATE TABLE u (id BIGINT);INSERT INTO u SELECT id FROM s;"
              "INSERT OVERWRITE TABLE u SELECT id FROM s WHERE false");
    trial_gives(&trial, "SELECT count(*) FROM u", "0");
}

static void columns_map_by_place_and_take_defaults(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (a BIGINT, b STRING DEFAULT 'none', c DOUBLE);"
              "INSERT INTO t (c, a) SELECT amount, id FROM s WHERE id = 1;"
              "INSERT INTO t (SELECT 5, 'five', 5.5);"
              "INSERT INTO t WITH w AS (SELECT 6 AS n) SELECT n, 'w', NULL FROM w");
    trial_gives(&trial, "SELECT * FROM t ORDER BY a", "1,none,0.5;5,five,5.5;6,w,NULL");
}

static void a_table_may_be_written_from_itself(void **state)
{
    (void)state;
    gives_all("INSERT INTO s SELECT id + 10, amount, note, day FROM s;"
              "INSERT INTO s SELECT id + 100, amount, note, day FROM s WHERE id IN (SELECT id FROM "
              "s)");
    trial_gives(&trial, "SELECT id FROM s ORDER BY id", "1;2;3;11;12;13;101;102;103;111;112;113");
    gives_all("INSERT OVERWRITE TABLE s SELECT * FROM s WHERE id < 3");
    trial_gives(&trial, "SELECT id FROM s ORDER BY id", "1;2");
}

/* ---- what values become ---- */

static void values_are_converted_as_documented(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (n BIGINT, i INT, f DOUBLE, d DECIMAL(6,2), s STRING, b BOOLEAN, y "
              "DATE, h DATETIME)");
    gives_all("INSERT INTO t SELECT '12', 7L, 2, '3.456', 4.50BD, 'true', '2024-02-29', DATE "
              "'2024-01-01';"
              "INSERT INTO t SELECT 13, '-8', 1.5BD, 2.345, DATE '2024-01-01', false, DATE "
              "'2024-03-01', '2024-01-02 03:04:05';"
              "INSERT INTO t SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;"
              "INSERT INTO t SELECT 14, 9, '0.25', 17, true, NULL, NULL, NULL");
    trial_gives(&trial, "SELECT * FROM t ORDER BY n",
                "NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL;"
                "12,7,2,3.46,4.50,true,2024-02-29,2024-01-01 00:00:00;"
                "13,-8,1.5,2.35,2024-01-01,false,2024-03-01,2024-01-02 03:04:05;"
                "14,9,0.25,17.00,true,NULL,NULL,NULL");
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"INSERT INTO t (i) SELECT id * 3000000000 FROM s", ERR_CAST,
         "column i: '3000000000' does not fit INT"},
        {"INSERT INTO t (d) SELECT 12345.6", ERR_CAST,
         "column d: '12345.6' does not fit DECIMAL(6,2)"},
        {"INSERT INTO t (d) SELECT 99999.999BD", ERR_CAST, "column d: '99999.999'"},
        {"INSERT INTO t (n) SELECT note FROM s WHERE id = 3", ERR_CAST, "column n: 'z'"},
        {"INSERT INTO t (y) SELECT '2024-02-30'", ERR_CAST, "column y: '2024-02-30'"},
        {"INSERT INTO t (b) SELECT 'maybe'", ERR_CAST, "column b: 'maybe'"},
        {"INSERT INTO t (n) SELECT amount FROM s", ERR_SEMANTIC,
         "column n is BIGINT, and SELECT gives DOUBLE: write CAST(... AS BIGINT)"},
        {"INSERT INTO t (n) SELECT 1.0BD", ERR_SEMANTIC, "SELECT gives DECIMAL(2,1)"},
        {"INSERT INTO t (y) SELECT DATETIME '2024-01-01 10:00:00'", ERR_SEMANTIC,
         "CAST(... AS DATE)"},
        {"INSERT INTO t (n) SELECT day FROM s", ERR_SEMANTIC, "SELECT gives DATE"},
        {"INSERT INTO t (b) SELECT 1", ERR_SEMANTIC, "column b is BOOLEAN"},
        {"INSERT INTO k SELECT NULL, 1", ERR_SEMANTIC,
         "column id is NOT NULL, and SELECT gives NULL"},
        {"INSERT INTO k SELECT amount, 1 FROM s", ERR_SEMANTIC, "column id is BIGINT"},
        {"INSERT INTO k (v) SELECT 1", ERR_SEMANTIC,
         "column id is NOT NULL, and INSERT leaves it out"},
        {"INSERT INTO p PARTITION(shop) SELECT id, note FROM s", ERR_SEMANTIC,
         "invalid dynamic partition value: partition column shop cannot be NULL"},
        {"INSERT INTO p PARTITION(shop) SELECT 1, ''", ERR_SEMANTIC, "1 to 128 bytes; '' has 0"},
        {"INSERT INTO p PARTITION(shop) SELECT 1, REPEAT('long', 40)", ERR_SEMANTIC,
         "'longlonglonglonglonglonglonglonglonglong' has 160"},
        {"INSERT INTO p PARTITION(shop) SELECT 1, 'a/b'", ERR_SEMANTIC,
         "shop cannot hold '/' or control characters: 'a/b'"},
    };
    gives_all("CREATE TABLE t (n BIGINT, i INT, d DECIMAL(6,2), b BOOLEAN, y DATE);"
              "CREATE TABLE k (id BIGINT NOT NULL, v INT);"
              "CREATE TABLE p (id BIGINT) PARTITIONED BY (shop STRING)");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        trial_refuses(&trial, cases[i].text, cases[i].code, cases[i].words);
    trial_gives(&trial, "SELECT count(*) FROM t", "0");
    trial_gives(&trial, "SELECT count(*) FROM k", "0");
    trial_gives(&trial, "SHOW PARTITIONS p", "");
}

static void lenient_texts_become_what_select_makes_of_them(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (n BIGINT)");
    trial_refuses(&trial, "INSERT INTO t SELECT '12x'", ERR_CAST, "column n: '12x'");
    trial.setting =
        (struct operator_pair){span_text("odps.function.strictmode"), span_text("false")};
    gives_all("INSERT INTO t SELECT '12x';INSERT INTO t SELECT 'x'");
    trial.setting = (struct operator_pair){0};
    trial_gives(&trial, "SELECT n FROM t ORDER BY n", "NULL;12");
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"INSERT INTO s SELECT 1, 2.5, 'x'",
         "SELECT gives 3 columns, table has 4: id, amount, note, day"},
        {"INSERT INTO s (id) SELECT 1, 2", "SELECT gives 2 columns, INSERT has 1: id"},
        {"INSERT INTO p PARTITION(a='x', b=1) SELECT 1, 'x', 1",
         "SELECT gives 3 columns, INSERT has 1: id"},
        {"INSERT INTO p PARTITION(b, a) SELECT 1, 2", "INSERT has 3: id, b, a"},
        {"INSERT INTO p PARTITION(nope) SELECT 1, 2", "nope is not a partition column"},
        {"INSERT INTO p PARTITION(id, a, b) SELECT 1, 2", "id is not a partition column"},
        {"INSERT INTO s PARTITION(day) SELECT 1, 2", "day is not a partition column"},
        {"INSERT INTO p PARTITION(a='x', A) SELECT 1, 2", "partition column A is given twice"},
        {"INSERT INTO p PARTITION(a, a='x') SELECT 1, 2", "partition column a is given twice"},
        {"INSERT INTO p PARTITION(a, b, b) SELECT 1, 2, 3", "partition column b is given twice"},
        {"INSERT INTO p PARTITION(a, b=1) SELECT 1, 'x'",
         "gives b a value below a, which has none"},
        {"INSERT INTO p PARTITION(a, b=1) VALUES (1, 'x')",
         "gives b a value below a, which has none"},
        {"INSERT INTO p PARTITION(a='x') SELECT 1, 2", "PARTITION(...) lacks b"},
        {"INSERT INTO p (id, a) SELECT 1, 2", "partition column a cannot be listed"},
        {"INSERT INTO s (nope) SELECT 1", "column nope does not exist"},
        {"INSERT INTO s (id, ID) SELECT 1, 2", "listed twice"},
        {"INSERT INTO snap SELECT * FROM s", "snap is a snapshot"},
        {"INSERT INTO s SELECT nope FROM s", "nope"},
        {"EXPLAIN INSERT INTO s VALUES (1, 2, 'x', NULL)", "reads nothing"},
        {"EXPLAIN INSERT INTO snap SELECT * FROM s", "snap is a snapshot"},
        {"CREATE TABLE x AS SELECT 1 AS a, 2 AS A",
         "columns 1 and 2 of the SELECT are both named A"},
        {"CREATE TABLE x AS SELECT s.id, t.id FROM s, s t", "both named id"},
        {"CREATE OR REPLACE TABLE snap (a INT)", "snap is a snapshot"},
        {"CREATE OR REPLACE TABLE snap AS SELECT 1", "snap is a snapshot"},
        {"CREATE OR REPLACE TABLE IF NOT EXISTS s (a INT)", "exclude each other"},
        {"CREATE TABLE x (a INT) AS SELECT 1", "AS brings all columns"},
        {"CREATE TABLE x PARTITIONED BY (p INT) AS SELECT 1", "AS brings all columns"},
        {"CREATE TABLE x (a INT) LIKE s", "LIKE brings all columns"},
    };
    gives_all("CREATE TABLE p (id BIGINT) PARTITIONED BY (a STRING, b INT);"
              "CREATE SNAPSHOT TABLE snap CLONE s");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        trial_refuses(&trial, cases[i].text, ERR_SEMANTIC, cases[i].words);
    trial_refuses(&trial, "INSERT INTO nope SELECT 1", ERR_TABLE_NOT_FOUND, "\"nope\"");
    trial_refuses(&trial, "INSERT INTO s SELECT * FROM nope", ERR_TABLE_NOT_FOUND, "\"nope\"");
    trial_refuses(&trial, "CREATE TABLE x LIKE nope", ERR_TABLE_NOT_FOUND, "\"nope\"");
    trial_refuses(&trial, "CREATE TABLE x AS VALUES (1)", ERR_PARSE, "expected SELECT");
    trial_refuses(&trial, "CREATE TABLE x COMMENT 'c'", ERR_PARSE, "expected (, AS, LIKE or CLONE");
    trial_refuses(&trial, "INSERT INTO s DELETE", ERR_PARSE, "expected VALUES or SELECT");
    trial_refuses(&trial, "ALTER TABLE p ADD PARTITION (a, b=1)", ERR_PARSE, "expected =");
    trial_gives(&trial, "SELECT count(*) FROM s", "3");
}

/* ---- once, or not at all ---- */

static void what_was_answered_is_not_done_again(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "INSERT INTO s SELECT * FROM s",
        "CREATE TABLE c AS SELECT * FROM s",
        "CREATE OR REPLACE TABLE c AS SELECT count(*) AS n FROM s",
        "CREATE TABLE l LIKE s",
        "CREATE OR REPLACE TABLE l LIKE c",
        "CREATE OR REPLACE TABLE l (x STRING)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        const struct statement_id id = {{(uint8_t)(i + 1), 120}};
        for (int times = 0; times < 3; times++) {
            BYTES_CLEANUP struct bytes out = {0};
            if (trial_run_as(&trial, &trial.root, &id, changes[i], &out) != ERR_OK)
                fail_msg("%s, time %d: %s", changes[i], times + 1, (char *)out.data);
        }
    }
    trial_gives(&trial, "SELECT count(*) FROM s", "6");
    trial_gives(&trial, "SELECT n FROM c", "6");
    trial_gives(&trial, "SELECT x FROM l", "");
}

static void one_that_is_cancelled_or_too_long_changes_nothing(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "INSERT INTO s SELECT * FROM s",
        "INSERT OVERWRITE TABLE s SELECT a.* FROM s a, s b, s c",
        "CREATE TABLE c AS SELECT * FROM s",
        "CREATE OR REPLACE TABLE s AS SELECT 1",
    };
    struct version_ref before = trial_version(&trial, "s");
    atomic_store(&trial.cancel, true);
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
        trial_refuses(&trial, changes[i], ERR_CANCELLED, "cancelled");
    atomic_store(&trial.cancel, false);
    gives_all("CREATE TABLE many AS SELECT a.id FROM s a, s b, s c, s d, s e, s f, s g, s h, s i");
    trial.services.limits->values.select.time_ms_max = 1;
    trial_refuses(&trial, "INSERT INTO s (id) SELECT a.id FROM many a", ERR_TIMEOUT, "select_time");
    trial.services.limits->values.select.time_ms_max = 600000;
    struct version_ref after = trial_version(&trial, "s");
    assert_true(version_ref_equal(&before, &after));
    trial_refuses(&trial, "SELECT * FROM c", ERR_TABLE_NOT_FOUND, "c");
}

/* Says no at the nth look. */
struct countdown {
    unsigned left;
};

static enum err_code countdown_look(void *context, struct err *err)
{
    struct countdown *countdown = context;
    if (countdown->left == 0)
        return err_set(err, ERR_CANCELLED, "enough");
    countdown->left--;
    return ERR_OK;
}

static enum err_code two_partitions_load(struct table_id table, struct account_id account,
                                         struct countdown *countdown)
{
    struct err err;
    struct statement_id id = {{121}};
    const struct ingest_options options = {.store = trial.store,
                                           .account = account,
                                           .table = table,
                                           .mode = UPLOAD_APPEND,
                                           .memory_bytes = MIB(1),
                                           .watch = {countdown_look, countdown}};
    INGEST_CLEANUP struct ingest *ingest = NULL;
    TRY(ingest_open(&options, &ingest, &err));
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, ingest_schema(ingest));
    for (int64_t i = 0; i < 8; i++) {
        vector_append(&batch.vectors[0], (struct value){.i64 = i});
        vector_append(&batch.vectors[1], (struct value){.i64 = i % 2});
        batch.rows++;
    }
    TRY(ingest_append(ingest, &batch, &err));
    const struct ingest_commit commit = {.operation = OPERATION_INSERT,
                                         .now_ms = statement_now_ms(),
                                         .principals = trial.principals,
                                         .principal = &trial.root,
                                         .statement = id};
    struct outcome outcome;
    return ingest_commit(ingest, &commit, &outcome, &err);
}

/* Ended at its 1st, 2nd, 3rd ... look until none is left: each time nothing has changed. */
static void an_ingest_may_end_anywhere_before_its_commit(void **state)
{
    (void)state;
    gives_all("CREATE TABLE t (id BIGINT) PARTITIONED BY (p INT)");
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    struct name_target target;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    assert_int_equal(name_find(trial.store, NULL, project.id, span_text("t"), &target, NULL),
                     ERR_OK);
    struct version_ref before = trial_version(&trial, "t");
    enum err_code code = ERR_CANCELLED;
    unsigned looks = 0;
    for (; code == ERR_CANCELLED; looks++) {
        struct version_ref now = trial_version(&trial, "t");
        assert_true(version_ref_equal(&before, &now));
        struct countdown countdown = {.left = looks};
        code = two_partitions_load(target.id, project.owner, &countdown);
    }
    assert_int_equal(code, ERR_OK);
    assert_true(looks > 8); /* two files, two edits each and their end, before the commit */
    trial_gives(&trial, "SELECT count(*) FROM t", "8");
}

/* Another's load is being committed: the statement does not wait for ever, and takes no turn. */
static void waiting_for_a_turn_ends_with_the_time(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    struct name_target target;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    assert_int_equal(name_find(trial.store, NULL, project.id, span_text("s"), &target, NULL),
                     ERR_OK);
    table_turn_take(target.id);
    trial.services.limits->values.select.time_ms_max = 300;
    trial_refuses(&trial, "INSERT INTO s (id) SELECT 1", ERR_TIMEOUT, "select_time");
    trial.services.limits->values.select.time_ms_max = 600000;
    table_turn_give(target.id);
    gives_all("INSERT INTO s (id) SELECT 1");
    trial_gives(&trial, "SELECT count(*) FROM s", "4");
}

/* ---- many partitions ---- */

/* Memory for a fraction of them, and for all: the same table. */
static void ten_thousand_partitions_spill_and_are_the_same(void **state)
{
    (void)state;
    gives_all(
        "CREATE TABLE d (n BIGINT);"
        "INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);"
        "CREATE TABLE n AS SELECT a.n * 1000 + b.n * 100 + c.n * 10 + e.n AS n FROM d a, d b, "
        "d c, d e ORDER BY n;"
        "CREATE TABLE t (v STRING) PARTITIONED BY (p STRING);"
        "CREATE TABLE u LIKE t");
    trial.services.limits->values.load_memory_bytes = MIB(1);
    gives_all(
        "INSERT OVERWRITE TABLE t PARTITION(p) SELECT CONCAT('value ', d.n, REPEAT('x', 100)), "
        "CONCAT('p', n.n) FROM d, n ORDER BY d.n, n.n");
    trial.services.limits->values.load_memory_bytes = 256 * MIB(1);
    gives_all(
        "INSERT OVERWRITE TABLE u PARTITION(p) SELECT CONCAT('value ', d.n, REPEAT('x', 100)), "
        "CONCAT('p', n.n) FROM d, n ORDER BY d.n, n.n");
    trial_gives(
        &trial, "SELECT count(*), count(DISTINCT p), min(v) FROM t",
        "100000,10000,value 0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_true(version_same("t", "u"));
}

/* ---- CREATE TABLE AS, LIKE ---- */

static void a_table_made_as_select_has_its_columns_and_rows(void **state)
{
    (void)state;
    gives_all(
        "CREATE TABLE c COMMENT 'made' LIFECYCLE 7 AS SELECT id AS n, amount, 1, note || '!', "
        "day, NULL AS nothing FROM s ORDER BY id");
    trial_gives(
        &trial, "DESC c",
        "n,BIGINT,true,false,;amount,DOUBLE,true,false,;_c2,INT,true,false,;_c3,STRING,true,"
        "false,;day,DATE,true,false,;nothing,STRING,true,false,");
    shows("c", "COMMENT 'made'");
    shows("c", "LIFECYCLE 7");
    trial_gives(&trial, "SELECT * FROM c ORDER BY n",
                "1,0.5,1,x!,2024-01-01,NULL;2,NULL,1,NULL,2024-01-02,NULL;3,1.25,1,z!,2024-01-01,"
                "NULL");
    gives_all("CREATE TABLE p (id BIGINT NOT NULL COMMENT 'c') PARTITIONED BY (shop STRING);"
              "INSERT INTO p VALUES (1, 'a');"
              "CREATE TABLE q AS SELECT * FROM p");
    trial_gives(&trial, "DESC q", "id,BIGINT,true,false,;shop,STRING,true,false,");
    trial_begins(&trial, "SHOW HISTORY FOR TABLE c", "1,");
    gives_all("CREATE TABLE e AS SELECT * FROM s WHERE false;CREATE TABLE f LIKE s");
    trial_gives(&trial, "SELECT * FROM e", "");
    assert_true(version_same("e", "f"));
    trial_refuses(&trial, "CREATE TABLE c AS SELECT 1", ERR_EXISTS, "already exists");
    gives_all("CREATE TABLE IF NOT EXISTS c AS SELECT 1 AS other");
    trial_gives(&trial, "SELECT count(*), max(n) FROM c", "3,3");
}

static void a_table_like_another_has_its_columns_and_nothing_else(void **state)
{
    (void)state;
    gives_all(
        "CREATE TABLE p (id BIGINT NOT NULL DEFAULT 3 COMMENT 'c') COMMENT 'all' PARTITIONED "
        "BY (shop STRING COMMENT 'd') LIFECYCLE 9;"
        "INSERT INTO p VALUES (1, 'a');"
        "CREATE SNAPSHOT TABLE snap CLONE p;"
        "CREATE TABLE l LIKE p;CREATE TABLE m LIKE snap;"
        "CREATE TABLE IF NOT EXISTS l LIKE s;CREATE TABLE o COMMENT 'own' LIFECYCLE 2 LIKE p");
    trial_gives(&trial, "DESC l", "id,BIGINT,false,false,c;shop,STRING,false,true,d");
    shows("l", "COMMENT 'all'");
    shows_not("l", "LIFECYCLE");
    shows("o", "LIFECYCLE 2");
    shows("o", "COMMENT 'own'");
    trial_gives(&trial, "SELECT count(*) FROM l", "0");
    trial_gives(&trial, "SHOW PARTITIONS l", "");
    assert_true(version_same("l", "m"));
    assert_true(version_same("l", "o"));
    trial_refuses(&trial, "CREATE TABLE l LIKE p", ERR_EXISTS, "already exists");
}

/* ---- CREATE OR REPLACE TABLE ---- */

/* A query over the table, begun: its rows come when they are asked for. */
static void cursor_begin(struct statement_call *call, struct answer *answer, const char *text)
{
    struct statement *statement;
    assert_int_equal(statement_parse(span_text(text), call->arena, &statement, NULL), ERR_OK);
    call->statement = statement;
    answer_init(answer);
    assert_int_equal(statement_run(call, answer, NULL), ERR_OK);
}

static void a_replaced_table_is_read_to_its_end(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    ANSWER_CLEANUP struct answer answer;
    bool end = false;
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    struct statement_audit audit = {0};
    struct statement_call call = {.services = &trial.services,
                                  .audit = &audit,
                                  .principal = &trial.root,
                                  .project = span_text(trial.project),
                                  .arena = &arena,
                                  .cancel = &trial.cancel};
    cursor_begin(&call, &answer, "SELECT id FROM s");
    BYTES_CLEANUP struct bytes counts = {0};
    gives_all("CREATE OR REPLACE TABLE s (fresh STRING)");
    assert_int_equal(trial_run(&trial, "CLEANUP", &counts), ERR_OK);
    trial_gives(&trial, "SELECT * FROM s", "");
    assert_int_equal(answer.stream.next(answer.stream.context, MIB(1), &answer.rows, &end, NULL),
                     ERR_OK);
    assert_int_equal(answer.rows.rows, 3);
}

static void replacing_gives_a_new_table_under_the_name(void **state)
{
    (void)state;
    gives_all("CREATE SNAPSHOT TABLE snap CLONE s;"
              "CREATE OR REPLACE TABLE fresh (a INT);" /* there was none */
              "CREATE OR REPLACE TABLE S LIFECYCLE 3 AS SELECT max(id) AS m FROM s");
    trial_gives(&trial, "SELECT * FROM s", "3");
    trial_begins(&trial, "SHOW HISTORY FOR TABLE s", "1,"); /* its own */
    shows("s", "`@`.`S`");
    shows("s", "LIFECYCLE 3");
    trial_gives(&trial, "SELECT count(*) FROM snap", "3");
    gives_all("CREATE OR REPLACE TABLE s CLONE snap");
    trial_gives(&trial, "SELECT id FROM s ORDER BY id", "1;2;3");
    gives_all("CREATE OR REPLACE TABLE s LIKE s");
    trial_gives(&trial, "SELECT count(*) FROM s", "0");
    gives_all("DROP TABLE s;CREATE OR REPLACE TABLE s CLONE snap");
    trial_gives(&trial, "SELECT count(*) FROM s", "3");
    trial_refuses(&trial, "CREATE OR REPLACE TABLE s AS SELECT CAST('x' AS BIGINT)", ERR_CAST,
                  "'x'");
    trial_gives(&trial, "SELECT count(*) FROM s", "3");
}

/* What only the replaced table had goes with the clean-up. */
static void the_space_of_a_replaced_table_comes_back(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes first = {0};
    unsigned long before, after, live, pages, files;
    gives_all("INSERT INTO s SELECT 4711, 0.125, 'nobody else has this', NULL");
    assert_int_equal(trial_run(&trial, "CLEANUP", &first), ERR_OK);
    gives_all("CREATE OR REPLACE TABLE s AS SELECT 'one' AS only");
    assert_int_equal(trial_run(&trial, "CLEANUP", &text), ERR_OK);
    assert_int_equal(sscanf((const char *)text.data, "%lu,%lu,%lu,%lu,%lu,", &before, &after, &live,
                            &pages, &files),
                     5);
    assert_true(files > 0 && pages > 0 && after < before);
    trial_gives(&trial, "SELECT * FROM s", "one");
}

static void what_begins_on_a_replaced_table_does_not_reach_the_new_one(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena arena;
    struct table_record old;
    struct project_record project;
    struct err err;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    assert_int_equal(table_find(trial.store, NULL, project.id, span_text("s"), &arena, &old, NULL),
                     ERR_OK);
    gives_all("CREATE OR REPLACE TABLE s (id BIGINT) PARTITIONED BY (p INT)");
    struct countdown countdown = {.left = 1000};
    assert_int_equal(two_partitions_load(old.id, project.owner, &countdown), ERR_NOT_FOUND);
    const struct schema schema = {
        .columns = (struct column[]){{.id = 1, .name = span_text("a"), .type = {.kind = TYPE_INT}}},
        .column_count = 1,
        .next_column_id = 2};
    const struct table_spec spec = {
        .project = project.id, .name = span_text("s"), .schema = &schema, .replaces = old.id};
    CONTENT_CLEANUP struct content *content = NULL;
    struct table_id id;
    const struct change_note note = {.now_ms = 1, .principal = span_text("ALIYUN$root")};
    assert_int_equal(content_open(trial.store, project.owner, &content, NULL), ERR_OK);
    assert_int_equal(table_create(content, &spec, &note, &id, &err), ERR_CONFLICT);
    trial_gives(&trial, "SHOW PARTITIONS s", "");
}

/* ---- rights, EXPLAIN ---- */

static void another_account_may_neither_read_nor_write(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "INSERT INTO s SELECT * FROM s",
        "EXPLAIN INSERT INTO s SELECT 1, 2.5, 'x', NULL",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TABLE x LIKE s",
        "CREATE OR REPLACE TABLE s (a INT)",
        "CREATE OR REPLACE TABLE s AS SELECT 1",
        "CREATE OR REPLACE TABLE s CLONE snap",
        "INSERT INTO mine_@.t SELECT id FROM s",
        "CREATE TABLE mine_@.x AS SELECT id FROM s",
        "CREATE TABLE mine_@.x LIKE s",
        "CREATE OR REPLACE TABLE mine_@.t AS SELECT id FROM @.s",
    };
    trial.other.operator= true;
    const struct statement_id made[] = {{{1, 130}}, {{2, 130}}};
    BYTES_CLEANUP struct bytes ok = {0};
    assert_int_equal(trial_run_as(&trial, &trial.other, &made[0], "CREATE PROJECT mine_@", &ok),
                     ERR_OK);
    assert_int_equal(
        trial_run_as(&trial, &trial.other, &made[1], "CREATE TABLE mine_@.t (id BIGINT)", &ok),
        ERR_OK);
    trial.other.operator= false;
    gives_all("CREATE SNAPSHOT TABLE snap CLONE s");
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        BYTES_CLEANUP struct bytes out = {0};
        const struct statement_id id = {{(uint8_t)(i + 1), 131}};
        enum err_code code = trial_run_as(&trial, &trial.other, &id, statements[i], &out);
        bool own =
            strstr(statements[i], "mine_@") != NULL; /* the source is what they may not read */
        if (code != ERR_DENIED || (own && strstr((char *)out.data, "has no Select on") == NULL))
            fail_msg("%s: %s", statements[i], (char *)out.data);
    }
    trial_refuses(&trial, "INSERT INTO mine_@.t SELECT id FROM s", ERR_DENIED, "Update");
    trial_refuses(&trial, "EXPLAIN INSERT INTO mine_@.t SELECT id FROM s", ERR_DENIED, "Update");
}

static void explain_shows_what_an_insert_reads(void **state)
{
    (void)state;
    trial_begins(&trial, "EXPLAIN INSERT OVERWRITE TABLE s SELECT * FROM s WHERE id = 99", "@.s,");
    trial_gives(&trial, "SELECT count(*) FROM s", "3");
}

#define TEST(name) cmocka_unit_test_setup(name, source)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_query_goes_into_one_named_partition),
        TEST(rows_choose_their_partitions),
        TEST(an_empty_result_empties_what_is_named_and_nothing_else),
        TEST(columns_map_by_place_and_take_defaults),
        TEST(a_table_may_be_written_from_itself),
        TEST(values_are_converted_as_documented),
        TEST(what_does_not_fit_is_named),
        TEST(lenient_texts_become_what_select_makes_of_them),
        TEST(what_cannot_be_meant_is_refused),
        TEST(what_was_answered_is_not_done_again),
        TEST(one_that_is_cancelled_or_too_long_changes_nothing),
        TEST(an_ingest_may_end_anywhere_before_its_commit),
        TEST(waiting_for_a_turn_ends_with_the_time),
        TEST(ten_thousand_partitions_spill_and_are_the_same),
        TEST(a_table_made_as_select_has_its_columns_and_rows),
        TEST(a_table_like_another_has_its_columns_and_nothing_else),
        TEST(a_replaced_table_is_read_to_its_end),
        TEST(replacing_gives_a_new_table_under_the_name),
        TEST(the_space_of_a_replaced_table_comes_back),
        TEST(what_begins_on_a_replaced_table_does_not_reach_the_new_one),
        TEST(another_account_may_neither_read_nor_write),
        TEST(explain_shows_what_an_insert_reads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
