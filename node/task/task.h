/* One XCOPY at the destination, as a pure machine: task_step(task, event) gives actions.
 *
 *     check -> describe -> pull -> publish -> receipt -> finish -> ended
 *                 ^         |  lease gone
 *                 +---------+
 *
 * It reads no clock, draws no random number, does no I/O and starts no thread: events bring the
 * time (any monotonic clock in ms, the same for all events of one run), chance and all outcomes.
 * Whoever performs the actions (xcopy_destination.c with the real store and network,
 * cluster-tests/sim with models) reports each outcome once by an event with the action's request
 * id; unknown ids are ignored, so late and repeated answers do no harm.
 *
 * Invariants:
 * 1. PUBLISH is asked for only when the top of the walk is done: every page and file of the
 *    snapshot was found held at a plan or was in a commit that succeeded (CLOSED).
 * 2. Nothing that was learnt before a restart is relied on: the walk begins at the root again, and
 *    the store says what is held. Counters go on from the record's.
 * 3. Pauses lie between retry_pause_min_ms and retry_pause_max_ms, and end in FAILED after
 *    retry_total_ms without progress.
 * 4. A state once DONE, FAILED or CANCELLED never changes.
 * 5. CANCEL waits for no peer, no disk and no worker: the state is CANCELLED, and nothing more is asked
 * for, in the same step; what is still done is to tidy up. Only a PUBLISH that is out decides itself: who
 * performs it may say that it will not be (PUBLISHED with ERR_CANCELLED), and is not asked again.
 *
 * Memory: bounded by walk_limits. One thread at a time.
 */
#ifndef NODE_TASK_TASK_H
#define NODE_TASK_TASK_H

#include "node/task/walk.h"
#include "proto/ids.h"

enum task_state {
    TASK_QUEUED,
    TASK_RUNNING,
    TASK_DONE,
    TASK_FAILED,
    TASK_CANCELLED,
};

/* X(enum, what users see) */
#define TASK_PHASES(X)                                                                             \
    X(TASK_PHASE_QUEUED, "queued")                                                                 \
    X(TASK_PHASE_CHECK, "checking rights")                                                         \
    X(TASK_PHASE_DESCRIBE, "asking the source")                                                    \
    X(TASK_PHASE_PULL, "pulling")                                                                  \
    X(TASK_PHASE_PUBLISH, "publishing")                                                            \
    X(TASK_PHASE_RECEIPT, "sending the receipt")                                                   \
    X(TASK_PHASE_FINISH, "finishing")                                                              \
    X(TASK_PHASE_ENDED, "ended")

enum task_phase {
#define X(phase, text) phase,
    TASK_PHASES(X)
#undef X
        TASK_PHASE_COUNT
};

/* X(enum, name, answered by) */
#define TASK_ACTIONS(X)                                                                            \
    X(TASK_DO_CHECK, "check")         /* gates and rights here -> CHECKED */                       \
    X(TASK_DO_DESCRIBE, "describe")   /* ask the source for the snapshot -> DESCRIBED */           \
    X(TASK_DO_RENEW, "renew")         /* the lease -> RENEWED */                                   \
    X(TASK_DO_PLAN, "plan")           /* item: what of this staged page is not held? -> PLANNED */ \
    X(TASK_DO_GET_PAGES, "get_pages") /* want -> GOT */                                            \
    X(TASK_DO_GET_FILES, "get_files") /* want -> GOT */                                            \
    X(TASK_DO_COMMIT, "commit")       /* commit: files durable, then pages -> COMMITTED */         \
    X(TASK_DO_PUBLISH, "publish")     /* rights again, then the one commit -> PUBLISHED */         \
    X(TASK_DO_RECEIPT, "receipt")     /* sign and send it -> RECEIPTED */                          \
    X(TASK_DO_END_LEASE, "end_lease") /* best effort; not answered */                              \
    X(TASK_DO_FINISH, "finish")       /* record the end, drop staged pages, pins -> FINISHED */

enum task_action_kind {
#define X(action, name) action,
    TASK_ACTIONS(X)
#undef X
        TASK_ACTION_COUNT
};

/* Pointers borrow from the task until the next task_step. */
struct task_action {
    enum task_action_kind kind;
    uint64_t request; /* echoed by the event that answers */
    union {
        const struct walk_item *item;    /* PLAN; the top has no parent */
        const struct walk_request *want; /* GET_PAGES, GET_FILES */
        const struct walk_items *commit; /* COMMIT: files and pages, pages in this order */
    };
};

struct task_actions {
    struct task_action *list; /* owned */
    size_t count, capacity;
};

void task_actions_clear(struct task_actions *actions); /* keeps the memory */
void task_actions_deinit(struct task_actions *actions);

#define TASK_EVENTS(X)                                                                             \
    X(TASK_ON_START, "start")                                                                      \
    X(TASK_ON_CHECKED, "checked")                                                                  \
    X(TASK_ON_DESCRIBED, "described")                                                              \
    X(TASK_ON_RENEWED, "renewed")                                                                  \
    X(TASK_ON_PLANNED, "planned")                                                                  \
    X(TASK_ON_GOT, "got")                                                                          \
    X(TASK_ON_COMMITTED, "committed")                                                              \
    X(TASK_ON_PUBLISHED, "published")                                                              \
    X(TASK_ON_RECEIPTED, "receipted")                                                              \
    X(TASK_ON_FINISHED, "finished")                                                                \
    X(TASK_ON_RELEASED, "released")                                                                \
    X(TASK_ON_CANCEL, "cancel")                                                                    \
    X(TASK_ON_WITHDRAWN, "withdrawn")                                                              \
    X(TASK_ON_TICK, "tick")

enum task_event_kind {
#define X(event, name) event,
    TASK_EVENTS(X)
#undef X
        TASK_EVENT_COUNT
};

/* XCOPY's result row, as far as the machine knows it. */
struct task_counters {
    uint64_t partitions_total; /* of the snapshot */
    uint64_t partitions_moved; /* that name a file not held here when the task began; at publish */
    uint64_t rows_total, bytes_total;
    uint64_t files_moved, bytes_moved; /* received and checked */
    uint64_t bytes_skipped;            /* what was not moved of bytes_total; set at publish */
    uint64_t wire_bytes;               /* both ways, with retries */
};

/* Pointers borrow until task_step returns. */
struct task_event {
    enum task_event_kind kind;
    uint64_t now_ms;
    uint64_t random;  /* fresh for each event; jitter of pauses comes from it */
    uint64_t request; /* of the action that this answers */
    const struct err
        *err; /* NULL or code ERR_OK: it went well; WITHDRAWN: which right, or what, went */
    uint64_t wire_bytes; /* GOT, DESCRIBED, RENEWED, RECEIPTED: sealed bytes both ways */
    union {
        struct {                           /* START: what the record says */
            bool published;                /* the snapshot is visible: only the receipt is left */
            bool cancel;                   /* it was asked to stop */
            struct task_counters counters; /* of the time before */
        } start;
        struct {                   /* DESCRIBED */
            struct digest version; /* of what is under the lease: a walk goes on below the same */
            uint64_t partitions, rows, bytes;
        } described;
        struct walk_plan planned;            /* PLANNED */
        struct task_counters counters;       /* PUBLISHED, FINISHED: as recorded, final */
        struct {                             /* GOT, without err: one for each item */
            const enum walk_result *results; /* WALK_TAKEN: RELEASED comes when it is not */
            size_t result_count;
            const char *reason; /* of the first WALK_WRONG; may be NULL */
        } got;
    };
};

struct task_settings {
    struct walk_limits walk;
    uint64_t renew_ms;
    uint64_t commit_after_ms; /* what has arrived is committed when more arrives so much later */
    uint64_t retry_pause_min_ms, retry_pause_max_ms, retry_total_ms;
    char peer[LIMIT_REGION_BYTES + 1]; /* for messages */
};

struct task_settings task_settings_default(const char *peer);

/* Something that has to go away by itself: a peer out of reach, a full disk. */
struct task_trouble {
    uint64_t since_ms; /* valid if tries > 0 */
    unsigned tries;
    struct err err; /* the latest */
};

struct task {
    struct task_settings settings;
    enum task_state state;
    enum task_state outcome; /* phases FINISH and ENDED: what the state is or becomes */
    enum task_phase phase;
    struct err err; /* outcome FAILED: why, naming the peer where it was the peer */
    struct digest version;
    struct task_counters counters;
    struct task_trouble peer, store;
    uint64_t retry_at_ms;    /* no request goes out before; 0: none waits */
    uint64_t renew_at_ms;    /* valid while leased */
    uint64_t holds_since_ms; /* something has arrived that no commit has taken; 0: nothing has */
    uint64_t request_last;
    uint64_t control; /* the one CHECK, DESCRIBE, PUBLISH, RECEIPT, FINISH that is out; 0 none */
    uint64_t renewal; /* the RENEW that is out; 0 none */
    uint64_t commit;  /* the COMMIT that is out; 0 none */
    bool commit_forgotten; /* its walk is gone; only its end is awaited */
    bool leased;
    bool publishing; /* control is a PUBLISH */
    bool cancel_wanted;
    struct err withdrawn;   /* while a PUBLISH was out; it counts unless that succeeds */
    unsigned wrong_answers; /* to describe and renew */
    struct walk walk;
};

void task_init(struct task *task, const struct task_settings *settings);
void task_deinit(struct task *task);

/* Never fails and never asserts on what an event says. Appends to `actions`. */
void task_step(struct task *task, const struct task_event *event, struct task_actions *actions);

/* When it wants a TICK; UINT64_MAX: not at all. */
uint64_t task_wake_ms(const struct task *task);
bool task_ended(const struct task *task);
bool task_waits(const struct task *task);           /* its phase says for whom and since when */
const char *task_state_name(enum task_state state); /* "RUNNING" */
/* "pulling", or "waiting for peer <region> since <n> s: <error>" through `out`. */
const char *task_phase_format(const struct task *task, uint64_t now_ms, char *ret_out,
                              size_t out_bytes);

#endif
