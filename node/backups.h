/* The backup that a client is fetching: one checkpoint of the store at a time, and whose it is.
 *
 *     begin ─► checkpoint, list ─► read ... read ─► end ─► removed
 *                                     └── none for BACKUP_IDLE_MS: removed
 *
 * Begun again under its id by the same principal, it is the same one. Reads are by place, so they may be
 * asked again and overtake each other.
 *
 * Invariants: 1. no checkpoint outlives its client by more than twice BACKUP_IDLE_MS, nor the node's
 * next start (store/checkpoint.h). 2. It is not removed under a read.
 * Threads: any, and they block on the disk; the timer is the loop's and posts to a worker. One lock, not held
 * for work.
 * Not here: who may (operator_backup.c).
 */
#ifndef NODE_BACKUPS_H
#define NODE_BACKUPS_H

#include "node/loop.h"
#include "node/workers.h"
#include "proto/audit.h"
#include "proto/operator.h"
#include "store/store.h"

#define BACKUP_IDLE_MS 60000

struct backups;

struct backups_options { /* borrowed until backups_free */
    struct store *store;
    struct loop *loop;
    struct workers *workers;
    const char *region;
    uint32_t idle_ms; /* BACKUP_IDLE_MS, but for tests */
};

struct backups *backups_new(const struct backups_options *options);
/* No more timer. */
void backups_stop(struct backups *backups);
/* Nobody is in it any more; removes the checkpoint. NULL is fine. */
void backups_free(struct backups *backups);

/* audit: committed before the cut, so that the backup has the entry of its own; its time is the cut's. The
 * state borrows from the options. ERR_LIMIT: another one is under way. */
enum err_code backups_begin(struct backups *backups, const char *principal,
                            const struct statement_id *id, const struct audit_record *audit,
                            struct operator_backup_state *ret_state, struct err *err) MUST_USE;
/* Appends. ERR_NOT_FOUND: it has ended, or the node was started since. */
enum err_code backups_read(struct backups *backups, const char *principal,
                           const struct operator_backup_read *read, struct bytes *body,
                           struct err *err) MUST_USE;
/* What is not there has ended. */
void backups_end(struct backups *backups, const char *principal, const struct statement_id *id);

#endif
