/* A twin of a public table: cumulative counts by country and day, six daily versions.
 *
 *     Date,Country,Confirmed,Recovered,Deaths        sorted by country, then date
 *
 * Version 0 has 380 dates from 2020-01-22 on, each later one a date more, 192 countries a date.
 * Against the version before, 1, 1, 1, 6 and 325 of the older dates are revised. So loaded as a table
 * partitioned by date and replicated version by version, 380, 2, 2, 2, 7 and 326 partitions move.
 */
#ifndef CLUSTER_TESTS_SALES_TWIN_H
#define CLUSTER_TESTS_SALES_TWIN_H

#include <stdio.h>

#define TWIN_VERSIONS 6

/* version: 0 to TWIN_VERSIONS - 1. */
void twin_write(unsigned version, FILE *out);

#endif
