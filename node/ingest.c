#include "node/ingest.h"

#include "node/turn.h"
#include "store/load_edits.h"
#include "store/store.h"

struct ingest {
    struct ingest_options options;
    struct content *content;
    struct reader_handle *reader; /* the version at open: schema, partitions */
    struct load *load;
};

static enum err_code file_add(void *context, const struct digest *digest, struct span file,
                              struct err *err)
{
    return content_add_file(context, digest, file, CONTENT_HASHED, err);
}

static enum err_code ingest_fill(struct ingest *ingest, struct err *err)
{
    struct store *store = ingest->options.store;
    TRY(reader_open(store, ingest->options.table, &ingest->reader, err));
    TRY(content_open(store, ingest->options.account, &ingest->content, err));
    const struct load_options load = {
        .schema = ingest_schema(ingest),
        .sink = {.add = file_add, .context = ingest->content},
        .tmp_folder = store_tmp_dir(store),
        .memory_bytes = ingest->options.memory_bytes,
        .disk_reserve_bytes = DISK_RESERVE_BYTES_DEFAULT,
    };
    ingest->load = load_open(&load);
    bool appends = ingest->options.mode == UPLOAD_APPEND;
    if (!appends && ingest_schema(ingest)->partition_column_count == 0)
        TRY(ingest_touch(ingest, (struct span){0}, err)); /* its one partition */
    return ERR_OK;
}

enum err_code ingest_open(const struct ingest_options *options, struct ingest **ret_ingest,
                          struct err *err)
{
    struct ingest *ingest = mem_calloc(1, sizeof(*ingest));
    ingest->options = *options;
    enum err_code code = ingest_fill(ingest, err);
    if (code != ERR_OK) {
        ingest_close(ingest);
        return code;
    }
    *ret_ingest = ingest;
    return ERR_OK;
}

void ingest_close(struct ingest *ingest)
{
    if (ingest == NULL)
        return;
    load_free(ingest->load);
    content_close(ingest->content);
    reader_close(ingest->reader);
    mem_free(ingest);
}

void ingest_close_pointer(struct ingest **ingest)
{
    ingest_close(*ingest);
}

const struct schema *ingest_schema(const struct ingest *ingest)
{
    return &reader_version(ingest->reader)->schema;
}

enum err_code ingest_has_partition(const struct ingest *ingest, struct span key, bool *ret_has,
                                   struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree tree = reader_tree(ingest->reader);
    const struct page_entry *entry;
    struct err reason;
    enum err_code code = tree_get(&tree, key, &page, &entry, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    *ret_has = code == ERR_OK;
    return ERR_OK;
}

enum err_code ingest_append(struct ingest *ingest, const struct batch *batch, struct err *err)
{
    return load_append(ingest->load, batch, err);
}

enum err_code ingest_touch(struct ingest *ingest, struct span key, struct err *err)
{
    return load_touch(ingest->load, key, err);
}

/* ---- commit ---- */

/* The load's edits on their way to tree_apply. A replaced table loses everything first; at the end
 * the outcome is known and encoded, before the commit that carries it. */
struct ingest_edits {
    struct load_edits edits;
    struct tree_edit_source source;
    bool replace;
    bool replaced;
    struct content *content;
    struct outcome *outcome;
    struct bytes *encoded;
};

static void outcome_complete(struct ingest_edits *edits)
{
    struct content_counts counts;
    content_counts_get(edits->content, &counts);
    edits->outcome->rows = edits->edits.rows;
    edits->outcome->partitions = edits->edits.partition_count;
    edits->outcome->bytes = counts.file_bytes_stored;
    BYTES_CLEANUP struct bytes encoded = {0};
    outcome_encode(edits->outcome, &encoded);
    ASSERT(encoded.len == edits->encoded->len);
    memcpy(edits->encoded->data, encoded.data, encoded.len);
}

static enum err_code edits_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    struct ingest_edits *edits = context;
    if (edits->replace && !edits->replaced) {
        edits->replaced = true;
        *ret_edit = (struct tree_edit){.kind = TREE_DELETE_PREFIX};
        *ret_end = false;
        return ERR_OK;
    }
    struct tree_edit edit = {0};
    bool end = false;
    do { /* prefixes do not nest: the whole table's covers its partitions' */
        TRY(edits->source.next(edits->source.context, &edit, &end, err));
    } while (!end && edits->replace && edit.kind == TREE_DELETE_PREFIX);
    if (end)
        outcome_complete(edits);
    *ret_edit = edit;
    *ret_end = end;
    return ERR_OK;
}

static enum err_code apply(struct ingest *ingest, struct table_write *write,
                           const struct ingest_commit *commit, struct outcome *outcome,
                           struct err *err)
{
    struct tree base = table_write_tree(write);
    BYTES_CLEANUP struct bytes encoded = {0};
    outcome_encode(outcome, &encoded);
    const struct change_note note = {
        .now_ms = commit->now_ms,
        .principal = commit->principal,
        .statement = &commit->statement,
        .outcome = bytes_span(&encoded),
    };
    struct ingest_edits edits = {
        .replace = ingest->options.mode == UPLOAD_REPLACE_TABLE,
        .content = ingest->content,
        .outcome = outcome,
        .encoded = &encoded,
    };
    bool into = ingest->options.mode == UPLOAD_APPEND;
    load_edits_init(&edits.edits, ingest->load, &base, into ? LOAD_INTO : LOAD_OVERWRITE);
    edits.source = load_edits_source(&edits.edits);
    const struct tree_edit_source source = {.next = edits_next, .context = &edits};
    struct version_ref version;
    enum err_code code = table_write_apply(write, &source, commit->operation, &note, &version, err);
    load_edits_deinit(&edits.edits);
    if (code == ERR_OK)
        outcome->version = version.version;
    return code;
}

enum err_code ingest_commit(struct ingest *ingest, const struct ingest_commit *commit,
                            struct outcome *ret_outcome, struct err *err)
{
    TRY(load_finish(ingest->load, err));
    TABLE_TURN_CLEANUP struct table_id turn = ingest->options.table;
    table_turn_take(turn);
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(ingest->content, ingest->options.table, &write, err));
    if (!schema_equal(&table_write_version(write)->schema, ingest_schema(ingest)))
        return err_set(err, ERR_CONFLICT, "the table's columns have changed meanwhile");
    struct outcome outcome = {.content = commit->content};
    TRY(apply(ingest, write, commit, &outcome, err));
    *ret_outcome = outcome;
    return ERR_OK;
}
