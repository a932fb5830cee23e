/* Named places where a test may end the process as kill -9 would.
 *
 *     CRASH_POINT(CRASH_PACK_SYNCED);
 *
 * Compiled in always; costs one relaxed load. Armed by STRAIT_CRASH=name[:nth] (the nth passage,
 * 1 if not given) when crash_arm() is called, which store_open() does. The lists are X-macros so
 * that tests walk over all of them: the store's own are passed by store/crash_test.c, those of tasks
 * by a live XCOPY in cluster-tests/test_crash.py, each on its side, those of lifecycles by
 * node/lifecycle_test.c, those of mends and of the node where it is said.
 * Threads: any.
 */
#ifndef STORE_CRASH_H
#define STORE_CRASH_H

#include <stdatomic.h>

#include "proto/err.h"

/* X(point, name). In the order of the work they stand in. */
#define CRASH_STORE_POINTS(X)                                                                      \
    X(CRASH_STORE_CREATED, "store.created")         /* database made, marker file not yet */       \
    X(CRASH_DB_FLUSHED, "db.flushed")               /* some families are in tables */              \
    X(CRASH_PACK_RESERVED, "pack.reserved")         /* id reserved, file not begun */              \
    X(CRASH_PACK_APPENDED, "pack.appended")         /* a column file went into an open pack */     \
    X(CRASH_PACK_SYNCED, "pack.synced")             /* pack file whole and synced */               \
    X(CRASH_PACK_TAKING, "pack.taking")             /* has a second name, not in the database */   \
    X(CRASH_PACK_INGESTED, "pack.ingested")         /* in the database, nothing points at it */    \
    X(CRASH_PACK_INDEX_STEP, "pack.index_step")     /* some of its files are indexed */            \
    X(CRASH_PACK_INDEXED, "pack.indexed")           /* all of them, not yet synced */              \
    X(CRASH_CONTENT_STEP, "content.step")           /* between two batches of one commit */        \
    X(CRASH_CONTENT_WRITTEN, "content.written")     /* last batch written, not synced */           \
    X(CRASH_CONTENT_SYNCED, "content.synced")       /* durable, the owner does not know */         \
    X(CRASH_STAGED_WRITTEN, "staged.written")       /* staged pages written */                     \
    X(CRASH_STAGED_STEP, "staged.step")             /* between two batches of a promotion */       \
    X(CRASH_CATALOG_CHECKED, "catalog.checked")     /* preconditions hold, nothing written */      \
    X(CRASH_CATALOG_WRITTEN, "catalog.written")     /* durable, the owner does not know */         \
    X(CRASH_NURSERY_INGESTED, "nursery.ingested")   /* small files copied to a pack */             \
    X(CRASH_NURSERY_STEP, "nursery.step")           /* some of them switched over */               \
    X(CRASH_COLLECT_RAISED, "collect.raised")       /* collection number raised */                 \
    X(CRASH_COLLECT_PAGE_STEP, "collect.page_step") /* some dead pages deleted */                  \
    X(CRASH_COLLECT_FILE_STEP, "collect.file_step") /* some dead files deleted */                  \
    X(CRASH_COLLECT_HOLDER_STEP, "collect.holder_step") /* some stale records of `held` deleted */ \
    X(CRASH_REPACK_INGESTED, "repack.ingested") /* live files of thin packs are in a new one */    \
    X(CRASH_REPACK_STEP, "repack.step")         /* some of them switched over */                   \
    X(CRASH_REPACK_SWITCHED, "repack.switched") /* all of them, not yet synced */                  \
    X(CRASH_PACK_DYING, "pack.dying")           /* marked, file still there */                     \
    X(CRASH_PACK_DROPPED, "pack.dropped")       /* file gone, record still there */

#define CRASH_TASK_POINTS(X)                                                                       \
    X(CRASH_TASK_RECORDED, "task.recorded")     /* durable, the statement is not answered */       \
    X(CRASH_TASK_JOINED, "task.joined")         /* a second start of it is durable */              \
    X(CRASH_TASK_BEGUN, "task.begun")           /* when it began is durable */                     \
    X(CRASH_LEASE_GRANTED, "lease.granted")     /* source: durable, describe is not answered */    \
    X(CRASH_TASK_DESCRIBED, "task.described")   /* the answer is checked, its version staged */    \
    X(CRASH_LEASE_SERVED, "lease.served")       /* source: a reply of files is built, not sent */  \
    X(CRASH_TASK_CHECKPOINT, "task.checkpoint") /* after a commit, its counters are durable */     \
    X(CRASH_TASK_PUBLISHED, "task.published")   /* the snapshot is visible */                      \
    X(CRASH_LEASE_SETTLED, "lease.settled")     /* source: counts are durable, not answered */     \
    X(CRASH_LEASE_RECEIPT, "lease.receipt")     /* source: durable, not answered */                \
    X(CRASH_LEASE_ENDED, "lease.ended")         /* source: its record is gone */                   \
    X(CRASH_TASK_FINISHED, "task.finished")     /* its last record is durable */

#define CRASH_LIFECYCLE_POINTS(X)                                                                  \
    X(CRASH_LIFECYCLE_STEP, "lifecycle.step") /* a table or partitions of it went */               \
    X(CRASH_LIFECYCLE_DONE, "lifecycle.done") /* all of a round, not yet recorded */

/* Passed by store/mend_test.c. */
#define CRASH_MEND_POINTS(X)                                                                       \
    X(CRASH_MEND_CLONED, "mend.cloned")       /* a second folder of links */                       \
    X(CRASH_MEND_REMOVED, "mend.removed")     /* its manifest names the damaged tables no more */  \
    X(CRASH_MEND_INDEXED, "mend.indexed")     /* its index points nowhere any more */              \
    X(CRASH_MEND_BUILT, "mend.built")         /* it is whole and synced */                         \
    X(CRASH_MEND_SET_ASIDE, "mend.set_aside") /* the database is away, the new one not in place */ \
    X(CRASH_MEND_PLACED, "mend.placed")       /* it is */

/* Passed by cluster-tests/test_accounts.py. */
#define CRASH_NODE_POINTS(X)                                                                       \
    X(CRASH_PRINCIPAL_COMMITTED, "principal.committed") /* durable, the index does not know */

/* Passed by node/schedule/runner_test.c. */
#define CRASH_SCHEDULE_POINTS(X)                                                                   \
    X(CRASH_SCHEDULE_PLANNED, "schedule.planned")     /* runs are recorded, none has begun */      \
    X(CRASH_SCHEDULE_BEGUN, "schedule.begun")         /* recorded, no statement has run */         \
    X(CRASH_SCHEDULE_STEP_DONE, "schedule.step_done") /* a statement is done, not yet recorded */  \
    X(CRASH_SCHEDULE_STEP_KEPT, "schedule.step_kept") /* recorded, the next has not begun */       \
    X(CRASH_TRIGGER_FIRED, "schedule.fired")          /* runs of a snapshot are recorded */

/* The first is passed by store/checkpoint_test.c, those of a restore by cluster-tests/test_node_backup.py. */
#define CRASH_BACKUP_POINTS(X)                                                                     \
    X(CRASH_BACKUP_CUT, "backup.cut")           /* the checkpoint stands, nobody was told */       \
    X(CRASH_RESTORE_COPIED, "restore.copied")   /* a file of the backup is in place */             \
    X(CRASH_RESTORE_SETTLED, "restore.settled") /* the store opens and knows that it is older */   \
    X(CRASH_RESTORE_PLACED, "restore.placed")   /* the database is in place */

#define CRASH_POINTS(X)                                                                            \
    CRASH_STORE_POINTS(X)                                                                          \
    CRASH_TASK_POINTS(X)                                                                           \
    CRASH_LIFECYCLE_POINTS(X)                                                                      \
    CRASH_MEND_POINTS(X)                                                                           \
    CRASH_NODE_POINTS(X)                                                                           \
    CRASH_SCHEDULE_POINTS(X)                                                                       \
    CRASH_BACKUP_POINTS(X)

enum crash_point {
#define X(point, name) point,
    CRASH_POINTS(X)
#undef X
        CRASH_POINT_COUNT
};
#define CRASH_STORE_POINT_COUNT CRASH_TASK_RECORDED /* the first that is not the store's */

extern _Atomic int crash_armed; /* the armed point; -1 when none */

#define CRASH_POINT(point)                                                                         \
    do {                                                                                           \
        if (atomic_load_explicit(&crash_armed, memory_order_relaxed) == (int)(point))              \
            crash_pass();                                                                          \
    } while (0)

/* Reads STRAIT_CRASH; unset disarms. ERR_CONFIG on an unknown name or count. */
enum err_code crash_arm(struct err *err);
const char *crash_name(enum crash_point point);
/* Counts one passage of the armed point; the last one does not return. */
void crash_pass(void);

#endif
