/* Byte streams over TCP: the one file that knows NNG.
 *
 * NNG 1.5.2's streams are used and none of its sockets (docs/decisions/streams.md). Every operation
 * has a time limit. A stream has one receive and one send under way at a time; each ends with its
 * event, on a thread of NNG, which must only take note of it.
 *
 * The end: stream_abort from any thread of ours makes what is under way fail; stream_free, on a
 * thread of ours that may wait (the reaper) and never in an event, after which no event comes.
 */
#ifndef TRANSPORT_STREAM_H
#define TRANSPORT_STREAM_H

#include "proto/bytes.h"

struct stream;

struct stream_events {
    /* ERR_OK and bytes > 0; ERR_TIMEOUT; ERR_LOST. */
    void (*on_received)(void *context, enum err_code code, size_t bytes);
    /* All of it, or an error; the time limit is for each time that nothing moves. */
    void (*on_sent)(void *context, enum err_code code);
};

/* Before the first operation, and again between two owners while nothing is under way. The events
 * are borrowed for ever (constants). */
void stream_attach(struct stream *stream, const struct stream_events *events, void *context);
/* What has arrived, at least one byte; the memory is NNG's until the event. */
void stream_receive(struct stream *stream, uint8_t *to, size_t capacity, uint32_t timeout_ms);
/* The bytes are borrowed until the event. */
void stream_send(struct stream *stream, struct span bytes, uint32_t timeout_ms);
void stream_abort(struct stream *stream);
void stream_free(struct stream *stream); /* NULL is allowed */

#define STREAM_ADDRESS_BYTES 64

struct stream_address {
    uint8_t block[16];               /* whom limits count: an IPv4 address, or an IPv6 /64 */
    char text[STREAM_ADDRESS_BYTES]; /* "127.0.0.1:1234" */
};
void stream_remote(struct stream *stream, struct stream_address *ret_address);

/* "host:port" or "[::1]:port", port in digits. */
bool stream_address_valid(const char *address);

/* Dialling: one attempt. The event comes once, on a thread of NNG; a stream it brings is the
 * caller's. dial_abort makes it come soon. */
struct dial;
typedef void dial_event(void *context, struct stream *stream, const struct err *err);
/* "host:port". ERR_CONFIG when it cannot be an address; then no event. */
enum err_code dial_start(const char *address, uint32_t timeout_ms, dial_event *on_dialled,
                         void *context, struct dial **ret_dial, struct err *err);
void dial_abort(struct dial *dial);
void dial_free(struct dial *dial); /* waits; on a thread of ours; NULL is allowed */

/* Accepting: on a thread of NNG, the event takes the stream of every connection and says whether the
 * next one may come at once: false pauses for ACCEPT_BUSY_PAUSE_MS and asks again, with no stream.
 * Errors of accept pause for ACCEPT_PAUSE_MS. */
struct acceptor;
typedef bool accept_event(void *context, struct stream *stream);
enum err_code acceptor_open(const char *address, accept_event *on_accepted, void *context,
                            struct acceptor **ret_acceptor, struct err *err);
uint16_t acceptor_port(const struct acceptor *acceptor);
void acceptor_close(struct acceptor *acceptor); /* waits: no event afterwards */

#endif
