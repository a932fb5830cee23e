/* Schedules of a store that was restored: they are paused, and runs that had not ended are skipped.
 *
 * A run that was done after the cut would be done again, of older rows under the name of its day, and a region
 * that copies it would put that in the place of the good one. Who knows what has run resumes them (ALTER
 * SCHEDULE ... RESUME); what was missed is not made up, RUN SCHEDULE ... FOR does a day again.
 * Threads: one; before the node runs.
 */
#ifndef NODE_RESTORED_SCHEDULES_H
#define NODE_RESTORED_SCHEDULES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

struct store;

enum err_code restored_schedules_pause(struct store *store, uint64_t now_ms, size_t *ret_paused,
                                       size_t *ret_skipped, struct err *err) MUST_USE;

#endif
