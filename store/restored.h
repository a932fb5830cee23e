/* A store that was restored from a backup: older than what others know of it.
 *
 * What was given away since then must not be given again: ids, which are used once ever, and tokens, which
 * are used once. The record says so for good, and the audit log has it as its first entry after the break.
 *
 *     meta "restored" -> u64 ms: when the backup was cut | u64 ms: when it was restored
 *
 * Threads: any; restored_settle alone, before anything else uses the store.
 */
#ifndef STORE_RESTORED_H
#define STORE_RESTORED_H

#include "proto/audit.h"
#include "store/catalog_commit.h"

/* How far ids go on behind those of the backup: more than a node ever gives between two backups, and a
 * store may be restored two million times before numbers leave what JSON holds. */
#define RESTORED_STRIDE (UINT64_C(1) << 32)

struct restored {
    uint64_t cut_ms;
    uint64_t restored_ms; /* 0: it never was */
};

/* Moves every sequence and the pack ids on by RESTORED_STRIDE, and notes both times. ERR_CORRUPT: one would begin
 * again. */
enum err_code restored_settle(struct store *store, const struct restored *restored,
                              const struct audit_record *audit, struct err *err) MUST_USE;
/* The last time. */
enum err_code restored_get(struct store *store, struct restored *ret_restored,
                           struct err *err) MUST_USE;

#endif
