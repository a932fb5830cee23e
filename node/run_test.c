/* Runs with a listener that is played: requests are numbers, replies are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "node/early_closes.h"
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
    int starts, closes;
    atomic_int frees;    /* also on the loop, whose tick may hold the last reference */
    atomic_bool wait;    /* the answer waits as long as this is set */
    atomic_bool writing; /* script_write is at work */
    bool has_task;       /* what it waits for is a task, begun task_ms ago */
    _Atomic uint64_t task_ms;
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

static void script_close(void *context)
{
    (void)context;
    script.closes++;
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
    progress->has_task = script.has_task;
    progress->elapsed_ms = atomic_load(&script.task_ms);
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
        answer->stream = (struct answer_stream){script_next, script_close, context};
    }
    return ERR_OK;
}

/* A long change: until it is cancelled, or `wait` is taken away. */
static enum err_code script_write(void *context, struct answer *answer, atomic_bool *cancel,
                                  struct err *err)
{
    (void)context;
    (void)answer;
    script.starts++;
    atomic_store(&script.writing, true);
    while (atomic_load(&script.wait)) {
        if (atomic_load(cancel))
            return err_set(err, ERR_CANCELLED, "as asked");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return ERR_OK;
}

static void script_progress(void *context, struct operator_progress *progress)
{
    (void)context;
    progress->phase = span_text("writing");
    progress->bytes_done = 42;
}

static void script_free(void *context)
{
    (void)context;
    atomic_fetch_add(&script.frees, 1);
}

/* The tick of the loop may hold a run for a moment after everybody else let it go. */
static void assert_freed(int count)
{
    const uint64_t end_ms = loop_now_ms() + 10000;
    while (atomic_load(&script.frees) < count && loop_now_ms() < end_ms)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&script.frees), count);
}

/* ---- fixture ---- */

static struct loop *loop;
static struct runs *runs;
static const struct run_key key = {"ALIYUN$root", {{1}}, (const uint8_t *)"this very process"};

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
    const struct run_work work = {
        .start = script_start, .free = script_free, .context = &script, .changes = changes};
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
        assert_int_equal(script.closes, i == 2); /* nothing is held for a block that was given */
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
    assert_freed(1);
    assert_int_equal(begin(1, false, &other, NULL), ERR_OK);
    assert_ptr_equal(run, other);
    assert_freed(2);
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

/* Its bytes did not come since the statement began: it may have been joined late, or not have begun. */
static void a_task_that_is_waited_for_has_a_time_of_its_own(void **state)
{
    (void)state;
    static const uint64_t times_ms[] = {UINT64_C(3600000), 0};
    struct run *run;
    script.has_task = true;
    atomic_store(&script.wait, true);
    assert_int_equal(begin(1, true, &run, NULL), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(times_ms); i++) {
        REQUEST_CLEANUP struct request request = {0};
        const uint64_t begun_ms = loop_now_ms();
        while (loop_now_ms() == begun_ms) /* the statement has an age */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        atomic_store(&script.task_ms, times_ms[i]);
        ask(run, 0, 1, &request);
        assert_int_equal(request.result.state, OPERATOR_RUNNING);
        assert_int_equal(request.result.progress.elapsed_ms, times_ms[i]);
    }
    atomic_store(&script.wait, false);
    REQUEST_CLEANUP struct request last = {0};
    ask(run, 0, 10000, &last);
    assert_int_equal(last.result.state, OPERATOR_DONE);
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
    assert_freed(1);
}

static void what_was_cancelled_begins_anew_only_after_its_close(void **state)
{
    (void)state;
    struct run *run, *again;
    struct err err = {0};
    assert_int_equal(begin(1, false, &run, NULL), ERR_OK);
    run_cancel(run);
    assert_int_equal(begin(1, false, &again, &err), ERR_CANCELLED);
    run_close(run);
    run_unref(run);
    assert_int_equal(begin(1, false, &again, NULL), ERR_OK);
    run_close(again);
    run_unref(again);
    assert_int_equal(begin(2, true, &run, NULL), ERR_OK);
    run_cancel(run); /* what changes something goes on */
    assert_int_equal(begin(2, true, &again, NULL), ERR_OK);
    run_unref(again);
    run_close(run);
    run_unref(run);
}

static const struct run_work writing = {
    .start = script_write,
    .free = script_free,
    .context = &script,
    .changes = true,
    .cancellable = true,
    .progress = script_progress,
};

struct asking {
    struct run *run;
    struct request *request;
};

static void *asking_run(void *argument)
{
    struct asking *asking = argument;
    run_ask(asking->run, 0, 10000, asking->request);
    return NULL;
}

/* A worker in script_write, begun with `work`. */
static pthread_t writer_start(const struct run_work *work, struct asking *asking)
{
    pthread_t worker;
    atomic_store(&script.wait, true);
    atomic_store(&script.writing, false);
    assert_int_equal(runs_begin(runs, &key, &(struct digest){{1}}, work, &asking->run, NULL),
                     ERR_OK);
    assert_int_equal(pthread_create(&worker, NULL, asking_run, asking), 0);
    while (!atomic_load(&script.writing))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return worker;
}

static void a_long_change_says_how_far_it_is_and_ends_when_its_client_closes_it(void **state)
{
    (void)state;
    REQUEST_CLEANUP struct request first = {0}, second = {0}, third = {0};
    struct asking asking = {.request = &first};
    struct run *again;
    pthread_t worker = writer_start(&writing, &asking);
    ask(asking.run, 0, 1, &second);
    request_wait(&first); /* displaced */
    assert_int_equal(second.result.state, OPERATOR_RUNNING);
    assert_true(span_equal(second.result.progress.phase, span_text("writing")));
    assert_int_equal(second.result.progress.bytes_done, 42);
    run_close(asking.run);
    assert_int_equal(runs_begin(runs, &key, &(struct digest){{1}}, &writing, &again, NULL), ERR_OK);
    assert_ptr_equal(again, asking.run); /* not begun beside the one that ends */
    ask(again, 0, 10000, &third);
    assert_int_equal(third.result.state, OPERATOR_FAILED);
    assert_int_equal(third.result.error.code, ERR_CANCELLED);
    pthread_join(worker, NULL);
    assert_int_equal(script.starts, 1);
    run_unref(again);
    run_unref(asking.run);
}

static void a_change_that_is_not_cancellable_goes_on_when_it_is_closed(void **state)
{
    (void)state;
    REQUEST_CLEANUP struct request request = {0};
    struct asking asking = {.request = &request};
    struct run_work work = writing;
    work.cancellable = false;
    pthread_t worker = writer_start(&work, &asking);
    run_cancel(asking.run);
    atomic_store(&script.wait, false);
    pthread_join(worker, NULL);
    request_wait(&request);
    assert_int_equal(request.result.state, OPERATOR_DONE);
    run_unref(asking.run);
}

static void a_close_that_comes_first_holds_for_its_own_process_alone(void **state)
{
    (void)state;
    struct run *run;
    struct err err;
    struct run_key other = key;
    struct run_work plain = writing;
    const struct digest content = {{1}};
    other.asker = (const uint8_t *)"another process.";
    plain.cancellable = false;
    struct run_key later = key;
    later.id.b[2]++;
    runs_cancel(runs, &key);
    runs_cancel(runs, &later);
    assert_int_equal(runs_begin(runs, &key, &content, &writing, &run, &err), ERR_CANCELLED);
    assert_int_equal(begin(1, false, &run, &err), ERR_CANCELLED);
    assert_int_equal(runs_begin(runs, &key, &content, &plain, &run, NULL), ERR_OK);
    run_close(run);
    run_unref(run);
    assert_int_equal(runs_begin(runs, &other, &content, &writing, &run, NULL), ERR_OK);
    run_close(run);
    run_unref(run);
    other.asker = NULL; /* nobody known: nothing to remember */
    other.id.b[0]++;
    runs_cancel(runs, &other);
    assert_int_equal(runs_begin(runs, &other, &content, &writing, &run, NULL), ERR_OK);
    run_close(run);
    run_unref(run);
    for (uint8_t i = 0; i < EARLY_CLOSES_MAX; i++) { /* pushes the first one out */
        other = key;
        other.id.b[1] = (uint8_t)(i + 1);
        runs_cancel(runs, &other);
    }
    assert_int_equal(runs_begin(runs, &key, &content, &writing, &run, NULL), ERR_OK);
    run_close(run);
    run_unref(run);
}

static void stopping_ends_a_long_change(void **state)
{
    (void)state;
    REQUEST_CLEANUP struct request request = {0};
    struct asking asking = {.request = &request};
    pthread_t worker = writer_start(&writing, &asking);
    runs_stop(runs);
    pthread_join(worker, NULL);
    request_wait(&request);
    assert_int_equal(runs_count(runs), 0);
    run_unref(asking.run);
}

static void many_small_statements_leave_no_runs_behind(void **state)
{
    (void)state;
    script.rows = 1;
    for (unsigned i = 0; i < 2 * RUNS_PER_PRINCIPAL_MAX; i++) {
        struct run *run;
        struct run_key one = key;
        store_u32(one.id.b + 4, i);
        const struct run_work work = {
            .start = script_start, .free = script_free, .context = &script, .changes = true};
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
        const struct run_work work = {
            .start = script_start, .free = script_free, .context = &script, .changes = false};
        assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &work, &all[i], NULL),
                         ERR_OK);
    }
    struct run *run;
    struct run_key one = {"ALIYUN$root", {{9}}, NULL};
    const struct run_work work = {
        .start = script_start, .free = script_free, .context = &script, .changes = false};
    assert_int_equal(runs_begin(runs, &one, &(struct digest){{0}}, &work, &run, NULL), ERR_BUSY);
    one.principal = "ALIYUN$other";
    const struct run_work other = {
        .start = script_start, .free = script_free, .context = &script, .changes = false};
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
        TEST(a_task_that_is_waited_for_has_a_time_of_its_own),
        TEST(a_newer_request_displaces_the_one_that_waits),
        TEST(a_failure_is_told_and_can_be_tried_again),
        TEST(closing_answers_whoever_waits),
        TEST(what_was_cancelled_begins_anew_only_after_its_close),
        TEST(a_long_change_says_how_far_it_is_and_ends_when_its_client_closes_it),
        TEST(a_change_that_is_not_cancellable_goes_on_when_it_is_closed),
        TEST(a_close_that_comes_first_holds_for_its_own_process_alone),
        TEST(stopping_ends_a_long_change),
        TEST(many_small_statements_leave_no_runs_behind),
        TEST(too_many_open_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
