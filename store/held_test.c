/* Since when something is held, and what a task brought. */
#include "store/held.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/pages.h"
#include "store/trial.h"

static const struct account_id alice = {1}, bob = {2};
static const struct task_id task = {{7}};

/* Files [first, first + count) of a length; of the task when given. */
static void files_store(struct trial *trial, struct account_id account, const struct task_id *of,
                        uint64_t first, uint64_t count, size_t len)
{
    CONTENT_CLEANUP struct content *content = NULL;
    assert_int_equal(content_open(trial->store, account, &content, &trial->err), ERR_OK);
    if (of != NULL)
        content_count_for(content, of);
    for (uint64_t n = first; n < first + count; n++) {
        struct bytes file BYTES_CLEANUP = {0};
        struct digest digest = toy_file(n, len, &file);
        assert_int_equal(
            content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err),
            ERR_OK);
    }
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
}

static bool held_from(struct trial *trial, struct account_id account, uint64_t n, size_t len,
                      uint64_t *ret_period)
{
    struct bytes file BYTES_CLEANUP = {0};
    struct digest digest = toy_file(n, len, &file);
    bool held;
    assert_int_equal(held_since(trial->store, &digest, account, &held, ret_period, &trial->err),
                     ERR_OK);
    return held;
}

static void tally_expect(struct trial *trial, uint64_t files, uint64_t bytes)
{
    struct tally tally;
    assert_int_equal(tally_read(trial->store, &task, &tally, &trial->err), ERR_OK);
    assert_int_equal(tally.files, files);
    assert_int_equal(tally.bytes, bytes);
}

static void what_is_held_keeps_its_first_period(void **state)
{
    struct trial *trial = *state;
    uint64_t first, second, period;
    assert_int_equal(holding_begin(trial->store, &first, &trial->err), ERR_OK);
    files_store(trial, alice, NULL, 1, 1, 1000);
    assert_int_equal(holding_begin(trial->store, &second, &trial->err), ERR_OK);
    assert_true(second > first);
    files_store(trial, alice, NULL, 1, 2, 1000); /* the first again, and one more */
    assert_true(held_from(trial, alice, 1, 1000, &period));
    assert_int_equal(period, first);
    assert_true(held_from(trial, alice, 2, 1000, &period));
    assert_int_equal(period, second);
    assert_false(held_from(trial, bob, 1, 1000, &period));
    trial_reopen(trial);
    assert_true(held_from(trial, alice, 2, 1000, &period));
    assert_int_equal(period, second);
    assert_int_equal(holding_begin(trial->store, &period, &trial->err), ERR_OK);
    assert_true(period > second);
}

static void promoted_pages_bear_the_period_too(void **state)
{
    struct trial *trial = *state;
    struct bytes page BYTES_CLEANUP = {0};
    uint64_t begun, period;
    bool held;
    assert_int_equal(holding_begin(trial->store, &begun, &trial->err), ERR_OK);
    struct digest digest = toy_page(0, NULL, 0, &page);
    struct staged_page staged = {digest, bytes_span(&page)};
    assert_int_equal(staged_put(trial->store, &task, &staged, 1, &trial->err), ERR_OK);
    CONTENT_CLEANUP struct content *content = NULL;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(staged_promote(content, &task, &digest, 1, &trial->err), ERR_OK);
    assert_int_equal(held_since(trial->store, &digest, alice, &held, &period, &trial->err), ERR_OK);
    assert_true(held);
    assert_int_equal(period, begun);
}

static void a_tally_counts_each_file_once_and_goes_on_after_a_restart(void **state)
{
    struct trial *trial = *state;
    assert_int_equal(tally_begin(trial->store, &task, &trial->err), ERR_OK);
    tally_expect(trial, 0, 0);
    files_store(trial, alice, NULL, 100, 3, 1000); /* held before: not the task's */
    files_store(trial, alice, &task, 100, 5, 1000);
    tally_expect(trial, 2, 2000);
    files_store(trial, alice, &task, 100, 5, 1000);
    tally_expect(trial, 2, 2000);
    trial_reopen(trial);
    tally_expect(trial, 2, 2000);
    assert_int_equal(tally_begin(trial->store, &task, &trial->err), ERR_OK);
    files_store(trial, alice, &task, 200, 30, 100000); /* through packs */
    tally_expect(trial, 32, 3002000);
    files_store(trial, bob, NULL, 300, 1, 1000);
    files_store(trial, alice, &task, 300, 1, 1000); /* stored here, but not alice's until now */
    tally_expect(trial, 33, 3003000);
    assert_int_equal(tally_end(trial->store, &task, &trial->err), ERR_OK);
    tally_expect(trial, 0, 0);
    files_store(trial, alice, &task, 400, 1, 1000);
    tally_expect(trial, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(what_is_held_keeps_its_first_period),
        TRIAL(promoted_pages_bear_the_period_too),
        TRIAL(a_tally_counts_each_file_once_and_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
