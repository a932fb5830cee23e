/* What WHERE leaves of one column: sets of values, and how a condition gives one.
 *
 *     a > 5 AND (a <= 9 OR b = 1)   for a: (5, unbounded)      for b: everything
 *     a IN (3, 1) OR a IS NULL      for a: [1, 1] [3, 3] NULL
 *     name LIKE 'ab%'               for name: ['ab', 'ac')
 *
 * A set never lacks a value with which the condition may be true; it may hold more. Sets are exact
 * under union, intersection and complement, so that what is left out is left out by the condition.
 * Values order as value_compare says: NaN is the greatest, both zeros are equal.
 */
#ifndef NODE_SQL_DOMAIN_H
#define NODE_SQL_DOMAIN_H

#include "node/sql/query.h"

/* The domain of a column of a table in a query: by the WHERE of the query in which it stands, and by
 * the table's filters. In a join, where rows with NULLs may stand in for the table's, WHERE counts
 * only if it refuses NULL in the column: else leaving rows out could let such rows in. The intervals
 * live in the arena; texts are those of the literals. *ret_limits: it is not simply everything. */
enum err_code domain_find(struct arena *arena, const struct relation *relation, size_t column,
                          struct select_domain *ret_domain, bool *ret_limits, struct err *err);

#endif
