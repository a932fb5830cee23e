/* How often a copy waits for its destination's disk: with many copies at once that is what they cost. */
#include "node/task/xcopy_trial.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_uint logged, others; /* syncs below here.dir: of the database's log, of other files */

/* The library's, too. */
int fdatasync(int file)
{
    char link[32], path[256];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = 0;
    if (strncmp(path, here.dir, strlen(here.dir)) == 0)
        atomic_fetch_add(len > 4 && strcmp(path + len - 4, ".log") == 0 ? &logged : &others, 1);
    return (int)syscall(SYS_fdatasync, file);
}

/* At most so many. */
static void copy_syncs(const char *name, unsigned of_log, unsigned of_others)
{
    loop_pass(&here);
    atomic_store(&logged, 0);
    atomic_store(&others, 0);
    struct task_id id;
    ok(xcopy_start(name, name, &id));
    struct task_status status = wait_for(&id, is_tidy);
    done(&status);
    equal(name, name);
    assert_in_range(atomic_load(&logged), 1, of_log);
    assert_in_range(atomic_load(&others), 0, of_others);
}

/* The task's record, what it brought, its publish: how it began and ended goes with these, or with the next. */
static void test_small_copies(void **state)
{
    (void)state;
    struct table_id table = table_make("small");
    overwrite(table, 1, 3, "small");
    snapshot_make(table, "small_1");
    copy_syncs("small_1", 3, 0);
    overwrite(table, 2, 2, "changed");
    snapshot_make(table, "small_2");
    copy_syncs("small_2", 3, 0);
    copy_syncs("small_2", 2, 0); /* all is here */
}

/* And the pack's number, before it is begun; the pack itself, its place in the database, which keeps a list, and their folder. */
static void test_a_copy_with_a_pack(void **state)
{
    (void)state;
    struct table_id table = table_make("large");
    file_padding = MIB(3);
    overwrite(table, 1, 1, "large");
    file_padding = 0;
    snapshot_make(table, "large_1");
    copy_syncs("large_1", 4, 4);
}

/* A request whose answer this node's process did not live to see: the source says so with its last word, which it does not
 * say again. */
static void test_the_last_count_of_a_source_that_knew_more(void **state)
{
    (void)state;
    struct table_id table = table_make("counted");
    overwrite(table, 1, 20, "counted");
    snapshot_make(table, "counted_1");
    atomic_store(&there.holds_files, true);
    struct task_id id;
    ok(xcopy_start("counted_1", "counted_1", &id));
    for (int i = 0; i < 2000 && atomic_load(&held) == NULL; i++)
        usleep(10000);
    assert_non_null(atomic_load(&held));
    atomic_store(&there.files_asked, 0);
    region_restart(&here, &there);
    for (int i = 0; i < 2000 && atomic_load(&there.files_asked) == 0; i++)
        usleep(10000);
    assert_int_not_equal(atomic_load(&there.files_asked), 0);
    atomic_store(&logged, 0);
    request_let_go(&there);
    struct task_status status = wait_for(&id, is_tidy);
    done(&status);
    assert_int_equal(atomic_load(&logged), 3); /* what it brought, its publish, its end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_copies),
        cmocka_unit_test(test_a_copy_with_a_pack),
        cmocka_unit_test(test_the_last_count_of_a_source_that_knew_more),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
