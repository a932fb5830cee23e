/* Named places where a test may end the process as kill -9 would.
 *
 *     CRASH_POINT(CRASH_PACK_SYNCED);
 *
 * Compiled in always; costs one relaxed load. Armed by STRAIT_CRASH=name[:nth] (the nth passage,
 * 1 if not given) when crash_arm() is called, which store_open() does. The list is an X-macro so
 * that tests walk over all of them; other layers add their points here.
 * Threads: any.
 */
#ifndef STORE_CRASH_H
#define STORE_CRASH_H

#include <stdatomic.h>

#include "proto/err.h"

/* X(point, name). In the order of the work they stand in. */
#define CRASH_POINTS(X)                                                                            \
    X(CRASH_STORE_CREATED, "store.created")         /* database made, marker file not yet */       \
    X(CRASH_PACK_RESERVED, "pack.reserved")         /* id reserved, file not begun */              \
    X(CRASH_PACK_APPENDED, "pack.appended")         /* a column file went into an open pack */     \
    X(CRASH_PACK_SYNCED, "pack.synced")             /* pack file whole and synced */               \
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
    X(CRASH_PACK_DYING, "pack.dying")               /* marked, file still there */                 \
    X(CRASH_PACK_DROPPED, "pack.dropped")           /* file gone, record still there */

enum crash_point {
#define X(point, name) point,
    CRASH_POINTS(X)
#undef X
        CRASH_POINT_COUNT
};

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
