/* CLONE TABLE on a real store: what a clone is. */
#include "store/clone_trial.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/key.h"
#include "store/held.h"
#include "store/history.h"
#include "store/version_store.h"

static bool equal_versions(struct trial *trial, struct table_id a, struct table_id b)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct version_ref first = record_get(trial, a, &arena).version;
    struct version_ref second = record_get(trial, b, &arena).version;
    return version_ref_equal(&first, &second);
}

static void a_whole_clone_is_one_record_with_the_sources_version(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    cells_load(trial, &alice, source, (cells){{1, 2}, {3}});
    struct fsck_counts before = store_check(trial);
    struct table_id clone = clone_make(trial, &alice, "c", source, &clone_all);
    assert_true(equal_versions(trial, source, clone));
    struct fsck_counts after = store_check(trial);
    assert_int_equal(after.pages, before.pages);
    assert_int_equal(after.files, before.files);
    struct table_record table = record_get(trial, clone, &arena);
    assert_int_equal(table.lifecycle_days, 0);
    assert_int_equal(table.created_ms, clone_clock_ms);
    struct history_record history;
    ok(history_at(trial->store, clone, UINT64_MAX, &arena, &history, &trial->err));
    assert_int_equal(history.operation, OPERATION_CLONE);
    assert_int_equal(clone_try(trial, &alice, "C", source, &clone_all, &clone), ERR_EXISTS);
}

static void named_partitions_are_the_table_that_a_load_of_them_would_be(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    struct table_id other = table_make(trial, &alice, "u");
    cells wanted = {{0}, {3, 4, 5}, {0, 7}};
    cells_load(trial, &alice, source, (cells){{1, 2}, {3, 4, 5}, {6, 7}, {8}});
    cells_load(trial, &alice, other, wanted);
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, 1, NULL);
    selection_add(&selection, 2, "b");
    struct table_id clone = clone_make(trial, &alice, "c", source, &selection.ranges);
    cells_expect(trial, clone, wanted);
    struct digest as_clone = record_get(trial, clone, &arena).version.version;
    struct digest as_load = record_get(trial, other, &arena).version.version;
    assert_true(digest_equal(&as_clone, &as_load));
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(trial->store, source, &reader, &trial->err));
    uint64_t count;
    ok(clone_count(reader, &selection.ranges, 100, &count, &trial->err));
    assert_int_equal(count, 4);
    ok(clone_count(reader, &selection.ranges, 3, &count, &trial->err));
    assert_int_equal(count, 3);
    ok(clone_count(reader, &clone_all, 100, &count, &trial->err));
    assert_int_equal(count, 8);
}

/* Of thousands of partitions some are named: pages within them stay what they are. */
static void a_part_of_a_large_table_shares_its_pages(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &cell_schema);
    for (int64_t i = 0; i < 3000; i++)
        row_add(&batch, i, i / 1000,
                (const char[]){(char)('A' + i % 1000 / 32), (char)('A' + i % 32), 0});
    batch_load(trial, &alice, source, &batch);
    uint64_t before = store_check(trial).pages;
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, 1, NULL);
    struct table_id clone = clone_make(trial, &alice, "c", source, &selection.ranges);
    uint64_t more = store_check(trial).pages - before;
    assert_true(before > 100);
    if (more > 12)
        fail_msg("%" PRIu64 " pages more than %" PRIu64, more, before);
    table_dropped(trial, source);
    clean_up(trial);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    assert_int_equal(record_get(trial, clone, &arena).version.totals.rows, 1000);
    assert_int_equal(store_check(trial).files, 1000);
}

static void replace_and_add_touch_what_they_name(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    struct table_id to = table_make(trial, &alice, "u");
    cells_load(trial, &alice, source, (cells){{1, 2}, {3, 4}, {5}});
    cells_load(trial, &alice, to, (cells){{0}, {30}, {0}, {70, 80}});
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, 1, NULL);
    clone_to(trial, &alice, to, source, &selection.ranges, CLONE_ADD);
    cells_expect(trial, to, (cells){{0}, {30, 4}, {0}, {70, 80}});
    clone_to(trial, &alice, to, source, &selection.ranges, CLONE_REPLACE);
    cells_expect(trial, to, (cells){{0}, {3, 4}, {0}, {70, 80}});
    clone_to(trial, &alice, to, source, &clone_all, CLONE_REPLACE);
    cells_expect(trial, to, (cells){{1, 2}, {3, 4}, {5}, {70, 80}});
    cells_expect(trial, source, (cells){{1, 2}, {3, 4}, {5}});
    store_check(trial);
}

static void nothing_to_add_leaves_the_table_as_it_is(void **state)
{
    struct trial *trial = *state;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 4 * CATALOG_ARENA_BYTES);
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    struct table_id to = table_make(trial, &alice, "u");
    cells_load(trial, &alice, source, (cells){{1}});
    cells_load(trial, &alice, to, (cells){{2}});
    struct table_record before = record_get(trial, to, &arena);
    clone_to(trial, &alice, to, source, &clone_all, CLONE_ADD);
    struct table_record after = record_get(trial, to, &arena);
    assert_int_equal(after.sequence, before.sequence);
    assert_int_equal(after.modified_ms, before.modified_ms);
    clone_to(trial, &alice, to, source, &clone_all, CLONE_REPLACE);
    assert_int_equal(record_get(trial, to, &arena).sequence, before.sequence + 1);
}

static void a_clone_on_an_old_base_is_a_conflict(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id source = table_make(trial, &alice, "t");
    struct table_id to = table_make(trial, &alice, "u");
    cells_load(trial, &alice, source, (cells){{1}});
    struct change_note made = clone_note();
    READER_CLEANUP struct reader_handle *reader = NULL;
    CONTENT_CLEANUP struct content *content = NULL;
    ok(reader_open(trial->store, source, &reader, &trial->err));
    ok(content_open(trial->store, alice.account, &content, &trial->err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, to, &write, &trial->err));
    cells_load(trial, &alice, to, (cells){{0}, {9}});
    assert_int_equal(clone_into(write, reader, &clone_all, CLONE_REPLACE, &made, &trial->err),
                     ERR_CONFLICT);
    cells_expect(trial, to, (cells){{0}, {9}});
}

/* ---- attributes ---- */

struct attributes {
    struct page_attribute of[PS];
};

static enum err_code attribute_seen(void *context, const struct partition_row *row, struct err *err)
{
    (void)err;
    struct attributes *attributes = context;
    struct reader reader = reader_of(row->key);
    attributes->of[reader_key_i64(&reader)] = row->attribute;
    return ERR_OK;
}

static struct attributes attributes_of(struct trial *trial, struct table_id table)
{
    struct attributes attributes = {0};
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(trial->store, table, &reader, &trial->err));
    ok(reader_partitions(reader, span_of(NULL, 0), attribute_seen, &attributes, &trial->err));
    return attributes;
}

/* A source whose partition p is exempt from the lifecycle: its attribute tree by hand. */
static struct table_id exempt(struct trial *trial, const struct owner *owner, const char *name,
                              struct table_id from, int64_t p)
{
    CONTENT_CLEANUP struct content *content = NULL;
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(content_open(trial->store, owner->account, &content, &trial->err));
    ok(reader_open(trial->store, from, &reader, &trial->err));
    struct page_source pages = content_page_source(content);
    struct page_sink sink = content_page_sink(content);
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, p, "a");
    struct page_entry entry = {
        .kind = PAGE_ENTRY_ATTRIBUTE,
        .key = selection.prefixes[0],
        .attribute = {.created_ms = 5, .modified_ms = 6, .lifecycle_off = true}};
    struct tree_edit edit = {.kind = TREE_PUT, .entry = &entry};
    struct tree_edit_array array = {.edits = &edit, .count = 1};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    struct tree tree = reader_attributes(reader);
    struct tree_apply_result result;
    tree.source = &pages;
    ok(tree_apply(&tree, &sink, &edits, &result, &trial->err));
    struct version_ref ref;
    ok(version_add(content, reader_version(reader), &result.root, &ref, &trial->err));
    ok(content_commit(content, &trial->err));
    READER_CLEANUP struct reader_handle *made = NULL;
    ok(reader_open_version(trial->store, &ref, &made, &trial->err));
    struct table_spec spec = {.project = owner->project, .name = span_text(name)};
    struct change_note at = clone_note();
    struct table_id id = {0};
    ok(clone_create(content, &spec, made, &clone_all, &at, &id, &trial->err));
    return id;
}

static void attributes_go_into_a_new_table_and_flags_into_another(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct table_id plain = table_make(trial, &alice, "t");
    struct table_id to = table_make(trial, &alice, "u");
    cells_load(trial, &alice, plain, (cells){{1}, {2}});
    struct table_id source = exempt(trial, &alice, "e", plain, 1);
    struct attributes is = attributes_of(trial, source);
    assert_true(is.of[1].lifecycle_off);
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, 1, NULL);
    struct table_id part = clone_make(trial, &alice, "c", source, &selection.ranges);
    struct attributes copied = attributes_of(trial, part);
    assert_memory_equal(&copied.of[1], &is.of[1], sizeof(is.of[1]));
    cells_load(trial, &alice, to, (cells){{9}});
    struct attributes before = attributes_of(trial, to);
    clone_to(trial, &alice, to, source, &clone_all, CLONE_REPLACE);
    struct attributes after = attributes_of(trial, to);
    assert_int_equal(after.of[0].created_ms, before.of[0].created_ms);
    assert_int_equal(after.of[0].modified_ms, clone_clock_ms);
    assert_false(after.of[0].lifecycle_off);
    assert_int_equal(after.of[1].created_ms, clone_clock_ms);
    assert_int_equal(after.of[1].modified_ms, clone_clock_ms);
    assert_true(after.of[1].lifecycle_off);
    store_check(trial);
}

/* ---- two accounts ---- */

struct held_sum {
    struct trial *trial;
    struct account_id account;
    uint64_t pages, files;
};

static bool holds(struct held_sum *sum, const struct digest *digest)
{
    struct trial *trial = sum->trial;
    uint64_t period;
    bool held = false;
    ok(held_since(trial->store, digest, sum->account, &held, &period, &trial->err));
    return held;
}

static enum err_code held_page(void *context, const struct digest *digest, bool *ret_descend,
                               struct err *err)
{
    (void)err;
    struct held_sum *sum = context;
    sum->pages += holds(sum, digest);
    *ret_descend = true;
    return ERR_OK;
}

static enum err_code held_file(void *context, const struct page_file *file, struct err *err)
{
    (void)err;
    struct held_sum *sum = context;
    sum->files += holds(sum, &file->digest);
    return ERR_OK;
}

/* What the account holds of a table: its version's page, manifest tree and attributes' root. */
static struct held_sum held_of(struct trial *trial, struct account_id account,
                               struct table_id table)
{
    struct held_sum sum = {.trial = trial, .account = account};
    const struct tree_visitor visitor = {held_page, held_file, &sum};
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(trial->store, table, &reader, &trial->err));
    struct tree tree = reader_tree(reader);
    ok(tree_mark(&tree, &visitor, &trial->err));
    sum.pages += holds(&sum, &reader_ref(reader)->page);
    sum.pages += holds(&sum, &reader_ref(reader)->attribute_root);
    return sum;
}

/* clone.h, invariant 2. */
static void a_strangers_clone_holds_nothing_that_the_stranger_did_not_write(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct owner bob = owner_make(trial, "ALIYUN$bob");
    struct table_id source = table_make(trial, &alice, "t");
    cells_load(trial, &alice, source, (cells){{1, 2}, {3}});
    assert_int_equal(held_of(trial, alice.account, source).files, 3);
    struct table_id clone = clone_make(trial, &bob, "c", source, &clone_all);
    struct held_sum bobs = held_of(trial, bob.account, clone);
    assert_int_equal(bobs.pages, 0);
    assert_int_equal(bobs.files, 0);
    cells_load(trial, &bob, clone, (cells){{0}, {0, 4}});
    bobs = held_of(trial, bob.account, clone);
    assert_int_equal(bobs.files, 1); /* what bob loaded */
    assert_int_equal(held_of(trial, alice.account, clone).files, 3);
    table_dropped(trial, source); /* the source's owner goes: the clone stays whole */
    clean_up(trial);
    cells_expect(trial, clone, (cells){{1, 2}, {3, 4}});
    store_check(trial);
    table_dropped(trial, clone);
    clean_up(trial);
    assert_int_equal(store_check(trial).files, 0);
}

static void a_clone_that_cannot_be_leaves_nothing_held(void **state)
{
    struct trial *trial = *state;
    struct owner alice = owner_make(trial, "ALIYUN$alice");
    struct owner bob = owner_make(trial, "ALIYUN$bob");
    struct table_id source = table_make(trial, &alice, "t");
    struct table_id id;
    cells_load(trial, &alice, source, (cells){{1, 2}, {3}});
    table_make(trial, &bob, "c");
    SELECTION_CLEANUP struct selection selection = {0};
    selection_add(&selection, 0, NULL);
    struct table_id same = clone_make(trial, &alice, "s", source, &selection.ranges);
    assert_int_equal(clone_try(trial, &bob, "c", source, &selection.ranges, &id), ERR_EXISTS);
    struct held_sum bobs = held_of(trial, bob.account, same); /* what it would have been */
    assert_int_equal(bobs.pages + bobs.files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_whole_clone_is_one_record_with_the_sources_version),
        TRIAL(named_partitions_are_the_table_that_a_load_of_them_would_be),
        TRIAL(a_part_of_a_large_table_shares_its_pages),
        TRIAL(replace_and_add_touch_what_they_name),
        TRIAL(nothing_to_add_leaves_the_table_as_it_is),
        TRIAL(a_clone_on_an_old_base_is_a_conflict),
        TRIAL(attributes_go_into_a_new_table_and_flags_into_another),
        TRIAL(a_strangers_clone_holds_nothing_that_the_stranger_did_not_write),
        TRIAL(a_clone_that_cannot_be_leaves_nothing_held),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
