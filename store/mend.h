/* A store whose database does not open for damaged tables of a kind that comes again: taken up without
 * them. `straitd --mend`.
 *
 *     db ──links──► db.mending ── manifest without the damaged tables ── books, list of damage
 *                                                                            │ synced
 *     db ──► set-aside/db-N      db.mending ──► db         two renames  ◄────┘
 *
 * Invariants: 1. until the renames nothing of `db` is touched: killed before, a mend begins anew;
 * between them, it goes on. 2. What is named and lost is on the list of damage before the database is
 * put in place: never served, not held, fetched by the repairs (damage.h). 3. What is set aside stays,
 * whole files linked and damaged ones as they were; an operator removes it.
 * Not here: families without a second copy; they are refused (refusal.h).
 * Threads: one, and nobody has the store open.
 */
#ifndef STORE_MEND_H
#define STORE_MEND_H

#include "store/db.h"
#include "store/store.h"

struct mend_watch {
    void (*tell)(void *context, const char *line); /* what is about to be done, and was */
    void *context;
};

struct mend_counts {
    uint64_t tables; /* set aside; 0: there was nothing to mend */
    uint64_t listed; /* pages and files on the list of damage now */
};

/* ERR_CORRUPT: what is damaged has no second copy; nothing was changed. */
enum err_code store_mend(const struct store_options *options, const struct mend_watch *watch,
                         struct mend_counts *ret_counts, struct err *err) MUST_USE;
/* Whether a mend was ended between its renames, so that there is no database. */
bool mend_is_under_way(const char *data_dir);

/* ---- mend_books.c ---- */

/* The index, the books of packs and of the nursery, after tables of these families were lost: what
 * points nowhere goes, what can be made from what is here is made. Before the index is opened. */
enum err_code mend_index(struct db *db, const bool lost[FAMILY_COUNT], struct err *err) MUST_USE;
/* Lists what is named and not here; pages that nothing names and that are not whole below go. */
enum err_code mend_names(struct store *store, struct err *err) MUST_USE;
/* Nothing is held that is not here, all that is here is held. */
enum err_code mend_held(struct db *db, struct err *err) MUST_USE;

#endif
