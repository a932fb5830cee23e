/* The asking end: one peer, a control connection, and data connections as they are needed.
 *
 *     link_open -> link_post(request) ... on_reply(code, header, body) -> link_close
 *
 * Connections are dialled when the first request wants one and again, with growing pauses, when
 * they are lost. The peer must hold the key that the link was opened with. Nothing is sent twice by
 * the link: when a connection is lost its requests end with ERR_LOST and the caller, who knows what
 * is idempotent, asks again.
 *
 * Codes that on_reply brings beside the peer's own answer: ERR_LOST (the connection went; the peer
 * may have done it), ERR_UNREACHABLE (no address answered; nothing was sent), ERR_TIMEOUT
 * (deadline), ERR_PEER (the peer broke the protocol: the connection is closed), ERR_PEER_KEY (it
 * proved another key, or closed LINK_SILENT_CLOSES_MAX handshakes without a byte: it has another
 * key than ours of it, does not know ours, or speaks no protocol of ours), ERR_CANCELLED (link_drop, link_close).
 *
 * Threads: functions from any thread unless said otherwise; on_reply runs on a link worker or on
 * the reaper, never under a lock; it must not block and not close the link.
 */
#ifndef TRANSPORT_LINK_H
#define TRANSPORT_LINK_H

#include "transport/listener.h"

struct link;

struct link_options {
    enum listener_kind kind;      /* which listener of the peer */
    const char *const *addresses; /* "host:port"; copied; tried in turn */
    size_t address_count;
    const struct identity *identity; /* ours; borrows until link_close */
    struct noise_key peer_key;       /* the one it must prove */
    uint32_t data_connections_max;   /* 0: LINK_DATA_CONNECTIONS_DEFAULT; may be set later */
    struct bucket *bucket;           /* replies on data connections, takes a reference; or NULL */
};

/* The memory of a body that the link allocated, counted against the pool's maximum until freed. */
struct link_body;

struct link_reply {
    struct err err;     /* code ERR_OK: an answer. Else who said so: */
    bool from_peer;     /* the peer answered with this error (the message is its own) */
    struct span header; /* until the callback returns */
    struct span body;   /* in the reservation if there was one, else until the callback returns */
    /* NULL, or where the body lies: the callback may keep it by setting *kept_body to NULL; it then
     * frees it with link_body_free, before the pool. While much is kept, data connections pause. */
    struct link_body **kept_body;
    uint64_t wire_bytes; /* sealed bytes of request and reply, framing included */
};

uint8_t *link_body_data(struct link_body *body);
void link_body_free(struct link_body *body); /* any thread; NULL is allowed */

typedef void link_callback(void *context, const struct link_reply *reply);

struct link_request {
    uint8_t method;
    bool bulk;     /* over a data connection; else over the control connection */
    uint64_t flow; /* bulk: flows take turns by reply_body_bytes (turns.h); within one, in order */
    struct span header; /* copied */
    struct span body;   /* borrowed until on_reply */
    /* Memory for the reply's body, in use until on_reply. With reply_body NULL the link allocates
     * what comes when it comes, up to reply_body_bytes. A longer body is ERR_PEER. */
    uint8_t *reply_body;
    uint32_t reply_body_bytes;
    bool reply_exact; /* a successful reply of any other length is ERR_PEER */
    /* From now, at least 1: for queueing, the peer's work and the reply; one that has begun to come
     * has at least its bytes' time at LINK_REPLY_BYTES_PER_SECOND_MIN. */
    uint32_t deadline_ms;
    link_callback *on_reply;
    void *context;
};

/* Where a link leads. */
struct link_target {
    const char *const *addresses; /* "host:port"; tried in turn */
    size_t address_count;
    struct noise_key peer_key; /* the one that must be proven there */
};

/* ERR_CONFIG: no address, or not one. */
enum err_code link_target_check(const struct link_target *target, struct err *err);

/* Dials nothing yet. ERR_CONFIG: no address, or not one. */
enum err_code link_open(struct pool *pool, const struct link_options *options,
                        struct link **ret_link, struct err *err);
/* Ends every request with ERR_CANCELLED, waits until no callback runs or will run. Not from a
 * callback. NULL is allowed. */
void link_close(struct link *link);

/* Leads elsewhere from now on: connections end, what was out on them with ERR_CANCELLED; what waits goes to
 * the new target, which was checked. Without addresses nothing is dialled, and each request ends with
 * ERR_UNREACHABLE. Copies. Any thread but a callback's. */
void link_redirect(struct link *link, const struct link_target *target);

/* on_reply is called exactly once, possibly before this returns, on another thread. Requests beyond
 * what the connections take wait for their turn; beyond LIMIT_LINK_QUEUE of them: ERR_BUSY (by callback).
 */
void link_post(struct link *link, const struct link_request *request);

/* The same, waiting: on_reply and context of the request are ignored. Header and body are appended
 * copies (either may be NULL: dropped; with a reservation the body is only there). Never on a link
 * worker. Returns the reply's code. */
enum err_code link_call(struct link *link, const struct link_request *request,
                        struct bytes *ret_header, struct bytes *ret_body, struct err *err);

/* Bulk requests of the flow that wait for their turn are not sent any more and end with ERR_CANCELLED; what
 * is out is not touched. */
void link_drop(struct link *link, uint64_t flow);

void link_set_data_connections(struct link *link, uint32_t data_connections_max);
/* At most so many requests out on each of them: what is out has no turns any more. 0: what the peer takes. With 1 the
 * last idle one of several takes only requests whose reply is at most LINK_SMALL_REPLY_BYTES. */
void link_set_depth(struct link *link, uint32_t requests);
/* Dials until so many data connections are up (within their maximum), though no request wants them
 * yet: one that comes later need not wait for a handshake. No promise: an early one that cannot be
 * dialled is not tried again, tells no request and lets none wait. Idle ones end as all do. */
void link_dial_early(struct link *link, uint32_t data_connections);

struct link_status {
    bool connected;              /* the control connection is up */
    uint32_t data_connections;   /* up */
    uint32_t requests_in_flight; /* sent and queued */
    uint32_t round_trip_us;      /* last ping; 0: none yet */
    uint64_t sent_bytes;         /* sealed, since link_open */
    uint64_t received_bytes;
    uint64_t dials;
    uint64_t lost_connections;
    uint8_t boot_id[16]; /* of the peer's process; zero before the first connection */
    uint16_t version;    /* of the protocol, on the latest connection; 0 before the first */
    int64_t
        clock_difference_ms; /* peer's clock minus ours when last connected: shown, never trusted */
    struct err last_error;   /* code ERR_OK: none since the last success */
};
void link_status(struct link *link, struct link_status *ret_status);

#endif
