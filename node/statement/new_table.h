/* What all statements that make a table have in common: its name, what has the name already, OR
 * REPLACE and IF NOT EXISTS.
 *
 *     new_table_look ──► new.taken: new_table_taken ──► table_spec{.replaces = new.replaces} ──► commit
 *                                                     new_table_result(its code)
 */
#ifndef NODE_STATEMENT_NEW_TABLE_H
#define NODE_STATEMENT_NEW_TABLE_H

#include "node/statement/lookup.h"

struct new_table {
    struct project_record project;
    struct span name;
    bool or_replace;
    bool if_not_exists;
    bool taken;               /* the name is, by what is not replaced */
    bool snapshot;            /* ... and that is a snapshot */
    struct table_id replaces; /* OR REPLACE: the table that has the name, Drop asked; 0: none */
};

/* CreateTable is asked, the name checked, and Drop of what OR REPLACE replaces. ERR_SEMANTIC: that is
 * a snapshot. */
enum err_code new_table_look(const struct statement_call *call, const struct name *name,
                             bool or_replace, bool if_not_exists, struct new_table *ret_new,
                             struct err *err);
/* Of a name that is taken: ERR_OK with IF NOT EXISTS when a table has it, else ERR_EXISTS. */
enum err_code new_table_taken(const struct new_table *new, struct err *err);
/* What the commit gave, as the statement gives it: ERR_EXISTS becomes what new_table_taken says, and
 * ERR_CONFLICT with OR REPLACE, so that rights are asked anew. */
enum err_code new_table_result(const struct new_table *new, enum err_code code,
                               const struct err *reason, struct err *err);

#endif
