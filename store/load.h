/* A load: rows of many partitions in, the segments of each partition out, in order of key.
 *
 *     load_open -> load_append ... -> load_finish -> load_next ... -> load_free
 *
 * Rows of a clustered partition go through store/cluster_sort.h, within the same memory. Of others,
 * while all rows belong to one partition they are encoded as they come. With the second partition
 * rows are gathered; beyond the memory allowed they go to a spill file as runs, each in order of
 * partition (store/spill.h), and load_next merges these. So memory is bounded by `memory_bytes`
 * and a row group, whatever the number of partitions; where rows are cut depends on neither.
 *
 * Invariants: 1. Rows of a partition keep the order in which they came. 2. Equal rows in equal
 * order within their partitions give equal segments, however the partitions interleave, whatever
 * the memory and the batches. 3. All files of a segment are with the sink before load_next gives
 * it.
 * Threads: one at a time; blocks on disk and sink. After an error a load can only be freed.
 * Elsewhere: edits for tree_apply (store/load_edits.h), what a segment is (store/segment.h).
 */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include "store/segment.h"

/* How the rows of a partition are to be stored. */
struct load_clustering {
    /* NULL: no partition is clustered. Asked of the partition that the load's first row is in when
     * that comes, and of every partition when load_next comes to it. */
    enum err_code (*find)(void *context, struct span key, struct clustering *ret_clustering,
                          struct err *err);
    void *context;
};

struct load_options {
    const struct schema *schema; /* copied */
    struct file_sink sink;       /* copied */
    const char *tmp_folder;      /* exists; copied */
    size_t memory_bytes;         /* 0: LOAD_MEMORY_BYTES_DEFAULT; at least LOAD_MEMORY_BYTES_MIN */
    uint64_t disk_reserve_bytes; /* what spilling leaves free */
    struct load_clustering clustering; /* copied */
};

struct load;

struct load *load_open(const struct load_options *options);
void load_free(struct load *load); /* NULL is fine */
void load_free_pointer(struct load **load);
#define LOAD_CLEANUP __attribute__((cleanup(load_free_pointer)))

/* Data columns in schema order, then partition columns (batch_init_all). Copies. ERR_BAD_DATA, and
 * nothing of the batch is taken: NULL in a NOT NULL or partition column, an empty or too long
 * partition value (named with the row's number in the load, from 1). ERR_LIMIT: too many
 * partitions. ERR_NO_SPACE, ERR_IO, and the sink's. */
enum err_code load_append(struct load *load, const struct batch *batch, struct err *err) MUST_USE;
/* The partition of this key is given by load_next even without a row. */
enum err_code load_touch(struct load *load, struct span key, struct err *err) MUST_USE;
/* Who is asked from now on: what the load is applied to is known later than what its first row is. */
void load_set_clustering(struct load *load, struct load_clustering clustering);
/* No more rows. */
enum err_code load_finish(struct load *load, struct err *err) MUST_USE;

struct load_partition {
    struct span key; /* proto/key.h; borrows from the load until it is freed */
    struct segment segment;
};
/* The next partition in ascending order of key; NULL at the end. Valid until the next call.
 * ERR_CONFLICT: the partition of the first row is no longer clustered as when that came.
 * ERR_SEMANTIC: it is clustered by a column that the schema does not have. */
enum err_code load_next(struct load *load, const struct load_partition **ret_partition,
                        struct err *err) MUST_USE;

struct load_counts {
    uint64_t rows;
    size_t partitions;
    uint64_t spilled_bytes;
    size_t spilled_runs;
    size_t memory_bytes_max; /* the most that rows took */
};
struct load_counts load_counts(const struct load *load);

#endif
