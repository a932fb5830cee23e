#include "node/task/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct account_id alice = {1}, bob = {2};

static struct digest number(uint64_t n)
{
    struct digest digest = {{0}};
    store_u64(digest.b, n);
    return digest;
}

static void test_a_file_is_one_tasks_of_an_account_until_it_is_released(void **state)
{
    (void)state;
    struct claims claims = {0};
    struct digest file = number(1);
    int first, second;
    assert_false(claims_release(&claims, alice, &file, &first));
    assert_true(claims_take(&claims, alice, &file, &first));
    assert_true(claims_take(&claims, alice, &file, &first));
    assert_false(claims_take(&claims, alice, &file, &second));
    assert_true(claims_take(&claims, bob, &file, &second)); /* another account's is no business */
    assert_false(claims_release(&claims, alice, &file, &second));
    assert_true(claims_release(&claims, alice, &file, &first));
    assert_true(claims_take(&claims, alice, &file, &second));
    claims_deinit(&claims);
}

static void test_all_of_one_owner_go_and_the_others_stay(void **state)
{
    (void)state;
    struct claims claims = {0};
    int owners[2];
    for (uint64_t n = 0; n < 5000; n++) { /* the same buckets at first: the table grows */
        struct digest file = number(n * 512);
        assert_true(claims_take(&claims, alice, &file, &owners[n % 2]));
    }
    assert_int_equal(claims_release_all(&claims, &owners[0]), 2500);
    assert_int_equal(claims_release_all(&claims, &owners[0]), 0);
    for (uint64_t n = 0; n < 5000; n++) {
        struct digest file = number(n * 512);
        assert_int_equal(claims_take(&claims, alice, &file, &owners[0]), n % 2 == 0);
    }
    claims_deinit(&claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_one_tasks_of_an_account_until_it_is_released),
        cmocka_unit_test(test_all_of_one_owner_go_and_the_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
