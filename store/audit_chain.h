/* The end of the audit log, for catalog_commit.c and store.c: what the next entry goes behind.
 *
 * Threads: `end` and `stale` belong to who leads the line of catalog commits (parts.h); `seen` is any reader's, under `lock`.
 */
#ifndef STORE_AUDIT_CHAIN_H
#define STORE_AUDIT_CHAIN_H

#include <pthread.h>

#include "store/audit.h"

struct audit_chain {
    struct audit_head end;
    bool stale; /* a write failed: whether its entries are there is open */
    pthread_mutex_t lock;
    struct audit_head seen; /* committed */
    struct err opened;
};

void audit_chain_init(struct audit_chain *chain);
void audit_chain_deinit(struct audit_chain *chain);
/* Reads count and head, and checks the last entries; what is wrong goes to `opened`. An error: the
 * store cannot be read at all. */
enum err_code audit_chain_open(struct audit_chain *chain, struct db *db, struct err *err) MUST_USE;
/* After a failed write, once the database has recovered. */
enum err_code audit_chain_reload(struct audit_chain *chain, struct db *db,
                                 struct err *err) MUST_USE;

/* The encoded record as the next entry; *end moves on to it. */
void audit_chain_append(struct audit_head *end, struct span record, struct db_batch *batch);
void audit_chain_end_put(const struct audit_head *end, struct db_batch *batch);
/* The batch with these entries is durable. */
void audit_chain_committed(struct audit_chain *chain, const struct audit_head *end);

#endif
