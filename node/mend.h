/* `straitd --mend`: takes up a store whose database does not open for damaged files that can be fetched
 * again (store/mend.h), when its node is not running. The repairs of the running node do the rest. */
#ifndef NODE_MEND_H
#define NODE_MEND_H

#include <stdio.h>

#include "node/config.h"

/* Says on `out` what it sets aside, before it does, and what is to be done then. ERR_CORRUPT: what is
 * damaged has no second copy, and all is as before; ERR_LOCKED while the node runs. */
enum err_code node_mend(const struct config *config, FILE *out, struct err *err) MUST_USE;

#endif
