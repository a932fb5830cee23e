/* What is held ends, account by account, with what the account has. */
#include "store/holders.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/clone_trial.h"
#include "store/files.h"
#include "store/held.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/roots.h"

static const cells some = {{1, 2, 3}, {0, 4, 5}, {6, 0, 0}};
static const cells none = {{0}};

static size_t held_count(struct trial *trial, uint64_t account)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span empty = {0}, key, value;
    bool found = true;
    size_t count = 0;
    ok(db_iter_open(trial->store->db, NULL, FAMILY_HELD, empty, empty, &iter, &trial->err));
    while (found) {
        ok(db_iter_next(iter, &key, &value, &found, &trial->err));
        count += found && load_u64(key.data + DIGEST_BYTES) == account;
    }
    return count;
}

static uint64_t collect(struct trial *trial, const struct collect_tree *tree)
{
    struct collect_counts counts;
    ok(collect_run(trial->store, tree, &counts, &trial->err));
    return counts.holders_deleted;
}

/* ---- two accounts with the same rows ---- */

static void who_drops_what_a_stranger_keeps_holds_it_no_more(void **state)
{
    struct trial *trial = *state;
    struct owner ann = owner_make(trial, "ALIYUN$ann"), bob = owner_make(trial, "ALIYUN$bob");
    struct table_id anns = table_make(trial, &ann, "t"), bobs = table_make(trial, &bob, "t");
    cells_load(trial, &ann, anns, some);
    cells_load(trial, &bob, bobs, some);
    clean_up(trial);
    size_t held = held_count(trial, ann.account.n);
    assert_true(held > 6); /* files and pages */
    assert_int_equal(held_count(trial, bob.account.n), held);
    table_dropped(trial, bobs);
    clean_up(trial);
    assert_int_equal(held_count(trial, bob.account.n), 0);
    assert_int_equal(held_count(trial, ann.account.n), held);
    cells_expect(trial, anns, some);
    store_check(trial);
    bobs = table_make(trial, &bob, "t");
    cells_load(trial, &bob, bobs, some); /* brought again, held again */
    clean_up(trial);
    assert_int_equal(held_count(trial, bob.account.n), held);
    table_dropped(trial, anns);
    table_dropped(trial, bobs);
    clean_up(trial);
    assert_int_equal(held_count(trial, ann.account.n) + held_count(trial, bob.account.n) +
                         held_count(trial, 0),
                     0);
    store_check(trial);
}

static void half_of_it_is_half_held(void **state)
{
    struct trial *trial = *state;
    struct owner ann = owner_make(trial, "ALIYUN$ann"), bob = owner_make(trial, "ALIYUN$bob");
    struct table_id anns = table_make(trial, &ann, "t"), bobs = table_make(trial, &bob, "t");
    static const cells other = {{7, 8, 9}};
    cells_load(trial, &ann, anns, some);
    cells_load(trial, &bob, bobs, some);
    clean_up(trial);
    size_t held = held_count(trial, bob.account.n);
    cells_load(trial, &bob, bobs, other); /* three partitions of six */
    clean_up(trial);
    size_t left = held_count(trial, bob.account.n);
    assert_true(left > 0 && left <= held);
    assert_int_equal(held_count(trial, ann.account.n), held);
    clean_up(trial); /* and no more goes */
    assert_int_equal(held_count(trial, bob.account.n), left);
    store_check(trial);
}

static void a_clone_that_outlives_its_source_is_held_by_nobody(void **state)
{
    struct trial *trial = *state;
    struct owner ann = owner_make(trial, "ALIYUN$ann"), bob = owner_make(trial, "ALIYUN$bob");
    struct table_id anns = table_make(trial, &ann, "t");
    cells_load(trial, &ann, anns, some);
    struct table_id clone = clone_make(trial, &bob, "c", anns, &clone_all);
    clean_up(trial);
    size_t bobs = held_count(trial, bob.account.n);
    assert_true(held_count(trial, ann.account.n) > bobs);
    assert_int_equal(held_count(trial, 0), 0);
    table_dropped(trial, anns);
    clean_up(trial);
    assert_int_equal(held_count(trial, ann.account.n), 0);
    assert_int_equal(held_count(trial, bob.account.n), bobs);
    assert_true(held_count(trial, 0) > 0);
    assert_int_equal(collect(trial, catalog_tree()), 0); /* what nobody holds is not swept again */
    cells_expect(trial, clone, some);
    store_check(trial);
    trial_reopen(trial);
    store_check(trial);
    table_dropped(trial, clone);
    clean_up(trial);
    assert_int_equal(held_count(trial, 0), 0); /* its records went with what they kept */
}

/* ---- what else counts ---- */

/* Its history keeps the bytes; as nobody can ask for them, nobody holds them. */
static void history_of_a_dropped_table_holds_nothing(void **state)
{
    struct trial *trial = *state;
    struct owner ann = owner_make(trial, "ALIYUN$ann");
    struct table_id anns = table_make(trial, &ann, "t");
    cells_load(trial, &ann, anns, some);
    table_dropped(trial, anns);
    collect(trial, catalog_tree());
    size_t held = held_count(trial, ann.account.n);
    assert_true(held > 0); /* alone in the region: nothing is kept apart */
    struct owner bob = owner_make(trial, "ALIYUN$bob");
    struct table_id bobs = table_make(trial, &bob, "t");
    cells_load(trial, &bob, bobs, some);
    cells_load(trial, &bob, bobs, none);
    collect(trial, catalog_tree());
    assert_int_equal(held_count(trial, ann.account.n), 0);
    assert_true(held_count(trial, bob.account.n) >= held);
    store_check(trial);
}

static const struct toy_snapshot toy = {
    .seed = 3, .file_count = 20, .universe = 100, .file_bytes_max = 5000};
static const struct account_id first = {1}, second = {2};

static struct digest toy_stored(struct trial *trial, struct account_id account)
{
    struct content *content CONTENT_CLEANUP = NULL;
    struct digest root;
    ok(content_open(trial->store, account, &content, &trial->err));
    ok(toy_add(content, &toy, &root, &trial->err));
    ok(content_commit(content, &trial->err));
    ok(toy_publish(trial->store, "x", &root, &trial->err)); /* of the first account */
    return root;
}

static void an_open_content_holds_what_it_relies_on(void **state)
{
    struct trial *trial = *state;
    struct digest root = toy_stored(trial, first);
    toy_stored(trial, second);
    size_t held = held_count(trial, first.n);
    assert_int_equal(held_count(trial, second.n), held);
    struct content *content;
    bool is_held;
    ok(content_open(trial->store, second, &content, &trial->err));
    ok(content_rely_page(content, &root, &is_held, &trial->err));
    assert_true(is_held);
    collect(trial, toy_tree());
    assert_int_equal(held_count(trial, second.n), held);
    content_close(content);
    collect(trial, toy_tree());
    assert_int_equal(held_count(trial, second.n), 0);
    assert_int_equal(held_count(trial, first.n), held);
}

static void a_walk_under_way_holds_what_its_pages_name(void **state)
{
    struct trial *trial = *state;
    static const struct task_id task = {{9}};
    struct digest root = toy_stored(trial, first);
    struct bytes page BYTES_CLEANUP = {0};
    toy_stored(trial, second);
    size_t held = held_count(trial, second.n);
    struct staged_page staged = {toy_page(2, &root, 1, &page), bytes_span(&page)};
    ok(staged_put(trial->store, &task, &staged, 1, &trial->err));
    collect(trial, toy_tree());
    assert_int_equal(held_count(trial, second.n), held);
    ok(staged_drop(trial->store, &task, &trial->err));
    collect(trial, toy_tree());
    assert_int_equal(held_count(trial, second.n), 0);
}

/* Between the roots and the sweep somebody stores it anew: the record bears the collection's number. */
static struct trial *meanwhile_trial;

static enum err_code meanwhile_owners(void *context, struct store *store,
                                      struct collect_owned *owned, bool *ret_several,
                                      struct err *err)
{
    TRY(toy_tree()->owners(context, store, owned, ret_several, err));
    toy_stored(meanwhile_trial, second);
    return ERR_OK;
}

static void what_is_stored_again_meanwhile_stays_held(void **state)
{
    struct trial *trial = *state;
    struct collect_tree tree = *toy_tree();
    tree.owners = meanwhile_owners;
    meanwhile_trial = trial;
    toy_stored(trial, first);
    toy_stored(trial, second);
    size_t held = held_count(trial, second.n);
    collect(trial, &tree);
    assert_int_equal(held_count(trial, second.n), held);
    collect(trial, toy_tree());
    assert_int_equal(held_count(trial, second.n), 0);
}

int main(void)
{

    const struct CMUnitTest tests[] = {
        TRIAL(who_drops_what_a_stranger_keeps_holds_it_no_more),
        TRIAL(half_of_it_is_half_held),
        TRIAL(a_clone_that_outlives_its_source_is_held_by_nobody),
        TRIAL(history_of_a_dropped_table_holds_nothing),
        TRIAL(an_open_content_holds_what_it_relies_on),
        TRIAL(a_walk_under_way_holds_what_its_pages_name),
        TRIAL(what_is_stored_again_meanwhile_stays_held),
    };

    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
