/* A running node whose configuration is read again: what it takes up, what waits for a restart, and that a file
 * that is not good changes nothing. */
#include "node/reload.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/node.h"
#include "proto/operator.h"
#include "transport/port_test.h"

static struct trial {
    char folder[64], conf[100], log[100];
    char operator_key[PUBLIC_IDENTITY_TEXT_BYTES], peer_keys[2][PUBLIC_IDENTITY_TEXT_BYTES];
    uint16_t ports[3]; /* peers, operators twice */
    struct identity *root;
    struct public_identity node_keys;
    struct node *node;
    struct pool *pool;
    struct bytes told;
    int kept; /* standard error as it was */
} t;

static void config_write(const char *more)
{
    FILE *file = fopen(t.conf, "w");
    assert_non_null(file);
    fprintf(file,
            "region = \"here\"\ndata_dir = \"data\"\nkey_file = \"node.key\"\n"
            "listen_peers = {\"127.0.0.1:%u\"}\n"
            "listen_operators = {\"127.0.0.1:%u\", \"127.0.0.1:%u\"}\n"
            "operator_keys = {\"%s\"}\n%s",
            t.ports[0], t.ports[1], t.ports[2], t.operator_key, more);
    assert_int_equal(fclose(file), 0);
}

static void log_begin(void)
{
    int file = open(t.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    assert_true(file >= 0);
    t.kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    close(file);
}

static int setup(void **state)
{
    (void)state;
    struct identity *identity;
    struct err err;
    memset(&t, 0, sizeof(t));
    snprintf(t.folder, sizeof(t.folder), "/tmp/reload_test.XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    snprintf(t.conf, sizeof(t.conf), "%s/straitd.conf", t.folder);
    snprintf(t.log, sizeof(t.log), "%s/node.key", t.folder);
    assert_int_equal(identity_create(t.log, &identity, NULL), ERR_OK);
    t.node_keys = *identity_public(identity);
    identity_free(identity);
    for (int i = 0; i < 2; i++) {
        identity = identity_generate();
        public_identity_format(identity_public(identity), t.peer_keys[i]);
        identity_free(identity);
    }
    for (int i = 0; i < 3; i++)
        t.ports[i] = port_free();
    t.root = identity_generate();
    public_identity_format(identity_public(t.root), t.operator_key);
    snprintf(t.log, sizeof(t.log), "%s/log", t.folder);
    config_write("");
    CONFIG_CLEANUP struct config config = {0};
    assert_int_equal(config_read(t.conf, &config, &err), ERR_OK);
    log_begin();
    if (node_start(&config, &t.node, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pool_new(NULL, &t.pool, NULL), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    node_stop(t.node);
    pool_free(t.pool);
    identity_free(t.root);
    bytes_deinit(&t.told);
    log_set_level(LOG_INFO);
    log_set_format(LOG_FORMAT_LOGFMT);
    dup2(t.kept, STDERR_FILENO);
    close(t.kept);
    snprintf(command, sizeof(command), "rm -rf %s", t.folder);
    return system(command);
}

/* What the node logs while it takes up its own part of a configuration with these lines. */
static const char *reload(const char *more)
{
    char part[4096];
    ssize_t got;
    config_write(more);
    assert_int_equal(truncate(t.log, 0), 0);
    node_reload(t.node);
    int file = open(t.log, O_RDONLY);
    assert_true(file >= 0);
    bytes_clear(&t.told);
    while ((got = read(file, part, sizeof(part))) > 0)
        bytes_append(&t.told, part, (size_t)got);
    close(file);
    bytes_append_u8(&t.told, 0);
    return (char *)t.told.data;
}

/* One node for all tests: each begins with the configuration that it was started with. */
static int as_before(void **state)
{
    (void)state;
    (void)reload("");
    return 0;
}

static void says(const char *text, const char *words)
{
    if (text == NULL || strstr(text, words) == NULL)
        fail_msg("'%s' does not say '%s'", text != NULL ? text : "", words);
}

static void peer_text(char ret_text[512], const char *region, int port, int key)
{
    snprintf(ret_text, 512, "peer %s { addresses = {\"127.0.0.1:%d\"} key = \"%s\" }\n", region,
             port, t.peer_keys[key]);
}

/* ---- the table ---- */

/* The example, which cluster-tests/style.py compares with the parser, says which settings wait for a restart. */
static void every_setting_is_in_the_table_as_the_example_says(void **state)
{
    (void)state;
    char line[512], name[64];
    size_t count = 0;
    FILE *file = fopen(CONFIG_EXAMPLE, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *start = line + (strncmp(line, "# ", 2) == 0 ? 2 : 0);
        size_t len = strspn(start, "abcdefghijklmnopqrstuvwxyz_");
        if (len == 0 || strncmp(start + len, " = ", 3) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)len, start);
        enum reload_when marked =
            strstr(line, "# (restart)") != NULL ? RELOAD_AT_RESTART : RELOAD_AT_ONCE;
        if (reload_when(name) != marked)
            fail_msg("%s: reload.c and the example do not say the same", name);
        count++;
    }
    fclose(file);
    assert_true(count > 20);
    assert_int_equal(reload_when("peer"), RELOAD_AT_ONCE);
    assert_int_equal(reload_when("listen_peer"), RELOAD_UNKNOWN);
}

/* ---- a node ---- */

static void nothing_new_changes_nothing(void **state)
{
    (void)state;
    says(reload(""), "level=info event=reloaded");
    says((char *)t.told.data, "changed=\"\"");
}

static void what_changed_is_told_once(void **state)
{
    (void)state;
    const char *const more =
        "disk_reserve = 1MiB\nload_memory = 2MiB\nhistory_retention = 1h\n"
        "clean_up_interval = 60\nscrub_rate = 0\nselect_time = 5\n"
        "select_memory = 3MiB\nselect_memory_total = 4MiB\nselect_temp = 5MiB\n"
        "select_rows = 6\nselect_result = 7MiB\ntasks_per_project = 1\n";
    says(reload(more), "changed=disk_reserve,load_memory,history_retention,clean_up_interval,"
                       "scrub_rate,select_time,select_memory,select_memory_total,select_temp,"
                       "select_rows,select_result,tasks_per_project\n");
    says(reload(more), "changed=\"\"");
    says(reload("tasks_per_project = 1\n"),
         "changed=disk_reserve,load_memory,history_retention,"
         "clean_up_interval,scrub_rate,select_time,select_memory,"
         "select_memory_total,select_temp,select_rows,"
         "select_result\n");
}

static void the_log_follows_at_once(void **state)
{
    (void)state;
    says(reload("log_format = json\n"), "\"event\":\"reloaded\"");
    says((char *)t.told.data, "\"changed\":\"log_format\"");
    says(reload("log_level = warning\n"), "");
    assert_string_equal((char *)t.told.data, "");
    says(reload(""), "changed=log_level");
}

static void what_waits_for_a_restart_is_named_each_time(void **state)
{
    (void)state;
    char more[512];
    snprintf(
        more, sizeof(more),
        "gates = false\nworkers = 77\nlisten_metrics = \"127.0.0.1:1\"\nformer_keys = {\"%s\"}\n",
        t.peer_keys[0]);
    for (int i = 0; i < 2; i++)
        says(reload(more), "level=warning event=\"settings wait for a restart\" "
                           "settings=listen_metrics,gates,workers,former_keys\n");
    says((char *)t.told.data, "changed=\"\"");
    assert_null(strstr(reload(""), "restart"));
}

static void a_bad_file_changes_nothing_and_is_told_with_its_line(void **state)
{
    (void)state;
    char text[512], bad[600];
    peer_text(text, "there", 1, 0);
    says(reload("log_level = debug\nlog_levels = debug\n"), "level=warning");
    says((char *)t.told.data, "not reloaded");
    says((char *)t.told.data, "straitd.conf:8: ");
    assert_false(log_writes(LOG_DEBUG));
    snprintf(bad, sizeof(bad),
             "log_level = debug\n%speer other { addresses = {\"127.0.0.1:2\"} key = \"k\" }\n",
             text);
    says(reload(bad), "peer other: key");
    assert_false(log_writes(LOG_DEBUG));
    snprintf(bad, sizeof(bad), "log_level = debug\nregion2 = x\n");
    says(reload(bad), "not reloaded");
    says(reload("log_level = debug\nformer_keys = {\"f\"}\n"), "not reloaded");
    says((char *)t.told.data, "former_keys: 'f...'");
    assert_false(log_writes(LOG_DEBUG));
    says(reload(text), "changed=peer\n");
    assert_int_equal(unlink(t.conf), 0);
    assert_int_equal(truncate(t.log, 0), 0);
    node_reload(t.node);
    config_write("");
    says(reload(""), "a peer was removed");
}

/* By its restarted name it would be its own peer. */
static void the_region_that_it_runs_as_is_no_peer(void **state)
{
    (void)state;
    char text[1024], peer[512];
    FILE *file = fopen(t.conf, "w");
    assert_non_null(file);
    peer_text(peer, "here", 1, 0);
    snprintf(text, sizeof(text),
             "region = \"elsewhere\"\ndata_dir = \"data\"\nkey_file = \"node.key\"\n"
             "listen_peers = {\"127.0.0.1:%u\"}\nlisten_operators = {\"127.0.0.1:%u\"}\n"
             "operator_keys = {\"%s\"}\n%s",
             t.ports[0], t.ports[1], t.operator_key, peer);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    assert_int_equal(truncate(t.log, 0), 0);
    node_reload(t.node);
    char told[2048] = {0};
    int log = open(t.log, O_RDONLY);
    assert_true(read(log, told, sizeof(told) - 1) > 0);
    close(log);
    says(told, "not reloaded");
    says(told, "peer here: this node runs as that region");
}

static void peers_come_change_and_go(void **state)
{
    (void)state;
    char text[512];
    peer_text(text, "there", 1, 0);
    says(reload(text), "event=\"a peer was added\" region=there addresses=127.0.0.1:1");
    peer_text(text, "there", 2, 0);
    says(reload(text), "event=\"a peer was changed\" region=there addresses=127.0.0.1:2");
    peer_text(text, "there", 2, 1);
    says(reload(text), "event=\"a peer was changed\" region=there");
    says(reload(""), "event=\"a peer was removed\" region=there");
    says(reload(text), "event=\"a peer was added\" region=there");
}

/* ---- beside its work ---- */

static struct link *link_make_to(int listener)
{
    char address[32];
    const char *addresses[] = {address};
    struct link *link;
    snprintf(address, sizeof(address), "127.0.0.1:%u", t.ports[1 + listener]);
    const struct link_options options = {.kind = LISTENER_OPERATORS,
                                         .addresses = addresses,
                                         .address_count = 1,
                                         .identity = t.root,
                                         .peer_key = t.node_keys.noise};
    assert_int_equal(link_open(t.pool, &options, &link, NULL), ERR_OK);
    return link;
}

static struct link *link_make(void)
{
    return link_make_to(0);
}

/* ---- what metrics say of peers ---- */

static bool same_sample(const struct operator_counter *a, const struct operator_counter *b)
{
    return span_equal(a->name, b->name) && span_equal(a->labels, b->labels);
}

/* How many metrics of the node have this name and these labels, and the last one's value; none of any comes twice. */
static size_t samples(struct link *link, const char *name, const char *labels, uint64_t *ret_value)
{
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    struct operator_status status;
    struct err err;
    size_t count = 0;
    const struct operator_counter wanted = {.name = span_text(name), .labels = span_text(labels)};
    const struct link_request request = {
        .method = OPERATOR_STATUS, .reply_body_bytes = MIB(8), .deadline_ms = 60000};
    arena_init(&arena, MIB(8));
    if (link_call(link, &request, NULL, &body, &err) != ERR_OK ||
        operator_status_decode(bytes_span(&body), &arena, &status, &err) != ERR_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < status.counter_count; i++) {
        bool same = same_sample(&status.counters[i], &wanted);
        count += same;
        if (same && ret_value != NULL)
            *ret_value = status.counters[i].value;
        for (size_t k = 0; k < i; k++)
            if (same_sample(&status.counters[i], &status.counters[k]))
                fail_msg("%.*s{%.*s} comes twice", SPAN_PRINTF(status.counters[i].name),
                         SPAN_PRINTF(status.counters[i].labels));
    }
    return count;
}

static void metrics_have_the_channels_of_configured_peers_alone(void **state)
{
    (void)state;
    static const char *const of_peer[] = {"strait_channel_bytes_per_second",
                                          "strait_channel_limit_bytes_per_second",
                                          "strait_peer_connected"};
    char first[512], second[512], both[1024];
    struct link *link = link_make();
    peer_text(first, "there", 1, 0);
    peer_text(second, "more", 2, 1);
    snprintf(both, sizeof(both), "%s%s", first, second);
    says(reload(both), "changed=peer\n");
    for (size_t i = 0; i < ARRAY_COUNT(of_peer); i++) {
        assert_int_equal(samples(link, of_peer[i], "peer=\"there\"", NULL), 1);
        assert_int_equal(samples(link, of_peer[i], "peer=\"more\"", NULL), 1);
    }
    says(reload(first), "a peer was removed");
    for (size_t i = 0; i < ARRAY_COUNT(of_peer); i++) {
        assert_int_equal(samples(link, of_peer[i], "peer=\"there\"", NULL), 1);
        assert_int_equal(samples(link, of_peer[i], "peer=\"more\"", NULL), 0);
    }
    says(reload(""), "a peer was removed");
    for (size_t i = 0; i < ARRAY_COUNT(of_peer); i++)
        assert_int_equal(samples(link, of_peer[i], "peer=\"there\"", NULL), 0);
    link_close(link);
}

struct working {
    struct link *link;
    atomic_bool over;
    unsigned failed, done; /* the thread's, until it has ended */
};

static enum err_code statement_run(struct link *link, unsigned number, const char *text)
{
    const struct operator_execute execute = {.id = {{9, (uint8_t)(number >> 8), (uint8_t)number}},
                                             .wait_ms = 10000,
                                             .text = span_text(text)};
    BYTES_CLEANUP struct bytes header = {0};
    BYTES_CLEANUP struct bytes body = {0};
    operator_execute_encode(&execute, &header, &body);
    const struct link_request request = {.method = OPERATOR_EXECUTE,
                                         .header = bytes_span(&header),
                                         .body = bytes_span(&body),
                                         .reply_body_bytes = MIB(1),
                                         .deadline_ms = 60000};
    return link_call(link, &request, NULL, NULL, NULL);
}

static void *work_on(void *argument)
{
    static const char *const texts[] = {"SHOW CHANNELS", "SELECT 1 + 1", "SHOW PROJECTS", "WHOAMI"};
    struct working *working = argument;
    while (!atomic_load(&working->over)) {
        const char *text = texts[working->done % ARRAY_COUNT(texts)];
        working->failed += statement_run(working->link, working->done, text) != ERR_OK;
        const struct link_request peers = {
            .method = OPERATOR_PEERS, .reply_body_bytes = MIB(1), .deadline_ms = 60000};
        working->failed += link_call(working->link, &peers, NULL, NULL, NULL) != ERR_OK;
        working->done++;
    }
    return NULL;
}

static void statements_go_on_while_it_is_reloaded(void **state)
{
    (void)state;
    pthread_t thread;
    char first[512], second[1100], more[600];
    struct working working = {.link = link_make()};
    assert_int_equal(statement_run(working.link, 60000, "WHOAMI"), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, work_on, &working), 0);
    peer_text(first, "there", 1, 0);
    peer_text(more, "more", 2, 1);
    snprintf(second, sizeof(second),
             "%sselect_memory = 8MiB\nlog_level = warning\nscrub_rate = 0\n"
             "clean_up_interval = 1\nselect_memory_total = 64MiB\n",
             more);
    for (int i = 0; i < 20; i++)
        (void)reload(i % 2 == 0 ? first : second);
    (void)reload("");
    atomic_store(&working.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(working.failed, 0);
    assert_true(working.done > 0);
    link_close(working.link);
}

/* Who is an operator no more is heard no more, without a restart. */
static void an_operators_key_that_is_gone_opens_nothing(void **state)
{
    (void)state;
    char kept[PUBLIC_IDENTITY_TEXT_BYTES];
    struct link *link = link_make();
    IDENTITY_CLEANUP struct identity *second = identity_generate();
    struct identity *root = t.root;
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    snprintf(kept, sizeof(kept), "%s", t.operator_key);
    public_identity_format(identity_public(second), key);
    snprintf(t.operator_key, sizeof(t.operator_key), "%s", key);
    says(reload(""), "changed=operator_keys");
    t.root = second;
    struct link *other = link_make();
    t.root = root;
    assert_int_equal(statement_run(other, 1, "SHOW CHANNELS"), ERR_OK);
    snprintf(t.operator_key, sizeof(t.operator_key), "%s", kept);
    says(reload(""), "changed=operator_keys");
    enum err_code code = statement_run(other, 2, "SHOW CHANNELS");
    /* Its connection is closed; what came just before is answered that nobody has this key. */
    assert_true(code == ERR_LOST || code == ERR_PEER_KEY || code == ERR_CREDENTIALS);
    assert_int_equal(statement_run(link, 3, "SHOW CHANNELS"), ERR_OK);
    link_close(other);
    link_close(link);
}

static uint64_t requests_failed(struct link *link, const char *family, enum err_code code)
{
    char labels[128];
    uint64_t value = 0;
    snprintf(labels, sizeof(labels), "code=\"%s\",name=\"%s\"", err_odps(code), err_name(code));
    assert_int_equal(samples(link, family, labels, &value), 1);
    return value;
}

/* Those of the operators' listeners are not the peers', and what was answered well is none. */
static void requests_that_failed_are_counted_by_listener_and_code(void **state)
{
    (void)state;
    static const char operators[] = "strait_operator_request_errors_total";
    static const char peers[] = "strait_peer_request_errors_total";
    struct link *links[] = {link_make_to(0), link_make_to(1)};
    const struct link_request unknown = {.method = 250, .deadline_ms = 60000};
    uint64_t before = requests_failed(links[0], operators, ERR_PARAMETER);
    uint64_t others = requests_failed(links[0], operators, ERR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_COUNT(links); i++)
        assert_int_equal(link_call(links[i], &unknown, NULL, NULL, NULL), ERR_PARAMETER);
    assert_int_equal(requests_failed(links[0], operators, ERR_PARAMETER), before + 2);
    assert_int_equal(requests_failed(links[1], operators, ERR_NOT_FOUND), others);
    assert_int_equal(requests_failed(links[1], peers, ERR_PARAMETER), 0);
    for (size_t i = 0; i < ARRAY_COUNT(links); i++)
        link_close(links[i]);
}

static void *status_on(void *argument)
{
    struct working *working = argument;
    const struct link_request request = {
        .method = OPERATOR_STATUS, .reply_body_bytes = MIB(1), .deadline_ms = 60000};
    while (!atomic_load(&working->over))
        working->done += link_call(working->link, &request, NULL, NULL, NULL) == ERR_OK;
    return NULL;
}

/* The last test: the second listener answers while the first one has gone. */
static void it_stops_while_its_status_is_asked_for(void **state)
{
    (void)state;
    pthread_t thread;
    struct working working = {.link = link_make_to(1)};
    assert_int_equal(samples(working.link, "strait_build_info", "nothing=\"\"", NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, status_on, &working), 0);
    node_stop(t.node);
    t.node = NULL;
    atomic_store(&working.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    link_close(working.link);
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup(test, as_before)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_is_in_the_table_as_the_example_says),
        TRIAL_OF(nothing_new_changes_nothing),
        TRIAL_OF(what_changed_is_told_once),
        TRIAL_OF(the_log_follows_at_once),
        TRIAL_OF(what_waits_for_a_restart_is_named_each_time),
        TRIAL_OF(a_bad_file_changes_nothing_and_is_told_with_its_line),
        TRIAL_OF(the_region_that_it_runs_as_is_no_peer),
        TRIAL_OF(peers_come_change_and_go),
        TRIAL_OF(statements_go_on_while_it_is_reloaded),
        TRIAL_OF(an_operators_key_that_is_gone_opens_nothing),
        TRIAL_OF(metrics_have_the_channels_of_configured_peers_alone),
        TRIAL_OF(requests_that_failed_are_counted_by_listener_and_code),
        TRIAL_OF(it_stops_while_its_status_is_asked_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
