#include "store/load.h"

#include "proto/key.h"
#include "proto/limits.h"
#include "store/cluster_sort.h"
#include "store/load_partitions.h"
#include "store/spill.h"

#define CHUNK_BYTES       MIB(1) /* a chunk is full when it has that many */
#define GATHER_ROWS_MAX   65536  /* sorted and gathered at a time */
#define DIRECT_ROWS_MIN   32     /* shorter stretches are joined before they are encoded */
#define BLOCK_STEP_ROWS   256
#define NO_PARTITION      UINT32_MAX
#define RUN_HEADER_BYTES  8
#define BUFFER_SHARE(all) ((all) / 4 * 3) /* the rest is the row group that is being encoded */
#define SORT_SHARE(all)   ((all) / 2) /* of the first row's partition; the buffer has a quarter */
#define SORT_MIN(all)     ((all) / 8) /* of every other one, when its turn comes */

/* Rows of any partitions. What came together stands sorted by partition, as stretches. */
struct load_chunk {
    struct batch batch; /* data columns */
    size_t block_rows;  /* about SPILL_BLOCK_BYTES of rows; known when stretches are sorted */
};

/* Rows in order of partition, in the spill file from `at` to `end`, as blocks:
 *     u32 place of the partition in order of keys at that time -> its index | u32 bytes | batch */
struct load_run {
    uint64_t at;
    uint64_t end;
    uint32_t partition; /* of the block at `at`; NO_PARTITION at the end */
    uint32_t block_bytes;
};

/* Neighbouring rows of a chunk, of one partition. */
struct stretch {
    uint32_t partition;
    uint32_t chunk;
    uint32_t row;
    uint32_t rows;
};

struct load {
    struct arena arena; /* schema and folder */
    struct schema schema;
    char *tmp_folder;
    uint64_t disk_reserve_bytes;
    size_t memory_bytes;
    struct file_sink sink;
    struct column_codec *codec;

    struct load_partitions partitions;
    struct bytes key; /* scratch */
    struct bytes last_key;
    uint32_t last_partition;
    uint32_t *row_partitions; /* of the batch at hand */
    uint32_t *row_order;      /* scratch of gathering */
    uint32_t *row_touched;
    size_t row_capacity;
    uint32_t *partition_rows; /* scratch of gathering: 0 for every partition in between */
    size_t partition_capacity;

    struct load_clustering clustering;
    uint32_t head; /* the partition that `head_writer` streams, or whose rows head_sort takes */
    bool head_only;
    struct clustering head_clustering;
    struct cluster_layout head_layout;
    struct cluster_sort *head_sort; /* NULL: not clustered */
    uint64_t head_rows;             /* streamed, or taken */
    struct segment_writer *head_writer;
    struct segment_writer *writer; /* of every other partition, one after another */

    struct load_chunk *chunks;
    size_t chunk_count;
    size_t chunk_memory;       /* of all chunks but the last */
    struct stretch *stretches; /* all rows of the chunks: as they came, then by partition */
    size_t stretch_count;
    size_t stretch_capacity;
    struct spill spill;
    struct load_run *runs;
    size_t run_count;

    bool finished;
    uint32_t *sorted; /* partitions in order of key */
    size_t sorted_at;
    size_t *stretch_ends; /* of each partition by rank */
    struct batch gathered;
    struct bytes block;
    struct load_partition current;
    struct load_counts counts;
};

/* ---- open, free ---- */

struct load *load_open(const struct load_options *options)
{
    struct load *load = mem_calloc(1, sizeof(*load));
    arena_init(&load->arena, SIZE_MAX / 2);
    load->schema = schema_copy(options->schema, &load->arena);
    load->tmp_folder = mem_strdup(options->tmp_folder);
    load->disk_reserve_bytes = options->disk_reserve_bytes;
    load->memory_bytes =
        options->memory_bytes == 0 ? LOAD_MEMORY_BYTES_DEFAULT : options->memory_bytes;
    if (load->memory_bytes < LOAD_MEMORY_BYTES_MIN)
        load->memory_bytes = LOAD_MEMORY_BYTES_MIN;
    load->sink = options->sink;
    load->clustering = options->clustering;
    load->codec = column_codec_new();
    load->last_partition = NO_PARTITION;
    load->head = NO_PARTITION;
    load->head_only = true;
    load->head_writer = segment_writer_new(&load->schema, load->codec, &load->sink);
    load->spill = SPILL_CLOSED;
    batch_init(&load->gathered, &load->schema);
    return load;
}

static void chunks_free(struct load *load)
{
    for (size_t i = 0; i < load->chunk_count; i++)
        batch_deinit(&load->chunks[i].batch);
    mem_free(load->chunks);
    mem_free(load->stretches);
    mem_free(load->stretch_ends);
    load->chunks = NULL;
    load->chunk_count = 0;
    load->chunk_memory = 0;
    load->stretches = NULL;
    load->stretch_count = 0;
    load->stretch_capacity = 0;
    load->stretch_ends = NULL;
}

void load_free(struct load *load)
{
    if (load == NULL)
        return;
    chunks_free(load);
    segment_writer_free(load->head_writer);
    cluster_sort_free(load->head_sort);
    segment_writer_free(load->writer);
    segment_deinit(&load->current.segment);
    column_codec_free(load->codec);
    load_partitions_deinit(&load->partitions);
    bytes_deinit(&load->key);
    bytes_deinit(&load->last_key);
    bytes_deinit(&load->block);
    batch_deinit(&load->gathered);
    spill_close(&load->spill);
    mem_free(load->row_partitions);
    mem_free(load->row_order);
    mem_free(load->row_touched);
    mem_free(load->partition_rows);
    mem_free(load->runs);
    mem_free(load->sorted);
    mem_free(load->tmp_folder);
    arena_deinit(&load->arena);
    mem_free(load);
}

void load_free_pointer(struct load **load)
{
    load_free(*load);
}

struct load_counts load_counts(const struct load *load)
{
    struct load_counts counts = load->counts;
    counts.partitions = load->partitions.count;
    counts.spilled_bytes += load->spill.bytes;
    if (load->head_sort != NULL)
        counts.spilled_bytes += cluster_sort_counts(load->head_sort).spilled_bytes;
    counts.spilled_runs = load->run_count;
    return counts;
}

/* ---- which partition a row belongs to ---- */

static enum err_code null_refused(const struct load *load, const struct column *column,
                                  const struct vector *vector, struct err *err)
{
    size_t row = 0;
    while (vector->valid[row] != 0)
        row++;
    return err_set(err, ERR_BAD_DATA, "row %" PRIu64 ": column %.*s must not be NULL",
                   load->counts.rows + row + 1, SPAN_PRINTF(column->name));
}

static enum err_code check_nulls(const struct load *load, const struct batch *batch,
                                 struct err *err)
{
    const struct schema *schema = &load->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].not_null && batch->vectors[i].null_count > 0)
            return null_refused(load, &schema->columns[i], &batch->vectors[i], err);
    }
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        const struct vector *vector = &batch->vectors[schema->column_count + i];
        if (vector->null_count > 0)
            return null_refused(load, &schema->partition_columns[i], vector, err);
    }
    return ERR_OK;
}

static enum err_code check_partition_texts(const struct load *load, const struct column *column,
                                           const struct vector *vector, struct err *err)
{
    uint32_t start = 0;
    for (size_t row = 0; row < vector->rows; row++) {
        size_t len = vector->text_end[row] - start;
        start = vector->text_end[row];
        if (len == 0 || len > LIMIT_PARTITION_VALUE_BYTES)
            return err_set(err, ERR_BAD_DATA,
                           "row %" PRIu64 ": partition column %.*s has %zu bytes, 1 to %d allowed",
                           load->counts.rows + row + 1, SPAN_PRINTF(column->name), len,
                           LIMIT_PARTITION_VALUE_BYTES);
    }
    return ERR_OK;
}

/* All of the batch, before any of it is taken. */
static enum err_code check_rows(const struct load *load, const struct batch *batch, struct err *err)
{
    const struct schema *schema = &load->schema;
    TRY(check_nulls(load, batch, err));
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        const struct column *column = &schema->partition_columns[i];
        if (column->type.kind == TYPE_STRING)
            TRY(check_partition_texts(load, column, &batch->vectors[schema->column_count + i],
                                      err));
    }
    return ERR_OK;
}

static void row_key(struct load *load, const struct batch *batch, size_t row)
{
    const struct schema *schema = &load->schema;
    bytes_clear(&load->key);
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        struct value value = vector_value(&batch->vectors[schema->column_count + i], row);
        key_append_value(&load->key, schema->partition_columns[i].type, value);
    }
}

static enum err_code find_partition(struct load *load, uint32_t *ret_partition, struct err *err)
{
    if (load->last_partition == NO_PARTITION ||
        !span_equal(bytes_span(&load->key), bytes_span(&load->last_key))) {
        uint32_t partition = load_partitions_add(&load->partitions, bytes_span(&load->key));
        if (load->partitions.count > LIMIT_LOAD_PARTITIONS)
            return err_set(err, ERR_LIMIT, "a load of more than %d partitions",
                           LIMIT_LOAD_PARTITIONS);
        load->last_partition = partition;
        bytes_clear(&load->last_key);
        bytes_append_span(&load->last_key, bytes_span(&load->key));
    }
    *ret_partition = load->last_partition;
    return ERR_OK;
}

/* Do this row and the one before it belong to one partition? */
static bool partition_goes_on(const struct load *load, const struct batch *batch, size_t row)
{
    const struct schema *schema = &load->schema;
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        const struct vector *vector = &batch->vectors[schema->column_count + i];
        bool same =
            vector->type.kind == TYPE_STRING
                ? span_equal(vector_value(vector, row).text, vector_value(vector, row - 1).text)
                : vector->i64[row] == vector->i64[row - 1];
        if (!same)
            return false;
    }
    return true;
}

/* load->row_partitions for all rows of the batch. */
static enum err_code find_partitions(struct load *load, const struct batch *batch, struct err *err)
{
    if (load->row_capacity < batch->rows) {
        load->row_partitions = mem_realloc(load->row_partitions, batch->rows, sizeof(uint32_t));
        load->row_order = mem_realloc(load->row_order, batch->rows, sizeof(uint32_t));
        load->row_touched = mem_realloc(load->row_touched, batch->rows, sizeof(uint32_t));
        load->row_capacity = batch->rows;
    }
    for (size_t row = 0; row < batch->rows; row++) {
        if (row > 0 && partition_goes_on(load, batch, row)) {
            load->row_partitions[row] = load->row_partitions[row - 1];
            continue;
        }
        row_key(load, batch, row);
        TRY(find_partition(load, &load->row_partitions[row], err));
    }
    return ERR_OK;
}

enum err_code load_touch(struct load *load, struct span key, struct err *err)
{
    ASSERT(!load->finished);
    bytes_clear(&load->key);
    bytes_append_span(&load->key, key);
    uint32_t partition;
    return find_partition(load, &partition, err);
}

/* ---- gathering ---- */

static struct load_chunk *chunk_open(struct load *load)
{
    if (load->chunk_count > 0) {
        struct load_chunk *last = &load->chunks[load->chunk_count - 1];
        size_t memory = batch_memory_bytes(&last->batch);
        if (memory < CHUNK_BYTES)
            return last;
        load->chunk_memory += memory;
    }
    load->chunks = mem_realloc(load->chunks, load->chunk_count + 1, sizeof(*load->chunks));
    struct load_chunk *chunk = &load->chunks[load->chunk_count++];
    *chunk = (struct load_chunk){0};
    batch_init(&chunk->batch, &load->schema);
    return chunk;
}

static void stretch_push(struct load *load, struct stretch stretch)
{
    if (load->stretch_count == load->stretch_capacity) {
        load->stretch_capacity += load->stretch_capacity / 2 + 64;
        load->stretches =
            mem_realloc(load->stretches, load->stretch_capacity, sizeof(*load->stretches));
    }
    load->stretches[load->stretch_count++] = stretch;
}

/* Counts the rows of each partition to partition_rows, the partitions in order of appearance to
 * row_touched. *ret_together: the rows of each stand together already. */
static size_t partitions_count(struct load *load, size_t at, size_t rows, bool *ret_together)
{
    size_t count = load->partitions.count, touched = 0, changes = 1;
    if (load->partition_capacity < count) {
        count += count / 2;
        load->partition_rows = mem_realloc(load->partition_rows, count, sizeof(uint32_t));
        memset(load->partition_rows + load->partition_capacity, 0,
               (count - load->partition_capacity) * sizeof(uint32_t));
        load->partition_capacity = count;
    }
    const uint32_t *partitions = load->row_partitions + at;
    for (size_t i = 0; i < rows; i++) {
        if (load->partition_rows[partitions[i]]++ == 0)
            load->row_touched[touched++] = partitions[i];
        changes += i > 0 && partitions[i] != partitions[i - 1];
    }
    *ret_together = changes == touched;
    return touched;
}

/* Rows at .. at + rows of the batch, in order of partition, to the chunk. */
static void gather_sorted(struct load *load, const struct batch *batch, size_t at, size_t rows)
{
    struct load_chunk *chunk = chunk_open(load);
    uint32_t row = (uint32_t)chunk->batch.rows, start = 0;
    bool together;
    size_t touched = partitions_count(load, at, rows, &together);
    for (size_t i = 0; i < touched; i++) {
        uint32_t partition = load->row_touched[i];
        uint32_t count = load->partition_rows[partition];
        stretch_push(load, (struct stretch){.partition = partition,
                                            .chunk = (uint32_t)load->chunk_count - 1,
                                            .row = row + start,
                                            .rows = count});
        load->partition_rows[partition] = start;
        start += count;
    }
    if (together) {
        for (size_t i = 0; i < chunk->batch.vector_count; i++)
            vector_append_range(&chunk->batch.vectors[i], &batch->vectors[i], at, rows);
    } else {
        for (size_t i = at; i < at + rows; i++)
            load->row_order[load->partition_rows[load->row_partitions[i]]++] = (uint32_t)i;
        for (size_t i = 0; i < chunk->batch.vector_count; i++)
            vector_append_rows(&chunk->batch.vectors[i], &batch->vectors[i], load->row_order, rows);
    }
    chunk->batch.rows += rows;
    for (size_t i = 0; i < touched; i++)
        load->partition_rows[load->row_touched[i]] = 0;
}

static void gather(struct load *load, const struct batch *batch, size_t at, size_t rows)
{
    while (rows > 0) {
        size_t count = rows < GATHER_ROWS_MAX ? rows : GATHER_ROWS_MAX;
        gather_sorted(load, batch, at, count);
        at += count;
        rows -= count;
    }
}

/* What rows take now, and what sorting them will. */
static size_t memory_in_use(struct load *load)
{
    size_t memory = load->chunk_memory + segment_writer_memory(load->head_writer) +
                    load_partitions_memory(&load->partitions) +
                    load->partition_capacity * sizeof(uint32_t) +
                    (load->stretch_capacity + load->stretch_count) * sizeof(struct stretch);
    if (load->head_sort != NULL)
        memory += cluster_sort_memory(load->head_sort);
    if (load->chunk_count > 0)
        memory += batch_memory_bytes(&load->chunks[load->chunk_count - 1].batch);
    if (memory > load->counts.memory_bytes_max)
        load->counts.memory_bytes_max = memory;
    return memory;
}

/* Stable: rows of a partition stay in the order in which they came. stretch_ends[rank] is where the
 * partition of that rank ends. */
static void sort_stretches(struct load *load)
{
    size_t partitions = load->partitions.count;
    mem_free(load->sorted);
    load->sorted = load_partitions_sorted(&load->partitions);
    MEM_CLEANUP uint32_t *ranks = mem_calloc(partitions, sizeof(*ranks));
    for (uint32_t rank = 0; rank < partitions; rank++)
        ranks[load->sorted[rank]] = rank;
    size_t *ends = mem_calloc(partitions + 1, sizeof(*ends));
    for (size_t i = 0; i < load->stretch_count; i++)
        ends[ranks[load->stretches[i].partition] + 1]++;
    for (size_t rank = 0; rank < partitions; rank++)
        ends[rank + 1] += ends[rank]; /* ends[rank] is where the partition begins, for now */
    struct stretch *sorted = mem_calloc(load->stretch_count, sizeof(*sorted));
    for (size_t i = 0; i < load->stretch_count; i++)
        sorted[ends[ranks[load->stretches[i].partition]]++] = load->stretches[i];
    mem_free(load->stretches);
    load->stretches = sorted;
    load->stretch_capacity = load->stretch_count;
    mem_free(load->stretch_ends);
    load->stretch_ends = ends;
    for (size_t i = 0; i < load->chunk_count; i++) {
        const struct batch *batch = &load->chunks[i].batch;
        size_t rows = SPILL_BLOCK_BYTES / (batch_memory_bytes(batch) / batch->rows + 1);
        load->chunks[i].block_rows = rows < 1 ? 1 : rows < BLOCK_STEP_ROWS ? rows : BLOCK_STEP_ROWS;
    }
}

static size_t batch_used_bytes(const struct batch *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->vector_count; i++)
        bytes += batch->rows * sizeof(int64_t) + batch->vectors[i].text.len;
    return bytes;
}

/* Moves about SPILL_BLOCK_BYTES of rows from the stretches at *at .. end to load->gathered; ends
 * before one of `rows_max` rows, unless it is the first. */
static void gather_block(struct load *load, size_t *at, size_t end, size_t rows_max)
{
    batch_clear(&load->gathered);
    do {
        struct stretch *stretch = &load->stretches[*at];
        const struct load_chunk *chunk = &load->chunks[stretch->chunk];
        uint32_t rows =
            stretch->rows < chunk->block_rows ? stretch->rows : (uint32_t)chunk->block_rows;
        batch_append_range(&load->gathered, &chunk->batch, stretch->row, rows);
        stretch->row += rows;
        stretch->rows -= rows;
        *at += stretch->rows == 0;
    } while (*at < end && load->stretches[*at].rows < rows_max &&
             batch_used_bytes(&load->gathered) < SPILL_BLOCK_BYTES);
}

/* ---- spilling ---- */

/* One block of load->gathered goes to load->block, which is written when it is large. */
static enum err_code spill_block(struct load *load, uint32_t partition, struct err *err)
{
    size_t at = load->block.len;
    bytes_append_u32(&load->block, partition);
    bytes_append_u32(&load->block, 0);
    batch_encode(&load->gathered, &load->block);
    size_t bytes = load->block.len - at - RUN_HEADER_BYTES;
    ASSERT(bytes <= UINT32_MAX);
    store_u32(load->block.data + at + 4, (uint32_t)bytes);
    if (load->block.len < SPILL_BLOCK_BYTES)
        return ERR_OK;
    TRY(spill_write(&load->spill, bytes_span(&load->block), err));
    bytes_clear(&load->block);
    return ERR_OK;
}

static enum err_code spill_run(struct load *load, struct err *err)
{
    if (load->spill.fd < 0)
        TRY(spill_open(&(struct space){load->tmp_folder, load->disk_reserve_bytes}, &load->spill,
                       err));
    struct load_run run = {.at = load->spill.bytes};
    sort_stretches(load);
    bytes_clear(&load->block);
    for (size_t rank = 0, at = 0; rank < load->partitions.count; rank++) {
        while (at < load->stretch_ends[rank]) {
            gather_block(load, &at, load->stretch_ends[rank], SIZE_MAX);
            TRY(spill_block(load, load->sorted[rank], err));
        }
    }
    TRY(spill_write(&load->spill, bytes_span(&load->block), err));
    run.end = load->spill.bytes;
    load->runs = mem_realloc(load->runs, load->run_count + 1, sizeof(*load->runs));
    load->runs[load->run_count++] = run;
    chunks_free(load);
    return ERR_OK;
}

/* ---- clustering ---- */

void load_set_clustering(struct load *load, struct load_clustering clustering)
{
    load->clustering = clustering;
}

static enum err_code clustering_of(const struct load *load, uint32_t partition,
                                   struct clustering *ret_clustering, struct err *err)
{
    *ret_clustering = (struct clustering){0};
    if (load->clustering.find == NULL)
        return ERR_OK;
    return load->clustering.find(load->clustering.context,
                                 load_partitions_key(&load->partitions, partition), ret_clustering,
                                 err);
}

static enum err_code sort_open(const struct load *load, const struct clustering *clustering,
                               size_t memory_bytes, struct cluster_sort **ret_sort,
                               struct cluster_layout *ret_layout, struct err *err)
{
    if (!cluster_layout_of(clustering, &load->schema, ret_layout))
        return err_set(err, ERR_SEMANTIC,
                       "the partition is clustered by a column that the table does not have; "
                       "INSERT OVERWRITE gives it the table's clustering");
    const struct cluster_sort_options options = {
        .schema = &load->schema,
        .layout = ret_layout,
        .space = {load->tmp_folder, load->disk_reserve_bytes},
        .memory_bytes = memory_bytes,
    };
    *ret_sort = cluster_sort_new(&options);
    return ERR_OK;
}

/* The partition of the first row: what comes for it before another's rows is not gathered. */
static enum err_code head_begin(struct load *load, uint32_t partition, struct err *err)
{
    TRY(clustering_of(load, partition, &load->head_clustering, err));
    if (load->head_clustering.kind != CLUSTERING_NONE)
        TRY(sort_open(load, &load->head_clustering, SORT_SHARE(load->memory_bytes),
                      &load->head_sort, &load->head_layout, err));
    load->head = partition;
    return ERR_OK;
}

/* ---- append, finish ---- */

enum err_code load_append(struct load *load, const struct batch *batch, struct err *err)
{
    ASSERT(!load->finished &&
           batch->vector_count == load->schema.column_count + load->schema.partition_column_count);
    TRY(check_rows(load, batch, err));
    TRY(find_partitions(load, batch, err));
    size_t at = 0;
    if (batch->rows > 0 && load->head == NO_PARTITION)
        TRY(head_begin(load, load->row_partitions[0], err));
    if (load->head_only) {
        while (at < batch->rows && load->row_partitions[at] == load->head)
            at++;
        TRY(load->head_sort != NULL ? cluster_sort_append(load->head_sort, batch, 0, at, err)
                                    : segment_append(load->head_writer, batch, 0, at, err));
        load->head_rows += at;
        load->head_only = at == batch->rows;
    }
    gather(load, batch, at, batch->rows - at);
    load->counts.rows += batch->rows;
    if (memory_in_use(load) > BUFFER_SHARE(load->memory_bytes) && load->chunk_count > 0)
        TRY(spill_run(load, err));
    return ERR_OK;
}

static enum err_code run_peek(struct load *load, struct load_run *run, struct err *err)
{
    run->partition = NO_PARTITION;
    if (run->at == run->end)
        return ERR_OK;
    uint8_t header[RUN_HEADER_BYTES];
    TRY(spill_read(&load->spill, run->at, header, sizeof(header), err));
    run->partition = load_u32(header);
    run->block_bytes = load_u32(header + 4);
    if (run->block_bytes > run->end - run->at - RUN_HEADER_BYTES)
        return err_set(err, ERR_CORRUPT, "temporary file: block longer than its run");
    return ERR_OK;
}

enum err_code load_finish(struct load *load, struct err *err)
{
    ASSERT(!load->finished);
    load->finished = true;
    if (load->run_count > 0 && load->chunk_count > 0)
        TRY(spill_run(load, err));
    for (size_t i = 0; i < load->run_count; i++)
        TRY(run_peek(load, &load->runs[i], err));
    sort_stretches(load);
    return ERR_OK;
}

/* ---- merging ---- */

/* Where the rows of a partition go: to its sort, if there is one. */
struct row_taker {
    struct segment_writer *writer;
    struct cluster_sort *sort; /* or NULL */
};

static enum err_code rows_take(const struct row_taker *taker, const struct batch *batch, size_t at,
                               size_t rows, struct err *err)
{
    return taker->sort != NULL ? cluster_sort_append(taker->sort, batch, at, rows, err)
                               : segment_append(taker->writer, batch, at, rows, err);
}

/* The run's blocks of this partition. */
static enum err_code merge_run(struct load *load, struct load_run *run, uint32_t partition,
                               const struct row_taker *taker, struct err *err)
{
    while (run->partition == partition) {
        bytes_resize(&load->block, run->block_bytes);
        TRY(spill_read(&load->spill, run->at + RUN_HEADER_BYTES, load->block.data, run->block_bytes,
                       err));
        enum err_code code = batch_decode(bytes_span(&load->block), &load->gathered, err);
        if (code != ERR_OK)
            return err_set(err, ERR_CORRUPT, "temporary file: damaged block");
        TRY(rows_take(taker, &load->gathered, 0, load->gathered.rows, err));
        run->at += RUN_HEADER_BYTES + run->block_bytes;
        TRY(run_peek(load, run, err));
    }
    return ERR_OK;
}

/* The partition's rows in memory. */
static enum err_code merge_stretches(struct load *load, size_t at, size_t end,
                                     const struct row_taker *taker, struct err *err)
{
    while (at < end) {
        struct stretch stretch = load->stretches[at];
        if (stretch.rows >= DIRECT_ROWS_MIN || at + 1 == end) {
            TRY(rows_take(taker, &load->chunks[stretch.chunk].batch, stretch.row, stretch.rows,
                          err));
            at++;
        } else {
            gather_block(load, &at, end, DIRECT_ROWS_MIN);
            TRY(rows_take(taker, &load->gathered, 0, load->gathered.rows, err));
        }
    }
    return ERR_OK;
}

static enum err_code merge_rows(struct load *load, size_t rank, const struct row_taker *taker,
                                struct err *err)
{
    uint32_t partition = load->sorted[rank];
    for (size_t i = 0; i < load->run_count; i++)
        TRY(merge_run(load, &load->runs[i], partition, taker, err));
    size_t at = rank == 0 ? 0 : load->stretch_ends[rank - 1];
    return merge_stretches(load, at, load->stretch_ends[rank], taker, err);
}

static enum err_code sorted_write(struct load *load, struct cluster_sort *sort,
                                  const struct cluster_layout *layout,
                                  struct segment_writer *writer, struct err *err)
{
    const struct batch *batch = NULL;
    uint32_t bucket = 0;
    segment_cluster(writer, layout);
    TRY(cluster_sort_finish(sort, err));
    for (;;) {
        TRY(cluster_sort_next(sort, &batch, &bucket, err));
        if (batch == NULL)
            break;
        TRY(segment_bucket(writer, bucket, err));
        TRY(segment_append(writer, batch, 0, batch->rows, err));
    }
    load->counts.spilled_bytes += cluster_sort_counts(sort).spilled_bytes;
    return ERR_OK;
}

static enum err_code merge_clustered(struct load *load, size_t rank,
                                     const struct clustering *clustering,
                                     struct segment_writer *writer, struct err *err)
{
    CLUSTER_SORT_CLEANUP struct cluster_sort *sort = NULL;
    struct cluster_layout layout = load->head_layout;
    if (load->sorted[rank] == load->head && load->head_sort != NULL) {
        sort = load->head_sort;
        load->head_sort = NULL;
    } else {
        size_t used = memory_in_use(load), least = SORT_MIN(load->memory_bytes);
        size_t left = used < load->memory_bytes ? load->memory_bytes - used : 0;
        TRY(sort_open(load, clustering, left > least ? left : least, &sort, &layout, err));
    }
    TRY(merge_rows(load, rank, &(struct row_taker){writer, sort}, err));
    return sorted_write(load, sort, &layout, writer, err);
}

static enum err_code merge_partition(struct load *load, size_t rank, struct err *err)
{
    uint32_t partition = load->sorted[rank];
    bool is_head = partition == load->head;
    struct clustering clustering;
    TRY(clustering_of(load, partition, &clustering, err));
    if (is_head && load->head_rows > 0 && !clustering_equal(&clustering, &load->head_clustering))
        return err_set(err, ERR_CONFLICT,
                       "the table's clustering has changed meanwhile; run it again");
    if (!is_head && load->writer == NULL)
        load->writer = segment_writer_new(&load->schema, load->codec, &load->sink);
    struct segment_writer *writer = is_head ? load->head_writer : load->writer;
    TRY(clustering.kind != CLUSTERING_NONE
            ? merge_clustered(load, rank, &clustering, writer, err)
            : merge_rows(load, rank, &(struct row_taker){.writer = writer}, err));
    segment_deinit(&load->current.segment);
    TRY(segment_finish(writer, &load->current.segment, err));
    load->current.key = load_partitions_key(&load->partitions, partition);
    return ERR_OK;
}

enum err_code load_next(struct load *load, const struct load_partition **ret_partition,
                        struct err *err)
{
    ASSERT(load->finished);
    if (load->sorted_at == load->partitions.count) {
        *ret_partition = NULL;
        return ERR_OK;
    }
    TRY(merge_partition(load, load->sorted_at, err));
    load->sorted_at++;
    *ret_partition = &load->current;
    return ERR_OK;
}
