/* A walk from one store to another, without a network: pages by digest, files, promotion, version. */
#include "store/roots.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/directory.h"
#include "store/files.h"
#include "store/reader.h"
#include "store/store.h"
#include "store/version_store.h"

#define PARTITIONS 400

struct region {
    char dir[64];
    struct store *store;
};

static struct region source_region;
static struct region target_region;
static struct err err;
static const struct account_id account = {7};

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static void region_open(struct region *region)
{
    snprintf(region->dir, sizeof(region->dir), "/tmp/strait-promote-XXXXXX");
    assert_non_null(mkdtemp(region->dir));
    struct store_options options = {.data_dir = region->dir, .region = "here"};
    ok(store_open(&options, &region->store, &err));
}

static void region_close(struct region *region)
{
    store_close(region->store);
    assert_int_equal(directory_clear(region->dir, NULL), ERR_OK);
    assert_int_equal(rmdir(region->dir), 0);
}

static int setup(void **state)
{
    (void)state;
    region_open(&source_region);
    region_open(&target_region);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    region_close(&source_region);
    region_close(&target_region);
    return 0;
}

/* ---- the source: PARTITIONS partitions of one file each; salt tells revisions apart ---- */

struct source_edits {
    struct content *content;
    const unsigned *salts; /* by partition */
    unsigned at;
    bool group_next;
    char key[16];
    struct bytes group_key;
    struct page_file file;
    struct page_column column;
    struct page_entry entry;
};

static size_t file_text(unsigned partition, unsigned salt, char text[64])
{
    return (size_t)snprintf(text, 64, "partition %u, revision %u", partition, salt);
}

static enum err_code source_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                 struct err *ret_err)
{
    struct source_edits *edits = context;
    *ret_end = edits->at == PARTITIONS;
    if (*ret_end)
        return ERR_OK;
    char text[64];
    struct span stored = span_of(text, file_text(edits->at, edits->salts[edits->at], text));
    snprintf(edits->key, sizeof(edits->key), "p%05u", edits->at);
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    if (!edits->group_next) {
        edits->entry = (struct page_entry){
            .kind = PAGE_ENTRY_PARTITION,
            .key = span_text(edits->key),
            .partition = {.segment_count = 1, .row_count = 1, .byte_count = stored.len}};
        edits->group_next = true;
        return ERR_OK;
    }
    bytes_clear(&edits->group_key);
    row_group_key(span_text(edits->key), (struct row_group_place){.column_id = 1},
                  &edits->group_key);
    edits->file.digest = digest_of(DOMAIN_FILE, stored);
    edits->file.bytes = stored.len;
    edits->column = (struct page_column){.column_id = 1, .bytes = (uint32_t)stored.len};
    edits->entry = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                       .key = bytes_span(&edits->group_key),
                                       .row_group = {.row_count = 1,
                                                     .files = &edits->file,
                                                     .file_count = 1,
                                                     .columns = &edits->column,
                                                     .column_count = 1}};
    edits->group_next = false;
    edits->at++;
    return content_add_file(edits->content, &edits->file.digest, stored, CONTENT_HASH, ret_err);
}

static struct version_ref source_version(struct content *content, const unsigned *salts,
                                         struct bytes *ret_record)
{
    struct source_edits edits = {.content = content, .salts = salts};
    struct tree_edit_source pulled = {.next = source_next, .context = &edits};
    struct page_source source = content_page_source(content);
    struct page_sink sink = content_page_sink(content);
    struct tree tree = {.source = &source, .kind = TREE_MANIFEST};
    struct tree_apply_result result;
    struct digest attribute_root;
    ok(tree_empty(TREE_MANIFEST, &sink, &tree.root, &err));
    ok(tree_empty(TREE_ATTRIBUTES, &sink, &attribute_root, &err));
    ok(tree_apply(&tree, &sink, &pulled, &result, &err));
    bytes_deinit(&edits.group_key);
    struct column column = {.id = 1, .name = span_text("c"), .type = {.kind = TYPE_BIGINT}};
    struct version_record version = {
        .schema = {.columns = &column, .column_count = 1, .next_column_id = 2},
        .kind = TABLE_STANDARD,
        .root = result.root};
    struct version_ref ref;
    ok(version_add(content, &version, &attribute_root, &ref, &err));
    ok(content_commit(content, &err));
    ok(content_page_read(content, &ref.page, ret_record, &err));
    return ref;
}

/* ---- the walk ---- */

struct walk {
    struct content *content; /* of the target */
    struct task_id task;
    unsigned skip_file; /* the n-th missing file is not brought; 0: all are */
    unsigned files;
    unsigned pages;
};

static enum err_code walk_page(struct walk *walk, const struct digest *digest,
                               const struct page_place *place);

static enum err_code walk_child(void *context, const struct page_entry *child,
                                const struct page_place *place, struct err *ignored)
{
    (void)ignored;
    return walk_page(context, &child->child.digest, place);
}

static enum err_code walk_file(void *context, const struct page_entry *entry,
                               const struct page_file *file, struct err *ignored)
{
    (void)entry;
    (void)ignored;
    struct walk *walk = context;
    BYTES_CLEANUP struct bytes content = {0};
    if (++walk->files == walk->skip_file)
        return ERR_OK;
    ok(file_read(source_region.store, &file->digest, FILE_CHECK_DIGEST, &content, &err));
    ok(content_add_file(walk->content, &file->digest, bytes_span(&content), CONTENT_HASH, &err));
    return ERR_OK;
}

static enum err_code walk_page(struct walk *walk, const struct digest *digest,
                               const struct page_place *place)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    arena_init(&page.arena, PAGE_ARENA_BYTES);
    walk->pages++;
    ok(page_read(source_region.store, digest, &page.encoded, &err));
    ok(page_decode(bytes_span(&page.encoded), place, &page.arena, &page.page, &err));
    struct staged_page staged = {.digest = *digest, .page = bytes_span(&page.encoded)};
    ok(staged_put(target_region.store, &walk->task, &staged, 1, &err));
    struct page_missing missing = {.page = walk_child, .file = walk_file, .context = walk};
    return page_missing_each(walk->content, &page.page, place, &missing, &err);
}

static void walk_tree(struct walk *walk, enum tree_kind kind, const struct digest *root)
{
    struct page_place place = page_place_root(kind);
    bool held = false;
    ok(content_rely_page(walk->content, root, &held, &err));
    if (!held)
        ok(walk_page(walk, root, &place));
    ok(content_commit(walk->content, &err));
}

static struct promote_counts promote(struct walk *walk, enum tree_kind kind,
                                     const struct digest *root)
{
    struct promote_counts counts;
    ok(tree_promote(walk->content, &walk->task, kind, root, &counts, &err));
    return counts;
}

static struct digest root_of(const struct bytes *record)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct version_record version;
    ok(version_decode(bytes_span(record), &arena, &version, &err));
    return version.root;
}

/* ---- tests ---- */

static void a_walked_tree_becomes_a_version_and_the_next_brings_only_what_differs(void **state)
{
    (void)state;
    static unsigned salts[PARTITIONS];
    BYTES_CLEANUP struct bytes record = {0};
    CONTENT_CLEANUP struct content *source = NULL;
    ok(content_open(source_region.store, account, &source, &err));
    struct walk walk = {.task = {{1}}};
    ok(content_open(target_region.store, account, &walk.content, &err));
    for (unsigned revision = 0; revision < 2; revision++) {
        salts[250] = revision;
        struct version_ref ref = source_version(source, salts, &record);
        struct digest root = root_of(&record);
        walk.files = 0;
        walk.pages = 0;
        walk_tree(&walk, TREE_MANIFEST, &root);
        assert_int_equal(walk.files, revision == 0 ? PARTITIONS : 1);
        assert_int_equal(promote(&walk, TREE_MANIFEST, &root).pages_promoted, walk.pages);
        walk_tree(&walk, TREE_ATTRIBUTES, &ref.attribute_root);
        assert_true(promote(&walk, TREE_ATTRIBUTES, &ref.attribute_root).is_complete);
        struct version_ref admitted;
        ok(version_admit(walk.content, bytes_span(&record), &ref.version, &ref.attribute_root,
                         &admitted, &err));
        assert_true(version_ref_equal(&ref, &admitted));
        assert_int_equal(admitted.totals.partitions, PARTITIONS);
        if (revision == 1)
            assert_true(walk.pages <= 3);
        READER_CLEANUP struct reader_handle *reader = NULL;
        ok(reader_open_version(target_region.store, &admitted, &reader, &err));
        struct tree tree = reader_tree(reader);
        ok(tree_check(&tree, &err));
    }
    content_close(walk.content);
}

static void nothing_above_a_missing_file_is_promoted(void **state)
{
    (void)state;
    static unsigned salts[PARTITIONS];
    BYTES_CLEANUP struct bytes record = {0};
    CONTENT_CLEANUP struct content *source = NULL;
    ok(content_open(source_region.store, account, &source, &err));
    for (unsigned i = 0; i < PARTITIONS; i++)
        salts[i] = 70;
    struct version_ref ref = source_version(source, salts, &record);
    struct digest root = root_of(&record);
    struct walk walk = {.task = {{2}}, .skip_file = 100};
    ok(content_open(target_region.store, account, &walk.content, &err));
    walk_tree(&walk, TREE_MANIFEST, &root);
    struct promote_counts counts = promote(&walk, TREE_MANIFEST, &root);
    assert_false(counts.is_complete);
    assert_int_equal(counts.files_missing, 1);
    assert_int_equal(counts.pages_promoted, walk.pages - 2); /* its leaf and the root stay */
    bool found = true;
    ok(page_find(target_region.store, &root, &found, &err));
    assert_false(found);
    struct version_ref ignored;
    assert_int_equal(version_admit(walk.content, bytes_span(&record), &ref.version,
                                   &ref.attribute_root, &ignored, &err),
                     ERR_NOT_FOUND);
    /* The file comes; the rest is there. */
    char text[64];
    struct span stored = span_of(text, file_text(99, 70, text));
    struct digest digest = digest_of(DOMAIN_FILE, stored);
    ok(content_add_file(walk.content, &digest, stored, CONTENT_HASH, &err));
    ok(content_commit(walk.content, &err));
    counts = promote(&walk, TREE_MANIFEST, &root);
    assert_true(counts.is_complete);
    assert_int_equal(counts.pages_promoted, 2);
    content_close(walk.content);
}

static void a_missing_page_leaves_its_tree_incomplete(void **state)
{
    (void)state;
    struct walk walk = {.task = {{3}}};
    ok(content_open(target_region.store, account, &walk.content, &err));
    struct digest nowhere = digest_of(DOMAIN_PAGE, span_text("no such page"));
    struct promote_counts counts = promote(&walk, TREE_MANIFEST, &nowhere);
    assert_false(counts.is_complete);
    assert_int_equal(counts.pages_missing, 1);
    content_close(walk.content);
}

static void another_record_than_the_signed_one_is_refused(void **state)
{
    (void)state;
    static unsigned salts[PARTITIONS];
    BYTES_CLEANUP struct bytes record = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(source_region.store, account, &content, &err));
    struct version_ref ref = source_version(content, salts, &record);
    struct version_ref ignored;
    record.data[record.len - 1] ^= 1;
    assert_int_equal(version_admit(content, bytes_span(&record), &ref.version, &ref.attribute_root,
                                   &ignored, &err),
                     ERR_PEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walked_tree_becomes_a_version_and_the_next_brings_only_what_differs),
        cmocka_unit_test(nothing_above_a_missing_file_is_promoted),
        cmocka_unit_test(a_missing_page_leaves_its_tree_incomplete),
        cmocka_unit_test(another_record_than_the_signed_one_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
