/* What a node was started with, changed on the disk. */
#include "node/own_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT                                                                                       \
    "region = \"here\"\ndata_dir = \"data\"\nkey_file = \"node.key\"\n"                            \
    "listen_peers = {\"127.0.0.1:7070\"}\n"                                                        \
    "listen_operators = {\"127.0.0.1:7071\"}\noperator_keys = {\"k1\"}\n"

static struct trial {
    char folder[64], conf[100], key[100];
    struct config config;
    struct own_files own;
} trial;

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    struct identity *identity;
    struct err err;
    (void)state;
    snprintf(trial.folder, sizeof(trial.folder), "/tmp/own_files_test.XXXXXX");
    assert_non_null(mkdtemp(trial.folder));
    snprintf(trial.conf, sizeof(trial.conf), "%s/straitd.conf", trial.folder);
    snprintf(trial.key, sizeof(trial.key), "%s/node.key", trial.folder);
    file_write(trial.conf, TEXT);
    if (config_read(trial.conf, &trial.config, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(identity_create(trial.key, &identity, &err), ERR_OK);
    own_files_init(&trial.own, &trial.config, identity);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free((struct identity *)(uintptr_t)trial.own.identity);
    own_files_deinit(&trial.own);
    config_deinit(&trial.config);
    unlink(trial.conf);
    unlink(trial.key);
    return rmdir(trial.folder);
}

static void key_is_told(const char *words)
{
    struct err err = {0};
    assert_int_equal(own_key_check(&trial.own, &err), ERR_CONFIG);
    if (strstr(err.message, trial.key) == NULL || strstr(err.message, words) == NULL ||
        strstr(err.message, "restore the file") == NULL)
        fail_msg("%s", err.message);
}

static void config_is_told(const char *words)
{
    struct err err = {0};
    assert_int_equal(own_config_check(&trial.own, &err), ERR_CONFIG);
    if (strstr(err.message, trial.conf) == NULL || strstr(err.message, words) == NULL)
        fail_msg("%s", err.message);
}

/* Every bit of the file, which is told without a word of it. */
static void a_flipped_key_file_is_told(void **state)
{
    char text[256] = {0};
    struct err err = {0};
    (void)state;
    FILE *file = fopen(trial.key, "r+");
    assert_non_null(file);
    setbuf(file, NULL);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    assert_true(len > 90 && len < sizeof(text) - 1);
    assert_int_equal(own_key_check(&trial.own, &err), ERR_OK);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        assert_int_equal(fseek(file, (long)(bit / 8), SEEK_SET), 0);
        assert_int_equal(fputc((uint8_t)text[bit / 8] ^ 1 << bit % 8, file) == EOF, 0);
        assert_int_equal(own_key_check(&trial.own, &err), ERR_CONFIG);
        assert_null(strstr(err.message, text + 20));
        assert_int_equal(fseek(file, (long)(bit / 8), SEEK_SET), 0);
        assert_int_equal(fputc((uint8_t)text[bit / 8], file) == EOF, 0);
    }
    assert_int_equal(own_key_check(&trial.own, &err), ERR_OK);
    assert_int_equal(fclose(file), 0);
}

static void a_key_file_that_is_gone_or_open_to_others_is_told(void **state)
{
    (void)state;
    assert_int_equal(chmod(trial.key, 0644), 0);
    key_is_told("lets others read it");
    assert_int_equal(unlink(trial.key), 0);
    key_is_told("cannot be opened");
}

static void another_key_is_told(void **state)
{
    struct identity *other;
    struct err err;
    (void)state;
    assert_int_equal(unlink(trial.key), 0);
    assert_int_equal(identity_create(trial.key, &other, &err), ERR_OK);
    assert_false(identity_equal(other, trial.own.identity));
    identity_free(other);
    key_is_told("another key");
}

static void a_configuration_that_was_changed_is_told(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(own_config_check(&trial.own, &err), ERR_OK);
    file_write(trial.conf, TEXT "# one more line\n");
    config_is_told("changed since it was taken up");
    struct digest digest;
    assert_int_equal(config_digest(trial.conf, &digest, &err), ERR_OK);
    own_config_taken(&trial.own, &digest);
    assert_int_equal(own_config_check(&trial.own, &err), ERR_OK);
    file_write(trial.conf, TEXT);
    config_is_told("SIGHUP or a restart takes it up");
    own_config_taken(&trial.own, &trial.config.digest);
    file_write(trial.conf, TEXT);
    assert_int_equal(own_config_check(&trial.own, &err), ERR_OK);
    assert_int_equal(unlink(trial.conf), 0);
    config_is_told("cannot be read any more");
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIAL_OF(a_flipped_key_file_is_told),
        TRIAL_OF(a_key_file_that_is_gone_or_open_to_others_is_told),
        TRIAL_OF(another_key_is_told),
        TRIAL_OF(a_configuration_that_was_changed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
