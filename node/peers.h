/* The other regions' nodes: their keys, and one link to each.
 *
 * Links dial when they are asked for something. A peer's former keys (after it changed its key) are
 * kept to tell "another key than before" apart from "not our peer"; they open no connection.
 *
 *     peers_new ► peers_follow, as often as the configuration is read again ► peers_close ► peers_free
 *
 * A peer has its place, its region, link and buckets until peers_free: whoever has a pointer to it may go on asking.
 * One that is configured no more is found by nobody, and its link ends each request with ERR_UNREACHABLE; when its
 * region is configured again, it is the same peer.
 *
 * Threads: any; one lock for readers and a writer, a leaf, guards the list and what is marked as the lock's; the
 * rest, this node's own keys too, never changes but for what is the loop's. Closing waits for the links' callbacks.
 */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include <pthread.h>

#include "node/config.h"
#include "node/task/window.h"
#include "transport/link.h"

struct peer {
    char region[LIMIT_REGION_BYTES + 1];
    size_t place;               /* in peers_at */
    struct link *link;          /* to its listener of peers */
    struct bucket *bucket;      /* of the channel from it to us */
    struct bucket *send_bucket; /* of the channel from us to it: what it asks us for */
    pthread_rwlock_t *lock;     /* of peers */
    /* the lock's */
    bool configured;
    struct config_peer config; /* owned */
    struct public_identity keys;
    struct public_identity *former_keys; /* config.former_keys.count */
    /* the loop's */
    struct window window; /* what its pulls ask for together, and over how many connections */
    size_t pulls;         /* that run */
    uint64_t limit;       /* bytes a second that its channel may carry; 0: not known yet */
};

struct peers;

/* ERR_CONFIG: a key or address that is malformed, or a key given twice (`own` included), as a former one of somebody
 * else too. */
enum err_code peers_check(const struct config_peer *configs, size_t count,
                          const struct public_identity *own, struct err *err);
/* As peers_check. Nothing of the configuration is kept. */
enum err_code peers_new(const struct config *config, struct pool *pool,
                        const struct identity *identity, struct peers **ret_peers, struct err *err);
/* First half of stopping: no more callbacks after it. */
void peers_close(struct peers *peers);
void peers_free(struct peers *peers); /* closes too; NULL is fine */

enum peer_change { PEER_ADDED, PEER_CHANGED, PEER_REMOVED };
typedef void peers_on_change(void *context, enum peer_change change, struct peer *peer);
/* These are the peers from now on, which peers_check has found good: each that is new, is another's link or
 * has other former keys, and each that is none any more, is told (to on_change, without the lock). Links of those
 * whose addresses or key changed lead there. A key that opens no connection any more is told to on_key_drop. One
 * at a time, before peers_close; not on a link worker. */
struct peers_follow_options {
    const struct config *config;
    peers_on_change *on_change;
    void (*on_key_drop)(void *context, const struct noise_key *key);
    void *context;
};
enum err_code peers_follow(struct peers *peers, const struct peers_follow_options *options,
                           struct err *err);

/* All places, with those of peers that are configured no more. They only become more. */
size_t peers_places(const struct peers *peers);
struct peer *peers_at(const struct peers *peers, size_t place);
/* Those that are configured; owned (mem_free). */
struct peer **peers_list(const struct peers *peers, size_t *ret_count);
bool peer_configured(const struct peer *peer);
struct public_identity peer_keys(const struct peer *peer);
bool peer_key_is_former(const struct peer *peer, const struct identity_key *key);
/* Its addresses with a space between them, appended. */
void peer_addresses(const struct peer *peer, struct bytes *out);

/* Those that are configured. NULL: unknown. */
struct peer *peers_find_region(const struct peers *peers, struct span region);
struct peer *peers_find_noise(const struct peers *peers, const struct noise_key *key);
struct peer *peers_find_signer(const struct peers *peers, const struct identity_key *key);
/* Whose snapshot or receipt it is, by the key that it has or had; NULL: nobody's. */
struct peer *peers_find_maker(const struct peers *peers, const struct identity_key *key);
/* Keys that this node had (former_keys of its configuration): what it signed with them is its own. They open
 * no connection, and nobody may register them. */
size_t peers_own_former_count(const struct peers *peers);
const struct public_identity *peers_own_former_at(const struct peers *peers, size_t i);
/* Has it now, or had it. */
bool peers_key_is_own(const struct peers *peers, const struct identity_key *key);
/* ERR_PARAMETER "region x is none of the peers configured here (a, b)", or that there are none. */
enum err_code peers_unknown(const struct peers *peers, struct span region, struct err *err);

#endif
