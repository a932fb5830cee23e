/* Scrub, the list of damage and healing on a real store. */
#include "store/scrub_trial.h"

#include "store/content.h"
#include "store/files.h"
#include "store/pages.h"

#define COMPACTION_ROUNDS 8

static void damaged_file_heals(const struct digest *digest, const char *partition,
                               const char *columns)
{
    struct bytes content BYTES_CLEANUP = {0}, read BYTES_CLEANUP = {0};
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &content, &bench.err));
    assert_true(bench_relied(&bench.version.page, true));
    bench_file_damage(digest);
    assert_true(bench_scrub().listed > 0);
    assert_int_equal(damage_count(bench.store), 1);
    struct seen_place seen = bench_places();
    assert_int_equal(seen.count, 2); /* the table and its snapshot */
    assert_int_equal(seen.snapshots, 1);
    assert_string_equal(seen.partition, partition);
    assert_string_equal(seen.columns, columns);
    assert_int_equal(file_read(bench.store, digest, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    assert_false(bench_relied(digest, false));
    assert_false(bench_relied(&bench.version.page, true));
    assert_true(bench_relied(&bench.version.attribute_root, true));
    bench_again(); /* the list is durable */
    assert_int_equal(file_read(bench.store, digest, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    bench_file_heal(digest, bytes_span(&content));
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &read, &bench.err));
    assert_int_equal(damage_count(bench.store), 0);
    assert_int_equal(bench_places().count, 0);
}

static void test_a_damaged_file_of_a_pack_heals(void **state)
{
    (void)state;
    damaged_file_heals(&bench.big, "day=2026-01-01", "note");
    bench_assert_whole();
    bench_again();
    bench_assert_whole();
}

static void test_a_damaged_file_of_the_nursery_heals(void **state)
{
    (void)state;
    damaged_file_heals(&bench.small, "day=2026-01-02", "id, note");
}

static void test_a_read_lists_what_it_finds_damaged(void **state)
{
    (void)state;
    struct bytes read BYTES_CLEANUP = {0};
    bench_file_damage(&bench.big);
    assert_int_equal(damage_count(bench.store), 0);
    assert_int_equal(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    assert_int_equal(damage_count(bench.store), 1);
    assert_false(bench_relied(&bench.version.page, true));
}

static void test_damaged_pages_heal_when_they_come_again(void **state)
{
    (void)state;
    struct bytes page BYTES_CLEANUP = {0}, read BYTES_CLEANUP = {0}, digests BYTES_CLEANUP = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(page_read(bench.store, &bench.version.page, &page, &bench.err));
    bench_again();
    bench_pages_stage(&digests); /* in the log: the file on the disk has `pages` alone */
    assert_true(bench_content_damage(bytes_span(&page)) > 0);
    assert_true(bench_scrub().listed > 0);
    assert_int_equal(page_read(bench.store, &bench.version.page, &read, &bench.err), ERR_CORRUPT);
    struct seen_place seen = bench_places();
    assert_int_equal(seen.count, 4); /* version and attributes, of the table and its snapshot */
    assert_int_equal(seen.kind, DAMAGE_PAGE);
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(staged_promote(content, &bench_pages_task, (const struct digest *)(const void *)digests.data,
                      digests.len / DIGEST_BYTES, &bench.err));
    ok(page_read(bench.store, &bench.version.page, &read, &bench.err));
    assert_true(span_equal(bytes_span(&read), bytes_span(&page)));
    assert_true(bench_relied(&bench.version.page, true));
    assert_int_equal(bench_places().count, 0);
}

/* A block of the database that cannot be read stays; what was in it comes again, and work goes on: no
 * compaction ends it. */
static void test_a_damaged_block_does_not_end_the_store(void **state)
{
    (void)state;
    struct bytes page BYTES_CLEANUP = {0}, digests BYTES_CLEANUP = {0};
    size_t refused = 0;
    ok(page_read(bench.store, &bench.version.page, &page, &bench.err));
    bench_again();
    bench_pages_stage(&digests);
    assert_true(bench_content_damage(bytes_span(&page)) > 0);
    bench_scrub();
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(staged_promote(content, &bench_pages_task, (const struct digest *)(const void *)digests.data,
                      digests.len / DIGEST_BYTES, &bench.err));
    content_close(content);
    content = NULL;
    for (uint8_t i = 0; i < COMPACTION_ROUNDS; i++) { /* each leaves a file to be compacted */
        const struct digest other = digest_of(DOMAIN_PAGE, span_of(&i, 1));
        struct bytes read BYTES_CLEANUP = {0};
        CONTENT_CLEANUP struct content *more = NULL;
        refused += content_open(bench.store, bench.account, &more, &bench.err) != ERR_OK ||
                   content_add_page(more, &other, span_of(&i, 1), &bench.err) != ERR_OK ||
                   content_commit(more, &bench.err) != ERR_OK;
        content_close(more);
        more = NULL;
        bench_again();
        ok(page_read(bench.store, &bench.version.page, &read, &bench.err));
    }
    assert_true(refused <= 1);
}

static void test_one_table_is_scrubbed_alone(void **state)
{
    (void)state;
    struct scrub_counts counts = {0};
    ok(scrub_table(bench.store, bench.snapshot, &bench_quiet, &counts, &bench.err));
    assert_int_equal(counts.listed, 0);
    assert_true(counts.files >= 2 && counts.pages >= 3);
    bench_file_damage(&bench.big);
    ok(scrub_table(bench.store, bench.table, &bench_quiet, &counts, &bench.err));
    assert_int_equal(counts.listed, 1);
    assert_int_equal(
        scrub_table(bench.store, (struct table_id){999}, &bench_quiet, &counts, &bench.err),
        ERR_NOT_FOUND);
}

static void test_steps_go_on_where_they_stopped(void **state)
{
    (void)state;
    struct scrub_counts whole = bench_scrub(), sum = {0};
    size_t steps = 0;
    for (bool ended = false; !ended; steps++) {
        struct scrub_counts counts = {0};
        ok(scrub_step(bench.store, 1, &bench_quiet, &counts, &ended, &bench.err));
        sum.files += counts.files;
        sum.pages += counts.pages;
        sum.file_bytes += counts.file_bytes;
        if (steps % 2 == 0)
            bench_again();
    }
    assert_true(steps > 2);
    assert_int_equal(sum.files, whole.files);
    assert_int_equal(sum.pages, whole.pages);
    assert_int_equal(sum.file_bytes, whole.file_bytes);
}

/* However many records a piece has: the rate that an operator set is kept. */
static void test_a_step_ends_with_the_file_that_passes_its_bytes(void **state)
{
    (void)state;
    bool ended = false, files = false;
    while (!ended) {
        struct scrub_counts counts = {0};
        ok(scrub_step(bench.store, 1, &bench_quiet, &counts, &ended, &bench.err));
        assert_true(counts.files <= 1);
        files = files || counts.files > 0;
    }
    assert_true(files);
}

static bool stop_at_once(void *context)
{
    (void)context;
    return true;
}

static void test_a_scrub_can_be_stopped(void **state)
{
    (void)state;
    const struct scrub_watch watch = {.stop = stop_at_once};
    struct scrub_counts counts = {0};
    assert_int_equal(scrub_store(bench.store, &watch, &counts, &bench.err), ERR_CANCELLED);
}

/* What was thought damaged and is right again is served again. */
static void test_what_is_right_again_leaves_the_list(void **state)
{
    (void)state;
    struct bytes read BYTES_CLEANUP = {0};
    damage_note(bench.store, &bench.big, DAMAGE_FILE, "for once");
    damage_note(bench.store, &(struct digest){{5}}, DAMAGE_FILE, "of nothing that is here");
    assert_int_equal(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err),
                     ERR_CORRUPT);
    struct scrub_counts counts = bench_scrub();
    assert_int_equal(counts.healed, 2);
    assert_int_equal(damage_count(bench.store), 0);
    ok(file_read(bench.store, &bench.big, FILE_CHECK_LENGTH, &read, &bench.err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_damaged_file_of_a_pack_heals, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_file_of_the_nursery_heals, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_read_lists_what_it_finds_damaged, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_pages_heal_when_they_come_again, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_block_does_not_end_the_store, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_one_table_is_scrubbed_alone, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_steps_go_on_where_they_stopped, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_step_ends_with_the_file_that_passes_its_bytes,
                                        bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_a_scrub_can_be_stopped, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_right_again_leaves_the_list, bench_setup,
                                        bench_teardown),
    };
    cmocka_set_test_filter(getenv("STRAIT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
