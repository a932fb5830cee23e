/* How many tasks of each peer there are and were, and with which errors they failed: for metrics. What ended is counted
 * since the start, and goes on counting when the list forgets it; the listed ones are counted when somebody asks.
 *
 * Threads: any; a look at each listed task takes its lock for a moment.
 */
#ifndef NODE_TASK_XCOPY_FIGURES_H
#define NODE_TASK_XCOPY_FIGURES_H

#include "node/task/xcopy_destination.h"
#include "node/task/xcopy_list.h"

struct figures;

struct figures *figures_new(void);
void figures_free(struct figures *figures); /* NULL is fine */

/* Once a task, by its final state. */
void figures_ended(struct figures *figures, const struct pull *pull,
                   const struct task_status *status);
/* tasks_by_peer. */
void figures_by_peer(struct figures *figures, struct pull_list *list,
                     struct tasks_of_peer ret_list[TASKS_PEERS_MAX + 1]);
const struct err_counts *figures_errors(const struct figures *figures);

#endif
