/* What must stay: from every name, through version records and pages, down to every file.
 *
 *     collect_run(store, catalog_tree(&roots), &counts, err)          clean-up
 *     store_fsck(store, catalog_tree(&roots), FSCK_RESOLVE, ...)      check
 *
 * Roots: tables, history, snapshots, and root records (leases, tasks). Versions of open readers and
 * contents are pinned in the store itself.
 *
 * Also the other direction, for a walk: what of a page is missing here, and promotion from `staged`.
 */
#ifndef STORE_ROOTS_H
#define STORE_ROOTS_H

#include "store/collect.h"
#include "store/content.h"
#include "store/pages.h"
#include "store/project.h"
#include "store/tree.h"

/* Borrows nothing; constant. */
const struct collect_tree *catalog_tree(void);

/* Structure below fsck's: sums of partitions, versions that match their records. on_fault may be
 * NULL. Calls store_fsck first; counts are its. */
enum err_code catalog_fsck(struct store *store, enum fsck_depth depth, fsck_on_fault *on_fault,
                           void *fault_context, struct fsck_counts *ret_counts,
                           struct err *err) MUST_USE;

/* Keeps pages in the name of something that is no name: purpose + id, 'l' a lease, 't' a task. */
struct root_name {
    char purpose;
    struct span id;
};
void root_put(struct catalog_change *change, struct root_name name, const struct digest *pages,
              size_t page_count);
void root_delete(struct catalog_change *change, struct root_name name);

/* ---- the received side of a walk ---- */

/* A decoded page of a walk: what of it is still missing here, for this content's account? Children
 * (or files) that are held are pinned by content; the others are given to on_missing, in order. A
 * leaf's file is given once even if several entries name it one after another. */
struct page_missing {
    enum err_code (*page)(void *context, const struct page_entry *child,
                          const struct page_place *place, struct err *err);
    enum err_code (*file)(void *context, const struct page_entry *entry,
                          const struct page_file *file, struct err *err);
    void *context;
};
enum err_code page_missing_each(struct content *content, const struct page *page,
                                const struct page_place *place, const struct page_missing *missing,
                                struct err *err) MUST_USE;

/* Moves what is complete of the tree under root from the task's staged pages to `pages`, children
 * first. A subtree of which something is missing stays staged; an error is only what is broken
 * (ERR_BAD_DATA: a staged page that breaks a rule). */
struct promote_counts {
    bool is_complete; /* the root, and all below it, is in `pages` now */
    uint64_t pages_promoted;
    uint64_t pages_missing;
    uint64_t files_missing;
};
enum err_code tree_promote(struct content *content, const struct task_id *task, enum tree_kind kind,
                           const struct digest *root, struct promote_counts *ret_counts,
                           struct err *err) MUST_USE;

#endif
