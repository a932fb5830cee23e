/* The window against a model link: one queue in front of a rate, a delay, and so much a connection. */
#include "node/task/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/err.h"
#include "proto/limits.h"

#define STEP_US   UINT64_C(10000)
#define SECOND_US UINT64_C(1000000)

struct model {
    /* the link */
    double rate;            /* bytes a second */
    double connection_rate; /* of one; 0: what a connection_bytes of 4 MiB a round trip gives */
    uint64_t round_trip_us;
    double limit; /* bytes a second that the channel may carry; 0: no limit */
    double want;  /* bytes a second that there are to ask for; 0: no end */
    /* the run */
    uint64_t now_us;
    double received;
    struct window window;
};

static struct model model_of(double rate, uint64_t round_trip_us)
{
    struct window_limits limits = window_limits_default();
    struct model model = {.rate = rate, .round_trip_us = round_trip_us, .now_us = 5 * SECOND_US};
    window_init(&model.window, &limits);
    return model;
}

/* What arrives is bounded by the rate, by the connections and by what was asked a round trip ago. */
static void model_run(struct model *model, double seconds)
{
    uint64_t end_us = model->now_us + (uint64_t)(seconds * 1e6);
    while (model->now_us < end_us) {
        double round_trip = (double)model->round_trip_us / 1e6;
        double one = model->connection_rate > 0 ? model->connection_rate : 4 * MIB(1) / round_trip;
        double rate = model->rate;
        bool limited = true;
        if (model->limit > 0 && rate > model->limit)
            rate = model->limit;
        if (rate > one * model->window.connections)
            rate = one * model->window.connections;
        if (rate > (double)model->window.bytes / round_trip)
            rate = (double)model->window.bytes / round_trip;
        if (model->want > 0 && rate > model->want) {
            rate = model->want;
            limited = false;
        }
        model->now_us += STEP_US;
        model->received += rate * (double)STEP_US / 1e6;
        const struct window_event event = {.now_us = model->now_us,
                                           .received_bytes = (uint64_t)model->received,
                                           .round_trip_us = (uint32_t)model->round_trip_us,
                                           .reply_bytes = 2 * MIB(1),
                                           .limited = limited,
                                           .limit = (uint64_t)model->limit};
        window_step(&model->window, &event);
    }
}

static double share_of_rate(struct model *model, double seconds)
{
    double before = model->received;
    model_run(model, seconds);
    return (model->received - before) / (model->rate * seconds);
}

static void test_the_window_finds_bandwidth_times_round_trip(void **state)
{
    (void)state;
    static const struct {
        double mbit;
        uint64_t round_trip_us;
    } links[] = {{10, 20000},   {100, 1000},    {500, 100000}, {1000, 100000},
                 {2500, 50000}, {1000, 300000}, {9900, 200000}};
    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        struct model model = model_of(links[i].mbit * 125000, links[i].round_trip_us);
        model_run(&model, 2 + 30 * (double)links[i].round_trip_us / 1e6); /* 30 round trips */
        double product = model.rate * (double)links[i].round_trip_us / 1e6;
        assert_true((double)model.window.bytes >= 0.95 * product);
        assert_true(share_of_rate(&model, 5) >= 0.95);
    }
}

static void test_a_window_of_ten_gigabit_and_two_hundred_ms_has_all_connections(void **state)
{
    (void)state;
    struct model model = model_of(10000 * 125000.0, 200000);
    model_run(&model, 15);
    assert_true(model.window.bytes >= 250000000);
    assert_true(model.window.bytes <= WINDOW_BYTES_MAX);
    assert_int_equal(model.window.connections, LIMIT_CONNECTIONS_PER_PEER - 2);
    assert_true(model.window.connections * model.window.batch_bytes <= WINDOW_REPLIES_BYTES);
}

static void test_an_idle_link_leaves_the_window_where_it_was(void **state)
{
    (void)state;
    struct model model = model_of(500 * 125000.0, 100000);
    model_run(&model, 5);
    size_t bytes = model.window.bytes;
    model.want = 1000; /* nearly nothing to ask for */
    model_run(&model, 600);
    assert_int_equal(model.window.bytes, bytes);
    model = model_of(500 * 125000.0, 100000); /* and lets none grow that knows nothing */
    model.want = 1000;
    model_run(&model, 600);
    assert_true(model.window.bytes <= WINDOW_BYTES_START);
    assert_int_equal(model.window.connections, WINDOW_CONNECTIONS_START);
}

static void test_a_link_that_became_slow_gets_less_and_one_that_became_fast_more(void **state)
{
    (void)state;
    struct model model = model_of(1000 * 125000.0, 100000);
    model_run(&model, 10);
    size_t fast = model.window.bytes;
    model.rate = 5 * 125000.0;
    model_run(&model, 10);
    assert_true(model.window.bytes <= fast / 4);
    assert_int_equal(model.window.bytes, WINDOW_BYTES_MIN);
    model.rate = 1000 * 125000.0;
    model_run(&model, 10);
    assert_true(share_of_rate(&model, 2) >= 0.95);
}

static void test_where_losses_hold_each_connection_back_more_are_used(void **state)
{
    (void)state;
    struct model model = model_of(500 * 125000.0, 100000);
    model.connection_rate = 8 * 125000.0; /* what a loss in a thousand leaves of one */
    model_run(&model, 60);
    assert_true(model.window.connections >= 62);
    assert_true(share_of_rate(&model, 5) >= 0.95);
}

static void test_where_more_bring_nothing_they_go_again_and_trials_grow_rare(void **state)
{
    (void)state;
    struct model model = model_of(50 * 125000.0, 100000);
    model_run(&model, 20);
    uint32_t settled = model.window.connections;
    assert_int_equal(settled, WINDOW_CONNECTIONS_START);
    unsigned trials = 0;
    for (int i = 0; i < 3600; i++) {
        bool before = model.window.connections > settled;
        model_run(&model, 0.5);
        trials += !before && model.window.connections > settled;
        assert_true(model.window.connections <= 2 * settled);
    }
    assert_in_range(trials, 2, 7);
    assert_int_equal(model.window.connections, settled);
}

static void test_connections_that_are_well_filled_are_left_alone(void **state)
{
    (void)state;
    struct model model = model_of(500 * 125000.0, 100000);
    for (int i = 0; i < 600; i++) {
        model_run(&model, 0.5);
        assert_in_range(model.window.connections, LINK_DATA_CONNECTIONS_DEFAULT, 8);
    }
}

static void test_a_pause_of_the_link_is_no_measurement(void **state)
{
    (void)state;
    struct model model = model_of(500 * 125000.0, 100000);
    model_run(&model, 5);
    uint64_t bandwidth = model.window.bandwidth;
    model.now_us += 30 * SECOND_US; /* cut: nothing came, no event */
    model_run(&model, 0.1);
    assert_int_equal(model.window.bandwidth, bandwidth);
    model_run(&model, 5);
    assert_true(share_of_rate(&model, 2) >= 0.95);
}

static void test_a_long_way_is_worth_dialling_early_and_a_short_one_is_not(void **state)
{
    (void)state;
    struct model model = model_of(500 * 125000.0, 100000);
    assert_int_equal(model.window.connections_early, WINDOW_CONNECTIONS_EARLY);
    model_run(&model, 0.02);
    assert_int_equal(model.window.connections_early, WINDOW_CONNECTIONS_START);
    model_run(&model, 10);
    assert_int_equal(model.window.connections_early, model.window.connections);
    model = model_of(500 * 125000.0, 1000);
    model_run(&model, 10);
    assert_int_equal(model.window.connections_early, WINDOW_CONNECTIONS_EARLY);
}

/* Down to half a megabit a second, whatever is asked for at a moment comes before its deadline. */
static void test_what_is_asked_for_comes_before_its_deadline_on_slow_links(void **state)
{
    (void)state;
    static const double mbits[] = {0.52, 1, 2.2, 10, 500};
    for (size_t i = 0; i < ARRAY_COUNT(mbits); i++) {
        struct model model = model_of(mbits[i] * 125000, i % 2 == 0 ? 30000 : 300000);
        for (int step = 0; step < 600; step++) {
            double seconds = (double)model.window.bytes / model.rate;
            assert_true(seconds * 1000 <= window_deadline_ms(&model.window));
            model_run(&model, 1);
        }
        assert_true(window_deadline_ms(&model.window) <= 2 * WINDOW_DEADLINE_MS_MIN);
    }
}

/* Whatever is told: random events, clocks that stand, counters that jump. */
static void test_the_limits_hold_for_any_events(void **state)
{
    (void)state;
    struct window_limits limits = window_limits_default();
    struct window window;
    window_init(&window, &limits);
    struct window_event event = {.now_us = 1};
    srandom(11);
    for (int i = 0; i < 200000; i++) {
        event.now_us += (uint64_t)random() % (random() % 100 == 0 ? 100 * SECOND_US : 50000);
        event.received_bytes += (uint64_t)random() % (1 << (random() % 28));
        event.round_trip_us = (uint32_t)random() % (1U << (random() % 32));
        event.reply_bytes = (size_t)random() % (16 * MIB(1));
        event.limited = random() % 4 != 0;
        window_step(&window, &event);
        assert_in_range(window.bytes, limits.bytes_min, limits.bytes_max);
        assert_in_range(window.connections, limits.connections_min, limits.connections_max);
        assert_in_range(window.batch_bytes, limits.batch_bytes_min, limits.batch_bytes_max);
    }
}

/* A limit that falls while gigabits flow is followed at once, not when the measurements are forgotten:
 * what is asked ahead is five seconds of it, replies are short, deadlines long enough. */
static void test_a_channels_limit_is_followed_at_once(void **state)
{
    (void)state;
    static const double limits[] = {125000, 6250000, 250000000};
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        struct model model = model_of(1250000000, 100000);
        model.connection_rate = 1e9;
        model_run(&model, 20);
        assert_true(model.window.bytes >= 125000000);
        assert_true(model.window.connections > 2 * LINK_DATA_CONNECTIONS_DEFAULT);
        model.limit = limits[i];
        model_run(&model, 0.02);
        assert_true(i == 2 || model.window.connections == LINK_DATA_CONNECTIONS_DEFAULT);
        size_t most = limits[i] * 5.2 > WINDOW_BYTES_MIN ? (size_t)(limits[i] * 5.2) + 1
                                                         : (size_t)WINDOW_BYTES_MIN;
        assert_in_range(model.window.bytes, WINDOW_BYTES_MIN, most);
        assert_in_range(model.window.batch_bytes, WINDOW_BATCH_BYTES_LIMITED,
                        limits[i] / 10 > WINDOW_BATCH_BYTES_LIMITED ? (uint64_t)(limits[i] / 10)
                                                                    : WINDOW_BATCH_BYTES_LIMITED);
        assert_true((double)model.window.bytes / limits[i] * 1000 <=
                    window_deadline_ms(&model.window));
        double round = (double)(model.window.connections * model.window.batch_bytes);
        double out = model.window.depth * round;
        assert_true(out >= limits[i] * 0.25 && out <= limits[i] * 0.45 + round);
        model.rate = limits[i];
        assert_true(share_of_rate(&model, 10) > 0.97);
        model.limit = 0;
        model.rate = 1250000000;
        model_run(&model, 20);
        assert_true(share_of_rate(&model, 5) > 0.9);
    }
}

/* Each connection carries far less than it could: the limit is why, and more of them would not help. */
static void test_a_channels_limit_is_no_reason_for_more_connections(void **state)
{
    (void)state;
    struct model model = model_of(1250000000, 100000);
    model.limit = 6250000;
    for (int i = 0; i < 300; i++) {
        model_run(&model, 1);
        if (i > 10) /* beyond the slow start */
            assert_true(model.window.connections <= WINDOW_CONNECTIONS_START);
    }
    assert_true(model.window.connections <= WINDOW_CONNECTIONS_START);
}

/* What EXPLAIN XCOPY reckons with: never more than the channel's limit, and nothing by what was too little. */
static void test_what_is_expected_goes_by_what_says_something_of_the_line(void **state)
{
    (void)state;
    struct model model = model_of(6250000, 20000);
    assert_int_equal(window_rate(&model.window, 0).bytes_per_second, 0);
    assert_int_equal(window_rate(&model.window, 12500000).bytes_per_second, 12500000);

    model.want = 700; /* small copies, one after the other: their rate is not the line's */
    model_run(&model, 600);
    assert_true(model.window.bandwidth > 0);
    assert_int_equal(window_rate(&model.window, 0).bytes_per_second, 0);
    struct window_rate rate = window_rate(&model.window, 12500000);
    assert_true(!rate.is_measured && !rate.is_settled);
    assert_int_equal(rate.bytes_per_second, 12500000);

    model.want = 0; /* a row of a second */
    model_run(&model, 1.5);
    rate = window_rate(&model.window, 12500000);
    assert_true(rate.is_measured && !rate.is_settled);
    assert_in_range(rate.bytes_per_second, 6000000, 6300000);

    model_run(&model, 10);
    rate = window_rate(&model.window, 12500000);
    assert_true(rate.is_measured && rate.is_settled);
    rate = window_rate(&model.window, 125000); /* it was set since */
    assert_true(!rate.is_measured && !rate.is_settled);
    assert_int_equal(rate.bytes_per_second, 125000);
}

/* Less than a row: a burst of a small copy says nothing, 64 MiB do. */
static void test_what_came_at_once_says_something_when_it_was_much(void **state)
{
    (void)state;
    static const double bytes[] = {20e6, 100e6};
    for (size_t i = 0; i < ARRAY_COUNT(bytes); i++) {
        struct model model = model_of(1250000000, 1000);
        model_run(&model, 0.02);
        struct window_event event = {.now_us = model.now_us + 200000,
                                     .received_bytes = (uint64_t)(model.received + bytes[i]),
                                     .round_trip_us = 1000};
        window_step(&model.window, &event);
        assert_true(window_rate(&model.window, 0).is_measured == (i == 1));
        assert_int_equal(window_rate(&model.window, 1000).bytes_per_second, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_window_finds_bandwidth_times_round_trip),
        cmocka_unit_test(test_a_window_of_ten_gigabit_and_two_hundred_ms_has_all_connections),
        cmocka_unit_test(test_an_idle_link_leaves_the_window_where_it_was),
        cmocka_unit_test(test_a_link_that_became_slow_gets_less_and_one_that_became_fast_more),
        cmocka_unit_test(test_where_losses_hold_each_connection_back_more_are_used),
        cmocka_unit_test(test_where_more_bring_nothing_they_go_again_and_trials_grow_rare),
        cmocka_unit_test(test_connections_that_are_well_filled_are_left_alone),
        cmocka_unit_test(test_a_pause_of_the_link_is_no_measurement),
        cmocka_unit_test(test_a_long_way_is_worth_dialling_early_and_a_short_one_is_not),
        cmocka_unit_test(test_a_channels_limit_is_followed_at_once),
        cmocka_unit_test(test_a_channels_limit_is_no_reason_for_more_connections),
        cmocka_unit_test(test_what_is_asked_for_comes_before_its_deadline_on_slow_links),
        cmocka_unit_test(test_what_is_expected_goes_by_what_says_something_of_the_line),
        cmocka_unit_test(test_what_came_at_once_says_something_when_it_was_much),
        cmocka_unit_test(test_the_limits_hold_for_any_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
