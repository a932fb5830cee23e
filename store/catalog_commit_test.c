/* Catalog commits: expectations, order, sequences, views. */
#include "store/catalog_commit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/directory.h"
#include "store/store.h"

struct bench {
    char dir[64];
    struct store_options options;
    struct store *store;
    struct err err;
};

static int bench_setup(void **state)
{
    struct bench *bench = mem_calloc(1, sizeof(*bench));
    snprintf(bench->dir, sizeof(bench->dir), "/tmp/strait-catalog-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    bench->options = (struct store_options){.data_dir = bench->dir, .region = "here"};
    assert_int_equal(store_open(&bench->options, &bench->store, &bench->err), ERR_OK);
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;
    store_close(bench->store);
    assert_int_equal(directory_clear(bench->dir, NULL), ERR_OK);
    assert_int_equal(rmdir(bench->dir), 0);
    mem_free(bench);
    return 0;
}

static enum err_code commit(struct bench *bench, struct catalog_change *change)
{
    enum err_code code = catalog_commit(bench->store, change, CATALOG_KEEP_RESERVE, &bench->err);
    catalog_change_clear(change);
    return code;
}

static void value_expect(struct bench *bench, struct db_view *view, const char *key,
                         const char *value)
{
    struct bytes found_value BYTES_CLEANUP = {0};
    bool found;
    assert_int_equal(catalog_find(bench->store, view, FAMILY_CATALOG, span_text(key), &found_value,
                                  &found, &bench->err),
                     ERR_OK);
    assert_int_equal(found, value != NULL);
    if (value != NULL)
        assert_true(span_equal(bytes_span(&found_value), span_text(value)));
}

static void a_change_is_whole_and_survives_reopening(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    assert_int_equal(commit(bench, &change), ERR_OK);
    catalog_delete(&change, FAMILY_CATALOG, span_text("a"));
    catalog_put(&change, FAMILY_CATALOG, span_text("c"), span_text("3"));
    assert_int_equal(commit(bench, &change), ERR_OK);
    store_close(bench->store);
    assert_int_equal(store_open(&bench->options, &bench->store, &bench->err), ERR_OK);
    value_expect(bench, NULL, "a", NULL);
    value_expect(bench, NULL, "b", "2");
    value_expect(bench, NULL, "c", "3");
}

static void an_expectation_not_met_names_the_key_and_changes_nothing(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_expect_absent(&change, FAMILY_CATALOG, span_text("a"));
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(commit(bench, &change), ERR_OK);

    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect_absent(&change, FAMILY_CATALOG, span_text("a"));
    assert_int_equal(commit(bench, &change), ERR_CONFLICT);
    assert_non_null(strstr(bench->err.message, "catalog a exists"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect(&change, FAMILY_CATALOG, span_text("a"), span_text("other"));
    assert_int_equal(commit(bench, &change), ERR_CONFLICT);
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect(&change, FAMILY_CATALOG, span_text("none"), span_text(""));
    assert_int_equal(commit(bench, &change), ERR_CONFLICT);
    assert_non_null(strstr(bench->err.message, "is gone"));
    value_expect(bench, NULL, "b", NULL);
    catalog_expect(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("2"));
    assert_int_equal(commit(bench, &change), ERR_OK);
    value_expect(bench, NULL, "a", "2");
}

static void a_change_above_64_kib_is_refused(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct bytes value BYTES_CLEANUP = {0};
    bytes_resize(&value, CATALOG_COMMIT_BYTES_MAX);
    memset(value.data, 'x', value.len);
    catalog_put(&change, FAMILY_CATALOG, span_text("k"), bytes_span(&value));
    assert_int_equal(commit(bench, &change), ERR_LIMIT);
    catalog_put(&change, FAMILY_CATALOG, span_text("k"),
                span_slice(bytes_span(&value), 0, value.len - 1));
    assert_int_equal(commit(bench, &change), ERR_OK);
}

static void sequences_count_from_one_without_waste(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    uint64_t one, two;
    assert_int_equal(catalog_sequence_take(bench->store, &change, "table", &one, &bench->err),
                     ERR_OK);
    catalog_change_clear(&change); /* given up: not taken */
    assert_int_equal(catalog_sequence_take(bench->store, &change, "table", &one, &bench->err),
                     ERR_OK);
    assert_int_equal(catalog_sequence_take(bench->store, &change, "table", &two, &bench->err),
                     ERR_OK);
    assert_int_equal(one, 1);
    assert_int_equal(two, 2);
    struct catalog_change rival CATALOG_CHANGE_CLEANUP = {0};
    uint64_t same;
    assert_int_equal(catalog_sequence_take(bench->store, &rival, "table", &same, &bench->err),
                     ERR_OK);
    assert_int_equal(same, 1);
    assert_int_equal(commit(bench, &change), ERR_OK);
    assert_int_equal(commit(bench, &rival), ERR_CONFLICT);
    assert_int_equal(catalog_sequence_take(bench->store, &rival, "table", &same, &bench->err),
                     ERR_OK);
    assert_int_equal(same, 3);
    assert_int_equal(commit(bench, &rival), ERR_OK);
}

static void a_view_keeps_its_moment(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(commit(bench, &change), ERR_OK);
    struct db_view *view;
    assert_int_equal(catalog_view_open(bench->store, &view, &bench->err), ERR_OK);
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("2"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    assert_int_equal(commit(bench, &change), ERR_OK);
    value_expect(bench, view, "a", "1");
    value_expect(bench, view, "b", NULL);
    value_expect(bench, NULL, "a", "2");
    catalog_view_close(view);
}

static void a_scan_gives_the_prefix_in_order(void **state)
{
    struct bench *bench = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    static const uint8_t high[] = {'p', 0xFF, 'x'};
    static const char *const keys[] = {"p", "pa", "pb", "pc", "q", "o"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        catalog_put(&change, FAMILY_HISTORY, span_text(keys[i]), span_text("v"));
    catalog_put(&change, FAMILY_HISTORY, span_of(high, sizeof(high)), span_text("v"));
    assert_int_equal(commit(bench, &change), ERR_OK);

    struct db_iter *iter;
    struct span key, value;
    bool found;
    size_t count = 0;
    assert_int_equal(catalog_scan(bench->store, NULL, FAMILY_HISTORY, span_text("p"),
                                  span_text("pb"), &iter, &bench->err),
                     ERR_OK);
    static const char *const want[] = {"pb", "pc"};
    for (;; count++) {
        assert_int_equal(db_iter_next(iter, &key, &value, &found, &bench->err), ERR_OK);
        if (!found)
            break;
        if (count < 2)
            assert_true(span_equal(key, span_text(want[count])));
    }
    assert_int_equal(count, 3); /* and `high` */
    assert_int_equal(db_iter_next(iter, &key, &value, &found, &bench->err), ERR_OK);
    assert_false(found);
    db_iter_close(iter);
}

/* ---- several threads ---- */

struct counter {
    struct store *store;
    unsigned committed, conflicts;
    enum err_code code;
};

static void *counter_run(void *context)
{
    struct counter *counter = context;
    while (counter->committed < 25) {
        struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
        uint64_t number;
        if (catalog_sequence_take(counter->store, &change, "n", &number, NULL) != ERR_OK)
            break;
        counter->code = catalog_commit(counter->store, &change, CATALOG_USE_RESERVE, NULL);
        if (counter->code == ERR_OK)
            counter->committed++;
        else if (counter->code == ERR_CONFLICT)
            counter->conflicts++;
        else
            break;
    }
    return NULL;
}

static void concurrent_commits_have_one_order(void **state)
{
    struct bench *bench = *state;
    struct counter counters[4] = {0};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        counters[i].store = bench->store;
        assert_int_equal(pthread_create(&threads[i], NULL, counter_run, &counters[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(counters[i].committed, 25);
    }
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    uint64_t number;
    assert_int_equal(catalog_sequence_take(bench->store, &change, "n", &number, &bench->err),
                     ERR_OK);
    assert_int_equal(number, 101);
}

static void the_reserve_is_for_what_frees_space(void **state)
{
    struct bench *bench = *state;
    store_close(bench->store);
    bench->options.disk_reserve_bytes = UINT64_C(1) << 60;
    assert_int_equal(store_open(&bench->options, &bench->store, &bench->err), ERR_OK);
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(catalog_commit(bench->store, &change, CATALOG_KEEP_RESERVE, &bench->err),
                     ERR_NO_SPACE);
    assert_int_equal(catalog_commit(bench->store, &change, CATALOG_USE_RESERVE, &bench->err),
                     ERR_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_whole_and_survives_reopening),
        TEST(an_expectation_not_met_names_the_key_and_changes_nothing),
        TEST(a_change_above_64_kib_is_refused),
        TEST(sequences_count_from_one_without_waste),
        TEST(a_view_keeps_its_moment),
        TEST(a_scan_gives_the_prefix_in_order),
        TEST(concurrent_commits_have_one_order),
        TEST(the_reserve_is_for_what_frees_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
