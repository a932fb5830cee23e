#include "transport/stream.h"

#include <arpa/inet.h>

#include <nng/nng.h>

#include "proto/limits.h"

struct stream {
    nng_stream *nng;
    nng_aio *receive_aio;
    nng_aio *send_aio;
    const struct stream_events *events;
    void *context;
    struct span unsent; /* of the send under way */
    uint32_t send_timeout_ms;
};

static enum err_code code_of(int nng_error)
{
    if (nng_error == 0)
        return ERR_OK;
    return nng_error == NNG_ETIMEDOUT ? ERR_TIMEOUT : ERR_LOST;
}

/* --- streams --- */

static void on_receive_aio(void *argument)
{
    struct stream *stream = argument;
    int failed = nng_aio_result(stream->receive_aio);
    size_t bytes = failed == 0 ? nng_aio_count(stream->receive_aio) : 0;
    enum err_code code = failed == 0 && bytes == 0 ? ERR_LOST : code_of(failed);
    stream->events->on_received(stream->context, code, bytes);
}

static void send_rest(struct stream *stream)
{
    /* NNG takes const bytes through a plain pointer; it only reads them */
    nng_iov iov = {.iov_buf = (void *)(uintptr_t)stream->unsent.data,
                   .iov_len = stream->unsent.len};
    nng_aio_set_iov(stream->send_aio, 1, &iov);
    nng_aio_set_timeout(stream->send_aio, (nng_duration)stream->send_timeout_ms);
    nng_stream_send(stream->nng, stream->send_aio);
}

static void on_send_aio(void *argument)
{
    struct stream *stream = argument;
    int failed = nng_aio_result(stream->send_aio);
    if (failed == 0) {
        size_t sent = nng_aio_count(stream->send_aio);
        if (sent < stream->unsent.len) {
            stream->unsent = span_slice(stream->unsent, sent, stream->unsent.len - sent);
            send_rest(stream);
            return;
        }
    }
    stream->events->on_sent(stream->context, code_of(failed));
}

/* Takes the NNG stream. */
static struct stream *stream_of(nng_stream *nng)
{
    struct stream *stream = mem_calloc(1, sizeof(*stream));
    stream->nng = nng;
    /* NNG leaves it off for accepted streams: the short end of each reply then waits 40 ms for the
     * acknowledgement of what went before it */
    nng_stream_set_bool(nng, NNG_OPT_TCP_NODELAY, true);
    int failed = nng_aio_alloc(&stream->receive_aio, on_receive_aio, stream);
    if (failed == 0)
        failed = nng_aio_alloc(&stream->send_aio, on_send_aio, stream);
    ASSERT(failed == 0); /* only memory can be short */
    return stream;
}

void stream_attach(struct stream *stream, const struct stream_events *events, void *context)
{
    stream->events = events;
    stream->context = context;
}

void stream_receive(struct stream *stream, uint8_t *to, size_t capacity, uint32_t timeout_ms)
{
    nng_iov iov = {.iov_buf = to, .iov_len = capacity};
    nng_aio_set_iov(stream->receive_aio, 1, &iov);
    nng_aio_set_timeout(stream->receive_aio, (nng_duration)timeout_ms);
    nng_stream_recv(stream->nng, stream->receive_aio);
}

void stream_send(struct stream *stream, struct span bytes, uint32_t timeout_ms)
{
    stream->unsent = bytes;
    stream->send_timeout_ms = timeout_ms;
    send_rest(stream);
}

void stream_abort(struct stream *stream)
{
    nng_stream_close(stream->nng);
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    nng_stream_close(stream->nng);
    nng_aio_stop(stream->receive_aio);
    nng_aio_stop(stream->send_aio);
    /* before the stream: only freeing waits for NNG's timeout thread, which may still be in the
     * stream because one of them is just expiring (nng_aio_stop does not: the stream's mutex was
     * unlocked after it was gone, and NNG panicked) */
    nng_aio_free(stream->receive_aio);
    nng_aio_free(stream->send_aio);
    nng_stream_free(stream->nng);
    mem_free(stream);
}

void stream_remote(struct stream *stream, struct stream_address *ret_address)
{
    nng_sockaddr address = {0};
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    memset(ret_address, 0, sizeof(*ret_address));
    if (nng_stream_get_addr(stream->nng, NNG_OPT_REMADDR, &address) == 0 &&
        address.s_family == NNG_AF_INET) {
        inet_ntop(AF_INET, &address.s_in.sa_addr, host, sizeof(host));
        memcpy(ret_address->block, &address.s_in.sa_addr, 4);
        port = ntohs(address.s_in.sa_port);
    } else if (address.s_family == NNG_AF_INET6) {
        inet_ntop(AF_INET6, address.s_in6.sa_addr, host, sizeof(host));
        memcpy(ret_address->block, address.s_in6.sa_addr, 8);
        ret_address->block[15] = 6;
        port = ntohs(address.s_in6.sa_port);
    }
    snprintf(ret_address->text, sizeof(ret_address->text), "%s:%u", host, port);
}

/* --- addresses --- */

/* "host:port" with a port in digits; NNG itself takes much more. */
bool stream_address_valid(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(address) > 255 || strchr(address, '/') != NULL)
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return false;
    return strtoul(colon + 1, NULL, 10) <= UINT16_MAX;
}

#define URL_BYTES (sizeof("tcp://") + 256)

static enum err_code url_of(const char *address, char ret_url[URL_BYTES], struct err *err)
{
    if (!stream_address_valid(address))
        return err_set(err, ERR_CONFIG, "address '%s' is not host:port", address);
    snprintf(ret_url, URL_BYTES, "tcp://%s", address);
    return ERR_OK;
}

/* --- dialling --- */

struct dial {
    nng_stream_dialer *dialer;
    nng_aio *aio;
    dial_event *on_dialled;
    void *context;
    char address[256];
};

static void on_dial_aio(void *argument)
{
    struct dial *dial = argument;
    struct err err = {0};
    int failed = nng_aio_result(dial->aio);
    if (failed == 0) {
        struct stream *stream = stream_of(nng_aio_get_output(dial->aio, 0));
        dial->on_dialled(dial->context, stream, &err);
    } else {
        err_set(&err, ERR_UNREACHABLE, "%s: %s", dial->address, nng_strerror(failed));
        dial->on_dialled(dial->context, NULL, &err);
    }
}

enum err_code dial_start(const char *address, uint32_t timeout_ms, dial_event *on_dialled,
                         void *context, struct dial **ret_dial, struct err *err)
{
    char url[URL_BYTES];
    TRY(url_of(address, url, err));
    struct dial *dial = mem_calloc(1, sizeof(*dial));
    dial->on_dialled = on_dialled;
    dial->context = context;
    snprintf(dial->address, sizeof(dial->address), "%s", address);
    int failed = nng_stream_dialer_alloc(&dial->dialer, url);
    if (failed != 0) {
        mem_free(dial);
        return err_set(err, ERR_CONFIG, "address '%s': %s", address, nng_strerror(failed));
    }
    failed = nng_aio_alloc(&dial->aio, on_dial_aio, dial);
    ASSERT(failed == 0);
    nng_aio_set_timeout(dial->aio, (nng_duration)timeout_ms);
    *ret_dial = dial;
    nng_stream_dialer_dial(dial->dialer, dial->aio);
    return ERR_OK;
}

void dial_abort(struct dial *dial)
{
    nng_stream_dialer_close(dial->dialer);
    nng_aio_abort(dial->aio, NNG_ECANCELED);
}

void dial_free(struct dial *dial)
{
    if (dial == NULL)
        return;
    nng_stream_dialer_close(dial->dialer);
    nng_aio_stop(dial->aio);
    nng_aio_free(dial->aio); /* first, as with streams */
    nng_stream_dialer_free(dial->dialer);
    mem_free(dial);
}

/* --- accepting --- */

struct acceptor {
    nng_stream_listener *listener;
    nng_aio *aio;       /* accept */
    nng_aio *pause_aio; /* sleep after an error, or while too many leave */
    accept_event *on_accepted;
    void *context;
    uint16_t port;
};

static void acceptor_go_on(struct acceptor *acceptor, bool at_once)
{
    if (at_once)
        nng_stream_listener_accept(acceptor->listener, acceptor->aio);
    else
        nng_sleep_aio(ACCEPT_BUSY_PAUSE_MS, acceptor->pause_aio);
}

static void on_accept_aio(void *argument)
{
    struct acceptor *acceptor = argument;
    int failed = nng_aio_result(acceptor->aio);
    if (failed == NNG_ECLOSED || failed == NNG_ECANCELED)
        return;
    if (failed != 0) { /* descriptors, memory: do not turn in a circle */
        nng_sleep_aio(ACCEPT_PAUSE_MS, acceptor->pause_aio);
        return;
    }
    struct stream *stream = stream_of(nng_aio_get_output(acceptor->aio, 0));
    acceptor_go_on(acceptor, acceptor->on_accepted(acceptor->context, stream));
}

static void on_pause_aio(void *argument)
{
    struct acceptor *acceptor = argument;
    if (nng_aio_result(acceptor->pause_aio) == 0)
        acceptor_go_on(acceptor, acceptor->on_accepted(acceptor->context, NULL));
}

enum err_code acceptor_open(const char *address, accept_event *on_accepted, void *context,
                            struct acceptor **ret_acceptor, struct err *err)
{
    char url[URL_BYTES];
    TRY(url_of(address, url, err));
    nng_stream_listener *listener;
    int failed = nng_stream_listener_alloc(&listener, url);
    if (failed == 0) {
        failed = nng_stream_listener_listen(listener);
        if (failed != 0)
            nng_stream_listener_free(listener);
    }
    if (failed != 0)
        return err_set(err, ERR_CONFIG, "cannot listen on %s: %s", address, nng_strerror(failed));

    struct acceptor *acceptor = mem_calloc(1, sizeof(*acceptor));
    acceptor->listener = listener;
    acceptor->on_accepted = on_accepted;
    acceptor->context = context;
    int port = 0;
    failed = nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (failed == 0)
        failed = nng_aio_alloc(&acceptor->aio, on_accept_aio, acceptor);
    if (failed == 0)
        failed = nng_aio_alloc(&acceptor->pause_aio, on_pause_aio, acceptor);
    ASSERT(failed == 0);
    acceptor->port = (uint16_t)port;
    nng_aio_set_timeout(acceptor->aio, NNG_DURATION_INFINITE); /* waiting for callers has no end */
    *ret_acceptor = acceptor;
    nng_stream_listener_accept(listener, acceptor->aio);
    return ERR_OK;
}

uint16_t acceptor_port(const struct acceptor *acceptor)
{
    return acceptor->port;
}

void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    nng_stream_listener_close(acceptor->listener);
    nng_aio_stop(acceptor->pause_aio);
    nng_aio_stop(acceptor->aio);
    nng_aio_free(acceptor->pause_aio);
    nng_aio_free(acceptor->aio);
    nng_stream_listener_free(acceptor->listener);
    mem_free(acceptor);
}
