#include "store/load.h"
#include "store/cluster_check.h"
#include "store/file_memory.h"
#include "store/load_edits.h"
#include "store/page_memory.h"

#include <dirent.h>

#include "proto/key.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct column data_columns[] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}, .not_null = true},
    {.id = 2, .type = {.kind = TYPE_DECIMAL, .precision = 10, .scale = 2}},
    {.id = 40, .type = {.kind = TYPE_STRING}}, /* beyond one entry's columns */
    {.id = 4, .type = {.kind = TYPE_BOOLEAN}}, /* ids need not ascend */
};
static struct column partition_columns[] = {
    {.id = 5, .type = {.kind = TYPE_DATE}},
    {.id = 6, .type = {.kind = TYPE_STRING}},
};
static const struct schema schema = {.columns = data_columns,
                                     .column_count = ARRAY_COUNT(data_columns),
                                     .partition_columns = partition_columns,
                                     .partition_column_count = ARRAY_COUNT(partition_columns),
                                     .next_column_id = 41};
static const struct schema flat_schema = {
    .columns = data_columns, .column_count = ARRAY_COUNT(data_columns), .next_column_id = 41};

/* Of every new partition; cmocka's setup clears it. */
static struct clustering test_clustering;

static enum err_code find_test_clustering(void *context, struct span key,
                                          struct clustering *ret_clustering, struct err *err)
{
    (void)context;
    (void)key;
    (void)err;
    *ret_clustering = test_clustering;
    return ERR_OK;
}

/* The number of the row says all of it; its partition apart. */
static void append_row(struct batch *batch, int64_t row, int64_t partition)
{
    char text[40], region[16];
    snprintf(text, sizeof(text), "order %" PRId64, row * 7919 % 10007);
    snprintf(region, sizeof(region), "r%" PRId64, partition % 3);
    struct value values[6] = {
        {.i64 = row},     {.decimal = row * 7919 % 99991}, {.text = span_text(text)},
        {.i64 = row & 1}, {.i64 = partition / 3},          {.text = span_text(region)}};
    values[1].null = row % 10 == 3;
    for (size_t i = 0; i < batch->vector_count; i++)
        vector_append(&batch->vectors[i], values[i]);
    batch->rows++;
}

static enum err_code load_batch(struct load *load, const struct batch *batch)
{
    struct err err = {0};
    enum err_code code = load_append(load, batch, &err);
    if (code != ERR_OK)
        print_message("%s\n", err.message);
    return code;
}

struct loaded {
    struct digest root;
    struct load_counts counts;
    struct load_edits edits;
};

/* Rows 0 .. rows, each in partition(row), in batches; gives the root of the tree. */
struct plan {
    size_t rows;
    size_t batch_rows;
    size_t memory_bytes;
    int64_t partitions;
    bool blocked;  /* partition after partition, not interleaved */
    bool shuffled; /* partitions in another order; rows within one the same */
};

static int64_t plan_partition(const struct plan *plan, int64_t row)
{
    if (plan->blocked)
        return row / ((int64_t)plan->rows / plan->partitions + 1);
    return row % plan->partitions;
}

static void load_plan(struct load *load, const struct plan *plan)
{
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    int64_t passes = plan->shuffled ? plan->partitions : 1;
    for (int64_t pass = 0; pass < passes; pass++) {
        for (int64_t row = 0; row < (int64_t)plan->rows; row++) {
            int64_t partition = plan_partition(plan, row);
            if (plan->shuffled && partition != plan->partitions - 1 - pass)
                continue;
            append_row(&batch, row, partition);
            if (batch.rows < plan->batch_rows)
                continue;
            assert_int_equal(load_batch(load, &batch), ERR_OK);
            batch_clear(&batch);
        }
    }
    assert_int_equal(load_batch(load, &batch), ERR_OK);
}

static struct digest apply(struct load *load, struct page_memory *pages, struct digest base_root,
                           enum load_mode mode, size_t expected_partitions)
{
    struct page_source source = page_memory_source(pages);
    struct page_sink sink = page_memory_sink(pages);
    struct digest empty;
    struct err err = {0};
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &empty, &err), ERR_OK);
    struct tree base = {.source = &source, .kind = TREE_MANIFEST, .root = base_root};
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, mode);
    edits.clustering = test_clustering;
    struct tree_edit_source edit_source = load_edits_source(&edits);
    struct tree_apply_result result;
    if (tree_apply(&base, &sink, &edit_source, &result, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(edits.partition_count, expected_partitions);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = result.root};
    if (tree_check(&tree, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return result.root;
}

static struct load *open_load(const struct schema *of, struct file_memory *files,
                              size_t memory_bytes)
{
    return load_open(&(struct load_options){.schema = of,
                                            .sink = file_memory_sink(files),
                                            .tmp_folder = "/tmp",
                                            .memory_bytes = memory_bytes,
                                            .clustering = {.find = find_test_clustering}});
}

/* All rows where the clustering of their partition says; gives their number. */
static uint64_t check_clustering(struct page_memory *pages, struct file_memory *files,
                                 struct digest root)
{
    struct page_source source = page_memory_source(pages);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = root};
    struct file_source file_source = file_memory_source(files);
    uint64_t rows;
    struct err err = {0};
    if (cluster_check(&tree, &schema, &file_source, &rows, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return rows;
}

static struct digest run_plan(const struct plan *plan, struct load_counts *ret_counts)
{
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    LOAD_CLEANUP struct load *load = open_load(&schema, &files, plan->memory_bytes);
    struct err err = {0};
    load_plan(load, plan);
    if (load_finish(load, &err) != ERR_OK)
        fail_msg("%s", err.message);
    struct digest root = apply(load, &pages, tree_empty_root(TREE_MANIFEST), LOAD_OVERWRITE,
                               (size_t)plan->partitions);
    *ret_counts = load_counts(load);
    assert_int_equal(ret_counts->rows, plan->rows);
    uint64_t clustered = check_clustering(&pages, &files, root);
    assert_int_equal(clustered, test_clustering.kind != CLUSTERING_NONE ? plan->rows : 0);
    return root;
}

static void test_equal_rows_give_equal_roots_whatever_order_memory_and_batches(void **state)
{
    (void)state;
    struct plan plan = {.rows = 60000, .batch_rows = 60000, .partitions = 7};
    struct load_counts counts;
    struct digest expected = run_plan(&plan, &counts);
    assert_int_equal(counts.spilled_runs, 0);
    plan.batch_rows = 777;
    plan.memory_bytes = LOAD_MEMORY_BYTES_MIN;
    struct digest root = run_plan(&plan, &counts);
    assert_true(counts.spilled_runs >= 2);
    assert_true(digest_equal(&root, &expected));
    plan.shuffled = true;
    root = run_plan(&plan, &counts);
    assert_true(digest_equal(&root, &expected));
    plan.memory_bytes = 0;
    root = run_plan(&plan, &counts);
    assert_true(digest_equal(&root, &expected));
}

static void test_one_partition_streams_and_never_spills(void **state)
{
    (void)state;
    struct plan plan = {.rows = 250000, .batch_rows = 5000, .partitions = 1};
    struct load_counts counts;
    struct digest expected = run_plan(&plan, &counts);
    plan.memory_bytes = LOAD_MEMORY_BYTES_MIN;
    struct digest root = run_plan(&plan, &counts);
    assert_int_equal(counts.spilled_bytes, 0);
    assert_true(digest_equal(&root, &expected));
}

static void test_a_streamed_partition_goes_on_after_others_came(void **state)
{
    (void)state;
    struct plan plan = {.rows = 90000, .batch_rows = 1000, .partitions = 2, .blocked = true};
    struct load_counts counts;
    struct digest expected = run_plan(&plan, &counts);
    plan.shuffled = true; /* the second partition first */
    struct digest root = run_plan(&plan, &counts);
    assert_true(digest_equal(&root, &expected));
    plan.memory_bytes = LOAD_MEMORY_BYTES_MIN;
    root = run_plan(&plan, &counts);
    assert_true(counts.spilled_runs > 0);
    assert_true(digest_equal(&root, &expected));
}

static void test_ten_thousand_interleaved_partitions_stay_within_memory(void **state)
{
    (void)state;
    struct plan plan = {
        .rows = 60000, .batch_rows = 2000, .partitions = 10000, .memory_bytes = 3 * MIB(1)};
    struct load_counts counts;
    struct digest root = run_plan(&plan, &counts);
    assert_true(counts.spilled_runs >= 2);
    assert_true(counts.memory_bytes_max <= plan.memory_bytes);
    plan.memory_bytes = 0;
    struct digest expected = run_plan(&plan, &counts);
    assert_true(digest_equal(&root, &expected));
}

static struct clustering hash_by_price(void)
{
    return (struct clustering){.kind = CLUSTERING_HASH,
                               .bucket_count = 5,
                               .column_count = 1,
                               .columns = {2},
                               .sort_count = 2,
                               .sort_columns = {40, 1},
                               .sort_descending = {false, true}};
}

static struct clustering range_by_name(void)
{
    return (struct clustering){
        .kind = CLUSTERING_RANGE, .bucket_count = 7, .column_count = 2, .columns = {40, 2}};
}

/* Invariant 2 of load.h, of each kind: one partition, and several interleaved. */
static void test_clustered_loads_give_equal_roots_whatever_order_memory_and_batches(void **state)
{
    (void)state;
    const struct clustering kinds[] = {hash_by_price(), range_by_name()};
    for (size_t i = 0; i < ARRAY_COUNT(kinds) * 2; i++) {
        test_clustering = kinds[i / 2];
        struct plan plan = {.rows = 60000, .batch_rows = 60000, .partitions = i % 2 == 0 ? 1 : 3};
        struct load_counts counts;
        struct digest expected = run_plan(&plan, &counts);
        assert_int_equal(counts.spilled_bytes, 0);
        plan.batch_rows = 777;
        plan.memory_bytes = LOAD_MEMORY_BYTES_MIN;
        struct digest root = run_plan(&plan, &counts);
        assert_true(counts.spilled_bytes > 0);
        assert_true(counts.memory_bytes_max <= plan.memory_bytes);
        assert_true(digest_equal(&root, &expected));
        plan.shuffled = true;
        root = run_plan(&plan, &counts);
        assert_true(digest_equal(&root, &expected));
    }
}

static void load_rows(struct file_memory *files, struct page_memory *pages, enum load_mode mode,
                      size_t rows, struct digest *root)
{
    LOAD_CLEANUP struct load *load = open_load(&schema, files, 0);
    load_plan(load, &(struct plan){.rows = rows, .batch_rows = 100, .partitions = 3});
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    *root = apply(load, pages, *root, mode, 3);
}

/* A load asks the partition that is there; one that begins anew has the table's. */
static void test_a_partition_keeps_its_clustering_until_it_is_overwritten(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    struct digest root = tree_empty_root(TREE_MANIFEST);
    test_clustering = hash_by_price();
    load_rows(&files, &pages, LOAD_INTO, 3000, &root);
    {
        /* the table's default is another by now: theirs counts */
        LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
        load_plan(load, &(struct plan){.rows = 2000, .batch_rows = 100, .partitions = 3});
        assert_int_equal(load_finish(load, NULL), ERR_OK);
        test_clustering = range_by_name();
        root = apply(load, &pages, root, LOAD_INTO, 3);
    }
    assert_int_equal(check_clustering(&pages, &files, root), 5000);
    struct page_source source = page_memory_source(&pages);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = root};
    struct clustering hash = hash_by_price();
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    const struct page_entry *entry;
    assert_int_equal(tree_cursor_next(cursor, &entry, NULL), ERR_OK);
    assert_true(clustering_equal(&entry->partition.clustering, &hash));
    assert_int_equal(entry->partition.segment_count, 2);
    load_rows(&files, &pages, LOAD_OVERWRITE, 1000, &root);
    assert_int_equal(check_clustering(&pages, &files, root), 1000);
    struct digest again = tree_empty_root(TREE_MANIFEST);
    load_rows(&files, &pages, LOAD_INTO, 1000, &again);
    assert_true(digest_equal(&root, &again));
}

static void test_a_clustering_that_changed_under_the_first_rows_is_a_conflict(void **state)
{
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        FILE_MEMORY_CLEANUP struct file_memory files = {0};
        test_clustering = streamed != 0 ? (struct clustering){0} : hash_by_price();
        LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
        load_plan(load, &(struct plan){.rows = 100, .batch_rows = 100, .partitions = 1});
        assert_int_equal(load_finish(load, NULL), ERR_OK);
        test_clustering = range_by_name();
        const struct load_partition *partition;
        struct err err;
        assert_int_equal(load_next(load, &partition, &err), ERR_CONFLICT);
    }
}

static void test_a_clustering_by_an_unknown_column_is_refused(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    test_clustering = hash_by_price();
    test_clustering.columns[0] = 39;
    LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    append_row(&batch, 1, 1);
    struct err err = {0};
    assert_int_equal(load_append(load, &batch, &err), ERR_SEMANTIC);
    assert_non_null(strstr(err.message, "INSERT OVERWRITE"));
}

/* The rows stay where they are, and their partition says that they were stored in another way. */
static void a_lie_is_found(struct clustering as_loaded, struct clustering as_told,
                           const char *words)
{
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    struct digest root = tree_empty_root(TREE_MANIFEST);
    test_clustering = as_loaded;
    load_rows(&files, &pages, LOAD_INTO, 3000, &root);
    struct page_source source = page_memory_source(&pages);
    struct page_sink sink = page_memory_sink(&pages);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = root};
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    const struct page_entry *first;
    assert_int_equal(tree_cursor_next(cursor, &first, NULL), ERR_OK);
    struct page_entry told = *first;
    told.partition.clustering = as_told;
    struct tree_edit edit = {.kind = TREE_PUT, .entry = &told};
    struct tree_edit_array array = {.edits = &edit, .count = 1};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    struct tree_apply_result result;
    assert_int_equal(tree_apply(&tree, &sink, &edits, &result, NULL), ERR_OK);
    tree.root = result.root;
    struct file_source file_source = file_memory_source(&files);
    uint64_t rows;
    struct err err = {0};
    assert_int_equal(cluster_check(&tree, &schema, &file_source, &rows, &err), ERR_CORRUPT);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_rows_that_are_not_where_their_clustering_says_are_found(void **state)
{
    (void)state;
    struct clustering told = hash_by_price();
    told.columns[0] = 1;
    a_lie_is_found(hash_by_price(), told, "another bucket");
    told = hash_by_price();
    told.sort_columns[0] = 2;
    a_lie_is_found(hash_by_price(), told, "not in order");
    told = hash_by_price();
    told.columns[0] = 39;
    a_lie_is_found(hash_by_price(), told, "column 39");
    struct clustering loaded = hash_by_price();
    loaded.sort_count = 1;
    loaded.sort_columns[0] = 1;
    told = loaded; /* in order of both, as it happens, and with other keys */
    told.sort_count = 2;
    told.sort_columns[1] = 40;
    a_lie_is_found(loaded, told, "another sort key");
    loaded = (struct clustering){
        .kind = CLUSTERING_RANGE, .bucket_count = 7, .column_count = 2, .columns = {4, 1}};
    told = loaded; /* in the same order, and cut by the first column, of two values, alone */
    told.column_count = 1;
    told.sort_count = 2;
    told.sort_columns[0] = 4;
    told.sort_columns[1] = 1;
    a_lie_is_found(loaded, told, "its range goes on");
}

static int clear_clustering(void **state)
{
    (void)state;
    test_clustering = (struct clustering){0};
    return 0;
}

static size_t count_entries(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void test_spilling_leaves_no_file_behind(void **state)
{
    (void)state;
    char folder[] = "/tmp/strait-load-XXXXXX";
    assert_non_null(mkdtemp(folder));
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    struct plan plan = {.rows = 30000, .batch_rows = 1000, .partitions = 5};
    LOAD_CLEANUP struct load *load =
        load_open(&(struct load_options){.schema = &schema,
                                         .sink = file_memory_sink(&files),
                                         .tmp_folder = folder,
                                         .memory_bytes = LOAD_MEMORY_BYTES_MIN});
    load_plan(load, &plan);
    assert_true(load_counts(load).spilled_bytes > 0);
    assert_int_equal(count_entries(folder), 2); /* . and .. */
    rmdir(folder);
}

static void test_a_disk_that_would_fall_below_its_reserve_stops_the_load(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    LOAD_CLEANUP struct load *load =
        load_open(&(struct load_options){.schema = &schema,
                                         .sink = file_memory_sink(&files),
                                         .tmp_folder = "/tmp",
                                         .memory_bytes = LOAD_MEMORY_BYTES_MIN,
                                         .disk_reserve_bytes = UINT64_MAX});
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    for (int64_t row = 0; row < 30000; row++)
        append_row(&batch, row, row % 2);
    assert_int_equal(load_append(load, &batch, NULL), ERR_NO_SPACE);
}

static void test_insert_into_adds_a_segment_and_overwrite_begins_again(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    struct digest root = tree_empty_root(TREE_MANIFEST), first = {0};
    for (int round = 0; round < 4; round++) {
        LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
        load_plan(load, &(struct plan){.rows = 100, .batch_rows = 30, .partitions = 3});
        assert_int_equal(load_finish(load, NULL), ERR_OK);
        root = apply(load, &pages, root, round < 3 ? LOAD_INTO : LOAD_OVERWRITE, 3);
        struct page_source source = page_memory_source(&pages);
        struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = root};
        struct page_totals totals;
        assert_int_equal(tree_totals(&tree, &totals, NULL), ERR_OK);
        assert_int_equal(totals.rows, round < 3 ? 100 * (round + 1) : 100);
        assert_int_equal(totals.partitions, 3);
        if (round == 0)
            first = root;
    }
    assert_true(digest_equal(&root, &first));
}

static struct digest load_partitions_each(struct file_memory *files, struct page_memory *pages,
                                          struct digest root, int64_t first, int64_t step)
{
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    LOAD_CLEANUP struct load *load = open_load(&schema, files, 0);
    size_t count = 0;
    for (int64_t partition = first; partition < 3000 * step; partition += step, count++)
        append_row(&batch, partition, partition);
    assert_int_equal(load_batch(load, &batch), ERR_OK);
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    return apply(load, pages, root, LOAD_INTO, count);
}

static void test_insert_into_finds_the_partitions_of_many_leaves(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    struct digest root = tree_empty_root(TREE_MANIFEST);
    root = load_partitions_each(&files, &pages, root, 500, 1); /* 500 .. 2999 */
    root = load_partitions_each(&files, &pages, root, 1, 2);   /* 1, 3 .. 5999 */
    struct page_source source = page_memory_source(&pages);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST, .root = root};
    struct page_totals totals;
    assert_int_equal(tree_totals(&tree, &totals, NULL), ERR_OK);
    assert_int_equal(totals.rows, 2500 + 3000); /* counts of old partitions went on */
    assert_int_equal(totals.partitions, 2500 + 3000 - 1250);
}

static void test_replace_drops_the_partitions_that_are_not_named(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    PAGE_MEMORY_CLEANUP struct page_memory pages = {0};
    struct digest root = tree_empty_root(TREE_MANIFEST), fresh = {0};
    static const int64_t partitions[] = {5, 200, 5};
    for (size_t round = 0; round < ARRAY_COUNT(partitions); round++) {
        LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
        struct plan plan = {.rows = 1000, .batch_rows = 100, .partitions = partitions[round]};
        load_plan(load, &plan);
        assert_int_equal(load_finish(load, NULL), ERR_OK);
        root = apply(load, &pages, root, LOAD_REPLACE, (size_t)partitions[round]);
        fresh = round == 0 ? root : fresh;
    }
    assert_true(digest_equal(&root, &fresh));
}

static void test_bad_rows_are_named_and_take_nothing(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    data_columns[0].name = span_text("id");
    partition_columns[1].name = span_text("region");
    LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
    data_columns[0].name = partition_columns[1].name = (struct span){0};
    struct err err = {0};
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &schema);
    append_row(&batch, 1, 1);
    assert_int_equal(load_append(load, &batch, &err), ERR_OK);
    append_row(&batch, 2, 1);
    batch.vectors[0].valid[1] = 0;
    batch.vectors[0].null_count = 1;
    assert_int_equal(load_append(load, &batch, &err), ERR_BAD_DATA);
    batch_clear(&batch);
    append_row(&batch, 2, 1);
    vector_clear(&batch.vectors[5]);
    vector_append(&batch.vectors[5], (struct value){.null = true});
    assert_int_equal(load_append(load, &batch, &err), ERR_BAD_DATA);
    assert_string_equal(err.message, "row 2: column region must not be NULL");
    vector_clear(&batch.vectors[5]);
    vector_append(&batch.vectors[5], (struct value){.text = span_text("")});
    assert_int_equal(load_append(load, &batch, &err), ERR_BAD_DATA);
    batch_clear(&batch);
    append_row(&batch, 2, 100); /* a new partition, before the bad row */
    append_row(&batch, 3, 1);
    vector_clear(&batch.vectors[5]);
    vector_append(&batch.vectors[5], (struct value){.text = span_text("r100")});
    vector_append(&batch.vectors[5], (struct value){.text = span_text("")});
    assert_int_equal(load_append(load, &batch, &err), ERR_BAD_DATA);
    assert_int_equal(load_counts(load).rows, 1);
    assert_int_equal(load_counts(load).partitions, 1);
}

static void test_a_touched_partition_exists_without_rows(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    LOAD_CLEANUP struct load *load = open_load(&flat_schema, &files, 0);
    assert_int_equal(load_touch(load, span_of(NULL, 0), NULL), ERR_OK);
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    const struct load_partition *partition;
    assert_int_equal(load_next(load, &partition, NULL), ERR_OK);
    assert_non_null(partition);
    assert_int_equal(partition->segment.row_count, 0);
    assert_int_equal(partition->segment.entry_count, 0);
    assert_int_equal(load_next(load, &partition, NULL), ERR_OK);
    assert_null(partition);
}

static enum err_code refuse_file(void *context, const struct digest *digest, struct span file,
                                 struct err *err)
{
    (void)context;
    (void)digest;
    (void)file;
    return err_set(err, ERR_NO_SPACE, "the disk is full");
}

static void test_a_sink_that_fails_stops_the_load(void **state)
{
    (void)state;
    struct load_options options = {
        .schema = &schema, .sink = {.add = refuse_file}, .tmp_folder = "/tmp"};
    LOAD_CLEANUP struct load *load = load_open(&options);
    load_plan(load, &(struct plan){.rows = 10, .batch_rows = 10, .partitions = 2});
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    const struct load_partition *partition;
    struct err err = {0};
    assert_int_equal(load_next(load, &partition, &err), ERR_NO_SPACE);
    assert_string_equal(err.message, "the disk is full");
}

static void test_small_columns_share_a_file_and_large_ones_do_not(void **state)
{
    (void)state;
    FILE_MEMORY_CLEANUP struct file_memory files = {0};
    LOAD_CLEANUP struct load *load = open_load(&schema, &files, 0);
    load_plan(load, &(struct plan){.rows = 3000, .batch_rows = 3000, .partitions = 1});
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    const struct load_partition *partition;
    assert_int_equal(load_next(load, &partition, NULL), ERR_OK);
    assert_int_equal(partition->segment.entry_count, 2); /* ids 1 to 32, 33 to 64 */
    const struct page_row_group *low = &partition->segment.entries[0].content;
    const struct page_row_group *high = &partition->segment.entries[1].content;
    assert_int_equal(partition->segment.entries[1].column_id, 33);
    assert_int_equal(low->column_count, 3); /* 1, 2, 4 */
    assert_int_equal(low->columns[2].column_id, 4);
    assert_int_equal(high->column_count, 1);
    assert_int_equal(low->columns[0].file, low->columns[2].file); /* steps, and bits */
    assert_true(low->columns[2].offset > 0);
    assert_int_not_equal(low->columns[0].file, low->columns[1].file);
    assert_int_equal(low->columns[1].bytes, low->files[low->columns[1].file].bytes);
    assert_int_equal(low->columns[1].null_count, 300);
    assert_true(low->columns[1].statistics.has_min);
    assert_int_equal(partition->segment.byte_count, files.file_bytes);
}

#define CLUSTERED(test) cmocka_unit_test_teardown(test, clear_clustering)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_rows_give_equal_roots_whatever_order_memory_and_batches),
        cmocka_unit_test(test_one_partition_streams_and_never_spills),
        cmocka_unit_test(test_a_streamed_partition_goes_on_after_others_came),
        cmocka_unit_test(test_ten_thousand_interleaved_partitions_stay_within_memory),
        CLUSTERED(test_clustered_loads_give_equal_roots_whatever_order_memory_and_batches),
        CLUSTERED(test_a_partition_keeps_its_clustering_until_it_is_overwritten),
        CLUSTERED(test_a_clustering_that_changed_under_the_first_rows_is_a_conflict),
        CLUSTERED(test_a_clustering_by_an_unknown_column_is_refused),
        CLUSTERED(test_rows_that_are_not_where_their_clustering_says_are_found),
        cmocka_unit_test(test_spilling_leaves_no_file_behind),
        cmocka_unit_test(test_a_disk_that_would_fall_below_its_reserve_stops_the_load),
        cmocka_unit_test(test_insert_into_adds_a_segment_and_overwrite_begins_again),
        cmocka_unit_test(test_insert_into_finds_the_partitions_of_many_leaves),
        cmocka_unit_test(test_replace_drops_the_partitions_that_are_not_named),
        cmocka_unit_test(test_bad_rows_are_named_and_take_nothing),
        cmocka_unit_test(test_a_touched_partition_exists_without_rows),
        cmocka_unit_test(test_a_sink_that_fails_stops_the_load),
        cmocka_unit_test(test_small_columns_share_a_file_and_large_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
