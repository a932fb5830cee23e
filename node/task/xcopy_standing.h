/* At the destination a right, a key or a project may have gone: every task is asked about again, at once,
 * whatever it waits for. The source's counterpart: xcopy_recheck.h.
 *
 *     standing_request ──► loop: tasks that have not ended ──► worker: rights of each ──► loop: pull_withdraw
 *           └ while one runs: once more after it
 *
 * The start, each commit and the publish ask as well; this is for a task whose peer is away, or that has
 * not begun. Invariants: 1. One runs at a time. 2. What changed before standing_request is seen by a look
 * at rights that begins after it. 3. A publish asks for itself: one that is under way is not stopped.
 * Threads: standing_request from any; the rights on a worker, the rest on the loop.
 */
#ifndef NODE_TASK_XCOPY_STANDING_H
#define NODE_TASK_XCOPY_STANDING_H

#include "node/task/xcopy_list.h"
#include "node/task/xcopy_pull.h"

struct standing {
    const struct tasks_options *options; /* borrowed */
    struct pull_list *list;              /* borrowed */
    atomic_bool wanted;
    bool running; /* the loop's, as the timer */
    struct loop_timer timer;
    /* whoever's turn it is */
    struct standing_task *asked; /* owned */
    size_t count;
};

void standing_init(struct standing *standing, const struct tasks_options *options,
                   struct pull_list *list);
void standing_deinit(struct standing *standing); /* after workers and loop have stopped */
void standing_request(struct standing *standing);

#endif
