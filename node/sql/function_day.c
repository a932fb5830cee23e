/* Functions of days and times: DATE counts days, DATETIME milliseconds, both from 1970 and in UTC.
 * A result outside the years 0000 to 9999 is an error. */
#include "node/sql/function.h"

#include "node/sql/evaluate.h"
#include "node/sql/lexer.h"

#define DAY_MS        INT64_C(86400000)
#define HOUR_MS       INT64_C(3600000)
#define MINUTE_MS     INT64_C(60000)
#define SECOND_MS     INT64_C(1000)
#define MONDAY_OFFSET 3 /* 1970-01-01 is a Thursday */

/* ---- units ---- */

enum unit {
    UNIT_YEAR,
    UNIT_QUARTER,
    UNIT_MONTH,
    UNIT_WEEK, /* from Monday on */
    UNIT_DAY,
    UNIT_HOUR,
    UNIT_MINUTE,
    UNIT_SECOND,
    UNIT_MS,
};

static const struct {
    const char *name;
    enum unit unit;
} units[] = {
    {"yyyy", UNIT_YEAR},     {"year", UNIT_YEAR},     {"quarter", UNIT_QUARTER},
    {"q", UNIT_QUARTER},     {"mm", UNIT_MONTH},      {"mon", UNIT_MONTH},
    {"month", UNIT_MONTH},   {"week", UNIT_WEEK},     {"dd", UNIT_DAY},
    {"day", UNIT_DAY},       {"hh", UNIT_HOUR},       {"hour", UNIT_HOUR},
    {"mi", UNIT_MINUTE},     {"minute", UNIT_MINUTE}, {"ss", UNIT_SECOND},
    {"second", UNIT_SECOND}, {"ff3", UNIT_MS},        {"millisecond", UNIT_MS},
};

static bool unit_find(struct span name, enum unit *ret_unit)
{
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (name_equal(name, span_text(units[i].name))) {
            *ret_unit = units[i].unit;
            return true;
        }
    }
    return false;
}

static int64_t unit_ms(enum unit unit)
{
    static const int64_t lengths[] = {
        [UNIT_WEEK] = 7 * DAY_MS,  [UNIT_DAY] = DAY_MS,       [UNIT_HOUR] = HOUR_MS,
        [UNIT_MINUTE] = MINUTE_MS, [UNIT_SECOND] = SECOND_MS, [UNIT_MS] = 1};
    return lengths[unit];
}

static int64_t unit_months(enum unit unit)
{
    return unit == UNIT_YEAR ? 12 : unit == UNIT_QUARTER ? 3 : unit == UNIT_MONTH ? 1 : 0;
}

/* The last argument of a checked call. */
static enum unit unit_of(const struct function_call *call)
{
    enum unit unit = UNIT_DAY;
    bool found = unit_find(call->args[call->arg_count - 1].text, &unit);
    ASSERT(found);
    return unit;
}

static enum err_code unit_check(const struct node *node, struct err *err)
{
    const struct node *unit = node->args[node->arg_count - 1];
    enum unit found;
    if (unit->value.null || unit_find(unit->value.text, &found))
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC,
                   "%s: there is no unit '%.*s'; there are year, quarter, month, week, day, hour, "
                   "minute, second, ff3",
                   node->function->name, unit->value.text.len < 40 ? (int)unit->value.text.len : 40,
                   (const char *)unit->value.text.data);
}

/* A day has no hours to be changed. */
static enum err_code unit_check_kept(const struct node *node, struct err *err)
{
    enum unit unit;
    TRY(unit_check(node, err));
    const struct value *name = &node->args[node->arg_count - 1]->value;
    if (name->null || node->args[0]->type.kind != TYPE_DATE || !unit_find(name->text, &unit) ||
        unit <= UNIT_DAY)
        return ERR_OK;
    return err_set(err, ERR_SEMANTIC, "%s: a DATE has no %.*s, CAST it to DATETIME",
                   node->function->name, SPAN_PRINTF(name->text));
}

/* ---- calendar ---- */

struct civil {
    int64_t year;
    unsigned month;
    unsigned day;
    int64_t ms; /* of the day */
};

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int64_t ms_of(struct type type, struct value value)
{
    return type.kind == TYPE_DATE ? value.i64 * DAY_MS : value.i64;
}

static int64_t argument_ms(const struct function_call *call, size_t i)
{
    return ms_of(call->node->args[i]->type, call->args[i]);
}

static struct civil civil_of(int64_t ms)
{
    struct civil civil;
    int64_t days = floor_divide(ms, DAY_MS);
    date_to_civil(days, &civil.year, &civil.month, &civil.day);
    civil.ms = ms - days * DAY_MS;
    return civil;
}

static int64_t civil_ms(struct civil civil)
{
    return date_from_civil(civil.year, civil.month, civil.day) * DAY_MS + civil.ms;
}

static unsigned month_days(int64_t year, unsigned month)
{
    bool last = month == 12;
    int64_t next = date_from_civil(last ? year + 1 : year, last ? 1 : month + 1, 1);
    return (unsigned)(next - date_from_civil(year, month, 1));
}

/* The last day of the month where there is no such day. */
static bool months_add(int64_t ms, int64_t count, int64_t *ret_ms)
{
    struct civil civil = civil_of(ms);
    int64_t months;
    if (__builtin_add_overflow(civil.year * 12 + (int64_t)civil.month - 1, count, &months))
        return false;
    civil.year = floor_divide(months, 12);
    civil.month = (unsigned)(months - civil.year * 12) + 1;
    if (civil.year < 0 || civil.year > 9999)
        return false;
    unsigned last = month_days(civil.year, civil.month);
    civil.day = civil.day > last ? last : civil.day;
    *ret_ms = civil_ms(civil);
    return true;
}

/* ms as the call's DATE or DATETIME. */
static enum err_code day_result(const struct function_call *call, int64_t ms,
                                struct value *ret_value, struct err *err)
{
    struct type type = call->node->type;
    struct value value = {.i64 = type.kind == TYPE_DATE ? floor_divide(ms, DAY_MS) : ms};
    char text[TYPE_TEXT_BYTES];
    if (!value_in_range(type, value))
        return err_set(err, ERR_SEMANTIC, "%s: a result is no %s: years go from 0000 to 9999",
                       call->node->function->name, type_format(type, text));
    *ret_value = value;
    return ERR_OK;
}

/* ---- moving ---- */

static enum err_code unit_add(const struct function_call *call, enum unit unit, int64_t count,
                              struct value *ret_value, struct err *err)
{
    int64_t ms = argument_ms(call, 0), delta = 0;
    bool fits;
    if (unit_months(unit) > 0)
        fits =
            !__builtin_mul_overflow(count, unit_months(unit), &delta) && months_add(ms, delta, &ms);
    else
        fits = !__builtin_mul_overflow(count, unit_ms(unit), &delta) &&
               !__builtin_add_overflow(ms, delta, &ms);
    return day_result(call, fits ? ms : INT64_MAX, ret_value, err);
}

static enum err_code date_add_unit(const struct function_call *call, struct value *ret_value,
                                   struct err *err)
{
    return unit_add(call, unit_of(call), call->args[1].i64, ret_value, err);
}

enum { MOVE_FORTH, MOVE_BACK };

/* DATE_ADD, DATE_SUB(day, days) */
static enum err_code date_move(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    int64_t count = call->args[1].i64;
    if (call->node->function->variant == MOVE_BACK &&
        __builtin_sub_overflow((int64_t)0, count, &count))
        count = INT64_MAX; /* too far in any case */
    return unit_add(call, UNIT_DAY, count, ret_value, err);
}

static enum err_code add_months(const struct function_call *call, struct value *ret_value,
                                struct err *err)
{
    return unit_add(call, UNIT_MONTH, call->args[1].i64, ret_value, err);
}

static enum err_code last_day(const struct function_call *call, struct value *ret_value,
                              struct err *err)
{
    struct civil civil = civil_of(argument_ms(call, 0));
    civil.day = month_days(civil.year, civil.month);
    civil.ms = 0;
    return day_result(call, civil_ms(civil), ret_value, err);
}

/* ---- measuring ---- */

/* How many units lie before the time, counted from some fixed beginning. */
static int64_t unit_index(int64_t ms, enum unit unit)
{
    struct civil civil = civil_of(ms);
    if (unit_months(unit) > 0)
        return floor_divide(civil.year * 12 + (int64_t)civil.month - 1, unit_months(unit));
    if (unit == UNIT_WEEK)
        return floor_divide(floor_divide(ms, DAY_MS) + MONDAY_OFFSET, 7);
    return floor_divide(ms, unit_ms(unit));
}

/* DATEDIFF(a, b[, unit]): a - b, what is smaller than the unit cut off both. */
static enum err_code date_difference(const struct function_call *call, struct value *ret_value,
                                     struct err *err)
{
    (void)err;
    enum unit unit = call->arg_count > 2 ? unit_of(call) : UNIT_DAY;
    *ret_value = (struct value){.i64 = unit_index(argument_ms(call, 0), unit) -
                                       unit_index(argument_ms(call, 1), unit)};
    return ERR_OK;
}

static enum err_code date_truncate(const struct function_call *call, struct value *ret_value,
                                   struct err *err)
{
    enum unit unit = unit_of(call);
    int64_t ms = argument_ms(call, 0), index = unit_index(ms, unit);
    if (unit_months(unit) > 0) {
        int64_t months = index * unit_months(unit), year = floor_divide(months, 12);
        ms = civil_ms((struct civil){year, (unsigned)(months - year * 12) + 1, 1, 0});
    } else if (unit == UNIT_WEEK) {
        ms = (index * 7 - MONDAY_OFFSET) * DAY_MS;
    } else {
        ms = index * unit_ms(unit);
    }
    return day_result(call, ms, ret_value, err);
}

/* ---- parts ---- */

static int64_t weekday(int64_t ms) /* Monday 0 */
{
    int64_t days = floor_divide(ms, DAY_MS) + MONDAY_OFFSET;
    return days - 7 * floor_divide(days, 7);
}

/* ISO 8601: the week with the year's first Thursday is its first. */
static int64_t week_of_year(int64_t ms)
{
    int64_t thursday = floor_divide(ms, DAY_MS) - weekday(ms) + 3;
    int64_t year;
    unsigned month, day;
    date_to_civil(thursday, &year, &month, &day);
    return (thursday - date_from_civil(year, 1, 1)) / 7 + 1;
}

static int64_t part_of(int64_t ms, enum unit unit)
{
    struct civil civil = civil_of(ms);
    switch (unit) {
    case UNIT_YEAR:
        return civil.year;
    case UNIT_QUARTER:
        return ((int64_t)civil.month + 2) / 3;
    case UNIT_MONTH:
        return civil.month;
    case UNIT_WEEK:
        return week_of_year(ms);
    case UNIT_DAY:
        return civil.day;
    case UNIT_HOUR:
        return civil.ms / HOUR_MS;
    case UNIT_MINUTE:
        return civil.ms / MINUTE_MS % 60;
    case UNIT_SECOND:
        return civil.ms / SECOND_MS % 60;
    case UNIT_MS:
        break;
    }
    return civil.ms % SECOND_MS;
}

static enum err_code date_part(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    (void)err;
    *ret_value = (struct value){.i64 = part_of(argument_ms(call, 0), unit_of(call))};
    return ERR_OK;
}

static enum err_code named_part(const struct function_call *call, struct value *ret_value,
                                struct err *err)
{
    (void)err;
    *ret_value = (struct value){
        .i64 = part_of(argument_ms(call, 0), (enum unit)call->node->function->variant)};
    return ERR_OK;
}

enum { DAY_WEEK_MONDAY_0, DAY_WEEK_SUNDAY_1, DAY_OF_YEAR };

static enum err_code day_number(const struct function_call *call, struct value *ret_value,
                                struct err *err)
{
    (void)err;
    int64_t ms = argument_ms(call, 0), number = weekday(ms);
    if (call->node->function->variant == DAY_WEEK_SUNDAY_1)
        number = (number + 1) % 7 + 1;
    else if (call->node->function->variant == DAY_OF_YEAR)
        number = floor_divide(ms, DAY_MS) - date_from_civil(civil_of(ms).year, 1, 1) + 1;
    *ret_value = (struct value){.i64 = number};
    return ERR_OK;
}

/* ---- seconds ---- */

static enum err_code unix_timestamp(const struct function_call *call, struct value *ret_value,
                                    struct err *err)
{
    (void)err;
    *ret_value = (struct value){.i64 = floor_divide(argument_ms(call, 0), SECOND_MS)};
    return ERR_OK;
}

static enum err_code from_unixtime(const struct function_call *call, struct value *ret_value,
                                   struct err *err)
{
    int64_t ms;
    if (__builtin_mul_overflow(call->args[0].i64, SECOND_MS, &ms))
        ms = INT64_MAX;
    return day_result(call, ms, ret_value, err);
}

/* ---- formats: yyyy mm dd hh mi ss ff3, whatever their case; all else stands for itself ---- */

struct format_part {
    size_t len; /* of the mark in the format */
    size_t digits;
    enum unit unit;
};

/* The mark at the beginning of `format`, false: none. */
static bool format_next(struct span format, struct format_part *ret_part)
{
    static const struct {
        const char *mark;
        size_t digits;
        enum unit unit;
    } marks[] = {{"yyyy", 4, UNIT_YEAR}, {"mm", 2, UNIT_MONTH},  {"dd", 2, UNIT_DAY},
                 {"hh", 2, UNIT_HOUR},   {"mi", 2, UNIT_MINUTE}, {"ss", 2, UNIT_SECOND},
                 {"ff3", 3, UNIT_MS}};
    for (size_t i = 0; i < ARRAY_COUNT(marks); i++) {
        size_t len = strlen(marks[i].mark);
        if (len <= format.len && name_equal(span_slice(format, 0, len), span_text(marks[i].mark))) {
            *ret_part = (struct format_part){len, marks[i].digits, marks[i].unit};
            return true;
        }
    }
    return false;
}

static enum err_code format_day(const struct function_call *call, struct value *ret_value,
                                struct err *err)
{
    struct span format = call->args[1].text;
    int64_t ms = argument_ms(call, 0);
    BYTES_CLEANUP struct bytes out = {0};
    for (size_t at = 0; at < format.len;) {
        struct format_part part;
        if (format_next(span_slice(format, at, format.len - at), &part)) {
            bytes_printf(&out, "%0*" PRId64, (int)part.digits, part_of(ms, part.unit));
            at += part.len;
        } else {
            bytes_append_u8(&out, format.data[at++]);
        }
    }
    uint8_t *text = NULL;
    TRY(function_text_new(call, out.len, &text, err));
    if (out.len > 0)
        memcpy(text, out.data, out.len);
    *ret_value = (struct value){.text = span_of(text, out.len)};
    return ERR_OK;
}

/* Exactly `digits` digits at `at`. */
static bool digits_read(struct span text, size_t at, size_t digits, int64_t *ret_number)
{
    int64_t number = 0;
    if (text.len < at + digits)
        return false;
    for (size_t i = at; i < at + digits; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* Every mark has all its digits, and there is nothing more. */
static bool parts_read(struct span text, struct span format, int64_t parts[UNIT_MS + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < format.len;) {
        struct format_part part;
        if (format_next(span_slice(format, i, format.len - i), &part)) {
            if (!digits_read(text, at, part.digits, &parts[part.unit]))
                return false;
            at += part.digits;
            i += part.len;
        } else if (at < text.len && text.data[at] == format.data[i]) {
            at++;
            i++;
        } else {
            return false;
        }
    }
    return at == text.len;
}

static bool day_parse(struct span text, struct span format, int64_t *ret_ms)
{
    int64_t parts[UNIT_MS + 1] = {[UNIT_YEAR] = 1970, [UNIT_MONTH] = 1, [UNIT_DAY] = 1};
    if (!parts_read(text, format, parts))
        return false;
    if (parts[UNIT_MONTH] < 1 || parts[UNIT_MONTH] > 12 || parts[UNIT_DAY] < 1 ||
        parts[UNIT_DAY] > month_days(parts[UNIT_YEAR], (unsigned)parts[UNIT_MONTH]) ||
        parts[UNIT_HOUR] > 23 || parts[UNIT_MINUTE] > 59 || parts[UNIT_SECOND] > 59)
        return false;
    struct civil civil = {parts[UNIT_YEAR], (unsigned)parts[UNIT_MONTH], (unsigned)parts[UNIT_DAY],
                          parts[UNIT_HOUR] * HOUR_MS + parts[UNIT_MINUTE] * MINUTE_MS +
                              parts[UNIT_SECOND] * SECOND_MS + parts[UNIT_MS]};
    *ret_ms = civil_ms(civil);
    return true;
}

/* TO_DATE(text, format): a DATETIME */
static enum err_code to_date(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    struct span text = call->args[0].text, format = call->args[1].text;
    int64_t ms = 0;
    if (!day_parse(text, format, &ms))
        return function_undefined(call, ret_value, err, "'%.*s' is not of the form '%.*s'",
                                  text.len < 40 ? (int)text.len : 40, (const char *)text.data,
                                  format.len < 40 ? (int)format.len : 40,
                                  (const char *)format.data);
    return day_result(call, ms, ret_value, err);
}

static enum err_code is_date(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    (void)err;
    int64_t ms;
    *ret_value = (struct value){.i64 = day_parse(call->args[0].text, call->args[1].text, &ms)};
    return ERR_OK;
}

/* TO_DATE(x): a DATE */
static enum err_code as_date(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    return day_result(call, argument_ms(call, 0), ret_value, err);
}

static const struct function rows[] = {
    FUNCTION("DATEADD", "yik", 0, date_add_unit, .type_of = function_first_type,
             .check = unit_check_kept),
    FUNCTION("DATEDIFF", "yy", TYPE_BIGINT, date_difference),
    FUNCTION("DATEDIFF", "yyk", TYPE_BIGINT, date_difference, .check = unit_check),
    FUNCTION("DATETRUNC", "yk", 0, date_truncate, .type_of = function_first_type,
             .check = unit_check_kept),
    FUNCTION("DATEPART", "yk", TYPE_BIGINT, date_part, .check = unit_check),
    FUNCTION("DATE_ADD", "yi", TYPE_DATE, date_move, .variant = MOVE_FORTH),
    FUNCTION("DATE_SUB", "yi", TYPE_DATE, date_move, .variant = MOVE_BACK),
    FUNCTION("ADD_MONTHS", "yi", TYPE_DATE, add_months),
    FUNCTION("LAST_DAY", "y", TYPE_DATE, last_day),
    FUNCTION("LASTDAY", "y", TYPE_DATETIME, last_day),
    FUNCTION("YEAR", "y", TYPE_INT, named_part, .variant = UNIT_YEAR),
    FUNCTION("QUARTER", "y", TYPE_INT, named_part, .variant = UNIT_QUARTER),
    FUNCTION("MONTH", "y", TYPE_INT, named_part, .variant = UNIT_MONTH),
    FUNCTION("DAY", "y", TYPE_INT, named_part, .variant = UNIT_DAY),
    FUNCTION("DAYOFMONTH", "y", TYPE_INT, named_part, .variant = UNIT_DAY),
    FUNCTION("HOUR", "y", TYPE_INT, named_part, .variant = UNIT_HOUR),
    FUNCTION("MINUTE", "y", TYPE_INT, named_part, .variant = UNIT_MINUTE),
    FUNCTION("SECOND", "y", TYPE_INT, named_part, .variant = UNIT_SECOND),
    FUNCTION("WEEKOFYEAR", "y", TYPE_BIGINT, named_part, .variant = UNIT_WEEK),
    FUNCTION("WEEKDAY", "y", TYPE_BIGINT, day_number, .variant = DAY_WEEK_MONDAY_0),
    FUNCTION("DAYOFWEEK", "y", TYPE_INT, day_number, .variant = DAY_WEEK_SUNDAY_1),
    FUNCTION("DAYOFYEAR", "y", TYPE_INT, day_number, .variant = DAY_OF_YEAR),
    FUNCTION("UNIX_TIMESTAMP", "y", TYPE_BIGINT, unix_timestamp),
    FUNCTION("FROM_UNIXTIME", "i", TYPE_DATETIME, from_unixtime),
    FUNCTION("TO_CHAR", "yt", TYPE_STRING, format_day),
    FUNCTION("TO_DATE", "y", TYPE_DATE, as_date),
    FUNCTION("TO_DATE", "tt", TYPE_DATETIME, to_date),
    FUNCTION("ISDATE", "tt", TYPE_BOOLEAN, is_date),
};

const struct function_table function_day_table = {rows, ARRAY_COUNT(rows)};
