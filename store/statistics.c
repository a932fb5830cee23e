#include "store/statistics.h"

#define SIGN_BIT (UINT64_C(1) << 63)

/* ---- stored form ---- */

/* Negative doubles count down in their bits: flip all of them, else the sign alone. */
static uint64_t double_order(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return (bits & SIGN_BIT) != 0 ? ~bits : bits | SIGN_BIT;
}

static double double_from_order(uint64_t order)
{
    uint64_t bits = (order & SIGN_BIT) != 0 ? order ^ SIGN_BIT : ~order;
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

void statistic_append(struct type type, struct value value, struct bytes *out)
{
    ASSERT(!value.null);
    switch (type.kind) {
    case TYPE_DOUBLE:
        ASSERT(!isnan(value.f64));
        bytes_append_u64(out, double_order(value.f64));
        return;
    case TYPE_DECIMAL:
        bytes_append_u64(out, (uint64_t)(value.decimal >> 64) ^ SIGN_BIT);
        bytes_append_u64(out, (uint64_t)value.decimal);
        return;
    case TYPE_STRING:
        bytes_append_span(out, value.text);
        return;
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        bytes_append_u64(out, (uint64_t)value.i64 ^ SIGN_BIT);
        return;
    }
}

bool statistic_value(struct type type, struct span stored, struct value *ret_value)
{
    struct reader reader = reader_of(stored);
    struct value value = {0};
    if (type.kind == TYPE_STRING) {
        value.text = stored;
        if (!span_is_utf8(stored) || stored.len > STATISTICS_TEXT_BYTES)
            return false;
    } else if (type.kind == TYPE_DOUBLE) {
        value.f64 = double_from_order(reader_u64(&reader));
        if (isnan(value.f64))
            return false;
    } else if (type.kind == TYPE_DECIMAL) {
        uint64_t high = reader_u64(&reader) ^ SIGN_BIT;
        uint64_t low = reader_u64(&reader);
        __extension__ unsigned __int128 bits = (unsigned __int128)high << 64 | low;
        value.decimal = (decimal128)bits;
    } else {
        value.i64 = (int64_t)(reader_u64(&reader) ^ SIGN_BIT);
    }
    if (type.kind != TYPE_STRING && !reader_end(&reader))
        return false;
    if (!value_in_range(type, value))
        return false;
    *ret_value = value;
    return true;
}

static void statistic_set(struct statistic *statistic, struct type type, struct value value)
{
    BYTES_CLEANUP struct bytes stored = {0};
    statistic_append(type, value, &stored);
    ASSERT(stored.len <= STATISTICS_TEXT_BYTES);
    statistic->present = true;
    statistic->len = (uint8_t)stored.len;
    if (stored.len > 0)
        memcpy(statistic->data, stored.data, stored.len);
}

/* ---- strings ---- */

/* The longest prefix of whole characters within the limit. */
static size_t text_cut(struct span text)
{
    if (text.len <= STATISTICS_TEXT_BYTES)
        return text.len;
    size_t len = STATISTICS_TEXT_BYTES;
    while ((text.data[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static size_t character_encode(uint32_t code, uint8_t ret_bytes[4])
{
    if (code < 0x80) {
        ret_bytes[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len; i-- > 1; code >>= 6)
        ret_bytes[i] = (uint8_t)(0x80 | (code & 0x3F));
    ret_bytes[0] = (uint8_t)(lead[len] | code);
    return len;
}

static uint32_t character_decode(const uint8_t *at, size_t len)
{
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = at[0] & lead_mask[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3F);
    return code;
}

/* A text that was cut: the last character that can be raised within the limit is, and what follows
 * it goes. Bytes of UTF-8 order as the characters do, so the result is above all that begin with
 * the prefix. */
static void text_round_up(struct statistic *max, struct span prefix)
{
    size_t end = prefix.len;
    while (end > 0) {
        size_t start = end - 1;
        while ((prefix.data[start] & 0xC0) == 0x80)
            start--;
        uint32_t code = character_decode(prefix.data + start, end - start) + 1;
        if (code == 0xD800)
            code = 0xE000; /* surrogates are no characters */
        uint8_t raised[4];
        size_t len = character_encode(code, raised);
        if (code <= 0x10FFFF && start + len <= STATISTICS_TEXT_BYTES) {
            memcpy(max->data, prefix.data, start);
            memcpy(max->data + start, raised, len);
            max->len = (uint8_t)(start + len);
            max->present = true;
            return;
        }
        end = start;
    }
}

static void text_statistics(struct statistics *statistics, struct type type, struct value min,
                            struct value max)
{
    min.text.len = text_cut(min.text);
    statistic_set(&statistics->min, type, min);
    size_t len = text_cut(max.text);
    if (len == max.text.len)
        statistic_set(&statistics->max, type, max);
    else
        text_round_up(&statistics->max, span_of(max.text.data, len));
}

/* ---- one column ---- */

/* The smallest and the largest value; `null` when there is none. By type, as columns are long. */
struct range {
    struct value min;
    struct value max;
};

static struct range range_of_words(const struct vector *vector, size_t at, size_t rows)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    bool any = vector->null_count == 0;
    for (size_t row = at; any && row < at + rows; row++) {
        int64_t value = vector->i64[row];
        min = value < min ? value : min;
        max = value > max ? value : max;
    }
    for (size_t row = at; vector->null_count > 0 && row < at + rows; row++) {
        int64_t value = vector->i64[row];
        if (vector->valid[row] == 0)
            continue;
        any = true;
        min = value < min ? value : min;
        max = value > max ? value : max;
    }
    return (struct range){.min = {.null = !any, .i64 = min}, .max = {.null = !any, .i64 = max}};
}

static struct range range_of_decimals(const struct vector *vector, size_t at, size_t rows)
{
    struct range range = {.min = {.null = true}, .max = {.null = true}};
    decimal128 min = 0, max = 0;
    for (size_t row = at; row < at + rows; row++) {
        decimal128 value = vector->decimal[row];
        if (vector->valid[row] == 0)
            continue;
        min = range.min.null || value < min ? value : min;
        max = range.min.null || value > max ? value : max;
        range.min.null = range.max.null = false;
    }
    range.min.decimal = min;
    range.max.decimal = max;
    return range;
}

/* NaN apart, which are counted. */
static struct range range_of_doubles(const struct vector *vector, size_t at, size_t rows,
                                     uint64_t *nan_count)
{
    struct range range = {.min = {.null = true}, .max = {.null = true}};
    for (size_t row = at; row < at + rows; row++) {
        struct value value = {.f64 = vector->f64[row]};
        if (vector->valid[row] == 0)
            continue;
        if (isnan(value.f64)) {
            ++*nan_count;
            continue;
        }
        if (range.min.null || value.f64 < range.min.f64)
            range.min = value;
        if (range.max.null || value.f64 > range.max.f64)
            range.max = value;
    }
    return range;
}

/* The first eight bytes as a number that orders as they do. */
static uint64_t text_head(struct span text)
{
    uint64_t head = 0;
    memcpy(&head, text.data, text.len < 8 ? text.len : 8);
    return __builtin_bswap64(head); /* little-endian: proto/block.c asserts it */
}

static struct range range_of_texts(const struct vector *vector, size_t at, size_t rows)
{
    struct range range = {.min = {.null = true}, .max = {.null = true}};
    uint64_t min_head = 0, max_head = 0;
    for (size_t row = at; row < at + rows; row++) {
        if (vector->valid[row] == 0)
            continue;
        uint32_t start = row == 0 ? 0 : vector->text_end[row - 1];
        struct value value = {.text = span_of(NULL, vector->text_end[row] - start)};
        uint64_t head = 0;
        if (value.text.len > 0) {
            value.text.data = vector->text.data + start;
            head = text_head(value.text);
        }
        if (range.min.null || head < min_head ||
            (head == min_head && span_compare(value.text, range.min.text) < 0)) {
            range.min = value;
            min_head = head;
        }
        if (range.max.null || head > max_head ||
            (head == max_head && span_compare(value.text, range.max.text) > 0)) {
            range.max = value;
            max_head = head;
        }
    }
    return range;
}

static struct range range_of(const struct vector *vector, size_t at, size_t rows,
                             uint64_t *nan_count)
{
    switch (vector->type.kind) {
    case TYPE_STRING:
        return range_of_texts(vector, at, rows);
    case TYPE_DECIMAL:
        return range_of_decimals(vector, at, rows);
    case TYPE_DOUBLE:
        return range_of_doubles(vector, at, rows, nan_count);
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    return range_of_words(vector, at, rows);
}

struct statistics statistics_of(const struct vector *vector, size_t at, size_t rows)
{
    struct statistics statistics = {0};
    struct type type = vector->type;
    for (size_t row = at; vector->null_count > 0 && row < at + rows; row++)
        statistics.null_count += vector->valid[row] == 0;
    struct range range = range_of(vector, at, rows, &statistics.nan_count);
    if (range.min.null || rows < STATISTICS_ROWS_MIN)
        return statistics;
    if (type.kind == TYPE_STRING) {
        text_statistics(&statistics, type, range.min, range.max);
        return statistics;
    }
    if (type.kind == TYPE_DOUBLE) {
        range.min.f64 = range.min.f64 == 0 ? -0.0 : range.min.f64;
        range.max.f64 = range.max.f64 == 0 ? 0.0 : range.max.f64;
    }
    statistic_set(&statistics.min, type, range.min);
    statistic_set(&statistics.max, type, range.max);
    return statistics;
}
