#include "store/cluster_sort.h"

#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct column data_columns[] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}}, /* arrival */
    {.id = 2, .type = {.kind = TYPE_STRING}},
    {.id = 3, .type = {.kind = TYPE_DOUBLE}},
    {.id = 4, .type = {.kind = TYPE_BIGINT}},
};
static const struct schema schema = {
    .columns = data_columns, .column_count = ARRAY_COUNT(data_columns), .next_column_id = 5};

static void append_row(struct batch *batch, struct random *random, int64_t arrival)
{
    static const char *const texts[] = {"", "a", "ab",
                                        "0123456789 0123456789 0123456789 0123456789",
                                        "0123456789 0123456789 0123456789 0123456788"};
    static const double reals[] = {0.0, -0.0, 1.5, -1.5, 1e300};
    struct value values[4] = {
        {.i64 = arrival},
        {.text = span_text(texts[random_below(random, ARRAY_COUNT(texts))])},
        {.f64 = reals[random_below(random, ARRAY_COUNT(reals))]},
        {.i64 = (int64_t)random_below(random, 500) - 250},
    };
    for (size_t i = 1; i < 4; i++)
        values[i].null = random_below(random, 11) == 0;
    for (size_t i = 0; i < 4; i++)
        vector_append(&batch->vectors[i], values[i]);
    batch->rows++;
}

struct sorted {
    struct batch rows;
    uint32_t *buckets;
    struct cluster_sort_counts counts;
};

static void sorted_deinit(struct sorted *sorted)
{
    batch_deinit(&sorted->rows);
    mem_free(sorted->buckets);
}
#define SORTED_CLEANUP __attribute__((cleanup(sorted_deinit)))

static struct cluster_layout layout_of(const struct clustering *clustering)
{
    struct cluster_layout layout;
    assert_int_equal(clustering_validate(clustering, &schema, NULL), ERR_OK);
    assert_true(cluster_layout_of(clustering, &schema, &layout));
    return layout;
}

/* In batches of random length. */
static void sort_rows(const struct clustering *clustering, const struct batch *rows,
                      size_t memory_bytes, struct random *random, struct sorted *ret_sorted)
{
    struct cluster_layout layout = layout_of(clustering);
    CLUSTER_SORT_CLEANUP struct cluster_sort *sort =
        cluster_sort_new(&(struct cluster_sort_options){.schema = &schema,
                                                        .layout = &layout,
                                                        .space = {.path = "/tmp"},
                                                        .memory_bytes = memory_bytes});
    struct err err = {0};
    for (size_t at = 0; at < rows->rows;) {
        size_t left = rows->rows - at, count = 1 + random_below(random, 3000);
        count = count < left ? count : left;
        if (cluster_sort_append(sort, rows, at, count, &err) != ERR_OK)
            fail_msg("%s", err.message);
        at += count;
        if (cluster_sort_memory(sort) > memory_bytes + KIB(600))
            fail_msg("%zu bytes in memory, %zu allowed", cluster_sort_memory(sort), memory_bytes);
    }
    if (cluster_sort_finish(sort, &err) != ERR_OK)
        fail_msg("%s", err.message);
    batch_init(&ret_sorted->rows, &schema);
    ret_sorted->buckets = mem_calloc(rows->rows + 1, sizeof(uint32_t));
    for (;;) {
        const struct batch *batch;
        uint32_t bucket;
        if (cluster_sort_next(sort, &batch, &bucket, &err) != ERR_OK)
            fail_msg("%s", err.message);
        if (batch == NULL)
            break;
        for (size_t i = 0; i < batch->rows; i++)
            ret_sorted->buckets[ret_sorted->rows.rows + i] = bucket;
        batch_append_range(&ret_sorted->rows, batch, 0, batch->rows);
    }
    ret_sorted->counts = cluster_sort_counts(sort);
    assert_int_equal(ret_sorted->rows.rows, rows->rows);
}

static int64_t arrival_of(const struct sorted *sorted, size_t i)
{
    return sorted->rows.vectors[0].i64[i];
}

/* Every row once, as it was; each where it belongs among its neighbours. */
static void check_sorted(const struct clustering *clustering, const struct batch *rows,
                         const struct sorted *sorted)
{
    struct cluster_layout layout = layout_of(clustering);
    BYTES_CLEANUP struct bytes key = {0};
    MEM_CLEANUP bool *seen = mem_calloc(rows->rows + 1, sizeof(bool));
    for (size_t i = 0; i < rows->rows; i++) {
        size_t arrival = (size_t)arrival_of(sorted, i);
        assert_true(arrival < rows->rows && !seen[arrival]);
        seen[arrival] = true;
        for (size_t c = 0; c < rows->vector_count; c++)
            assert_int_equal(value_compare(data_columns[c].type,
                                           vector_value(&rows->vectors[c], arrival),
                                           vector_value(&sorted->rows.vectors[c], i)),
                             0);
        if (layout.kind == CLUSTERING_HASH)
            assert_int_equal(sorted->buckets[i], cluster_row_bucket(&layout, rows, arrival, &key));
        if (i == 0)
            continue;
        assert_true(sorted->buckets[i] >= sorted->buckets[i - 1]);
        bool ordered =
            layout.kind == CLUSTERING_RANGE || sorted->buckets[i] == sorted->buckets[i - 1];
        int order = cluster_rows_compare(&layout, layout.sort_count, &sorted->rows, i - 1,
                                         &sorted->rows, i);
        if (ordered && (order > 0 || (order == 0 && arrival_of(sorted, i - 1) > (int64_t)arrival)))
            fail_msg("row %zu out of order", i);
        if (layout.kind == CLUSTERING_RANGE && sorted->buckets[i] != sorted->buckets[i - 1])
            assert_true(cluster_rows_compare(&layout, layout.key_count, &sorted->rows, i - 1,
                                             &sorted->rows, i) != 0);
    }
}

static struct clustering random_clustering(struct random *random)
{
    struct clustering clustering = {
        .kind = random_below(random, 2) == 0 ? CLUSTERING_HASH : CLUSTERING_RANGE,
        .bucket_count = (uint32_t)(1 + random_below(random, 40)),
        .column_count = (uint32_t)(1 + random_below(random, 2)),
        .sort_count = (uint32_t)random_below(random, 4),
    };
    uint32_t first = (uint32_t)(2 + random_below(random, 3));
    for (uint32_t i = 0; i < 3; i++) {
        clustering.columns[i] = 2 + (first - 2 + i) % 3;
        clustering.sort_columns[i] = clustering.columns[i];
        clustering.sort_descending[i] = random_below(random, 2) == 0;
    }
    if (clustering.kind == CLUSTERING_RANGE && clustering.sort_count < clustering.column_count)
        clustering.sort_count = 0;
    return clustering;
}

static void test_rows_come_out_in_order_whatever_memory_and_batches(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 12; round++) {
        BATCH_CLEANUP struct batch rows;
        batch_init(&rows, &schema);
        size_t count = random_below(&random, 4) == 0 ? random_below(&random, 3) : 6000;
        for (size_t i = 0; i < count; i++)
            append_row(&rows, &random, (int64_t)i);
        struct clustering clustering = random_clustering(&random);
        SORTED_CLEANUP struct sorted whole = {0};
        SORTED_CLEANUP struct sorted parts = {0};
        sort_rows(&clustering, &rows, MIB(64), &random, &whole);
        check_sorted(&clustering, &rows, &whole);
        assert_int_equal(whole.counts.spilled_runs, 0);
        sort_rows(&clustering, &rows, KIB(64), &random, &parts);
        assert_true(count < 6000 || parts.counts.spilled_runs > 2);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(arrival_of(&parts, i), arrival_of(&whole, i));
            assert_int_equal(parts.buckets[i], whole.buckets[i]);
        }
    }
}

static void test_many_runs_are_merged_and_keep_their_order(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch rows;
    batch_init(&rows, &schema);
    for (int64_t i = 0; i < 60000; i++)
        append_row(&rows, &random, i);
    struct clustering clustering = {.kind = CLUSTERING_HASH,
                                    .bucket_count = 3,
                                    .column_count = 1,
                                    .columns = {3},
                                    .sort_count = 1,
                                    .sort_columns = {2}}; /* mostly ties */
    SORTED_CLEANUP struct sorted sorted = {0};
    sort_rows(&clustering, &rows, KIB(32), &random, &sorted);
    assert_true(sorted.counts.merges > 8); /* of merged runs, too */
    check_sorted(&clustering, &rows, &sorted);
}

static void test_a_range_has_as_many_buckets_as_it_may_and_keeps_equal_values_together(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch rows;
    batch_init(&rows, &schema);
    for (int64_t i = 0; i < 10000; i++)
        append_row(&rows, &random, i);
    struct clustering clustering = {
        .kind = CLUSTERING_RANGE, .bucket_count = 10, .column_count = 1, .columns = {1}};
    SORTED_CLEANUP struct sorted even = {0};
    sort_rows(&clustering, &rows, MIB(64), &random, &even);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(even.buckets[i], i / 1000);
    clustering.columns[0] =
        3; /* six different values and NULL: no bucket of its own for each tenth */
    SORTED_CLEANUP struct sorted few = {0};
    sort_rows(&clustering, &rows, MIB(64), &random, &few);
    check_sorted(&clustering, &rows, &few);
    assert_true(few.buckets[9999] < 10 && few.buckets[9999] > 0);
    clustering.bucket_count = 0; /* as many as the rows ask for */
    SORTED_CLEANUP struct sorted one = {0};
    sort_rows(&clustering, &rows, MIB(64), &random, &one);
    assert_int_equal(one.buckets[9999], 0);
}

static void test_a_disk_that_would_fall_below_its_reserve_stops_the_sort(void **state)
{
    (void)state;
    struct random random = random_start();
    BATCH_CLEANUP struct batch rows;
    batch_init(&rows, &schema);
    for (int64_t i = 0; i < 6000; i++)
        append_row(&rows, &random, i);
    struct clustering clustering = {.kind = CLUSTERING_RANGE, .column_count = 1, .columns = {4}};
    struct cluster_layout layout = layout_of(&clustering);
    CLUSTER_SORT_CLEANUP struct cluster_sort *sort = cluster_sort_new(
        &(struct cluster_sort_options){.schema = &schema,
                                       .layout = &layout,
                                       .space = {.path = "/tmp", .reserve_bytes = UINT64_MAX},
                                       .memory_bytes = KIB(64)});
    struct err err;
    assert_int_equal(cluster_sort_append(sort, &rows, 0, rows.rows, &err), ERR_NO_SPACE);
}

/* Cells may have 8 MB: as many runs are merged at a time as have room for a block each. */
static void test_long_cells_do_not_outgrow_the_memory(void **state)
{
    (void)state;
    struct random random = random_start();
    const struct clustering clustering = {.kind = CLUSTERING_HASH,
                                          .bucket_count = 3,
                                          .column_count = 1,
                                          .columns = {1},
                                          .sort_count = 1,
                                          .sort_columns = {4}};
    SORTED_CLEANUP struct sorted sorted;
    BATCH_CLEANUP struct batch rows;
    BYTES_CLEANUP struct bytes text = {0};
    batch_init(&rows, &schema);
    bytes_resize(&text, KIB(250));
    memset(text.data, 'x', text.len);
    for (int64_t i = 0; i < 80; i++) {
        vector_append(&rows.vectors[0], (struct value){.i64 = i});
        vector_append(&rows.vectors[1], (struct value){.text = bytes_span(&text)});
        vector_append(&rows.vectors[2], (struct value){.f64 = 0});
        vector_append(&rows.vectors[3], (struct value){.i64 = (int64_t)random_below(&random, 50)});
        rows.rows++;
    }
    sort_rows(&clustering, &rows, MIB(1), &random, &sorted);
    check_sorted(&clustering, &rows, &sorted);
    assert_true(sorted.counts.merges > 0);
    if (sorted.counts.merge_bytes_max > MIB(1) + MIB(1) / 2)
        fail_msg("%zu bytes of blocks at a time", sorted.counts.merge_bytes_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_out_in_order_whatever_memory_and_batches),
        cmocka_unit_test(test_many_runs_are_merged_and_keep_their_order),
        cmocka_unit_test(
            test_a_range_has_as_many_buckets_as_it_may_and_keeps_equal_values_together),
        cmocka_unit_test(test_long_cells_do_not_outgrow_the_memory),
        cmocka_unit_test(test_a_disk_that_would_fall_below_its_reserve_stops_the_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
