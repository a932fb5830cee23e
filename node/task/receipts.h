/* The receipts that were taken for a project's versions: which other regions have them whole.
 *
 *     leases family   'y' project u64 | version 32 | signer 32 -> receipt
 *
 * A repair goes by the receipt of a version and a peer alone (repair_grant.h), whoever's copy it was for. What
 * is shown is a project's own: another tenant's copy of equal content neither shows here nor takes this
 * one's place. Of receipts that were taken before these records were kept, the last one of each version and
 * signer is known from its grant.
 *
 * The signature is checked each time, not only when it was taken. Threads: any; reads the catalog.
 */
#ifndef NODE_TASK_RECEIPTS_H
#define NODE_TASK_RECEIPTS_H

#include "proto/token.h"
#include "store/catalog_commit.h"

/* Keeps it, in the commit that takes it. Project 0: it is gone, and nobody will be shown it. */
void receipt_keep(struct catalog_change *change, struct project_id project,
                  const struct receipt *receipt, struct span encoded);

/* One that is kept. */
struct receipt_kept {
    struct receipt receipt;
    bool is_true; /* by its signature, and it is of that version and signer */
};
typedef enum err_code receipt_on_kept(void *context, const struct receipt_kept *kept,
                                      struct err *err);
/* Of a project's version, in order of signer; stops at the first error. */
enum err_code receipts_each(struct store *store, struct project_id project,
                            const struct digest *version, receipt_on_kept *on_kept, void *context,
                            struct err *err) MUST_USE;

/* Drops those that were published (by the signer's clock) before before_ms, for whose project and version `held`
 * is false, and those that cannot be read and are held by none. The grants of repairs stay. */
typedef bool receipt_version_held(void *context, struct project_id project,
                                  const struct digest *version);
enum err_code receipts_sweep(struct store *store, uint64_t before_ms, receipt_version_held *held,
                             void *context, struct err *err) MUST_USE;

#endif
