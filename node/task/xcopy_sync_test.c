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

#define COPIES 4

struct syncs {
    unsigned of_log, of_others;
};

static struct syncs copy_syncs(const char *name)
{
    loop_pass(&here);
    atomic_store(&logged, 0);
    atomic_store(&others, 0);
    struct task_id id;
    ok(xcopy_start(name, name, &id));
    struct task_status status = wait_for(&id, is_tidy);
    done(&status);
    equal(name, name);
    return (struct syncs){atomic_load(&logged), atomic_load(&others)};
}

/* The cheapest of several: the node has other things to note now and then. */
static void keep_least(struct syncs *least, struct syncs now)
{
    least->of_log = now.of_log < least->of_log ? now.of_log : least->of_log;
    least->of_others = now.of_others < least->of_others ? now.of_others : least->of_others;
}

/* The task's record, what it brought, its publish: how it began and ended goes with these, or with the next. */
static void test_small_copies(void **state)
{
    (void)state;
    struct table_id table = table_make("small");
    struct syncs brought = {UINT32_MAX, UINT32_MAX}, held_already = brought;
    for (unsigned i = 0; i < COPIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "small_%u", i);
        overwrite(table, 1, 3, name);
        snapshot_make(table, name);
        keep_least(&brought, copy_syncs(name));
        keep_least(&held_already, copy_syncs(name));
    }
    assert_in_range(brought.of_log, 1, 3);
    assert_int_equal(brought.of_others, 0);
    assert_in_range(held_already.of_log, 1, 2);
}

/* And the pack's number, before it is begun; the pack itself, its place in the database, which keeps a list, and their folder. */
static void test_copies_with_a_pack(void **state)
{
    (void)state;
    struct table_id table = table_make("large");
    struct syncs least = {UINT32_MAX, UINT32_MAX};
    for (unsigned i = 0; i < COPIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "large_%u", i);
        file_padding = MIB(3);
        overwrite(table, 1, 1, name);
        file_padding = 0;
        snapshot_make(table, name);
        keep_least(&least, copy_syncs(name));
    }
    assert_in_range(least.of_log, 1, 4);
    assert_in_range(least.of_others, 1, 4);
}

static void until_files_are_asked_for(void)
{
    for (int i = 0; i < 2000 && atomic_load(&there.files_asked) == 0; i++)
        usleep(10000);
    assert_int_not_equal(atomic_load(&there.files_asked), 0);
    atomic_store(&there.files_asked, 0);
}

/* A request whose answer this node's process did not live to see: the source says so with its last word, which it does not
 * say again. */
static void test_the_last_count_of_a_source_that_knew_more(void **state)
{
    (void)state;
    struct table_id table = table_make("counted");
    overwrite(table, 1, 20, "counted");
    snapshot_make(table, "counted_1");
    atomic_store(&there.files_asked, 0);
    atomic_store(&there.holds_all, true);
    struct task_id id;
    ok(xcopy_start("counted_1", "counted_1", &id));
    until_files_are_asked_for();
    region_restart(&here, &there);
    until_files_are_asked_for();
    loop_pass(&here);
    atomic_store(&logged, 0);
    requests_let_go(&there);
    struct task_status status = wait_for(&id, is_tidy);
    done(&status);
    assert_in_range(atomic_load(&logged), 3, 100); /* what it brought, its publish, its end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_copies),
        cmocka_unit_test(test_copies_with_a_pack),
        cmocka_unit_test(test_the_last_count_of_a_source_that_knew_more),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
