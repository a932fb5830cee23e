/* Runs with a listener that is played: requests are numbers, replies are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "node/run.h"

/* ---- the played side of transport ---- */

struct request {
    bool replied;
    bool error; /* request_reply_error */
    struct err err;
    struct arena arena;
    struct bytes header;
    struct bytes body;
    struct operator_result result;
};

static pthread_mutex_t replies = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t replied = PTHREAD_COND_INITIALIZER;

static void reply_done(struct request *request)
{
    pthread_mutex_lock(&replies);
    request->replied = true;
    pthread_cond_broadcast(&replied);
    pthread_mutex_unlock(&replies);
}

void request_reply_bytes(struct request *request, struct span header, struct bytes *body)
{
    bytes_append_span(&request->header, header);
    request->body = *body;
    *body = (struct bytes){0};
    reply_done(request);
}

void request_reply_error(struct request *request, const struct err *err)
{
    request->error = true;
    request->err = *err;
    reply_done(request);
}

size_t request_reply_body_max(const struct request *request)
{
    (void)request;
    return LIMIT_BODY_BYTES;
}

static void request_wait(struct request *request)
{
    pthread_mutex_lock(&replies);
    while (!request->replied)
        pthread_cond_wait(&replied, &replies);
    pthread_mutex_unlock(&replies);
    if (request->error)
        return;
    arena_init(&request->arena, MIB(4));
    assert_int_equal(operator_result_decode(bytes_span(&request->header),
                                            bytes_span(&request->body), &request->arena,
                                            &request->result, NULL),
                     ERR_OK);
}

static void request_end(struct request *request)
{
    bytes_deinit(&request->header);
    bytes_deinit(&request->body);
    arena_deinit(&request->arena);
}
#define REQUEST_CLEANUP __attribute__((cleanup(request_end)))

/* ---- statements ---- */

struct script {
    size_t rows; /* of one BIGINT column, given by a stream of `step` a time */
    size_t step;
    size_t given;
    int starts;
    int frees;
    atomic_bool wait; /* the answer waits as long as this is set */
    enum err_code failure;
};

static struct script script;

static enum err_code script_next(void *context, size_t bytes_max, struct batch *batch,
                                 bool *ret_end, struct err *err)
{
    (void)context;
    (void)bytes_max;
    (void)err;
    for (size_t i = 0; i < script.step && script.given < script.rows; i++) {
        vector_append(&batch->vectors[0], (struct value){.i64 = (int64_t)script.given++});
        batch->rows++;
    }
    *ret_end = script.given == script.rows;
    return ERR_OK;
}

static void script_nothing(void *context)
{
    (void)context;
}

/* Text that is gone with the wait. */
static char *script_phase;

static void script_wait_close(void *context)
{
    (void)context;
    mem_free(script_phase);
}

static enum err_code script_poll(void *context, struct answer *answer,
                                 struct operator_progress *progress, bool *ret_ended,
                                 struct err *err)
{
    (void)context;
    (void)answer;
    (void)err;
    progress->phase = span_text(script_phase);
    *ret_ended = !atomic_load(&script.wait);
    return ERR_OK;
}

static enum err_code script_start(void *context, struct answer *answer, atomic_bool *cancel,
                                  struct err *err)
{
    (void)cancel;
    static const struct answer_column columns[] = {{"n", TYPE_BIGINT, true}};
    script.starts++;
    if (script.failure != ERR_OK)
        return err_set(err, script.failure, "as told");
    answer_columns(answer, columns, 1);
    if (atomic_load(&script.wait)) {
        answer_add_number(answer, 7);
        script_phase = mem_strdup("waiting");
        answer->wait = (struct answer_wait){script_poll, script_wait_close, context};
    } else {
        answer->stream = (struct answer_stream){script_next, script_nothing, context};
    }
    return ERR_OK;
}

static void script_free(void *context)
{
    (void)context;
    script.frees++;
}

/* ---- fixture ---- */

static struct loop *loop;
static struct runs *runs;
static const struct run_key key = {"ALIYUN$root", {{1}}};

static int fixture_start(void **state)
{
    (void)state;
    script = (struct script){.rows = 10, .step = 4};
    assert_int_equal(loop_start(&loop, NULL), ERR_OK);
    return runs_new(loop, &runs, NULL) == ERR_OK ? 0 : -1;
}

static int fixture_stop(void **state)
{
    (void)state;
    runs_stop(runs);
    loop_stop(loop);
    runs_free(runs);
    return 0;
}

static enum err_code begin(uint8_t content, bool changes, struct run **run, struct err *err)
{
    const struct run_work work = {script_start, script_free, &script, changes};
    struct digest digest = {{content}};
    return runs_begin(runs, &key, &digest, &work, run, err);
}

static void ask(struct run *run, uint64_t cursor, uint32_t wait_ms, struct request *request)
{
    run_ask(run, cursor, wait_ms, request);
    request_wait(request);
}

static size_t row_count(const struct request *request)
{
    static struct column column = {.name = {(const uint8_t *)"n", 1}, .type = {TYPE_BIGINT, 0, 0}};
    struct schema schema = operator_schema(&column, 1);
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    assert_int_equal(batch_decode(request->result.rows, &batch, NULL), ERR_OK);
    return batch.rows;
}

/* ---- tests ---- */

static void blocks_come_one_after_another(void **state)
{
    (void)state;
    struct run *run;
    assert_int_equal(begin(1, false, &run, NULL), ERR_OK);
    static const size_t rows[] = {4, 4, 2};
    for (uint64_t i = 0; i < 3; i++) {
        REQUEST_CLEANUP struct request request = {0};
        ask(run, i, 1000, &request);
        assert_int_equal(request.result.state, OPERATOR_DONE);
        assert_int_equal(row_count(&request), rows[i]);
        assert_int_equal(request.result.cursor, i == 2 ? 0 : i + 1);
        assert_int_equal(request.result.column_count, i == 0 ? 1 : 0);
    }
    run_unref(run);
    assert_int_equal(script.starts, 1);
}

static void the_last_block_can_be_asked_for_again_and_an_earlier_one_not(void **state)
{
    (void)state;
    struct run *run;
    assert_int_equal(begin(1, false, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request first = {0};
    REQUEST_CLEANUP struct request second = {0};
    REQUEST_CLEANUP struct request again = {0};
    REQUEST_CLEANUP struct request early = {0};
    REQUEST_CLEANUP struct request late = {0};
    ask(run, 0, 1000, &first);
    ask(run, 1, 1000, &second);
    ask(run, 1, 1000, &again);
    assert_true(span_equal(second.result.rows, again.result.rows));
    ask(run, 0, 1000, &early);
    assert_true(early.error);
    assert_int_equal(early.err.code, ERR_NOT_FOUND);
    ask(run, 3, 1000, &late);
    assert_int_equal(late.err.code, ERR_NOT_FOUND);
    run_unref(run);
}

static void an_id_belongs_to_one_content(void **state)
{
    (void)state;
    struct run *run;
    struct run *other;
    assert_int_equal(begin(1, false, &run, NULL), ERR_OK);
    assert_int_equal(begin(2, false, &other, NULL), ERR_PARAMETER);
    assert_int_equal(script.frees, 1);
    assert_int_equal(begin(1, false, &other, NULL), ERR_OK);
    assert_ptr_equal(run, other);
    assert_int_equal(script.frees, 2);
    run_unref(run);
    run_unref(other);
}

static void a_long_wait_is_answered_running_and_goes_on(void **state)
{
    (void)state;
    struct run *run;
    atomic_store(&script.wait, true);
    assert_int_equal(begin(1, true, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request first = {0};
    ask(run, 0, 1, &first);
    assert_int_equal(first.result.state, OPERATOR_RUNNING);
    assert_true(span_equal(first.result.progress.phase, span_text("waiting")));
    REQUEST_CLEANUP struct request second = {0};
    run_ask(run, 0, 10000, &second);
    atomic_store(&script.wait, false);
    runs_wake(runs);
    request_wait(&second);
    assert_int_equal(second.result.state, OPERATOR_DONE);
    assert_int_equal(row_count(&second), 1);
    assert_int_equal(script.starts, 1);
    run_unref(run);
}

static void a_newer_request_displaces_the_one_that_waits(void **state)
{
    (void)state;
    struct run *run;
    atomic_store(&script.wait, true);
    assert_int_equal(begin(1, true, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request first = {0};
    REQUEST_CLEANUP struct request second = {0};
    run_ask(run, 0, 10000, &first);
    run_ask(run, 0, 10000, &second);
    request_wait(&first);
    assert_int_equal(first.result.state, OPERATOR_RUNNING);
    atomic_store(&script.wait, false);
    runs_wake(runs);
    request_wait(&second);
    run_unref(run);
}

static void a_failure_is_told_and_can_be_tried_again(void **state)
{
    (void)state;
    struct run *run;
    script.failure = ERR_CAST;
    assert_int_equal(begin(1, true, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request first = {0};
    ask(run, 0, 1000, &first);
    assert_int_equal(first.result.state, OPERATOR_FAILED);
    assert_int_equal(first.result.error.code, ERR_CAST);
    assert_string_equal(first.result.error.message, "as told");
    run_unref(run);
    script.failure = ERR_OK;
    assert_int_equal(begin(1, true, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request second = {0};
    ask(run, 0, 1000, &second);
    assert_int_equal(second.result.state, OPERATOR_DONE);
    run_unref(run);
}

static void closing_answers_whoever_waits(void **state)
{
    (void)state;
    struct run *run;
    atomic_store(&script.wait, true);
    assert_int_equal(begin(1, false, &run, NULL), ERR_OK);
    REQUEST_CLEANUP struct request request = {0};
    run_ask(run, 0, 10000, &request);
    run_close(run);
    request_wait(&request);
    assert_int_equal(request.err.code, ERR_CANCELLED);
    assert_int_equal(runs_count(runs), 0);
    run_unref(run);
    assert_int_equal(script.frees, 1);
}

static void many_small_statements_leave_no_runs_behind(void **state)
{
    (void)state;
    script.rows = 1;
    for (unsigned i = 0; i < 2 * RUNS_PER_PRINCIPAL_MAX; i++) {
        struct run *run;
        struct run_key one = key;
        store_u32(one.id.b + 4, i);
        const struct run_work work = {script_start, script_free, &script, true};
        script.given = 0;
        assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &work, &run, NULL), ERR_OK);
        REQUEST_CLEANUP struct request request = {0};
        ask(run, 0, 1000, &request);
        assert_int_equal(request.result.state, OPERATOR_DONE);
        run_unref(run);
    }
    assert_int_equal(runs_count(runs), 0);
}

static void too_many_open_results_are_refused(void **state)
{
    (void)state;
    struct run *all[RUNS_PER_PRINCIPAL_MAX];
    for (unsigned i = 0; i < RUNS_PER_PRINCIPAL_MAX; i++) {
        struct run_key one = key;
        store_u32(one.id.b + 4, i);
        const struct run_work work = {script_start, script_free, &script, false};
        assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &work, &all[i], NULL),
                         ERR_OK);
    }
    struct run *run;
    struct run_key one = {"ALIYUN$root", {{9}}};
    const struct run_work work = {script_start, script_free, &script, false};
    assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &work, &run, NULL), ERR_BUSY);
    one.principal = "ALIYUN$other";
    const struct run_work other = {script_start, script_free, &script, false};
    assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &other, &run, NULL), ERR_OK);
    run_unref(run);
    for (unsigned i = 0; i < RUNS_PER_PRINCIPAL_MAX; i++)
        run_unref(all[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_come_one_after_another),
        TEST(the_last_block_can_be_asked_for_again_and_an_earlier_one_not),
        TEST(an_id_belongs_to_one_content),
        TEST(a_long_wait_is_answered_running_and_goes_on),
        TEST(a_newer_request_displaces_the_one_that_waits),
        TEST(a_failure_is_told_and_can_be_tried_again),
        TEST(closing_answers_whoever_waits),
        TEST(many_small_statements_leave_no_runs_behind),
        TEST(too_many_open_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
