/* What the log tells of an XCOPY or repair, at both ends: each event has the task's id, which is the same there and
 * here, so that one search through two logs has all of it.
 *
 *     destination   task begun ► (task waits ► task goes on) ► task ended        debug: task phase
 *     source        lease granted ► lease ended                                  debug: lease refused, lease renewed
 *
 * A task that goes on after a restart is begun anew. Not here: who asked and was refused what (xcopy_audit.h).
 * Threads: any.
 */
#ifndef NODE_TASK_XCOPY_LOG_H
#define NODE_TASK_XCOPY_LOG_H

#include "node/peers.h"
#include "node/task/task.h"

struct job;
struct pull;

/* ---- destination ---- */

void log_task_begun(const struct pull *pull);
/* After a step of its machine: what it had been doing before is `phase`, and whether it waited. */
void log_task_step(const struct pull *pull, enum task_phase phase, bool waited);
void log_task_ended(const struct job *job);

/* ---- source ---- */

/* Borrows. The subject is the lease's (xcopy_serve.h); nothing is told of one that cannot be read. */
struct lease_log {
    const struct peers *peers;
    const struct identity_key *peer;
    struct span subject;
};
void log_lease_granted(const struct lease_log *lease);
void log_lease_renewed(const struct lease_log *lease);
void log_lease_ended(const struct lease_log *lease, const char *why);
void log_lease_refused(const char *region, const struct task_id *task, const struct err *why);

#endif
