#include "store/scan.h"

#include "proto/key.h"
#include "store/column.h"
#include "store/statistics.h"

/* A wanted column, and where the row group at hand has it. */
struct scan_column {
    const struct column *column;
    bool is_partition;
    size_t partition_index; /* is_partition */
    struct value missing;   /* what rows have that are older than the column */

    bool found;
    struct page_file file;
    uint32_t offset;
    uint32_t bytes;
    uint64_t null_count;
    struct page_statistics statistics; /* min and max borrow from min_bytes and max_bytes */
    uint8_t min_bytes[STATISTICS_TEXT_BYTES];
    uint8_t max_bytes[STATISTICS_TEXT_BYTES];
};

/* A file as it was last read. */
struct scan_file {
    struct digest digest;
    struct bytes content;
    bool valid;
};

struct scan {
    const struct schema *schema;
    struct file_source files;
    struct scan_filter filter;
    bool lazy;
    bool known; /* what the filter said of the row group at hand */
    struct scan_column *columns;
    size_t column_count;
    struct scan_statistics *statistics;
    struct tree_cursor *cursor;
    const struct page_entry *entry; /* not yet used; NULL: ask the cursor */
    bool ended;

    struct bytes partition; /* key of the partition at hand */
    struct bytes partition_text;
    struct value *partition_values;
    struct clustering clustering; /* of the partition */

    struct scan_bucket bucket; /* of the row group at hand */
    uint8_t sort_first[SORT_KEY_BYTES_MAX];
    uint8_t sort_last[SORT_KEY_BYTES_MAX];

    struct column_codec *codec;
    struct scan_file whole;  /* a file of one column */
    struct scan_file shared; /* a file of several */
    struct batch batch;
    struct scan_counts counts;
};

/* ---- open, free ---- */

static enum err_code column_init(const struct schema *schema, size_t wanted,
                                 struct scan_column *ret_column, struct err *err)
{
    ASSERT(wanted < schema->column_count + schema->partition_column_count);
    struct scan_column column = {.missing.null = true};
    column.is_partition = wanted >= schema->column_count;
    if (column.is_partition) {
        column.partition_index = wanted - schema->column_count;
        column.column = &schema->partition_columns[column.partition_index];
    } else {
        column.column = &schema->columns[wanted];
    }
    if (column.column->has_default) {
        enum err_code code =
            value_parse(column.column->type, column.column->default_text, &column.missing, err);
        if (code != ERR_OK)
            return err_set(err, ERR_SEMANTIC, "default of column %.*s is not of its type",
                           SPAN_PRINTF(column.column->name));
    }
    *ret_column = column;
    return ERR_OK;
}

enum err_code scan_open(const struct scan_options *options, struct scan **ret_scan, struct err *err)
{
    size_t count = options->wanted_count;
    MEM_CLEANUP struct scan_column *columns = mem_calloc(count, sizeof(*columns));
    MEM_CLEANUP struct type *types = mem_calloc(count, sizeof(*types));
    for (size_t i = 0; i < count; i++) {
        TRY(column_init(options->schema, options->wanted[i], &columns[i], err));
        types[i] = columns[i].column->type;
    }
    struct scan *scan = mem_calloc(1, sizeof(*scan));
    scan->schema = options->schema;
    scan->files = options->files;
    scan->filter = options->filter;
    scan->lazy = options->lazy;
    scan->columns = columns;
    columns = NULL;
    scan->column_count = count;
    scan->statistics = mem_calloc(count, sizeof(*scan->statistics));
    scan->cursor = tree_cursor_new(&options->tree);
    scan->partition_values =
        mem_calloc(options->schema->partition_column_count, sizeof(*scan->partition_values));
    scan->codec = column_codec_new();
    batch_init_types(&scan->batch, types, count);
    *ret_scan = scan;
    return ERR_OK;
}

void scan_free(struct scan *scan)
{
    if (scan == NULL)
        return;
    mem_free(scan->columns);
    mem_free(scan->statistics);
    tree_cursor_free(scan->cursor);
    bytes_deinit(&scan->partition);
    bytes_deinit(&scan->partition_text);
    mem_free(scan->partition_values);
    column_codec_free(scan->codec);
    bytes_deinit(&scan->whole.content);
    bytes_deinit(&scan->shared.content);
    batch_deinit(&scan->batch);
    mem_free(scan);
}

void scan_free_pointer(struct scan **scan)
{
    scan_free(*scan);
}

struct scan_counts scan_counts(const struct scan *scan)
{
    return scan->counts;
}

/* ---- partitions ---- */

static enum err_code partition_open(struct scan *scan, struct span key, struct err *err)
{
    const struct schema *schema = scan->schema;
    bytes_clear(&scan->partition);
    bytes_append_span(&scan->partition, key);
    bytes_clear(&scan->partition_text);
    bytes_reserve(&scan->partition_text, key.len); /* values borrow from it: it must not move */
    struct reader reader = reader_of(bytes_span(&scan->partition));
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        if (!reader_key_value(&reader, schema->partition_columns[i].type, &scan->partition_text,
                              &scan->partition_values[i]))
            break;
    }
    if (!reader_end(&reader))
        return err_set(err, ERR_CORRUPT, "partition key of %zu bytes does not fit the schema",
                       key.len);
    return ERR_OK;
}

static enum err_code entry_peek(struct scan *scan, struct err *err)
{
    if (scan->entry != NULL || scan->ended)
        return ERR_OK;
    TRY(tree_cursor_next(scan->cursor, &scan->entry, err));
    scan->ended = scan->entry == NULL;
    return ERR_OK;
}

/* Takes one partition entry; SCAN_ROW_GROUP when a row group stands there instead. */
static enum err_code partition_take(struct scan *scan, enum scan_step_kind *ret_kind,
                                    struct err *err)
{
    TRY(entry_peek(scan, err));
    *ret_kind = scan->ended ? SCAN_END : SCAN_ROW_GROUP;
    if (scan->ended || scan->entry->kind == PAGE_ENTRY_ROW_GROUP)
        return ERR_OK;
    if (scan->entry->kind != PAGE_ENTRY_PARTITION)
        return err_set(err, ERR_CORRUPT, "an entry that is no part of a manifest tree");
    TRY(partition_open(scan, scan->entry->key, err));
    scan->clustering = scan->entry->partition.clustering;
    scan->entry = NULL;
    if (scan->filter.partition == NULL ||
        scan->filter.partition(scan->filter.context, scan->partition_values)) {
        scan->counts.partitions_read++;
        *ret_kind = SCAN_PARTITION;
        return ERR_OK;
    }
    scan->counts.partitions_skipped++;
    tree_cursor_seek_past(scan->cursor, bytes_span(&scan->partition));
    *ret_kind = SCAN_PARTITION_SKIPPED;
    return ERR_OK;
}

/* ---- row groups ---- */

static struct span statistic_copy(struct span stored, uint8_t to[STATISTICS_TEXT_BYTES])
{
    if (stored.len > 0)
        memcpy(to, stored.data, stored.len); /* page_decode has checked the length */
    return span_of(to, stored.len);
}

static void column_place(struct scan_column *column, const struct page_row_group *group,
                         const struct page_column *place)
{
    column->found = true;
    column->file = group->files[place->file];
    column->offset = place->offset;
    column->bytes = place->bytes;
    column->null_count = place->null_count;
    column->statistics = place->statistics;
    column->statistics.min = statistic_copy(place->statistics.min, column->min_bytes);
    column->statistics.max = statistic_copy(place->statistics.max, column->max_bytes);
}

/* Notes where the wanted columns are that this entry has. */
static void entry_take(struct scan *scan, const struct page_row_group *group)
{
    for (size_t i = 0; i < scan->column_count; i++) {
        struct scan_column *column = &scan->columns[i];
        for (size_t c = 0; !column->is_partition && c < group->column_count; c++) {
            if (group->columns[c].column_id == column->column->id)
                column_place(column, group, &group->columns[c]);
        }
    }
}

static struct span sort_key_copy(struct span key, uint8_t to[SORT_KEY_BYTES_MAX])
{
    if (key.len > 0)
        memcpy(to, key.data, key.len); /* page_decode has checked the length */
    return span_of(to, key.len);
}

/* Takes the row group's bucket and sort keys; another entry of it has the same. */
static enum err_code bucket_take(struct scan *scan, const struct page_row_group *group,
                                 uint32_t segment, bool begun, struct err *err)
{
    struct scan_bucket *bucket = &scan->bucket;
    if (begun) {
        bool same = group->bucket == bucket->bucket &&
                    span_equal(group->sort_first, bucket->sort_first) &&
                    span_equal(group->sort_last, bucket->sort_last);
        return same ? ERR_OK : err_set(err, ERR_CORRUPT, "columns of a row group differ in bucket");
    }
    if (group->bucket >= clustering_bucket_limit(&scan->clustering))
        return err_set(err, ERR_CORRUPT, "a row group in bucket %u of a partition with %u",
                       group->bucket, clustering_bucket_limit(&scan->clustering));
    *bucket = (struct scan_bucket){
        .clustering = &scan->clustering,
        .segment = segment,
        .bucket = group->bucket,
        .sort_first = sort_key_copy(group->sort_first, scan->sort_first),
        .sort_last = sort_key_copy(group->sort_last, scan->sort_last),
    };
    return ERR_OK;
}

/* All entries of the row group that scan->entry begins. */
static enum err_code row_group_take_entries(struct scan *scan, uint64_t *ret_rows, struct err *err)
{
    for (size_t i = 0; i < scan->column_count; i++)
        scan->columns[i].found = false;
    struct row_group_place first = {0};
    uint64_t rows = 0;
    bool begun = false;
    for (;; scan->entry = NULL) {
        TRY(entry_peek(scan, err));
        if (scan->ended || scan->entry->kind != PAGE_ENTRY_ROW_GROUP)
            break;
        struct row_group_place place;
        struct span partition = row_group_key_split(scan->entry->key, &place);
        if (begun && (place.segment != first.segment || place.row_group != first.row_group ||
                      !span_equal(partition, bytes_span(&scan->partition))))
            break;
        if (!span_equal(partition, bytes_span(&scan->partition)))
            return err_set(err, ERR_CORRUPT, "a row group without its partition");
        if (begun && scan->entry->row_group.row_count != rows)
            return err_set(err, ERR_CORRUPT, "columns of a row group differ in rows");
        TRY(bucket_take(scan, &scan->entry->row_group, place.segment, begun, err));
        rows = scan->entry->row_group.row_count;
        first = place;
        begun = true;
        entry_take(scan, &scan->entry->row_group);
    }
    *ret_rows = rows;
    return ERR_OK;
}

/* A column with one value in all rows: of a partition, or older than the column. */
static void statistics_constant(struct scan_statistics *statistics, struct value value)
{
    statistics->null_count = value.null ? statistics->row_count : 0;
    statistics->has_min = statistics->has_max = !value.null;
    statistics->min = statistics->max = value;
}

static bool statistic_get(const struct scan_column *column, bool present, struct span stored,
                          struct value *ret_value)
{
    return present && statistic_value(column->column->type, stored, ret_value);
}

static bool row_group_wanted(struct scan *scan, uint64_t rows)
{
    if (scan->filter.row_group == NULL)
        return true;
    for (size_t i = 0; i < scan->column_count; i++) {
        const struct scan_column *column = &scan->columns[i];
        struct scan_statistics *statistics = &scan->statistics[i];
        *statistics = (struct scan_statistics){.row_count = rows};
        if (column->is_partition) {
            statistics_constant(statistics, scan->partition_values[column->partition_index]);
        } else if (!column->found) {
            statistics_constant(statistics, column->missing);
            if (column->column->type.kind == TYPE_DOUBLE && isnan(column->missing.f64))
                *statistics = (struct scan_statistics){.row_count = rows, .nan_count = rows};
        } else {
            const struct page_statistics *stored = &column->statistics;
            statistics->null_count = column->null_count;
            statistics->nan_count = stored->nan_count;
            statistics->has_min =
                statistic_get(column, stored->has_min, stored->min, &statistics->min);
            statistics->has_max =
                statistic_get(column, stored->has_max, stored->max, &statistics->max);
        }
    }
    return scan->filter.row_group(scan->filter.context, scan->statistics);
}

/* ---- column files ---- */

/* Says where, for whoever asked for rows; the caller adds the table's name. */
static enum err_code column_corrupt(const struct scan *scan, const struct scan_column *column,
                                    const char *what, struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    BYTES_CLEANUP struct bytes partition = {0};
    if (scan->schema->partition_column_count > 0 &&
        partition_format(scan->schema, bytes_span(&scan->partition), &partition, NULL) == ERR_OK)
        bytes_append_text(&partition, ", ");
    digest_hex(&column->file.digest, hex);
    hex[16] = '\0';
    bool named = strstr(what, hex) != NULL; /* damage_refuse says the file itself */
    return err_set(err, ERR_CORRUPT, "%.*scolumn %.*s: %s%s%s%s",
                   (int)(partition.len < 80 ? partition.len : 80), partition.data,
                   SPAN_PRINTF(column->column->name), what, named ? "" : " (file ",
                   named ? "" : hex, named ? "" : ")");
}

/* Where a column's file is kept: the shared one serves the row group's other small columns too. */
static struct scan_file *file_of(struct scan *scan, const struct scan_column *column)
{
    return column->bytes != column->file.bytes ? &scan->shared : &scan->whole;
}

static bool file_is(const struct scan_file *file, const struct digest *digest)
{
    return file->valid && digest_equal(&file->digest, digest);
}

static void file_note(struct scan *scan, struct scan_file *file, const struct page_file *read)
{
    file->digest = read->digest;
    file->valid = true;
    scan->counts.files_read++;
    scan->counts.file_bytes_read += read->bytes;
}

static enum err_code file_get(struct scan *scan, const struct scan_column *column,
                              struct span *ret_content, struct err *err)
{
    struct scan_file *file = file_of(scan, column);
    if (!file_is(file, &column->file.digest)) {
        file->valid = false;
        struct err cause = {0};
        enum err_code code =
            scan->files.read(scan->files.context, &column->file.digest, &file->content, &cause);
        if (code == ERR_NOT_FOUND || code == ERR_CORRUPT)
            return column_corrupt(scan, column, cause.message, err);
        if (code != ERR_OK)
            return err_set(err, code, "%s", cause.message);
        if (file->content.len != column->file.bytes)
            return column_corrupt(scan, column, "wrong length", err);
        file_note(scan, file, &column->file);
    }
    *ret_content = bytes_span(&file->content);
    return ERR_OK;
}

/* The first `rows` rows: all of the row group, or fewer. */
static enum err_code column_read(struct scan *scan, const struct scan_column *column, uint64_t rows,
                                 struct vector *vector, struct err *err)
{
    bool whole = rows == scan->batch.rows;
    struct span file = {0};
    TRY(file_get(scan, column, &file, err));
    if (column->offset > file.len || column->bytes > file.len - column->offset)
        return column_corrupt(scan, column, "wrong length", err);
    struct err cause = {0};
    enum err_code code =
        column_decode_front(scan->codec, span_slice(file, column->offset, column->bytes),
                            whole ? SIZE_MAX : rows, vector, &cause);
    if (code == ERR_VERSION)
        return err_set(err, code, "%s", cause.message);
    if (code != ERR_OK)
        return column_corrupt(scan, column, cause.message, err);
    if (vector->rows != rows || (whole && vector->null_count != column->null_count))
        return column_corrupt(scan, column, "other numbers of rows or NULLs than the tree says",
                              err);
    return ERR_OK;
}

static void vector_fill(struct vector *vector, struct value value, uint64_t rows)
{
    vector_reserve(vector, rows);
    for (uint64_t i = 0; i < rows; i++)
        vector_append(vector, value);
}

static enum err_code vector_read(struct scan *scan, size_t i, uint64_t rows, struct err *err)
{
    const struct scan_column *column = &scan->columns[i];
    struct vector *vector = &scan->batch.vectors[i];
    if (column->is_partition)
        vector_fill(vector, scan->partition_values[column->partition_index], rows);
    else if (!column->found)
        vector_fill(vector, column->missing, rows);
    else
        return column_read(scan, column, rows, vector, err);
    return ERR_OK;
}

static enum err_code row_group_read(struct scan *scan, uint64_t rows, struct err *err)
{
    batch_clear(&scan->batch);
    scan->batch.rows = rows;
    for (size_t i = 0; !scan->lazy && i < scan->column_count; i++)
        TRY(vector_read(scan, i, rows, err));
    return ERR_OK;
}

enum err_code scan_fetch(struct scan *scan, size_t column, size_t rows, struct err *err)
{
    ASSERT(scan->lazy && !scan->known && column < scan->column_count);
    struct vector *vector = &scan->batch.vectors[column];
    if (rows > scan->batch.rows)
        rows = scan->batch.rows;
    if (vector->rows >= rows)
        return ERR_OK;
    vector_clear(vector);
    return vector_read(scan, column, rows, err);
}

/* ---- steps ---- */

static bool bucket_wanted(const struct scan *scan)
{
    return scan->filter.bucket == NULL || scan->clustering.kind == CLUSTERING_NONE ||
           scan->filter.bucket(scan->filter.context, &scan->bucket);
}

static enum err_code step_take(struct scan *scan, enum scan_step_kind *ret_kind, uint64_t *ret_rows,
                               struct err *err)
{
    TRY(partition_take(scan, ret_kind, err));
    if (*ret_kind != SCAN_ROW_GROUP)
        return ERR_OK;
    TRY(row_group_take_entries(scan, ret_rows, err));
    if (bucket_wanted(scan) && row_group_wanted(scan, *ret_rows)) {
        scan->known = scan->filter.known != NULL &&
                      scan->filter.known(scan->filter.context, scan->statistics);
        scan->counts.row_groups_read++;
        scan->counts.rows += *ret_rows;
    } else {
        scan->counts.row_groups_skipped++;
        *ret_kind = SCAN_ROW_GROUP_SKIPPED;
    }
    return ERR_OK;
}

enum err_code scan_next(struct scan *scan, const struct batch **ret_batch, struct err *err)
{
    enum scan_step_kind kind;
    uint64_t rows = 0;
    do
        TRY(step_take(scan, &kind, &rows, err));
    while (kind != SCAN_ROW_GROUP && kind != SCAN_END);
    if (kind == SCAN_ROW_GROUP)
        TRY(row_group_read(scan, rows, err));
    *ret_batch = kind == SCAN_END ? NULL : &scan->batch;
    return ERR_OK;
}

/* The files that row_group_read would ask for, in its order. */
static void row_group_count_files(struct scan *scan)
{
    for (size_t i = 0; i < scan->column_count; i++) {
        const struct scan_column *column = &scan->columns[i];
        struct scan_file *file = file_of(scan, column);
        if (!column->is_partition && column->found && !file_is(file, &column->file.digest))
            file_note(scan, file, &column->file);
    }
}

enum err_code scan_look(struct scan *scan, struct scan_step *ret_step, struct err *err)
{
    const struct scan_counts before = scan->counts;
    struct scan_step step = {0};
    TRY(step_take(scan, &step.kind, &step.rows, err));
    if (step.kind == SCAN_ROW_GROUP && !scan->known)
        row_group_count_files(scan);
    step.partition_key = bytes_span(&scan->partition);
    step.is_clustered = scan->clustering.kind != CLUSTERING_NONE;
    step.segment = scan->bucket.segment;
    step.bucket = scan->bucket.bucket;
    step.files = scan->counts.files_read - before.files_read;
    step.file_bytes = scan->counts.file_bytes_read - before.file_bytes_read;
    *ret_step = step;
    return ERR_OK;
}
