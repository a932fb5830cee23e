#include "store/cluster_sort.h"

#include "store/spill.h"

#define STEP_BYTES       KIB(512) /* taken between two looks at the memory, about */
#define STEP_ROWS_MAX    256
#define ROWS_OUT         4096 /* given at a time */
#define BYTES_OUT        MIB(1)
#define FAN_IN_FEW       8 /* runs merged at a time, with little memory */
#define FAN_IN_MANY      64
#define FAN_IN_MANY_FROM MIB(32)
#define BLOCK_BYTES_MIN  KIB(16)
#define BLOCK_BYTES_MAX  KIB(512)
#define HEADER_BYTES     4
#define MEMORY_BYTES_MAX (1024 * MIB(1)) /* texts of a vector stay far below 4 GiB */

/* A row to be ordered: most comparisons end with bucket and prefix. */
struct sort_row {
    uint64_t prefix; /* first 8 bytes of the sort key */
    uint32_t bucket; /* of a hash; 0 of a range */
    uint32_t row;    /* in its batch */
};

/* Sorted rows in the spill file, `at` to `end`, as blocks: u32 bytes | batch. In order of arrival. */
struct sort_run {
    uint64_t at;
    uint64_t end;
    unsigned level; /* how often its rows were merged */
};

/* A run being read. */
struct sort_source {
    struct sort_run run;
    struct batch block;
    struct sort_row at; /* the next row; at.row == block.rows: none */
};

struct cluster_sort {
    const struct schema *schema;
    struct cluster_layout layout;
    struct space space;
    size_t memory_bytes;
    size_t block_bytes;
    size_t block_bytes_longest; /* of those written: one row may be longer than a block should be */
    size_t fan_in;

    struct batch gathered; /* rows as they came */
    struct sort_row *rows; /* of `gathered`; in order once that is sorted */
    size_t row_capacity;

    struct spill spill;
    struct sort_run *runs;
    size_t run_count;
    struct sort_source *sources; /* of the merge under way */
    size_t source_count;
    size_t *heap; /* sources by their next row */
    size_t heap_count;

    bool finished;
    uint64_t given;  /* rows that cluster_sort_next has taken */
    uint32_t bucket; /* of the row before */
    struct batch out;
    uint32_t order[ROWS_OUT]; /* scratch: rows of `gathered` on their way to `out` */
    struct batch last;        /* its one row: the last that was given out by a merge */
    struct bytes key;
    struct bytes block;
    struct cluster_sort_counts counts;
};

/* ---- new, free ---- */

struct cluster_sort *cluster_sort_new(const struct cluster_sort_options *options)
{
    struct cluster_sort *sort = mem_calloc(1, sizeof(*sort));
    bool many = options->memory_bytes >= FAN_IN_MANY_FROM;
    sort->schema = options->schema;
    sort->layout = *options->layout;
    sort->space = options->space;
    sort->memory_bytes =
        options->memory_bytes < MEMORY_BYTES_MAX ? options->memory_bytes : MEMORY_BYTES_MAX;
    sort->fan_in = many ? FAN_IN_MANY : FAN_IN_FEW;
    sort->block_bytes = options->memory_bytes / (4 * sort->fan_in);
    if (sort->block_bytes < BLOCK_BYTES_MIN)
        sort->block_bytes = BLOCK_BYTES_MIN;
    if (sort->block_bytes > BLOCK_BYTES_MAX)
        sort->block_bytes = BLOCK_BYTES_MAX;
    sort->spill = SPILL_CLOSED;
    batch_init(&sort->gathered, sort->schema);
    batch_init(&sort->out, sort->schema);
    batch_init(&sort->last, sort->schema);
    return sort;
}

static void gathered_free(struct cluster_sort *sort)
{
    batch_deinit(&sort->gathered);
    batch_init(&sort->gathered, sort->schema);
    mem_free(sort->rows);
    sort->rows = NULL;
    sort->row_capacity = 0;
}

static void sources_free(struct cluster_sort *sort)
{
    for (size_t i = 0; i < sort->source_count; i++)
        batch_deinit(&sort->sources[i].block);
    mem_free(sort->sources);
    mem_free(sort->heap);
    sort->sources = NULL;
    sort->heap = NULL;
    sort->source_count = 0;
    sort->heap_count = 0;
}

void cluster_sort_free(struct cluster_sort *sort)
{
    if (sort == NULL)
        return;
    batch_deinit(&sort->gathered);
    mem_free(sort->rows);
    sources_free(sort);
    spill_close(&sort->spill);
    mem_free(sort->runs);
    batch_deinit(&sort->out);
    batch_deinit(&sort->last);
    bytes_deinit(&sort->key);
    bytes_deinit(&sort->block);
    mem_free(sort);
}

void cluster_sort_free_pointer(struct cluster_sort **sort)
{
    cluster_sort_free(*sort);
}

struct cluster_sort_counts cluster_sort_counts(const struct cluster_sort *sort)
{
    struct cluster_sort_counts counts = sort->counts;
    counts.spilled_bytes = sort->spill.bytes;
    return counts;
}

size_t cluster_sort_memory(const struct cluster_sort *sort)
{
    size_t rows = sort->row_capacity + sort->gathered.rows; /* qsort makes a copy */
    return batch_memory_bytes(&sort->gathered) + rows * sizeof(struct sort_row);
}

/* ---- order ---- */

static struct sort_row sort_row_of(struct cluster_sort *sort, const struct batch *batch, size_t row)
{
    struct sort_row item = {.row = (uint32_t)row};
    if (sort->layout.kind == CLUSTERING_HASH)
        item.bucket = cluster_row_bucket(&sort->layout, batch, row, &sort->key);
    sort_key_of(&sort->layout, batch, row, &sort->key);
    uint8_t prefix[8] = {0};
    size_t len = sort->key.len < sizeof(prefix) ? sort->key.len : sizeof(prefix);
    if (len > 0)
        memcpy(prefix, sort->key.data, len);
    item.prefix = load_u64(prefix);
    return item;
}

/* By bucket and sort columns; 0 where the order of arrival decides. */
static int sort_rows_compare(const struct cluster_sort *sort, const struct sort_row *a,
                             const struct batch *a_batch, const struct sort_row *b,
                             const struct batch *b_batch)
{
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return cluster_rows_compare(&sort->layout, sort->layout.sort_count, a_batch, a->row, b_batch,
                                b->row);
}

static int gathered_compare(const void *left, const void *right, void *context)
{
    const struct cluster_sort *sort = context;
    const struct sort_row *a = left, *b = right;
    int order = sort_rows_compare(sort, a, &sort->gathered, b, &sort->gathered);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static void gathered_sort(struct cluster_sort *sort)
{
    if (sort->gathered.rows > 0)
        qsort_r(sort->rows, sort->gathered.rows, sizeof(*sort->rows), gathered_compare, sort);
}

/* ---- spilling ---- */

static size_t row_bytes(const struct batch *batch, size_t row)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->vector_count; i++)
        bytes += vector_plain_bytes(&batch->vectors[i], row);
    return bytes;
}

/* To `out`, which is empty: the rows in sort->order. */
static void rows_copy(struct cluster_sort *sort, size_t count)
{
    for (size_t i = 0; i < sort->out.vector_count; i++)
        vector_append_rows(&sort->out.vectors[i], &sort->gathered.vectors[i], sort->order, count);
    sort->out.rows += count;
}

static enum err_code block_write(struct cluster_sort *sort, struct err *err)
{
    if (sort->out.rows == 0)
        return ERR_OK;
    bytes_clear(&sort->block);
    bytes_append_u32(&sort->block, 0);
    batch_encode(&sort->out, &sort->block);
    ASSERT(sort->block.len - HEADER_BYTES <= UINT32_MAX);
    store_u32(sort->block.data, (uint32_t)(sort->block.len - HEADER_BYTES));
    batch_clear(&sort->out);
    if (sort->block.len > sort->block_bytes_longest)
        sort->block_bytes_longest = sort->block.len;
    return spill_write(&sort->spill, bytes_span(&sort->block), err);
}

/* One row more of the run that is being merged; *bytes: of `out`. */
static enum err_code run_add(struct cluster_sort *sort, const struct batch *batch, size_t row,
                             size_t *bytes, struct err *err)
{
    batch_append_range(&sort->out, batch, row, 1);
    *bytes += row_bytes(batch, row);
    if (*bytes < sort->block_bytes)
        return ERR_OK;
    *bytes = 0;
    return block_write(sort, err);
}

static void run_push(struct cluster_sort *sort, uint64_t at, unsigned level)
{
    sort->runs = mem_realloc(sort->runs, sort->run_count + 1, sizeof(*sort->runs));
    sort->runs[sort->run_count++] =
        (struct sort_run){.at = at, .end = sort->spill.bytes, .level = level};
}

/* The gathered rows become a run. */
static enum err_code run_spill(struct cluster_sort *sort, struct err *err)
{
    if (sort->spill.fd < 0)
        TRY(spill_open(&sort->space, &sort->spill, err));
    uint64_t at = sort->spill.bytes;
    gathered_sort(sort);
    for (size_t next = 0; next < sort->gathered.rows;) {
        size_t count = 0;
        for (size_t bytes = 0;
             next < sort->gathered.rows && count < ROWS_OUT && bytes < sort->block_bytes; next++) {
            sort->order[count++] = sort->rows[next].row;
            bytes += row_bytes(&sort->gathered, sort->rows[next].row);
        }
        rows_copy(sort, count);
        TRY(block_write(sort, err));
    }
    run_push(sort, at, 0);
    sort->counts.spilled_runs++;
    gathered_free(sort);
    return ERR_OK;
}

/* ---- merging ---- */

/* How many runs may be merged at a time: each has a block in memory, and cells may be long. */
static size_t merge_width(const struct cluster_sort *sort, size_t most)
{
    size_t fits = sort->memory_bytes / (sort->block_bytes_longest + 1);
    fits = fits < 2 ? 2 : fits;
    return fits < most ? fits : most;
}

/* The source's next row, from its next block when this one is used up. */
static enum err_code source_step(struct cluster_sort *sort, struct sort_source *source,
                                 struct err *err)
{
    size_t next = (size_t)source->at.row + 1;
    if (next >= source->block.rows) {
        batch_clear(&source->block);
        source->at.row = 0;
        if (source->run.at == source->run.end)
            return ERR_OK;
        uint8_t header[HEADER_BYTES];
        TRY(spill_read(&sort->spill, source->run.at, header, sizeof(header), err));
        uint32_t bytes = load_u32(header);
        if (bytes > source->run.end - source->run.at - HEADER_BYTES)
            return err_set(err, ERR_CORRUPT, "temporary file: block longer than its run");
        bytes_resize(&sort->block, bytes);
        TRY(spill_read(&sort->spill, source->run.at + HEADER_BYTES, sort->block.data, bytes, err));
        if (batch_decode(bytes_span(&sort->block), &source->block, err) != ERR_OK ||
            source->block.rows == 0)
            return err_set(err, ERR_CORRUPT, "temporary file: damaged block");
        source->run.at += HEADER_BYTES + bytes;
        next = 0;
    }
    source->at = sort_row_of(sort, &source->block, next);
    return ERR_OK;
}

static bool source_before(const struct cluster_sort *sort, size_t a, size_t b)
{
    const struct sort_source *left = &sort->sources[a], *right = &sort->sources[b];
    int order = sort_rows_compare(sort, &left->at, &left->block, &right->at, &right->block);
    return order != 0 ? order < 0 : a < b; /* earlier runs came earlier */
}

static void heap_sink(struct cluster_sort *sort, size_t at)
{
    for (;;) {
        size_t least = at, child = 2 * at + 1;
        for (size_t i = child; i < child + 2 && i < sort->heap_count; i++) {
            if (source_before(sort, sort->heap[i], sort->heap[least]))
                least = i;
        }
        if (least == at)
            return;
        size_t moved = sort->heap[at];
        sort->heap[at] = sort->heap[least];
        sort->heap[least] = moved;
        at = least;
    }
}

/* Over the last `count` runs. */
static enum err_code merge_begin(struct cluster_sort *sort, size_t count, struct err *err)
{
    sources_free(sort);
    sort->sources = mem_calloc(count, sizeof(*sort->sources));
    sort->heap = mem_calloc(count, sizeof(*sort->heap));
    for (size_t i = 0; i < count; i++) {
        struct sort_source *source = &sort->sources[i];
        batch_init(&source->block, sort->schema);
        sort->source_count++;
        source->run = sort->runs[sort->run_count - count + i];
        TRY(source_step(sort, source, err));
        sort->heap[sort->heap_count++] = i; /* a run has at least one row */
    }
    for (size_t i = count / 2; i-- > 0;)
        heap_sink(sort, i);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += batch_memory_bytes(&sort->sources[i].block);
    if (bytes > sort->counts.merge_bytes_max)
        sort->counts.merge_bytes_max = bytes;
    return ERR_OK;
}

/* Drops the least row of the merge. */
static enum err_code merge_step(struct cluster_sort *sort, struct err *err)
{
    struct sort_source *source = &sort->sources[sort->heap[0]];
    TRY(source_step(sort, source, err));
    if (source->block.rows == 0)
        sort->heap[0] = sort->heap[--sort->heap_count];
    heap_sink(sort, 0);
    return ERR_OK;
}

/* The last `count` runs become one. */
static enum err_code runs_merge(struct cluster_sort *sort, size_t count, struct err *err)
{
    uint64_t at = sort->spill.bytes;
    unsigned level = sort->runs[sort->run_count - 1].level + 1;
    size_t bytes = 0;
    TRY(merge_begin(sort, count, err));
    while (sort->heap_count > 0) {
        const struct sort_source *source = &sort->sources[sort->heap[0]];
        TRY(run_add(sort, &source->block, source->at.row, &bytes, err));
        TRY(merge_step(sort, err));
    }
    TRY(block_write(sort, err));
    sources_free(sort);
    for (size_t i = sort->run_count - count; i < sort->run_count; i++)
        spill_discard(&sort->spill, sort->runs[i].at, sort->runs[i].end - sort->runs[i].at);
    sort->run_count -= count;
    run_push(sort, at, level);
    sort->counts.merges++;
    return ERR_OK;
}

/* As many runs of one level as may be merged at a time become one of the next. */
static enum err_code runs_tidy(struct cluster_sort *sort, struct err *err)
{
    for (;;) {
        size_t same = 0;
        while (same < sort->run_count && sort->runs[sort->run_count - 1 - same].level ==
                                             sort->runs[sort->run_count - 1].level)
            same++;
        size_t width = merge_width(sort, sort->fan_in);
        if (same < width)
            return ERR_OK;
        TRY(runs_merge(sort, width, err));
    }
}

/* ---- rows in ---- */

static void row_push(struct cluster_sort *sort, size_t at, const struct sort_row *row)
{
    if (at == sort->row_capacity) {
        sort->row_capacity += sort->row_capacity / 2 + 256;
        sort->rows = mem_realloc(sort->rows, sort->row_capacity, sizeof(*sort->rows));
    }
    sort->rows[at] = *row;
}

/* How many rows are taken between two looks at the memory. */
static size_t rows_step(const struct batch *batch)
{
    size_t rows = STEP_BYTES / (batch_memory_bytes(batch) / batch->rows + 1);
    return rows < 1 ? 1 : rows < STEP_ROWS_MAX ? rows : STEP_ROWS_MAX;
}

enum err_code cluster_sort_append(struct cluster_sort *sort, const struct batch *batch, size_t at,
                                  size_t rows, struct err *err)
{
    ASSERT(!sort->finished && at + rows <= batch->rows);
    sort->counts.rows += rows;
    size_t step = rows > 0 ? rows_step(batch) : 0;
    while (rows > 0) {
        size_t count = rows < step ? rows : step;
        size_t start = sort->gathered.rows;
        for (size_t i = 0; i < sort->gathered.vector_count; i++)
            vector_append_range(&sort->gathered.vectors[i], &batch->vectors[i], at, count);
        sort->gathered.rows += count;
        for (size_t i = 0; i < count; i++) {
            struct sort_row row = sort_row_of(sort, batch, at + i);
            row.row = (uint32_t)(start + i);
            row_push(sort, start + i, &row);
        }
        at += count;
        rows -= count;
        if (cluster_sort_memory(sort) > sort->memory_bytes) {
            TRY(run_spill(sort, err));
            TRY(runs_tidy(sort, err));
        }
    }
    return ERR_OK;
}

/* ---- rows out ---- */

enum err_code cluster_sort_finish(struct cluster_sort *sort, struct err *err)
{
    ASSERT(!sort->finished);
    sort->finished = true;
    if (sort->run_count == 0) {
        gathered_sort(sort);
        return ERR_OK;
    }
    if (sort->gathered.rows > 0)
        TRY(run_spill(sort, err));
    TRY(runs_tidy(sort, err));
    while (sort->run_count > merge_width(sort, 2 * sort->fan_in))
        TRY(runs_merge(sort, merge_width(sort, sort->fan_in), err));
    return merge_begin(sort, sort->run_count, err);
}

static uint64_t range_bucket_count(const struct cluster_sort *sort)
{
    if (sort->layout.bucket_count > 0)
        return sort->layout.bucket_count;
    uint64_t buckets = (sort->counts.rows + RANGE_BUCKET_ROWS - 1) / RANGE_BUCKET_ROWS;
    return buckets < LIMIT_BUCKETS ? buckets : LIMIT_BUCKETS;
}

/* The bucket of the row that comes next, after the row `before`; that is not looked at for the first. */
static uint32_t row_bucket(const struct cluster_sort *sort, const struct batch *batch,
                           const struct sort_row *row, const struct batch *before,
                           size_t before_row)
{
    if (sort->layout.kind == CLUSTERING_HASH)
        return row->bucket;
    __extension__ unsigned __int128 wide =
        (unsigned __int128)sort->given * range_bucket_count(sort) / sort->counts.rows;
    uint32_t bucket = (uint32_t)wide;
    if (bucket <= sort->bucket)
        return sort->bucket;
    bool differs = cluster_rows_compare(&sort->layout, sort->layout.key_count, batch, row->row,
                                        before, before_row) != 0;
    return differs ? bucket : sort->bucket;
}

/* Nothing was spilled: rows of one bucket to `out`. */
static void gathered_next(struct cluster_sort *sort)
{
    size_t count = 0;
    const struct batch *batch = &sort->gathered;
    for (size_t bytes = 0; sort->given < batch->rows && count < ROWS_OUT && bytes < BYTES_OUT;) {
        const struct sort_row *row = &sort->rows[sort->given];
        uint32_t bucket = row_bucket(sort, batch, row, batch, sort->given > 0 ? row[-1].row : 0);
        if (count > 0 && bucket != sort->bucket)
            break;
        sort->bucket = bucket;
        sort->order[count++] = row->row;
        bytes += row_bytes(batch, row->row);
        sort->given++;
    }
    rows_copy(sort, count);
}

/* The same from the merge. */
static enum err_code merged_next(struct cluster_sort *sort, struct err *err)
{
    for (size_t bytes = 0;
         sort->heap_count > 0 && sort->out.rows < ROWS_OUT && bytes < BYTES_OUT;) {
        const struct sort_source *source = &sort->sources[sort->heap[0]];
        const struct batch *before = sort->out.rows > 0 ? &sort->out : &sort->last;
        uint32_t bucket = row_bucket(sort, &source->block, &source->at, before, before->rows - 1);
        if (sort->out.rows > 0 && bucket != sort->bucket)
            break;
        sort->bucket = bucket;
        batch_append_range(&sort->out, &source->block, source->at.row, 1);
        bytes += row_bytes(&source->block, source->at.row);
        sort->given++;
        TRY(merge_step(sort, err));
    }
    return ERR_OK;
}

enum err_code cluster_sort_next(struct cluster_sort *sort, const struct batch **ret_batch,
                                uint32_t *ret_bucket, struct err *err)
{
    ASSERT(sort->finished);
    if (sort->out.rows > 0) {
        batch_clear(&sort->last);
        batch_append_range(&sort->last, &sort->out, sort->out.rows - 1, 1);
    }
    batch_clear(&sort->out);
    if (sort->run_count > 0)
        TRY(merged_next(sort, err));
    else
        gathered_next(sort);
    *ret_batch = sort->out.rows > 0 ? &sort->out : NULL;
    *ret_bucket = sort->bucket;
    return ERR_OK;
}
