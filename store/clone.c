#include "store/clone.h"

#include "proto/key.h"
#include "store/catalog_keys.h"
#include "store/table_change.h"
#include "store/version_store.h"

/* ---- what is named ---- */

static bool has_prefix(struct span key, struct span prefix)
{
    return key.len >= prefix.len && span_equal(span_slice(key, 0, prefix.len), prefix);
}

/* The entries of the source that ranges name, in order. */
struct named {
    const struct clone_ranges *ranges;
    size_t at; /* the range under way */
    struct tree_cursor *cursor;
};

static void named_deinit(struct named *named)
{
    tree_cursor_free(named->cursor);
}
#define NAMED_CLEANUP __attribute__((cleanup(named_deinit)))

static void named_init(struct named *named, const struct reader_handle *source,
                       const struct clone_ranges *ranges)
{
    struct tree tree = reader_tree(source);
    *named = (struct named){.ranges = ranges, .cursor = tree_cursor_new(&tree)};
    if (ranges->count > 0)
        tree_cursor_seek(named->cursor, ranges->prefixes[0]);
}

/* NULL at the end. Valid until the next call. */
static enum err_code named_next(struct named *named, const struct page_entry **ret_entry,
                                struct err *err)
{
    const struct clone_ranges *ranges = named->ranges;
    for (;;) {
        TRY(tree_cursor_next(named->cursor, ret_entry, err));
        if (*ret_entry == NULL || ranges->count == 0)
            return ERR_OK;
        if (has_prefix((*ret_entry)->key, ranges->prefixes[named->at]))
            return ERR_OK;
        *ret_entry = NULL;
        if (++named->at == ranges->count)
            return ERR_OK;
        tree_cursor_seek(named->cursor, ranges->prefixes[named->at]);
    }
}

enum err_code clone_count(const struct reader_handle *source, const struct clone_ranges *ranges,
                          uint64_t most, uint64_t *ret_count, struct err *err)
{
    const struct page_entry *entry = NULL;
    uint64_t total = reader_ref(source)->totals.partitions;
    uint64_t count = 0;
    NAMED_CLEANUP struct named named;
    named_init(&named, source, ranges);
    while (ranges->count > 0 && count < most) {
        TRY(named_next(&named, &entry, err));
        if (entry == NULL)
            break;
        tree_cursor_seek_past(named.cursor, entry->key);
        count++;
    }
    if (ranges->count == 0)
        count = total < most ? total : most;
    *ret_count = count;
    return ERR_OK;
}

/* ---- into a new table ---- */

/* Deletes what lies before, between and behind the ranges. */
struct gaps {
    const struct clone_ranges *ranges;
    size_t at;
    struct bytes from; /* where the gap under way begins */
    bool is_done;
};

static void gaps_deinit(struct gaps *gaps)
{
    bytes_deinit(&gaps->from);
}
#define GAPS_CLEANUP __attribute__((cleanup(gaps_deinit)))

static enum err_code gaps_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                               struct err *err)
{
    (void)err;
    struct gaps *gaps = context;
    bytes_clear(&gaps->from);
    if (gaps->at > 0 && !key_append_prefix_end(&gaps->from, gaps->ranges->prefixes[gaps->at - 1]))
        gaps->is_done = true;
    *ret_end = gaps->is_done;
    if (gaps->is_done)
        return ERR_OK;
    gaps->is_done = gaps->at == gaps->ranges->count;
    *ret_edit = (struct tree_edit){.kind = TREE_DELETE_RANGE, .key = bytes_span(&gaps->from)};
    if (!gaps->is_done)
        ret_edit->until = gaps->ranges->prefixes[gaps->at++];
    return ERR_OK;
}

static enum err_code part_build(struct content *content, struct tree tree,
                                const struct clone_ranges *ranges, struct digest *ret_root,
                                struct err *err)
{
    GAPS_CLEANUP struct gaps gaps = {.ranges = ranges};
    struct page_source pages = content_page_source(content);
    struct page_sink sink = content_page_sink(content);
    struct tree_edit_source edits = {.next = gaps_next, .context = &gaps};
    struct tree_apply_result result;
    tree.source = &pages;
    TRY(tree_apply(&tree, &sink, &edits, &result, err));
    *ret_root = result.root;
    return ERR_OK;
}

/* The version with these partitions alone; durable afterwards. */
static enum err_code version_part(struct content *content, const struct reader_handle *source,
                                  const struct clone_ranges *ranges, struct version_ref *ret_ref,
                                  struct err *err)
{
    struct version_record version = *reader_version(source);
    struct digest attribute_root;
    TRY(part_build(content, reader_tree(source), ranges, &version.root, err));
    TRY(part_build(content, reader_attributes(source), ranges, &attribute_root, err));
    TRY(version_add(content, &version, &attribute_root, ret_ref, err));
    return content_commit(content, err);
}

enum err_code clone_create(struct content *content, const struct table_spec *spec,
                           const struct reader_handle *source, const struct clone_ranges *ranges,
                           const struct change_note *note, struct table_id *ret_id, struct err *err)
{
    struct store *store = content_store(content);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct table_spec as_source = *spec;
    struct table_record table = {.version = *reader_ref(source)};
    as_source.schema = NULL;
    if (ranges->count > 0) {
        TRY(table_change_add(store, &change, &as_source, note, &table, err)); /* may it be? */
        TRY(version_part(content, source, ranges, &table.version, err));
        catalog_change_clear(&change);
    }
    TRY(table_change_add(store, &change, &as_source, note, &table, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = table.id;
    return ERR_OK;
}

/* ---- into a table that is there ---- */

/* The named entries as edits of the destination. */
struct copies {
    struct named named;
    struct tree_cursor *there;        /* CLONE_ADD: the destination; else NULL */
    const struct page_entry *pending; /* a partition whose old entries were deleted just now */
    struct tree_edit edit;
};

static void copies_deinit(struct copies *copies)
{
    named_deinit(&copies->named);
    tree_cursor_free(copies->there);
}
#define COPIES_CLEANUP __attribute__((cleanup(copies_deinit)))

static enum err_code partition_is_there(struct copies *copies, struct span key, bool *ret_there,
                                        struct err *err)
{
    const struct page_entry *entry = NULL;
    *ret_there = false;
    if (copies->there == NULL)
        return ERR_OK;
    tree_cursor_seek(copies->there, key);
    TRY(tree_cursor_next(copies->there, &entry, err));
    *ret_there = entry != NULL && span_equal(entry->key, key);
    return ERR_OK;
}

static enum err_code copies_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                 struct err *err)
{
    struct copies *copies = context;
    const struct page_entry *entry = copies->pending;
    copies->pending = NULL;
    *ret_end = false;
    *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = entry};
    while (entry == NULL) {
        bool there = false;
        TRY(named_next(&copies->named, &entry, err));
        *ret_end = entry == NULL;
        if (entry == NULL)
            return ERR_OK;
        *ret_edit = (struct tree_edit){.kind = TREE_PUT, .entry = entry};
        if (entry->kind != PAGE_ENTRY_PARTITION)
            return ERR_OK;
        TRY(partition_is_there(copies, entry->key, &there, err));
        if (there) {
            tree_cursor_seek_past(copies->named.cursor, entry->key);
            entry = NULL;
        } else if (copies->there == NULL) {
            copies->pending = entry;
            *ret_edit = (struct tree_edit){.kind = TREE_DELETE_PREFIX, .key = entry->key};
        }
    }
    return ERR_OK;
}

enum err_code clone_into(struct table_write *write, const struct reader_handle *source,
                         const struct clone_ranges *ranges, enum clone_how how,
                         const struct change_note *note, struct err *err)
{
    struct tree there = table_write_tree(write);
    struct tree flags = reader_attributes(source);
    struct version_ref before = table_write_record(write)->version;
    struct version_ref after;
    COPIES_CLEANUP struct copies copies = {.there =
                                               how == CLONE_ADD ? tree_cursor_new(&there) : NULL};
    struct tree_edit_source edits = {.next = copies_next, .context = &copies};
    named_init(&copies.named, source, ranges);
    table_write_flags_from(write, &flags);
    TRY(table_write_apply(write, &edits, note->now_ms, &after, err));
    if (how == CLONE_ADD && version_ref_equal(&before, &after))
        return outcome_remember(content_store(table_write_content(write)), note, err);
    return table_write_commit(write, OPERATION_CLONE, note, err);
}
