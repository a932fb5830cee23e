/* One pass over a table of a query, row by row over the batches of its source.
 *
 *     pass_start, then while !pass_at_end: pass_vector of columns, pass_next; pass_stop
 *
 * A column is decoded when a row of it is looked at: what WHERE turns away costs its own columns only.
 * Where LIMIT may end the pass early, at first PASS_FRONT_ROWS rows of it.
 */
#ifndef NODE_SQL_PASS_H
#define NODE_SQL_PASS_H

#include "node/sql/query.h"

#define PASS_FRONT_ROWS 1024

struct pass {
    const struct relation *relation;      /* a table */
    void *opened;                         /* the source's, or NULL */
    const struct batch *batch;            /* NULL at the end */
    const struct select_summary *summary; /* in place of its rows, or NULL */
    size_t row;                           /* in the batch, or of the summary */
    int64_t row_number;                   /* in the pass */
};

/* What a pass over the relation asks of its source. */
struct select_scan relation_scan(const struct relation *relation);

/* Ends what was under way and begins again. After an error of this or pass_next: pass_stop or
 * pass_start. */
enum err_code pass_start(struct pass *pass, struct err *err);
enum err_code pass_next(struct pass *pass, struct err *err);
bool pass_at_end(const struct pass *pass);
void pass_stop(struct pass *pass);

/* The vector of column `i` of the relation's columns, with the row at hand. After an error as above. */
enum err_code pass_fetch(struct pass *pass, size_t i, struct err *err);
static inline enum err_code pass_vector(struct pass *pass, size_t i,
                                        const struct vector **ret_vector, struct err *err)
{
    *ret_vector = &pass->batch->vectors[i];
    return pass->row < (*ret_vector)->rows ? ERR_OK : pass_fetch(pass, i, err);
}

#endif
