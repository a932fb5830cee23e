/* What the statistics of a row group say in place of its rows, for COUNT, MIN and MAX alone.
 *
 *     SELECT COUNT(*), COUNT(a), MIN(a) FROM t WHERE day = '2024-01-15' AND b > 7
 *
 * A row group all of whose rows satisfy WHERE, and whose statistics hold the asked ends exactly, is two
 * rows to SQLite: one of the least values that counts for all of them, one of the greatest that counts
 * for none. Any other row group is read. WHERE is checked on the two as on any row.
 *
 * Invariant: what is given out this way is what reading would give. Bounds that may lie outside the
 * values (struct select_summary, exact_*) decide WHERE, where that is an interval, and no result.
 */
#ifndef NODE_SQL_SUMMARY_H
#define NODE_SQL_SUMMARY_H

#include "node/sql/query.h"

/* Marks the query's table, where it is one that summaries may answer, and its COUNTs. */
enum err_code summary_mark(struct arena *arena, struct query *query, struct err *err);

/* As select_scan.enough; context: the marked relation. */
bool summary_enough(const void *context, const struct select_summary *columns, uint64_t rows);

#define SUMMARY_ROWS 2 /* least, greatest */
struct value summary_value(const struct select_summary *column, size_t row);

#endif
