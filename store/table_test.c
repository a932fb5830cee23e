/* Projects, tables, snapshots and history on a real store. */
#include "store/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/key.h"
#include "store/audit.h"
#include "store/directory.h"
#include "store/history.h"
#include "store/roots.h"
#include "store/store.h"
#include "store/version_store.h"

struct bench {
    char dir[64];
    struct store *store;
    struct account_id account;
    struct project_id project;
    char project_name[16];
    struct arena arena;
    struct err err;
};

static struct bench bench;
static uint64_t clock_ms;
static uint8_t sign_key[crypto_sign_SECRETKEYBYTES];
static struct snapshot_signer signer;

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, bench.err.message);                                          \
    } while (0)

static struct change_note note(void)
{
    return (struct change_note){.now_ms = ++clock_ms, .principal = span_text("ALIYUN$root")};
}

static enum err_code sign(void *context, struct span message, uint8_t *ret_signature,
                          struct err *err)
{
    (void)context;
    (void)err;
    crypto_sign_detached(ret_signature, NULL, message.data, message.len, sign_key);
    return ERR_OK;
}

/* One store for all tests (opening one takes long under the sanitizers), a project for each. */
static int group_setup(void **state)
{
    (void)state;
    arena_init(&bench.arena, MIB(64));
    snprintf(bench.dir, sizeof(bench.dir), "/tmp/strait-table-XXXXXX");
    assert_non_null(mkdtemp(bench.dir));
    struct store_options options = {.data_dir = bench.dir, .region = "here"};
    ok(store_open(&options, &bench.store, &bench.err));
    crypto_sign_keypair(signer.maker.b, sign_key);
    signer.sign = sign;
    struct account_record account = {.name = span_text("ALIYUN$root")};
    struct change_note made = note();
    ok(account_create(bench.store, &account, &made, &bench.account, &bench.err));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    store_close(bench.store);
    arena_deinit(&bench.arena);
    return directory_clear(bench.dir, NULL) != ERR_OK || rmdir(bench.dir) != 0;
}

static int setup(void **state)
{
    (void)state;
    static unsigned count;
    snprintf(bench.project_name, sizeof(bench.project_name), "Demo%u", ++count);
    struct change_note made = note();
    struct project_spec project = {.name = span_text(bench.project_name), .owner = bench.account};
    ok(project_create(bench.store, &project, &made, &bench.project, &bench.err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct fsck_counts counts;
    ok(catalog_fsck(bench.store, FSCK_REHASH, NULL, NULL, &counts, &bench.err));
    assert_int_equal(counts.faults, 0);
    return 0;
}

/* ---- a table of two columns, partitioned by a number or not ---- */

static struct schema two_columns(bool partitioned)
{
    static struct column columns[] = {
        {.id = 1, .type = {.kind = TYPE_BIGINT}},
        {.id = 2, .type = {.kind = TYPE_STRING}},
    };
    static struct column partition = {.id = 3, .type = {.kind = TYPE_BIGINT}};
    columns[0].name = span_text("id");
    columns[1].name = span_text("note");
    partition.name = span_text("p");
    return (struct schema){.columns = columns,
                           .column_count = 2,
                           .partition_columns = &partition,
                           .partition_column_count = partitioned ? 1 : 0,
                           .next_column_id = 4};
}

static enum err_code replace_table(const char *name, struct table_id old, bool partitioned,
                                   struct table_id *ret_id)
{
    const struct schema schema = two_columns(partitioned);
    struct table_spec spec = {
        .project = bench.project, .name = span_text(name), .schema = &schema, .replaces = old};
    struct change_note made = note();
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    return table_create(content, &spec, &made, ret_id, &bench.err);
}

static struct table_id make_table(const char *name, bool partitioned)
{
    struct table_id id = {0};
    ok(replace_table(name, (struct table_id){0}, partitioned, &id));
    return id;
}

/* Replaces partition p by one row group whose file's content is the text. */
struct load {
    struct bytes partition_key;
    struct bytes group_key;
    struct page_file file;
    struct page_column columns[2];
    struct page_entry partition;
    struct page_entry group;
    struct tree_edit edits[3];
};

static void load_deinit(struct load *load)
{
    bytes_deinit(&load->partition_key);
    bytes_deinit(&load->group_key);
}

static void load_prepare(struct load *load, struct content *content, int64_t p, const char *text)
{
    struct span stored = span_text(text);
    key_append_i64(&load->partition_key, p);
    row_group_key(bytes_span(&load->partition_key), (struct row_group_place){.column_id = 1},
                  &load->group_key);
    load->file.digest = digest_of(DOMAIN_FILE, stored);
    load->file.bytes = stored.len;
    ok(content_add_file(content, &load->file.digest, stored, CONTENT_HASH, &bench.err));
    for (uint32_t i = 0; i < 2; i++)
        load->columns[i] = (struct page_column){.column_id = i + 1, .bytes = 1};
    load->partition = (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION,
        .key = bytes_span(&load->partition_key),
        .partition = {.segment_count = 1, .row_count = 3, .byte_count = stored.len}};
    load->group = (struct page_entry){.kind = PAGE_ENTRY_ROW_GROUP,
                                      .key = bytes_span(&load->group_key),
                                      .row_group = {.row_count = 3,
                                                    .files = &load->file,
                                                    .file_count = 1,
                                                    .columns = load->columns,
                                                    .column_count = 2}};
    load->edits[0] = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = load->partition.key};
    load->edits[1] = (struct tree_edit){.kind = TREE_PUT, .entry = &load->partition};
    load->edits[2] = (struct tree_edit){.kind = TREE_PUT, .entry = &load->group};
}

static enum err_code write_partition(struct content *content, struct table_write *write, int64_t p,
                                     const char *text)
{
    __attribute__((cleanup(load_deinit))) struct load load = {0};
    load_prepare(&load, content, p, text);
    struct tree_edit_array array = {.edits = load.edits, .count = 3};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    struct change_note made = note();
    struct version_ref version;
    TRY(table_write_apply(write, &edits, made.now_ms, &version, &bench.err));
    return table_write_commit(write, OPERATION_OVERWRITE, &made, &bench.err);
}

static void overwrite(struct table_id id, int64_t p, const char *text)
{
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, id, &write, &bench.err));
    ok(write_partition(content, write, p, text));
}

static struct table_record get_table(struct table_id id)
{
    struct table_record table;
    ok(table_get(bench.store, NULL, id, &bench.arena, &table, &bench.err));
    return table;
}

static struct table_id snapshot(struct table_id table, const char *name, bool or_replace)
{
    struct snapshot_spec spec = {.project = bench.project,
                                 .name = span_text(name),
                                 .table = table,
                                 .description = span_text("daily"),
                                 .or_replace = or_replace,
                                 .region = span_text("here"),
                                 .signer = &signer};
    struct change_note made = note();
    struct table_id id = {0};
    struct name_target old;
    if (name_find(bench.store, NULL, bench.project, spec.name, &old, NULL) == ERR_OK)
        spec.replaces = old.id;
    ok(snapshot_create(bench.store, &spec, &made, &id, &bench.err));
    return id;
}

/* ---- what a reader sees, as text: "p=1:3:bytes:created:modified " ---- */

struct listing {
    struct bytes text;
    const struct schema *schema;
};

static enum err_code list_partition(void *context, const struct partition_row *row, struct err *err)
{
    struct listing *listing = context;
    TRY(partition_format(listing->schema, row->key, &listing->text, err));
    bytes_printf(&listing->text, ":%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64 " ",
                 row->partition.row_count, row->partition.byte_count, row->attribute.created_ms,
                 row->attribute.modified_ms);
    return ERR_OK;
}

static const char *list(struct reader_handle *reader)
{
    struct listing listing = {.schema = &reader_version(reader)->schema};
    ok(reader_partitions(reader, span_of(NULL, 0), list_partition, &listing, &bench.err));
    bytes_append_u8(&listing.text, 0);
    const char *text = (const char *)arena_copy(&bench.arena, bytes_span(&listing.text)).data;
    bytes_deinit(&listing.text);
    return text;
}

static const char *list_of(struct table_id id)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(bench.store, id, &reader, &bench.err));
    return list(reader);
}

/* ---- tests ---- */

static void names_are_found_without_regard_to_case_and_kept(void **state)
{
    (void)state;
    struct table_id id = make_table("Sales", true);
    struct project_record project;
    struct table_record table;
    BYTES_CLEANUP struct bytes other_case = {0};
    bytes_printf(&other_case, "dEMO%s", bench.project_name + 4);
    ok(project_find(bench.store, NULL, bytes_span(&other_case), &bench.arena, &project,
                    &bench.err));
    assert_true(span_equal(project.name, span_text(bench.project_name)));
    ok(table_find(bench.store, NULL, project.id, span_text("sALES"), &bench.arena, &table,
                  &bench.err));
    assert_int_equal(table.id.n, id.n);
    assert_true(span_equal(table.name, span_text("Sales")));
    struct table_spec again = {.project = bench.project, .name = span_text("SALES")};
    struct change_note made = note();
    struct project_spec twice = {.name = bytes_span(&other_case), .owner = bench.account};
    struct project_id ignored;
    assert_int_equal(project_create(bench.store, &twice, &made, &ignored, &bench.err), ERR_EXISTS);
    struct table_id snapshot_id = snapshot(id, "Snap", false);
    assert_int_equal(table_clone(bench.store, &again, snapshot_id, &made, &id, &bench.err),
                     ERR_EXISTS);
    again.name = span_text("snap"); /* one namespace */
    assert_int_equal(table_clone(bench.store, &again, snapshot_id, &made, &id, &bench.err),
                     ERR_EXISTS);
}

static void a_table_without_partitions_has_one(void **state)
{
    (void)state;
    struct table_id id = make_table("plain", false);
    assert_int_equal(get_table(id).version.totals.partitions, 1);
    assert_int_equal(get_table(make_table("parts", true)).version.totals.partitions, 0);
}

static void times_of_partitions_follow_their_content(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    clock_ms = 1000;
    overwrite(id, 1, "one");
    overwrite(id, 2, "two");
    assert_string_equal(list_of(id), "p=1:3:3:1001:1001 p=2:3:3:1002:1002 ");
    overwrite(id, 1, "other");
    assert_string_equal(list_of(id), "p=1:3:5:1001:1003 p=2:3:3:1002:1002 ");
    /* The same rows again: the same version, so not modified; but it is history. */
    struct table_record before = get_table(id);
    overwrite(id, 1, "other");
    struct table_record after = get_table(id);
    assert_true(version_ref_equal(&before.version, &after.version));
    assert_int_equal(after.sequence, before.sequence + 1);
    assert_int_equal(after.version.totals.rows, 6);
    assert_int_equal(after.version.totals.bytes, 8);
}

static void equal_content_by_another_way_is_an_equal_version(void **state)
{
    (void)state;
    struct table_id a = make_table("a", true);
    struct table_id b = make_table("b", true);
    for (int64_t p = 0; p < 10; p++)
        overwrite(a, p, "content");
    overwrite(b, 3, "something else");
    for (int64_t p = 9; p >= 0; p--)
        overwrite(b, p, "content");
    struct version_ref version_a = get_table(a).version;
    struct version_ref version_b = get_table(b).version;
    assert_true(digest_equal(&version_a.version, &version_b.version));
    assert_false(digest_equal(&version_a.attribute_root, &version_b.attribute_root));
}

static void of_two_writes_on_one_base_the_second_fails_whole(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    CONTENT_CLEANUP struct content *first = NULL;
    CONTENT_CLEANUP struct content *second = NULL;
    ok(content_open(bench.store, bench.account, &first, &bench.err));
    ok(content_open(bench.store, bench.account, &second, &bench.err));
    TABLE_WRITE_CLEANUP struct table_write *write_first = NULL;
    TABLE_WRITE_CLEANUP struct table_write *write_second = NULL;
    ok(table_begin(first, id, &write_first, &bench.err));
    ok(table_begin(second, id, &write_second, &bench.err));
    ok(write_partition(first, write_first, 1, "first"));
    struct table_record before = get_table(id);
    assert_int_equal(write_partition(second, write_second, 2, "second"), ERR_CONFLICT);
    struct table_record after = get_table(id);
    assert_true(version_ref_equal(&before.version, &after.version));
    assert_int_equal(before.sequence, after.sequence);
}

static void partitions_are_added_and_dropped(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    overwrite(id, 5, "five");
    BYTES_CLEANUP struct bytes keys = {0};
    struct span list_keys[3];
    for (int64_t p = 4; p < 7; p++)
        key_append_i64(&keys, p);
    for (size_t i = 0; i < 3; i++)
        list_keys[i] = span_slice(bytes_span(&keys), 8 * i, 8);
    struct partition_list partitions = {.keys = list_keys, .count = 3};
    struct change_note made = note();
    size_t changed = 99;
    for (unsigned lenient = 0; lenient < 2; lenient++) {
        CONTENT_CLEANUP struct content *content = NULL;
        TABLE_WRITE_CLEANUP struct table_write *write = NULL;
        ok(content_open(bench.store, bench.account, &content, &bench.err));
        ok(table_begin(content, id, &write, &bench.err));
        partitions.lenient = lenient != 0;
        enum err_code code = table_partitions_add(write, &partitions, &made, &changed, &bench.err);
        assert_int_equal(code, lenient ? ERR_OK : ERR_EXISTS);
    }
    assert_int_equal(changed, 2);
    assert_int_equal(get_table(id).version.totals.partitions, 3);
    CONTENT_CLEANUP struct content *content = NULL;
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    ok(table_begin(content, id, &write, &bench.err));
    partitions.count = 2;
    ok(table_partitions_drop(write, &partitions, &made, &changed, &bench.err));
    assert_int_equal(changed, 2);
    assert_int_equal(get_table(id).version.totals.partitions, 1);
    assert_int_equal(get_table(id).version.totals.bytes, 0);
}

static void snapshot_and_clone_share_the_version(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    overwrite(id, 1, "one");
    struct table_id snapshot_id = snapshot(id, "s", false);
    const char *then = list_of(snapshot_id);
    struct version_ref version = get_table(id).version;
    overwrite(id, 1, "later");
    struct snapshot_record record;
    struct snapshot_claim claim;
    ok(snapshot_find(bench.store, NULL, bench.project, span_text("S"), &bench.arena, &record,
                     &bench.err));
    assert_true(version_ref_equal(&record.version, &version));
    ok(snapshot_verify(record.claim, &record.maker, record.signature, &bench.err));
    ok(snapshot_claim_decode(record.claim, &bench.arena, &claim, &bench.err));
    assert_true(digest_equal(&claim.version, &version.version));
    assert_true(span_equal(claim.project, span_text(bench.project_name)));
    assert_int_equal(claim.base_table.n, id.n);
    record.signature[5] ^= 1;
    assert_int_equal(snapshot_verify(record.claim, &record.maker, record.signature, &bench.err),
                     ERR_PEER);
    struct table_spec spec = {.project = bench.project, .name = span_text("restored")};
    struct change_note made = note();
    struct table_id restored;
    ok(table_clone(bench.store, &spec, snapshot_id, &made, &restored, &bench.err));
    struct version_ref restored_version = get_table(restored).version;
    assert_true(version_ref_equal(&restored_version, &version));
    assert_string_equal(list_of(restored), then);
    ok(snapshot_drop(bench.store, snapshot_id, &made, &bench.err));
    assert_int_equal(
        snapshot_get(bench.store, NULL, snapshot_id, &bench.arena, &record, &bench.err),
        ERR_TABLE_NOT_FOUND);
    assert_string_equal(list_of(restored), then);
}

static void replaced_snapshot_stays_readable_for_who_reads_it(void **state)
{
    (void)state;
    struct collect_counts counts;
    ok(collect_run(bench.store, catalog_tree(), &counts, &bench.err)); /* of other tests */
    struct table_id id = make_table("t", true);
    overwrite(id, 1, "read and then replaced");
    struct table_id old = snapshot(id, "s", false);
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(bench.store, old, &reader, &bench.err));
    const char *before = list(reader);
    overwrite(id, 1, "two!");
    struct snapshot_spec spec = {.project = bench.project,
                                 .name = span_text("s"),
                                 .table = id,
                                 .region = span_text("here"),
                                 .signer = &signer};
    struct change_note made = note();
    struct table_id ignored;
    assert_int_equal(snapshot_create(bench.store, &spec, &made, &ignored, &bench.err), ERR_EXISTS);
    spec.or_replace = true; /* whoever asked for it saw no snapshot, or another one */
    assert_int_equal(snapshot_create(bench.store, &spec, &made, &ignored, &bench.err),
                     ERR_CONFLICT);
    spec.replaces = id;
    assert_int_equal(snapshot_create(bench.store, &spec, &made, &ignored, &bench.err),
                     ERR_CONFLICT);
    struct table_id new = snapshot(id, "s", true);
    assert_int_not_equal(old.n, new.n);
    size_t removed;
    ok(history_expire(bench.store, UINT64_MAX, &removed, &bench.err));
    ok(collect_run(bench.store, catalog_tree(), &counts, &bench.err));
    assert_string_equal(list(reader), before);
    assert_string_not_equal(list_of(new), before);
    reader_close(reader);
    reader = NULL;
    ok(collect_run(bench.store, catalog_tree(), &counts, &bench.err));
    assert_true(counts.pages_deleted > 0);
    assert_int_equal(counts.files_deleted, 1);
}

static void replica_is_published_in_place_of_the_old_one(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    overwrite(id, 1, "one");
    struct snapshot_record source;
    ok(snapshot_get(bench.store, NULL, snapshot(id, "s", false), &bench.arena, &source,
                    &bench.err));
    struct snapshot_replica replica = {.project = bench.project,
                                       .name = span_text("copy"),
                                       .claim = source.claim,
                                       .maker = source.maker,
                                       .signature = source.signature,
                                       .version = source.version};
    struct change_note made = note();
    struct table_id first;
    struct table_id second;
    struct table_id replaced;
    ok(snapshot_publish(bench.store, &replica, &made, &first, &replaced, &bench.err));
    assert_int_equal(replaced.n, 0);
    assert_int_equal(snapshot_publish(bench.store, &replica, &made, &second, &replaced, &bench.err),
                     ERR_CONFLICT); /* it was not there when rights were asked */
    replica.replaces = first;
    ok(snapshot_publish(bench.store, &replica, &made, &second, &replaced, &bench.err));
    assert_int_equal(replaced.n, first.n);
    struct snapshot_record copy;
    ok(snapshot_get(bench.store, NULL, second, &bench.arena, &copy, &bench.err));
    assert_true(copy.is_replica);
    assert_true(span_equal(copy.claim, source.claim));
    replica.name = span_text("t");
    assert_int_equal(snapshot_publish(bench.store, &replica, &made, &second, &replaced, &bench.err),
                     ERR_EXISTS);
    replica.name = span_text("nowhere");
    replica.version.page.b[0] ^= 1;
    assert_int_equal(snapshot_publish(bench.store, &replica, &made, &second, &replaced, &bench.err),
                     ERR_INTERNAL);
}

static enum err_code count_history(void *context, const struct history_record *record, bool *stop,
                                   struct err *err)
{
    (void)stop;
    (void)err;
    struct bytes *text = context;
    bytes_printf(text, "%" PRIu64 " %s, ", record->sequence,
                 history_operation_text(record->operation));
    return ERR_OK;
}

static void history_tells_what_was_and_expires(void **state)
{
    (void)state;
    clock_ms = 100;
    struct table_id id = make_table("t", true); /* 101 */
    overwrite(id, 1, "one");                    /* 102 */
    struct version_ref version = get_table(id).version;
    overwrite(id, 1, "two"); /* 103 */
    BYTES_CLEANUP struct bytes text = {0};
    ok(history_each(bench.store, NULL, id, count_history, &text, &bench.err));
    assert_true(span_equal(bytes_span(&text),
                           span_text("3 INSERT OVERWRITE, 2 INSERT OVERWRITE, 1 CREATE, ")));
    struct history_record record;
    ok(history_at(bench.store, id, 102, &bench.arena, &record, &bench.err));
    assert_true(version_ref_equal(&record.version, &version));
    assert_int_equal(history_at(bench.store, id, 100, &bench.arena, &record, &bench.err),
                     ERR_NOT_FOUND);
    size_t removed;
    ok(history_expire(bench.store, 103, &removed, &bench.err));
    assert_int_equal(removed, 1); /* at 103 one may still ask for 102, not for 101 */
    ok(history_at(bench.store, id, 102, &bench.arena, &record, &bench.err));
    struct change_note made = note();
    ok(table_drop(bench.store, id, &made, &bench.err));
    assert_int_equal(
        table_get(bench.store, NULL, id, &bench.arena, &(struct table_record){0}, &bench.err),
        ERR_TABLE_NOT_FOUND);
    ok(history_expire(bench.store, UINT64_MAX, &removed, &bench.err));
    bytes_clear(&text);
    ok(history_each(bench.store, NULL, id, count_history, &text, &bench.err));
    assert_int_equal(text.len, 0);
}

static void a_replaced_table_keeps_its_readers_and_its_history_ends(void **state)
{
    (void)state;
    struct table_id old = make_table("t", true);
    overwrite(old, 1, "one");
    struct version_ref before = get_table(old).version;
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(bench.store, old, &reader, &bench.err));
    struct table_id fresh = {0}, again = {0};
    ok(replace_table("T", old, false, &fresh));
    assert_true(fresh.n > old.n);
    assert_true(version_ref_equal(reader_ref(reader), &before));
    struct table_record table;
    ok(table_find(bench.store, NULL, bench.project, span_text("t"), &bench.arena, &table,
                  &bench.err));
    assert_int_equal(table.id.n, fresh.n);
    assert_int_equal(table.sequence, 1);
    assert_int_equal(table_get(bench.store, NULL, old, &bench.arena, &table, &bench.err),
                     ERR_TABLE_NOT_FOUND);
    BYTES_CLEANUP struct bytes text = {0};
    ok(history_each(bench.store, NULL, old, count_history, &text, &bench.err));
    assert_true(span_equal(bytes_span(&text), span_text("3 DROP, 2 INSERT OVERWRITE, 1 CREATE, ")));
    assert_int_equal(replace_table("t", old, false, &again), ERR_CONFLICT); /* gone already */
    struct table_id other = make_table("other", true);
    assert_int_equal(replace_table("t", other, false, &again), ERR_CONFLICT); /* not its name */
    (void)get_table(other);
    (void)get_table(fresh);
}

/* As the table that is made first and loaded then; not there before, all of it after. */
static void a_new_table_appears_with_its_rows(void **state)
{
    (void)state;
    struct table_id plain = make_table("plain", true);
    overwrite(plain, 7, "rows");
    const struct schema schema = two_columns(true);
    const struct table_spec spec = {
        .project = bench.project, .name = span_text("t"), .schema = &schema};
    struct table_record table;
    __attribute__((cleanup(load_deinit))) struct load load = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    struct change_note made = note();
    ok(table_begin_new(content, &spec, made.now_ms, &write, &bench.err));
    load_prepare(&load, content, 7, "rows");
    struct tree_edit_array array = {.edits = load.edits, .count = 3};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    struct version_ref version;
    ok(table_write_apply(write, &edits, made.now_ms, &version, &bench.err));
    assert_int_equal(table_find(bench.store, NULL, bench.project, span_text("t"), &bench.arena,
                                &table, &bench.err),
                     ERR_TABLE_NOT_FOUND);
    ok(table_write_commit(write, OPERATION_CREATE, &made, &bench.err));
    ok(table_find(bench.store, NULL, bench.project, span_text("t"), &bench.arena, &table,
                  &bench.err));
    assert_true(version_ref_equal(&table.version, &version));
    struct table_record loaded = get_table(plain);
    assert_true(digest_equal(&table.version.version, &loaded.version.version));
    assert_int_equal(table.sequence, 1);
    BYTES_CLEANUP struct bytes text = {0};
    ok(history_each(bench.store, NULL, table.id, count_history, &text, &bench.err));
    assert_true(span_equal(bytes_span(&text), span_text("1 CREATE, ")));
}

static void of_two_new_tables_of_one_name_the_second_fails_whole(void **state)
{
    (void)state;
    const struct schema schema = two_columns(true);
    const struct table_spec spec = {
        .project = bench.project, .name = span_text("t"), .schema = &schema};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(bench.store, bench.account, &content, &bench.err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin_new(content, &spec, note().now_ms, &write, &bench.err));
    struct table_id first = make_table("t", false);
    struct version_ref before = get_table(first).version;
    assert_int_equal(write_partition(content, write, 1, "late"), ERR_EXISTS);
    struct version_ref after = get_table(first).version;
    assert_true(version_ref_equal(&before, &after));
}

static void a_statement_is_remembered_with_its_change(void **state)
{
    (void)state;
    struct statement_id statement = {{7}};
    struct change_note made = note();
    made.statement = &statement;
    made.outcome = span_text("OK");
    struct project_spec spec = {.name = span_text("second"), .owner = bench.account};
    struct project_id id;
    ok(project_create(bench.store, &spec, &made, &id, &bench.err));
    struct outcome_record outcome;
    ok(outcome_find(bench.store, made.principal, &statement, &bench.arena, &outcome, &bench.err));
    assert_true(span_equal(outcome.outcome, span_text("OK")));
    spec.name = span_text("third");
    assert_int_equal(project_create(bench.store, &spec, &made, &id, &bench.err), ERR_EXISTS);
    struct project_record project;
    assert_int_equal(
        project_find(bench.store, NULL, span_text("third"), &bench.arena, &project, &bench.err),
        ERR_NOT_FOUND);
    assert_int_equal(outcome_find(bench.store, span_text("ALIYUN$other"), &statement, &bench.arena,
                                  &outcome, &bench.err),
                     ERR_NOT_FOUND);
    bool more = true;
    ok(outcome_expire(bench.store, UINT64_MAX, &more, &bench.err));
    assert_false(more);
    assert_int_equal(
        outcome_find(bench.store, made.principal, &statement, &bench.arena, &outcome, &bench.err),
        ERR_NOT_FOUND);
}

static enum err_code on_expiry(void *context, const struct audit_entry *entry, bool *ret_stop,
                               struct err *err)
{
    (void)err;
    bool *told = context;
    *ret_stop = true;
    *told = span_equal(entry->record.action, span_text("SNAPSHOT EXPIRED")) &&
            span_equal(entry->record.object.name, span_text("s")) &&
            entry->record.object.project.n == bench.project.n;
    return ERR_OK;
}

/* A commit has room for as many as expire at once, with the longest names, and an entry each. */
static void many_snapshots_expire_at_once(void **state)
{
    (void)state;
    char name[LIMIT_NAME_BYTES + 1];
    struct table_id id = make_table("t", true), made_id;
    struct snapshot_spec spec = {.project = bench.project,
                                 .table = id,
                                 .expires_ms = 5000,
                                 .region = span_text("here"),
                                 .signer = &signer};
    for (int i = 0; i < 120; i++) {
        struct change_note made = note();
        snprintf(name, sizeof(name), "s%0*d", LIMIT_NAME_BYTES - 1, i);
        spec.name = span_text(name);
        ok(snapshot_create(bench.store, &spec, &made, &made_id, &bench.err));
    }
    uint64_t before = audit_head_get(bench.store).count;
    size_t dropped = 1, all = 0;
    while (dropped > 0) {
        ok(snapshot_expire(bench.store, 5000, &dropped, &bench.err));
        all += dropped;
    }
    assert_int_equal(all, 120);
    assert_int_equal(audit_head_get(bench.store).count, before + 120);
}

static void expired_snapshots_go(void **state)
{
    (void)state;
    struct table_id id = make_table("t", true);
    struct table_id keep = snapshot(id, "keep", false);
    struct snapshot_spec spec = {.project = bench.project,
                                 .name = span_text("s"),
                                 .table = id,
                                 .expires_ms = 5000,
                                 .region = span_text("here"),
                                 .signer = &signer};
    struct change_note made = note();
    struct table_id going;
    ok(snapshot_create(bench.store, &spec, &made, &going, &bench.err));
    CATALOG_CHANGE_CLEANUP struct catalog_change damage = {0};
    BYTES_CLEANUP struct bytes damaged = {0}; /* stands before all others */
    bytes_append_text(&damaged, "s");
    bytes_append_u64(&damaged, 0);
    size_t dropped = 9;
    ok(snapshot_expire(bench.store, 4999, &dropped, &bench.err));
    assert_int_equal(dropped, 0);
    catalog_put(&damage, FAMILY_CATALOG, bytes_span(&damaged), span_text("no record"));
    ok(catalog_commit(bench.store, &damage, CATALOG_KEEP_RESERVE, &bench.err));
    assert_int_not_equal(snapshot_expire(bench.store, 5000, &dropped, &bench.err), ERR_OK);
    assert_int_equal(dropped, 1); /* it is told, and stops nothing */
    uint64_t next;
    bool told = false;
    ok(audit_each(bench.store, audit_head_get(bench.store).count, 1, on_expiry, &told, &next,
                  &bench.err));
    assert_true(told);
    catalog_change_deinit(&damage);
    catalog_delete(&damage, FAMILY_CATALOG, bytes_span(&damaged));
    ok(catalog_commit(bench.store, &damage, CATALOG_KEEP_RESERVE, &bench.err));
    struct snapshot_record record;
    ok(snapshot_get(bench.store, NULL, keep, &bench.arena, &record, &bench.err));
    struct name_target target;
    assert_int_equal(
        name_find(bench.store, NULL, bench.project, span_text("s"), &target, &bench.err),
        ERR_TABLE_NOT_FOUND);
}

static void a_key_belongs_to_one_account(void **state)
{
    (void)state;
    struct public_key key = {.identity = {{1}}, .exchange = {2}};
    struct account_record spec = {.name = span_text("ALIYUN$a"), .keys = &key, .key_count = 1};
    struct account_record found;
    struct account_id id;
    struct change_note made = note();
    ok(account_create(bench.store, &spec, &made, &id, &bench.err));
    ok(account_find_key(bench.store, &key.identity, &bench.arena, &found, &bench.err));
    assert_int_equal(found.id.n, id.n);
    assert_int_equal(found.key_count, 1);
    spec.name = span_text("ALIYUN$b");
    key.identity.b[0] = 9; /* the other half is known */
    struct account_id other;
    assert_int_equal(account_create(bench.store, &spec, &made, &other, &bench.err), ERR_EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_found_without_regard_to_case_and_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_table_without_partitions_has_one, setup, teardown),
        cmocka_unit_test_setup_teardown(times_of_partitions_follow_their_content, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_content_by_another_way_is_an_equal_version, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(of_two_writes_on_one_base_the_second_fails_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(partitions_are_added_and_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshot_and_clone_share_the_version, setup, teardown),
        cmocka_unit_test_setup_teardown(replaced_snapshot_stays_readable_for_who_reads_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replica_is_published_in_place_of_the_old_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(history_tells_what_was_and_expires, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replaced_table_keeps_its_readers_and_its_history_ends,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_table_appears_with_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(of_two_new_tables_of_one_name_the_second_fails_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_statement_is_remembered_with_its_change, setup, teardown),
        cmocka_unit_test_setup_teardown(expired_snapshots_go, setup, teardown),
        cmocka_unit_test_setup_teardown(many_snapshots_expire_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_belongs_to_one_account, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
