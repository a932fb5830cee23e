#include "store/table_alter.h"

#include "store/catalog_keys.h"
#include "store/table_change.h"

/* ---- the record ---- */

static bool name_folds_to(struct span a, struct span b)
{
    return a.len == b.len &&
           strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0; /* not empty */
}

/* Gives the new name and frees the old one. The same name in another case is the same key. */
static enum err_code name_change(struct store *store, struct catalog_change *change,
                                 struct table_record *table, struct span name, struct err *err)
{
    struct name_target target = {.kind = NAME_TABLE, .id = table->id};
    if (name.len == 0 || span_equal(name, table->name) || !name_folds_to(name, table->name)) {
        TRY(name_claim(store, change, table->project, name, target, err));
        name_release(change, table->project, table->name, target);
    }
    table->name = name;
    return ERR_OK;
}

static enum err_code alteration_apply(struct store *store, struct catalog_change *change,
                                      struct table_record *table,
                                      const struct table_alteration *alteration, struct err *err)
{
    switch (alteration->kind) {
    case TABLE_ALTER_NAME:
        return name_change(store, change, table, alteration->text, err);
    case TABLE_ALTER_COMMENT:
        table->comment = alteration->text;
        return table_texts_check(table->comment, NULL, 0, err);
    case TABLE_ALTER_LIFECYCLE:
        table->lifecycle_days = alteration->lifecycle_days;
        return ERR_OK;
    case TABLE_ALTER_LIFECYCLE_SWITCH:
        table->lifecycle_disabled = alteration->lifecycle_disabled;
        return ERR_OK;
    }
    return err_set(err, ERR_INTERNAL, "no such change of a table");
}

enum err_code table_alter(struct store *store, struct table_id id,
                          const struct table_alteration *alteration, const struct change_note *note,
                          struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span encoded;
    struct table_record table;
    TRY(table_change_read(store, id, &arena, &encoded, &table, err));
    TRY(alteration_apply(store, &change, &table, alteration, err));
    table.ddl_ms = note->now_ms;
    table.sequence++;
    table_change_put(&change, &table, encoded, OPERATION_ALTER, note);
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

/* ---- attributes ---- */

static enum err_code attribute_get(const struct table_write *write, struct span key,
                                   struct page_attribute *ret_attribute, struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree attributes = table_write_attributes(write);
    const struct page_entry *entry;
    TRY(tree_get(&attributes, key, &page, &entry, err));
    *ret_attribute = entry->attribute;
    return ERR_OK;
}

/* Puts one partition's attributes beside an edit of the manifest (or NULL). */
static enum err_code attribute_put(struct table_write *write,
                                   const struct tree_edit_source *manifest, struct span key,
                                   const struct page_attribute *attribute, bool keeps_modified,
                                   const struct change_note *note, struct err *err)
{
    struct page_entry entry = {.kind = PAGE_ENTRY_ATTRIBUTE, .key = key, .attribute = *attribute};
    struct tree_edit edit = {.kind = TREE_PUT, .entry = &entry};
    struct tree_edit_array array = {.edits = &edit, .count = 1};
    struct tree_edit_source edits = tree_edit_array_source(&array);
    const struct table_attribute_change change = {
        .manifest = manifest, .attributes = &edits, .keeps_modified = keeps_modified};
    TRY(table_write_apply_attributes(write, &change, note->now_ms, err));
    return table_write_commit(write, OPERATION_ALTER, note, err);
}

enum err_code table_partition_touch(struct table_write *write, struct span key,
                                    const struct change_note *note, struct err *err)
{
    struct page_attribute attribute;
    TRY(attribute_get(write, key, &attribute, err));
    attribute.modified_ms = note->now_ms;
    return attribute_put(write, NULL, key, &attribute, false, note, err);
}

enum err_code table_touch(struct table_write *write, const struct change_note *note,
                          struct err *err)
{
    if (table_write_version(write)->schema.partition_column_count == 0)
        return table_partition_touch(write, span_of(NULL, 0), note, err);
    const struct table_attribute_change change = {0};
    TRY(table_write_apply_attributes(write, &change, note->now_ms, err));
    return table_write_commit(write, OPERATION_ALTER, note, err);
}

enum err_code table_partition_lifecycle(struct table_write *write, struct span key, bool off,
                                        const struct change_note *note, struct err *err)
{
    struct page_attribute attribute;
    TRY(attribute_get(write, key, &attribute, err));
    attribute.lifecycle_off = off;
    return attribute_put(write, NULL, key, &attribute, true, note, err);
}

/* ---- a partition's name ---- */

/* Deletes all under `from` and puts it again under `to`; what has the smaller key comes first. */
struct rename_edits {
    struct span from, to;
    struct tree_cursor *cursor; /* stands at the next entry of `from` */
    bool is_deleted;
    bool is_put;
    struct bytes key;
    struct page_entry entry;
};

static void rename_edits_deinit(struct rename_edits *edits)
{
    tree_cursor_free(edits->cursor);
    bytes_deinit(&edits->key);
}

static struct tree_edit rename_delete(struct rename_edits *edits)
{
    edits->is_deleted = true;
    return (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = edits->from};
}

/* *ret_more false: all has been put. */
static enum err_code rename_put(struct rename_edits *edits, struct tree_edit *ret_edit,
                                bool *ret_more, struct err *err)
{
    const struct page_entry *entry = NULL;
    TRY(tree_cursor_next(edits->cursor, &entry, err));
    bool more = entry != NULL &&
                (entry->kind != PAGE_ENTRY_PARTITION || span_equal(entry->key, edits->from));
    edits->is_put = !more;
    *ret_more = more;
    if (!more)
        return ERR_OK;
    bytes_clear(&edits->key);
    bytes_append_span(&edits->key, edits->to);
    bytes_append_span(&edits->key,
                      span_slice(entry->key, edits->from.len, entry->key.len - edits->from.len));
    edits->entry = *entry;
    edits->entry.key = bytes_span(&edits->key);
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    return ERR_OK;
}

static enum err_code rename_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                 struct err *err)
{
    struct rename_edits *edits = context;
    bool puts_first = span_compare(edits->to, edits->from) < 0;
    *ret_end = false;
    if (!puts_first && !edits->is_deleted) {
        *ret_edit = rename_delete(edits);
        return ERR_OK;
    }
    if (!edits->is_put) {
        bool more;
        TRY(rename_put(edits, ret_edit, &more, err));
        if (more)
            return ERR_OK;
    }
    *ret_end = edits->is_deleted;
    if (!edits->is_deleted)
        *ret_edit = rename_delete(edits);
    return ERR_OK;
}

static enum err_code partition_absent(const struct table_write *write, struct span key,
                                      struct err *err)
{
    struct page_attribute ignored;
    struct err reason;
    enum err_code code = attribute_get(write, key, &ignored, &reason);
    if (code == ERR_OK)
        return err_set(err, ERR_EXISTS, "the partition exists already");
    return code == ERR_NOT_FOUND ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code table_partition_rename(struct table_write *write, struct span from, struct span to,
                                     const struct change_note *note, struct err *err)
{
    struct page_attribute attribute;
    TRY(attribute_get(write, from, &attribute, err));
    TRY(partition_absent(write, to, err));
    struct tree tree = table_write_tree(write);
    __attribute__((cleanup(rename_edits_deinit))) struct rename_edits edits = {
        .from = from, .to = to, .cursor = tree_cursor_new(&tree)};
    tree_cursor_seek(edits.cursor, from);
    struct tree_edit_source manifest = {.next = rename_next, .context = &edits};
    return attribute_put(write, &manifest, to, &attribute, false, note, err);
}

/* ---- TRUNCATE ---- */

/* For each partition with rows: delete all under it, put it again without. */
struct truncate_edits {
    const struct partition_list *list; /* NULL: all */
    size_t at;
    struct tree_cursor *cursor;
    bool has_put; /* the delete was given, `entry` comes next */
    struct bytes key;
    struct page_entry entry;
};

static void truncate_edits_deinit(struct truncate_edits *edits)
{
    tree_cursor_free(edits->cursor);
    bytes_deinit(&edits->key);
}

/* The next partition to look at; NULL at the end. */
static enum err_code truncate_find(struct truncate_edits *edits,
                                   const struct page_entry **ret_entry, struct err *err)
{
    if (edits->list != NULL && edits->at == edits->list->count) {
        *ret_entry = NULL;
        return ERR_OK;
    }
    if (edits->list != NULL)
        return tree_cursor_get(edits->cursor, edits->list->keys[edits->at++], ret_entry, err);
    if (edits->at++ > 0)
        tree_cursor_seek_past(edits->cursor, bytes_span(&edits->key));
    return tree_cursor_next(edits->cursor, ret_entry, err);
}

static enum err_code truncate_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                   struct err *err)
{
    struct truncate_edits *edits = context;
    *ret_end = false;
    if (edits->has_put) {
        edits->has_put = false;
        *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
        return ERR_OK;
    }
    const struct page_entry *entry = NULL;
    do {
        TRY(truncate_find(edits, &entry, err));
        *ret_end = entry == NULL;
        if (entry == NULL)
            return ERR_OK;
        bytes_clear(&edits->key);
        bytes_append_span(&edits->key, entry->key);
    } while (entry->partition.segment_count == 0);
    edits->entry = (struct page_entry){.kind = PAGE_ENTRY_PARTITION,
                                       .key = bytes_span(&edits->key),
                                       .partition = {.clustering = entry->partition.clustering}};
    edits->has_put = true;
    *ret_edit = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = edits->entry.key};
    return ERR_OK;
}

enum err_code table_truncate(struct table_write *write, const struct partition_list *list,
                             const struct change_note *note, struct err *err)
{
    struct tree tree = table_write_tree(write);
    __attribute__((cleanup(truncate_edits_deinit))) struct truncate_edits edits = {
        .list = list, .cursor = tree_cursor_new(&tree)};
    struct tree_edit_source source = {.next = truncate_next, .context = &edits};
    struct version_ref version;
    TRY(table_write_apply(write, &source, note->now_ms, &version, err));
    return table_write_commit(write, OPERATION_TRUNCATE, note, err);
}
