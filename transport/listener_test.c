/* What strangers and broken peers may do to a listener: raw sockets against it. */
#include "transport/listener.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "transport/envelope.h"
#include "transport/handshake.h"
#include "transport/record.h"
#include "transport/testbed.h"

#define WAIT_MS 20000 /* nothing here takes as long: only so that a failure ends */

/* --- a raw peer --- */

struct raw {
    int fd;
    uint8_t request[HANDSHAKE_REQUEST_BYTES];
    struct handshake *handshake;
    struct session_keys *keys;
    uint16_t version; /* of the protocol, as answered */
};

static int dial(const struct testbed *bed)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(listener_port(bed->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void put(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Exactly len bytes; false when the other end closes before. */
static bool get(int fd, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
        ssize_t n = recv(fd, (uint8_t *)data + at, len - at, 0);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* The other end closes, without a byte more. */
static void assert_closed(int fd)
{
    uint8_t byte;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static uint32_t reply_bytes_max = (uint32_t)LIMIT_BODY_BYTES; /* what a raw peer says it takes */

static uint16_t version_min = 1, version_max = 1; /* and the versions it speaks */

static void make_request(struct raw *raw, const struct testbed *bed, enum purpose purpose)
{
    struct handshake_hello hello = {.version_min = version_min,
                                    .version_max = version_max,
                                    .purpose = purpose,
                                    .reply_bytes_max = reply_bytes_max};
    memset(raw, 0, sizeof(*raw));
    assert_int_equal(handshake_begin(bed->asker, &identity_public(bed->node)->noise,
                                     SUITE_CHACHAPOLY, LISTENER_PEERS, &hello, raw->request,
                                     &raw->handshake),
                     ERR_OK);
}

/* The handshake and nothing more. */
static void raw_open(struct raw *raw, const struct testbed *bed, enum purpose purpose)
{
    uint8_t answer[HANDSHAKE_REPLY_BYTES];
    struct handshake_welcome welcome;
    make_request(raw, bed, purpose);
    raw->fd = dial(bed);
    put(raw->fd, raw->request, sizeof(raw->request));
    assert_true(get(raw->fd, answer, sizeof(answer)));
    assert_int_equal(
        handshake_end(raw->handshake, span_of(answer, sizeof(answer)), &welcome, &raw->keys, NULL),
        ERR_OK);
    raw->version = welcome.version;
}

static void raw_free(struct raw *raw)
{
    handshake_free(raw->handshake);
    session_keys_free(raw->keys);
}

static void raw_send(struct raw *raw, struct span plain)
{
    uint8_t record[RECORD_BYTES_MAX];
    put(raw->fd, record, record_seal(&raw->keys->send, plain, record));
}

static void raw_send_head(struct raw *raw, const struct head *head)
{
    uint8_t encoded[ENVELOPE_HEAD_BYTES];
    head_encode(head, encoded);
    raw_send(raw, span_of(encoded, sizeof(encoded)));
}

/* The next record's plain text. */
static bool raw_receive(struct raw *raw, struct head *ret_head)
{
    static uint8_t record[RECORD_BYTES_MAX];
    if (!get(raw->fd, record, 2))
        return false;
    size_t len = load_u16(record);
    if (!get(raw->fd, record + 2, len))
        return false;
    assert_true(seal_decrypt(&raw->keys->receive, span_of(record + 2, len), record + 2));
    assert_int_equal(
        head_decode(span_of(record + 2, len - SEAL_TAG_BYTES), LIMIT_BODY_BYTES, ret_head, NULL),
        ERR_OK);
    return true;
}

/* The listener serves on, and nothing of what was refused was handed out. */
static void assert_unharmed(struct testbed *bed, unsigned handed_out)
{
    struct link *link = testbed_link(bed, NULL, 1);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    assert_int_equal(bed->handed_out, handed_out + 1);
    link_close(link);
}

/* --- handshakes --- */

static void test_every_damaged_first_message_is_closed_without_a_byte(void **state)
{
    (void)state;
    static const size_t places[] = {0, 1, 2, 3, 4, 36, 84, 100, 163, 164, 179};
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        struct raw raw;
        make_request(&raw, &bed, PURPOSE_DATA);
        raw.request[places[i]] ^= 0x40;
        int fd = dial(&bed);
        put(fd, raw.request, sizeof(raw.request));
        assert_closed(fd);
        raw_free(&raw);
    }
    assert_unharmed(&bed, 0);
    struct listener_status status;
    listener_status(bed.listener, &status);
    assert_int_equal(status.refused_handshake, ARRAY_COUNT(places));
    testbed_close(&bed);
}

static void test_slow_and_truncated_handshakes_end_at_the_time_limit(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    int fds[4];
    testbed_open(&bed, &(struct pool_options){.handshake_timeout_ms = 150}, NULL);
    make_request(&raw, &bed, PURPOSE_DATA);
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        fds[i] = dial(&bed);
        put(fds[i], raw.request, i * 59 + 1); /* from one byte to all but a few */
    }
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        assert_closed(fds[i]);
    raw_free(&raw);
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_a_drip_of_bytes_does_not_lengthen_the_handshake(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    testbed_open(&bed, &(struct pool_options){.handshake_timeout_ms = 200}, NULL);
    make_request(&raw, &bed, PURPOSE_DATA);
    int fd = dial(&bed);
    uint64_t started_ms = pool_now_ms();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t sent = 0;
    while (poll(&poll_fd, 1, 20) == 0 && sent < 170)
        sent += send(fd, raw.request + sent, 1, MSG_NOSIGNAL) == 1;
    assert_true(sent < 170); /* at 20 ms a byte: it was closed long before */
    assert_true(pool_now_ms() - started_ms >= 190);
    assert_closed(fd);
    raw_free(&raw);
    testbed_close(&bed);
}

static void test_a_replayed_first_message_does_nothing_and_ends(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    uint8_t answer[HANDSHAKE_REPLY_BYTES];
    testbed_open(&bed, &(struct pool_options){.handshake_timeout_ms = 200}, NULL);
    raw_open(&raw, &bed, PURPOSE_CONTROL);
    raw_send_head(&raw, &(struct head){.kind = ENVELOPE_PING, .request_id = 7});
    struct head head = {0};
    assert_true(raw_receive(&raw, &head));
    assert_int_equal(head.kind, ENVELOPE_PONG);
    assert_int_equal(head.request_id, 7);
    struct listener_status status;
    int fds[3];
    for (int i = 0; i < 3; i++) { /* who recorded it sends it again */
        fds[i] = dial(&bed);
        put(fds[i], raw.request, sizeof(raw.request));
        assert_true(get(fds[i], answer, sizeof(answer)));
    }
    listener_status(bed.listener, &status);
    assert_int_equal(status.connections, 1); /* the true one alone */
    assert_int_equal(status.unauthenticated, 3);
    /* it cannot seal a record, and its time is short */
    uint8_t garbage[RECORD_HEAD_BYTES + 40] = {0, 40, 'x'};
    put(fds[0], garbage, sizeof(garbage));
    for (int i = 0; i < 3; i++)
        assert_closed(fds[i]);
    close(raw.fd);
    raw_free(&raw);
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_the_latest_version_that_both_ends_speak_is_chosen(void **state)
{
    (void)state;
    static const struct {
        uint16_t max, chosen;
    } cases[] = {{1, 1}, {PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MAX}, {9, PROTOCOL_VERSION_MAX}};
    struct testbed bed;
    struct raw raw;
    testbed_open(&bed, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        version_max = cases[i].max;
        raw_open(&raw, &bed, PURPOSE_CONTROL);
        assert_int_equal(raw.version, cases[i].chosen);
        close(raw.fd);
        raw_free(&raw);
    }
    version_max = 1;
    testbed_close(&bed);
}

/* No byte comes, but who listens hears whose versions are whose; of a stranger nothing. */
static void test_a_known_key_without_a_common_version_is_told_of(void **state)
{
    (void)state;
    static const char said[] = "peer speaks protocol 8 to 9, this node 1 to ";
    struct testbed bed;
    struct raw raw;
    testbed_open(&bed, NULL, NULL);
    version_min = 8;
    version_max = 9;
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&bed.lock);
        bed.asker_unknown = i == 0;
        pthread_mutex_unlock(&bed.lock);
        make_request(&raw, &bed, PURPOSE_CONTROL);
        int fd = dial(&bed);
        put(fd, raw.request, sizeof(raw.request));
        assert_closed(fd);
        raw_free(&raw);
    }
    testbed_wait_refused(&bed, 1);
    assert_string_equal(bed.refused_name, "asker");
    assert_memory_equal(bed.refused.message, said, sizeof(said) - 1);
    version_min = version_max = 1;
    assert_unharmed(&bed, 0);
    assert_int_equal(bed.refused_count, 1);
    testbed_close(&bed);
}

static void test_half_open_connections_are_counted_by_address(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    struct testbed bed;
    int fds[COUNT];
    testbed_open(&bed, &(struct pool_options){.handshake_timeout_ms = 1000}, NULL);
    for (int i = 0; i < COUNT; i++)
        fds[i] = dial(&bed);
    for (int i = 0; i < COUNT - LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++)
        assert_closed(fds[i]); /* at once: their places went to those who came later */
    struct listener_status status;
    listener_status(bed.listener, &status);
    assert_int_equal(status.unauthenticated, LIMIT_UNAUTHENTICATED_PER_ADDRESS);
    assert_int_equal(status.refused_limit, COUNT - LIMIT_UNAUTHENTICATED_PER_ADDRESS);
    for (int i = COUNT - LIMIT_UNAUTHENTICATED_PER_ADDRESS; i < COUNT; i++)
        assert_closed(fds[i]); /* after their second */
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_those_who_hold_their_places_do_not_keep_a_known_key_out(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    struct head head = {0};
    int fds[LIMIT_UNAUTHENTICATED_PER_ADDRESS];
    testbed_open(&bed, NULL, &(struct listener_limits){.handshakes_per_second = 1});
    for (int i = 0; i < LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++) {
        uint8_t garbage[HANDSHAKE_REQUEST_BYTES] = {1, LISTENER_PEERS};
        fds[i] = dial(&bed);
        put(fds[i], garbage, i % 2 == 0 ? 20 : sizeof(garbage)); /* uses up no handshake */
    }
    raw_open(&raw, &bed, PURPOSE_CONTROL);
    for (int i = 0; i < LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++) /* it has shown its key: it stays */
        close(dial(&bed));
    raw_send_head(&raw, &(struct head){.kind = ENVELOPE_PING});
    assert_true(raw_receive(&raw, &head));
    for (int i = 0; i < LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++)
        close(fds[i]);
    close(raw.fd);
    raw_free(&raw);
    testbed_close(&bed);
}

static void test_handshakes_a_second_are_limited(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raws[4];
    testbed_open(&bed, NULL, &(struct listener_limits){.handshakes_per_second = 3});
    for (int i = 0; i < 3; i++)
        raw_open(&raws[i], &bed, PURPOSE_DATA);
    make_request(&raws[3], &bed, PURPOSE_DATA);
    raws[3].fd = dial(&bed);
    put(raws[3].fd, raws[3].request, sizeof(raws[3].request));
    assert_closed(raws[3].fd);
    for (int i = 0; i < 4; i++) {
        if (i < 3)
            close(raws[i].fd);
        raw_free(&raws[i]);
    }
    testbed_close(&bed);
}

static void test_connections_of_one_peer_are_limited(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raws[4];
    struct head head = {0};
    testbed_open(&bed, NULL, &(struct listener_limits){.connections_per_entry = 3});
    for (int i = 0; i < 3; i++) {
        raw_open(&raws[i], &bed, PURPOSE_DATA);
        raw_send_head(&raws[i], &(struct head){.kind = ENVELOPE_PING});
        assert_true(raw_receive(&raws[i], &head));
    }
    make_request(&raws[3], &bed, PURPOSE_DATA);
    raws[3].fd = dial(&bed);
    put(raws[3].fd, raws[3].request, sizeof(raws[3].request));
    assert_closed(raws[3].fd);
    for (int i = 0; i < 4; i++) {
        if (i < 3)
            close(raws[i].fd);
        raw_free(&raws[i]);
    }
    testbed_close(&bed);
}

/* --- after the handshake --- */

struct breach {
    const char *name;
    struct head head;
    size_t padding; /* bytes after the head in the same record */
};

static void test_every_breach_of_the_envelope_closes_the_connection(void **state)
{
    (void)state;
    static const struct breach breaches[] = {
        {"a reply", {.kind = ENVELOPE_REPLY, .request_id = 1}, 0},
        {"an unknown kind", {.kind = (enum envelope_kind)9, .request_id = 1}, 0},
        {"no id", {.kind = ENVELOPE_REQUEST, .method = 1, .deadline_ms = 9}, 0},
        {"a status", {.kind = ENVELOPE_REQUEST, .status = 1, .request_id = 1, .deadline_ms = 9}, 0},
        {"a header above the limit",
         {.kind = ENVELOPE_REQUEST,
          .request_id = 1,
          .deadline_ms = 9,
          .header_bytes = LIMIT_HEADER_BYTES + 1},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a header of 2^32 - 1",
         {.kind = ENVELOPE_REQUEST, .request_id = 1, .deadline_ms = 9, .header_bytes = UINT32_MAX},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a header and a body of 2^32 - 1",
         {.kind = ENVELOPE_REQUEST,
          .request_id = 1,
          .deadline_ms = 9,
          .header_bytes = UINT32_MAX,
          .body_bytes = UINT32_MAX},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a body of 2^31",
         {.kind = ENVELOPE_REQUEST,
          .request_id = 1,
          .deadline_ms = 9,
          .body_bytes = UINT32_C(1) << 31},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a body of 2^32 - 1",
         {.kind = ENVELOPE_REQUEST, .request_id = 1, .deadline_ms = 9, .body_bytes = UINT32_MAX},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a body above the listener's limit",
         {.kind = ENVELOPE_REQUEST,
          .request_id = 1,
          .deadline_ms = 9,
          .body_bytes = LIMIT_PEER_REQUEST_BYTES + 1},
         RECORD_PLAIN_BYTES_MAX - ENVELOPE_HEAD_BYTES},
        {"a record longer than its message",
         {.kind = ENVELOPE_REQUEST, .request_id = 1, .deadline_ms = 9, .body_bytes = 5},
         6},
        {"a record shorter than its message",
         {.kind = ENVELOPE_REQUEST, .request_id = 1, .deadline_ms = 9, .body_bytes = 5},
         4},
        {"a ping with a body", {.kind = ENVELOPE_PING, .body_bytes = 1}, 1},
    };
    struct testbed bed;
    static uint8_t plain[RECORD_PLAIN_BYTES_MAX];
    testbed_open(&bed, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(breaches); i++) {
        struct raw raw;
        raw_open(&raw, &bed, PURPOSE_CONTROL);
        head_encode(&breaches[i].head, plain);
        raw_send(&raw, span_of(plain, ENVELOPE_HEAD_BYTES + breaches[i].padding));
        assert_closed(raw.fd);
        raw_free(&raw);
    }
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_every_breach_of_the_records_closes_the_connection(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        struct raw raw;
        raw_open(&raw, &bed, PURPOSE_CONTROL);
        uint8_t record[200] = {0};
        uint8_t encoded[ENVELOPE_HEAD_BYTES];
        head_encode(&(struct head){.kind = ENVELOPE_PING}, encoded);
        size_t bytes = record_seal(&raw.keys->send, span_of(encoded, sizeof(encoded)), record);
        if (i == 0)
            store_u16(record, 0);
        else if (i == 1)
            store_u16(record, SEAL_TAG_BYTES);
        else if (i == 2)
            record[10] ^= 1;
        else if (i == 3) /* plain text shorter than a head */
            bytes = record_seal(&raw.keys->send, span_of(encoded, 10), record);
        else
            randombytes_buf(record, sizeof(record)), store_u16(record, 100), bytes = 200;
        put(raw.fd, record, bytes);
        assert_closed(raw.fd);
        raw_free(&raw);
    }
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_a_record_sent_twice_closes_the_connection(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    struct head head = {0};
    testbed_open(&bed, NULL, NULL);
    raw_open(&raw, &bed, PURPOSE_CONTROL);
    uint8_t record[100];
    uint8_t encoded[ENVELOPE_HEAD_BYTES];
    head_encode(&(struct head){.kind = ENVELOPE_PING}, encoded);
    size_t bytes = record_seal(&raw.keys->send, span_of(encoded, sizeof(encoded)), record);
    put(raw.fd, record, bytes);
    assert_true(raw_receive(&raw, &head));
    put(raw.fd, record, bytes);
    assert_closed(raw.fd);
    raw_free(&raw);
    testbed_close(&bed);
}

static void test_request_ids_rise(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    struct head head = {
        .kind = ENVELOPE_REQUEST, .method = METHOD_ECHO, .request_id = 5, .deadline_ms = 60000};
    struct head reply = {0};
    testbed_open(&bed, NULL, NULL);
    raw_open(&raw, &bed, PURPOSE_CONTROL);
    raw_send_head(&raw, &head);
    assert_true(raw_receive(&raw, &reply));
    assert_int_equal(reply.request_id, 5);
    raw_send_head(&raw, &head);
    assert_closed(raw.fd);
    raw_free(&raw);
    assert_unharmed(&bed, 1);
    testbed_close(&bed);
}

static void test_a_peer_that_takes_little_gets_an_error_and_not_more(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    struct head head = {0};
    testbed_open(&bed, NULL, NULL);
    for (uint32_t most = 9; most <= 10; most++) {
        uint8_t plain[ENVELOPE_HEAD_BYTES + 10] = {0};
        reply_bytes_max = most;
        raw_open(&raw, &bed, PURPOSE_CONTROL);
        reply_bytes_max = (uint32_t)LIMIT_BODY_BYTES;
        head_encode(&(struct head){.kind = ENVELOPE_REQUEST,
                                   .method = METHOD_ECHO,
                                   .request_id = 1,
                                   .deadline_ms = 60000,
                                   .body_bytes = 10},
                    plain);
        raw_send(&raw, span_of(plain, sizeof(plain)));
        assert_true(raw_receive(&raw, &head));
        assert_int_equal(head.status, most == 10 ? ERR_OK : ERR_LIMIT);
        assert_int_equal(head.body_bytes, most == 10 ? 10 : 0);
        close(raw.fd);
        raw_free(&raw);
    }
    testbed_close(&bed);
}

static void test_a_message_that_stops_in_the_middle_ends_with_the_silence(void **state)
{
    (void)state;
    struct testbed bed;
    struct raw raw;
    static uint8_t plain[RECORD_PLAIN_BYTES_MAX];
    testbed_open(&bed, &(struct pool_options){.ping_after_ms = 50, .silence_max_ms = 200}, NULL);
    raw_open(&raw, &bed, PURPOSE_DATA);
    head_encode(
        &(struct head){
            .kind = ENVELOPE_REQUEST, .request_id = 1, .deadline_ms = 60000, .body_bytes = 1000000},
        plain);
    raw_send(&raw, span_of(plain, sizeof(plain)));
    struct head head = {0};
    /* while a message comes in it says that it is here, by a pong of no ping; asks whether anybody
     * is there; and goes */
    bool asked = false;
    size_t heads = 0;
    for (; heads < 100 && raw_receive(&raw, &head); heads++) {
        asked = asked || head.kind == ENVELOPE_PING;
        assert_true(head.kind == ENVELOPE_PING ||
                    (head.kind == ENVELOPE_PONG && head.request_id == 0));
    }
    assert_true(asked && heads < 100);
    close(raw.fd);
    raw_free(&raw);
    assert_unharmed(&bed, 0);
    testbed_close(&bed);
}

static void test_a_peer_that_stops_reading_is_closed_and_costs_one_reply(void **state)
{
    (void)state;
    enum { REQUESTS = 30 };
    struct testbed bed;
    struct raw raw;
    testbed_open(&bed, &(struct pool_options){.ping_after_ms = 100, .silence_max_ms = 300}, NULL);
    raw_open(&raw, &bed, PURPOSE_DATA);
    for (uint64_t id = 1; id <= REQUESTS; id++) {
        uint8_t plain[ENVELOPE_HEAD_BYTES + 8];
        head_encode(&(struct head){.kind = ENVELOPE_REQUEST,
                                   .method = METHOD_BYTES,
                                   .request_id = id,
                                   .deadline_ms = 60000,
                                   .header_bytes = 8},
                    plain);
        store_u32(plain + 24, (uint32_t)LIMIT_BODY_BYTES);
        store_u32(plain + 28, 1);
        raw_send(&raw, span_of(plain, sizeof(plain)));
    }
    struct listener_status status;
    do {
        listener_status(bed.listener, &status);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    } while (status.connections + status.unauthenticated > 0);
    /* what the kernel's buffers took, and the one that waited; not thirty times 16 MiB */
    pthread_mutex_lock(&bed.lock);
    assert_true(bed.handed_out < 4);
    assert_int_equal(bed.released, bed.handed_out);
    pthread_mutex_unlock(&bed.lock);
    close(raw.fd);
    raw_free(&raw);
    testbed_close(&bed);
}

static uint64_t accepted(const struct testbed *bed)
{
    struct listener_status status;
    listener_status(bed->listener, &status);
    return status.accepted;
}

static void test_nobody_is_accepted_while_too_many_wait_to_be_closed(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    for (unsigned i = 0; i < LIMIT_STREAMS_LEAVING; i++)
        pool_leaving_begin(bed.pool);
    int first = dial(&bed); /* asked for before they were too many */
    int second = dial(&bed);
    while (accepted(&bed) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 5 * ACCEPT_BUSY_PAUSE_MS * 1000000}, NULL);
    assert_int_equal(accepted(&bed), 1);
    pool_leaving_end(bed.pool);
    while (accepted(&bed) == 1)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (unsigned i = 1; i < LIMIT_STREAMS_LEAVING; i++)
        pool_leaving_end(bed.pool);
    close(first);
    close(second);
    testbed_close(&bed);
}

/* Whoever was refused or gave its place away is no longer on its way out once it is closed. */
static void test_those_who_leave_are_counted_until_they_are_gone(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    for (unsigned i = 0; i < 3 * LIMIT_STREAMS_LEAVING; i++) {
        int fd = dial(&bed); /* those after the first few, of one address, evict or are refused */
        while (accepted(&bed) <= i)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        close(fd);
    }
    while (!pool_may_accept(bed.pool))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    testbed_close(&bed);
}

static void test_an_address_in_use_says_so(void **state)
{
    (void)state;
    struct testbed bed;
    struct err err;
    struct listener *second = NULL;
    testbed_open(&bed, NULL, NULL);
    struct listener_options options = {
        .kind = LISTENER_PEERS, .address = bed.address, .identity = bed.node};
    assert_int_equal(listener_open(bed.pool, &options, &second, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, bed.address));
    assert_null(second);
    testbed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_damaged_first_message_is_closed_without_a_byte),
        cmocka_unit_test(test_slow_and_truncated_handshakes_end_at_the_time_limit),
        cmocka_unit_test(test_a_drip_of_bytes_does_not_lengthen_the_handshake),
        cmocka_unit_test(test_a_replayed_first_message_does_nothing_and_ends),
        cmocka_unit_test(test_the_latest_version_that_both_ends_speak_is_chosen),
        cmocka_unit_test(test_a_known_key_without_a_common_version_is_told_of),
        cmocka_unit_test(test_half_open_connections_are_counted_by_address),
        cmocka_unit_test(test_those_who_hold_their_places_do_not_keep_a_known_key_out),
        cmocka_unit_test(test_handshakes_a_second_are_limited),
        cmocka_unit_test(test_connections_of_one_peer_are_limited),
        cmocka_unit_test(test_every_breach_of_the_envelope_closes_the_connection),
        cmocka_unit_test(test_every_breach_of_the_records_closes_the_connection),
        cmocka_unit_test(test_a_record_sent_twice_closes_the_connection),
        cmocka_unit_test(test_request_ids_rise),
        cmocka_unit_test(test_a_peer_that_takes_little_gets_an_error_and_not_more),
        cmocka_unit_test(test_a_message_that_stops_in_the_middle_ends_with_the_silence),
        cmocka_unit_test(test_a_peer_that_stops_reading_is_closed_and_costs_one_reply),
        cmocka_unit_test(test_nobody_is_accepted_while_too_many_wait_to_be_closed),
        cmocka_unit_test(test_those_who_leave_are_counted_until_they_are_gone),
        cmocka_unit_test(test_an_address_in_use_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
