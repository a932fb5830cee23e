/* SUM and AVG of whole numbers and DECIMAL: exact, of unscaled values, in 128 bits. Pure. */
#ifndef NODE_SQL_WHOLE_SUM_H
#define NODE_SQL_WHOLE_SUM_H

#include "proto/type.h"

/* Packed, because who keeps it (SQLite) aligns it to eight bytes only. */
struct whole_sum {
    decimal128 sum;
    int64_t count;
    bool overflow;
} __attribute__((packed, aligned(8)));

/* A zeroed one is of no values. */
void whole_sum_add(struct whole_sum *sum, decimal128 value);
/* `type`: BIGINT, or DECIMAL of 38 digits and any scale. ERR_SEMANTIC: the sum does not fit it. */
enum err_code whole_sum_get(const struct whole_sum *sum, struct type type, struct value *ret_value,
                            struct err *err);
double whole_sum_average(const struct whole_sum *sum); /* of at least one value */

#endif
