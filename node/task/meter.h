/* What XCOPY carried, counted: bytes, no money.
 *
 *     a task's record, at each end  --8 days after its end-->  the sums of its day
 *
 *     meter    'm' role u8 | lease 32                                      -> a task's record
 *              'n' account u64 | table u64 | region                           -> made ms u64 | told ms u64
 *              'd' day u32 | role u8 | state u8 | project u64 | region     -> tasks u64 | counts | project's name
 *
 * A task is one record at each end, under the id of its lease, which both know. It counts on the day on
 * which it was begun, by the destination's clock. Both ends count by themselves and tell each other
 * (`settle`, proto/peer.h): what one forgot in a crash comes back from the other, and since counts only
 * grow and are told whole, nothing is counted twice. Records are changed in the commits that they
 * belong to (task's and lease's); what is told last of a task is a commit of its own.
 *
 * Threads: any. Not here: who counts when (xcopy_settle.c at the destination, meters.h at the source),
 * who may read it (node/statement/usage_view.c). Encodings: docs/FORMATS.md.
 */
#ifndef NODE_TASK_METER_H
#define NODE_TASK_METER_H

#include "node/task/task.h"
#include "proto/peer.h"
#include "store/catalog_commit.h"

#define METER_KEPT_MS (8 * UINT64_C(86400000)) /* longer than a token of one use lives */

enum meter_role {               /* stored */
                  METER_IN = 1, /* this node is the destination */
                  METER_OUT = 2,
};

/* X(name): of a task from its begin on; they only grow. */
#define METER_COUNTS(X)                                                                            \
    X(wire_bytes)  /* sealed, both ways, all requests but settle, receipt and end */               \
    X(page_bytes)  /* of pages in replies */                                                       \
    X(file_bytes)  /* of column files in replies: right, wrong and sent again */                   \
    X(kept_bytes)  /* of column files, each once: the payload; at the source, once it has ended */ \
    X(saved_bytes) /* of column files that the snapshot has and that were held; once it is DONE */

struct meter_counts {
#define X(name) uint64_t name;
    METER_COUNTS(X)
#undef X
};

struct meter_record {
    enum meter_role role;
    struct lease_id lease;
    uint32_t day;          /* since 1970, UTC */
    enum task_state state; /* RUNNING, DONE, FAILED, CANCELLED */
    struct project_id project;
    struct span project_name; /* as it was then */
    struct span region;       /* the other end's */
    uint64_t updated_ms;      /* since 1970 */
    uint64_t lost_bytes;      /* at most so much may have been sent and not come */
    struct meter_counts counts;
};

uint32_t meter_day(uint64_t time_ms);
/* Each count becomes the larger one. */
void meter_counts_raise(struct meter_counts *counts, const struct meter_counts *other);
/* The same with what the other end says was sent or came: more by *lost_bytes at most, which are used up by
 * it, so that who says it again is not believed again. */
void meter_counts_believe(struct meter_counts *counts, const struct meter_counts *claim,
                          uint64_t *lost_bytes);

void meter_put(struct catalog_change *change, const struct meter_record *record);
/* The record borrows from *memory. ERR_CORRUPT. */
enum err_code meter_find(struct store *store, enum meter_role role, const struct lease_id *lease,
                         struct bytes *memory, struct meter_record *ret_record, bool *ret_found,
                         struct err *err) MUST_USE;

/* One line of what was counted: a task's, or the sum of a day's. Borrows for the call. */
struct meter_line {
    uint32_t day;
    enum meter_role role;
    enum task_state state;
    struct project_id project;
    struct span project_name;
    struct span region;
    uint64_t tasks;
    struct meter_counts counts;
};
typedef enum err_code meter_function(void *context, const struct meter_line *line, struct err *err);
/* As of one moment; unordered, several lines of the same day and project. */
enum err_code meter_each(struct store *store, meter_function *function, void *context,
                         struct err *err) MUST_USE;
/* Counts records into their days that have ended and not changed since; a commit at a time. */
enum err_code meter_fold(struct store *store, uint64_t before_ms, bool *ret_more,
                         struct err *err) MUST_USE;

/* ---- how far behind a region is ---- */

/* When the source made its newest snapshot of its table, as it told a copy or trigger of the account's at that
 * moment. What one account was told is no other's to see. */
struct meter_newest {
    struct account_id account; /* that owns the project which the replicas are in */
    struct table_id table;     /* the source's */
    struct span region;        /* of the source */
    uint64_t made_ms, told_ms;
};
void meter_newest_put(struct catalog_change *change, const struct meter_newest *newest);
/* Sets the times of what account, table and region say; zero when the source never said. */
enum err_code meter_newest_find(struct store *store, struct meter_newest *newest,
                                struct err *err) MUST_USE;
/* Drops those told before before_ms for which `shown` is false, and those of the first form, which had no
 * account; a commit at a time. One that is told again meanwhile stays. */
typedef bool meter_newest_shown(void *context, const struct meter_newest *newest);
enum err_code meter_newest_sweep(struct store *store, uint64_t before_ms, meter_newest_shown *shown,
                                 void *context, struct err *err) MUST_USE;

/* ---- as told ---- */

struct peer_settle meter_told(const struct meter_record *record);
void meter_counts_of(const struct peer_settle *settle, struct meter_counts *ret_counts);

#endif
