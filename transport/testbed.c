#include "transport/testbed.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>

uint8_t testbed_pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

unsigned testbed_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    ASSERT(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* --- the serving node --- */

struct bytes_reply { /* a body whose release is counted */
    struct testbed *bed;
    uint8_t *data;
    struct span *parts;
};

static void on_release(void *context)
{
    struct bytes_reply *reply = context;
    struct testbed *bed = reply->bed;
    mem_free(reply->data);
    mem_free(reply->parts);
    mem_free(reply);
    pthread_mutex_lock(&bed->lock);
    bed->released++;
    pthread_cond_broadcast(&bed->changed);
    pthread_mutex_unlock(&bed->lock);
}

static void reply_bytes(struct testbed *bed, struct request *request)
{
    struct reader reader = reader_of(request_header(request));
    size_t len = reader_u32(&reader);
    size_t parts = reader_u32(&reader);
    struct bytes_reply *made = mem_calloc(1, sizeof(*made));
    made->bed = bed;
    made->data = mem_alloc(len + 1);
    made->parts = mem_calloc(parts + 1, sizeof(*made->parts));
    for (size_t i = 0; i < len; i++)
        made->data[i] = testbed_pattern(i);
    size_t at = 0;
    for (size_t i = 0; i < parts; i++) { /* of all sizes, some empty */
        size_t take = i + 1 == parts ? len - at : (len - at) * (i % 5) / 7;
        made->parts[i] = span_of(made->data + at, take);
        at += take;
    }
    struct reply reply = {.header = span_text("bytes"),
                          .parts = made->parts,
                          .part_count = parts,
                          .release = on_release,
                          .context = made};
    request_reply(request, &reply);
}

static bool hold(struct testbed *bed, struct request *request)
{
    pthread_mutex_lock(&bed->lock);
    bool kept = bed->held_count < TESTBED_HELD_MAX;
    if (kept)
        bed->held[bed->held_count++] = request;
    pthread_cond_broadcast(&bed->changed);
    pthread_mutex_unlock(&bed->lock);
    return kept;
}

static void on_request(void *context, struct request *request)
{
    struct testbed *bed = context;
    pthread_mutex_lock(&bed->lock);
    bed->handed_out++;
    bed->last_session = *request_session(request);
    pthread_cond_broadcast(&bed->changed);
    pthread_mutex_unlock(&bed->lock);
    struct err err;
    switch (request_method(request)) {
    case METHOD_ECHO: {
        struct bytes body = {0};
        bytes_append_span(&body, request_body(request));
        request_reply_bytes(request, request_header(request), &body);
        return;
    }
    case METHOD_BYTES:
        reply_bytes(bed, request);
        return;
    case METHOD_HOLD:
        if (hold(bed, request))
            return;
        break;
    default:
        break;
    }
    err_set(&err, ERR_NOT_FOUND, "there is no %u here", request_method(request));
    request_reply_error(request, &err);
}

static bool on_find(void *context, const struct noise_key *key, struct session *session)
{
    struct testbed *bed = context;
    pthread_mutex_lock(&bed->lock);
    bool known = !bed->asker_unknown;
    struct bucket *bucket = bed->bucket;
    pthread_mutex_unlock(&bed->lock);
    if (!known || !noise_key_equal(key, &identity_public(bed->asker)->noise))
        return false;
    session->entry = 42;
    session->identity = identity_public(bed->asker)->sign;
    session->bucket = bucket_ref(bucket);
    snprintf(session->name, sizeof(session->name), "asker");
    return true;
}

static void on_refused(void *context, const struct session *session, const struct err *err)
{
    struct testbed *bed = context;
    pthread_mutex_lock(&bed->lock);
    bed->refused_count++;
    bed->refused = *err;
    snprintf(bed->refused_name, sizeof(bed->refused_name), "%s", session->name);
    pthread_cond_broadcast(&bed->changed);
    pthread_mutex_unlock(&bed->lock);
}

void testbed_wait_refused(struct testbed *bed, unsigned count)
{
    pthread_mutex_lock(&bed->lock);
    while (bed->refused_count < count)
        pthread_cond_wait(&bed->changed, &bed->lock);
    pthread_mutex_unlock(&bed->lock);
}

void testbed_listen(struct testbed *bed, uint16_t port, const struct listener_limits *limits)
{
    struct err err = {0};
    snprintf(bed->address, sizeof(bed->address), "127.0.0.1:%u", port);
    struct listener_options options = {
        .kind = LISTENER_PEERS,
        .address = bed->address,
        .identity = bed->node,
        .handler = {.context = bed, .find = on_find, .on_request = on_request},
        .on_refused = on_refused,
        .refused_context = bed,
    };
    if (limits != NULL)
        options.limits = *limits;
    if (listener_open(bed->pool, &options, &bed->listener, &err) != ERR_OK)
        fprintf(stderr, "%s\n", err.message);
    ASSERT(err.code == ERR_OK);
    snprintf(bed->address, sizeof(bed->address), "127.0.0.1:%u", listener_port(bed->listener));
}

void testbed_open(struct testbed *bed, const struct pool_options *times,
                  const struct listener_limits *limits)
{
    memset(bed, 0, sizeof(*bed));
    pthread_mutex_init(&bed->lock, NULL);
    pthread_cond_init(&bed->changed, NULL);
    enum err_code code = pool_new(times, &bed->pool, NULL);
    ASSERT(code == ERR_OK);
    bed->node = identity_generate();
    bed->asker = identity_generate();
    testbed_listen(bed, 0, limits);
}

void testbed_close(struct testbed *bed)
{
    listener_close(bed->listener);
    testbed_let_go(bed); /* handles outlive the listener */
    pool_free(bed->pool);
    identity_free(bed->node);
    identity_free(bed->asker);
    bucket_unref(bed->bucket);
    pthread_mutex_destroy(&bed->lock);
    pthread_cond_destroy(&bed->changed);
}

struct link *testbed_link(struct testbed *bed, const char *address, uint32_t data_connections)
{
    const char *addresses[] = {address != NULL ? address : bed->address};
    struct link_options options = {.kind = LISTENER_PEERS,
                                   .addresses = addresses,
                                   .address_count = 1,
                                   .identity = bed->asker,
                                   .peer_key = identity_public(bed->node)->noise,
                                   .data_connections_max = data_connections};
    struct link *link;
    enum err_code code = link_open(bed->pool, &options, &link, NULL);
    ASSERT(code == ERR_OK);
    return link;
}

void testbed_wait_held(struct testbed *bed, unsigned count)
{
    pthread_mutex_lock(&bed->lock);
    while (bed->held_count < count)
        pthread_cond_wait(&bed->changed, &bed->lock);
    pthread_mutex_unlock(&bed->lock);
}

void testbed_let_go(struct testbed *bed)
{
    struct request *held[TESTBED_HELD_MAX];
    pthread_mutex_lock(&bed->lock);
    unsigned count = bed->held_count;
    memcpy(held, bed->held, count * sizeof(*held));
    bed->held_count = 0;
    pthread_mutex_unlock(&bed->lock);
    for (unsigned i = 0; i < count; i++)
        request_reply(held[i], &(struct reply){.header = span_text("held")});
}

/* --- askers --- */

static void on_reply(void *context, const struct link_reply *reply)
{
    struct asked *asked = context;
    pthread_mutex_lock(&asked->lock);
    asked->err = reply->err;
    asked->from_peer = reply->from_peer;
    asked->wire_bytes = reply->wire_bytes;
    asked->body_bytes = reply->body.len;
    bytes_append_span(&asked->header, reply->header);
    bytes_append_span(&asked->body, reply->body);
    asked->replies++;
    pthread_cond_signal(&asked->replied);
    pthread_mutex_unlock(&asked->lock);
}

void asked_post(struct asked *asked, struct link *link, const struct link_request *request)
{
    memset(asked, 0, sizeof(*asked));
    pthread_mutex_init(&asked->lock, NULL);
    pthread_cond_init(&asked->replied, NULL);
    struct link_request posted = *request;
    posted.on_reply = on_reply;
    posted.context = asked;
    if (posted.deadline_ms == 0)
        posted.deadline_ms = 60000;
    link_post(link, &posted);
}

void asked_wait(struct asked *asked)
{
    pthread_mutex_lock(&asked->lock);
    while (asked->replies == 0)
        pthread_cond_wait(&asked->replied, &asked->lock);
    pthread_mutex_unlock(&asked->lock);
}

void asked_deinit(struct asked *asked)
{
    bytes_deinit(&asked->header);
    bytes_deinit(&asked->body);
    pthread_mutex_destroy(&asked->lock);
    pthread_cond_destroy(&asked->replied);
}

/* --- the relay --- */

#define RELAY_PAIRS_MAX 32

static bool relay_copy(struct relay *relay, int from, int to, bool back)
{
    uint8_t buffer[16384];
    ssize_t n = recv(from, buffer, sizeof(buffer), 0);
    if (n <= 0)
        return false;
    bool cut = false;
    pthread_mutex_lock(&relay->lock);
    if (back && relay->bytes_back >= 0) {
        cut = n >= relay->bytes_back;
        n = cut ? (ssize_t)relay->bytes_back : n;
        relay->bytes_back -= n;
    }
    pthread_mutex_unlock(&relay->lock);
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(to, buffer + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
    }
    return !cut;
}

static int relay_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ASSERT(fd >= 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void *relay_main(void *argument)
{
    struct relay *relay = argument;
    struct pollfd fds[1 + 2 * RELAY_PAIRS_MAX] = {{.fd = relay->listen_fd, .events = POLLIN}};
    nfds_t count = 1;
    for (;;) {
        pthread_mutex_lock(&relay->lock);
        bool ending = relay->ending;
        bool deaf = relay->deaf;
        pthread_mutex_unlock(&relay->lock);
        if (ending)
            break;
        poll(fds, deaf ? 1 : count, 5);
        for (nfds_t i = 1; i + 1 < count && !deaf; i += 2) {
            bool ok = true;
            if ((fds[i].revents & (POLLIN | POLLHUP)) != 0)
                ok = relay_copy(relay, fds[i].fd, fds[i + 1].fd, false);
            if (ok && (fds[i + 1].revents & (POLLIN | POLLHUP)) != 0)
                ok = relay_copy(relay, fds[i + 1].fd, fds[i].fd, true);
            if (!ok) {
                close(fds[i].fd);
                close(fds[i + 1].fd);
                fds[i] = fds[count - 2];
                fds[i + 1] = fds[count - 1];
                count -= 2;
                break;
            }
        }
        if ((fds[0].revents & POLLIN) != 0 && count + 2 <= ARRAY_COUNT(fds)) {
            int fd = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);
            int to = fd < 0 ? -1 : relay_connect(relay->to_port);
            if (to >= 0) {
                fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
                fds[count++] = (struct pollfd){.fd = to, .events = POLLIN};
            } else if (fd >= 0) {
                close(fd);
            }
        }
    }
    for (nfds_t i = 0; i < count; i++)
        close(fds[i].fd);
    return NULL;
}

void relay_open(struct relay *relay, uint16_t to_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    memset(relay, 0, sizeof(*relay));
    relay->bytes_back = -1;
    relay->to_port = to_port;
    pthread_mutex_init(&relay->lock, NULL);
    relay->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(relay->listen_fd >= 0);
    int failed = bind(relay->listen_fd, (struct sockaddr *)&at, sizeof(at));
    failed |= listen(relay->listen_fd, 16);
    failed |= getsockname(relay->listen_fd, (struct sockaddr *)&at, &len);
    failed |= pthread_create(&relay->thread, NULL, relay_main, relay);
    ASSERT(failed == 0);
    snprintf(relay->address, sizeof(relay->address), "127.0.0.1:%u", ntohs(at.sin_port));
}

void relay_set(struct relay *relay, bool deaf, int64_t bytes_back)
{
    pthread_mutex_lock(&relay->lock);
    relay->deaf = deaf;
    relay->bytes_back = bytes_back;
    pthread_mutex_unlock(&relay->lock);
}

void relay_close(struct relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->ending = true;
    pthread_mutex_unlock(&relay->lock);
    pthread_join(relay->thread, NULL);
    pthread_mutex_destroy(&relay->lock);
}
