/* What is kept of snapshots that are gone: what a source told of its newest one (meter.h, 'n') where no replica of
 * that table is here any more, and receipts (receipts.h, 'y') of versions that no snapshot of the project has. Neither
 * is shown to anybody; both go once they are older than history_retention.
 *
 * One look at all snapshots, then both sweeps; what is made meanwhile is younger than that age. Of what stays, a
 * digest of 64 bits is in memory: two that are alike keep a record for nothing. Threads: a worker's, any number at once.
 */
#ifndef NODE_LEFTOVERS_H
#define NODE_LEFTOVERS_H

#include <stdatomic.h>

#include "store/catalog_commit.h"

/* cancel: or NULL; once it is true the look ends with ERR_CANCELLED, and nothing is swept. */
enum err_code leftovers_sweep(struct store *store, uint64_t before_ms, const atomic_bool *cancel,
                              struct err *err) MUST_USE;

#endif
