/* Repair: what is listed as damaged (store/damage.h) is fetched again by place from a peer that gave or
 * took a receipt for a version that names it (repair_grant.h).
 *
 *     damage -> places in snapshots -> receipts of their versions -> one pull a version and peer
 *
 * A repair is a task like an XCOPY's (xcopy_pull.h), shown by SHOW TASKS, and ends the same ways: it
 * waits for a peer out of reach, fails naming a peer that lies or has dropped the snapshot. It is not
 * recorded: the list of damage is, and the node begins it anew after a restart.
 *
 * Threads: any but the loop; blocks on the store.
 */
#ifndef NODE_TASK_REPAIR_H
#define NODE_TASK_REPAIR_H

#include "node/task/xcopy_destination.h"

#define REPAIRS_MAX     64               /* begun by one call */
#define REPAIR_PAUSE_MS (10 * 60 * 1000) /* after one that has failed */

struct repair {
    struct task_id id;
    struct digest version;
    char region[LIMIT_REGION_BYTES + 1];
};

/* Begins what there is to repair and is not under way. now: also what has failed a moment ago.
 * *ret_count: begun or under way, at most REPAIRS_MAX, in ret_list. */
enum err_code repair_begin(struct tasks *tasks, bool now, struct repair ret_list[REPAIRS_MAX],
                           size_t *ret_count, struct err *err) MUST_USE;

#endif
