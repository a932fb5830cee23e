#include "store/segment.h"

#include "proto/limits.h"
#include "store/rowgroup.h"
#include "store/statistics.h"

#define HASH_ROWS 4096 /* rows hashed at a time */

/* A column of the row group at hand, encoded. */
struct encoded_column {
    uint32_t id;
    size_t vector;
    struct digest digest; /* of its file, the shared one too */
    uint64_t file_bytes;
    bool shared;
    uint32_t offset; /* in the shared file, else 0 */
    uint32_t bytes;
    struct statistics statistics;
};

struct segment_writer {
    struct column_codec *codec;
    struct file_sink sink;
    struct column *columns; /* ids and types only, in schema order */
    size_t column_count;
    struct encoded_column *order; /* the columns in order of id */
    struct batch pending;         /* rows of the open row group */
    struct row_group_cutter cutter;
    struct rowsum rowsum;
    struct bytes file;   /* one encoded column */
    struct bytes shared; /* the row group's small columns */
    uint64_t hashes[HASH_ROWS];
    struct segment segment;
    struct cluster_layout layout; /* of the segment; kind 0: rows as they come */
    uint32_t bucket;
};

void segment_deinit(struct segment *segment)
{
    mem_free(segment->entries);
    arena_deinit(&segment->arena);
    *segment = (struct segment){0};
}

static int column_order(const void *a, const void *b)
{
    const struct encoded_column *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

struct segment_writer *segment_writer_new(const struct schema *schema, struct column_codec *codec,
                                          const struct file_sink *sink)
{
    struct segment_writer *writer = mem_calloc(1, sizeof(*writer));
    size_t count = schema->column_count;
    writer->codec = codec;
    writer->sink = *sink;
    writer->column_count = count;
    writer->columns = mem_calloc(count, sizeof(*writer->columns));
    writer->order = mem_calloc(count, sizeof(*writer->order));
    for (size_t i = 0; i < count; i++) {
        writer->columns[i] =
            (struct column){.id = schema->columns[i].id, .type = schema->columns[i].type};
        writer->order[i] = (struct encoded_column){.id = schema->columns[i].id, .vector = i};
    }
    qsort(writer->order, count, sizeof(*writer->order), column_order);
    batch_init(&writer->pending, schema);
    row_group_cutter_init(&writer->cutter, count);
    rowsum_init(&writer->rowsum, schema);
    arena_init(&writer->segment.arena, SIZE_MAX / 2);
    return writer;
}

void segment_writer_free(struct segment_writer *writer)
{
    if (writer == NULL)
        return;
    mem_free(writer->columns);
    mem_free(writer->order);
    batch_deinit(&writer->pending);
    row_group_cutter_deinit(&writer->cutter);
    rowsum_deinit(&writer->rowsum);
    bytes_deinit(&writer->file);
    bytes_deinit(&writer->shared);
    segment_deinit(&writer->segment);
    mem_free(writer);
}

size_t segment_writer_memory(const struct segment_writer *writer)
{
    return batch_memory_bytes(&writer->pending);
}

/* ---- files of a row group ---- */

static enum err_code sink_file(struct segment_writer *writer, struct span file,
                               struct digest *ret_digest, struct err *err)
{
    *ret_digest = digest_of(DOMAIN_FILE, file);
    return writer->sink.add(writer->sink.context, ret_digest, file, err);
}

static enum err_code encode_columns(struct segment_writer *writer, struct err *err)
{
    size_t rows = writer->pending.rows;
    bytes_clear(&writer->shared);
    for (size_t i = 0; i < writer->column_count; i++) {
        struct encoded_column *column = &writer->order[i];
        const struct vector *vector = &writer->pending.vectors[column->vector];
        bytes_clear(&writer->file);
        column_encode(writer->codec, vector, 0, rows, &writer->file);
        column->statistics = statistics_of(vector, 0, rows);
        column->shared = writer->file.len < COLUMN_SHARED_BYTES_MAX;
        column->offset = column->shared ? (uint32_t)writer->shared.len : 0;
        column->bytes = (uint32_t)writer->file.len;
        column->file_bytes = writer->file.len;
        if (column->shared)
            bytes_append_span(&writer->shared, bytes_span(&writer->file));
        else
            TRY(sink_file(writer, bytes_span(&writer->file), &column->digest, err));
    }
    if (writer->shared.len == 0)
        return ERR_OK;
    struct digest digest;
    TRY(sink_file(writer, bytes_span(&writer->shared), &digest, err));
    for (size_t i = 0; i < writer->column_count; i++) {
        struct encoded_column *column = &writer->order[i];
        if (column->shared) {
            column->digest = digest;
            column->file_bytes = writer->shared.len;
        }
    }
    return ERR_OK;
}

/* ---- entries of a row group ---- */

static struct span copy_statistic(struct arena *arena, const struct statistic *statistic)
{
    return arena_copy(arena, span_of(statistic->data, statistic->len));
}

static uint32_t entry_file(struct page_row_group *entry, const struct encoded_column *column)
{
    for (size_t i = 0; i < entry->file_count; i++) {
        if (digest_equal(&entry->files[i].digest, &column->digest))
            return (uint32_t)i;
    }
    entry->files[entry->file_count] =
        (struct page_file){.digest = column->digest, .bytes = column->file_bytes};
    return (uint32_t)entry->file_count++;
}

/* Empty where the segment is not sorted. */
static struct span sort_key_copy(struct segment_writer *writer, size_t row)
{
    BYTES_CLEANUP struct bytes key = {0};
    if (writer->layout.sort_count == 0)
        return (struct span){0};
    sort_key_of(&writer->layout, &writer->pending, row, &key);
    return arena_copy(&writer->segment.arena, bytes_span(&key));
}

/* The entry of columns [first, first + count) of writer->order. */
static void append_entry(struct segment_writer *writer, size_t first, size_t count)
{
    struct segment *segment = &writer->segment;
    struct page_row_group entry = {.row_count = writer->pending.rows,
                                   .bucket = writer->bucket,
                                   .sort_first = sort_key_copy(writer, 0),
                                   .sort_last = sort_key_copy(writer, writer->pending.rows - 1)};
    entry.files = arena_alloc(&segment->arena, count, sizeof(*entry.files));
    entry.columns = arena_alloc(&segment->arena, count, sizeof(*entry.columns));
    for (size_t i = 0; i < count; i++) {
        const struct encoded_column *column = &writer->order[first + i];
        struct page_column *place = &entry.columns[entry.column_count++];
        place->column_id = column->id;
        place->file = entry_file(&entry, column);
        place->offset = column->offset;
        place->bytes = column->bytes;
        place->null_count = column->statistics.null_count;
        place->statistics = (struct page_statistics){
            .has_min = column->statistics.min.present,
            .has_max = column->statistics.max.present,
            .min = copy_statistic(&segment->arena, &column->statistics.min),
            .max = copy_statistic(&segment->arena, &column->statistics.max),
            .nan_count = column->statistics.nan_count,
        };
    }
    if (segment->entry_count == segment->entry_capacity) {
        segment->entry_capacity = segment->entry_capacity * 2 + 4;
        segment->entries =
            mem_realloc(segment->entries, segment->entry_capacity, sizeof(*segment->entries));
    }
    segment->entries[segment->entry_count++] =
        (struct segment_entry){.row_group = segment->row_group_count,
                               .column_id = row_group_first_column(writer->order[first].id),
                               .content = entry};
}

/* Each file of the row group once: two equal columns are one file, the small ones another. */
static uint64_t row_group_bytes(const struct segment_writer *writer)
{
    uint64_t bytes = writer->shared.len;
    for (size_t i = 0; i < writer->column_count; i++) {
        const struct encoded_column *column = &writer->order[i];
        bool seen = column->shared;
        for (size_t j = 0; j < i && !seen; j++)
            seen = digest_equal(&writer->order[j].digest, &column->digest);
        bytes += seen ? 0 : column->file_bytes;
    }
    return bytes;
}

static enum err_code row_group_end(struct segment_writer *writer, struct err *err)
{
    TRY(encode_columns(writer, err));
    for (size_t first = 0; first < writer->column_count;) {
        uint32_t block = row_group_first_column(writer->order[first].id);
        size_t count = 1;
        while (first + count < writer->column_count &&
               row_group_first_column(writer->order[first + count].id) == block)
            count++;
        append_entry(writer, first, count);
        first += count;
    }
    writer->segment.row_count += writer->pending.rows;
    writer->segment.byte_count += row_group_bytes(writer);
    writer->segment.row_group_count++;
    batch_clear(&writer->pending);
    return ERR_OK;
}

/* ---- rows ---- */

static void pend(struct segment_writer *writer, const struct batch *batch, size_t at, size_t rows)
{
    for (size_t i = 0; i < writer->column_count; i++)
        vector_append_range(&writer->pending.vectors[i], &batch->vectors[i], at, rows);
    writer->pending.rows += rows;
}

enum err_code segment_append(struct segment_writer *writer, const struct batch *batch, size_t at,
                             size_t rows, struct err *err)
{
    ASSERT(at + rows <= batch->rows);
    rowsum_add(&writer->rowsum, batch, at, rows);
    size_t end = at + rows;
    while (at < end) {
        size_t hashed = end - at < HASH_ROWS ? end - at : HASH_ROWS;
        row_hashes(batch, writer->columns, writer->column_count, at, hashed, writer->hashes);
        for (size_t done = 0; done < hashed;) {
            bool ended;
            size_t taken = row_group_take(&writer->cutter, batch, writer->hashes + done, at + done,
                                          hashed - done, &ended);
            pend(writer, batch, at + done, taken);
            done += taken;
            if (ended)
                TRY(row_group_end(writer, err));
        }
        at += hashed;
    }
    return ERR_OK;
}

void segment_cluster(struct segment_writer *writer, const struct cluster_layout *layout)
{
    ASSERT(writer->pending.rows == 0 && writer->segment.row_count == 0);
    writer->layout = *layout;
}

enum err_code segment_bucket(struct segment_writer *writer, uint32_t bucket, struct err *err)
{
    ASSERT(bucket >= writer->bucket);
    if (bucket > writer->bucket && writer->pending.rows > 0) {
        TRY(row_group_end(writer, err));
        row_group_cutter_reset(&writer->cutter);
    }
    writer->bucket = bucket;
    return ERR_OK;
}

enum err_code segment_finish(struct segment_writer *writer, struct segment *ret_segment,
                             struct err *err)
{
    if (writer->pending.rows > 0) {
        TRY(row_group_end(writer, err));
        row_group_cutter_reset(&writer->cutter);
    }
    writer->segment.checksum = rowsum_get(&writer->rowsum);
    rowsum_reset(&writer->rowsum);
    *ret_segment = writer->segment;
    writer->segment = (struct segment){0};
    writer->layout = (struct cluster_layout){0};
    writer->bucket = 0;
    arena_init(&writer->segment.arena, SIZE_MAX / 2);
    return ERR_OK;
}
