#include "transport/connection.h"

#include <pthread.h>

#include "transport/record.h"

#define HEADROOM    (KIB(64) + 64) /* before what is received: the start of a record cut in two */
#define IN_BYTES    KIB(512)
#define OUT_RECORDS 8
#define OUT_BYTES   (OUT_RECORDS * (size_t)RECORD_BYTES_MAX)
/* Under a bandwidth limit what is sent, or received, at once takes at most this long; or, sent, it is
 * a record. What all connections of the limit have received, each waits for before it reads on. */
#define SEND_SLICE_US    50000
#define RECEIVE_SLICE_US 20000
#define TIME_NEVER       UINT64_MAX
_Static_assert(HEADROOM >= RECORD_BYTES_MAX, "a partial record fits before the next bytes");

struct inbox {
    uint8_t *base; /* HEADROOM, then IN_BYTES */
    size_t begin;  /* the step's: where the unread part begins */
    size_t end;
    bool filled;
};

struct outbox {
    uint8_t *data; /* OUT_BYTES, from its first use */
    size_t bytes;
    uint64_t ticket; /* of the bandwidth that it takes */
    bool ready;
    bool granted; /* the ticket's turn has come */
};

struct connection {
    struct actor actor;
    const struct connection_role *role;
    void *context;
    struct connection_options options;
    struct stream *stream;
    struct session_keys *keys;
    atomic_int refs;
    uint32_t silence_ms;

    pthread_mutex_t lock; /* shared with the stream's events: */
    bool closing;
    struct err close_err;
    struct inbox in[2]; /* end and filled */
    unsigned in_arm;    /* filled next */
    bool receiving;
    bool receive_paused;
    enum err_code receive_code;
    struct outbox out[2]; /* ready and granted, and all of one that is both */
    unsigned out_send;    /* sent next */
    bool sending;
    enum err_code send_code;

    /* the step's: */
    struct err err;
    unsigned in_read; /* read next */
    unsigned out_fill;
    uint64_t now_us;
    uint64_t opened_us;
    uint64_t received_us; /* when something last came, or could not because of us */
    uint64_t sent_us;     /* when something was last sealed */
    uint64_t resume_us;   /* receive_paused until then at least */
    uint64_t receive_ticket;
    uint64_t carried_bytes;
    bool proved;
    bool held; /* whole records wait because the role may not receive */
    bool message_open;
    struct head head;
    struct sink sink;
    uint64_t message_at;   /* bytes of header and body that came */
    uint64_t message_left; /* and that are to come */
    struct outgoing *outgoing;
    bool ping_wanted;
    bool ping_out; /* unanswered */
    uint64_t ping_id;
    uint64_t ping_sent_us;
    bool pong_due;
    uint64_t pong_id;
    uint8_t signal_head[ENVELOPE_HEAD_BYTES];
    struct span signal_part;
    struct outgoing signal; /* a ping or a pong */
    atomic_uint round_trip_us;
};

/* --- events of the stream --- */

/* So little that the wait for it is short: a connection that does not read answers no ping. */
static size_t receive_bytes_max(const struct connection *c)
{
    if (c->options.receive_bucket == NULL)
        return IN_BYTES;
    uint64_t bytes = bucket_rate(c->options.receive_bucket) / 8 * RECEIVE_SLICE_US / 1000000;
    return bytes < IN_BYTES ? (size_t)bytes : IN_BYTES;
}

static void on_received(void *context, enum err_code code, size_t bytes)
{
    struct connection *c = context;
    struct inbox *next = NULL;
    pthread_mutex_lock(&c->lock);
    c->receiving = false;
    if (code != ERR_OK) {
        c->receive_code = code;
    } else {
        c->in[c->in_arm].end = HEADROOM + bytes;
        c->in[c->in_arm].filled = true;
        c->in_arm ^= 1;
        if (!c->receive_paused && !c->in[c->in_arm].filled) {
            next = &c->in[c->in_arm];
            c->receiving = true;
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (next != NULL)
        stream_receive(c->stream, next->base + HEADROOM, receive_bytes_max(c), c->silence_ms);
    actor_poke(&c->actor);
}

/* The box to send now, marked as being sent, or NULL. */
static struct outbox *send_next_locked(struct connection *c)
{
    struct outbox *box = &c->out[c->out_send];
    if (c->sending || !box->ready || !box->granted || c->send_code != ERR_OK)
        return NULL;
    c->sending = true;
    return box;
}

static void on_sent(void *context, enum err_code code)
{
    struct connection *c = context;
    pthread_mutex_lock(&c->lock);
    c->sending = false;
    c->send_code = code;
    c->out[c->out_send].ready = false;
    c->out_send ^= 1;
    struct outbox *next = send_next_locked(c);
    pthread_mutex_unlock(&c->lock);
    if (next != NULL)
        stream_send(c->stream, span_of(next->data, next->bytes), c->silence_ms);
    actor_poke(&c->actor);
}

static const struct stream_events stream_events = {on_received, on_sent};

/* --- receiving --- */

static enum err_code signal_take(struct connection *c, struct err *err)
{
    if (c->message_left != 0)
        return err_set(err, ERR_PEER, "a ping with a body");
    if (c->head.kind == ENVELOPE_PING) {
        c->pong_due = true;
        c->pong_id = c->head.request_id;
    } else if (c->ping_out && c->head.request_id == c->ping_id) {
        c->ping_out = false;
        atomic_store(&c->round_trip_us, (unsigned)(c->now_us - c->ping_sent_us));
    }
    return ERR_OK;
}

/* Plain bytes that did not go straight to the sink. */
static void sink_copy(struct connection *c, struct span plain)
{
    size_t header_left =
        c->message_at < c->head.header_bytes ? (size_t)(c->head.header_bytes - c->message_at) : 0;
    size_t to_header = plain.len < header_left ? plain.len : header_left;
    size_t to_body = plain.len - to_header;
    if (to_header > 0 && c->sink.header != NULL)
        memcpy(c->sink.header + c->message_at, plain.data, to_header);
    if (to_body > 0 && c->sink.body != NULL)
        memcpy(c->sink.body + (c->message_at + to_header - c->head.header_bytes),
               plain.data + to_header, to_body);
}

static enum err_code message_moved(struct connection *c, size_t plain_bytes, struct err *err)
{
    c->message_at += plain_bytes;
    c->message_left -= plain_bytes;
    if (c->message_left > 0)
        return ERR_OK;
    c->message_open = false;
    return c->role->on_message(c->context, err);
}

/* The first record of a message; opened where it lies. */
static enum err_code message_begin(struct connection *c, struct span sealed, uint8_t *place,
                                   struct err *err)
{
    size_t plain_bytes = sealed.len - SEAL_TAG_BYTES;
    if (!seal_decrypt(&c->keys->receive, sealed, place))
        return err_set(err, ERR_PEER, "a record does not open");
    if (!c->proved) {
        c->proved = true;
        if (c->role->on_proved != NULL)
            TRY(c->role->on_proved(c->context, err));
    }
    struct span plain = span_of(place, plain_bytes);
    TRY(head_decode(plain, c->options.body_bytes_max, &c->head, err));
    uint64_t total =
        ENVELOPE_HEAD_BYTES + (uint64_t)c->head.header_bytes + (uint64_t)c->head.body_bytes;
    if (plain_bytes != record_plain_next(total))
        return err_set(err, ERR_PEER, "a record of %zu bytes begins a message of %" PRIu64,
                       plain_bytes, total);
    c->message_at = 0;
    c->message_left = total - ENVELOPE_HEAD_BYTES;
    if (c->head.kind == ENVELOPE_PING || c->head.kind == ENVELOPE_PONG)
        return signal_take(c, err);
    c->sink = (struct sink){0};
    TRY(c->role->on_head(c->context, &c->head, &c->sink, err));
    c->message_open = true;
    plain = span_slice(plain, ENVELOPE_HEAD_BYTES, plain_bytes - ENVELOPE_HEAD_BYTES);
    sink_copy(c, plain);
    return message_moved(c, plain.len, err);
}

/* Where a record may be opened to directly: all of it header, or all of it body; else NULL. */
static uint8_t *sink_place(const struct connection *c, size_t plain_bytes)
{
    if (c->message_at >= c->head.header_bytes)
        return c->sink.body == NULL ? NULL : c->sink.body + (c->message_at - c->head.header_bytes);
    if (c->message_at + plain_bytes <= c->head.header_bytes && c->sink.header != NULL)
        return c->sink.header + c->message_at;
    return NULL;
}

static enum err_code record_take(struct connection *c, struct span sealed, uint8_t *place,
                                 struct err *err)
{
    size_t plain_bytes = sealed.len - SEAL_TAG_BYTES;
    if (!c->message_open)
        return message_begin(c, sealed, place, err);
    if (plain_bytes != record_plain_next(c->message_left))
        return err_set(err, ERR_PEER, "a record of %zu bytes where %zu belong", plain_bytes,
                       record_plain_next(c->message_left));
    uint8_t *direct = sink_place(c, plain_bytes);
    if (!seal_decrypt(&c->keys->receive, sealed, direct ? direct : place))
        return err_set(err, ERR_PEER, "a record does not open");
    if (direct == NULL)
        sink_copy(c, span_of(place, plain_bytes));
    return message_moved(c, plain_bytes, err);
}

/* Takes the whole records of a box; the start of a cut one goes before the other box's bytes. */
static enum err_code inbox_take(struct connection *c, struct inbox *box, struct inbox *other,
                                struct err *err)
{
    for (;;) {
        struct span sealed;
        size_t bytes;
        enum record_state state =
            record_find(span_of(box->base + box->begin, box->end - box->begin), &sealed, &bytes);
        if (state == RECORD_BAD)
            return err_set(err, ERR_PEER, "a record of a length that no record has");
        if (state == RECORD_PARTIAL)
            break;
        if (!c->message_open && !c->role->may_receive(c->context)) {
            c->held = true;
            return ERR_OK;
        }
        TRY(record_take(c, sealed, box->base + box->begin + RECORD_HEAD_BYTES, err));
        box->begin += bytes;
    }
    size_t rest = box->end - box->begin;
    ASSERT(rest < RECORD_BYTES_MAX);
    other->begin = HEADROOM - rest;
    memcpy(other->base + other->begin, box->base + box->begin, rest);
    return ERR_OK;
}

/* Whether it is not yet time to read on; says when to look again. */
static bool receive_waits(struct connection *c)
{
    uint64_t wait_us = bucket_wait_us(c->options.receive_bucket, c->receive_ticket, c->now_us);
    c->resume_us = c->now_us + wait_us;
    return wait_us > 0;
}

static void receive_pause(struct connection *c, size_t bytes)
{
    c->receive_ticket = bucket_take(c->options.receive_bucket, bytes, c->now_us);
    if (!receive_waits(c))
        return;
    pthread_mutex_lock(&c->lock);
    c->receive_paused = true;
    pthread_mutex_unlock(&c->lock);
}

static void receive_arm(struct connection *c)
{
    bool look = c->now_us >= c->resume_us;
    bool waits = look && receive_waits(c);
    pthread_mutex_lock(&c->lock);
    if (look && !waits)
        c->receive_paused = false;
    struct inbox *box = &c->in[c->in_arm];
    bool arm = !c->receiving && !c->receive_paused && !box->filled && c->receive_code == ERR_OK;
    if (arm)
        c->receiving = true;
    pthread_mutex_unlock(&c->lock);
    if (arm)
        stream_receive(c->stream, box->base + HEADROOM, receive_bytes_max(c), c->silence_ms);
}

static void count_received(struct connection *c, size_t bytes)
{
    c->received_us = c->now_us;
    c->carried_bytes += bytes;
    atomic_fetch_add_explicit(&c->options.traffic->received_bytes, bytes, memory_order_relaxed);
}

static enum err_code receive_step(struct connection *c, struct err *err)
{
    for (;;) {
        struct inbox *box = &c->in[c->in_read];
        pthread_mutex_lock(&c->lock);
        bool filled = box->filled;
        enum err_code code = c->receive_code;
        pthread_mutex_unlock(&c->lock);
        if (!filled && code != ERR_OK)
            return err_set(err, ERR_LOST,
                           code == ERR_TIMEOUT ? "nothing came for too long"
                                               : "the other end closed");
        if (!filled)
            break;
        if (!c->held)
            count_received(c, box->end - HEADROOM);
        c->held = false;
        TRY(inbox_take(c, box, &c->in[c->in_read ^ 1], err));
        if (c->held && code != ERR_OK)
            return err_set(err, ERR_LOST, "the other end closed");
        if (c->held)
            return ERR_OK; /* counted already; comes again when the role pokes */
        receive_pause(c, box->end - HEADROOM);
        pthread_mutex_lock(&c->lock);
        box->filled = false;
        pthread_mutex_unlock(&c->lock);
        c->in_read ^= 1;
        receive_arm(c);
    }
    receive_arm(c);
    return ERR_OK;
}

/* --- sending --- */

void outgoing_init(struct outgoing *outgoing, const struct span *parts, size_t part_count)
{
    *outgoing = (struct outgoing){.parts = parts, .part_count = part_count};
    for (size_t i = 0; i < part_count; i++)
        outgoing->left += parts[i].len;
}

/* The next `bytes` of it in one piece: where they lie, or gathered at `gather`. */
static struct span outgoing_take(struct outgoing *outgoing, size_t bytes, uint8_t *gather)
{
    size_t got = 0;
    while (got < bytes) {
        struct span part = outgoing->parts[outgoing->part];
        size_t there = part.len - outgoing->offset;
        size_t take = bytes - got < there ? bytes - got : there;
        const uint8_t *from = part.data + outgoing->offset;
        outgoing->offset += take;
        outgoing->left -= take;
        if (got == 0 && take == bytes)
            return span_of(from, bytes);
        if (take > 0)
            memcpy(gather + got, from, take);
        got += take;
        if (outgoing->offset == part.len) {
            outgoing->part++;
            outgoing->offset = 0;
        }
    }
    return span_of(gather, bytes);
}

static struct outgoing *signal_make(struct connection *c, enum envelope_kind kind, uint64_t id)
{
    head_encode(&(struct head){.kind = kind, .request_id = id}, c->signal_head);
    c->signal_part = span_of(c->signal_head, sizeof(c->signal_head));
    outgoing_init(&c->signal, &c->signal_part, 1);
    return &c->signal;
}

static struct outgoing *outgoing_next(struct connection *c)
{
    if (c->pong_due) {
        c->pong_due = false;
        return signal_make(c, ENVELOPE_PONG, c->pong_id);
    }
    if (c->ping_wanted) {
        c->ping_wanted = false;
        c->ping_out = true;
        c->ping_sent_us = c->now_us;
        return signal_make(c, ENVELOPE_PING, ++c->ping_id);
    }
    return c->role->next_outgoing(c->context);
}

static void outgoing_sealed(struct connection *c)
{
    struct outgoing *outgoing = c->outgoing;
    c->outgoing = NULL;
    if (outgoing != &c->signal)
        c->role->on_sealed(c->context, outgoing);
}

/* Bytes that a batch may have: under a narrow limit less than fits, but a record. */
static size_t batch_bytes_max(const struct connection *c)
{
    if (c->options.send_bucket == NULL)
        return OUT_BYTES;
    uint64_t bytes = bucket_rate(c->options.send_bucket) / 8 * SEND_SLICE_US / 1000000;
    if (bytes < RECORD_BYTES_MAX)
        return RECORD_BYTES_MAX;
    return bytes < OUT_BYTES ? (size_t)bytes : OUT_BYTES;
}

static size_t batch_fill(struct connection *c, uint8_t *data)
{
    size_t bytes_max = batch_bytes_max(c);
    size_t bytes = 0;
    for (;;) {
        if (c->outgoing == NULL)
            c->outgoing = outgoing_next(c);
        if (c->outgoing == NULL)
            return bytes;
        size_t plain_bytes = record_plain_next(c->outgoing->left);
        if (bytes + plain_bytes + RECORD_OVERHEAD > bytes_max)
            return bytes;
        uint8_t *record = data + bytes;
        struct span plain = outgoing_take(c->outgoing, plain_bytes, record + RECORD_HEAD_BYTES);
        bytes += record_seal(&c->keys->send, plain, record);
        if (c->outgoing->left == 0)
            outgoing_sealed(c);
    }
}

/* Looks whether a box's turn has come; when to look again, at the latest. */
static uint64_t box_look(struct connection *c, struct outbox *box)
{
    pthread_mutex_lock(&c->lock);
    bool waits = box->ready && !box->granted;
    pthread_mutex_unlock(&c->lock);
    if (!waits)
        return TIME_NEVER;
    uint64_t wait_us = bucket_wait_us(c->options.send_bucket, box->ticket, c->now_us);
    if (wait_us > 0)
        return c->now_us + wait_us;
    pthread_mutex_lock(&c->lock);
    box->granted = true;
    pthread_mutex_unlock(&c->lock);
    return TIME_NEVER;
}

/* Hands what is ready to the stream; when it is not yet time, comes again. */
static void send_start(struct connection *c)
{
    uint64_t due_us[2] = {box_look(c, &c->out[0]), box_look(c, &c->out[1])};
    pthread_mutex_lock(&c->lock);
    struct outbox *box = send_next_locked(c);
    pthread_mutex_unlock(&c->lock);
    if (box != NULL)
        stream_send(c->stream, span_of(box->data, box->bytes), c->silence_ms);
    for (int i = 0; i < 2; i++)
        if (due_us[i] != TIME_NEVER)
            actor_wake_at(&c->actor, due_us[i]);
}

static enum err_code send_step(struct connection *c, struct err *err)
{
    for (;;) {
        struct outbox *box = &c->out[c->out_fill];
        pthread_mutex_lock(&c->lock);
        bool busy = box->ready;
        enum err_code code = c->send_code;
        pthread_mutex_unlock(&c->lock);
        if (code != ERR_OK)
            return err_set(err, ERR_LOST,
                           code == ERR_TIMEOUT ? "the other end stopped reading"
                                               : "the other end closed");
        if (busy)
            break;
        if (box->data == NULL)
            box->data = mem_alloc(OUT_BYTES);
        size_t bytes = batch_fill(c, box->data);
        if (bytes == 0)
            break;
        c->sent_us = c->now_us;
        c->carried_bytes += bytes;
        atomic_fetch_add_explicit(&c->options.traffic->sent_bytes, bytes, memory_order_relaxed);
        box->ticket = bucket_take(c->options.send_bucket, bytes, c->now_us);
        pthread_mutex_lock(&c->lock);
        box->bytes = bytes;
        box->granted = false;
        box->ready = true;
        pthread_mutex_unlock(&c->lock);
        c->out_fill ^= 1;
        send_start(c);
    }
    send_start(c);
    return ERR_OK;
}

/* --- time --- */

/* The other end's ping may lie behind megabytes that are read slowly, or not yet: while a message
 * comes in, or waits to, a pong of no ping says in time that we are here. */
static void pong_unasked(struct connection *c, bool waits, uint64_t *due_us)
{
    uint64_t after_us = (uint64_t)pool_options(c->actor.pool)->ping_after_ms * 1000;
    if (!waits && !c->message_open)
        return;
    if (!c->pong_due && c->now_us >= c->sent_us + after_us) {
        c->pong_due = true;
        c->pong_id = 0; /* pings count from 1 */
    }
    uint64_t next_us = (c->pong_due ? c->now_us : c->sent_us) + after_us;
    if (next_us < *due_us)
        *due_us = next_us;
}

static enum err_code time_step(struct connection *c, struct err *err)
{
    const struct pool_options *times = pool_options(c->actor.pool);
    uint64_t due_us = TIME_NEVER;
    TRY(c->role->on_time(c->context, c->now_us, &due_us, err));
    pthread_mutex_lock(&c->lock);
    bool paused = c->receive_paused;
    pthread_mutex_unlock(&c->lock);
    if (paused || c->held)
        c->received_us = c->now_us; /* it is we who do not listen */
    uint64_t silent_us = c->received_us + (uint64_t)times->silence_max_ms * 1000;
    uint64_t ping_us = c->received_us + (uint64_t)times->ping_after_ms * 1000;
    if (c->now_us >= silent_us)
        return err_set(err, ERR_LOST, "nothing came for %" PRIu32 " s",
                       times->silence_max_ms / 1000);
    if (!c->ping_out && c->now_us >= ping_us)
        c->ping_wanted = true;
    if (paused && c->resume_us < due_us)
        due_us = c->resume_us;
    pong_unasked(c, paused || c->held, &due_us);
    uint64_t quiet_us = c->ping_out || c->ping_wanted ? silent_us : ping_us;
    if (quiet_us < due_us)
        due_us = quiet_us;
    actor_wake_at(&c->actor, due_us);
    return ERR_OK;
}

/* --- life --- */

static bool connection_step(struct actor *actor)
{
    struct connection *c = (struct connection *)actor;
    pthread_mutex_lock(&c->lock);
    bool closing = c->closing;
    if (closing)
        c->err = c->close_err;
    pthread_mutex_unlock(&c->lock);
    if (closing)
        return true;
    c->now_us = pool_now_us();
    return receive_step(c, &c->err) != ERR_OK || time_step(c, &c->err) != ERR_OK ||
           send_step(c, &c->err) != ERR_OK;
}

static void connection_finish(struct actor *actor)
{
    struct connection *c = (struct connection *)actor;
    stream_free(c->stream); /* no event comes after this */
    session_keys_free(c->keys);
    for (int i = 0; i < 2; i++) {
        mem_free(c->in[i].base);
        mem_free(c->out[i].data);
    }
    bucket_unref(c->options.send_bucket);
    bucket_unref(c->options.receive_bucket);
    c->role->on_end(c->context, &c->err);
    connection_unref(c);
}

struct connection *connection_new(struct pool *pool, const struct established *established,
                                  const struct connection_options *options,
                                  const struct connection_role *role, void *context)
{
    struct connection *c = mem_calloc(1, sizeof(*c));
    actor_init(&c->actor, pool, connection_step, connection_finish);
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->refs, 2); /* the creator's and its own */
    atomic_init(&c->round_trip_us, 0);
    c->role = role;
    c->context = context;
    c->options = *options;
    bucket_ref(c->options.send_bucket);
    bucket_ref(c->options.receive_bucket);
    c->stream = established->stream;
    c->keys = established->keys;
    stream_attach(c->stream, &stream_events, c);
    c->silence_ms = pool_options(pool)->silence_max_ms;
    c->ping_wanted = options->greets;
    c->opened_us = c->received_us = c->sent_us = c->now_us = pool_now_us();
    for (int i = 0; i < 2; i++) {
        c->in[i].base = mem_alloc(HEADROOM + IN_BYTES);
        c->in[i].begin = HEADROOM;
    }
    return c;
}

void connection_start(struct connection *connection)
{
    actor_poke(&connection->actor); /* the step arms; the first ping goes out with it */
}

bool connection_has_memory(struct connection *connection)
{
    return actor_has_memory(&connection->actor);
}

void connection_poke(struct connection *connection)
{
    actor_poke(&connection->actor);
}

void connection_close(struct connection *connection, const struct err *err)
{
    pthread_mutex_lock(&connection->lock);
    if (!connection->closing) {
        connection->closing = true;
        connection->close_err = *err;
    }
    pthread_mutex_unlock(&connection->lock);
    actor_poke(&connection->actor);
}

struct connection *connection_ref(struct connection *connection)
{
    atomic_fetch_add(&connection->refs, 1);
    return connection;
}

void connection_unref(struct connection *connection)
{
    if (connection == NULL || atomic_fetch_sub(&connection->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&connection->lock);
    mem_free(connection);
}

bool connection_worn(struct connection *connection, uint64_t now_us, unsigned percent)
{
    const struct pool_options *options = pool_options(connection->actor.pool);
    return now_us - connection->opened_us >= (uint64_t)options->connection_life_ms * 10 * percent ||
           connection->carried_bytes >= options->connection_life_bytes / 100 * percent;
}

void connection_drop_message(struct connection *connection)
{
    connection->sink = (struct sink){0};
}

uint32_t connection_round_trip_us(struct connection *connection)
{
    return atomic_load(&connection->round_trip_us);
}
