/* Load, tree and scan over the real store: what came in comes out, and after opening it again. */
#include "store/content_files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/random_test.h"
#include "store/directory.h"
#include "store/load_edits.h"
#include "store/pages.h"
#include "store/store.h"

static struct column data_columns[] = {
    {.id = 1, .type = {.kind = TYPE_BIGINT}},
    {.id = 2, .type = {.kind = TYPE_STRING}},
    {.id = 3, .type = {.kind = TYPE_DOUBLE}},
};
static struct column partition_columns[] = {{.id = 4, .type = {.kind = TYPE_STRING}}};
static const struct schema schema = {.columns = data_columns,
                                     .column_count = ARRAY_COUNT(data_columns),
                                     .partition_columns = partition_columns,
                                     .partition_column_count = 1,
                                     .next_column_id = 5};

static enum err_code page_add(void *context, const struct digest *digest, struct span page,
                              struct err *err)
{
    return content_add_page(context, digest, page, err);
}

static enum err_code content_page(void *context, const struct digest *digest,
                                  struct bytes *ret_page, struct err *err)
{
    return content_page_read(context, digest, ret_page, err);
}

static enum err_code store_page(void *context, const struct digest *digest, struct bytes *ret_page,
                                struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

static struct digest load_rows(struct store *store, const struct batch *batch)
{
    struct err err = {0};
    struct content *content CONTENT_CLEANUP = NULL;
    assert_int_equal(content_open(store, (struct account_id){1}, &content, &err), ERR_OK);
    LOAD_CLEANUP struct load *load =
        load_open(&(struct load_options){.schema = &schema,
                                         .sink = content_file_sink(content),
                                         .tmp_folder = store_tmp_dir(store),
                                         .memory_bytes = LOAD_MEMORY_BYTES_MIN});
    for (size_t at = 0; at < batch->rows; at += 1000) {
        BATCH_CLEANUP struct batch part;
        batch_init_all(&part, &schema);
        batch_append_range(&part, batch, at, batch->rows - at < 1000 ? batch->rows - at : 1000);
        assert_int_equal(load_append(load, &part, &err), ERR_OK);
    }
    assert_int_equal(load_finish(load, &err), ERR_OK);
    assert_true(load_counts(load).spilled_runs > 0);
    struct page_sink sink = {.write = page_add, .context = content};
    struct page_source source = {.read = content_page, .context = content};
    struct tree base = {.source = &source, .kind = TREE_MANIFEST};
    assert_int_equal(tree_empty(TREE_MANIFEST, &sink, &base.root, &err), ERR_OK);
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, LOAD_OVERWRITE);
    struct tree_edit_source edit_source = load_edits_source(&edits);
    struct tree_apply_result result;
    if (tree_apply(&base, &sink, &edit_source, &result, &err) != ERR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(content_commit(content, &err), ERR_OK);
    return result.root;
}

static void scan_rows(struct store *store, struct digest root, struct batch *all)
{
    static const size_t wanted[] = {0, 1, 2, 3};
    struct page_source source = {.read = store_page, .context = store};
    struct scan_options options = {.schema = &schema,
                                   .tree = {.source = &source, .kind = TREE_MANIFEST, .root = root},
                                   .files = store_file_source(store),
                                   .wanted = wanted,
                                   .wanted_count = 4};
    struct scan *scan SCAN_CLEANUP = NULL;
    struct err err = {0};
    assert_int_equal(scan_open(&options, &scan, &err), ERR_OK);
    for (;;) {
        const struct batch *batch;
        if (scan_next(scan, &batch, &err) != ERR_OK)
            fail_msg("%s", err.message);
        if (batch == NULL)
            break;
        batch_append_range(all, batch, 0, batch->rows);
    }
}

static void test_rows_of_a_load_come_back_from_the_store(void **state)
{
    (void)state;
    char dir[] = "/tmp/strait-files-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct store_options options = {.data_dir = dir, .region = "here"};
    struct store *store = NULL;
    struct err err = {0};
    struct random random = random_start();
    BATCH_CLEANUP struct batch batch, all;
    batch_init_all(&batch, &schema);
    batch_init_all(&all, &schema);
    for (size_t i = 0; i < 3; i++)
        random_vector(&random, &batch.vectors[i], 60000, SHAPE_WIDE, 5);
    for (size_t i = 0; i < 60000; i++) /* already in order of partition, so comparable */
        vector_append(&batch.vectors[3], (struct value){.text = span_text(i < 20000 ? "a" : "b")});
    batch.rows = 60000;
    assert_int_equal(store_open(&options, &store, &err), ERR_OK);
    struct digest root = load_rows(store, &batch);
    store_close(store);
    assert_int_equal(store_open(&options, &store, &err), ERR_OK);
    scan_rows(store, root, &all);
    store_close(store);
    for (size_t i = 0; i < batch.vector_count; i++)
        assert_true(vectors_equal(&batch.vectors[i], &all.vectors[i]));
    assert_int_equal(directory_clear(dir, NULL), ERR_OK);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_a_load_come_back_from_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
