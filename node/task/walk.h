/* The walk of a manifest tree at the destination: what to ask for next, with bounded memory.
 *
 *     top -> root page -> pages -> leaf pages -> files         asked for downwards
 *     files arrived -> leaf complete -> ... -> top complete    committed upwards
 *
 * A page that arrived is checked and staged by the caller, then planned: the caller reads it from
 * `staged` and names what of it is not held here. So the walk knows digests and places of what is
 * on its way and nothing of the rest of the table: planning stops while a window's worth waits, and
 * goes deepest first.
 *
 * Invariants:
 * 1. Bytes reserved by requests in flight are at most window_bytes, or one request is in flight, or
 *    the window was made smaller since they went out.
 * 2. A page is listed for a commit only after all its files arrived and all its children are listed
 *    in the same commit before it, or were committed.
 * 3. One commit at a time, so that "arrived before" means "durable before".
 * 4. A file that two pages name is on its way once.
 * 5. Files asked for or arrived and not yet durable are at most commit_bytes + window_bytes, or one
 *    request: what a crash of either node makes to be pulled again (and no older than the task lets it grow).
 * 6. What is elsewhere holds back no commit: so two tasks that wait for each other's files both
 *    commit what they have, and release it.
 *
 * Pure: no clock, no chance, no I/O, no threads. `place` is the caller's own encoding of where an
 * item stands in the tree; the walk only carries it. What is done about errors: task.h.
 */
#ifndef NODE_TASK_WALK_H
#define NODE_TASK_WALK_H

#include <sys/queue.h>

#include "proto/digest.h"
#include "proto/limits.h"

struct walk_limits {
    size_t window_bytes;        /* of replies in flight: bandwidth x round trip */
    size_t batch_bytes;         /* of one reply; a single file may be larger */
    size_t batch_items;         /* of one request, at most LIMIT_REQUEST_ITEMS */
    size_t requests;            /* in flight at once */
    size_t plans;               /* in flight at once */
    size_t pages_open;          /* beyond which no page is planned while others are on their way */
    size_t commit_bytes;        /* of arrived files that start a commit */
    size_t commit_pages;        /* of complete pages that start one, and go with one at most */
    size_t commit_files;        /* of arrived files that start one */
    unsigned wrong_bytes_tries; /* of one item */
};

struct walk_limits walk_limits_default(void);

enum walk_kind {
    WALK_PAGE,
    WALK_FILE,
};

/* What a plan found to be missing: a child page or a file. */
struct walk_need {
    enum walk_kind kind;
    bool staged;          /* page: checked and here already, only to be planned */
    uint8_t level;        /* page: 0 is a leaf */
    struct digest digest; /* of the stored bytes */
    uint64_t bytes;       /* file: exact length */
    struct span place;    /* borrows; copied by the walk; at most WALK_PLACE_BYTES_MAX */
};

#define WALK_PLACE_BYTES_MAX (3 * LIMIT_KEY_BYTES)

struct walk_plan {
    const struct walk_need *needs; /* borrowed during the call */
    size_t need_count;
};

enum walk_state {
    WALK_PENDING,    /* to be asked for */
    WALK_IN_FLIGHT,  /* asked for */
    WALK_ELSEWHERE,  /* file: another task of this node is pulling it */
    WALK_TO_PLAN,    /* page: staged */
    WALK_PLANNING,   /* page: the caller reads it */
    WALK_OPEN,       /* page: waits for its children and files */
    WALK_COMPLETE,   /* page: to be committed; file: arrived, not yet durable */
    WALK_COMMITTING, /* in the commit that runs */
};

struct walk_item {
    TAILQ_ENTRY(walk_item) link;   /* in the list of its state */
    struct walk_item *bucket_next; /* files: chain of the digest table */
    struct walk_item *parent;      /* NULL for top */
    struct walk_item **waiters;    /* files: further pages that name it */
    size_t waiter_count;
    struct digest digest;
    uint64_t bytes;
    uint64_t waiting; /* page: children and files on their way */
    uint64_t plan;    /* page: id of the plan that runs */
    enum walk_kind kind;
    enum walk_state state;
    uint8_t level;
    uint8_t tries; /* answers with wrong bytes */
    uint16_t place_bytes;
    uint8_t place[];
};

TAILQ_HEAD(walk_items, walk_item);

struct walk_request {
    TAILQ_ENTRY(walk_request) link;
    uint64_t id;
    enum walk_kind kind;
    size_t reply_bytes; /* reserved; the answer's body is at most this */
    size_t item_count;
    struct walk_item *items[];
};

TAILQ_HEAD(walk_requests, walk_request);

struct walk_counters {
    uint64_t files_moved, bytes_moved; /* column files that arrived */
    uint64_t pages_moved;
    uint64_t files_planned, bytes_planned; /* found missing so far */
};

struct walk {
    struct walk_limits limits;
    struct walk_counters counters;
    struct walk_items pending[2]; /* by kind */
    size_t pending_count[2];
    uint64_t pending_bytes;
    struct walk_items elsewhere; /* files */
    size_t elsewhere_count;
    uint64_t elsewhere_bytes;
    struct walk_requests requests;
    size_t request_count[2];
    size_t reserved_bytes;
    struct walk_items to_plan[LIMIT_TREE_DEPTH + 2]; /* by level; newest first */
    struct walk_items planning;
    size_t planning_count;
    struct walk_items open;
    struct walk_items complete;   /* pages, children before parents */
    struct walk_items arrived;    /* files */
    struct walk_items committing; /* both */
    size_t complete_count, arrived_count;
    uint64_t arrived_bytes, committing_bytes;
    size_t page_count;   /* pages known at the moment, in whatever state */
    uint64_t generation; /* how often it was reset */
    bool commit_runs;
    bool begun, done;
    struct walk_item **buckets; /* files by digest */
    size_t bucket_count, file_count;
};

void walk_init(struct walk *walk, const struct walk_limits *limits);
/* Other limits for the requests from now on; what is in flight stays. */
void walk_set_window(struct walk *walk, size_t window_bytes, size_t batch_bytes, size_t requests);
/* More would be asked for if the window allowed it. */
bool walk_wants_window(const struct walk *walk);
size_t walk_reply_bytes(const struct walk *walk); /* mean of the requests in flight; 0: none is */
void walk_deinit(struct walk *walk);
/* Forgets all that is on its way; counters stay. Answers that come later are unknown ids. */
void walk_reset(struct walk *walk);
/* Puts the top up for planning: a page without bytes whose children are the snapshot's roots. */
void walk_begin(struct walk *walk);

/* The next page to plan under this id, or NULL. The top has kind WALK_PAGE and no parent. */
const struct walk_item *walk_plan_next(struct walk *walk, uint64_t id);
bool walk_plan_known(const struct walk *walk, uint64_t id);
/* Takes what the plan found. False when a need is impossible (level not below its page's, place or
 * length beyond the limits): the caller's peer error; nothing changes then. */
bool walk_planned(struct walk *walk, uint64_t id, const struct walk_plan *plan);

/* The next request that fits, under this id, or NULL. Valid until walk_answered or walk_reset. */
const struct walk_request *walk_request_next(struct walk *walk, uint64_t id);
const struct walk_request *walk_request_find(const struct walk *walk, uint64_t id);

enum walk_result {
    WALK_STORED, /* page: checked and staged; file: checked and handed to the store */
    WALK_WRONG,  /* wrong bytes */
    WALK_LEFT,   /* not answered: ask again */
    WALK_HELD,   /* file: another task has brought it meanwhile, and it is relied on */
    WALK_TAKEN   /* file: another task is pulling it: waits for walk_released */
};

/* One result for each item of a known request (results == NULL: all of them are `all`). Returns the
 * most tries with wrong bytes that one of its items has now. */
unsigned walk_answered(struct walk *walk, uint64_t id, const enum walk_result *results,
                       enum walk_result all);
/* Another task may have brought, or given up, what was elsewhere: it is asked for again. */
void walk_released(struct walk *walk);

/* Something is complete that no commit has taken. */
bool walk_holds(const struct walk *walk);
/* Moves what is complete into a commit if there is reason for one: enough is there, it is there for long
 * (`overdue`), or nothing else goes on (`stalled`: nothing is asked for at the moment). True: list
 * walk->committing, commit its files, then its pages in that order, and say walk_committed. */
bool walk_commit_next(struct walk *walk, bool stalled, bool overdue);
void walk_committed(struct walk *walk);

/* All that the top needs is committed. */
bool walk_done(const struct walk *walk);

#endif
