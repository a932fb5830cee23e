/* What a node says it has, taken for use in statements that are signed here: another region's node is not trusted
 * with what stands in them.
 *
 * A name is taken when it ends nowhere but at its quotes, a time is a DATETIME and so formatted here, a region is of
 * the letters that regions have. Pure; one thread. Not here: what is done with it (refill.c).
 */
#ifndef NODE_CLIENT_REFILL_LIST_H
#define NODE_CLIENT_REFILL_LIST_H

#include "proto/vector.h"

#define REFILL_SNAPSHOTS_MAX (1 << 20)

struct refill_snapshot {
    char *name, *version, *created, *expires; /* owned; expires: or NULL */
};

struct refill_list { /* zeroed is empty */
    struct refill_snapshot *items;
    size_t count;
    size_t at[4]; /* places of the columns */
};

void refill_list_deinit(struct refill_list *list);
#define REFILL_LIST_CLEANUP __attribute__((cleanup(refill_list_deinit)))

/* Of SHOW SNAPSHOT TABLES. ERR_PEER: a column is missing or of another type, a row cannot be used. */
enum err_code refill_list_columns(struct refill_list *list, const struct column *columns,
                                  size_t count, struct err *err) MUST_USE;
enum err_code refill_list_rows(struct refill_list *list, const struct batch *batch,
                               struct err *err) MUST_USE;
/* ERR_PEER. */
enum err_code refill_region_check(struct span region, struct err *err) MUST_USE;

#endif
