#include "store/lifecycle.h"

#include "store/catalog_commit.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* ---- which tables ---- */

static bool has_lifecycle(const struct table_record *table)
{
    return table->lifecycle_days > 0 && !table->lifecycle_disabled;
}

/* Their ids, eight bytes each. *damage: the first record that cannot be read. */
static enum err_code ids_gather(struct store *store, struct bytes *ids, struct err *damage,
                                struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("t"), span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key;
        struct span value;
        struct table_record table;
        struct err reason;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        if (table_record_decode(value, &arena, &table, &reason) == ERR_OK) {
            if (has_lifecycle(&table))
                bytes_append_u64(ids, table.id.n);
        } else if (damage->code == ERR_OK) {
            *damage = reason;
        }
    }
}

enum err_code lifecycle_each(struct store *store, on_lifecycle *callback, void *context,
                             struct err *err)
{
    BYTES_CLEANUP struct bytes ids = {0};
    struct err damage = {0};
    TRY(ids_gather(store, &ids, &damage, err));
    for (size_t at = 0; at < ids.len; at += 8)
        TRY(callback(context, (struct table_id){load_u64(ids.data + at)}, err));
    return damage.code == ERR_OK ? ERR_OK : err_set(err, damage.code, "%s", damage.message);
}

/* ---- what is over ---- */

/* 0 is no time: what has none is not over. A time to come is not, either. */
static bool is_over(uint64_t modified_ms, uint32_t days, uint64_t now_ms)
{
    return modified_ms != 0 && now_ms > modified_ms && now_ms - modified_ms > days * DAY_MS;
}

/* Edits of the manifest that drop partitions, from the attributes that say which. */
struct over_edits {
    struct tree_cursor *attributes;
    uint32_t days;
    uint64_t now_ms;
    uint64_t count;
    struct bytes key;
};

static void over_edits_deinit(struct over_edits *edits)
{
    tree_cursor_free(edits->attributes);
    bytes_deinit(&edits->key);
}

static enum err_code over_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                               struct err *err)
{
    struct over_edits *edits = context;
    const struct page_entry *entry = NULL;
    do {
        TRY(tree_cursor_next(edits->attributes, &entry, err));
        *ret_end = entry == NULL;
        if (entry == NULL)
            return ERR_OK;
    } while (entry->attribute.lifecycle_off ||
             !is_over(entry->attribute.modified_ms, edits->days, edits->now_ms));
    edits->count++;
    bytes_clear(&edits->key);
    bytes_append_span(&edits->key, entry->key);
    *ret_edit = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = bytes_span(&edits->key)};
    return ERR_OK;
}

static enum err_code partitions_act(struct table_write *write, const struct change_note *note,
                                    uint64_t *ret_count, struct err *err)
{
    struct tree attributes = table_write_attributes(write);
    __attribute__((cleanup(over_edits_deinit))) struct over_edits edits = {
        .attributes = tree_cursor_new(&attributes),
        .days = table_write_record(write)->lifecycle_days,
        .now_ms = note->now_ms,
    };
    struct tree_edit_source source = {.next = over_next, .context = &edits};
    struct version_ref version;
    TRY(table_write_apply(write, &source, note->now_ms, &version, err));
    if (edits.count > 0)
        TRY(table_write_commit(write, OPERATION_DROP_PARTITION, note, err));
    *ret_count = edits.count;
    return ERR_OK;
}

static enum err_code table_act(struct content *content, struct table_id id, uint64_t now_ms,
                               struct lifecycle_done *done, struct err *err)
{
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(content, id, &write, err));
    const struct table_record *table = table_write_record(write);
    const struct change_note note = {.now_ms = now_ms, .principal = span_text(LIFECYCLE_PRINCIPAL)};
    if (!has_lifecycle(table))
        return ERR_OK;
    if (table_write_version(write)->schema.partition_column_count > 0)
        return partitions_act(write, &note, &done->partitions, err);
    if (!is_over(table->modified_ms, table->lifecycle_days, now_ms))
        return ERR_OK;
    TRY(table_write_drop(write, &note, err));
    done->is_dropped = true;
    return ERR_OK;
}

enum err_code lifecycle_act(struct store *store, struct table_id id, uint64_t now_ms,
                            struct lifecycle_done *ret_done, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct table_record table;
    struct project_record project;
    struct err reason;
    struct lifecycle_done done = {0};
    enum err_code code = table_get(store, NULL, id, &arena, &table, &reason);
    if (code == ERR_OK)
        code = project_get(store, NULL, table.project, &arena, &project, &reason);
    if (code == ERR_OK) {
        CONTENT_CLEANUP struct content *content = NULL;
        snprintf(done.table, sizeof(done.table), "%.*s", SPAN_PRINTF(table.name));
        TRY(content_open(store, project.owner, &content, err));
        code = table_act(content, id, now_ms, &done, &reason);
    }
    if (code != ERR_OK && code != ERR_TABLE_NOT_FOUND) /* that: dropped meanwhile */
        return err_set(err, code, "%s", reason.message);
    *ret_done = done;
    return ERR_OK;
}
