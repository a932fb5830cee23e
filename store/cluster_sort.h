/* Rows of one partition into the order of its clustering: bucket, sort columns, arrival.
 *
 *     cluster_sort_new -> cluster_sort_append ... -> cluster_sort_finish -> cluster_sort_next ... -> free
 *
 * Rows are gathered; what exceeds the memory goes to a spill file as sorted runs, and runs of one
 * size are merged to a longer one when there are many, so that memory and open blocks are bounded
 * whatever the number of rows. A range clustering's buckets are cut when all rows are known:
 * row i of N begins bucket floor(i n / N) when that is above the bucket of the row before and its
 * range columns differ from that row's.
 *
 * Invariants: 1. What comes out depends on the rows and the order in which they came: not on memory
 * or batches. 2. Rows that compare as equal keep the order in which they came. 3. Rows with equal
 * range columns are in one bucket, and so are rows with equal hash columns.
 * Threads: one at a time; blocks on disk. After an error a sort can only be freed.
 */
#ifndef STORE_CLUSTER_SORT_H
#define STORE_CLUSTER_SORT_H

#include "proto/clustering.h"
#include "store/space.h"

struct cluster_sort_options {
    const struct schema *schema;         /* of the data columns; borrows until the sort is freed */
    const struct cluster_layout *layout; /* copied */
    struct space space;                  /* where it spills; its path is borrowed likewise */
    size_t memory_bytes;
};

struct cluster_sort;

struct cluster_sort *cluster_sort_new(const struct cluster_sort_options *options);
void cluster_sort_free(struct cluster_sort *sort); /* NULL is fine */
void cluster_sort_free_pointer(struct cluster_sort **sort);
#define CLUSTER_SORT_CLEANUP __attribute__((cleanup(cluster_sort_free_pointer)))

/* Rows at .. at + rows; the batch's first vectors are the data columns. Copies. ERR_NO_SPACE,
 * ERR_IO, ERR_NO_DESCRIPTORS. */
enum err_code cluster_sort_append(struct cluster_sort *sort, const struct batch *batch, size_t at,
                                  size_t rows, struct err *err) MUST_USE;
/* No more rows. Errors as above, and ERR_CORRUPT when the spill file is not as it was written. */
enum err_code cluster_sort_finish(struct cluster_sort *sort, struct err *err) MUST_USE;
/* The next rows, all of one bucket; NULL at the end. Valid until the next call. */
enum err_code cluster_sort_next(struct cluster_sort *sort, const struct batch **ret_batch,
                                uint32_t *ret_bucket, struct err *err) MUST_USE;

size_t cluster_sort_memory(const struct cluster_sort *sort); /* that rows take now */

struct cluster_sort_counts {
    uint64_t rows;
    uint64_t spilled_bytes; /* merges write rows again */
    size_t spilled_runs;
    size_t merges;          /* of runs to a longer one */
    size_t merge_bytes_max; /* of blocks in memory when a merge began */
};
struct cluster_sort_counts cluster_sort_counts(const struct cluster_sort *sort);

#endif
