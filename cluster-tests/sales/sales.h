/* A made-up table of sales, partitioned by day in the tests and the quickstart.
 *
 *     id,order_date,amount,region,note
 *     1,2026-01-01,299.00,ap-southeast-1,"paid late, reminded"
 *
 * BIGINT, DATE, DECIMAL(10,2), STRING, STRING; a note may be absent. Sorted by id, so by day. A
 * revised day keeps its ids and has about one row in twenty changed, at least one; the same days
 * revised with another number (below 1,000) differ again.
 */
#ifndef CLUSTER_TESTS_SALES_SALES_H
#define CLUSTER_TESTS_SALES_SALES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SALES_DAYS_MAX 100000
#define SALES_ROWS_MAX 100000000 /* a day */

struct sales {
    uint64_t seed;
    int64_t first_day; /* days since 1970 */
    unsigned days;
    unsigned rows;          /* a day */
    unsigned revision;      /* of the revised days: 1 to 999 */
    const uint8_t *revised; /* one byte a day: 1 revised; NULL: none */
};

void sales_write(const struct sales *sales, FILE *out);

#endif
