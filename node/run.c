#include "node/run.h"

#include "node/early_closes.h"

#include <pthread.h>

#define RUN_PHASE_BYTES 256

struct waiter {
    struct request *request; /* NULL: nobody waits */
    uint64_t cursor;
    uint64_t due_ms;
};

struct run {
    struct runs *runs;
    struct run *next;  /* runs->lock */
    size_t references; /* runs->lock; the registry's is one */
    char principal[LIMIT_PRINCIPAL_BYTES + 1];
    struct statement_id id;
    struct digest content;
    struct run_work work;
    atomic_bool cancel;
    atomic_bool finished; /* its last block was given */
    uint64_t begun_ms;

    pthread_mutex_t lock; /* all below */
    bool working;         /* a worker is in it: answer and rows_at are the worker's */
    bool started;
    bool failed;
    bool closed;
    struct err err; /* failed */
    struct answer answer;
    size_t rows_at;                    /* rows of answer.rows that went into blocks */
    struct operator_progress progress; /* its phase is in `phase` */
    char phase[RUN_PHASE_BYTES];
    bool has_block;
    bool last;             /* no block after this one */
    uint64_t block_number; /* of `block`; or of the next one when has_block is false */
    struct bytes block;
    struct waiter waiter;
    uint64_t used_ms;
};

struct runs {
    struct loop *loop;
    pthread_mutex_t lock;
    struct early_closes early_closes;
    struct run *first;
    size_t count;
    bool stopping;
    struct loop_timer tick;
    atomic_bool wake_posted;
};

/* ---- references ---- */

static void run_free(struct run *run)
{
    ASSERT(run->waiter.request == NULL);
    answer_deinit(&run->answer);
    if (run->work.free != NULL)
        run->work.free(run->work.context);
    bytes_deinit(&run->block);
    pthread_mutex_destroy(&run->lock);
    mem_free(run);
}

void run_unref(struct run *run)
{
    struct runs *runs = run->runs;
    pthread_mutex_lock(&runs->lock);
    bool last = --run->references == 0;
    pthread_mutex_unlock(&runs->lock);
    if (last)
        run_free(run);
}

/* Takes the run out of the registry; it lives on while somebody holds it. */
static void run_forget(struct run *run)
{
    struct runs *runs = run->runs;
    pthread_mutex_lock(&runs->lock);
    struct run **at = &runs->first;
    while (*at != NULL && *at != run)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        *at = run->next;
        runs->count--;
    }
    pthread_mutex_unlock(&runs->lock);
    if (found)
        run_unref(run);
}

/* ---- replies ---- */

static void reply_running(struct request *request, const struct operator_progress *progress)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    const struct operator_result result = {.state = OPERATOR_RUNNING, .progress = *progress};
    operator_result_encode(&result, &header, &body);
    request_reply_bytes(request, bytes_span(&header), &body);
}

static void reply_failed(struct request *request, const struct err *error)
{
    BYTES_CLEANUP struct bytes header = {0};
    struct bytes body = {0};
    const struct operator_result result = {.state = OPERATOR_FAILED, .error = *error};
    operator_result_encode(&result, &header, &body);
    request_reply_bytes(request, bytes_span(&header), &body);
}

static struct operator_progress run_progress(const struct run *run)
{
    struct operator_progress progress = run->progress;
    if (run->working && run->work.progress != NULL) /* `started` is the worker's now */
        run->work.progress(run->work.context, &progress);
    if (!progress.has_task) /* a task may be older than whoever waits for it, or not begun */
        progress.elapsed_ms = loop_now_ms() - run->begun_ms;
    return progress;
}

/* What there is to say to a waiter. */
struct verdict {
    enum { VERDICT_WAIT, VERDICT_WORK, VERDICT_ERROR, VERDICT_FAILED, VERDICT_BLOCK } kind;
    struct err err;
    struct bytes header; /* VERDICT_BLOCK; owned */
    struct bytes body;
};

static void verdict_block(struct run *run, struct verdict *verdict)
{
    bool first = run->block_number == 0;
    const struct operator_result result = {
        .state = OPERATOR_DONE,
        .columns = run->answer.columns,
        .column_count = first ? run->answer.column_count : 0,
        .cursor = run->last ? 0 : run->block_number + 1,
        .display = first ? run->answer.display : (struct span){0},
        .notice = first ? run->answer.notice : (struct span){0},
        .progress = run_progress(run),
        .rows = bytes_span(&run->block),
    };
    verdict->kind = VERDICT_BLOCK;
    operator_result_encode(&result, &verdict->header, &verdict->body);
}

static void run_judge_locked(struct run *run, struct verdict *verdict)
{
    uint64_t cursor = run->waiter.cursor;
    if (run->closed) {
        verdict->kind = VERDICT_ERROR;
        err_set(&verdict->err, ERR_CANCELLED, "the statement's result was closed");
    } else if (run->failed) {
        verdict->kind = VERDICT_FAILED;
        verdict->err = run->err;
    } else if (run->has_block && cursor == run->block_number) {
        verdict_block(run, verdict);
    } else if (run->working) {
        verdict->kind = VERDICT_WAIT;
    } else if (run->has_block && !run->last && cursor == run->block_number + 1) {
        verdict->kind = VERDICT_WORK;
    } else if (!run->has_block && cursor == run->block_number) {
        verdict->kind =
            run->started && run->answer.wait.context != NULL ? VERDICT_WAIT : VERDICT_WORK;
    } else {
        verdict->kind = VERDICT_ERROR;
        err_set(&verdict->err, ERR_NOT_FOUND,
                "block %" PRIu64 " of the result is not there any more; run the statement again",
                cursor);
    }
}

/* Takes the waiter when there is something to say; the caller replies without the lock. */
static struct request *waiter_take_locked(struct run *run, struct verdict *verdict)
{
    struct request *request = run->waiter.request;
    verdict->kind = VERDICT_WAIT;
    if (request == NULL)
        return NULL;
    run_judge_locked(run, verdict);
    if (verdict->kind == VERDICT_WAIT || verdict->kind == VERDICT_WORK)
        return NULL;
    run->waiter.request = NULL;
    run->used_ms = loop_now_ms();
    if (verdict->kind == VERDICT_FAILED || (verdict->kind == VERDICT_BLOCK && run->last))
        atomic_store(&run->finished, true);
    return request;
}

static void verdict_reply(struct request *request, struct verdict *verdict)
{
    if (verdict->kind == VERDICT_BLOCK && verdict->body.len > request_reply_body_max(request)) {
        verdict->kind = VERDICT_ERROR; /* one row of many long cells */
        err_set(&verdict->err, ERR_LIMIT, "a row of the result is too large to be sent");
    }
    if (verdict->kind == VERDICT_BLOCK)
        request_reply_bytes(request, bytes_span(&verdict->header), &verdict->body);
    else if (verdict->kind == VERDICT_FAILED)
        reply_failed(request, &verdict->err);
    else
        request_reply_error(request, &verdict->err);
    bytes_deinit(&verdict->header);
    bytes_deinit(&verdict->body);
}

/* ---- work: without the lock, `working` set ---- */

/* The next rows of an answer that has them all, about bytes_max of them. */
static void rows_slice(struct run *run, size_t bytes_max, bool *ret_end)
{
    const struct batch *all = &run->answer.rows;
    struct schema schema = operator_schema(run->answer.columns, run->answer.column_count);
    struct batch part;
    batch_init(&part, &schema);
    size_t at = run->rows_at;
    size_t bytes = 0;
    while (at < all->rows && bytes < bytes_max) {
        for (size_t i = 0; i < all->vector_count; i++)
            bytes += vector_plain_bytes(&all->vectors[i], at);
        at++;
    }
    for (size_t i = 0; i < all->vector_count; i++)
        vector_append_range(&part.vectors[i], &all->vectors[i], run->rows_at, at - run->rows_at);
    part.rows = at - run->rows_at;
    batch_encode(&part, &run->block);
    batch_deinit(&part);
    run->rows_at = at;
    *ret_end = at == all->rows;
}

/* What it pins and keeps in memory and on disk goes with its last row, not when nobody asks for that block any more. */
static void stream_close(struct answer *answer)
{
    answer->stream.close(answer->stream.context);
    answer->stream.context = NULL;
}

static enum err_code block_make(struct run *run, bool *ret_end, struct err *err)
{
    bytes_clear(&run->block);
    struct answer *answer = &run->answer;
    *ret_end = true;
    if (answer->column_count == 0)
        return ERR_OK;
    if (answer->stream.context == NULL) {
        rows_slice(run, LIMIT_RESULT_CHUNK_BYTES, ret_end);
        return ERR_OK;
    }
    batch_clear(&answer->rows);
    enum err_code code = answer->stream.next(answer->stream.context, LIMIT_RESULT_CHUNK_BYTES,
                                             &answer->rows, ret_end, err);
    if (code == ERR_OK)
        batch_encode(&answer->rows, &run->block);
    if (code != ERR_OK || *ret_end)
        stream_close(answer);
    return code;
}

static enum err_code run_work(struct run *run, bool *ret_end, struct err *err)
{
    if (!run->started) {
        TRY(run->work.start(run->work.context, &run->answer, &run->cancel, err));
        run->started = true;
    }
    if (run->answer.wait.context != NULL)
        return ERR_OK;
    return block_make(run, ret_end, err);
}

static void run_failed(struct run *run, const struct err *err)
{
    run->failed = true;
    run->err = *err;
    if (run->work.failed != NULL)
        run->work.failed(run->work.context, err->code);
}

/* Makes what the waiter wants. The lock is held on entry and on return, not between. */
static void run_work_locked(struct run *run)
{
    run->working = true;
    if (run->has_block) {
        run->has_block = false;
        run->block_number++;
    }
    pthread_mutex_unlock(&run->lock);
    struct err err = {0};
    bool end = false;
    enum err_code code = run_work(run, &end, &err);
    pthread_mutex_lock(&run->lock);
    run->working = false;
    run->used_ms = loop_now_ms();
    if (code != ERR_OK) {
        run_failed(run, &err);
    } else if (run->answer.wait.context == NULL) {
        run->has_block = true;
        run->last = end;
    }
}

/* Looks whether what the answer waits for has ended. As run_work_locked: no lock while it looks. */
static void run_poll_locked(struct run *run)
{
    struct answer *answer = &run->answer;
    if (run->working || !run->started || run->failed || answer->wait.context == NULL)
        return;
    run->working = true;
    struct operator_progress progress = run->progress;
    pthread_mutex_unlock(&run->lock);
    bool ended = false;
    bool last = true;
    struct err err = {0};
    enum err_code code = answer->wait.poll(answer->wait.context, answer, &progress, &ended, &err);
    char phase[RUN_PHASE_BYTES]; /* the poll's own text may go with its context */
    snprintf(phase, sizeof(phase), "%.*s", SPAN_PRINTF(progress.phase));
    if (code == ERR_OK && ended) {
        answer->wait.close(answer->wait.context);
        answer->wait.context = NULL;
        code = block_make(run, &last, &err);
    }
    pthread_mutex_lock(&run->lock);
    run->working = false;
    run->progress = progress;
    memcpy(run->phase, phase, sizeof(phase));
    run->progress.phase = span_text(run->phase);
    if (code != ERR_OK)
        run_failed(run, &err);
    run->has_block = code == ERR_OK && ended;
    run->last = last;
}

void run_ask(struct run *run, uint64_t cursor, uint32_t wait_ms, struct request *request)
{
    struct verdict verdict = {0};
    pthread_mutex_lock(&run->lock);
    struct request *displaced = run->waiter.request;
    run->waiter = (struct waiter){request, cursor, loop_now_ms() + wait_ms};
    run->used_ms = loop_now_ms();
    run_poll_locked(run);
    struct operator_progress progress = run_progress(run);
    struct request *answered = waiter_take_locked(run, &verdict);
    while (verdict.kind == VERDICT_WORK) {
        run_work_locked(run);
        run_poll_locked(run);
        answered = waiter_take_locked(run, &verdict);
    }
    bool spent = atomic_load(&run->finished) && run->block_number == 0;
    pthread_mutex_unlock(&run->lock);
    if (displaced != NULL)
        reply_running(displaced, &progress);
    if (answered != NULL)
        verdict_reply(answered, &verdict);
    if (spent)
        run_forget(run);
}

void run_cancel(struct run *run)
{
    if (!run->work.changes || run->work.cancellable)
        atomic_store(&run->cancel, true);
}

/* Whoever waits is answered, the registry forgets it. */
static void run_end(struct run *run)
{
    struct verdict verdict = {0};
    pthread_mutex_lock(&run->lock);
    run->closed = true;
    struct request *answered = waiter_take_locked(run, &verdict);
    pthread_mutex_unlock(&run->lock);
    if (answered != NULL)
        verdict_reply(answered, &verdict);
    run_forget(run);
}

void run_close(struct run *run)
{
    run_cancel(run);
    pthread_mutex_lock(&run->lock);
    bool ending = run->working && run->work.cancellable;
    pthread_mutex_unlock(&run->lock);
    if (!ending)
        run_end(run);
}

/* ---- registry ---- */

static bool key_matches(const struct run *run, const struct run_key *key)
{
    return memcmp(run->id.b, key->id.b, sizeof(key->id.b)) == 0 &&
           strcmp(run->principal, key->principal) == 0;
}

static struct run *find_locked(struct runs *runs, const struct run_key *key)
{
    for (struct run *run = runs->first; run != NULL; run = run->next) {
        if (key_matches(run, key)) {
            run->references++;
            return run;
        }
    }
    return NULL;
}

static size_t count_locked(struct runs *runs, const char *principal)
{
    size_t count = 0;
    for (struct run *run = runs->first; run != NULL; run = run->next)
        count += strcmp(run->principal, principal) == 0;
    return count;
}

/* Makes room: takes out the oldest of the principal's runs that were given to the end. */
static struct run *finished_take_locked(struct runs *runs, const char *principal)
{
    struct run **oldest = NULL; /* the list is newest first */
    for (struct run **at = &runs->first; *at != NULL; at = &(*at)->next) {
        if (atomic_load(&(*at)->finished) && strcmp((*at)->principal, principal) == 0)
            oldest = at;
    }
    if (oldest == NULL)
        return NULL;
    struct run *run = *oldest;
    *oldest = run->next;
    runs->count--;
    return run;
}

static struct run *run_new(struct runs *runs, const struct run_key *key,
                           const struct digest *content, const struct run_work *work)
{
    struct run *run = mem_calloc(1, sizeof(*run));
    run->runs = runs;
    run->references = 2;
    snprintf(run->principal, sizeof(run->principal), "%s", key->principal);
    run->id = key->id;
    run->content = *content;
    run->work = *work;
    run->begun_ms = loop_now_ms();
    run->used_ms = run->begun_ms;
    answer_init(&run->answer);
    pthread_mutex_init(&run->lock, NULL);
    return run;
}

void runs_cancel(struct runs *runs, const struct run_key *key)
{
    pthread_mutex_lock(&runs->lock);
    struct run *run = find_locked(runs, key);
    if (run == NULL)
        early_closes_add(&runs->early_closes, key);
    pthread_mutex_unlock(&runs->lock);
    if (run == NULL)
        return;
    run_cancel(run);
    run_unref(run);
}

/* ---- begin, find ---- */

static enum err_code begin_locked(struct runs *runs, const struct run_key *key,
                                  const struct digest *content, const struct run_work *work,
                                  struct run **ret_run, struct err *err)
{
    if (runs->stopping)
        return err_set(err, ERR_BUSY, "the node is stopping");
    if ((!work->changes || work->cancellable) && early_closes_has(&runs->early_closes, key))
        return err_set(err, ERR_CANCELLED, "the statement was cancelled before it began");
    if (runs->count >= RUNS_MAX || count_locked(runs, key->principal) >= RUNS_PER_PRINCIPAL_MAX)
        return err_set(err, ERR_BUSY, "too many statements and open results; close some");
    struct run *run = run_new(runs, key, content, work);
    run->next = runs->first;
    runs->first = run;
    runs->count++;
    *ret_run = run;
    return ERR_OK;
}

/* A read whose first block has gone, or what has failed, begins anew when it is executed again. */
static bool run_is_spent(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    bool gone = run->block_number > 0 || run->failed || run->closed;
    bool spent = gone && (!run->work.changes || run->failed);
    pthread_mutex_unlock(&run->lock);
    return spent;
}

enum err_code runs_begin(struct runs *runs, const struct run_key *key, const struct digest *content,
                         const struct run_work *work, struct run **ret_run, struct err *err)
{
    pthread_mutex_lock(&runs->lock);
    struct run *run = find_locked(runs, key);
    pthread_mutex_unlock(&runs->lock);
    if (run != NULL && !digest_equal(&run->content, content)) {
        run_unref(run);
        work->free(work->context);
        return err_set(err, ERR_PARAMETER, "this statement id belongs to another statement");
    }
    if (run != NULL && !work->changes && atomic_load(&run->cancel)) {
        run_unref(run); /* asked for before the close that has still to come */
        work->free(work->context);
        return err_set(err, ERR_CANCELLED, "the statement was cancelled");
    }
    if (run != NULL && run_is_spent(run)) {
        run_close(run);
        run_unref(run);
        run = NULL;
    }
    if (run != NULL) {
        work->free(work->context);
        *ret_run = run;
        return ERR_OK;
    }
    pthread_mutex_lock(&runs->lock);
    enum err_code code = ERR_OK;
    struct run *evicted = NULL;
    run = find_locked(runs, key); /* somebody may have been faster */
    bool mine = run == NULL;
    if (mine && count_locked(runs, key->principal) >= RUNS_PER_PRINCIPAL_MAX)
        evicted = finished_take_locked(runs, key->principal);
    if (mine)
        code = begin_locked(runs, key, content, work, &run, err);
    pthread_mutex_unlock(&runs->lock);
    if (evicted != NULL)
        run_unref(evicted);
    if (code != ERR_OK || !mine)
        work->free(work->context);
    if (code == ERR_OK)
        *ret_run = run;
    return code;
}

enum err_code runs_find(struct runs *runs, const struct run_key *key, struct run **ret_run,
                        struct err *err)
{
    pthread_mutex_lock(&runs->lock);
    struct run *run = find_locked(runs, key);
    pthread_mutex_unlock(&runs->lock);
    if (run == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "no such statement; results that nobody reads for %d s are closed",
                       CURSOR_IDLE_MS / 1000);
    *ret_run = run;
    return ERR_OK;
}

/* ---- the tick: waits that are over, results that nobody wants ---- */

static void run_tick(struct run *run, uint64_t now_ms)
{
    struct verdict verdict = {0};
    pthread_mutex_lock(&run->lock);
    run_poll_locked(run);
    struct request *answered = waiter_take_locked(run, &verdict);
    struct request *expired = NULL;
    if (run->waiter.request != NULL && now_ms >= run->waiter.due_ms) {
        expired = run->waiter.request;
        run->waiter.request = NULL;
        run->used_ms = now_ms;
    }
    struct operator_progress progress = run_progress(run);
    bool idle = run->waiter.request == NULL && now_ms >= run->used_ms + CURSOR_IDLE_MS;
    bool busy = run->working;
    bool spent = atomic_load(&run->finished) && run->block_number == 0;
    pthread_mutex_unlock(&run->lock);
    if (answered != NULL)
        verdict_reply(answered, &verdict);
    if (expired != NULL)
        reply_running(expired, &progress);
    if (spent)
        run_forget(run);
    if (idle && busy && !run->work.changes)
        atomic_store(&run->cancel, true);
    if (idle && !busy)
        run_end(run);
}

/* References to all runs, in an array that the caller frees. */
static struct run **runs_all(struct runs *runs, size_t *ret_count)
{
    pthread_mutex_lock(&runs->lock);
    struct run **all = mem_calloc(runs->count + 1, sizeof(struct run *));
    size_t count = 0;
    for (struct run *run = runs->first; run != NULL; run = run->next) {
        run->references++;
        all[count++] = run;
    }
    pthread_mutex_unlock(&runs->lock);
    *ret_count = count;
    return all;
}

/* How many runs there are. */
static size_t ticks_run(struct runs *runs)
{
    size_t count;
    struct run **all = runs_all(runs, &count);
    for (size_t i = 0; i < count; i++) {
        run_tick(all[i], loop_now_ms());
        run_unref(all[i]);
    }
    mem_free(all);
    return count;
}

static void on_tick(void *argument)
{
    struct runs *runs = argument;
    size_t count = ticks_run(runs);
    loop_timer_start(runs->loop, &runs->tick, count > 0 ? RUN_TICK_MS : RUN_TICK_IDLE_MS);
}

static void tick_start(void *argument)
{
    struct runs *runs = argument;
    runs->tick = (struct loop_timer){.run = on_tick, .argument = runs};
    loop_timer_start(runs->loop, &runs->tick, RUN_TICK_MS);
}

static void tick_cancel(void *argument)
{
    struct runs *runs = argument;
    loop_timer_cancel(runs->loop, &runs->tick);
}

static void on_wake(void *argument)
{
    struct runs *runs = argument;
    atomic_store(&runs->wake_posted, false);
    ticks_run(runs);
}

void runs_wake(struct runs *runs)
{
    if (!atomic_exchange(&runs->wake_posted, true))
        loop_post(runs->loop, on_wake, runs);
}

enum err_code runs_new(struct loop *loop, struct runs **ret_runs, struct err *err)
{
    struct runs *runs = mem_calloc(1, sizeof(*runs));
    runs->loop = loop;
    pthread_mutex_init(&runs->lock, NULL);
    if (!loop_post(loop, tick_start, runs)) {
        runs_free(runs);
        return err_set(err, ERR_BUSY, "the loop is stopping");
    }
    *ret_runs = runs;
    return ERR_OK;
}

void runs_stop(struct runs *runs)
{
    pthread_mutex_lock(&runs->lock);
    runs->stopping = true;
    pthread_mutex_unlock(&runs->lock);
    loop_call(runs->loop, tick_cancel, runs);
    size_t count;
    struct run **all = runs_all(runs, &count);
    for (size_t i = 0; i < count; i++) {
        atomic_store(&all[i]->cancel, true);
        run_end(all[i]);
        run_unref(all[i]);
    }
    mem_free(all);
}

void runs_free(struct runs *runs)
{
    if (runs == NULL)
        return;
    ASSERT(runs->count == 0);
    pthread_mutex_destroy(&runs->lock);
    mem_free(runs);
}

size_t runs_count(struct runs *runs)
{
    pthread_mutex_lock(&runs->lock);
    size_t count = runs->count;
    pthread_mutex_unlock(&runs->lock);
    return count;
}
