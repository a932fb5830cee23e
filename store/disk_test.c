/* A disk that is full, for real: a tmpfs of the test's own, which needs root. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/catalog_commit.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct account_id alice = {1};

#define DISK_OPTIONS  "size=140m"
#define BALLAST_BYTES (80 * MIB(1))

struct disk {
    struct trial trial;
    char mount[64];
    char ballast[96];
};

static void ballast_make(struct disk *disk)
{
    int file = open(disk->ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(posix_fallocate(file, 0, BALLAST_BYTES), 0);
    close(file);
}

static int disk_setup(void **state)
{
    struct disk *disk = mem_calloc(1, sizeof(*disk));
    snprintf(disk->mount, sizeof(disk->mount), "/tmp/strait-disk-XXXXXX");
    assert_non_null(mkdtemp(disk->mount));
    *state = disk;
    if (mount("tmpfs", disk->mount, "tmpfs", 0, DISK_OPTIONS) != 0) {
        printf("skipped: a tmpfs cannot be mounted here: %s\n", strerror(errno));
        rmdir(disk->mount);
        disk->mount[0] = '\0';
        return 0;
    }
    snprintf(disk->ballast, sizeof(disk->ballast), "%s/ballast", disk->mount);
    snprintf(disk->trial.dir, sizeof(disk->trial.dir), "%.50s/data", disk->mount);
    ballast_make(disk);
    disk->trial.options = (struct store_options){.data_dir = disk->trial.dir, .region = "here"};
    trial_open(&disk->trial);
    return 0;
}

static int disk_teardown(void **state)
{
    struct disk *disk = *state;
    if (disk->mount[0] != '\0') {
        store_close(disk->trial.store);
        assert_int_equal(umount(disk->mount), 0);
        assert_int_equal(rmdir(disk->mount), 0);
    }
    mem_free(disk);
    return 0;
}

static enum err_code publish(struct store *store, uint64_t seed, size_t file_bytes_max,
                             struct toy_snapshot *ret_snapshot, struct err *err)
{
    struct content *content CONTENT_CLEANUP = NULL;
    struct toy_snapshot snapshot = {
        .seed = seed, .file_count = 20, .universe = 1000000, .file_bytes_max = file_bytes_max};
    struct digest root;
    char name[32];
    snprintf(name, sizeof(name), "n%" PRIu64, seed);
    TRY(content_open(store, alice, &content, err));
    TRY(toy_add(content, &snapshot, &root, err));
    TRY(content_commit(content, err));
    TRY(toy_publish(store, name, &root, err));
    *ret_snapshot = snapshot;
    return ERR_OK;
}

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    (void)context;
    (void)digest;
    fprintf(stderr, "fsck: %s\n", what);
}

static void all_whole(struct trial *trial, const struct toy_snapshot *snapshots, size_t count)
{
    struct fsck_counts counts;
    for (size_t i = 0; i < count; i++) {
        if (toy_check(trial->store, &snapshots[i], &trial->err) != ERR_OK)
            fail_msg("%s", trial->err.message);
    }
    if (store_fsck(trial->store, toy_tree(), FSCK_REHASH, fault_print, NULL, &counts,
                   &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    assert_int_equal(counts.faults, 0);
}

/* Fills the disk; what was acknowledged is there; with space again, work goes on in the process. */
static void fill_and_recover(struct disk *disk, size_t file_bytes_max)
{
    struct trial *trial = &disk->trial;
    static struct toy_snapshot snapshots[2000];
    size_t count = 0;
    for (; count < 1900; count++) {
        if (publish(trial->store, count, file_bytes_max, &snapshots[count], &trial->err) != ERR_OK)
            break;
    }
    assert_true(count > 5 && count < 1900);
    assert_int_equal(trial->err.code, ERR_NO_SPACE);
    /* It stays full, and stays an error; but what the database deletes behind it may give room for one more. */
    for (size_t i = 0, refused = 0; refused < 3; i++) {
        enum err_code code =
            publish(trial->store, 5000 + i, file_bytes_max, &snapshots[count], &trial->err);
        assert_true(i < 100 && (code == ERR_OK || code == ERR_NO_SPACE));
        refused += code == ERR_NO_SPACE;
    }
    all_whole(trial, snapshots, count);
    assert_int_equal(unlink(disk->ballast), 0);
    for (size_t i = 0; i < 5; i++, count++) {
        if (publish(trial->store, count, file_bytes_max, &snapshots[count], &trial->err) != ERR_OK)
            fail_msg("%s", trial->err.message);
    }
    all_whole(trial, snapshots, count);
    trial_reopen(trial);
    all_whole(trial, snapshots, count);
}

static void a_disk_filled_by_packs_is_an_error_and_not_the_end(void **state)
{
    struct disk *disk = *state;
    if (disk->mount[0] == '\0')
        skip();
    fill_and_recover(disk, 300000);
}

static void a_disk_filled_by_small_commits_is_an_error_and_not_the_end(void **state)
{
    struct disk *disk = *state;
    if (disk->mount[0] == '\0')
        skip();
    fill_and_recover(disk, 40000);
}

static void the_reserve_lets_a_drop_and_clean_up_free_a_full_disk(void **state)
{
    struct disk *disk = *state;
    if (disk->mount[0] == '\0')
        skip();
    struct trial *trial = &disk->trial;
    struct toy_snapshot snapshot;
    store_close(trial->store);
    trial->options.disk_reserve_bytes = 12 * MIB(1);
    trial_open(trial);
    uint64_t seed = 0;
    while (publish(trial->store, seed, 300000, &snapshot, &trial->err) == ERR_OK && seed < 500)
        seed++;
    assert_int_equal(trial->err.code, ERR_NO_SPACE);
    assert_non_null(strstr(trial->err.message, "reserve"));
    struct collect_counts counts;
    for (uint64_t n = 0; n < seed; n++) {
        char name[32];
        snprintf(name, sizeof(name), "n%" PRIu64, n);
        assert_int_equal(toy_drop(trial->store, name, &trial->err), ERR_OK);
    }
    assert_int_equal(collect_run(trial->store, toy_tree(), &counts, &trial->err), ERR_OK);
    assert_true(counts.packs_dropped > 0);
    assert_int_equal(publish(trial->store, 1000, 300000, &snapshot, &trial->err), ERR_OK);
}

/* A pack of which a third lives; then the disk is filled to the last `left_bytes`. */
static void thin_pack_on_full_disk(struct disk *disk, uint64_t left_bytes,
                                   struct toy_snapshot *ret_keep)
{
    struct trial *trial = &disk->trial;
    struct content *content CONTENT_CLEANUP = NULL;
    struct toy_snapshot keep = {
        .seed = 1, .file_count = 20, .universe = 1000000, .file_bytes_max = 500000};
    struct toy_snapshot gone = keep;
    struct digest root;
    struct statvfs stat;
    gone.seed = 2;
    gone.file_count = 60;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &gone, &root, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &keep, &root, &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "keep", &root, &trial->err), ERR_OK);
    assert_int_equal(unlink(disk->ballast), 0);
    assert_int_equal(statvfs(disk->mount, &stat), 0);
    int file = open(disk->ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(posix_fallocate(file, 0, (off_t)(stat.f_bavail * stat.f_frsize - left_bytes)),
                     0);
    close(file);
    *ret_keep = keep;
}

static void a_copy_that_does_not_fit_is_skipped_and_done_when_it_does(void **state)
{
    struct disk *disk = *state;
    if (disk->mount[0] == '\0')
        skip();
    struct trial *trial = &disk->trial;
    struct toy_snapshot keep;
    struct collect_counts counts;
    thin_pack_on_full_disk(disk, 30 * MIB(1), &keep);
    trial->store->space.reserve_bytes = 135 * MIB(1); /* clean-up may use it */
    for (int round = 0; round < 2; round++) {
        if (collect_run(trial->store, toy_tree(), &counts, &trial->err) != ERR_OK)
            fail_msg("%s", trial->err.message);
        assert_int_equal(counts.repack.packs_skipped, 1);
        assert_int_equal(counts.repack.packs_copied, 0);
    }
    all_whole(trial, &keep, 1);
    assert_int_equal(unlink(disk->ballast), 0);
    assert_int_equal(space_check(&trial->store->space, 1, NULL), ERR_NO_SPACE);
    assert_int_equal(collect_run(trial->store, toy_tree(), &counts, &trial->err), ERR_OK);
    assert_int_equal(counts.repack.packs_skipped, 0);
    assert_int_equal(counts.repack.packs_copied, 1);
    all_whole(trial, &keep, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_disk_filled_by_packs_is_an_error_and_not_the_end,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(a_disk_filled_by_small_commits_is_an_error_and_not_the_end,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(the_reserve_lets_a_drop_and_clean_up_free_a_full_disk,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(a_copy_that_does_not_fit_is_skipped_and_done_when_it_does,
                                        disk_setup, disk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
