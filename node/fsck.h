/* `straitd --fsck`: checks a store whose node is not running, and says what is wrong with it.
 *
 * Every root that the catalog names is walked, every page decoded, every column file read and hashed, sums compared.
 * Nothing is repaired and no content is written (opening drops what an ended process left unfinished, as a start does).
 */
#ifndef NODE_FSCK_H
#define NODE_FSCK_H

#include "node/config.h"

/* One line a fault and a closing line with counts to `out`. ERR_CORRUPT when there are faults; ERR_LOCKED while the node
 * runs. */
enum err_code node_fsck(const struct config *config, FILE *out, struct err *err);

#endif
