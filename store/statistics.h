/* Statistics of a column in a row group: what scans skip by.
 *
 * min and max leave NULL and NaN out; NaN is counted. A zero is signed outward (min -0.0, max
 * +0.0), so that no comparison with either zero is skipped wrongly. Strings are cut to
 * STATISTICS_TEXT_BYTES at a character: the min is a prefix, the max is rounded up to the next
 * string of that length, or absent when there is none. Below STATISTICS_ROWS_MIN rows, and where
 * all is NULL or NaN, there are neither min nor max.
 *
 * Their stored form is order-preserving: memcmp of two forms of a type is the order of the values.
 * Integers as i64 of proto/key.h, DOUBLE and DECIMAL likewise in 8 and 16 bytes, STRING itself.
 */
#ifndef STORE_STATISTICS_H
#define STORE_STATISTICS_H

#include "proto/limits.h"
#include "proto/vector.h"

struct statistic {
    bool present;
    uint8_t len;
    uint8_t data[STATISTICS_TEXT_BYTES]; /* stored form */
};

struct statistics {
    uint64_t null_count;
    uint64_t nan_count;
    struct statistic min; /* no value is below it */
    struct statistic max; /* no value is above it, NaN apart */
};

struct statistics statistics_of(const struct vector *vector, size_t at, size_t rows);

/* Appends the stored form of a value that is neither NULL nor NaN. A STRING is not cut. */
void statistic_append(struct type type, struct value value, struct bytes *out);
/* False unless the bytes are the stored form of a value of the type. A STRING borrows from them. */
bool statistic_value(struct type type, struct span stored, struct value *ret_value);

#endif
