/* The source's count of each lease that is alive: in memory, written with the commits of the lease.
 *
 *     grant: meters_begin, meters_put -> served: meters_add ... settle: meters_settle, meters_put
 *         -> receipt, drop: meters_put -> dropped: meters_end
 *
 * What is counted between two commits is lost with the process; the destination's `settle` brings it
 * back. Repairs and looks (EXPLAIN) are not counted: they have no entry, and every call is fine then.
 * Threads: any; one lock, a leaf.
 */
#ifndef NODE_TASK_METERS_H
#define NODE_TASK_METERS_H

#include "node/task/meter.h"

struct meters;

struct meters *meters_new(void);
void meters_free(struct meters *meters); /* NULL is fine */

/* Copies. Goes on where the lease's record stands if there is one. */
enum err_code meters_begin(struct meters *meters, struct store *store,
                           const struct meter_record *record, struct err *err) MUST_USE;
/* After a restart: the lease's record; none: not counted. */
enum err_code meters_load(struct meters *meters, struct store *store, const struct lease_id *lease,
                          struct err *err) MUST_USE;
void meters_add(struct meters *meters, const struct lease_id *lease,
                const struct meter_counts *served);
/* What the destination counted; *ret_settle: what both have counted then. False: there is no entry. */
bool meters_settle(struct meters *meters, const struct peer_settle *settle,
                   struct peer_settle *ret_settle);
/* Adds the record to a change. DONE: the receipt is here. FAILED: the lease goes, and unless it is
 * DONE or CANCELLED its task has failed. RUNNING: neither. */
void meters_put(struct meters *meters, const struct lease_id *lease, enum task_state state,
                struct catalog_change *change);
void meters_end(struct meters *meters, const struct lease_id *lease);

#endif
