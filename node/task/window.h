/* How much is asked of one peer at once, and over how many connections: bandwidth x round trip, both
 * found from what arrives, as model-based congestion control does it (BBR, ACM Queue 14(5), 2016).
 *
 *     bandwidth   the most that arrived in a row of WINDOW_ROW intervals, over WINDOW_SAMPLES of them
 *     round trip  the least that a ping took, over WINDOW_ROUND_TRIP_US to twice that
 *     window      2 x bandwidth x round trip + what arrived and is being checked and stored; and at
 *                 least two replies a connection, so that none waits for its next request
 *     connections enough for that much on its way at connection_bytes each. Where each carries far
 *                 less (a lossy link holds each back by itself), twice as many are tried and kept if
 *                 they bring more
 *
 * The channel's limit bounds all of that from its moment on, whatever was measured before: what is
 * asked ahead is five seconds of it (a disk may take so long over a commit), and of that what is out on the connections, and so has no
 * turns any more, is DEPTH_US of it and what is in flight: a small task is not behind seconds of a large one.
 *
 * While the window is what limits, each interval brings as much as it allows, so it doubles; once the
 * link limits, bandwidth stays and the window with it. Congestion itself is the kernel's business:
 * a request more than needed waits at the source and costs nothing here until its bytes come.
 *
 * Invariants: 1. window_bytes and connections lie within the limits. 2. An interval in which nothing
 * was left to ask for (`limited` false) never lowers the bandwidth. 3. A trial of more connections
 * ends within 4 rounds, and trials that bring nothing grow rare. 4. More connections are not tried
 * while the channel's limit is what limits.
 *
 * Pure: no clock, no chance, no I/O, no threads.
 */
#ifndef NODE_TASK_WINDOW_H
#define NODE_TASK_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_SAMPLES 32
#define WINDOW_ROW     10 /* a lost packet holds back what came after it: that comes at once, later */

struct window_limits {
    size_t bytes_min, bytes_start, bytes_max;
    size_t work_bytes;       /* arrived, not yet stored, on a link that is fast enough */
    size_t connection_bytes; /* what one carries in a round trip: the kernel's buffers */
    uint32_t connections_min, connections_max;
    uint32_t connections_start; /* at least, over a long way, until the bandwidth is known */
    size_t replies_bytes;       /* of the replies that all connections are amid */
    size_t batch_bytes_min, batch_bytes_max;
    size_t batch_bytes_limited; /* at least, under a channel's limit */
};

struct window_limits window_limits_default(void);

enum window_trial {                 /* of more connections */
                    WINDOW_SETTLES, /* bandwidth is not known yet */
                    WINDOW_MEASURES,
                    WINDOW_TRIAL_SETTLES, /* with more of them */
                    WINDOW_TRIAL_MEASURES,
                    WINDOW_RESTS,
};

struct window_event {
    uint64_t now_us;         /* any monotonic clock */
    uint64_t received_bytes; /* from the peer so far; only differences count */
    uint32_t round_trip_us;  /* the latest ping's; 0: none yet */
    size_t reply_bytes;      /* of a reply, as those in flight are; 0: unknown */
    bool limited;            /* more would have been asked for since the last event */
    uint64_t limit;          /* bytes a second that the channel may carry; 0: not known */
};

struct window {
    struct window_limits limits;
    /* what to do */
    size_t bytes;               /* of replies to have asked for */
    uint32_t connections;       /* to carry them */
    uint32_t connections_early; /* of these, worth dialling before there is anything to carry */
    size_t batch_bytes;         /* of one reply */
    uint32_t depth;             /* requests on their way on each; 0: as many as the peer takes */
    /* what was found */
    uint64_t bandwidth;     /* bytes a second; 0: unknown */
    uint64_t round_trip_us; /* 0: unknown */
    size_t reply_bytes;     /* the latest; 0: unknown */
    uint64_t limit;         /* the latest; 0: unknown */
    /* how */
    bool begun;
    bool settled; /* the bandwidth was measured with more to ask for all along, and did not grow */
    bool telling; /* enough came in a row for the bandwidth to be a line's, not a small copy's */
    struct window_mark { /* where intervals ended, a ring */
        uint64_t at_us, bytes;
    } marks[WINDOW_ROW];
    size_t mark_next, mark_count;
    bool interval_limited;
    uint64_t samples[WINDOW_SAMPLES]; /* bytes a second, a ring */
    size_t sample_next;
    uint64_t round_trips_us[2]; /* the least of this period and of the one before; 0: none */
    uint64_t round_trips_at_us;
    enum window_trial trial;
    uint64_t trial_at_us, trial_at_bytes;
    bool trial_limited;
    uint64_t trial_before;    /* bytes a second without it */
    uint64_t trial_bandwidth; /* found when the round began */
    uint64_t rest_us;
    uint32_t connections_wanted; /* by trials that brought more */
};

void window_init(struct window *window, const struct window_limits *limits);
/* After each reply, and after any pause: the next event begins a new interval then. */
void window_step(struct window *window, const struct window_event *event);
/* Of a request: all that is asked for may come before it, at a quarter of the bandwidth, and while
 * that is not known at WINDOW_BYTES_PER_SECOND_MIN. A peer that is gone is noticed without it. */
uint32_t window_deadline_ms(const struct window *window);

struct window_rate {
    uint64_t bytes_per_second; /* 0: nothing is known */
    bool is_measured;          /* by what came; else it is the limit */
    bool is_settled;           /* measured over long enough to know that no more comes */
};

/* What may be expected of the peer: the bandwidth, where enough came to tell it, never above the limit (bytes a
 * second; 0: not known). The rate of a small copy is that of its round trips and commits, and counts for nothing. */
struct window_rate window_rate(const struct window *window, uint64_t limit);

#endif
