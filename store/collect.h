/* Clean-up (mark and sweep with stamps) and fsck (the mark, and that all it meets is here).
 *
 *     raise the number -> pins -> roots -> mark pages and files -> sweep pages, parents first
 *                                   -> sweep files and count packs -> sweep what is held (holders.h)
 *                                   -> drop dead packs -> copy thin ones
 *
 * The store does not look into pages: whoever owns the tree's form gives struct collect_tree.
 * A record survives when it is marked, pinned by an open content, or bears this collection's number
 * (stored or relied on since it began). Nothing but the number survives a crash, nothing else needs
 * to.
 *
 * Invariant: CLOSED (store.h) holds before and after every step; a step deletes at most
 * COLLECT_DELETE_RECORDS and checks each again under the lock of content commits.
 * Threads: one collection or fsck at a time (a second waits); everything else goes on meanwhile.
 * Packs: pack_tally.h says which are dead, repack.h copies the thin ones together.
 */
#ifndef STORE_COLLECT_H
#define STORE_COLLECT_H

#include "proto/ids.h"
#include "store/repack.h"

struct collect_mark;
struct collect_owned;

#define COLLECT_STEP_RECORDS   1000 /* read at a time */
#define COLLECT_DELETE_RECORDS 250  /* checked and deleted under one hold of the lock */

/* Called by the functions of struct collect_tree. */
void collect_mark_page(struct collect_mark *mark, const struct digest *digest);
void collect_mark_file(struct collect_mark *mark, const struct digest *digest);
/* holders.h. account 0: counts for every account. */
void collect_own_root(struct collect_owned *owned, struct account_id account,
                      const struct digest *page);

struct collect_tree {
    void *context;
    /* Marks the root pages of all that the catalog names: tables, history, snapshots, leases,
     * tasks (root and attribute root), all read through one catalog view that is opened in the
     * call. Staged pages and what open contents have pinned are walked without it. */
    enum err_code (*roots)(void *context, struct store *store, struct collect_mark *mark,
                           struct err *err);
    /* Marks what this page names. *ret_level: 0 for a page that names files, else more than the
     * level of any page it names. ERR_CORRUPT when it cannot be decoded: nothing is deleted. */
    enum err_code (*children)(void *context, struct span page, struct collect_mark *mark,
                              uint32_t *ret_level, struct err *err);
    /* The root pages again, each for the account whose it is (holders.h). *ret_several: false when
     * the region has one account at most; then none need be told. */
    enum err_code (*owners)(void *context, struct store *store, struct collect_owned *owned,
                            bool *ret_several, struct err *err);
};

struct collect_counts {
    uint64_t pages_marked, files_marked;
    uint64_t pages_deleted, files_deleted, file_bytes_deleted;
    uint64_t holders_deleted;   /* records of `held` (holders.h) */
    uint64_t packs_dropped;     /* without a live byte */
    uint64_t packs_recounted;   /* their record had another number of live bytes */
    uint64_t compact_steps;     /* of families of records (compact.h) */
    uint64_t staged_unreadable; /* staged pages that were passed over */
    struct repack_counts repack;
};

enum err_code collect_run(struct store *store, const struct collect_tree *tree,
                          struct collect_counts *ret_counts, struct err *err);

enum fsck_depth {
    FSCK_RESOLVE, /* every page is read and checked, every file is indexed with its bytes there */
    FSCK_REHASH,  /* and every file is read and hashed */
};

/* What is wrong, one call each. Staged pages may miss what is below them; that is no fault. */
typedef void fsck_on_fault(void *context, const struct digest *digest, const char *what);

struct fsck_counts {
    uint64_t pages, files, file_bytes;
    uint64_t faults;
};

/* ERR_OK also with faults: ask ret_counts->faults. on_fault may be NULL. */
enum err_code store_fsck(struct store *store, const struct collect_tree *tree,
                         enum fsck_depth depth, fsck_on_fault *on_fault, void *fault_context,
                         struct fsck_counts *ret_counts, struct err *err);

#endif
