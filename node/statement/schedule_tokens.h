/* The standing tokens of a schedule: that each XCOPY of its body, and its trigger, has the one that its
 * creator signed, and how long they last. What they have to say: node/schedule/grants.h. */
#ifndef NODE_STATEMENT_SCHEDULE_TOKENS_H
#define NODE_STATEMENT_SCHEDULE_TOKENS_H

#include "node/schedule/schedule.h"
#include "node/statement/statement.h"

/* CREATE SCHEDULE: takes those that came with the call. ERR_CREDENTIALS says for what one is missing; ERR_DENIED,
 * ERR_PARAMETER: one is another's, or for something else; a region that is no peer. */
enum err_code schedule_tokens_take(const struct statement_call *call,
                                   const struct project_record *project, struct schedule *schedule,
                                   struct err *err) MUST_USE;
/* When the first of them ends, since 1970; 0: there are none. */
uint64_t schedule_tokens_end_s(const struct schedule *schedule);
/* Their ids, a blank between them: for REVOKE XCOPY TOKEN at the source. Appends. */
void schedule_tokens_ids(const struct schedule *schedule, struct bytes *out);
/* ALTER SCHEDULE ... RESUME. ERR_CREDENTIALS: they have ended. */
enum err_code schedule_tokens_last(const struct schedule *schedule, struct err *err) MUST_USE;

#endif
