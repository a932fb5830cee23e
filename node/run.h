/* Statements and exports under way, by (principal, statement id): how clients wait and fetch.
 *
 *     execute ── runs_begin ──► run ── run_ask(0) ──► start, block 0 ──► reply: rows, cursor 1
 *     fetch(1) ── runs_find ──► run ── run_ask(1) ──► block 1         ──► reply: rows, cursor 0
 *     (too long) ─────────────► the loop's tick replies RUNNING; the client asks again
 *
 * Blocks are numbered from 0. The last one given is kept, so that a lost answer can be asked for
 * again; asking for the next one drops it.
 *
 * Invariants: 1. A key names one run; the same key with other content is refused. 2. One worker at
 * a time is in a run (working). 3. A request handed to run_ask is replied to exactly once. 4. A run
 * that nobody asks for CURSOR_IDLE_MS is closed: its `cancel` is raised, its stream closed, its
 * versions unpinned; one that changes something is only forgotten, never cancelled. 5. What changes
 * something is cancelled only by its client's close, and only if it is `cancellable`; while it works
 * it stays in the registry, so that whoever asks again learns how it ended.
 * Threads: run_ask works on the caller's thread (a worker of the node) when there is something to
 * do; the tick runs on the loop. One lock a run, one of the registry; never both.
 */
#ifndef NODE_RUN_H
#define NODE_RUN_H

#include <stdatomic.h>

#include "node/answer.h"
#include "node/loop.h"
#include "transport/listener.h"

#define RUNS_MAX               1024
#define RUNS_PER_PRINCIPAL_MAX 256
#define RUN_TICK_MS            3  /* while there are runs: what a waiting answer is late at most */
#define RUN_TICK_IDLE_MS       10 /* while there are none */

struct run;
struct runs;

struct run_key {
    const char *principal; /* borrowed during the call */
    struct statement_id id;
    const uint8_t *asker; /* 16 bytes: the client's process (boot id); or NULL. Borrowed likewise */
};

/* What a run does. start is called once, on a worker; it fills the answer. The context is freed
 * with the run, after the answer. */
struct run_work {
    enum err_code (*start)(void *context, struct answer *answer, atomic_bool *cancel,
                           struct err *err);
    void (*free)(void *context);
    void *context;
    bool changes;     /* never cancelled because nobody asks */
    bool cancellable; /* changes: run_cancel and run_close end it, if it is not yet done */
    /* How far it is; any thread, while a worker is in the run. NULL: says nothing. */
    void (*progress)(void *context, struct operator_progress *progress);
    void (*failed)(void *context, enum err_code code); /* once, when it has; NULL: not wanted */
};

enum err_code runs_new(struct loop *loop, struct runs **ret_runs, struct err *err);
/* First half of stopping: cancels all, answers those that wait, begins no more. */
void runs_stop(struct runs *runs);
/* No worker is in a run any more. NULL is fine. */
void runs_free(struct runs *runs);

/* Finds or makes the run; `content` says whether it is the same request. Takes work->context in
 * every case (frees it when the run was there or on failure). ERR_BUSY, ERR_PARAMETER. */
enum err_code runs_begin(struct runs *runs, const struct run_key *key, const struct digest *content,
                         const struct run_work *work, struct run **ret_run, struct err *err);
/* ERR_NOT_FOUND: never there, or closed when idle. */
enum err_code runs_find(struct runs *runs, const struct run_key *key, struct run **ret_run,
                        struct err *err);
void run_unref(struct run *run);

/* Replies to the request with block `cursor`, or with RUNNING after wait_ms. */
void run_ask(struct run *run, uint64_t cursor, uint32_t wait_ms, struct request *request);
/* run_cancel of the run with this key. A close may overtake what it closes, which then waits for a
 * worker: so where there is none, what the same asker begins under this id is refused from now on
 * (ERR_CANCELLED; the last EARLY_CLOSES_MAX are remembered). Any thread, at once. */
void runs_cancel(struct runs *runs, const struct run_key *key);
/* What reads, or is cancellable, stops at the next look; the run stays until it is closed. Any
 * thread, at once. */
void run_cancel(struct run *run);
/* The client does not want more. Something cancellable that works is told to stop, and closed when it
 * has. */
void run_close(struct run *run);
/* Something that answers wait for has changed: look at once. Any thread. */
void runs_wake(struct runs *runs);

size_t runs_count(struct runs *runs);

#endif
