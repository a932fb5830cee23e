#include "store/account.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/catalog_check.h"
#include "store/catalog_keys.h"
#include "store/trial.h"

static struct change_note note(void)
{
    return (struct change_note){.now_ms = 1000, .principal = span_text("ALIYUN$root")};
}

static struct public_key key_of(uint8_t n)
{
    return (struct public_key){.identity = {{n}}, .exchange = {n}};
}

static enum err_code account(struct trial *trial, const char *name, uint8_t key,
                             struct account_id *ret_id)
{
    struct public_key public = key_of(key);
    const struct account_record spec = {.name = span_text(name), .keys = &public, .key_count = 1};
    struct change_note made = note();
    return account_create(trial->store, &spec, &made, ret_id, &trial->err);
}

static enum err_code user(struct trial *trial, struct account_id of, const char *name, uint8_t key,
                          struct user_id *ret_id)
{
    struct public_key public = key_of(key);
    const struct user_record spec = {
        .name = span_text(name), .account = of, .keys = &public, .key_count = 1};
    struct change_note made = note();
    return user_create(trial->store, &spec, &made, ret_id, &trial->err);
}

static enum err_code change(struct trial *trial, const char *name, uint8_t key, bool drop,
                            bool last_too)
{
    const struct key_change what = {
        .name = span_text(name), .key = key_of(key), .drop = drop, .last_too = last_too};
    struct change_note made = note();
    return principal_change_key(trial->store, &what, &made, &trial->err);
}

static enum err_code dropped(struct trial *trial, const char *name)
{
    struct change_note made = note();
    return principal_drop(trial->store, span_text(name), &made, &trial->err);
}

static void ok(struct trial *trial, enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", trial->err.message);
}

static void whole(struct trial *trial)
{
    uint64_t faults = 0;
    ok(trial, catalog_check(trial->store, NULL, NULL, &faults, &trial->err));
    assert_int_equal(faults, 0);
}

static enum err_code add_name(void *context, const struct user_record *record, struct err *err)
{
    (void)err;
    bytes_append_span(context, record->name);
    bytes_append_text(context, " ");
    return ERR_OK;
}

static void listed(struct trial *trial, const char *of, const char *expected)
{
    BYTES_CLEANUP struct bytes names = {0};
    ok(trial, user_each(trial->store, NULL, span_text(of), add_name, &names, &trial->err));
    bytes_append_u8(&names, 0);
    assert_string_equal((const char *)names.data, expected);
}

static void test_users_belong_to_their_account(void **state)
{
    struct trial *trial = *state;
    struct account_id a, ab;
    struct user_id u;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, account(trial, "ALIYUN$ab", 2, &ab));
    ok(trial, user(trial, a, "RAM$a:z", 3, &u));
    ok(trial, user(trial, a, "RAM$A:y", 4, &u));
    ok(trial, user(trial, ab, "RAM$ab:x", 5, &u));
    assert_int_equal(user(trial, a, "RAM$a:Z", 6, &u), ERR_EXISTS); /* case does not count */
    listed(trial, "ALIYUN$a", "RAM$A:y RAM$a:z ");
    listed(trial, "ALIYUN$ab", "RAM$ab:x ");
    listed(trial, "", "RAM$A:y RAM$a:z RAM$ab:x ");
    trial_reopen(trial);
    struct user_record found;
    ok(trial, user_find(trial->store, NULL, span_text("ram$a:Y"), &arena, &found, &trial->err));
    assert_int_equal(found.account.n, a.n);
    assert_int_equal(found.created_ms, 1000);
    struct account_record wrong;
    assert_int_equal(account_find(trial->store, NULL, span_text("RAM$a:z"), &arena, &wrong, NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(user(trial, (struct account_id){99}, "RAM$q:u", 9, &u), ERR_NOT_FOUND);
    whole(trial);
}

static void test_a_half_of_a_key_is_known_once_whoever_has_it(void **state)
{
    struct trial *trial = *state;
    struct account_id a, other;
    struct user_id u;
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, user(trial, a, "RAM$a:u", 2, &u));
    ok(trial, change(trial, "ALIYUN$a", 3, false, false));
    for (uint8_t taken = 1; taken <= 3; taken++) {
        for (int half = 0; half < 2; half++) {
            struct public_key key = key_of(taken);
            if (half == 0)
                key.identity.b[0] = 50;
            else
                key.exchange[0] = 50;
            const struct account_record spec = {
                .name = span_text("ALIYUN$b"), .keys = &key, .key_count = 1};
            const struct key_change more = {.name = span_text("RAM$a:u"), .key = key};
            struct change_note made = note();
            assert_int_equal(account_create(trial->store, &spec, &made, &other, NULL), ERR_EXISTS);
            assert_int_equal(principal_change_key(trial->store, &more, &made, NULL), ERR_EXISTS);
        }
    }
    ok(trial, change(trial, "ALIYUN$a", 3, true, false)); /* dropped: anybody's again */
    ok(trial, account(trial, "ALIYUN$b", 3, &other));
    whole(trial);
}

static void test_the_last_key_goes_only_when_that_was_said(void **state)
{
    struct trial *trial = *state;
    struct account_id a;
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    assert_int_equal(change(trial, "ALIYUN$a", 2, true, true), ERR_NOT_FOUND);
    assert_int_equal(change(trial, "ALIYUN$a", 1, true, false), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "DROP LAST PUBLIC KEY"));
    ok(trial, change(trial, "ALIYUN$a", 1, true, true));
    ok(trial, change(trial, "ALIYUN$a", 2, false, false));
    for (uint8_t i = 3; i < 2 + LIMIT_PRINCIPAL_KEYS; i++)
        ok(trial, change(trial, "ALIYUN$a", i, false, false));
    assert_int_equal(change(trial, "ALIYUN$a", 200, false, false), ERR_LIMIT);
    assert_int_equal(change(trial, "ALIYUN$none", 201, false, false), ERR_NOT_FOUND);
    whole(trial);
}

static void test_what_owns_something_is_not_dropped(void **state)
{
    struct trial *trial = *state;
    struct account_id a, b, again;
    struct user_id u;
    struct project_id p;
    struct change_note made = note();
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, account(trial, "ALIYUN$b", 2, &b));
    ok(trial, user(trial, a, "RAM$a:u", 3, &u));
    const struct project_spec spec = {.name = span_text("p"), .owner = b};
    ok(trial, project_create(trial->store, &spec, &made, &p, &trial->err));
    assert_int_equal(dropped(trial, "ALIYUN$a"), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "RAM user RAM$a:u"));
    assert_int_equal(dropped(trial, "ALIYUN$b"), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "project p"));
    /* a table that the user made in the other's project */
    CATALOG_CHANGE_CLEANUP struct catalog_change table = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    const struct table_record record = {
        .id = {77}, .project = p, .name = span_text("t"), .owner = span_text("RAM$a:u")};
    catalog_key_id('t', 77, &key);
    table_record_encode(&record, &value);
    catalog_put(&table, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    ok(trial, catalog_commit(trial->store, &table, CATALOG_KEEP_RESERVE, &trial->err));
    assert_int_equal(dropped(trial, "RAM$a:u"), ERR_EXISTS);
    assert_non_null(strstr(trial->err.message, "in project p"));
    catalog_change_clear(&table);
    catalog_delete(&table, FAMILY_CATALOG, bytes_span(&key));
    ok(trial, catalog_commit(trial->store, &table, CATALOG_KEEP_RESERVE, &trial->err));
    ok(trial, dropped(trial, "ram$A:U"));
    assert_int_equal(dropped(trial, "RAM$a:u"), ERR_NOT_FOUND);
    ok(trial, dropped(trial, "ALIYUN$a"));
    ok(trial, account(trial, "ALIYUN$a", 1, &again)); /* name and key are free, the id is new */
    assert_true(again.n > u.n);
    whole(trial);
}

static void test_nobody_owns_anything_who_is_gone(void **state)
{
    struct trial *trial = *state;
    struct account_id a, b;
    struct project_id p;
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, account(trial, "ALIYUN$b", 2, &b));
    const struct project_spec spec = {.name = span_text("p"), .owner = b};
    struct change_note made = note();
    made.principal = span_text("ALIYUN$a");
    made.principal_id = a.n;
    ok(trial, dropped(trial, "ALIYUN$a"));
    assert_int_equal(project_create(trial->store, &spec, &made, &p, &trial->err), ERR_CREDENTIALS);
    ok(trial, account(trial, "ALIYUN$a", 1, &a)); /* not the same one */
    assert_int_equal(project_create(trial->store, &spec, &made, &p, &trial->err), ERR_CREDENTIALS);
    made.principal_id = a.n;
    ok(trial, project_create(trial->store, &spec, &made, &p, &trial->err));
}

/* ---- at once ---- */

#define MANY_TABLES 2000
#define ROUNDS      8

/* Somebody else's, so that a drop has much to look through. */
static void many_tables(struct trial *trial)
{
    for (uint64_t id = 1; id <= MANY_TABLES;) {
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        for (int i = 0; i < 100; i++, id++) {
            BYTES_CLEANUP struct bytes key = {0};
            BYTES_CLEANUP struct bytes value = {0};
            const struct table_record record = {
                .id = {1000 + id}, .project = {1}, .owner = span_text("ALIYUN$other")};
            catalog_key_id('t', record.id.n, &key);
            table_record_encode(&record, &value);
            catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
        }
        ok(trial, catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err));
    }
}

struct rivals {
    struct store *store;
    struct account_id owner;
    char project[16];
    enum err_code created;
};

static void *rival_create(void *argument)
{
    struct rivals *rivals = argument;
    const struct project_spec spec = {.name = span_text(rivals->project), .owner = rivals->owner};
    struct project_id p;
    struct change_note made = note();
    do
        rivals->created = project_create(rivals->store, &spec, &made, &p, NULL);
    while (rivals->created == ERR_CONFLICT);
    return NULL;
}

static void test_of_a_drop_and_a_project_for_it_at_once_one_is_done(void **state)
{
    struct trial *trial = *state;
    many_tables(trial);
    for (uint8_t round = 1; round <= ROUNDS; round++) {
        struct rivals rivals = {.store = trial->store};
        char name[16];
        pthread_t thread;
        snprintf(name, sizeof(name), "ALIYUN$a%u", round);
        snprintf(rivals.project, sizeof(rivals.project), "p%u", round);
        ok(trial, account(trial, name, round, &rivals.owner));
        assert_int_equal(pthread_create(&thread, NULL, rival_create, &rivals), 0);
        enum err_code code;
        do
            code = dropped(trial, name);
        while (code == ERR_CONFLICT);
        pthread_join(thread, NULL);
        assert_true((code == ERR_OK) != (rivals.created == ERR_OK));
    }
}

struct maker {
    struct store *store;
    uint8_t key;
    enum err_code code;
};

static void *maker_run(void *argument)
{
    struct maker *maker = argument;
    struct public_key key = key_of(maker->key);
    const struct account_record spec = {
        .name = span_text("ALIYUN$a"), .keys = &key, .key_count = 1};
    struct change_note made = note();
    struct account_id id;
    do
        maker->code = account_create(maker->store, &spec, &made, &id, NULL);
    while (maker->code == ERR_CONFLICT);
    return NULL;
}

static void test_of_many_who_make_one_name_at_once_one_does(void **state)
{
    struct trial *trial = *state;
    struct maker makers[4];
    pthread_t threads[4];
    size_t made = 0;
    for (uint8_t i = 0; i < ARRAY_COUNT(makers); i++) {
        makers[i] = (struct maker){.store = trial->store, .key = (uint8_t)(1 + i)};
        assert_int_equal(pthread_create(&threads[i], NULL, maker_run, &makers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(makers); i++) {
        pthread_join(threads[i], NULL);
        made += makers[i].code == ERR_OK;
        assert_true(makers[i].code == ERR_OK || makers[i].code == ERR_EXISTS);
    }
    assert_int_equal(made, 1);
    whole(trial);
}

/* What drop reads must be all that there is when it commits. */
static void test_what_is_made_after_a_drop_has_looked_is_noticed(void **state)
{
    struct trial *trial = *state;
    struct account_id a, b;
    CATALOG_CHANGE_CLEANUP struct catalog_change looked = {0};
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, catalog_sequence_expect(trial->store, &looked, "account", &trial->err));
    ok(trial, catalog_sequence_expect(trial->store, &looked, "project", &trial->err));
    ok(trial, account(trial, "ALIYUN$b", 2, &b));
    assert_int_equal(catalog_commit(trial->store, &looked, CATALOG_KEEP_RESERVE, NULL),
                     ERR_CONFLICT);
}

static void test_a_broken_reference_is_found(void **state)
{
    struct trial *trial = *state;
    struct account_id a;
    struct user_id u;
    static const char *const lost[] = {"A", "U", "k", "x", "a", "u"};
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    ok(trial, user(trial, a, "RAM$a:u", 2, &u));
    whole(trial);
    for (size_t i = 0; i < ARRAY_COUNT(lost); i++) {
        CATALOG_CHANGE_CLEANUP struct catalog_change harm = {0};
        BYTES_CLEANUP struct bytes key = {0}, value = {0};
        bool found;
        uint64_t faults = 0;
        if (lost[i][0] == 'A' || lost[i][0] == 'U')
            catalog_key_name(lost[i][0], span_text(i == 0 ? "aliyun$a" : "ram$a:u"), &key);
        else if (lost[i][0] == 'a' || lost[i][0] == 'u')
            catalog_key_id(lost[i][0], lost[i][0] == 'a' ? a.n : u.n, &key);
        else
            catalog_key_bytes(lost[i][0], span_of(key_of(1).exchange, 32), &key);
        ok(trial, catalog_find(trial->store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found,
                               &trial->err));
        assert_true(found);
        catalog_delete(&harm, FAMILY_CATALOG, bytes_span(&key));
        ok(trial, catalog_commit(trial->store, &harm, CATALOG_KEEP_RESERVE, &trial->err));
        ok(trial, catalog_check(trial->store, NULL, NULL, &faults, &trial->err));
        assert_true(faults > 0);
        catalog_change_clear(&harm);
        catalog_put(&harm, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
        ok(trial, catalog_commit(trial->store, &harm, CATALOG_KEEP_RESERVE, &trial->err));
        whole(trial);
    }
}

/* An operator may give a key to who has none: looked at with the change itself, not before it. */
static void test_a_first_key_is_given_to_who_has_none(void **state)
{
    struct trial *trial = *state;
    struct account_id a;
    struct change_note made = note();
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    const struct key_change first = {
        .name = span_text("ALIYUN$a"), .key = key_of(9), .first_only = true};
    assert_int_equal(principal_change_key(trial->store, &first, &made, &trial->err), ERR_DENIED);
    assert_non_null(strstr(trial->err.message, "ALIYUN$a has keys: it adds others itself"));
    ok(trial, change(trial, "ALIYUN$a", 1, true, true));
    ok(trial, principal_change_key(trial->store, &first, &made, &trial->err));
    whole(trial);
}

static void channel_is(struct trial *trial, const char *name, bool on, uint64_t changed_ms,
                       const char *changed_by)
{
    ARENA_CLEANUP struct arena arena;
    struct account_record found;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    ok(trial, account_find(trial->store, NULL, span_text(name), &arena, &found, &trial->err));
    assert_int_equal(found.channel.on, on);
    assert_int_equal(found.channel.changed_ms, changed_ms);
    assert_true(span_equal(found.channel.changed_by, span_text(changed_by)));
}

static void test_a_channel_switch_says_who_and_when_and_outlives_changes_of_keys(void **state)
{
    struct trial *trial = *state;
    struct account_id a;
    struct change_note made = {.now_ms = 77, .principal = span_text("ALIYUN$a")};
    ok(trial, account(trial, "ALIYUN$a", 1, &a));
    channel_is(trial, "ALIYUN$a", false, 0, ""); /* as in records of before: nobody decided */
    ok(trial, account_channel_set(trial->store, a, true, &made, &trial->err));
    channel_is(trial, "ALIYUN$a", true, 77, "ALIYUN$a");
    ok(trial, change(trial, "ALIYUN$a", 2, false, false));
    channel_is(trial, "ALIYUN$a", true, 77, "ALIYUN$a");
    made.now_ms = 78;
    ok(trial, account_channel_set(trial->store, a, false, &made, &trial->err));
    ok(trial, change(trial, "ALIYUN$a", 1, true, false));
    channel_is(trial, "ALIYUN$a", false, 78, "ALIYUN$a");
    const struct account_id nobody = {99};
    assert_int_equal(account_channel_set(trial->store, nobody, true, &made, &trial->err),
                     ERR_NOT_FOUND);
    whole(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(test_users_belong_to_their_account),
        TRIAL(test_a_half_of_a_key_is_known_once_whoever_has_it),
        TRIAL(test_a_first_key_is_given_to_who_has_none),
        TRIAL(test_the_last_key_goes_only_when_that_was_said),
        TRIAL(test_what_owns_something_is_not_dropped),
        TRIAL(test_nobody_owns_anything_who_is_gone),
        TRIAL(test_of_a_drop_and_a_project_for_it_at_once_one_is_done),
        TRIAL(test_of_many_who_make_one_name_at_once_one_does),
        TRIAL(test_what_is_made_after_a_drop_has_looked_is_noticed),
        TRIAL(test_a_channel_switch_says_who_and_when_and_outlives_changes_of_keys),
        TRIAL(test_a_broken_reference_is_found),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
