/* Watches of peers at the source: what is told, to whom, and when. Invariants: peer_watches.h. */
#include "node/task/xcopy_trial.h"

#include "node/task/peer_watches.h"

static struct table_id orders, others;

/* ---- asking ---- */

static void watch_post(struct ask *ask, const struct token *token, const struct peer_watch *watch)
{
    BYTES_CLEANUP struct bytes bytes = {0};
    BYTES_CLEANUP struct bytes header = {0};
    struct token signed_token = *token;
    struct peer_watch sent = *watch;
    token_sign(&signed_token, user, &bytes);
    sent.token = bytes_span(&bytes);
    peer_watch_encode(&sent, &header);
    *ask = (struct ask){0};
    ask_post(ask, PEER_WATCH, bytes_span(&header), span_of(NULL, 0));
}

/* "name name ..." of the answer, or its error. */
static const char *told(struct ask *ask, uint64_t *ret_last)
{
    static char text[4096];
    ARENA_CLEANUP struct arena arena;
    struct peer_watched watched;
    size_t len = 0;
    arena_init(&arena, MIB(1));
    text[0] = 0;
    if (ask_wait(ask) != ERR_OK) {
        err = ask->err;
        snprintf(text, sizeof(text), "%s", ask->err.message);
        return text;
    }
    ok(peer_watched_decode(bytes_span(&ask->body), &arena, &watched, &err));
    for (size_t i = 0; i < watched.snapshot_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", i == 0 ? "" : " ",
                                SPAN_PRINTF(watched.snapshots[i].name));
    if (ret_last != NULL && watched.snapshot_count > 0)
        *ret_last = watched.snapshots[watched.snapshot_count - 1].number;
    bytes_deinit(&ask->body);
    return text;
}

static const char *tells(const struct token *token, const struct peer_watch *watch,
                         uint64_t *ret_last)
{
    struct ask ask;
    watch_post(&ask, token, watch);
    return told(&ask, ret_last);
}

static void parked_wait(size_t count)
{
    for (int i = 0; i < 2000 && source_watches(there.source) != count; i++)
        usleep(10000);
    assert_int_equal(source_watches(there.source), count);
}

static void made(struct table_id table, const char *name)
{
    snapshot_make(table, name);
    source_snapshot_made(there.source);
}

static struct peer_watch of_orders(uint64_t after, uint32_t wait_ms)
{
    return (struct peer_watch){.table = span_text("orders"), .after = after, .wait_ms = wait_ms};
}

/* ---- what is told ---- */

static void test_what_was_made_since_is_told_in_its_order(void **state)
{
    (void)state;
    uint64_t last = 0;
    const struct token token = token_standing("* OF orders", 1);
    struct peer_watch watch = of_orders(0, 0);
    assert_string_equal(tells(&token, &watch, &last), "");
    made(orders, "z_1");
    made(orders, "a_2");
    made(others, "z_2");
    assert_string_equal(tells(&token, &watch, &last), "z_1 a_2");
    watch.after = last;
    assert_string_equal(tells(&token, &watch, NULL), "");
    made(orders, "a_2"); /* replaced: another one, though of the same content */
    assert_string_equal(tells(&token, &watch, &last), "a_2");
    const struct token prefix = token_standing("z_*", 1);
    watch.after = 0;
    assert_string_equal(tells(&prefix, &watch, NULL), "z_1");
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct snapshot_record newest;
    ok(snapshot_find(there.store, NULL, there.project, span_text("z_1"), &arena, &newest, &err));
    watch.since_ms = newest.created_ms; /* by the time of their making */
    assert_string_equal(tells(&token, &watch, NULL), "a_2");
}

static void test_more_than_an_answer_takes_come_one_after_another(void **state)
{
    (void)state;
    uint64_t last = 0;
    size_t count = 0;
    char name[32];
    const struct token token = token_standing("many_*", 1);
    struct peer_watch watch = {.table = span_text("many")};
    struct table_id many = table_make("many");
    for (int i = 2 * LIMIT_PEER_WATCHED; i > 0; i--) { /* names in the other order */
        snprintf(name, sizeof(name), "many_%03d", i);
        made(many, name);
    }
    for (;;) {
        const char *names = tells(&token, &watch, &last);
        if (names[0] == 0)
            break;
        snprintf(name, sizeof(name), "many_%03zu", 2 * LIMIT_PEER_WATCHED - count);
        assert_int_equal(strncmp(names, name, strlen(name)), 0);
        for (const char *at = names; at != NULL; at = strchr(at + 1, ' '))
            count++;
        watch.after = last;
    }
    assert_int_equal(count, 2 * LIMIT_PEER_WATCHED);
}

static void test_who_waits_is_told_as_soon_as_one_is_made(void **state)
{
    (void)state;
    struct ask first, second;
    uint64_t last = 0;
    const struct token token = token_standing("* OF orders", 1);
    const struct token prefix = token_standing("b_*", 1);
    struct peer_watch watch = of_orders(0, 0);
    (void)tells(&token, &watch, &last);
    watch = of_orders(last, PEER_WATCH_WAIT_MAX_MS);
    watch_post(&first, &token, &watch);
    watch_post(&second, &prefix, &watch);
    parked_wait(2);
    made(others, "b_9"); /* of another table */
    made(orders, "c_1");
    assert_string_equal(told(&first, NULL), "c_1");
    parked_wait(1);
    assert_false(atomic_load(&second.answered));
    made(orders, "b_1");
    assert_string_equal(told(&second, NULL), "b_1");
    parked_wait(0);
}

static void test_what_is_made_between_look_and_wait_is_not_missed(void **state)
{
    (void)state;
    char name[32];
    uint64_t last = 0;
    const struct token token = token_standing("race_*", 1);
    for (int i = 0; i < 200; i++) {
        struct ask ask;
        const struct peer_watch watch = of_orders(last, 10000);
        watch_post(&ask, &token, &watch);
        snprintf(name, sizeof(name), "race_%d", i);
        made(orders, name);
        assert_string_equal(told(&ask, &last), name);
    }
}

/* ---- to whom ---- */

/* It was parked, so what it got came at the end of its wait. */
static void learns_nothing(const struct token *token, const struct peer_watch *watch)
{
    struct ask ask;
    struct peer_watch waits = *watch;
    waits.wait_ms = 1500;
    watch_post(&ask, token, &waits);
    parked_wait(1);
    made(orders, "secret_1");
    made(others, "secret_2");
    char words[256];
    snprintf(words, sizeof(words), "no table %.*s.%.*s, or no right to it",
             SPAN_PRINTF(token->source.project), SPAN_PRINTF(watch->table));
    assert_string_equal(told(&ask, NULL), words);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    parked_wait(0);
}

static void signer_is(const char *name, uint64_t account, bool is_user)
{
    static const char *before = ROOT_ACCOUNT_NAME;
    principals_remove(there.principals, span_text(before));
    principals_put(there.principals, &(struct principal_spec){.name = span_text(name),
                                                              .account = {account},
                                                              .number = account + is_user,
                                                              .user = is_user,
                                                              .keys = identity_public(user),
                                                              .key_count = 1});
    before = name;
}

static void test_strangers_get_the_answer_of_absent_things_at_the_end_of_the_wait(void **state)
{
    (void)state;
    const struct peer_watch watch = of_orders(0, 0);
    struct token token = token_standing("* OF orders", 1);
    struct token absent = token_standing("secret_*", 1);
    learns_nothing(&absent, &(struct peer_watch){.table = span_text("not_there")});
    learns_nothing(&absent, &(struct peer_watch){.table = span_text("z_1")}); /* a snapshot */
    absent.source.project = span_text("nowhere");
    learns_nothing(&absent, &watch);
    signer_is("ALIYUN$x", 99, false); /* of another account */
    learns_nothing(&token, &watch);
    signer_is("RAM$root:u", ROOT_ACCOUNT_ID, true); /* without any right */
    learns_nothing(&token, &watch);
    principals_remove(there.principals, span_text("RAM$root:u")); /* nobody's key */
    learns_nothing(&token, &watch);
    signer_is(ROOT_ACCOUNT_NAME, ROOT_ACCOUNT_ID, false);
    token_take_back(&token);
    learns_nothing(&token, &watch);
}

static void test_rights_are_asked_again_when_there_is_something_to_tell(void **state)
{
    (void)state;
    struct ask ask;
    uint64_t last = 0;
    struct token token = token_standing("* OF orders", 1);
    struct peer_watch watch = of_orders(0, 0);
    for (const char *names = "x"; names[0] != 0; watch.after = last)
        names = tells(&token, &watch, &last);
    watch.wait_ms = 2000;
    watch_post(&ask, &token, &watch);
    parked_wait(1);
    token_take_back(&token);
    made(orders, "after_the_right");
    assert_non_null(strstr(told(&ask, NULL), "no table demo.orders, or no right to it"));
}

static void test_what_is_wrong_with_the_token_is_told_at_once(void **state)
{
    (void)state;
    const struct peer_watch watch = of_orders(0, PEER_WATCH_WAIT_MAX_MS);
    struct token token = token_base("z_1");
    assert_non_null(strstr(tells(&token, &watch, NULL), "does not grant to watch"));
    token = token_standing("* OF orders", 1);
    token.rights = TOKEN_DESCRIBE | TOKEN_PAGES | TOKEN_FILES;
    assert_non_null(strstr(tells(&token, &watch, NULL), "does not grant to watch"));
    token = token_standing("* OF others", 1);
    assert_non_null(strstr(tells(&token, &watch, NULL), "snapshots of others, not of orders"));
    token = token_standing("* OF orders", 1);
    token.source.region = span_text("elsewhere");
    assert_non_null(strstr(tells(&token, &watch, NULL), "the token is for region elsewhere"));
    token = token_standing("* OF orders", 1);
    token.destination_node = identity_public(there.identity)->sign;
    assert_non_null(strstr(tells(&token, &watch, NULL), "the token is for another node"));
    token = token_standing("* OF orders", 1);
    token.issued_s -= 10000;
    token.not_after_s = token.issued_s + 1000;
    assert_non_null(strstr(tells(&token, &watch, NULL), "the token ended at"));
    struct ask ask = {0};
    ask_post(&ask, PEER_WATCH, span_text("garbage"), span_of(NULL, 0));
    assert_int_equal(ask_wait(&ask), ERR_BAD_DATA);
    BYTES_CLEANUP struct bytes header = {0};
    const struct peer_watch unsigned_one = {.token = span_text("t"), .table = span_text("orders")};
    peer_watch_encode(&unsigned_one, &header);
    ask = (struct ask){0};
    ask_post(&ask, PEER_WATCH, bytes_span(&header), span_of(NULL, 0));
    assert_int_equal(ask_wait(&ask), ERR_BAD_DATA);
    assert_int_equal(source_watches(there.source), 0);
}

/* ---- how many, and how they end ---- */

static void test_one_more_than_may_wait_is_answered_at_once(void **state)
{
    (void)state;
    struct ask asks[PEER_WATCHES_PARKED + 1];
    const struct token token = token_standing("later_*", 1);
    const struct peer_watch watch = of_orders(0, PEER_WATCH_WAIT_MAX_MS);
    for (size_t i = 0; i < PEER_WATCHES_PARKED; i++)
        watch_post(&asks[i], &token, &watch);
    parked_wait(PEER_WATCHES_PARKED);
    watch_post(&asks[PEER_WATCHES_PARKED], &token, &watch);
    assert_string_equal(told(&asks[PEER_WATCHES_PARKED], NULL), "");
    assert_int_equal(source_watches(there.source), PEER_WATCHES_PARKED);
    made(orders, "later_1");
    for (size_t i = 0; i < PEER_WATCHES_PARKED; i++)
        assert_string_equal(told(&asks[i], NULL), "later_1");
}

static void test_a_node_that_stops_lets_go_of_who_waits(void **state)
{
    (void)state;
    struct ask ask;
    uint64_t last = 0;
    const struct token token = token_standing("again_*", 1);
    const struct peer_watch watch = of_orders(0, PEER_WATCH_WAIT_MAX_MS);
    watch_post(&ask, &token, &watch);
    parked_wait(1);
    region_restart(&there, &here);
    assert_int_not_equal(ask_wait(&ask), ERR_OK);
    made(orders, "again_1");
    assert_string_equal(tells(&token, &watch, &last), "again_1");
    watch_post(&ask, &token,
               &(struct peer_watch){
                   .table = span_text("orders"), .after = last, .wait_ms = PEER_WATCH_WAIT_MAX_MS});
    parked_wait(1);
    region_restart(&here, &there); /* the asker goes: nobody waits any more, once somebody looks */
    made(orders, "others_of_it");
    parked_wait(0);
}

static int setup(void **state)
{
    int code = group_setup(state);
    orders = table_make("orders");
    others = table_make("others");
    return code;
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_made_since_is_told_in_its_order),
        cmocka_unit_test(test_more_than_an_answer_takes_come_one_after_another),
        cmocka_unit_test(test_who_waits_is_told_as_soon_as_one_is_made),
        cmocka_unit_test(test_what_is_made_between_look_and_wait_is_not_missed),
        cmocka_unit_test(test_strangers_get_the_answer_of_absent_things_at_the_end_of_the_wait),
        cmocka_unit_test(test_rights_are_asked_again_when_there_is_something_to_tell),
        cmocka_unit_test(test_what_is_wrong_with_the_token_is_told_at_once),
        cmocka_unit_test(test_one_more_than_may_wait_is_answered_at_once),
        cmocka_unit_test(test_a_node_that_stops_lets_go_of_who_waits),
    };
    return cmocka_run_group_tests(tests, setup, group_teardown);
}
