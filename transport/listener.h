/* The serving end: takes connections, answers handshakes, hands requests out, sends replies.
 *
 *     accept -> room -> 180 bytes -> mac1 -> limits -> find(key) -> 112 bytes -> first record opens ->
 * requests
 *
 * A request is handed out once, on a link worker, as a handle; whoever holds it replies exactly
 * once, from any thread, at any time later. A node has two listeners, peers and operators, each
 * with its own key look-up and its own handler.
 *
 * Which request when: on a control connection (purpose 1) every request is handed out as it comes,
 * up to LIMIT_REQUESTS_IN_FLIGHT; replies go out in order of completion. On a data connection
 * (purpose 2) one is handed out at a time, and the next only when the reply before it is sealed
 * into the send buffers: the node holds connections x one reply, whatever the asker's window.
 *
 * Where strangers are as many as may be (of an address, or in all), the one that came first and has
 * not yet shown a known key goes for the newcomer: who knows the node and is known to it needs a
 * moment, and a thousand that hold on to their places cannot keep it out.
 *
 * Invariants: 1. nothing of a connection but its 180 bytes is kept before its first record opened.
 * 2. Rights are not kept here: the session only says whose key it is. 3. A request whose deadline
 * has passed is answered ERR_TIMEOUT without being handed out.
 */
#ifndef TRANSPORT_LISTENER_H
#define TRANSPORT_LISTENER_H

#include "transport/bucket.h"
#include "transport/identity.h"
#include "transport/pool.h"

enum listener_kind { /* on the wire */
                     LISTENER_PEERS = 1,
                     LISTENER_OPERATORS = 2,
};

enum purpose { /* on the wire */
               PURPOSE_CONTROL = 1,
               PURPOSE_DATA = 2,
};

#define SESSION_ADDRESS_BYTES 64

/* From these versions of the protocol on are known: pages and versions of clustered tables; receipts with
 * totals, and watches. A node speaks with an older one as that one does, and says so where it cannot. */
#define PROTOCOL_VERSION_CLUSTERED 2
#define PROTOCOL_VERSION_TOTALS    3

/* Whose connection it is: filled once, then constant. */

struct session {
    enum listener_kind kind;
    enum purpose purpose;
    uint16_t version;                    /* of the protocol, the highest that both ends speak */
    struct noise_key key;                /* proved by the handshake */
    uint8_t boot_id[16];                 /* of the other process; not proved fresh, a hint */
    char address[SESSION_ADDRESS_BYTES]; /* for logs */
    /* what the look-up returned */
    struct identity_key identity; /* the Ed25519 key registered with `key` */
    uint64_t entry; /* the owner's number for peer or principal: connections are counted by it */
    char name[LIMIT_PRINCIPAL_BYTES + 1]; /* region or principal */
    struct bucket *bucket; /* replies' bandwidth, NULL for none; the session owns the reference */
};

struct request; /* handle of one request */
struct listener;

struct listener_handler {
    void *context;
    /* Is the key known to this listener? Fills identity, entry, name and (with a reference of its
     * own) bucket of *session, whose other fields are set. Called before the answer, on a link
     * worker: a look-up in memory, no I/O. */
    bool (*find)(void *context, const struct noise_key *key, struct session *session);
    /* Owns the handle from now on. */
    void (*on_request)(void *context, struct request *request);
};

/* 0 means the limit of proto/limits.h. */
struct listener_limits {
    uint32_t unauthenticated;             /* connections that have not proved themselves */
    uint32_t unauthenticated_per_address; /* an IPv4 address or an IPv6 /64 */
    uint32_t handshakes_per_second;
    uint32_t connections;           /* all, together */
    uint32_t connections_per_entry; /* default by kind: a peer's or a principal's */
    uint32_t requests_in_flight;
    uint32_t request_body_bytes; /* default: LIMIT_BODY_BYTES for operators, 1 MiB for peers */
};

struct listener_options {
    enum listener_kind kind;
    const char *address;             /* "host:port", "[::1]:port"; port 0 takes a free one */
    const struct identity *identity; /* borrows until listener_close */
    struct listener_limits limits;
    struct listener_handler handler;
    /* A handshake of a known key ended, for no version of the protocol is common (ERR_VERSION; err says which
     * there are). Of *session kind, key, address, name are set. The other end is told nothing, and who replays a
     * first message comes here too. On the reaper: must not block. NULL: not wanted. */
    void (*on_refused)(void *context, const struct session *session, const struct err *err);
    void *refused_context;
};

/* ERR_CONFIG: the address cannot be used (port taken, not ours, not an address). */
enum err_code listener_open(struct pool *pool, const struct listener_options *options,
                            struct listener **ret_listener, struct err *err);
/* Takes no more, closes every connection, waits until no callback runs or will run. Handles still
 * out must be replied to before (their replies go nowhere) or after: they stay valid. Not from a
 * callback. NULL is allowed. */
void listener_close(struct listener *listener);
/* The first half of it, for one whose status somebody may still ask for: of it only listener_status and
 * listener_drop_key are left, until listener_close. The same thread as listener_close. NULL is allowed. */
void listener_stop(struct listener *listener);
uint16_t listener_port(const struct listener *listener);

/* Closes every connection of the key, or of the entry, at once; first take it out of what find()
 * sees. Replies of requests in flight go nowhere. Does not wait. */
void listener_drop_key(struct listener *listener, const struct noise_key *key);
void listener_drop_entry(struct listener *listener, uint64_t entry);

struct listener_status {
    enum listener_kind kind;
    uint32_t connections; /* authenticated */
    uint32_t unauthenticated;
    uint64_t accepted;
    uint64_t refused_limit; /* closed because of a limit */
    uint64_t
        refused_handshake; /* closed in the handshake: mac1, unknown key, malformed, too slow */
    uint64_t requests;
    uint64_t received_bytes; /* sealed bytes, all connections since the start */
    uint64_t sent_bytes;
    uint64_t errors[ERR_CODE_COUNT]; /* requests that were answered with that code */
};
void listener_status(struct listener *listener, struct listener_status *ret_status);

/* One request. All spans borrow until the reply. */
const struct session *request_session(const struct request *request);
uint8_t request_method(const struct request *request);
struct span request_header(const struct request *request); /* at most LIMIT_HEADER_BYTES */
struct span request_body(const struct request *request);
/* What is left of the asker's deadline; 0 when it has passed. */
uint32_t request_deadline_left_ms(const struct request *request);
/* Sealed bytes of the request and of a reply of this size, framing included: what the asker's
 * link_reply.wire_bytes will say. */
uint64_t request_wire_bytes(const struct request *request, size_t reply_header_bytes,
                            size_t reply_body_bytes);
/* False once the asker's connection is gone: work for it may be dropped. */
bool request_alive(const struct request *request);
/* The largest body that a reply may have: what the asker's connection said. A larger one becomes
 * ERR_LIMIT. */
size_t request_reply_body_max(const struct request *request);

struct reply {
    struct span header; /* copied; at most LIMIT_HEADER_BYTES */
    /* The body is the parts one after another; the array is copied, what it points to is borrowed
     * until release. At most LIMIT_BODY_BYTES together. */
    const struct span *parts;
    size_t part_count;
    /* Called once, from any thread, when the body is no longer needed, sent or not. May be NULL. */
    void (*release)(void *context);
    void *context;
};

/* Each of these ends the handle, from any thread, and does not block. */
void request_reply(struct request *request, const struct reply *reply);
void request_reply_error(struct request *request,
                         const struct err *err); /* code and message travel */
/* Takes the memory of body (empty afterwards). */
void request_reply_bytes(struct request *request, struct span header, struct bytes *body);

#endif
