#include "proto/limits.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void random_batch(struct random *random, struct batch *batch, size_t rows)
{
    batch_init_types(batch, random_types, ARRAY_COUNT(random_types));
    for (size_t i = 0; i < batch->vector_count; i++)
        random_vector(random, &batch->vectors[i], rows,
                      (enum random_shape)random_below(random, SHAPE_COUNT),
                      (unsigned)random_below(random, 4) * 33);
    batch->rows = rows;
}

static bool batches_equal(const struct batch *a, const struct batch *b)
{
    bool equal = a->rows == b->rows && a->vector_count == b->vector_count;
    for (size_t i = 0; equal && i < a->vector_count; i++)
        equal = vectors_equal(&a->vectors[i], &b->vectors[i]);
    return equal;
}

static void test_blocks_come_back_bit_by_bit(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch back;
    batch_init_types(&back, random_types, ARRAY_COUNT(random_types));
    for (size_t round = 0; round < 200; round++) {
        BATCH_CLEANUP struct batch batch;
        BYTES_CLEANUP struct bytes block = {0};
        struct err err = {0};
        random_batch(&random, &batch, random_below(&random, round < 20 ? 20 : 300));
        batch_encode(&batch, &block);
        if (batch_decode(bytes_span(&block), &back, &err) != ERR_OK)
            fail_msg("%s", err.message);
        assert_true(batches_equal(&batch, &back));
    }
}

static void test_a_damaged_block_is_refused_or_still_a_valid_batch(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch batch;
    BATCH_CLEANUP struct batch back;
    BYTES_CLEANUP struct bytes block = {0};
    BYTES_CLEANUP struct bytes again = {0};
    random_batch(&random, &batch, 37);
    batch_init_types(&back, random_types, ARRAY_COUNT(random_types));
    batch_encode(&batch, &block);
    for (size_t len = 0; len < block.len; len++)
        assert_int_equal(batch_decode(span_of(block.data, len), &back, NULL), ERR_BAD_DATA);
    for (size_t bit = 0; bit < block.len * 8; bit++) {
        block.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (batch_decode(bytes_span(&block), &back, NULL) == ERR_OK) {
            bytes_clear(&again);
            batch_encode(&back, &again); /* one form a batch */
            assert_true(span_equal(bytes_span(&block), bytes_span(&again)));
        }
        block.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_a_refused_block_leaves_the_batch(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch batch;
    BATCH_CLEANUP struct batch copy;
    BYTES_CLEANUP struct bytes block = {0};
    random_batch(&random, &batch, 20);
    batch_init_types(&copy, random_types, ARRAY_COUNT(random_types));
    batch_append_range(&copy, &batch, 0, 20);
    batch_encode(&batch, &block);
    bytes_append_u8(&block, 0);
    assert_int_equal(batch_decode(bytes_span(&block), &batch, NULL), ERR_BAD_DATA);
    assert_true(batches_equal(&batch, &copy));
}

/* One column, three rows, the value bytes given: what decode must refuse. */
static enum err_code decode_column(struct type type, const void *values, size_t len)
{
    BATCH_CLEANUP struct batch batch;
    BYTES_CLEANUP struct bytes block = {0};
    batch_init_types(&batch, &type, 1);
    bytes_append(&block, "\1\0\0\1\0\0\0\3\0", 9);
    bytes_append(&block, values, len);
    return batch_decode(bytes_span(&block), &batch, NULL);
}

static void test_values_out_of_a_types_range_are_refused(void **state)
{
    (void)state;
    const struct type boolean = {.kind = TYPE_BOOLEAN}, date = {.kind = TYPE_DATE};
    const struct type string = {.kind = TYPE_STRING};
    const struct type cents = {.kind = TYPE_DECIMAL, .precision = 3, .scale = 2};
    assert_int_equal(decode_column(boolean, "\0\1\1", 3), ERR_OK);
    assert_int_equal(decode_column(boolean, "\0\1\2", 3), ERR_BAD_DATA);
    const int32_t days[3] = {0, 2932896, -719528}, no_days[3] = {0, 2932897, 0};
    assert_int_equal(decode_column(date, days, sizeof(days)), ERR_OK);
    assert_int_equal(decode_column(date, no_days, sizeof(no_days)), ERR_BAD_DATA);
    const decimal128 good[3] = {999, -999, 0}, bad[3] = {0, 0, -1000};
    assert_int_equal(decode_column(cents, good, sizeof(good)), ERR_OK);
    assert_int_equal(decode_column(cents, bad, sizeof(bad)), ERR_BAD_DATA);
    assert_int_equal(decode_column(string, "\1\0\0\0\1\0\0\0\3\0\0\0a\xC3\xA9", 15), ERR_OK);
    /* an end inside a character, ends that go back, text that is not UTF-8 */
    assert_int_equal(decode_column(string, "\1\0\0\0\2\0\0\0\3\0\0\0a\xC3\xA9", 15), ERR_BAD_DATA);
    assert_int_equal(decode_column(string, "\3\0\0\0\1\0\0\0\3\0\0\0abc", 15), ERR_BAD_DATA);
    assert_int_equal(decode_column(string, "\1\0\0\0\1\0\0\0\3\0\0\0a\xC3\x41", 15), ERR_BAD_DATA);
}

static void test_validity_without_a_null_is_refused(void **state)
{
    (void)state;
    const struct type type = {.kind = TYPE_BOOLEAN};
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, &type, 1);
    const char *good = "\1\0\0\1\0\0\0\3\1\5\1\0\1", *bad = "\1\0\0\1\0\0\0\3\1\7\1\0\1";
    assert_int_equal(batch_decode(span_of(good, 13), &batch, NULL), ERR_OK);
    assert_int_equal(batch.vectors[0].null_count, 1);
    assert_int_equal(batch_decode(span_of(bad, 13), &batch, NULL), ERR_BAD_DATA);
}

static void test_a_value_under_a_null_is_refused(void **state)
{
    (void)state;
    const struct type types[] = {{.kind = TYPE_BOOLEAN}, {.kind = TYPE_STRING}};
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, types, 1);
    assert_int_equal(batch_decode(span_of("\1\0\0\1\0\0\0\3\1\5\1\1\1", 13), &batch, NULL),
                     ERR_BAD_DATA);
    BATCH_CLEANUP struct batch texts;
    batch_init_types(&texts, types + 1, 1);
    const char *text = "\1\0\0\1\0\0\0\2\1\2\1\0\0\0\2\0\0\0ab"; /* the NULL holds "a" */
    assert_int_equal(batch_decode(span_of(text, 20), &texts, NULL), ERR_BAD_DATA);
}

static void test_more_rows_than_a_block_may_hold_are_refused(void **state)
{
    (void)state;
    const struct type type = {.kind = TYPE_BOOLEAN};
    BATCH_CLEANUP struct batch batch;
    BYTES_CLEANUP struct bytes block = {0};
    batch_init_types(&batch, &type, 1);
    bytes_append(&block, "\1\0\0\1\1\0\0\1\0", 9);
    bytes_resize(&block, 9 + LIMIT_BATCH_ROWS + 1);
    memset(block.data + 9, 0, LIMIT_BATCH_ROWS + 1);
    assert_int_equal(batch_decode(bytes_span(&block), &batch, NULL), ERR_BAD_DATA);
}

static void test_a_claim_of_many_rows_takes_no_memory(void **state)
{
    (void)state;
    const struct type type = {.kind = TYPE_DECIMAL, .precision = 38};
    BATCH_CLEANUP struct batch batch;
    batch_init_types(&batch, &type, 1);
    assert_int_equal(batch_decode(span_of("\1\0\0\1\xFF\xFF\xFF\xFF\0", 9), &batch, NULL),
                     ERR_BAD_DATA);
    assert_int_equal(batch_decode(span_of("\1\0\0\1\0\xFF\xFF\xFF\0", 9), &batch, NULL),
                     ERR_BAD_DATA);
    assert_int_equal(batch.vectors[0].capacity, 0);
}

static void test_ranges_and_picked_rows_equal_single_appends(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t round = 0; round < 50; round++) {
        BATCH_CLEANUP struct batch from;
        random_batch(&random, &from, 100);
        for (size_t c = 0; c < from.vector_count; c++) {
            VECTOR_CLEANUP struct vector one, range, picked;
            vector_init(&one, from.vectors[c].type);
            vector_init(&range, from.vectors[c].type);
            vector_init(&picked, from.vectors[c].type);
            uint32_t rows[100];
            for (size_t part = 0; part < 3; part++) {
                size_t at = random_below(&random, 100), count = random_below(&random, 101 - at);
                for (size_t i = 0; i < count; i++) {
                    rows[i] = (uint32_t)(at + i);
                    vector_append(&one, vector_value(&from.vectors[c], at + i));
                }
                vector_append_range(&range, &from.vectors[c], at, count);
                vector_append_rows(&picked, &from.vectors[c], rows, count);
            }
            assert_true(vectors_equal(&one, &range));
            assert_true(vectors_equal(&one, &picked));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_back_bit_by_bit),
        cmocka_unit_test(test_a_damaged_block_is_refused_or_still_a_valid_batch),
        cmocka_unit_test(test_a_refused_block_leaves_the_batch),
        cmocka_unit_test(test_values_out_of_a_types_range_are_refused),
        cmocka_unit_test(test_validity_without_a_null_is_refused),
        cmocka_unit_test(test_a_value_under_a_null_is_refused),
        cmocka_unit_test(test_more_rows_than_a_block_may_hold_are_refused),
        cmocka_unit_test(test_a_claim_of_many_rows_takes_no_memory),
        cmocka_unit_test(test_ranges_and_picked_rows_equal_single_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
