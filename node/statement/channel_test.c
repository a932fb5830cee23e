/* ALTER CHANNEL and SHOW CHANNELS on a node that has peers, none of which answers; what happens over a
 * channel: cluster-tests/test_channel.py. */
#include "node/statement/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/channels.h"
#include "store/catalog_commit.h"

static struct trial trial;

static struct net {
    struct pool *pool;
    struct loop *loop;
    struct workers *workers;
    struct peers *peers;
    struct channels *channels;
} net;

static void net_open(void)
{
    static char *addresses[] = {(char *)"127.0.0.1:1"};
    static char keys[2][PUBLIC_IDENTITY_TEXT_BYTES];
    struct config_peer peers[2] = {{.region = (char *)"ap-southeast-1", .key = keys[0]},
                                   {.region = (char *)"eu-central-1", .key = keys[1]}};
    for (int i = 0; i < 2; i++) {
        IDENTITY_CLEANUP struct identity *identity = NULL;
        identity = identity_generate();
        public_identity_format(identity_public(identity), keys[i]);
        peers[i].addresses = (struct config_list){.items = addresses, .count = 1};
    }
    const struct config config = {.peers = peers, .peer_count = 2};
    const struct workers_options workers = {.name = "work", .workers = 1, .mailbox_jobs = 16};
    assert_int_equal(pool_new(NULL, &net.pool, NULL), ERR_OK);
    assert_int_equal(loop_start(&net.loop, NULL), ERR_OK);
    assert_int_equal(workers_start(&workers, &net.workers, NULL), ERR_OK);
    assert_int_equal(peers_new(&config, net.pool, trial.identity, &net.peers, NULL), ERR_OK);
    const struct channels_options options = {
        .store = trial.store, .loop = net.loop, .workers = net.workers, .peers = net.peers};
    assert_int_equal(channels_open(&options, &net.channels, NULL), ERR_OK);
    trial.services.channels = net.channels;
}

static void net_close(void)
{
    channels_stop(net.channels);
    peers_close(net.peers);
    workers_stop(net.workers);
    loop_stop(net.loop);
    channels_free(net.channels);
    peers_free(net.peers);
    workers_free(net.workers);
    pool_free(net.pool);
    trial.services.channels = NULL;
}

static void net_restart(void)
{
    net_close();
    trial_restart(&trial);
    net_open();
}

/* The columns that nothing but statements change. */
static void shows(const char *first, const char *second)
{
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes rows = {0};
    bytes_printf(&rows, "ap-southeast-1,cn-hongkong,%s,0,0,0,false,NULL;", first);
    bytes_printf(&rows, "eu-central-1,cn-hongkong,%s,0,0,0,false,NULL", second);
    bytes_append_u8(&rows, 0);
    trial_gives(&trial, "SHOW CHANNELS", (const char *)rows.data);
}

#define UNSET      "10000000000,10 Gbit/s,"
#define TO(region) "ALTER CHANNEL FROM '" region "' SET BANDWIDTH "

static uint64_t rate_of(size_t peer)
{
    return bucket_rate(peers_at(net.peers, peer)->bucket);
}

static void test_a_limit_holds_at_once_and_after_a_restart(void **state)
{
    (void)state;
    shows(UNSET, UNSET);
    trial_gives(&trial, TO("eu-central-1") "'50 Mbit/s'", "");
    assert_int_equal(rate_of(0), BUCKET_DEFAULT_BITS_PER_SECOND);
    assert_int_equal(rate_of(1), 50000000);
    shows(UNSET, "50000000,50 Mbit/s,");
    net_restart();
    assert_int_equal(peers_at(net.peers, 1)->pulls, 0);
    trial_gives(&trial, TO("ap-southeast-1") "'2 Gbit/s'", "");
    shows("2000000000,2 Gbit/s,", "50000000,50 Mbit/s,");
    assert_int_equal(rate_of(1), 50000000);
    trial_gives(&trial, TO("eu-central-1") "DEFAULT", "");
    trial_gives(&trial, TO("ap-southeast-1") "default", "");
    shows(UNSET, UNSET);
    assert_int_equal(rate_of(1), BUCKET_DEFAULT_BITS_PER_SECOND);
    net_restart();
    shows(UNSET, UNSET);
}

/* Two windows that are all of the day: one of them holds. */
static void test_windows_hold_in_their_hours_and_survive_a_restart(void **state)
{
    (void)state;
    trial_gives(&trial, TO("eu-central-1") "'50 Mbit/s' BETWEEN '22:00' AND '06:00'", "");
    trial_gives(&trial, TO("eu-central-1") "'50 Mbit/s' BETWEEN '06:00' AND '22:00' TIMEZONE 'utc'",
                "");
    static const char both[] = "50000000,10 Gbit/s,06:00-22:00 50 Mbit/s, 22:00-06:00 50 Mbit/s";
    shows(UNSET, both);
    assert_int_equal(rate_of(1), 50000000);
    net_restart();
    trial_gives(&trial, TO("eu-central-1") "'50 Mbit/s' BETWEEN '06:00' AND '22:00'", "");
    shows(UNSET, both);
    trial_refuses(&trial, TO("eu-central-1") "'1 Gbit/s' BETWEEN '05:00' AND '07:00'", ERR_SEMANTIC,
                  "overlaps another one of this channel, 06:00-22:00 50 Mbit/s");
    trial_refuses(&trial, TO("ap-southeast-1") "DEFAULT BETWEEN '06:00' AND '22:00'", ERR_NOT_FOUND,
                  "no window from 06:00 to 22:00; it has none");
    trial_gives(&trial, TO("eu-central-1") "DEFAULT BETWEEN '06:00' AND '22:00'", "");
    trial_gives(&trial, TO("eu-central-1") "DEFAULT BETWEEN '22:00' AND '06:00'", "");
    shows(UNSET, UNSET);
}

static void test_what_cannot_be_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *words;
    } cases[] = {
        {TO("nowhere") "'1 Gbit/s'", ERR_PARAMETER,
         "region nowhere is none of the peers configured here (ap-southeast-1, eu-central-1)"},
        {TO("cn-hongkong") "'1 Gbit/s'", ERR_PARAMETER, "region cn-hongkong is this one"},
        {TO("eu-central-1") "'much'", ERR_PARAMETER, "'much' is no bandwidth: write a number"},
        {TO("eu-central-1") "''", ERR_PARAMETER, "'' is no bandwidth"},
        {TO("eu-central-1") "'1 kbit/s'", ERR_PARAMETER, "from 1 Mbit/s to 1000 Gbit/s"},
        {TO("eu-central-1") "'1 Gbit/s' BETWEEN '10' AND '11:00'", ERR_PARAMETER,
         "'10' is no time of the day"},
        {TO("eu-central-1") "'1 Gbit/s' BETWEEN '10:00' AND '10:00'", ERR_SEMANTIC,
         "ends when it begins; for all day leave BETWEEN away"},
        {TO("eu-central-1") "'1 Gbit/s' BETWEEN '10:00' AND '11:00' TIMEZONE 'Asia/Hong_Kong'",
         ERR_SEMANTIC, "TIMEZONE 'Asia/Hong_Kong' is not supported yet: a window's times are UTC"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        trial_refuses(&trial, cases[i].text, cases[i].code, cases[i].words);
    shows(UNSET, UNSET);
}

static void test_it_is_the_operators(void **state)
{
    (void)state;
    trial_denies(&trial, &trial.other, TO("eu-central-1") "'1 Gbit/s'",
                 "is not an operator of this region");
    trial_denies(&trial, &trial.other, TO("nowhere") "'1 Gbit/s'",
                 "is not an operator of this region");
    trial_gives(&trial, TO("eu-central-1") "'1 Gbit/s'", "");
    trial_gives(&trial, TO("eu-central-1") "DEFAULT", "");
    trial_gives(
        &trial,
        "SELECT object, outcome, statement FROM "
        "SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = 'ALTER CHANNEL' "
        "ORDER BY sequence DESC LIMIT 2",
        "eu-central-1,OK," TO("eu-central-1") "DEFAULT;"
                                              "eu-central-1,OK," TO("eu-central-1") "'1 Gbit/s'");
    trial_denies(&trial, &trial.other, "SHOW CHANNELS", "is not an operator of this region");
    shows(UNSET, UNSET);
}

/* The same statement again is answered as the first one, and changes nothing any more. */
static void test_a_change_is_made_once(void **state)
{
    (void)state;
    const struct statement_id id = {{7}};
    BYTES_CLEANUP struct bytes text = {0};
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, TO("eu-central-1") "'7 Gbit/s'", &text),
                     ERR_OK);
    trial_gives(&trial, TO("eu-central-1") "DEFAULT", "");
    assert_int_equal(trial_run_as(&trial, &trial.root, &id, TO("eu-central-1") "'7 Gbit/s'", &text),
                     ERR_OK);
    shows(UNSET, UNSET);
}

static void test_a_record_that_cannot_be_read_is_none_and_may_be_set_again(void **state)
{
    (void)state;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("ceu-central-1"), span_text("nonsense"));
    assert_int_equal(catalog_commit(trial.store, &change, CATALOG_KEEP_RESERVE, NULL), ERR_OK);
    net_restart();
    shows(UNSET, UNSET);
    trial_gives(&trial, TO("eu-central-1") "'7 Gbit/s'", "");
    net_restart();
    shows(UNSET, "7000000000,7 Gbit/s,");
    trial_gives(&trial, TO("eu-central-1") "DEFAULT", "");
}

static int setup(void **state)
{
    (void)state;
    trial_start(&trial);
    net_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_close();
    trial_is_whole(&trial);
    trial_stop(&trial);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit_holds_at_once_and_after_a_restart),
        cmocka_unit_test(test_windows_hold_in_their_hours_and_survive_a_restart),
        cmocka_unit_test(test_what_cannot_be_is_refused_and_changes_nothing),
        cmocka_unit_test(test_it_is_the_operators),
        cmocka_unit_test(test_a_change_is_made_once),
        cmocka_unit_test(test_a_record_that_cannot_be_read_is_none_and_may_be_set_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
