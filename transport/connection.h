/* One sealed connection after its establishment: messages in, messages out, pings, silence.
 *
 *     stream -> two receive buffers -> records opened, straight to where the role wants them
 *     role's messages -> records sealed into two send buffers -> stream
 *
 * What a message means is its role's business: the link's (asks) or the listener's (serves).
 *
 * Invariants: 1. nothing is allocated for a message before its head was checked. 2. Records of a
 * message have the one right length each. 3. A message is opened only while the role may receive, so
 * that the buffers fill up and TCP pushes back. 4. Any breach ends the connection.
 * Threads: an actor (pool.h): all callbacks of a role run in its step, one at a time, on_end on the
 * reaper after the last of them. Events of the stream note, re-arm and poke.
 * Memory: counted references, one of them the creator's.
 */
#ifndef TRANSPORT_CONNECTION_H
#define TRANSPORT_CONNECTION_H

#include "transport/envelope.h"
#include "transport/establishment.h"

struct connection;

/* Where the rest of a message goes; NULL drops it. */
struct sink {
    uint8_t *header; /* head.header_bytes */
    uint8_t *body;   /* head.body_bytes */
};

/* A message on its way out. The first part is the head and the header, the others the body; none is
 * empty but the last ones. Parts are borrowed until on_sealed, or on_end. */
struct outgoing {
    const struct span *parts;
    size_t part_count;
    uint64_t left; /* bytes; all of them at first */
    size_t part;   /* the place in the parts */
    size_t offset;
};

struct connection_role {
    /* The first record opened: the other end is who it says. May be NULL. */
    enum err_code (*on_proved)(void *context, struct err *err);
    /* May another message be taken? Poke the connection when it may again. */
    bool (*may_receive)(void *context);
    /* A request or a reply begins: checks it, says where it goes. */
    enum err_code (*on_head)(void *context, const struct head *head, struct sink *ret_sink,
                             struct err *err);
    /* All of it is there. */
    enum err_code (*on_message)(void *context, struct err *err);
    /* The next message to send, or NULL; poke the connection when there is one. */
    struct outgoing *(*next_outgoing)(void *context);
    /* The last record of it is sealed: its memory is no longer needed. */
    void (*on_sealed)(void *context, struct outgoing *outgoing);
    /* At every step; an error ends the connection. Steps come at *ret_due_us at the latest. */
    enum err_code (*on_time)(void *context, uint64_t now_us, uint64_t *ret_due_us, struct err *err);
    /* It is over, for this reason; nothing else is called afterwards. */
    void (*on_end)(void *context, const struct err *err);
};

struct traffic {
    atomic_ullong sent_bytes;
    atomic_ullong received_bytes;
};

struct connection_options {
    size_t body_bytes_max;         /* of what comes in */
    struct bucket *send_bucket;    /* takes a reference; or NULL */
    struct bucket *receive_bucket; /* likewise */
    bool greets; /* with a ping: the initiator, so that its first record comes at once */
    struct traffic *traffic; /* counted here too; borrowed until on_end */
};

/* Takes stream and keys of the established. */
struct connection *connection_new(struct pool *pool, const struct established *established,
                                  const struct connection_options *options,
                                  const struct connection_role *role, void *context);
/* Callbacks may come from now on. */
void connection_start(struct connection *connection);
/* In a step: whether a further body may come (pool.h); if not, the connection is poked in time. */
bool connection_has_memory(struct connection *connection);
void connection_poke(struct connection *connection);
/* Ends it soon, from any thread; the first reason counts. */
void connection_close(struct connection *connection, const struct err *err);
struct connection *connection_ref(struct connection *connection);
void connection_unref(struct connection *connection); /* NULL is allowed */

/* Has it lived its hour, or carried its bytes? At `percent` of either. For the role's callbacks. */
bool connection_worn(struct connection *connection, uint64_t now_us, unsigned percent);
/* For the role's callbacks: the rest of the message that is coming in has no place any more. */
void connection_drop_message(struct connection *connection);
uint32_t connection_round_trip_us(struct connection *connection); /* 0: not known yet */

void outgoing_init(struct outgoing *outgoing, const struct span *parts, size_t part_count);

#endif
