/* PARTITION(...), PARTITION(...) of CLONE TABLE as ranges of the source's partition keys.
 *
 * A spec of the first columns is one prefix, whatever is below it; one that leaves out a column in
 * front of another is the partitions that fit, each by its key. Every spec names at least one
 * partition, and no partition is named by two. Threads: one.
 */
#ifndef NODE_STATEMENT_CLONE_RANGES_H
#define NODE_STATEMENT_CLONE_RANGES_H

#include "node/statement/statement.h"
#include "store/clone.h"

struct clone_selection {
    struct clone_ranges ranges; /* borrows from the rest */
    struct span *prefixes;
    struct bytes keys;   /* prefixes, one after another */
    struct bytes places; /* struct clone_place[] */
};

void clone_selection_deinit(struct clone_selection *selection);
#define CLONE_SELECTION_CLEANUP __attribute__((cleanup(clone_selection_deinit)))

/* No specs: all partitions. ERR_SEMANTIC, ERR_CAST: a column or value that cannot be, a partition
 * named twice, specs of a table without partitions; ERR_NOT_FOUND: a spec that names nothing. With
 * line and column of the spec. */
enum err_code clone_selection_make(const struct statement_call *call,
                                   const struct partition_specs *specs,
                                   const struct reader_handle *source,
                                   struct clone_selection *selection, struct err *err) MUST_USE;

#endif
