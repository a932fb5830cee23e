#include "proto/key.h"
#include "proto/limits.h"
#include "proto/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct column columns[3];
static struct column partitions[2];

static struct schema sample(void)
{
    columns[0] = (struct column){.id = 1,
                                 .name = span_text("id"),
                                 .type = {.kind = TYPE_BIGINT},
                                 .not_null = true,
                                 .comment = span_text("the key")};
    columns[1] = (struct column){
        .id = 5, .name = span_text("Amount"), .type = {TYPE_DECIMAL, .precision = 10, .scale = 2}};
    columns[2] = (struct column){.id = 3,
                                 .name = span_text("note"),
                                 .type = {.kind = TYPE_STRING},
                                 .has_default = true,
                                 .default_text = span_text("")};
    partitions[0] = (struct column){.id = 2, .name = span_text("day"), .type = {.kind = TYPE_DATE}};
    partitions[1] =
        (struct column){.id = 4, .name = span_text("region"), .type = {.kind = TYPE_STRING}};
    return (struct schema){.columns = columns,
                           .column_count = 3,
                           .partition_columns = partitions,
                           .partition_column_count = 2,
                           .next_column_id = 6};
}

static void test_schema_comes_back_equal(void **state)
{
    (void)state;
    struct schema schema = sample();
    assert_int_equal(schema_validate(&schema, NULL), ERR_OK);
    BYTES_CLEANUP struct bytes encoded = {0};
    schema_encode(&schema, &encoded);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct schema back;
    assert_int_equal(schema_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_OK);
    assert_true(schema_equal(&schema, &back));
    struct schema copy = schema_copy(&back, &arena);
    assert_true(schema_equal(&schema, &copy));
    copy.columns[1].type.scale = 3;
    assert_false(schema_equal(&schema, &copy));
}

static void test_columns_are_found_without_regard_to_case(void **state)
{
    (void)state;
    struct schema schema = sample();
    bool is_partition = true;
    const struct column *found = schema_find(&schema, span_text("AMOUNT"), &is_partition);
    assert_non_null(found);
    assert_int_equal(found->id, 5);
    assert_false(is_partition);
    assert_int_equal(schema_find(&schema, span_text("Day"), &is_partition)->id, 2);
    assert_true(is_partition);
    assert_null(schema_find(&schema, span_text("amoun"), NULL));
}

static void assert_invalid(const struct schema *schema, const char *words)
{
    struct err err = {0};
    assert_int_equal(schema_validate(schema, &err), ERR_SEMANTIC);
    assert_non_null(strstr(err.message, words));
    BYTES_CLEANUP struct bytes encoded = {0};
    schema_encode(schema, &encoded);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct schema back;
    assert_int_equal(schema_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_BAD_DATA);
}

static void test_invalid_schemas_are_refused_and_do_not_decode(void **state)
{
    (void)state;
    struct schema schema = sample();
    partitions[0].name = span_text("ID");
    assert_invalid(&schema, "named twice");
    schema = sample();
    columns[2].id = 1;
    assert_invalid(&schema, "one id");
    schema = sample();
    schema.next_column_id = 5;
    assert_invalid(&schema, "out of range");
    schema = sample();
    partitions[1].type.kind = TYPE_DOUBLE;
    assert_invalid(&schema, "cannot partition");
    schema = sample();
    columns[0].name = span_text("");
    assert_invalid(&schema, "name");
    schema = sample();
    columns[0].name = span_of("a\0b", 3);
    assert_invalid(&schema, "name");
    schema = sample();
    columns[1].type.precision = 39;
    assert_invalid(&schema, "type");
    schema = sample();
    columns[0].has_default = true;
    columns[0].default_text = span_text("twelve");
    assert_invalid(&schema, "default");
    schema = sample();
    schema.column_count = 0;
    assert_invalid(&schema, "columns");
}

static void test_partition_key_is_printed_as_users_write_it(void **state)
{
    (void)state;
    struct schema schema = sample();
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes text = {0};
    key_append_value(&key, partitions[0].type, (struct value){.i64 = date_from_civil(2024, 1, 15)});
    key_append_value(&key, partitions[1].type, (struct value){.text = span_text("eu")});
    assert_int_equal(partition_format(&schema, bytes_span(&key), &text, NULL), ERR_OK);
    assert_true(span_equal(bytes_span(&text), span_text("day=2024-01-15/region=eu")));
    bytes_append_u8(&key, 0);
    assert_int_equal(partition_format(&schema, bytes_span(&key), &text, NULL), ERR_CORRUPT);
    key.len = 7;
    assert_int_equal(partition_format(&schema, bytes_span(&key), &text, NULL), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_comes_back_equal),
        cmocka_unit_test(test_columns_are_found_without_regard_to_case),
        cmocka_unit_test(test_invalid_schemas_are_refused_and_do_not_decode),
        cmocka_unit_test(test_partition_key_is_printed_as_users_write_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
