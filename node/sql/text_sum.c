#include "node/sql/text_sum.h"

#include <stdlib.h>

#include "node/sql/evaluate.h"

#define CHUNK_BASE    INT64_C(1000000000)
#define UNCARRIED_MAX (UINT32_C(1) << 30)
#define EXPONENT_MAX  INT64_C(1000000000000) /* beyond any text's digits */

_Static_assert(TEXT_SUM_FRACTION % TEXT_SUM_CHUNK_DIGITS == 0 &&
                   TEXT_SUM_WHOLE % TEXT_SUM_CHUNK_DIGITS == 0,
               "chunks begin at the point");

/* Every chunk but the last goes to 0 .. 10^9 - 1, the last has the sign. */
static void carry(struct text_sum *sum)
{
    for (int i = 0; i + 1 < TEXT_SUM_CHUNKS; i++) {
        int64_t rest = sum->chunks[i] % CHUNK_BASE;
        rest += rest < 0 ? CHUNK_BASE : 0;
        sum->chunks[i + 1] += (sum->chunks[i] - rest) / CHUNK_BASE;
        sum->chunks[i] = rest;
    }
    sum->uncarried = 0;
}

/* ---- a text's number ---- */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* Of the whole text, behind its leading number; 0 when there is more, or something else. */
static int64_t exponent_of(struct span text, size_t prefix)
{
    struct value number;
    struct type type = {.kind = TYPE_DOUBLE};
    if (prefix == 0 || prefix + 1 >= text.len || (text.data[prefix] | 0x20) != 'e' ||
        value_parse(type, text, &number, NULL) != ERR_OK)
        return 0;
    size_t at = prefix + 1;
    bool negative = text.data[at] == '-';
    int64_t exponent = 0;
    at += negative || text.data[at] == '+' ? 1 : 0;
    for (; at < text.len && exponent < EXPONENT_MAX; at++)
        exponent = exponent * 10 + (text.data[at] - '0');
    return negative ? -exponent : exponent;
}

/* The digit's place: 10^power. False: it is not 0, and stands too far before the point. */
static bool digit_add(struct text_sum *sum, int64_t power, int64_t digit)
{
    static const int64_t units[TEXT_SUM_CHUNK_DIGITS] = {1,      10,      100,      1000,     10000,
                                                         100000, 1000000, 10000000, 100000000};
    int64_t place = power + TEXT_SUM_FRACTION;
    if (digit == 0 || place < 0)
        return true;
    if (power >= TEXT_SUM_WHOLE)
        return false;
    sum->chunks[place / TEXT_SUM_CHUNK_DIGITS] += digit * units[place % TEXT_SUM_CHUNK_DIGITS];
    return true;
}

static size_t whole_digits(struct span number)
{
    size_t count = 0;
    for (size_t i = 0; i < number.len && number.data[i] != '.'; i++)
        count += is_digit(number.data[i]) ? 1 : 0;
    return count;
}

enum err_code text_sum_add(struct text_sum *sum, struct span text, struct err *err)
{
    struct span number = span_slice(text, 0, text_number_prefix(text));
    bool negative = number.len > 0 && number.data[0] == '-';
    int64_t power = (int64_t)whole_digits(number) - 1 + exponent_of(text, number.len);
    for (size_t i = 0; i < number.len; i++) {
        int64_t digit = number.data[i] - '0';
        if (!is_digit(number.data[i]))
            continue;
        if (!digit_add(sum, power--, negative ? -digit : digit))
            return err_set(err, ERR_CAST,
                           "a text's number has more than %d digits: too large for a sum",
                           TEXT_SUM_WHOLE);
    }
    if (++sum->uncarried == UNCARRIED_MAX)
        carry(sum);
    return ERR_OK;
}

/* ---- the sum ---- */

void text_sum_format(struct text_sum *sum, struct bytes *out)
{
    char digits[TEXT_SUM_CHUNKS * TEXT_SUM_CHUNK_DIGITS + 1];
    carry(sum);
    struct text_sum magnitude = *sum;
    bool negative = sum->chunks[TEXT_SUM_CHUNKS - 1] < 0;
    for (int i = 0; i < TEXT_SUM_CHUNKS && negative; i++)
        magnitude.chunks[i] = -magnitude.chunks[i];
    carry(&magnitude);
    for (int i = 0; i < TEXT_SUM_CHUNKS; i++)
        snprintf(digits + (size_t)i * TEXT_SUM_CHUNK_DIGITS, TEXT_SUM_CHUNK_DIGITS + 1,
                 "%09" PRId64, magnitude.chunks[TEXT_SUM_CHUNKS - 1 - i]);
    size_t point = sizeof(digits) - 1 - TEXT_SUM_FRACTION;
    size_t begin = 0, end = sizeof(digits) - 1;
    while (begin + 1 < point && digits[begin] == '0')
        begin++;
    while (end > point && digits[end - 1] == '0')
        end--;
    if (negative)
        bytes_append_u8(out, '-');
    bytes_append(out, digits + begin, point - begin);
    if (end > point)
        bytes_append_u8(out, '.');
    bytes_append(out, digits + point, end - point);
}

double text_sum_get(struct text_sum *sum)
{
    BYTES_CLEANUP struct bytes text = {0};
    text_sum_format(sum, &text);
    bytes_append_u8(&text, 0);
    return strtod((const char *)text.data, NULL);
}
