/* What a store consists of. Seen by the files that implement store.h, content.h, files.h, pages.h,
 * catalog_commit.h and collect.h; they hand their parts on, not the whole. */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "store/index.h"
#include "store/pack.h"
#include "store/space.h"

struct store {
    char *data_dir;
    char *tmp_dir;
    int lock_file;
    struct space space;
    struct db *db;
    struct index index;
    struct packs *packs;
    pthread_mutex_t catalog_lock; /* gives catalog commits their order */
    pthread_mutex_t collect_lock; /* one collection or fsck at a time */
};

/* Moves the live files of `small` to a pack, unless somebody is at it (nursery.c). */
enum err_code nursery_move(struct store *store, struct err *err);

#endif
