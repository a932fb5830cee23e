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
#include "store/store.h"

struct rights;
struct catalog_change;

/* On the stack of who waits for it. */
struct catalog_wait {
    const struct catalog_change *change;
    struct err *err;
    struct catalog_wait *next;
    enum err_code code;
    bool done; /* the line's lock */
};

/* Catalog commits stand in it in their order; the first of those that wait leads: it writes for all
 * that stand there by then (catalog_commit.c). */
struct catalog_line {
    pthread_mutex_t lock; /* a leaf; held for no work */
    pthread_cond_t moved;
    struct catalog_wait *first, **last;
    bool led;        /* by one thread: it checks and writes, without the lock */
    uint64_t writes; /* groups taken so far */
};

void catalog_line_init(struct catalog_line *line);
void catalog_line_deinit(struct catalog_line *line);

struct store {
    char *data_dir;
    char *tmp_dir;
    struct store_origin origin;
    int lock_file;
    struct space space;
    struct db *db;
    struct index index;
    struct packs *packs;
    struct rights *rights;
    unsigned thin_percent;            /* packs with less of their bytes live are copied together */
    struct catalog_line catalog_line; /* gives catalog commits their order */
    struct audit_chain audit;         /* its end: who leads the line */
    pthread_mutex_t collect_lock;     /* one collection or fsck at a time */
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
