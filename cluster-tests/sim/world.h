/* Two nodes, a network and bad luck, on a virtual clock: what drives the real machines of node/task.
 *
 *     source:       lease_step  -- its actions on a model store
 *     destination:  task_step   -- its actions on a model store, for up to TASKS tasks
 *     between:      delay, loss, duplication, reordering, partition
 *     to both:      crash, restart, clean-up, full disk, snapshots replaced and dropped, ...
 *
 * One run is a function of its seed (and the planted bug): world_run. Everything that happens is an
 * op in one queue, ordered by virtual time.
 *
 * Files: world.c (queue, faults, run), destination.c, source.c (the two ends), oracle.c (what must
 * hold). One thread.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "cluster-tests/sim/model.h"
#include "node/task/claims.h"
#include "node/task/lease.h"
#include "node/task/task.h"
#include "proto/peer.h"

#define TASKS    4
#define ACCOUNTS 2 /* numbered from 1 */

enum plant {
    PLANT_NONE,
    PLANT_PUBLISH_BEFORE_DURABLE,
    PLANT_TRUST_PROGRESS,
    PLANT_NO_RENEW,
    PLANT_SWEEP_WITHOUT_PINS,
    PLANT_ACCEPT_WRONG_DIGEST,
    PLANT_HALF_OVERWRITE,
    PLANT_CLOCK_OF_THE_DAY,
    PLANT_COUNT
};
const char *plant_name(enum plant plant);

/* X(enum, name): what happens to the world, beside loss, delay and the like of single messages. */
#define FAULTS(X)                                                                                  \
    X(FAULT_CRASH_SOURCE, "crash source")                                                          \
    X(FAULT_CRASH_DESTINATION, "crash destination")                                                \
    X(FAULT_PARTITION, "partition")                                                                \
    X(FAULT_CUT, "link cut for ten minutes")                                                       \
    X(FAULT_CLOCK, "clock of the day jumps")                                                       \
    X(FAULT_COLLECT_SOURCE, "clean-up at source")                                                  \
    X(FAULT_COLLECT_DESTINATION, "clean-up at destination")                                        \
    X(FAULT_REPLACE, "snapshot replaced at source")                                                \
    X(FAULT_DROP_SOURCE, "snapshot dropped at source")                                             \
    X(FAULT_DROP_DESTINATION, "snapshot dropped at destination")                                   \
    X(FAULT_DISK_FULL, "disk full at destination")                                                 \
    X(FAULT_CANCEL, "task cancelled")                                                              \
    X(FAULT_REVOKE, "right revoked at source")                                                     \
    X(FAULT_DENY, "right gone at destination")                                                     \
    X(FAULT_PEER_KEY, "source returns with another key")                                           \
    X(FAULT_HOSTILE, "source turns hostile for a while")                                           \
    X(FAULT_LOST_REQUEST, "request lost")                                                          \
    X(FAULT_LOST_REPLY, "reply lost")                                                              \
    X(FAULT_DUPLICATE, "request twice")                                                            \
    X(FAULT_LATE, "message late")                                                                  \
    X(FAULT_WRONG_BYTES, "wrong bytes")                                                            \
    X(FAULT_SHORT_REPLY, "reply cut short")                                                        \
    X(FAULT_TORN_COMMIT, "commit torn by crash")                                                   \
    X(FAULT_UNSYNCED_LOST, "unsynced write lost")                                                  \
    X(FAULT_END_LOST, "end of a published task lost")

enum fault {
#define X(fault, name) fault,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

struct counts { /* summed over runs */
    uint64_t task_actions[TASK_ACTION_COUNT];
    uint64_t task_events[TASK_EVENT_COUNT];
    uint64_t lease_actions[LEASE_ACTION_COUNT];
    uint64_t lease_events[LEASE_EVENT_COUNT];
    uint64_t faults[FAULT_COUNT];
    uint64_t outcomes[TASK_CANCELLED + 1];
    uint64_t ops;
};

struct want_item {
    enum walk_kind kind;
    unsigned level;
    uint32_t partition, index;
    uint32_t bytes;
    struct digest digest;
};

struct op {
    uint64_t at_ms, sequence;
    void (*run)(struct op *op);
    unsigned boot;  /* of the node it belongs to; another one by now: dropped; 0: of none */
    bool at_source; /* that node */
    bool kept;      /* it is in the queue again, or waits elsewhere */
    unsigned asker_boot;
    size_t task;      /* index */
    uint64_t request; /* the machine's id */
    enum peer_method method;
    struct want_item *items;
    size_t item_count;
    size_t step; /* commit: how many of the items are done */
    size_t reply_bytes;
    struct lease_id lease;
    struct err err;
    struct digest root;
    uint64_t bytes_total;
    struct bytes body;
    struct bytes lengths; /* u32 each */
    uint64_t value;
};

struct record { /* of a task; durable */
    bool started, published, ended, cancel;
    bool end_later; /* the end is durable with the next commit, whosesoever */
    struct task_counters counters;
};

struct sim_task {
    uint64_t number;  /* from 1 */
    uint64_t account; /* from 1 */
    size_t name;
    struct task_id id;
    struct record record;
    struct map progress; /* durable: digests said to have arrived; a hint that must not be used */
    /* goes with a crash */
    struct task machine;
    bool alive;
    struct map unsynced; /* files handed over, not durable */
    struct lease_id lease;
    struct digest root;
    uint64_t wake_ms;
    bool torn;            /* a commit is half done */
    uint64_t generation;  /* of the walk, as of the last step */
    bool waits_elsewhere; /* RELEASED is owed */
    uint64_t prevented;   /* the PUBLISH that will not be; 0: none */
    bool waited;          /* for its peer, as of the last step */
    uint64_t key_seen_ms; /* it was told that its peer's key is another; 0: never */
    bool published_before_key;
    unsigned wrong_bytes;
};

struct lease_record { /* durable at the source */
    bool present;
    struct lease_id id;
    struct digest root;
    uint64_t bytes_total;
};

struct serving { /* a request at the source whose answer waits for a lease step */
    bool used;
    uint64_t number;
    struct op *op;
};

struct node {
    bool up;
    unsigned boot;
    struct model_store store;
};

struct world {
    uint64_t seed;
    enum plant plant;
    bool trace;
    struct chance chance;
    uint64_t now_ms, sequence;
    struct op **heap;
    size_t heap_count, heap_capacity;
    struct node source, destination;
    /* the weather */
    uint64_t faults_end_ms;
    unsigned loss_percent;
    uint64_t delay_ms_max;
    bool slow; /* bulk replies take minutes */
    bool partitioned;
    uint64_t cut_until_ms; /* nothing passes; a task must live through it */
    /* How far the source's clock of the day is off: leases must not look at it. Only the planted bug
     * does. */
    int64_t wall_offset_ms;
    bool disk_full, hostile, peer_key_changed, destination_denied;
    bool revoked[TASKS];
    /* destination */
    struct sim_task tasks[TASKS];
    size_t task_count;
    struct claims claims;
    /* source */
    struct model_table table;
    struct lease_table leases;
    struct lease_record lease_records[TASKS];
    struct serving servings[64];
    uint64_t serving_last;
    uint64_t lease_wake_ms;
    /* the oracle's book */
    struct map proved;              /* (digest, account): real bytes came for the account */
    struct map roots[MODEL_NAMES];  /* every root that the source's snapshot ever had */
    bool visible[MODEL_NAMES];      /* published here and not dropped */
    bool end_crashed;               /* world_end_crash had its chance */
    uint64_t quiet_since_ms;        /* nothing that excuses an expired lease since */
    bool excused[TASKS];            /* its failing has a cause */
    uint64_t lease_since_ms[TASKS]; /* when its lease's period began anew; 0: it has none */
    char violation[512];
    struct counts *counts;
};

extern struct world world;

/* False: something did not hold; world.violation says what. */
bool world_run(uint64_t seed, enum plant plant, bool trace, struct counts *counts);

void trace_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void violate(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fault_count(enum fault fault);

/* A new op, not in the queue: from a task's node. Freed after it ran or was dropped. */
struct op *op_new(void (*run)(struct op *op), size_t task);
void op_post(struct op *op, uint64_t delay_ms);
void op_free(struct op *op);
uint64_t delay_short(void); /* of work on a disk */
/* What the source's leases count: time that does not jump. */
uint64_t source_now_ms(void);
/* At a moment worth it: by chance the destination crashes, or its clean-up begins,
 * within the next milliseconds. */
void world_trouble_soon(void);
/* After the first task that ends well, by chance: the destination crashes before another commit. */
void world_end_crash(void);

/* destination.c */
void destination_task_start(size_t task); /* from its record */
void destination_task_cancel(size_t task);
void destination_task_withdraw(size_t task);
void destination_crash(void);
void destination_reply(struct op *op); /* a request's answer or loss has come */
void destination_collect_roots(struct digest *roots, size_t *count);

/* source.c: op->method and what belongs to it in; destination_reply gets the same op, filled. */
void source_request(struct op *op);
void source_crash(void);
void source_restart(void);
void source_snapshot_make(size_t name);
void source_revoke(size_t task);
void source_network(struct op *op); /* a request goes out to it, through the weather */

/* oracle.c */
void oracle_stored(const struct sim_task *task, const struct digest *digest, struct span bytes,
                   bool is_page);
void oracle_published(const struct sim_task *task);
void oracle_lease_stepped(
    const struct lease_event *event); /* after any event of the lease machine */
void oracle_lease_served(const struct lease_id *id);
void oracle_lease_expired(const struct lease_id *id);
void oracle_ended(const struct sim_task *task);
void oracle_check(const char *when); /* all that holds at any moment */

#endif
