#include "node/channel_schedule.h"

#include <ctype.h>
#include <strings.h>

#include "transport/bucket.h"

#define MINUTE_MS UINT64_C(60000)
#define DECIMALS  1000 /* of a number, as a whole */
#define DIGITS    12   /* before the point: no sum below passes 64 bits */

/* ---- what holds when ---- */

static uint32_t window_minutes(const struct channel_window *window)
{
    return (uint32_t)(window->to + CHANNEL_MINUTES_A_DAY - window->from) % CHANNEL_MINUTES_A_DAY;
}

static bool window_has(const struct channel_window *window, uint32_t minute)
{
    uint32_t past = (minute + CHANNEL_MINUTES_A_DAY - window->from) % CHANNEL_MINUTES_A_DAY;
    return past < window_minutes(window);
}

uint64_t schedule_rate(const struct channel_schedule *schedule, uint64_t now_ms)
{
    uint32_t minute = (uint32_t)(now_ms / MINUTE_MS % CHANNEL_MINUTES_A_DAY);
    for (size_t i = 0; i < schedule->window_count; i++)
        if (window_has(&schedule->windows[i], minute))
            return schedule->windows[i].bits_per_second;
    return schedule->bits_per_second;
}

/* ---- changes ---- */

static bool windows_overlap(const struct channel_window *a, const struct channel_window *b)
{
    return window_has(a, b->from) || window_has(b, a->from);
}

static bool same_times(const struct channel_window *window, uint16_t from, uint16_t to)
{
    return window->from == from && window->to == to;
}

static void window_format(const struct channel_window *window, struct bytes *out)
{
    bytes_printf(out, "%02d:%02d-%02d:%02d ", window->from / 60, window->from % 60, window->to / 60,
                 window->to % 60);
    bandwidth_format(window->bits_per_second, out);
}

static enum err_code overlap_check(const struct channel_schedule *schedule,
                                   const struct channel_window *window, struct err *err)
{
    for (size_t i = 0; i < schedule->window_count; i++) {
        const struct channel_window *other = &schedule->windows[i];
        if (!windows_overlap(other, window))
            continue;
        BYTES_CLEANUP struct bytes text = {0};
        window_format(other, &text);
        return err_set(err, ERR_SEMANTIC,
                       "the window overlaps another one of this channel, %.*s; remove that first "
                       "(SET BANDWIDTH DEFAULT BETWEEN '%02d:%02d' AND '%02d:%02d')",
                       SPAN_PRINTF(bytes_span(&text)), other->from / 60, other->from % 60,
                       other->to / 60, other->to % 60);
    }
    return ERR_OK;
}

enum err_code schedule_window_set(struct channel_schedule *schedule,
                                  const struct channel_window *window, struct err *err)
{
    size_t at = 0;
    while (at < schedule->window_count && schedule->windows[at].from < window->from)
        at++;
    if (at < schedule->window_count &&
        same_times(&schedule->windows[at], window->from, window->to)) {
        schedule->windows[at] = *window;
        return ERR_OK;
    }
    TRY(overlap_check(schedule, window, err));
    if (schedule->window_count == CHANNEL_WINDOWS_MAX)
        return err_set(err, ERR_LIMIT, "a channel has at most %d windows", CHANNEL_WINDOWS_MAX);
    memmove(&schedule->windows[at + 1], &schedule->windows[at],
            (schedule->window_count - at) * sizeof(*window));
    schedule->windows[at] = *window;
    schedule->window_count++;
    return ERR_OK;
}

enum err_code schedule_window_drop(struct channel_schedule *schedule, uint16_t from, uint16_t to,
                                   struct err *err)
{
    for (size_t i = 0; i < schedule->window_count; i++) {
        if (!same_times(&schedule->windows[i], from, to))
            continue;
        schedule->window_count--;
        memmove(&schedule->windows[i], &schedule->windows[i + 1],
                (schedule->window_count - i) * sizeof(schedule->windows[0]));
        return ERR_OK;
    }
    BYTES_CLEANUP struct bytes windows = {0};
    schedule_windows_format(schedule, &windows);
    return err_set(err, ERR_NOT_FOUND,
                   "the channel has no window from %02d:%02d to %02d:%02d; it has %.*s", from / 60,
                   from % 60, to / 60, to % 60,
                   SPAN_PRINTF(windows.len > 0 ? bytes_span(&windows) : span_text("none")));
}

/* ---- texts ---- */

/* The first letter in any case, and the others when a change of case would not change bits to bytes. */
static const struct unit {
    const char *text;
    uint64_t bits;
    bool exact;
} units[] = {
    {"Gbit/s", 1000000000, false}, {"Mbit/s", 1000000, false}, {"kbit/s", 1000, false},
    {"bit/s", 1, false},           {"Gbps", 1000000000, true}, {"Mbps", 1000000, true},
    {"kbps", 1000, true},          {"bps", 1, true},           {"GB/s", 8000000000, true},
    {"MB/s", 8000000, true},       {"kB/s", 8000, true},       {"B/s", 8, true},
};

static bool unit_is(const struct unit *unit, struct span text)
{
    size_t len = strlen(unit->text);
    if (text.len != len)
        return false;
    if (!unit->exact)
        return strncasecmp((const char *)text.data, unit->text, len) == 0;
    bool prefix = len > 3; /* kbps, kB/s; but bps, B/s */
    return (prefix ? tolower(text.data[0]) == tolower(unit->text[0])
                   : text.data[0] == (uint8_t)unit->text[0]) &&
           memcmp(text.data + 1, unit->text + 1, len - 1) == 0;
}

static uint64_t unit_bits(struct span text)
{
    for (size_t i = 0; i < ARRAY_COUNT(units); i++)
        if (unit_is(&units[i], text))
            return units[i].bits;
    return 0;
}

/* In thousandths; false: no number at the begin. */
static bool thousandths_read(struct span *text, uint64_t *ret_thousandths)
{
    uint64_t number = 0;
    size_t digits = 0, decimals = 0;
    size_t at = 0;
    for (; at < text->len && isdigit(text->data[at]) && digits <= DIGITS; at++, digits++)
        number = 10 * number + (uint64_t)(text->data[at] - '0');
    if (digits > 0 && at < text->len && text->data[at] == '.') {
        for (at++; at < text->len && isdigit(text->data[at]) && decimals <= 3; at++, decimals++)
            number = 10 * number + (uint64_t)(text->data[at] - '0');
        if (decimals == 0)
            return false;
    }
    if (digits == 0 || digits > DIGITS || decimals > 3)
        return false;
    for (; decimals < 3; decimals++)
        number *= 10;
    *text = span_slice(*text, at, text->len - at);
    *ret_thousandths = number;
    return true;
}

static struct span trimmed(struct span text)
{
    while (text.len > 0 && text.data[0] == ' ')
        text = span_slice(text, 1, text.len - 1);
    while (text.len > 0 && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

enum err_code bandwidth_parse(struct span text, uint64_t *ret_bits_per_second, struct err *err)
{
    struct span rest = trimmed(text);
    uint64_t thousandths = 0;
    bool number = thousandths_read(&rest, &thousandths);
    uint64_t unit = number ? unit_bits(trimmed(rest)) : 0;
    if (unit == 0)
        return err_set(err, ERR_PARAMETER,
                       "'%.*s' is no bandwidth: write a number and kbit/s, Mbit/s, Gbit/s (or "
                       "kbps, Mbps, Gbps; bytes: kB/s, MB/s, GB/s), such as '2 Gbit/s'",
                       SPAN_PRINTF(text));
    const uint64_t most = CHANNEL_BITS_PER_SECOND_MAX * DECIMALS;
    uint64_t bits = thousandths > most / unit ? most + DECIMALS : thousandths * unit;
    if (bits < BUCKET_MIN_BITS_PER_SECOND * DECIMALS || bits > most)
        return err_set(err, ERR_PARAMETER, "'%.*s': a channel carries from 1 Mbit/s to 1000 Gbit/s",
                       SPAN_PRINTF(text));
    *ret_bits_per_second = bits / DECIMALS;
    return ERR_OK;
}

void bandwidth_format(uint64_t bits_per_second, struct bytes *out)
{
    const struct unit *unit = &units[0];
    while (unit->bits > 1 && bits_per_second * DECIMALS % unit->bits != 0)
        unit++;
    while (unit->bits > 1 && bits_per_second < unit->bits)
        unit++;
    uint64_t thousandths = bits_per_second * DECIMALS / unit->bits;
    bytes_printf(out, "%" PRIu64, thousandths / DECIMALS);
    if (thousandths % DECIMALS != 0) {
        bytes_printf(out, ".%03" PRIu64, thousandths % DECIMALS);
        while (out->data[out->len - 1] == '0')
            out->len--;
    }
    bytes_printf(out, " %s", unit->text);
}

enum err_code minute_parse(struct span text, uint16_t *ret_minute, struct err *err)
{
    const uint8_t *t = text.data;
    bool form = text.len == 5 && isdigit(t[0]) && isdigit(t[1]) && t[2] == ':' && isdigit(t[3]) &&
                isdigit(t[4]);
    int hours = form ? 10 * (t[0] - '0') + t[1] - '0' : 24;
    int minutes = form ? 10 * (t[3] - '0') + t[4] - '0' : 0;
    if (hours > 23 || minutes > 59)
        return err_set(err, ERR_PARAMETER,
                       "'%.*s' is no time of the day: write hours and minutes, '00:00' to '23:59', "
                       "UTC",
                       SPAN_PRINTF(text));
    *ret_minute = (uint16_t)(60 * hours + minutes);
    return ERR_OK;
}

void schedule_windows_format(const struct channel_schedule *schedule, struct bytes *out)
{
    for (size_t i = 0; i < schedule->window_count; i++) {
        bytes_printf(out, "%s", i > 0 ? ", " : "");
        window_format(&schedule->windows[i], out);
    }
}

/* ---- bytes ---- */

void schedule_encode(const struct channel_schedule *schedule, struct bytes *out)
{
    bytes_append_u64(out, schedule->bits_per_second);
    bytes_append_u8(out, (uint8_t)schedule->window_count);
    for (size_t i = 0; i < schedule->window_count; i++) {
        bytes_append_u16(out, schedule->windows[i].from);
        bytes_append_u16(out, schedule->windows[i].to);
        bytes_append_u64(out, schedule->windows[i].bits_per_second);
    }
}

static bool rate_valid(uint64_t bits_per_second)
{
    return bits_per_second >= BUCKET_MIN_BITS_PER_SECOND &&
           bits_per_second <= CHANNEL_BITS_PER_SECOND_MAX;
}

enum err_code schedule_decode(struct span encoded, struct channel_schedule *ret_schedule,
                              struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct channel_schedule schedule = {.bits_per_second = reader_u64(&reader)};
    size_t count = reader_u8(&reader);
    bool valid = schedule.bits_per_second == 0 || rate_valid(schedule.bits_per_second);
    for (size_t i = 0; i < count && valid && reader_ok(&reader); i++) {
        struct channel_window window = {.from = reader_u16(&reader), .to = reader_u16(&reader)};
        window.bits_per_second = reader_u64(&reader);
        valid = window.from < CHANNEL_MINUTES_A_DAY && window.to < CHANNEL_MINUTES_A_DAY &&
                window.from != window.to && rate_valid(window.bits_per_second) &&
                schedule_window_set(&schedule, &window, NULL) == ERR_OK;
    }
    if (!valid || !reader_end(&reader) || schedule.window_count != count)
        return err_set(err, ERR_CORRUPT, "the record of a channel is damaged");
    *ret_schedule = schedule;
    return ERR_OK;
}
