/* A clean stop leaves nothing in the log; one that cannot write leaves the log. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/parts.h"
#include "store/trial.h"

/* Which of the next syncs of the database's tables and manifests fails; 0: none. The library calls this,
 * not the C library's. */
static atomic_int refused_sync;
int fdatasync(int file)
{
    char name[32], path[512];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    ssize_t len = readlink(name, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = 0;
    bool counts = strstr(path, "/db/") != NULL && strstr(path, ".log") == NULL;
    if (!counts || atomic_load(&refused_sync) == 0 || atomic_fetch_sub(&refused_sync, 1) > 1)
        return (int)syscall(SYS_fdatasync, file);
    errno = EIO;
    return -1;
}

static struct toy_snapshot publish(struct trial *trial, uint64_t seed)
{
    struct toy_snapshot snapshot = {
        .seed = seed, .file_count = 20, .universe = 1000000, .file_bytes_max = 3000};
    struct content *content;
    struct digest root;
    char name[16];
    snprintf(name, sizeof(name), "n%" PRIu64, seed);
    assert_int_equal(content_open(trial->store, (struct account_id){1}, &content, &trial->err),
                     ERR_OK);
    assert_int_equal(toy_add(content, &snapshot, &root, &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, name, &root, &trial->err), ERR_OK);
    content_close(content);
    return snapshot;
}

static void stop(struct trial *trial)
{
    store_close(trial->store);
    trial->store = NULL;
}

static void is_whole(struct trial *trial, const struct toy_snapshot *snapshot)
{
    if (toy_check(trial->store, snapshot, &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
}

/* Bytes of the database's logs; removes them if told to. */
static off_t logs_bytes(const struct trial *trial, bool remove)
{
    char folder[80], path[512];
    off_t bytes = 0;
    snprintf(folder, sizeof(folder), "%s/db", trial->dir);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat_of;
        if (strstr(entry->d_name, ".log") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        assert_int_equal(stat(path, &stat_of), 0);
        bytes += stat_of.st_size;
        if (remove)
            assert_int_equal(unlink(path), 0);
    }
    closedir(dir);
    return bytes;
}

static void nothing_rests_on_a_log_that_was_flushed(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = publish(trial, 1);
    assert_true(logs_bytes(trial, false) > 0);
    assert_int_equal(store_flush(trial->store, &trial->err), ERR_OK);
    stop(trial);
    assert_int_equal(logs_bytes(trial, true), 0);
    trial_open(trial);
    is_whole(trial, &snapshot);
}

static void the_reserve_is_not_for_it(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = publish(trial, 1);
    off_t before = logs_bytes(trial, false);
    assert_true(before > 0);
    trial->store->space.reserve_bytes = UINT64_MAX / 2;
    assert_int_equal(store_flush(trial->store, &trial->err), ERR_NO_SPACE);
    assert_int_equal(logs_bytes(trial, false), before);
    trial_reopen(trial);
    is_whole(trial, &snapshot);
}

/* At the first, second, fourth ... of the syncs that it needs, until none is refused: after each the library
 * waits a second. */
static void a_flush_that_fails_loses_nothing(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshots[10];
    size_t count = 0;
    for (bool refused = true; refused; count++) {
        assert_true(count < ARRAY_COUNT(snapshots));
        snapshots[count] = publish(trial, count);
        atomic_store(&refused_sync, 1 << count);
        enum err_code code = store_flush(trial->store, &trial->err);
        refused = atomic_exchange(&refused_sync, 0) == 0;
        assert_int_equal(code, refused ? ERR_IO : ERR_OK);
        if (refused) /* and is not tried again: the database would have to be opened anew */
            assert_int_equal(store_flush(trial->store, &trial->err), ERR_IO);
        assert_int_equal(db_latched(trial->store->db), refused);
        trial_reopen(trial);
        for (size_t i = 0; i <= count; i++)
            is_whole(trial, &snapshots[i]);
    }
    assert_true(count > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(nothing_rests_on_a_log_that_was_flushed),
        TRIAL(the_reserve_is_not_for_it),
        TRIAL(a_flush_that_fails_loses_nothing),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
