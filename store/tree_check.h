/* Do row groups belong to the partition before them and add up to what it says? Entries of a
 * manifest tree in order; private to store/tree*.c. One thread. Zeroed is valid and empty. */
#ifndef STORE_TREE_CHECK_H
#define STORE_TREE_CHECK_H

#include "store/tree.h"

/* The partition under way and what its row groups add up to. */
struct tree_check {
    bool has_partition;
    struct bytes key;
    struct page_partition partition;
    uint64_t rows;
    uint64_t bytes;
    uint32_t segments;
    bool has_group;
    struct row_group_place group;
    uint64_t group_rows;
    uint32_t group_bucket;
    struct bytes sort_first; /* of the row group under way */
    struct bytes sort_last;
    struct bytes group_files; /* digests of the row group under way: a file counts once */
};

void tree_check_deinit(struct tree_check *check);
/* The next leaf entry; a partition ends the one before. ERR_CORRUPT. */
enum err_code tree_check_entry(struct tree_check *check, const struct page_entry *entry,
                               struct err *err) MUST_USE;
/* The partition under way has ended. ERR_CORRUPT. */
enum err_code tree_check_end(const struct tree_check *check, struct err *err) MUST_USE;

#endif
