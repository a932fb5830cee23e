/* fsck of the catalog's own references: what names, tables, snapshots and history say of each other.
 * What they say of pages is store_fsck's (collect.h). One thread. */
#ifndef STORE_CATALOG_CHECK_H
#define STORE_CATALOG_CHECK_H

#include "store/collect.h"

/* Calls on_fault (may be NULL; zero digest) for each reference that leads nowhere or elsewhere; adds
 * to *faults. Reads one moment of the catalog. */
enum err_code catalog_check(struct store *store, fsck_on_fault *on_fault, void *fault_context,
                            uint64_t *faults, struct err *err) MUST_USE;

#endif
