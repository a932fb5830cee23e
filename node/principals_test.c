#include "node/principals.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#define MANY 5000

static struct public_identity key_of(uint32_t n)
{
    struct public_identity key = {0};
    store_u32(key.sign.b, n);
    store_u32(key.noise.b, n);
    key.noise.b[31] = 1; /* the halves differ */
    return key;
}

static void put(struct principals *principals, const char *name, uint64_t id,
                const struct public_identity *keys, size_t count)
{
    principals_put(principals, &(struct principal_spec){.name = span_text(name),
                                                        .account = {id},
                                                        .number = id,
                                                        .keys = keys,
                                                        .key_count = count});
}

static struct principals *empty(void)
{
    struct principals *principals;
    assert_int_equal(principals_new(&(struct config_list){0}, &principals, NULL), ERR_OK);
    return principals;
}

static bool leads_to(const struct principals *principals, const struct public_identity *key,
                     const char *name)
{
    struct principal by_noise = {0}, by_signer = {0};
    bool noise = principals_find_noise(principals, &key->noise, &by_noise);
    bool signer = principals_find_signer(principals, &key->sign, &by_signer);
    assert_int_equal(noise, signer);
    assert_string_equal(by_noise.name, by_signer.name);
    if (noise)
        assert_memory_equal(&by_noise.keys, key, sizeof(*key)); /* the one that was asked for */
    return noise && strcmp(by_noise.name, name) == 0;
}

static void test_a_principal_is_found_by_each_half_of_each_key_and_by_name(void **state)
{
    (void)state;
    struct principals *principals = empty();
    struct public_identity keys[2] = {key_of(1), key_of(2)};
    struct principal found;
    put(principals, "ALIYUN$Bob", 7, keys, 2);
    assert_true(leads_to(principals, &keys[0], "ALIYUN$Bob"));
    assert_true(leads_to(principals, &keys[1], "ALIYUN$Bob"));
    assert_true(principals_find_name(principals, span_text("aliyun$bOB"), &found));
    assert_int_equal(found.account.n, 7);
    assert_int_equal(found.number, 7);
    assert_false(found.user || found.operator);
    assert_false(principals_find_name(principals, span_text("ALIYUN$Bo"), &found));
    char longer[LIMIT_PRINCIPAL_BYTES + 1];
    memset(longer, 'x', sizeof(longer));
    assert_false(principals_find_name(principals, span_of(longer, sizeof(longer)), &found));
    struct public_identity other = key_of(3);
    assert_false(leads_to(principals, &other, ""));
    principals_free(principals);
}

struct drops {
    struct noise_key keys[8];
    size_t count;
};

static void on_drop(void *context, const struct noise_key *key)
{
    struct drops *drops = context;
    drops->keys[drops->count++] = *key;
}

static void test_a_key_that_is_dropped_is_told_and_leads_nowhere(void **state)
{
    (void)state;
    struct principals *principals = empty();
    struct public_identity keys[3] = {key_of(1), key_of(2), key_of(3)};
    struct drops drops = {0};
    struct principal found;
    principals_on_drop(principals, on_drop, &drops);
    put(principals, "ALIYUN$a", 1, keys, 2);
    put(principals, "ALIYUN$a", 1, keys, 3); /* one is added: none is dropped */
    assert_int_equal(drops.count, 0);
    put(principals, "ALIYUN$a", 1, keys + 1, 2);
    assert_int_equal(drops.count, 1);
    assert_true(noise_key_equal(&drops.keys[0], &keys[0].noise));
    assert_false(leads_to(principals, &keys[0], ""));
    assert_true(leads_to(principals, &keys[2], "ALIYUN$a"));
    principals_remove(principals, span_text("aliyun$A"));
    assert_int_equal(drops.count, 3);
    assert_false(leads_to(principals, &keys[1], ""));
    assert_false(principals_find_name(principals, span_text("ALIYUN$a"), &found));
    put(principals, "ALIYUN$a", 2, keys, 1); /* somebody else of that name */
    assert_true(principals_find_name(principals, span_text("ALIYUN$a"), &found));
    assert_int_equal(found.number, 2);
    principals_free(principals);
}

static void test_a_half_leads_to_one_principal(void **state)
{
    (void)state;
    struct principals *principals = empty();
    struct public_identity mine = key_of(1), thief = key_of(2);
    struct principal found;
    thief.noise = mine.noise;
    put(principals, "ALIYUN$a", 1, &mine, 1);
    put(principals, "ALIYUN$b", 2, &thief, 1);
    assert_true(leads_to(principals, &mine, "ALIYUN$a"));
    principals_remove(principals, span_text("ALIYUN$b")); /* takes along its own only */
    assert_true(leads_to(principals, &mine, "ALIYUN$a"));
    assert_false(principals_find_signer(principals, &thief.sign, &found));
    principals_free(principals);
}

static void test_an_operators_key_alone_has_no_account(void **state)
{
    (void)state;
    IDENTITY_CLEANUP struct identity *identity = identity_generate();
    const struct public_identity *key = identity_public(identity);
    char text[PUBLIC_IDENTITY_TEXT_BYTES];
    char *item = (char *)(uintptr_t)public_identity_format(key, text);
    char *twice[] = {item, item};
    struct principals *principals;
    struct principal found;
    struct err err;
    assert_int_equal(principals_new(&(struct config_list){twice, 2}, &principals, &err),
                     ERR_CONFIG);
    assert_int_equal(principals_new(&(struct config_list){&item, 1}, &principals, NULL), ERR_OK);
    assert_true(principals_find_noise(principals, &key->noise, &found));
    assert_true(found.operator);
    assert_int_equal(found.account.n, 0);
    assert_int_equal(principal_id(&found), 0);
    assert_memory_equal(found.name, "OPERATOR$", 9);
    assert_false(principals_find_name(principals, span_text(found.name), &found));
    put(principals, "ALIYUN$root", 1, key, 1); /* it is an account's as well */
    assert_true(principals_find_signer(principals, &key->sign, &found));
    assert_string_equal(found.name, "ALIYUN$root");
    assert_true(found.operator);
    struct public_identity other = key_of(5);
    put(principals, "ALIYUN$root", 1, &other, 1); /* and is taken from it */
    assert_true(principals_find_noise(principals, &key->noise, &found));
    assert_int_equal(found.account.n, 0);
    assert_true(found.operator);
    assert_true(principals_find_noise(principals, &other.noise, &found));
    assert_false(found.operator);
    principals_free(principals);
}

static void test_a_key_is_known_by_either_half_whoever_has_it(void **state)
{
    (void)state;
    struct principals *principals = empty();
    struct public_identity mine = key_of(1), node = key_of(2), fresh = key_of(3), half;
    put(principals, "ALIYUN$a", 1, &mine, 1);
    principals_reserve(principals, &node);
    const struct public_identity *known[] = {&mine, &node};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        half = fresh;
        half.sign = known[i]->sign;
        assert_true(principals_key_known(principals, &half));
        half = fresh;
        half.noise = known[i]->noise;
        assert_true(principals_key_known(principals, &half));
    }
    assert_false(principals_key_known(principals, &fresh));
    assert_false(leads_to(principals, &node, "")); /* reserved is nobody's way in */
    principals_free(principals);
}

static void name_of(char ret_name[32], uint32_t n)
{
    snprintf(ret_name, 32, "ALIYUN$a%" PRIu32, n);
}

static void test_thousands_come_and_go(void **state)
{
    (void)state;
    struct principals *principals = empty();
    char name[32];
    for (uint32_t i = 0; i < MANY; i++) {
        struct public_identity key = key_of(i);
        name_of(name, i);
        put(principals, name, i + 1, &key, 1);
    }
    for (uint32_t i = 0; i < MANY; i += 2) {
        name_of(name, i);
        principals_remove(principals, span_text(name));
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct public_identity key = key_of(i);
        name_of(name, i);
        assert_int_equal(leads_to(principals, &key, name), i % 2 == 1);
    }
    principals_free(principals);
}

/* ---- threads ---- */

struct race {
    struct principals *principals;
    atomic_bool end;
    atomic_uint wrong; /* read on its own thread, told on the test's */
};

static void *race_read(void *argument)
{
    struct race *race = argument;
    struct public_identity keys[2] = {key_of(1), key_of(2)};
    while (!atomic_load(&race->end)) {
        for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
            struct principal found;
            if (principals_find_noise(race->principals, &keys[i].noise, &found) &&
                (strcmp(found.name, "ALIYUN$a") != 0 ||
                 !identity_key_equal(&found.keys.sign, &keys[i].sign)))
                atomic_fetch_add(&race->wrong, 1);
        }
    }
    return NULL;
}

static void test_readers_see_whole_principals_while_they_change(void **state)
{
    (void)state;
    struct race race = {.principals = empty()};
    struct public_identity keys[2] = {key_of(1), key_of(2)};
    pthread_t readers[2];
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, race_read, &race), 0);
    for (int i = 0; i < 2000; i++) {
        put(race.principals, "ALIYUN$a", 1, keys, 2);
        put(race.principals, "ALIYUN$a", 1, keys + 1, 1);
        principals_remove(race.principals, span_text("ALIYUN$a"));
    }
    atomic_store(&race.end, true);
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(race.wrong, 0);
    principals_free(race.principals);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_principal_is_found_by_each_half_of_each_key_and_by_name),
        cmocka_unit_test(test_a_key_that_is_dropped_is_told_and_leads_nowhere),
        cmocka_unit_test(test_a_half_leads_to_one_principal),
        cmocka_unit_test(test_an_operators_key_alone_has_no_account),
        cmocka_unit_test(test_a_key_is_known_by_either_half_whoever_has_it),
        cmocka_unit_test(test_thousands_come_and_go),
        cmocka_unit_test(test_readers_see_whole_principals_while_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
