#include "node/ingest.h"

#include "node/turn.h"
#include "store/load_edits.h"
#include "store/store.h"

#define TURN_LOOK_MS 100 /* between two looks at the watch while another writes the table */

struct ingest {
    struct ingest_options options;
    struct content *content;
    struct reader_handle *reader; /* the version at open: schema, partitions */
    struct load *load;
    uint64_t file_bytes; /* of column files made, whether the region had them already or not */
};

static enum err_code watch_look(const struct ingest *ingest, struct err *err)
{
    const struct ingest_watch *watch = &ingest->options.watch;
    return watch->look == NULL ? ERR_OK : watch->look(watch->context, err);
}

static enum err_code file_add(void *context, const struct digest *digest, struct span file,
                              struct err *err)
{
    struct ingest *ingest = context;
    TRY(watch_look(ingest, err));
    TRY(content_add_file(ingest->content, digest, file, CONTENT_HASHED, err));
    ingest->file_bytes += file.len;
    return ERR_OK;
}

/* How a partition is stored as the table is at open; the commit asks again. */
static enum err_code clustering_find(void *context, struct span key,
                                     struct clustering *ret_clustering, struct err *err)
{
    const struct ingest *ingest = context;
    if (ingest->options.create != NULL) { /* the table is not there yet */
        *ret_clustering = ingest->options.create->clustering;
        return ERR_OK;
    }
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree tree = reader_tree(ingest->reader);
    const struct page_entry *entry = NULL;
    struct err reason;
    enum err_code code = ERR_NOT_FOUND;
    if (ingest->options.mode == UPLOAD_APPEND)
        code = tree_get(&tree, key, &page, &entry, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    *ret_clustering =
        code == ERR_OK ? entry->partition.clustering : reader_version(ingest->reader)->clustering;
    return ERR_OK;
}

static enum err_code ingest_fill(struct ingest *ingest, struct err *err)
{
    struct store *store = ingest->options.store;
    if (ingest->options.create == NULL)
        TRY(reader_open(store, ingest->options.table, &ingest->reader, err));
    TRY(content_open(store, ingest->options.account, &ingest->content, err));
    const struct load_options load = {
        .schema = ingest_schema(ingest),
        .sink = {.add = file_add, .context = ingest},
        .tmp_folder = store_tmp_dir(store),
        .memory_bytes = ingest->options.memory_bytes,
        .disk_reserve_bytes = store_disk_reserve_bytes(store),
        .clustering = {.find = clustering_find, .context = ingest},
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
    const struct table_spec *create = ingest->options.create;
    return create != NULL ? create->schema : &reader_version(ingest->reader)->schema;
}

enum err_code ingest_has_partition(const struct ingest *ingest, struct span key, bool *ret_has,
                                   struct err *err)
{
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    if (ingest->reader == NULL) { /* the table is not there yet */
        *ret_has = false;
        return ERR_OK;
    }
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

/* The load's edits on their way to tree_apply. A replaced table loses everything first. */
struct ingest_edits {
    const struct ingest *ingest;
    struct load_edits edits;
    struct tree_edit_source source;
    bool replace;
    bool replaced;
};

static enum err_code edits_next(void *context, struct tree_edit *ret_edit, bool *ret_end,
                                struct err *err)
{
    struct ingest_edits *edits = context;
    TRY(watch_look(edits->ingest, err));
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
    *ret_edit = edit;
    *ret_end = end;
    return ERR_OK;
}

/* Durable afterwards, and not yet visible: what is left is to name it. */
static enum err_code apply(struct ingest *ingest, struct table_write *write, uint64_t now_ms,
                           struct outcome *outcome, struct err *err)
{
    struct tree base = table_write_tree(write);
    struct ingest_edits edits = {.ingest = ingest,
                                 .replace = ingest->options.mode == UPLOAD_REPLACE_TABLE};
    bool into = ingest->options.mode == UPLOAD_APPEND;
    load_edits_init(&edits.edits, ingest->load, &base, into ? LOAD_INTO : LOAD_OVERWRITE);
    edits.edits.clustering = table_write_version(write)->clustering;
    edits.source = load_edits_source(&edits.edits);
    const struct tree_edit_source source = {.next = edits_next, .context = &edits};
    struct version_ref version;
    enum err_code code = table_write_apply(write, &source, now_ms, &version, err);
    outcome->rows = edits.edits.rows;
    outcome->partitions = edits.edits.partition_count;
    outcome->bytes = ingest->file_bytes;
    load_edits_deinit(&edits.edits);
    if (code == ERR_OK)
        outcome->version = version.version;
    return code;
}

/* The table as it is now, in whose turn we are; or one that is to be made. */
static enum err_code write_begin(struct ingest *ingest, uint64_t now_ms,
                                 struct table_write **ret_write, struct err *err)
{
    const struct ingest_options *options = &ingest->options;
    if (options->create != NULL)
        return table_begin_new(ingest->content, options->create, now_ms, ret_write, err);
    return table_begin(ingest->content, options->table, ret_write, err);
}

/* A table that is to be made has no turns. */
static enum err_code turn_take(const struct ingest *ingest, struct table_id *ret_turn,
                               struct err *err)
{
    if (ingest->options.create != NULL)
        return ERR_OK;
    while (!table_turn_take_within(ingest->options.table, TURN_LOOK_MS))
        TRY(watch_look(ingest, err));
    *ret_turn = ingest->options.table;
    return ERR_OK;
}

static enum err_code object_right_ask(const struct ingest *ingest, struct table_id table,
                                      const struct principal *principal, enum action action,
                                      struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    struct store *store = ingest->options.store;
    struct table_record record;
    struct project_record project;
    TRY(table_get(store, NULL, table, &arena, &record, err));
    TRY(project_get(store, NULL, record.project, &arena, &project, err));
    return authorise(principal, action, object_table(store, &project, &record), err);
}

/* As when it began, of the table as it is now. */
static enum err_code rights_ask_again(const struct ingest *ingest,
                                      const struct ingest_commit *commit, struct err *err)
{
    const struct principal *principal = commit->principal;
    const struct table_spec *create = ingest->options.create;
    TRY(authorise_key(commit->principals, principal, err));
    if (create == NULL)
        return object_right_ask(ingest, ingest->options.table, principal, ACTION_UPDATE, err);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct store *store = ingest->options.store;
    struct project_record project;
    TRY(project_get(store, NULL, create->project, &arena, &project, err));
    TRY(authorise(principal, ACTION_CREATE_TABLE, object_project(store, &project), err));
    if (create->replaces.n == 0)
        return ERR_OK;
    struct err reason;
    enum err_code code =
        object_right_ask(ingest, create->replaces, principal, ACTION_DROP, &reason);
    if (code == ERR_TABLE_NOT_FOUND)
        return err_set(err, ERR_CONFLICT, "the table that is replaced has gone meanwhile");
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code ingest_commit(struct ingest *ingest, const struct ingest_commit *commit,
                            struct outcome *ret_outcome, struct err *err)
{
    TRY(load_finish(ingest->load, err));
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(turn_take(ingest, &turn, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(write_begin(ingest, commit->now_ms, &write, err));
    if (!schema_equal(&table_write_version(write)->schema, ingest_schema(ingest)))
        return err_set(err, ERR_CONFLICT, "the table's columns have changed meanwhile");
    struct outcome outcome = {.content = commit->content};
    TRY(apply(ingest, write, commit->now_ms, &outcome, err));
    BYTES_CLEANUP struct bytes encoded = {0};
    outcome_encode(&outcome, &encoded);
    const struct change_note note = {
        .now_ms = commit->now_ms,
        .principal = span_text(commit->principal->name),
        .statement = &commit->statement,
        .outcome = bytes_span(&encoded),
        .principal_id = principal_id(commit->principal),
    };
    TRY(watch_look(ingest, err)); /* what is committed is done */
    TRY(rights_ask_again(ingest, commit, err));
    TRY(table_write_commit(write, commit->operation, &note, err));
    *ret_outcome = outcome;
    return ERR_OK;
}
