/* Aggregates that need more than a sum: pure state machines over values.
 *
 *     aggregate_new, then aggregate_step a row, then aggregate_final once; aggregate_free
 *
 * NULLs are skipped. What must hold all values (MEDIAN, an ordered WM_CONCAT) ends with ERR_LIMIT at
 * LIMIT_AGGREGATE_BYTES. COUNT, MIN, MAX and the sums of whole numbers are SQLite's and execute.c's:
 * a bare column takes the shortest way. Threads: a state belongs to one at a time.
 */
#ifndef NODE_SQL_AGGREGATE_H
#define NODE_SQL_AGGREGATE_H

#include "node/sql/query.h"

struct aggregate_state;

/* The node is borrowed until aggregate_free. */
struct aggregate_state *aggregate_new(const struct node *node);
/* One value for each of node->args. ERR_LIMIT. */
enum err_code aggregate_step(struct aggregate_state *state, const struct value *args,
                             struct err *err);
/* NULL without values. A text lives in `scratch`. ERR_LIMIT, ERR_SEMANTIC: does not fit. */
enum err_code aggregate_final(struct aggregate_state *state, struct arena *scratch,
                              struct value *ret_value, struct err *err);
void aggregate_free(struct aggregate_state *state); /* NULL is fine */

#endif
