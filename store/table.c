#include "store/table.h"

#include "store/catalog_keys.h"
#include "store/rights.h"
#include "store/table_change.h"
#include "store/version_store.h"

/* ---- reading ---- */

static enum err_code table_read(struct store *store, struct db_view *view, struct table_id id,
                                struct arena *arena, struct span *ret_record, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    bool found = false;
    catalog_key_id('t', id.n, &key);
    TRY(catalog_record_find(store, view, FAMILY_CATALOG, bytes_span(&key), arena, ret_record,
                            &found, err));
    return found ? ERR_OK : err_set(err, ERR_TABLE_NOT_FOUND, "the table is gone");
}

enum err_code table_change_read(struct store *store, struct table_id id, struct arena *arena,
                                struct span *ret_encoded, struct table_record *ret_table,
                                struct err *err)
{
    TRY(table_read(store, NULL, id, arena, ret_encoded, err));
    return table_record_decode(*ret_encoded, arena, ret_table, err);
}

enum err_code table_get(struct store *store, struct db_view *view, struct table_id id,
                        struct arena *arena, struct table_record *ret_table, struct err *err)
{
    struct span record;
    TRY(table_read(store, view, id, arena, &record, err));
    return table_record_decode(record, arena, ret_table, err);
}

enum err_code table_find(struct store *store, struct db_view *view, struct project_id project,
                         struct span name, struct arena *arena, struct table_record *ret_table,
                         struct err *err)
{
    struct name_target target;
    TRY(name_find(store, view, project, name, &target, err));
    if (target.kind != NAME_TABLE)
        return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s is a snapshot, not a table",
                       SPAN_PRINTF(name));
    return table_get(store, view, target.id, arena, ret_table, err);
}

/* ---- records in a change ---- */

static void table_put(struct catalog_change *change, const struct table_record *table)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    catalog_key_id('t', table->id.n, &key);
    table_record_encode(table, &value);
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
}

static void history_put(struct catalog_change *change, const struct table_record *table,
                        enum history_operation operation, const struct change_note *note)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct history_record history = {
        .table = table->id,
        .sequence = table->sequence,
        .time_ms = note->now_ms,
        .operation = operation,
        .principal = note->principal,
        .version = table->version,
    };
    catalog_key_history(table->id, table->sequence, &key);
    history_record_encode(&history, &value);
    catalog_put(change, FAMILY_HISTORY, bytes_span(&key), bytes_span(&value));
}

void table_change_put(struct catalog_change *change, const struct table_record *table,
                      struct span old_record, enum history_operation operation,
                      const struct change_note *note)
{
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_id('t', table->id.n, &key);
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), old_record);
    table_put(change, table);
    history_put(change, table, operation, note);
}

/* Takes the record away and ends the history; not the name. */
static void record_remove(struct catalog_change *change, const struct table_record *table,
                          struct span old_record, const struct change_note *note)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct table_record last = *table;
    catalog_key_id('t', table->id.n, &key);
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), old_record);
    catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
    last.sequence++;
    history_put(change, &last, OPERATION_DROP, note);
}

void table_change_drop(struct catalog_change *change, const struct table_record *table,
                       struct span old_record, const struct change_note *note)
{
    record_remove(change, table, old_record, note);
    name_release(change, table->project, table->name,
                 (struct name_target){.kind = NAME_TABLE, .id = table->id});
}

/* Gives the name to `target`, from the table that is replaced if there is one. */
static enum err_code name_take(struct store *store, struct catalog_change *change,
                               const struct table_spec *spec, const struct change_note *note,
                               struct name_target target, struct err *err)
{
    if (spec->replaces.n == 0)
        return name_claim(store, change, spec->project, spec->name, target, err);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    struct table_record old;
    struct err reason;
    enum err_code code = table_change_read(store, spec->replaces, &arena, &record, &old, &reason);
    if (code == ERR_TABLE_NOT_FOUND)
        return err_set(err, ERR_CONFLICT, "the table that is replaced has gone meanwhile");
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    record_remove(change, &old, record, note);
    name_replace(change, spec->project, spec->name,
                 (struct name_target){.kind = NAME_TABLE, .id = spec->replaces}, target);
    rights_sweep_wish(store); /* a wish too many, should the commit fail, costs one look */
    return ERR_OK;
}

enum err_code table_texts_check(struct span comment, const struct table_property *properties,
                                size_t property_count, struct err *err)
{
    size_t bytes = 0;
    if (comment.len > LIMIT_COMMENT_BYTES || !span_is_utf8(comment))
        return err_set(err, ERR_PARAMETER, "a comment has at most %d bytes of UTF-8",
                       LIMIT_COMMENT_BYTES);
    for (size_t i = 0; i < property_count; i++) {
        struct span key = properties[i].key, value = properties[i].value;
        bytes += key.len + value.len;
        if (key.len == 0 || key.len > LIMIT_NAME_BYTES || value.len > LIMIT_COMMENT_BYTES ||
            !span_is_utf8(key) || !span_is_utf8(value))
            return err_set(err, ERR_PARAMETER,
                           "TBLPROPERTIES: a key has 1 to %d bytes of UTF-8, a value at most %d",
                           LIMIT_NAME_BYTES, LIMIT_COMMENT_BYTES);
    }
    if (property_count > LIMIT_OPTIONS || bytes > LIMIT_PROPERTIES_BYTES)
        return err_set(err, ERR_PARAMETER, "TBLPROPERTIES: at most %d, of %zu bytes in all",
                       LIMIT_OPTIONS, (size_t)LIMIT_PROPERTIES_BYTES);
    return ERR_OK;
}

enum err_code table_change_add(struct store *store, struct catalog_change *change,
                               const struct table_spec *spec, const struct change_note *note,
                               struct table_record *table, struct err *err)
{
    TRY(table_texts_check(spec->comment, spec->properties, spec->property_count, err));
    TRY(catalog_sequence_take(store, change, "table", &table->id.n, err));
    struct name_target target = {.kind = NAME_TABLE, .id = table->id};
    TRY(name_take(store, change, spec, note, target, err));
    table->project = spec->project;
    table->name = spec->name;
    table->owner = note->principal;
    table->comment = spec->comment;
    table->lifecycle_days = spec->lifecycle_days;
    table->external = spec->external;
    table->properties = spec->properties;
    table->property_count = spec->property_count;
    table->created_ms = note->now_ms;
    table->modified_ms = note->now_ms;
    table->sequence = 1;
    table_put(change, table);
    history_put(change, table, spec->schema != NULL ? OPERATION_CREATE : OPERATION_CLONE, note);
    return ERR_OK;
}

/* ---- create, clone, drop ---- */

/* The one partition of a table without partition columns is there from the start. */
static enum err_code single_partition(struct content *content, enum tree_kind kind,
                                      const struct clustering *clustering, uint64_t now_ms,
                                      struct digest *ret_root, struct err *err)
{
    struct page_source source = content_page_source(content);
    struct page_sink sink = content_page_sink(content);
    struct page_entry entry = {.kind = PAGE_ENTRY_PARTITION, .partition.clustering = *clustering};
    if (kind == TREE_ATTRIBUTES)
        entry = (struct page_entry){.kind = PAGE_ENTRY_ATTRIBUTE,
                                    .attribute = {.created_ms = now_ms, .modified_ms = now_ms}};
    struct tree_edit edit = {.kind = TREE_PUT, .entry = &entry};
    struct tree_edit_array array = {.edits = &edit, .count = 1};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    struct tree tree = {.source = &source, .kind = kind};
    struct tree_apply_result result;
    TRY(tree_empty(kind, &sink, &tree.root, err));
    TRY(tree_apply(&tree, &sink, &edits, &result, err));
    *ret_root = result.root;
    return ERR_OK;
}

static enum err_code first_root(struct content *content, enum tree_kind kind,
                                const struct version_record *version, uint64_t now_ms,
                                struct digest *ret_root, struct err *err)
{
    struct page_sink sink = content_page_sink(content);
    if (version->schema.partition_column_count > 0)
        return tree_empty(kind, &sink, ret_root, err);
    return single_partition(content, kind, &version->clustering, now_ms, ret_root, err);
}

enum err_code table_first_version(struct content *content, const struct table_spec *spec,
                                  uint64_t now_ms, struct version_ref *ret_ref, struct err *err)
{
    struct version_record version = {.kind = TABLE_STANDARD, .clustering = spec->clustering};
    struct digest attribute_root;
    if (spec->like != NULL)
        version = *spec->like;
    version.schema = *spec->schema;
    TRY(schema_validate(&version.schema, err));
    TRY(clustering_validate(&version.clustering, &version.schema, err));
    TRY(first_root(content, TREE_MANIFEST, &version, now_ms, &version.root, err));
    TRY(first_root(content, TREE_ATTRIBUTES, &version, now_ms, &attribute_root, err));
    TRY(version_add(content, &version, &attribute_root, ret_ref, err));
    return content_commit(content, err);
}

enum err_code table_create(struct content *content, const struct table_spec *spec,
                           const struct change_note *note, struct table_id *ret_id, struct err *err)
{
    struct store *store = content_store(content);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct table_record table = {0};
    TRY(table_change_add(store, &change, spec, note, &table, err));
    TRY(table_first_version(content, spec, note->now_ms, &table.version, err));
    catalog_change_clear(&change); /* asked whether it may be: again, with the version */
    TRY(table_change_add(store, &change, spec, note, &table, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = table.id;
    return ERR_OK;
}

enum err_code table_clone(struct store *store, const struct table_spec *spec,
                          struct table_id snapshot, const struct change_note *note,
                          struct table_id *ret_id, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    struct snapshot_record source;
    bool found = false;
    catalog_key_id('s', snapshot.n, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the snapshot is gone");
    TRY(snapshot_record_decode(record, &arena, &source, err));
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), record);
    struct table_record table = {.version = source.version};
    TRY(table_change_add(store, &change, spec, note, &table, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = table.id;
    return ERR_OK;
}

enum err_code table_drop(struct store *store, struct table_id id, const struct change_note *note,
                         struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct table_record table;
    struct span record;
    TRY(table_change_read(store, id, &arena, &record, &table, err));
    table_change_drop(&change, &table, record, note);
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    rights_sweep_wish(store); /* its grants do not count any more: their records may go */
    return ERR_OK;
}
