/* The tables of one statement: found and authorised through the catalog, each pinned once at one
 * version from start to end, however often the statement names it.
 * Threads: as their cursor.
 */
#ifndef NODE_SQL_PINS_H
#define NODE_SQL_PINS_H

#include "node/sql/select.h"

struct pins {
    const struct select_catalog *catalog; /* borrowed */
    struct bytes sources;                 /* struct select_source *, owned */
};

/* Borrowed until pins_release. Asks the catalog each time: rights belong to the place, pins to the
 * table. */
enum err_code pins_find(struct pins *pins, const struct name *name,
                        const struct select_source **ret_source, struct err *err);
void pins_release(struct pins *pins);

#endif
