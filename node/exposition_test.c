/* The text format: escapes, families in one piece. Of a whole page, by two parsers: cluster-tests/test_metrics.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/metric_list.h"

static void page_is(const struct metric_list *list, const char *expected)
{
    BYTES_CLEANUP struct bytes page = {0};
    exposition_write(list->items, list->count, &page);
    bytes_append_u8(&page, '\0');
    assert_string_equal((const char *)page.data, expected);
}

static void what_a_label_or_help_may_not_have_is_escaped(void **state)
{
    (void)state;
    struct metric_list list METRIC_LIST_CLEANUP;
    metric_list_init(&list);
    metric_family(&list, COUNTER_GAUGE, "a", "one\\two\nthree \"four\"");
    metric_labelled(&list, 1, METRIC_LABELS({"x", span_text("a\\b\"c\nd")}, {"y", span_text("")}));
    page_is(&list, "# HELP a one\\\\two\\nthree \"four\"\n# TYPE a gauge\n"
                   "a{x=\"a\\\\b\\\"c\\nd\",y=\"\"} 1\n");
}

static void a_family_stands_together(void **state)
{
    (void)state;
    struct metric_list list METRIC_LIST_CLEANUP;
    metric_list_init(&list);
    metric_add(&list, COUNTER_TOTAL, "a_total", "A", 1);
    metric_add(&list, COUNTER_GAUGE, "a", "a", UINT64_MAX);
    metric_family(&list, COUNTER_TOTAL, "a_total", "A");
    metric_labelled(&list, 2, METRIC_LABELS({"x", span_text("y")}));
    page_is(&list, "# HELP a_total A\n# TYPE a_total counter\na_total 1\na_total{x=\"y\"} 2\n"
                   "# HELP a a\n# TYPE a gauge\na 18446744073709551615\n");
}

static void what_has_no_room_is_left_out_and_counted(void **state)
{
    (void)state;
    char text[LIMIT_COMMENT_BYTES + 1];
    BYTES_CLEANUP struct bytes body = {0};
    ARENA_CLEANUP struct arena arena;
    struct operator_status status;
    struct err err;
    struct metric_list list METRIC_LIST_CLEANUP;
    metric_list_init(&list);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    metric_family(&list, COUNTER_GAUGE, "a", "a");
    metric_labelled(&list, 1, METRIC_LABELS({"x", span_text(text)}));   /* too long */
    metric_labelled(&list, 1, METRIC_LABELS({"x", span_text("\xff")})); /* no UTF-8 */
    for (size_t i = 0; i < LIMIT_COUNTERS + 3; i++)
        metric_value(&list, i);
    metric_list_end(&list);
    assert_int_equal(list.count, LIMIT_COUNTERS);
    assert_int_equal(list.items[list.count - 1].value, 2 + 4);
    arena_init(&arena, 64 * MIB(1));
    operator_status_encode(&(struct operator_status){.region = span_text("r"),
                                                     .counters = list.items,
                                                     .counter_count = list.count},
                           &body);
    assert_int_equal(operator_status_decode(bytes_span(&body), &arena, &status, &err), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_label_or_help_may_not_have_is_escaped),
        cmocka_unit_test(a_family_stands_together),
        cmocka_unit_test(what_has_no_room_is_left_out_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
