/* The tasks of this node as a destination: starts, shows, cancels them, and performs the actions of
 * their machines with the real store and network.
 *
 *     tasks_open -> (tasks_start | tasks_cancel | tasks_list | tasks_status)* -> tasks_stop
 *         -> links closed, workers and loop stopped -> tasks_free
 *
 * A task is a record in family `tasks` from its start on: after a restart tasks_open goes on with
 * all that had not ended. TASKS_RUNNING_PER_SOURCE have begun at once from one source and
 * TASKS_RUNNING_MAX run in all, those that wait for their peer not counted; the others are QUEUED;
 * beyond `per_project` of one destination project none is taken, or it waits in line (xcopy_list.h).
 *
 * Threads: machines belong to the loop thread; store work runs on the workers; what is below may be
 * called from any thread but the loop's and may block on the store.
 */
#ifndef NODE_TASK_XCOPY_DESTINATION_H
#define NODE_TASK_XCOPY_DESTINATION_H

#include "node/loop.h"
#include "node/peers.h"
#include "node/task/xcopy_record.h"
#include "node/task/xcopy_rights.h"
#include "node/workers.h"

/* Those that run share their source's window and bandwidth, so more of them take no more memory; how many
 * are worth it is measured (cluster-tests/bench, "many"). From one source, because tasks that wait for a
 * peer go on waiting for hours and must not keep back those of another. */
#define TASKS_RUNNING_PER_SOURCE 16
#define TASKS_RUNNING_MAX        32
#define TASKS_ACTIVE_MAX         LIMIT_LISTED_TASKS
#define TASKS_KEPT_MAX           4096 /* with ended ones that are still shown; the oldest of these go */

struct tasks;

struct tasks_options { /* all borrowed until tasks_free */
    struct store *store;
    struct loop *loop;
    struct workers *workers, *commits; /* commits: what waits for the disk */
    struct peers *peers;
    const struct principals *principals;
    const struct identity *identity;
    const char *region;
    bool clock_doubted;      /* at the start: then no ended task is forgotten */
    size_t per_project;      /* tasks of one destination project; 0: TASKS_PER_PROJECT */
    struct walk_limits walk; /* zeroed: walk_limits_default() */
    uint64_t look_retry_ms;  /* an EXPLAIN's; 0: LOOK_RETRY_MS */
};

enum err_code tasks_open(const struct tasks_options *options, struct tasks **ret_tasks,
                         struct err *err);
/* Tasks of one destination project that run or wait: from now on. Who has a place keeps it. */
void tasks_set_per_project(struct tasks *tasks, size_t per_project);
/* No further actions; jobs and requests under way come to their end by themselves. */
void tasks_stop(struct tasks *tasks);
/* After links, workers and loop are gone. NULL is fine. */
void tasks_free(struct tasks *tasks);

/* What a statement asks for; copied. The token's names are those of the statement. */
struct tasks_order {
    const struct principal
        *principal; /* of the session or the schedule: has to be the token's signer */
    struct statement_id statement_id; /* the task's id follows from it: asked again, it is joined */
    struct span statement;            /* text */
    struct span token;
    struct span schedule; /* whose run it is: then the token is that schedule's; else empty */
    struct span source_region, source_project, source_snapshot;
    struct span destination_project, destination_snapshot;
    uint64_t expires_ms; /* 0: never */
    bool queues;         /* waits in line where it would be refused */
    const struct audit_record
        *audit; /* of the statement; goes into the commit of the task; or NULL */
};

/* The task is durable on return. The same copy under way is joined by who may see it: *ret_id is then its
 * id. ERR_TASK_LIMIT: of its project, or another copy writes the same snapshot; ERR_BUSY: ask again; ERR_DENIED, ERR_GATE ...: xcopy_rights.h;
 * ERR_PARAMETER: token and statement do not fit, or no such peer. */
enum err_code tasks_start(struct tasks *tasks, const struct tasks_order *order,
                          struct task_id *ret_id, struct err *err) MUST_USE;
/* ERR_NOT_FOUND, also for who may not see it (authorise_task; operators may cancel all). One that has
 * ended stays as it is. The request is durable on return, and the task is CANCELLED as soon as the loop
 * comes to it, whatever it was doing: but its one publishing commit comes to its own end. */
enum err_code tasks_cancel(struct tasks *tasks, const struct principal *principal,
                           const struct task_id *id, struct err *err) MUST_USE;

/* Rights here may have gone: each task is asked about, and fails if it may not be any more. From any
 * thread; does not wait. */
void tasks_recheck(struct tasks *tasks);

#define TASK_PHASE_BYTES (ERR_MESSAGE_BYTES + 96) /* why it waits comes whole */

struct task_status {
    struct task_id id;
    enum task_state state;
    char phase[TASK_PHASE_BYTES];
    struct task_counters counters;
    uint64_t files_total, bytes_planned;       /* found missing so far */
    uint64_t created_ms, started_ms, ended_ms; /* since 1970; 0: not yet */
    uint64_t elapsed_ms;                       /* from start to end or now */
    uint64_t
        moving_ms; /* of these, without waits for its peer or store since this node's start: for rates */
    struct account_id account;
    struct err error;                       /* FAILED */
    struct err trouble;                     /* the latest that was tried again */
    uint64_t tries_again;                   /* because of such */
    struct token_place source, destination; /* in the arena, as what follows */
    struct span principal, statement;       /* at most TASK_STATEMENT_SHOWN_BYTES */
};

/* ERR_NOT_FOUND. Never blocks for long: for polling. */
enum err_code tasks_status(struct tasks *tasks, const struct task_id *id, struct arena *arena,
                           struct task_status *ret_status, struct err *err) MUST_USE;
/* Those that the principal may see, newest first. */
enum err_code tasks_list(struct tasks *tasks, const struct principal *principal,
                         struct arena *arena, struct task_status **ret_list, size_t *ret_count,
                         struct err *err) MUST_USE;
/* How many have not ended. */
size_t tasks_active(struct tasks *tasks);
/* Of replies since the start, before sealing. */
struct tasks_traffic {
    uint64_t page_bytes, file_bytes;
};
struct tasks_traffic tasks_traffic_get(struct tasks *tasks);
/* Copies and repairs from one peer. */
#define TASK_STATES (TASK_CANCELLED + 1)
struct tasks_of_peer {
    uint64_t now[TASK_STATES];   /* that are listed, the ended ones of late too */
    uint64_t ended[TASK_STATES]; /* DONE, FAILED, CANCELLED: since the start */
    uint64_t done_ms; /* since 1970: when a copy was DONE last, as far as is listed; 0: unknown */
};
/* By place (peers_at), then those of all other regions: of places beyond, and of none. A look at each task;
 * does not wait. */
#define TASKS_PEERS_MAX 100
void tasks_by_peer(struct tasks *tasks, struct tasks_of_peer ret_list[TASKS_PEERS_MAX + 1]);
/* FAILED ones since the start, by their error. */
const struct err_counts *tasks_errors(const struct tasks *tasks);

/* 32 hex digits. */
#define TASK_ID_TEXT_BYTES 33
const char *task_id_format(const struct task_id *id, char ret_text[TASK_ID_TEXT_BYTES]);
/* False: not such digits. */
bool task_id_parse(struct span text, struct task_id *ret_id);

#endif
