#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/log.h"

static const struct log_field fields[] = {
    {.key = "region", .kind = LOG_KIND_TEXT, .text = {(const uint8_t *)"cn-hongkong", 11}},
    {.key = "text", .kind = LOG_KIND_TEXT, .text = {(const uint8_t *)"a \"b\"\nc\x01\\", 9}},
    {.key = "n", .kind = LOG_KIND_NUMBER, .number = -7},
    {0},
};

static void logfmt_quotes_only_what_needs_it(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes line = {0};
    log_line(LOG_FORMAT_LOGFMT, 1767323045678, LOG_INFO, "started", fields, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal((char *)line.data,
                        "2026-01-02T03:04:05.678Z info started region=cn-hongkong "
                        "text=\"a \\\"b\\\"\\nc\\u0001\\\\\" n=-7\n");
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes line = {0};
    log_line(LOG_FORMAT_JSON, 1767323045678, LOG_WARN, "x", fields, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal((char *)line.data,
                        "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warn\",\"event\":\"x\","
                        "\"region\":\"cn-hongkong\",\"text\":\"a \\\"b\\\"\\nc\\u0001\\\\\","
                        "\"n\":-7}\n");
}

static void bytes_that_are_not_utf8_do_not_reach_the_log(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes line = {0};
    const struct log_field bad[] = {
        {.key = "k", .kind = LOG_KIND_TEXT, .text = {(const uint8_t *)"a \xff", 3}}, {0}};
    log_line(LOG_FORMAT_JSON, 0, LOG_INFO, "x", bad, &line);
    assert_true(span_is_utf8(bytes_span(&line)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_quotes_only_what_needs_it),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_reach_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
