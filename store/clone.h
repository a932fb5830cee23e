/* CLONE TABLE: partitions of one version become another table's, and no column file is touched.
 *
 *     reader_open(store, source_id, &source, err)            one moment of the source, pinned
 *     clone_create(content, &spec, source, &ranges, ...)     a table that is not there
 *     clone_into(write, source, &ranges, how, ...)           one that is: table_begin ... table_end
 *     reader_close(source)                                   after the commit: names pin from then on
 *
 * All partitions into a new table: its record names the source's version, whatever the size. Some of
 * them: a tree that keeps the source's subtrees where it can. Into a table that is there: the
 * entries of the partitions, as a load's would be. Each is one catalog_commit.
 *
 * Invariants: 1. a clone and its source share pages and files, and no record: what happens to one
 * name never changes the other. 2. A clone adds nothing to `held` but the pages that it writes: what
 * another account brought stays that account's (docs/decisions/clones.md).
 * Whether the columns fit, and who may do it, is asked in node. Threads: any; a call is one's own.
 */
#ifndef STORE_CLONE_H
#define STORE_CLONE_H

#include "store/table.h"

/* Of the source's partitions. */
struct clone_ranges {
    const struct span *prefixes; /* of partition keys; ascending, none begins with another */
    size_t count;                /* 0: all partitions */
};

/* How many partitions that are; counts to `most` and no further. */
enum err_code clone_count(const struct reader_handle *source, const struct clone_ranges *ranges,
                          uint64_t most, uint64_t *ret_count, struct err *err) MUST_USE;

/* spec->schema is not looked at: columns, clustering and the partitions' attributes are the
 * source's, the rest is spec's. content takes new pages. ERR_EXISTS. */
enum err_code clone_create(struct content *content, const struct table_spec *spec,
                           const struct reader_handle *source, const struct clone_ranges *ranges,
                           const struct change_note *note, struct table_id *ret_id,
                           struct err *err) MUST_USE;

enum clone_how {
    CLONE_REPLACE, /* partitions of equal keys go first */
    CLONE_ADD,     /* partitions that are there stay as they are */
};

/* write: of the destination, whose columns equal the source's, ids too. A replaced partition keeps
 * its creation time and lifecycle flag, an added one has the source's flag; both are modified now.
 * Nothing to add: only the outcome is remembered. ERR_CONFLICT: as table_write_commit. */
enum err_code clone_into(struct table_write *write, const struct reader_handle *source,
                         const struct clone_ranges *ranges, enum clone_how how,
                         const struct change_note *note, struct err *err) MUST_USE;

#endif
