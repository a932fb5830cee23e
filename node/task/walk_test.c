#include "node/task/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct digest digest_number(uint64_t n)
{
    struct digest digest = {{0}};
    store_u64(digest.b, n);
    return digest;
}

static struct walk_need file_need(uint64_t n, uint64_t bytes)
{
    return (struct walk_need){
        .kind = WALK_FILE, .digest = digest_number(n), .bytes = bytes, .place = span_text("place")};
}

static struct walk_need page_need(uint64_t n, uint8_t level, bool staged)
{
    return (struct walk_need){.kind = WALK_PAGE,
                              .digest = digest_number(n),
                              .level = level,
                              .staged = staged,
                              .place = span_text("page place")};
}

static bool plan(struct walk *walk, uint64_t id, const struct walk_need *needs, size_t count)
{
    struct walk_plan plan = {.needs = needs, .need_count = count};
    return walk_planned(walk, id, &plan);
}

/* A walk whose root page (level 0, number 1) is staged, and planned next under id 2. */
static void walk_at_leaf(struct walk *walk, const struct walk_limits *limits)
{
    walk_init(walk, limits);
    walk_begin(walk);
    assert_non_null(walk_plan_next(walk, 1));
    struct walk_need root = page_need(1, 0, true);
    assert_true(plan(walk, 1, &root, 1));
    assert_non_null(walk_plan_next(walk, 2));
}

static void test_snapshot_that_is_all_held_asks_for_nothing(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_init(&walk, &limits);
    walk_begin(&walk);
    const struct walk_item *top = walk_plan_next(&walk, 1);
    assert_non_null(top);
    assert_null(top->parent);
    assert_true(plan(&walk, 1, NULL, 0));
    assert_null(walk_request_next(&walk, 2));
    assert_true(walk_commit_next(&walk, false, false));
    walk_committed(&walk);
    assert_true(walk_done(&walk));
    walk_deinit(&walk);
}

static void test_children_are_committed_before_parents_and_files_before_both(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need file = file_need(10, 5);
    assert_true(plan(&walk, 2, &file, 1));
    assert_false(walk_commit_next(&walk, false, false));
    const struct walk_request *request = walk_request_next(&walk, 3);
    assert_int_equal(request->kind, WALK_FILE);
    assert_int_equal(request->reply_bytes, 5);
    assert_int_equal(walk_answered(&walk, 3, NULL, WALK_STORED), 0);
    assert_true(walk_commit_next(&walk, false, false));
    const struct walk_item *item = TAILQ_FIRST(&walk.committing);
    assert_int_equal(item->kind, WALK_FILE);
    item = TAILQ_NEXT(item, link);
    assert_true(item->kind == WALK_PAGE && item->parent != NULL);
    item = TAILQ_NEXT(item, link);
    assert_true(item->kind == WALK_PAGE && item->parent == NULL);
    assert_null(TAILQ_NEXT(item, link));
    assert_false(walk_done(&walk));
    walk_committed(&walk);
    assert_true(walk_done(&walk));
    assert_int_equal(walk.counters.files_moved, 1);
    assert_int_equal(walk.counters.bytes_moved, 5);
    walk_deinit(&walk);
}

static void test_window_and_batch_bound_what_is_in_flight(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 100;
    limits.batch_bytes = 40;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need files[12];
    for (uint64_t i = 0; i < 12; i++)
        files[i] = file_need(10 + i, 20);
    assert_true(plan(&walk, 2, files, 12));
    size_t requests = 0;
    const struct walk_request *request;
    while ((request = walk_request_next(&walk, 3 + requests)) != NULL) {
        assert_int_equal(request->item_count, 2);
        requests++;
        assert_true(walk.reserved_bytes <= 100);
    }
    assert_int_equal(requests, 2);
    walk_answered(&walk, 3, NULL, WALK_STORED);
    assert_non_null(walk_request_next(&walk, 9));
    assert_null(walk_request_next(&walk, 10));
    walk_deinit(&walk);
}

/* Large and tiny files in turns, as columns of different sizes make them: a tiny one goes with the
 * large one after it, and no request is for a tiny one alone but the last. */
static void test_few_bytes_go_along_with_a_large_file(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 4 * LIMIT_BODY_BYTES;
    limits.batch_bytes = 1600;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    static const struct {
        uint64_t bytes;
        size_t request; /* that it goes with */
    } cases[] = {{5000, 0}, {60, 1},  {40, 1},   {5000, 1}, {100, 2},
                 {5000, 2}, {101, 3}, {5000, 4}, {50, 5},   {LIMIT_BODY_BYTES - 49, 6},
                 {100, 7}};
    struct walk_need files[ARRAY_COUNT(cases)];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        files[i] = file_need(10 + i, cases[i].bytes);
    assert_true(plan(&walk, 2, files, ARRAY_COUNT(cases)));
    size_t at = 0;
    for (size_t request = 0; at < ARRAY_COUNT(cases); request++) {
        const struct walk_request *want = walk_request_next(&walk, 3 + request);
        assert_non_null(want);
        assert_true(want->reply_bytes <= LIMIT_BODY_BYTES);
        for (size_t i = 0; i < want->item_count; i++, at++)
            assert_int_equal(cases[at].request, request);
    }
    walk_deinit(&walk);
}

static void test_a_window_that_changes_counts_from_the_next_request_on(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 100;
    limits.batch_bytes = 20;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    assert_false(walk_wants_window(&walk));
    struct walk_need files[30];
    for (uint64_t i = 0; i < 30; i++)
        files[i] = file_need(10 + i, 20);
    assert_true(plan(&walk, 2, files, 30));
    uint64_t id = 3;
    while (walk_request_next(&walk, id) != NULL)
        id++;
    assert_int_equal(walk.reserved_bytes, 100);
    assert_true(walk_wants_window(&walk));
    walk_set_window(&walk, 200, 40, 100);
    while (walk_request_next(&walk, id) != NULL)
        id++;
    assert_int_equal(walk.reserved_bytes, 180);
    assert_int_equal(walk_reply_bytes(&walk), 180 / 7);
    walk_set_window(&walk, 60, 20, 100); /* what is out stays out */
    assert_null(walk_request_next(&walk, id));
    for (uint64_t answered = 3; answered < id; answered++)
        walk_answered(&walk, answered, NULL, WALK_STORED);
    assert_int_equal(walk_reply_bytes(&walk), 0);
    for (uint64_t next = id; walk_request_next(&walk, next) != NULL;)
        next++;
    assert_int_equal(walk.reserved_bytes, 60);
    walk_set_window(&walk, 200, 20, 4);
    assert_non_null(walk_request_next(&walk, id + 3));
    assert_null(walk_request_next(&walk, id + 4)); /* four at once */
    walk_deinit(&walk);
}

static void test_one_file_larger_than_the_window_goes_alone(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 100;
    limits.batch_bytes = 40;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need files[2] = {file_need(10, 500), file_need(11, 1)};
    assert_true(plan(&walk, 2, files, 2));
    const struct walk_request *request = walk_request_next(&walk, 3);
    assert_int_equal(request->item_count, 1);
    assert_int_equal(request->reply_bytes, 500);
    assert_null(walk_request_next(&walk, 4));
    walk_deinit(&walk);
}

static void test_file_named_twice_is_asked_for_once(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_init(&walk, &limits);
    walk_begin(&walk);
    walk_plan_next(&walk, 1);
    struct walk_need pages[2] = {page_need(1, 0, true), page_need(2, 0, true)};
    assert_true(plan(&walk, 1, pages, 2));
    walk_plan_next(&walk, 2);
    walk_plan_next(&walk, 3);
    struct walk_need file = file_need(10, 5);
    assert_true(plan(&walk, 2, &file, 1));
    assert_true(plan(&walk, 3, &file, 1));
    assert_int_equal(walk_request_next(&walk, 4)->item_count, 1);
    assert_null(walk_request_next(&walk, 5));
    assert_false(walk_commit_next(&walk, false, false));
    walk_answered(&walk, 4, NULL, WALK_STORED);
    assert_true(walk_commit_next(&walk, false, false));
    walk_committed(&walk);
    assert_true(walk_done(&walk));
    assert_int_equal(walk.counters.files_moved, 1);
    walk_deinit(&walk);
}

static void test_results_are_taken_one_by_one_and_wrong_ones_counted(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need files[3] = {file_need(10, 5), file_need(11, 6), file_need(12, 7)};
    assert_true(plan(&walk, 2, files, 3));
    walk_request_next(&walk, 3);
    enum walk_result results[3] = {WALK_STORED, WALK_WRONG, WALK_LEFT};
    assert_int_equal(walk_answered(&walk, 3, results, WALK_LEFT), 1);
    const struct walk_request *request = walk_request_next(&walk, 4);
    assert_int_equal(request->item_count, 2); /* what came wrong does not hold up the other */
    struct digest wrong = digest_number(11);
    assert_true(digest_equal(&request->items[1]->digest, &wrong));
    assert_int_equal(walk_answered(&walk, 4, NULL, WALK_WRONG), 2);
    assert_int_equal(walk_answered(&walk, 4, NULL, WALK_WRONG), 0); /* unknown by now */
    walk_deinit(&walk);
}

static void test_impossible_plans_change_nothing(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need needs[2] = {file_need(10, 5), page_need(2, 0, false)}; /* level not below */
    assert_false(plan(&walk, 2, needs, 2));
    needs[1] = file_need(11, LIMIT_FILE_BYTES + 1);
    assert_false(plan(&walk, 2, needs, 2));
    static const uint8_t place[WALK_PLACE_BYTES_MAX + 1];
    needs[1] = file_need(11, 5);
    needs[1].place = span_of(place, sizeof(place));
    assert_false(plan(&walk, 2, needs, 2));
    assert_false(plan(&walk, 77, needs, 1));
    assert_null(walk_request_next(&walk, 3));
    assert_true(plan(&walk, 2, needs, 1));
    assert_int_equal(walk_request_next(&walk, 3)->item_count, 1);
    walk_deinit(&walk);
}

/* A table of 100 x 100 x 100 leaves with 100 files each is walked with few items in memory. */
static void test_memory_follows_the_window_and_not_the_table(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 1000;
    limits.batch_bytes = 200;
    limits.pages_open = 64;
    limits.commit_pages = 16;
    struct walk walk;
    walk_init(&walk, &limits);
    walk_begin(&walk);
    struct walk_need needs[100];
    uint64_t id = 1, next = 1;
    size_t pages_most = 0, files_most = 0;
    for (size_t turn = 0; turn < 3000; turn++) {
        const struct walk_item *page = walk_plan_next(&walk, id);
        if (page != NULL) {
            for (size_t i = 0; i < 100; i++) {
                uint8_t level = page->parent == NULL ? 3 : (uint8_t)(page->level - 1);
                needs[i] = page->level == 0 ? file_need(next, 10) : page_need(next, level, false);
                next++;
            }
            assert_true(plan(&walk, id++, needs, page->parent == NULL ? 1 : 100));
        }
        const struct walk_request *request = walk_request_next(&walk, id);
        if (request != NULL)
            walk_answered(&walk, id++, NULL, WALK_STORED);
        if (walk_commit_next(&walk, false, false))
            walk_committed(&walk);
        pages_most = walk.page_count > pages_most ? walk.page_count : pages_most;
        files_most = walk.file_count > files_most ? walk.file_count : files_most;
    }
    assert_true(walk.counters.files_moved > 20000);
    assert_true(pages_most <= 500); /* a path's pages and children */
    assert_true(files_most <= limits.commit_files + 1000 / 10 + 300); /* arrived, window, a leaf */
    walk_deinit(&walk);
}

/* The version's page came with what describes it, and names the second root. */
static void test_the_first_pages_are_asked_for_together(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    struct walk walk;
    walk_init(&walk, &limits);
    walk_begin(&walk);
    assert_non_null(walk_plan_next(&walk, 1));
    const struct walk_need tops[] = {page_need(1, LIMIT_TREE_DEPTH, true), page_need(2, 0, false)};
    assert_true(plan(&walk, 1, tops, ARRAY_COUNT(tops)));
    assert_non_null(walk_plan_next(&walk, 2));
    assert_null(walk_request_next(&walk, 3)); /* the plan of page 1 runs */
    struct walk_need root = page_need(3, 1, false);
    assert_true(plan(&walk, 2, &root, 1));
    const struct walk_request *request = walk_request_next(&walk, 3);
    assert_non_null(request);
    assert_int_equal(request->item_count, 2);
    assert_null(walk_request_next(&walk, 4));

    assert_int_equal(walk_answered(&walk, 3, NULL, WALK_STORED), 0);
    assert_non_null(walk_plan_next(&walk, 4));
    assert_non_null(walk_plan_next(&walk, 5));
    const struct walk_need children[] = {page_need(4, 0, false), page_need(5, 0, false)};
    assert_true(
        plan(&walk, 5, children, ARRAY_COUNT(children))); /* page 3: to_plan goes deepest first */
    assert_null(walk_request_next(&walk, 6));
    assert_true(plan(&walk, 4, NULL, 0));
    assert_non_null(walk_request_next(&walk, 6));
    walk_deinit(&walk);
}

static void test_what_a_crash_would_lose_is_bounded_while_a_commit_runs(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 10;
    limits.commit_bytes = 20;
    limits.batch_items = 1;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need files[8];
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        files[i] = file_need(10 + i, 10);
    assert_true(plan(&walk, 2, files, ARRAY_COUNT(files)));
    for (uint64_t id = 3; id < 5; id++) {
        assert_non_null(walk_request_next(&walk, id));
        assert_int_equal(walk_answered(&walk, id, NULL, WALK_STORED), 0);
    }
    assert_true(walk_commit_next(&walk, false, false)); /* 20 bytes, not durable yet */
    assert_non_null(walk_request_next(&walk, 6));
    assert_int_equal(walk_answered(&walk, 6, NULL, WALK_STORED), 0);
    assert_null(walk_request_next(&walk, 7)); /* 20 and 10 would be lost already */
    walk_committed(&walk);
    assert_non_null(walk_request_next(&walk, 7));
    walk_deinit(&walk);
}

/* Two tasks that wait for each other's files: each commits what it has, and so releases it. */
static void test_what_is_elsewhere_holds_back_no_commit(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 10;
    struct walk walk;
    walk_at_leaf(&walk, &limits);
    struct walk_need files[2] = {file_need(10, 5), file_need(11, 5)};
    assert_true(plan(&walk, 2, files, 2));
    assert_int_equal(walk_request_next(&walk, 3)->item_count, 2);
    const enum walk_result results[2] = {WALK_STORED, WALK_TAKEN};
    assert_int_equal(walk_answered(&walk, 3, results, WALK_LEFT), 0);
    assert_null(walk_request_next(&walk, 4));
    assert_true(walk_commit_next(&walk, false, false));
    assert_int_equal(walk.counters.files_moved, 1);
    walk_committed(&walk);
    assert_false(walk_commit_next(&walk, false, false));
    walk_released(&walk);
    const struct walk_request *again = walk_request_next(&walk, 5);
    assert_int_equal(again->item_count, 1);
    assert_true(digest_equal(&again->items[0]->digest, &files[1].digest));
    assert_int_equal(walk_answered(&walk, 5, NULL, WALK_HELD), 0);
    assert_int_equal(walk.counters.files_moved, 1);
    assert_true(walk_commit_next(&walk, false, false));
    walk_committed(&walk);
    assert_true(walk_done(&walk));
    walk_deinit(&walk);
}

/* ... and also while what is elsewhere fills the window, so that nothing more is planned. */
static void test_a_window_full_of_what_is_elsewhere_lets_a_commit_go(void **state)
{
    (void)state;
    struct walk_limits limits = walk_limits_default();
    limits.window_bytes = 10;
    limits.batch_items = 1;
    limits.plans = 1;
    struct walk walk;
    walk_init(&walk, &limits);
    walk_begin(&walk);
    assert_non_null(walk_plan_next(&walk, 1));
    struct walk_need leaves[2] = {page_need(1, 0, true), page_need(2, 0, true)};
    assert_true(plan(&walk, 1, leaves, 2));
    assert_non_null(walk_plan_next(&walk, 2));
    struct walk_need files[2] = {file_need(10, 5), file_need(11, 10)};
    assert_true(plan(&walk, 2, files, 2));
    assert_non_null(walk_request_next(&walk, 3));
    assert_int_equal(walk_answered(&walk, 3, NULL, WALK_STORED), 0);
    assert_non_null(walk_request_next(&walk, 4));
    assert_int_equal(walk_answered(&walk, 4, NULL, WALK_TAKEN), 0);
    assert_null(walk_plan_next(&walk, 5));
    assert_null(walk_request_next(&walk, 5));
    assert_true(walk_commit_next(&walk, false, false));
    walk_deinit(&walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_that_is_all_held_asks_for_nothing),
        cmocka_unit_test(test_children_are_committed_before_parents_and_files_before_both),
        cmocka_unit_test(test_the_first_pages_are_asked_for_together),
        cmocka_unit_test(test_what_a_crash_would_lose_is_bounded_while_a_commit_runs),
        cmocka_unit_test(test_what_is_elsewhere_holds_back_no_commit),
        cmocka_unit_test(test_a_window_full_of_what_is_elsewhere_lets_a_commit_go),
        cmocka_unit_test(test_window_and_batch_bound_what_is_in_flight),
        cmocka_unit_test(test_few_bytes_go_along_with_a_large_file),
        cmocka_unit_test(test_a_window_that_changes_counts_from_the_next_request_on),
        cmocka_unit_test(test_one_file_larger_than_the_window_goes_alone),
        cmocka_unit_test(test_file_named_twice_is_asked_for_once),
        cmocka_unit_test(test_results_are_taken_one_by_one_and_wrong_ones_counted),
        cmocka_unit_test(test_impossible_plans_change_nothing),
        cmocka_unit_test(test_memory_follows_the_window_and_not_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
