/* Clean-up and fsck, on toy trees (trial.h). */
#include "store/collect.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/catalog_commit.h"
#include "store/files.h"
#include "store/mark.h"
#include "store/pack_tally.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/trial.h"

static const struct account_id alice = {1}, bob = {2};

static struct toy_snapshot snapshot_of(uint64_t seed, size_t file_count, size_t file_bytes_max)
{
    return (struct toy_snapshot){
        .seed = seed, .file_count = file_count, .universe = 200, .file_bytes_max = file_bytes_max};
}

/* Adds and commits; the content stays open. */
static struct content *stored_by(struct trial *trial, struct account_id account,
                                 const struct toy_snapshot *snapshot, struct digest *ret_root)
{
    struct content *content;
    assert_int_equal(content_open(trial->store, account, &content, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, snapshot, ret_root, &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    return content;
}

static struct content *stored(struct trial *trial, const struct toy_snapshot *snapshot,
                              struct digest *ret_root)
{
    return stored_by(trial, alice, snapshot, ret_root);
}

static struct digest named_by(struct trial *trial, struct account_id account, const char *name,
                              const struct toy_snapshot *snapshot)
{
    struct digest root;
    struct content *content = stored_by(trial, account, snapshot, &root);
    assert_int_equal(toy_publish(trial->store, name, &root, &trial->err), ERR_OK);
    content_close(content);
    return root;
}

static struct digest named(struct trial *trial, const char *name,
                           const struct toy_snapshot *snapshot)
{
    return named_by(trial, alice, name, snapshot);
}

static struct collect_counts collected(struct trial *trial)
{
    struct collect_counts counts = {0};
    if (collect_run(trial->store, toy_tree(), &counts, &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    return counts;
}

static void fault_print(void *context, const struct digest *digest, const char *what)
{
    (void)context;
    char hex[DIGEST_HEX_BYTES];
    fprintf(stderr, "fsck: %s: %s\n", digest_hex(digest, hex), what);
}

static struct fsck_counts checked(struct trial *trial, enum fsck_depth depth)
{
    struct fsck_counts counts = {0};
    if (store_fsck(trial->store, toy_tree(), depth, fault_print, NULL, &counts, &trial->err) !=
        ERR_OK)
        fail_msg("%s", trial->err.message);
    return counts;
}

static void whole(struct trial *trial, const struct toy_snapshot *snapshot)
{
    if (toy_check(trial->store, snapshot, &trial->err) != ERR_OK)
        fail_msg("%s", trial->err.message);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
}

static void what_is_named_stays_and_what_is_not_goes(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot keep = snapshot_of(1, 30, 200000), drop = snapshot_of(2, 30, 200000);
    named(trial, "keep", &keep);
    named(trial, "drop", &drop);
    struct collect_counts counts = collected(trial);
    assert_int_equal(counts.pages_deleted + counts.files_deleted, 0);
    assert_int_equal(toy_drop(trial->store, "drop", &trial->err), ERR_OK);
    counts = collected(trial);
    assert_true(counts.pages_deleted > 0 && counts.files_deleted > 0);
    whole(trial, &keep);
    assert_int_equal(toy_check(trial->store, &drop, &trial->err), ERR_NOT_FOUND);
    assert_int_equal(toy_drop(trial->store, "keep", &trial->err), ERR_OK);
    counts = collected(trial);
    assert_int_equal(counts.pages_marked + counts.files_marked, 0);
    struct store_usage usage = trial_usage(trial);
    assert_int_equal(usage.pack_count, 0);
    assert_int_equal(usage.small_bytes, 0);
    trial_reopen(trial);
    assert_int_equal(checked(trial, FSCK_REHASH).pages, 0);
}

static void an_open_content_keeps_what_it_stored(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 200000);
    struct digest root;
    struct content *content = stored(trial, &snapshot, &root);
    collected(trial);
    collected(trial);
    whole(trial, &snapshot);
    assert_int_equal(toy_publish(trial->store, "x", &root, &trial->err), ERR_OK);
    content_close(content);
    collected(trial);
    whole(trial, &snapshot);
}

static void pages_not_committed_yet_do_not_lose_their_files(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 50000);
    struct digest root;
    struct content *content;
    named(trial, "x", &snapshot); /* the files are known to the store, */
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &snapshot, &root, &trial->err), ERR_OK);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    collected(trial); /* and would go here but for the pins */
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "y", &root, &trial->err), ERR_OK);
    content_close(content);
    whole(trial, &snapshot);
}

static void a_relied_page_keeps_all_below_it(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 50000);
    struct digest root = named(trial, "x", &snapshot);
    struct content *content;
    bool held;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(content_rely_page(content, &root, &held, &trial->err), ERR_OK);
    assert_true(held);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    collected(trial);
    whole(trial, &snapshot);
    content_close(content);
    collected(trial);
    assert_int_equal(toy_check(trial->store, &snapshot, &trial->err), ERR_NOT_FOUND);
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(content_rely_page(content, &root, &held, &trial->err), ERR_OK);
    assert_false(held);
    content_close(content);
}

static void a_pinned_version_outlives_its_name(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 50000);
    struct digest root = named(trial, "x", &snapshot);
    struct content *content;
    assert_int_equal(content_open(trial->store, (struct account_id){7}, &content, &trial->err),
                     ERR_OK);
    assert_int_equal(content_pin_page(content, &root, &trial->err), ERR_OK);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    collected(trial);
    whole(trial, &snapshot);
    content_close(content);
    assert_true(collected(trial).files_deleted > 0);
}

static void staged_pages_keep_what_they_name(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 5, 50000);
    static const struct task_id task = {{3}};
    struct digest root = named(trial, "x", &snapshot);
    struct bytes page BYTES_CLEANUP = {0};
    struct digest names[2] = {root, {{1, 2, 3}}}; /* the second is still to be pulled */
    struct digest above = toy_page(1, names, 2, &page);
    struct staged_page staged = {above, bytes_span(&page)};
    assert_int_equal(staged_put(trial->store, &task, &staged, 1, &trial->err), ERR_OK);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    collected(trial);
    whole(trial, &snapshot);
    assert_int_equal(staged_drop(trial->store, &task, &trial->err), ERR_OK);
    assert_true(collected(trial).files_deleted > 0);
}

static void a_staged_page_that_cannot_be_read_does_not_stop_a_clean_up(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 5, 50000);
    static const struct task_id task = {{3}};
    named(trial, "x", &snapshot);
    struct staged_page staged = {{{9}}, span_text("no page at all")};
    assert_int_equal(staged_put(trial->store, &task, &staged, 1, &trial->err), ERR_OK);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    struct collect_counts counts = collected(trial);
    assert_true(counts.files_deleted > 0);
    assert_int_equal(counts.staged_unreadable, 1);
}

static void a_missing_page_or_file_is_a_fault_and_nothing_is_deleted(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 1000), other = snapshot_of(2, 40, 1000);
    struct digest root = named(trial, "x", &snapshot);
    named(trial, "other", &other);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 0);
    struct bytes page BYTES_CLEANUP = {0};
    assert_int_equal(page_read(trial->store, &root, &page, &trial->err), ERR_OK);
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    db_batch_delete(&batch, FAMILY_PAGES, span_of(page.data + 1, DIGEST_BYTES));
    assert_int_equal(db_write(trial->store->db, &batch, true, &trial->err), ERR_OK);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 2); /* missing, and held */
    struct collect_counts counts;
    assert_int_equal(toy_drop(trial->store, "other", &trial->err), ERR_OK);
    assert_int_equal(collect_run(trial->store, toy_tree(), &counts, &trial->err), ERR_NOT_FOUND);
    assert_int_equal(toy_check(trial->store, &other, &trial->err), ERR_OK);
}

static void fsck_finds_damaged_files_and_wrong_books(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 1000);
    struct bytes file BYTES_CLEANUP = {0};
    named(trial, "x", &snapshot);
    struct digest digest = toy_file(3, 500, &file);
    struct content *content;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    file.data[100] ^= 1;
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err), ERR_OK);
    struct bytes page BYTES_CLEANUP = {0};
    struct digest root = toy_page(0, &digest, 1, &page);
    assert_int_equal(content_add_page(content, &root, bytes_span(&page), &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    content_close(content);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 1);
    trial->store->index.small_bytes++;
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 1);
    trial->store->index.small_bytes--;
}

/* ---- packs that are thin, and counts that are wrong ---- */

/* Bytes of the files under a directory of the store, as the disk has them. */
static uint64_t disk_bytes(const struct trial *trial, const char *folder)
{
    char path[128];
    uint64_t bytes = 0;
    snprintf(path, sizeof(path), "%s/%s", trial->dir, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat;
        if (fstatat(dirfd(dir), entry->d_name, &stat, 0) == 0 && S_ISREG(stat.st_mode) &&
            (strcmp(folder, "db") != 0 || strstr(entry->d_name, ".sst") != NULL))
            bytes += (uint64_t)stat.st_size;
    }
    closedir(dir);
    return bytes;
}

/* Two snapshots of half the files each, in one pack: dropping one leaves the pack thin. */
static void thin_pack(struct trial *trial, struct toy_snapshot *ret_keep)
{
    struct toy_snapshot keep = snapshot_of(1, 12, 400000), drop = snapshot_of(2, 40, 400000);
    struct content *content;
    struct digest roots[2];
    keep.universe = drop.universe = 100000;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &keep, &roots[0], &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &drop, &roots[1], &trial->err), ERR_OK);
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "keep", &roots[0], &trial->err), ERR_OK);
    content_close(content);
    *ret_keep = keep;
}

static void a_thin_pack_gives_its_space_back(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot keep;
    thin_pack(trial, &keep);
    uint64_t before = disk_bytes(trial, "db");
    struct collect_counts counts = collected(trial);
    assert_int_equal(counts.repack.packs_copied, 1);
    assert_int_equal(counts.repack.packs_written, 1);
    struct store_usage usage = trial_usage(trial);
    assert_int_equal(usage.pack_count, 1);
    assert_int_equal(usage.pack_bytes, usage.pack_live_bytes);
    assert_int_equal(usage.pack_bytes, counts.repack.file_bytes_copied);
    assert_true(disk_bytes(trial, "db") < before / 2);
    whole(trial, &keep);
    counts = collected(trial);
    assert_int_equal(counts.repack.packs_copied, 0);
    trial_reopen(trial);
    whole(trial, &keep);
}

static void packs_of_some_live_bytes_are_left_alone(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot keep;
    thin_pack(trial, &keep);
    trial->store->thin_percent = 10;
    assert_int_equal(collected(trial).repack.packs_copied, 0);
    assert_int_equal(trial_usage(trial).pack_count, 1);
    whole(trial, &keep);
}

static void a_damaged_file_stays_with_its_pack_and_the_others_leave(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot keep;
    struct content *content;
    struct bytes file BYTES_CLEANUP = {0};
    struct bytes page BYTES_CLEANUP = {0};
    struct bytes read BYTES_CLEANUP = {0};
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    struct digest digest = toy_file(77, 300000, &file);
    file.data[1000] ^= 1;
    assert_int_equal(
        content_add_file(content, &digest, bytes_span(&file), CONTENT_HASHED, &trial->err), ERR_OK);
    struct digest other = toy_file(78, 2 * MIB(1), &read); /* not named; enough to begin a pack */
    assert_int_equal(
        content_add_file(content, &other, bytes_span(&read), CONTENT_HASHED, &trial->err), ERR_OK);
    struct digest root = toy_page(0, &digest, 1, &page);
    assert_int_equal(content_add_page(content, &root, bytes_span(&page), &trial->err), ERR_OK);
    thin_pack(trial, &keep); /* in the same pack */
    assert_int_equal(content_commit(content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "damaged", &root, &trial->err), ERR_OK);
    content_close(content);
    struct collect_counts counts = collected(trial);
    assert_int_equal(counts.repack.files_damaged, 1);
    assert_int_equal(counts.repack.packs_copied, 0);
    assert_int_equal(trial_usage(trial).pack_live_bytes, 300000 + counts.repack.file_bytes_copied);
    assert_int_equal(toy_check(trial->store, &keep, &trial->err), ERR_OK);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 1);
    counts = collected(trial); /* looked at again, and nothing is written */
    assert_int_equal(counts.repack.files_damaged, 1);
    assert_int_equal(counts.repack.packs_written, 0);
    assert_int_equal(file_read(trial->store, &digest, FILE_CHECK_LENGTH, &read, &trial->err),
                     ERR_CORRUPT); /* listed: never served */
}

static void a_wrong_count_loses_nothing_and_is_put_right(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot keep;
    static const uint64_t wrong[] = {0, 1, UINT64_C(1) << 40};
    thin_pack(trial, &keep);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        collected(trial);
        struct index *index = &trial->store->index;
        uint64_t right = index->packs[0].live_bytes;
        index->packs[0].live_bytes = wrong[i];
        index->small_bytes = wrong[i];
        struct collect_counts counts = collected(trial);
        assert_int_equal(counts.packs_recounted, 1);
        assert_int_equal(counts.packs_dropped, 0);
        assert_int_equal(index->packs[0].live_bytes, right);
        index->small_bytes = 0;
        whole(trial, &keep);
    }
}

static void a_pack_that_failed_leaves_no_record_for_ever(void **state)
{
    struct trial *trial = *state;
    struct pack *pack;
    assert_int_equal(pack_begin(trial->store->packs, &pack, &trial->err), ERR_OK);
    collected(trial);
    assert_int_equal(trial->store->index.pack_count, 1); /* busy */
    pack_end(pack);
    assert_int_equal(collected(trial).packs_dropped, 1);
    assert_int_equal(trial->store->index.pack_count, 0);
    trial_reopen(trial);
    assert_int_equal(trial->store->index.pack_count, 0);
}

/* What two accounts brought is stored once after the next clean-up. */
static void the_second_copy_of_what_a_stranger_has_goes(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot large = snapshot_of(1, 40, 400000), little = snapshot_of(2, 20, 20000);
    named_by(trial, alice, "a", &large);
    named_by(trial, alice, "a2", &little);
    uint64_t bytes = trial_usage(trial).pack_bytes;
    named_by(trial, bob, "b", &large);
    named_by(trial, bob, "b2", &little);
    struct store_usage usage = trial_usage(trial);
    assert_int_equal(usage.pack_bytes, 2 * bytes);
    assert_int_equal(usage.pack_live_bytes, bytes);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
    struct collect_counts counts = collected(trial);
    assert_int_equal(counts.packs_dropped, 1);
    assert_int_equal(counts.packs_recounted + counts.files_deleted, 0);
    assert_int_equal(trial_usage(trial).pack_bytes, bytes);
    assert_int_equal(toy_drop(trial->store, "a", &trial->err), ERR_OK);
    assert_int_equal(toy_drop(trial->store, "a2", &trial->err), ERR_OK);
    collected(trial);
    whole(trial, &large);
    whole(trial, &little);
    trial_reopen(trial);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 0);
}

/* One that a content moves to the nursery between the count of a pack and its end. */
static void a_file_that_moves_while_packs_are_counted_is_not_counted_back(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = {
        .seed = 1, .file_count = 40, .universe = 200, .file_bytes_max = 400000};
    struct toy_snapshot one = {
        .seed = 1, .file_count = 1, .universe = 200, .file_bytes_max = 400000};
    struct index *index = &trial->store->index;
    struct pack_tally tally = {0};
    uint64_t recounted = 0;
    named(trial, "x", &snapshot);
    uint64_t live_bytes = trial_usage(trial).pack_live_bytes;
    pack_tally_begin(&tally, index);
    tally.packs[0].files = 40;
    tally.packs[0].bytes = live_bytes;
    named_by(trial, bob, "y", &one);
    uint64_t moved = trial_usage(trial).small_bytes;
    assert_true(moved > 0);
    assert_int_equal(trial_usage(trial).pack_live_bytes, live_bytes - moved);
    assert_int_equal(pack_tally_settle(&tally, index, &recounted, &trial->err), ERR_OK);
    assert_int_equal(recounted, 0);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 0);
    pack_tally_deinit(&tally);
    index->packs[0].live_bytes++; /* the next count is believed again */
    assert_int_equal(collected(trial).packs_recounted, 1);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 0);
}

static void what_a_content_left_in_an_open_pack_goes(void **state)
{
    struct trial *trial = *state;
    struct toy_snapshot snapshot = snapshot_of(1, 40, 400000);
    struct content *content;
    struct digest root;
    assert_int_equal(content_open(trial->store, alice, &content, &trial->err), ERR_OK);
    assert_int_equal(toy_add(content, &snapshot, &root, &trial->err), ERR_OK);
    collected(trial);
    assert_true(disk_bytes(trial, "tmp") > 0); /* it may still be committed */
    content_close(content);
    assert_true(collected(trial).files_deleted > 0);
    assert_int_equal(disk_bytes(trial, "tmp"), 0);
    assert_int_equal(trial->store->index.pack_count, 0);
    assert_int_equal(trial->store->index.pins.count, 0);
}

/* Digests that a peer chose to be alike where tables look: 200,000 of them took minutes. */
static void chosen_digests_lie_apart(void **state)
{
    (void)state;
    struct digest_set set = {0};
    struct pin_map pins = {0};
    uint64_t crowded = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        struct digest digest = {{1}};
        store_u64(digest.b, i << 32); /* the low half, where tables looked, is the same */
        digest_set_add(&set, &digest);
        pin_map_add(&pins, &digest, PIN_FILE);
        crowded += (mark_spread(digest.b) & 0xFFFF) == (mark_spread(set.slots[0]) & 0xFFFF);
    }
    assert_int_equal(set.count, 200000);
    assert_int_equal(pins.count, 200000);
    assert_true(crowded < 200);
    digest_set_deinit(&set);
    pin_map_deinit(&pins);
}

/* ---- what happens in the middle of a collection ---- */

/* The toy tree, but at one moment of the collection something else happens. */
struct meanwhile {
    struct trial *trial;
    void (*happens)(struct meanwhile *meanwhile);
    bool in_sweep; /* else when the roots have been read */
    bool done;
    struct toy_snapshot snapshot;
    struct digest root;
    struct content *content;
    bool held;
};

static enum err_code meanwhile_roots(void *context, struct store *store, struct collect_mark *mark,
                                     struct err *err)
{
    struct meanwhile *meanwhile = context;
    TRY(toy_tree()->roots(NULL, store, mark, err));
    if (!meanwhile->in_sweep && !meanwhile->done) {
        meanwhile->done = true;
        meanwhile->happens(meanwhile);
    }
    return ERR_OK;
}

static enum err_code meanwhile_children(void *context, struct span page, struct collect_mark *mark,
                                        uint32_t *ret_level, struct err *err)
{
    struct meanwhile *meanwhile = context;
    if (meanwhile->in_sweep && mark->mute && !meanwhile->done) {
        meanwhile->done = true;
        meanwhile->happens(meanwhile);
    }
    return toy_tree()->children(NULL, page, mark, ret_level, err);
}

/* A dropped snapshot, a collection of it, and the event. */
static void collected_meanwhile(struct meanwhile *meanwhile, struct trial *trial)
{
    const struct collect_tree tree = {meanwhile, meanwhile_roots, meanwhile_children,
                                      toy_tree()->owners};
    struct collect_counts counts;
    meanwhile->trial = trial;
    meanwhile->snapshot = snapshot_of(1, 40, 50000);
    meanwhile->root = named(trial, "x", &meanwhile->snapshot);
    assert_int_equal(toy_drop(trial->store, "x", &trial->err), ERR_OK);
    assert_int_equal(collect_run(trial->store, &tree, &counts, &trial->err), ERR_OK);
    assert_true(meanwhile->done);
}

static void add_again(struct meanwhile *meanwhile)
{
    struct trial *trial = meanwhile->trial;
    assert_int_equal(content_open(trial->store, alice, &meanwhile->content, &trial->err), ERR_OK);
    assert_int_equal(
        toy_add(meanwhile->content, &meanwhile->snapshot, &meanwhile->root, &trial->err), ERR_OK);
}

static void add_publish_and_close(struct meanwhile *meanwhile)
{
    struct trial *trial = meanwhile->trial;
    add_again(meanwhile);
    assert_int_equal(content_commit(meanwhile->content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "y", &meanwhile->root, &trial->err), ERR_OK);
    content_close(meanwhile->content);
    meanwhile->content = NULL;
}

static void rely_on_root(struct meanwhile *meanwhile)
{
    struct trial *trial = meanwhile->trial;
    assert_int_equal(content_open(trial->store, alice, &meanwhile->content, &trial->err), ERR_OK);
    assert_int_equal(
        content_rely_page(meanwhile->content, &meanwhile->root, &meanwhile->held, &trial->err),
        ERR_OK);
}

static void pin_root(struct meanwhile *meanwhile)
{
    struct trial *trial = meanwhile->trial;
    assert_int_equal(content_open(trial->store, alice, &meanwhile->content, &trial->err), ERR_OK);
    assert_int_equal(content_pin_page(meanwhile->content, &meanwhile->root, &trial->err), ERR_OK);
}

static void what_is_added_again_before_the_sweep_is_not_swept(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = add_again};
    collected_meanwhile(&meanwhile, trial);
    assert_int_equal(content_commit(meanwhile.content, &trial->err), ERR_OK);
    assert_int_equal(toy_publish(trial->store, "y", &meanwhile.root, &trial->err), ERR_OK);
    content_close(meanwhile.content);
    whole(trial, &meanwhile.snapshot);
}

static void what_is_published_again_before_the_sweep_is_not_swept(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = add_publish_and_close};
    collected_meanwhile(&meanwhile, trial);
    whole(trial, &meanwhile.snapshot);
}

static void what_is_published_again_in_the_sweep_is_not_swept(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = add_publish_and_close, .in_sweep = true};
    collected_meanwhile(&meanwhile, trial);
    whole(trial, &meanwhile.snapshot);
}

static void a_page_relied_on_before_the_sweep_keeps_all_below_it(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = rely_on_root};
    collected_meanwhile(&meanwhile, trial);
    assert_true(meanwhile.held);
    whole(trial, &meanwhile.snapshot);
    content_close(meanwhile.content);
}

static void a_dead_page_is_not_to_be_relied_on_in_the_sweep(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = rely_on_root, .in_sweep = true};
    collected_meanwhile(&meanwhile, trial);
    assert_false(meanwhile.held);
    content_close(meanwhile.content);
    assert_int_equal(checked(trial, FSCK_RESOLVE).pages, 0);
}

static void a_dead_page_cannot_be_pinned_in_the_sweep(void **state)
{
    struct trial *trial = *state;
    struct meanwhile meanwhile = {.happens = pin_root, .in_sweep = true};
    collected_meanwhile(&meanwhile, trial);
    content_close(meanwhile.content);
    assert_int_equal(checked(trial, FSCK_RESOLVE).pages, 0);
}

/* ---- everything at once, against a model ---- */

#define NAMES 6

struct model {
    struct trial *trial;
    uint64_t chance;
    bool present[NAMES];
    struct toy_snapshot snapshots[NAMES];
    struct content *left_open;
    uint64_t packs_copied, packs_recounted;
};

/* A clean-up; before every other one a pack's count is made wrong. */
static void model_collect(struct model *model)
{
    struct index *index = &model->trial->store->index;
    if (index->pack_count > 0 && random_below(&model->chance, 2) == 0) {
        struct pack_record *pack = &index->packs[random_below(&model->chance, index->pack_count)];
        if (!pack->busy) /* a reserved pack's count does not come from the disk */
            pack->live_bytes = random_below(&model->chance, 2) * random_next(&model->chance) / 2;
    }
    struct collect_counts counts = collected(model->trial);
    model->packs_copied += counts.repack.packs_copied;
    model->packs_recounted += counts.packs_recounted;
}

static void model_publish(struct model *model, size_t i)
{
    char name[8];
    snprintf(name, sizeof(name), "n%zu", i);
    bool large = random_below(&model->chance, 3) == 0;
    struct toy_snapshot snapshot =
        snapshot_of(random_next(&model->chance), 1 + (size_t)random_below(&model->chance, 50),
                    large ? 150000 : 3000);
    struct account_id account = {1 +
                                 random_below(&model->chance, 2)}; /* names hold for the first */
    named_by(model->trial, account, name, &snapshot);
    model->snapshots[i] = snapshot;
    model->present[i] = true;
}

static void model_drop(struct model *model, size_t i)
{
    char name[8];
    snprintf(name, sizeof(name), "n%zu", i);
    assert_int_equal(toy_drop(model->trial->store, name, &model->trial->err), ERR_OK);
    model->present[i] = false;
}

static void model_check(struct model *model)
{
    assert_int_equal(checked(model->trial, FSCK_RESOLVE).faults, 0);
    for (size_t i = 0; i < NAMES; i++) {
        if (model->present[i])
            assert_int_equal(
                toy_check(model->trial->store, &model->snapshots[i], &model->trial->err), ERR_OK);
    }
}

/* Bytes of the files that the names of the model need, each once. */
static uint64_t model_live_bytes(struct model *model)
{
    struct pin_map seen = {0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < NAMES; i++) {
        struct bytes file BYTES_CLEANUP = {0};
        uint64_t chance = model->snapshots[i].seed;
        for (size_t f = 0; model->present[i] && f < model->snapshots[i].file_count; f++) {
            struct digest digest = toy_snapshot_file(&model->snapshots[i], &chance, &file);
            if (pin_map_find(&seen, &digest) != NULL)
                continue;
            pin_map_add(&seen, &digest, PIN_FILE);
            bytes += file.len;
        }
    }
    pin_map_deinit(&seen);
    return bytes;
}

/* Nothing else runs, and what an open content holds is let go: the packs on disk are within the bound
 * of repack.h of what the names need; the database's own records are small here. */
static void model_space_check(struct model *model)
{
    struct trial *trial = model->trial;
    content_close(model->left_open);
    model->left_open = NULL;
    collected(trial);
    struct store_usage usage = trial_usage(trial);
    uint64_t live_bytes = model_live_bytes(model);
    assert_int_equal(usage.pack_live_bytes + usage.small_bytes, live_bytes);
    assert_true(usage.pack_bytes * THIN_LIVE_PERCENT <= usage.pack_live_bytes * 100);
    assert_true(disk_bytes(trial, "tmp") == 0);
    assert_true(disk_bytes(trial, "db") <=
                live_bytes * 100 / THIN_LIVE_PERCENT * 105 / 100 + MIB(4));
}

static void model_leave_open(struct model *model)
{
    struct digest root;
    struct toy_snapshot snapshot = snapshot_of(random_next(&model->chance), 20, 100000);
    content_close(model->left_open);
    assert_int_equal(
        content_open(model->trial->store, alice, &model->left_open, &model->trial->err), ERR_OK);
    assert_int_equal(toy_add(model->left_open, &snapshot, &root, &model->trial->err), ERR_OK);
}

static void model_step(struct model *model)
{
    size_t i = (size_t)random_below(&model->chance, NAMES);
    uint64_t what = random_below(&model->chance, 100);
    if (what < 45) {
        model_publish(model, i);
    } else if (what < 65) {
        model_drop(model, i);
    } else if (what < 75) {
        model_leave_open(model);
    } else if (what < 92) {
        model_collect(model);
        model_check(model);
        model_space_check(model);
    } else {
        content_close(model->left_open);
        model->left_open = NULL;
        trial_reopen(model->trial);
        model->trial->store->index.small_bytes_max = 300000;
        model_check(model);
    }
}

static void any_history_equals_the_model(void **state)
{
    struct model model = {.trial = *state, .chance = trial_seed()};
    model.trial->store->index.small_bytes_max = 300000;
    for (int step = 0; step < 150; step++)
        model_step(&model);
    assert_true(model.packs_copied > 0 && model.packs_recounted > 0);
    content_close(model.left_open);
    for (size_t i = 0; i < NAMES; i++)
        model_drop(&model, i);
    collected(model.trial);
    struct store_usage usage = trial_usage(model.trial);
    assert_int_equal(usage.pack_count, 0);
    assert_int_equal(usage.small_bytes, 0);
    assert_int_equal(checked(model.trial, FSCK_RESOLVE).pages, 0);
}

/* ---- writers while clean-up runs ---- */

struct writer {
    struct store *store;
    struct account_id account;
    uint64_t chance;
    atomic_bool *stop;
    char name[8];
    unsigned rounds;
    struct err err;
};

/* Publishes, replaces and drops; what is published must be whole at once and at the end. A second
 * name is taken over from the first by relying on its root. */
static enum err_code writer_round(struct writer *writer)
{
    struct content *content CONTENT_CLEANUP = NULL;
    struct toy_snapshot snapshot =
        snapshot_of(random_next(&writer->chance), 1 + (size_t)random_below(&writer->chance, 40),
                    random_below(&writer->chance, 4) == 0 ? 100000 : 2000);
    struct digest root, before;
    TRY(content_open(writer->store, writer->account, &content, &writer->err));
    TRY(toy_find(writer->store, writer->name, &before, &writer->err));
    if (!digest_is_zero(&before) && random_below(&writer->chance, 3) == 0) {
        bool held;
        char copy[16];
        snprintf(copy, sizeof(copy), "%s-copy", writer->name);
        TRY(toy_drop(writer->store, writer->name, &writer->err));
        TRY(content_rely_page(content, &before, &held, &writer->err));
        return held ? toy_publish(writer->store, copy, &before, &writer->err) : ERR_OK;
    }
    TRY(toy_add(content, &snapshot, &root, &writer->err));
    TRY(content_commit(content, &writer->err));
    TRY(toy_publish(writer->store, writer->name, &root, &writer->err));
    content_close(content);
    content = NULL;
    return toy_check(writer->store, &snapshot, &writer->err);
}

static void *writer_run(void *context)
{
    struct writer *writer = context;
    while (!atomic_load(writer->stop) && writer->err.code == ERR_OK) {
        if (writer_round(writer) != ERR_OK)
            break;
        writer->rounds++;
    }
    return NULL;
}

static void clean_up_and_writers_do_not_disturb_each_other(void **state)
{
    struct trial *trial = *state;
    uint64_t seed = trial_seed();
    atomic_bool stop = false;
    struct writer writers[3] = {0};
    pthread_t threads[3];
    trial->store->index.small_bytes_max = 100000;
    for (size_t i = 0; i < 3; i++) {
        writers[i] = (struct writer){.store = trial->store,
                                     .account = i == 0 ? bob : alice,
                                     .chance = seed + i,
                                     .stop = &stop};
        snprintf(writers[i].name, sizeof(writers[i].name), "w%zu", i);
        assert_int_equal(pthread_create(&threads[i], NULL, writer_run, &writers[i]), 0);
    }
    uint64_t deleted = 0, copied = 0;
    for (int round = 0; round < 25 || ((deleted == 0 || copied == 0) && round < 1000); round++) {
        struct collect_counts counts = collected(trial);
        deleted += counts.pages_deleted;
        copied += counts.repack.packs_copied;
        if (round % 5 == 4)
            assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        if (writers[i].err.code != ERR_OK)
            fail_msg("%s", writers[i].err.message);
        assert_true(writers[i].rounds > 0);
    }
    assert_true(deleted > 0 && copied > 0);
    assert_int_equal(trial->store->index.pins.count, 0);
    collected(trial);
    assert_int_equal(checked(trial, FSCK_REHASH).faults, 0);
    trial_reopen(trial);
    assert_int_equal(checked(trial, FSCK_RESOLVE).faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(what_is_named_stays_and_what_is_not_goes),
        TRIAL(an_open_content_keeps_what_it_stored),
        TRIAL(pages_not_committed_yet_do_not_lose_their_files),
        TRIAL(a_relied_page_keeps_all_below_it),
        TRIAL(a_pinned_version_outlives_its_name),
        TRIAL(staged_pages_keep_what_they_name),
        TRIAL(a_staged_page_that_cannot_be_read_does_not_stop_a_clean_up),
        TRIAL(a_missing_page_or_file_is_a_fault_and_nothing_is_deleted),
        TRIAL(fsck_finds_damaged_files_and_wrong_books),
        TRIAL(a_thin_pack_gives_its_space_back),
        TRIAL(packs_of_some_live_bytes_are_left_alone),
        TRIAL(a_damaged_file_stays_with_its_pack_and_the_others_leave),
        TRIAL(a_wrong_count_loses_nothing_and_is_put_right),
        TRIAL(a_pack_that_failed_leaves_no_record_for_ever),
        TRIAL(the_second_copy_of_what_a_stranger_has_goes),
        TRIAL(a_file_that_moves_while_packs_are_counted_is_not_counted_back),
        TRIAL(what_a_content_left_in_an_open_pack_goes),
        cmocka_unit_test(chosen_digests_lie_apart),
        TRIAL(what_is_added_again_before_the_sweep_is_not_swept),
        TRIAL(what_is_published_again_before_the_sweep_is_not_swept),
        TRIAL(what_is_published_again_in_the_sweep_is_not_swept),
        TRIAL(a_page_relied_on_before_the_sweep_keeps_all_below_it),
        TRIAL(a_dead_page_is_not_to_be_relied_on_in_the_sweep),
        TRIAL(a_dead_page_cannot_be_pinned_in_the_sweep),
        TRIAL(any_history_equals_the_model),
        TRIAL(clean_up_and_writers_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
