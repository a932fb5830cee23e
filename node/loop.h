/* The loop thread: it owns tasks, leases, schedules and peers, and runs their state machines.
 *
 * Other threads hand it work with loop_post; it alone starts and cancels timers. A function on the
 * loop never blocks: what takes time goes to workers and posts its result back. Time is
 * CLOCK_MONOTONIC, in ms.
 */
#ifndef NODE_LOOP_H
#define NODE_LOOP_H

#include <stdint.h>

#include "proto/err.h"

struct loop;

typedef void (*loop_function)(void *argument);

/* Embedded in its owner; zeroed is idle. Loop thread only. */
struct loop_timer {
    loop_function run;
    void *argument;
    uint64_t due_ms;
    bool armed;
    struct loop_timer *next;
};

enum err_code loop_start(struct loop **ret_loop, struct err *err);
/* Runs what was posted before, drops timers, ends the thread. NULL is fine. */
void loop_stop(struct loop *loop);
/* Any thread, also the loop's own: runs after what was posted before. After loop_stop began the
 * call is dropped and false. */
bool loop_post(struct loop *loop, loop_function run, void *argument);
/* Posts and waits until it ran; not from the loop's own thread. */
bool loop_call(struct loop *loop, loop_function run, void *argument);
bool loop_is_current(const struct loop *loop);

uint64_t loop_now_ms(void);
/* Arms anew when armed. One shot. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

#endif
