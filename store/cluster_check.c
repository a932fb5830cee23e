#include "store/cluster_check.h"

struct cluster_check {
    const struct schema *schema;
    struct column *columns; /* that some partition is clustered or sorted by */
    size_t *wanted;         /* their positions in the schema */
    size_t column_count;
    struct schema read; /* these columns alone: what batches hold */

    bool is_clustered; /* the row group at hand, which `place` is of */
    struct scan_bucket place;
    struct clustering clustering; /* layout's */
    struct cluster_layout layout;

    bool has_last;
    uint32_t last_segment;
    uint32_t last_bucket;
    struct batch last; /* the last row of the row group before */
    struct bytes key;
};

static void cluster_check_deinit(struct cluster_check *check)
{
    mem_free(check->columns);
    mem_free(check->wanted);
    batch_deinit(&check->last);
    bytes_deinit(&check->key);
}

/* ---- which columns ---- */

static enum err_code column_want(struct cluster_check *check, uint32_t id, struct err *err)
{
    for (size_t i = 0; i < check->column_count; i++) {
        if (check->columns[i].id == id)
            return ERR_OK;
    }
    const struct schema *schema = check->schema;
    size_t at = 0;
    while (at < schema->column_count && schema->columns[at].id != id)
        at++;
    if (at == schema->column_count)
        return err_set(err, ERR_CORRUPT,
                       "a partition is clustered by column %u, which is not there", id);
    size_t count = check->column_count + 1;
    check->columns = mem_realloc(check->columns, count, sizeof(*check->columns));
    check->wanted = mem_realloc(check->wanted, count, sizeof(*check->wanted));
    check->columns[count - 1] = schema->columns[at];
    check->wanted[count - 1] = at;
    check->column_count = count;
    return ERR_OK;
}

static enum err_code columns_find(struct cluster_check *check, const struct tree *tree,
                                  struct err *err)
{
    TREE_CURSOR_CLEANUP struct tree_cursor *cursor = tree_cursor_new(tree);
    for (;;) {
        const struct page_entry *entry = NULL;
        TRY(tree_cursor_next(cursor, &entry, err));
        if (entry == NULL)
            return ERR_OK;
        if (entry->kind != PAGE_ENTRY_PARTITION)
            continue;
        const struct clustering *clustering = &entry->partition.clustering;
        for (size_t i = 0; i < clustering->column_count; i++)
            TRY(column_want(check, clustering->columns[i], err));
        for (size_t i = 0; i < clustering->sort_count; i++)
            TRY(column_want(check, clustering->sort_columns[i], err));
    }
}

/* ---- which row groups ---- */

static bool bucket_noted(void *context, const struct scan_bucket *bucket)
{
    struct cluster_check *check = context;
    check->is_clustered = true;
    check->place = *bucket;
    return true;
}

static bool clustered_only(void *context, const struct scan_statistics *statistics)
{
    struct cluster_check *check = context;
    (void)statistics;
    bool is_clustered = check->is_clustered;
    check->is_clustered = false; /* until the next is asked about */
    if (!is_clustered)
        check->has_last = false;
    return is_clustered;
}

static bool partition_begun(void *context, const struct value *values)
{
    struct cluster_check *check = context;
    (void)values;
    check->has_last = false;
    return true;
}

/* ---- rows ---- */

static enum err_code refuse(const struct cluster_check *check, size_t row, const char *what,
                            struct err *err)
{
    return err_set(err, ERR_CORRUPT, "segment %u, bucket %u, row %zu of a row group: %s",
                   check->place.segment, check->place.bucket, row, what);
}

/* Two neighbours of a segment; `cut`: a new bucket begins between them. */
static enum err_code order_check(const struct cluster_check *check, const struct batch *before,
                                 size_t before_row, const struct batch *rows, size_t row, bool cut,
                                 struct err *err)
{
    const struct cluster_layout *layout = &check->layout;
    bool is_range = layout->kind == CLUSTERING_RANGE;
    if (cut && !is_range)
        return ERR_OK;
    if (cluster_rows_compare(layout, layout->sort_count, before, before_row, rows, row) > 0)
        return refuse(check, row, "not in order", err);
    if (cut && cluster_rows_compare(layout, layout->key_count, before, before_row, rows, row) == 0)
        return refuse(check, row, "its range goes on from the bucket before", err);
    return ERR_OK;
}

static enum err_code key_check(struct cluster_check *check, const struct batch *rows, size_t row,
                               struct span expected, struct err *err)
{
    if (check->layout.sort_count == 0)
        return ERR_OK;
    sort_key_of(&check->layout, rows, row, &check->key);
    if (!span_equal(bytes_span(&check->key), expected))
        return refuse(check, row, "another sort key than its row group says", err);
    return ERR_OK;
}

static enum err_code rows_check(struct cluster_check *check, const struct batch *rows,
                                struct err *err)
{
    const struct scan_bucket *place = &check->place;
    bool goes_on = check->has_last && check->last_segment == place->segment;
    if (goes_on)
        TRY(order_check(check, &check->last, 0, rows, 0, check->last_bucket != place->bucket, err));
    for (size_t row = 0; row < rows->rows; row++) {
        if (check->layout.kind == CLUSTERING_HASH &&
            cluster_row_bucket(&check->layout, rows, row, &check->key) != place->bucket)
            return refuse(check, row, "it belongs to another bucket", err);
        if (row > 0)
            TRY(order_check(check, rows, row - 1, rows, row, false, err));
    }
    TRY(key_check(check, rows, 0, place->sort_first, err));
    TRY(key_check(check, rows, rows->rows - 1, place->sort_last, err));
    batch_clear(&check->last);
    batch_append_range(&check->last, rows, rows->rows - 1, 1);
    check->has_last = true;
    check->last_segment = place->segment;
    check->last_bucket = place->bucket;
    return ERR_OK;
}

/* The row group that the scan gave, if it is one of a clustered partition. */
static enum err_code row_group_check(struct cluster_check *check, const struct batch *rows,
                                     struct err *err)
{
    if (!clustering_equal(&check->clustering, check->place.clustering)) {
        check->clustering = *check->place.clustering;
        if (!cluster_layout_of(&check->clustering, &check->read, &check->layout))
            return err_set(err, ERR_CORRUPT, "clustered by a column that is not there");
    }
    return rows_check(check, rows, err);
}

static enum err_code scan_check(struct cluster_check *check, const struct tree *tree,
                                const struct file_source *files, uint64_t *ret_rows,
                                struct err *err)
{
    SCAN_CLEANUP struct scan *scan = NULL;
    const struct scan_options options = {
        .schema = check->schema,
        .tree = *tree,
        .files = *files,
        .wanted = check->wanted,
        .wanted_count = check->column_count,
        .filter = {.partition = partition_begun,
                   .bucket = bucket_noted,
                   .row_group = clustered_only,
                   .context = check},
    };
    uint64_t rows = 0;
    TRY(scan_open(&options, &scan, err));
    for (;;) {
        const struct batch *batch = NULL;
        TRY(scan_next(scan, &batch, err));
        if (batch == NULL)
            break;
        TRY(row_group_check(check, batch, err));
        rows += batch->rows;
    }
    *ret_rows = rows;
    return ERR_OK;
}

enum err_code cluster_check(const struct tree *tree, const struct schema *schema,
                            const struct file_source *files, uint64_t *ret_rows, struct err *err)
{
    __attribute__((cleanup(cluster_check_deinit))) struct cluster_check check = {.schema = schema};
    TRY(columns_find(&check, tree, err));
    *ret_rows = 0;
    if (check.column_count == 0)
        return ERR_OK;
    check.read = (struct schema){.columns = check.columns, .column_count = check.column_count};
    batch_init(&check.last, &check.read);
    return scan_check(&check, tree, files, ret_rows, err);
}
