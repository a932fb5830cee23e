/* Which task of this node is pulling a file: so that several that need the same new content pull it
 * once between them.
 *
 *     claims_take -> asked for -> arrived, committed or given up -> claims_release
 *
 * A claim is an account's, like what is held: tasks of different accounts never wait for each other.
 * Pure: whoever is refused is told by the caller when something was released. Memory: a claim for
 * each file in flight or not yet committed. One thread.
 */
#ifndef NODE_TASK_CLAIMS_H
#define NODE_TASK_CLAIMS_H

#include "proto/digest.h"
#include "proto/ids.h"

struct claim;

/* Zeroed is valid and empty. */
struct claims {
    struct claim **buckets;
    size_t bucket_count, count;
};

void claims_deinit(struct claims *claims);
/* True: it is the owner's, now or before. False: another's. */
bool claims_take(struct claims *claims, struct account_id account, const struct digest *digest,
                 const void *owner);
/* Of another's or of none: false, and nothing happens. */
bool claims_release(struct claims *claims, struct account_id account, const struct digest *digest,
                    const void *owner);
/* How many there were. */
size_t claims_release_all(struct claims *claims, const void *owner);

#endif
