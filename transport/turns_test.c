#include "transport/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <cmocka.h>

enum { WAITING_MAX = 4096 };

/* Requests that wait, and what has gone of each flow. */
struct model {
    struct turns turns;
    struct waiting {
        uint64_t flow, bytes, turn;
        bool gone;
    } waiting[WAITING_MAX];
    size_t count;
    uint64_t gone[WAITING_MAX];
};

static void ask(struct model *model, uint64_t flow, uint64_t bytes)
{
    model->waiting[model->count++] =
        (struct waiting){flow, bytes, turns_take(&model->turns, flow, bytes), false};
}

/* The next one goes; its flow. */
static uint64_t next(struct model *model)
{
    struct waiting *least = NULL;
    for (size_t i = 0; i < model->count; i++)
        if (!model->waiting[i].gone && (least == NULL || model->waiting[i].turn < least->turn))
            least = &model->waiting[i];
    assert_non_null(least);
    least->gone = true;
    turns_pass(&model->turns, least->turn);
    model->gone[least->flow] += least->bytes;
    return least->flow;
}

static void test_one_flow_goes_in_order(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.count = 0};
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t turn = turns_take(&model.turns, 1, (uint64_t)(1 + i % 7));
        assert_true(i == 0 || turn > last);
        last = turn;
    }
    turns_deinit(&model.turns);
}

static void test_a_flow_that_begins_goes_next(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.count = 0};
    for (int i = 0; i < 1000; i++)
        ask(&model, 1, 1000000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(next(&model), 1);
    ask(&model, 2, 5000);
    bool first = next(&model) == 2;
    assert_true(first || next(&model) == 2); /* at most one is before it */
    turns_deinit(&model.turns);
}

/* One asks for a thousand large ones at once, one for small ones, one after another. */
static void test_flows_share_by_bytes_whatever_waits(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.count = 0};
    for (int i = 0; i < 1000; i++)
        ask(&model, 1, 1000000);
    for (int i = 0; i < 30; i++)
        ask(&model, 2, 100000);
    while (model.gone[2] < 3000000) {
        (void)next(&model);
        assert_true(model.gone[1] <= model.gone[2] + 2 * 1000000);
        assert_true(model.gone[2] <= model.gone[1] + 2 * 1000000);
    }
    turns_deinit(&model.turns);
}

static void test_a_flow_that_rested_has_saved_nothing_up(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.count = 0};
    ask(&model, 2, 1000);
    (void)next(&model);
    for (int i = 0; i < 500; i++)
        ask(&model, 1, 1000);
    for (int i = 0; i < 400; i++)
        (void)next(&model);
    for (int i = 0; i < 100; i++)
        ask(&model, 2, 1000);
    uint64_t before = model.gone[1];
    while (model.gone[2] < 51000)
        (void)next(&model);
    assert_in_range(model.gone[1] - before, 48000, 52000);
    turns_deinit(&model.turns);
}

static void test_thousands_of_flows_leave_no_memory_behind(void **state)
{
    (void)state;
    struct turns turns = {0};
    for (uint64_t flow = 0; flow < 100000; flow++)
        turns_pass(&turns, turns_take(&turns, flow, 10) + 10);
    assert_true(turns.capacity <= 16);
    turns_deinit(&turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_flow_goes_in_order),
        cmocka_unit_test(test_a_flow_that_begins_goes_next),
        cmocka_unit_test(test_flows_share_by_bytes_whatever_waits),
        cmocka_unit_test(test_a_flow_that_rested_has_saved_nothing_up),
        cmocka_unit_test(test_thousands_of_flows_leave_no_memory_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
