/* Random queries written into tables: by CREATE TABLE AS, by INSERT into a table and into partitions,
 * with little memory and with much. Each must have the version of a load of the query's own rows, cut
 * into batches by chance, in the query's order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/ingest.h"
#include "node/limits.h"
#include "node/statement/trial.h"
#include "proto/random_test.h"

#define QUERIES 60
#define ROWS    400

static struct trial trial;
static struct random chance;
static struct project_record project;
static struct arena arena;

static unsigned below(unsigned n)
{
    return (unsigned)random_below(&chance, n);
}

#define PICK(...)                                                                                  \
    ((const char *const[]){__VA_ARGS__})[below(ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))]

static void sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void sql(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof(text));
    trial_gives(&trial, text, "");
}

/* ---- the same rows, as a tunnel load ---- */

static struct table_id table_of(const char *name)
{
    struct name_target target;
    assert_int_equal(name_find(trial.store, NULL, project.id, span_text(name), &target, NULL),
                     ERR_OK);
    return target.id;
}

/* Rows at .. at + rows of `from`, to the ingest. */
static void slice_load(struct ingest *ingest, const struct batch *from, size_t at, size_t rows)
{
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, ingest_schema(ingest));
    assert_int_equal(batch.vector_count, from->vector_count);
    for (size_t i = 0; i < from->vector_count; i++)
        vector_append_range(&batch.vectors[i], &from->vectors[i], at, rows);
    batch.rows = rows;
    assert_int_equal(ingest_append(ingest, &batch, NULL), ERR_OK);
}

static void answer_load(struct answer *answer, struct ingest *ingest)
{
    bool end = false;
    while (!end) {
        assert_int_equal(
            answer->stream.next(answer->stream.context, 1 + below(5000), &answer->rows, &end, NULL),
            ERR_OK);
        for (size_t at = 0; at < answer->rows.rows;) {
            size_t left = answer->rows.rows - at;
            size_t rows = 1 + below(97);
            rows = rows < left ? rows : left;
            slice_load(ingest, &answer->rows, at, rows);
            at += rows;
        }
    }
}

/* The query's rows into a table whose columns have its types. */
static void query_load(const char *query, const char *table)
{
    ARENA_CLEANUP struct arena memory;
    ANSWER_CLEANUP struct answer answer;
    arena_init(&memory, STATEMENT_ARENA_BYTES);
    struct statement *statement;
    struct err err;
    struct statement_audit audit = {0};
    struct statement_call call = {.services = &trial.services,
                                  .audit = &audit,
                                  .principal = &trial.root,
                                  .project = span_text(trial.project),
                                  .arena = &memory,
                                  .cancel = &trial.cancel};
    assert_int_equal(statement_parse(span_text(query), &memory, &statement, NULL), ERR_OK);
    call.statement = statement;
    answer_init(&answer);
    if (statement_run(&call, &answer, &err) != ERR_OK)
        fail_msg("%s: %s", query, err.message);
    const struct ingest_options options = {.store = trial.store,
                                           .account = project.owner,
                                           .table = table_of(table),
                                           .mode = UPLOAD_OVERWRITE,
                                           .memory_bytes = 256 * MIB(1)};
    INGEST_CLEANUP struct ingest *ingest = NULL;
    assert_int_equal(ingest_open(&options, &ingest, NULL), ERR_OK);
    answer_load(&answer, ingest);
    struct ingest_commit commit = {.operation = OPERATION_LOAD,
                                   .now_ms = statement_now_ms(),
                                   .principals = trial.principals,
                                   .principal = &trial.root};
    store_u32(commit.statement.b, ++trial.statements);
    struct outcome outcome;
    assert_int_equal(ingest_commit(ingest, &commit, &outcome, NULL), ERR_OK);
}

static void same(const char *query, const char *a, const char *b)
{
    struct version_ref of_a = trial_version(&trial, a), of_b = trial_version(&trial, b);
    if (!digest_equal(&of_a.version, &of_b.version))
        fail_msg("%s: %s and %s differ", query, a, b);
}

/* ---- queries ---- */

static void source_make(void)
{
    BYTES_CLEANUP struct bytes text = {0};
    sql("CREATE TABLE s (id BIGINT, i INT, f DOUBLE, d DECIMAL(12,3), w DECIMAL(38,18), t STRING, "
        "b "
        "BOOLEAN, y DATE, h DATETIME) PARTITIONED BY (p STRING)");
    bytes_append_text(&text, "INSERT INTO s VALUES ");
    for (int row = 0; row < ROWS; row++) {
        bytes_printf(&text, "%s(%d", row > 0 ? ", " : "", row);
        bytes_printf(&text, below(9) == 0 ? ", NULL" : ", %d", (int)below(2000) - 1000);
        bytes_printf(&text, below(9) == 0 ? ", NULL" : ", %d.%u", (int)below(100), below(1000));
        bytes_printf(&text, below(9) == 0 ? ", NULL" : ", %d.%uBD", (int)below(90000), below(999));
        bytes_printf(&text, below(9) == 0 ? ", NULL" : ", %u12345678901234.5BD", below(90000));
        bytes_printf(&text, below(9) == 0 ? ", NULL" : ", '%.*s\xC3\xA9%u'", (int)below(8),
                     "xxxxxxxx", below(40));
        bytes_printf(&text, ", %s", PICK("true", "false", "NULL"));
        bytes_printf(&text, ", DATE '20%02u-0%u-1%u'", below(100), 1 + below(9), below(9));
        bytes_printf(&text, ", DATETIME '2024-01-0%u 0%u:00:00.%03u'", 1 + below(9), below(9),
                     below(1000));
        bytes_printf(&text, ", '%c')", 'a' + (int)below(5));
    }
    bytes_append_u8(&text, 0);
    trial_gives(&trial, (const char *)text.data, "");
}

/* Its first column is a key, or is one together with all others, and it is ordered by that. */
static void query_make(char out[1024])
{
    const char *a = PICK("i + id", "f * 2", "d", "w - d", "UPPER(t)", "b", "y", "h", "NULL", "5",
                         "t || p", "CASE WHEN b THEN t ELSE p END", "CAST(i AS STRING)",
                         "COALESCE(d, 1.5BD)", "REPEAT(t, 50)");
    const char *c = PICK("t", "i", "w", "f", "'constant'", "DATEADD(h, id, 'hh')", "id % 7");
    const char *where = PICK("", "WHERE i > 0", "WHERE p IN ('a', 'c')", "WHERE t IS NULL OR b",
                             "WHERE id < 0", "WHERE y > DATE '2050-01-01'");
    switch (below(4)) {
    case 0: /* some are large enough to spill where there is little memory */
        snprintf(out, 1024,
                 "SELECT id * %d + k.n AS key, %s AS x, %s AS y FROM s CROSS JOIN k %s ORDER BY 1",
                 ROWS, a, c, where);
        break;
    case 1:
        snprintf(
            out, 1024,
            "SELECT p || COALESCE(t, '') AS key, count(*) AS x, max(d) AS y FROM s %s GROUP BY "
            "p || COALESCE(t, '') ORDER BY key",
            where);
        break;
    case 2:
        snprintf(out, 1024,
                 "SELECT key, x, key AS y FROM (SELECT id AS key, %s AS x FROM s) q ORDER BY key "
                 "DESC LIMIT %u",
                 a, 1 + below(300));
        break;
    default:
        snprintf(out, 1024, "SELECT id AS key, %s AS x, %s AS y FROM s %s ORDER BY id", a, c,
                 where);
        break;
    }
}

static void written_equals_loaded(const char *query)
{
    sql("CREATE OR REPLACE TABLE made AS %s", query);
    sql("CREATE OR REPLACE TABLE loaded LIKE made");
    sql("CREATE OR REPLACE TABLE inserted LIKE made");
    query_load(query, "loaded");
    same(query, "made", "loaded");
    sql("INSERT OVERWRITE TABLE inserted %s", query);
    same(query, "inserted", "loaded");
}

/* With a partition by the row's own key, of few values or of many. */
static void partitioned_equals_loaded(const char *query)
{
    char more[2048];
    const char *by = PICK("CONCAT('k', CAST(key AS STRING))",
                          "CONCAT('n', CAST(LENGTH(CAST(key AS "
                          "STRING)) AS STRING))",
                          "'one'");
    snprintf(more, sizeof(more), "SELECT x, key, %s FROM (%s) q ORDER BY key", by, query);
    sql("CREATE OR REPLACE TABLE made AS SELECT x, key FROM (%s) q WHERE false", query);
    BYTES_CLEANUP struct bytes columns = {0};
    struct table_record record;
    READER_CLEANUP struct reader_handle *reader = NULL;
    arena_reset(&arena);
    assert_int_equal(
        project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL), ERR_OK);
    assert_int_equal(table_get(trial.store, NULL, table_of("made"), &arena, &record, NULL), ERR_OK);
    assert_int_equal(reader_open(trial.store, record.id, &reader, NULL), ERR_OK);
    const struct schema *schema = &reader_version(reader)->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        char type[TYPE_TEXT_BYTES];
        bytes_printf(&columns, "%s%.*s %s", i > 0 ? ", " : "", SPAN_PRINTF(schema->columns[i].name),
                     type_format(schema->columns[i].type, type));
    }
    bytes_append_u8(&columns, 0);
    sql("CREATE OR REPLACE TABLE loaded (%s) PARTITIONED BY (part STRING)", (char *)columns.data);
    sql("CREATE OR REPLACE TABLE inserted LIKE loaded");
    query_load(more, "loaded");
    sql("INSERT INTO inserted PARTITION(part) %s", more);
    same(more, "inserted", "loaded");
    sql("INSERT OVERWRITE TABLE inserted PARTITION(part) SELECT * FROM inserted WHERE false");
    same(more, "inserted", "loaded");
}

static void what_is_written_is_what_the_query_gives(void **state)
{
    (void)state;
    source_make();
    sql("CREATE TABLE k (n BIGINT)");
    sql("INSERT INTO k VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11)");
    for (int i = 0; i < QUERIES; i++) {
        char query[1024];
        query_make(query);
        trial.services.limits->values.load_memory_bytes = below(2) == 0 ? MIB(1) : 256 * MIB(1);
        if (below(2) == 0)
            written_equals_loaded(query);
        else
            partitioned_equals_loaded(query);
    }
}

static int start(void **state)
{
    (void)state;
    chance = random_start();
    trial_start(&trial);
    trial_project(&trial);
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    return project_find(trial.store, NULL, span_text(trial.project), &arena, &project, NULL) ==
                   ERR_OK
               ? 0
               : -1;
}

static int stop(void **state)
{
    (void)state;
    arena_deinit(&arena);
    trial_stop(&trial);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_the_query_gives),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
