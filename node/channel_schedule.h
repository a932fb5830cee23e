/* How much a channel may carry, and when: a limit, and others for hours of the day.
 *
 *     limit             10 Gbit/s unless another was set
 *     windows           from 22:00 to 06:00: 50 Mbit/s, each day; over midnight if it ends before it begins
 *
 * Times are UTC, to the minute. Windows do not overlap; their end is not of them.
 *
 * Pure: no clock, no I/O, no threads.
 */
#ifndef NODE_CHANNEL_SCHEDULE_H
#define NODE_CHANNEL_SCHEDULE_H

#include "proto/bytes.h"

#define CHANNEL_WINDOWS_MAX         24
#define CHANNEL_MINUTES_A_DAY       1440
#define CHANNEL_BITS_PER_SECOND_MAX UINT64_C(1000000000000)

struct channel_window {
    uint16_t from, to; /* minutes of the day, never equal */
    uint64_t bits_per_second;
};

struct channel_schedule {
    uint64_t bits_per_second; /* outside all windows; 0: the default */
    size_t window_count;
    struct channel_window windows[CHANNEL_WINDOWS_MAX]; /* in order of from */
};

/* What it may carry at a moment, ms since 1970; 0: the default. */
uint64_t schedule_rate(const struct channel_schedule *schedule, uint64_t now_ms);

/* In place of one of the same times. ERR_SEMANTIC: it overlaps another one, which is named; ERR_LIMIT. */
enum err_code schedule_window_set(struct channel_schedule *schedule,
                                  const struct channel_window *window, struct err *err) MUST_USE;
/* ERR_NOT_FOUND: none has these times; names those that there are. */
enum err_code schedule_window_drop(struct channel_schedule *schedule, uint16_t from, uint16_t to,
                                   struct err *err) MUST_USE;

/* ---- texts ---- */

/* A number, with up to three decimals, and a unit: bit/s, kbit/s, Mbit/s, Gbit/s; the same as bps, kbps,
 * Mbps, Gbps; or bytes: B/s, kB/s, MB/s, GB/s. Decimal, 8 bits a byte. ERR_PARAMETER: none of these,
 * or not from 1 Mbit/s to 1,000 Gbit/s. */
enum err_code bandwidth_parse(struct span text, uint64_t *ret_bits_per_second,
                              struct err *err) MUST_USE;
/* "2 Gbit/s", "1.5 Mbit/s"; bandwidth_parse takes it back exactly. */
void bandwidth_format(uint64_t bits_per_second, struct bytes *out);
/* "22:00": minutes of the day; ERR_PARAMETER. */
enum err_code minute_parse(struct span text, uint16_t *ret_minute, struct err *err) MUST_USE;
/* "22:00-06:00 50 Mbit/s, ..."; nothing for none. */
void schedule_windows_format(const struct channel_schedule *schedule, struct bytes *out);

/* ---- bytes, as they are kept ---- */

void schedule_encode(const struct channel_schedule *schedule, struct bytes *out);
/* ERR_CORRUPT. */
enum err_code schedule_decode(struct span encoded, struct channel_schedule *ret_schedule,
                              struct err *err) MUST_USE;

#endif
