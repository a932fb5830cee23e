/* The other regions' nodes: their keys, and one link to each.
 *
 * Links dial when they are asked for something. A peer's former keys (after it changed its key) are
 * kept to tell "another key than before" apart from "not our peer"; they open no connection.
 *
 * Threads: any; but for what is marked as the loop's, the table is never changed once filled. Closing waits for the links' callbacks.
 */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "node/config.h"
#include "node/task/window.h"
#include "transport/link.h"

struct peer {
    char region[LIMIT_REGION_BYTES + 1];
    struct public_identity keys;
    struct public_identity *former_keys;
    size_t former_key_count;
    struct link *link;          /* to its listener of peers */
    struct bucket *bucket;      /* of the channel from it to us */
    struct bucket *send_bucket; /* of the channel from us to it: what it asks us for */
    const struct config_peer *config;
    /* the loop's */
    struct window window; /* what its pulls ask for together, and over how many connections */
    size_t pulls;         /* that run */
    uint64_t limit;       /* bytes a second that its channel may carry; 0: not known yet */
};

struct peers;

/* ERR_CONFIG: a key or address that is malformed, or a key given twice (own_keys included). */
enum err_code peers_new(const struct config *config, struct pool *pool,
                        const struct identity *identity, struct peers **ret_peers, struct err *err);
/* First half of stopping: no more callbacks after it. */
void peers_close(struct peers *peers);
void peers_free(struct peers *peers); /* closes too; NULL is fine */

size_t peers_count(const struct peers *peers);
struct peer *peers_at(const struct peers *peers, size_t i);
/* NULL: unknown. */
struct peer *peers_find_region(const struct peers *peers, struct span region);
/* ERR_PARAMETER "region x is none of the peers configured here (a, b)". */
enum err_code peers_unknown(const struct peers *peers, struct span region, struct err *err);
struct peer *peers_find_noise(const struct peers *peers, const struct noise_key *key);
struct peer *peers_find_signer(const struct peers *peers, const struct identity_key *key);
bool peer_key_is_former(const struct peer *peer, const struct identity_key *key);

#endif
