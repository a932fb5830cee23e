/* Every snapshot that a principal may describe, project by project: what views of snapshots and of replicas are made of.
 *
 *     project a: snapshot, snapshot, project_end · project b: snapshot, project_end · ...
 *
 * Projects that the principal may not enter are passed over, and so are snapshots that it may not describe or that
 * are dropped meanwhile. What is shown of a snapshot is the caller's. Threads: any; reads the catalog, no lock.
 */
#ifndef NODE_STATEMENT_SNAPSHOT_WALK_H
#define NODE_STATEMENT_SNAPSHOT_WALK_H

#include <stdatomic.h>

#include "node/authorise.h"
#include "store/snapshot.h"

/* Records borrow for the call. */
typedef enum err_code on_walked_snapshot(void *context, const struct project_record *project,
                                         const struct snapshot_record *snapshot, struct err *err);
typedef enum err_code on_walked_project(void *context, const struct project_record *project,
                                        struct err *err);

struct snapshot_walk { /* borrows all */
    struct store *store;
    const struct principal *principal; /* NULL: the node itself, which sees all */
    const atomic_bool *cancel;         /* or NULL */
    on_walked_snapshot *snapshot;
    on_walked_project *project_end; /* or NULL */
    void *context;
};

/* Stops at the first error: a callback's, ERR_CANCELLED, the catalog's. */
enum err_code snapshot_walk(const struct snapshot_walk *walk, struct err *err) MUST_USE;

#endif
