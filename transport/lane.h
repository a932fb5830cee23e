/* One connection of a link, and the requests that are out on it.
 *
 *     link's queue -> take -> sealed -> (the peer) -> head -> body to its place -> on_reply
 *
 * Invariants: 1. every ask is completed once. 2. An ask whose deadline passed stays outstanding as a
 * ghost, without its owner's memory, until its reply or the end: an id is answered once. 3. Nothing
 * of an asker's memory is used after its callback.
 * Threads: the role's callbacks run in the connection's step, the end on the reaper. What the link's
 * lock guards is marked.
 */
#ifndef TRANSPORT_LANE_H
#define TRANSPORT_LANE_H

#include "transport/connection.h"
#include "transport/link.h"

struct ask {
    struct ask *next;
    struct link_request request; /* header is in prefix */
    struct bytes prefix;         /* head, header */
    struct span parts[2];
    struct outgoing outgoing;
    uint64_t deadline_us;
    uint64_t turn; /* link's: turns.h */
    uint64_t id;
    bool sealed;
    bool expired; /* completes as soon as it is sealed */
    bool ghost;   /* completed; its reply is dropped */
    struct head reply;
    uint8_t *reply_header;
    struct link_body *reply_body; /* ours, when the asker reserved none */
};

struct ask *ask_new(const struct link_request *request);
/* Calls on_reply and frees. */
void ask_fail(struct ask *ask, const struct err *err);

enum lane_state {
    LANE_DIALLING,
    LANE_UP,
    LANE_DRAINING, /* takes no more */
};

struct lane;

struct lane_owner {
    /* The next ask for this lane, counted in lane->outstanding; NULL for none. */
    struct ask *(*take)(void *context, struct lane *lane);
    /* One that was taken is over. */
    void (*put)(void *context, struct lane *lane);
    /* No more asks for this lane from now on. */
    void (*drain)(void *context, struct lane *lane);
    /* On the reaper: all asks are completed; the lane's memory is the owner's. */
    void (*on_end)(void *context, struct lane *lane, const struct err *err);
};

struct lane {
    const struct lane_owner *owner;
    void *context;
    bool bulk;
    bool early;                       /* dialled before there was work for it */
    struct pool *pool;                /* constant once up */
    struct handshake_welcome welcome; /* constant once up */

    /* link's lock */
    struct lane *next;
    enum lane_state state;
    enum suite suite;
    uint32_t target; /* of the link's, which it was dialled to */
    uint32_t outstanding;
    struct establishment *establishment; /* a reference, while dialling */
    struct connection *connection;       /* a reference, afterwards */

    /* the connection's step, and the reaper after it */
    struct ask *asks; /* in order of id */
    struct ask *receiving;
    uint64_t last_id;
    uint64_t up_us;
    uint64_t used_us;
};

/* The connection is there: lane->connection is set but not started. */
void lane_connect(struct lane *lane, struct pool *pool, const struct established *established,
                  struct bucket *receive_bucket, struct traffic *traffic);
void lane_free(struct lane *lane);

#endif
