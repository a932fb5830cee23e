#include "cluster-tests/link/orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)

static const uint8_t packet[1500];

static struct wire wire_of(const struct wire_options *options)
{
    struct wire wire;
    wire_init(&wire, options, 7);
    return wire;
}

/* Takes everything; returns when the last of it was due. */
static uint64_t drain(struct wire *wire)
{
    uint64_t last_ns = 0;
    while (wire->count > 0) {
        last_ns = wire_due_ns(wire);
        mem_free(wire_take(wire, last_ns));
    }
    return last_ns;
}

static void test_a_packet_comes_after_the_delay_and_not_before(void **state)
{
    (void)state;
    struct wire wire = wire_of(&(struct wire_options){.delay_ns = 50 * MS});
    wire_put(&wire, 1000 * MS, span_of("hello", 5));
    assert_null(wire_take(&wire, 1050 * MS - 1));
    struct wire_packet *out = wire_take(&wire, 1050 * MS);
    assert_non_null(out);
    assert_int_equal(out->bytes, 5);
    assert_memory_equal(out->data, "hello", 5);
    mem_free(out);
    wire_deinit(&wire);
}

static void test_packets_leave_at_the_rate_and_the_queue_has_an_end(void **state)
{
    (void)state;
    /* 12 Mbit/s: a packet of 1,500 bytes a ms; a queue of 100 ms holds 100 and the one being sent */
    struct wire wire = wire_of(&(struct wire_options){.rate_bits = 12000000, .queue_ns = 100 * MS});
    for (int i = 0; i < 500; i++)
        wire_put(&wire, 0, span_of(packet, sizeof(packet)));
    assert_int_equal(wire.count, 101);
    assert_int_equal(wire.counters.full, 399);
    assert_int_equal(drain(&wire), 101 * MS);
    wire_put(&wire, 1000 * MS, span_of(packet, sizeof(packet))); /* a rest saves nothing up */
    assert_int_equal(wire_due_ns(&wire), 1001 * MS);
    wire_deinit(&wire);
}

static void test_losses_are_as_many_as_told_and_the_same_for_a_seed(void **state)
{
    (void)state;
    uint64_t lost[2];
    for (int run = 0; run < 2; run++) {
        struct wire wire = wire_of(&(struct wire_options){.loss_ppm = 1000});
        for (int i = 0; i < 1000000; i++) {
            wire_put(&wire, 0, span_of(packet, 1));
            mem_free(wire_take(&wire, 0));
        }
        lost[run] = wire.counters.lost;
        assert_int_equal(wire.counters.out + lost[run], 1000000);
        wire_deinit(&wire);
    }
    assert_in_range(lost[0], 850, 1150); /* five deviations */
    assert_int_equal(lost[0], lost[1]);
}

static void test_held_back_packets_are_overtaken_and_nothing_is_lost(void **state)
{
    (void)state;
    struct wire wire = wire_of(&(struct wire_options){.reorder_ppm = 100000, .reorder_ns = 5 * MS});
    for (int i = 0; i < 1000; i++)
        wire_put(&wire, (uint64_t)i * MS, span_of(&i, sizeof(i)));
    int overtaken = 0, last = -1;
    for (int i = 0; i < 1000; i++) {
        struct wire_packet *out = wire_take(&wire, wire_due_ns(&wire));
        int number;
        memcpy(&number, out->data, sizeof(number));
        overtaken += number < last;
        last = number > last ? number : last;
        mem_free(out);
    }
    assert_int_equal(wire.counters.out, 1000);
    assert_in_range(overtaken, 50, 150);
    assert_int_equal(wire.counters.held_back, overtaken + (last == 999 ? 0 : 1));
    wire_deinit(&wire);
}

static void test_a_cut_takes_what_is_on_the_wire_and_what_comes(void **state)
{
    (void)state;
    struct wire ways[2];
    for (int way = 0; way < 2; way++)
        wire_init(&ways[way], &(struct wire_options){.delay_ns = 50 * MS}, 1);
    enum order_reply reply;
    for (int way = 0; way < 2; way++)
        wire_put(&ways[way], 0, span_of(packet, 1));
    assert_int_equal(order_follow("cut ab", ways, &reply, NULL), ERR_OK);
    assert_int_equal(ways[0].count, 0);
    assert_int_equal(ways[1].count, 1);
    assert_int_equal(order_follow("cut", ways, &reply, NULL), ERR_OK);
    for (int way = 0; way < 2; way++) {
        wire_put(&ways[way], MS, span_of(packet, 1));
        assert_int_equal(ways[way].counters.cut, 2);
        assert_int_equal(wire_due_ns(&ways[way]), UINT64_MAX);
    }
    assert_int_equal(order_follow("restore", ways, &reply, NULL), ERR_OK);
    for (int way = 0; way < 2; way++) {
        wire_put(&ways[way], 2 * MS, span_of(packet, 1));
        assert_int_equal(ways[way].count, 1);
        wire_deinit(&ways[way]);
    }
}

static void test_orders_say_what_they_want(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",       "rates 5",  "rate",       "rate -1",
                                        "rate x", "loss 101", "delay 5 ms", "reorder 5",
                                        "cut aa", "count 5",  "queue nan",  "rate 1e7"};
    struct wire ways[2];
    struct err err;
    enum order_reply reply;
    for (int way = 0; way < 2; way++)
        wire_init(&ways[way], &(struct wire_options){0}, 1);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(order_follow(wrong[i], ways, &reply, &err), ERR_PARAMETER);
    assert_int_equal(ways[0].options.rate_bits + ways[0].options.delay_ns, 0);
    assert_int_equal(order_follow("rate 0.5", ways, &reply, &err), ERR_OK);
    assert_int_equal(order_follow("reorder 1.5 2.5", ways, &reply, &err), ERR_OK);
    assert_int_equal(ways[1].options.rate_bits, 500000);
    assert_int_equal(ways[1].options.reorder_ppm, 15000);
    assert_int_equal(ways[1].options.reorder_ns, 2500000);
    assert_int_equal(order_follow("quit", ways, &reply, &err), ERR_OK);
    assert_int_equal(reply, ORDER_QUIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_packet_comes_after_the_delay_and_not_before),
        cmocka_unit_test(test_packets_leave_at_the_rate_and_the_queue_has_an_end),
        cmocka_unit_test(test_losses_are_as_many_as_told_and_the_same_for_a_seed),
        cmocka_unit_test(test_held_back_packets_are_overtaken_and_nothing_is_lost),
        cmocka_unit_test(test_a_cut_takes_what_is_on_the_wire_and_what_comes),
        cmocka_unit_test(test_orders_say_what_they_want),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
