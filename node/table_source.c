#include "node/table_source.h"

#include "node/buckets.h"
#include "store/files.h"
#include "store/snapshot.h"

/* Of the process (table_scan_totals). */
static atomic_ullong sources_open;
static atomic_ullong total_row_groups;
static atomic_ullong total_rows;
static atomic_ullong total_files;
static atomic_ullong total_file_bytes;

#define CHARACTER_BYTES 4 /* of UTF-8, at most */

struct table_source {
    struct store *store;
    struct table_id id;
    struct reader_handle *reader;
};

struct table_scan {
    struct table_source *source;
    struct scan *scan;
    const struct select_domain *domains;
    size_t domain_count;
    struct select_scan what;
    struct select_summary *summaries; /* of the row group at hand, one for each wanted column */
    bool summarised;                  /* they are enough */
    bool only_looks;                  /* EXPLAIN */
    struct select_part refused;       /* why the last one that a filter skipped was; no counts */
    struct bucket_filter buckets;
    struct scan_bucket bucket; /* of the row group at hand; clustering NULL: it has none */
    size_t *domain_at; /* for each domain: its column among the wanted; SIZE_MAX: not wanted */
};

/* A table's or snapshot's own name and its project's. */
static enum err_code names_get(struct store *store, struct table_id id, struct arena *arena,
                               struct project_record *ret_project, struct span *ret_name,
                               bool *ret_is_snapshot)
{
    struct table_record table;
    struct snapshot_record snapshot;
    if (table_get(store, NULL, id, arena, &table, NULL) == ERR_OK) {
        *ret_name = table.name;
        *ret_is_snapshot = false;
        return project_get(store, NULL, table.project, arena, ret_project, NULL);
    }
    TRY(snapshot_get(store, NULL, id, arena, &snapshot, NULL));
    *ret_name = snapshot.name;
    *ret_is_snapshot = true;
    return project_get(store, NULL, snapshot.project, arena, ret_project, NULL);
}

/* Whose partition and column it is that the scan names. */
static enum err_code damage_tell(const struct table_source *source, const struct err *cause,
                                 struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    struct project_record project;
    bool is_snapshot;
    struct span name;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    if (names_get(source->store, source->id, &arena, &project, &name, &is_snapshot) != ERR_OK)
        return err_set(err, ERR_CORRUPT, "%s", cause->message); /* dropped meanwhile */
    return err_set(err, ERR_CORRUPT, "%s %.*s.%.*s, %s", is_snapshot ? "snapshot" : "table",
                   SPAN_PRINTF(project.name), SPAN_PRINTF(name), cause->message);
}

enum err_code table_source_open(struct store *store, struct table_id table,
                                struct table_source **ret_source, struct err *err)
{
    struct reader_handle *reader;
    struct err cause;
    enum err_code code = reader_open(store, table, &reader, &cause);
    if (code == ERR_CORRUPT)
        return damage_tell(&(struct table_source){.store = store, .id = table}, &cause, err);
    if (code != ERR_OK)
        return err_set(err, code, "%s", cause.message);
    struct table_source *source = mem_alloc(sizeof(*source));
    *source = (struct table_source){store, table, reader};
    atomic_fetch_add(&sources_open, 1);
    *ret_source = source;
    return ERR_OK;
}

void table_source_close(struct table_source *source)
{
    if (source == NULL)
        return;
    reader_close(source->reader);
    mem_free(source);
    atomic_fetch_sub(&sources_open, 1);
}

const struct schema *table_source_schema(const struct table_source *source)
{
    return &reader_version(source->reader)->schema;
}

const struct reader_handle *table_source_reader(const struct table_source *source)
{
    return source->reader;
}

static enum err_code source_file_read(void *context, const struct digest *digest,
                                      struct bytes *ret_file, struct err *err)
{
    struct table_source *source = context;
    return file_read(source->store, digest, FILE_CHECK_LENGTH, ret_file, err);
}

/* ---- what can be skipped ---- */

static bool partition_wanted(void *context, const struct value *values)
{
    struct table_scan *scan = context;
    const struct schema *schema = table_source_schema(scan->source);
    scan->bucket.clustering = NULL; /* until a row group says otherwise */
    for (size_t i = 0; i < scan->domain_count; i++) {
        const struct select_domain *domain = &scan->domains[i];
        if (domain->column < schema->column_count)
            continue;
        size_t level = domain->column - schema->column_count;
        const struct select_bounds bounds = {.has_value = true,
                                             .has_min = true,
                                             .has_max = true,
                                             .min = values[level],
                                             .max = values[level]};
        if (!select_domain_possible(domain, schema->partition_columns[level].type, &bounds)) {
            scan->refused =
                (struct select_part){.reason = SELECT_PARTITION, .column = domain->column};
            return false;
        }
    }
    return true;
}

static struct select_part refusal(const struct select_domain *domain,
                                  const struct select_bounds *bounds)
{
    struct select_part part = {
        .reason = SELECT_BOUNDS, .column = domain->column, .min = bounds->min, .max = bounds->max};
    part.min.null = !bounds->has_min;
    part.max.null = !bounds->has_max;
    if (!bounds->has_value)
        part.reason = SELECT_ALL_NULL;
    else if (domain->interval_count == 0)
        part.reason = domain->null ? SELECT_NO_NULL : SELECT_IMPOSSIBLE;
    return part;
}

/* The column that the answer names: the first of the clustering, or of its order. */
static size_t cluster_column(const struct table_scan *scan, bool sorted)
{
    struct cluster_layout layout;
    bool known =
        cluster_layout_of(scan->bucket.clustering, table_source_schema(scan->source), &layout);
    return !known ? 0 : sorted ? layout.sort[0] : layout.keys[0];
}

static bool scan_bucket_wanted(void *context, const struct scan_bucket *bucket)
{
    struct table_scan *scan = context;
    scan->bucket = *bucket;
    bucket_filter_set(&scan->buckets, bucket->clustering, table_source_schema(scan->source),
                      scan->domains, scan->domain_count);
    if (bucket_wanted(&scan->buckets, bucket->bucket))
        return true;
    scan->refused =
        (struct select_part){.reason = SELECT_BUCKET, .column = cluster_column(scan, false)};
    return false;
}

static bool row_group_wanted(void *context, const struct scan_statistics *statistics)
{
    struct table_scan *scan = context;
    const struct schema *schema = table_source_schema(scan->source);
    for (size_t i = 0; i < scan->domain_count; i++) {
        const struct select_domain *domain = &scan->domains[i];
        if (domain->column >= schema->column_count || scan->domain_at[i] == SIZE_MAX)
            continue;
        const struct scan_statistics *column = &statistics[scan->domain_at[i]];
        const struct select_bounds bounds = {
            .has_null = column->null_count > 0,
            .has_value = column->null_count<column->row_count, .has_nan = column->nan_count> 0,
            .has_min = column->has_min,
            .has_max = column->has_max,
            .min = column->min,
            .max = column->max};
        if (!select_domain_possible(domain, schema->columns[domain->column].type, &bounds)) {
            scan->refused = refusal(domain, &bounds);
            return false;
        }
    }
    if (scan->bucket.clustering == NULL ||
        sort_keys_wanted(&scan->buckets, scan->bucket.sort_first, scan->bucket.sort_last))
        return true;
    scan->refused =
        (struct select_part){.reason = SELECT_SORT_KEYS, .column = cluster_column(scan, true)};
    return false;
}

/* Texts are cut in statistics, a greatest one is rounded up: of those short ones alone are exact, and
 * no greatest. Zeros have lost their sign. */
static struct select_summary summary_of(struct type type, bool is_partition,
                                        const struct scan_statistics *column)
{
    bool text = type.kind == TYPE_STRING && !is_partition;
    bool is_double = type.kind == TYPE_DOUBLE;
    struct select_summary summary = {
        .type = type,
        .null_count = column->null_count,
        .bounds = {.has_null = column->null_count > 0,
                   .has_value =
                       column->null_count<column->row_count, .has_nan = column->nan_count> 0,
                   .has_min = column->has_min,
                   .has_max = column->has_max,
                   .min = column->min,
                   .max = column->max}};
    bool all_nan = column->nan_count + column->null_count == column->row_count;
    summary.exact_min = column->has_min && !(is_double && column->min.f64 == 0) &&
                        !(text && column->min.text.len > STATISTICS_TEXT_BYTES - CHARACTER_BYTES);
    summary.exact_max = column->has_max && !(is_double && column->max.f64 == 0) && !text;
    summary.exact_min = summary.exact_min || all_nan || !summary.bounds.has_value;
    summary.exact_max = summary.exact_max || column->nan_count > 0 || !summary.bounds.has_value;
    return summary;
}

static bool row_group_known(void *context, const struct scan_statistics *statistics)
{
    struct table_scan *scan = context;
    const struct select_scan *what = &scan->what;
    const struct schema *schema = table_source_schema(scan->source);
    uint64_t rows = 0;
    for (size_t i = 0; i < what->column_count; i++) {
        size_t column = what->columns[i];
        bool is_partition = column >= schema->column_count;
        struct type type = is_partition
                               ? schema->partition_columns[column - schema->column_count].type
                               : schema->columns[column].type;
        scan->summaries[i] = summary_of(type, is_partition, &statistics[i]);
        rows = statistics[i].row_count;
    }
    scan->summarised = what->enough(what->context, scan->summaries, rows);
    return scan->summarised;
}

static void domains_place(struct table_scan *scan, const struct select_scan *what)
{
    scan->domains = what->domains;
    scan->domain_count = what->domain_count;
    scan->domain_at = mem_calloc(what->domain_count + 1, sizeof(*scan->domain_at));
    for (size_t i = 0; i < what->domain_count; i++) {
        scan->domain_at[i] = SIZE_MAX;
        for (size_t k = 0; k < what->column_count; k++) {
            if (what->columns[k] == what->domains[i].column)
                scan->domain_at[i] = k;
        }
    }
}

/* ---- totals ---- */

static void totals_add(const struct scan *scan)
{
    struct scan_counts counts = scan_counts(scan);
    atomic_fetch_add(&total_row_groups, counts.row_groups_read);
    atomic_fetch_add(&total_rows, counts.rows);
    atomic_fetch_add(&total_files, counts.files_read);
    atomic_fetch_add(&total_file_bytes, counts.file_bytes_read);
}

struct table_scan_totals table_scan_totals(void)
{
    return (struct table_scan_totals){.sources_open = atomic_load(&sources_open),
                                      .row_groups = atomic_load(&total_row_groups),
                                      .rows = atomic_load(&total_rows),
                                      .files = atomic_load(&total_files),
                                      .file_bytes = atomic_load(&total_file_bytes)};
}

/* ---- scans ---- */

static enum err_code scan_begin(struct table_source *source, const struct select_scan *what,
                                bool lazy, struct table_scan **ret_scan, struct err *err)
{
    struct table_scan *scan = mem_calloc(1, sizeof(*scan));
    scan->source = source;
    scan->what = *what;
    scan->summaries = mem_calloc(what->column_count + 1, sizeof(*scan->summaries));
    domains_place(scan, what);
    struct scan_options options = {
        .schema = table_source_schema(source),
        .tree = reader_tree(source->reader),
        .files = {.read = source_file_read, .context = source},
        .wanted = what->columns,
        .wanted_count = what->column_count,
        .filter = {.partition = partition_wanted,
                   .bucket = scan_bucket_wanted,
                   .row_group = row_group_wanted,
                   .context = scan},
        .lazy = lazy,
    };
    if (lazy && what->enough != NULL && what->column_count > 0)
        options.filter.known = row_group_known;
    enum err_code code = scan_open(&options, &scan->scan, err);
    if (code != ERR_OK) {
        table_scan_close(scan);
        return code;
    }
    *ret_scan = scan;
    return ERR_OK;
}

enum err_code table_scan_open(struct table_source *source, const struct select_scan *what,
                              struct table_scan **ret_scan, struct err *err)
{
    return scan_begin(source, what, false, ret_scan, err);
}

/* What the scan failed of, with the table's name where something is damaged. */
static enum err_code scan_tell(const struct table_scan *scan, const struct err *cause,
                               struct err *err)
{
    return cause->code == ERR_CORRUPT ? damage_tell(scan->source, cause, err)
                                      : err_set(err, cause->code, "%s", cause->message);
}

enum err_code table_scan_next(struct table_scan *scan, const struct batch **ret_batch,
                              struct err *err)
{
    struct err cause;
    if (scan_next(scan->scan, ret_batch, &cause) != ERR_OK)
        return scan_tell(scan, &cause, err);
    return ERR_OK;
}

void table_scan_close(struct table_scan *scan)
{
    if (scan == NULL)
        return;
    if (scan->scan != NULL && !scan->only_looks)
        totals_add(scan->scan);
    scan_free(scan->scan);
    bucket_filter_deinit(&scan->buckets);
    mem_free(scan->domain_at);
    mem_free(scan->summaries);
    mem_free(scan);
}

/* ---- for SELECT ---- */

static enum err_code pass_open(void *table, const struct select_scan *what, void **ret_pass,
                               struct err *err)
{
    struct table_scan *scan;
    TRY(scan_begin(table, what, true, &scan, err));
    *ret_pass = scan;
    return ERR_OK;
}

static enum err_code pass_next(void *pass, const struct batch **ret_batch, struct err *err)
{
    return table_scan_next(pass, ret_batch, err);
}

static enum err_code pass_fetch(void *pass, size_t column, size_t rows, struct err *err)
{
    struct table_scan *scan = pass;
    struct err cause;
    if (scan_fetch(scan->scan, column, rows, &cause) != ERR_OK)
        return scan_tell(scan, &cause, err);
    return ERR_OK;
}

static const struct select_summary *pass_summary(void *pass)
{
    const struct table_scan *scan = pass;
    return scan->summarised ? scan->summaries : NULL;
}

static void pass_close(void *pass)
{
    table_scan_close(pass);
}

static enum err_code parts_give(struct table_scan *scan, select_part_function *on_part,
                                void *context, struct err *err)
{
    for (;;) {
        struct scan_step step;
        TRY(scan_look(scan->scan, &step, err));
        if (step.kind == SCAN_END)
            return ERR_OK;
        if (step.kind == SCAN_PARTITION)
            continue;
        struct select_part part = {.reason = scan->summarised ? SELECT_SUMMARISED : SELECT_READ};
        if (step.kind != SCAN_ROW_GROUP)
            part = scan->refused;
        part.whole_partition = step.kind == SCAN_PARTITION_SKIPPED;
        part.partition_key = step.partition_key;
        part.is_clustered = step.is_clustered && !part.whole_partition;
        part.segment = step.segment;
        part.bucket = step.bucket;
        part.rows = step.rows;
        part.files = step.files;
        part.file_bytes = step.file_bytes;
        TRY(on_part(context, &part, err));
    }
}

static enum err_code source_explain(void *table, const struct select_scan *what,
                                    select_part_function *on_part, void *context, struct err *err)
{
    struct table_scan *scan;
    TRY(scan_begin(table, what, true, &scan, err));
    scan->only_looks = true;
    enum err_code code = parts_give(scan, on_part, context, err);
    table_scan_close(scan);
    return code;
}

const struct select_source_ops table_source_ops = {
    .open = pass_open,
    .next = pass_next,
    .fetch = pass_fetch,
    .summary = pass_summary,
    .close = pass_close,
    .explain = source_explain,
};
