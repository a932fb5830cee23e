/* What a watch is told at the source (PEER_WATCH): the snapshots that were made of one table since one that
 * the asker knows, as far as the token's signer may read them. Rights of watches live here; that
 * a request waits does not (peer_watches.h).
 *
 * Threads: any; reads the catalog. Rights are asked at each look, so what went while a request
 * waited is not told.
 */
#ifndef NODE_TASK_WATCH_LOOK_H
#define NODE_TASK_WATCH_LOOK_H

#include "node/task/xcopy_rights.h"
#include "proto/peer.h"

/* *ret_watched: in the arena; without snapshots: nothing new, ask again later.
 * ERR_NOT_FOUND is one answer for whoever may not know of the table, be it there or not, be the signer
 * nobody here, of another account, or the token revoked: it is kept for the end of the wait.
 * ERR_BAD_DATA, ERR_DENIED: of the token itself, whatever there is; ERR_GATE, ERR_CREDENTIALS (in time):
 * to those who may know of it. */
enum err_code watch_look(const struct xcopy_rights *rights, const struct peer_watch *watch,
                         const struct identity_key *peer, struct arena *arena,
                         struct peer_watched *ret_watched, struct err *err) MUST_USE;

#endif
