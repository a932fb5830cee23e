#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/config.h"

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

static void a_whole_file_is_read(void **state)
{
    (void)state;
    CONFIG_CLEANUP struct config config = {0};
    struct err err = {0};
    enum err_code code = read_text(HEAD "gates = false\nload_memory = 1GiB\nworkers = 3\n"
                                        "log_format = json\n"
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
    assert_int_equal(config.load_memory_bytes, UINT64_C(1) << 30);
    assert_int_equal(config.disk_reserve_bytes, 256 * MIB(1));
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    assert_int_equal(config.peer_count, 2);
    assert_string_equal(config.peers[0].region, "ap-southeast-1");
    assert_string_equal(config.peers[0].former_keys.items[0], "k4");
    assert_string_equal(config.peers[1].key, "k5");
}

static void an_unknown_setting_is_refused_with_its_line(void **state)
{
    (void)state;
    refused(HEAD "listen_peer = {\"h:1\"}\n", ":7:", "listen_peer");
    refused(HEAD "peer a {\nadresses = {\"h:1\"}\n}\n", ":8:", "adresses");
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
            ":8:", "a");
}

static void bad_values_say_what_to_write(void **state)
{
    (void)state;
    refused("region = \"Hong Kong\"\n", ":1:", "cn-hongkong");
    refused(HEAD "disk_reserve = 256MB\n", ":7:", "256MiB");
    refused(HEAD "load_memory = 99999999999999999999\n", ":7:", "256MiB");
    refused(HEAD "workers = 300\n", ":7:", "0 (one a processor) to 256");
    refused(HEAD "workers = x\n", ":7:", "x");
    refused(HEAD "log_format = xml\n", ":7:", "logfmt");
    refused(HEAD "peer a { addresses = {\"h\"} key = k }\n", ":7:", "host:port");
    refused(HEAD "peer a { addresses = {\"h:70000\"} key = k }\n", ":7:", "host:port");
    refused(HEAD "peer a {\n addresses = {\"h:1\"}\n}\n", ":9:", "'key' is missing");
    refused(HEAD "peer a {\n key = k\n}\n", ":9:", "'addresses' is missing");
    refused(HEAD "peer cn-hongkong { addresses = {\"h:1\"} key = k }\n", "", "own region");
    refused("region = \"a\"\n", "straitd.conf", "'data_dir' is missing");
    refused("region = \"a\n", "straitd.conf", "");
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
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(an_unknown_setting_is_refused_with_its_line),
        cmocka_unit_test(a_setting_given_twice_is_refused_with_its_line),
        cmocka_unit_test(bad_values_say_what_to_write),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(sizes_have_binary_units),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
