/* export: a table's rows as they are stored, for tunnel download. Blocks are fetched as a result's. */
#include "node/operator.h"
#include "node/statement/lookup.h"
#include "node/table_source.h"
#include "proto/key.h"

#define DOWNLOAD_ACTION "DOWNLOAD" /* in the audit log */

/* An export with all it needs after the request's bytes are gone; also the answer's stream. */
struct export
{
    struct arena arena;
    struct principal principal;
    struct statement_call call; /* for look-ups */
    struct statement_audit audit;
    struct operator_export wanted;
    struct lookup lookup; /* of what is downloaded; in the arena */
    struct table_source *source;
    struct table_scan *scan;
    struct select_scan what;
    const struct batch *batch; /* of the scan, or NULL */
    size_t at;                 /* next row of it */
    uint64_t left;             /* rows still to give */
};

/* The stream's: lets go of the version that it reads. */
static void export_close(void *context)
{
    struct export *export = context;
    table_scan_close(export->scan);
    table_source_close(export->source);
    export->scan = NULL;
    export->source = NULL;
}

static void export_free(void *context)
{
    struct export *export = context;
    export_close(export);
    arena_deinit(&export->arena);
    mem_free(export);
}

/* ---- rows ---- */

/* How many of the scan's rows go into the block that has *bytes already; counts theirs in. */
static size_t rows_fit(const struct export *export, size_t bytes_max, size_t *bytes)
{
    const struct batch *batch = export->batch;
    size_t rows = 0;
    while (export->at + rows < batch->rows && rows < export->left && *bytes < bytes_max) {
        for (size_t i = 0; i < batch->vector_count; i++)
            *bytes += vector_plain_bytes(&batch->vectors[i], export->at + rows);
        rows++;
    }
    return rows;
}

/* Data leaves the region with each block, perhaps for hours. */
static enum err_code right_ask(const struct export *export, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    TRY(lookup_again(&export->call, &export->lookup, ACTION_DOWNLOAD, &arena, &project, err));
    return lookup_leave(&export->call, &export->lookup, &project, NULL, err);
}

/* A block is filled from as many of the scan's batches as it takes: of a table of a million small
 * partitions each gives a few rows only, and a block is a round trip. */
static enum err_code export_next(void *context, size_t bytes_max, struct batch *batch,
                                 bool *ret_end, struct err *err)
{
    struct export *export = context;
    size_t bytes = 0;
    *ret_end = false;
    struct err reason;
    enum err_code code = right_ask(export, &reason);
    if (code != ERR_OK) {
        statement_refused(&export->call, DOWNLOAD_ACTION, &reason);
        return err_set(err, code, "%s", reason.message);
    }
    while (bytes<bytes_max &&export->left> 0) {
        if (export->batch == NULL || export->at == export->batch->rows) {
            export->at = 0;
            TRY(table_scan_next(export->scan, &export->batch, err));
        }
        if (export->batch == NULL)
            break;
        size_t rows = rows_fit(export, bytes_max, &bytes);
        for (size_t i = 0; i < batch->vector_count; i++)
            vector_append_range(&batch->vectors[i], &export->batch->vectors[i], export->at, rows);
        batch->rows += rows;
        export->at += rows;
        export->left -= rows;
    }
    *ret_end = export->batch == NULL || export->left == 0;
    return ERR_OK;
}

/* ---- which columns, which partitions ---- */

static const struct column *column_at(const struct schema *schema, size_t position)
{
    return position < schema->column_count
               ? &schema->columns[position]
               : &schema->partition_columns[position - schema->column_count];
}

static enum err_code column_position(const struct schema *schema, struct span name,
                                     size_t *ret_position, struct err *err)
{
    bool is_partition;
    const struct column *column = schema_find(schema, name, &is_partition);
    if (column == NULL)
        return err_set(err, ERR_SEMANTIC, "column %.*s does not exist", SPAN_PRINTF(name));
    *ret_position = is_partition
                        ? schema->column_count + (size_t)(column - schema->partition_columns)
                        : (size_t)(column - schema->columns);
    return ERR_OK;
}

/* Named columns in their order; else the data columns, and the partition columns behind them when no
 * partition is named. */
static enum err_code columns_choose(struct export *export, const struct schema *schema,
                                    struct err *err)
{
    const struct operator_export *wanted = &export->wanted;
    size_t count = wanted->name_count;
    if (count == 0)
        count = schema->column_count +
                (wanted->partition_count == 0 ? schema->partition_column_count : 0);
    size_t *columns = arena_alloc(&export->arena, count, sizeof(*columns));
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "too many columns");
    for (size_t i = 0; i < count; i++) {
        columns[i] = i;
        if (wanted->name_count > 0)
            TRY(column_position(schema, wanted->names[i], &columns[i], err));
    }
    export->what.columns = columns;
    export->what.column_count = count;
    return ERR_OK;
}

static enum err_code partition_choose(struct export *export, const struct schema *schema,
                                      struct err *err)
{
    size_t count = export->wanted.partition_count;
    struct select_domain *domains = arena_alloc(&export->arena, count + 1, sizeof(*domains));
    struct select_interval *values = arena_alloc(&export->arena, count + 1, sizeof(*values));
    if (domains == NULL || values == NULL)
        return err_set(err, ERR_LIMIT, "too many partition columns");
    for (size_t i = 0; i < count; i++) {
        const struct operator_pair *pair = &export->wanted.partition[i];
        size_t position;
        TRY(column_position(schema, pair->key, &position, err));
        if (position < schema->column_count)
            return err_set(err, ERR_SEMANTIC, "%.*s is not a partition column",
                           SPAN_PRINTF(pair->key));
        TRY(value_parse(column_at(schema, position)->type, pair->value, &values[i].low, err));
        values[i].has_low = values[i].has_high = true;
        values[i].high = values[i].low;
        domains[i] = (struct select_domain){
            .column = position, .intervals = &values[i], .interval_count = 1};
    }
    export->what.domains = domains;
    export->what.domain_count = count;
    return ERR_OK;
}

/* A whole partition that is named must be there: else an empty file would say that it is empty. */
static enum err_code partition_check(const struct export *export, const struct schema *schema,
                                     struct err *err)
{
    if (export->wanted.partition_count != schema->partition_column_count ||
        schema->partition_column_count == 0)
        return ERR_OK;
    BYTES_CLEANUP struct bytes key = {0};
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        for (size_t k = 0; k < export->what.domain_count; k++) {
            const struct select_domain *domain = &export->what.domains[k];
            if (domain->column == schema->column_count + i)
                key_append_value(&key, schema->partition_columns[i].type, domain->intervals[0].low);
        }
    }
    TREE_PAGE_CLEANUP struct tree_page page = {0};
    struct tree tree = reader_tree(table_source_reader(export->source));
    const struct page_entry *entry;
    struct err reason;
    enum err_code code = tree_get(&tree, bytes_span(&key), &page, &entry, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "the partition does not exist");
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

static void columns_set(const struct export *export, const struct schema *schema,
                        struct answer *answer)
{
    struct column *columns = mem_calloc(export->what.column_count, sizeof(*columns));
    for (size_t i = 0; i < export->what.column_count; i++)
        columns[i] = *column_at(schema, export->what.columns[i]);
    answer_set_columns(answer, columns, export->what.column_count);
    mem_free(columns);
}

static enum err_code export_begin(struct export *export, struct answer *answer, struct err *err)
{
    const struct name name = {.project = export->wanted.project, .object = export->wanted.table};
    struct lookup *lookup = &export->lookup;
    TRY(lookup_any(&export->call, &name, ACTION_DOWNLOAD, lookup, err));
    TRY(lookup_has_rows(lookup, "tunnel download", err));
    TRY(lookup_leave(&export->call, lookup, &lookup->project, NULL, err));
    TRY(table_source_open(export->call.services->store, lookup->id, &export->source, err));
    const struct schema *schema = table_source_schema(export->source);
    TRY(columns_choose(export, schema, err));
    TRY(partition_choose(export, schema, err));
    TRY(partition_check(export, schema, err));
    TRY(table_scan_open(export->source, &export->what, &export->scan, err));
    TRY(audit_commit(
        export->call.services->store,
        statement_audited_as(&export->call, DOWNLOAD_ACTION, &lookup->project, name.object),
        err)); /* before the first row leaves */
    columns_set(export, schema, answer);
    export->left = export->wanted.limit == 0 ? UINT64_MAX : export->wanted.limit;
    answer->stream = (struct answer_stream){export_next, export_close, export};
    return ERR_OK;
}

static enum err_code export_start(void *context, struct answer *answer, atomic_bool *cancel,
                                  struct err *err)
{
    (void)cancel;
    struct export *export = context;
    enum err_code code = export_begin(export, answer, err);
    if (code != ERR_OK)
        statement_refused(&export->call, DOWNLOAD_ACTION, err);
    return code;
}

/* ---- the request ---- */

static enum err_code export_fill(const struct operator_call *call, struct export *export,
                                 struct err *err)
{
    struct arena *arena = &export->arena;
    struct span header = arena_copy(arena, request_header(call->request));
    struct span body = arena_copy(arena, request_body(call->request));
    ASSERT(header.data != NULL && body.data != NULL);
    TRY(operator_export_decode(header, body, arena, &export->wanted, err));
    export->principal = call->principal;
    operator_address(call, &export->audit);
    export->call = (struct statement_call){
        .services = call->services->statements,
        .principal = &export->principal,
        .id = export->wanted.id,
        .arena = arena,
        .audit = &export->audit,
    };
    return ERR_OK;
}

/* What the id stands for: all but how long the client waits. */
static struct digest content_of(const struct operator_export *wanted)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, wanted->project);
    digest_update_part(&state, wanted->table);
    digest_update_u64(&state, wanted->limit);
    digest_update_u64(&state, wanted->partition_count);
    for (size_t i = 0; i < wanted->partition_count; i++) {
        digest_update_part(&state, wanted->partition[i].key);
        digest_update_part(&state, wanted->partition[i].value);
    }
    for (size_t i = 0; i < wanted->name_count; i++)
        digest_update_part(&state, wanted->names[i]);
    return digest_final(&state);
}

enum err_code handle_export(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)header;
    (void)body;
    struct export *export = mem_calloc(1, sizeof(*export));
    arena_init(&export->arena, STATEMENT_ARENA_BYTES);
    if (export_fill(call, export, err) != ERR_OK) {
        export_free(export);
        return err->code;
    }
    uint32_t wait_ms = export->wanted.wait_ms;
    const struct run_key key = {call->principal.name, export->wanted.id,
                                request_session(call->request)->boot_id};
    const struct run_work work = {.start = export_start, .free = export_free, .context = export};
    struct digest content = content_of(&export->wanted);
    struct run *run;
    TRY(runs_begin(call->services->runs, &key, &content, &work, &run, err));
    run_ask(run, 0, wait_ms, call->request);
    call->request = NULL;
    run_unref(run);
    return ERR_OK;
}
