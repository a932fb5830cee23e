/* What SIGTERM, SIGINT and SIGHUP do to a node. A thread waits for them from the process' first moment to its last, so that
 * none is lost and none waits for what the main thread does.
 *
 *     signals_start   the node starts: SIGTERM and SIGINT end the process at once
 *     signals_running the node runs
 *     signals_next    SIGHUP, any number of times; then SIGTERM or SIGINT: the main thread stops the node. A stop that
 *                     takes longer than STOP_SECONDS_MAX is left as it is, and the process ends with STOP_STATUS_LATE
 *
 * The store is made for being ended at any moment. No signal's default action is relied on: for the first process of a
 * container there is none.
 * Threads: all of this from the main thread, each call once but for signals_next.
 */
#ifndef NODE_SIGNALS_H
#define NODE_SIGNALS_H

#include "proto/err.h"

#define STOP_SECONDS_MAX 10
#define STOP_STATUS_LATE 3

/* Before any other thread: those started later inherit the mask. ERR_NO_MEMORY: no thread can be made. */
enum err_code signals_start(struct err *err) MUST_USE;
/* From now on SIGTERM and SIGINT are signals_next's. */
void signals_running(void);
/* Waits. SIGTERM or SIGINT: time runs until the process has to have ended. */
int signals_next(void);

/* Instead of all that, for what is no node (--fsck): SIGTERM and SIGINT end the process in a container, too. */
void signals_end_at_once(void);

#endif
