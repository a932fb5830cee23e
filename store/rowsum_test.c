#include "store/rowsum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct column columns[5];

static struct schema sample(void)
{
    static const enum type_kind kinds[] = {TYPE_BIGINT, TYPE_DOUBLE, TYPE_DECIMAL, TYPE_STRING,
                                           TYPE_DATE};
    for (uint32_t i = 0; i < ARRAY_COUNT(columns); i++)
        columns[i] = (struct column){.id = i + 1, .type = {.kind = kinds[i]}};
    columns[2].type.precision = 12;
    columns[2].type.scale = 2;
    return (struct schema){
        .columns = columns, .column_count = ARRAY_COUNT(columns), .next_column_id = 6};
}

static void append_row(struct batch *batch, const struct schema *schema, int64_t n)
{
    static const char text[] = "some text that is not so short";
    for (size_t i = 0; i < schema->column_count; i++) {
        struct value value = {.null = (n + (int64_t)i) % 5 == 0};
        if (!value.null && schema->columns[i].type.kind == TYPE_DOUBLE)
            value.f64 = (double)n / 7;
        else if (!value.null && schema->columns[i].type.kind == TYPE_DECIMAL)
            value.decimal = (decimal128)n * -100;
        else if (!value.null && schema->columns[i].type.kind == TYPE_STRING)
            value.text = span_of(text, (size_t)n % sizeof(text));
        else if (!value.null)
            value.i64 = n;
        vector_append(&batch->vectors[i], value);
    }
    batch->rows++;
}

static struct row_checksum sum_of(const struct schema *schema, const struct batch *batch)
{
    ROWSUM_CLEANUP struct rowsum rowsum;
    rowsum_init(&rowsum, schema);
    rowsum_add(&rowsum, batch, 0, batch->rows);
    return rowsum_get(&rowsum);
}

static void test_order_of_rows_and_columns_does_not_matter(void **state)
{
    (void)state;
    struct schema schema = sample();
    BATCH_CLEANUP struct batch up;
    BATCH_CLEANUP struct batch down;
    batch_init(&up, &schema);
    for (int64_t n = 0; n < 100; n++)
        append_row(&up, &schema, n);
    struct row_checksum expected = sum_of(&schema, &up);
    struct column first = columns[0];
    columns[0] = columns[3];
    columns[3] = first;
    batch_init(&down, &schema);
    for (int64_t n = 99; n >= 0; n--) {
        /* the same row: values go by column id */
        for (size_t i = 0; i < schema.column_count; i++) {
            size_t from = i == 0 ? 3 : i == 3 ? 0 : i;
            vector_append(&down.vectors[i], vector_value(&up.vectors[from], (size_t)n));
        }
        down.rows++;
    }
    assert_true(row_checksum_equal(expected, sum_of(&schema, &down)));
}

static void test_parts_add_up(void **state)
{
    (void)state;
    struct schema schema = sample();
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    for (int64_t n = 0; n < 50; n++)
        append_row(&batch, &schema, n);
    ROWSUM_CLEANUP struct rowsum rowsum;
    rowsum_init(&rowsum, &schema);
    rowsum_add(&rowsum, &batch, 0, 20);
    struct row_checksum first = rowsum_get(&rowsum);
    rowsum_reset(&rowsum);
    rowsum_add(&rowsum, &batch, 20, 30);
    struct row_checksum both = row_checksum_add(first, rowsum_get(&rowsum));
    assert_true(row_checksum_equal(both, sum_of(&schema, &batch)));
    assert_false(row_checksum_equal(first, both));
}

static struct row_checksum sum_of_value(struct type type, uint32_t id, struct value value)
{
    struct column column = {.id = id, .type = type};
    struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = id + 1};
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    vector_append(&batch.vectors[0], value);
    batch.rows = 1;
    return sum_of(&schema, &batch);
}

static void test_value_type_column_and_null_all_count(void **state)
{
    (void)state;
    struct type bigint = {.kind = TYPE_BIGINT};
    struct type date = {.kind = TYPE_DATE};
    struct type string = {.kind = TYPE_STRING};
    struct row_checksum sums[] = {
        sum_of_value(bigint, 1, (struct value){.i64 = 0}),
        sum_of_value(bigint, 1, (struct value){.null = true}),
        sum_of_value(bigint, 1, (struct value){.i64 = 1}),
        sum_of_value(bigint, 2, (struct value){.i64 = 0}),
        sum_of_value(date, 1, (struct value){.i64 = 0}),
        sum_of_value(string, 1, (struct value){.text = span_text("")}),
        sum_of_value(string, 1, (struct value){.null = true}),
    };
    for (size_t i = 0; i < ARRAY_COUNT(sums); i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(row_checksum_equal(sums[i], sums[j]));
    }
}

/* Golden: stored in every partition entry. */
static void test_sum_stays_what_it_is(void **state)
{
    (void)state;
    struct schema schema = sample();
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    for (int64_t n = 0; n < 10; n++)
        append_row(&batch, &schema, n);
    struct row_checksum sum = sum_of(&schema, &batch);
    BYTES_CLEANUP struct bytes hex = {0};
    bytes_append_hex(&hex, span_of(sum.b, sizeof(sum.b)));
    bytes_append_u8(&hex, 0);
    assert_string_equal((const char *)hex.data, "3267b887d76809cc108793a678873cf6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_rows_and_columns_does_not_matter),
        cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_value_type_column_and_null_all_count),
        cmocka_unit_test(test_sum_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
