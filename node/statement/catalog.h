/* The tables and snapshots that SELECT and EXPLAIN see: found by name, authorised, pinned. */
#ifndef NODE_STATEMENT_CATALOG_H
#define NODE_STATEMENT_CATALOG_H

#include "node/sql/select.h"
#include "node/statement/statement.h"

/* Whose query it is, and into which project its rows go. */
struct catalog_scope {
    const struct statement_call *call;
    const struct project_record *into; /* NULL: to the client, which SELECT may show them */
    struct catalog_read *reads;        /* what was found so far; in the call's arena */
};

/* Borrows the scope, and notes in it what is found. */
struct select_catalog statement_catalog(struct catalog_scope *scope);
/* Of all that was found: may it still be read, and go there? For each block of a result, and before
 * rows are committed. ERR_DENIED. */
enum err_code catalog_ask_again(const struct catalog_scope *scope, struct err *err);

#endif
