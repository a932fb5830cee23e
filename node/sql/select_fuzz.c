/* SELECT statements as they come from an operator, run over a small table. Whatever was parsed either
 * gives rows or an error that tells its author something: never one of our own. */
#include "node/sql/parser.h"
#include "node/sql/source_memory.h"

#define TIME_MS_MAX  500
#define RESULT_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct column columns[] = {
    {.id = 1, .name = {(const uint8_t *)"a", 1}, .type = {TYPE_BIGINT, 0, 0}},
    {.id = 2, .name = {(const uint8_t *)"b", 1}, .type = {TYPE_DECIMAL, 10, 2}},
    {.id = 3, .name = {(const uint8_t *)"c", 1}, .type = {TYPE_DECIMAL, 38, 4}},
    {.id = 4, .name = {(const uint8_t *)"d", 1}, .type = {TYPE_DOUBLE, 0, 0}},
    {.id = 5, .name = {(const uint8_t *)"s", 1}, .type = {TYPE_STRING, 0, 0}},
    {.id = 6, .name = {(const uint8_t *)"t", 1}, .type = {TYPE_DATETIME, 0, 0}},
    {.id = 7, .name = {(const uint8_t *)"f", 1}, .type = {TYPE_BOOLEAN, 0, 0}},
    {.id = 8, .name = {(const uint8_t *)"p", 1}, .type = {TYPE_DATE, 0, 0}},
};
static const struct schema schema = {columns, 7, columns + 7, 1, 9};
static const char *const rows[][8] = {
    {"1", "1.50", "99999999999999999999999999999999.0001", "NaN", "x", "2024-01-15 10:00:00",
     "true", "2024-01-15"},
    {"-9223372036854775808", "-0.01", NULL, "-Infinity", "12", NULL, NULL, "0000-01-01"},
    {NULL, NULL, "-0.0001", "0.1", "", "9999-12-31 23:59:59.999", "false", "9999-12-31"},
};

static struct source_memory *source(void)
{
    static struct source_memory memory;
    if (memory.batch_rows == 0) {
        ASSERT(select_start("/tmp", NULL) == ERR_OK);
        source_memory_init(&memory, &schema, 2);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
            source_memory_add(&memory, rows[i]);
    }
    return &memory;
}

static void run(const struct statement *statement, enum select_mode mode)
{
    struct select_options options = {.catalog = &source()->catalog,
                                     .limits.time_ms_max = TIME_MS_MAX,
                                     .mode = mode,
                                     .now_ms = INT64_C(1705312800000)};
    struct select_cursor *cursor;
    struct err err = {0};
    if (select_open(&statement->select, statement->text, &options, &cursor, &err) != ERR_OK) {
        ASSERT(err.code != ERR_INTERNAL && err.message[0] != '\0');
        return;
    }
    struct batch batch;
    bool end;
    select_batch_init(cursor, &batch);
    if (select_next(cursor, RESULT_BYTES, &batch, &end, &err) != ERR_OK)
        ASSERT(err.code != ERR_INTERNAL && err.message[0] != '\0');
    batch_deinit(&batch);
    select_close(cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 1 << 20);
    struct statement *statement;
    if (statement_parse(span_of(data, size), &arena, &statement, NULL) == ERR_OK &&
        statement->kind == STATEMENT_SELECT) {
        run(statement, SELECT_MODE_DEFAULT);
        run(statement, SELECT_MODE_LENIENT);
    }
    return 0;
}
