/* Aggregates: what they give over a table, in any order of its rows, and where they end. */
#include "node/sql/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "node/sql/source_memory.h"
#include "proto/limits.h"
#include "proto/random_test.h"

#define SPAN(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static struct column columns[] = {
    {.id = 1, .name = SPAN("g"), .type = {TYPE_BIGINT, 0, 0}},
    {.id = 2, .name = SPAN("d"), .type = {TYPE_DOUBLE, 0, 0}},
    {.id = 3, .name = SPAN("n"), .type = {TYPE_DECIMAL, 10, 2}},
    {.id = 4, .name = SPAN("big"), .type = {TYPE_DECIMAL, 38, 18}},
    {.id = 5, .name = SPAN("s"), .type = {TYPE_STRING, 0, 0}},
    {.id = 6, .name = SPAN("i"), .type = {TYPE_INT, 0, 0}},
    {.id = 7, .name = SPAN("t"), .type = {TYPE_DATETIME, 0, 0}},
    {.id = 8, .name = SPAN("b"), .type = {TYPE_BOOLEAN, 0, 0}},
};
static const struct schema schema = {columns, ARRAY_COUNT(columns), NULL, 0, 9};

#define WIDTH ARRAY_COUNT(columns)
static const char *const rows[][WIDTH] = {
    {"1", "1e16", "1.10", "1.000000000000000001", "b", "3", "2024-01-15 00:00:00", "true"},
    {"1", "1", "2.20", "2.000000000000000001", "a", "1", "2024-01-14 00:00:00", "false"},
    {"1", "-1e16", "3.31", NULL, "c", "2", NULL, NULL},
    {"1", NULL, NULL, NULL, NULL, NULL, NULL, NULL},
    {"1", "4", "4.00", "9999999999999999999", "a", "2147483647", "2023-01-01 00:00:00", "true"},
    {"2", "2.5", "-1.00", "0.000000000000000001", "12x", "7", "2024-02-29 12:00:00", "true"},
    {"3", NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};

static struct source_memory forth, back; /* the same rows, the last first */

static void gives(const char *sql, const char *wanted)
{
    struct source_memory *const sources[] = {&forth, &back};
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        BYTES_CLEANUP struct bytes text = {0};
        struct err err = {0};
        if (source_memory_select(sources[i], sql, &text, &err) != ERR_OK)
            fail_msg("%s: %s", sql, err.message);
        bytes_append_u8(&text, 0);
        if (strcmp((const char *)text.data, wanted) != 0)
            fail_msg("%s\ngave   %s\nwanted %s", sql, (const char *)text.data, wanted);
    }
}

static void fails(const char *sql, enum err_code code, const char *message)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    assert_int_equal(source_memory_select(&forth, sql, &text, &err), code);
    assert_string_equal(err.message, message);
}

static void test_sums_do_not_depend_on_the_order(void **state)
{
    (void)state;
    gives("SELECT sum(d), avg(d) FROM t WHERE g = 1", "5|1.25\n");
    gives("SELECT g, sum(d), avg(n), sum(big) FROM t GROUP BY g ORDER BY g",
          "1|5|2.652500|10000000000000000002.000000000000000002\n"
          "2|2.5|-1.000000|0.000000000000000001\n3|NULL|NULL|NULL\n");
    gives("SELECT sum(DISTINCT d), avg(DISTINCT i), sum(i) + sum(d) FROM t WHERE g = 1",
          "5|536870913.25|2147483658\n");
    gives("SELECT sum(CASE WHEN i > 2 THEN d END) FROM t", "10000000000000006\n");
    gives("SELECT sum(d) FROM t WHERE g = 9", "NULL\n");
    gives("SELECT sum(s) FROM t", "12\n");
}

static void test_extremes_of_every_type(void **state)
{
    (void)state;
    gives("SELECT min(b), max(b), min(s), max(t), min(big), max(d) FROM t",
          "false|true|12x|2024-02-29 12:00:00|0.000000000000000001|1e+16\n");
    gives("SELECT any_value(s), any_value(NULL) FROM t WHERE g = 2", "12x|NULL\n");
    gives("SELECT count_if(b), count_if(i > 2), count_if(NULL), count(DISTINCT s) FROM t",
          "3|3|0|4\n");
}

static void test_middles_and_spreads(void **state)
{
    (void)state;
    gives("SELECT median(d), median(i), median(n), median(big) FROM t WHERE g = 1",
          "2.5|2.5|2.755|2.000000000000000001\n");
    gives("SELECT median(d), median(n), median(DISTINCT g) FROM t", "2.5|2.200|2\n");
    gives("SELECT median(d), stddev(d), var_samp(d) FROM t WHERE g = 3", "NULL|NULL|NULL\n");
    gives("SELECT variance(i), stddev(i), var_samp(i), stddev_samp(i) FROM t WHERE g = 2",
          "0|0|NULL|NULL\n");
    gives("SELECT variance(i), var_pop(CAST(i AS DECIMAL(5,2))), var_samp(i), stddev_pop(i) = "
          "stddev(i) FROM t "
          "WHERE i < 3",
          "0.25|0.25|0.5|true\n");
    gives("SELECT stddev(g) * stddev(g) < 0.5, variance(DISTINCT g) FROM t",
          "false|0.6666666666666666\n");
}

static void test_texts_join_in_the_order_asked(void **state)
{
    (void)state;
    gives("SELECT wm_concat(',', s) WITHIN GROUP (ORDER BY s) FROM t", "12x,a,a,b,c\n");
    gives("SELECT wm_concat(',', s) WITHIN GROUP (ORDER BY s DESC) FROM t", "c,b,a,a,12x\n");
    gives("SELECT wm_concat(DISTINCT ', ', s) FROM t WHERE g = 9", "NULL\n");
    gives("SELECT wm_concat(DISTINCT '', s) WITHIN GROUP (ORDER BY s) FROM t", "12xabc\n");
    gives("SELECT g, wm_concat('-', s) WITHIN GROUP (ORDER BY i) w FROM t GROUP BY g ORDER BY g",
          "1|a-c-b-a\n2|12x\n3|NULL\n");
    gives("SELECT wm_concat('-', i) WITHIN GROUP (ORDER BY b DESC, n, i) FROM t",
          "7-3-2147483647-1-2\n");
    gives("SELECT wm_concat('-', i) WITHIN GROUP (ORDER BY s, i DESC) FROM t",
          "7-2147483647-1-3-2\n");
    gives("SELECT wm_concat('', s) WITHIN GROUP (ORDER BY 1) FROM t WHERE i > 1 AND i < 3", "c\n");
    gives("SELECT wm_concat('-', substr(s, 9)) WITHIN GROUP (ORDER BY i) FROM t", "----\n");
    gives("SELECT wm_concat(',', s) WITHIN GROUP (ORDER BY s), wm_concat('+', s) WITHIN GROUP "
          "(ORDER BY s), wm_concat(',', s) WITHIN GROUP (ORDER BY s DESC) FROM t WHERE g = 1",
          "a,a,b,c|a+a+b+c|c,b,a,a\n");
    gives("SELECT x.g, wm_concat('', y.s) WITHIN GROUP (ORDER BY y.i * x.g, y.s) FROM t x JOIN t y "
          "ON LENGTH(x.s) > LENGTH(y.s) GROUP BY x.g",
          "2|acba\n");
    gives("SELECT (SELECT sum(d) FROM t y WHERE y.g = x.g), CASE WHEN EXISTS (SELECT 1 FROM t y "
          "WHERE y.i > 100 AND y.g = x.g) THEN 'big' ELSE 'small' END FROM t x WHERE i IN (1, 7) "
          "ORDER BY i",
          "5|big\n2.5|small\n");
    gives("SELECT m, count(*) FROM (SELECT IF(i > 2, 'more', 'less') m FROM t) u WHERE m = 'more' "
          "GROUP BY m",
          "more|3\n");
    gives("SELECT wm_concat('|', t) WITHIN GROUP (ORDER BY t) FROM t WHERE g = 1",
          "2023-01-01 00:00:00|2024-01-14 00:00:00|2024-01-15 00:00:00\n");
    gives("SELECT wm_concat('+', s || n) WITHIN GROUP (ORDER BY d / i) FROM t WHERE g = 1",
          "c3.31+a4.00+a2.20+b1.10\n");
}

static void test_what_aggregates_cannot_do_is_said(void **state)
{
    (void)state;
    fails("SELECT sum(b) FROM t", ERR_SEMANTIC,
          "line 1, column 8: sum needs numbers, found BOOLEAN");
    fails("SELECT median(t) FROM t", ERR_SEMANTIC,
          "line 1, column 8: median needs numbers, found DATETIME");
    fails("SELECT count_if(i) FROM t", ERR_SEMANTIC,
          "line 1, column 17: COUNT_IF needs a BOOLEAN, found INT");
    fails("SELECT count_if(DISTINCT b) FROM t", ERR_SEMANTIC,
          "line 1, column 8: COUNT_IF needs one argument, without DISTINCT");
    fails("SELECT wm_concat(s, s) FROM t", ERR_SEMANTIC,
          "line 1, column 18: the separator of WM_CONCAT must be a constant text");
    fails("SELECT wm_concat(NULL, s) FROM t", ERR_SEMANTIC,
          "line 1, column 18: the separator of WM_CONCAT must be a constant text");
    fails("SELECT wm_concat(',') FROM t", ERR_SEMANTIC,
          "line 1, column 8: WM_CONCAT needs a separator and a text");
    fails("SELECT wm_concat(',', b) FROM t", ERR_SEMANTIC,
          "line 1, column 23: WM_CONCAT needs texts, found BOOLEAN");
    fails("SELECT wm_concat(DISTINCT ',', s) WITHIN GROUP (ORDER BY i) FROM t", ERR_SEMANTIC,
          "line 1, column 8: with DISTINCT, WM_CONCAT is ordered by its own argument only");
    fails("SELECT sum(i) WITHIN GROUP (ORDER BY i) FROM t", ERR_SEMANTIC,
          "line 1, column 8: WITHIN GROUP goes with WM_CONCAT only");
    fails("SELECT wm_concat(',', max(s)) FROM t", ERR_SEMANTIC,
          "line 1, column 23: max stands inside another aggregate");
    fails("SELECT i FROM t WHERE wm_concat(',', s) = 'x'", ERR_SEMANTIC,
          "line 1, column 23: wm_concat cannot stand in WHERE");
    fails("SELECT sum(ln(i - 7)) FROM t", ERR_SEMANTIC,
          "line 1, column 12: LN: of -4 it has no value");
}

/* As the page prints it, its column names and snapshot filled in; and what stands between its parts. */
static void test_the_pages_checksum_query_runs(void **state)
{
    (void)state;
    /* the digests begin with 8, 866, 21, 3 and, of the other partition, e: 898, 0 and, of NULLs alone, nothing */
    gives("SELECT COUNT(1) row_count, MD5( SUM( MD5( CONCAT_WS('|', i, s) ) ) ) AS bucket_hash "
          "FROM t GROUP BY HASH(g) % 1000 ORDER BY row_count DESC, bucket_hash DESC",
          "5|a64c94baaf368e1840a1324e839230de\n1|cfcd208495d565ef66e7dff9f98764da\n1|NULL\n");
    gives(
        "WITH table_hashs AS ( SELECT COUNT(1) row_count, MD5( SUM( MD5( CONCAT_WS('|', i, s) ) ) "
        ") AS bucket_hash FROM p.t GROUP BY HASH(g) % 1000 ) SELECT SUM(row_count) AS row_count, "
        "MD5(WM_CONCAT(',', bucket_hash ) WITHIN GROUP (ORDER BY bucket_hash)) AS table_hash "
        "FROM table_hashs;",
        "7|66040a461c3d6c060df4089dc3eab063\n");
    gives("SELECT SUM(i) AS row_count, MD5(WM_CONCAT(',', s ) WITHIN GROUP (ORDER BY s)) AS "
          "table_hash FROM t",
          "2147483660|24133eb100a3a762b333ceae465182e3\n");
}

/* SUM of text is a DOUBLE; where it becomes a text at once it has all its digits. */
static void test_sums_of_texts_are_exact_in_decimal(void **state)
{
    (void)state;
#define LONG_TEXTS                                                                                 \
    "FROM (SELECT CASE WHEN i = 3 THEN '12345678901234567890123456789012' ELSE '1x' END l FROM t " \
    "WHERE i < 10) q"
    gives("SELECT sum(l), md5(sum(l)) = md5('12345678901234567890123456789015'), cast(sum(l) AS "
          "STRING), concat('=', sum(l)) " LONG_TEXTS,
          "1.2345678901234567e+31|true|12345678901234567890123456789015|="
          "12345678901234567890123456789015\n");
    gives("SELECT sum(l) > 5, avg(l), sum(l) + 1 " LONG_TEXTS " HAVING sum(l) > 0",
          "true|3.0864197253086417e+30|1.2345678901234567e+31\n");
    gives("SELECT sum(s), avg(s), count(s), sum(DISTINCT s) FROM t WHERE s IS NOT NULL",
          "12|2.4|5|12\n");
    gives("SELECT sum(s), sum(concat(i, '.5')) FROM t WHERE n < 0 OR s = 'a'", "12|2147483656.5\n");
    gives("SELECT sum(s) FROM t WHERE s IS NULL", "NULL\n");
}

/* ---- the machine itself ---- */

struct machine {
    struct node *node;
    struct node argument;
    struct aggregate_state *state;
};

static void machine_start(struct machine *machine, enum aggregate aggregate, struct type type,
                          bool ordered)
{
    machine->argument = (struct node){.kind = NODE_COLUMN, .type = type};
    machine->node = mem_calloc(1, sizeof(struct node) + sizeof(struct node *));
    machine->node->kind = NODE_AGGREGATE;
    machine->node->aggregate = aggregate;
    machine->node->ordered = ordered;
    machine->node->arg_count = 1;
    machine->node->args[0] = &machine->argument;
    machine->state = aggregate_new(machine->node);
}

static void machine_stop(struct machine *machine)
{
    aggregate_free(machine->state);
    mem_free(machine->node);
}

/* How many texts of `len` bytes it takes; SIZE_MAX: more than `most`. */
static size_t steps_taken(bool ordered, size_t len, size_t most, struct err *err)
{
    struct machine machine;
    BYTES_CLEANUP struct bytes text = {0};
    size_t taken = 0;
    bytes_resize(&text, len);
    memset(text.data, 'x', len);
    machine_start(&machine, AGGREGATE_WM_CONCAT, (struct type){.kind = TYPE_STRING}, ordered);
    struct value value = {.text = bytes_span(&text)};
    while (taken < most && aggregate_step(machine.state, &value, err) == ERR_OK)
        taken++;
    machine_stop(&machine);
    return taken;
}

static void test_memory_ends_at_its_limit(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(steps_taken(false, LIMIT_CELL_BYTES / 4, 100, &err), 4);
    assert_int_equal(err.code, ERR_LIMIT);
    err.code = ERR_OK;
    size_t each = LIMIT_CELL_BYTES + sizeof(struct value);
    assert_int_equal(steps_taken(true, LIMIT_CELL_BYTES, 100, &err), LIMIT_AGGREGATE_BYTES / each);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void test_an_ordered_text_above_a_cell_is_refused_at_the_end(void **state)
{
    (void)state;
    struct machine machine;
    ARENA_CLEANUP struct arena scratch;
    BYTES_CLEANUP struct bytes text = {0};
    struct err err = {0};
    struct value result;
    arena_init(&scratch, 2 * LIMIT_CELL_BYTES);
    bytes_resize(&text, LIMIT_CELL_BYTES / 2 + 1);
    memset(text.data, 'x', text.len);
    struct value value = {.text = bytes_span(&text)};
    machine_start(&machine, AGGREGATE_WM_CONCAT, (struct type){.kind = TYPE_STRING}, true);
    assert_int_equal(aggregate_step(machine.state, &value, &err), ERR_OK);
    assert_int_equal(aggregate_step(machine.state, &value, &err), ERR_OK);
    assert_int_equal(aggregate_final(machine.state, &scratch, &result, &err), ERR_LIMIT);
    machine_stop(&machine);
}

/* The median and the variance of random numbers, against their definitions. */
static void test_medians_and_variances_follow_their_definitions(void **state)
{
    (void)state;
    struct random random = random_start();
    for (size_t count = 1; count < 200; count++) {
        struct machine median, variance;
        struct type type = {.kind = TYPE_DOUBLE};
        double numbers[200], sum = 0, squares = 0;
        struct value middle, spread;
        machine_start(&median, AGGREGATE_MEDIAN, type, false);
        machine_start(&variance, AGGREGATE_VARIANCE, type, false);
        for (size_t i = 0; i < count; i++) {
            struct value value = {.f64 = (double)(int64_t)random_below(&random, 2001) - 1000};
            numbers[i] = value.f64;
            sum += value.f64;
            squares += value.f64 * value.f64;
            assert_int_equal(aggregate_step(median.state, &value, NULL), ERR_OK);
            assert_int_equal(aggregate_step(variance.state, &value, NULL), ERR_OK);
        }
        assert_int_equal(aggregate_final(median.state, NULL, &middle, NULL), ERR_OK);
        assert_int_equal(aggregate_final(variance.state, NULL, &spread, NULL), ERR_OK);
        size_t below = 0, above = 0;
        for (size_t i = 0; i < count; i++) {
            below += numbers[i] < middle.f64 ? 1 : 0;
            above += numbers[i] > middle.f64 ? 1 : 0;
        }
        assert_true(below <= count / 2 && above <= count / 2);
        double mean = sum / (double)count;
        double wanted = squares / (double)count - mean * mean;
        assert_true(fabs(spread.f64 - wanted) <= 1e-9 * (1 + wanted));
        machine_stop(&median);
        machine_stop(&variance);
    }
}

static int setup(void **state)
{
    (void)state;
    if (select_start("/tmp", NULL) != ERR_OK)
        return 1;
    source_memory_init(&forth, &schema, 3);
    source_memory_init(&back, &schema, 3);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        source_memory_add(&forth, rows[i]);
        source_memory_add(&back, rows[ARRAY_COUNT(rows) - 1 - i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_memory_deinit(&forth);
    source_memory_deinit(&back);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_do_not_depend_on_the_order),
        cmocka_unit_test(test_extremes_of_every_type),
        cmocka_unit_test(test_middles_and_spreads),
        cmocka_unit_test(test_texts_join_in_the_order_asked),
        cmocka_unit_test(test_what_aggregates_cannot_do_is_said),
        cmocka_unit_test(test_the_pages_checksum_query_runs),
        cmocka_unit_test(test_sums_of_texts_are_exact_in_decimal),
        cmocka_unit_test(test_memory_ends_at_its_limit),
        cmocka_unit_test(test_an_ordered_text_above_a_cell_is_refused_at_the_end),
        cmocka_unit_test(test_medians_and_variances_follow_their_definitions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
