/* See times.h. The pattern is interpreted as it stands; it was validated when it was set. */
#include "node/csv/times.h"

#define DAY_S INT64_C(86400)

/* The parts of a local time, in pattern order of their letters. */
enum part { PART_YEAR, PART_MONTH, PART_DAY, PART_HOUR, PART_MINUTE, PART_SECOND, PART_MS, PARTS };

static const struct {
    char letter;
    uint8_t width;
    uint16_t min;
    uint16_t max;
    uint16_t otherwise; /* when the pattern does not have it */
} part_rules[PARTS] = {
    [PART_YEAR] = {'y', 4, 0, 9999, 1970}, [PART_MONTH] = {'M', 2, 1, 12, 1},
    [PART_DAY] = {'d', 2, 1, 31, 1},       [PART_HOUR] = {'H', 2, 0, 23, 0},
    [PART_MINUTE] = {'m', 2, 0, 59, 0},    [PART_SECOND] = {'s', 2, 0, 59, 0},
    [PART_MS] = {'S', 3, 0, 999, 0},
};

struct csv_times csv_times_default(void)
{
    return (struct csv_times){0};
}

bool csv_times_plain(const struct csv_times *times)
{
    return !times->has_pattern && !times->named_zone && times->offset_s == 0;
}

static enum part part_of(char letter)
{
    enum part part = PART_YEAR;
    while (part < PARTS && part_rules[part].letter != letter)
        part++;
    return part;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One step of a pattern: a part, or one literal character; *at moves behind it. Quotes toggle. */
static enum part pattern_step(const char *pattern, size_t *at, bool *quoted, char *ret_literal)
{
    while (pattern[*at] == '\'') {
        *quoted = !*quoted;
        (*at)++;
    }
    *ret_literal = pattern[*at];
    if (*ret_literal == 0)
        return PARTS;
    enum part part = *quoted ? PARTS : part_of(*ret_literal);
    *at += part < PARTS ? part_rules[part].width : 1;
    return part;
}

enum err_code csv_times_pattern_set(struct csv_times *times, struct span pattern, struct err *err)
{
    bool quoted = false, seen[PARTS] = {false};
    if (pattern.len == 0 || pattern.len >= LIMIT_CSV_PATTERN_BYTES)
        return err_set(err, ERR_PARAMETER, "a date format has 1 to %d characters",
                       LIMIT_CSV_PATTERN_BYTES - 1);
    for (size_t at = 0; at < pattern.len;) {
        char letter = (char)pattern.data[at];
        if (letter == '\'')
            quoted = !quoted;
        if (letter == 0)
            return err_set(err, ERR_PARAMETER, "a date format has no zero byte");
        if (quoted || !is_letter(letter)) {
            at++;
            continue;
        }
        enum part part = part_of(letter);
        size_t run = 1;
        while (at + run < pattern.len && (char)pattern.data[at + run] == letter)
            run++;
        if (part == PARTS || run != part_rules[part].width || seen[part])
            return err_set(err, ERR_PARAMETER,
                           "date format \"%.*s\": \"%.*s\" is not known here; it knows yyyy MM dd "
                           "HH mm ss SSS, each once",
                           SPAN_PRINTF(pattern), SPAN_PRINTF(span_slice(pattern, at, run)));
        seen[part] = true;
        at += run;
    }
    if (quoted)
        return err_set(err, ERR_PARAMETER, "date format \"%.*s\": a quote is not closed",
                       SPAN_PRINTF(pattern));
    memcpy(times->pattern, pattern.data, pattern.len);
    times->pattern[pattern.len] = 0;
    times->has_pattern = true;
    return ERR_OK;
}

/* "", "Z", "UTC", "GMT", and with +8, +08, +0800, +08:00 after it or alone. */
static bool offset_parse(struct span zone, int32_t *ret_offset_s)
{
    if (zone.len >= 3 && (strncasecmp((const char *)zone.data, "UTC", 3) == 0 ||
                          strncasecmp((const char *)zone.data, "GMT", 3) == 0))
        zone = span_slice(zone, 3, zone.len - 3);
    else if (zone.len == 1 && (zone.data[0] == 'Z' || zone.data[0] == 'z'))
        zone.len = 0;
    else if (zone.len == 0)
        return false;
    if (zone.len == 0) {
        *ret_offset_s = 0;
        return true;
    }
    if (zone.data[0] != '+' && zone.data[0] != '-')
        return false;
    unsigned digits[4] = {0}, count = 0;
    for (size_t i = 1; i < zone.len; i++) {
        if (zone.data[i] == ':' && i >= 2 && i + 3 == zone.len)
            continue;
        if (zone.data[i] < '0' || zone.data[i] > '9' || count == 4)
            return false;
        digits[count++] = zone.data[i] - (unsigned)'0';
    }
    if (count == 0)
        return false;
    unsigned hours = count == 1 || count == 3 ? digits[0] : 10 * digits[0] + digits[1];
    unsigned minutes = count >= 3 ? 10 * digits[count - 2] + digits[count - 1] : 0;
    if (hours > 14 || minutes > 59)
        return false;
    int32_t offset_s = (int32_t)(hours * 3600 + minutes * 60);
    *ret_offset_s = zone.data[0] == '-' ? -offset_s : offset_s;
    return true;
}

enum err_code csv_times_zone_set(struct csv_times *times, struct span zone, struct err *err)
{
    char path[LIMIT_CSV_PATTERN_BYTES + 32];
    if (offset_parse(zone, &times->offset_s)) {
        times->named_zone = false;
        return ERR_OK;
    }
    bool name = zone.len > 0 && zone.len < LIMIT_CSV_PATTERN_BYTES && is_letter((char)zone.data[0]);
    for (size_t i = 0; name && i < zone.len; i++)
        name = is_letter((char)zone.data[i]) || memchr("_-+/0123456789", zone.data[i], 14) != NULL;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", SPAN_PRINTF(zone));
    if (!name || access(path, R_OK) != 0)
        return err_set(err, ERR_PARAMETER,
                       "time zone \"%.*s\" is not known; give an offset like +08:00 or a name like "
                       "Asia/Hong_Kong",
                       SPAN_PRINTF(zone));
    setenv("TZ", path + strlen("/usr/share/zoneinfo/"), 1);
    tzset();
    times->named_zone = true;
    times->offset_s = 0;
    return ERR_OK;
}

static bool digits_parse(struct span text, size_t at, size_t width, uint16_t *ret_value)
{
    unsigned value = 0;
    if (text.len - at < width)
        return false;
    for (size_t i = 0; i < width; i++) {
        uint8_t digit = text.data[at + i];
        if (digit < '0' || digit > '9')
            return false;
        value = 10 * value + digit - '0';
    }
    *ret_value = (uint16_t)value;
    return true;
}

static bool pattern_parse(const char *pattern, struct span text, uint16_t parts[PARTS])
{
    size_t at = 0, text_at = 0;
    bool quoted = false;
    while (true) {
        char literal;
        enum part part = pattern_step(pattern, &at, &quoted, &literal);
        if (part == PARTS && literal == 0)
            return text_at == text.len;
        if (part == PARTS) {
            if (text_at == text.len || (char)text.data[text_at] != literal)
                return false;
            text_at++;
            continue;
        }
        if (!digits_parse(text, text_at, part_rules[part].width, &parts[part]) ||
            parts[part] < part_rules[part].min || parts[part] > part_rules[part].max)
            return false;
        text_at += part_rules[part].width;
    }
}

static int64_t local_to_utc_s(const struct csv_times *times, int64_t local_s)
{
    if (!times->named_zone)
        return local_s - times->offset_s;
    struct tm tm;
    time_t as_utc = (time_t)local_s;
    if (gmtime_r(&as_utc, &tm) == NULL)
        return local_s;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm);
}

bool csv_times_parse(const struct csv_times *times, struct span text, int64_t *ret_ms)
{
    int64_t local_ms;
    if (times->has_pattern) {
        uint16_t parts[PARTS];
        for (enum part part = PART_YEAR; part < PARTS; part++)
            parts[part] = part_rules[part].otherwise;
        if (!pattern_parse(times->pattern, text, parts))
            return false;
        int64_t days = date_from_civil(parts[PART_YEAR], parts[PART_MONTH], parts[PART_DAY]);
        int64_t year;
        unsigned month, day;
        date_to_civil(days, &year, &month, &day);
        if (day != parts[PART_DAY])
            return false; /* 30 February */
        local_ms = (days * DAY_S + parts[PART_HOUR] * 3600 + parts[PART_MINUTE] * 60 +
                    parts[PART_SECOND]) *
                       1000 +
                   parts[PART_MS];
    } else {
        struct value value;
        if (value_parse((struct type){.kind = TYPE_DATETIME}, text, &value, NULL) != ERR_OK)
            return false;
        local_ms = value.i64;
    }
    int64_t ms = ((local_ms % 1000) + 1000) % 1000;
    *ret_ms = local_to_utc_s(times, (local_ms - ms) / 1000) * 1000 + ms;
    return true;
}

static int64_t utc_to_local_s(const struct csv_times *times, int64_t utc_s)
{
    if (!times->named_zone)
        return utc_s + times->offset_s;
    struct tm tm;
    time_t at = (time_t)utc_s;
    if (localtime_r(&at, &tm) == NULL)
        return utc_s;
    return utc_s + tm.tm_gmtoff;
}

void csv_times_format(const struct csv_times *times, int64_t ms_utc, struct bytes *out)
{
    int64_t ms = ((ms_utc % 1000) + 1000) % 1000;
    int64_t local_s = utc_to_local_s(times, (ms_utc - ms) / 1000);
    if (!times->has_pattern) {
        struct value value = {.i64 = local_s * 1000 + ms};
        value_format((struct type){.kind = TYPE_DATETIME}, value, out);
        return;
    }
    int64_t second = ((local_s % DAY_S) + DAY_S) % DAY_S, year;
    unsigned month, day;
    date_to_civil((local_s - second) / DAY_S, &year, &month, &day);
    const int64_t parts[PARTS] = {year,        month, day, second / 3600, second / 60 % 60,
                                  second % 60, ms};
    size_t at = 0;
    bool quoted = false;
    while (true) {
        char literal;
        enum part part = pattern_step(times->pattern, &at, &quoted, &literal);
        if (part < PARTS)
            bytes_printf(out, "%0*" PRId64, part_rules[part].width, parts[part]);
        else if (literal != 0)
            bytes_append_u8(out, (uint8_t)literal);
        else
            return;
    }
}
