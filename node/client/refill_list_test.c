#include "node/client/refill_list.h"

#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define VERSION_HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct column good[] = {
    {.name = {(const uint8_t *)"snapshot", 8}, .type = {.kind = TYPE_STRING}},
    {.name = {(const uint8_t *)"created", 7}, .type = {.kind = TYPE_DATETIME}},
    {.name = {(const uint8_t *)"expires", 7}, .type = {.kind = TYPE_DATETIME}},
    {.name = {(const uint8_t *)"version", 7}, .type = {.kind = TYPE_STRING}},
};

/* A node's answer of one row. */
static enum err_code listed(const char *name, const char *version, struct refill_list *list)
{
    struct err err;
    struct type types[ARRAY_COUNT(good)];
    BATCH_CLEANUP struct batch batch;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        types[i] = good[i].type;
    batch_init_types(&batch, types, ARRAY_COUNT(types));
    vector_append(&batch.vectors[0], (struct value){.text = span_text(name)});
    vector_append(&batch.vectors[1], (struct value){.i64 = 1767225600000});
    vector_append(&batch.vectors[2], (struct value){.null = true});
    vector_append(&batch.vectors[3], (struct value){.text = span_text(version)});
    batch.rows = 1;
    assert_int_equal(refill_list_columns(list, good, ARRAY_COUNT(good), &err), ERR_OK);
    return refill_list_rows(list, &batch, &err);
}

static void a_row_is_taken_by_the_names_of_columns(void **state)
{
    (void)state;
    REFILL_LIST_CLEANUP struct refill_list list = {0};
    assert_int_equal(listed("s 1", VERSION_HEX, &list), ERR_OK);
    assert_int_equal(listed("\xC3\xA9t\xC3\xA9", VERSION_HEX, &list), ERR_OK);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].name, "s 1");
    assert_string_equal(list.items[0].version, VERSION_HEX);
    assert_non_null(strstr(list.items[0].created, "2026-01-01 00:00:00"));
    assert_null(list.items[0].expires);
}

static void nothing_that_would_end_its_place_in_a_statement_is_taken(void **state)
{
    (void)state;
    char longer[LIMIT_NAME_BYTES + 2] = {0};
    memset(longer, 'x', LIMIT_NAME_BYTES + 1);
    const char *const names[] = {
        "", "s` TO SNAPSHOT `demo`.`wages", "s\ns", "s\x1B[2J", "s\x7F", "s\xFF", longer,
    };
    static const char *const versions[] = {"", "x", VERSION_HEX "00", "\"" VERSION_HEX};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        REFILL_LIST_CLEANUP struct refill_list list = {0};
        assert_int_equal(listed(names[i], VERSION_HEX, &list), ERR_PEER);
        assert_int_equal(list.count, 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        REFILL_LIST_CLEANUP struct refill_list list = {0};
        assert_int_equal(listed("s", versions[i], &list), ERR_PEER);
    }
}

/* As a text, a time could be anything. */
static void columns_of_other_types_are_refused(void **state)
{
    (void)state;
    struct column columns[ARRAY_COUNT(good)];
    struct refill_list list = {0};
    struct err err;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        memcpy(columns, good, sizeof(columns));
        columns[i].type.kind = columns[i].type.kind == TYPE_STRING ? TYPE_DATETIME : TYPE_STRING;
        assert_int_equal(refill_list_columns(&list, columns, ARRAY_COUNT(columns), &err), ERR_PEER);
        columns[i] = (struct column){.name = span_text("else"), .type = good[i].type};
        assert_int_equal(refill_list_columns(&list, columns, ARRAY_COUNT(columns), &err), ERR_PEER);
    }
}

static void a_region_is_of_the_letters_that_regions_have(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a\", overwrite=\"true", "A", "a b", "a\n"};
    struct err err;
    assert_int_equal(refill_region_check(span_text("ap-southeast-1"), &err), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(refill_region_check(span_text(bad[i]), &err), ERR_PEER);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_taken_by_the_names_of_columns),
        cmocka_unit_test(nothing_that_would_end_its_place_in_a_statement_is_taken),
        cmocka_unit_test(columns_of_other_types_are_refused),
        cmocka_unit_test(a_region_is_of_the_letters_that_regions_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
