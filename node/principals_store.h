/* The index of principals, filled from the catalog: when the node starts, and after each commit that
 * changed an account or a user. What the catalog says is read again rather than passed on, one at a
 * time: so of two changes at once the later commit is what the index ends with.
 *
 * Threads: any; reads the catalog.
 */
#ifndef NODE_PRINCIPALS_STORE_H
#define NODE_PRINCIPALS_STORE_H

#include "node/principals.h"
#include "store/project.h"

/* Everybody; once, before the first request. */
enum err_code principals_load(struct principals *principals, struct store *store,
                              struct err *err) MUST_USE;
/* The one of that name as it is now; gone, when it is, and when it cannot be read. */
enum err_code principals_follow(struct principals *principals, struct store *store,
                                struct span name, struct err *err) MUST_USE;

#endif
