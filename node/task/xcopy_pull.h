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

#include "node/task/claims.h"
#include "node/task/lease.h"
#include "node/task/meter.h"
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

/* The trees of a snapshot that is here: the newest of the table, or else the nearest in time
 * of the same table. Most of the pages that come say of what is below the same as its pages, which were proven when
 * it was published (or were made here). A shortcut: it may go meanwhile, and nothing is said then. */
struct xcopy_base {
    bool is_known;
    struct digest manifest, attributes;
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
    struct xcopy_base base; /* this node's own */
};

/* A repair is a pull of a version that is here, under a receipt: what is damaged does not count as held,
 * so it alone is fetched. Nothing is recorded or published. */
struct pull_repair {
    bool is_one;
    uint8_t receipt[RECEIPT_BYTES_MAX];
    size_t receipt_bytes;
    struct digest version; /* what the peer has to describe */
    struct digest page, attribute_root;
};

/* Who is first, the one commit or a request to stop. */
enum publish_right {
    PUBLISH_MAY,
    PUBLISH_NOW,   /* the commit is under way: it decides */
    PUBLISH_NEVER, /* cancelled */
};

struct pull {
    struct tasks *tasks;
    atomic_size_t refs;    /* the list's, and of each call that looks at it */
    atomic_bool recorded;  /* durable: it may begin */
    atomic_bool ended;     /* DONE, FAILED, CANCELLED, or could not be recorded: counts no more */
    bool placed;           /* the list's, under its lock: it has one of its project's places */
    atomic_uint publishes; /* enum publish_right */
    atomic_size_t in_line; /* 1 is the next; 0: it has a place, or has ended */
    /* constant */
    const struct tasks_options *options;
    struct bytes record_bytes;
    struct xcopy_record record; /* borrows; as of the start, and held_since from CHECK on */
    struct token token;         /* borrows */
    struct xcopy_rights rights;
    struct peer *peer;         /* NULL: not configured any more */
    struct account_id account; /* for whom files are held */
    struct project_id
        project; /* that it goes to; of a repair, and of an old record before CHECK, 0 */
    struct pull_repair repair;
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
    uint64_t generation;     /* of the machine's walk, as of the last step */
    bool shared;             /* another task of the account has run beside this one */
    bool waits_elsewhere;    /* for another's claims: RELEASED is owed */
    bool waited;             /* for its peer or store, as of the last step */
    bool cancel_recorded;
    unsigned peer_tries, store_tries;   /* that its status knows of */
    bool counted;                       /* in peer->pulls */
    struct meter_counts meter;          /* kept and saved bytes: at its end */
    uint64_t meter_lost;                /* sent by the source, perhaps, and not come */
    uint64_t meter_asked;               /* of requests for pages and files that are out, at most */
    bool meter_settled;                 /* told for the last time: nothing is counted any more */
    uint64_t newest_ms, newest_told_ms; /* when the source made its newest snapshot of the table */
    bool meter_told; /* the source counted more since the last record was written */
    /* shared */
    pthread_mutex_t lock;
    struct task_status status; /* spans unused */
    uint64_t end_ms;           /* loop's clock; 0: not yet */
    uint64_t before_ms;        /* from the first start to this one, of an earlier life */
    uint64_t waits_since_ms;   /* loop's clock; 0: it does not wait for its peer or store */
    uint64_t waited_ms;        /* before that, since start_ms */
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
    void (*after)(void *job);      /* then, on the loop; NULL: it is done */
    struct epoch *epoch;           /* NULL: none */
    bool counted;                  /* in pull->jobs */
    enum task_event_kind answers;
    uint64_t request;
    struct err err;     /* its outcome */
    struct err damaged; /* GOT: the peer has the first item, but damaged */
    struct err trouble; /* for its record: the task's latest */
    struct arena arena;
    struct job_item *items;
    size_t item_count;
    struct described described;    /* PLANNED, COMMITTED, PUBLISHED: in; DESCRIBED: out */
    struct task_counters counters; /* in: the machine's; PUBLISHED, FINISHED: out */
    uint64_t held_since;           /* CHECKED: out */
    struct project_id project;     /* the same */
    struct meter_counts meter;     /* the pull's, when the job was posted */
    uint64_t meter_lost;
    uint64_t meter_asked; /* its part of the pull's */
    uint64_t newest_ms, newest_told_ms;
    bool settles; /* its reply has the source's counts */
    /* finish */
    enum task_state outcome;
    struct err outcome_err;
    /* replies */
    struct bytes reply_header;
    struct link_body *reply_memory; /* owned; NULL: no body came */
    const uint8_t *reply_body;      /* in it */
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

/* The levels of a walk: top, version record, roots (of whatever real level), pages. */
#define LEVEL_VERSION LIMIT_TREE_DEPTH
#define LEVEL_ROOT    (LIMIT_TREE_DEPTH - 1)

/* On workers: is the project that the task began with still there? By its id, whatever has its name now.
 * ERR_DENIED. Of a repair, and of an old record before CHECK, there is none. */
enum err_code job_project_stays(const struct job *job, struct err *err) MUST_USE;
/* That, and xcopy_rights_destination. */
enum err_code pull_target_ask(const struct pull *pull, struct project_id project,
                              struct arena *arena, struct xcopy_target *ret_target,
                              struct err *err) MUST_USE;
enum err_code job_target_ask(struct job *job, struct xcopy_target *ret_target,
                             struct err *err) MUST_USE;
/* The work, on workers. Each sets err and what belongs to its answer.
 * xcopy_jobs.c */
void job_check(struct job *job);
void job_take_described(struct job *job);
/* Of the items whose result is LEFT: those that are held by now are relied on and become HELD. */
void job_sift(struct job *job);
void job_take_pages(struct job *job);
void job_take_files(struct job *job);
/* xcopy_plan.c */
void job_plan(struct job *job);
/* xcopy_base.c: of the project. */
/* own_region: this node's. */
void xcopy_base_find(struct store *store, struct span own_region, struct project_id project,
                     struct described *described);
/* xcopy_publish.c */
void job_commit(struct job *job);
void job_publish(struct job *job);
void job_finish(struct job *job);
/* xcopy_settle.c. On the loop: */
void settle_asked(struct pull *pull, struct job *job); /* goes out */
void settle_count(struct pull *pull, const struct job *job);
void settle_end(struct pull *pull);
void settle_encode(const struct pull *pull, struct bytes *out); /* what the source is told */
bool settle_take(struct pull *pull, struct job *job);           /* true: it counted more */
/* On workers; the task's counts, unless nothing was carried yet. */
void settle_put(const struct job *job, enum task_state state, struct catalog_change *change);
void settle_put_newest(struct job *job, struct catalog_change *change);
/* What settle_put would write at the end is not what is written: the source has said more since. */
bool settle_is_new(const struct job *job);
void job_meter(struct job *job);
/* After a restart. */
enum err_code settle_load(struct pull *pull, struct err *err) MUST_USE;
/* Appends the signed receipt for what was described and published; counters: the final ones. */
void receipt_make(const struct pull *pull, const struct described *described,
                  const struct task_counters *counters, struct bytes *out);

/* xcopy_jobs.c, for a look as well. What describe said: of a maker that is known here, as it signed it.
 * Sets all but the base; ret_described->claim is the caller's to free. */
enum err_code described_verify(const struct tasks_options *options,
                               const struct peer_described *described, struct arena *arena,
                               struct described *ret_described, struct err *err) MUST_USE;
/* A page from the peer: its digest, canonical, in order, within its parent's range, cut where it should
 * be, with its parent's counts. Borrows from bytes and arena (PAGE_ARENA_BYTES). */
enum err_code page_arrived(struct span bytes, const struct digest *digest,
                           const struct page_place *place, struct arena *arena,
                           struct page *ret_page, struct err *err) MUST_USE;
/* What is done for an action of the machine, on the loop. */
typedef void action_function(struct pull *pull, const struct task_action *action);
/* xcopy_request.c */
action_function request_describe, request_renew, request_get, request_receipt, request_end_lease;
/* The requests of a task take turns with others' under it (transport/turns.h). */
uint64_t pull_flow(const struct pull *pull);
/* Why a request failed. What a peer says of its own troubles is a reason to ask again. */
void request_error(const struct peer *peer, const struct link_reply *reply, struct err *ret_err);

/* xcopy_jobs.c, for the others. The content of the job's epoch, opened by its first user. */
enum err_code job_content(struct job *job, struct content **ret_content, struct err *err);
/* code ERR_OK: the job has no error. */
void job_end(struct job *job, enum err_code code);
/* All LEFT. */
void results_begin(struct job *job);
/* With the job's counters. */
struct xcopy_record record_of(struct job *job, enum task_state state);

/* xcopy_place.c. Where a page or file stands, as the walk carries it. */
void place_encode_page(const struct page_place *place, struct bytes *out);
void place_encode_file(struct span key, uint32_t column_id, struct bytes *out);
enum err_code place_decode_page(struct span encoded, struct page_place *ret_place,
                                struct err *err) MUST_USE;
enum err_code place_decode_file(struct span encoded, struct span *ret_key, uint32_t *ret_column_id,
                                struct err *err) MUST_USE;

/* xcopy_window.c: on the loop. Its peer's window, as of now; it runs, or does not, and has a share. */
void pull_window_update(struct pull *pull);
void pull_count(struct pull *pull, bool runs);
/* Data connections for what describe offers come up while it, and pages, are on their way: each is three
 * round trips away. At most one for so much as it carries in a round trip. */
void pull_dial_early(struct pull *pull, uint64_t bytes);

/* xcopy_pull.c, for xcopy_request.c: on the loop. A job is posted once, to the workers or the peer, and done once. */
struct job *job_new(struct pull *pull, void (*work)(struct job *job), enum task_event_kind answers,
                    uint64_t request);
void job_items(struct job *job, size_t count);
void job_copy_item(struct job *job, size_t at, const struct walk_item *item);
void job_post(struct job *job);
void job_done(void *job); /* frees it */
void epoch_enter(struct job *job);
void epoch_leave(struct job *job); /* of none: nothing */

/* xcopy_pull.c: on the loop. */
struct pull *pull_new(struct tasks *tasks, const struct tasks_options *options,
                      struct span record_bytes, struct err *err);
/* The record has no token: region is the peer's. */
struct pull *pull_repair_new(struct tasks *tasks, const struct tasks_options *options,
                             struct span record_bytes, struct peer *peer,
                             const struct pull_repair *repair, struct err *err);
/* What its status shows before it starts: as the record says. */
void pull_status_begin(struct pull *pull);
void pull_ref(struct pull *pull);
void pull_unref(struct pull *pull); /* NULL is fine */
/* It has ended, and nothing of it is under way. On the loop. */
bool pull_idle(const struct pull *pull);
void pull_start(struct pull *pull, bool cancel);
void pull_cancel(struct pull *pull);
/* A right of its, or its project, went. */
void pull_withdraw(struct pull *pull, const struct err *reason);
/* What it waits for elsewhere is looked at again. */
void pull_released(struct pull *pull);
bool pull_runs(const struct pull *pull); /* begun and not ended */
/* From its first start, in an earlier life too, to its end or now, 0: not begun; and of that what it did not
 * spend waiting for its peer or store. Any thread. */
void pull_times(struct pull *pull, uint64_t *ret_elapsed_ms, uint64_t *ret_moving_ms);

/* xcopy_destination.c */
/* Under the pull's lock: DONE, FAILED or CANCELLED from now on. */
void tasks_pull_ended(struct tasks *tasks, const struct pull *pull,
                      const struct task_status *status);
void tasks_pull_gave_way(struct tasks *tasks); /* on the loop: another may begin */
/* For status: the body of one reply, pages or files, right or wrong. */
void tasks_received(struct tasks *tasks, enum walk_kind kind, size_t reply_bytes);
bool tasks_stopped(const struct tasks *tasks);
/* With a reference; NULL: there is none. Any thread. */
struct pull *tasks_pull_find(struct tasks *tasks, const struct task_id *id);
const struct tasks_options *tasks_options_get(const struct tasks *tasks); /* constant */
/* Takes the pull: it runs as a task, unless one of its id is under way, or (not now) has failed a moment
 * ago. Not on the loop; waits for it. */
void tasks_repair_add(struct tasks *tasks, struct pull *pull, bool now);
/* The files that tasks of this node are pulling. The loop's. */
struct claims *tasks_claims(struct tasks *tasks);
/* Claims were released by one: other tasks of the account that wait for some look again. On the loop. */
void tasks_released(struct tasks *tasks, const struct pull *by);

#endif
