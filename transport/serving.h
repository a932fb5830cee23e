/* The serving end of one connection: requests out to the handler, replies back in.
 *
 * The functions on struct request of listener.h are here too. Who may connect is listener.c's.
 * Threads: the role's callbacks run in the connection's step; request_* on any thread.
 * Memory: counted references: the creator's, the connection's life, every request's. A request
 * keeps the connection's memory, not the connection.
 */
#ifndef TRANSPORT_SERVING_H
#define TRANSPORT_SERVING_H

#include "transport/connection.h"
#include "transport/listener.h"

struct serving;

struct serving_owner {
    void *context;
    /* The first record opened: is there room? */
    enum err_code (*on_proved)(void *context, struct err *err);
    /* On the reaper, once; the handler gets nothing after it. */
    void (*on_end)(void *context, const struct err *err);
};

struct serving_options {
    struct pool *pool;
    const struct established *established; /* taken: stream and keys */
    struct session session;                /* taken: the reference to the bucket */
    struct listener_handler handler;
    struct serving_owner owner;
    uint32_t requests_in_flight;
    uint32_t request_body_bytes;
    struct traffic *traffic;   /* borrowed until on_end, as the next */
    atomic_ullong *requests;   /* handed out, counted here */
    struct err_counts *errors; /* those that were the answer, once it is on its way */
};

struct serving *serving_new(const struct serving_options *options);
void serving_start(struct serving *serving);
void serving_close(struct serving *serving, const struct err *err);
struct serving *serving_ref(struct serving *serving);
void serving_unref(struct serving *serving);

#endif
