/* May anything be deleted because of what the wall clock says?
 *
 *     look(wall, monotonic) -> BELIEVED          as far from the last look as the monotonic clock says
 *                              JUMPED            not: doubted from now on
 *                              DOUBTED           still, until it is back where it was expected
 *                                                or has been steady for a day
 *
 * A clock that is set forward by years (a battery, a typing mistake, a bad time server) and back must
 * not have expired every snapshot meanwhile. Leases, pauses and timeouts go by the monotonic clock
 * and need none of this. After a start there is only the last time that was believed: a node may have
 * been down for CLOCK_DOWN_MS_MAX, but not for less than nothing.
 *
 * Decided here: a jump is CLOCK_JUMP_MS_MAX, either way; what is lost by doubt is a day's delay.
 * Pure; one thread. Elsewhere: what expires (node/expiry.h), tokens (their check names both clocks).
 */
#ifndef NODE_CLOCK_WATCH_H
#define NODE_CLOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_JUMP_MS_MAX (10 * 60 * 1000)
#define CLOCK_STEADY_MS   (24 * 3600 * 1000)
#define CLOCK_DOWN_MS_MAX (UINT64_C(7) * 24 * 3600 * 1000)

enum clock_verdict { CLOCK_BELIEVED, CLOCK_JUMPED, CLOCK_DOUBTED };

struct clock_watch {
    bool started;
    uint64_t at_ms; /* monotonic: when the wall clock was expected within [low_ms, high_ms] */
    uint64_t low_ms, high_ms;
    bool doubted;
    uint64_t doubted_at_ms; /* monotonic: since when it has been steady, though elsewhere */
    uint64_t doubted_wall_ms;
};

/* believed_ms: the last time that was believed before the start; 0 when there is none. */
void clock_watch_init(struct clock_watch *watch, uint64_t believed_ms, uint64_t monotonic_ms);
enum clock_verdict clock_watch_look(struct clock_watch *watch, uint64_t wall_ms,
                                    uint64_t monotonic_ms);
/* What the wall clock was expected to say at least (shown beside what it says). */
uint64_t clock_watch_expected_ms(const struct clock_watch *watch, uint64_t monotonic_ms);

#endif
