/* What --check says of a configuration that a start would refuse: all of it, and what was there is as it was. */
#include "node/start_check.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/identity.h"

static struct trial {
    char folder[64], conf[100], key[100];
    char own[PUBLIC_IDENTITY_TEXT_BYTES], peer[PUBLIC_IDENTITY_TEXT_BYTES];
    int busy; /* listens at the port of the peers */
    uint16_t port;
    const char *more; /* lines of the configuration */
    struct bytes told;
} t;

static int setup(void **state)
{
    (void)state;
    struct identity *identity;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    memset(&t, 0, sizeof(t));
    snprintf(t.folder, sizeof(t.folder), "/tmp/start_check_test.XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    snprintf(t.conf, sizeof(t.conf), "%s/straitd.conf", t.folder);
    snprintf(t.key, sizeof(t.key), "%s/node.key", t.folder);
    assert_int_equal(identity_create(t.key, &identity, NULL), ERR_OK);
    public_identity_format(identity_public(identity), t.own);
    identity_free(identity);
    identity = identity_generate();
    public_identity_format(identity_public(identity), t.peer);
    identity_free(identity);
    t.busy = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(t.busy, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(t.busy, (struct sockaddr *)&address, &len), 0);
    t.port = ntohs(address.sin_port);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    close(t.busy);
    bytes_deinit(&t.told);
    snprintf(command, sizeof(command), "rm -rf %s", t.folder);
    return system(command);
}

static void on_report(void *context, enum check_grade grade, unsigned line, const char *text)
{
    (void)context;
    bytes_printf(&t.told, "%s%u: %s\n", grade == CHECK_NOTE ? "note " : "", line, text);
}

/* What is said of this one, as a text. `listen` is of operators; the peers' port is any free one. */
static const char *told(const char *data_dir, const char *listen, const char *operator_key,
                        const char *peer_key, bool passes)
{
    FILE *file = fopen(t.conf, "w");
    assert_non_null(file);
    fprintf(
        file,
        "region = \"here\"\ndata_dir = \"%s\"\nkey_file = \"node.key\"\n"
        "listen_peers = {\"127.0.0.1:%u\"}\nlisten_operators = {\"%s\"}\n"
        "operator_keys = {\"%s\"}\npeer there { addresses = {\"127.0.0.1:1\"} key = \"%s\" }\n%s",
        data_dir, t.port, listen, operator_key, peer_key, t.more != NULL ? t.more : "");
    fclose(file);
    CONFIG_CLEANUP struct config config = {0};
    struct err err;
    if (config_read(t.conf, &config, &err) != ERR_OK)
        fail_msg("%s", err.message);
    bytes_clear(&t.told);
    assert_int_equal(start_check(&config, on_report, NULL), passes);
    bytes_append_u8(&t.told, 0);
    return (char *)t.told.data;
}

static void says(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("'%s' does not say '%s'", text, words);
}

static void a_good_one_is_good_and_nothing_is_made(void **state)
{
    (void)state;
    char path[128];
    close(t.busy);
    assert_string_equal(told("data", "127.0.0.1:1999", t.peer, t.peer, true), "");
    snprintf(path, sizeof(path), "%s/data", t.folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void every_fault_is_said_not_only_the_first(void **state)
{
    (void)state;
    assert_int_equal(chmod(t.key, 0644), 0);
    const char *text =
        told("absent/data", "192.0.2.1:7071", "strait1_operator", "strait1_peer", false);
    says(text, "lets others read it");
    says(text, "6: operator_keys: 'strait1_operator...'");
    says(text, "7: peer there: key 'strait1_peer...'");
    says(text, "2: data_dir: ");
    says(text, "absent: No such file");
    says(text, "5: listen_operators: 192.0.2.1:7071 cannot be listened at");
}

static void a_key_that_is_missing_is_said_with_its_line(void **state)
{
    (void)state;
    assert_int_equal(unlink(t.key), 0);
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, false), "3: key file ");
    says((char *)t.told.data, "No such file");
}

static void a_key_of_two_peers_is_said_with_the_line_of_the_second(void **state)
{
    (void)state;
    char more[256];
    snprintf(more, sizeof(more), "\npeer other {\naddresses = {\"127.0.0.1:2\"}\nkey = \"%s\"\n}\n",
             t.peer);
    t.more = more;
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, false), "9: peer");
    t.more = NULL;
}

static void a_peer_with_this_nodes_key_is_a_fault(void **state)
{
    (void)state;
    says(told("data", "127.0.0.1:1999", t.peer, t.own, false), "7: peer there");
}

static void a_file_where_the_data_would_be_is_a_fault(void **state)
{
    (void)state;
    says(told("node.key", "127.0.0.1:1999", t.peer, t.peer, false), "node.key is no folder");
    says(told("node.key/data", "127.0.0.1:1999", t.peer, t.peer, false), "Not a directory");
}

/* A running node's own ports are taken: that is told and is no fault. */
static void a_port_in_use_is_a_note(void **state)
{
    (void)state;
    assert_int_equal(listen(t.busy, 1), 0);
    const char *text = told("data", "127.0.0.1:1999", t.peer, t.peer, true);
    says(text, "note 4: listen_peers: 127.0.0.1:");
    says(text, "is in use: by this node, if it runs");
}

static void one_address_for_both_is_a_fault(void **state)
{
    (void)state;
    char same[32];
    snprintf(same, sizeof(same), "127.0.0.1:%u", t.port);
    says(told("data", same, t.peer, t.peer, false), "5: listen_peers, ");
}

static void the_address_of_metrics_is_looked_at_as_the_others(void **state)
{
    (void)state;
    t.more = "listen_metrics = \"192.0.2.1:9464\"\n";
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, false),
         "8: listen_metrics: 192.0.2.1:9464 cannot be listened at");
    t.more = "listen_metrics = \"127.0.0.1:1999\"\n";
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, false), "127.0.0.1:1999 is given twice");
}

/* It may be there where the node will run. */
static void a_name_that_is_unknown_is_a_note(void **state)
{
    (void)state;
    says(told("data", "256.0.0.1:7071", t.peer, t.peer, true),
         "note 5: listen_operators: 256.0.0.1:7071: a start here would be refused");
}

/* Root looks at it for the user that the node runs as. */
static void a_folder_of_another_user_is_a_note_to_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(t.folder, 31001, 0), 0);
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, true), "note 2: data_dir: ");
    says(told("data", "127.0.0.1:1999", t.peer, t.peer, true), "is user 31001's");
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIAL_OF(a_good_one_is_good_and_nothing_is_made),
        TRIAL_OF(every_fault_is_said_not_only_the_first),
        TRIAL_OF(a_key_that_is_missing_is_said_with_its_line),
        TRIAL_OF(a_key_of_two_peers_is_said_with_the_line_of_the_second),
        TRIAL_OF(a_peer_with_this_nodes_key_is_a_fault),
        TRIAL_OF(a_file_where_the_data_would_be_is_a_fault),
        TRIAL_OF(a_port_in_use_is_a_note),
        TRIAL_OF(a_folder_of_another_user_is_a_note_to_root),
        TRIAL_OF(one_address_for_both_is_a_fault),
        TRIAL_OF(the_address_of_metrics_is_looked_at_as_the_others),
        TRIAL_OF(a_name_that_is_unknown_is_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
