#include "proto/type.h"

#include <ctype.h>

#include "proto/limits.h"

#define ERR_TEXT_BYTES_MAX 40 /* of an offending text shown in an error */
#define DECIMAL_DIGITS_MAX 38
#define DAY_MS             INT64_C(86400000)
#define DATE_DAYS_MIN      (-719528) /* 0000-01-01 */
#define DATE_DAYS_MAX      2932896   /* 9999-12-31 */

/* ---- types ---- */

static const char *const kind_names[] = {
    [TYPE_BIGINT] = "BIGINT",   [TYPE_INT] = "INT",           [TYPE_DOUBLE] = "DOUBLE",
    [TYPE_DECIMAL] = "DECIMAL", [TYPE_STRING] = "STRING",     [TYPE_BOOLEAN] = "BOOLEAN",
    [TYPE_DATE] = "DATE",       [TYPE_DATETIME] = "DATETIME",
};

bool type_valid(struct type type)
{
    if (type.kind < TYPE_BIGINT || type.kind > TYPE_DATETIME)
        return false;
    if (type.kind != TYPE_DECIMAL)
        return type.precision == 0 && type.scale == 0;
    return type.precision >= 1 && type.precision <= DECIMAL_DIGITS_MAX && type.scale <= 18 &&
           type.scale <= type.precision;
}

bool type_equal(struct type a, struct type b)
{
    return a.kind == b.kind && a.precision == b.precision && a.scale == b.scale;
}

const char *type_format(struct type type, char ret_text[TYPE_TEXT_BYTES])
{
    ASSERT(type_valid(type));
    if (type.kind == TYPE_DECIMAL)
        snprintf(ret_text, TYPE_TEXT_BYTES, "DECIMAL(%u,%u)", type.precision, type.scale);
    else
        snprintf(ret_text, TYPE_TEXT_BYTES, "%s", kind_names[type.kind]);
    return ret_text;
}

static void skip_blanks(struct span *text)
{
    while (text->len > 0 && (text->data[0] == ' ' || text->data[0] == '\t'))
        *text = span_slice(*text, 1, text->len - 1);
}

static bool take_char(struct span *text, char wanted)
{
    skip_blanks(text);
    if (text->len == 0 || text->data[0] != (uint8_t)wanted)
        return false;
    *text = span_slice(*text, 1, text->len - 1);
    return true;
}

static bool take_small_number(struct span *text, uint8_t *ret_number)
{
    skip_blanks(text);
    unsigned number = 0;
    size_t digits = 0;
    while (digits < text->len && isdigit(text->data[digits])) {
        number = number * 10 + (unsigned)(text->data[digits] - '0');
        if (++digits > 2)
            return false;
    }
    *text = span_slice(*text, digits, text->len - digits);
    *ret_number = (uint8_t)number;
    return digits > 0;
}

/* What follows DECIMAL: nothing, (p) or (p, s). */
static bool parse_precision(struct span *rest, struct type *type)
{
    type->precision = DECIMAL_DIGITS_MAX;
    type->scale = 18;
    if (!take_char(rest, '('))
        return true;
    type->scale = 0;
    if (!take_small_number(rest, &type->precision))
        return false;
    if (take_char(rest, ',') && !take_small_number(rest, &type->scale))
        return false;
    return take_char(rest, ')');
}

enum err_code type_parse(struct span text, struct type *ret_type, struct err *err)
{
    struct span rest = text;
    skip_blanks(&rest);
    size_t word = 0;
    while (word < rest.len && isalpha(rest.data[word]))
        word++;
    struct type type = {0};
    for (int kind = TYPE_BIGINT; kind <= TYPE_DATETIME; kind++) {
        if (strlen(kind_names[kind]) == word &&
            strncasecmp(kind_names[kind], (const char *)rest.data, word) == 0)
            type.kind = (enum type_kind)kind;
    }
    rest = span_slice(rest, word, rest.len - word);
    bool good = type.kind != 0 && (type.kind != TYPE_DECIMAL || parse_precision(&rest, &type));
    skip_blanks(&rest);
    if (!good || rest.len > 0 || !type_valid(type)) {
        size_t shown = text.len < ERR_TEXT_BYTES_MAX ? text.len : ERR_TEXT_BYTES_MAX;
        return err_set(err, ERR_PARSE,
                       "unknown type '%.*s': expected BIGINT, INT, DOUBLE, DECIMAL(precision 1 to "
                       "38, scale 0 to 18), STRING, BOOLEAN, DATE or DATETIME",
                       (int)shown, (const char *)text.data);
    }
    *ret_type = type;
    return ERR_OK;
}

bool type_partitions(struct type type)
{
    return type.kind == TYPE_BIGINT || type.kind == TYPE_INT || type.kind == TYPE_STRING ||
           type.kind == TYPE_DATE;
}

decimal128 decimal_power(unsigned exponent)
{
    static const uint64_t powers[] = {UINT64_C(1),
                                      UINT64_C(10),
                                      UINT64_C(100),
                                      UINT64_C(1000),
                                      UINT64_C(10000),
                                      UINT64_C(100000),
                                      UINT64_C(1000000),
                                      UINT64_C(10000000),
                                      UINT64_C(100000000),
                                      UINT64_C(1000000000),
                                      UINT64_C(10000000000),
                                      UINT64_C(100000000000),
                                      UINT64_C(1000000000000),
                                      UINT64_C(10000000000000),
                                      UINT64_C(100000000000000),
                                      UINT64_C(1000000000000000),
                                      UINT64_C(10000000000000000),
                                      UINT64_C(100000000000000000),
                                      UINT64_C(1000000000000000000),
                                      UINT64_C(10000000000000000000)};
    ASSERT(exponent <= DECIMAL_DIGITS_MAX);
    if (exponent < ARRAY_COUNT(powers))
        return (decimal128)powers[exponent];
    return (decimal128)powers[19] * (decimal128)powers[exponent - 19];
}

bool value_in_range(struct type type, struct value value)
{
    if (value.null)
        return true;
    switch (type.kind) {
    case TYPE_INT:
        return value.i64 >= INT32_MIN && value.i64 <= INT32_MAX;
    case TYPE_BOOLEAN:
        return value.i64 == 0 || value.i64 == 1;
    case TYPE_DATE:
        return value.i64 >= DATE_DAYS_MIN && value.i64 <= DATE_DAYS_MAX;
    case TYPE_DATETIME:
        return value.i64 >= DATE_DAYS_MIN * DAY_MS && value.i64 < (DATE_DAYS_MAX + 1) * DAY_MS;
    case TYPE_DECIMAL: {
        decimal128 limit = decimal_power(type.precision);
        return value.decimal < limit && value.decimal > -limit;
    }
    case TYPE_STRING:
        return value.text.len <= LIMIT_CELL_BYTES;
    case TYPE_BIGINT:
    case TYPE_DOUBLE:
        return true;
    }
    return false;
}

/* ---- calendar ----
 * Days are counted in eras of 400 years that begin on 1 March, so that the leap day is a year's
 * last. */

int64_t date_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void date_to_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month =
        (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = month;
    *ret_year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* ---- text -> value ---- */

static bool digits_at(struct span text, size_t at, size_t count, unsigned *ret_number)
{
    if (at + count > text.len)
        return false;
    unsigned number = 0;
    for (size_t i = at; i < at + count; i++) {
        if (!isdigit(text.data[i]))
            return false;
        number = number * 10 + (unsigned)(text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool parse_integer(struct span text, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t at = text.len > 0 && (negative || text.data[0] == '+') ? 1 : 0;
    if (at == text.len)
        return false;
    uint64_t limit = negative ? 0 - (uint64_t)min : (uint64_t)max;
    uint64_t number = 0;
    for (; at < text.len; at++) {
        unsigned digit = (unsigned)text.data[at] - '0';
        if (digit > 9 || __builtin_mul_overflow(number, (uint64_t)10, &number) ||
            __builtin_add_overflow(number, (uint64_t)digit, &number) || number > limit)
            return false;
    }
    *ret_value = (int64_t)(negative ? 0 - number : number);
    return true;
}

static bool parse_date(struct span text, int64_t *ret_days)
{
    unsigned year, month, day;
    if (text.len != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !digits_at(text, 0, 4, &year) || !digits_at(text, 5, 2, &month) ||
        !digits_at(text, 8, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    *ret_days = date_from_civil(year, month, day);
    return true;
}

static bool parse_datetime(struct span text, int64_t *ret_ms)
{
    int64_t days;
    unsigned hour, minute, second, fraction = 0;
    if (text.len < 19 || text.data[10] != ' ' || text.data[13] != ':' || text.data[16] != ':' ||
        !parse_date(span_slice(text, 0, 10), &days) || !digits_at(text, 11, 2, &hour) ||
        !digits_at(text, 14, 2, &minute) || !digits_at(text, 17, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    if (text.len > 19) {
        size_t digits = text.len - 20;
        if (text.data[19] != '.' || digits < 1 || digits > 3 ||
            !digits_at(text, 20, digits, &fraction))
            return false;
        fraction *= digits == 1 ? 100 : digits == 2 ? 10 : 1;
    }
    *ret_ms = days * DAY_MS + ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + fraction;
    return true;
}

static bool parse_boolean(struct span text, int64_t *ret_value)
{
    static const struct {
        const char *text;
        int64_t value;
    } forms[] = {{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (strlen(forms[i].text) == text.len &&
            strncasecmp(forms[i].text, (const char *)text.data, text.len) == 0) {
            *ret_value = forms[i].value;
            return true;
        }
    }
    return false;
}

/* Where the digits of a number are: sign, mantissa digits without the point, power of ten. */
struct number_scan {
    bool negative;
    bool truncated;    /* more than 19 significant digits */
    uint64_t mantissa; /* the first 19 significant digits */
    int64_t exponent;
};

static size_t scan_digits(struct span text, size_t at, bool fraction, struct number_scan *scan)
{
    size_t start = at;
    for (; at < text.len && isdigit(text.data[at]); at++) {
        if (scan->mantissa >= UINT64_C(1000000000000000000)) {
            scan->truncated = true;
            scan->exponent += fraction ? 0 : 1;
            continue;
        }
        scan->mantissa = scan->mantissa * 10 + (uint64_t)(text.data[at] - '0');
        scan->exponent -= fraction ? 1 : 0;
    }
    return at - start;
}

/* [sign] digits [. digits] [e [sign] digits], at least one digit before e; the whole text. */
static bool scan_number(struct span text, struct number_scan *ret_scan)
{
    struct number_scan scan = {0};
    size_t at = 0;
    if (at < text.len && (text.data[at] == '-' || text.data[at] == '+'))
        scan.negative = text.data[at++] == '-';
    size_t digits = scan_digits(text, at, false, &scan);
    at += digits;
    if (at < text.len && text.data[at] == '.') {
        size_t more = scan_digits(text, at + 1, true, &scan);
        at += 1 + more;
        digits += more;
    }
    if (digits == 0)
        return false;
    if (at < text.len && (text.data[at] == 'e' || text.data[at] == 'E')) {
        int64_t exponent;
        if (!parse_integer(span_slice(text, at + 1, text.len - at - 1), -99999, 99999, &exponent))
            return false;
        scan.exponent += exponent;
        at = text.len;
    }
    *ret_scan = scan;
    return at == text.len;
}

static bool parse_double_word(struct span text, double *ret_value)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {
        {"NaN", NAN},       {"Infinity", INFINITY},   {"+Infinity", INFINITY}, {"Inf", INFINITY},
        {"+Inf", INFINITY}, {"-Infinity", -INFINITY}, {"-Inf", -INFINITY},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strlen(words[i].text) == text.len &&
            strncasecmp(words[i].text, (const char *)text.data, text.len) == 0) {
            *ret_value = words[i].value;
            return true;
        }
    }
    return false;
}

/* Mantissas below 2^53 and powers of ten to 22 are exact, so one division or multiplication rounds
 * correctly; the rest goes to strtod. */
static bool parse_double(struct span text, double *ret_value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct number_scan scan;
    if (!scan_number(text, &scan))
        return parse_double_word(text, ret_value);
    if (!scan.truncated && scan.mantissa <= UINT64_C(1) << 53 && scan.exponent >= -22 &&
        scan.exponent <= 22) {
        double magnitude = (double)scan.mantissa;
        magnitude = scan.exponent < 0 ? magnitude / powers[-scan.exponent]
                                      : magnitude * powers[scan.exponent];
        *ret_value = scan.negative ? -magnitude : magnitude;
        return true;
    }
    char local[64];
    char *copy = text.len < sizeof(local) ? local : mem_alloc(text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    double value = strtod(copy, NULL);
    if (copy != local)
        mem_free(copy);
    if (isinf(value))
        return false;
    *ret_value = value;
    return true;
}

/* Nearly every number there is: few digits, none to round. False: look closer. */
static bool parse_decimal_short(struct type type, struct span text, decimal128 *ret_value)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t at = negative, point = text.len;
    uint64_t number = 0;
    if (text.len - at < 1 || text.len - at > 18)
        return false;
    for (; at < text.len; at++) {
        unsigned digit = text.data[at] - (unsigned)'0';
        if (digit <= 9)
            number = 10 * number + digit;
        else if (text.data[at] == '.' && point == text.len && at > negative)
            point = at;
        else
            return false;
    }
    size_t fraction_digits = point == text.len ? 0 : text.len - point - 1;
    if (fraction_digits > type.scale)
        return false;
    decimal128 value = 0;
    if (__builtin_mul_overflow((decimal128)number,
                               decimal_power(type.scale - (unsigned)fraction_digits), &value) ||
        value >= decimal_power(type.precision))
        return false;
    *ret_value = negative ? -value : value;
    return true;
}

static bool parse_decimal(struct type type, struct span text, decimal128 *ret_value)
{
    if (parse_decimal_short(type, text, ret_value))
        return true;
    size_t at = 0;
    bool negative = text.len > 0 && text.data[0] == '-';
    if (negative || (text.len > 0 && text.data[0] == '+'))
        at++;
    decimal128 limit = decimal_power(type.precision);
    decimal128 number = 0;
    bool point = false, any = false;
    unsigned fraction_digits = 0;
    int round_digit = -1;
    for (; at < text.len; at++) {
        uint8_t c = text.data[at];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (!isdigit(c))
            return false;
        any = true;
        if (point && fraction_digits == type.scale) {
            round_digit = round_digit < 0 ? c - '0' : round_digit;
            continue;
        }
        fraction_digits += point ? 1 : 0;
        if (number >= limit / 10 + 1) /* and so number * 10 + 9 cannot overflow */
            return false;
        number = number * 10 + (c - '0');
    }
    for (; fraction_digits < type.scale; fraction_digits++) {
        if (number >= limit / 10 + 1)
            return false;
        number *= 10;
    }
    number += round_digit >= 5 ? 1 : 0;
    if (!any || number >= limit)
        return false;
    *ret_value = negative ? -number : number;
    return true;
}

static bool parse_value(struct type type, struct span text, struct value *value)
{
    switch (type.kind) {
    case TYPE_BIGINT:
        return parse_integer(text, INT64_MIN, INT64_MAX, &value->i64);
    case TYPE_INT:
        return parse_integer(text, INT32_MIN, INT32_MAX, &value->i64);
    case TYPE_DOUBLE:
        return parse_double(text, &value->f64);
    case TYPE_DECIMAL:
        return parse_decimal(type, text, &value->decimal);
    case TYPE_STRING:
        value->text = text;
        return span_is_utf8(text) && text.len <= LIMIT_CELL_BYTES;
    case TYPE_BOOLEAN:
        return parse_boolean(text, &value->i64);
    case TYPE_DATE:
        return parse_date(text, &value->i64);
    case TYPE_DATETIME:
        return parse_datetime(text, &value->i64);
    }
    return false;
}

static enum err_code value_parse_failed(struct type type, struct span text, struct err *err)
{
    char name[TYPE_TEXT_BYTES];
    type_format(type, name);
    if (type.kind == TYPE_STRING && text.len > LIMIT_CELL_BYTES)
        return err_set(err, ERR_CAST, "a STRING of %zu bytes is longer than %zu", text.len,
                       LIMIT_CELL_BYTES);
    if (!span_is_utf8(text))
        return err_set(err, ERR_CAST, "text of %zu bytes is not UTF-8, for %s", text.len, name);
    size_t shown = text.len;
    if (shown > ERR_TEXT_BYTES_MAX) {
        shown = ERR_TEXT_BYTES_MAX;
        while (shown > 0 && (text.data[shown] & 0xC0) == 0x80)
            shown--;
    }
    return err_set(err, ERR_CAST, "'%.*s'%s is not a valid %s", (int)shown,
                   text.len > 0 ? (const char *)text.data : "", shown < text.len ? "..." : "",
                   name);
}

enum err_code value_parse(struct type type, struct span text, struct value *ret_value,
                          struct err *err)
{
    struct value value = {0};
    if (!parse_value(type, text, &value))
        return value_parse_failed(type, text, err);
    *ret_value = value;
    return ERR_OK;
}

/* ---- value -> text ---- */

/* Digits of `number`, at least `width` of them, padded with zeros; written so as to end before
 * `end`. Returns where they begin. */
static char *digits_before(char *end, uint64_t number, unsigned width)
{
    char *at = end;
    while (number > 0 || (unsigned)(end - at) < width) {
        *--at = (char)('0' + number % 10);
        number /= 10;
    }
    return at;
}

static void format_integer(int64_t value, struct bytes *out)
{
    char text[24];
    char *end = text + sizeof(text);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *at = digits_before(end, magnitude, 1);
    if (value < 0)
        *--at = '-';
    bytes_append(out, at, (size_t)(end - at));
}

static void format_double(double value, struct bytes *out)
{
    if (isnan(value) || isinf(value)) {
        bytes_append_text(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (fabs(value) < 1e15 && value == (double)(int64_t)value && (value != 0 || !signbit(value))) {
        format_integer((int64_t)value, out); /* what %.15g gives, ten times faster */
        return;
    }
    char text[32];
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    bytes_append(out, text, (size_t)len);
}

static void format_decimal(struct type type, decimal128 value, struct bytes *out)
{
    char text[48];
    char *end = text + sizeof(text);
    char *at = end;
    __extension__ unsigned __int128 left =
        value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    for (unsigned digits = 0; left > 0 || digits <= type.scale; digits++) {
        if (digits == type.scale && type.scale > 0)
            *--at = '.';
        *--at = (char)('0' + (int)(left % 10));
        left /= 10;
    }
    if (value < 0)
        *--at = '-';
    bytes_append(out, at, (size_t)(end - at));
}

static void format_date(int64_t days, struct bytes *out)
{
    int64_t year;
    unsigned month, day;
    date_to_civil(days, &year, &month, &day);
    char text[32];
    char *at = text + sizeof(text);
    at = digits_before(at, day, 2);
    *--at = '-';
    at = digits_before(at, month, 2);
    *--at = '-';
    at = digits_before(at, (uint64_t)(year < 0 ? 0 : year), 4);
    bytes_append(out, at, (size_t)(text + sizeof(text) - at));
}

static void format_datetime(int64_t value, struct bytes *out)
{
    int64_t days = value / DAY_MS;
    int64_t ms = value % DAY_MS;
    if (ms < 0) {
        ms += DAY_MS;
        days--;
    }
    format_date(days, out);
    char text[16];
    char *at = text + sizeof(text);
    uint64_t rest = (uint64_t)ms;
    if (rest % 1000 != 0) {
        at = digits_before(at, rest % 1000, 3);
        *--at = '.';
    }
    at = digits_before(at, rest / 1000 % 60, 2);
    *--at = ':';
    at = digits_before(at, rest / 60000 % 60, 2);
    *--at = ':';
    at = digits_before(at, rest / 3600000, 2);
    *--at = ' ';
    bytes_append(out, at, (size_t)(text + sizeof(text) - at));
}

void value_format(struct type type, struct value value, struct bytes *out)
{
    if (value.null)
        return;
    switch (type.kind) {
    case TYPE_BIGINT:
    case TYPE_INT:
        format_integer(value.i64, out);
        return;
    case TYPE_DOUBLE:
        format_double(value.f64, out);
        return;
    case TYPE_DECIMAL:
        format_decimal(type, value.decimal, out);
        return;
    case TYPE_STRING:
        bytes_append_span(out, value.text);
        return;
    case TYPE_BOOLEAN:
        bytes_append_text(out, value.i64 != 0 ? "true" : "false");
        return;
    case TYPE_DATE:
        format_date(value.i64, out);
        return;
    case TYPE_DATETIME:
        format_datetime(value.i64, out);
        return;
    }
}

/* ---- order ---- */

static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return (a > b) - (a < b);
}

int value_compare(struct type type, struct value a, struct value b)
{
    if (a.null || b.null)
        return (b.null ? 1 : 0) - (a.null ? 1 : 0);
    switch (type.kind) {
    case TYPE_DOUBLE:
        return compare_double(a.f64, b.f64);
    case TYPE_DECIMAL:
        return (a.decimal > b.decimal) - (a.decimal < b.decimal);
    case TYPE_STRING:
        return span_compare(a.text, b.text);
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        return (a.i64 > b.i64) - (a.i64 < b.i64);
    }
    return 0;
}
