#include "node/sql/decimal.h"

#define DECIMAL_PRECISION_MAX 38
#define DECIMAL_SCALE_MAX     18
#define DIVIDE_SCALE_MIN      6
#define DOUBLE_DIGITS_MAX     17

__extension__ typedef unsigned __int128 magnitude128;

/* ---- types ---- */

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static struct type decimal_type(unsigned precision, unsigned scale)
{
    if (scale > DECIMAL_SCALE_MAX)
        scale = DECIMAL_SCALE_MAX;
    if (precision > DECIMAL_PRECISION_MAX)
        precision = DECIMAL_PRECISION_MAX;
    return (struct type){TYPE_DECIMAL, (uint8_t)larger(precision, larger(scale, 1)),
                         (uint8_t)scale};
}

struct type decimal_result_type(enum binary_op op, struct type a, struct type b)
{
    unsigned scale = larger(a.scale, b.scale);
    unsigned whole = larger((unsigned)(a.precision - a.scale), (unsigned)(b.precision - b.scale));
    if (op == OP_MULTIPLY)
        return decimal_type(a.precision + b.precision + 1U, a.scale + b.scale);
    if (op == OP_DIVIDE) {
        scale = larger(DIVIDE_SCALE_MIN, a.scale + b.precision + 1U);
        if (scale > DECIMAL_SCALE_MAX)
            scale = DECIMAL_SCALE_MAX;
        return decimal_type((unsigned)(a.precision - a.scale) + b.scale + scale, scale);
    }
    return decimal_type(whole + scale + (op == OP_MODULO ? 0 : 1), scale);
}

/* ---- scales ---- */

static bool fits(decimal128 value, struct type type)
{
    return value_in_range(type, (struct value){.decimal = value});
}

bool decimal_rescale(decimal128 value, unsigned scale, struct type type, decimal128 *ret_value,
                     bool *ret_exact)
{
    bool exact = true;
    if (scale <= type.scale) {
        if (__builtin_mul_overflow(value, decimal_power(type.scale - scale), &value))
            return false;
    } else {
        /* a product's scale may be 36 */
        decimal128 unit = decimal_power(scale - type.scale);
        decimal128 rest = value % unit;
        value /= unit;
        exact = rest == 0;
        if (rest >= unit - rest)
            value++;
        else if (-rest >= unit + rest)
            value--;
    }
    if (!fits(value, type))
        return false;
    *ret_value = value;
    if (ret_exact != NULL)
        *ret_exact = exact;
    return true;
}

int double_digits(double number, decimal128 *ret_digits)
{
    char text[40];
    for (int precision = DOUBLE_DIGITS_MAX - 3; precision < DOUBLE_DIGITS_MAX; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    decimal128 digits = 0;
    int behind = 0;
    const char *at = text;
    for (bool point = false; *at != 'e'; at++) {
        point = point || *at == '.';
        if (*at < '0' || *at > '9')
            continue;
        digits = digits * 10 + (*at - '0');
        behind += point ? 1 : 0;
    }
    *ret_digits = text[0] == '-' ? -digits : digits;
    return (int)strtol(at + 1, NULL, 10) - behind;
}

double decimal_to_double(decimal128 value, unsigned scale)
{
    BYTES_CLEANUP struct bytes text = {0};
    /* through the text, so that 0.1 is 0.1 */
    value_format((struct type){TYPE_DECIMAL, DECIMAL_PRECISION_MAX, (uint8_t)scale},
                 (struct value){.decimal = value}, &text);
    bytes_append_u8(&text, 0);
    return strtod((const char *)text.data, NULL);
}

/* ---- operations ---- */

static magnitude128 magnitude(decimal128 value)
{
    return value < 0 ? -(magnitude128)value : (magnitude128)value;
}

/* One more digit of rest / divisor; rest < divisor before and after. Ten times the rest may not fit
 * 128 bits, so it is added up. */
static unsigned digit_next(magnitude128 *rest, magnitude128 divisor)
{
    magnitude128 sum = 0;
    unsigned digit = 0;
    for (int i = 0; i < 10; i++) {
        sum += *rest;
        if (sum >= divisor) {
            sum -= divisor;
            digit++;
        }
    }
    *rest = sum;
    return digit;
}

/* a * 10^shift / b, rounded half away from zero. */
static bool divide(decimal128 a, decimal128 b, unsigned shift, decimal128 *ret_value)
{
    magnitude128 divisor = magnitude(b);
    magnitude128 rest = magnitude(a) % divisor;
    decimal128 quotient = (decimal128)(magnitude(a) / divisor);
    for (unsigned i = 0; i < shift; i++) {
        if (__builtin_mul_overflow(quotient, (decimal128)10, &quotient) ||
            __builtin_add_overflow(quotient, (decimal128)digit_next(&rest, divisor), &quotient))
            return false;
    }
    if (rest >= divisor - rest)
        quotient++;
    *ret_value = (a < 0) != (b < 0) ? -quotient : quotient;
    return true;
}

static bool compute(enum binary_op op, decimal128 a, struct type type_a, decimal128 b,
                    struct type type_b, struct type result, decimal128 *ret_value)
{
    struct type wide = {TYPE_DECIMAL, DECIMAL_PRECISION_MAX, result.scale};
    decimal128 value;
    if (op == OP_MULTIPLY) {
        return !__builtin_mul_overflow(a, b, &value) &&
               decimal_rescale(value, (unsigned)(type_a.scale + type_b.scale), result, ret_value,
                               NULL);
    }
    if (op == OP_DIVIDE) {
        ASSERT(result.scale + type_b.scale >= type_a.scale);
        return divide(a, b, (unsigned)(result.scale + type_b.scale - type_a.scale), ret_value) &&
               fits(*ret_value, result);
    }
    if (!decimal_rescale(a, type_a.scale, wide, &a, NULL) ||
        !decimal_rescale(b, type_b.scale, wide, &b, NULL))
        return false;
    if (op == OP_MODULO)
        value = a % b;
    else if (op == OP_ADD ? __builtin_add_overflow(a, b, &value)
                          : __builtin_sub_overflow(a, b, &value))
        return false;
    *ret_value = value;
    return fits(value, result);
}

enum err_code decimal_arithmetic(enum binary_op op, decimal128 a, struct type type_a, decimal128 b,
                                 struct type type_b, struct value *ret_value, struct err *err)
{
    struct type result = decimal_result_type(op, type_a, type_b);
    struct value value = {0};
    if (b == 0 && (op == OP_DIVIDE || op == OP_MODULO)) {
        value.null = true;
    } else if (!compute(op, a, type_a, b, type_b, result, &value.decimal)) {
        char text[TYPE_TEXT_BYTES];
        return err_set(err, ERR_SEMANTIC, "a result does not fit %s", type_format(result, text));
    }
    *ret_value = value;
    return ERR_OK;
}
