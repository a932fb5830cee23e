/* Arithmetic on DECIMAL values: exact within 38 digits, rounded half away from zero to the result's
 * scale, an error where the result does not fit.
 *
 * Result types (p precision, s scale; capped at 38 and 18):
 *     + -   s = max(s1, s2),          p = max(p1 - s1, p2 - s2) + s + 1
 *     *     s = s1 + s2,              p = p1 + p2 + 1
 *     /     s = max(6, s1 + p2 + 1),  p = p1 - s1 + s2 + s
 *     %     s = max(s1, s2),          p = max(p1 - s1, p2 - s2) + s
 * x / 0 and x % 0 are NULL.
 */
#ifndef NODE_SQL_DECIMAL_H
#define NODE_SQL_DECIMAL_H

#include "node/sql/ast.h"

struct type decimal_result_type(enum binary_op op, struct type a, struct type b);
/* a and b are DECIMAL values of their types, neither NULL. ERR_SEMANTIC: does not fit. */
enum err_code decimal_arithmetic(enum binary_op op, decimal128 a, struct type type_a, decimal128 b,
                                 struct type type_b, struct value *ret_value, struct err *err);
/* From a scale to a type's scale, rounding half away from zero. ret_exact (may be NULL): nothing was
 * rounded off. False: does not fit the type. */
bool decimal_rescale(decimal128 value, unsigned scale, struct type type, decimal128 *ret_value,
                     bool *ret_exact);
/* The fewest digits (at most 17) that are the finite number again, times ten to the returned power. */
int double_digits(double number, decimal128 *ret_digits);
double decimal_to_double(decimal128 value, unsigned scale);

#endif
