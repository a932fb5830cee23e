/* A manifest that is written takes nothing with it: not what its place was linked to, not the one before. */
#include "node/backup/folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 128

struct place {
    char dir[PATH_BYTES / 2];
    struct backup_manifest manifest;
    struct err err;
};

static int setup(void **state)
{
    static const uint8_t cut[BACKUP_MARK_DIGITS / 2];
    struct place *place = mem_calloc(1, sizeof(*place));
    snprintf(place->dir, sizeof(place->dir), "/tmp/folder_test.XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    assert_int_equal(
        backup_list_decode(span_text("CURRENT 16 -\n"), cut, &place->manifest, &place->err),
        ERR_OK);
    snprintf(place->manifest.region, sizeof(place->manifest.region), "here");
    place->manifest.files[0].has_digest = true;
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    DIR *dir = opendir(place->dir);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(place->dir), 0);
    backup_manifest_deinit(&place->manifest);
    mem_free(place);
    return 0;
}

static void path_of(const struct place *place, const char *name, char ret_path[PATH_BYTES])
{
    snprintf(ret_path, PATH_BYTES, "%s/%s", place->dir, name);
}

static void other_make(const struct place *place)
{
    char path[PATH_BYTES];
    path_of(place, "other", path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("theirs", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void other_stands(const struct place *place)
{
    char path[PATH_BYTES], text[16] = {0};
    path_of(place, "other", path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, file), strlen("theirs"));
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, "theirs");
}

static void is_written(struct place *place)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest read = {0};
    char path[PATH_BYTES];
    struct stat stat_of;
    assert_int_equal(backup_manifest_write(place->dir, &place->manifest, &place->err), ERR_OK);
    assert_int_equal(backup_manifest_read(place->dir, &read, &place->err), ERR_OK);
    assert_string_equal(read.region, place->manifest.region);
    path_of(place, "manifest", path);
    assert_int_equal(lstat(path, &stat_of), 0);
    assert_true(S_ISREG(stat_of.st_mode) && (stat_of.st_mode & 0777) == 0600);
}

/* cp -al of a folder in which a backup was killed: its manifest.new is the manifest of the other folder by now. */
static void what_an_interrupted_one_shares_with_a_copy_stays(void **state)
{
    struct place *place = *state;
    char other[PATH_BYTES], fresh[PATH_BYTES];
    other_make(place);
    path_of(place, "other", other);
    path_of(place, "manifest.new", fresh);
    assert_int_equal(link(other, fresh), 0);
    is_written(place);
    other_stands(place);
}

static void a_link_to_elsewhere_is_not_written_through(void **state)
{
    struct place *place = *state;
    char fresh[PATH_BYTES];
    other_make(place);
    path_of(place, "manifest.new", fresh);
    assert_int_equal(symlink("other", fresh), 0);
    is_written(place);
    other_stands(place);
}

static void what_could_not_be_read_again_does_not_take_the_place_of_a_good_one(void **state)
{
    struct place *place = *state;
    BACKUP_MANIFEST_CLEANUP struct backup_manifest read = {0};
    is_written(place);
    snprintf(place->manifest.region, sizeof(place->manifest.region), "here\ncut 1");
    assert_int_equal(backup_manifest_write(place->dir, &place->manifest, &place->err),
                     ERR_BAD_DATA);
    snprintf(place->manifest.region, sizeof(place->manifest.region), "here");
    place->manifest.cut_ms = UINT64_MAX;
    assert_int_equal(backup_manifest_write(place->dir, &place->manifest, &place->err),
                     ERR_BAD_DATA);
    assert_int_equal(backup_manifest_read(place->dir, &read, &place->err), ERR_OK);
    assert_int_equal(read.cut_ms, 0);
}

#define PLACE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PLACE(what_an_interrupted_one_shares_with_a_copy_stays),
        PLACE(a_link_to_elsewhere_is_not_written_through),
        PLACE(what_could_not_be_read_again_does_not_take_the_place_of_a_good_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
