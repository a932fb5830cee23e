/* Whose request goes next: flows share what a link asks for evenly by bytes, whatever each has waiting
 * (start-time fair queueing; Goyal, Vin, Cheng, IEEE/ACM Trans. Networking 5(5), 1997).
 *
 * A request's turn is where the flow's last one ends, or now for a flow that had rested; the least turn
 * goes first. So a flow that begins goes next, and one that asks for a thousand times as much waits
 * no longer than its own bytes take.
 *
 * Invariants: 1. Turns of one flow ascend. 2. While two flows have requests waiting, what went of one is at
 * most a request ahead of what went of the other.
 * Pure: no clock, no I/O, no threads.
 */
#ifndef TRANSPORT_TURNS_H
#define TRANSPORT_TURNS_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed is valid and empty. */
struct turns {
    uint64_t now; /* bytes; the turn of the last request that went */
    struct turn {
        uint64_t flow, end;
    } * flows; /* owned; those that end after now, and more */
    size_t count, capacity;
};

void turns_deinit(struct turns *turns);
/* The turn of another request of the flow, of so many bytes. */
uint64_t turns_take(struct turns *turns, uint64_t flow, uint64_t bytes);
/* The request of this turn has gone. */
void turns_pass(struct turns *turns, uint64_t turn);

#endif
