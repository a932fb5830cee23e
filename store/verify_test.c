/* VERIFY's walk: what is whole is proven, and each kind of damage, planted alone, is named. */
#include "store/scrub_trial.h"

#include "store/catalog_keys.h"
#include "store/files.h"
#include "store/pages.h"
#include "store/snapshot.h"
#include "store/verify.h"
#include "store/version_store.h"

#define ROWS_MANY 3000

/* ---- what a drill says ---- */

struct heard {
    size_t count;
    enum verify_what what; /* of the first */
    bool has_digest;
    struct digest digest;
    char partition[40], columns[40], reason[256];
    uint64_t bytes;
    size_t stops_after; /* asked so often, it says yes; 0: never */
};

static void on_fault(void *context, const struct verify_fault *fault)
{
    struct heard *heard = context;
    if (heard->count++ > 0)
        return;
    heard->what = fault->what;
    heard->has_digest = fault->digest != NULL;
    if (heard->has_digest)
        heard->digest = *fault->digest;
    snprintf(heard->partition, sizeof(heard->partition), "%.*s", SPAN_PRINTF(fault->partition));
    snprintf(heard->columns, sizeof(heard->columns), "%.*s", SPAN_PRINTF(fault->columns));
    snprintf(heard->reason, sizeof(heard->reason), "%s", fault->reason);
}

static void on_bytes(void *context, uint64_t bytes)
{
    struct heard *heard = context;
    assert_true(bytes > heard->bytes);
    heard->bytes = bytes;
}

static bool on_stop(void *context)
{
    struct heard *heard = context;
    return heard->stops_after > 0 && --heard->stops_after == 0;
}

static struct verify_counts drill(struct table_id id, enum proof_depth depth, struct heard *heard)
{
    struct verify_counts counts = {0};
    *heard = (struct heard){0};
    const struct verify_watch watch = {on_fault, on_bytes, on_stop, heard};
    ok(verify_snapshot(bench.store, id, depth, &watch, &counts, &bench.err));
    assert_int_equal(counts.faults, heard->count);
    return counts;
}

static void whole(struct table_id id, enum proof_depth depth)
{
    struct heard heard;
    drill(id, depth, &heard);
    if (heard.count > 0)
        fail_msg("%s %s: %s", heard.partition, heard.columns, heard.reason);
}

/* One fault, and which. */
static void faulty(struct table_id id, enum proof_depth depth, enum verify_what what,
                   const char *partition, const char *columns, const char *words)
{
    struct heard heard;
    drill(id, depth, &heard);
    if (heard.count != 1 || heard.what != what || strcmp(heard.partition, partition) != 0 ||
        strcmp(heard.columns, columns) != 0 || strstr(heard.reason, words) == NULL)
        fail_msg("%zu faults; kind %d of '%s', '%s': %s\nnot kind %d of '%s', '%s': %s",
                 heard.count, heard.what, heard.partition, heard.columns, heard.reason, what,
                 partition, columns, words);
}

/* ---- whole ---- */

static void test_what_is_whole_is_counted(void **state)
{
    (void)state;
    struct heard heard;
    struct verify_counts counts = drill(bench.snapshot, PROOF_STORED, &heard);
    assert_int_equal(heard.count, 0);
    assert_int_equal(counts.partitions, 2);
    assert_int_equal(counts.rows, bench.version.totals.rows);
    assert_int_equal(counts.file_bytes, bench.version.totals.bytes);
    assert_int_equal(heard.bytes, counts.file_bytes);
    assert_true(counts.files >= 3 && counts.pages >= 3 && counts.row_groups >= 2);
    struct verify_counts deep = drill(bench.snapshot, PROOF_DEEP, &heard);
    assert_int_equal(heard.count, 0);
    assert_memory_equal(&deep, &counts, sizeof(deep));
}

static void test_it_stops_when_told(void **state)
{
    (void)state;
    struct verify_counts counts = {.faults = 77};
    for (size_t after = 1; after < 5; after++) {
        struct heard heard = {.stops_after = after};
        const struct verify_watch watch = {on_fault, NULL, on_stop, &heard};
        assert_int_equal(
            verify_snapshot(bench.store, bench.snapshot, PROOF_DEEP, &watch, &counts, &bench.err),
            ERR_CANCELLED);
        assert_int_equal(counts.faults, 77); /* outputs on success alone */
    }
}

static struct snapshot_record record_get(struct arena *arena)
{
    struct snapshot_record record;
    arena_init(arena, CATALOG_ARENA_BYTES);
    ok(snapshot_get(bench.store, NULL, bench.snapshot, arena, &record, &bench.err));
    return record;
}

static void test_the_last_proof_of_each_depth_is_noted(void **state)
{
    (void)state;
    const struct snapshot_proof first = {1000, span_text("ALIYUN$root")};
    const struct snapshot_proof second = {2000, span_text("RAM$root:u")};
    ok(verify_note(bench.store, bench.snapshot, PROOF_DEEP, &first, &bench.err));
    ok(verify_note(bench.store, bench.snapshot, PROOF_STORED, &second, &bench.err));
    ok(verify_note(bench.store, bench.snapshot, PROOF_STORED, &first, &bench.err)); /* ended late */
    bench_again();
    ARENA_CLEANUP struct arena arena;
    struct snapshot_record record = record_get(&arena);
    assert_int_equal(record.proofs[PROOF_DEEP].proven_ms, 1000);
    assert_int_equal(record.proofs[PROOF_STORED].proven_ms, 2000);
    assert_true(span_equal(record.proofs[PROOF_STORED].by, second.by));
    whole(bench.snapshot, PROOF_DEEP); /* and nothing else of the record changed */
    struct change_note note = {.now_ms = 1, .principal = span_text("ALIYUN$root")};
    ok(snapshot_drop(bench.store, bench.snapshot, &note, &bench.err));
    assert_int_equal(verify_note(bench.store, bench.snapshot, PROOF_DEEP, &second, &bench.err),
                     ERR_TABLE_NOT_FOUND);
}

/* ---- damage ---- */

static void file_is_found_and_heals(const struct digest *digest, const char *partition,
                                    const char *columns)
{
    struct bytes content BYTES_CLEANUP = {0};
    ok(file_read(bench.store, digest, FILE_CHECK_DIGEST, &content, &bench.err));
    bench_file_damage(digest);
    faulty(bench.snapshot, PROOF_STORED, VERIFY_FILE, partition, columns, "damaged");
    assert_int_equal(damage_count(bench.store), 1); /* so that a repair brings it back */
    faulty(bench.snapshot, PROOF_DEEP, VERIFY_FILE, partition, columns, "damaged");
    bench_file_heal(digest, bytes_span(&content));
    whole(bench.snapshot, PROOF_DEEP);
}

static void test_a_damaged_file_of_a_pack_is_named(void **state)
{
    (void)state;
    file_is_found_and_heals(&bench.big, "day=2026-01-01", "note");
}

static void test_a_damaged_file_of_the_nursery_is_named(void **state)
{
    (void)state;
    file_is_found_and_heals(&bench.small, "day=2026-01-02", "id, note");
}

static void key_delete(enum family family, struct span key)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    db_batch_delete(&batch, family, key);
    ok(db_write(bench.store->db, &batch, true, &bench.err));
}

static void test_a_file_that_is_not_here_is_named(void **state)
{
    (void)state;
    key_delete(FAMILY_FILES, digest_span(&bench.big));
    faulty(bench.snapshot, PROOF_STORED, VERIFY_FILE, "day=2026-01-01", "note", "not here");
    assert_true(damage_has(bench.store, &bench.big));
}

/* Indexed, and its pack does not have it. */
static void test_a_file_that_is_not_in_its_pack_is_named(void **state)
{
    (void)state;
    key_delete(FAMILY_SMALL, digest_span(&bench.small));
    faulty(bench.snapshot, PROOF_STORED, VERIFY_FILE, "day=2026-01-02", "id, note", "not there");
}

static void test_a_damaged_page_is_named_and_the_rest_is_read(void **state)
{
    (void)state;
    struct bytes page BYTES_CLEANUP = {0};
    struct heard heard;
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(bench.store, bench.snapshot, &reader, &bench.err));
    struct digest root = reader_version(reader)->root;
    ok(page_read(bench.store, &root, &page, &bench.err));
    reader_close(reader);
    reader = NULL;
    bench_again();
    assert_true(bench_content_damage(bytes_span(&page)) > 0);
    struct verify_counts counts = drill(bench.snapshot, PROOF_DEEP, &heard);
    /* the database checks a block at a time: what else lies in it is damaged, too */
    assert_true(heard.count >= 1 && heard.what == VERIFY_PAGE && heard.has_digest);
    assert_int_equal(counts.rows, 0);
    assert_true(damage_count(bench.store) >= 1);
}

static void test_a_page_that_is_not_here_is_named(void **state)
{
    (void)state;
    key_delete(FAMILY_PAGES, digest_span(&bench.version.attribute_root));
    struct heard heard;
    struct verify_counts counts = drill(bench.snapshot, PROOF_DEEP, &heard);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.what, VERIFY_PAGE);
    assert_true(digest_equal(&heard.digest, &bench.version.attribute_root));
    assert_int_equal(counts.rows, bench.version.totals.rows); /* the rows were read all the same */
    key_delete(FAMILY_PAGES, digest_span(&bench.version.page));
    counts = drill(bench.snapshot, PROOF_DEEP, &heard);
    assert_int_equal(heard.count, 2);
    assert_int_equal(counts.rows, 0);
}

/* ---- lies: pages whose digests are right, and that say what is not so ---- */

struct lie {
    const char *name;
    bool (*entry)(struct page_entry *entry); /* false: not this one */
    void (*ref)(struct version_ref *ref);
    enum proof_depth seen; /* from this depth on */
    enum verify_what what;
    const char *columns, *words;
};

#define LIED_PARTITION "day=2026-01-03"

static struct page_column *column_of(struct page_entry *entry, uint32_t id)
{
    for (size_t i = 0; entry->kind == PAGE_ENTRY_ROW_GROUP && i < entry->row_group.column_count;
         i++) {
        if (entry->row_group.columns[i].column_id == id)
            return &entry->row_group.columns[i];
    }
    return NULL;
}

static bool checksum_lies(struct page_entry *entry)
{
    entry->partition.checksum.b[3] ^= 1;
    return entry->kind == PAGE_ENTRY_PARTITION;
}

static bool rows_lie(struct page_entry *entry)
{
    entry->partition.row_count++;
    return entry->kind == PAGE_ENTRY_PARTITION;
}

static bool bytes_lie(struct page_entry *entry)
{
    entry->partition.byte_count++;
    return entry->kind == PAGE_ENTRY_PARTITION;
}

static bool nulls_lie(struct page_entry *entry)
{
    struct page_column *column = column_of(entry, 1);
    if (column != NULL)
        column->null_count++;
    return column != NULL;
}

/* id i is i * i + 7: 7 is there, and (ROWS_MANY - 1)^2 + 7. */
static bool min_lies(struct page_entry *entry)
{
    static uint8_t min[8] = {0x80, 0, 0, 0, 0, 0, 0, 8};
    struct page_column *column = column_of(entry, 1);
    if (column != NULL)
        column->statistics.min = span_of(min, sizeof(min));
    return column != NULL;
}

static bool max_lies(struct page_entry *entry)
{
    static uint8_t max[8] = {0x80, 0, 0, 0, 0, 0, 1, 0};
    struct page_column *column = column_of(entry, 1);
    if (column != NULL)
        column->statistics.max = span_of(max, sizeof(max));
    return column != NULL;
}

static bool min_is_wide(struct page_entry *entry)
{
    static uint8_t min[8] = {0x80, 0, 0, 0, 0, 0, 0, 6};
    struct page_column *column = column_of(entry, 1);
    if (column != NULL)
        column->statistics.min = span_of(min, sizeof(min));
    return column != NULL;
}

/* The partition's other column in its place: its bytes are right, and of another type. */
static bool column_is_another(struct page_entry *entry)
{
    struct page_column *column = column_of(entry, 1), *other = column_of(entry, 2);
    if (column == NULL)
        return false;
    struct page_row_group *group = &entry->row_group;
    column->statistics = (struct page_statistics){0};
    if (column->file == other->file) {
        uint32_t bytes = column->bytes;
        column->bytes = other->bytes;
        other->offset = column->offset + column->bytes;
        other->bytes = bytes;
    } else {
        struct page_file file = group->files[column->file];
        group->files[column->file] = group->files[other->file];
        group->files[other->file] = file;
        column->bytes = (uint32_t)group->files[column->file].bytes;
        other->bytes = (uint32_t)group->files[other->file].bytes;
    }
    return true;
}

static void totals_lie(struct version_ref *ref)
{
    ref->totals.rows++;
}

static void version_lies(struct version_ref *ref)
{
    ref->version.b[0] ^= 1;
}

static void attributes_lack(struct version_ref *ref)
{
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    struct page_sink sink = content_page_sink(content);
    ok(tree_empty(TREE_ATTRIBUTES, &sink, &ref->attribute_root, &bench.err));
    ok(content_commit(content, &bench.err));
}

static const struct lie lies[] = {
    {"checksum", checksum_lies, NULL, PROOF_DEEP, VERIFY_PARTITION, "", "row checksum"},
    {"rows", rows_lie, NULL, PROOF_STORED, VERIFY_TREE, "", ""},
    {"bytes", bytes_lie, NULL, PROOF_STORED, VERIFY_TREE, "", ""},
    {"NULLs", nulls_lie, NULL, PROOF_DEEP, VERIFY_COLUMN, "id", "NULLs"},
    {"min", min_lies, NULL, PROOF_DEEP, VERIFY_COLUMN, "id", "below the minimum"},
    {"max", max_lies, NULL, PROOF_DEEP, VERIFY_COLUMN, "id", "above the maximum"},
    {"totals", NULL, totals_lie, PROOF_STORED, VERIFY_TREE, "", "the record says"},
    {"version", NULL, version_lies, PROOF_STORED, VERIFY_RECORD, "", "another version"},
    {"attributes", NULL, attributes_lack, PROOF_STORED, VERIFY_TREE, "", ""},
};

/* The leaf entry of the lied partition that the lie takes, put into a tree of its own. */
static bool lie_apply(const struct lie *lie, struct content *content, const struct tree *tree,
                      struct digest *ret_root)
{
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(tree);
    struct page_sink sink = content_page_sink(content);
    for (;;) {
        const struct page_entry *entry = NULL;
        struct tree_apply_result result;
        ok(tree_cursor_next(cursor, &entry, &bench.err));
        if (entry == NULL)
            return false;
        bool here = entry->key.len > 10 && memcmp(entry->key.data, "2026-01-03", 10) == 0;
        struct page_entry lied = *entry;
        if (!here || !lie->entry(&lied))
            continue;
        const struct tree_edit edit = {.kind = TREE_PUT, .entry = &lied};
        struct tree_edit_array edits = {.edits = &edit, .count = 1};
        struct tree_edit_source source = tree_edit_array_source(&edits);
        ok(tree_apply(tree, &sink, &source, &result, &bench.err));
        *ret_root = result.root;
        return true;
    }
}

static struct version_ref lied_version(const struct lie *lie)
{
    CONTENT_CLEANUP struct content *content = NULL;
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct version_ref ref;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(reader_open(bench.store, bench.table, &reader, &bench.err));
    struct version_record version = *reader_version(reader);
    struct tree tree = reader_tree(reader);
    if (lie->entry != NULL)
        assert_true(lie_apply(lie, content, &tree, &version.root));
    ok(version_add(content, &version, &reader_ref(reader)->attribute_root, &ref, &bench.err));
    ok(content_commit(content, &bench.err));
    if (lie->ref != NULL)
        lie->ref(&ref);
    return ref;
}

/* A replica whose maker signed it all. spoils: but for one bit of the signature. */
static struct table_id lied_snapshot(const struct version_ref *ref, const char *name, bool spoils)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES], signature[SIGNATURE_BYTES];
    struct identity_key maker;
    BYTES_CLEANUP struct bytes claim = {0};
    BYTES_CLEANUP struct bytes message = {0};
    struct table_id id;
    crypto_sign_keypair(maker.b, secret);
    const struct snapshot_claim said = {.region = span_text("there"),
                                        .project = span_text("p"),
                                        .name = span_text(name),
                                        .version = ref->version,
                                        .attribute_root = ref->attribute_root,
                                        .base_table = {7},
                                        .base_table_name = span_text("t"),
                                        .created_ms = 1000};
    snapshot_claim_encode(&said, &claim);
    bytes_append_text(&message, SNAPSHOT_SIGN_TEXT);
    bytes_append_u8(&message, 0);
    bytes_append_span(&message, bytes_span(&claim));
    crypto_sign_detached(signature, NULL, message.data, message.len, secret);
    signature[0] ^= spoils;
    const struct snapshot_replica replica = {.project = bench.project,
                                             .name = span_text(name),
                                             .claim = bytes_span(&claim),
                                             .maker = maker,
                                             .signature = signature,
                                             .version = *ref};
    const struct change_note note = {.now_ms = 1000, .principal = span_text("ALIYUN$root")};
    ok(snapshot_publish(bench.store, &replica, &note, &id, NULL, &bench.err));
    return id;
}

static void test_each_lie_is_named(void **state)
{
    (void)state;
    bench_load("2026-01-03", ROWS_MANY, 5);
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        const struct lie *lie = &lies[i];
        struct version_ref ref = lied_version(lie);
        struct table_id id = lied_snapshot(&ref, "lied", false);
        bool in_rows = lie->what == VERIFY_COLUMN || lie->what == VERIFY_PARTITION;
        print_message("%s\n", lie->name);
        for (enum proof_depth depth = PROOF_STORED; depth < PROOF_DEPTHS; depth++) {
            if (depth < lie->seen)
                whole(id, depth);
            else
                faulty(id, depth, lie->what, in_rows ? LIED_PARTITION : "", lie->columns,
                       lie->words);
        }
        const struct change_note note = {.now_ms = 1, .principal = span_text("ALIYUN$root")};
        ok(snapshot_drop(bench.store, id, &note, &bench.err));
    }
    assert_int_equal(damage_count(bench.store), 0); /* their bytes are right */
}

static void test_a_bound_that_is_too_wide_is_no_fault(void **state)
{
    (void)state;
    bench_load("2026-01-03", ROWS_MANY, 5);
    struct version_ref ref = lied_version(&(struct lie){.entry = min_is_wide});
    whole(lied_snapshot(&ref, "wide", false), PROOF_DEEP);
}

/* Both are what their digests say, and not the columns that they are said to be. */
static void test_a_column_that_is_another_is_named(void **state)
{
    (void)state;
    struct heard heard;
    bench_load("2026-01-03", ROWS_MANY, 5);
    struct version_ref ref = lied_version(&(struct lie){.entry = column_is_another});
    struct table_id id = lied_snapshot(&ref, "swapped", false);
    whole(id, PROOF_STORED);
    drill(id, PROOF_DEEP, &heard);
    assert_int_equal(heard.what, VERIFY_COLUMN);
    assert_string_equal(heard.partition, LIED_PARTITION);
}

static void test_a_record_that_its_maker_did_not_sign_is_named(void **state)
{
    (void)state;
    struct version_ref ref = lied_version(&(struct lie){0});
    struct table_id id = lied_snapshot(&ref, "unsigned", true);
    faulty(id, PROOF_STORED, VERIFY_RECORD, "", "", "signature");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_whole_is_counted),
        TEST(test_it_stops_when_told),
        TEST(test_the_last_proof_of_each_depth_is_noted),
        TEST(test_a_damaged_file_of_a_pack_is_named),
        TEST(test_a_damaged_file_of_the_nursery_is_named),
        TEST(test_a_file_that_is_not_here_is_named),
        TEST(test_a_file_that_is_not_in_its_pack_is_named),
        TEST(test_a_damaged_page_is_named_and_the_rest_is_read),
        TEST(test_a_page_that_is_not_here_is_named),
        TEST(test_each_lie_is_named),
        TEST(test_a_bound_that_is_too_wide_is_no_fault),
        TEST(test_a_column_that_is_another_is_named),
        TEST(test_a_record_that_its_maker_did_not_sign_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
