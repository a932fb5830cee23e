/* Which of a schedule's standing tokens is for which of its XCOPYs. */
#ifndef NODE_SCHEDULE_TOKENS_H
#define NODE_SCHEDULE_TOKENS_H

#include "node/schedule/schedule.h"

struct xcopy_names { /* borrows */
    struct span source_region, source_project, source_snapshot;
    struct span destination_project, destination_snapshot;
};

/* The first that covers the names; empty: none does. */
struct span schedule_token_find(const struct schedule *schedule, const struct xcopy_names *names);

#endif
