#include "transport/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t address_a[16] = {127, 0, 0, 1};
static const uint8_t address_b[16] = {127, 0, 0, 2};

static void test_defaults_are_the_protocols(void **state)
{
    (void)state;
    struct limits peers;
    struct limits operators;
    limits_init(&peers, &(struct listener_limits){0}, LISTENER_PEERS);
    limits_init(&operators, &(struct listener_limits){0}, LISTENER_OPERATORS);
    assert_int_equal(peers.max.unauthenticated, 64);
    assert_int_equal(peers.max.unauthenticated_per_address, 8);
    assert_int_equal(peers.max.handshakes_per_second, 200);
    assert_int_equal(peers.max.connections_per_entry, 80);
    assert_int_equal(operators.max.connections_per_entry, 16);
    limits_deinit(&peers);
    limits_deinit(&operators);
}

static void test_unauthenticated_connections_are_counted_by_address_and_in_all(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits,
                &(struct listener_limits){.unauthenticated = 3, .unauthenticated_per_address = 2},
                LISTENER_PEERS);
    assert_true(limits_arrive(&limits, address_a));
    assert_true(limits_arrive(&limits, address_a));
    assert_false(limits_arrive(&limits, address_a)); /* two of this address */
    assert_true(limits_arrive(&limits, address_b));
    assert_false(limits_arrive(&limits, address_b)); /* three in all */
    limits_leave(&limits, address_a);
    assert_true(limits_arrive(&limits, address_b));
    limits_leave(&limits, address_a);
    limits_leave(&limits, address_b);
    limits_leave(&limits, address_b);
    assert_int_equal(limits.unauthenticated, 0);
    assert_int_equal(limits.address_count, 0);
    limits_deinit(&limits);
}

static void test_handshakes_are_limited_by_the_second(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits, &(struct listener_limits){.handshakes_per_second = 10}, LISTENER_PEERS);
    uint64_t now_us = 5000000;
    for (int i = 0; i < 10; i++)
        assert_true(limits_handshake(&limits, now_us));
    assert_false(limits_handshake(&limits, now_us));
    assert_false(limits_handshake(&limits, now_us + 50000));
    assert_true(limits_handshake(&limits, now_us + 100000));
    assert_false(limits_handshake(&limits, now_us + 100001));
    now_us += 100000000; /* a long rest saves up one second and no more */
    for (int i = 0; i < 10; i++)
        assert_true(limits_handshake(&limits, now_us));
    assert_false(limits_handshake(&limits, now_us));
    limits_deinit(&limits);
}

static void test_proved_connections_are_counted_by_entry(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits, &(struct listener_limits){.connections_per_entry = 2, .connections = 3},
                LISTENER_PEERS);
    for (int i = 0; i < 4; i++)
        assert_true(limits_arrive(&limits, address_a));
    assert_true(limits_prove(&limits, address_a, 1));
    assert_true(limits_prove(&limits, address_a, 1));
    assert_false(limits_room(&limits, 1));
    assert_false(limits_prove(&limits, address_a, 1));
    assert_true(limits_prove(&limits, address_a, 2));
    assert_false(limits_prove(&limits, address_a, 3)); /* three in all */
    assert_int_equal(limits.unauthenticated, 1);
    limits_depart(&limits, 1);
    assert_true(limits_prove(&limits, address_a, 3));
    limits_depart(&limits, 1);
    limits_depart(&limits, 2);
    limits_depart(&limits, 3);
    assert_int_equal(limits.connections, 0);
    assert_int_equal(limits.entry_count, 0);
    limits_deinit(&limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_the_protocols),
        cmocka_unit_test(test_unauthenticated_connections_are_counted_by_address_and_in_all),
        cmocka_unit_test(test_handshakes_are_limited_by_the_second),
        cmocka_unit_test(test_proved_connections_are_counted_by_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
