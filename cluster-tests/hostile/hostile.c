/* strait-hostile: a source that falsifies its answers, between a real source and a real destination.
 *
 *     destination  --requests-->  strait-hostile  --requests-->  source
 *     (knows it as the source)    (forge.h)       (knows it as the destination)
 *
 * It has both secret keys, as a source gone bad would have its own. It prints "listening" when it
 * does, and ends at SIGTERM.
 *
 * Threads: requests and replies on link workers; main waits for the signal.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "cluster-tests/hostile/forge.h"
#include "transport/link.h"

#define HELD_MAX 4096 /* requests that are never answered; more end the program */

struct proxy {
    enum forge_mode mode;
    struct forge *forge;
    struct pool *pool;
    struct link *link;
    struct listener *listener;
    struct identity *source, *destination;
    pthread_mutex_t lock;
    struct request *held[HELD_MAX];
    size_t held_count;
};

/* One request on its way through. */
struct exchange {
    struct proxy *proxy;
    struct request *request;
    struct bytes body;      /* of what the real source is asked */
    struct bytes described; /* its answer to describe, while the root page is asked for */
};

/* ---- replies ---- */

static void exchange_free(struct exchange *exchange)
{
    bytes_deinit(&exchange->body);
    bytes_deinit(&exchange->described);
    mem_free(exchange);
}

static void exchange_post(struct exchange *exchange, uint8_t method, struct span header,
                          link_callback *on_reply)
{
    uint32_t left_ms = request_deadline_left_ms(exchange->request);
    const struct link_request request = {
        .method = method,
        .bulk = method == PEER_GET_PAGES || method == PEER_GET_FILES,
        .header = header,
        .body = bytes_span(&exchange->body),
        .reply_body_bytes = (uint32_t)LIMIT_BODY_BYTES,
        .deadline_ms = left_ms > 0 ? left_ms : 1,
        .on_reply = on_reply,
        .context = exchange,
    };
    link_post(exchange->proxy->link, &request);
}

static void answer(struct exchange *exchange, struct span header, struct bytes *body)
{
    request_reply_bytes(exchange->request, header, body);
    exchange_free(exchange);
}

static void answer_error(struct exchange *exchange, const struct err *err)
{
    fprintf(stderr, "strait-hostile: %s\n", err->message);
    request_reply_error(exchange->request, err);
    exchange_free(exchange);
}

static void on_root_page(void *context, const struct link_reply *reply)
{
    struct exchange *exchange = context;
    BYTES_CLEANUP struct bytes body = {0};
    struct err err = reply->err;
    if (err.code == ERR_OK)
        (void)!forge_described(exchange->proxy->forge, bytes_span(&exchange->described),
                               reply->body, &body, &err);
    if (err.code != ERR_OK)
        answer_error(exchange, &err);
    else
        answer(exchange, span_of(NULL, 0), &body);
}

static void root_page_ask(struct exchange *exchange, struct span described, struct lease_id lease,
                          const struct digest *root)
{
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_lease under = {.lease = lease, .reply_bytes = LIMIT_PAGE_MESSAGE_BYTES};
    const struct peer_item item = {.digest = *root, .tree = 1};
    bytes_append_span(&exchange->described, described);
    bytes_clear(&exchange->body);
    peer_lease_encode(&under, &header);
    peer_items_encode(&item, 1, &exchange->body);
    exchange_post(exchange, PEER_GET_PAGES, bytes_span(&header), on_root_page);
}

static void on_reply(void *context, const struct link_reply *reply)
{
    struct exchange *exchange = context;
    struct proxy *proxy = exchange->proxy;
    uint8_t method = request_method(exchange->request);
    struct lease_id lease;
    struct digest root;
    if (reply->err.code != ERR_OK) {
        answer_error(exchange, &reply->err);
    } else if (method == PEER_DESCRIBE &&
               forge_wants_page(proxy->forge, reply->body, &lease, &root)) {
        root_page_ask(exchange, reply->body, lease, &root);
    } else {
        BYTES_CLEANUP struct bytes header = {0};
        BYTES_CLEANUP struct bytes body = {0};
        forge_reply(proxy->forge, method, reply->header, reply->body, &header, &body);
        answer(exchange, bytes_span(&header), &body);
    }
}

/* ---- requests ---- */

static bool find(void *context, const struct noise_key *key, struct session *session)
{
    const struct proxy *proxy = context;
    const struct public_identity *destination = identity_public(proxy->destination);
    if (!noise_key_equal(key, &destination->noise))
        return false;
    session->identity = destination->sign;
    session->entry = 1;
    snprintf(session->name, sizeof(session->name), "destination");
    return true;
}

static void request_hold(struct proxy *proxy, struct request *request)
{
    pthread_mutex_lock(&proxy->lock);
    ASSERT(proxy->held_count < HELD_MAX);
    proxy->held[proxy->held_count++] = request;
    if (proxy->mode == FORGE_CLOSES)
        listener_drop_key(proxy->listener, &identity_public(proxy->destination)->noise);
    pthread_mutex_unlock(&proxy->lock);
}

static void on_request(void *context, struct request *request)
{
    struct proxy *proxy = context;
    if (proxy->mode == FORGE_NOTHING || proxy->mode == FORGE_CLOSES) {
        request_hold(proxy, request);
        return;
    }
    struct exchange *exchange = mem_calloc(1, sizeof(*exchange));
    uint8_t method = request_method(request);
    exchange->proxy = proxy;
    exchange->request = request;
    forge_request(proxy->forge, method, request_body(request), &exchange->body);
    exchange_post(exchange, method, request_header(request), on_reply);
}

/* ---- life ---- */

static enum err_code start(struct proxy *proxy, char **words, struct err *err)
{
    TRY(identity_load(words[3], &proxy->source, err));
    TRY(identity_load(words[4], &proxy->destination, err));
    proxy->forge = forge_new(proxy->mode, proxy->source);
    TRY(pool_new(NULL, &proxy->pool, err));
    const char *address = words[2];
    const struct link_options link = {.kind = LISTENER_PEERS,
                                      .addresses = &address,
                                      .address_count = 1,
                                      .identity = proxy->destination,
                                      .peer_key = identity_public(proxy->source)->noise};
    TRY(link_open(proxy->pool, &link, &proxy->link, err));
    const struct listener_options listener = {
        .kind = LISTENER_PEERS,
        .address = words[1],
        .identity = proxy->source,
        .handler = {.context = proxy, .find = find, .on_request = on_request},
    };
    pthread_mutex_lock(&proxy->lock); /* a request may come before this has returned */
    enum err_code code = listener_open(proxy->pool, &listener, &proxy->listener, err);
    pthread_mutex_unlock(&proxy->lock);
    return code;
}

static void stop(struct proxy *proxy)
{
    struct err err;
    link_close(proxy->link); /* exchanges end */
    listener_close(proxy->listener);
    err_set(&err, ERR_BUSY, "going down");
    for (size_t i = 0; i < proxy->held_count; i++)
        request_reply_error(proxy->held[i], &err);
    pool_free(proxy->pool);
    forge_free(proxy->forge);
    identity_free(proxy->source);
    identity_free(proxy->destination);
}

static int usage(void)
{
    fputs("usage: strait-hostile MODE LISTEN_ADDRESS SOURCE_ADDRESS SOURCE_KEY_FILE "
          "DESTINATION_KEY_FILE\n",
          stderr);
    for (size_t i = 0; i < FORGE_MODE_COUNT; i++)
        fprintf(stderr, "    %-16s %s\n", forge_mode_name((enum forge_mode)i),
                forge_mode_text((enum forge_mode)i));
    return 2;
}

int main(int argc, char **argv)
{
    static struct proxy proxy = {.lock = PTHREAD_MUTEX_INITIALIZER};
    sigset_t signals;
    struct err err;
    if (argc != 6 || !forge_mode_parse(argv[1], &proxy.mode))
        return usage();
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (start(&proxy, argv + 1, &err) != ERR_OK) {
        fprintf(stderr, "strait-hostile: %s\n", err.message);
        return 1;
    }
    puts("listening");
    fflush(stdout);
    int number;
    sigwait(&signals, &number);
    stop(&proxy);
    return 0;
}
