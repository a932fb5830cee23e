/* The audit log: entries that are only ever added, each holding the digest of the one before.
 *
 *     number      1              2              3                              meta "audit"
 *     value   0..0 | record  d1 | record    d2 | record      d(n) = H(n | value)   -> 3 | d3
 *
 * An entry that is taken away or changed breaks the chain at its place. A tail that is cut off breaks
 * nothing, so count and head (the last digest) go where the store's owner cannot take them back:
 * into every receipt that is signed, and into the node's log.
 *
 * Invariants: 1. an entry is in the commit of the change that it tells of: neither is ever without
 * the other. 2. Numbers have no gaps; the order is that of catalog commits. 3. Nothing in here
 * removes an entry: there is no retention.
 * Threads: any. Not here: what is worth an entry, who may read it (node/auditor.h).
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "proto/audit.h"
#include "proto/digest.h"
#include "store/catalog_commit.h"

/* What the chain adds to a record: before it, and in meta. */
#define AUDIT_ENTRY_BYTES (DIGEST_BYTES + 2 * 8 + 8 + DIGEST_BYTES)

struct audit_head {
    uint64_t count;
    struct digest head; /* of the last entry; zero when there is none */
};

/* The entry comes to stand with the change that it is put into, after all that were committed
 * before; several of one change in their order. */
void audit_put(struct catalog_change *change, const struct audit_record *record);
/* In a commit of its own. ERR_NO_SPACE: the reserve stays free. */
enum err_code audit_commit(struct store *store, const struct audit_record *record,
                           struct err *err) MUST_USE;

/* As of the last commit; does not wait for one. */
struct audit_head audit_head_get(struct store *store);
/* What was wrong with the end of the log when the store was opened; ERR_OK: nothing. The node goes
 * on, and the log with it: fsck says the rest. */
enum err_code audit_opened(struct store *store, struct err *err);

/* ---- reading ---- */

struct audit_entry {
    uint64_t number; /* from 1 */
    struct digest digest;
    struct audit_record record; /* borrows during the call */
};
/* ret_stop: no more. */
typedef enum err_code on_audit(void *context, const struct audit_entry *entry, bool *ret_stop,
                               struct err *err);
/* At most count_max entries from number `from` on, ascending; *ret_next: where to go on. An entry
 * that cannot be read, or that is missing before one that is there, is ERR_CORRUPT. */
enum err_code audit_each(struct store *store, uint64_t from, size_t count_max, on_audit *callback,
                         void *context, uint64_t *ret_next, struct err *err) MUST_USE;

/* ---- checking ---- */

typedef void audit_on_fault(void *context, const char *what);
/* The whole chain against itself and against count and head. *ret_faults is added to. */
enum err_code audit_check(struct store *store, audit_on_fault *on_fault, void *context,
                          uint64_t *ret_faults, struct err *err) MUST_USE;
/* Was the log once what a receipt or a line of the node's log says? *ret_is false: `ret_why` (of
 * ERR_MESSAGE_BYTES) says how it differs. */
enum err_code audit_compare(struct store *store, const struct audit_head *known, bool *ret_is,
                            char *ret_why, struct err *err) MUST_USE;

#endif
