/* What a schedule is, and what a run of it is, as they are stored. Here: bytes <-> structures, and the
 * rules of form; where they are kept: schedule_store.h.
 *
 * Decoded records borrow from the bytes, their lists live in the arena. Decoding is strict: what it
 * takes encodes to the same bytes again. docs/FORMATS.md, "Schedules". Pure.
 */
#ifndef NODE_SCHEDULE_SCHEDULE_H
#define NODE_SCHEDULE_SCHEDULE_H

#include "node/schedule/parameters.h"
#include "node/sql/ast.h"
#include "proto/arena.h"
#include "proto/ids.h"
#include "proto/limits.h"
#include "transport/identity.h"

#define SCHEDULE_ARENA_BYTES MIB(1) /* for one record's lists */
#define SCHEDULE_TOKENS_MAX  LIMIT_SCHEDULE_STEPS

struct schedule {
    uint64_t id;                 /* of a sequence, never reused */
    struct span name;            /* as written */
    struct span creator;         /* ALIYUN$root: whose rights it has, */
    uint64_t creator_id;         /* and no other of that name (principal_id) */
    struct public_identity keys; /* that it was made with; zeros: none (tests) */
    uint64_t created_ms;
    bool paused;
    struct span cron;     /* or empty */
    struct span timezone; /* of tzdata */
    int64_t from_s;       /* effective; INT64_MIN: since ever */
    int64_t to_s;         /* of it; INT64_MAX: for ever */
    struct span trigger_region, trigger_project, trigger_table; /* ON SNAPSHOT OF; or empty */
    struct span after; /* a name of the same project; or empty */
    uint32_t retry_count, retry_minutes;
    enum missed_runs missed;
    struct span comment;
    struct parameter *variables;
    size_t variable_count;
    struct span *steps; /* statements, with their parameters */
    size_t step_count;
    struct span *tokens; /* standing ones, for its XCOPYs (proto/token.h); opaque here */
    size_t token_count;
};

void schedule_record_encode(const struct schedule *schedule, struct bytes *out);
/* ERR_CORRUPT. */
enum err_code schedule_record_decode(struct span encoded, struct arena *arena,
                                     struct schedule *ret_schedule, struct err *err) MUST_USE;

/* ---- runs ---- */

/* X(state, name): names are shown and stored by their place. */
#define RUN_STATES(X)                                                                              \
    X(RUN_QUEUED, "QUEUED")   /* its turn or its time has not come */                              \
    X(RUN_WAITING, "WAITING") /* for the run of the schedule that it comes after */                \
    X(RUN_RUNNING, "RUNNING")                                                                      \
    X(RUN_RETRY, "RETRY")         /* failed, and will be tried again at retry_s */                 \
    X(RUN_SUCCEEDED, "SUCCEEDED") /* ended, from here on */                                        \
    X(RUN_FAILED, "FAILED")                                                                        \
    X(RUN_SKIPPED, "SKIPPED") /* missed; of several the last */

enum run_state {
#define X(state, name) state,
    RUN_STATES(X)
#undef X
        RUN_STATE_COUNT
};

enum run_cause {
    RUN_OF_CLOCK,
    RUN_OF_OPERATOR, /* RUN SCHEDULE */
    RUN_OF_SNAPSHOT, /* ON SNAPSHOT OF */
    RUN_CAUSE_COUNT
};

struct schedule_run {
    int64_t planned_s;
    enum run_cause cause;
    enum run_state state;
    uint32_t generation; /* how often this planned time was run before, by RUN SCHEDULE */
    uint32_t attempt;    /* from 0 */
    uint32_t step;       /* the next statement */
    bool allow_past_snapshots;
    uint64_t created_ms;
    uint64_t started_ms; /* 0: not yet */
    uint64_t ended_ms;
    int64_t retry_s;
    uint64_t rows;        /* of its last SELECT */
    struct span snapshot; /* RUN_OF_SNAPSHOT: ${snapshot} */
    struct span message;  /* why it failed, or waits; or empty */
};

#define RUN_MESSAGE_BYTES_MAX (ERR_MESSAGE_BYTES + 160)

bool run_state_ended(enum run_state state);
const char *run_state_name(enum run_state state);
const char *run_cause_name(enum run_cause cause);

void schedule_run_encode(const struct schedule_run *run, struct bytes *out);
/* ERR_CORRUPT. Borrows. */
enum err_code schedule_run_decode(struct span encoded, struct schedule_run *ret_run,
                                  struct err *err) MUST_USE;

/* The id of a run's statement: always the same for one attempt, so that what was done before a crash is
 * not done again. */
struct statement_id schedule_statement_id(uint64_t schedule, const struct schedule_run *run);

#endif
