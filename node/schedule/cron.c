#include "node/schedule/cron.h"

#include "proto/type.h"

#define DAY_MINUTES 1440

/* ---- text ---- */

struct field {
    const char *name;
    unsigned min, max;
    const char *const *words; /* for min, min + 1, ...; or NULL */
    size_t word_count;
};

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                     "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static const struct field fields[] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day of the month", 1, 31, NULL, 0},
    {"month", 1, 12, months, ARRAY_COUNT(months)},
    {"weekday", 0, 7, weekdays, ARRAY_COUNT(weekdays)},
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static uint8_t byte_at(struct span text, size_t at)
{
    return at < text.len ? text.data[at] : 0;
}

static size_t digits_read(struct span text, size_t at, unsigned *ret_number)
{
    unsigned number = 0;
    for (; byte_at(text, at) >= '0' && byte_at(text, at) <= '9' && number < 1000; at++)
        number = number * 10 + (text.data[at] - '0');
    *ret_number = number;
    return at;
}

/* A number or a name of the field at `at`; behind it, or `at`: there is none. */
static size_t value_read(const struct field *field, struct span text, size_t at,
                         unsigned *ret_value)
{
    for (size_t i = 0; i < field->word_count && text.len - at >= 3; i++) {
        if (strncasecmp((const char *)text.data + at, field->words[i], 3) == 0) {
            *ret_value = field->min + (unsigned)i;
            return at + 3;
        }
    }
    size_t end = digits_read(text, at, ret_value);
    return end > at && *ret_value >= field->min && *ret_value <= field->max ? end : at;
}

/* *, a, a-b, with / n behind; behind it, or `at`. */
static size_t range_read(const struct field *field, struct span text, size_t at, uint64_t *bits)
{
    unsigned low = field->min, high = field->max, step = 1;
    size_t end = at + 1;
    bool range = byte_at(text, at) == '*';
    if (!range) {
        end = value_read(field, text, at, &low);
        if (end == at)
            return at;
        high = low;
        range = byte_at(text, end) == '-';
        if (range) {
            size_t begin = end + 1;
            end = value_read(field, text, begin, &high);
            if (end == begin || high < low)
                return at;
        }
    }
    if (range && byte_at(text, end) == '/') {
        size_t begin = end + 1;
        end = digits_read(text, begin, &step);
        if (end == begin || step == 0 || step > field->max)
            return at;
    }
    for (unsigned i = low; i <= high; i += step)
        *bits |= UINT64_C(1) << i;
    return end;
}

static enum err_code field_parse(const struct field *field, struct span text, uint64_t *ret_bits,
                                 struct err *err)
{
    size_t at = 0;
    uint64_t bits = 0;
    while (true) {
        size_t end = range_read(field, text, at, &bits);
        bool comma = byte_at(text, end) == ',';
        if (end == at || (end < text.len && !comma)) {
            int len = text.len < 60 ? (int)text.len : 60;
            return err_set(err, ERR_SEMANTIC,
                           "cron: the %s '%.*s' is none: expected *, n, n-m, * or n-m with /step, "
                           "or several with commas, from %u to %u%s",
                           field->name, len, (const char *)text.data, field->min, field->max,
                           field->words != NULL ? ", or names" : "");
        }
        if (!comma)
            break;
        at = end + 1;
    }
    *ret_bits = bits;
    return ERR_OK;
}

/* The five words; false: there are more or fewer. */
static bool fields_split(struct span text, struct span words[ARRAY_COUNT(fields)])
{
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && !is_blank(text.data[end]))
            end++;
        if (end > at && count == ARRAY_COUNT(fields))
            return false;
        if (end > at)
            words[count++] = span_slice(text, at, end - at);
        at = end + 1;
    }
    return count == ARRAY_COUNT(fields);
}

enum err_code cron_parse(struct span text, struct cron *ret_cron, struct err *err)
{
    struct span words[ARRAY_COUNT(fields)];
    uint64_t bits[ARRAY_COUNT(fields)] = {0};
    int64_t next;
    if (!fields_split(text, words))
        return err_set(err, ERR_SEMANTIC,
                       "cron: expected five fields: minute hour day month weekday, such as "
                       "'0 1 * * *'");
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        TRY(field_parse(&fields[i], words[i], &bits[i], err));
    struct cron cron = {
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint16_t)bits[3],
        .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7F),
        .any_day = words[2].data[0] == '*',
        .any_weekday = words[4].data[0] == '*',
    };
    if (!cron_next(&cron, 0, &next))
        return err_set(err, ERR_SEMANTIC, "cron: no such day ever comes");
    *ret_cron = cron;
    return ERR_OK;
}

/* ---- time ---- */

static int64_t day_of(int64_t minute)
{
    return (minute - (minute % DAY_MINUTES + DAY_MINUTES) % DAY_MINUTES) / DAY_MINUTES;
}

static bool day_matches(const struct cron *cron, int64_t day)
{
    int64_t year;
    unsigned month, day_of_month;
    date_to_civil(day, &year, &month, &day_of_month);
    unsigned weekday = (unsigned)(((day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    bool by_day = (cron->days >> day_of_month & 1) != 0;
    bool by_weekday = (cron->weekdays >> weekday & 1) != 0;
    bool both = cron->any_day || cron->any_weekday;
    return (cron->months >> month & 1) != 0 && (both ? by_day && by_weekday : by_day || by_weekday);
}

bool cron_matches(const struct cron *cron, int64_t local_minute)
{
    int64_t day = day_of(local_minute);
    int64_t minute = local_minute - day * DAY_MINUTES;
    return (cron->minutes >> minute % 60 & 1) != 0 && (cron->hours >> minute / 60 & 1) != 0 &&
           day_matches(cron, day);
}

bool cron_next(const struct cron *cron, int64_t after_minute, int64_t *ret_minute)
{
    int64_t from = after_minute + 1;
    int64_t first = day_of(from);
    for (int64_t day = first; day < first + CRON_YEARS_MAX * 366; day++) {
        if (!day_matches(cron, day))
            continue;
        int64_t begin = day == first ? from - day * DAY_MINUTES : 0;
        for (int64_t minute = begin; minute < DAY_MINUTES; minute++) {
            if ((cron->hours >> minute / 60 & 1) == 0) {
                minute += 59 - minute % 60;
            } else if ((cron->minutes >> minute % 60 & 1) != 0) {
                *ret_minute = day * DAY_MINUTES + minute;
                return true;
            }
        }
    }
    return false;
}
