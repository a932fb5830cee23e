#include "transport/establishment.h"

#include <pthread.h>

enum place { /* what the next event means */
             PLACE_START,
             PLACE_DIALLING,
             PLACE_SEND_REQUEST, /* initiator */
             PLACE_RECEIVE_REPLY,
             PLACE_RECEIVE_REQUEST, /* responder */
             PLACE_SEND_REPLY,
             PLACE_ESTABLISHED,
             PLACE_FAILED,
};

struct establishment {
    struct actor actor;
    const struct establishment_owner *owner;
    void *context;
    const struct identity *identity;
    enum listener_kind kind;
    atomic_int refs;
    uint64_t deadline_us;
    char *address; /* initiator */

    /* the step's, and the reaper's after it */
    enum place place;
    struct handshake *handshake;
    uint8_t message[HANDSHAKE_REQUEST_BYTES];
    size_t received;
    struct establishment_dial initiator;
    struct established established;
    struct err err;

    pthread_mutex_t lock; /* the events' notes */
    bool aborted;
    bool event; /* the operation under way has ended: */
    enum err_code event_code;
    size_t event_bytes;
    struct stream *dialled;
    struct err dial_err;

    struct dial *dial; /* the step's, and the reaper's */
};

/* --- events: note and poke --- */

static void event_note(struct establishment *e, enum err_code code, size_t bytes)
{
    pthread_mutex_lock(&e->lock);
    e->event = true;
    e->event_code = code;
    e->event_bytes = bytes;
    pthread_mutex_unlock(&e->lock);
    actor_poke(&e->actor);
}

static void on_received(void *context, enum err_code code, size_t bytes)
{
    event_note(context, code, bytes);
}

static void on_sent(void *context, enum err_code code)
{
    event_note(context, code, 0);
}

static const struct stream_events stream_events = {on_received, on_sent};

static void on_dialled(void *context, struct stream *stream, const struct err *err)
{
    struct establishment *e = context;
    pthread_mutex_lock(&e->lock);
    e->dialled = stream;
    e->dial_err = *err;
    pthread_mutex_unlock(&e->lock);
    event_note(e, stream != NULL ? ERR_OK : ERR_UNREACHABLE, 0);
}

/* --- the step --- */

static uint32_t time_left_ms(const struct establishment *e)
{
    uint64_t now_us = pool_now_us();
    return now_us >= e->deadline_us ? 1 : (uint32_t)((e->deadline_us - now_us) / 1000) + 1;
}

static void receive_more(struct establishment *e, size_t wanted)
{
    stream_receive(e->established.stream, e->message + e->received, wanted - e->received,
                   time_left_ms(e));
}

static void send_message(struct establishment *e, enum place place, size_t bytes)
{
    e->place = place;
    stream_send(e->established.stream, span_of(e->message, bytes), time_left_ms(e));
}

/* Initiator: the stream is there. */
static enum err_code request_send(struct establishment *e)
{
    pthread_mutex_lock(&e->lock);
    e->established.stream = e->dialled;
    e->dialled = NULL;
    pthread_mutex_unlock(&e->lock);
    stream_attach(e->established.stream, &stream_events, e);
    enum err_code code = handshake_begin(e->identity, &e->initiator.peer, e->initiator.suite,
                                         e->kind, &e->initiator.hello, e->message, &e->handshake);
    if (code != ERR_OK)
        return err_set(&e->err, code, "the peer's configured key cannot be a key");
    send_message(e, PLACE_SEND_REQUEST, HANDSHAKE_REQUEST_BYTES);
    return ERR_OK;
}

/* Responder: 180 bytes are here. */
static enum err_code request_answer(struct establishment *e)
{
    struct span message = span_of(e->message, HANDSHAKE_REQUEST_BYTES);
    struct noise_key peer;
    struct handshake_welcome welcome = {0};
    TRY(handshake_check(e->identity, e->kind, message, &e->err));
    if (!e->owner->permit(e->context))
        return err_set(&e->err, ERR_LIMIT, "too many handshakes a second");
    TRY(handshake_read(e->identity, e->kind, message, &peer, &e->handshake, &e->err));
    if (!e->owner->admit(e->context, &peer, &welcome))
        return err_set(&e->err, ERR_DENIED, "handshake: the key is not known, or at its limit");
    TRY(handshake_accept(e->handshake, message, &e->established.hello, &e->err));
    welcome.version = handshake_version(&e->established.hello);
    TRY(handshake_answer(e->handshake, &welcome, e->message, &e->established.keys, &e->err));
    send_message(e, PLACE_SEND_REPLY, HANDSHAKE_REPLY_BYTES);
    return ERR_OK;
}

/* Bytes came; goes on when there are `wanted`. */
static bool received_all(struct establishment *e, size_t wanted, size_t bytes)
{
    e->received += bytes;
    if (e->received < wanted) {
        receive_more(e, wanted);
        return false;
    }
    return true;
}

static enum err_code reply_read(struct establishment *e)
{
    TRY(handshake_end(e->handshake, span_of(e->message, HANDSHAKE_REPLY_BYTES),
                      &e->established.welcome, &e->established.keys, &e->err));
    e->place = PLACE_ESTABLISHED;
    return ERR_OK;
}

static enum err_code start(struct establishment *e)
{
    if (e->address == NULL) {
        e->place = PLACE_RECEIVE_REQUEST;
        stream_attach(e->established.stream, &stream_events, e);
        receive_more(e, HANDSHAKE_REQUEST_BYTES);
        return ERR_OK;
    }
    e->place = PLACE_DIALLING;
    return dial_start(e->address, time_left_ms(e), on_dialled, e, &e->dial, &e->err);
}

static enum err_code event_failed(struct establishment *e, enum err_code code)
{
    if (e->place == PLACE_DIALLING) {
        pthread_mutex_lock(&e->lock);
        e->err = e->dial_err;
        pthread_mutex_unlock(&e->lock);
        return code;
    }
    if (code == ERR_TIMEOUT)
        return err_set(&e->err, code, "the handshake took too long");
    return err_set(
        &e->err, code,
        "the other end closed the handshake without an answer: it does not know our key, "
        "is at a limit, or speaks no protocol of %u to %u (its log says so)",
        PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
}

static enum err_code event_take(struct establishment *e, enum err_code code, size_t bytes)
{
    if (code != ERR_OK)
        return event_failed(e, code);
    switch (e->place) {
    case PLACE_DIALLING:
        return request_send(e);
    case PLACE_SEND_REQUEST:
        e->place = PLACE_RECEIVE_REPLY;
        receive_more(e, HANDSHAKE_REPLY_BYTES);
        return ERR_OK;
    case PLACE_RECEIVE_REPLY:
        return received_all(e, HANDSHAKE_REPLY_BYTES, bytes) ? reply_read(e) : ERR_OK;
    case PLACE_RECEIVE_REQUEST:
        return received_all(e, HANDSHAKE_REQUEST_BYTES, bytes) ? request_answer(e) : ERR_OK;
    case PLACE_SEND_REPLY:
        e->place = PLACE_ESTABLISHED;
        return ERR_OK;
    case PLACE_START:
    case PLACE_ESTABLISHED:
    case PLACE_FAILED:
        break;
    }
    return ERR_OK;
}

static bool establishment_step(struct actor *actor)
{
    struct establishment *e = (struct establishment *)actor;
    pthread_mutex_lock(&e->lock);
    bool aborted = e->aborted;
    bool event = e->event;
    enum err_code code = e->event_code;
    size_t bytes = e->event_bytes;
    e->event = false;
    pthread_mutex_unlock(&e->lock);

    enum err_code failed = ERR_OK;
    if (aborted)
        failed = err_set(&e->err, ERR_CANCELLED, "the connection is no longer wanted");
    else if (e->place == PLACE_START)
        failed = start(e);
    else if (event)
        failed = event_take(e, code, bytes);
    if (failed == ERR_OK && e->place != PLACE_ESTABLISHED && pool_now_us() >= e->deadline_us)
        failed = err_set(&e->err, ERR_TIMEOUT, "the handshake took too long");
    if (failed != ERR_OK)
        e->place = PLACE_FAILED;
    return e->place == PLACE_FAILED || e->place == PLACE_ESTABLISHED;
}

static void establishment_finish(struct actor *actor)
{
    struct establishment *e = (struct establishment *)actor;
    bool ok = e->place == PLACE_ESTABLISHED;
    if (e->dial != NULL)
        dial_free(e->dial); /* its event has come afterwards, if it was still out */
    if (!ok) {
        stream_free(e->dialled);
        stream_free(e->established.stream);
        session_keys_free(e->established.keys);
        e->established = (struct established){0};
    }
    e->owner->on_end(e->context, ok ? &e->established : NULL, &e->err);
    establishment_unref(e);
}

/* --- life --- */

static struct establishment *establishment_new(struct pool *pool, const struct identity *identity,
                                               enum listener_kind kind,
                                               const struct establishment_owner *owner,
                                               void *context)
{
    struct establishment *e = mem_calloc(1, sizeof(*e));
    actor_init(&e->actor, pool, establishment_step, establishment_finish);
    pthread_mutex_init(&e->lock, NULL);
    atomic_init(&e->refs, 2); /* the caller's and its own */
    e->identity = identity;
    e->kind = kind;
    e->owner = owner;
    e->context = context;
    e->deadline_us = pool_now_us() + (uint64_t)pool_options(pool)->handshake_timeout_ms * 1000;
    return e;
}

struct establishment *establishment_dial(struct pool *pool, const struct establishment_dial *dial,
                                         const struct establishment_owner *owner, void *context)
{
    struct establishment *e = establishment_new(pool, dial->identity, dial->kind, owner, context);
    e->address = mem_strdup(dial->address);
    e->initiator = *dial;
    e->initiator.address = e->address;
    return e;
}

struct establishment *establishment_accept(struct pool *pool, struct stream *stream,
                                           const struct identity *identity, enum listener_kind kind,
                                           const struct establishment_owner *owner, void *context)
{
    struct establishment *e = establishment_new(pool, identity, kind, owner, context);
    e->established.stream = stream;
    return e;
}

void establishment_start(struct establishment *e)
{
    actor_wake_at(&e->actor, e->deadline_us);
    actor_poke(&e->actor);
}

void establishment_abort(struct establishment *e)
{
    pthread_mutex_lock(&e->lock);
    e->aborted = true;
    pthread_mutex_unlock(&e->lock);
    actor_poke(&e->actor);
}

struct establishment *establishment_ref(struct establishment *e)
{
    atomic_fetch_add(&e->refs, 1);
    return e;
}

void establishment_unref(struct establishment *e)
{
    if (atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    handshake_free(e->handshake);
    sodium_memzero(e->message, sizeof(e->message));
    pthread_mutex_destroy(&e->lock);
    mem_free(e->address);
    mem_free(e);
}
