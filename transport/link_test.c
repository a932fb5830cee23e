#include "transport/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "transport/handshake.h"
#include "transport/record.h"
#include "transport/testbed.h"

static void append_sizes(struct bytes *header, uint32_t bytes, uint32_t parts)
{
    bytes_append_u32(header, bytes);
    bytes_append_u32(header, parts);
}

static void assert_pattern(struct span body)
{
    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] != testbed_pattern(i))
            fail_msg("byte %zu of %zu is wrong", i, body.len);
    }
}

static void test_header_and_body_come_back(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request request = {.method = METHOD_ECHO,
                                   .header = span_text("the header"),
                                   .body = span_text("the body"),
                                   .reply_body_bytes = 100};
    for (int bulk = 0; bulk < 2; bulk++) {
        request.bulk = bulk;
        asked_post(&asked, link, &request);
        asked_wait(&asked);
        assert_int_equal(asked.err.code, ERR_OK);
        assert_true(span_equal(bytes_span(&asked.header), span_text("the header")));
        assert_true(span_equal(bytes_span(&asked.body), span_text("the body")));
        assert_int_equal(asked.wire_bytes, 2 * (24 + 10 + 8 + RECORD_OVERHEAD));
        assert_int_equal(bed.last_session.purpose, bulk ? PURPOSE_DATA : PURPOSE_CONTROL);
        asked_deinit(&asked);
    }
    assert_int_equal(bed.last_session.entry, 42);
    assert_true(noise_key_equal(&bed.last_session.key, &identity_public(bed.asker)->noise));
    assert_string_equal(bed.last_session.name, "asker");
    struct link_status status;
    link_status(link, &status);
    assert_true(status.connected);
    assert_int_equal(status.data_connections, 1);
    assert_int_equal(status.dials, 2);
    assert_int_equal(status.requests_in_flight, 0);
    assert_true(status.round_trip_us > 0);
    assert_in_range(status.clock_difference_ms + 60000, 0, 120000);
    assert_int_equal(status.version, PROTOCOL_VERSION_MAX);
    link_close(link);
    testbed_close(&bed);
}

/* Sizes around every edge of records, in one and in many parts, to reserved and to link's memory. */
static void test_bodies_of_all_sizes_and_parts_arrive_whole(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0,      1,        65490,           65491,  65492,
                                     65519,  65520,    131038,          262144, 1000000,
                                     262145, 16777216, LIMIT_BODY_BYTES};
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 2);
    uint8_t *memory = mem_alloc(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(sizes) * 2; i++) {
        struct asked asked;
        BYTES_CLEANUP struct bytes header = {0};
        uint32_t bytes = sizes[i / 2];
        append_sizes(&header, bytes, i % 2 == 0 ? 1 : 37);
        memset(memory, 0, bytes);
        asked_post(&asked, link,
                   &(struct link_request){.method = METHOD_BYTES,
                                          .bulk = true,
                                          .header = bytes_span(&header),
                                          .reply_body = i % 2 == 0 ? memory : NULL,
                                          .reply_body_bytes = bytes,
                                          .reply_exact = true});
        asked_wait(&asked);
        assert_int_equal(asked.err.code, ERR_OK);
        assert_int_equal(asked.body_bytes, bytes);
        assert_pattern(bytes_span(&asked.body));
        if (i % 2 == 0)
            assert_pattern(span_of(memory, bytes));
        asked_deinit(&asked);
    }
    mem_free(memory);
    link_close(link);
    testbed_close(&bed);
    assert_int_equal(bed.released, ARRAY_COUNT(sizes) * 2);
}

static void test_large_requests_arrive_whole(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked;
    testbed_open(&bed, NULL,
                 &(struct listener_limits){.request_body_bytes = (uint32_t)LIMIT_BODY_BYTES});
    struct link *link = testbed_link(&bed, NULL, 1);
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    bytes_resize(&header, LIMIT_HEADER_BYTES);
    memset(header.data, 'h', header.len);
    bytes_resize(&body, 9000000);
    for (size_t i = 0; i < body.len; i++)
        body.data[i] = testbed_pattern(i);
    struct link_request request = {.method = METHOD_ECHO,
                                   .header = bytes_span(&header),
                                   .body = bytes_span(&body),
                                   .reply_body_bytes = 9000000};
    asked_post(&asked, link, &request);
    asked_wait(&asked);
    assert_int_equal(asked.err.code, ERR_OK);
    assert_true(span_equal(bytes_span(&asked.header), bytes_span(&header)));
    assert_true(span_equal(bytes_span(&asked.body), bytes_span(&body)));
    asked_deinit(&asked);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_request_larger_than_the_peer_takes_is_not_sent(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked;
    testbed_open(&bed, NULL, &(struct listener_limits){.request_body_bytes = 1000});
    struct link *link = testbed_link(&bed, NULL, 1);
    uint8_t body[1001] = {0};
    struct link_request request = {
        .method = METHOD_ECHO, .body = span_of(body, 1001), .reply_body_bytes = 1001};
    asked_post(&asked, link, &request);
    asked_wait(&asked);
    assert_int_equal(asked.err.code, ERR_LIMIT);
    asked_deinit(&asked);
    request.body.len = 1000;
    asked_post(&asked, link, &request);
    asked_wait(&asked);
    assert_int_equal(asked.err.code, ERR_OK);
    asked_deinit(&asked);
    link_close(link);
    testbed_close(&bed);
}

static void test_the_peers_error_comes_with_its_message(void **state)
{
    (void)state;
    struct testbed bed;
    struct err err;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request request = {.method = METHOD_FAIL, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &request, NULL, NULL, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message, "there is no 3 here");
    request.method = METHOD_ECHO; /* and the connection goes on */
    assert_int_equal(link_call(link, &request, NULL, NULL, &err), ERR_OK);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_reply_of_another_size_than_asked_is_the_peers_error(void **state)
{
    (void)state;
    struct testbed bed;
    uint8_t memory[100];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    for (uint32_t bytes = 99; bytes <= 101; bytes++) {
        BYTES_CLEANUP struct bytes header = {0};
        struct err err;
        append_sizes(&header, bytes, 1);
        struct link_request request = {.method = METHOD_BYTES,
                                       .bulk = true,
                                       .header = bytes_span(&header),
                                       .reply_body = memory,
                                       .reply_body_bytes = 100,
                                       .deadline_ms = 60000};
        /* up to the reservation without reply_exact, exactly it with */
        assert_int_equal(link_call(link, &request, NULL, NULL, &err),
                         bytes <= 100 ? ERR_OK : ERR_PEER);
        request.reply_exact = true;
        assert_int_equal(link_call(link, &request, NULL, NULL, &err),
                         bytes == 100 ? ERR_OK : ERR_PEER);
    }
    link_close(link);
    testbed_close(&bed);
}

static void test_many_requests_spread_over_the_data_connections(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static struct asked asked[COUNT];
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 5);
    BYTES_CLEANUP struct bytes header = {0};
    append_sizes(&header, 100000, 3);
    for (int i = 0; i < COUNT; i++)
        asked_post(&asked[i], link,
                   &(struct link_request){.method = METHOD_BYTES,
                                          .bulk = true,
                                          .header = bytes_span(&header),
                                          .reply_body_bytes = 100000,
                                          .reply_exact = true});
    struct link_status status;
    uint32_t most = 0;
    for (int i = 0; i < COUNT; i++) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        assert_pattern(bytes_span(&asked[i].body));
        link_status(link, &status);
        most = status.data_connections > most ? status.data_connections : most;
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(asked[i].replies, 1);
        asked_deinit(&asked[i]);
    }
    assert_int_equal(most, 5);
    assert_false(status.connected); /* nothing needed the control connection */
    link_close(link);
    testbed_close(&bed);
}

static void test_a_data_connection_hands_out_one_request_at_a_time(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked[3];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request hold = {.method = METHOD_HOLD, .bulk = true};
    for (int i = 0; i < 3; i++)
        asked_post(&asked[i], link, &hold);
    for (int i = 0; i < 3; i++) {
        testbed_wait_held(&bed, 1);
        /* a control request that comes later is not behind them */
        struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
        assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
        assert_int_equal(bed.held_count, 1);
        testbed_let_go(&bed);
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        asked_deinit(&asked[i]);
    }
    link_close(link);
    testbed_close(&bed);
}

/* Bodies that are kept until the test gives them back. */
struct keeper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct link_body *bodies[64];
    unsigned count, most, replies;
};

static void on_reply_keep(void *context, const struct link_reply *reply)
{
    struct keeper *keeper = context;
    pthread_mutex_lock(&keeper->lock);
    keeper->replies++;
    if (reply->err.code == ERR_OK && keeper->count < ARRAY_COUNT(keeper->bodies)) {
        keeper->bodies[keeper->count++] = *reply->kept_body;
        *reply->kept_body = NULL;
    }
    keeper->most = keeper->count > keeper->most ? keeper->count : keeper->most;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

/* Waits for one, and takes it. */
static struct link_body *keeper_take(struct keeper *keeper, unsigned at_least)
{
    pthread_mutex_lock(&keeper->lock);
    while (keeper->count < at_least)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    struct link_body *body = keeper->bodies[--keeper->count];
    pthread_mutex_unlock(&keeper->lock);
    return body;
}

static void test_data_connections_pause_while_much_is_kept(void **state)
{
    (void)state;
    enum { COUNT = 40, BODY = 100000, CONNECTIONS = 2, FIT = 3 };
    struct keeper keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct testbed bed;
    testbed_open(&bed, &(struct pool_options){.bodies_bytes_max = FIT * BODY}, NULL);
    struct link *link = testbed_link(&bed, NULL, CONNECTIONS);
    BYTES_CLEANUP struct bytes header = {0};
    append_sizes(&header, BODY, 3);
    for (int i = 0; i < COUNT; i++)
        link_post(link, &(struct link_request){.method = METHOD_BYTES,
                                               .bulk = true,
                                               .header = bytes_span(&header),
                                               .reply_body_bytes = BODY,
                                               .deadline_ms = 60000,
                                               .on_reply = on_reply_keep,
                                               .context = &keeper});
    struct link_body *first = keeper_take(&keeper, FIT); /* it is full: two are left, one is here */
    const struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    for (int i = 0; i < 100; i++) /* control goes on; what more comes would be seen */
        assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    assert_pattern(span_of(link_body_data(first), BODY));
    link_body_free(first);
    for (int i = 1; i < COUNT; i++)
        link_body_free(keeper_take(&keeper, 1));
    assert_int_equal(keeper.replies, COUNT);
    assert_in_range(keeper.most, FIT, FIT - 1 + CONNECTIONS);
    link_close(link);
    testbed_close(&bed);
}

static void hold_and_let_go(struct testbed *bed, struct link *link, unsigned count,
                            unsigned at_once)
{
    struct asked asked[16];
    const struct link_request hold = {.method = METHOD_HOLD, .bulk = true};
    const struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    for (unsigned i = 0; i < count; i++)
        asked_post(&asked[i], link, &hold);
    for (unsigned done = 0; done < count; done += at_once) {
        testbed_wait_held(bed, at_once);
        assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
        assert_int_equal(bed->held_count, at_once);
        testbed_let_go(bed);
    }
    for (unsigned i = 0; i < count; i++) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        asked_deinit(&asked[i]);
    }
}

static void test_the_number_of_data_connections_changes_while_they_work(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 2);
    hold_and_let_go(&bed, link, 4, 2);
    link_set_data_connections(link, 5);
    hold_and_let_go(&bed, link, 5, 5); /* three more are dialled */
    link_set_data_connections(link, 2);
    hold_and_let_go(&bed, link, 6, 2); /* those that are too many take nothing */
    link_set_data_connections(link, 5);
    hold_and_let_go(&bed, link, 5, 5);
    struct link_status status;
    link_status(link, &status);
    assert_int_equal(status.dials, 6); /* nothing was dialled twice */
    link_close(link);
    testbed_close(&bed);
}

/* Two requests at once are never one behind the other while a connection stands idle. */
static void test_no_data_connection_stands_idle_while_a_request_waits(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 2);
    for (unsigned i = 0; i < 500; i++)
        hold_and_let_go(&bed, link, 2, 2);
    link_close(link);
    testbed_close(&bed);
}

static struct link_status dialled_early(struct link *link, uint64_t dials)
{
    struct link_status status;
    do {
        sched_yield();
        link_status(link, &status);
    } while (status.dials < dials || status.data_connections < dials);
    return status;
}

static void test_data_connections_are_dialled_early_once_and_carry_what_comes(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 6);
    link_dial_early(link, 3);
    struct link_status status = dialled_early(link, 3);
    link_dial_early(link, 3); /* there they are */
    hold_and_let_go(&bed, link, 3, 3);
    link_status(link, &status);
    assert_int_equal(status.dials, 3 + 1); /* and hold_and_let_go's control connection */
    link_set_data_connections(link, 2);
    link_dial_early(link, 9); /* not beyond the maximum */
    hold_and_let_go(&bed, link, 2, 2);
    link_status(link, &status);
    assert_int_equal(status.dials, 3 + 1);
    link_close(link);
    testbed_close(&bed);
}

/* Its failure is no attempt at the addresses: the request after it tries them all, and is told. */
static void test_an_early_dial_that_fails_costs_no_request_its_addresses(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    const char *addresses[] = {"127.0.0.1:1", bed.address};
    struct link *link;
    struct link_options options = {.kind = LISTENER_PEERS,
                                   .addresses = addresses,
                                   .address_count = 2,
                                   .identity = bed.asker,
                                   .peer_key = identity_public(bed.node)->noise,
                                   .data_connections_max = 2};
    assert_int_equal(link_open(bed.pool, &options, &link, NULL), ERR_OK);
    for (int i = 0; i < 50; i++)
        link_dial_early(link, 2);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    echo.bulk = true;
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    link_close(link);
    testbed_close(&bed);
}

/* Twenty of one flow wait when one of another comes: it is the next but those that are out. */
static void test_flows_take_turns_on_a_data_connection(void **state)
{
    (void)state;
    enum { LARGE = 20, ALL = LARGE + 2, DEPTH = 2 };
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    link_set_depth(link, DEPTH);
    struct asked asked[ALL];
    for (unsigned i = 0; i < ALL; i++) {
        const bool small = i >= LARGE;
        asked_post(&asked[i], link,
                   &(struct link_request){.method = METHOD_HOLD,
                                          .bulk = true,
                                          .flow = small ? 2 : 1,
                                          .header = span_text(small ? "small" : "large"),
                                          .reply_body_bytes = small ? 1000 : 100000,
                                          .deadline_ms = 60000});
        if (i == 0)
            testbed_wait_held(&bed, 1);
    }
    unsigned small_at[2], small_count = 0;
    struct link_status status;
    for (unsigned i = 0; i < ALL; i++) {
        testbed_wait_held(&bed, 1);
        pthread_mutex_lock(&bed.lock);
        bool small = span_equal(request_header(bed.held[0]), span_text("small"));
        pthread_mutex_unlock(&bed.lock);
        if (small && small_count < 2)
            small_at[small_count++] = i;
        link_status(link, &status); /* a ping of 42 bytes, requests of 47 */
        assert_true(status.sent_bytes <= (i + DEPTH + 1) * 47);
        testbed_let_go(&bed);
    }
    assert_int_equal(small_count, 2);
    assert_in_range(small_at[0], 1, DEPTH + 1);
    assert_in_range(small_at[1], 2, DEPTH + 2);
    for (unsigned i = 0; i < ALL; i++) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        asked_deinit(&asked[i]);
    }
    link_close(link);
    testbed_close(&bed);
}

static void test_what_waits_of_one_flow_is_dropped_and_the_other_goes_on(void **state)
{
    (void)state;
    enum { EACH = 10 };
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    link_set_depth(link, 1);
    struct asked asked[2 * EACH];
    for (unsigned i = 0; i < 2 * EACH; i++) {
        asked_post(&asked[i], link,
                   &(struct link_request){.method = METHOD_HOLD,
                                          .bulk = true,
                                          .flow = i % 2,
                                          .header = span_text(i % 2 == 0 ? "dropped" : "kept"),
                                          .reply_body_bytes = 1000,
                                          .deadline_ms = 60000});
        if (i == 0)
            testbed_wait_held(&bed, 1);
    }
    link_drop(link, 0);
    for (unsigned i = 2; i < 2 * EACH; i += 2) { /* while the peer says nothing */
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_CANCELLED);
    }
    for (unsigned i = 0; i <= EACH; i++) { /* the one that was out, and the other flow's */
        testbed_wait_held(&bed, 1);
        pthread_mutex_lock(&bed.lock);
        assert_true(
            span_equal(request_header(bed.held[0]), span_text(i == 0 ? "dropped" : "kept")));
        pthread_mutex_unlock(&bed.lock);
        testbed_let_go(&bed);
    }
    for (unsigned i = 1; i < 2 * EACH; i += 2) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
    }
    asked_wait(&asked[0]);
    assert_int_equal(asked[0].err.code, ERR_OK);
    for (unsigned i = 0; i < 2 * EACH; i++)
        asked_deinit(&asked[i]);
    link_close(link);
    testbed_close(&bed);
}

/* Two connections that carry one reply at a time: one is kept for small ones. */
static void test_the_last_idle_connection_is_for_small_replies(void **state)
{
    (void)state;
    enum { LARGE = 3 };
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 2);
    struct asked asked[LARGE + 1];
    struct link_status status;
    link_dial_early(link, 2);
    do
        link_status(link, &status);
    while (status.data_connections < 2);
    link_set_depth(link, 1);
    for (unsigned i = 0; i < LARGE; i++)
        asked_post(&asked[i], link,
                   &(struct link_request){.method = METHOD_HOLD,
                                          .bulk = true,
                                          .reply_body_bytes = LINK_SMALL_REPLY_BYTES + 1,
                                          .deadline_ms = 60000});
    testbed_wait_held(&bed, 1);
    asked_post(&asked[LARGE], link,
               &(struct link_request){.method = METHOD_ECHO,
                                      .bulk = true,
                                      .reply_body_bytes = LINK_SMALL_REPLY_BYTES,
                                      .deadline_ms = 60000});
    asked_wait(&asked[LARGE]);
    assert_int_equal(asked[LARGE].err.code, ERR_OK);
    for (unsigned i = 0; i < LARGE; i++) {
        testbed_wait_held(&bed, 1);
        pthread_mutex_lock(&bed.lock);
        assert_int_equal(bed.held_count, 1);
        pthread_mutex_unlock(&bed.lock);
        testbed_let_go(&bed);
    }
    for (unsigned i = 0; i < LARGE; i++) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        asked_deinit(&asked[i]);
    }
    asked_deinit(&asked[LARGE]);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_control_connection_hands_out_all_it_may(void **state)
{
    (void)state;
    enum { COUNT = LIMIT_REQUESTS_IN_FLIGHT };
    struct testbed bed;
    struct asked asked[COUNT + 1];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request hold = {.method = METHOD_HOLD};
    for (int i = 0; i < COUNT + 1; i++)
        asked_post(&asked[i], link, &hold);
    testbed_wait_held(&bed, COUNT);
    testbed_let_go(&bed);
    testbed_wait_held(&bed, 1); /* the last one had to wait for its turn */
    testbed_let_go(&bed);
    for (int i = 0; i < COUNT + 1; i++) {
        asked_wait(&asked[i]);
        assert_int_equal(asked[i].err.code, ERR_OK);
        asked_deinit(&asked[i]);
    }
    link_close(link);
    testbed_close(&bed);
}

static void test_a_deadline_ends_a_request_and_its_late_reply_is_dropped(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request hold = {.method = METHOD_HOLD, .deadline_ms = 30};
    asked_post(&asked, link, &hold);
    asked_wait(&asked);
    assert_int_equal(asked.err.code, ERR_TIMEOUT);
    assert_false(asked.from_peer);
    testbed_wait_held(&bed, 1);
    testbed_let_go(&bed);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    assert_int_equal(asked.replies, 1);
    asked_deinit(&asked);
    struct link_status status;
    link_status(link, &status);
    assert_int_equal(status.lost_connections, 0);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_request_that_waited_past_its_deadline_is_not_handed_out(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked first;
    struct asked second;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request hold = {.method = METHOD_HOLD, .bulk = true};
    asked_post(&first, link, &hold);
    testbed_wait_held(&bed, 1);
    hold.deadline_ms = 30;
    asked_post(&second, link, &hold);
    asked_wait(&second);
    assert_int_equal(second.err.code, ERR_TIMEOUT);
    /* the peer's deadline is as much later as the request travelled */
    struct link_request pause = {.method = METHOD_HOLD, .deadline_ms = 150};
    assert_int_equal(link_call(link, &pause, NULL, NULL, NULL), ERR_TIMEOUT);
    testbed_wait_held(&bed, 2);
    testbed_let_go(&bed);
    asked_wait(&first);
    struct link_request echo = {.method = METHOD_ECHO, .bulk = true, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    assert_int_equal(bed.handed_out, 3); /* the first, the pause, the echo */
    asked_deinit(&first);
    asked_deinit(&second);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_node_that_is_not_there_is_unreachable(void **state)
{
    (void)state;
    struct testbed bed;
    struct err err;
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, "127.0.0.1:1", 1);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.message, "127.0.0.1:1"));
    echo.bulk = true;
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_UNREACHABLE);
    link_close(link);
    testbed_close(&bed);
}

static void test_what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "host", ":1", "host:", "host:x", "host:70000", "tcp://host:1", "host:1 "};
    struct testbed bed;
    testbed_open(&bed, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct link *link = NULL;
        struct link_options options = {
            .kind = LISTENER_PEERS, .addresses = &wrong[i], .address_count = 1};
        assert_int_equal(link_open(bed.pool, &options, &link, NULL), ERR_CONFIG);
        assert_null(link);
    }
    testbed_close(&bed);
}

static void test_a_peer_with_another_key_is_told_apart(void **state)
{
    (void)state;
    struct testbed bed;
    struct err err;
    testbed_open(&bed, NULL, NULL);
    struct identity *expected = bed.node;
    bed.node = identity_generate(); /* what the link will expect */
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_PEER_KEY);
    link_close(link);
    identity_free(bed.node);
    bed.node = expected;
    testbed_close(&bed);
}

static void test_an_unknown_key_gets_no_byte(void **state)
{
    (void)state;
    struct testbed bed;
    struct err err;
    testbed_open(&bed, NULL, NULL);
    bed.asker_unknown = true;
    struct link *link = testbed_link(&bed, NULL, 1);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_PEER_KEY);
    char versions[64];
    snprintf(versions, sizeof(versions), "speaks no protocol of %u to %u", PROTOCOL_VERSION_MIN,
             PROTOCOL_VERSION_MAX);
    assert_non_null(strstr(err.message, "does not know ours"));
    assert_non_null(strstr(err.message, versions)); /* the same from out here */
    assert_int_equal(bed.handed_out, 0);
    struct listener_status status;
    listener_status(bed.listener, &status);
    assert_true(status.refused_handshake >= LINK_SILENT_CLOSES_MAX);
    assert_int_equal(status.connections, 0);
    assert_int_equal(status.sent_bytes, 0);
    pthread_mutex_lock(&bed.lock);
    bed.asker_unknown = false;
    pthread_mutex_unlock(&bed.lock);
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_OK); /* and it comes back */
    link_close(link);
    testbed_close(&bed);
}

static void test_dropping_a_key_closes_its_connections_at_once(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked[2];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    for (int bulk = 0; bulk < 2; bulk++)
        asked_post(&asked[bulk], link,
                   &(struct link_request){.method = METHOD_HOLD, .bulk = bulk != 0});
    testbed_wait_held(&bed, 2);
    struct noise_key other = identity_public(bed.node)->noise;
    listener_drop_key(bed.listener, &other); /* not theirs */
    assert_true(request_alive(bed.held[0]));
    pthread_mutex_lock(&bed.lock);
    bed.asker_unknown = true;
    pthread_mutex_unlock(&bed.lock);
    listener_drop_key(bed.listener, &identity_public(bed.asker)->noise);
    for (int bulk = 0; bulk < 2; bulk++) {
        asked_wait(&asked[bulk]);
        assert_int_equal(asked[bulk].err.code, ERR_LOST);
        asked_deinit(&asked[bulk]);
    }
    link_close(link);
    testbed_close(&bed);
}

static void test_closing_the_listener_loses_what_is_in_flight(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked[2];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    for (int bulk = 0; bulk < 2; bulk++)
        asked_post(&asked[bulk], link,
                   &(struct link_request){.method = METHOD_HOLD, .bulk = bulk != 0});
    testbed_wait_held(&bed, 2);
    uint16_t port = listener_port(bed.listener);
    listener_close(bed.listener);
    assert_false(request_alive(bed.held[0]));
    testbed_let_go(&bed); /* into the void */
    for (int bulk = 0; bulk < 2; bulk++) {
        asked_wait(&asked[bulk]);
        assert_int_equal(asked[bulk].err.code, ERR_LOST);
        asked_deinit(&asked[bulk]);
    }
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_UNREACHABLE);
    testbed_listen(&bed, port, NULL); /* back again: the link finds it by itself */
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    link_close(link);
    testbed_close(&bed);
}

static void test_a_stopped_listener_has_a_status_and_takes_nobody(void **state)
{
    (void)state;
    struct testbed bed;
    struct listener_status status;
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    assert_int_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    listener_stop(bed.listener);
    assert_int_not_equal(link_call(link, &echo, NULL, NULL, NULL), ERR_OK);
    listener_status(bed.listener, &status);
    assert_int_equal(status.requests, 1);
    assert_int_equal(status.connections, 0);
    link_close(link);
    testbed_close(&bed);
}

static void test_closing_the_link_cancels_what_is_in_flight(void **state)
{
    (void)state;
    struct testbed bed;
    struct asked asked[4];
    testbed_open(&bed, NULL, NULL);
    struct link *link = testbed_link(&bed, NULL, 1);
    for (int i = 0; i < 4; i++)
        asked_post(&asked[i], link,
                   &(struct link_request){.method = METHOD_HOLD, .bulk = i % 2 != 0});
    testbed_wait_held(&bed, 3);
    link_close(link);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(asked[i].replies, 1); /* before link_close returned */
        assert_int_equal(asked[i].err.code, ERR_CANCELLED);
        asked_deinit(&asked[i]);
    }
    testbed_close(&bed);
}

static void test_a_peer_that_vanishes_in_mid_reply_loses_it_and_the_next_arrives(void **state)
{
    (void)state;
    struct testbed bed;
    struct relay relay;
    testbed_open(&bed, NULL, NULL);
    relay_open(&relay, listener_port(bed.listener));
    struct link *link = testbed_link(&bed, relay.address, 1);
    BYTES_CLEANUP struct bytes header = {0};
    append_sizes(&header, 5000000, 4);
    for (int i = 0; i < 6; i++) {
        struct asked asked;
        struct link_request request = {.method = METHOD_BYTES,
                                       .bulk = true,
                                       .header = bytes_span(&header),
                                       .reply_body_bytes = 5000000,
                                       .reply_exact = true};
        relay_set(&relay, false, 1000 + i * 800000); /* bytes, then all is cut */
        asked_post(&asked, link, &request);
        asked_wait(&asked);
        assert_int_equal(asked.err.code, ERR_LOST);
        asked_deinit(&asked);
        if (i % 2 == 0)
            continue; /* the pauses grow until something is answered */
        relay_set(&relay, false, -1);
        asked_post(&asked, link, &request);
        asked_wait(&asked);
        assert_int_equal(asked.err.code, ERR_OK);
        assert_pattern(bytes_span(&asked.body));
        asked_deinit(&asked);
    }
    link_close(link);
    relay_close(&relay);
    testbed_close(&bed);
    assert_int_equal(bed.released, bed.handed_out);
}

static void test_a_silent_peer_is_given_up_and_pings_keep_a_quiet_one(void **state)
{
    (void)state;
    struct testbed bed;
    struct relay relay;
    struct asked asked;
    testbed_open(&bed, &(struct pool_options){.ping_after_ms = 20, .silence_max_ms = 400}, NULL);
    relay_open(&relay, listener_port(bed.listener));
    struct link *link = testbed_link(&bed, relay.address, 1);
    struct link_request hold = {.method = METHOD_HOLD};
    asked_post(&asked, link, &hold);
    testbed_wait_held(&bed, 1);
    uint64_t started_ms = pool_now_ms();
    struct link_request late = {.method = METHOD_HOLD, .bulk = true, .deadline_ms = 1000};
    assert_int_equal(link_call(link, &late, NULL, NULL, NULL), ERR_TIMEOUT); /* a second passes */
    assert_true(pool_now_ms() - started_ms >= 1000);
    struct link_status status;
    link_status(link, &status);
    assert_int_equal(status.lost_connections, 0); /* longer than silence_max_ms, thanks to pings */
    relay_set(&relay, true, -1);
    asked_wait(&asked);
    assert_int_equal(asked.err.code, ERR_LOST);
    assert_non_null(strstr(asked.err.message, "nothing came"));
    asked_deinit(&asked);
    link_close(link);
    relay_close(&relay);
    testbed_close(&bed);
}

static void test_a_worn_connection_is_replaced_without_a_loss(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, &(struct pool_options){.connection_life_bytes = 300000}, NULL);
    struct link *link = testbed_link(&bed, NULL, 2);
    BYTES_CLEANUP struct bytes header = {0};
    append_sizes(&header, 50000, 1);
    for (int i = 0; i < 100; i++) {
        struct link_request request = {.method = METHOD_BYTES,
                                       .bulk = i % 3 != 0,
                                       .header = bytes_span(&header),
                                       .reply_body_bytes = 50000,
                                       .deadline_ms = 60000};
        assert_int_equal(link_call(link, &request, NULL, NULL, NULL), ERR_OK);
    }
    struct link_status status;
    link_status(link, &status);
    assert_true(status.dials >= 10);
    assert_int_equal(status.lost_connections, 0);
    link_close(link);
    testbed_close(&bed);
}

static void test_hundreds_of_links_leave_no_descriptor_behind(void **state)
{
    (void)state;
    struct testbed bed;
    testbed_open(&bed, NULL, NULL); /* the library opens its own with the first */
    testbed_close(&bed);
    unsigned descriptors = testbed_descriptors();
    testbed_open(&bed, NULL, &(struct listener_limits){.handshakes_per_second = 100000});
    for (int i = 0; i < 250; i++) {
        struct asked asked;
        struct link *link = testbed_link(&bed, NULL, 1);
        asked_post(&asked, link,
                   &(struct link_request){.method = i % 3 == 0 ? METHOD_HOLD : METHOD_ECHO,
                                          .bulk = i % 2 == 0});
        if (i % 3 == 1)
            asked_wait(&asked);
        link_close(link); /* dialling, in the handshake, asked or idle: as it comes */
        asked_wait(&asked);
        asked_deinit(&asked);
        testbed_let_go(&bed);
    }
    testbed_close(&bed);
    /* NNG closes descriptors on a thread of its own, a moment later */
    for (int i = 0; i < 500 && testbed_descriptors() != descriptors; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(testbed_descriptors(), descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_and_body_come_back),
        cmocka_unit_test(test_bodies_of_all_sizes_and_parts_arrive_whole),
        cmocka_unit_test(test_large_requests_arrive_whole),
        cmocka_unit_test(test_a_request_larger_than_the_peer_takes_is_not_sent),
        cmocka_unit_test(test_the_peers_error_comes_with_its_message),
        cmocka_unit_test(test_a_reply_of_another_size_than_asked_is_the_peers_error),
        cmocka_unit_test(test_many_requests_spread_over_the_data_connections),
        cmocka_unit_test(test_a_data_connection_hands_out_one_request_at_a_time),
        cmocka_unit_test(test_data_connections_pause_while_much_is_kept),
        cmocka_unit_test(test_the_number_of_data_connections_changes_while_they_work),
        cmocka_unit_test(test_no_data_connection_stands_idle_while_a_request_waits),
        cmocka_unit_test(test_data_connections_are_dialled_early_once_and_carry_what_comes),
        cmocka_unit_test(test_an_early_dial_that_fails_costs_no_request_its_addresses),
        cmocka_unit_test(test_flows_take_turns_on_a_data_connection),
        cmocka_unit_test(test_what_waits_of_one_flow_is_dropped_and_the_other_goes_on),
        cmocka_unit_test(test_the_last_idle_connection_is_for_small_replies),
        cmocka_unit_test(test_a_control_connection_hands_out_all_it_may),
        cmocka_unit_test(test_a_deadline_ends_a_request_and_its_late_reply_is_dropped),
        cmocka_unit_test(test_a_request_that_waited_past_its_deadline_is_not_handed_out),
        cmocka_unit_test(test_a_node_that_is_not_there_is_unreachable),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_a_peer_with_another_key_is_told_apart),
        cmocka_unit_test(test_an_unknown_key_gets_no_byte),
        cmocka_unit_test(test_dropping_a_key_closes_its_connections_at_once),
        cmocka_unit_test(test_closing_the_listener_loses_what_is_in_flight),
        cmocka_unit_test(test_a_stopped_listener_has_a_status_and_takes_nobody),
        cmocka_unit_test(test_closing_the_link_cancels_what_is_in_flight),
        cmocka_unit_test(test_a_peer_that_vanishes_in_mid_reply_loses_it_and_the_next_arrives),
        cmocka_unit_test(test_a_silent_peer_is_given_up_and_pings_keep_a_quiet_one),
        cmocka_unit_test(test_a_worn_connection_is_replaced_without_a_loss),
        cmocka_unit_test(test_hundreds_of_links_leave_no_descriptor_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
