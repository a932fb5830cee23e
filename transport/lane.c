#include "transport/lane.h"

#include "transport/record.h"

#define TIME_NEVER UINT64_MAX

/* --- bodies --- */

struct link_body {
    struct pool *pool; /* NULL: not counted */
    size_t bytes;
    uint8_t data[];
};

static struct link_body *body_new(struct pool *pool, size_t bytes)
{
    struct link_body *body = mem_alloc(sizeof(*body) + bytes);
    body->pool = pool;
    body->bytes = bytes;
    if (pool != NULL)
        pool_bodies_take(pool, bytes);
    return body;
}

uint8_t *link_body_data(struct link_body *body)
{
    return body->data;
}

void link_body_free(struct link_body *body)
{
    if (body == NULL)
        return;
    struct pool *pool = body->pool;
    size_t bytes = body->bytes;
    mem_free(body);
    if (pool != NULL)
        pool_bodies_give(pool, bytes);
}

/* --- asks --- */

struct ask *ask_new(const struct link_request *request)
{
    ASSERT(request->header.len <= LIMIT_HEADER_BYTES && request->body.len <= LIMIT_BODY_BYTES);
    ASSERT(request->reply_body_bytes <= LIMIT_BODY_BYTES);
    struct ask *ask = mem_calloc(1, sizeof(*ask));
    ask->request = *request;
    bytes_resize(&ask->prefix, ENVELOPE_HEAD_BYTES);
    bytes_append_span(&ask->prefix, request->header);
    uint32_t deadline_ms = request->deadline_ms > 0 ? request->deadline_ms : 1;
    ask->deadline_us = pool_now_us() + (uint64_t)deadline_ms * 1000;
    return ask;
}

static void ask_free(struct ask *ask)
{
    bytes_deinit(&ask->prefix);
    mem_free(ask->reply_header);
    link_body_free(ask->reply_body);
    mem_free(ask);
}

static void ask_complete(struct ask *ask, const struct link_reply *reply)
{
    ASSERT(!ask->ghost);
    ask->ghost = true;
    ask->request.on_reply(ask->request.context, reply);
}

void ask_fail(struct ask *ask, const struct err *err)
{
    if (!ask->ghost)
        ask_complete(ask, &(struct link_reply){.err = *err});
    ask_free(ask);
}

/* Keeps the ask: its reply, or the end of the connection, takes it away. */
static void ask_expire(struct ask *ask)
{
    struct err err;
    err_set(&err, ERR_TIMEOUT, "no answer within %" PRIu32 " ms", ask->request.deadline_ms);
    ask_complete(ask, &(struct link_reply){.err = err});
}

static void ask_prepare(struct ask *ask, uint64_t id, uint64_t now_us)
{
    uint64_t left_us = ask->deadline_us > now_us ? ask->deadline_us - now_us : 0;
    struct head head = {.kind = ENVELOPE_REQUEST,
                        .method = ask->request.method,
                        .header_bytes = (uint32_t)(ask->prefix.len - ENVELOPE_HEAD_BYTES),
                        .body_bytes = (uint32_t)ask->request.body.len,
                        .request_id = id,
                        .deadline_ms = (uint32_t)(left_us / 1000) + 1};
    ask->id = id;
    head_encode(&head, ask->prefix.data);
    ask->parts[0] = bytes_span(&ask->prefix);
    ask->parts[1] = ask->request.body;
    outgoing_init(&ask->outgoing, ask->parts, ask->request.body.len > 0 ? 2 : 1);
}

static uint64_t ask_wire_bytes(const struct ask *ask)
{
    return record_bytes_of(ask->prefix.len + ask->request.body.len) +
           record_bytes_of(ENVELOPE_HEAD_BYTES + (uint64_t)ask->reply.header_bytes +
                           ask->reply.body_bytes);
}

/* --- sending --- */

static bool ask_fits(struct lane *lane, struct ask *ask)
{
    if (ask->request.body.len <= lane->welcome.request_bytes)
        return true;
    struct err err;
    err_set(&err, ERR_LIMIT, "a request of %zu bytes; the peer takes %" PRIu32,
            ask->request.body.len, lane->welcome.request_bytes);
    ask_fail(ask, &err);
    return false;
}

static struct outgoing *on_next_outgoing(void *context)
{
    struct lane *lane = context;
    struct ask *ask;
    while ((ask = lane->owner->take(lane->context, lane)) != NULL && !ask_fits(lane, ask))
        lane->owner->put(lane->context, lane);
    if (ask == NULL)
        return NULL;
    uint64_t now_us = pool_now_us();
    lane->used_us = now_us;
    ask_prepare(ask, ++lane->last_id, now_us);
    struct ask **last = &lane->asks;
    while (*last != NULL)
        last = &(*last)->next;
    ask->next = NULL;
    *last = ask;
    return &ask->outgoing;
}

static void on_sealed(void *context, struct outgoing *outgoing)
{
    (void)context;
    struct ask *ask = (struct ask *)((char *)outgoing - offsetof(struct ask, outgoing));
    ask->sealed = true;
    if (ask->expired && !ask->ghost)
        ask_expire(ask);
}

/* --- receiving --- */

static bool on_may_receive(void *context)
{
    struct lane *lane = context;
    return !lane->bulk || connection_has_memory(lane->connection);
}

static struct ask *ask_find(struct lane *lane, uint64_t id)
{
    struct ask *ask = lane->asks;
    while (ask != NULL && ask->id != id)
        ask = ask->next;
    return ask;
}

static enum err_code reply_check(const struct ask *ask, const struct head *head, struct err *err)
{
    uint32_t reserved = ask->request.reply_body_bytes;
    if (head->body_bytes > reserved)
        return err_set(err, ERR_PEER, "a reply of %" PRIu32 " bytes where %" PRIu32 " are reserved",
                       head->body_bytes, reserved);
    if (ask->request.reply_exact && head->status == 0 && head->body_bytes != reserved)
        return err_set(err, ERR_PEER, "a reply of %" PRIu32 " bytes where %" PRIu32 " were asked",
                       head->body_bytes, reserved);
    return ERR_OK;
}

static uint8_t *ask_body(const struct ask *ask)
{
    return ask->reply_body != NULL ? ask->reply_body->data : ask->request.reply_body;
}

/* What has begun to come has time for its bytes: a limit that fell meanwhile must not end it, to be
 * sent once more. */
static void ask_prolong(struct ask *ask)
{
    uint64_t bytes_us = (uint64_t)ask->reply.body_bytes * 1000000 / LINK_REPLY_BYTES_PER_SECOND_MIN;
    uint64_t until_us = pool_now_us() + bytes_us;
    if (until_us > ask->deadline_us)
        ask->deadline_us = until_us;
}

static enum err_code on_head(void *context, const struct head *head, struct sink *ret_sink,
                             struct err *err)
{
    struct lane *lane = context;
    if (head->kind != ENVELOPE_REPLY)
        return err_set(err, ERR_PEER, "a request where only replies come");
    struct ask *ask = ask_find(lane, head->request_id);
    if (ask == NULL || !ask->sealed)
        return err_set(err, ERR_PEER, "a reply to nothing that was asked");
    lane->receiving = ask;
    ask->reply = *head;
    ask_prolong(ask);
    if (ask->ghost)
        return ERR_OK;
    TRY(reply_check(ask, head, err));
    ask->reply_header = mem_alloc(head->header_bytes);
    ret_sink->header = ask->reply_header;
    if (ask->request.reply_body == NULL)
        ask->reply_body = body_new(lane->bulk ? lane->pool : NULL, head->body_bytes);
    ret_sink->body = ask_body(ask);
    return ERR_OK;
}

static void ask_unlink(struct lane *lane, struct ask *ask)
{
    struct ask **at = &lane->asks;
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
}

static void reply_deliver(struct ask *ask)
{
    struct link_reply reply = {.wire_bytes = ask_wire_bytes(ask)};
    struct span header = span_of(ask->reply_header, ask->reply.header_bytes);
    if (ask->reply.status == 0) {
        reply.header = header;
        reply.body = span_of(ask_body(ask), ask->reply.body_bytes);
        reply.kept_body = ask->reply_body != NULL ? &ask->reply_body : NULL;
    } else { /* a newer peer may know codes that we do not */
        enum err_code code =
            ask->reply.status < ERR_CODE_COUNT ? (enum err_code)ask->reply.status : ERR_INTERNAL;
        reply.from_peer = true;
        err_set(&reply.err, code, "%.*s", SPAN_PRINTF(header));
    }
    ask_complete(ask, &reply);
}

static enum err_code on_message(void *context, struct err *err)
{
    (void)err;
    struct lane *lane = context;
    struct ask *ask = lane->receiving;
    lane->receiving = NULL;
    lane->used_us = pool_now_us();
    ask_unlink(lane, ask);
    lane->owner->put(lane->context, lane);
    if (!ask->ghost)
        reply_deliver(ask);
    ask_free(ask);
    return ERR_OK;
}

/* --- time and end --- */

/* Completes what is too late; returns the next deadline. */
static uint64_t asks_expire(struct lane *lane, uint64_t now_us)
{
    uint64_t due_us = TIME_NEVER;
    for (struct ask *ask = lane->asks; ask != NULL; ask = ask->next) {
        if (ask->ghost || ask->expired)
            continue;
        if (now_us < ask->deadline_us) {
            due_us = ask->deadline_us < due_us ? ask->deadline_us : due_us;
        } else if (!ask->sealed) {
            ask->expired = true; /* its body is being sealed: the asker waits for that */
        } else {
            if (lane->receiving == ask)
                connection_drop_message(lane->connection);
            ask_expire(ask);
        }
    }
    return due_us;
}

static enum err_code on_time(void *context, uint64_t now_us, uint64_t *ret_due_us, struct err *err)
{
    struct lane *lane = context;
    uint64_t due_us = asks_expire(lane, now_us);
    uint64_t idle_us = lane->used_us + LINK_DATA_IDLE_MS * UINT64_C(1000);
    bool idle = lane->bulk && lane->asks == NULL && now_us >= idle_us;
    if (idle || connection_worn(lane->connection, now_us, 100)) {
        lane->owner->drain(lane->context, lane);
        if (lane->asks == NULL)
            return err_set(err, ERR_CANCELLED, "the connection has served its time");
    }
    if (lane->bulk && lane->asks == NULL && idle_us < due_us)
        due_us = idle_us;
    *ret_due_us = due_us;
    return ERR_OK;
}

static void on_end(void *context, const struct err *err)
{
    struct lane *lane = context;
    while (lane->asks != NULL) {
        struct ask *ask = lane->asks;
        lane->asks = ask->next;
        ask_fail(ask, err);
    }
    lane->owner->on_end(lane->context, lane, err);
}

static const struct connection_role role = {
    .may_receive = on_may_receive,
    .on_head = on_head,
    .on_message = on_message,
    .next_outgoing = on_next_outgoing,
    .on_sealed = on_sealed,
    .on_time = on_time,
    .on_end = on_end,
};

void lane_connect(struct lane *lane, struct pool *pool, const struct established *established,
                  struct bucket *receive_bucket, struct traffic *traffic)
{
    struct connection_options options = {.body_bytes_max = LIMIT_BODY_BYTES,
                                         .receive_bucket = lane->bulk ? receive_bucket : NULL,
                                         .greets = true,
                                         .traffic = traffic};
    lane->pool = pool;
    lane->welcome = established->welcome;
    lane->up_us = lane->used_us = pool_now_us();
    lane->connection = connection_new(pool, established, &options, &role, lane);
}

void lane_free(struct lane *lane)
{
    connection_unref(lane->connection);
    mem_free(lane);
}
