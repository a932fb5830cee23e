#include "node/task/window.h"

#include "proto/limits.h"

#define SECOND_US            UINT64_C(1000000)
#define INTERVAL_US_MIN      100000          /* shorter ones measure single replies */
#define INTERVAL_US_MAX      (2 * SECOND_US) /* longer ones hold a pause: they measure nothing */
#define WINDOW_ROUND_TRIP_US (60 * SECOND_US)
#define LONG_US              20000  /* a round trip at which slow starts are worth sharing */
#define LIMITED_BATCH_US     100000 /* a reply, of a channel's limit */
#define DEPTH_US             250000 /* out on the connections, of a channel's limit */
#define WORK_US              (2 * SECOND_US) /* what waits here is at most so much of the link */
#define AHEAD_US             (5 * SECOND_US) /* asked ahead, at most so much of the link */
#define ROUND_US_MIN         (2 * SECOND_US) /* of a trial: at least this and 10 round trips */
#define ROUND_ROUND_TRIPS    10
#define REST_US_MIN          (30 * SECOND_US)
#define REST_US_MAX          (480 * SECOND_US)
#define GREW_PERCENT         110 /* of the bandwidth a round ago: it is still being found */
#define LIMITED_PERCENT      85  /* of the channel's limit: it is that */
#define STARVED_DIVISOR      4
#define TRIAL_PERCENT        125                /* of the rate before, to be worth it */
#define TELLING_BYTES        WINDOW_BYTES_START /* at once: beyond slow starts */
#define TELLING_ROW_BYTES    WINDOW_BYTES_MIN   /* in a row of a second and more */

struct window_limits window_limits_default(void)
{
    return (struct window_limits){
        .bytes_min = WINDOW_BYTES_MIN,
        .bytes_start = WINDOW_BYTES_START,
        .bytes_max = WINDOW_BYTES_MAX,
        .work_bytes = WINDOW_WORK_BYTES,
        .connection_bytes = WINDOW_CONNECTION_BYTES,
        .connections_min = LINK_DATA_CONNECTIONS_DEFAULT,
        .connections_start = WINDOW_CONNECTIONS_START,
        .connections_max = LIMIT_CONNECTIONS_PER_PEER - 2, /* control, and one that takes over */
        .replies_bytes = WINDOW_REPLIES_BYTES,
        .batch_bytes_limited = WINDOW_BATCH_BYTES_LIMITED,
        .batch_bytes_min = WINDOW_BATCH_BYTES_MIN,
        .batch_bytes_max = WINDOW_BATCH_BYTES_MAX,
    };
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t rate_of(uint64_t bytes, uint64_t us)
{
    return us == 0 ? 0 : (uint64_t)((double)bytes * (double)SECOND_US / (double)us);
}

static uint64_t bytes_in(uint64_t rate, uint64_t us)
{
    return (uint64_t)((double)rate * (double)us / (double)SECOND_US);
}

/* ---- what follows from bandwidth and round trip ---- */

/* What was measured, or what may be measured from now on. */
static uint64_t bandwidth_now(const struct window *window)
{
    return window->limit == 0 ? window->bandwidth : least(window->bandwidth, window->limit);
}

static void follow_limit(struct window *window)
{
    const struct window_limits *limits = &window->limits;
    uint64_t ahead_us = AHEAD_US + 2 * window->round_trip_us;
    uint64_t bytes = most(bytes_in(window->limit, ahead_us), limits->bytes_min);
    uint64_t batch_bytes =
        most(bytes_in(window->limit, LIMITED_BATCH_US), limits->batch_bytes_limited);
    window->bytes = (size_t)least(window->bytes, bytes);
    window->batch_bytes = (size_t)least(window->batch_bytes, batch_bytes);
    uint64_t out = bytes_in(window->limit, DEPTH_US + 2 * window->round_trip_us);
    window->depth = 1 + (uint32_t)(out / (window->connections * window->batch_bytes));
}

static void window_follow(struct window *window)
{
    const struct window_limits *limits = &window->limits;
    uint64_t bandwidth = bandwidth_now(window);
    uint64_t flight = 2 * bytes_in(bandwidth, window->round_trip_us);
    uint64_t work = least(limits->work_bytes, bytes_in(bandwidth, WORK_US));
    uint64_t connections = flight / limits->connection_bytes + 1;
    connections = most(connections, window->connections_wanted);
    bool slow_start = !window->settled && window->round_trip_us >= LONG_US;
    connections =
        most(connections, slow_start ? limits->connections_start : limits->connections_min);
    if (window->trial == WINDOW_TRIAL_SETTLES || window->trial == WINDOW_TRIAL_MEASURES)
        connections *= 2;
    connections = least(connections, limits->connections_max);
    uint64_t ahead = least(2 * connections * window->reply_bytes, bytes_in(bandwidth, AHEAD_US));
    uint64_t bytes = most(most(flight + work, ahead), limits->bytes_min);
    if (!window->settled) /* pages and slow starts are no measure */
        bytes = most(bytes, limits->bytes_start);
    window->bytes = (size_t)least(bytes, limits->bytes_max);
    window->connections = (uint32_t)connections;
    window->connections_early = (uint32_t)least(
        connections, window->round_trip_us >= LONG_US ? connections : WINDOW_CONNECTIONS_EARLY);
    window->batch_bytes =
        (size_t)most(limits->batch_bytes_min,
                     least(limits->replies_bytes / connections, limits->batch_bytes_max));
    window->depth = 0;
    if (window->limit > 0)
        follow_limit(window);
}

void window_init(struct window *window, const struct window_limits *limits)
{
    *window = (struct window){.limits = *limits, .rest_us = REST_US_MIN};
    window_follow(window);
}

/* ---- bandwidth ---- */

static void sample_add(struct window *window, uint64_t rate, bool limited)
{
    if (!limited && rate <= window->bandwidth)
        return; /* invariant 2 */
    window->samples[window->sample_next] = rate;
    window->sample_next = (window->sample_next + 1) % WINDOW_SAMPLES;
    window->bandwidth = 0;
    for (size_t i = 0; i < WINDOW_SAMPLES; i++)
        window->bandwidth = most(window->bandwidth, window->samples[i]);
}

static const struct window_mark *mark_at(const struct window *window, size_t back)
{
    return &window->marks[(window->mark_next + WINDOW_ROW - back) % WINDOW_ROW];
}

static void mark_add(struct window *window, const struct window_event *event)
{
    window->marks[window->mark_next] =
        (struct window_mark){.at_us = event->now_us, .bytes = event->received_bytes};
    window->mark_next = (window->mark_next + 1) % WINDOW_ROW;
    window->mark_count += window->mark_count < WINDOW_ROW;
    window->interval_limited = true;
}

static void row_begin(struct window *window, const struct window_event *event)
{
    window->mark_count = 0;
    mark_add(window, event);
}

static void interval_step(struct window *window, const struct window_event *event)
{
    uint64_t past_us = event->now_us - mark_at(window, 1)->at_us;
    window->interval_limited = window->interval_limited && event->limited;
    if (past_us < most(window->round_trip_us, INTERVAL_US_MIN))
        return;
    if (past_us > most(4 * window->round_trip_us, INTERVAL_US_MAX)) {
        row_begin(window, event);
        return;
    }
    const struct window_mark *first = mark_at(window, window->mark_count);
    uint64_t bytes = event->received_bytes - first->bytes;
    bool row_is_whole = window->mark_count == WINDOW_ROW;
    window->telling =
        window->telling || bytes >= (row_is_whole ? TELLING_ROW_BYTES : TELLING_BYTES);
    sample_add(window, rate_of(bytes, event->now_us - first->at_us), window->interval_limited);
    mark_add(window, event);
}

/* ---- round trip ---- */

static void round_trip_step(struct window *window, const struct window_event *event)
{
    if (event->now_us - window->round_trips_at_us >= WINDOW_ROUND_TRIP_US) {
        window->round_trips_us[1] = window->round_trips_us[0];
        window->round_trips_us[0] = 0;
        window->round_trips_at_us = event->now_us;
    }
    uint64_t *now_us = &window->round_trips_us[0];
    if (event->round_trip_us != 0 && (*now_us == 0 || event->round_trip_us < *now_us))
        *now_us = event->round_trip_us;
    uint64_t before_us = window->round_trips_us[1];
    window->round_trip_us =
        before_us != 0 && *now_us != 0 ? least(before_us, *now_us) : most(before_us, *now_us);
}

/* ---- trials of more connections ---- */

static void trial_begin(struct window *window, const struct window_event *event,
                        enum window_trial trial)
{
    window->trial = trial;
    window->trial_at_us = event->now_us;
    window->trial_at_bytes = event->received_bytes;
    window->trial_limited = true;
    window->trial_bandwidth = window->bandwidth;
}

static void trial_decide(struct window *window, const struct window_event *event, uint64_t rate)
{
    if (rate * 100 >= window->trial_before * TRIAL_PERCENT) {
        window->connections_wanted = window->connections;
        window->rest_us = REST_US_MIN;
        trial_begin(window, event, WINDOW_MEASURES);
        return;
    }
    trial_begin(window, event, WINDOW_RESTS);
}

/* Each carries far less than its buffers would let it: something else holds it back, a loss rate or
 * the link itself, and only a trial tells which. */
static bool connections_starve(const struct window *window)
{
    uint64_t each = bytes_in(window->bandwidth, window->round_trip_us) / window->connections;
    if (window->limit > 0 && window->bandwidth * 100 >= window->limit * LIMITED_PERCENT)
        return false; /* invariant 4 */
    return window->connections < window->limits.connections_max &&
           each < window->limits.connection_bytes / STARVED_DIVISOR;
}

static bool grew(const struct window *window)
{
    return window->bandwidth * 100 > window->trial_bandwidth * GREW_PERCENT;
}

static void trial_end_round(struct window *window, const struct window_event *event, uint64_t rate)
{
    switch (window->trial) {
    case WINDOW_SETTLES:
        trial_begin(window, event, grew(window) ? WINDOW_SETTLES : WINDOW_MEASURES);
        break;
    case WINDOW_MEASURES:
        if (!window->settled && connections_starve(window))
            window->connections_wanted = window->connections; /* measured with these */
        window->settled = true;
        window->trial_before = rate;
        trial_begin(window, event,
                    connections_starve(window) ? WINDOW_TRIAL_SETTLES : WINDOW_SETTLES);
        break;
    case WINDOW_TRIAL_SETTLES:
        trial_begin(window, event, WINDOW_TRIAL_MEASURES);
        break;
    case WINDOW_TRIAL_MEASURES:
        trial_decide(window, event, rate);
        break;
    case WINDOW_RESTS:
        window->rest_us = least(2 * window->rest_us, REST_US_MAX);
        trial_begin(window, event, WINDOW_MEASURES);
        break;
    }
}

static void trial_step(struct window *window, const struct window_event *event)
{
    uint64_t past_us = event->now_us - window->trial_at_us;
    uint64_t round_us = window->trial == WINDOW_RESTS
                            ? window->rest_us
                            : most(ROUND_US_MIN, ROUND_ROUND_TRIPS * window->round_trip_us);
    window->trial_limited = window->trial_limited && event->limited;
    if (past_us < round_us)
        return;
    bool measured = window->trial_limited && past_us < 2 * round_us;
    if (window->trial != WINDOW_RESTS && !measured) /* it shows nothing: from the start */
        trial_begin(window, event, WINDOW_SETTLES);
    else
        trial_end_round(window, event,
                        rate_of(event->received_bytes - window->trial_at_bytes, past_us));
}

void window_step(struct window *window, const struct window_event *event)
{
    if (!window->begun) {
        window->begun = true;
        window->round_trips_at_us = event->now_us;
        row_begin(window, event);
        trial_begin(window, event, WINDOW_SETTLES);
    }
    if (event->reply_bytes > 0)
        window->reply_bytes = event->reply_bytes;
    window->limit = event->limit;
    round_trip_step(window, event);
    interval_step(window, event);
    trial_step(window, event);
    window_follow(window);
}

uint32_t window_deadline_ms(const struct window *window)
{
    uint64_t rate = most(window->bandwidth / 4, WINDOW_BYTES_PER_SECOND_MIN);
    return (uint32_t)(WINDOW_DEADLINE_MS_MIN + (uint64_t)window->bytes * 1000 / rate);
}

struct window_rate window_rate(const struct window *window, uint64_t limit)
{
    bool is_known = window->bandwidth > 0 && (window->settled || window->telling);
    bool is_measured = is_known && (limit == 0 || window->bandwidth < limit);
    return (struct window_rate){.bytes_per_second = is_measured ? window->bandwidth : limit,
                                .is_measured = is_measured,
                                .is_settled = is_measured && window->settled};
}
