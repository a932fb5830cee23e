/* catalog_commit: the one way to make something visible, and reading what is.
 *
 *     struct catalog_change change CATALOG_CHANGE_CLEANUP = {0};
 *     catalog_expect(&change, FAMILY_CATALOG, name_key, old_record);
 *     TRY(catalog_sequence_take(store, &change, "table", &id, err));
 *     catalog_put(&change, FAMILY_CATALOG, name_key, new_record);
 *     catalog_put(&change, FAMILY_HISTORY, history_key, history_record);
 *     code = catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err);
 *
 * A change is at most 64 KiB and carries its own times and ids: it is a pure function of what it
 * expects; an entry of the audit log gets its number and its place in the chain from the order of
 * commits. Families: catalog, history, tasks, leases, meter, schedule, audit, meta.
 *
 * Those that come while one is written become one write, in their order (docs/THREADS.md).
 *
 * Invariants: 1. commits have one order; the expectations of each are checked against all before it.
 * 2. Durable before visible (but what may be later), visible before acknowledged. 3. All or nothing, each for itself.
 * Threads: any; a change, a view and a scan belong to one thread.
 */
#ifndef STORE_CATALOG_COMMIT_H
#define STORE_CATALOG_COMMIT_H

#include "store/db.h"

struct store;

/* Zeroed is valid and empty. Copies all it is given. */
struct catalog_change {
    struct bytes steps; /* kind u8 | family u8 | key u16+bytes | value u32+bytes, repeated */
    size_t bytes;       /* keys and values that would be written */
    bool later; /* durable with the next commit that is not: nobody outside is told of it before */
};

void catalog_change_deinit(struct catalog_change *change);
void catalog_change_clear(struct catalog_change *change);
#define CATALOG_CHANGE_CLEANUP __attribute__((cleanup(catalog_change_deinit)))

void catalog_expect(struct catalog_change *change, enum family family, struct span key,
                    struct span value);
void catalog_expect_absent(struct catalog_change *change, enum family family, struct span key);
void catalog_put(struct catalog_change *change, enum family family, struct span key,
                 struct span value);
void catalog_delete(struct catalog_change *change, enum family family, struct span key);

/* An entry of the audit log (audit.h): the record alone. Of many changes at once none is refused for
 * the log's sake. */
void catalog_audit(struct catalog_change *change, struct span record);

/* The next number of a named sequence (from 1), taken if and only if the change is committed: adds
 * what it expects and puts. Several of one sequence may be taken in one change. */
enum err_code catalog_sequence_take(struct store *store, struct catalog_change *change,
                                    const char *sequence, uint64_t *ret_number, struct err *err);

/* The change expects that none of the sequence was taken since this call: what was read afterwards
 * is still all that there is. */
enum err_code catalog_sequence_expect(struct store *store, struct catalog_change *change,
                                      const char *sequence, struct err *err);

enum catalog_space {
    CATALOG_KEEP_RESERVE, /* ERR_NO_SPACE rather than touch the disk reserve */
    CATALOG_USE_RESERVE,  /* drops, expiry, ends of tasks and leases: what frees space */
};

/* ERR_CONFLICT names the family and key that is not as expected: read again and build anew.
 * ERR_LIMIT above 64 KiB. */
enum err_code catalog_commit(struct store *store, const struct catalog_change *change,
                             enum catalog_space space, struct err *err);

/* ---- reading ---- */

/* One moment of the whole catalog. Open it shortly, close it on the same thread. */
enum err_code catalog_view_open(struct store *store, struct db_view **ret_view, struct err *err);
void catalog_view_close(struct db_view *view); /* NULL is fine */
void catalog_view_close_pointer(struct db_view **view);
#define CATALOG_VIEW_CLEANUP __attribute__((cleanup(catalog_view_close_pointer)))

/* view NULL: now. ret_value is overwritten, kept when not found. */
enum err_code catalog_find(struct store *store, struct db_view *view, enum family family,
                           struct span key, struct bytes *ret_value, bool *ret_found,
                           struct err *err);

/* Keys that begin with prefix, ascending, from `from` on (empty: from the first), of one moment.
 * Step with db_iter_next, close with db_iter_close. */
enum err_code catalog_scan(struct store *store, struct db_view *view, enum family family,
                           struct span prefix, struct span from, struct db_iter **ret_iter,
                           struct err *err);

#endif
