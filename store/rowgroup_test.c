#include "store/rowgroup.h"

#include "proto/limits.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ENDS_MAX 256

static struct column columns[] = {{.id = 1, .type = {.kind = TYPE_BIGINT}},
                                  {.id = 4, .type = {.kind = TYPE_STRING}}};

/* Where groups end, the batch fed in pieces of `step` rows. */
static size_t group_ends(const struct batch *batch, size_t column_count, size_t step,
                         size_t *ret_ends)
{
    struct row_group_cutter cutter;
    row_group_cutter_init(&cutter, column_count);
    size_t count = 0;
    for (size_t start = 0; start < batch->rows; start += step) {
        BATCH_CLEANUP struct batch piece;
        struct type types[2] = {columns[0].type, columns[1].type};
        size_t rows = batch->rows - start < step ? batch->rows - start : step;
        batch_init_types(&piece, types + (column_count == 1 ? batch->vector_count - 1 : 0),
                         batch->vector_count);
        batch_append_range(&piece, batch, start, rows);
        MEM_CLEANUP uint64_t *hashes = mem_calloc(rows, sizeof(*hashes));
        row_hashes(&piece, columns, column_count, 0, rows, hashes);
        for (size_t at = 0; at < rows;) {
            bool ended;
            at += row_group_take(&cutter, &piece, hashes + at, at, rows - at, &ended);
            if (!ended)
                break;
            assert_true(count < ENDS_MAX);
            ret_ends[count++] = start + at;
        }
    }
    row_group_cutter_deinit(&cutter);
    return count;
}

static void batch_of_numbers(struct batch *batch, uint64_t seed, size_t rows)
{
    struct random random = {seed};
    batch_init_types(batch, &columns[0].type, 1);
    for (size_t i = 0; i < rows; i++)
        vector_append(&batch->vectors[0], (struct value){.i64 = (int64_t)random_next(&random)});
    batch->rows = rows;
}

static size_t numbers_ends(const struct batch *batch, size_t *ret_ends)
{
    MEM_CLEANUP uint64_t *hashes = mem_calloc(batch->rows, sizeof(*hashes));
    struct row_group_cutter cutter;
    row_group_cutter_init(&cutter, 1);
    row_hashes(batch, columns, 1, 0, batch->rows, hashes);
    size_t count = 0;
    for (size_t at = 0; at < batch->rows;) {
        bool ended;
        at += row_group_take(&cutter, batch, hashes + at, at, batch->rows - at, &ended);
        if (ended)
            ret_ends[count++] = at;
    }
    row_group_cutter_deinit(&cutter);
    return count;
}

/* Groups of b that are not groups of a: other ends once b's shift is taken off, or holding the new
 * row. */
static size_t groups_moved(const size_t *a, size_t a_count, const size_t *b, size_t b_count,
                           size_t inserted_at)
{
    size_t moved = 0;
    for (size_t i = 0; i < b_count; i++) {
        size_t start = i == 0 ? 0 : b[i - 1], end = b[i];
        if (start <= inserted_at && inserted_at < end) {
            moved++;
            continue;
        }
        size_t shift = start > inserted_at ? 1 : 0;
        bool same = false;
        for (size_t j = 0; j < a_count; j++)
            same = same || ((j == 0 ? 0 : a[j - 1]) == start - shift && a[j] == end - shift);
        moved += same ? 0 : 1;
    }
    return moved;
}

static void test_an_inserted_row_moves_one_to_three_of_twenty_groups(void **state)
{
    (void)state;
    BATCH_CLEANUP struct batch batch;
    batch_of_numbers(&batch, 42, 2000000);
    size_t a[ENDS_MAX], b[ENDS_MAX];
    size_t a_count = numbers_ends(&batch, a);
    assert_in_range(a_count, 15, 30);
    struct random random = random_start();
    for (int round = 0; round < 3; round++) {
        BATCH_CLEANUP struct batch changed;
        batch_init_types(&changed, &columns[0].type, 1);
        size_t at = random_below(&random, 1500000);
        batch_append_range(&changed, &batch, 0, at);
        vector_append(&changed.vectors[0], (struct value){.i64 = (int64_t)random_next(&random)});
        changed.rows++;
        batch_append_range(&changed, &batch, at, batch.rows - at);
        size_t b_count = numbers_ends(&changed, b);
        assert_in_range(groups_moved(a, a_count, b, b_count, at), 1, 3);
    }
}

static void test_cuts_do_not_depend_on_batches(void **state)
{
    (void)state;
    BATCH_CLEANUP struct batch batch;
    batch_of_numbers(&batch, 7, 400000);
    size_t whole[ENDS_MAX], pieces[ENDS_MAX];
    size_t count = group_ends(&batch, 1, batch.rows, whole);
    assert_true(count >= 2);
    static const size_t steps[] = {4096, 10007, 65536};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        assert_int_equal(group_ends(&batch, 1, steps[i], pieces), count);
        assert_memory_equal(whole, pieces, count * sizeof(size_t));
    }
}

static void test_groups_keep_their_limits_of_rows(void **state)
{
    (void)state;
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, &columns[0].type, 1);
    for (size_t i = 0; i < 2 * ROW_GROUP_ROWS_MAX + 5; i++)
        vector_append(&batch.vectors[0], (struct value){.i64 = 1}); /* never cuts by content */
    batch.rows = batch.vectors[0].rows;
    size_t ends[ENDS_MAX];
    assert_int_equal(numbers_ends(&batch, ends), 2);
    assert_int_equal(ends[0], ROW_GROUP_ROWS_MAX);
    assert_int_equal(ends[1], 2 * ROW_GROUP_ROWS_MAX);
    BATCH_CLEANUP struct batch random_rows;
    batch_of_numbers(&random_rows, 3, 1000000);
    size_t count = numbers_ends(&random_rows, ends);
    for (size_t i = 0; i < count; i++)
        assert_in_range(ends[i] - (i == 0 ? 0 : ends[i - 1]), ROW_GROUP_ROWS_MIN,
                        ROW_GROUP_ROWS_MAX);
}

static void test_wide_cells_end_a_group_before_its_column_is_full(void **state)
{
    (void)state;
    BATCH_CLEANUP struct batch batch;
    struct type types[2] = {columns[0].type, columns[1].type};
    batch_init_types(&batch, types, 2);
    MEM_CLEANUP char *text = mem_alloc(LIMIT_CELL_BYTES);
    memset(text, 'x', LIMIT_CELL_BYTES);
    const size_t lengths[] = {MIB(3), MIB(3), MIB(3), LIMIT_CELL_BYTES, LIMIT_CELL_BYTES, 1};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        vector_append(&batch.vectors[0], (struct value){.i64 = (int64_t)i});
        vector_append(&batch.vectors[1], (struct value){.text = span_of(text, lengths[i])});
    }
    batch.rows = ARRAY_COUNT(lengths);
    const size_t expected[] = {2, 3, 4, 5}; /* two fit; then each of the large ones stands alone */
    for (size_t step = 1; step <= 6; step += 5) {
        size_t ends[ENDS_MAX];
        assert_int_equal(group_ends(&batch, 2, step, ends), ARRAY_COUNT(expected));
        assert_memory_equal(ends, expected, sizeof(expected));
    }
}

static void test_a_group_ends_before_all_its_columns_together_are_too_large(void **state)
{
    (void)state;
    struct type types[10];
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        types[i] = columns[1].type;
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, types, ARRAY_COUNT(types));
    MEM_CLEANUP char *text = mem_alloc(MIB(4));
    memset(text, 'x', MIB(4));
    for (size_t row = 0; row < 3; row++) {
        for (size_t i = 0; i < ARRAY_COUNT(types); i++)
            vector_append(&batch.vectors[i],
                          (struct value){.text = span_of(text, row == 1 ? 10 : MIB(4) - KIB(600))});
    }
    batch.rows = 3;
    struct row_group_cutter cutter;
    row_group_cutter_init(&cutter, ARRAY_COUNT(types));
    const uint64_t hashes[3] = {1, 1, 1};
    bool ended;
    assert_int_equal(row_group_take(&cutter, &batch, hashes, 0, 3, &ended), 2);
    assert_true(ended);
    assert_int_equal(row_group_take(&cutter, &batch, hashes + 2, 2, 1, &ended), 1);
    assert_false(ended);
    row_group_cutter_deinit(&cutter);
}

static void test_hashes_are_pinned(void **state)
{
    (void)state;
    BATCH_CLEANUP struct batch batch;
    struct type types[2] = {columns[0].type, columns[1].type};
    batch_init_types(&batch, types, 2);
    vector_append(&batch.vectors[0], (struct value){.i64 = 1});
    vector_append(&batch.vectors[1], (struct value){.text = span_text("strait, a narrow passage")});
    vector_append(&batch.vectors[0], (struct value){.null = true});
    vector_append(&batch.vectors[1], (struct value){.text = span_text("")});
    batch.rows = 2;
    uint64_t hashes[2];
    row_hashes(&batch, columns, 2, 0, 2, hashes);
    char text[40];
    snprintf(text, sizeof(text), "%016" PRIx64 " %016" PRIx64, hashes[0], hashes[1]);
    assert_string_equal(text, "1efc399f21849580 22cdc12e19324667");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_inserted_row_moves_one_to_three_of_twenty_groups),
        cmocka_unit_test(test_cuts_do_not_depend_on_batches),
        cmocka_unit_test(test_groups_keep_their_limits_of_rows),
        cmocka_unit_test(test_wide_cells_end_a_group_before_its_column_is_full),
        cmocka_unit_test(test_a_group_ends_before_all_its_columns_together_are_too_large),
        cmocka_unit_test(test_hashes_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
