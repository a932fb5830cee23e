/* Lifecycles: what of a table is over by its LIFECYCLE n.
 *
 *     lifecycle_each(store, on_lifecycle, ...)     tables that have one, and it is not disabled
 *     lifecycle_act(store, id, now_ms, &done)      what is over at that time goes, in one commit
 *
 * Over is what was last modified more than n days ago. A table without partition columns is dropped;
 * of one with them the partitions go that are over and not exempt, however many, and the table stays,
 * even empty. Snapshots have roots of their own and are not looked at.
 *
 * Which clock, and when: node/lifecycle.h. Threads: any.
 */
#ifndef STORE_LIFECYCLE_H
#define STORE_LIFECYCLE_H

#include "store/table.h"

/* In history, as who did it: no account's name is like this. */
#define LIFECYCLE_PRINCIPAL "LIFECYCLE"

typedef enum err_code on_lifecycle(void *context, struct table_id id, struct err *err);
/* A record that cannot be read is the error, after the others have been given. */
enum err_code lifecycle_each(struct store *store, on_lifecycle *callback, void *context,
                             struct err *err) MUST_USE;

struct lifecycle_done {
    char table[LIMIT_NAME_BYTES + 1];
    bool is_dropped;
    uint64_t partitions; /* dropped, of a table that stays */
};
/* ERR_CONFLICT, ERR_BUSY: the table changed meanwhile, and nothing was done. Gone, or without a
 * lifecycle now: nothing is done. */
enum err_code lifecycle_act(struct store *store, struct table_id id, uint64_t now_ms,
                            struct lifecycle_done *ret_done, struct err *err) MUST_USE;

#endif
