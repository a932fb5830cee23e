/* Whether the columns of two tables are the same, as CLONE TABLE needs it, and if not, where.
 *
 * A clone's destination takes the source's files as they are: columns must agree in number, order,
 * name (case folded), type and NOT NULL, partition columns too, and in the ids that files know them
 * by. Comments and defaults may differ: they say nothing of what is stored. No I/O, no threads.
 */
#ifndef NODE_STATEMENT_CLONE_SCHEMA_H
#define NODE_STATEMENT_CLONE_SCHEMA_H

#include "proto/schema.h"

/* ERR_SEMANTIC: names the first column that differs, and how. */
enum err_code clone_schema_check(const struct schema *source, const struct schema *destination,
                                 struct err *err) MUST_USE;

#endif
