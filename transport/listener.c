#include "transport/listener.h"

#include <pthread.h>

#include "transport/limits.h"
#include "transport/serving.h"

/* A connection from its acceptance to its end; in the listener's list all that time. Freed on the
 * reaper, when its establishment failed or its serving ended. */
struct guest {
    struct listener *listener;
    struct guest *next;
    struct guest **back; /* what points to this one */
    struct stream_address address;
    struct session session; /* the bucket's reference until `serving` is there */

    /* listener's lock */
    struct establishment *establishment; /* a reference; NULL once it ended */
    struct serving *serving;             /* a reference; NULL until then */
    bool admitted;                       /* has shown a known key */
    bool evicted;                        /* no longer counted: its place was given away */
    bool proved;
    bool dropped;
};

struct listener {
    struct pool *pool;
    struct listener_options options;
    struct acceptor *acceptor;
    struct traffic traffic;
    struct err_counts errors;
    atomic_ullong requests;

    pthread_mutex_t lock; /* all below, and the marked parts of guests */
    pthread_cond_t emptied;
    bool closing;
    struct limits limits;
    struct guest *guests;
    uint64_t accepted;
    uint64_t refused_limit;
    uint64_t refused_handshake;
};

/* --- ends --- */

/* Streams that were accepted only to be closed: not in the event, on the reaper. */
struct refusal {
    struct actor actor;
    struct stream *stream;
};

static bool refusal_step(struct actor *actor)
{
    (void)actor;
    return true;
}

static void refusal_finish(struct actor *actor)
{
    struct refusal *refusal = (struct refusal *)actor;
    stream_free(refusal->stream);
    pool_leaving_end(actor->pool);
    mem_free(refusal);
}

static void stream_refuse(struct pool *pool, struct stream *stream)
{
    struct refusal *refusal = mem_calloc(1, sizeof(*refusal));
    pool_leaving_begin(pool);
    actor_init(&refusal->actor, pool, refusal_step, refusal_finish);
    refusal->stream = stream;
    actor_poke(&refusal->actor);
}

static void guest_remove(struct guest *guest)
{
    struct listener *listener = guest->listener;
    pthread_mutex_lock(&listener->lock);
    if (guest->proved)
        limits_depart(&listener->limits, guest->session.entry);
    else if (!guest->evicted)
        limits_leave(&listener->limits, guest->address.block);
    if (guest->evicted)
        pool_leaving_end(listener->pool);
    struct serving *serving = guest->serving;
    *guest->back = guest->next;
    if (guest->next != NULL)
        guest->next->back = guest->back;
    if (listener->guests == NULL)
        pthread_cond_broadcast(&listener->emptied);
    pthread_mutex_unlock(&listener->lock); /* the listener may be gone from here on */
    if (serving == NULL)
        bucket_unref(guest->session.bucket);
    serving_unref(serving);
    mem_free(guest);
}

/* --- a connection's way in --- */

static enum err_code on_proved(void *context, struct err *err)
{
    struct guest *guest = context;
    struct listener *listener = guest->listener;
    pthread_mutex_lock(&listener->lock);
    bool room = limits_prove(&listener->limits, guest->address.block, guest->session.entry);
    guest->proved = room;
    listener->refused_limit += !room;
    pthread_mutex_unlock(&listener->lock);
    return room ? ERR_OK : err_set(err, ERR_LIMIT, "too many connections of this peer");
}

static void on_serving_end(void *context, const struct err *err)
{
    (void)err;
    guest_remove(context);
}

static bool on_permit(void *context)
{
    struct guest *guest = context;
    struct listener *listener = guest->listener;
    pthread_mutex_lock(&listener->lock);
    bool permitted = limits_handshake(&listener->limits, pool_now_us());
    pthread_mutex_unlock(&listener->lock);
    return permitted;
}

static bool on_admit(void *context, const struct noise_key *peer,
                     struct handshake_welcome *ret_welcome)
{
    struct guest *guest = context;
    struct listener *listener = guest->listener;
    const struct listener_handler *handler = &listener->options.handler;
    struct session session = {.kind = listener->options.kind, .key = *peer};
    snprintf(session.address, sizeof(session.address), "%s", guest->address.text);
    /* noted before it is looked up: a key dropped from now on finds this connection */
    pthread_mutex_lock(&listener->lock);
    guest->session.key = *peer;
    pthread_mutex_unlock(&listener->lock);
    if (!handler->find(handler->context, peer, &session))
        return false;
    pthread_mutex_lock(&listener->lock);
    guest->session = session;
    bool room = !guest->evicted && limits_room(&listener->limits, session.entry);
    guest->admitted = room;
    const struct listener_limits max = listener->limits.max;
    pthread_mutex_unlock(&listener->lock);
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    ret_welcome->requests_in_flight = max.requests_in_flight;
    ret_welcome->request_bytes = max.request_body_bytes;
    ret_welcome->reply_bytes = (uint32_t)LIMIT_BODY_BYTES;
    memcpy(ret_welcome->boot_id, pool_boot_id(listener->pool), sizeof(ret_welcome->boot_id));
    ret_welcome->clock_ms = (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
    return room;
}

/* The established connection becomes a serving; NULL when it is not wanted any more. */
static struct serving *guest_serve(struct guest *guest, struct established *established)
{
    struct listener *listener = guest->listener;
    guest->session.purpose = established->hello.purpose;
    guest->session.version = handshake_version(&established->hello);
    memcpy(guest->session.boot_id, established->hello.boot_id, sizeof(guest->session.boot_id));
    struct serving_options options = {
        .pool = listener->pool,
        .established = established,
        .session = guest->session,
        .handler = listener->options.handler,
        .owner = {.context = guest, .on_proved = on_proved, .on_end = on_serving_end},
        .requests_in_flight = listener->limits.max.requests_in_flight,
        .request_body_bytes = listener->limits.max.request_body_bytes,
        .traffic = &listener->traffic,
        .requests = &listener->requests,
        .errors = &listener->errors,
    };
    struct serving *serving = serving_new(&options);
    struct serving *started = serving_ref(serving); /* the guest may go as soon as it runs */
    pthread_mutex_lock(&listener->lock);
    guest->serving = serving;
    bool unwanted = listener->closing || guest->dropped;
    pthread_mutex_unlock(&listener->lock);
    if (unwanted) {
        struct err err;
        err_set(&err, ERR_CANCELLED, "the listener closes, or the key was dropped");
        serving_close(started, &err);
    }
    serving_start(started);
    return started;
}

static void on_establishment_end(void *context, struct established *established,
                                 const struct err *err)
{
    struct guest *guest = context;
    struct listener *listener = guest->listener;
    pthread_mutex_lock(&listener->lock);
    struct establishment *establishment = guest->establishment;
    guest->establishment = NULL;
    if (established == NULL && err->code == ERR_LIMIT)
        listener->refused_limit++;
    else if (established == NULL && !guest->evicted)
        listener->refused_handshake++;
    pthread_mutex_unlock(&listener->lock);
    const struct listener_options *options = &listener->options;
    if (established == NULL && err->code == ERR_VERSION && options->on_refused != NULL)
        options->on_refused(options->refused_context, &guest->session, err);
    if (established == NULL)
        guest_remove(guest);
    else
        serving_unref(guest_serve(guest, established));
    establishment_unref(establishment);
}

static const struct establishment_owner establishment_owner = {
    .permit = on_permit,
    .admit = on_admit,
    .on_end = on_establishment_end,
};

/* The place of whoever came first and has shown nothing; NULL: they all have. Returns a reference, to
 * be aborted without the lock. */
static struct establishment *guest_evict_locked(struct listener *listener,
                                                const struct stream_address *newcomer)
{
    bool of_address = limits_address_full(&listener->limits, newcomer->block);
    struct guest *first = NULL;
    for (struct guest *guest = listener->guests; guest != NULL; guest = guest->next) {
        bool counts = guest->establishment != NULL && !guest->admitted && !guest->evicted;
        if (counts && (!of_address ||
                       memcmp(guest->address.block, newcomer->block, sizeof(newcomer->block)) == 0))
            first = guest; /* the list begins with the last */
    }
    if (first == NULL)
        return NULL;
    first->evicted = true;
    pool_leaving_begin(listener->pool);
    limits_leave(&listener->limits, first->address.block);
    return establishment_ref(first->establishment);
}

static void establishment_evict(struct establishment *establishment)
{
    if (establishment == NULL)
        return;
    establishment_abort(establishment);
    establishment_unref(establishment);
}

static void guest_accept(struct listener *listener, struct stream *stream)
{
    struct guest *guest = mem_calloc(1, sizeof(*guest));
    guest->listener = listener;
    stream_remote(stream, &guest->address);
    pthread_mutex_lock(&listener->lock);
    listener->accepted++;
    struct establishment *evicted = NULL;
    bool room = limits_arrive(&listener->limits, guest->address.block);
    if (!room) {
        listener->refused_limit++;
        evicted = guest_evict_locked(listener, &guest->address);
        room = evicted != NULL && limits_arrive(&listener->limits, guest->address.block);
    }
    if (room && listener->closing) {
        limits_leave(&listener->limits, guest->address.block);
        room = false;
    }
    pthread_mutex_unlock(&listener->lock);
    establishment_evict(evicted);
    if (!room) {
        mem_free(guest);
        stream_refuse(listener->pool, stream);
        return;
    }
    struct establishment *establishment =
        establishment_accept(listener->pool, stream, listener->options.identity,
                             listener->options.kind, &establishment_owner, guest);
    establishment_ref(establishment);
    pthread_mutex_lock(&listener->lock);
    guest->establishment = establishment;
    guest->next = listener->guests;
    guest->back = &listener->guests;
    if (guest->next != NULL)
        guest->next->back = &guest->next;
    listener->guests = guest;
    pthread_mutex_unlock(&listener->lock);
    establishment_start(establishment);
    establishment_unref(establishment);
}

static bool on_accepted(void *context, struct stream *stream)
{
    struct listener *listener = context;
    if (stream != NULL)
        guest_accept(listener, stream);
    return pool_may_accept(listener->pool);
}

/* --- closing and dropping --- */

struct farewell { /* references, taken under the lock, used without it */
    struct establishment **establishments;
    struct serving **servings;
    size_t establishment_count;
    size_t serving_count;
};

static void farewell_take_locked(struct listener *listener, struct farewell *farewell,
                                 bool (*wanted)(const struct guest *guest, const void *what),
                                 const void *what)
{
    size_t count = 0;
    for (struct guest *guest = listener->guests; guest != NULL; guest = guest->next)
        count++;
    *farewell = (struct farewell){0};
    farewell->establishments = mem_calloc(count + 1, sizeof(*farewell->establishments));
    farewell->servings = mem_calloc(count + 1, sizeof(*farewell->servings));
    for (struct guest *guest = listener->guests; guest != NULL; guest = guest->next) {
        if (!wanted(guest, what))
            continue;
        guest->dropped = true;
        if (guest->establishment != NULL)
            farewell->establishments[farewell->establishment_count++] =
                establishment_ref(guest->establishment);
        if (guest->serving != NULL)
            farewell->servings[farewell->serving_count++] = serving_ref(guest->serving);
    }
}

static void farewell_say(struct farewell *farewell, const struct err *err)
{
    for (size_t i = 0; i < farewell->establishment_count; i++) {
        establishment_abort(farewell->establishments[i]);
        establishment_unref(farewell->establishments[i]);
    }
    for (size_t i = 0; i < farewell->serving_count; i++) {
        serving_close(farewell->servings[i], err);
        serving_unref(farewell->servings[i]);
    }
    mem_free(farewell->establishments);
    mem_free(farewell->servings);
}

static bool guest_any(const struct guest *guest, const void *what)
{
    (void)guest;
    (void)what;
    return true;
}

static bool guest_has_key(const struct guest *guest, const void *what)
{
    return noise_key_equal(&guest->session.key, what);
}

static bool guest_has_entry(const struct guest *guest, const void *what)
{
    return guest->session.entry == *(const uint64_t *)what;
}

void listener_drop_key(struct listener *listener, const struct noise_key *key)
{
    struct farewell farewell;
    struct err err;
    err_set(&err, ERR_DENIED, "the key was dropped");
    pthread_mutex_lock(&listener->lock);
    farewell_take_locked(listener, &farewell, guest_has_key, key);
    pthread_mutex_unlock(&listener->lock);
    farewell_say(&farewell, &err);
}

void listener_drop_entry(struct listener *listener, uint64_t entry)
{
    struct farewell farewell;
    struct err err;
    err_set(&err, ERR_DENIED, "the peer or principal was dropped");
    pthread_mutex_lock(&listener->lock);
    farewell_take_locked(listener, &farewell, guest_has_entry, &entry);
    pthread_mutex_unlock(&listener->lock);
    farewell_say(&farewell, &err);
}

void listener_stop(struct listener *listener)
{
    if (listener == NULL || listener->acceptor == NULL)
        return;
    pthread_mutex_lock(&listener->lock);
    listener->closing = true;
    pthread_mutex_unlock(&listener->lock);
    acceptor_close(listener->acceptor); /* from here on no new guest */
    listener->acceptor = NULL;
    struct farewell farewell;
    struct err err;
    err_set(&err, ERR_CANCELLED, "the listener closes");
    pthread_mutex_lock(&listener->lock);
    farewell_take_locked(listener, &farewell, guest_any, NULL);
    pthread_mutex_unlock(&listener->lock);
    farewell_say(&farewell, &err);

    pthread_mutex_lock(&listener->lock);
    while (listener->guests != NULL)
        pthread_cond_wait(&listener->emptied, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener_stop(listener);
    limits_deinit(&listener->limits);
    pthread_cond_destroy(&listener->emptied);
    pthread_mutex_destroy(&listener->lock);
    mem_free(listener);
}

/* --- opening and looking --- */

enum err_code listener_open(struct pool *pool, const struct listener_options *options,
                            struct listener **ret_listener, struct err *err)
{
    struct listener *listener = mem_calloc(1, sizeof(*listener));
    listener->pool = pool;
    listener->options = *options;
    listener->options.address = NULL;
    limits_init(&listener->limits, &options->limits, options->kind);
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->emptied, NULL);
    enum err_code code =
        acceptor_open(options->address, on_accepted, listener, &listener->acceptor, err);
    if (code != ERR_OK) {
        limits_deinit(&listener->limits);
        pthread_cond_destroy(&listener->emptied);
        pthread_mutex_destroy(&listener->lock);
        mem_free(listener);
        return code;
    }
    *ret_listener = listener;
    return ERR_OK;
}

uint16_t listener_port(const struct listener *listener)
{
    return acceptor_port(listener->acceptor);
}

void listener_status(struct listener *listener, struct listener_status *ret_status)
{
    struct listener_status status = {
        .kind = listener->options.kind,
        .requests = atomic_load(&listener->requests),
        .received_bytes = atomic_load(&listener->traffic.received_bytes),
        .sent_bytes = atomic_load(&listener->traffic.sent_bytes),
    };
    for (size_t i = 0; i < ERR_CODE_COUNT; i++)
        status.errors[i] = atomic_load_explicit(&listener->errors.of[i], memory_order_relaxed);
    pthread_mutex_lock(&listener->lock);
    status.connections = listener->limits.connections;
    status.unauthenticated = listener->limits.unauthenticated;
    status.accepted = listener->accepted;
    status.refused_limit = listener->refused_limit;
    status.refused_handshake = listener->refused_handshake;
    pthread_mutex_unlock(&listener->lock);
    *ret_status = status;
}
