/* What the log tells of known peers and clients that speak no version of the protocol that this node does: at their
 * end such a connection is closed without a byte, as a stranger's is.
 *
 * One line at once, then at most one in VERSION_REFUSED_EVERY_MS, with how many it speaks for: who dials, dials again.
 * Any thread.
 */
#ifndef NODE_VERSION_REFUSALS_H
#define NODE_VERSION_REFUSALS_H

#include <stdatomic.h>

#include "transport/listener.h"

#define VERSION_REFUSED_EVERY_MS 10000

/* Zeroed: there were none. */
struct version_refusals {
    atomic_uint_least64_t due_ms; /* the next line; loop_now_ms() */
    atomic_uint_least64_t untold;
};

/* context: struct version_refusals *. For listener_options. */
void version_refused(void *context, const struct session *session, const struct err *err);
/* False: counted, to be told of later. Else *ret_others were refused since the last line. */
bool version_refusals_take(struct version_refusals *refusals, uint64_t now_ms,
                           uint64_t *ret_others);

#endif
