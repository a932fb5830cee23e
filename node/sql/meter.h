/* What a query has taken of its limits of time and result, and whether it is to end. Memory and
 * temporary files: resources.h. Threads: the cursor's; `cancel` may be set by any.
 */
#ifndef NODE_SQL_METER_H
#define NODE_SQL_METER_H

#include "node/sql/select.h"

struct meter {
    struct select_limits limits;
    atomic_bool *cancel; /* or NULL; borrowed */
    bool timed_out;
    uint64_t used_ms;     /* by earlier calls of select_next */
    uint64_t start_ms;    /* of this call, by the monotonic clock */
    uint64_t deadline_ms; /* of this call; 0: none */
    uint64_t rows;        /* given out, as the bytes */
    uint64_t result_bytes;
};

/* Around the work of each call: the caller's own time between calls does not count. */
void meter_begin(struct meter *meter);
void meter_end(struct meter *meter);
/* Whether it was cancelled or is over its time. */
bool meter_is_over(struct meter *meter);
/* Why, when it was: ERR_TIMEOUT, ERR_CANCELLED. */
enum err_code meter_over(const struct meter *meter, struct err *err);
void meter_row(struct meter *meter, size_t plain_bytes);
/* Of rows that were fetched, before they are given out. ERR_LIMIT. */
enum err_code meter_result_check(const struct meter *meter, struct err *err);

#endif
