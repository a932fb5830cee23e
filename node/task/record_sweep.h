/* Deletes records that nobody needs any more: of one family and prefix, those of which `goes` says so, as many as
 * one commit takes at a time. A record that was changed since it was looked at stays, and its neighbours of that commit
 * with it, until the next sweep.
 *
 * Which records those are is for whom they belong to (meter.h, receipts.h). Threads: any; a worker's work.
 */
#ifndef NODE_TASK_RECORD_SWEEP_H
#define NODE_TASK_RECORD_SWEEP_H

#include "store/catalog_commit.h"

/* Borrows for the call. */
typedef bool record_goes(void *context, struct span key, struct span value);
enum err_code record_sweep(struct store *store, enum family family, struct span prefix,
                           record_goes *goes, void *context, struct err *err) MUST_USE;

#endif
