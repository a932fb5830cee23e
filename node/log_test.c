#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

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
                        "time=2026-01-02T03:04:05.678Z level=info event=started region=cn-hongkong "
                        "text=\"a \\\"b\\\"\\nc\\u0001\\\\\" n=-7\n");
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes line = {0};
    log_line(LOG_FORMAT_JSON, 1767323045678, LOG_WARN, "x", fields, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal(
        (char *)line.data,
        "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warning\",\"event\":\"x\","
        "\"region\":\"cn-hongkong\",\"text\":\"a \\\"b\\\"\\nc\\u0001\\\\\","
        "\"n\":-7}\n");
}

/* A value as logfmt writes it, alone on its line: what stands between "k=" and the line's end. */
static char *logfmt_of(struct span value)
{
    static struct bytes line;
    const struct log_field one[] = {{.key = "k", .kind = LOG_KIND_TEXT, .text = value}, {0}};
    bytes_clear(&line);
    log_line(LOG_FORMAT_LOGFMT, 0, LOG_INFO, "x", one, &line);
    assert_int_equal(line.data[line.len - 1], '\n');
    line.data[line.len - 1] = 0;
    assert_null(memchr(line.data, '\n', line.len));
    assert_true(span_is_utf8(bytes_span(&line)));
    return strstr((char *)line.data, " k=") + 3;
}

static void hostile_values_stay_one_value_on_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } cases[] = {
        {"", "\"\""},
        {"bare-value_1.2/3:4", "bare-value_1.2/3:4"},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"x\"", "\"say \\\"x\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"x\nlevel=error event=forged", "\"x\\nlevel=error event=forged\""},
        {"cr\rtab\tesc\x1b[31m", "\"cr\\u000dtab\\u0009esc\\u001b[31m\""},
        {"del\x7f", "\"del\\u007f\""},
        {"h\xc3\xa9llo", "h\xc3\xa9llo"},
        {"a\xff\xfe", "\"a??\""},
        {"cut\xc3", "\"cut?\""},
        {"line\xe2\x80\xa8sep", "\"line\\u2028sep\""},
        {"nel\xc2\x85x", "\"nel\\u0085x\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_string_equal(logfmt_of(span_text(cases[i].value)), cases[i].written);
    assert_string_equal(logfmt_of(span_of((const uint8_t *)"a\0b", 3)), "\"a\\u0000b\"");
}

static void an_event_of_several_words_is_one_value(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes line = {0};
    log_line(LOG_FORMAT_LOGFMT, 0, LOG_ERROR, "task ended", fields + 2, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal((char *)line.data, "time=1970-01-01T00:00:00.000Z level=error "
                                           "event=\"task ended\" n=-7\n");
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

static void levels_have_names_and_an_order(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warning", "error"};
    enum log_level level;
    assert_true(log_writes(LOG_INFO));
    assert_false(log_writes(LOG_DEBUG));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_true(log_level_parse(names[i], &level));
        assert_int_equal(level, i);
        assert_string_equal(log_level_name(level), names[i]);
        log_set_level(level);
        assert_true(log_writes(level));
        assert_int_equal(i > 0 && log_writes((enum log_level)(i - 1)), 0);
    }
    assert_false(log_level_parse("warn", &level));
    assert_false(log_level_parse("", &level));
    log_set_level(LOG_INFO);
}

/* A pipe as stderr, to be put back. */
static int pipe_begin(int pipe_of[2])
{
    int kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipe_of), 0);
    assert_int_equal(dup2(pipe_of[1], STDERR_FILENO), STDERR_FILENO);
    return kept;
}

/* What reaches the file: nothing of a level below. */
static void events_below_the_level_are_not_written(void **state)
{
    (void)state;
    char text[512] = {0};
    int pipe_of[2], kept = pipe_begin(pipe_of);
    log_set_level(LOG_WARN);
    log_event(LOG_DEBUG, "one");
    log_event(LOG_INFO, "two");
    log_event(LOG_WARN, "three");
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "four");
    log_set_level(LOG_INFO);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    close(kept);
    close(pipe_of[1]);
    assert_true(read(pipe_of[0], text, sizeof(text) - 1) > 0);
    close(pipe_of[0]);
    assert_null(strstr(text, "event=one"));
    assert_null(strstr(text, "event=two"));
    assert_non_null(strstr(text, "level=warning event=three"));
    assert_non_null(strstr(text, "level=debug event=four"));
}

static void the_last_line_does_not_wait_for_who_reads_the_log(void **state)
{
    (void)state;
    char text[4096] = {0};
    int pipe_of[2], kept = pipe_begin(pipe_of);
    int room = fcntl(pipe_of[1], F_GETPIPE_SZ);
    for (int filled = 0; filled < room; filled += (int)sizeof(text))
        assert_int_equal(write(pipe_of[1], text, sizeof(text)), sizeof(text));
    alarm(60);
    log_event_last(LOG_ERROR, "one");
    alarm(0);
    for (int emptied = 0; emptied < room; emptied += (int)sizeof(text))
        assert_int_equal(read(pipe_of[0], text, sizeof(text)), sizeof(text));
    log_event_last(LOG_ERROR, "two");
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    close(kept);
    close(pipe_of[1]);
    ssize_t got = read(pipe_of[0], text, sizeof(text) - 1);
    close(pipe_of[0]);
    assert_true(got > 0);
    text[got] = 0;
    assert_null(strstr(text, "event=one"));
    assert_non_null(strstr(text, "level=error event=two\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_quotes_only_what_needs_it),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(hostile_values_stay_one_value_on_one_line),
        cmocka_unit_test(an_event_of_several_words_is_one_value),
        cmocka_unit_test(levels_have_names_and_an_order),
        cmocka_unit_test(events_below_the_level_are_not_written),
        cmocka_unit_test(the_last_line_does_not_wait_for_who_reads_the_log),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_reach_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
