/* Where a join keeps its tables: in memory while the query's limit allows, then in temporary files. */
#include "node/sql/parser.h"
#include "node/sql/resources.h"
#include "node/sql/source_memory.h"
#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ROWS      50000
#define FACTOR    31873 /* prime: ids come in no order */
#define TEXT      "%05d, and enough behind it for a row to be more than its number"
#define SMALL     MIB(8) /* of memory: less than the join below keeps */
#define FEW_BYTES 64     /* of a batch: the join goes on behind it */

static struct column columns[] = {
    {.id = 1, .name = {(const uint8_t *)"id", 2}, .type.kind = TYPE_BIGINT},
    {.id = 2, .name = {(const uint8_t *)"s", 1}, .type.kind = TYPE_STRING}};
static const struct schema schema = {columns, ARRAY_COUNT(columns), NULL, 0, 3};
static struct source_memory source;

struct outcome {
    uint64_t rows;
    int64_t temp_bytes; /* while the first rows were out */
};

static enum err_code fetch(struct select_cursor *cursor, struct outcome *ret_outcome,
                           struct err *err)
{
    struct batch batch;
    bool end = false;
    enum err_code code = ERR_OK;
    select_batch_init(cursor, &batch);
    while (code == ERR_OK && !end) {
        size_t bytes = ret_outcome->rows == 0 ? FEW_BYTES : MIB(1);
        code = select_next(cursor, bytes, &batch, &end, err);
        if (ret_outcome->rows == 0)
            ret_outcome->temp_bytes = resources_temp_total();
        ret_outcome->rows += batch.rows;
    }
    batch_deinit(&batch);
    return code;
}

static struct outcome join_within(uint64_t memory_bytes_max)
{
    ARENA_CLEANUP struct arena arena;
    struct statement *statement;
    struct select_cursor *cursor = NULL;
    struct outcome outcome = {0};
    struct err err = {0};
    struct select_options options = {.catalog = &source.catalog,
                                     .limits.memory_bytes_max = memory_bytes_max};
    arena_init(&arena, STATEMENT_ARENA_BYTES);
    enum err_code code = statement_parse(
        span_text("SELECT a.id, b.s FROM t a JOIN t b ON a.id = b.id"), &arena, &statement, &err);
    if (code == ERR_OK)
        code = select_open(&statement->select, statement->text, &options, &cursor, &err);
    if (code == ERR_OK)
        code = fetch(cursor, &outcome, &err);
    select_close(cursor);
    if (code != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(resources_temp_total(), 0);
    return outcome;
}

static void test_a_join_within_its_memory_writes_nothing(void **state)
{
    (void)state;
    struct outcome outcome = join_within(SELECT_MEMORY_BYTES_DEFAULT);
    assert_int_equal(outcome.rows, ROWS);
    assert_int_equal(outcome.temp_bytes, 0);
    outcome = join_within(0); /* no limit: as much as by default */
    assert_int_equal(outcome.temp_bytes, 0);
}

static void test_a_join_beyond_its_memory_goes_to_files(void **state)
{
    (void)state;
    struct outcome outcome = join_within(SMALL);
    assert_int_equal(outcome.rows, ROWS);
    assert_true(outcome.temp_bytes > 0);
}

static int set_up(void **state)
{
    struct err err;
    (void)state;
    if (select_start("/tmp", &err) != ERR_OK)
        return -1;
    source_memory_init(&source, &schema, 1000);
    for (int i = 0; i < ROWS; i++) {
        char id[12], text[128];
        snprintf(id, sizeof(id), "%d", (int)((int64_t)i * FACTOR % ROWS));
        snprintf(text, sizeof(text), TEXT, i);
        source_memory_add(&source, (const char *const[]){id, text});
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    source_memory_deinit(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_join_within_its_memory_writes_nothing),
        cmocka_unit_test(test_a_join_beyond_its_memory_goes_to_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
