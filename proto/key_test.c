#include "proto/key.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct type types[] = {
    {.kind = TYPE_STRING}, {.kind = TYPE_BIGINT}, {.kind = TYPE_DATE}, {.kind = TYPE_INT}};

struct tuple {
    struct bytes text;
    struct value values[ARRAY_COUNT(types)];
    struct bytes key;
};

static void tuple_make(struct random *random, struct tuple *tuple)
{
    *tuple = (struct tuple){0};
    for (size_t i = random_below(random, 4); i > 0; i--)
        bytes_append_u8(&tuple->text, (uint8_t)random_below(random, 3)); /* 00, 01, 02 */
    tuple->values[0].text = bytes_span(&tuple->text);
    tuple->values[1].i64 = random_integer(random, SHAPE_WIDE, 0);
    tuple->values[2].i64 = (int64_t)random_below(random, 7) - 3;
    tuple->values[3].i64 = (int64_t)random_below(random, 3) - 1;
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        key_append_value(&tuple->key, types[i], tuple->values[i]);
}

static void tuple_deinit(struct tuple *tuple)
{
    bytes_deinit(&tuple->text);
    bytes_deinit(&tuple->key);
}

static int tuple_compare(const struct tuple *a, const struct tuple *b)
{
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        int order = value_compare(types[i], a->values[i], b->values[i]);
        if (order != 0)
            return order > 0 ? 1 : -1;
    }
    return 0;
}

static void test_order_of_keys_is_order_of_values(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t round = 0; round < 20000; round++) {
        struct tuple a, b;
        tuple_make(&random, &a);
        tuple_make(&random, &b);
        int order = span_compare(bytes_span(&a.key), bytes_span(&b.key));
        assert_int_equal((order > 0) - (order < 0), tuple_compare(&a, &b));
        tuple_deinit(&a);
        tuple_deinit(&b);
    }
}

static void test_values_come_back(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t round = 0; round < 1000; round++) {
        struct tuple tuple;
        tuple_make(&random, &tuple);
        struct reader reader = reader_of(bytes_span(&tuple.key));
        BYTES_CLEANUP struct bytes text = {0};
        for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
            struct value value;
            assert_true(reader_key_value(&reader, types[i], &text, &value));
            assert_int_equal(value_compare(types[i], value, tuple.values[i]), 0);
        }
        assert_true(reader_end(&reader));
        tuple_deinit(&tuple);
    }
}

static void test_a_key_is_shown_as_text(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes text = {0};
    key_append_value(&key, types[2], (struct value){.i64 = 19723});
    key_append_value(&key, types[0], (struct value){.text = span_text("x\xC3\xA9")});
    struct reader reader = reader_of(bytes_span(&key));
    assert_true(reader_key_value_text(&reader, types[2], &text));
    assert_true(reader_key_value_text(&reader, types[0], &text));
    bytes_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, "2024-01-01x\xC3\xA9");
}

static void test_malformed_keys_fail_and_leave_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        size_t type;
    } bad[] = {
        {"abc", 3, 0},
        {"abc\0", 4, 0},
        {"a\0\x02", 3, 0},
        {"\xFF\0\x01", 3, 0},
        {"1234567", 7, 1},
        {"\xFF\xFF\xFF\xFF\0\0\0\0", 8, 2},
        {"\x80\0\0\1\0\0\0\0", 8, 3},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        bytes_append_text(&text, "kept");
        struct reader reader = reader_of(span_of(bad[i].bytes, bad[i].len));
        assert_false(reader_key_value_text(&reader, types[bad[i].type], &text));
        assert_false(reader_ok(&reader));
        assert_int_equal(text.len, 4);
    }
}

static void test_the_end_of_a_prefix_is_the_first_key_beyond_it(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *end;
        size_t len, end_len;
    } cases[] = {{"ab", "ac", 2, 2}, {"a\xFF", "b", 2, 1}, {"\x00\xFF\xFF", "\x01", 3, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        BYTES_CLEANUP struct bytes end = {0};
        assert_true(key_append_prefix_end(&end, span_of(cases[i].prefix, cases[i].len)));
        assert_true(span_equal(bytes_span(&end), span_of(cases[i].end, cases[i].end_len)));
    }
    BYTES_CLEANUP struct bytes none = {0};
    assert_false(key_append_prefix_end(&none, span_of(NULL, 0)));
    assert_false(key_append_prefix_end(&none, span_of("\xFF\xFF", 2)));
    assert_int_equal(none.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_keys_is_order_of_values),
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_a_key_is_shown_as_text),
        cmocka_unit_test(test_the_end_of_a_prefix_is_the_first_key_beyond_it),
        cmocka_unit_test(test_malformed_keys_fail_and_leave_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
