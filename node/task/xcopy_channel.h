/* PEER_CHANNEL at the source: a peer says how fast it wants to be sent to.
 *
 * It slows what the peer itself is sent, so nothing but its key is asked for it.
 * Threads: any; does not block.
 */
#ifndef NODE_TASK_XCOPY_CHANNEL_H
#define NODE_TASK_XCOPY_CHANNEL_H

#include "node/peers.h"

/* Replies. The session's entry is one more than the peer's place in peers. */
void channel_request(struct peers *peers, struct request *request);

#endif
