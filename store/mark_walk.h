/* Walking everything that the catalog names, by the form that struct collect_tree knows. Shared by
 * collect.c and fsck.c. One thread. */
#ifndef STORE_MARK_WALK_H
#define STORE_MARK_WALK_H

#include "store/collect.h"
#include "store/db.h"
#include "store/mark.h"

enum mark_walk_absent {
    MARK_WALK_ABSENT_FAILS, /* CLOSED says that it is here */
    MARK_WALK_ABSENT_SKIPS, /* named by something unfinished */
};

struct mark_walk {
    struct store *store;
    const struct collect_tree *tree;
    struct collect_mark *mark;
    /* fsck: a page that is missing or damaged, and the walk goes on. NULL: the walk fails. */
    void (*on_fault)(void *context, const struct digest *digest, const struct err *fault);
    void *on_fault_context;
    uint64_t staged_unreadable; /* without on_fault: staged pages that were passed over */
};

/* Everything below the marked pages that wait in mark->walk; `absent` is of these, what is below a
 * page of `pages` has to be here. */
enum err_code mark_walk_drain(struct mark_walk *walk, enum mark_walk_absent absent,
                              struct err *err);
/* What staged pages name, and below. One that cannot be read is nobody's reason to stop: it names
 * nothing, and its task asks for it again when it comes to it, or fails. */
enum err_code mark_walk_staged(struct mark_walk *walk, struct err *err);

/* Steps through a family in pieces, so that no iterator stays open while pieces are worked on.
 * Calls on_record for up to COLLECT_STEP_RECORDS records after *after, and moves it; *ret_end: that
 * was all. */
typedef enum err_code mark_walk_on_record(void *context, struct span key, struct span value,
                                          struct err *err);
enum err_code mark_walk_piece(struct db *db, enum family family, struct bytes *after,
                              mark_walk_on_record *on_record, void *context, bool *ret_end,
                              struct err *err);
/* The same, and a piece ends with the record after which nothing is left of the budget. */
struct mark_walk_visit {
    mark_walk_on_record *on_record;
    void *context;
    const uint64_t *budget; /* what on_record takes of it */
};
enum err_code mark_walk_visit(struct db *db, enum family family, struct bytes *after,
                              const struct mark_walk_visit *visit, bool *ret_end, struct err *err);
/* After ERR_CORRUPT: beyond the block that cannot be read, by the first two bytes of the keys. False:
 * there is no more. */
bool mark_walk_skip(struct bytes *after);

#endif
