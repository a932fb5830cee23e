/* `straitd --restore DIR`: a node's store from a backup (strait backup), in a data_dir that is empty.
 *
 *     DIR/files ──copied, every digest checked──► data_dir/restoring/db
 *                                                      │ opened; told that it is older than what others know:
 *                                                      │   ids go on far behind (store/restored.h), schedules
 *                                                      ▼   are paused, an entry of the audit log says so
 *     data_dir/db  ◄───────────one rename──────── data_dir/restoring/db
 *
 * Until the rename there is no store in data_dir: ended before, it is begun again by the same command. After it
 * the node starts as after a crash at the moment of the cut.
 * Not here: which tokens are refused after it (node/task/token_use.c).
 * Threads: one, and the node does not run.
 */
#ifndef NODE_RESTORE_H
#define NODE_RESTORE_H

#include <stdio.h>

#include "node/config.h"

/* Says on `out` what it did. ERR_CONFIG: data_dir is not empty, the backup is of another region or node, or the
 * clock is behind it;
 * ERR_CORRUPT names the damaged file; ERR_NO_SPACE; ERR_LOCKED. */
enum err_code node_restore(const struct config *config, const char *dir, FILE *out,
                           struct err *err) MUST_USE;

#endif
