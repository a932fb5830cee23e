#include "node/sql/evaluate.h"

#include "node/sql/decimal.h"
#include "proto/limits.h"

#define DAY_MS              INT64_C(86400000)
#define DECIMAL_SCALE_SHOWN 38 /* 17 digits behind more zeros are nothing at scale 18 */
#define DOUBLE_BIGINT_LIMIT 9223372036854775808.0 /* 2^63 */

/* ---- LIKE ---- */

static size_t character_bytes(struct span text, size_t at)
{
    size_t len = 1;
    while (at + len < text.len && (text.data[at + len] & 0xC0) == 0x80)
        len++;
    return len;
}

/* A star remembers where it stood; on a mismatch it takes one character more. Linear in text times
 * pattern, no recursion. */
bool text_like(struct span text, struct span pattern)
{
    size_t t = 0, p = 0;
    size_t star_p = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        uint8_t c = p < pattern.len ? pattern.data[p] : 0;
        bool escaped = p + 1 < pattern.len && c == '\\';
        size_t wanted = escaped ? p + 1 : p;
        if (p < pattern.len && c == '%') {
            star_p = ++p;
            star_t = t;
        } else if (p < pattern.len && c == '_') {
            t += character_bytes(text, t);
            p++;
        } else if (p < pattern.len && pattern.data[wanted] == text.data[t]) {
            t++;
            p = wanted + 1;
        } else if (star_p != SIZE_MAX) {
            star_t += character_bytes(text, star_t);
            t = star_t;
            p = star_p;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '%')
        p++;
    return p == pattern.len;
}

/* ---- casts ---- */

bool cast_exists(struct type from, struct type to)
{
    if (from.kind == to.kind || from.kind == TYPE_STRING || to.kind == TYPE_STRING)
        return true;
    bool from_day = from.kind == TYPE_DATE || from.kind == TYPE_DATETIME;
    bool to_day = to.kind == TYPE_DATE || to.kind == TYPE_DATETIME;
    return from_day == to_day;
}

static enum err_code cast_failed(struct type from, struct type to, struct value value,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    char name[TYPE_TEXT_BYTES];
    value_format(from, value, &text);
    return err_set(err, ERR_CAST, "'%.*s' does not fit %s", text.len < 60 ? (int)text.len : 60,
                   text.data == NULL ? "" : (const char *)text.data, type_format(to, name));
}

static bool double_to_integer(double number, int64_t *ret_value)
{
    number = trunc(number);
    if (!(number >= -DOUBLE_BIGINT_LIMIT && number < DOUBLE_BIGINT_LIMIT))
        return false;
    *ret_value = (int64_t)number;
    return true;
}

static bool cast_to_integer(struct type from, struct value value, int64_t *ret_value)
{
    if (from.kind == TYPE_DOUBLE)
        return double_to_integer(value.f64, ret_value);
    if (from.kind != TYPE_DECIMAL) {
        *ret_value = value.i64;
        return true;
    }
    decimal128 whole = value.decimal / decimal_power(from.scale);
    *ret_value = (int64_t)whole;
    return whole >= INT64_MIN && whole <= INT64_MAX;
}

static double cast_to_double(struct type from, struct value value)
{
    if (from.kind == TYPE_DOUBLE)
        return value.f64;
    return from.kind == TYPE_DECIMAL ? decimal_to_double(value.decimal, from.scale)
                                     : (double)value.i64;
}

/* By the digits that it reads as, so that 0.1 becomes 0.1. */
static bool double_to_decimal(double number, struct type to, decimal128 *ret_value)
{
    decimal128 digits;
    if (!isfinite(number) || fabs(number) >= 1e38)
        return false;
    int exponent = double_digits(number, &digits);
    if (-exponent > DECIMAL_SCALE_SHOWN) {
        *ret_value = 0;
        return true;
    }
    for (; exponent > 0; exponent--)
        digits *= 10; /* below 1e38 */
    return decimal_rescale(digits, (unsigned)-exponent, to, ret_value, NULL);
}

static bool cast_to_decimal(struct type from, struct type to, struct value value,
                            decimal128 *ret_value)
{
    if (from.kind == TYPE_DECIMAL)
        return decimal_rescale(value.decimal, from.scale, to, ret_value, NULL);
    if (from.kind == TYPE_DOUBLE)
        return double_to_decimal(value.f64, to, ret_value);
    return decimal_rescale(value.i64, 0, to, ret_value, NULL);
}

static bool cast_day(struct type from, struct type to, struct value value, int64_t *ret_value)
{
    if (from.kind == to.kind) {
        *ret_value = value.i64;
    } else if (to.kind == TYPE_DATETIME) {
        *ret_value = value.i64 * DAY_MS;
    } else {
        int64_t days = value.i64 / DAY_MS;
        *ret_value = value.i64 % DAY_MS < 0 ? days - 1 : days;
    }
    return true;
}

static enum err_code cast_to_text(struct type from, struct value value, struct arena *scratch,
                                  struct value *ret_value, struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    value_format(from, value, &text);
    struct span copy = arena_copy(scratch, bytes_span(&text));
    if (copy.data == NULL)
        return err_set(err, ERR_LIMIT, "a text needs too much memory");
    *ret_value = (struct value){.text = copy};
    return ERR_OK;
}

static enum err_code cast_from_text(struct type to, struct span text, struct value *ret_value,
                                    struct err *err)
{
    struct type day = {.kind = TYPE_DATE};
    struct type number = {.kind = TYPE_DOUBLE};
    struct value value;
    if (value_parse(to, text, &value, NULL) == ERR_OK) {
        *ret_value = value;
        return ERR_OK;
    }
    /* other forms: a day for a time, a time for a day, 1.9 for an integer */
    if (to.kind == TYPE_DATETIME && value_parse(day, text, &value, NULL) == ERR_OK)
        return value_cast(day, to, value, NULL, ret_value, err);
    if (to.kind == TYPE_DATE) {
        struct type time = {.kind = TYPE_DATETIME};
        if (value_parse(time, text, &value, NULL) == ERR_OK)
            return value_cast(time, to, value, NULL, ret_value, err);
    }
    if ((type_is_integer(to) || to.kind == TYPE_DECIMAL) &&
        value_parse(number, text, &value, NULL) == ERR_OK)
        return value_cast(number, to, value, NULL, ret_value, err);
    return value_parse(to, text, &value, err); /* for its words */
}

size_t text_number_prefix(struct span text)
{
    size_t at = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    size_t digits = 0;
    bool point = false;
    for (; at < text.len; at++) {
        bool digit = text.data[at] >= '0' && text.data[at] <= '9';
        if (!digit && (text.data[at] != '.' || point))
            break;
        point = point || !digit;
        digits += digit ? 1 : 0;
    }
    return digits > 0 ? at : 0;
}

enum err_code text_cast_lenient(struct type to, struct span text, struct value *ret_value,
                                struct err *err)
{
    if (cast_from_text(to, text, ret_value, NULL) == ERR_OK)
        return ERR_OK;
    size_t prefix = type_is_number(to) ? text_number_prefix(text) : 0;
    if (prefix > 0) /* too large for the type: an error after all */
        return cast_from_text(to, span_slice(text, 0, prefix), ret_value, err);
    *ret_value = (struct value){.null = true};
    return ERR_OK;
}

enum err_code value_cast(struct type from, struct type to, struct value value,
                         struct arena *scratch, struct value *ret_value, struct err *err)
{
    ASSERT(cast_exists(from, to));
    struct value result = {0};
    bool good = true;
    if (value.null || type_equal(from, to)) {
        *ret_value = value;
        return ERR_OK;
    }
    if (from.kind == TYPE_STRING)
        return cast_from_text(to, value.text, ret_value, err);
    switch (to.kind) {
    case TYPE_STRING:
        return cast_to_text(from, value, scratch, ret_value, err);
    case TYPE_BIGINT:
    case TYPE_INT:
        good = cast_to_integer(from, value, &result.i64);
        break;
    case TYPE_BOOLEAN:
        result.i64 = cast_to_double(from, value) != 0;
        break;
    case TYPE_DOUBLE:
        result.f64 = cast_to_double(from, value);
        break;
    case TYPE_DECIMAL:
        good = cast_to_decimal(from, to, value, &result.decimal);
        break;
    case TYPE_DATE:
    case TYPE_DATETIME:
        good = cast_day(from, to, value, &result.i64);
        break;
    }
    if (!good || !value_in_range(to, result))
        return cast_failed(from, to, value, err);
    *ret_value = result;
    return ERR_OK;
}

/* ---- operators ---- */

static enum err_code integer_arithmetic(enum binary_op op, int64_t a, int64_t b,
                                        struct value *value, struct err *err)
{
    bool overflow = false;
    if (op == OP_ADD)
        overflow = __builtin_add_overflow(a, b, &value->i64);
    else if (op == OP_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &value->i64);
    else if (op == OP_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &value->i64);
    else if (b == 0)
        value->null = true;
    else
        value->i64 = b == -1 ? 0 : a % b; /* INT64_MIN % -1 traps */
    if (overflow)
        return err_set(err, ERR_SEMANTIC, "a result does not fit BIGINT: %" PRId64 " and %" PRId64,
                       a, b);
    return ERR_OK;
}

static void double_arithmetic(enum binary_op op, double a, double b, struct value *value)
{
    switch (op) {
    case OP_ADD:
        value->f64 = a + b;
        return;
    case OP_SUBTRACT:
        value->f64 = a - b;
        return;
    case OP_MULTIPLY:
        value->f64 = a * b;
        return;
    case OP_DIVIDE:
        value->null = b == 0;
        value->f64 = b == 0 ? 0 : a / b;
        return;
    case OP_MODULO:
        value->null = b == 0;
        value->f64 = b == 0 ? 0 : fmod(a, b);
        return;
    case OP_CONCAT:
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
        break;
    }
    ASSERT(false);
}

static enum err_code evaluate_arithmetic(const struct node *node, const struct value *args,
                                         struct value *ret_value, struct err *err)
{
    struct value value = {0};
    if (args[0].null || args[1].null) {
        value.null = true;
    } else if (node->type.kind == TYPE_DECIMAL) {
        TRY(decimal_arithmetic(node->op, args[0].decimal, node->args[0]->type, args[1].decimal,
                               node->args[1]->type, &value, err));
    } else if (node->type.kind == TYPE_DOUBLE) {
        double_arithmetic(node->op, args[0].f64, args[1].f64, &value);
    } else {
        TRY(integer_arithmetic(node->op, args[0].i64, args[1].i64, &value, err));
    }
    *ret_value = value;
    return ERR_OK;
}

static enum err_code evaluate_negate(const struct node *node, struct value arg,
                                     struct value *ret_value, struct err *err)
{
    if (!arg.null && node->type.kind == TYPE_DECIMAL) {
        arg.decimal = -arg.decimal;
    } else if (!arg.null && node->type.kind == TYPE_DOUBLE) {
        arg.f64 = -arg.f64;
    } else if (!arg.null && __builtin_sub_overflow((int64_t)0, arg.i64, &arg.i64)) {
        return err_set(err, ERR_SEMANTIC, "a result does not fit BIGINT");
    }
    *ret_value = arg;
    return ERR_OK;
}

static enum err_code evaluate_concat(const struct value *args, struct arena *scratch,
                                     struct value *ret_value, struct err *err)
{
    if (args[0].null || args[1].null) {
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    size_t len = args[0].text.len + args[1].text.len;
    if (len > LIMIT_CELL_BYTES)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes, at most %zu are allowed", len,
                       LIMIT_CELL_BYTES);
    uint8_t *joined = arena_alloc(scratch, 1, len + 1);
    if (joined == NULL)
        return err_set(err, ERR_LIMIT, "a text needs too much memory");
    if (args[0].text.len > 0)
        memcpy(joined, args[0].text.data, args[0].text.len);
    if (args[1].text.len > 0)
        memcpy(joined + args[0].text.len, args[1].text.data, args[1].text.len);
    *ret_value = (struct value){.text = span_of(joined, len)};
    return ERR_OK;
}

bool order_holds(enum binary_op op, int order)
{
    switch (op) {
    case OP_EQUAL:
        return order == 0;
    case OP_NOT_EQUAL:
        return order != 0;
    case OP_LESS:
        return order < 0;
    case OP_LESS_EQUAL:
        return order <= 0;
    case OP_GREATER:
        return order > 0;
    case OP_GREATER_EQUAL:
        return order >= 0;
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO:
    case OP_CONCAT:
        break;
    }
    ASSERT(false);
    return false;
}

static struct value truth(bool holds)
{
    return (struct value){.i64 = holds};
}

static struct value compare(enum binary_op op, struct type type, struct value a, struct value b)
{
    if (a.null || b.null)
        return (struct value){.null = true};
    return truth(order_holds(op, value_compare(type, a, b)));
}

static struct value negate_truth(struct value value, bool negated)
{
    if (!value.null && negated)
        value.i64 = !value.i64;
    return value;
}

/* AND: false beats NULL beats true; OR: true beats NULL beats false. */
static enum err_code evaluate_chain(const struct node *node, const struct evaluation *evaluation,
                                    struct value *ret_value, struct err *err)
{
    bool decisive = node->kind == NODE_OR;
    struct value result = truth(!decisive);
    for (size_t i = 0; i < node->arg_count; i++) {
        struct value arg = {0};
        TRY(node_evaluate(node->args[i], evaluation, &arg, err));
        if (arg.null)
            result = arg;
        else if ((arg.i64 != 0) == decisive) {
            *ret_value = truth(decisive);
            return ERR_OK;
        }
    }
    *ret_value = result;
    return ERR_OK;
}

static enum err_code evaluate_in(const struct node *node, const struct evaluation *evaluation,
                                 struct value *ret_value, struct err *err)
{
    struct value wanted = {0};
    struct value result = truth(false);
    TRY(node_evaluate(node->args[0], evaluation, &wanted, err));
    if (wanted.null)
        result.null = true;
    for (size_t i = 1; i < node->arg_count && !wanted.null; i++) {
        struct value item = {0};
        TRY(node_evaluate(node->args[i], evaluation, &item, err));
        struct value same = compare(OP_EQUAL, node->args[0]->type, wanted, item);
        if (!same.null && same.i64 != 0) {
            result = same;
            break;
        }
        result.null = result.null || same.null;
    }
    *ret_value = negate_truth(result, node->negated);
    return ERR_OK;
}

static struct value evaluate_between(const struct node *node, const struct value *args)
{
    struct type type = node->args[0]->type;
    struct value low = compare(OP_GREATER_EQUAL, type, args[0], args[1]);
    struct value high = compare(OP_LESS_EQUAL, type, args[0], args[2]);
    bool refuted = (!low.null && low.i64 == 0) || (!high.null && high.i64 == 0);
    struct value result = truth(!refuted);
    result.null = !refuted && (low.null || high.null);
    return negate_truth(result, node->negated);
}

static struct value evaluate_like(const struct node *node, const struct value *args)
{
    if (args[0].null || args[1].null)
        return (struct value){.null = true};
    return negate_truth(truth(text_like(args[0].text, args[1].text)), node->negated);
}

#define ARGS_MAX 3 /* of nodes that evaluate all their arguments first */

static enum err_code evaluate_operator(const struct node *node, const struct evaluation *evaluation,
                                       struct value *ret_value, struct err *err)
{
    struct value args[ARGS_MAX] = {0};
    ASSERT(node->arg_count <= ARGS_MAX);
    for (size_t i = 0; i < node->arg_count; i++)
        TRY(node_evaluate(node->args[i], evaluation, &args[i], err));
    switch (node->kind) {
    case NODE_NOT:
        *ret_value = negate_truth(args[0], true);
        return ERR_OK;
    case NODE_NEGATE:
        return evaluate_negate(node, args[0], ret_value, err);
    case NODE_ARITHMETIC:
        return evaluate_arithmetic(node, args, ret_value, err);
    case NODE_CONCAT:
        return evaluate_concat(args, evaluation->scratch, ret_value, err);
    case NODE_COMPARE:
        *ret_value = compare(node->op, node->args[0]->type, args[0], args[1]);
        return ERR_OK;
    case NODE_IS_NULL:
        *ret_value = truth(args[0].null != node->negated);
        return ERR_OK;
    case NODE_BETWEEN:
        *ret_value = evaluate_between(node, args);
        return ERR_OK;
    case NODE_LIKE:
        *ret_value = evaluate_like(node, args);
        return ERR_OK;
    case NODE_DISTINCT:
        *ret_value =
            truth((value_compare(node->args[0]->type, args[0], args[1]) != 0) != node->negated);
        return ERR_OK;
    case NODE_CAST:
        if (node->lenient && node->args[0]->type.kind == TYPE_STRING && !args[0].null)
            return text_cast_lenient(node->type, args[0].text, ret_value, err);
        return value_cast(node->args[0]->type, node->type, args[0], evaluation->scratch, ret_value,
                          err);
    case NODE_LITERAL:
    case NODE_COLUMN:
    case NODE_AGGREGATE:
    case NODE_QUERY:
    case NODE_EXISTS:
    case NODE_IN_QUERY:
    case NODE_AND:
    case NODE_OR:
    case NODE_IN:
    case NODE_CASE:
    case NODE_COALESCE:
    case NODE_FUNCTION:
        break;
    }
    ASSERT(false);
    return ERR_INTERNAL;
}

enum err_code node_evaluate(const struct node *node, const struct evaluation *evaluation,
                            struct value *ret_value, struct err *err)
{
    if (node->kind == NODE_LITERAL) {
        *ret_value = node->value;
        return ERR_OK;
    }
    if (node_is_slot(node)) {
        *ret_value = evaluation->slots[node->slot];
        return ERR_OK;
    }
    if (node->kind == NODE_AND || node->kind == NODE_OR)
        return evaluate_chain(node, evaluation, ret_value, err);
    if (node->kind == NODE_IN)
        return evaluate_in(node, evaluation, ret_value, err);
    if (node->kind == NODE_CASE)
        return evaluate_case(node, evaluation, ret_value, err);
    if (node->kind == NODE_COALESCE)
        return evaluate_coalesce(node, evaluation, ret_value, err);
    if (node->kind == NODE_FUNCTION)
        return evaluate_function(node, evaluation, ret_value, err);
    return evaluate_operator(node, evaluation, ret_value, err);
}
