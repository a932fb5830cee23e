/* What the node does with the audit log (store/audit.h) beside the commits of changes: refusals and
 * downloads, and count and head in the node's log.
 *
 *     refusal --auditor_refused--> an entry of its own        at most AUDITOR_BURST at once and one
 *                              `-> counted, last one kept       every AUDITOR_EVERY_MS, of each principal
 *     timer --auditor_tick--> an entry "... and n more"; once an hour a line of the node's log
 *
 * So nobody fills the disk by being refused, and nobody who is refused stays unseen: the first have
 * an entry each, and what was only counted has one as soon as there is room, at a stop at the latest.
 * Counts of the last AUDITOR_EVERY_MS are lost when the process is killed; the entries before them say
 * that this principal is being refused.
 * Threads: any; writes to disk, without its lock. Here is no rule about who may read entries.
 */
#ifndef NODE_AUDITOR_H
#define NODE_AUDITOR_H

#include "store/audit.h"

#define AUDITOR_BURST       64
#define AUDITOR_EVERY_MS    10000 /* about 9,000 entries, 3 MB a day for who is refused all the time */
#define AUDITOR_BUCKETS     256
#define AUDITOR_LOG_HOUR_MS (3600 * 1000)

struct auditor;

struct auditor *auditor_new(struct store *store); /* borrowed until auditor_free */
void auditor_free(struct auditor *auditor);       /* NULL is fine */

/* Somebody was refused something. `whom`: whose refusals are counted together. now_ms: monotonic.
 * Never fails: what cannot be written (a full disk) is counted, and the node's log says so. */
void auditor_refused(struct auditor *auditor, struct span whom, const struct audit_record *record,
                     uint64_t now_ms);
/* What was counted and may have an entry by now gets it. */
void auditor_tick(struct auditor *auditor, uint64_t now_ms);
/* All that was counted, whether it may or not: before the end. */
void auditor_flush(struct auditor *auditor);

/* Is count and head due in the node's log? At the first call, and an hour after the last true. */
bool auditor_log_due(struct auditor *auditor, uint64_t now_ms);
/* The line. */
void auditor_log(struct auditor *auditor);

#endif
