#include "store/reader.h"

#include "store/catalog_keys.h"
#include "store/pages.h"

/* A version that is replaced as often as this while it is being pinned: try later. */
#define PIN_TRIES 8

struct reader_handle {
    struct content *content; /* holds the pins */
    struct version_ref ref;
    struct bytes encoded;
    struct arena arena;
    struct version_record version; /* borrows from arena */
    struct page_source source;
};

static enum err_code source_read(void *context, const struct digest *digest, struct bytes *ret_page,
                                 struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

/* ---- open, close ---- */

void reader_close(struct reader_handle *reader)
{
    if (reader == NULL)
        return;
    content_close(reader->content);
    arena_deinit(&reader->arena);
    bytes_deinit(&reader->encoded);
    mem_free(reader);
}

void reader_close_pointer(struct reader_handle **reader)
{
    reader_close(*reader);
}

static enum err_code reader_load(struct reader_handle *reader, struct store *store, struct err *err)
{
    TRY(page_read(store, &reader->ref.page, &reader->encoded, err));
    arena_init(&reader->arena, version_arena_bytes(reader->encoded.len));
    if (version_decode(bytes_span(&reader->encoded), &reader->arena, &reader->version, err) !=
        ERR_OK)
        return err_wrap(err, "version record");
    reader->source = (struct page_source){.read = source_read, .context = store};
    return ERR_OK;
}

static enum err_code reader_begin(struct store *store, const struct version_ref *ref,
                                  struct reader_handle **ret_reader, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = mem_calloc(1, sizeof(*reader));
    reader->ref = *ref;
    TRY(content_open(store, (struct account_id){0}, &reader->content, err));
    TRY(content_pin_page(reader->content, &ref->page, err));
    TRY(content_pin_page(reader->content, &ref->attribute_root, err));
    *ret_reader = reader;
    reader = NULL;
    return ERR_OK;
}

enum err_code reader_open_version(struct store *store, const struct version_ref *version,
                                  struct reader_handle **ret_reader, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = NULL;
    TRY(reader_begin(store, version, &reader, err));
    TRY(reader_load(reader, store, err));
    *ret_reader = reader;
    reader = NULL;
    return ERR_OK;
}

/* The version that the catalog gives this id at the moment, be it a table's or a snapshot's. */
static enum err_code ref_find(struct store *store, struct table_id id, struct version_ref *ret_ref,
                              struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    bool found = false;
    catalog_key_id('t', id.n, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &arena, &record, &found,
                            err));
    if (found) {
        struct table_record table;
        TRY(table_record_decode(record, &arena, &table, err));
        *ret_ref = table.version;
        return ERR_OK;
    }
    catalog_key_id('s', id.n, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the table or snapshot is gone");
    struct snapshot_record snapshot;
    TRY(snapshot_record_decode(record, &arena, &snapshot, err));
    *ret_ref = snapshot.version;
    return ERR_OK;
}

enum err_code reader_pin(struct store *store, struct table_id id, struct content *content,
                         struct version_ref *ret_ref, struct err *err)
{
    struct version_ref ref;
    TRY(ref_find(store, id, &ref, err));
    for (unsigned i = 0; i < PIN_TRIES; i++) {
        struct version_ref again;
        TRY(content_pin_page(content, &ref.page, err));
        TRY(content_pin_page(content, &ref.attribute_root, err));
        TRY(ref_find(store, id, &again, err));
        if (version_ref_equal(&ref, &again)) {
            *ret_ref = ref;
            return ERR_OK;
        }
        ref = again;
    }
    return err_set(err, ERR_BUSY, "the table changes too fast to be read: try again");
}

enum err_code reader_open(struct store *store, struct table_id id,
                          struct reader_handle **ret_reader, struct err *err)
{
    READER_CLEANUP struct reader_handle *reader = mem_calloc(1, sizeof(*reader));
    TRY(content_open(store, (struct account_id){0}, &reader->content, err));
    TRY(reader_pin(store, id, reader->content, &reader->ref, err));
    TRY(reader_load(reader, store, err));
    *ret_reader = reader;
    reader = NULL;
    return ERR_OK;
}

/* ---- what is read ---- */

const struct version_ref *reader_ref(const struct reader_handle *reader)
{
    return &reader->ref;
}

const struct version_record *reader_version(const struct reader_handle *reader)
{
    return &reader->version;
}

struct span reader_version_bytes(const struct reader_handle *reader)
{
    return bytes_span(&reader->encoded);
}

struct tree reader_tree(const struct reader_handle *reader)
{
    return (struct tree){
        .source = &reader->source, .kind = TREE_MANIFEST, .root = reader->version.root};
}

struct tree reader_attributes(const struct reader_handle *reader)
{
    return (struct tree){
        .source = &reader->source, .kind = TREE_ATTRIBUTES, .root = reader->ref.attribute_root};
}

/* ---- partitions ---- */

struct partition_cursor {
    struct tree_cursor *manifest;
    struct tree_cursor *attributes;
    bool is_begun; /* the manifest's cursor stands at a partition that was given */
    struct bytes key;
};

struct partition_cursor *partition_cursor_new(const struct reader_handle *reader, struct span from)
{
    struct partition_cursor *cursor = mem_calloc(1, sizeof(*cursor));
    struct tree manifest = reader_tree(reader);
    struct tree attributes = reader_attributes(reader);
    cursor->manifest = tree_cursor_new(&manifest);
    cursor->attributes = tree_cursor_new(&attributes);
    tree_cursor_seek(cursor->manifest, from);
    return cursor;
}

void partition_cursor_free(struct partition_cursor *cursor)
{
    if (cursor == NULL)
        return;
    tree_cursor_free(cursor->manifest);
    tree_cursor_free(cursor->attributes);
    bytes_deinit(&cursor->key);
    mem_free(cursor);
}

void partition_cursor_free_pointer(struct partition_cursor **cursor)
{
    partition_cursor_free(*cursor);
}

enum err_code partition_cursor_next(struct partition_cursor *cursor, struct partition_row *ret_row,
                                    bool *ret_end, struct err *err)
{
    const struct page_entry *entry = NULL;
    const struct page_entry *attribute = NULL;
    if (cursor->is_begun)
        tree_cursor_seek_past(cursor->manifest, bytes_span(&cursor->key));
    TRY(tree_cursor_next(cursor->manifest, &entry, err));
    *ret_end = entry == NULL;
    if (entry == NULL)
        return ERR_OK;
    if (entry->kind != PAGE_ENTRY_PARTITION)
        return err_set(err, ERR_CORRUPT, "manifest tree: a row group without its partition");
    *ret_row = (struct partition_row){.key = entry->key, .partition = entry->partition};
    cursor->is_begun = true;
    bytes_clear(&cursor->key);
    bytes_append_span(&cursor->key, entry->key);
    tree_cursor_seek(cursor->attributes, entry->key);
    TRY(tree_cursor_next(cursor->attributes, &attribute, err));
    if (attribute != NULL && span_equal(attribute->key, entry->key))
        ret_row->attribute = attribute->attribute;
    return ERR_OK;
}

enum err_code reader_partitions(const struct reader_handle *reader, struct span from,
                                on_partition *callback, void *context, struct err *err)
{
    PARTITION_CURSOR_CLEANUP struct partition_cursor *cursor = partition_cursor_new(reader, from);
    for (;;) {
        struct partition_row row;
        bool end = false;
        TRY(partition_cursor_next(cursor, &row, &end, err));
        if (end)
            return ERR_OK;
        TRY(callback(context, &row, err));
    }
}
