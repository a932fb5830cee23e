/* Lifecycles, once a day: what is over goes (store/lifecycle.h says what that is).
 *
 *     expiry.c, while the clock is believed ─► lifecycle_run ─► each table in its turn, one commit each
 *
 * A round is due a day after the last one; when that was is kept in the store (`meta` "lifecycle"), so a
 * node that is started often looks no more often, and one that was down for days looks at once. A round
 * that was cut off by the node's end is begun again and finds less to do. What fails is logged by table
 * and tried again with a round after LIFECYCLE_AGAIN_MS.
 *
 * Threads: any; two at once do no harm (each commit expects what it read). Blocks on the store and on
 * tables' turns.
 */
#ifndef NODE_LIFECYCLE_H
#define NODE_LIFECYCLE_H

#include "store/store.h"

#define LIFECYCLE_ROUND_MS (UINT64_C(24) * 3600 * 1000)
#define LIFECYCLE_AGAIN_MS (UINT64_C(3600) * 1000)

/* A round, if one is due. now_ms: the wall clock, believed. */
enum err_code lifecycle_run(struct store *store, uint64_t now_ms, struct err *err) MUST_USE;

#endif
