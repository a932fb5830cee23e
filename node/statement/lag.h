/* How far each table of which replicas are here is behind its source: of each project, what XCOPY_LAG shows (lag_view.c)
 * and what the node's metrics say (node/replica_look.h).
 *
 * The newest replica is that of the catalog that is not known to be damaged (store/damage.h). The source's newest
 * snapshot is what the source told the account that owns the project, with its last copy or trigger: another account's
 * copies do not show. Between these nobody asks: what the source made since is not known here. So a replica that is
 * behind what was told is at least so far behind, however long ago that was; one that is not is level with its source
 * only if that was told within LAG_TOLD_MS. Times of making are the source's clock's.
 */
#ifndef NODE_STATEMENT_LAG_H
#define NODE_STATEMENT_LAG_H

#include "node/statement/snapshot_walk.h"

#define LAG_TOLD_MS (UINT64_C(26) * 3600 * 1000) /* a daily copy, and two hours for it */

struct lag {
    struct span region, project, name; /* of the source's table */
    struct table_id table;             /* the source's */
    struct table_id replica_id;        /* the newest replica here, */
    struct span replica, creator;      /* its name, and who made it */
    uint64_t replicas, damaged;        /* how many; of which so many are damaged */
    bool is_whole;                     /* the newest replica; false: all are damaged */
    uint64_t made_ms, replicated_ms;   /* of the newest: there, here */
    uint64_t newest_ms, told_ms;       /* the source's newest, as it said then; 0: it never said */
};

/* Seconds that the newest replica is older than what the source told of: its lag, if that is known. */
uint64_t lag_seconds(const struct lag *lag);
/* False: it may be level with its source or not, or no replica is whole. now_ms: since 1970. */
bool lag_is_known(const struct lag *lag, uint64_t now_ms);

/* project: here. Borrows for the call. */
typedef enum err_code on_lag(void *context, const struct project_record *project,
                             const struct lag *lag, struct err *err);
struct lag_ask {
    struct store *store;
    const struct principal *principal; /* NULL: of all replicas */
    const atomic_bool *cancel;         /* or NULL */
    on_lag *callback;
    void *context;
};
/* Unordered within a project. ERR_LIMIT: a project has replicas of too many tables. */
enum err_code lag_each(const struct lag_ask *ask, struct err *err) MUST_USE;

#endif
