/* INSERT, before its first row: where the value of each column comes from.
 *
 *     INSERT INTO t PARTITION(a='x', b) (id) ...      t (id, note DEFAULT 'n') BY (a, b)
 *         id <- 0   note <- 'n'   a <- 'x'   b <- 1      rows of 2 values
 *
 * Values map by position: data columns (all, or those listed), behind them the partition columns
 * that PARTITION(...) does not give a value: those it names, in its order, then the others in the
 * table's. No rows are looked at here.
 */
#ifndef NODE_STATEMENT_INSERT_PLAN_H
#define NODE_STATEMENT_INSERT_PLAN_H

#include "node/statement/partition.h"

/* For each column of the whole row (data, then partition): where its value comes from. */
struct row_source {
    const struct column *column;
    size_t at;          /* among the row's values; SIZE_MAX: always `value` */
    struct value value; /* constant of PARTITION(...), default, or NULL */
    bool is_partition;
};

struct insert_plan {
    struct row_source *sources;
    size_t column_count;
    size_t width;       /* values that a row must have */
    bool one_partition; /* PARTITION(...) gives every level a value */
};

/* Lives in the call's arena; borrows schema and statement. ERR_SEMANTIC, ERR_CAST. */
enum err_code insert_plan_make(const struct statement_call *call, const struct insert *insert,
                               const struct schema *schema, struct insert_plan *ret_plan,
                               struct err *err);
/* All columns of a table as they stand: row by row what the query gives. */
enum err_code insert_plan_whole(const struct statement_call *call, const struct schema *schema,
                                struct insert_plan *ret_plan, struct err *err);
/* Appends the key of the one partition. */
void insert_plan_key(const struct insert_plan *plan, struct bytes *key);
/* Appends the names of the columns that a row gives, in its order: "id, note, b". */
void insert_plan_names(const struct insert_plan *plan, struct bytes *out);

#endif
