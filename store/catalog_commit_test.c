/* Catalog commits: expectations, order, sequences, views. */
#include "store/catalog_commit.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "store/directory.h"
#include "store/parts.h"
#include "store/store.h"
#include "store/trial.h"

static enum err_code commit(struct trial *trial, struct catalog_change *change)
{
    enum err_code code = catalog_commit(trial->store, change, CATALOG_KEEP_RESERVE, &trial->err);
    catalog_change_clear(change);
    return code;
}

static void value_expect(struct trial *trial, struct db_view *view, const char *key,
                         const char *value)
{
    struct bytes found_value BYTES_CLEANUP = {0};
    bool found;
    assert_int_equal(catalog_find(trial->store, view, FAMILY_CATALOG, span_text(key), &found_value,
                                  &found, &trial->err),
                     ERR_OK);
    assert_int_equal(found, value != NULL);
    if (value != NULL)
        assert_true(span_equal(bytes_span(&found_value), span_text(value)));
}

static void a_change_is_whole_and_survives_reopening(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    assert_int_equal(commit(trial, &change), ERR_OK);
    catalog_delete(&change, FAMILY_CATALOG, span_text("a"));
    catalog_put(&change, FAMILY_CATALOG, span_text("c"), span_text("3"));
    assert_int_equal(commit(trial, &change), ERR_OK);
    store_close(trial->store);
    assert_int_equal(store_open(&trial->options, &trial->store, &trial->err), ERR_OK);
    value_expect(trial, NULL, "a", NULL);
    value_expect(trial, NULL, "b", "2");
    value_expect(trial, NULL, "c", "3");
}

static void an_expectation_not_met_names_the_key_and_changes_nothing(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_expect_absent(&change, FAMILY_CATALOG, span_text("a"));
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(commit(trial, &change), ERR_OK);

    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect_absent(&change, FAMILY_CATALOG, span_text("a"));
    assert_int_equal(commit(trial, &change), ERR_CONFLICT);
    assert_non_null(strstr(trial->err.message, "catalog a exists"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect(&change, FAMILY_CATALOG, span_text("a"), span_text("other"));
    assert_int_equal(commit(trial, &change), ERR_CONFLICT);
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    catalog_expect(&change, FAMILY_CATALOG, span_text("none"), span_text(""));
    assert_int_equal(commit(trial, &change), ERR_CONFLICT);
    assert_non_null(strstr(trial->err.message, "is gone"));
    value_expect(trial, NULL, "b", NULL);
    catalog_expect(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("2"));
    assert_int_equal(commit(trial, &change), ERR_OK);
    value_expect(trial, NULL, "a", "2");
}

static void a_change_above_64_kib_is_refused(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    struct bytes value BYTES_CLEANUP = {0};
    bytes_resize(&value, CATALOG_COMMIT_BYTES_MAX);
    memset(value.data, 'x', value.len);
    catalog_put(&change, FAMILY_CATALOG, span_text("k"), bytes_span(&value));
    assert_int_equal(commit(trial, &change), ERR_LIMIT);
    catalog_put(&change, FAMILY_CATALOG, span_text("k"),
                span_slice(bytes_span(&value), 0, value.len - 1));
    assert_int_equal(commit(trial, &change), ERR_OK);
}

static void sequences_count_from_one_without_waste(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    uint64_t one, two;
    assert_int_equal(catalog_sequence_take(trial->store, &change, "table", &one, &trial->err),
                     ERR_OK);
    catalog_change_clear(&change); /* given up: not taken */
    assert_int_equal(catalog_sequence_take(trial->store, &change, "table", &one, &trial->err),
                     ERR_OK);
    assert_int_equal(catalog_sequence_take(trial->store, &change, "table", &two, &trial->err),
                     ERR_OK);
    assert_int_equal(one, 1);
    assert_int_equal(two, 2);
    struct catalog_change rival CATALOG_CHANGE_CLEANUP = {0};
    uint64_t same;
    assert_int_equal(catalog_sequence_take(trial->store, &rival, "table", &same, &trial->err),
                     ERR_OK);
    assert_int_equal(same, 1);
    assert_int_equal(commit(trial, &change), ERR_OK);
    assert_int_equal(commit(trial, &rival), ERR_CONFLICT);
    assert_int_equal(catalog_sequence_take(trial->store, &rival, "table", &same, &trial->err),
                     ERR_OK);
    assert_int_equal(same, 3);
    assert_int_equal(commit(trial, &rival), ERR_OK);
}

static void a_view_keeps_its_moment(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(commit(trial, &change), ERR_OK);
    struct db_view *view;
    assert_int_equal(catalog_view_open(trial->store, &view, &trial->err), ERR_OK);
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("2"));
    catalog_put(&change, FAMILY_CATALOG, span_text("b"), span_text("2"));
    assert_int_equal(commit(trial, &change), ERR_OK);
    value_expect(trial, view, "a", "1");
    value_expect(trial, view, "b", NULL);
    value_expect(trial, NULL, "a", "2");
    catalog_view_close(view);
}

static void a_scan_gives_the_prefix_in_order(void **state)
{
    struct trial *trial = *state;
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    static const uint8_t high[] = {'p', 0xFF, 'x'};
    static const char *const keys[] = {"p", "pa", "pb", "pc", "q", "o"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        catalog_put(&change, FAMILY_HISTORY, span_text(keys[i]), span_text("v"));
    catalog_put(&change, FAMILY_HISTORY, span_of(high, sizeof(high)), span_text("v"));
    assert_int_equal(commit(trial, &change), ERR_OK);

    struct db_iter *iter;
    struct span key, value;
    bool found;
    size_t count = 0;
    assert_int_equal(catalog_scan(trial->store, NULL, FAMILY_HISTORY, span_text("p"),
                                  span_text("pb"), &iter, &trial->err),
                     ERR_OK);
    static const char *const want[] = {"pb", "pc"};
    for (;; count++) {
        assert_int_equal(db_iter_next(iter, &key, &value, &found, &trial->err), ERR_OK);
        if (!found)
            break;
        if (count < 2)
            assert_true(span_equal(key, span_text(want[count])));
    }
    assert_int_equal(count, 3); /* and `high` */
    assert_int_equal(db_iter_next(iter, &key, &value, &found, &trial->err), ERR_OK);
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
    struct trial *trial = *state;
    struct counter counters[4] = {0};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        counters[i].store = trial->store;
        assert_int_equal(pthread_create(&threads[i], NULL, counter_run, &counters[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(counters[i].committed, 25);
    }
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    uint64_t number;
    assert_int_equal(catalog_sequence_take(trial->store, &change, "n", &number, &trial->err),
                     ERR_OK);
    assert_int_equal(number, 101);
}

/* ---- many at once: a line that the test leads until all stand in it ---- */

enum { LINE = 6 };

struct waiting {
    struct store *store;
    struct catalog_change change;
    struct err err;
    enum err_code code;
    pthread_t thread;
};

static void *waiting_run(void *context)
{
    struct waiting *waiting = context;
    waiting->code =
        catalog_commit(waiting->store, &waiting->change, CATALOG_KEEP_RESERVE, &waiting->err);
    return NULL;
}

static size_t line_length(struct catalog_line *line)
{
    size_t length = 0;
    pthread_mutex_lock(&line->lock);
    for (const struct catalog_wait *wait = line->first; wait != NULL; length++)
        wait = wait->next;
    pthread_mutex_unlock(&line->lock);
    return length;
}

/* Puts it in line behind those before. */
static void waiting_enter(struct trial *trial, struct waiting *waiting, size_t place)
{
    waiting->store = trial->store;
    assert_int_equal(pthread_create(&waiting->thread, NULL, waiting_run, waiting), 0);
    while (line_length(&trial->store->catalog_line) <= place)
        sched_yield();
}

/* All go on; returns how many writes it took. */
static uint64_t line_go(struct trial *trial, struct waiting *waiting, size_t count)
{
    struct catalog_line *line = &trial->store->catalog_line;
    uint64_t before = line->writes;
    trial_line_hold(trial, false);
    for (size_t i = 0; i < count; i++) {
        pthread_join(waiting[i].thread, NULL);
        catalog_change_deinit(&waiting[i].change);
    }
    return line->writes - before;
}

static void those_in_line_become_one_write_and_each_sees_those_before(void **state)
{
    struct trial *trial = *state;
    struct waiting waiting[LINE] = {0};
    const struct span a = span_text("a"), b = span_text("b"), c = span_text("c");
    trial_line_hold(trial, true);
    catalog_expect_absent(&waiting[0].change, FAMILY_CATALOG, a);
    catalog_put(&waiting[0].change, FAMILY_CATALOG, a, span_text("1"));
    catalog_expect_absent(&waiting[1].change, FAMILY_CATALOG, a); /* lost to the first */
    catalog_put(&waiting[1].change, FAMILY_CATALOG, b, span_text("of a refused one"));
    catalog_expect(&waiting[2].change, FAMILY_CATALOG, a, span_text("1"));
    catalog_put(&waiting[2].change, FAMILY_CATALOG, a, span_text("2"));
    catalog_put(&waiting[2].change, FAMILY_HISTORY, b, span_text("another family's"));
    catalog_expect(&waiting[3].change, FAMILY_CATALOG, a, span_text("2"));
    catalog_expect_absent(&waiting[3].change, FAMILY_CATALOG, b);
    catalog_delete(&waiting[3].change, FAMILY_CATALOG, a);
    catalog_expect_absent(&waiting[4].change, FAMILY_CATALOG, a);
    catalog_put(&waiting[4].change, FAMILY_CATALOG, c, span_text("3"));
    catalog_expect(&waiting[5].change, FAMILY_CATALOG, a, span_text("2")); /* gone again */
    catalog_put(&waiting[5].change, FAMILY_CATALOG, c, span_text("of a refused one"));
    for (size_t i = 0; i < LINE; i++)
        waiting_enter(trial, &waiting[i], i);
    assert_int_equal(line_go(trial, waiting, LINE), 1);
    static const enum err_code codes[LINE] = {ERR_OK, ERR_CONFLICT, ERR_OK,
                                              ERR_OK, ERR_OK,       ERR_CONFLICT};
    for (size_t i = 0; i < LINE; i++)
        assert_int_equal(waiting[i].code, codes[i]);
    assert_non_null(strstr(waiting[1].err.message, "catalog a exists"));
    assert_non_null(strstr(waiting[5].err.message, "catalog a is gone"));
    value_expect(trial, NULL, "a", NULL);
    value_expect(trial, NULL, "b", NULL);
    value_expect(trial, NULL, "c", "3");
}

/* What is too much for one write is the next one's, in its order. */
static void a_write_takes_so_much_and_no_more(void **state)
{
    struct trial *trial = *state;
    struct waiting waiting[LINE] = {0};
    struct bytes large BYTES_CLEANUP = {0};
    bytes_resize(&large, CATALOG_COMMIT_BYTES_MAX - 1);
    memset(large.data, 'x', large.len);
    trial_line_hold(trial, true);
    for (size_t i = 0; i < LINE; i++) {
        catalog_put(&waiting[i].change, FAMILY_CATALOG, span_text("k"), bytes_span(&large));
        large.data[0] = (uint8_t)('1' + i);
        waiting_enter(trial, &waiting[i], i);
    }
    assert_int_equal(line_go(trial, waiting, LINE), 2); /* four pass CATALOG_GROUP_BYTES_MAX */
    large.data[0] = '0' + LINE - 1;
    for (size_t i = 0; i < LINE; i++)
        assert_int_equal(waiting[i].code, ERR_OK);
    struct bytes found_value BYTES_CLEANUP = {0};
    bool found;
    assert_int_equal(catalog_find(trial->store, NULL, FAMILY_CATALOG, span_text("k"), &found_value,
                                  &found, &trial->err),
                     ERR_OK);
    assert_true(found && span_equal(bytes_span(&found_value), bytes_span(&large)));
}

static void the_reserve_is_for_what_frees_space(void **state)
{
    struct trial *trial = *state;
    store_close(trial->store);
    trial->options.disk_reserve_bytes = UINT64_C(1) << 60;
    assert_int_equal(store_open(&trial->options, &trial->store, &trial->err), ERR_OK);
    struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
    catalog_put(&change, FAMILY_CATALOG, span_text("a"), span_text("1"));
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_KEEP_RESERVE, &trial->err),
                     ERR_NO_SPACE);
    assert_int_equal(catalog_commit(trial->store, &change, CATALOG_USE_RESERVE, &trial->err),
                     ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_change_is_whole_and_survives_reopening),
        TRIAL(an_expectation_not_met_names_the_key_and_changes_nothing),
        TRIAL(a_change_above_64_kib_is_refused),
        TRIAL(sequences_count_from_one_without_waste),
        TRIAL(a_view_keeps_its_moment),
        TRIAL(a_scan_gives_the_prefix_in_order),
        TRIAL(concurrent_commits_have_one_order),
        TRIAL(those_in_line_become_one_write_and_each_sees_those_before),
        TRIAL(a_write_takes_so_much_and_no_more),
        TRIAL(the_reserve_is_for_what_frees_space),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
