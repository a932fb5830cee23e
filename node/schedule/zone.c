#include "node/schedule/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proto/type.h"

#define ZONE_FOLDER          "/usr/share/zoneinfo/"
#define ZONE_FILE_BYTES_MAX  (64 * 1024)
#define ZONE_HEADER_BYTES    44
#define ZONE_TYPES_MAX       256
#define ZONE_TRANSITIONS_MAX 4096
#define OFFSET_S_MAX         (26 * 3600) /* RFC 8536: within -25 h and 26 h */
#define DAY_S                86400
#define RULE_YEARS           3 /* those around an instant */

/* When a year's changeover is: POSIX TZ. */
struct rule {
    enum { RULE_WEEKDAY, RULE_DAY_OF_YEAR, RULE_DAY_WITHOUT_LEAP } kind;
    unsigned month, week, day; /* RULE_WEEKDAY: week 5 is the last; else day alone */
    int32_t time_s;            /* of the local day, may be outside of it */
};

/* What holds behind the table: the file's last line. */
struct footer {
    bool present;
    bool has_dst;
    int32_t standard_s, dst_s; /* to add to UTC */
    struct rule begin, end;
};

struct zone {
    size_t count;
    int64_t *at_s;     /* strictly ascending */
    int32_t *offset_s; /* from at_s[i] on */
    int32_t first_s;   /* before the first */
    struct footer footer;
};

void zone_free(struct zone *zone)
{
    if (zone == NULL)
        return;
    mem_free(zone->at_s);
    mem_free(zone->offset_s);
    mem_free(zone);
}

void zone_free_pointer(struct zone **zone)
{
    zone_free(*zone);
}

/* ---- the last line: EST5EDT,M3.2.0,M11.1.0 ---- */

static uint8_t next_byte(const struct reader *text)
{
    return text->left.len > 0 ? text->left.data[0] : 0;
}

static bool skip(struct reader *text, uint8_t c)
{
    return next_byte(text) == c && c != 0 && reader_u8(text) == c;
}

static bool number_read(struct reader *text, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    size_t digits = 0;
    for (; digits < 4 && next_byte(text) >= '0' && next_byte(text) <= '9'; digits++)
        number = number * 10 + (reader_u8(text) - '0');
    *ret_number = number;
    return digits > 0 && number <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool time_read(struct reader *text, int32_t *ret_time_s)
{
    bool minus = skip(text, '-');
    if (!minus)
        skip(text, '+');
    unsigned hours, minutes = 0, seconds = 0;
    if (!number_read(text, 167, &hours))
        return false;
    if (skip(text, ':') && !number_read(text, 59, &minutes))
        return false;
    if (skip(text, ':') && !number_read(text, 59, &seconds))
        return false;
    int32_t time_s = (int32_t)(hours * 3600 + minutes * 60 + seconds);
    *ret_time_s = minus ? -time_s : time_s;
    return true;
}

/* A zone's abbreviation: letters, or anything in <>. */
static bool abbreviation_skip(struct reader *text)
{
    size_t len = 0;
    if (skip(text, '<')) {
        for (; text->left.len > 0 && next_byte(text) != '>'; len++)
            reader_u8(text);
        return skip(text, '>') && len > 0;
    }
    for (; (next_byte(text) | 32) >= 'a' && (next_byte(text) | 32) <= 'z'; len++)
        reader_u8(text);
    return len > 0;
}

static bool rule_read(struct reader *text, struct rule *ret_rule)
{
    struct rule rule = {.kind = RULE_DAY_OF_YEAR, .time_s = 2 * 3600};
    bool good;
    if (skip(text, 'M')) {
        rule.kind = RULE_WEEKDAY;
        good = number_read(text, 12, &rule.month) && rule.month > 0 && skip(text, '.') &&
               number_read(text, 5, &rule.week) && rule.week > 0 && skip(text, '.') &&
               number_read(text, 6, &rule.day);
    } else if (skip(text, 'J')) {
        rule.kind = RULE_DAY_WITHOUT_LEAP;
        good = number_read(text, 365, &rule.day) && rule.day > 0;
    } else {
        good = number_read(text, 365, &rule.day);
    }
    if (good && skip(text, '/'))
        good = time_read(text, &rule.time_s);
    *ret_rule = rule;
    return good;
}

static bool footer_read(struct span line, struct footer *ret_footer)
{
    struct reader text = reader_of(line);
    struct footer footer = {.present = true};
    if (!abbreviation_skip(&text) || !time_read(&text, &footer.standard_s))
        return false;
    footer.standard_s = -footer.standard_s; /* POSIX counts westward */
    footer.has_dst = text.left.len > 0;
    if (footer.has_dst) {
        footer.dst_s = footer.standard_s + 3600;
        if (!abbreviation_skip(&text))
            return false;
        if (next_byte(&text) != ',') {
            if (!time_read(&text, &footer.dst_s))
                return false;
            footer.dst_s = -footer.dst_s;
        }
        if (!skip(&text, ',') || !rule_read(&text, &footer.begin) || !skip(&text, ',') ||
            !rule_read(&text, &footer.end))
            return false;
    }
    *ret_footer = footer;
    return reader_end(&text) && footer.standard_s > -OFFSET_S_MAX &&
           footer.standard_s < OFFSET_S_MAX && footer.dst_s > -OFFSET_S_MAX &&
           footer.dst_s < OFFSET_S_MAX;
}

/* Seconds since 1970 by the clock that is changed then. */
static int64_t rule_local_s(const struct rule *rule, int64_t year)
{
    int64_t first = date_from_civil(year, 1, 1);
    int64_t day = first + rule->day;
    if (rule->kind == RULE_DAY_WITHOUT_LEAP) {
        bool leap = date_from_civil(year, 3, 1) - first == 60;
        day = first + rule->day - 1 + (leap && rule->day >= 60 ? 1 : 0);
    }
    if (rule->kind == RULE_WEEKDAY) {
        int64_t begin = date_from_civil(year, rule->month, 1);
        int64_t end = rule->month == 12 ? date_from_civil(year + 1, 1, 1)
                                        : date_from_civil(year, rule->month + 1, 1);
        int64_t weekday = ((begin + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        day = begin + ((int64_t)rule->day - weekday + 7) % 7 + 7 * ((int64_t)rule->week - 1);
        while (day >= end)
            day -= 7;
    }
    return day * DAY_S + rule->time_s;
}

/* ---- what holds at an instant, and until when ---- */

struct piece {
    int32_t offset_s;
    int64_t end_s; /* not of it */
};

static struct piece footer_piece(const struct footer *footer, int64_t utc_s)
{
    struct piece piece = {footer->standard_s, INT64_MAX};
    int64_t year, last_s = INT64_MIN;
    unsigned month, day;
    if (!footer->has_dst)
        return piece;
    date_to_civil((utc_s - (utc_s % DAY_S + DAY_S) % DAY_S) / DAY_S, &year, &month, &day);
    for (int64_t y = year - 1; y < year - 1 + RULE_YEARS; y++) {
        const struct piece changes[] = {
            {footer->dst_s, rule_local_s(&footer->begin, y) - footer->standard_s},
            {footer->standard_s, rule_local_s(&footer->end, y) - footer->dst_s},
        };
        for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
            int64_t at_s = changes[i].end_s;
            if (at_s <= utc_s && at_s >= last_s) {
                last_s = at_s;
                piece.offset_s = changes[i].offset_s;
            } else if (at_s > utc_s && at_s < piece.end_s) {
                piece.end_s = at_s;
            }
        }
    }
    return piece;
}

static struct piece piece_at(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0, high = zone->count; /* the first that is later */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at_s[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->footer.present)
        return footer_piece(&zone->footer, utc_s);
    return (struct piece){low == 0 ? zone->first_s : zone->offset_s[low - 1],
                          low == zone->count ? INT64_MAX : zone->at_s[low]};
}

int64_t zone_local_s(const struct zone *zone, int64_t utc_s)
{
    return utc_s + piece_at(zone, utc_s).offset_s;
}

int64_t zone_utc_s(const struct zone *zone, int64_t local_s)
{
    int64_t begin_s = local_s - OFFSET_S_MAX - 3600;
    while (true) {
        struct piece piece = piece_at(zone, begin_s);
        int64_t utc_s = local_s - piece.offset_s;
        if (utc_s < begin_s)
            utc_s = begin_s;
        if (utc_s < piece.end_s)
            return utc_s;
        begin_s = piece.end_s;
    }
}

/* ---- the file ---- */

struct counts {
    uint8_t version;
    uint32_t utc, standard, leaps, times, types, letters;
};

static bool header_read(struct reader *reader, struct counts *ret_counts)
{
    struct span magic = reader_span(reader, 4);
    ret_counts->version = reader_u8(reader);
    reader_span(reader, 15);
    ret_counts->utc = reader_u32(reader);
    ret_counts->standard = reader_u32(reader);
    ret_counts->leaps = reader_u32(reader);
    ret_counts->times = reader_u32(reader);
    ret_counts->types = reader_u32(reader);
    ret_counts->letters = reader_u32(reader);
    return reader_ok(reader) && span_equal(magic, span_text("TZif")) &&
           ret_counts->times <= ZONE_TRANSITIONS_MAX && ret_counts->types <= ZONE_TYPES_MAX &&
           ret_counts->types > 0 && ret_counts->letters <= ZONE_FILE_BYTES_MAX &&
           ret_counts->utc <= ZONE_TYPES_MAX && ret_counts->standard <= ZONE_TYPES_MAX &&
           ret_counts->leaps == 0;
}

/* Behind a block whose times have time_bytes each. */
static void block_skip(struct reader *reader, const struct counts *counts, size_t time_bytes)
{
    reader_span(reader, counts->times * time_bytes + counts->times + counts->types * 6 +
                            counts->letters + counts->standard + counts->utc);
}

static bool table_read(struct reader *reader, const struct counts *counts, struct zone *zone)
{
    struct reader times = reader_of(reader_span(reader, (size_t)counts->times * 8));
    struct reader indexes = reader_of(reader_span(reader, counts->times));
    struct span types = reader_span(reader, (size_t)counts->types * 6);
    reader_span(reader, counts->letters + counts->standard + counts->utc);
    if (!reader_ok(reader))
        return false;
    int32_t offsets[ZONE_TYPES_MAX];
    for (size_t i = 0; i < counts->types; i++) {
        offsets[i] = (int32_t)load_u32(types.data + 6 * i);
        if (offsets[i] < -OFFSET_S_MAX || offsets[i] > OFFSET_S_MAX)
            return false;
    }
    zone->first_s = offsets[0];
    zone->at_s = mem_calloc(counts->times + 1, sizeof(int64_t));
    zone->offset_s = mem_calloc(counts->times + 1, sizeof(int32_t));
    for (size_t i = 0; i < counts->times; i++) {
        uint8_t type = reader_u8(&indexes);
        zone->at_s[i] = (int64_t)reader_u64(&times);
        if (type >= counts->types || (i > 0 && zone->at_s[i] <= zone->at_s[i - 1]))
            return false;
        zone->offset_s[i] = offsets[type];
    }
    zone->count = counts->times;
    return true;
}

/* A newline, the rule or nothing, a newline. */
static bool line_read(struct span text, struct zone *zone)
{
    if (text.len < 2 || text.data[0] != '\n' || text.data[text.len - 1] != '\n')
        return false;
    struct span line = span_slice(text, 1, text.len - 2);
    return line.len == 0 || footer_read(line, &zone->footer);
}

enum err_code zone_decode(struct span tzif, struct zone **ret_zone, struct err *err)
{
    struct reader reader = reader_of(tzif);
    struct counts counts = {0};
    ZONE_CLEANUP struct zone *zone = mem_calloc(1, sizeof(*zone));
    bool good =
        tzif.len <= ZONE_FILE_BYTES_MAX && header_read(&reader, &counts) && counts.version >= '2';
    if (good) {
        block_skip(&reader, &counts, 4);
        good = reader_ok(&reader) && header_read(&reader, &counts) &&
               table_read(&reader, &counts, zone) && line_read(reader.left, zone);
    }
    if (!good)
        return err_set(err, ERR_CORRUPT, "a time zone's file of tzdata cannot be read");
    *ret_zone = zone;
    zone = NULL;
    return ERR_OK;
}

/* ---- names ---- */

/* Letters, digits and _ + - between slashes: no way out of the folder, and no copy of it inside. */
static bool name_is_good(struct span name)
{
    static const char *const others[] = {"right/",
                                         "posix/"}; /* with leap seconds; the same again */
    bool begins = true;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        bool rest = (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
        if (!letter && (begins || (!rest && c != '/')))
            return false;
        begins = c == '/';
    }
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        size_t len = strlen(others[i]);
        if (name.len >= len && memcmp(name.data, others[i], len) == 0)
            return false;
    }
    return name.len > 0 && name.len <= ZONE_NAME_BYTES_MAX && !begins;
}

static bool file_read(const char *path, struct bytes *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = 1;
    while (got > 0 && out->len <= ZONE_FILE_BYTES_MAX) {
        bytes_reserve(out, ZONE_FILE_BYTES_MAX / 4);
        got = read(fd, out->data + out->len, ZONE_FILE_BYTES_MAX / 4);
        if (got > 0)
            out->len += (size_t)got;
    }
    close(fd);
    return got == 0;
}

enum err_code zone_open(struct span name, struct zone **ret_zone, struct err *err)
{
    BYTES_CLEANUP struct bytes file = {0};
    char path[sizeof(ZONE_FOLDER) + ZONE_NAME_BYTES_MAX];
    struct err local;
    bool good = name_is_good(name);
    if (good) {
        snprintf(path, sizeof(path), ZONE_FOLDER "%.*s", SPAN_PRINTF(name));
        good = file_read(path, &file) && zone_decode(bytes_span(&file), ret_zone, &local) == ERR_OK;
    }
    if (good)
        return ERR_OK;
    if (span_equal(name, span_text("UTC"))) { /* also where no tzdata is installed */
        *ret_zone = mem_calloc(1, sizeof(struct zone));
        return ERR_OK;
    }
    int len = name.len < ZONE_NAME_BYTES_MAX ? (int)name.len : ZONE_NAME_BYTES_MAX;
    return err_set(err, ERR_SEMANTIC,
                   "there is no time zone '%.*s' in " ZONE_FOLDER
                   " of this node; names are such as Asia/Hong_Kong or UTC",
                   len, (const char *)name.data);
}
