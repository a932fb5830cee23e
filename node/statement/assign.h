/* What a query gives becomes what a table's column holds: the implicit conversions of INSERT.
 *
 *     from                to
 *     the same type       as it is
 *     BIGINT, INT         BIGINT, INT, DOUBLE, DECIMAL, STRING
 *     DECIMAL             DECIMAL (rounded half away from zero), DOUBLE, STRING
 *     DOUBLE              DECIMAL, STRING
 *     DATE                DATETIME, STRING
 *     DATETIME, BOOLEAN   STRING
 *     STRING              everything, by its text form
 *
 * The rules of literals in INSERT ... VALUES (literal_value). What would lose digits or hours without
 * a word (DOUBLE to BIGINT, DATETIME to DATE) is refused: CAST says that it is wanted. What does not
 * fit is an error that names column and value.
 * Threads: none.
 */
#ifndef NODE_STATEMENT_ASSIGN_H
#define NODE_STATEMENT_ASSIGN_H

#include "node/sql/select.h"

struct assignment {
    struct type from;
    const struct column *to; /* borrowed */
    enum select_mode mode;   /* lenient: a text's leading number, else NULL */
};

/* ERR_SEMANTIC, which names both types. */
enum err_code assignment_check(const struct assignment *assignment, struct err *err);
/* Appends all values of `from` to `to`, a vector of the column's type. ERR_CAST: one does not fit;
 * ERR_SEMANTIC: NULL where the column is NOT NULL. scratch is reset on the way. */
enum err_code assignment_run(const struct assignment *assignment, const struct vector *from,
                             struct arena *scratch, struct vector *to, struct err *err);

#endif
