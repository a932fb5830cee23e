/* Are the rows of clustered partitions where their clustering says? The pages' own rules (bucket in
 * range, buckets and sort keys ascending) are asked whenever a tree comes in (store/tree_check.h);
 * this reads the columns: every row is in its bucket, buckets are sorted, and what row groups say
 * of their first and last sort key is so. For fsck. Blocks as the sources do.
 */
#ifndef STORE_CLUSTER_CHECK_H
#define STORE_CLUSTER_CHECK_H

#include "store/scan.h"

/* ERR_CORRUPT names partition, segment and bucket of the first fault. *ret_rows: looked at. Partitions
 * that are not clustered are passed over; clustered by a column that the schema does not have:
 * ERR_CORRUPT. */
enum err_code cluster_check(const struct tree *tree, const struct schema *schema,
                            const struct file_source *files, uint64_t *ret_rows,
                            struct err *err) MUST_USE;

#endif
