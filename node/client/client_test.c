/* The client against a made-up node (fake_node.h): statements, ids, loads, downloads, lost
 * connections, Ctrl-C. */
#include "node/client/download.h"
#include "node/client/fake_node.h"
#include "node/client/interrupt.h"
#include "node/client/script.h"
#include "node/client/upload.h"
#include "proto/token.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>

struct stage {
    struct fake_node *node;
    struct client client;
    struct script script;
    char out_path[64];
    int captured; /* standard output or error, */
    int kept;     /* and where it went before */
};

static int stage_open(void **state)
{
    struct stage *stage = mem_calloc(1, sizeof *stage);
    stage->node = fake_node_start(&stage->client.config);
    assert_int_equal(remote_open(&stage->client.config, &stage->client.remote, NULL), ERR_OK);
    stage->client.screen = (struct screen){.format = &format_csv, .quiet = true};
    script_init(&stage->script, &stage->client);
    snprintf(stage->out_path, sizeof stage->out_path, "/tmp/client_test.%ld.out", (long)getpid());
    *state = stage;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    interrupt_clear();
    script_deinit(&stage->script);
    client_deinit(&stage->client);
    fake_node_stop(stage->node);
    unlink(stage->out_path);
    mem_free(stage);
    return 0;
}

/* What the client prints goes to a file, and comes back as text. */
static void capture_begin_of(struct stage *stage, int captured)
{
    fflush(NULL);
    int file = open(stage->out_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    stage->captured = captured;
    stage->kept = dup(captured);
    dup2(file, captured);
    close(file);
}

static void capture_begin(struct stage *stage)
{
    capture_begin_of(stage, STDOUT_FILENO);
}

static void capture_end(struct stage *stage, struct bytes *text)
{
    fflush(NULL);
    dup2(stage->kept, stage->captured);
    close(stage->kept);
    FILE *file = fopen(stage->out_path, "re");
    bytes_reserve(text, KIB(64));
    text->len = fread(text->data, 1, KIB(64) - 1, file);
    fclose(file);
    bytes_append_u8(text, 0);
}

static void rows_of_all_blocks_reach_stdout(void **state)
{
    struct stage *stage = *state;
    struct bytes text BYTES_CLEANUP = {0};
    capture_begin(stage);
    enum exit_code code = script_run(&stage->script, span_text("SELECT 25;"));
    capture_end(stage, &text);
    assert_int_equal(code, EXIT_DONE);
    assert_int_equal(strncmp((char *)text.data, "id,note\n0,\"a,b\"\n1,", 18), 0);
    assert_non_null(strstr((char *)text.data, "\n24,\"a,b\"\n"));
    assert_null(strstr((char *)text.data, "\n25,"));
}

static void a_slow_statement_is_asked_for_until_it_is_done(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(script_run(&stage->script, span_text("slow")), EXIT_DONE);
    assert_int_equal(fake_node_seen(stage->node)->executes, 3);
}

static void a_failed_statement_ends_the_script(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(script_run(&stage->script, span_text("OK; fail; OK")), EXIT_FAILED);
    assert_int_equal(fake_node_seen(stage->node)->executes, 2);
}

static void use_and_set_travel_with_what_follows(void **state)
{
    struct stage *stage = *state;
    struct fake_seen *seen = fake_node_seen(stage->node);
    assert_int_equal(script_run(&stage->script, span_text("OK")), EXIT_DONE);
    assert_string_equal(seen->project, "demo");
    assert_int_equal(script_run(&stage->script, span_text("USE other; SET a.b=1; SET c=x y; "
                                                          "set A.B = 2; OK")),
                     EXIT_DONE);
    assert_string_equal(seen->project, "other");
    assert_string_equal(seen->settings, "A.B=2 c=x y ");
}

static void xcopy_is_signed_for_exactly_what_it_says(void **state)
{
    struct stage *stage = *state;
    struct token token;
    assert_int_equal(
        script_run(&stage->script, span_text("XCOPY SNAPSHOT project_a.s TO SNAPSHOT t "
                                             "OPTIONS(src_region =” ap-southeast-1”)")),
        EXIT_DONE);
    struct span bytes = bytes_span(&fake_node_seen(stage->node)->token);
    assert_int_equal(token_decode(bytes, &token, NULL), ERR_OK);
    assert_int_equal(token_verify(bytes, NULL), ERR_OK);
    assert_true(span_equal(token.source.region, span_text("ap-southeast-1")));
    assert_true(span_equal(token.source.project, span_text("project_a")));
    assert_true(span_equal(token.source.snapshot, span_text("s")));
    assert_true(span_equal(token.destination.region, span_text("cn-hongkong")));
    assert_true(span_equal(token.destination.project, span_text("demo")));
    assert_true(span_equal(token.destination.snapshot, span_text("t")));
    assert_true(
        identity_key_equal(&token.destination_node, &remote_node_key(stage->client.remote)->sign));
}

static void what_only_looks_is_signed_without_the_files(void **state)
{
    struct stage *stage = *state;
    struct token token;
    assert_int_equal(
        script_run(&stage->script, span_text("VERIFY SNAPSHOT s AGAINST OPTIONS("
                                             "region='ap-southeast-1', snapshot='t')")),
        EXIT_DONE);
    assert_int_equal(token_decode(bytes_span(&fake_node_seen(stage->node)->token), &token, NULL),
                     ERR_OK);
    assert_int_equal(token.rights, TOKEN_DESCRIBE | TOKEN_PAGES);
    assert_true(span_equal(token.source.region, span_text("ap-southeast-1")));
    assert_true(span_equal(token.source.project, span_text("demo"))); /* of the same name */
    assert_true(span_equal(token.source.snapshot, span_text("t")));
    assert_true(span_equal(token.destination.snapshot, span_text("s")));
    assert_int_equal(script_run(&stage->script, span_text("VERIFY SNAPSHOT s DEEP")), EXIT_DONE);
    assert_int_equal(fake_node_seen(stage->node)->token.len, 0); /* nothing to sign */
}

static struct token token_next(struct reader *reader)
{
    struct token token;
    struct span bytes = reader_span(reader, reader_u32(reader));
    assert_int_equal(token_decode(bytes, &token, NULL), ERR_OK);
    assert_int_equal(token_verify(bytes, NULL), ERR_OK);
    assert_int_equal(token.kind, TOKEN_STANDING);
    return token;
}

static void a_schedule_is_signed_for_what_its_body_copies(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(
        script_run(&stage->script,
                   span_text("CREATE SCHEDULE nightly CRON '0 2 * * *' RETRY 2 EVERY 5 MINUTES AS "
                             "BEGIN CREATE SNAPSHOT TABLE s_$[yyyymmdd] CLONE t; "
                             "XCOPY SNAPSHOT project_a.a_$[yyyymmdd-1] TO SNAPSHOT a_$bizdate "
                             "OPTIONS(src_region='ap-southeast-1'); "
                             "XCOPY SNAPSHOT project_a.b TO SNAPSHOT other.b "
                             "OPTIONS(src_region='ap-southeast-1'); END")),
        EXIT_DONE);
    struct reader reader = reader_of(bytes_span(&fake_node_seen(stage->node)->tokens));
    struct token token = token_next(&reader);
    assert_int_equal(token.rights, TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES);
    assert_true(span_equal(token.schedule, span_text("nightly")));
    assert_true(span_equal(token.source.region, span_text("ap-southeast-1")));
    assert_true(span_equal(token.source.snapshot, span_text("a_*")));
    assert_true(span_equal(token.destination.region, span_text("cn-hongkong")));
    assert_true(span_equal(token.destination.project, span_text("demo")));
    assert_true(span_equal(token.destination.snapshot, span_text("a_*")));
    assert_true(token.not_after_s == token.issued_s + TOKEN_STANDING_LIFE_S);
    assert_int_equal(token.runs_a_day, 3 + 31);
    struct token second = token_next(&reader);
    assert_true(span_equal(second.source.snapshot, span_text("b")));
    assert_true(span_equal(second.destination.project, span_text("other")));
    assert_memory_not_equal(second.id.b, token.id.b, sizeof(token.id.b));
    assert_int_equal(reader.left.len, 0);
    assert_int_equal(fake_node_seen(stage->node)->token.len, 0);
}

static void a_schedule_that_would_sign_everything_is_not_sent(void **state)
{
    struct stage *stage = *state;
    struct fake_seen *seen = fake_node_seen(stage->node);
    size_t executes = seen->executes;
    assert_int_not_equal(
        script_run(
            &stage->script,
            span_text("CREATE SCHEDULE s CRON '0 2 * * *' AS BEGIN "
                      "XCOPY SNAPSHOT p.`$[yyyymmdd]` TO SNAPSHOT x OPTIONS(src_region='r'); END")),
        EXIT_DONE);
    assert_int_equal(seen->executes, executes);
}

static void a_lost_answer_is_asked_for_again_under_its_id(void **state)
{
    struct stage *stage = *state;
    struct bytes text BYTES_CLEANUP = {0};
    fake_node_drop_every(stage->node, 2);
    assert_int_equal(script_run(&stage->script, span_text("OK; OK; OK")), EXIT_DONE);
    assert_true(fake_node_seen(stage->node)->executes > 3);
}

static const char *csv_make(struct stage *stage, unsigned rows)
{
    static char path[80];
    snprintf(path, sizeof path, "%s.csv", stage->out_path);
    FILE *file = fopen(path, "we");
    for (unsigned i = 0; i < rows; i++)
        fprintf(file, "%u,\"%0200u\"\n", i, i);
    fclose(file);
    return path;
}

static enum exit_code upload_under(struct stage *stage, const char *path,
                                   const struct statement_id *id)
{
    struct tunnel_options options = {.upload = true,
                                     .dialect = csv_dialect_default(),
                                     .times = csv_times_default(),
                                     .mode = UPLOAD_APPEND,
                                     .path = path,
                                     .has_id = id != NULL};
    struct tunnel_target target = {.table = span_text("t")};
    if (id != NULL)
        options.id = *id;
    return upload_run(&stage->client, &options, &target);
}

static enum exit_code upload(struct stage *stage, const char *path)
{
    return upload_under(stage, path, NULL);
}

static void an_upload_brings_every_row_once(void **state)
{
    struct stage *stage = *state;
    struct fake_seen *seen = fake_node_seen(stage->node);
    const char *path = csv_make(stage, 60000);
    fake_node_drop_every(stage->node, 3); /* with lost connections on the way */
    assert_int_equal(upload(stage, path), EXIT_DONE);
    unlink(path);
    assert_int_equal(seen->rows, 60000);
    assert_int_equal(seen->id_sum, INT64_C(60000) * 59999 / 2);
    assert_true(seen->chunks_taken > 3);
    assert_true(seen->commits >= 1);
}

static void a_bad_row_commits_nothing(void **state)
{
    struct stage *stage = *state;
    const char *path = csv_make(stage, 3);
    FILE *file = fopen(path, "ae");
    fputs("x,y\n", file);
    fclose(file);
    assert_int_equal(upload(stage, path), EXIT_FAILED);
    unlink(path);
    assert_int_equal(fake_node_seen(stage->node)->commits, 0);
    assert_int_equal(fake_node_seen(stage->node)->aborts, 1);
}

static void a_download_writes_the_columns_asked_for(void **state)
{
    struct stage *stage = *state;
    struct bytes text BYTES_CLEANUP = {0};
    struct tunnel_options options = {.dialect = csv_dialect_default(),
                                     .times = csv_times_default(),
                                     .indexes = "1,0",
                                     .path = "-"};
    struct tunnel_target target = {.table = span_text("t")};
    options.dialect.header = true;
    capture_begin(stage);
    enum exit_code code = download_run(&stage->client, &options, &target);
    capture_end(stage, &text);
    assert_int_equal(code, EXIT_DONE);
    assert_int_equal(strncmp((char *)text.data, "note,id\n\"a,b\",0\n", 16), 0);
    assert_non_null(strstr((char *)text.data, "\n\"a,b\",24\n"));
}

static void on_alarm(int number)
{
    (void)number;
    raise(SIGINT);
}

static void ctrl_c_leaves_a_task_running(void **state)
{
    struct stage *stage = *state;
    signal(SIGALRM, on_alarm);
    interrupt_install();
    ualarm(50000, 0);
    assert_int_equal(script_run(&stage->script, span_text("task")), EXIT_INTERRUPTED);
    assert_int_equal(fake_node_seen(stage->node)->closes, 0);
}

/* What writes a query's rows is told to end; what only has to be committed is left alone. */
static void ctrl_c_ends_a_query_that_is_written(void **state)
{
    struct stage *stage = *state;
    signal(SIGALRM, on_alarm);
    interrupt_install();
    static const struct {
        const char *text;
        unsigned closes;
    } cases[] = {{"INSERT INTO t VALUES (1)", 0}, {"INSERT INTO t SELECT 1", 1}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        interrupt_clear();
        ualarm(50000, 0);
        assert_int_equal(script_run(&stage->script, span_text(cases[i].text)), EXIT_INTERRUPTED);
        assert_int_equal(fake_node_seen(stage->node)->closes, cases[i].closes);
    }
}

/* Whoever gives up while the node is away hears that, not that an answer was lost. */
static void ctrl_c_ends_a_call_whose_connection_is_lost(void **state)
{
    struct stage *stage = *state;
    interrupt_install();
    fake_node_drop_every(stage->node, 1);
    fake_node_interrupt_at(stage->node, OPERATOR_EXECUTE);
    assert_int_equal(script_run(&stage->script, span_text("OK")), EXIT_INTERRUPTED);
}

#define UNCHANGED  "the table is unchanged"
#define IN_DOUBT   "it is not known whether the load was committed"
#define COMMIT_ASK "the same with --statement-id "

/* Under a made-up id where it is asked for again. */
static void expect_upload(struct stage *stage, bool again, enum exit_code code, const char *said,
                          const char *not_said)
{
    struct bytes text BYTES_CLEANUP = {0};
    struct statement_id id = {{7}};
    const char *path = csv_make(stage, 3);
    capture_begin_of(stage, STDERR_FILENO);
    enum exit_code ended = upload_under(stage, path, again ? &id : NULL);
    capture_end(stage, &text);
    unlink(path);
    assert_int_equal(ended, code);
    assert_non_null(strstr((char *)text.data, said));
    assert_null(strstr((char *)text.data, not_said));
    bool tells_how = strstr((char *)text.data, COMMIT_ASK) != NULL;
    assert_int_equal(tells_how, strcmp(said, IN_DOUBT) == 0);
}

static void an_upload_that_is_interrupted_before_its_commit_is_given_up(void **state)
{
    struct stage *stage = *state;
    static const enum operator_method methods[] = {OPERATOR_LOAD_BEGIN, OPERATOR_LOAD_CHUNK};
    interrupt_install();
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        interrupt_clear();
        fake_node_interrupt_at(stage->node, methods[i]);
        expect_upload(stage, false, EXIT_INTERRUPTED, UNCHANGED, IN_DOUBT);
        assert_int_equal(fake_node_seen(stage->node)->commits, 0);
        assert_int_equal(fake_node_seen(stage->node)->aborts, i + 1);
    }
}

/* The commit has left: what is said of the table is what the node says. */
static void an_upload_that_is_interrupted_in_its_commit_says_how_it_ended(void **state)
{
    struct stage *stage = *state;
    static const struct {
        enum fake_commit then;
        enum exit_code code;
        const char *said, *not_said;
    } cases[] = {
        {FAKE_COMMIT_DONE, EXIT_DONE, "had been committed", UNCHANGED},
        {FAKE_COMMIT_RUNNING, EXIT_INTERRUPTED, IN_DOUBT, UNCHANGED},
        {FAKE_COMMIT_BUSY, EXIT_FAILED, IN_DOUBT, UNCHANGED},
        {FAKE_COMMIT_REFUSED, EXIT_FAILED, UNCHANGED, IN_DOUBT},
        {FAKE_COMMIT_SILENT, EXIT_INTERRUPTED, IN_DOUBT, UNCHANGED},
    };
    interrupt_install();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        interrupt_clear();
        fake_node_seen(stage->node)->commits = 0;
        fake_node_commit_as(stage->node, cases[i].then);
        fake_node_interrupt_at(stage->node, OPERATOR_LOAD_COMMIT);
        expect_upload(stage, false, cases[i].code, cases[i].said, cases[i].not_said);
        assert_int_equal(fake_node_seen(stage->node)->commits, 2);
        assert_int_equal(fake_node_seen(stage->node)->aborts, 0);
    }
}

/* An earlier try may have committed it: only the node's answer to the first question says that it did not. */
static void an_upload_that_is_asked_for_again_in_vain_leaves_the_doubt(void **state)
{
    struct stage *stage = *state;
    interrupt_install();
    fake_node_interrupt_at(stage->node, OPERATOR_LOAD_BEGIN);
    expect_upload(stage, true, EXIT_INTERRUPTED, IN_DOUBT, UNCHANGED);
    assert_int_equal(fake_node_seen(stage->node)->aborts, 0);
    interrupt_clear();
    fake_node_interrupt_at(stage->node, OPERATOR_LOAD_CHUNK);
    expect_upload(stage, true, EXIT_INTERRUPTED, UNCHANGED, IN_DOUBT);
    assert_int_equal(fake_node_seen(stage->node)->aborts, 1);
}

static void a_node_that_is_not_there_gives_three(void **state)
{
    struct stage *stage = *state;
    struct client client = {.config = stage->client.config, .screen = stage->client.screen};
    struct script script;
    client.config.address = mem_strdup("127.0.0.1:1");
    assert_int_equal(remote_open(&client.config, &client.remote, NULL), ERR_OK);
    script_init(&script, &client);
    struct bytes text BYTES_CLEANUP = {0};
    capture_begin_of(stage, STDERR_FILENO);
    enum exit_code code = script_run(&script, span_text("OK"));
    capture_end(stage, &text);
    assert_int_equal(code, EXIT_LOST);
    assert_non_null(strstr((char *)text.data, "- node at 127.0.0.1:1: Connection refused\n"));
    script_deinit(&script);
    remote_close(client.remote);
    mem_free(client.config.address);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(rows_of_all_blocks_reach_stdout),
        STAGED(a_slow_statement_is_asked_for_until_it_is_done),
        STAGED(a_failed_statement_ends_the_script),
        STAGED(use_and_set_travel_with_what_follows),
        STAGED(xcopy_is_signed_for_exactly_what_it_says),
        STAGED(what_only_looks_is_signed_without_the_files),
        STAGED(a_schedule_is_signed_for_what_its_body_copies),
        STAGED(a_schedule_that_would_sign_everything_is_not_sent),
        STAGED(a_lost_answer_is_asked_for_again_under_its_id),
        STAGED(an_upload_brings_every_row_once),
        STAGED(a_bad_row_commits_nothing),
        STAGED(a_download_writes_the_columns_asked_for),
        STAGED(ctrl_c_leaves_a_task_running),
        STAGED(ctrl_c_ends_a_query_that_is_written),
        STAGED(ctrl_c_ends_a_call_whose_connection_is_lost),
        STAGED(an_upload_that_is_interrupted_before_its_commit_is_given_up),
        STAGED(an_upload_that_is_interrupted_in_its_commit_says_how_it_ended),
        STAGED(an_upload_that_is_asked_for_again_in_vain_leaves_the_doubt),
        STAGED(a_node_that_is_not_there_gives_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
