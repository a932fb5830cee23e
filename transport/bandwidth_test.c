/* Links and listeners under a bandwidth limit, at either end (bucket.h). */
#include "transport/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "transport/testbed.h"

struct limited {
    struct testbed bed;
    struct bucket *bucket;
    struct link *link;
};

static void limited_open(struct limited *limited, uint64_t bits_per_second, bool at_source,
                         uint32_t connections, const struct pool_options *times)
{
    testbed_open(&limited->bed, times, NULL);
    limited->bucket = bucket_new(bits_per_second);
    limited->bed.bucket = at_source ? bucket_ref(limited->bucket) : NULL;
    const char *addresses[] = {limited->bed.address};
    const struct link_options options = {.kind = LISTENER_PEERS,
                                         .addresses = addresses,
                                         .address_count = 1,
                                         .identity = limited->bed.asker,
                                         .peer_key = identity_public(limited->bed.node)->noise,
                                         .data_connections_max = connections,
                                         .bucket = at_source ? NULL : limited->bucket};
    assert_int_equal(link_open(limited->bed.pool, &options, &limited->link, NULL), ERR_OK);
}

static void limited_close(struct limited *limited)
{
    link_close(limited->link);
    bucket_unref(limited->bucket);
    testbed_close(&limited->bed);
}

static void bytes_post(struct limited *limited, struct asked *asked, uint32_t bytes,
                       uint32_t deadline_ms)
{
    BYTES_CLEANUP struct bytes header = {0};
    bytes_append_u32(&header, bytes);
    bytes_append_u32(&header, 1);
    asked_post(asked, limited->link,
               &(struct link_request){.method = METHOD_BYTES,
                                      .bulk = true,
                                      .header = bytes_span(&header),
                                      .reply_body_bytes = bytes,
                                      .deadline_ms = deadline_ms});
}

static void bytes_arrive(struct asked *asked)
{
    asked_wait(asked);
    assert_int_equal(asked->err.code, ERR_OK);
    for (size_t i = 0; i < asked->body.len; i++)
        if (asked->body.data[i] != testbed_pattern(i))
            fail_msg("byte %zu of %zu is wrong", i, asked->body.len);
    asked_deinit(asked);
}

static uint64_t received(struct limited *limited)
{
    struct link_status status;
    link_status(limited->link, &status);
    return status.received_bytes;
}

static void check_bandwidth(bool at_source)
{
    struct limited limited;
    limited_open(&limited, 80000000, at_source, 2, NULL); /* 10 MB/s */
    struct asked asked[8];
    uint64_t started_ms = pool_now_ms();
    for (int i = 0; i < 8; i++)
        bytes_post(&limited, &asked[i], 1000000, 60000);
    for (int i = 0; i < 8; i++)
        bytes_arrive(&asked[i]);
    /* 800 ms at that rate, less a burst and what the receiver's buffers hold before it waits */
    assert_true(pool_now_ms() - started_ms >= 300);
    assert_true(bucket_bytes_total(limited.bucket) >= 7000000);
    limited_close(&limited);
}

static void test_bandwidth_is_limited_at_the_source(void **state)
{
    (void)state;
    check_bandwidth(true);
}

static void test_bandwidth_is_limited_at_the_destination(void **state)
{
    (void)state;
    check_bandwidth(false);
}

/* Two minutes of bytes are on their way when the limit goes: nothing waits for what was reckoned. */
static void check_change(bool at_source)
{
    struct limited limited;
    enum { COUNT = 4, BODY = 4000000 };
    limited_open(&limited, BUCKET_MIN_BITS_PER_SECOND, at_source, COUNT, NULL);
    struct asked asked[COUNT];
    uint64_t started_ms = pool_now_ms();
    for (int i = 0; i < COUNT; i++)
        bytes_post(&limited, &asked[i], BODY, 600000);
    while (received(&limited) < 20000)
        sched_yield();
    bucket_set_rate(limited.bucket, 4000000000, pool_now_us());
    for (int i = 0; i < COUNT; i++)
        bytes_arrive(&asked[i]);
    assert_true(pool_now_ms() - started_ms < 60000);
    limited_close(&limited);
}

static void test_a_new_limit_works_on_what_is_being_sent(void **state)
{
    (void)state;
    check_change(true);
}

static void test_a_new_limit_works_on_what_is_being_received(void **state)
{
    (void)state;
    check_change(false);
}

/* The limit fell after it was asked for: what comes, if slowly, is not thrown away and asked again. */
static void test_a_reply_that_comes_slowly_outlives_its_deadline(void **state)
{
    (void)state;
    struct limited limited;
    limited_open(&limited, BUCKET_MIN_BITS_PER_SECOND, true, 1, NULL);
    struct asked asked;
    bytes_post(&limited, &asked, 250000, 1000); /* 2 s of bytes */
    bytes_arrive(&asked);
    limited_close(&limited);
}

/* Many connections of a narrow limit: each waits for what all have received before it reads on. */
static void test_a_narrow_limit_makes_no_connection_look_silent(void **state)
{
    (void)state;
    enum { COUNT = 12, BODY = 130000 };
    struct limited limited;
    const struct pool_options times = {.ping_after_ms = 300, .silence_max_ms = 1500};
    limited_open(&limited, 5000000, false, COUNT, &times); /* 2.5 s of all that is asked for */
    struct asked asked[COUNT];
    for (int i = 0; i < COUNT; i++)
        bytes_post(&limited, &asked[i], BODY, 60000);
    for (int i = 0; i < COUNT; i++)
        bytes_arrive(&asked[i]);
    struct link_status status;
    link_status(limited.link, &status);
    assert_int_equal(status.lost_connections, 0);
    limited_close(&limited);
}

/* What has come never passes slack and rate: a connection reads little at once, and waits for all. */
static void check_kept(bool at_source, uint32_t connections, uint32_t body, uint64_t slack)
{
    enum { RATE = 250000, COUNT_MAX = 12 };
    struct limited limited;
    limited_open(&limited, UINT64_C(8) * RATE, at_source, connections, NULL);
    struct asked asked[COUNT_MAX];
    uint64_t started_us = pool_now_us();
    for (uint32_t i = 0; i < connections; i++)
        bytes_post(&limited, &asked[i], body, 60000);
    uint64_t there;
    do {
        there = received(&limited);
        assert_true(there <= slack + RATE * (pool_now_us() - started_us) / 1000000);
        sched_yield();
    } while (there < (uint64_t)connections * body);
    for (uint32_t i = 0; i < connections; i++)
        bytes_arrive(&asked[i]);
    limited_close(&limited);
}

static void test_a_narrow_limit_is_kept_at_every_moment(void **state)
{
    (void)state;
    check_kept(false, 1, 400000, 95000);  /* a burst of 200 ms */
    check_kept(false, 12, 60000, 195000); /* and 24 buffers of 20 ms are there at once */
    check_kept(true, 12, 40000, 105000);  /* a record, and the burst */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bandwidth_is_limited_at_the_source),
        cmocka_unit_test(test_bandwidth_is_limited_at_the_destination),
        cmocka_unit_test(test_a_new_limit_works_on_what_is_being_sent),
        cmocka_unit_test(test_a_new_limit_works_on_what_is_being_received),
        cmocka_unit_test(test_a_reply_that_comes_slowly_outlives_its_deadline),
        cmocka_unit_test(test_a_narrow_limit_makes_no_connection_look_silent),
        cmocka_unit_test(test_a_narrow_limit_is_kept_at_every_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
