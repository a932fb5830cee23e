/* See remote.h.
 *
 * A call has two owners, the waiter and the link's callback: whoever is last frees it, so that
 * Ctrl-C can leave while the link still reads the body.
 */
#include "node/client/remote.h"

#include <pthread.h>

#include "node/client/interrupt.h"
#include "transport/link.h"

#define POLL_MS        100 /* how often a wait looks for Ctrl-C */
#define RETRY_PAUSE_MS 200

struct remote {
    const struct client_config *config;
    struct identity *identity;
    struct public_identity node_key;
    struct pool *pool;
    struct link *link;
    pthread_mutex_t mutex; /* guards the calls' state */
    pthread_cond_t arrived;
    struct remote_patience patience;
    bool met; /* the node has answered before */
    enum remote_failure failure;
};

struct remote_call {
    struct remote *remote;
    enum operator_method method;
    struct bytes header;
    struct bytes body;
    uint32_t deadline_ms;
    bool answered;  /* under the mutex, as all below */
    bool forgotten; /* the callback frees it */
    bool from_node;
    struct err err;
    struct remote_answer answer;
};

enum err_code remote_open(const struct client_config *config, struct remote **ret_remote,
                          struct err *err)
{
    struct identity *identity IDENTITY_CLEANUP = NULL;
    struct public_identity node_key;
    struct pool *pool = NULL;
    struct link *link = NULL;
    TRY(identity_load(config->key_file, &identity, err));
    if (public_identity_parse(span_text(config->node_key), &node_key, err) != ERR_OK)
        return err_wrap(err, "setting node_key");
    struct pool_options pool_options = {.workers = 2};
    TRY(pool_new(&pool_options, &pool, err));
    const char *addresses[] = {config->address};
    struct link_options options = {
        .kind = LISTENER_OPERATORS,
        .addresses = addresses,
        .address_count = 1,
        .identity = identity,
        .peer_key = node_key.noise,
    };
    enum err_code code = link_open(pool, &options, &link, err);
    if (code != ERR_OK) {
        pool_free(pool);
        return code;
    }
    struct remote *remote = mem_calloc(1, sizeof *remote);
    *remote = (struct remote){.config = config,
                              .identity = identity,
                              .node_key = node_key,
                              .pool = pool,
                              .link = link,
                              .patience = {REMOTE_RETRY_MS, REMOTE_WORK_MS}};
    identity = NULL;
    pthread_mutex_init(&remote->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&remote->arrived, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_remote = remote;
    return ERR_OK;
}

void remote_close(struct remote *remote)
{
    if (remote == NULL)
        return;
    link_close(remote->link);
    pool_free(remote->pool);
    identity_free(remote->identity);
    pthread_cond_destroy(&remote->arrived);
    pthread_mutex_destroy(&remote->mutex);
    mem_free(remote);
}

void remote_patience_set(struct remote *remote, struct remote_patience patience)
{
    remote->patience = patience;
}

static void call_free(struct remote_call *call)
{
    bytes_deinit(&call->header);
    bytes_deinit(&call->body);
    remote_answer_deinit(&call->answer);
    mem_free(call);
}

static void on_reply(void *context, const struct link_reply *reply)
{
    struct remote_call *call = context;
    struct remote *remote = call->remote;
    pthread_mutex_lock(&remote->mutex);
    call->answered = true;
    call->err = reply->err;
    call->from_node = reply->from_peer || reply->err.code == ERR_OK;
    bool forgotten = call->forgotten;
    if (!forgotten && reply->err.code == ERR_OK) {
        bytes_append_span(&call->answer.header, reply->header);
        bytes_append_span(&call->answer.body, reply->body);
    }
    pthread_cond_signal(&remote->arrived);
    pthread_mutex_unlock(&remote->mutex);
    if (forgotten)
        call_free(call);
}

static void call_send(struct remote_call *call)
{
    struct link_request request = {
        .method = (uint8_t)call->method,
        .header = bytes_span(&call->header),
        .body = bytes_span(&call->body),
        .reply_body_bytes = LIMIT_BODY_BYTES,
        .deadline_ms = call->deadline_ms,
        .on_reply = on_reply,
        .context = call,
    };
    call->answered = false;
    bytes_clear(&call->answer.header);
    bytes_clear(&call->answer.body);
    link_post(call->remote->link, &request);
}

struct remote_call *remote_post(struct remote *remote, enum operator_method method,
                                struct bytes *header, struct bytes *body, uint32_t wait_ms)
{
    struct remote_call *call = mem_calloc(1, sizeof *call);
    *call = (struct remote_call){
        .remote = remote, .method = method, .deadline_ms = remote->patience.work_ms + wait_ms};
    if (header != NULL)
        call->header = *header;
    if (body != NULL)
        call->body = *body;
    if (header != NULL)
        *header = (struct bytes){0};
    if (body != NULL)
        *body = (struct bytes){0};
    call_send(call);
    return call;
}

/* A look at the call's state after at most POLL_MS, under the mutex. */
static void arrival_poll(struct remote *remote)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&remote->arrived, &remote->mutex, &until);
}

/* Sleeps until the call is answered or somebody presses Ctrl-C. False: it is not answered. */
static bool answer_await(struct remote_call *call)
{
    struct remote *remote = call->remote;
    pthread_mutex_lock(&remote->mutex);
    while (!call->answered && !interrupt_pending())
        arrival_poll(remote);
    bool answered = call->answered;
    pthread_mutex_unlock(&remote->mutex);
    return answered;
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000L};
    nanosleep(&pause, NULL);
}

/* May the same bytes go out again, if nobody presses Ctrl-C? The connection failed under them, or
 * the node is busy (a part of a load that overtook another, too much at once). */
static bool may_retry(const struct remote *remote, const struct remote_call *call, uint64_t since)
{
    bool lost = !call->from_node &&
                (call->err.code == ERR_LOST || (call->err.code == ERR_UNREACHABLE && remote->met));
    bool busy = call->from_node && call->err.code == ERR_BUSY;
    return (lost || busy) && pool_now_ms() - since < remote->patience.retry_ms;
}

static enum remote_failure failure_of(const struct remote_call *call, bool sent)
{
    if (call->from_node)
        return REMOTE_REFUSED;
    if (call->err.code == ERR_LOST || call->err.code == ERR_TIMEOUT || sent)
        return REMOTE_LOST;
    return REMOTE_UNREACHABLE;
}

void remote_forget(struct remote *remote, struct remote_call *call)
{
    pthread_mutex_lock(&remote->mutex);
    call->forgotten = true;
    bool answered = call->answered;
    pthread_mutex_unlock(&remote->mutex);
    if (answered)
        call_free(call);
}

/* What a connection fails with names its address mostly, which is said once. */
static enum err_code unreachable_set(struct err *err, const char *address, const struct err *why)
{
    size_t len = strlen(address);
    bool named = strncmp(why->message, address, len) == 0 && why->message[len] == ':';
    return named ? err_set(err, why->code, "node at %s", why->message)
                 : err_set(err, why->code, "node at %s: %s", address, why->message);
}

static enum err_code interrupted(struct remote *remote, struct err *err)
{
    remote->failure = REMOTE_INTERRUPTED;
    return err_set(err, ERR_CANCELLED, "interrupted");
}

enum err_code remote_interrupt_check(struct remote *remote, struct err *err)
{
    return interrupt_pending() ? interrupted(remote, err) : ERR_OK;
}

/* answer may be NULL; what it had is the call's afterwards. */
static void answer_take(struct remote_call *call, struct remote_answer *answer)
{
    if (answer == NULL)
        return;
    struct remote_answer old = *answer;
    *answer = call->answer;
    call->answer = old;
}

enum err_code remote_wait(struct remote *remote, struct remote_call *call,
                          struct remote_answer *answer, struct err *err)
{
    uint64_t lost_since = 0;
    bool sent = false; /* some try got as far as the node */
    while (answer_await(call)) {
        if (call->err.code == ERR_OK) {
            remote->met = true;
            remote->failure = REMOTE_FINE;
            answer_take(call, answer);
            call_free(call);
            return ERR_OK;
        }
        lost_since = lost_since == 0 ? pool_now_ms() : lost_since;
        sent = sent || (!call->from_node && call->err.code == ERR_LOST);
        if (may_retry(remote, call, lost_since)) {
            if (interrupt_pending())
                break;
            pause_ms(RETRY_PAUSE_MS);
            call_send(call);
            continue;
        }
        remote->met = remote->met || call->from_node;
        remote->failure = failure_of(call, sent);
        enum err_code code = remote->failure == REMOTE_UNREACHABLE
                                 ? unreachable_set(err, remote->config->address, &call->err)
                                 : err_set(err, call->err.code, "%s", call->err.message);
        call_free(call);
        return code;
    }
    remote_forget(remote, call);
    return interrupted(remote, err);
}

enum err_code remote_call(struct remote *remote, enum operator_method method, struct bytes *header,
                          struct bytes *body, uint32_t wait_ms, struct remote_answer *answer,
                          struct err *err)
{
    return remote_wait(remote, remote_post(remote, method, header, body, wait_ms), answer, err);
}

/* For REMOTE_FAREWELL_MS, whatever is pressed meanwhile. False: it is not answered. */
static bool farewell_await(struct remote_call *call)
{
    struct remote *remote = call->remote;
    uint64_t until = pool_now_ms() + REMOTE_FAREWELL_MS;
    pthread_mutex_lock(&remote->mutex);
    while (!call->answered && pool_now_ms() < until)
        arrival_poll(remote);
    bool answered = call->answered;
    pthread_mutex_unlock(&remote->mutex);
    return answered;
}

void remote_farewell(struct remote *remote, enum operator_method method, struct bytes *header)
{
    struct remote_call *call = remote_post(remote, method, header, NULL, 0);
    farewell_await(call);
    remote_forget(remote, call);
}

enum err_code remote_last_call(struct remote *remote, enum operator_method method,
                               struct bytes *header, struct remote_answer *answer, struct err *err)
{
    struct remote_call *call = remote_post(remote, method, header, NULL, 0);
    enum err_code code = ERR_OK;
    if (!farewell_await(call)) {
        code = err_set(err, ERR_TIMEOUT, "no answer");
    } else if (call->err.code == ERR_OK) {
        answer_take(call, answer);
    } else {
        if (call->from_node)
            remote->failure = REMOTE_REFUSED;
        code = err_set(err, call->err.code, "%s", call->err.message);
    }
    remote_forget(remote, call);
    return code;
}

enum remote_failure remote_failure(const struct remote *remote)
{
    return remote->failure;
}

const struct identity *remote_identity(const struct remote *remote)
{
    return remote->identity;
}

const struct public_identity *remote_node_key(const struct remote *remote)
{
    return &remote->node_key;
}

void remote_answer_deinit(struct remote_answer *answer)
{
    bytes_deinit(&answer->header);
    bytes_deinit(&answer->body);
}
