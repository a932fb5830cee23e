/* A schedule as the statements that make it again: CREATE SCHEDULE, and ALTER SCHEDULE ... PAUSE if it is paused. What
 * is signed for it is not in the text: `strait` signs when the text is run. Pure. */
#ifndef NODE_STATEMENT_SCHEDULE_TEXT_H
#define NODE_STATEMENT_SCHEDULE_TEXT_H

#include "node/schedule/schedule.h"
#include "node/schedule/zone.h"

/* Appends. zone: the schedule's. Times are said by its clock. */
void schedule_text_append(struct span project, const struct schedule *schedule,
                          const struct zone *zone, struct bytes *out);

#endif
