#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/config.h"
#include "node/config_text.h"

#define HEAD                                                                                       \
    "region = \"cn-hongkong\"\n"                                                                   \
    "data_dir = \"data\"\n"                                                                        \
    "key_file = \"/keys/node.key\"\n"                                                              \
    "listen_peers = {\"127.0.0.1:7070\", \"[::1]:7070\"}\n"                                        \
    "listen_operators = {\"127.0.0.1:7071\"}\n"                                                    \
    "operator_keys = {\"k1\", \"k2\"}\n"

static char folder[64];
static char path[128];

static int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/config_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/straitd.conf", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static enum err_code read_text(const char *text, struct config *config, struct err *err)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return config_read(path, config, err);
}

static void refused(const char *text, const char *line, const char *words)
{
    struct err err = {0};
    struct config config;
    assert_int_equal(read_text(text, &config, &err), ERR_CONFIG);
    if (strstr(err.message, line) == NULL || strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s' and '%s'", err.message, line, words);
}

static void metrics_are_listened_for_at_an_address_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {"localhost:1", "1.2.3.4", "1.2.3.4:0",     "::1:1",
                                      "[1.2.3.4]:1", "[::1:1",  "1.2.3.4:65536", "1.2.3:1",
                                      "[::1]x:1",    "]:1"};
    struct sockaddr_storage address;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(config_parse_literal(bad[i], &address));
    assert_true(config_parse_literal("127.0.0.1:9464", &address));
    assert_int_equal(address.ss_family, AF_INET);
    assert_true(config_parse_literal("[::1]:65535", &address));
    assert_int_equal(address.ss_family, AF_INET6);
    CONFIG_CLEANUP struct config config = {0};
    struct err err = {0};
    assert_int_equal(read_text(HEAD "listen_metrics = \"[::1]:9464\"\n", &config, &err), ERR_OK);
    assert_string_equal(config.listen_metrics, "[::1]:9464");
    refused(HEAD "listen_metrics = \"localhost:9464\"\n", ":7:", "write an IP address and a port");
}

static void a_whole_file_is_read(void **state)
{
    (void)state;
    CONFIG_CLEANUP struct config config = {0};
    struct err err = {0};
    enum err_code code =
        read_text(HEAD "gates = false\nload_memory = 1GiB\nhistory_retention = 90m\nworkers = 3\n"
                       "tasks_per_project = 2\n"
                       "log_format = json\nlog_level = warning\nscrub_rate = 0\nclean_up_interval "
                       "= 5\nselect_time = "
                       "60\nselect_memory = \"64MiB\"\nselect_memory_total = 1GiB\n"
                       "peer ap-southeast-1 { addresses = {\"h:1\"} key = \"k3\" "
                       "former_keys = {\"k4\"} }\n"
                       "peer ap-northeast-1 { addresses = {\"h:2\"} key = k5 }\n",
                  &config, &err);
    if (code != ERR_OK)
        fail_msg("%s", err.message);
    assert_string_equal(config.region, "cn-hongkong");
    char data_dir[128];
    snprintf(data_dir, sizeof(data_dir), "%s/data", folder);
    assert_string_equal(config.data_dir, data_dir);
    assert_string_equal(config.key_file, "/keys/node.key");
    assert_int_equal(config.listen_peers.count, 2);
    assert_string_equal(config.operator_keys.items[1], "k2");
    assert_false(config.gates);
    assert_int_equal(config.history_retention_ms, 90 * 60 * 1000);
    assert_int_equal(config.load_memory_bytes, UINT64_C(1) << 30);
    assert_int_equal(config.disk_reserve_bytes, 256 * MIB(1));
    assert_int_equal(config.scrub_rate_bytes, 0);
    assert_int_equal(config.select_time_s, 60);
    assert_int_equal(config.select_memory_bytes, MIB(64));
    assert_int_equal(config.select_memory_total_bytes, UINT64_C(1) << 30);
    assert_int_equal(config.select_temp_bytes, SELECT_TEMP_BYTES_DEFAULT);
    assert_int_equal(config.select_rows, 0);
    assert_int_equal(config.clean_up_interval_ms, 5000);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.tasks_per_project, 2);
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    assert_int_equal(config.log_level, LOG_WARN);
    assert_int_equal(config.peer_count, 2);
    assert_string_equal(config.peers[0].region, "ap-southeast-1");
    assert_string_equal(config.peers[0].former_keys.items[0], "k4");
    assert_string_equal(config.peers[1].key, "k5");
}

/* What is commented out in the example says what holds without it. (That the example names every
 * setting is checked by cluster-tests/style.py.) */
static void the_example_shows_the_defaults(void **state)
{
    (void)state;
    char text[8192], line[512];
    size_t len = 0, defaults = 0;
    FILE *file = fopen(CONFIG_EXAMPLE, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *start = line;
        size_t name = 2 + strspn(line + 2, "abcdefghijklmnopqrstuvwxyz_");
        if (strncmp(line, "# ", 2) == 0 && strncmp(line + name, " = ", 3) == 0) {
            start += 2;
            defaults++;
        }
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", start);
        assert_true(len < sizeof(text));
    }
    fclose(file);
    CONFIG_CLEANUP struct config shown = {0}, config = {0};
    struct err err = {0};
    if (config_read(CONFIG_EXAMPLE, &config, &err) != ERR_OK ||
        read_text(text, &shown, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_true(defaults > 10);
    assert_int_equal(shown.gates, config.gates);
    assert_int_equal(shown.disk_reserve_bytes, config.disk_reserve_bytes);
    assert_int_equal(shown.load_memory_bytes, config.load_memory_bytes);
    assert_int_equal(shown.clean_up_interval_ms, config.clean_up_interval_ms);
    assert_int_equal(shown.history_retention_ms, config.history_retention_ms);
    assert_int_equal(shown.scrub_rate_bytes, config.scrub_rate_bytes);
    assert_int_equal(shown.select_time_s, config.select_time_s);
    assert_int_equal(shown.select_memory_bytes, config.select_memory_bytes);
    assert_int_equal(shown.select_memory_total_bytes, config.select_memory_total_bytes);
    assert_int_equal(shown.select_temp_bytes, config.select_temp_bytes);
    assert_int_equal(shown.select_rows, config.select_rows);
    assert_int_equal(shown.select_result_bytes, config.select_result_bytes);
    assert_int_equal(config.select_result_bytes, 0);
    assert_int_equal(shown.workers, config.workers);
    assert_int_equal(shown.tasks_per_project, config.tasks_per_project);
    assert_int_equal(shown.log_format, config.log_format);
    assert_int_equal(shown.log_level, config.log_level);
}

/* Of a copy nothing is the original's, which goes first. */
static void a_copy_stands_by_itself(void **state)
{
    (void)state;
    struct config config = {0};
    struct err err = {0};
    assert_int_equal(read_text(HEAD "listen_metrics = \"127.0.0.1:9464\"\nformer_keys = {\"f\"}\n"
                                    "workers = 3\npeer a { addresses = {\"h:1\", \"h:2\"} key = k "
                                    "former_keys = {\"g\"} }\n",
                               &config, &err),
                     ERR_OK);
    CONFIG_CLEANUP struct config copy = config_copy(&config);
    config_deinit(&config);
    assert_string_equal(copy.path, path);
    assert_string_equal(copy.region, "cn-hongkong");
    assert_string_equal(strrchr(copy.data_dir, '/'), "/data");
    assert_string_equal(copy.key_file, "/keys/node.key");
    assert_string_equal(copy.listen_peers.items[1], "[::1]:7070");
    assert_string_equal(copy.listen_operators.items[0], "127.0.0.1:7071");
    assert_string_equal(copy.listen_metrics, "127.0.0.1:9464");
    assert_string_equal(copy.operator_keys.items[1], "k2");
    assert_string_equal(copy.former_keys.items[0], "f");
    assert_int_equal(copy.workers, 3);
    assert_int_equal(copy.peer_count, 1);
    assert_string_equal(copy.peers[0].region, "a");
    assert_string_equal(copy.peers[0].addresses.items[1], "h:2");
    assert_string_equal(copy.peers[0].key, "k");
    assert_string_equal(copy.peers[0].former_keys.items[0], "g");
}

static void an_unknown_setting_is_refused_with_its_line(void **state)
{
    (void)state;
    refused(HEAD "listen_peer = {\"h:1\"}\n", ":7:", "listen_peer");
    refused(HEAD "peer a {\nadresses = {\"h:1\"}\n}\n", ":8:", "adresses");
}

/* The parser's own count takes a comment for three lines. */
static void the_line_is_right_behind_comments(void **state)
{
    (void)state;
    refused("# a\n# b\ndata_dir = \"x\"  # b\ndata_dirx = 1\n", ":4:", "data_dirx");
    refused("# it's \"\n\n#\n\nnone = 1\n", ":5:", "none");
    refused("data_dir = \"#\" # \"\nkey_file = '#' # '\nnone = 1\n", ":3:", "none");
    refused("data_dir = \"a\\\"#\"\n# b\nnone = 1\n", ":3:", "none");
    refused("data_dir = \"a\n#\nb\"\n# b\nnone = 1\n", ":5:", "none");
    refused("# a\nworkers = 300 # b\n# c\n", ":2:", "workers '300'");
    refused(HEAD "# a\npeer a { # b\n# c\nadresses = {} # d\n}\n", ":10:", "adresses");
    refused(HEAD "# a\npeer a { # b\n key = k # c\n} # d\n", ":10:", "'addresses' is missing");
    refused("/* a\n\"b\n*/ // it's\nnone = 1 /* c */\n", ":4:", "none");
    refused("region = \"a\" # a", "straitd.conf", "'data_dir' is missing");
    refused("region = \"a\" /* a", "straitd.conf", "'data_dir' is missing");
}

static void comments_may_stand_anywhere_and_quotes_have_none(void **state)
{
    (void)state;
    CONFIG_CLEANUP struct config config = {0};
    struct err err = {0};
    enum err_code code = read_text("region = a # b\n/* c */ data_dir = \"/d//#e/*f\\\"#\" // it's\n"
                                   "key_file = /k//l # \"\nlisten_peers = { # m\n\"h:1\", # n\n"
                                   "\"h:2\" # o\n} # p\nlisten_operators = {'h:3'}#q\n"
                                   "operator_keys = {'#r', /* s\n t */ 'u'}\n# v",
                                   &config, &err);
    if (code != ERR_OK)
        fail_msg("%s", err.message);
    assert_string_equal(config.region, "a");
    assert_string_equal(config.data_dir, "/d//#e/*f\"#");
    assert_string_equal(config.key_file, "/k//l");
    assert_int_equal(config.listen_peers.count, 2);
    assert_string_equal(config.listen_peers.items[1], "h:2");
    assert_string_equal(config.listen_operators.items[0], "h:3");
    assert_string_equal(config.operator_keys.items[0], "#r");
    assert_string_equal(config.operator_keys.items[1], "u");
}

static void a_file_that_never_ends_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    struct config config;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fseek(file, CONFIG_TEXT_BYTES_MAX, SEEK_SET), 0);
    fputs("# a\n", file);
    fclose(file);
    assert_int_equal(config_read(path, &config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "File too large"));
}

static void a_setting_given_twice_is_refused_with_its_line(void **state)
{
    (void)state;
    refused(HEAD "region = \"b\"\n", ":7:", "'region' is given twice");
    refused(HEAD "workers = 1\nworkers = 1\n", ":8:", "'workers' is given twice");
    refused(HEAD "gates = true\ngates = true\n", ":8:", "'gates' is given twice");
    refused(HEAD "operator_keys = {\"k9\"}\n", ":7:", "'operator_keys' is given twice");
    refused(HEAD "peer a { addresses = {\"h:1\"} key = k }\npeer a { addresses = {\"h:1\"} key = k "
                 "}\n",
            ":8:", "peer a is given twice; keep one");
}

static void bad_values_say_what_to_write(void **state)
{
    (void)state;
    refused("region = \"Hong Kong\"\n", ":1:", "cn-hongkong");
    refused(HEAD "disk_reserve = 256MB\n", ":7:", "256MiB");
    refused(HEAD "load_memory = 99999999999999999999\n", ":7:", "256MiB");
    refused(HEAD "history_retention = 24\n", ":7:", "24h");
    refused(HEAD "history_retention = 0h\n", ":7:", "365d");
    refused(HEAD "history_retention = 366d\n", ":7:", "365d");
    refused(HEAD "history_retention = 99999999999999999999d\n", ":7:", "365d");
    refused(HEAD "scrub_rate = 2GiB\n", ":7:", "8MiB");
    refused(HEAD "select_time = 1h\n", ":7:", "write seconds, 0 (no limit)");
    refused(HEAD "select_time = 99999999\n", ":7:", "write seconds, 0 (no limit)");
    refused(HEAD "select_rows = -1\n", ":7:", "write a number, 0: no limit");
    refused(HEAD "tasks_per_project = 0\n", ":7:", "write 1 to 4096");
    refused(HEAD "workers = 300\n", ":7:", "0 (one a processor) to 256");
    refused(HEAD "clean_up_interval = 0\n", ":7:", "1 to 86400");
    refused(HEAD "workers = x\n", ":7:", "x");
    refused(HEAD "log_format = xml\n", ":7:", "logfmt");
    refused(HEAD "log_level = warn\n", ":7:", "\"warning\"");
    refused(HEAD "log_level = {info}\n", ":7:", "");
    refused(HEAD "gates = yes\n", ":7:", "write true or false");
    refused(HEAD "select_memory = 1\n", ":7:", "at least 1MiB");
    refused(HEAD "peer a = 1\n", ":7:", "");
    refused(HEAD "workers 3\n", ":7:", "");
    refused(HEAD "listen_peers += {\"h:1\"}\nlisten_peers += {\"nowhere\"}\n", ":8:", "host:port");
    refused(HEAD "peer a { addresses = {\"h\"} key = k }\n", ":7:", "host:port");
    refused(HEAD "peer a { addresses = {\"h:70000\"} key = k }\n", ":7:", "host:port");
    refused(HEAD "peer a {\n addresses = {\"h:1\"}\n}\n", ":9:", "'key' is missing");
    refused(HEAD "peer a {\n key = k\n}\n", ":9:", "'addresses' is missing");
    refused(HEAD "peer cn-hongkong { addresses = {\"h:1\"} key = k }\n", ":7:", "own region");
    refused("# c\npeer \"cn-hongkong\"\n{\n addresses = {\"h:1\"}\n key = k\n}\n" HEAD,
            ":2:", "own region");
    refused("region = \"a\"\n", "straitd.conf", "'data_dir' is missing");
    refused("region = \"a\n", "straitd.conf", "");
}

static void each_setting_has_its_line(void **state)
{
    (void)state;
    CONFIG_CLEANUP struct config config = {0};
    struct err err = {0};
    enum err_code code = read_text("# key_file = a\n"
                                   "peer a { addresses = {\"h:1\"}\nkey = \"data_dir = x\"\n"
                                   "former_keys = {f} }\n" HEAD "former_keys={\n\"f\"\n}\n"
                                   "peer   'b' {\naddresses += {\"h:1\"} key = k }\n",
                                   &config, &err);
    if (code != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(config.lines.data_dir, 6);
    assert_int_equal(config.lines.key_file, 7);
    assert_int_equal(config.lines.listen_peers, 8);
    assert_int_equal(config.lines.listen_operators, 9);
    assert_int_equal(config.lines.listen_metrics, 0);
    assert_int_equal(config.lines.operator_keys, 10);
    assert_int_equal(config.lines.former_keys, 11);
    assert_int_equal(config.peers[0].line, 2);
    assert_int_equal(config.peers[1].line, 14);
    CONFIG_CLEANUP struct config copy = config_copy(&config);
    assert_int_equal(copy.peers[1].line, 14);
    assert_int_equal(copy.lines.former_keys, 11);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(config_read("/nonexistent/x.conf", &config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/x.conf"));
    assert_non_null(strstr(err.message, "No such file"));
}

static void sizes_have_binary_units(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(config_parse_bytes("16777215TiB", &bytes));
    assert_int_equal(bytes, UINT64_C(16777215) << 40);
    assert_false(config_parse_bytes("16777216TiB", &bytes));
    assert_false(config_parse_bytes("-1", &bytes));
    assert_false(config_parse_bytes("1 MiB", &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_listened_for_at_an_address_alone),
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(the_example_shows_the_defaults),
        cmocka_unit_test(a_copy_stands_by_itself),
        cmocka_unit_test(an_unknown_setting_is_refused_with_its_line),
        cmocka_unit_test(the_line_is_right_behind_comments),
        cmocka_unit_test(comments_may_stand_anywhere_and_quotes_have_none),
        cmocka_unit_test(a_file_that_never_ends_is_refused),
        cmocka_unit_test(a_setting_given_twice_is_refused_with_its_line),
        cmocka_unit_test(bad_values_say_what_to_write),
        cmocka_unit_test(each_setting_has_its_line),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(sizes_have_binary_units),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
