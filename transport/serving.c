#include "transport/serving.h"

#include "transport/record.h"

#include <pthread.h>

struct request_queue {
    struct request *first;
    struct request **last;
};

struct serving {
    struct serving_options options;
    struct connection *connection; /* a reference */
    atomic_int refs;
    uint64_t prove_by_us;
    uint32_t reply_bytes_max;

    pthread_mutex_t lock;
    bool ended;
    struct request_queue replies; /* to send, in order */

    /* the connection's step: */
    bool proved;
    uint64_t last_id;
    uint32_t in_flight; /* from the head of a request to its reply's last record */
    uint64_t in_flight_bytes;
    struct request *receiving;
    struct request *sending;
    struct request_queue waiting; /* data connections: not handed out yet */
    bool handed_out;              /* data connections: one is with the handler or on its way out */
};

struct request {
    struct request *next;
    struct serving *serving; /* a reference */
    struct head head;
    uint64_t deadline_us;
    uint8_t *content; /* header, body */
    /* the reply: */
    enum err_code status;
    struct bytes prefix; /* head, header */
    struct bytes body;   /* of request_reply_bytes */
    struct span *parts;
    void (*release)(void *context);
    void *release_context;
    struct outgoing outgoing;
};

/* --- queues and life --- */

static void queue_init(struct request_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_push(struct request_queue *queue, struct request *request)
{
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

static struct request *queue_pop(struct request_queue *queue)
{
    struct request *request = queue->first;
    if (request != NULL) {
        queue->first = request->next;
        if (queue->first == NULL)
            queue->last = &queue->first;
    }
    return request;
}

struct serving *serving_ref(struct serving *serving)
{
    atomic_fetch_add(&serving->refs, 1);
    return serving;
}

void serving_unref(struct serving *serving)
{
    if (serving == NULL || atomic_fetch_sub(&serving->refs, 1) != 1)
        return;
    connection_unref(serving->connection);
    bucket_unref(serving->options.session.bucket);
    pthread_mutex_destroy(&serving->lock);
    mem_free(serving);
}

static void reply_release(struct request *request)
{
    if (request->release != NULL)
        request->release(request->release_context);
    request->release = NULL;
}

static void request_free(struct request *request)
{
    reply_release(request);
    mem_free(request->content);
    bytes_deinit(&request->prefix);
    bytes_deinit(&request->body);
    mem_free(request->parts);
    serving_unref(request->serving);
    mem_free(request);
}

static void queue_free(struct request_queue *queue)
{
    for (struct request *request = queue_pop(queue); request != NULL; request = queue_pop(queue))
        request_free(request);
}

/* --- requests in --- */

static enum err_code on_proved(void *context, struct err *err)
{
    struct serving *serving = context;
    serving->proved = true;
    return serving->options.owner.on_proved(serving->options.owner.context, err);
}

static bool on_may_receive(void *context)
{
    struct serving *serving = context;
    return serving->in_flight < serving->options.requests_in_flight &&
           serving->in_flight_bytes <= serving->options.request_body_bytes;
}

static enum err_code on_head(void *context, const struct head *head, struct sink *ret_sink,
                             struct err *err)
{
    struct serving *serving = context;
    if (head->kind != ENVELOPE_REQUEST)
        return err_set(err, ERR_PEER, "a reply where only requests come");
    if (head->request_id <= serving->last_id)
        return err_set(err, ERR_PEER, "a request id that does not rise");
    serving->last_id = head->request_id;
    struct request *request = mem_calloc(1, sizeof(*request));
    request->serving = serving_ref(serving);
    request->head = *head;
    request->deadline_us = pool_now_us() + (uint64_t)head->deadline_ms * 1000;
    request->content = mem_alloc((size_t)head->header_bytes + head->body_bytes);
    serving->receiving = request;
    serving->in_flight++;
    serving->in_flight_bytes += head->body_bytes;
    ret_sink->header = request->content;
    ret_sink->body = request->content + head->header_bytes;
    return ERR_OK;
}

static void hand_out(struct serving *serving, struct request *request)
{
    if (pool_now_us() >= request->deadline_us) {
        struct err late;
        err_set(&late, ERR_TIMEOUT, "the request waited here past its deadline");
        request_reply_error(request, &late);
        return;
    }
    atomic_fetch_add_explicit(serving->options.requests, 1, memory_order_relaxed);
    serving->options.handler.on_request(serving->options.handler.context, request);
}

/* Data connections: the next one, when none is out. */
static void hand_out_next(struct serving *serving)
{
    if (serving->handed_out)
        return;
    struct request *request = queue_pop(&serving->waiting);
    if (request == NULL)
        return;
    serving->handed_out = true;
    hand_out(serving, request);
}

static enum err_code on_message(void *context, struct err *err)
{
    (void)err;
    struct serving *serving = context;
    struct request *request = serving->receiving;
    serving->receiving = NULL;
    if (serving->options.session.purpose == PURPOSE_CONTROL) {
        hand_out(serving, request);
    } else {
        queue_push(&serving->waiting, request);
        hand_out_next(serving);
    }
    return ERR_OK;
}

/* --- replies out --- */

static struct outgoing *on_next_outgoing(void *context)
{
    struct serving *serving = context;
    pthread_mutex_lock(&serving->lock);
    struct request *request = queue_pop(&serving->replies);
    pthread_mutex_unlock(&serving->lock);
    if (request != NULL)
        err_count(serving->options.errors, request->status);
    serving->sending = request;
    return request != NULL ? &request->outgoing : NULL;
}

static void on_sealed(void *context, struct outgoing *outgoing)
{
    struct serving *serving = context;
    struct request *request =
        (struct request *)((char *)outgoing - offsetof(struct request, outgoing));
    serving->in_flight--;
    serving->in_flight_bytes -= request->head.body_bytes;
    serving->sending = NULL;
    request_free(request);
    serving->handed_out = false;
    hand_out_next(serving);
    connection_poke(serving->connection); /* it may receive again */
}

static enum err_code on_time(void *context, uint64_t now_us, uint64_t *ret_due_us, struct err *err)
{
    struct serving *serving = context;
    if (!serving->proved) {
        *ret_due_us = serving->prove_by_us;
        if (now_us >= serving->prove_by_us)
            return err_set(err, ERR_TIMEOUT, "no record came after the handshake");
    }
    /* the asker takes a new one at 100 percent, this is for those that do not */
    if (connection_worn(serving->connection, now_us, 150))
        return err_set(err, ERR_LOST, "the connection is too old");
    return ERR_OK;
}

static void on_end(void *context, const struct err *err)
{
    struct serving *serving = context;
    struct request_queue replies;
    queue_init(&replies);
    pthread_mutex_lock(&serving->lock);
    serving->ended = true;
    struct request *request;
    while ((request = queue_pop(&serving->replies)) != NULL)
        queue_push(&replies, request);
    pthread_mutex_unlock(&serving->lock);
    queue_free(&replies);
    queue_free(&serving->waiting);
    if (serving->receiving != NULL)
        request_free(serving->receiving);
    if (serving->sending != NULL)
        request_free(serving->sending);
    serving->options.owner.on_end(serving->options.owner.context, err);
    serving_unref(serving);
}

static const struct connection_role role = {
    .on_proved = on_proved,
    .may_receive = on_may_receive,
    .on_head = on_head,
    .on_message = on_message,
    .next_outgoing = on_next_outgoing,
    .on_sealed = on_sealed,
    .on_time = on_time,
    .on_end = on_end,
};

struct serving *serving_new(const struct serving_options *options)
{
    struct serving *serving = mem_calloc(1, sizeof(*serving));
    serving->options = *options;
    pthread_mutex_init(&serving->lock, NULL);
    atomic_init(&serving->refs, 2); /* the caller's and the connection's life */
    queue_init(&serving->replies);
    queue_init(&serving->waiting);
    uint32_t timeout_ms = pool_options(options->pool)->handshake_timeout_ms;
    serving->prove_by_us = pool_now_us() + (uint64_t)timeout_ms * 1000;
    uint32_t reply_bytes_max = options->established->hello.reply_bytes_max;
    serving->reply_bytes_max =
        reply_bytes_max < LIMIT_BODY_BYTES ? reply_bytes_max : (uint32_t)LIMIT_BODY_BYTES;
    struct connection_options connection = {.body_bytes_max = options->request_body_bytes,
                                            .send_bucket = options->session.bucket,
                                            .traffic = options->traffic};
    serving->connection =
        connection_new(options->pool, options->established, &connection, &role, serving);
    return serving;
}

void serving_start(struct serving *serving)
{
    connection_start(serving->connection);
}

void serving_close(struct serving *serving, const struct err *err)
{
    connection_close(serving->connection, err);
}

/* --- requests, as the handler sees them --- */

const struct session *request_session(const struct request *request)
{
    return &request->serving->options.session;
}

uint8_t request_method(const struct request *request)
{
    return request->head.method;
}

struct span request_header(const struct request *request)
{
    return span_of(request->content, request->head.header_bytes);
}

struct span request_body(const struct request *request)
{
    return span_of(request->content + request->head.header_bytes, request->head.body_bytes);
}

uint64_t request_wire_bytes(const struct request *request, size_t reply_header_bytes,
                            size_t reply_body_bytes)
{
    return record_bytes_of(ENVELOPE_HEAD_BYTES + (uint64_t)request->head.header_bytes +
                           request->head.body_bytes) +
           record_bytes_of(ENVELOPE_HEAD_BYTES + (uint64_t)reply_header_bytes + reply_body_bytes);
}

uint32_t request_deadline_left_ms(const struct request *request)
{
    uint64_t now_us = pool_now_us();
    return now_us >= request->deadline_us ? 0 : (uint32_t)((request->deadline_us - now_us) / 1000);
}

bool request_alive(const struct request *request)
{
    struct serving *serving = request->serving;
    pthread_mutex_lock(&serving->lock);
    bool alive = !serving->ended;
    pthread_mutex_unlock(&serving->lock);
    return alive;
}

size_t request_reply_body_max(const struct request *request)
{
    return request->serving->reply_bytes_max;
}

/* Makes the prefix and the parts; of the body those that are not empty. */
static void reply_build(struct request *request, enum err_code status, struct span header,
                        const struct span *parts, size_t part_count)
{
    uint64_t body_bytes = 0;
    size_t count = 1;
    request->parts = mem_calloc(part_count + 1, sizeof(*request->parts));
    for (size_t i = 0; i < part_count; i++) {
        body_bytes += parts[i].len;
        if (parts[i].len > 0)
            request->parts[count++] = parts[i];
    }
    ASSERT(header.len <= LIMIT_HEADER_BYTES && body_bytes <= LIMIT_BODY_BYTES);
    request->status = status;
    struct head head = {.kind = ENVELOPE_REPLY,
                        .status = (uint16_t)status,
                        .header_bytes = (uint32_t)header.len,
                        .body_bytes = (uint32_t)body_bytes,
                        .request_id = request->head.request_id};
    bytes_resize(&request->prefix, ENVELOPE_HEAD_BYTES);
    head_encode(&head, request->prefix.data);
    bytes_append_span(&request->prefix, header);
    request->parts[0] = bytes_span(&request->prefix);
    outgoing_init(&request->outgoing, request->parts, count);
}

/* The request is the connection's from here on, or freed. */
static void reply_post(struct request *request)
{
    struct serving *serving = serving_ref(request->serving);
    pthread_mutex_lock(&serving->lock);
    bool ended = serving->ended;
    if (!ended)
        queue_push(&serving->replies, request);
    pthread_mutex_unlock(&serving->lock);
    if (ended)
        request_free(request);
    else
        connection_poke(serving->connection);
    serving_unref(serving);
}

void request_reply_error(struct request *request, const struct err *err)
{
    ASSERT(err->code > ERR_OK && err->code < ERR_CODE_COUNT);
    reply_build(request, err->code, span_text(err->message), NULL, 0);
    reply_post(request);
}

static uint64_t reply_body_bytes(const struct reply *reply)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < reply->part_count; i++)
        bytes += reply->parts[i].len;
    return bytes;
}

void request_reply(struct request *request, const struct reply *reply)
{
    request->release = reply->release;
    request->release_context = reply->context;
    if (reply_body_bytes(reply) > request_reply_body_max(request)) {
        reply_release(request);
        struct err large;
        err_set(&large, ERR_LIMIT, "the answer is larger than this connection takes");
        request_reply_error(request, &large);
        return;
    }
    if (pool_now_us() >= request->deadline_us) { /* the asker has given it up */
        reply_release(request);
        struct err late;
        err_set(&late, ERR_TIMEOUT, "the answer was not ready within the deadline");
        request_reply_error(request, &late);
        return;
    }
    reply_build(request, ERR_OK, reply->header, reply->parts, reply->part_count);
    reply_post(request);
}

void request_reply_bytes(struct request *request, struct span header, struct bytes *body)
{
    request->body = *body;
    *body = (struct bytes){0};
    struct span part = bytes_span(&request->body);
    request_reply(request, &(struct reply){.header = header, .parts = &part, .part_count = 1});
}
