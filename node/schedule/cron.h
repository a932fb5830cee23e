/* When a schedule runs, by the clock on the wall: five fields, as Vixie cron reads them.
 *
 *     minute 0-59   hour 0-23   day 1-31   month 1-12 | JAN-DEC   weekday 0-7 | SUN-SAT, 0 and 7 are Sunday
 *     each *, a, a-b, and of * and a-b every n-th: / n; several with commas
 *
 * A day fits when its month does and: both day fields, or, where neither begins with *, at least one.
 * Minutes are counted from 1970-01-01 00:00 of that clock; what they are in UTC is zone.h's.
 * Pure.
 */
#ifndef NODE_SCHEDULE_CRON_H
#define NODE_SCHEDULE_CRON_H

#include "proto/bytes.h"

struct cron { /* bits */
    uint64_t minutes;
    uint32_t hours;
    uint32_t days;   /* 1 to 31 */
    uint16_t months; /* 1 to 12 */
    uint8_t weekdays;
    bool any_day; /* the field begins with * */
    bool any_weekday;
};

/* ERR_SEMANTIC names the field and what is wrong with it; also of one that never comes (30 February). */
enum err_code cron_parse(struct span text, struct cron *ret_cron, struct err *err) MUST_USE;
bool cron_matches(const struct cron *cron, int64_t local_minute);
/* The first behind after_minute. False: none within CRON_YEARS_MAX years. */
bool cron_next(const struct cron *cron, int64_t after_minute, int64_t *ret_minute);

#define CRON_YEARS_MAX 9 /* 29 February may be eight years away */

#endif
