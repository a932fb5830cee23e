/* Values of expressions: the one place where an operator or a cast means something.
 *
 * SQLite is given columns, literals, comparisons and AND / OR / NOT as its own SQL; everything else
 * it gets as one call of a function of ours over the columns that it needs, which comes here. Two
 * reasons: our operators differ (5/2 is 2.5, BIGINT overflow is an error, NaN is a value), and
 * SQLite's parser refuses what is nested deeper than about thirty calls.
 * Threads: none of its own; a scratch arena belongs to one call at a time.
 */
#ifndef NODE_SQL_EVALUATE_H
#define NODE_SQL_EVALUATE_H

#include "node/sql/query.h"

struct evaluation {
    const struct value *slots; /* of columns, aggregates and subqueries by node.slot */
    struct arena *scratch;     /* texts that are made on the way and the result's text */
    struct patterns *patterns; /* NULL while binding */
};

/* ERR_CAST, ERR_SEMANTIC (overflow), ERR_LIMIT (a text above LIMIT_CELL_BYTES). */
enum err_code node_evaluate(const struct node *node, const struct evaluation *evaluation,
                            struct value *ret_value, struct err *err);
/* Whether CAST from one type to the other exists at all. */
bool cast_exists(struct type from, struct type to);
/* NULL stays NULL. Numbers lose their fraction on the way to integers, DECIMAL rounds half away from
 * zero; what does not fit is ERR_CAST. Text made lives in scratch. */
enum err_code value_cast(struct type from, struct type to, struct value value,
                         struct arena *scratch, struct value *ret_value, struct err *err);
/* The same from a text that may have no value: a number's leading [sign] digits [. digits], else NULL;
 * NULL where no day or truth is. What does not fit is ERR_CAST all the same. */
enum err_code text_cast_lenient(struct type to, struct span text, struct value *ret_value,
                                struct err *err);
/* The bytes of the number that the text begins with, [sign] digits [. digits], or 0; no exponent: of
 * '12e34...' it is 12, and no infinity. */
size_t text_number_prefix(struct span text);
/* What `a op b` says of value_compare(a, b); op: OP_EQUAL to OP_GREATER_EQUAL. */
bool order_holds(enum binary_op op, int order);
/* LIKE: % any characters, _ one character, \ takes the next one as it is; case counts. */
bool text_like(struct span text, struct span pattern);

/* ---- evaluate_call.c: nodes that choose which of their arguments they compute ---- */

enum err_code evaluate_case(const struct node *node, const struct evaluation *evaluation,
                            struct value *ret_value, struct err *err);
enum err_code evaluate_coalesce(const struct node *node, const struct evaluation *evaluation,
                                struct value *ret_value, struct err *err);
enum err_code evaluate_function(const struct node *node, const struct evaluation *evaluation,
                                struct value *ret_value, struct err *err);

#endif
