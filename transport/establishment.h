/* How a connection comes about: one attempt, at either end, with one time limit over all of it.
 *
 *     initiator: dial -> send 180 -> receive 112 -> established
 *     responder: receive 180 -> mac1 -> owner's limits -> key -> owner admits -> send 112 -> established
 *
 * A responder that refuses says nothing: its end closes the stream.
 * Memory: counted references, one of them the caller's; until it has ended it costs what it holds
 * here: 180 bytes, a descriptor and no buffer.
 * Threads: an actor (pool.h). on_end runs on the reaper, admit on a link worker.
 */
#ifndef TRANSPORT_ESTABLISHMENT_H
#define TRANSPORT_ESTABLISHMENT_H

#include "transport/handshake.h"
#include "transport/stream.h"

struct establishment;

struct established {
    struct stream *stream; /* nothing under way; the receiver of this owns it, and the keys */
    struct session_keys *keys;
    struct handshake_hello hello;     /* responder: what the other said */
    struct handshake_welcome welcome; /* initiator: likewise */
};

struct establishment_owner {
    /* Responder: may this handshake be computed at all (limits)? After mac1, so that who does not
     * even know the node's key cannot use up what others need; before all that is dear. */
    bool (*permit)(void *context);
    /* Responder: the key has proved nothing yet, but is it known? Fills the welcome but for its
     * version. */
    bool (*admit)(void *context, const struct noise_key *peer,
                  struct handshake_welcome *ret_welcome);
    /* Once. established is NULL when it failed; err says why: ERR_UNREACHABLE or ERR_CONFIG (dialling), ERR_LOST
     * (the other end closed it without a byte), ERR_TIMEOUT, ERR_PEER, ERR_PEER_KEY, ERR_VERSION,
     * ERR_CANCELLED. */
    void (*on_end)(void *context, struct established *established, const struct err *err);
};

struct establishment_dial {
    const char *address; /* copied */
    const struct identity *identity;
    struct noise_key peer;
    enum suite suite;
    enum listener_kind kind;
    struct handshake_hello hello;
};

/* Neither does anything before establishment_start, so that the owner can note it first.
 * establishment_unref what they return. */
struct establishment *establishment_dial(struct pool *pool, const struct establishment_dial *dial,
                                         const struct establishment_owner *owner, void *context);
/* Takes the stream. */
struct establishment *establishment_accept(struct pool *pool, struct stream *stream,
                                           const struct identity *identity, enum listener_kind kind,
                                           const struct establishment_owner *owner, void *context);
void establishment_start(struct establishment *establishment);
/* on_end comes soon with ERR_CANCELLED, unless it came or is on its way. */
void establishment_abort(struct establishment *establishment);
struct establishment *establishment_ref(struct establishment *establishment);
void establishment_unref(struct establishment *establishment);

#endif
