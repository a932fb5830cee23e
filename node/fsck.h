/* `straitd --fsck`: checks a store whose node is not running, and says what is wrong with it.
 *
 * Every root that the catalog names is walked, every page decoded, every column file read and hashed, sums compared.
 * Nothing is repaired and no content is written (opening drops what an ended process left unfinished, as a start does).
 */
#ifndef NODE_FSCK_H
#define NODE_FSCK_H

#include "node/config.h"
#include "store/audit.h"

/* One line a fault and closing lines with counts to `out`: the audit log's count and head, too, and what
 * they were once, as `known` (or NULL), is compared. ERR_CORRUPT when there are faults, or the store
 * cannot even be opened for one; ERR_LOCKED while the node runs. */
enum err_code node_fsck(const struct config *config, const struct audit_head *known, FILE *out,
                        struct err *err);

/* "COUNT:HEAD", as the audit log's count and head are printed. False: not that. */
bool audit_head_parse(const char *text, struct audit_head *ret_head);

struct store;
/* The audit log against the receipts that this node gave, and against `known` (or NULL): a line a
 * fault; adds to *faults. */
enum err_code audit_heads_check(struct store *store, const struct audit_head *known, FILE *out,
                                uint64_t *faults, struct err *err);
/* What is kept for tasks and leases against their records: a line a fault; adds to *faults. */
enum err_code references_check(struct store *store, FILE *out, uint64_t *faults, struct err *err);

/* Part of it: rows of clustered tables and snapshots, against their buckets and order
 * (store/cluster_check.h). */
enum err_code clustering_check(struct store *store, FILE *out, uint64_t *faults, struct err *err);

#endif
