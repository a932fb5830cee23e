/* One XCOPY at work: performs the actions of its machine (task.h) with store and network. Private to
 * xcopy_*.c of the destination.
 *
 *     loop:   event -> task_step -> actions -> job
 *     job:    [link: request ... reply] -> [worker: check, store] -> loop: event
 *
 * What a task has stored since its last commit, and all that it relied on, belongs to an epoch: a
 * content (store/content.h). A COMMIT takes the epoch, the next one begins; the commit's work starts
 * when no job is in the epoch any more. The last committed epoch stays open, and with it its pins,
 * until the next is committed or the task ends: so between promotion and publish nothing is swept.
 * What was promoted in earlier epochs is kept by its parents, which are still staged; whatever a
 * page of a commit names is relied on again in that commit's epoch.
 *
 * Invariants: 1. pull, machine and epoch->users belong to the loop; workers see the job, the
 * constant part of the pull, and what `lock` covers. 2. A job is in at most one epoch. 3. FINISH
 * begins when no job is on a worker; a reply that comes later is dropped.
 */
#ifndef NODE_TASK_XCOPY_PULL_H
#define NODE_TASK_XCOPY_PULL_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/task/lease.h"
#include "node/task/xcopy_destination.h"
#include "proto/peer.h"
#include "proto/version.h"
#include "store/files.h"
#include "store/pages.h"

struct pull;
struct job;

struct epoch {
    struct content *content; /* under pull->lock until there, NULL: not opened yet */
    size_t users;            /* jobs in it */
    struct job *commit;      /* waits for the users */
    bool dropped;            /* nobody wants it: closed by the last user */
};

/* What describe said. Owned. */
struct described {
    struct lease_id lease;
    struct digest machine_version; /* over version page and attribute root */
    struct version_ref version;
    struct digest manifest_root;
    struct identity_key maker;
    uint8_t signature[SIGNATURE_BYTES];
    struct bytes claim;
};

struct pull {
    struct tasks *tasks;
    atomic_size_t refs; /* the list's, and of each call that looks at it */
    /* constant */
    const struct tasks_options *options;
    struct bytes record_bytes;
    struct xcopy_record record; /* borrows; as of the start */
    struct token token;         /* borrows */
    struct xcopy_rights rights;
    struct peer *peer;         /* NULL: not configured any more */
    struct account_id account; /* for whom files are held */
    /* the loop's */
    struct task machine;
    struct task_actions actions;
    struct loop_timer timer;
    struct epoch *epoch;      /* open */
    struct epoch *last_epoch; /* committed */
    struct described described;
    size_t jobs;             /* on workers: they touch the store */
    size_t outstanding;      /* all, those that wait for a reply too */
    uint64_t finish_request; /* FINISH waits for jobs; 0: none does */
    uint64_t start_ms;       /* loop's clock; 0: not yet */
    bool cancel_recorded;
    /* shared */
    pthread_mutex_t lock;
    struct marks moved;        /* files that this task brought, by hash */
    struct task_status status; /* spans unused */
    uint64_t end_ms;           /* loop's clock; 0: not yet */
};

struct job_item { /* a copy of a walk_item */
    enum walk_kind kind;
    bool is_top;
    uint8_t level;
    struct digest digest;
    uint64_t bytes;
    struct span place; /* in the job's arena */
};

struct job {
    struct pull *pull;
    void (*work)(struct job *job); /* on a worker */
    struct epoch *epoch;           /* NULL: none */
    bool counted;                  /* in pull->jobs */
    enum task_event_kind answers;
    uint64_t request;
    struct err err; /* its outcome */
    struct arena arena;
    struct job_item *items;
    size_t item_count;
    struct described described; /* CHECKED, PLANNED, PUBLISHED: in; DESCRIBED: out */
    struct task_counters counters;
    /* finish */
    enum task_state outcome;
    struct err outcome_err;
    /* replies */
    struct bytes reply_header;
    uint8_t *reply_body; /* owned */
    size_t reply_capacity, reply_bytes;
    uint64_t wire_bytes;
    /* results */
    enum walk_result *results; /* in the arena */
    char reason[ERR_MESSAGE_BYTES + 64];
    struct walk_plan plan;
    struct walk_need *needs; /* owned */
    size_t need_count, need_capacity;
    struct bytes places; /* of the needs: their spans are set at the end */
    size_t *place_ends;
};

#define JOB_ARENA_BYTES (64 * MIB(1))

/* xcopy_jobs.c: the work, on workers. Each sets err and what belongs to its answer. */
void job_check(struct job *job);
void job_take_described(struct job *job);
void job_plan(struct job *job);
void job_take_pages(struct job *job);
void job_take_files(struct job *job);
void job_commit(struct job *job);
void job_publish(struct job *job);
void job_finish(struct job *job);
/* The content of the job's epoch, opened by its first user. */
enum err_code job_content(struct job *job, struct content **ret_content, struct err *err);

/* Where a page or file stands, as the walk carries it. */
void place_encode_page(const struct page_place *place, struct bytes *out);
void place_encode_file(struct span key, uint32_t column_id, struct bytes *out);
enum err_code place_decode_page(struct span encoded, struct page_place *ret_place,
                                struct err *err) MUST_USE;
enum err_code place_decode_file(struct span encoded, struct span *ret_key, uint32_t *ret_column_id,
                                struct err *err) MUST_USE;

/* xcopy_pull.c: on the loop. */
struct pull *pull_new(struct tasks *tasks, const struct tasks_options *options,
                      struct span record_bytes, struct err *err);
void pull_ref(struct pull *pull);
void pull_unref(struct pull *pull); /* NULL is fine */
/* It has ended, and nothing of it is under way. On the loop. */
bool pull_idle(const struct pull *pull);
void pull_start(struct pull *pull, bool cancel);
void pull_cancel(struct pull *pull);
bool pull_runs(const struct pull *pull); /* begun and not ended */

/* xcopy_destination.c */
void tasks_pull_ended(struct tasks *tasks); /* on the loop: another may begin */
/* For status: the body of one reply, pages or files, right or wrong. */
void tasks_received(struct tasks *tasks, enum walk_kind kind, size_t reply_bytes);
bool tasks_stopped(const struct tasks *tasks);

#endif
