#include "node/table_source.h"

#include "store/files.h"

struct table_source {
    struct store *store;
    struct reader_handle *reader;
};

struct table_scan {
    struct table_source *source;
    struct scan *scan;
    const struct select_range *ranges;
    size_t range_count;
    size_t *range_at; /* for each range: its column among the wanted; SIZE_MAX: not wanted */
};

enum err_code table_source_open(struct store *store, struct table_id table,
                                struct table_source **ret_source, struct err *err)
{
    struct reader_handle *reader;
    TRY(reader_open(store, table, &reader, err));
    struct table_source *source = mem_alloc(sizeof(*source));
    *source = (struct table_source){store, reader};
    *ret_source = source;
    return ERR_OK;
}

void table_source_close(struct table_source *source)
{
    if (source == NULL)
        return;
    reader_close(source->reader);
    mem_free(source);
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
    const struct table_scan *scan = context;
    const struct schema *schema = table_source_schema(scan->source);
    for (size_t i = 0; i < scan->range_count; i++) {
        const struct select_range *range = &scan->ranges[i];
        if (range->column < schema->column_count)
            continue;
        size_t level = range->column - schema->column_count;
        const struct select_bounds bounds = {
            .has_min = true, .has_max = true, .min = values[level], .max = values[level]};
        if (!select_range_possible(range, schema->partition_columns[level].type, &bounds))
            return false;
    }
    return true;
}

static bool row_group_wanted(void *context, const struct scan_statistics *statistics)
{
    const struct table_scan *scan = context;
    const struct schema *schema = table_source_schema(scan->source);
    for (size_t i = 0; i < scan->range_count; i++) {
        const struct select_range *range = &scan->ranges[i];
        if (range->column >= schema->column_count || scan->range_at[i] == SIZE_MAX)
            continue;
        const struct scan_statistics *column = &statistics[scan->range_at[i]];
        if (column->null_count == column->row_count)
            return false;
        const struct select_bounds bounds = {.has_min = column->has_min,
                                             .has_max = column->has_max,
                                             .has_nan = column->nan_count > 0,
                                             .min = column->min,
                                             .max = column->max};
        if (!select_range_possible(range, schema->columns[range->column].type, &bounds))
            return false;
    }
    return true;
}

static void ranges_place(struct table_scan *scan, const struct select_scan *what)
{
    scan->ranges = what->ranges;
    scan->range_count = what->range_count;
    scan->range_at = mem_calloc(what->range_count + 1, sizeof(*scan->range_at));
    for (size_t i = 0; i < what->range_count; i++) {
        scan->range_at[i] = SIZE_MAX;
        for (size_t k = 0; k < what->column_count; k++) {
            if (what->columns[k] == what->ranges[i].column)
                scan->range_at[i] = k;
        }
    }
}

/* ---- scans ---- */

enum err_code table_scan_open(struct table_source *source, const struct select_scan *what,
                              struct table_scan **ret_scan, struct err *err)
{
    struct table_scan *scan = mem_calloc(1, sizeof(*scan));
    scan->source = source;
    ranges_place(scan, what);
    const struct scan_options options = {
        .schema = table_source_schema(source),
        .tree = reader_tree(source->reader),
        .files = {.read = source_file_read, .context = source},
        .wanted = what->columns,
        .wanted_count = what->column_count,
        .filter = {.partition = partition_wanted, .row_group = row_group_wanted, .context = scan},
    };
    enum err_code code = scan_open(&options, &scan->scan, err);
    if (code != ERR_OK) {
        table_scan_close(scan);
        return code;
    }
    *ret_scan = scan;
    return ERR_OK;
}

enum err_code table_scan_next(struct table_scan *scan, const struct batch **ret_batch,
                              struct err *err)
{
    return scan_next(scan->scan, ret_batch, err);
}

void table_scan_close(struct table_scan *scan)
{
    if (scan == NULL)
        return;
    scan_free(scan->scan);
    mem_free(scan->range_at);
    mem_free(scan);
}

/* ---- for SELECT ---- */

static enum err_code pass_open(void *table, const struct select_scan *what, void **ret_pass,
                               struct err *err)
{
    struct table_scan *scan;
    TRY(table_scan_open(table, what, &scan, err));
    *ret_pass = scan;
    return ERR_OK;
}

static enum err_code pass_next(void *pass, const struct batch **ret_batch, struct err *err)
{
    return table_scan_next(pass, ret_batch, err);
}

static void pass_close(void *pass)
{
    table_scan_close(pass);
}

const struct select_source_ops table_source_ops = {
    .open = pass_open,
    .next = pass_next,
    .close = pass_close,
};
