/* Peers follow the configuration: who is found, by what, and what is told of each that came, changed or went. */
#include "node/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEYS_MAX 6

static struct trial {
    struct pool *pool;
    struct identity *own;
    struct identity *keys[KEYS_MAX];
    char texts[KEYS_MAX][PUBLIC_IDENTITY_TEXT_BYTES];
    struct peers *peers;
    struct bytes told; /* "+a ~b -c", key drops as "!n" of the key */
} t;

/* A peer of the configuration: its region, port and key, by number; a former key, or -1. */
struct says {
    const char *region;
    const char *address;
    int key, former;
};

static struct config config_make(const struct says *says, size_t count)
{
    struct config config = {.peers = mem_calloc(count + 1, sizeof(struct config_peer)),
                            .peer_count = count};
    for (size_t i = 0; i < count; i++) {
        char *address = (char *)(uintptr_t)says[i].address;
        char *former = says[i].former >= 0 ? t.texts[says[i].former] : NULL;
        config.peers[i] =
            config_peer_copy(&(struct config_peer){.region = (char *)(uintptr_t)says[i].region,
                                                   .addresses = {&address, 1},
                                                   .key = t.texts[says[i].key],
                                                   .former_keys = {&former, former != NULL}});
    }
    return config;
}

static void on_change(void *context, enum peer_change change, struct peer *peer)
{
    (void)context;
    bytes_printf(&t.told, "%s%c%s", t.told.len > 0 ? " " : "", "+~-"[change], peer -> region);
}

static void on_key_drop(void *context, const struct noise_key *key)
{
    (void)context;
    for (int i = 0; i < KEYS_MAX; i++) {
        if (noise_key_equal(key, &identity_public(t.keys[i])->noise))
            bytes_printf(&t.told, "%s!%d", t.told.len > 0 ? " " : "", i);
    }
}

static void follow(const struct says *says, size_t count, const char *told)
{
    CONFIG_CLEANUP struct config config = config_make(says, count);
    struct err err;
    bytes_clear(&t.told);
    assert_int_equal(peers_check(config.peers, count, identity_public(t.own), &err), ERR_OK);
    const struct peers_follow_options options = {
        .config = &config, .on_change = on_change, .on_key_drop = on_key_drop};
    assert_int_equal(peers_follow(t.peers, &options, &err), ERR_OK);
    bytes_append_u8(&t.told, 0);
    assert_string_equal((char *)t.told.data, told);
}

static const struct says first[] = {{"a", "127.0.0.1:1", 0, -1}, {"b", "127.0.0.1:2", 1, -1}};

static int setup(void **state)
{
    (void)state;
    struct err err;
    memset(&t, 0, sizeof(t));
    assert_int_equal(pool_new(NULL, &t.pool, NULL), ERR_OK);
    t.own = identity_generate();
    for (int i = 0; i < KEYS_MAX; i++) {
        t.keys[i] = identity_generate();
        public_identity_format(identity_public(t.keys[i]), t.texts[i]);
    }
    CONFIG_CLEANUP struct config config = config_make(first, 2);
    assert_int_equal(peers_new(&config, t.pool, t.own, &t.peers, &err), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peers_close(t.peers);
    peers_free(t.peers);
    pool_free(t.pool);
    for (int i = 0; i < KEYS_MAX; i++)
        identity_free(t.keys[i]);
    identity_free(t.own);
    bytes_deinit(&t.told);
    return 0;
}

static struct peer *by_region(const char *region)
{
    return peers_find_region(t.peers, span_text(region));
}

static struct peer *by_key(int key)
{
    struct peer *peer = peers_find_noise(t.peers, &identity_public(t.keys[key])->noise);
    assert_ptr_equal(peer, peers_find_signer(t.peers, &identity_public(t.keys[key])->sign));
    return peer;
}

static enum err_code ask(struct peer *peer, struct err *err)
{
    const struct link_request request = {.method = 1, .deadline_ms = 60000};
    return link_call(peer->link, &request, NULL, NULL, err);
}

static void the_same_configuration_changes_nothing(void **state)
{
    (void)state;
    follow(first, 2, "");
    const struct says turned[] = {first[1], first[0]};
    follow(turned, 2, "");
}

static void a_new_peer_is_found(void **state)
{
    (void)state;
    const struct says more[] = {first[0], {"c", "127.0.0.1:3", 2, -1}, first[1]};
    assert_null(by_region("c"));
    assert_null(by_key(2));
    follow(more, 3, "+c");
    assert_non_null(by_region("c"));
    assert_ptr_equal(by_key(2), by_region("c"));
    assert_int_equal(by_region("c")->place, 2);
    assert_int_equal(peers_places(t.peers), 3);
}

static void a_removed_peer_is_found_by_nobody_and_asks_in_vain(void **state)
{
    (void)state;
    struct err err;
    struct peer *b = by_region("b");
    follow(first, 1, "!1 -b");
    assert_null(by_region("b"));
    assert_null(by_key(1));
    assert_false(peer_configured(b));
    assert_int_equal(ask(b, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.message, "not configured"));
    assert_int_equal(peers_unknown(t.peers, span_text("b"), &err), ERR_PARAMETER);
    assert_non_null(strstr(err.message, "region b is none of the peers configured here (a)"));
    size_t count;
    MEM_CLEANUP struct peer **list = peers_list(t.peers, &count);
    assert_int_equal(count, 1);
    assert_string_equal(list[0]->region, "a");
    follow(first, 0, "!0 -a");
    assert_int_equal(peers_unknown(t.peers, span_text("b"), &err), ERR_PARAMETER);
    assert_string_equal(err.message, "region b is not known: no peers are configured here");
}

static void one_that_comes_back_is_the_same_peer(void **state)
{
    (void)state;
    struct err err;
    struct peer *b = by_region("b");
    follow(first, 1, "!1 -b");
    const struct says back[] = {first[0], {"b", "127.0.0.1:4", 3, -1}};
    follow(back, 2, "+b");
    assert_ptr_equal(by_region("b"), b);
    assert_ptr_equal(by_key(3), b);
    assert_null(by_key(1));
    assert_int_equal(ask(b, &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.message, "127.0.0.1:4"));
}

static void another_address_leads_the_link_there(void **state)
{
    (void)state;
    struct err err;
    BYTES_CLEANUP struct bytes addresses = {0};
    const struct says moved[] = {first[0], {"b", "127.0.0.1:5", 1, -1}};
    follow(moved, 2, "~b");
    assert_int_equal(ask(by_region("b"), &err), ERR_UNREACHABLE);
    assert_non_null(strstr(err.message, "127.0.0.1:5"));
    peer_addresses(by_region("b"), &addresses);
    assert_true(span_equal(bytes_span(&addresses), span_text("127.0.0.1:5")));
}

static void another_key_ends_the_connections_of_the_former(void **state)
{
    (void)state;
    const struct says changed[] = {first[0], {"b", "127.0.0.1:2", 4, 1}};
    follow(changed, 2, "!1 ~b");
    assert_ptr_equal(by_key(4), by_region("b"));
    assert_null(by_key(1));
    assert_true(peer_key_is_former(by_region("b"), &identity_public(t.keys[1])->sign));
    assert_false(peer_key_is_former(by_region("a"), &identity_public(t.keys[1])->sign));
    const struct public_identity keys = peer_keys(by_region("b"));
    assert_true(identity_key_equal(&keys.sign, &identity_public(t.keys[4])->sign));
    follow(first, 2, "!4 ~b"); /* and no former one any more */
    assert_false(peer_key_is_former(by_region("b"), &identity_public(t.keys[1])->sign));
}

static void two_peers_may_take_each_others_keys(void **state)
{
    (void)state;
    const struct says turned[] = {{"a", "127.0.0.1:1", 1, -1}, {"b", "127.0.0.1:2", 0, -1}};
    follow(turned, 2, "!0 ~a !1 ~b");
    assert_ptr_equal(by_key(1), by_region("a"));
    assert_ptr_equal(by_key(0), by_region("b"));
}

static void refused(const struct says *says, size_t count, const char *words)
{
    CONFIG_CLEANUP struct config config = config_make(says, count);
    struct err err;
    assert_int_equal(peers_check(config.peers, count, identity_public(t.own), &err), ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct says same_key[] = {first[0], {"b", "127.0.0.1:2", 0, -1}};
    refused(same_key, 2, "peer b: peer a has the same key");
    const struct says no_port[] = {{"a", "nowhere", 0, -1}};
    refused(no_port, 1, "peer a: address 'nowhere' is not host:port");
    const struct says former_of_other[] = {{"a", "127.0.0.1:1", 0, 1}, first[1]};
    refused(former_of_other, 2, "peer a: former_keys has the key of peer b");
    const struct says still[] = {{"a", "127.0.0.1:1", 0, 0}};
    refused(still, 1, "peer a: former_keys has the key of peer a");
    public_identity_format(identity_public(t.own), t.texts[5]);
    const struct says former_own[] = {{"a", "127.0.0.1:1", 0, 5}};
    refused(former_own, 1, "peer a: former_keys has this node's own key");
    const struct says own[] = {{"a", "127.0.0.1:1", 5, -1}};
    refused(own, 1, "peer a: that is this node's own key");
    snprintf(t.texts[5], sizeof(t.texts[5]), "strait1_nonsense");
    const struct says bad[] = {{"a", "127.0.0.1:1", 5, -1}};
    refused(bad, 1, "peer a: key 'strait1_nonsense...'");
    const struct says bad_former[] = {{"a", "127.0.0.1:1", 0, 5}};
    refused(bad_former, 1, "peer a: key 'strait1_nonsense...'");
}

/* Look-ups and requests go on while the configuration is followed. */
static void *look_on(void *argument)
{
    atomic_bool *over = argument;
    while (!atomic_load(over)) {
        size_t count;
        struct peer **list = peers_list(t.peers, &count);
        for (size_t i = 0; i < count; i++) {
            BYTES_CLEANUP struct bytes addresses = {0};
            const struct public_identity keys = peer_keys(list[i]);
            peer_addresses(list[i], &addresses);
            (void)peers_find_noise(t.peers, &keys.noise);
            (void)peer_key_is_former(list[i], &keys.sign);
            (void)ask(list[i], NULL);
        }
        mem_free(list);
    }
    return NULL;
}

static void peers_are_looked_at_while_they_change(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_bool over = false;
    assert_int_equal(pthread_create(&thread, NULL, look_on, &over), 0);
    const struct says other[] = {{"b", "127.0.0.1:6", 2, 1}, {"c", "127.0.0.1:3", 3, -1}};
    follow(other, 2, "!0 -a !1 ~b +c");
    for (int i = 0; i < 20; i++) {
        follow(first, 2, "!3 -c +a !2 ~b");
        follow(other, 2, "!0 -a !1 ~b +c");
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(peers_places(t.peers), 3);
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIAL_OF(the_same_configuration_changes_nothing),
        TRIAL_OF(a_new_peer_is_found),
        TRIAL_OF(a_removed_peer_is_found_by_nobody_and_asks_in_vain),
        TRIAL_OF(one_that_comes_back_is_the_same_peer),
        TRIAL_OF(another_address_leads_the_link_there),
        TRIAL_OF(another_key_ends_the_connections_of_the_former),
        TRIAL_OF(two_peers_may_take_each_others_keys),
        TRIAL_OF(what_cannot_be_is_refused),
        TRIAL_OF(peers_are_looked_at_while_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
