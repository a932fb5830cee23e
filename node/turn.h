/* Writers of one table take turns, so that none of them works for a conflict at the end.
 *
 * A turn is not needed for correctness (catalog_commit checks what it expects), only for fairness:
 * a load of an hour would otherwise lose against any INSERT meanwhile. One turn a thread at a time.
 * Threads: any; table_turn_take blocks.
 */
#ifndef NODE_TURN_H
#define NODE_TURN_H

#include "proto/ids.h"

void table_turn_take(struct table_id table);
/* False: somebody else had it all the time, for wait_ms. */
bool table_turn_take_within(struct table_id table, uint32_t wait_ms) MUST_USE;
void table_turn_give(struct table_id table);
/* Threads that wait for a turn now. For tests. */
size_t table_turns_waited(void);

/* For scopes: zero is no turn. */
void table_turn_end(struct table_id *table);
#define TABLE_TURN_CLEANUP __attribute__((cleanup(table_turn_end)))

#endif
