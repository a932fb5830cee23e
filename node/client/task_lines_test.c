/* Tasks as lines of a terminal (task_lines.h): what stands in them, and that none is wider than the screen. */
#include "node/client/task_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define XCOPY(destination)                                                                         \
    "XCOPY SNAPSHOT p.s TO SNAPSHOT " destination " OPTIONS(src_region='ap-southeast-1')"
#define HEAD "TASK                             STATE   SNAPSHOT PROGRESS\n"

static struct operator_task task_make(uint8_t id, const char *state, const char *statement)
{
    struct operator_task task = {
        .statement = span_text(statement),
        .state = span_text(state),
        .progress =
            {
                .phase = span_text("pulling"),
                .has_task = true,
                .bytes_done = 12300000,
                .bytes_total = 45000000,
                .files_done = 3,
                .files_total = 10,
                .elapsed_ms = 2000,
            },
        .started_ms = 1000000,
    };
    memset(task.id.b, id, sizeof task.id.b);
    return task;
}

static struct operator_task ended(uint8_t id, uint64_t ended_ms)
{
    struct operator_task task = task_make(id, "DONE", XCOPY("t"));
    task.progress.bytes_done = task.progress.bytes_total;
    task.progress.files_done = task.progress.files_total;
    task.ended_ms = ended_ms;
    return task;
}

static struct operator_task failed(uint8_t id, uint64_t ended_ms, const char *message)
{
    struct operator_task task = task_make(id, "FAILED", XCOPY("t"));
    task.ended_ms = ended_ms;
    (void)err_set(&task.error, ERR_NOT_FOUND, "%s", message);
    return task;
}

/* The lines, with a zero behind them. */
static void format(const struct operator_task *tasks, size_t count, struct task_screen screen,
                   struct bytes *out)
{
    const struct operator_task *list[64];
    assert_true(count <= ARRAY_COUNT(list));
    for (size_t i = 0; i < count; i++)
        list[i] = &tasks[i];
    bytes_clear(out);
    task_lines_format(list, count, &screen, out);
    bytes_append_u8(out, 0);
}

/* What stands behind the head, which is checked once. */
static const char *below_head(const struct bytes *out)
{
    return strchr((const char *)out->data, '\n') + 1;
}

static size_t lines_count(const struct bytes *out, size_t columns)
{
    size_t count = 0;
    const char *at = (const char *)out->data;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        if (text_width(span_of(at, (size_t)(end - at))) > columns)
            fail_msg("wider than %zu: %.*s", columns, (int)(end - at), at);
        count++;
    }
    assert_int_equal(*at, 0); /* the last line has its end too */
    return count;
}

static void a_task_is_one_line_with_its_whole_id(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task task = task_make(0xab, "RUNNING", XCOPY("demo.t"));
    format(&task, 1, (struct task_screen){.columns = 160}, &out);
    assert_string_equal(out.data, HEAD
                        "abababababababababababababababab RUNNING demo.t   pulling: 12.3 MB of "
                        "45.0 MB, 3 of 10 files, 6.2 MB/s, 5 s left\n");
}

static void what_has_less_room_says_less(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task task = task_make(0xab, "RUNNING", XCOPY("t"));
    static const struct {
        size_t columns;
        const char *progress;
    } cases[] = {
        {112, " pulling: 12.3 MB of 45.0 MB, 3 of 10 files, 6.2 MB/s, 5 s left\n"},
        {111, " pulling: 12.3 MB of 45.0 MB, 6.2 MB/s, 5 s left\n"},
        {84, " pulling: 27 %, 6.2 MB/s, 5 s left\n"},
        {80, " pulling: 27 %, 5 s left\n"},
        {79,
         " pulling: 12.3 MB of 45.0 MB, 3 of 10 files, 6.2 MB/s, 5 s left\n"}, /* without the id */
        {40, " pulling: 27 %, 5 s left\n"},
        {39, " pulling: 27 %\n"},
        {29, " pulling: ...\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        format(&task, 1, (struct task_screen){.columns = cases[i].columns}, &out);
        if (strstr((char *)out.data, cases[i].progress) == NULL)
            fail_msg("%zu columns: %s", cases[i].columns, (char *)out.data);
        bool with_id = strstr((char *)out.data, "abababababababababababababababab ") != NULL;
        assert_int_equal(with_id, cases[i].columns >= TASK_ID_COLUMNS_MIN);
    }
}

static void what_waits_says_for_what(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task task = task_make(0xab, "QUEUED", XCOPY("t"));
    task.started_ms = 0;
    task.progress = (struct operator_progress){.phase = span_text("queued,\nnumber 3\x1b[2J")};
    format(&task, 1, (struct task_screen){.columns = 100}, &out);
    assert_string_equal(
        below_head(&out),
        "abababababababababababababababab QUEUED t        queued,\\nnumber 3\\x1b[2J\n");
}

static void an_error_has_a_line_of_its_own(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task task = failed(0xcd, 1009000, "no snapshot p.s\x1b[2J");
    format(&task, 1, (struct task_screen){.columns = 100}, &out);
    assert_string_equal(
        below_head(&out),
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd FAILED t        12.3 MB of 45.0 MB, 3 of 10 "
        "files, in 9 s\n"
        "  ODPS-0110062: Object not found - no snapshot p.s\\x1b[2J\n");
    format(&task, 1, (struct task_screen){.columns = 40}, &out);
    assert_non_null(strstr((char *)out.data, "\n  ODPS-0110062: Object not found - no...\n"));
}

static void wide_characters_take_two_columns(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task tasks[] = {
        task_make(1, "RUNNING", "SCRUB: repair of 香港香港 from 新加坡"),
        task_make(2, "RUNNING", XCOPY("t"))};
    for (size_t i = 0; i < ARRAY_COUNT(tasks); i++)
        tasks[i].progress = (struct operator_progress){.phase = span_text("|")};
    format(tasks, 2, (struct task_screen){.columns = 94}, &out);
    assert_int_equal(lines_count(&out, 94), 3);
    assert_non_null(strstr((char *)out.data, "RUNNING SCRUB: repair of ...  |\n"));
    assert_non_null(strstr((char *)out.data, "RUNNING t                     |\n"));
    format(tasks, 2, (struct task_screen){.columns = 96}, &out);
    assert_non_null(strstr((char *)out.data, "RUNNING SCRUB: repair of 香... |\n"));
}

static void no_line_is_wider_than_the_screen(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task tasks[] = {
        task_make(1, "RUNNING", "SCRUB: repair of 香港香港香港香港香港香港香港 from 新加坡"),
        failed(2, 1009000,
               "新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡新加坡 is "
               "away"),
        ended(3, 1002000), task_make(4, "A STATE THAT IS NOT KNOWN HERE", XCOPY("a.b"))};
    for (size_t columns = 1; columns < 250; columns++) {
        struct task_screen screen = {.columns = columns,
                                     .lines = 7,
                                     .notice = span_text("no answer since 香港香港香港香港")};
        format(tasks, ARRAY_COUNT(tasks), screen, &out);
        assert_int_equal(lines_count(&out, columns), 7);
    }
}

/* The ids' first digits in their order. */
static void order_expect(const struct bytes *out, const char *expected)
{
    size_t i = 0;
    const char *at = below_head(out);
    for (; at != NULL && *at != 0 && *at != 'a'; at = strchr(at, '\n') + 1) {
        if (*at == ' ')
            continue;
        assert_true(expected[i] != 0);
        assert_int_equal(at[1], expected[i++]);
    }
    assert_int_equal(expected[i], 0);
}

static void what_runs_comes_first_then_the_newest_ends(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task tasks[] = {ended(1, 5000000),
                                    failed(2, 7000000, "x"),
                                    task_make(3, "QUEUED", XCOPY("t")),
                                    task_make(4, "RUNNING", XCOPY("t")),
                                    ended(5, 6000000),
                                    task_make(6, "RUNNING", XCOPY("t"))};
    tasks[2].started_ms = 0;
    tasks[5].started_ms = 999999;
    format(tasks, ARRAY_COUNT(tasks), (struct task_screen){.columns = 100}, &out);
    order_expect(&out, "643251");
}

static void more_than_fits_is_counted(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task tasks[40];
    for (uint8_t i = 0; i < ARRAY_COUNT(tasks); i++)
        tasks[i] = task_make((uint8_t)(i & 7), "RUNNING", XCOPY("t"));
    format(tasks, 40, (struct task_screen){.columns = 100, .lines = 10}, &out);
    assert_int_equal(lines_count(&out, 100), 10);
    assert_non_null(strstr((char *)out.data, "\nand 32 more\n")); /* a head, 8 of 40 */
    format(tasks, 9, (struct task_screen){.columns = 100, .lines = 10}, &out);
    assert_int_equal(lines_count(&out, 100), 10); /* all fit, and nothing is counted */
    assert_null(strstr((char *)out.data, "more"));
    format(tasks, 9, (struct task_screen){.columns = 100, .lines = 10, .notice = span_text("n")},
           &out);
    assert_int_equal(lines_count(&out, 100), 10);
    assert_non_null(strstr((char *)out.data, "\nand 2 more\n")); /* the notice has a line */
    assert_int_equal(strncmp((char *)out.data, "n\nTASK ", 7), 0);
    format(tasks, 40, (struct task_screen){.columns = 100}, &out);
    assert_int_equal(lines_count(&out, 100), 41);
}

static void a_task_is_not_shown_without_its_error(void **state)
{
    (void)state;
    struct bytes out BYTES_CLEANUP = {0};
    struct operator_task tasks[] = {failed(1, 9000000, "x"), failed(2, 8000000, "y"),
                                    failed(3, 7000000, "z")};
    format(tasks, 3, (struct task_screen){.columns = 100, .lines = 7}, &out);
    assert_int_equal(lines_count(&out, 100), 7);
    order_expect(&out, "123");
    format(tasks, 3, (struct task_screen){.columns = 100, .lines = 6}, &out);
    assert_int_equal(lines_count(&out, 100), 6);
    order_expect(&out, "12");
    assert_non_null(strstr((char *)out.data, " y\nand 1 more\n"));
    format(tasks, 3, (struct task_screen){.columns = 100, .lines = 5}, &out);
    assert_int_equal(lines_count(&out, 100), 4);
    assert_non_null(strstr((char *)out.data, " x\nand 2 more\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_one_line_with_its_whole_id),
        cmocka_unit_test(what_has_less_room_says_less),
        cmocka_unit_test(what_waits_says_for_what),
        cmocka_unit_test(an_error_has_a_line_of_its_own),
        cmocka_unit_test(wide_characters_take_two_columns),
        cmocka_unit_test(no_line_is_wider_than_the_screen),
        cmocka_unit_test(what_runs_comes_first_then_the_newest_ends),
        cmocka_unit_test(more_than_fits_is_counted),
        cmocka_unit_test(a_task_is_not_shown_without_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
