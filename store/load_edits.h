/* From a load to tree_apply: each partition that the load gives becomes the edits of a manifest
 * tree, as it comes.
 *
 *     into       put P (old counts and the new), put P | n | ... (n: segments P had)
 *     overwrite  delete everything under P, put P, put P | 0 | ...
 *     replace    delete everything, put P, put P | 0 | ...: other partitions go
 *
 * Its rows are stored as the partition's clustering says: its own when it is there and goes on
 * (into), else `clustering`, which is set after load_edits_init. A partition that gets no rows has no segment.
 * One thread at a time; blocks as load_next and the tree's source do.
 */
#ifndef STORE_LOAD_EDITS_H
#define STORE_LOAD_EDITS_H

#include "store/load.h"
#include "store/tree.h"

enum load_mode {
    LOAD_INTO,
    LOAD_OVERWRITE,
    LOAD_REPLACE,
};

struct load_edits {
    struct load *load;       /* finished; borrows */
    const struct tree *base; /* what the edits are applied to; borrows */
    enum load_mode mode;
    struct clustering
        clustering; /* of new partitions, and of those that begin anew; the caller's */

    bool cleared;                           /* LOAD_REPLACE: the first edit was given */
    const struct load_partition *partition; /* whose edits are given, NULL between two */
    size_t entry_at;                        /* of its segment, the next to give */
    bool partition_given;
    uint32_t segment_number;
    struct page_entry entry;
    struct bytes key;
    struct tree_page base_leaf; /* LOAD_INTO: where the last partition was looked for */
    bool base_leaf_read;
    bool base_passed; /* keys ascend: the base has none at or after the last one */

    uint64_t rows; /* loaded, so far */
    uint64_t partition_count;
};

/* From now on the load asks these edits how partitions are clustered: they stay where they are. */
void load_edits_init(struct load_edits *edits, struct load *load, const struct tree *base,
                     enum load_mode mode);
void load_edits_deinit(struct load_edits *edits);
#define LOAD_EDITS_CLEANUP __attribute__((cleanup(load_edits_deinit)))

struct tree_edit_source load_edits_source(struct load_edits *edits);

#endif
