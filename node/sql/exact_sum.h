/* A sum of DOUBLEs that is rounded once, at the end: the same bits in whatever order they come, so
 * that equal tables give equal sums (a checksum query relies on it).
 *
 * The sum is an integer of units of 2^-1074, the least double, in chunks of 32 bits; each chunk has
 * 31 bits more, and so a carry is needed every 2^30 numbers only.
 */
#ifndef NODE_SQL_EXACT_SUM_H
#define NODE_SQL_EXACT_SUM_H

#include <stdbool.h>
#include <stdint.h>

#define EXACT_SUM_CHUNKS 70 /* 2^1024 / 2^-1074, and 2^63 of those */

struct exact_sum {
    int64_t chunks[EXACT_SUM_CHUNKS]; /* least first */
    uint32_t uncarried;               /* numbers since the last carry */
    bool nan;
    bool infinite;
    bool minus_infinite;
};

/* A zeroed sum is 0. */
void exact_sum_add(struct exact_sum *sum, double number);
/* NaN of NaN and of both infinities; infinite where no double is as large. */
double exact_sum_get(struct exact_sum *sum);

#endif
