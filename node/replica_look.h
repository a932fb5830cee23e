/* What metrics say that has to be read from the store: how far behind replicated tables are, how schedules ended last,
 * what the disk has. A scrape waits for none of it: it takes the last look, and asks for the next one.
 *
 *     status, GET /metrics ──► replica_look_ask ──► a task worker reads, when it is time ──► the look, published
 *
 * It is time REPLICA_LOOK_EVERY_MS after the last look ended, or LOOK_REST times as long as that took: a node of millions
 * of snapshots spends a fiftieth of one worker on it. Of all tables there are sums by region; of REPLICA_TABLES_MAX of
 * them, the furthest behind, and of SCHEDULES_NAMED_MAX schedules, the first by project and name, the names as well.
 *
 * A look is constant once it is published, and counted. Threads: any; at most one look is under way, on a task worker;
 * the lock is a leaf, held for as long as a pointer takes.
 */
#ifndef NODE_REPLICA_LOOK_H
#define NODE_REPLICA_LOOK_H

#include "node/schedule/schedule.h"
#include "node/statement/lag.h"
#include "node/workers.h"
#include "store/store.h"

#define REPLICA_LOOK_EVERY_MS 5000
#define REPLICA_TABLES_MAX    500
#define REPLICA_REGIONS_MAX   64
#define SCHEDULES_NAMED_MAX   500

struct look_table {
    struct project_record project; /* id, owner, name */
    struct lag lag;
};

struct look_region { /* source */
    struct span name;
    uint64_t tables;
    uint64_t known_tables; /* whose lag is known (lag_is_known) */
    uint64_t lag_s_max;    /* of those */
    uint64_t
        told_ms_least; /* when the source said what its newest is, longest ago; 0: of no table */
    uint64_t made_ms_least; /* of the newest replica that is the oldest; 0: none is whole */
    uint64_t replicated_ms; /* of the replica that came last */
};

struct look_schedule {
    struct project_record project; /* the same */
    struct span name, creator;
    uint64_t id, creator_id;
    enum run_state last; /* RUN_QUEUED: none has ended yet */
    uint64_t ended_ms;
};

struct replica_look {
    size_t refs;                 /* the lock's */
    uint64_t taken_ms, took_us;  /* since 1970 */
    struct err err;              /* why it is not whole; ERR_OK: it is */
    struct store_disk disk;      /* total_bytes 0: unknown */
    struct look_region *regions; /* owned, as the next two; texts: the arena's */
    size_t region_count;
    struct look_table *tables; /* the furthest behind first */
    size_t table_count;
    uint64_t tables_total;
    struct look_schedule *schedules;
    size_t schedule_count;
    uint64_t schedules_by_last[RUN_STATE_COUNT]; /* of all */
    uint64_t schedules_paused;
    struct arena texts;
};

struct replica_looks;

/* Both borrowed until replica_looks_free. */
struct replica_looks *replica_looks_new(struct store *store, struct workers *workers);
/* One under way ends soon, none begins. Any thread. NULL is fine. */
void replica_looks_stop(struct replica_looks *looks);
/* After the workers have ended, and all references are given back. NULL is fine. */
void replica_looks_free(struct replica_looks *looks);

/* Begins one when it is time. Does not wait. */
void replica_look_ask(struct replica_looks *looks);
/* The last one, with a reference; NULL: none has ended yet. */
struct replica_look *replica_look_take(struct replica_looks *looks);
void replica_look_give(struct replica_looks *looks, struct replica_look *look); /* NULL is fine */

#endif
