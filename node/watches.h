/* Operators that watch tasks: a request is held until something changed or its time is over.
 *
 * What a watcher has seen is a number over all it was shown; while any watch is open one worker
 * looks every WATCH_LOOK_MS. Threads: watches_add from any worker; looking happens on a worker, the
 * timer is the loop's.
 */
#ifndef NODE_WATCHES_H
#define NODE_WATCHES_H

#include "node/task/xcopy_destination.h"
#include "proto/operator.h"
#include "transport/listener.h"

#define WATCH_LOOK_MS 200
#define WATCHES_MAX   256

struct watches;

enum err_code watches_new(struct tasks *tasks, struct loop *loop, struct workers *workers,
                          struct watches **ret_watches, struct err *err);
/* First half of stopping: answers all. */
void watches_stop(struct watches *watches);
void watches_free(struct watches *watches); /* after the workers; NULL is fine */

/* Takes the request and replies, at the latest after query->wait_ms. */
void watches_add(struct watches *watches, const struct principal *principal,
                 const struct operator_task_query *query, struct request *request);

/* What the tasks that the principal may see look like now, for `tasks` and for watches; the arena holds it. */
enum err_code tasks_snapshot(struct tasks *tasks, const struct principal *principal,
                             const struct operator_task_query *query, struct arena *arena,
                             struct operator_tasks *ret_tasks, struct err *err);

#endif
