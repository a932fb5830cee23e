/* What a pack that was taken in, or not, leaves behind: its second name, with and without its first. */
#include "store/taken.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/parts.h"
#include "store/trial.h"

#define PACKS 3

/* Which of the next syncs of a manifest fails, though what it should make durable was written; 0: none.
 * The library calls this, not the C library's. */
static atomic_int refused_sync;
int fdatasync(int file)
{
    char name[32], path[512];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    ssize_t len = readlink(name, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = 0;
    bool counts = strstr(path, "/MANIFEST-") != NULL && atomic_load(&refused_sync) > 0;
    if (!counts || atomic_fetch_sub(&refused_sync, 1) > 1)
        return (int)syscall(SYS_fdatasync, file);
    errno = EIO;
    return -1;
}

static struct toy_snapshot snapshot_of(uint64_t seed)
{
    return (struct toy_snapshot){.seed = seed,
                                 .file_count = 20 + (size_t)seed,
                                 .universe = 1000000,
                                 .file_bytes_max = 300000};
}

static void pack_make(struct trial *trial, uint64_t seed)
{
    struct content *content;
    struct digest root;
    char name[16];
    struct toy_snapshot snapshot = snapshot_of(seed);
    snprintf(name, sizeof(name), "n%" PRIu64, seed);
    assert_int_equal(content_open(trial->store, (struct account_id){1}, &content, &trial->err),
                     ERR_OK);
    assert_int_equal(toy_add(content, &snapshot, &root, &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, name, &root, &trial->err), ERR_OK);
    content_close(content);
}

static void all_whole(struct trial *trial)
{
    for (uint64_t seed = 1; seed <= PACKS; seed++) {
        struct toy_snapshot snapshot = snapshot_of(seed);
        if (toy_check(trial->store, &snapshot, &trial->err) != ERR_OK)
            fail_msg("%s", trial->err.message);
    }
}

/* Renames, or removes, the files of packs: they are the largest of the database. */
static size_t first_names_take(struct trial *trial, bool keep_second)
{
    char folder[80], from[512], to[512];
    size_t count = 0;
    snprintf(folder, sizeof(folder), "%s/db", trial->dir);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".sst") != 0)
            continue;
        snprintf(from, sizeof(from), "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof(to), "%s-taking-pack-%zu.sst", folder, count++);
        assert_int_equal(keep_second ? rename(from, to) : unlink(from), 0);
    }
    closedir(dir);
    return count;
}

static size_t second_names(const struct trial *trial)
{
    size_t count = 0;
    DIR *dir = opendir(trial->dir);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, "db-taking-", 10) == 0;
    closedir(dir);
    return count;
}

static void a_file_that_the_database_misses_comes_back_from_its_second_name(void **state)
{
    struct trial *trial = *state;
    for (uint64_t seed = 1; seed <= PACKS; seed++)
        pack_make(trial, seed);
    store_close(trial->store);
    trial->store = NULL;
    assert_true(first_names_take(trial, true) >= PACKS);
    trial_open(trial); /* whatever pairs were tried, these are right */
    all_whole(trial);
    assert_int_equal(second_names(trial), 0);
    trial_reopen(trial);
    all_whole(trial);
}

static void without_a_second_name_it_is_damage_as_before(void **state)
{
    struct trial *trial = *state;
    struct store *store = NULL;
    for (uint64_t seed = 1; seed <= PACKS; seed++)
        pack_make(trial, seed);
    store_close(trial->store);
    trial->store = NULL;
    assert_true(first_names_take(trial, false) >= PACKS);
    assert_int_equal(store_open(&trial->options, &store, &trial->err), ERR_CORRUPT);
    assert_non_null(strstr(trial->err.message, ".sst (packs"));
    assert_non_null(strstr(trial->err.message, "--mend"));
}

/* A second name that fits nowhere, beside a file that is missing: it is not put in its place. */
static void a_file_of_another_length_is_taken_back(void **state)
{
    struct trial *trial = *state;
    struct store *store = NULL;
    char path[128];
    for (uint64_t seed = 1; seed <= PACKS; seed++)
        pack_make(trial, seed);
    store_close(trial->store);
    trial->store = NULL;
    size_t count = first_names_take(trial, false);
    snprintf(path, sizeof(path), "%s/db-taking-other.sst", trial->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("no pack", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(store_open(&trial->options, &store, &trial->err), ERR_CORRUPT);
    assert_int_equal(second_names(trial), 1); /* of a database that did not open nothing goes */
    assert_int_equal(first_names_take(trial, false), 0);
    assert_true(count >= PACKS);
}

static void what_is_left_of_a_file_that_is_there_goes(void **state)
{
    struct trial *trial = *state;
    char path[128];
    pack_make(trial, 1);
    snprintf(path, sizeof(path), "%s/db-taking-pack-1.sst", trial->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    trial_reopen(trial);
    assert_int_equal(second_names(trial), 0);
}

/* For each pack the library syncs its manifest twice: the first time it says which numbers are taken, then
 * that the pack is there. After that the manifest names it, the library deletes it and says that it is not
 * there: it is opened again, gets the pack back, and is offered what it has. */
static void a_pack_is_taken_in_whichever_sync_of_the_manifest_fails(void **state)
{
    struct trial *trial = *state;
    struct store_usage usage;
    for (uint64_t seed = 1; seed <= PACKS; seed++) {
        atomic_store(&refused_sync, (int)seed - 1);
        pack_make(trial, seed);
        assert_int_equal(atomic_load(&refused_sync), 0);
    }
    all_whole(trial);
    store_usage_get(trial->store, &usage);
    assert_int_equal(usage.pack_bytes, usage.pack_live_bytes);
    assert_int_equal(second_names(trial), 0);
    trial_reopen(trial);
    all_whole(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_file_that_the_database_misses_comes_back_from_its_second_name),
        TRIAL(without_a_second_name_it_is_damage_as_before),
        TRIAL(a_file_of_another_length_is_taken_back),
        TRIAL(a_pack_is_taken_in_whichever_sync_of_the_manifest_fails),
        TRIAL(what_is_left_of_a_file_that_is_there_goes),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
