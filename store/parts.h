/* What a store consists of. Seen by the files that implement store.h, content.h, files.h, pages.h,
 * catalog_commit.h and collect.h; they hand their parts on, not the whole. */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "store/audit_chain.h"
#include "store/compact.h"
#include "store/files.h"
#include "store/index.h"
#include "store/pack.h"
#include "store/space.h"

struct rights;

struct store {
    char *data_dir;
    char *tmp_dir;
    int lock_file;
    struct space space;
    struct db *db;
    struct index index;
    struct packs *packs;
    struct rights *rights;
    unsigned thin_percent;        /* packs with less of their bytes live are copied together */
    pthread_mutex_t catalog_lock; /* gives catalog commits their order */
    struct audit_chain audit;     /* its end: under the catalog lock */
    pthread_mutex_t collect_lock; /* one collection or fsck at a time */
    struct compact_counts compact;
};

/* file_read and page_read without the list of what is damaged: for who makes that list. */
enum err_code file_read_stored(struct store *store, const struct digest *digest,
                               enum file_check check, struct bytes *ret_content, struct err *err);
enum err_code page_read_stored(struct store *store, const struct digest *digest,
                               struct bytes *ret_page, struct err *err);

/* The marker file, if it is damaged or gone, is written again as the database has it. */
enum err_code store_marker_mend(struct store *store, bool *ret_mended, struct err *err) MUST_USE;

/* Moves the live files of `small` to a pack, unless somebody is at it (nursery.c). */
enum err_code nursery_move(struct store *store, struct err *err);

#endif
