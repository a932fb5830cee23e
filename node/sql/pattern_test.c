#include "node/sql/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "node/sql/resources.h"
#include "proto/bytes.h"

struct trial {
    atomic_bool cancel;
    struct meter meter;
    struct patterns *patterns;
};

static int start(void **state)
{
    struct trial *trial = mem_calloc(1, sizeof(*trial));
    atomic_init(&trial->cancel, false);
    trial->meter.cancel = &trial->cancel;
    meter_begin(&trial->meter);
    trial->patterns = patterns_new(&trial->meter);
    *state = trial;
    return 0;
}

static int stop(void **state)
{
    struct trial *trial = *state;
    patterns_free(trial->patterns);
    mem_free(trial);
    return 0;
}

static void repeat(const char *what, size_t times, struct bytes *out)
{
    for (size_t i = 0; i < times; i++)
        bytes_append_text(out, what);
}

/* Places of a long text are tried window by window; a match may reach over their ends. */
static void matches_are_found_wherever_they_are(void **state)
{
    struct trial *trial = *state;
    static const size_t begins[] = {0, 1, 16382, 16383, 16384, 16385, 40000, 99999};
    for (size_t i = 0; i < ARRAY_COUNT(begins); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        struct pattern_match match;
        repeat("\xC3\xA9", 1, &text);
        repeat("-", begins[i], &text);
        repeat("ab", 20000, &text);
        assert_int_equal(pattern_find(trial->patterns, span_text("(ab)+"), bytes_span(&text), 0,
                                      false, &match, NULL),
                         ERR_OK);
        assert_true(match.found);
        assert_int_equal(match.group_count, 1);
        assert_int_equal(match.offsets[0], 2 + begins[i]);
        assert_int_equal(match.offsets[1], text.len);
    }
}

/* What the quick form gives up is found, or not, by the other. */
static void hard_texts_are_decided(void **state)
{
    struct trial *trial = *state;
    BYTES_CLEANUP struct bytes text = {0};
    struct pattern_match match;
    repeat("a", 300, &text);
    bytes_append_text(&text, "c");
    struct span pattern = span_text("a*a*a*b|a*a*c");
    assert_int_equal(
        pattern_find(trial->patterns, pattern, bytes_span(&text), 0, false, &match, NULL), ERR_OK);
    assert_true(match.found);
    assert_int_equal(match.offsets[0], 0);
    text.data[text.len - 1] = 'd';
    assert_int_equal(
        pattern_find(trial->patterns, pattern, bytes_span(&text), 0, false, &match, NULL), ERR_OK);
    assert_false(match.found);
}

static void what_has_no_end_is_refused(void **state)
{
    struct trial *trial = *state;
    static const char *const patterns[] = {"^(a+)+$", "^(a|a)*$", "(a?){60}a{60}$|x", "^(.*)*y$",
                                           "^((a|b|ab)*)*c"};
    for (size_t i = 0; i < ARRAY_COUNT(patterns); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        struct pattern_match match;
        struct err err = {0};
        repeat("a", 58, &text);
        bytes_append_text(&text, "!");
        enum err_code code = pattern_find(trial->patterns, span_text(patterns[i]),
                                          bytes_span(&text), 0, false, &match, &err);
        assert_true(code == ERR_LIMIT || (code == ERR_OK && !match.found));
        assert_true(i != 0 || code == ERR_LIMIT);
        assert_true(code == ERR_OK || strstr(err.message, "too many steps") != NULL);
    }
}

/* Each place takes long, and none fails: only the meter ends it. */
static void a_long_search_is_cancelled(void **state)
{
    struct trial *trial = *state;
    BYTES_CLEANUP struct bytes text = {0};
    struct pattern_match match;
    for (int i = 0; i < 40000; i++)
        repeat(i % 200 == 199 ? "c" : "a", 1, &text);
    atomic_store(&trial->cancel, true);
    assert_int_equal(pattern_find(trial->patterns, span_text("a*a*a*[bx]"), bytes_span(&text), 0,
                                  false, &match, NULL),
                     ERR_CANCELLED);
    repeat("-", 40000, &text);
    assert_int_equal(
        pattern_find(trial->patterns, span_text("x|y"), bytes_span(&text), 0, false, &match, NULL),
        ERR_CANCELLED);
}

static void more_patterns_than_are_kept_work(void **state)
{
    struct trial *trial = *state;
    for (int i = 0; i < 200; i++) {
        char pattern[16], text[16];
        struct pattern_match match;
        snprintf(pattern, sizeof(pattern), "^%d$", i % 40);
        snprintf(text, sizeof(text), "%d", i % 40);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(pattern_find(trial->patterns, span_text(pattern), span_text(text), 0,
                                          false, &match, NULL),
                             ERR_OK);
            assert_true(match.found);
        }
    }
}

static int64_t taken(struct trial *trial, const char *pattern)
{
    struct resources resources = {0};
    struct pattern_match match;
    struct resources *before = resources_enter(&resources);
    assert_int_equal(
        pattern_find(trial->patterns, span_text(pattern), span_text("b"), 0, false, &match, NULL),
        ERR_OK);
    resources_leave(before);
    return resources.memory_bytes;
}

static void a_pattern_is_compiled_once_and_counts_as_the_querys_memory(void **state)
{
    struct trial *trial = *state;
    struct pattern_match match;
    struct err err;
    assert_true(taken(trial, "a{100}|b") > 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(taken(trial, "a{100}|b"), 0);
    struct resources resources = {.memory_bytes_max = 1000};
    struct resources *before = resources_enter(&resources);
    assert_int_equal(pattern_find(trial->patterns, span_text("(a{100}){100}|b"), span_text("b"), 0,
                                  false, &match, &err),
                     ERR_LIMIT);
    resources_leave(before);
    assert_non_null(strstr(err.message, "select_memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(matches_are_found_wherever_they_are, start, stop),
        cmocka_unit_test_setup_teardown(hard_texts_are_decided, start, stop),
        cmocka_unit_test_setup_teardown(what_has_no_end_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_long_search_is_cancelled, start, stop),
        cmocka_unit_test_setup_teardown(more_patterns_than_are_kept_work, start, stop),
        cmocka_unit_test_setup_teardown(a_pattern_is_compiled_once_and_counts_as_the_querys_memory,
                                        start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
