#include "store/clone_trial.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/key.h"
#include "store/content_files.h"
#include "store/history.h"
#include "store/load_edits.h"
#include "store/roots.h"
#include "store/scan.h"

const struct clone_ranges clone_all = {0};

static struct column data_columns[] = {{.id = 1, .type = {.kind = TYPE_BIGINT}}};
static struct column partition_columns[] = {
    {.id = 2, .type = {.kind = TYPE_BIGINT}},
    {.id = 3, .type = {.kind = TYPE_STRING}},
};
struct schema cell_schema = {.columns = data_columns,
                             .column_count = 1,
                             .partition_columns = partition_columns,
                             .partition_column_count = 2,
                             .next_column_id = 4};

/* ---- two accounts, each with a project ---- */

uint64_t clone_clock_ms = 1000;

struct change_note clone_note(void)
{
    return (struct change_note){.now_ms = ++clone_clock_ms, .principal = span_text("ALIYUN$root")};
}

struct owner owner_make(struct trial *trial, const char *name)
{
    struct owner owner;
    struct account_record account = {.name = span_text(name)};
    struct change_note made = clone_note();
    data_columns[0].name = span_text("id");
    partition_columns[0].name = span_text("p");
    partition_columns[1].name = span_text("q");
    ok(account_create(trial->store, &account, &made, &owner.account, &trial->err));
    struct project_spec project = {.name = span_text(name + 7), .owner = owner.account};
    ok(project_create(trial->store, &project, &made, &owner.project, &trial->err));
    return owner;
}

/* ---- tables of one number a partition ---- */

const char *const q_text[QS] = {"a", "b", "c"};

struct table_id table_make(struct trial *trial, const struct owner *owner, const char *name)
{
    struct table_spec spec = {.project = owner->project,
                              .name = span_text(name),
                              .comment = span_text("the source's"),
                              .lifecycle_days = 7,
                              .schema = &cell_schema};
    struct change_note made = clone_note();
    struct table_id id = {0};
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(trial->store, owner->account, &content, &trial->err));
    ok(table_create(content, &spec, &made, &id, &trial->err));
    return id;
}

void batch_load(struct trial *trial, const struct owner *owner, struct table_id table,
                const struct batch *batch)
{
    CONTENT_CLEANUP struct content *content = NULL;
    ok(content_open(trial->store, owner->account, &content, &trial->err));
    LOAD_CLEANUP struct load *load =
        load_open(&(struct load_options){.schema = &cell_schema,
                                         .sink = content_file_sink(content),
                                         .tmp_folder = store_tmp_dir(trial->store)});
    ok(load_append(load, batch, &trial->err));
    ok(load_finish(load, &trial->err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, table, &write, &trial->err));
    struct tree base = table_write_tree(write);
    LOAD_EDITS_CLEANUP struct load_edits edits;
    load_edits_init(&edits, load, &base, LOAD_OVERWRITE);
    struct tree_edit_source source = load_edits_source(&edits);
    struct change_note made = clone_note();
    struct version_ref version;
    ok(table_write_apply(write, &source, made.now_ms, &version, &trial->err));
    ok(table_write_commit(write, OPERATION_LOAD, &made, &trial->err));
}

void row_add(struct batch *batch, int64_t id, int64_t p, const char *q)
{
    vector_append(&batch->vectors[0], (struct value){.i64 = id});
    vector_append(&batch->vectors[1], (struct value){.i64 = p});
    vector_append(&batch->vectors[2], (struct value){.text = span_text(q)});
    batch->rows++;
}

void cells_load(struct trial *trial, const struct owner *owner, struct table_id table,
                const cells new)
{
    BATCH_CLEANUP struct batch batch;
    batch_init_all(&batch, &cell_schema);
    for (int64_t p = 0; p < PS; p++)
        for (size_t q = 0; q < QS; q++)
            if (new[p][q] != 0)
                row_add(&batch, new[p][q], p, q_text[q]);
    batch_load(trial, owner, table, &batch);
}

void cells_read(struct trial *trial, struct table_id table, cells ret_cells)
{
    static const size_t wanted[] = {0, 1, 2};
    READER_CLEANUP struct reader_handle *reader = NULL;
    ok(reader_open(trial->store, table, &reader, &trial->err));
    const struct scan_options options = {.schema = &reader_version(reader)->schema,
                                         .tree = reader_tree(reader),
                                         .files = store_file_source(trial->store),
                                         .wanted = wanted,
                                         .wanted_count = ARRAY_COUNT(wanted)};
    SCAN_CLEANUP struct scan *scan = NULL;
    memset(ret_cells, 0, sizeof(cells));
    ok(scan_open(&options, &scan, &trial->err));
    for (;;) {
        const struct batch *batch = NULL;
        ok(scan_next(scan, &batch, &trial->err));
        if (batch == NULL)
            return;
        for (size_t i = 0; i < batch->rows; i++) {
            int64_t p = vector_value(&batch->vectors[1], i).i64;
            uint8_t q = vector_value(&batch->vectors[2], i).text.data[0];
            ret_cells[p][q - 'a'] = (uint32_t)vector_value(&batch->vectors[0], i).i64;
        }
    }
}

void cells_expect(struct trial *trial, struct table_id table, const cells wanted)
{
    cells found;
    cells_read(trial, table, found);
    for (size_t p = 0; p < PS; p++)
        for (size_t q = 0; q < QS; q++)
            if (found[p][q] != wanted[p][q])
                fail_msg("table %" PRIu64 ": p=%zu/q=%s is %u, not %u", table.n, p, q_text[q],
                         found[p][q], wanted[p][q]);
}

struct table_record record_get(struct trial *trial, struct table_id id, struct arena *arena)
{
    struct table_record table;
    ok(table_get(trial->store, NULL, id, arena, &table, &trial->err));
    return table;
}

/* ---- ranges ---- */

void selection_deinit(struct selection *selection)
{
    for (size_t i = 0; i < PS * QS; i++)
        bytes_deinit(&selection->keys[i]);
}
void selection_add(struct selection *selection, int64_t p, const char *q)
{
    size_t at = selection->ranges.count++;
    key_append_i64(&selection->keys[at], p);
    if (q != NULL)
        key_append_text(&selection->keys[at], span_text(q));
    selection->prefixes[at] = bytes_span(&selection->keys[at]);
    selection->ranges.prefixes = selection->prefixes;
}

/* ---- clones ---- */

enum err_code clone_try(struct trial *trial, const struct owner *owner, const char *name,
                        struct table_id from, const struct clone_ranges *ranges,
                        struct table_id *ret_id)
{
    struct table_spec spec = {.project = owner->project, .name = span_text(name)};
    struct change_note made = clone_note();
    READER_CLEANUP struct reader_handle *source = NULL;
    CONTENT_CLEANUP struct content *content = NULL;
    ok(reader_open(trial->store, from, &source, &trial->err));
    ok(content_open(trial->store, owner->account, &content, &trial->err));
    return clone_create(content, &spec, source, ranges, &made, ret_id, &trial->err);
}

struct table_id clone_make(struct trial *trial, const struct owner *owner, const char *name,
                           struct table_id from, const struct clone_ranges *ranges)
{
    struct table_id id = {0};
    ok(clone_try(trial, owner, name, from, ranges, &id));
    return id;
}

void clone_to(struct trial *trial, const struct owner *owner, struct table_id to,
              struct table_id from, const struct clone_ranges *ranges, enum clone_how how)
{
    struct change_note made = clone_note();
    READER_CLEANUP struct reader_handle *source = NULL;
    CONTENT_CLEANUP struct content *content = NULL;
    ok(reader_open(trial->store, from, &source, &trial->err));
    ok(content_open(trial->store, owner->account, &content, &trial->err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    ok(table_begin(content, to, &write, &trial->err));
    ok(clone_into(write, source, ranges, how, &made, &trial->err));
}

void table_dropped(struct trial *trial, struct table_id id)
{
    struct change_note made = clone_note();
    ok(table_drop(trial->store, id, &made, &trial->err));
}

void clean_up(struct trial *trial)
{
    struct collect_counts counts;
    size_t removed = 1;
    while (removed > 0)
        ok(history_expire(trial->store, UINT64_MAX, &removed, &trial->err));
    ok(collect_run(trial->store, catalog_tree(), &counts, &trial->err));
}

struct fsck_counts store_check(struct trial *trial)
{
    struct fsck_counts counts;
    ok(catalog_fsck(trial->store, FSCK_REHASH, NULL, NULL, &counts, &trial->err));
    assert_int_equal(counts.faults, 0);
    return counts;
}
