#include "store/table.h"

#include "store/catalog_keys.h"
#include "store/rights.h"
#include "store/table_change.h"
#include "store/version_store.h"

#define PIN_TRIES 8

struct table_write {
    struct content *content;
    struct store *store;
    const struct table_spec *spec; /* of a table to be made; NULL: it is there */
    struct arena arena;            /* of the record; reset with each try to pin it */
    struct span encoded;           /* the table's record as it was read: the change expects it */
    struct table_record record;
    struct bytes version_bytes;
    struct arena version_arena;
    struct version_record version;
    struct page_source source;
    struct page_sink sink;
    struct tree flags; /* has_flags: of partitions that come anew */
    bool has_flags;
    struct version_ref applied; /* is_applied */
    bool is_applied;
    bool keeps_modified; /* what was applied is no change of rows */
    bool is_done;
};

/* ---- begin, end ---- */

void table_end(struct table_write *write)
{
    if (write == NULL)
        return;
    arena_deinit(&write->arena);
    arena_deinit(&write->version_arena);
    bytes_deinit(&write->version_bytes);
    mem_free(write);
}

void table_end_pointer(struct table_write **write)
{
    table_end(*write);
}

static enum err_code record_read(struct table_write *write, struct table_id id, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    bool found = false;
    catalog_key_id('t', id.n, &key);
    arena_reset(&write->arena);
    TRY(catalog_record_find(write->store, NULL, FAMILY_CATALOG, bytes_span(&key), &write->arena,
                            &write->encoded, &found, err));
    if (!found)
        return err_set(err, ERR_TABLE_NOT_FOUND, "the table is gone");
    return table_record_decode(write->encoded, &write->arena, &write->record, err);
}

/* Reads the record, pins its version, reads again: what is still named then stays (content.h). */
static enum err_code record_pin(struct table_write *write, struct table_id id, struct err *err)
{
    TRY(record_read(write, id, err));
    for (unsigned i = 0; i < PIN_TRIES; i++) {
        struct version_ref pinned = write->record.version;
        TRY(content_pin_page(write->content, &pinned.page, err));
        TRY(content_pin_page(write->content, &pinned.attribute_root, err));
        TRY(record_read(write, id, err));
        if (version_ref_equal(&pinned, &write->record.version))
            return ERR_OK;
    }
    return err_set(err, ERR_BUSY, "the table changes too fast: try again");
}

static enum err_code version_load(struct table_write *write, struct err *err)
{
    TRY(content_page_read(write->content, &write->record.version.page, &write->version_bytes, err));
    arena_init(&write->version_arena, version_arena_bytes(write->version_bytes.len));
    return version_decode(bytes_span(&write->version_bytes), &write->version_arena, &write->version,
                          err);
}

static struct table_write *write_new(struct content *content, const struct table_spec *spec)
{
    struct table_write *write = mem_calloc(1, sizeof(*write));
    write->content = content;
    write->store = content_store(content);
    write->spec = spec;
    write->source = content_page_source(content);
    write->sink = content_page_sink(content);
    arena_init(&write->arena, CATALOG_ARENA_BYTES);
    return write;
}

enum err_code table_begin(struct content *content, struct table_id id,
                          struct table_write **ret_write, struct err *err)
{
    TABLE_WRITE_CLEANUP struct table_write *write = write_new(content, NULL);
    TRY(record_pin(write, id, err));
    TRY(version_load(write, err));
    *ret_write = write;
    write = NULL;
    return ERR_OK;
}

enum err_code table_begin_new(struct content *content, const struct table_spec *spec,
                              uint64_t now_ms, struct table_write **ret_write, struct err *err)
{
    TABLE_WRITE_CLEANUP struct table_write *write = write_new(content, spec);
    TRY(table_first_version(content, spec, now_ms, &write->record.version, err));
    TRY(version_load(write, err));
    *ret_write = write;
    write = NULL;
    return ERR_OK;
}

const struct table_record *table_write_record(const struct table_write *write)
{
    return &write->record;
}

const struct version_record *table_write_version(const struct table_write *write)
{
    return &write->version;
}

struct content *table_write_content(const struct table_write *write)
{
    return write->content;
}

struct tree table_write_tree(const struct table_write *write)
{
    return (struct tree){
        .source = &write->source, .kind = TREE_MANIFEST, .root = write->version.root};
}

struct tree table_write_attributes(const struct table_write *write)
{
    return (struct tree){.source = &write->source,
                         .kind = TREE_ATTRIBUTES,
                         .root = write->record.version.attribute_root};
}

/* ---- attributes: a partition's times follow from how the manifest changes ---- */

/* Edits of the attribute tree, one for each partition at which two manifests differ. */
struct attribute_edits {
    struct tree_diff *diff;
    struct tree_cursor *old;   /* attributes as they were */
    struct tree_cursor *flags; /* of another table, for new partitions; or NULL */
    uint64_t now_ms;
    bool has_key;
    struct bytes key; /* of the partition given last */
    struct page_entry entry;
};

static void attribute_edits_deinit(struct attribute_edits *edits)
{
    tree_diff_free(edits->diff);
    tree_cursor_free(edits->old);
    tree_cursor_free(edits->flags);
    bytes_deinit(&edits->key);
}

static struct span partition_of(const struct page_entry *entry)
{
    struct row_group_place ignored;
    return entry->kind == PAGE_ENTRY_ROW_GROUP ? row_group_key_split(entry->key, &ignored)
                                               : entry->key;
}

/* NULL: the tree, or the key in it, is not there. */
static enum err_code attribute_look(struct tree_cursor *cursor, struct span key,
                                    const struct page_entry **ret_entry, struct err *err)
{
    const struct page_entry *entry = NULL;
    *ret_entry = NULL;
    if (cursor == NULL)
        return ERR_OK;
    tree_cursor_seek(cursor, key);
    TRY(tree_cursor_next(cursor, &entry, err));
    if (entry != NULL && span_equal(entry->key, key))
        *ret_entry = entry;
    return ERR_OK;
}

static enum err_code attribute_put(struct attribute_edits *edits, struct tree_edit *ret_edit,
                                   struct err *err)
{
    const struct page_entry *old;
    const struct page_entry *flags;
    struct span key = bytes_span(&edits->key);
    edits->entry = (struct page_entry){
        .kind = PAGE_ENTRY_ATTRIBUTE, .key = key, .attribute = {.created_ms = edits->now_ms}};
    TRY(attribute_look(edits->old, key, &old, err));
    TRY(attribute_look(old == NULL ? edits->flags : NULL, key, &flags, err));
    if (old != NULL)
        edits->entry.attribute = old->attribute;
    else if (flags != NULL)
        edits->entry.attribute.lifecycle_off = flags->attribute.lifecycle_off;
    edits->entry.attribute.modified_ms = edits->now_ms;
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    return ERR_OK;
}

static enum err_code attribute_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                    struct err *err)
{
    struct attribute_edits *edits = context;
    for (;;) {
        const struct page_entry *old = NULL;
        const struct page_entry *new = NULL;
        TRY(tree_diff_next(edits->diff, &old, &new, err));
        *ret_end = old == NULL && new == NULL;
        if (*ret_end)
            return ERR_OK;
        struct span key = partition_of(new != NULL ? new : old);
        if (edits->has_key && span_equal(key, bytes_span(&edits->key)))
            continue;
        edits->has_key = true;
        bytes_clear(&edits->key);
        bytes_append_span(&edits->key, key);
        /* A partition's own entry comes first: where it goes, all of it goes. */
        bool gone = new == NULL && old->kind == PAGE_ENTRY_PARTITION;
        if (!gone)
            return attribute_put(edits, ret_edit, err);
        *ret_edit = (struct tree_edit){.kind = TREE_DELETE, .key = bytes_span(&edits->key)};
        return ERR_OK;
    }
}

static enum err_code attributes_follow(struct table_write *write, const struct digest *new_root,
                                       uint64_t now_ms, struct digest *ret_root, struct err *err)
{
    struct tree old = table_write_tree(write);
    struct tree new = {.source = &write->source, .kind = TREE_MANIFEST, .root = *new_root};
    struct tree attributes = table_write_attributes(write);
    __attribute__((cleanup(attribute_edits_deinit))) struct attribute_edits edits = {
        .diff = tree_diff_new(&old, &new),
        .old = tree_cursor_new(&attributes),
        .flags = write->has_flags ? tree_cursor_new(&write->flags) : NULL,
        .now_ms = now_ms,
    };
    struct tree_edit_source source = {.next = attribute_next, .context = &edits};
    struct tree_apply_result result;
    TRY(tree_apply(&attributes, &write->sink, &source, &result, err));
    *ret_root = result.root;
    return ERR_OK;
}

/* ---- the change ---- */

static enum err_code attributes_edit(struct table_write *write,
                                     const struct tree_edit_source *edits, struct digest *root,
                                     struct err *err)
{
    struct tree attributes = {.source = &write->source, .kind = TREE_ATTRIBUTES, .root = *root};
    struct tree_apply_result result;
    TRY(tree_apply(&attributes, &write->sink, edits, &result, err));
    *root = result.root;
    return ERR_OK;
}

static enum err_code version_make(struct table_write *write, const struct digest *root,
                                  const struct tree_edit_source *attribute_edits, uint64_t now_ms,
                                  struct version_ref *ret_ref, struct err *err)
{
    struct version_record version = write->version;
    struct digest attribute_root = write->record.version.attribute_root;
    bool differs = !digest_equal(root, &version.root);
    version.root = *root;
    if (differs)
        TRY(attributes_follow(write, root, now_ms, &attribute_root, err));
    if (attribute_edits != NULL)
        TRY(attributes_edit(write, attribute_edits, &attribute_root, err));
    TRY(version_add(write->content, &version, &attribute_root, ret_ref, err));
    return ERR_OK;
}

static bool operation_is_definition(enum history_operation operation)
{
    return operation == OPERATION_ALTER || operation == OPERATION_ADD_PARTITION ||
           operation == OPERATION_DROP_PARTITION;
}

static enum err_code change_commit(struct table_write *write, const struct version_ref *version,
                                   enum history_operation operation, const struct change_note *note,
                                   struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct table_record table = write->record;
    table.version = *version;
    if (write->spec != NULL) {
        TRY(table_change_add(write->store, &change, write->spec, note, &table, err));
        return catalog_commit_noted(write->store, &change, note, CATALOG_KEEP_RESERVE, err);
    }
    if (!write->keeps_modified)
        table.modified_ms = note->now_ms;
    if (operation_is_definition(operation))
        table.ddl_ms = note->now_ms;
    table.sequence++;
    table_change_put(&change, &table, write->encoded, operation, note);
    return catalog_commit_noted(write->store, &change, note, CATALOG_KEEP_RESERVE, err);
}

void table_write_flags_from(struct table_write *write, const struct tree *attributes)
{
    ASSERT(!write->is_applied);
    write->flags = *attributes;
    write->has_flags = true;
}

enum err_code table_write_apply(struct table_write *write, const struct tree_edit_source *edits,
                                uint64_t now_ms, struct version_ref *ret_version, struct err *err)
{
    ASSERT(!write->is_done && !write->is_applied);
    struct tree old = table_write_tree(write);
    struct tree_apply_result result;
    struct version_ref version = write->record.version;
    TRY(tree_apply(&old, &write->sink, edits, &result, err));
    if (!digest_equal(&result.root, &old.root))
        TRY(version_make(write, &result.root, NULL, now_ms, &version, err));
    TRY(content_commit(write->content, err));
    write->is_applied = true;
    write->applied = version;
    *ret_version = version;
    return ERR_OK;
}

enum err_code table_write_apply_attributes(struct table_write *write,
                                           const struct table_attribute_change *change,
                                           uint64_t now_ms, struct err *err)
{
    ASSERT(!write->is_done && !write->is_applied);
    struct tree old = table_write_tree(write);
    struct tree_apply_result result = {.root = old.root};
    struct version_ref version;
    if (change->manifest != NULL)
        TRY(tree_apply(&old, &write->sink, change->manifest, &result, err));
    TRY(version_make(write, &result.root, change->attributes, now_ms, &version, err));
    TRY(content_commit(write->content, err));
    write->is_applied = true;
    write->keeps_modified = change->keeps_modified;
    write->applied = version;
    return ERR_OK;
}

enum err_code table_write_drop(struct table_write *write, const struct change_note *note,
                               struct err *err)
{
    ASSERT(!write->is_done && !write->is_applied);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    table_change_drop(&change, &write->record, write->encoded, note);
    TRY(catalog_commit_noted(write->store, &change, note, CATALOG_USE_RESERVE, err));
    write->is_done = true;
    rights_sweep_wish(write->store);
    return ERR_OK;
}

enum err_code table_write_commit(struct table_write *write, enum history_operation operation,
                                 const struct change_note *note, struct err *err)
{
    ASSERT(!write->is_done && write->is_applied);
    TRY(change_commit(write, &write->applied, operation, note, err));
    write->is_done = true;
    return ERR_OK;
}

enum err_code table_clustering_change(struct table_write *write,
                                      const struct clustering *clustering,
                                      const struct change_note *note, struct err *err)
{
    ASSERT(!write->is_done && !write->is_applied);
    struct version_record version = write->version;
    struct version_ref ref;
    TRY(clustering_validate(clustering, &version.schema, err));
    version.clustering = *clustering;
    TRY(version_add(write->content, &version, &write->record.version.attribute_root, &ref, err));
    TRY(content_commit(write->content, err));
    TRY(change_commit(write, &ref, OPERATION_ALTER, note, err));
    write->is_done = true;
    return ERR_OK;
}

/* ---- partitions ---- */

/* Edits that add or drop the listed partitions, skipping what is (not) there. */
struct partition_edits {
    const struct partition_list *list;
    struct tree_cursor *cursor;
    const struct clustering *clustering; /* of new ones */
    bool is_drop;
    size_t at;
    size_t changed;
    struct page_entry entry;
};

static enum err_code partition_is_there(struct partition_edits *edits, struct span key,
                                        bool *ret_there, struct err *err)
{
    const struct page_entry *entry = NULL;
    tree_cursor_seek(edits->cursor, key);
    TRY(tree_cursor_next(edits->cursor, &entry, err));
    *ret_there = entry != NULL && span_equal(entry->key, key);
    return ERR_OK;
}

static enum err_code partition_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                    struct err *err)
{
    struct partition_edits *edits = context;
    for (;;) {
        *ret_end = edits->at == edits->list->count;
        if (*ret_end)
            return ERR_OK;
        struct span key = edits->list->keys[edits->at++];
        bool there = false;
        TRY(partition_is_there(edits, key, &there, err));
        if (there == edits->is_drop)
            break;
        if (!edits->list->lenient)
            return err_set(err, there ? ERR_EXISTS : ERR_NOT_FOUND, "partition %zu of the list %s",
                           edits->at, there ? "exists already" : "does not exist");
    }
    struct span key = edits->list->keys[edits->at - 1];
    edits->changed++;
    edits->entry = (struct page_entry){
        .kind = PAGE_ENTRY_PARTITION, .key = key, .partition.clustering = *edits->clustering};
    *ret_edit = edits->is_drop ? (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = key}
                               : (struct tree_edit){.kind = TREE_PUT, .entry = &edits->entry};
    return ERR_OK;
}

static enum err_code partitions_change(struct table_write *write, const struct partition_list *list,
                                       bool is_drop, const struct change_note *note,
                                       size_t *ret_changed, struct err *err)
{
    struct tree tree = table_write_tree(write);
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(&tree);
    struct partition_edits edits = {.list = list,
                                    .cursor = cursor,
                                    .clustering = &write->version.clustering,
                                    .is_drop = is_drop};
    struct tree_edit_source source = {.next = partition_next, .context = &edits};
    enum history_operation operation = is_drop ? OPERATION_DROP_PARTITION : OPERATION_ADD_PARTITION;
    ASSERT(write->version.schema.partition_column_count > 0);
    struct version_ref version;
    TRY(table_write_apply(write, &source, note->now_ms, &version, err));
    TRY(table_write_commit(write, operation, note, err));
    *ret_changed = edits.changed;
    return ERR_OK;
}

enum err_code table_partitions_add(struct table_write *write, const struct partition_list *list,
                                   const struct change_note *note, size_t *ret_changed,
                                   struct err *err)
{
    return partitions_change(write, list, false, note, ret_changed, err);
}

enum err_code table_partitions_drop(struct table_write *write, const struct partition_list *list,
                                    const struct change_note *note, size_t *ret_changed,
                                    struct err *err)
{
    return partitions_change(write, list, true, note, ret_changed, err);
}
