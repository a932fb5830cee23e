#include "store/scan.h"
#include "store/file_memory.h"
#include "store/load_edits.h"
#include "store/page_memory.h"

#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PARTITIONS 4
#define ROWS       40000 /* of each partition: one row group or two */

static struct column data_columns[] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .type = {.kind = TYPE_DOUBLE}},
    {.id = 3, .type = {.kind = TYPE_STRING}},
    {.id = 4, .type = {.kind = TYPE_BOOLEAN}},
    {.id = 36, .type = {.kind = TYPE_DATE}},
    {.id = 50, .type = {.kind = TYPE_INT}, .has_default = true}, /* added later */
    {.id = 51, .type = {.kind = TYPE_STRING}},                   /* added later */
};
static struct column partition_columns[] = {{.id = 7, .type = {.kind = TYPE_INT}}};
static struct schema schema = {.columns = data_columns,
                               .column_count = ARRAY_COUNT(data_columns),
                               .partition_columns = partition_columns,
                               .partition_column_count = 1,
                               .next_column_id = 52};

struct table {
    struct file_memory files;
    struct page_memory pages;
    struct page_source source;
    struct digest root;
    struct batch rows[PARTITIONS]; /* as loaded, of the older schema */
};

static struct schema older_schema(void)
{
    struct schema older = schema;
    older.column_count -= 2;
    return older;
}

static void table_load(struct table *table)
{
    struct err err = {0};
    struct random random = random_start();
    struct schema older = older_schema();
    LOAD_CLEANUP struct load *load = load_open(&(struct load_options){
        .schema = &older, .sink = file_memory_sink(&table->files), .tmp_folder = "/tmp"});
    for (int64_t p = 0; p < PARTITIONS; p++) {
        struct batch *batch = &table->rows[p];
        batch_init_all(batch, &older);
        for (int64_t row = 0; row < ROWS; row++)
            vector_append(&batch->vectors[0], (struct value){.i64 = p * ROWS + row});
        for (size_t i = 1; i < older.column_count; i++)
            random_vector(&random, &batch->vectors[i], ROWS,
                          i == 3 ? SHAPE_FEW : (enum random_shape)(i % SHAPE_COUNT),
                          i == 4 ? 100 : 10);
        for (int64_t row = 0; row < ROWS; row++)
            vector_append(&batch->vectors[older.column_count], (struct value){.i64 = p});
        batch->rows = ROWS;
        assert_int_equal(load_append(load, batch, &err), ERR_OK);
    }
    assert_int_equal(load_finish(load, &err), ERR_OK);
    struct page_sink sink = page_memory_sink(&table->pages);
    table->source = page_memory_source(&table->pages);
    struct tree base = {.source = &table->source, .kind = TREE_MANIFEST};
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &base.root, &err), ERR_OK);
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, LOAD_INTO);
    struct tree_edit_source source = load_edits_source(&edits);
    struct tree_apply_result result;
    assert_int_equal(tree_apply(&base, &sink, &source, &result, &err), ERR_OK);
    table->root = result.root;
}

static int table_setup(void **state)
{
    data_columns[5].default_text = span_text("-7");
    struct table *table = mem_calloc(1, sizeof(*table));
    table_load(table);
    *state = table;
    return 0;
}

static int table_teardown(void **state)
{
    struct table *table = *state;
    for (size_t i = 0; i < PARTITIONS; i++)
        batch_deinit(&table->rows[i]);
    file_memory_deinit(&table->files);
    page_memory_deinit(&table->pages);
    mem_free(table);
    return 0;
}

static struct scan *open_scan(struct table *table, const size_t *wanted, size_t count,
                              struct scan_filter filter)
{
    struct scan_options options = {
        .schema = &schema,
        .tree = {.source = &table->source, .kind = TREE_MANIFEST, .root = table->root},
        .files = file_memory_source(&table->files),
        .wanted = wanted,
        .wanted_count = count,
        .filter = filter};
    struct scan *scan;
    struct err err = {0};
    if (scan_open(&options, &scan, &err) != ERR_OK)
        fail_msg("%s", err.message);
    return scan;
}

/* All rows of all batches, in one. */
static enum err_code scan_all(struct scan *scan, struct batch *all, struct err *err)
{
    for (;;) {
        const struct batch *batch;
        TRY(scan_next(scan, &batch, err));
        if (batch == NULL)
            return ERR_OK;
        batch_append_range(all, batch, 0, batch->rows);
    }
}

static void test_rows_come_back_as_they_were_loaded(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {2, 0, 7, 1, 3, 4}; /* any order, the partition among them */
    SCAN_CLEANUP struct scan *scan =
        open_scan(table, wanted, ARRAY_COUNT(wanted), (struct scan_filter){0});
    struct type types[ARRAY_COUNT(wanted)];
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        types[i] = wanted[i] == 7 ? partition_columns[0].type : data_columns[wanted[i]].type;
    BATCH_CLEANUP struct batch all, expected;
    batch_init_types(&all, types, ARRAY_COUNT(wanted));
    batch_init_types(&expected, types, ARRAY_COUNT(wanted));
    struct err err = {0};
    if (scan_all(scan, &all, &err) != ERR_OK)
        fail_msg("%s", err.message);
    for (size_t p = 0; p < PARTITIONS; p++) {
        for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
            vector_append_range(&expected.vectors[i],
                                &table->rows[p].vectors[wanted[i] == 7 ? 5 : wanted[i]], 0, ROWS);
    }
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        assert_true(vectors_equal(&all.vectors[i], &expected.vectors[i]));
    assert_int_equal(all.rows, PARTITIONS * ROWS);
    assert_int_equal(scan_counts(scan).partitions_read, PARTITIONS);
}

static void test_counting_rows_reads_no_file(void **state)
{
    struct table *table = *state;
    SCAN_CLEANUP struct scan *scan = open_scan(table, NULL, 0, (struct scan_filter){0});
    BATCH_CLEANUP struct batch all;
    batch_init_types(&all, NULL, 0);
    assert_int_equal(scan_all(scan, &all, NULL), ERR_OK);
    assert_int_equal(all.rows, PARTITIONS * ROWS);
    assert_int_equal(scan_counts(scan).files_read, 0);
}

static void test_columns_added_later_give_default_or_null(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {5, 6};
    SCAN_CLEANUP struct scan *scan = open_scan(table, wanted, 2, (struct scan_filter){0});
    const struct batch *batch;
    assert_int_equal(scan_next(scan, &batch, NULL), ERR_OK);
    assert_int_equal(batch->vectors[0].null_count, 0);
    assert_int_equal(batch->vectors[0].i64[batch->rows - 1], -7);
    assert_int_equal(batch->vectors[1].null_count, batch->rows);
    assert_int_equal(scan_counts(scan).files_read, 0);
}

struct pick {
    int64_t partition;
    int64_t id;
    size_t asked;
};

static bool pick_partition(void *context, const struct value *values)
{
    return values[0].i64 == ((struct pick *)context)->partition;
}

static bool pick_id(void *context, const struct scan_statistics *statistics)
{
    struct pick *pick = context;
    pick->asked++;
    return statistics[1].has_min && statistics[1].has_max && statistics[1].min.i64 <= pick->id &&
           statistics[1].max.i64 >= pick->id;
}

static void test_partitions_are_skipped_by_value(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {0};
    struct pick pick = {.partition = 2};
    SCAN_CLEANUP struct scan *scan = open_scan(
        table, wanted, 1, (struct scan_filter){.partition = pick_partition, .context = &pick});
    BATCH_CLEANUP struct batch all;
    batch_init_types(&all, &data_columns[0].type, 1);
    assert_int_equal(scan_all(scan, &all, NULL), ERR_OK);
    assert_int_equal(all.rows, ROWS);
    assert_int_equal(all.vectors[0].i64[0], 2 * ROWS);
    assert_int_equal(scan_counts(scan).partitions_skipped, PARTITIONS - 1);
    assert_int_equal(scan_counts(scan).partitions_read, 1);
}

static void test_row_groups_are_skipped_by_statistics(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {7, 0};
    struct pick pick = {.id = 3 * ROWS + 5};
    SCAN_CLEANUP struct scan *scan =
        open_scan(table, wanted, 2, (struct scan_filter){.row_group = pick_id, .context = &pick});
    const struct batch *batch;
    assert_int_equal(scan_next(scan, &batch, NULL), ERR_OK);
    assert_non_null(batch);
    assert_int_equal(batch->vectors[0].i64[0], 3);
    assert_int_equal(batch->vectors[1].i64[5], pick.id);
    assert_int_equal(scan_next(scan, &batch, NULL), ERR_OK);
    assert_null(batch);
    struct scan_counts counts = scan_counts(scan);
    assert_int_equal(counts.row_groups_read, 1);
    assert_int_equal(counts.row_groups_skipped, pick.asked - 1);
    assert_true(counts.row_groups_skipped >= PARTITIONS - 1);
}

static void test_a_shared_file_is_read_once_a_row_group(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {0, 4}; /* equal steps, all NULL: small, and in two entries */
    SCAN_CLEANUP struct scan *scan = open_scan(table, wanted, 2, (struct scan_filter){0});
    BATCH_CLEANUP struct batch all;
    const struct type types[] = {data_columns[0].type, data_columns[4].type};
    batch_init_types(&all, types, 2);
    assert_int_equal(scan_all(scan, &all, NULL), ERR_OK);
    assert_int_equal(scan_counts(scan).files_read, scan_counts(scan).row_groups_read);
}

static void test_a_damaged_file_is_named(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {0, 1, 2, 3, 4};
    struct random random = random_start();
    for (int round = 0; round < 20; round++) {
        struct bytes *file = &table->files.files[random_below(&random, table->files.digests.count)];
        size_t bit = random_below(&random, file->len * 8);
        bool cut = round % 4 == 0;
        file->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        file->len -= cut ? 1 : 0;
        SCAN_CLEANUP struct scan *scan = open_scan(table, wanted, 5, (struct scan_filter){0});
        BATCH_CLEANUP struct batch all;
        struct schema older = older_schema();
        batch_init(&all, &older);
        struct err err = {0};
        enum err_code code = scan_all(scan, &all, &err);
        assert_true(code == ERR_CORRUPT || code == ERR_VERSION || (!cut && code == ERR_OK));
        if (code == ERR_CORRUPT)
            assert_non_null(strstr(err.message, "(file "));
        file->len += cut ? 1 : 0;
        file->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A tree whose entries say something else of the first column than its file does. */
struct lie {
    struct tree_edit_source truth;
    uint64_t more_nulls;
    uint64_t more_bytes;
    uint64_t more_rows;
};

static enum err_code lie_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                              struct err *err)
{
    struct lie *lie = context;
    TRY(lie->truth.next(lie->truth.context, ret_edit, ret_end, err));
    if (*ret_end || ret_edit->kind != TREE_PUT || ret_edit->entry->kind != PAGE_ENTRY_ROW_GROUP)
        return ERR_OK;
    struct page_row_group *group = &((struct page_entry *)(uintptr_t)ret_edit->entry)->row_group;
    group->row_count += lie->more_rows;
    group->columns[0].null_count += lie->more_nulls;
    group->files[0].bytes += lie->more_bytes;
    return ERR_OK;
}

static enum err_code scan_lie(struct lie lie, struct err *err)
{
    struct table table = {0};
    struct schema older = older_schema();
    LOAD_CLEANUP struct load *load = load_open(&(struct load_options){
        .schema = &older, .sink = file_memory_sink(&table.files), .tmp_folder = "/tmp"});
    BATCH_CLEANUP struct batch batch, all;
    batch_init_all(&batch, &older);
    batch_init_types(&all, &data_columns[0].type, 1);
    struct random random = random_start();
    for (size_t i = 0; i < batch.vector_count; i++)
        random_vector(&random, &batch.vectors[i], 3000, i < 5 ? SHAPE_WIDE : SHAPE_RUNS, 0);
    batch.rows = 3000;
    vector_clear(&batch.vectors[5]);
    for (size_t i = 0; i < 3000; i++)
        vector_append(&batch.vectors[5], (struct value){.i64 = 1});
    assert_int_equal(load_append(load, &batch, NULL), ERR_OK);
    assert_int_equal(load_finish(load, NULL), ERR_OK);
    struct page_sink sink = page_memory_sink(&table.pages);
    table.source = page_memory_source(&table.pages);
    struct tree base = {.source = &table.source, .kind = TREE_MANIFEST};
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &base.root, NULL), ERR_OK);
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, LOAD_INTO);
    lie.truth = load_edits_source(&edits);
    const struct tree_edit_source source = {.next = lie_next, .context = &lie};
    struct tree_apply_result result;
    assert_int_equal(tree_apply(&base, &sink, &source, &result, NULL), ERR_OK);
    table.root = result.root;
    static const size_t wanted[] = {0};
    struct scan *scan = open_scan(&table, wanted, 1, (struct scan_filter){0});
    enum err_code code = scan_all(scan, &all, err);
    scan_free(scan);
    file_memory_deinit(&table.files);
    page_memory_deinit(&table.pages);
    return code;
}

static void test_a_tree_that_says_other_than_the_file_is_found_out(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(scan_lie((struct lie){0}, &err), ERR_OK);
    assert_int_equal(scan_lie((struct lie){.more_nulls = 1}, &err), ERR_CORRUPT);
    assert_int_equal(scan_lie((struct lie){.more_rows = 1}, &err), ERR_CORRUPT);
    assert_int_equal(scan_lie((struct lie){.more_bytes = 1}, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "wrong length"));
}

static enum err_code lost_file(void *context, const struct digest *digest, struct bytes *ret_file,
                               struct err *err)
{
    (void)digest;
    (void)ret_file;
    const enum err_code *code = context;
    return err_set(err, *code, "gone");
}

static void test_a_missing_file_is_damage_and_a_passing_trouble_is_not(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {0};
    static const enum err_code codes[][2] = {
        {ERR_NOT_FOUND, ERR_CORRUPT}, {ERR_CORRUPT, ERR_CORRUPT}, {ERR_BUSY, ERR_BUSY}};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        enum err_code thrown = codes[i][0];
        struct scan_options options = {
            .schema = &schema,
            .tree = {.source = &table->source, .kind = TREE_MANIFEST, .root = table->root},
            .files = {.read = lost_file, .context = &thrown},
            .wanted = wanted,
            .wanted_count = 1};
        struct scan *scan SCAN_CLEANUP = NULL;
        const struct batch *batch;
        struct err err = {0};
        assert_int_equal(scan_open(&options, &scan, &err), ERR_OK);
        assert_int_equal(scan_next(scan, &batch, &err), codes[i][1]);
        assert_int_equal(strstr(err.message, "(file ") != NULL, codes[i][1] == ERR_CORRUPT);
    }
}

/* Reads no file before it is asked for a column, and then that one's. */
static void test_a_lazy_scan_reads_what_is_fetched(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {2, 0, 6, 7, 3}; /* 6 was added later, 7 is the partition's */
    struct scan_options options = {
        .schema = &schema,
        .tree = {.source = &table->source, .kind = TREE_MANIFEST, .root = table->root},
        .files = file_memory_source(&table->files),
        .wanted = wanted,
        .wanted_count = ARRAY_COUNT(wanted),
        .lazy = true};
    struct scan *scan SCAN_CLEANUP = NULL;
    const struct batch *batch;
    struct err err = {0};
    assert_int_equal(scan_open(&options, &scan, &err), ERR_OK);
    assert_int_equal(scan_next(scan, &batch, &err), ERR_OK);
    assert_int_equal(scan_counts(scan).files_read, 0);
    assert_true(batch->rows > 1000);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        assert_int_equal(batch->vectors[i].rows, 0);
        for (size_t rows = 10; rows < SIZE_MAX / 1000; rows *= 1000) {
            VECTOR_CLEANUP struct vector expected;
            size_t count = rows < batch->rows ? rows : batch->rows;
            vector_init(&expected, batch->vectors[i].type);
            for (size_t row = 0; wanted[i] == 6 && row < count; row++)
                vector_append(&expected, (struct value){.null = true});
            if (wanted[i] != 6)
                vector_append_range(
                    &expected, &table->rows[0].vectors[wanted[i] == 7 ? 5 : wanted[i]], 0, count);
            assert_int_equal(scan_fetch(scan, i, rows, &err), ERR_OK);
            assert_true(vectors_equal(&batch->vectors[i], &expected));
            assert_int_equal(scan_fetch(scan, i, 1, &err), ERR_OK); /* there already */
            assert_int_equal(batch->vectors[i].rows, count);
        }
    }
    assert_int_equal(scan_counts(scan).files_read, 3);
    assert_int_equal(scan_next(scan, &batch, &err), ERR_OK);
    assert_int_equal(batch->vectors[1].rows, 0);
    assert_int_equal(scan_counts(scan).files_read, 3);
}

static void test_a_default_of_another_type_is_refused(void **state)
{
    struct table *table = *state;
    static const size_t wanted[] = {5};
    data_columns[5].default_text = span_text("seven");
    struct scan_options options = {
        .schema = &schema,
        .tree = {.source = &table->source, .kind = TREE_MANIFEST, .root = table->root},
        .files = file_memory_source(&table->files),
        .wanted = wanted,
        .wanted_count = 1};
    struct scan *scan = NULL;
    assert_int_equal(scan_open(&options, &scan, NULL), ERR_SEMANTIC);
    assert_null(scan);
    data_columns[5].default_text = span_text("-7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back_as_they_were_loaded),
        cmocka_unit_test(test_counting_rows_reads_no_file),
        cmocka_unit_test(test_columns_added_later_give_default_or_null),
        cmocka_unit_test(test_partitions_are_skipped_by_value),
        cmocka_unit_test(test_row_groups_are_skipped_by_statistics),
        cmocka_unit_test(test_a_shared_file_is_read_once_a_row_group),
        cmocka_unit_test(test_a_damaged_file_is_named),
        cmocka_unit_test(test_a_tree_that_says_other_than_the_file_is_found_out),
        cmocka_unit_test(test_a_missing_file_is_damage_and_a_passing_trouble_is_not),
        cmocka_unit_test(test_a_lazy_scan_reads_what_is_fetched),
        cmocka_unit_test(test_a_default_of_another_type_is_refused),
    };
    return cmocka_run_group_tests(tests, table_setup, table_teardown);
}
