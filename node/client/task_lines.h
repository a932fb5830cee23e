/* Tasks as lines of a terminal: one for each, and one for its error, none wider than the screen.
 *
 *     TASK                             STATE   SNAPSHOT    PROGRESS
 *     0d0c6c8b1ab8c1a3ff7ad0b1a2c3d4e5 RUNNING demo.sales  pulling: 12.3 MB of 45.0 MB, 3 of 10 files, 5.2 MB/s, 6 s left
 *     77aa6c8b1ab8c1a3ff7ad0b1a2c3d4e5 FAILED  demo.sales2 8.0 MB of 45.0 MB, 1 of 10 files, in 9 s
 *       ODPS-0110062: Object not found - no snapshot demo.sales2
 *     and 126 more
 *
 * The id is whole, for `strait cancel`, or not there: on a screen of less than TASK_ID_COLUMNS_MIN columns. Progress says
 * less where it has less room (progress_format_within). Those that run come first, the one that began first before the
 * others, then those in line, then those that have ended, the last one first.
 */
#ifndef NODE_CLIENT_TASK_LINES_H
#define NODE_CLIENT_TASK_LINES_H

#include "node/client/terminal.h"
#include "proto/operator.h"

#define TASK_ID_COLUMNS_MIN 80

struct task_screen {
    size_t columns;
    size_t lines;       /* at most so many; 0: as many as there are */
    struct span notice; /* a first line, cut to the width; empty: none */
};

/* Puts the tasks into the order above, and appends the lines, each with its end. */
void task_lines_format(const struct operator_task **tasks, size_t count,
                       const struct task_screen *screen, struct bytes *out);

#endif
