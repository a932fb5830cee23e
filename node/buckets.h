/* Which buckets and sort keys of a clustered partition a pass may need, from what WHERE leaves of
 * single columns. Prunes only: what is wanted may still have no row of the result.
 *
 *     hash    every clustering column is equal to some values: the buckets of these, others are not wanted
 *     sorted  the first sort column lies in intervals (and, where it is one value, the next in one):
 *             row groups whose first and last sort key are outside are not wanted
 *
 * Threads: of the pass that it belongs to. Zeroed is valid: nothing is known, all is wanted.
 */
#ifndef NODE_BUCKETS_H
#define NODE_BUCKETS_H

#include "node/sql/select.h"
#include "proto/clustering.h"

#define BUCKETS_TRIED_MAX 4096 /* combinations of values; of more, all buckets are wanted */

struct bucket_filter {
    struct clustering clustering; /* what the rest was made for */
    bool limits_buckets;
    uint8_t wanted[LIMIT_BUCKETS / 8]; /* a bit a bucket */
    bool limits_keys;
    struct bytes *lows; /* of key_count intervals of sort keys, cut */
    struct bytes *highs;
    size_t key_count;
};

/* For another partition: cheap when it is clustered as the last one. Borrows nothing. */
void bucket_filter_set(struct bucket_filter *filter, const struct clustering *clustering,
                       const struct schema *schema, const struct select_domain *domains,
                       size_t domain_count);
void bucket_filter_deinit(struct bucket_filter *filter);
bool bucket_wanted(const struct bucket_filter *filter, uint32_t bucket);
/* Of a row group: its first and last key, cut; empty where it is not sorted. */
bool sort_keys_wanted(const struct bucket_filter *filter, struct span first, struct span last);

#endif
