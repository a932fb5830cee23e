/* The configuration file of client_config.h: what is taken, and what is refused where. */
#include "node/client/client_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char path[64];

static const char *file_make(const char *text)
{
    snprintf(path, sizeof path, "/tmp/client_config_test.%ld", (long)getpid());
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

#define GOOD "address = \"127.0.0.1:7071\"\nnode_key = \"strait1_x\"\nkey_file = my.key\n"

static void a_good_file_is_read(void **state)
{
    (void)state;
    struct client_config config CLIENT_CONFIG_CLEANUP = {0};
    struct err err;
    assert_int_equal(client_config_read(file_make(GOOD "# said\nproject = demo\nformat = json\n"),
                                        &config, &err),
                     ERR_OK);
    assert_string_equal(config.address, "127.0.0.1:7071");
    assert_string_equal(config.key_file, "/tmp/my.key");
    assert_string_equal(config.project, "demo");
    assert_ptr_equal(config.format, &format_json);
}

static void expect_refused(const char *text, const char *message)
{
    struct client_config config = {0};
    struct err err = {0};
    assert_int_equal(client_config_read(file_make(text), &config, &err), ERR_CONFIG);
    if (strstr(err.message, message) == NULL)
        print_error("%s\nlacks: %s\n", err.message, message);
    assert_non_null(strstr(err.message, message));
}

static void mistakes_are_named_with_their_line(void **state)
{
    (void)state;
    expect_refused(GOOD "adress = x\n", ":4: no such option 'adress'");
    expect_refused("# a\n# b\n" GOOD "adress = x # c\n", ":6: no such option 'adress'");
    expect_refused("# it's\n" GOOD "project = {\n", ":5: ");
    expect_refused(GOOD "project = a\nproject = b\n", ":5: 'project' is given twice");
    expect_refused(GOOD "format = xml\n", ":4: format 'xml': write table, csv or json");
    expect_refused("address = nowhere\n", ":1: address 'nowhere': write host:port");
    expect_refused("address = \"h:\"\n", ":1: address 'h:': write host:port");
    expect_refused("address = \"h:70000\"\n", ":1: address 'h:70000': write host:port");
    expect_refused("address = \":1\"\n", ":1: address ':1': write host:port");
    expect_refused(GOOD "format = {json}\n", ":4: ");
    expect_refused(GOOD "project = \"\"\n", ":4: 'project' is empty");
    expect_refused("address = \"a:1\"\n", "'node_key' is missing");
    expect_refused(GOOD "project = {\n", ":4: ");
}

static void an_absent_file_is_named(void **state)
{
    (void)state;
    struct client_config config = {0};
    struct err err = {0};
    assert_int_equal(client_config_read("/nowhere/x.conf", &config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "/nowhere/x.conf: No such file"));
}

static void the_environment_names_the_file_where_none_is_given(void **state)
{
    (void)state;
    struct client_config config CLIENT_CONFIG_CLEANUP = {0};
    setenv("STRAIT_CONFIG", file_make(GOOD), 1);
    assert_int_equal(client_config_read(NULL, &config, NULL), ERR_OK);
    assert_null(config.project);
    assert_ptr_equal(config.format, &format_table);
}

/* As it stands, and with what it says of the defaults (style.py: it has every setting). */
static void the_example_shows_the_defaults(void **state)
{
    (void)state;
    struct client_config config CLIENT_CONFIG_CLEANUP = {0};
    struct err err;
    assert_int_equal(client_config_read(CONFIG_EXAMPLE, &config, &err), ERR_OK);
    assert_null(config.project);
    assert_ptr_equal(config.format, &format_table);
    char line[512];
    bool shown = false;
    FILE *file = fopen(CONFIG_EXAMPLE, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        shown = shown || strncmp(line, "# format = \"table\" ", 19) == 0;
    fclose(file);
    assert_true(shown);
}

static int file_remove(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(the_example_shows_the_defaults),
        cmocka_unit_test(an_absent_file_is_named),
        cmocka_unit_test(the_environment_names_the_file_where_none_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, file_remove);
}
