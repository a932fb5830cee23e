/* Whose a data directory may be. What is in it: content_test.c, crash_test.c. */
#include "store/directory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

#define NAMELESS 31001 /* users without a name */
#define OTHER    31002

static char folder[64], inside[96], lock[96];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/directory_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(inside, sizeof(inside), "%s/data//", folder);
    snprintf(lock, sizeof(lock), "%s/store.lock", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(seteuid(getuid()), 0); /* of a test that failed */
    assert_int_equal(directory_remove(folder, NULL), ERR_OK);
    return 0;
}

static void refused(const char *path, const char *words)
{
    struct err err;
    assert_int_equal(directory_owner_check(path, &err), ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void accepted(const char *path)
{
    assert_int_equal(directory_owner_check(path, NULL), ERR_OK);
}

static void ones_own_folder_is_good_and_one_to_be_made_in_it(void **state)
{
    (void)state;
    accepted(folder);
    accepted(inside);
    accepted("/tmp/directory_test.absent/data");
}

static void root_makes_nothing_in_another_users_folder(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct err err;
    const struct store_options options = {.data_dir = folder, .region = "here"};
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, NAMELESS, 0), 0);
    refused(folder, "user 31001's");
    refused(folder, "setpriv --reuid=31001 --clear-groups straitd");
    refused(inside, "user 31001's");
    assert_int_equal(store_open(&options, &store, &err), ERR_CONFIG);
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(chown(folder, 1, 1), 0); /* has a name everywhere */
    refused(folder, "run as that user: runuser -u ");
    assert_int_equal(chown(folder, 0, 0), 0);
    accepted(folder);
}

/* A volume that belongs to root and is given to a group. */
static void a_user_who_was_let_in_is_refused_only_another_users_store(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, NAMELESS, 0), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(seteuid(OTHER), 0);
    accepted(folder);
    accepted(inside);
    int file = open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    accepted(folder);
    assert_int_equal(seteuid(0), 0);
    assert_true(file >= 0 && fchown(file, NAMELESS, 0) == 0 && close(file) == 0);
    assert_int_equal(seteuid(OTHER), 0);
    refused(folder, "what user 31002 writes there");
    assert_int_equal(seteuid(0), 0);
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIAL_OF(ones_own_folder_is_good_and_one_to_be_made_in_it),
        TRIAL_OF(root_makes_nothing_in_another_users_folder),
        TRIAL_OF(a_user_who_was_let_in_is_refused_only_another_users_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
