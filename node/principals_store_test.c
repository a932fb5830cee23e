#include "node/principals_store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/trial.h"

#define THREADS 4
#define CHANGES 40

static struct change_note note(void)
{
    return (struct change_note){.now_ms = 1000, .principal = span_text("ALIYUN$root")};
}

static struct public_key key_of(uint8_t n)
{
    return (struct public_key){.identity = {{n}}, .exchange = {n, 1}};
}

static struct identity_key signer_of(uint8_t n)
{
    return key_of(n).identity;
}

static struct principals *loaded(struct trial *trial)
{
    struct principals *principals;
    assert_int_equal(principals_new(&(struct config_list){0}, &principals, NULL), ERR_OK);
    assert_int_equal(principals_load(principals, trial->store, &trial->err), ERR_OK);
    return principals;
}

static struct account_id account(struct trial *trial)
{
    struct public_key key = key_of(200);
    const struct account_record spec = {
        .name = span_text("ALIYUN$a"), .keys = &key, .key_count = 1};
    struct change_note made = note();
    struct account_id id = {0};
    assert_int_equal(account_create(trial->store, &spec, &made, &id, &trial->err), ERR_OK);
    return id;
}

static void user(struct trial *trial, struct account_id of)
{
    struct public_key key = key_of(201);
    const struct user_record spec = {
        .name = span_text("RAM$a:u"), .account = of, .keys = &key, .key_count = 1};
    struct change_note made = note();
    struct user_id id;
    assert_int_equal(user_create(trial->store, &spec, &made, &id, &trial->err), ERR_OK);
}

static void test_the_index_is_what_the_catalog_says(void **state)
{
    struct trial *trial = *state;
    struct account_id a = account(trial);
    struct principals *principals = loaded(trial);
    struct identity_key keys[2] = {signer_of(200), signer_of(201)};
    struct principal found;
    assert_true(principals_find_signer(principals, &keys[0], &found));
    assert_int_equal(found.account.n, a.n);
    assert_false(found.user);
    user(trial, a);
    assert_false(principals_find_signer(principals, &keys[1], &found));
    assert_int_equal(principals_follow(principals, trial->store, span_text("RAM$a:u"), &trial->err),
                     ERR_OK);
    assert_true(principals_find_signer(principals, &keys[1], &found));
    assert_int_equal(found.account.n, a.n);
    assert_true(found.user);
    assert_string_equal(found.name, "RAM$a:u");
    principals_free(principals);
    principals = loaded(trial); /* and after a restart */
    assert_true(principals_find_signer(principals, &keys[1], &found));
    assert_true(found.user);
    struct change_note made = note();
    assert_int_equal(principal_drop(trial->store, span_text("RAM$a:u"), &made, &trial->err),
                     ERR_OK);
    assert_int_equal(principals_follow(principals, trial->store, span_text("RAM$a:u"), &trial->err),
                     ERR_OK);
    assert_false(principals_find_signer(principals, &keys[1], &found));
    principals_free(principals);
}

static void test_who_cannot_be_read_is_let_in_no_more(void **state)
{
    struct trial *trial = *state;
    account(trial);
    struct principals *principals = loaded(trial);
    struct identity_key key = signer_of(200);
    struct principal found;
    CATALOG_CHANGE_CLEANUP struct catalog_change harm = {0};
    uint8_t record[9] = {'a'};
    store_u64(record + 1, 1);
    catalog_put(&harm, FAMILY_CATALOG, span_of(record, sizeof(record)), span_text("no record"));
    assert_int_equal(catalog_commit(trial->store, &harm, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_OK);
    assert_int_not_equal(
        principals_follow(principals, trial->store, span_text("ALIYUN$a"), &trial->err), ERR_OK);
    assert_false(principals_find_signer(principals, &key, &found));
    principals_free(principals);
}

/* ---- many at once ---- */

struct changer {
    struct store *store;
    struct principals *principals;
    uint8_t first; /* its own keys: this and the next */
    uint64_t chance;
    enum err_code code; /* the first that was not expected */
};

static enum err_code change_once(struct changer *changer, uint8_t key, bool drop)
{
    const struct key_change what = {
        .name = span_text("ALIYUN$a"), .key = key_of(key), .drop = drop};
    struct change_note made = note();
    enum err_code code;
    do
        code = principal_change_key(changer->store, &what, &made, NULL);
    while (code == ERR_CONFLICT);
    return code == ERR_OK ? principals_follow(changer->principals, changer->store, what.name, NULL)
                          : code;
}

static void *changer_run(void *argument)
{
    struct changer *changer = argument;
    bool there[2] = {false, false};
    for (int i = 0; i < CHANGES && changer->code == ERR_OK; i++) {
        size_t which = (size_t)random_below(&changer->chance, 2);
        changer->code = change_once(changer, (uint8_t)(changer->first + which), there[which]);
        there[which] = !there[which];
    }
    return NULL;
}

static void test_the_index_ends_as_the_catalog_does_whoever_changed_what(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    account(trial);
    struct principals *principals = loaded(trial);
    struct changer changers[THREADS];
    pthread_t threads[THREADS];
    uint64_t chance = trial_seed();
    for (uint8_t i = 0; i < THREADS; i++) {
        changers[i] = (struct changer){.store = trial->store,
                                       .principals = principals,
                                       .first = (uint8_t)(1 + 2 * i),
                                       .chance = random_next(&chance)};
        assert_int_equal(pthread_create(&threads[i], NULL, changer_run, &changers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(changers[i].code, ERR_OK);
    }
    struct account_record record;
    assert_int_equal(
        account_find(trial->store, NULL, span_text("ALIYUN$a"), &arena, &record, &trial->err),
        ERR_OK);
    for (uint8_t key = 1; key <= 2 * THREADS; key++) {
        struct identity_key signer = signer_of(key);
        struct principal found;
        bool there = false;
        for (size_t i = 0; i < record.key_count; i++)
            there = there || memcmp(record.keys[i].identity.b, signer.b, sizeof(signer.b)) == 0;
        assert_int_equal(principals_find_signer(principals, &signer, &found), there);
    }
    principals_free(principals);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TRIAL(test_the_index_is_what_the_catalog_says),
        TRIAL(test_who_cannot_be_read_is_let_in_no_more),
        TRIAL(test_the_index_ends_as_the_catalog_does_whoever_changed_what),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
