/* The command line of tunnel: forms of options, what is refused, targets; and the progress line. */
#include "node/client/tunnel_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <getopt.h>

#define ARGS(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static enum exit_code options_of(const char *const *args, struct tunnel_options *ret)
{
    struct client client = {0};
    bool help = false;
    char *argv[16];
    int argc = 0;
    for (; args[argc] != NULL; argc++)
        argv[argc] = mem_strdup(args[argc]);
    argv[argc] = NULL;
    optind = 0;
    char *direction = argv[0]; /* another is there afterwards */
    enum exit_code code = tunnel_options_read(&client, argc, argv, ret, &help);
    mem_free(direction);
    for (int i = 1; i < argc; i++)
        if (argv[i] != ret->path && argv[i] != ret->target && argv[i] != ret->names)
            mem_free(argv[i]);
    return code;
}

static void paths_free(struct tunnel_options *options)
{
    mem_free((char *)(uintptr_t)options->path);
    mem_free((char *)(uintptr_t)options->target);
}

static void expect_acp_and_delimiter(const char *const *args)
{
    struct tunnel_options options = {0};
    assert_int_equal(options_of(args, &options), EXIT_DONE);
    assert_true(options.auto_partition);
    assert_true(options.dialect.header);
    assert_true(span_equal(csv_mark_span(&options.dialect.field), span_text("\t")));
    assert_string_equal(options.path, "day.csv");
    assert_string_equal(options.target, "p.t");
    paths_free(&options);
}

static void options_take_their_value_in_every_form(void **state)
{
    (void)state;
    expect_acp_and_delimiter(
        ARGS("upload", "-acp=true", "-h", "true", "-fd", "\\t", "day.csv", "p.t"));
    expect_acp_and_delimiter(
        ARGS("upload", "day.csv", "p.t", "--acp=true", "--h=TRUE", "--fd=\\t"));
    expect_acp_and_delimiter(
        ARGS("upload", "-acp", "true", "day.csv", "-h=true", "-fd=\\u0009", "p.t"));
}

static void modes_and_the_rest_are_understood(void **state)
{
    (void)state;
    struct tunnel_options options = {0};
    assert_int_equal(options_of(ARGS("upload", "--overwrite", "-dbr=true", "-mbr=7", "-ss=false",
                                     "-s=only", "-threads=9", "-cp=true", "-bs=64", "-", "t"),
                                &options),
                     EXIT_DONE);
    assert_int_equal(options.mode, UPLOAD_OVERWRITE);
    assert_true(options.discard_bad && options.loose_schema && options.scan_only);
    assert_int_equal(options.bad_max, 7);
    assert_int_equal(options.threads, 9);
    assert_string_equal(options.path, "-");
    paths_free(&options);
    assert_int_equal(
        options_of(ARGS("download", "-limit=3", "-e=false", "-ci=0,2", "t", "x"), &options),
        EXIT_DONE);
    assert_int_equal(options.limit, 3);
    assert_int_equal(options.doubles, CSV_DOUBLES_PLAIN);
    assert_string_equal(options.target, "t");
    paths_free(&options);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    struct tunnel_options options = {0};
    static const char *const wrong[][6] = {
        {"upload", "-acp=yes", "a", "t"},
        {"upload", "-te=http://x", "a", "t"},
        {"upload", "-sd=/tmp", "a", "t"},
        {"upload", "-c=GBK", "a", "t"},
        {"upload", "-fd=", "a", "t"},
        {"upload", "-fd=\\n", "a", "t"},
        {"upload", "-nosuch=1", "a", "t"},
        {"upload", "a"},
        {"upload", "-limit=3", "a", "t"},
        {"download", "--overwrite", "t", "a"},
        {"download", "-threads=0", "t", "a"},
        {"upload", "-tz=Mars", "a", "t"},
        {"upload", "--statement-id=x", "a", "t"},
    };
    int kept = dup(STDERR_FILENO); /* the complaints are not this test's output */
    FILE *nothing = freopen("/dev/null", "w", stderr);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(options_of(wrong[i], &options), EXIT_USAGE);
    assert_non_null(nothing);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

static void targets_name_project_table_and_partition(void **state)
{
    (void)state;
    struct tunnel_target target;
    assert_int_equal(tunnel_target_parse(span_text("p.t/a=\"x,=/\",b='y',c=3"), &target, NULL),
                     ERR_OK);
    assert_true(span_equal(target.project, span_text("p")));
    assert_true(span_equal(target.table, span_text("t")));
    assert_int_equal(target.partition_count, 3);
    assert_true(span_equal(target.partition[0].key, span_text("a")));
    assert_true(span_equal(target.partition[0].value, span_text("x,=/")));
    assert_true(span_equal(target.partition[1].value, span_text("y")));
    assert_true(span_equal(target.partition[2].value, span_text("3")));
    assert_int_equal(tunnel_target_parse(span_text("t"), &target, NULL), ERR_OK);
    assert_int_equal(target.project.len, 0);
    static const char *const wrong[] = {
        "",        ".t",       "p.",  "a.b.c",   "t/a",      "t/=1",
        "t/a=\"x", "t/a='x'y", "t x", "t/a=1,b", "t/a=1,=2", "t/a=1,b=2,c=3,d=4,e=5,f=6,g=7"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(tunnel_target_parse(span_text(wrong[i]), &target, NULL), ERR_PARAMETER);
}

static void the_progress_line_says_how_far_how_fast_how_long(void **state)
{
    (void)state;
    struct bytes line BYTES_CLEANUP = {0};
    struct operator_progress progress = {.phase = span_text("pulling files"),
                                         .bytes_done = 12300000,
                                         .bytes_total = 45000000,
                                         .files_done = 3,
                                         .files_total = 10};
    progress_format(&progress, 2000, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal(line.data,
                        "pulling files: 12.3 MB of 45.0 MB, 3 of 10 files, 6.2 MB/s, 5 s left");
    bytes_clear(&line);
    progress.has_task = true; /* which another began 20 s ago, and which waited 10 s of these */
    progress.elapsed_ms = 10000;
    progress_format(&progress, 2000, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal(line.data,
                        "pulling files: 12.3 MB of 45.0 MB, 3 of 10 files, 1.2 MB/s, 27 s left");
    bytes_clear(&line);
    progress.elapsed_ms = 0; /* it waits in line, after a restart of its node */
    progress_format(&progress, 2000, &line);
    bytes_append_u8(&line, 0);
    assert_string_equal(line.data, "pulling files: 12.3 MB of 45.0 MB, 3 of 10 files");
    bytes_clear(&line);
    bytes_append_duration(&line, 3725000);
    bytes_append_u8(&line, '|');
    bytes_append_amount(&line, 999);
    bytes_append_u8(&line, '|');
    bytes_append_amount(&line, 999999);
    bytes_append_u8(&line, 0);
    assert_string_equal(line.data, "1 h 2 min|999 B|1.0 MB");
}

static void a_script_numbers_its_statement_ids(void **state)
{
    (void)state;
    char text[STATEMENT_ID_TEXT_BYTES];
    struct statement_id id, back, next;
    id = statement_id_random();
    assert_true(statement_id_parse(statement_id_format(&id, text), &back));
    assert_memory_equal(&id, &back, sizeof id);
    next = statement_id_nth(&id, 0);
    assert_memory_equal(&id, &next, sizeof id);
    next = statement_id_nth(&id, 1);
    assert_memory_not_equal(&id, &next, sizeof id);
    back = statement_id_nth(&id, 1);
    assert_memory_equal(&back, &next, sizeof id);
    assert_false(statement_id_parse("12", &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_take_their_value_in_every_form),
        cmocka_unit_test(modes_and_the_rest_are_understood),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(targets_name_project_table_and_partition),
        cmocka_unit_test(the_progress_line_says_how_far_how_fast_how_long),
        cmocka_unit_test(a_script_numbers_its_statement_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
