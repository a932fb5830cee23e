/* Functions of numbers, and those of any type. What is outside a function's domain is an error, or
 * NULL in a lenient statement; what does not fit the result is always an error. */
#include "node/sql/function.h"

#include "node/sql/decimal.h"
#include "proto/limits.h"

#define BIGINT_LIMIT          9223372036854775808.0 /* 2^63 */
#define DECIMAL_PRECISION_MAX 38
#define FACTORIAL_MAX         20
#define ROUND_PLACES_MAX      400 /* beyond, nothing changes in any number */

/* ---- types ---- */

/* INT gives BIGINT: -(-2147483648) is no INT. */
static struct type number_type(const struct node *node)
{
    struct type type = node->args[0]->type;
    if (type.kind == TYPE_INT)
        type.kind = TYPE_BIGINT;
    return type;
}

static enum err_code overflow(const struct function_call *call, struct err *err)
{
    char text[TYPE_TEXT_BYTES];
    return err_set(err, ERR_SEMANTIC, "%s: a result does not fit %s", call->node->function->name,
                   type_format(call->node->type, text));
}

/* ---- DOUBLE to DOUBLE ---- */

/* NaN of numbers, or infinity of finite ones: no value, or too large. */
static enum err_code double_result(const struct function_call *call, double result,
                                   struct value *ret_value, struct err *err)
{
    bool ordinary = true;
    for (size_t i = 0; i < call->arg_count; i++)
        ordinary = ordinary && isfinite(call->args[i].f64);
    if (ordinary && !isfinite(result)) {
        if (call->arg_count == 1)
            return function_undefined(call, ret_value, err, "of %.17g it has no value",
                                      call->args[0].f64);
        return function_undefined(call, ret_value, err, "of %.17g and %.17g it has no value",
                                  call->args[0].f64, call->args[1].f64);
    }
    *ret_value = (struct value){.f64 = result};
    return ERR_OK;
}

static enum err_code math_one(const struct function_call *call, struct value *ret_value,
                              struct err *err)
{
    return double_result(call, call->node->function->math(call->args[0].f64), ret_value, err);
}

static double cotangent(double number)
{
    return 1 / tan(number);
}

static double degrees(double number)
{
    return number * 180 / M_PI;
}

static double radians(double number)
{
    return number * M_PI / 180;
}

static enum err_code power(const struct function_call *call, struct value *ret_value,
                           struct err *err)
{
    return double_result(call, pow(call->args[0].f64, call->args[1].f64), ret_value, err);
}

static enum err_code arc_tangent(const struct function_call *call, struct value *ret_value,
                                 struct err *err)
{
    return double_result(call, atan2(call->args[0].f64, call->args[1].f64), ret_value, err);
}

/* LOG(base, number) */
static enum err_code logarithm(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    double base = call->args[0].f64, number = call->args[1].f64;
    double result = base == 2 ? log2(number) : base == 10 ? log10(number) : log(number) / log(base);
    return double_result(call, result, ret_value, err);
}

enum { CONSTANT_PI, CONSTANT_E };

static enum err_code constant(const struct function_call *call, struct value *ret_value,
                              struct err *err)
{
    (void)err;
    *ret_value = (struct value){.f64 = call->node->function->variant == CONSTANT_PI ? M_PI : M_E};
    return ERR_OK;
}

static enum err_code is_nan(const struct function_call *call, struct value *ret_value,
                            struct err *err)
{
    (void)err;
    *ret_value = (struct value){.i64 = isnan(call->args[0].f64)};
    return ERR_OK;
}

/* ---- sign ---- */

static enum err_code absolute(const struct function_call *call, struct value *ret_value,
                              struct err *err)
{
    struct value value = call->args[0];
    if (call->node->type.kind == TYPE_DOUBLE)
        value.f64 = fabs(value.f64);
    else if (call->node->type.kind == TYPE_DECIMAL)
        value.decimal = value.decimal < 0 ? -value.decimal : value.decimal;
    else if (value.i64 < 0 && __builtin_sub_overflow((int64_t)0, value.i64, &value.i64))
        return overflow(call, err);
    *ret_value = value;
    return ERR_OK;
}

static enum err_code sign(const struct function_call *call, struct value *ret_value,
                          struct err *err)
{
    (void)err;
    struct value value = call->args[0];
    double result;
    if (call->node->args[0]->type.kind == TYPE_DOUBLE)
        result = isnan(value.f64) ? value.f64 : (value.f64 > 0) - (value.f64 < 0);
    else if (call->node->args[0]->type.kind == TYPE_DECIMAL)
        result = (value.decimal > 0) - (value.decimal < 0);
    else
        result = (value.i64 > 0) - (value.i64 < 0);
    *ret_value = (struct value){.f64 = result};
    return ERR_OK;
}

/* ---- to whole numbers ---- */

enum { TO_CEIL, TO_FLOOR };

static enum err_code whole(const struct function_call *call, struct value *ret_value,
                           struct err *err)
{
    struct type type = call->node->args[0]->type;
    struct value value = call->args[0];
    bool up = call->node->function->variant == TO_CEIL;
    if (type.kind == TYPE_DOUBLE) {
        double number = up ? ceil(value.f64) : floor(value.f64);
        if (!(number >= -BIGINT_LIMIT && number < BIGINT_LIMIT))
            return overflow(call, err);
        value = (struct value){.i64 = (int64_t)number};
    } else if (type.kind == TYPE_DECIMAL) {
        decimal128 unit = decimal_power(type.scale);
        decimal128 quotient = value.decimal / unit, rest = value.decimal % unit;
        quotient += (up && rest > 0 ? 1 : 0) - (!up && rest < 0 ? 1 : 0);
        if (quotient < INT64_MIN || quotient > INT64_MAX)
            return overflow(call, err);
        value = (struct value){.i64 = (int64_t)quotient};
    }
    *ret_value = value;
    return ERR_OK;
}

/* DIV: the whole part of a quotient; by 0 it is NULL, as / is */
static enum err_code divide_whole(const struct function_call *call, struct value *ret_value,
                                  struct err *err)
{
    int64_t a = call->args[0].i64, b = call->args[1].i64;
    if (b == -1 && a == INT64_MIN)
        return overflow(call, err);
    *ret_value = (struct value){.null = b == 0, .i64 = b == 0 ? 0 : a / b};
    return ERR_OK;
}

static enum err_code factorial(const struct function_call *call, struct value *ret_value,
                               struct err *err)
{
    int64_t number = call->args[0].i64, result = 1;
    if (number < 0 || number > FACTORIAL_MAX)
        return function_undefined(call, ret_value, err, "it takes 0 to %d", FACTORIAL_MAX);
    for (int64_t i = 2; i <= number; i++)
        result *= i;
    *ret_value = (struct value){.i64 = result};
    return ERR_OK;
}

/* ---- ROUND, TRUNC ---- */

enum { ROUND_HALF, ROUND_CUT };

/* value / 10^digits: cut, or rounded half away from zero */
static decimal128 digits_drop(decimal128 value, int64_t digits, int variant)
{
    if (digits <= 0)
        return value;
    if (digits > DECIMAL_PRECISION_MAX)
        return 0;
    decimal128 unit = decimal_power((unsigned)digits);
    decimal128 quotient = value / unit, rest = value % unit;
    if (variant == ROUND_HALF && rest >= unit - rest)
        quotient++;
    if (variant == ROUND_HALF && -rest >= unit + rest)
        quotient--;
    return quotient;
}

/* By the digits that it reads as: 125.315 to 125.32, though the double is a little below. */
static double round_double(double number, int64_t places, int variant)
{
    decimal128 digits;
    char text[64];
    if (!isfinite(number) || number == 0)
        return number;
    int exponent = double_digits(number, &digits);
    if (-(int64_t)exponent <= places)
        return number;
    digits = digits_drop(digits, -(int64_t)exponent - places, variant);
    snprintf(text, sizeof(text), "%" PRId64 "e%" PRId64, (int64_t)digits, -places);
    return strtod(text, NULL);
}

static int64_t places_of(const struct function_call *call)
{
    int64_t places = call->arg_count > 1 ? call->args[1].i64 : 0;
    if (places > ROUND_PLACES_MAX)
        return ROUND_PLACES_MAX;
    return places < -ROUND_PLACES_MAX ? -ROUND_PLACES_MAX : places;
}

/* Of a DECIMAL to constant places: as many behind the point; one digit more in front for 9.9 -> 10. */
static struct type round_type(const struct node *node)
{
    struct type type = number_type(node);
    if (type.kind != TYPE_DECIMAL)
        return type;
    int64_t places = type.scale;
    if (node->arg_count == 1)
        places = 0;
    else if (node->args[1]->kind == NODE_LITERAL && !node->args[1]->value.null)
        places = node->args[1]->value.i64;
    places = places < 0 ? 0 : places > type.scale ? type.scale : places;
    int precision = type.precision - type.scale + (int)places + 1;
    precision = precision > DECIMAL_PRECISION_MAX ? DECIMAL_PRECISION_MAX : precision;
    return (struct type){TYPE_DECIMAL, (uint8_t)precision, (uint8_t)places};
}

static enum err_code round_decimal(const struct function_call *call, struct value *ret_value,
                                   struct err *err)
{
    unsigned scale = call->node->args[0]->type.scale;
    int64_t places = places_of(call);
    struct value value = call->args[0];
    if (places < (int64_t)scale) {
        int64_t dropped = (int64_t)scale - places;
        value.decimal = digits_drop(value.decimal, dropped, call->node->function->variant);
        if (value.decimal != 0 && places < 0) {
            if (__builtin_mul_overflow(value.decimal, decimal_power((unsigned)-places),
                                       &value.decimal))
                return overflow(call, err);
            places = 0;
        }
        scale = places < 0 ? 0 : (unsigned)places;
    }
    if (!decimal_rescale(value.decimal, scale, call->node->type, &value.decimal, NULL))
        return overflow(call, err);
    *ret_value = value;
    return ERR_OK;
}

static enum err_code round_integer(const struct function_call *call, struct value *ret_value,
                                   struct err *err)
{
    int64_t places = places_of(call);
    struct value value = call->args[0];
    if (places < 0) {
        decimal128 rounded = digits_drop(value.i64, -places, call->node->function->variant);
        rounded *= places >= -19 ? decimal_power((unsigned)-places) : 0;
        if (rounded < INT64_MIN || rounded > INT64_MAX)
            return overflow(call, err);
        value.i64 = (int64_t)rounded;
    }
    *ret_value = value;
    return ERR_OK;
}

static enum err_code round_number(const struct function_call *call, struct value *ret_value,
                                  struct err *err)
{
    if (call->node->type.kind == TYPE_DECIMAL)
        return round_decimal(call, ret_value, err);
    if (call->node->type.kind != TYPE_DOUBLE)
        return round_integer(call, ret_value, err);
    *ret_value = (struct value){
        .f64 = round_double(call->args[0].f64, places_of(call), call->node->function->variant)};
    return ERR_OK;
}

/* ---- any type ---- */

enum { PICK_GREATEST, PICK_LEAST };

/* Of INT and BIGINT, which share a representation, BIGINT. */
static struct type widest_type(const struct node *node)
{
    struct type type = node->args[0]->type;
    for (size_t i = 1; i < node->arg_count && type_is_integer(type); i++) {
        if (node->args[i]->type.kind == TYPE_BIGINT)
            type = node->args[i]->type;
    }
    return type;
}

/* NULL is less than everything, as the original says. */
static enum err_code pick(const struct function_call *call, struct value *ret_value,
                          struct err *err)
{
    (void)err;
    int wanted = call->node->function->variant == PICK_GREATEST ? 1 : -1;
    struct value best = call->args[0];
    for (size_t i = 1; i < call->arg_count; i++) {
        if (value_compare(call->node->type, call->args[i], best) * wanted > 0)
            best = call->args[i];
    }
    *ret_value = best;
    return ERR_OK;
}

static enum err_code null_if(const struct function_call *call, struct value *ret_value,
                             struct err *err)
{
    (void)err;
    bool same = !call->args[0].null && !call->args[1].null &&
                value_compare(call->node->type, call->args[0], call->args[1]) == 0;
    *ret_value = same ? (struct value){.null = true} : call->args[0];
    return ERR_OK;
}

static const struct function rows[] = {
    FUNCTION("ABS", "n", 0, absolute, .type_of = number_type),
    FUNCTION("SIGN", "n", TYPE_DOUBLE, sign),
    FUNCTION("CEIL", "n", TYPE_BIGINT, whole, .variant = TO_CEIL),
    FUNCTION("CEILING", "n", TYPE_BIGINT, whole, .variant = TO_CEIL),
    FUNCTION("FLOOR", "n", TYPE_BIGINT, whole, .variant = TO_FLOOR),
    FUNCTION("ROUND", "n[i", 0, round_number, .variant = ROUND_HALF, .type_of = round_type),
    FUNCTION("TRUNC", "n[i", 0, round_number, .variant = ROUND_CUT, .type_of = round_type),
    FUNCTION("DIV", "ii", TYPE_BIGINT, divide_whole),
    FUNCTION("FACTORIAL", "i", TYPE_BIGINT, factorial),
    FUNCTION("POW", "dd", TYPE_DOUBLE, power),
    FUNCTION("POWER", "dd", TYPE_DOUBLE, power),
    FUNCTION("SQRT", "d", TYPE_DOUBLE, math_one, .math = sqrt),
    FUNCTION("CBRT", "d", TYPE_DOUBLE, math_one, .math = cbrt),
    FUNCTION("EXP", "d", TYPE_DOUBLE, math_one, .math = exp),
    FUNCTION("LN", "d", TYPE_DOUBLE, math_one, .math = log),
    FUNCTION("LOG", "dd", TYPE_DOUBLE, logarithm),
    FUNCTION("LOG2", "d", TYPE_DOUBLE, math_one, .math = log2),
    FUNCTION("LOG10", "d", TYPE_DOUBLE, math_one, .math = log10),
    FUNCTION("SIN", "d", TYPE_DOUBLE, math_one, .math = sin),
    FUNCTION("COS", "d", TYPE_DOUBLE, math_one, .math = cos),
    FUNCTION("TAN", "d", TYPE_DOUBLE, math_one, .math = tan),
    FUNCTION("COT", "d", TYPE_DOUBLE, math_one, .math = cotangent),
    FUNCTION("ASIN", "d", TYPE_DOUBLE, math_one, .math = asin),
    FUNCTION("ACOS", "d", TYPE_DOUBLE, math_one, .math = acos),
    FUNCTION("ATAN", "d", TYPE_DOUBLE, math_one, .math = atan),
    FUNCTION("ATAN2", "dd", TYPE_DOUBLE, arc_tangent),
    FUNCTION("SINH", "d", TYPE_DOUBLE, math_one, .math = sinh),
    FUNCTION("COSH", "d", TYPE_DOUBLE, math_one, .math = cosh),
    FUNCTION("TANH", "d", TYPE_DOUBLE, math_one, .math = tanh),
    FUNCTION("DEGREES", "d", TYPE_DOUBLE, math_one, .math = degrees),
    FUNCTION("RADIANS", "d", TYPE_DOUBLE, math_one, .math = radians),
    FUNCTION("PI", "", TYPE_DOUBLE, constant, .variant = CONSTANT_PI),
    FUNCTION("E", "", TYPE_DOUBLE, constant, .variant = CONSTANT_E),
    FUNCTION("ISNAN", "d", TYPE_BOOLEAN, is_nan),
    FUNCTION("GREATEST", "?=aa*", 0, pick, .variant = PICK_GREATEST, .type_of = widest_type),
    FUNCTION("LEAST", "?=aa*", 0, pick, .variant = PICK_LEAST, .type_of = widest_type),
    FUNCTION("NULLIF", "?=aa", 0, null_if, .type_of = function_first_type),
};

const struct function_table function_number_table = {rows, ARRAY_COUNT(rows)};
