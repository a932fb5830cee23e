#include "proto/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_context_goes_in_front(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, ERR_CORRUPT, "slot %d", 3), ERR_CORRUPT);
    assert_int_equal(err_wrap(&err, "pack %d", 7), ERR_CORRUPT);
    assert_string_equal(err.message, "pack 7: slot 3");
    char text[512];
    assert_string_equal(err_format(&err, text, sizeof(text)),
                        "ODPS-0010095: Stored data is damaged - pack 7: slot 3");
}

static void test_long_message_is_cut_at_a_character(void **state)
{
    (void)state;
    char long_text[600];
    for (size_t i = 0; i < sizeof(long_text) - 1; i += 2)
        memcpy(long_text + i, "\xC3\xA9", 2);
    long_text[598] = '\0';
    struct err err = {0};
    err_set(&err, ERR_PARSE, "x%s", long_text);
    size_t len = strlen(err.message);
    assert_in_range(len, 250, ERR_MESSAGE_BYTES - 1);
    assert_string_equal(err.message + len - 3, "...");
    assert_true(span_is_utf8(span_text(err.message)));
}

static void test_messages_are_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, ERR_PARSE, "a\nb\r\nc");
    assert_string_equal(err.message, "a b  c");
}

static void test_every_code_has_a_form_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_CODE_COUNT; a++) {
        assert_int_equal(strlen(err_odps((enum err_code)a)), strlen("ODPS-0000000"));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(err_odps((enum err_code)a), err_odps((enum err_code)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_goes_in_front),
        cmocka_unit_test(test_long_message_is_cut_at_a_character),
        cmocka_unit_test(test_messages_are_one_line),
        cmocka_unit_test(test_every_code_has_a_form_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
