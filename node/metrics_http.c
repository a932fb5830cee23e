#include "node/metrics_http.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "node/metrics.h"

#define LOOK_EVERY_MS 1000
#define BACKLOG       16

/* One that is open. */
struct guest {
    int socket; /* the library's; -1: the place is free */
    uint64_t began_ms;
};

struct metrics_http {
    struct metrics_http_options options;
    struct MHD_Daemon *daemon;
    struct loop_timer timer;
    pthread_mutex_t lock;
    struct guest guests[METRICS_HTTP_CONNECTIONS];
    /* the library's thread's */
    struct bytes page;
    uint64_t page_ms; /* when it was made; 0: never */
};

/* ---- connections ---- */

static struct guest *place_find_locked(struct metrics_http *http, int socket)
{
    for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++)
        if (http->guests[i].socket == socket)
            return &http->guests[i];
    return NULL;
}

/* The library says that one has ended before it closes its socket. */
static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct metrics_http *http = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_mutex_lock(&http->lock);
    struct guest *guest = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        guest = info != NULL ? place_find_locked(http, -1) : NULL;
        if (guest != NULL)
            *guest = (struct guest){.socket = info->connect_fd, .began_ms = loop_now_ms()};
    } else if (guest != NULL) {
        guest->socket = -1;
    }
    *socket_context = guest;
    pthread_mutex_unlock(&http->lock);
}

static void on_timer(void *argument)
{
    struct metrics_http *http = argument;
    uint64_t now_ms = loop_now_ms();
    pthread_mutex_lock(&http->lock);
    for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++) {
        const struct guest *guest = &http->guests[i];
        if (guest->socket >= 0 && now_ms - guest->began_ms >= METRICS_HTTP_CONNECTION_MS)
            (void)shutdown(guest->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&http->lock);
    loop_timer_start(http->options.loop, &http->timer, LOOK_EVERY_MS);
}

static void timer_cancel(void *argument)
{
    struct metrics_http *http = argument;
    loop_timer_cancel(http->options.loop, &http->timer);
}

/* ---- answers ---- */

static const struct bytes *page_now(struct metrics_http *http)
{
    uint64_t now_ms = loop_now_ms();
    if (http->page_ms != 0 && now_ms - http->page_ms < METRICS_HTTP_PAGE_MS)
        return &http->page;
    struct metric_list list METRIC_LIST_CLEANUP;
    metric_list_init(&list);
    metrics_gather(http->options.services, NULL, &list);
    bytes_clear(&http->page);
    exposition_write(list.items, list.count, &http->page);
    http->page_ms = now_ms;
    return &http->page;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              struct span content)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(content.len, (void *)content.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    const char *type = status == MHD_HTTP_OK ? EXPOSITION_CONTENT_TYPE : "text/plain";
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
    if (result == MHD_YES)
        result = MHD_add_response_header(response, "Connection", "close");
    if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called when the head is whole; a body is not waited for. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **request_context)
{
    struct metrics_http *http = context;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    (void)request_context;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, span_text("only GET and HEAD\n"));
    if (strcmp(path, "/metrics") != 0)
        return answer(connection, MHD_HTTP_NOT_FOUND, span_text("here is /metrics alone\n"));
    return answer(connection, MHD_HTTP_OK, bytes_span(page_now(http)));
}

/* ---- open, close ---- */

/* A path is what was asked for, byte by byte: %00 ends none, and /%6detrics is not this one. */
static size_t path_as_it_is(void *context, struct MHD_Connection *connection, char *path)
{
    (void)context;
    (void)connection;
    return strlen(path);
}

static void timer_begin(void *argument)
{
    struct metrics_http *http = argument;
    http->timer = (struct loop_timer){.run = on_timer, .argument = http};
    loop_timer_start(http->options.loop, &http->timer, LOOK_EVERY_MS);
}

static struct MHD_Daemon *daemon_start(struct metrics_http *http,
                                       const struct sockaddr_storage *address)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC;
    if (address->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, address,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)METRICS_HTTP_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(METRICS_HTTP_CONNECTION_MS / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)METRICS_HTTP_REQUEST_BYTES,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_UNESCAPE_CALLBACK,
        path_as_it_is, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

enum err_code metrics_http_open(const struct metrics_http_options *options,
                                struct metrics_http **ret_http, struct err *err)
{
    struct sockaddr_storage address;
    if (!config_parse_literal(options->address, &address))
        return err_set(err, ERR_CONFIG, "listen_metrics '%s' is no address", options->address);
    struct metrics_http *http = mem_calloc(1, sizeof(*http));
    http->options = *options;
    pthread_mutex_init(&http->lock, NULL);
    for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++)
        http->guests[i].socket = -1;
    errno = 0;
    http->daemon = daemon_start(http, &address);
    if (http->daemon == NULL) {
        int reason = errno;
        metrics_http_close(http);
        return err_set(err, ERR_CONFIG, "listen_metrics %s: cannot be listened on: %s",
                       options->address, reason != 0 ? strerror(reason) : "no reason was given");
    }
    loop_call(options->loop, timer_begin, http);
    *ret_http = http;
    return ERR_OK;
}

void metrics_http_close(struct metrics_http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL) {
        loop_call(http->options.loop, timer_cancel, http);
        MHD_stop_daemon(http->daemon);
    }
    bytes_deinit(&http->page);
    pthread_mutex_destroy(&http->lock);
    mem_free(http);
}
