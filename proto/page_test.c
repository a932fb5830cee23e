#include "proto/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Pages are put together here entry by entry, each with one rule broken. */

static struct arena arena;
static struct bytes page_bytes;
static struct err err;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, PAGE_ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    bytes_deinit(&page_bytes);
    return 0;
}

static struct page_entry partition_entry(const char *key)
{
    return (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION,
        .key = span_text(key),
        .partition = {.segment_count = 1, .row_count = 10, .byte_count = 100},
    };
}

static struct page_entry child_entry(const char *key)
{
    return (struct page_entry){
        .kind = PAGE_ENTRY_CHILD,
        .key = span_text(key),
        .child = {.totals = {.rows = 1, .bytes = 2, .partitions = 3}},
    };
}

static void add(struct page_entry entry)
{
    BYTES_CLEANUP struct bytes raw = {0};
    if (page_entry_encode(&entry, &raw, &err) != ERR_OK)
        fail_msg("%s", err.message);
    page_append_raw(&page_bytes, bytes_span(&raw));
}

static enum err_code decode_at(struct page_place place, struct page *ret_page)
{
    arena_reset(&arena);
    return page_decode(bytes_span(&page_bytes), &place, &arena, ret_page, &err);
}

static enum err_code decode(void)
{
    struct page page;
    return decode_at(page_place_root(TREE_MANIFEST), &page);
}

#define assert_refused(words)                                                                      \
    do {                                                                                           \
        assert_int_equal(decode(), ERR_BAD_DATA);                                                  \
        assert_non_null(strstr(err.message, words));                                               \
    } while (0)

static struct page_column columns[2];
static struct page_file files[2];

static struct page_entry row_group_entry(struct bytes *key)
{
    memset(columns, 0, sizeof(columns));
    memset(files, 0, sizeof(files));
    struct row_group_place place = {.segment = 0, .row_group = 0, .column_id = 33};
    bytes_clear(key);
    row_group_key(span_text("p"), place, key);
    for (uint32_t i = 0; i < 2; i++) {
        files[i].digest = digest_of(DOMAIN_FILE, span_of(&i, sizeof(i)));
        files[i].bytes = 1000;
        columns[i] = (struct page_column){.column_id = 33 + i, .file = i, .bytes = 1000};
    }
    columns[1].statistics = (struct page_statistics){.has_min = true, .min = span_text("a")};
    return (struct page_entry){
        .kind = PAGE_ENTRY_ROW_GROUP,
        .key = bytes_span(key),
        .row_group = {.row_count = 2000,
                      .files = files,
                      .file_count = 2,
                      .columns = columns,
                      .column_count = 2},
    };
}

static void test_entries_come_back_as_they_went(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes key = {0};
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition_entry("p"));
    add(row_group_entry(&key));
    struct page page;
    assert_int_equal(decode_at(page_place_root(TREE_MANIFEST), &page), ERR_OK);
    assert_int_equal(page.entry_count, 2);
    assert_int_equal(page.totals.rows, 10);
    assert_int_equal(page.totals.bytes, 100);
    assert_int_equal(page.totals.partitions, 1);
    const struct page_row_group *group = &page.entries[1].row_group;
    assert_int_equal(group->row_count, 2000);
    assert_int_equal(group->file_count, 2);
    assert_true(digest_equal(&group->files[1].digest, &files[1].digest));
    assert_int_equal(group->columns[1].column_id, 34);
    assert_true(group->columns[1].statistics.has_min);
    assert_false(group->columns[1].statistics.has_max);
    assert_true(span_equal(group->columns[1].statistics.min, span_text("a")));
    struct row_group_place place;
    assert_true(span_equal(row_group_key_split(page.entries[1].key, &place), span_text("p")));
    assert_int_equal(place.column_id, 33);
    /* The raw forms are the page. */
    BYTES_CLEANUP struct bytes again = {0};
    page_begin(TREE_MANIFEST, 0, &again);
    page_append_raw(&again, page.entries[0].raw);
    page_append_raw(&again, page.entries[1].raw);
    assert_true(span_equal(bytes_span(&again), bytes_span(&page_bytes)));
}

static void test_buckets_and_sort_keys_come_back_as_they_went(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes key = {0};
    struct page_entry partition = partition_entry("p"), group = row_group_entry(&key);
    partition.partition.clustering = (struct clustering){.kind = CLUSTERING_HASH,
                                                         .bucket_count = 8,
                                                         .column_count = 1,
                                                         .columns = {33},
                                                         .sort_count = 1,
                                                         .sort_columns = {34}};
    group.row_group.bucket = 7;
    group.row_group.sort_first = span_text("a");
    group.row_group.sort_last = span_text("ab");
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition);
    add(group);
    struct page page;
    assert_int_equal(decode_at(page_place_root(TREE_MANIFEST), &page), ERR_OK);
    assert_true(
        clustering_equal(&page.entries[0].partition.clustering, &partition.partition.clustering));
    assert_int_equal(page.entries[1].row_group.bucket, 7);
    assert_true(span_equal(page.entries[1].row_group.sort_first, span_text("a")));
    assert_true(span_equal(page.entries[1].row_group.sort_last, span_text("ab")));
}

static void test_unsorted_and_repeated_keys_are_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition_entry("b"));
    add(partition_entry("a"));
    assert_refused("out of order");
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition_entry("a"));
    add(partition_entry("a"));
    assert_refused("out of order");
}

static struct page_place place_of_a_to_c(void)
{
    return (struct page_place){.tree = TREE_MANIFEST,
                               .is_rightmost = true,
                               .has_after = true,
                               .after = span_text("a"),
                               .last = span_text("c"),
                               .totals = {.rows = 20, .bytes = 200, .partitions = 2}};
}

static void test_parent_says_range_counts_and_level(void **state)
{
    (void)state;
    struct page page;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition_entry("b"));
    add(partition_entry("c"));
    struct page_place place = place_of_a_to_c();
    assert_int_equal(decode_at(place, &page), ERR_OK);
    place.after = span_text("b");
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.last = span_text("d");
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.totals.rows++;
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.totals.bytes++;
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.totals.partitions++;
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.level = 1;
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.tree = TREE_ATTRIBUTES;
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    place = place_of_a_to_c();
    place.is_rightmost = false; /* too short for any cut */
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    assert_non_null(strstr(err.message, "cut"));
}

static void test_page_that_should_have_been_cut_is_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    char key[16];
    for (unsigned i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "key %06u", i);
        add(partition_entry(key));
    }
    assert_true(page_bytes.len < LIMIT_PAGE_BYTES);
    assert_refused("not cut where the rule cuts");
}

static void test_counts_that_overflow_are_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    struct page_entry entry = partition_entry("a");
    entry.partition.row_count = UINT64_MAX;
    add(entry);
    add(partition_entry("b"));
    assert_refused("overflow");
}

static void test_only_a_leaf_root_may_be_empty(void **state)
{
    (void)state;
    struct page page;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    assert_int_equal(decode(), ERR_OK);
    struct page_place place = place_of_a_to_c();
    place.totals = (struct page_totals){0};
    assert_int_equal(decode_at(place, &page), ERR_BAD_DATA);
    page_begin(TREE_MANIFEST, 1, &page_bytes);
    assert_refused("no entries");
}

static void test_inner_root_with_one_child_is_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 1, &page_bytes);
    add(child_entry("a"));
    assert_refused("one entry");
    add(child_entry("b"));
    assert_int_equal(decode(), ERR_OK);
}

static void test_tree_deeper_than_the_limit_is_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, LIMIT_TREE_DEPTH, &page_bytes);
    add(child_entry("a"));
    add(child_entry("b"));
    assert_refused("too deep");
    page_begin(TREE_MANIFEST, LIMIT_TREE_DEPTH - 1, &page_bytes);
    add(child_entry("a"));
    add(child_entry("b"));
    assert_int_equal(decode(), ERR_OK);
}

static void test_entries_of_another_level_or_tree_are_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(child_entry("a"));
    add(child_entry("b"));
    assert_refused("another level");
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    struct page_entry attribute = {.kind = PAGE_ENTRY_ATTRIBUTE, .key = span_text("a")};
    add(attribute);
    assert_refused("another kind of tree");
}

static void test_bytes_behind_the_end_and_unknown_fields_are_refused(void **state)
{
    (void)state;
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    add(partition_entry("a"));
    struct span more[] = {
        span_of("\x28\x01", 2), /* field 5 */
        span_of("\x08\x01", 2), /* field 1 again */
        span_of("\x1a\x00", 2), /* an entry without content */
        span_of("\x1a\x7f", 2), /* a length beyond the end */
        span_of("\x0a\x00", 2), /* field 1 as a length */
        span_of("\x1b", 1),     /* a group */
        span_of("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11),
    };
    size_t len = page_bytes.len;
    for (size_t i = 0; i < ARRAY_COUNT(more); i++) {
        page_bytes.len = len;
        page_append_raw(&page_bytes, more[i]);
        assert_int_equal(decode(), ERR_BAD_DATA);
    }
}

static void test_longer_form_of_a_number_is_refused(void **state)
{
    (void)state;
    bytes_append(&page_bytes, "\x08\x81\x00", 3); /* tree 1 in two bytes */
    assert_int_equal(decode(), ERR_BAD_DATA);
    bytes_clear(&page_bytes);
    bytes_append(&page_bytes, "\x08\x01\x10\x00", 4); /* level 0 written out */
    assert_refused("canonical");
}

/* Each broken on its own, against an entry that is accepted whole. */
static void test_broken_row_groups_are_refused(void **state)
{
    (void)state;
    static const uint8_t long_key[SORT_KEY_BYTES_MAX + 1];
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes raw = {0};
    for (unsigned broken = 0; broken < 17; broken++) {
        struct page_entry entry = row_group_entry(&key);
        switch (broken) {
        case 0:
            entry.row_group.row_count = 0;
            break;
        case 1:
            entry.row_group.row_count = ROW_GROUP_ROWS_MAX + 1;
            break;
        case 2:
            columns[1].column_id = 33;
            break;
        case 3:
            columns[1].column_id = 65;
            break;
        case 4:
            columns[1].file = 0; /* the second file has no column */
            break;
        case 5:
            columns[1].file = 2;
            break;
        case 6:
            files[0].bytes = LIMIT_FILE_BYTES + 1;
            break;
        case 7:
            columns[0].offset = 1;
            break;
        case 8:
            columns[0].null_count = 2001;
            break;
        case 9:
            columns[0].statistics.nan_count = 2001;
            break;
        case 10:
            entry.row_group.column_count = 0;
            break;
        case 11:
            entry.key.len = ROW_GROUP_KEY_BYTES - 1;
            break;
        case 12:
            key.data[key.len - 1] = 34;
            break;
        case 13:
            entry.row_group.bucket = LIMIT_BUCKETS;
            break;
        case 14:
            entry.row_group.sort_first = entry.row_group.sort_last = span_of(long_key, 33);
            break;
        case 15:
            entry.row_group.sort_last = span_text("b"); /* without a first */
            break;
        case 16:
            entry.row_group.sort_first = span_text("c");
            entry.row_group.sort_last = span_text("b");
            break;
        default:
            break;
        }
        bytes_clear(&raw);
        if (page_entry_encode(&entry, &raw, &err) == ERR_OK)
            fail_msg("broken entry %u was taken", broken);
    }
}

static void test_kinds_from_the_future_are_told_apart(void **state)
{
    (void)state;
    /* clustering 3: an entry that this version cannot write */
    page_begin(TREE_MANIFEST, 0, &page_bytes);
    bytes_append(&page_bytes,
                 "\x1a\x19\x0a\x01"
                 "a\x12\x14\x08\x03\x2a\x10",
                 11);
    bytes_append(&page_bytes, "0123456789abcdef", 16);
    assert_int_equal(decode(), ERR_VERSION);
}

/* Golden: the cut rule is part of the format. Where it changes, TREE_FORMAT must. */
static void test_cut_rule_stays_what_it_is(void **state)
{
    (void)state;
    size_t cuts = 0;
    uint64_t where = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        uint8_t key[4];
        store_u32(key, i);
        struct page_cut cut = {
            .level = i % 3, .entries = 5, .page_bytes = 500 + i % 34000, .entry_bytes = 100};
        if (page_cuts(&cut, span_of(key, sizeof(key)))) {
            cuts++;
            where = where * 31 + i;
        }
    }
    assert_int_equal(cuts, 1166);
    assert_int_equal(where, UINT64_C(0x8211fb271a7073e8));
    struct page_cut small = {.entries = 5, .page_bytes = PAGE_BYTES_MIN - 1, .entry_bytes = 900};
    struct page_cut large = {.entries = 5, .page_bytes = LIMIT_PAGE_BYTES, .entry_bytes = 1};
    for (uint32_t i = 0; i < 1000; i++) {
        assert_false(page_cuts(&small, span_of(&i, sizeof(i))));
        assert_true(page_cuts(&large, span_of(&i, sizeof(i))));
    }
    struct page_cut single = {.level = 1, .entries = 1, .page_bytes = LIMIT_PAGE_BYTES};
    assert_false(page_cuts(&single, span_text("k")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries_come_back_as_they_went, setup, teardown),
        cmocka_unit_test_setup_teardown(test_buckets_and_sort_keys_come_back_as_they_went, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_unsorted_and_repeated_keys_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_parent_says_range_counts_and_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page_that_should_have_been_cut_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_counts_that_overflow_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_a_leaf_root_may_be_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inner_root_with_one_child_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree_deeper_than_the_limit_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_entries_of_another_level_or_tree_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bytes_behind_the_end_and_unknown_fields_are_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_longer_form_of_a_number_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_row_groups_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds_from_the_future_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_rule_stays_what_it_is, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
