/* Rings when a grant has ended: what stands on rights that were asked for once (leases, tasks) is asked about
 * again, at that moment and not at its next request. Grants that are taken away need no alarm: the
 * statement that takes them is there.
 *
 *     rights_alarm_start -> (rights_alarm_set, after each change of rights)* -> rights_alarm_stop
 *
 * Also rings at the start: what ended while the node was down ended. While some grant has an end, the
 * clock is looked at every RIGHTS_ALARM_LOOK_MS, for it may be set forward.
 * Threads: rights_alarm_set from any; the rest, and ring, on the loop.
 */
#ifndef NODE_RIGHTS_ALARM_H
#define NODE_RIGHTS_ALARM_H

#include "node/loop.h"
#include "store/store.h"

#define RIGHTS_ALARM_LOOK_MS 5000

struct rights_alarm {
    /* borrowed */
    struct store *store;
    struct loop *loop;
    void (*ring)(void *context);
    void *context;
    /* the loop's */
    uint64_t due_ms; /* when the next grant ends, by the clock of grants; at first 0 */
    struct loop_timer timer;
};

/* The four fields above are set, the others zero. */
void rights_alarm_start(struct rights_alarm *alarm);
void rights_alarm_set(struct rights_alarm *alarm);
/* On the loop; before it ends. */
void rights_alarm_stop(struct rights_alarm *alarm);

#endif
