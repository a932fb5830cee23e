#include "node/schedule/parameters.h"

#include <inttypes.h>

#include "proto/type.h"

#define DAY_S           INT64_C(86400)
#define OFFSET_MAX      INT64_C(100000)               /* of a number in one */
#define OFFSET_S_MAX    (INT64_C(4000) * 366 * DAY_S) /* of all of one's together */
#define PLACEHOLDER_MAX 256

/* ---- time in parts ---- */

struct moment {
    int64_t year;
    unsigned month, day;
    int64_t second; /* of the day */
};

static struct moment moment_of(int64_t local_s)
{
    struct moment moment;
    int64_t second = (local_s % DAY_S + DAY_S) % DAY_S;
    date_to_civil((local_s - second) / DAY_S, &moment.year, &moment.month, &moment.day);
    moment.second = second;
    return moment;
}

static int64_t months_added(int64_t local_s, int64_t months)
{
    struct moment moment = moment_of(local_s);
    int64_t month = moment.year * 12 + (int64_t)moment.month - 1 + months;
    int64_t year = (month - (month % 12 + 12) % 12) / 12;
    int64_t next = month + 1;
    int64_t first = date_from_civil(year, (unsigned)(month - year * 12) + 1, 1);
    int64_t next_year = (next - (next % 12 + 12) % 12) / 12;
    int64_t end = date_from_civil(next_year, (unsigned)(next - next_year * 12) + 1, 1);
    int64_t day = first + (int64_t)moment.day - 1;
    return (day < end ? day : end - 1) * DAY_S + moment.second;
}

/* ---- patterns: yyyymmdd ---- */

enum part { PART_YEAR, PART_SHORT_YEAR, PART_MONTH, PART_DAY, PART_HOUR, PART_MINUTE, PART_SECOND };

static const struct {
    const char *text;
    bool date; /* also of a business date */
} parts[] = {
    [PART_YEAR] = {"yyyy", true},  [PART_SHORT_YEAR] = {"yy", true}, [PART_MONTH] = {"mm", true},
    [PART_DAY] = {"dd", true},     [PART_HOUR] = {"hh24", false},    [PART_MINUTE] = {"mi", false},
    [PART_SECOND] = {"ss", false},
};

struct cursor {
    struct span text;
    size_t at;
};

static bool cursor_text(struct cursor *cursor, const char *text)
{
    size_t len = strlen(text);
    if (cursor->text.len - cursor->at < len ||
        memcmp(cursor->text.data + cursor->at, text, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

static bool cursor_part(struct cursor *cursor, bool dates_only, enum part *ret_part)
{
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if ((parts[i].date || !dates_only) && cursor_text(cursor, parts[i].text)) {
            *ret_part = (enum part)i;
            return true;
        }
    }
    return false;
}

static uint8_t cursor_byte(const struct cursor *cursor)
{
    return cursor->at < cursor->text.len ? cursor->text.data[cursor->at] : 0;
}

#define PATTERN_PARTS_MAX 16

struct pattern {
    enum part parts[PATTERN_PARTS_MAX];
    char before[PATTERN_PARTS_MAX]; /* what stands between it and the one before; or 0 */
    size_t count;
};

static bool pattern_read(struct cursor *cursor, bool dates_only, struct pattern *ret_pattern)
{
    struct pattern pattern = {0};
    while (pattern.count < PATTERN_PARTS_MAX) {
        struct cursor ahead = *cursor;
        uint8_t c = cursor_byte(&ahead);
        bool between = pattern.count > 0 && c != 0 && strchr("-/:_.", c) != NULL;
        if (between)
            ahead.at++;
        if (!cursor_part(&ahead, dates_only, &pattern.parts[pattern.count]))
            break;
        pattern.before[pattern.count++] = between ? (char)c : 0;
        *cursor = ahead;
    }
    *ret_pattern = pattern;
    return pattern.count > 0;
}

static void pattern_write(const struct pattern *pattern, int64_t local_s, struct bytes *out)
{
    struct moment moment = moment_of(local_s);
    for (size_t i = 0; i < pattern->count; i++) {
        const int64_t values[] = {
            [PART_YEAR] = moment.year,
            [PART_SHORT_YEAR] = moment.year % 100,
            [PART_MONTH] = (int64_t)moment.month,
            [PART_DAY] = (int64_t)moment.day,
            [PART_HOUR] = moment.second / 3600,
            [PART_MINUTE] = moment.second / 60 % 60,
            [PART_SECOND] = moment.second % 60,
        };
        if (pattern->before[i] != 0)
            bytes_append_u8(out, (uint8_t)pattern->before[i]);
        bytes_printf(out, "%0*" PRId64, pattern->parts[i] == PART_YEAR ? 4 : 2,
                     values[pattern->parts[i]]);
    }
}

static bool pattern_has(const struct pattern *pattern, enum part part)
{
    for (size_t i = 0; i < pattern->count; i++) {
        if (pattern->parts[i] == part)
            return true;
    }
    return false;
}

/* ---- offsets: -1-1/24, +7*2 ---- */

static bool number_read(struct cursor *cursor, int64_t *ret_number)
{
    int64_t number = 0;
    size_t begin = cursor->at;
    for (; cursor_byte(cursor) >= '0' && cursor_byte(cursor) <= '9' && number <= OFFSET_MAX;
         cursor->at++)
        number = number * 10 + (cursor_byte(cursor) - '0');
    *ret_number = number;
    return cursor->at > begin && number <= OFFSET_MAX;
}

/* N, N*M with a sign before it; the sign may be left out where it is not needed. */
static bool product_read(struct cursor *cursor, bool sign_needed, int64_t *ret_product)
{
    int64_t product, factor;
    uint8_t sign = cursor_byte(cursor);
    if (sign == '+' || sign == '-')
        cursor->at++;
    else if (sign_needed)
        return false;
    if (!number_read(cursor, &product))
        return false;
    while (cursor_byte(cursor) == '*') {
        cursor->at++;
        if (!number_read(cursor, &factor) || product * factor > OFFSET_MAX)
            return false;
        product *= factor;
    }
    *ret_product = sign == '-' ? -product : product;
    return true;
}

/* Terms of days with divisors, as seconds; they have to come out whole. */
static bool seconds_read(struct cursor *cursor, int64_t *ret_offset_s)
{
    int64_t offset_s = 0, product, divisor;
    while (cursor->at < cursor->text.len) {
        if (!product_read(cursor, true, &product))
            return false;
        int64_t divided = 1;
        while (cursor_byte(cursor) == '/') {
            cursor->at++;
            if (!number_read(cursor, &divisor) || divisor == 0 || divided > DAY_S)
                return false;
            divided *= divisor;
        }
        if (product * DAY_S % divided != 0)
            return false;
        offset_s += product * DAY_S / divided;
        if (offset_s > OFFSET_S_MAX || offset_s < -OFFSET_S_MAX)
            return false;
    }
    *ret_offset_s = offset_s;
    return true;
}

/* ---- ${...} of a business date, $[...] of the planned time ---- */

static bool in_range(int64_t local_s)
{
    return local_s >= PLANNED_S_MIN && local_s <= PLANNED_S_MAX;
}

static bool business_write(int64_t planned_s, struct span inner, struct bytes *out)
{
    struct cursor cursor = {inner, 0};
    struct pattern pattern;
    int64_t local_s = planned_s - DAY_S, offset = 0;
    if (!pattern_read(&cursor, true, &pattern))
        return false;
    while (cursor.at < inner.len) {
        int64_t product;
        if (!product_read(&cursor, true, &product))
            return false;
        offset += product;
    }
    if (offset > OFFSET_MAX || offset < -OFFSET_MAX)
        return false;
    if (pattern_has(&pattern, PART_DAY))
        local_s += offset * DAY_S;
    else
        local_s = months_added(local_s, pattern_has(&pattern, PART_MONTH) ? offset : 12 * offset);
    if (!in_range(local_s))
        return false;
    pattern_write(&pattern, local_s, out);
    return true;
}

static bool planned_write(int64_t planned_s, struct span inner, struct bytes *out)
{
    struct cursor cursor = {inner, 0};
    struct pattern pattern;
    int64_t months = 0, offset_s = 0;
    bool by_months = cursor_text(&cursor, "add_months(");
    if (!pattern_read(&cursor, false, &pattern))
        return false;
    if (by_months && (!cursor_text(&cursor, ",") || !product_read(&cursor, false, &months) ||
                      !cursor_text(&cursor, ")")))
        return false;
    if (!seconds_read(&cursor, &offset_s))
        return false;
    int64_t local_s = months_added(planned_s, months) + offset_s;
    if (!in_range(local_s))
        return false;
    pattern_write(&pattern, local_s, out);
    return true;
}

/* ---- $bizdate and its kin ---- */

static bool builtin_write(int64_t planned_s, struct span name, struct bytes *out)
{
    static const struct {
        const char *name;
        const char *text;
        bool planned; /* else of the business date */
    } builtins[] = {
        {"bizdate", "yyyymmdd", false},
        {"cyctime", "yyyymmddhh24miss", true},
        {"gmtdate", "yyyymmdd", true},
        {"bizmonth", "add_months(yyyymm,-1)", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(builtins); i++) {
        if (!span_equal(name, span_text(builtins[i].name)))
            continue;
        struct span text = span_text(builtins[i].text);
        return builtins[i].planned ? planned_write(planned_s, text, out)
                                   : business_write(planned_s, text, out);
    }
    return false;
}

/* ---- text ---- */

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static enum err_code unknown(struct span placeholder, struct err *err)
{
    int len = placeholder.len < 80 ? (int)placeholder.len : 80;
    return err_set(err, ERR_SEMANTIC,
                   "%.*s is neither a variable of SET nor a date: expected ${name}, "
                   "${yyyymmdd-1}, $[yyyymmddhh24miss-1/24], $[add_months(yyyymmdd,-1)], $bizdate, "
                   "$cyctime, $gmtdate, $bizmonth, or $$ for a $",
                   len, (const char *)placeholder.data);
}

enum err_code parameter_name_check(struct span name, struct err *err)
{
    BYTES_CLEANUP struct bytes date = {0};
    bool good = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        good = good && is_name_byte(name.data[i]);
    if (!good)
        return err_set(err, ERR_SEMANTIC,
                       "a variable's name has letters, digits and _ alone: ${name}");
    if (business_write(0, name, &date))
        return err_set(err, ERR_SEMANTIC, "${%.*s} is a date: give the variable another name",
                       SPAN_PRINTF(name));
    return ERR_OK;
}

static enum err_code value_expand(const struct parameters *parameters, struct span value,
                                  size_t bytes_max, struct bytes *out, struct err *err)
{
    const struct parameters without = {.planned_local_s = parameters->planned_local_s};
    size_t at;
    return parameters_expand(&without, value, bytes_max, out, &at, err);
}

/* ${...} or $[...], whole. */
static enum err_code bracket_expand(const struct parameters *parameters, struct span whole,
                                    size_t bytes_max, struct bytes *out, struct err *err)
{
    struct span inner = span_slice(whole, 2, whole.len - 3);
    bool square = whole.data[1] == '[';
    for (size_t i = 0; i < parameters->variable_count && !square; i++) {
        if (span_equal(parameters->variables[i].name, inner))
            return value_expand(parameters, parameters->variables[i].value, bytes_max, out, err);
    }
    bool good = inner.len <= PLACEHOLDER_MAX &&
                (square ? planned_write(parameters->planned_local_s, inner, out)
                        : business_write(parameters->planned_local_s, inner, out));
    return good ? ERR_OK : unknown(whole, err);
}

/* Whether the $ at `at` is of ALIYUN$name or RAM$name. */
static bool of_principal(struct span text, size_t at)
{
    static const char *const words[] = {"ALIYUN", "RAM"};
    size_t begin = at;
    while (begin > 0 && is_name_byte(text.data[begin - 1]))
        begin--;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if (at - begin == len && strncasecmp((const char *)text.data + begin, words[i], len) == 0)
            return true;
    }
    return false;
}

/* What the $ at *at stands for; *at goes behind it. */
static enum err_code dollar_expand(const struct parameters *parameters, struct span text,
                                   size_t bytes_max, size_t *at, struct bytes *out, struct err *err)
{
    size_t begin = *at + 1;
    uint8_t c = begin < text.len ? text.data[begin] : 0;
    if (c == '{' || c == '[') {
        const uint8_t *end = memchr(text.data + begin, c == '{' ? '}' : ']', text.len - begin);
        if (end == NULL)
            return unknown(span_slice(text, *at, text.len - *at), err);
        struct span whole = span_slice(text, *at, (size_t)(end - text.data) + 1 - *at);
        TRY(bracket_expand(parameters, whole, bytes_max, out, err));
        *at = (size_t)(end - text.data) + 1;
        return ERR_OK;
    }
    size_t end = begin;
    while (end < text.len && is_name_byte(text.data[end]))
        end++;
    if (end > begin && !of_principal(text, *at)) {
        if (!builtin_write(parameters->planned_local_s, span_slice(text, begin, end - begin), out))
            return unknown(span_slice(text, *at, end - *at), err);
        *at = end;
        return ERR_OK;
    }
    bytes_append_u8(out, '$');
    *at = c == '$' ? begin + 1 : begin;
    return ERR_OK;
}

static void marks_append(struct bytes *marks, size_t count, uint8_t mark)
{
    for (size_t i = 0; i < count && marks != NULL; i++)
        bytes_append_u8(marks, mark);
}

enum err_code parameters_expand_marked(const struct parameters *parameters, struct span text,
                                       size_t bytes_max, struct bytes *out, struct bytes *marks,
                                       size_t *ret_at, struct err *err)
{
    for (size_t at = 0; at < text.len;) {
        const uint8_t *dollar = memchr(text.data + at, '$', text.len - at);
        size_t end = dollar == NULL ? text.len : (size_t)(dollar - text.data);
        bytes_append_span(out, span_slice(text, at, end - at));
        marks_append(marks, end - at, 0);
        at = *ret_at = end;
        size_t before = out->len;
        if (dollar != NULL)
            TRY(dollar_expand(parameters, text, bytes_max, &at, out, err));
        marks_append(marks, out->len - before, 1);
        if (out->len > bytes_max)
            return err_set(err, ERR_LIMIT,
                           "with its parameters replaced the text has more than "
                           "%zu bytes",
                           bytes_max);
    }
    return ERR_OK;
}

enum err_code parameters_expand(const struct parameters *parameters, struct span text,
                                size_t bytes_max, struct bytes *out, size_t *ret_at,
                                struct err *err)
{
    return parameters_expand_marked(parameters, text, bytes_max, out, NULL, ret_at, err);
}
