/* Which types go together, and what comes out. */
#include "node/sql/bind.h"

#include "node/sql/decimal.h"
#include "node/sql/evaluate.h"
#include "node/sql/function.h"
#include "proto/limits.h"

#define INT_PRECISION          10 /* digits of an INT as DECIMAL */
#define BIGINT_PRECISION       19
#define DECIMAL_PRECISION_MAX  38
#define DECIMAL_SCALE_MAX      18
#define DOUBLE_EXACT           INT64_C(9007199254740992) /* 2^53 */
#define FOLD_SCRATCH_BYTES_MAX (4 * LIMIT_CELL_BYTES)

bool type_is_integer(struct type type)
{
    return type.kind == TYPE_BIGINT || type.kind == TYPE_INT;
}

bool type_is_number(struct type type)
{
    return type_is_integer(type) || type.kind == TYPE_DOUBLE || type.kind == TYPE_DECIMAL;
}

static bool same_representation(struct type a, struct type b)
{
    return type_equal(a, b) || (type_is_integer(a) && type_is_integer(b));
}

/* ---- folding ---- */

enum err_code node_fold(struct binder *binder, struct node **node, struct err *err)
{
    struct node *whole = *node;
    if (whole->kind == NODE_FUNCTION && whole->function->unfolded)
        return ERR_OK;
    for (size_t i = 0; i < whole->arg_count; i++) {
        if (whole->args[i]->kind != NODE_LITERAL)
            return ERR_OK;
    }
    ARENA_CLEANUP struct arena scratch;
    arena_init(&scratch, FOLD_SCRATCH_BYTES_MAX);
    struct evaluation evaluation = {.scratch = &scratch};
    struct value value;
    struct err inner = {0};
    enum err_code code = node_evaluate(whole, &evaluation, &value, &inner);
    if (code != ERR_OK && binder->lazy > 0)
        return ERR_OK;
    if (code != ERR_OK)
        return binder_fail(binder, inner.code, whole->at, err, "%s", inner.message);
    struct node *literal = NULL;
    TRY(node_new(binder, NODE_LITERAL, whole->at, 0, &literal, err));
    literal->type = whole->type;
    literal->value = value;
    if (!value.null && whole->type.kind == TYPE_STRING) {
        literal->value.text = arena_copy(binder->arena, value.text);
        if (literal->value.text.data == NULL)
            return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    }
    *node = literal;
    return ERR_OK;
}

/* ---- literals ---- */

/* DECIMAL(digits, digits behind the point) */
static enum err_code decimal_literal_type(struct binder *binder, const struct literal *literal,
                                          struct type *ret_type, struct err *err)
{
    unsigned digits = 0, scale = 0;
    bool point = false;
    for (size_t i = 0; i < literal->text.len; i++) {
        uint8_t c = literal->text.data[i];
        bool digit = c >= '0' && c <= '9';
        point = point || c == '.';
        digits += digit ? 1 : 0;
        scale += digit && point ? 1 : 0;
    }
    if (digits > DECIMAL_PRECISION_MAX || scale > DECIMAL_SCALE_MAX)
        return binder_fail(binder, ERR_CAST, literal->at, err,
                           "a DECIMAL literal has at most 38 digits, 18 of them behind the point");
    unsigned precision = digits > scale ? digits : scale;
    *ret_type =
        (struct type){TYPE_DECIMAL, (uint8_t)(precision == 0 ? 1 : precision), (uint8_t)scale};
    return ERR_OK;
}

static enum err_code literal_type(struct binder *binder, const struct literal *literal,
                                  struct type *ret_type, struct err *err)
{
    struct type type = {0};
    struct value value;
    switch (literal->kind) {
    case LITERAL_NULL:
    case LITERAL_STRING:
        type.kind = TYPE_STRING;
        break;
    case LITERAL_BOOLEAN:
        type.kind = TYPE_BOOLEAN;
        break;
    case LITERAL_SMALL:
        type.kind = TYPE_INT;
        break;
    case LITERAL_INTEGER:
        type.kind = TYPE_INT;
        if (value_parse(type, literal->text, &value, NULL) != ERR_OK)
            type.kind = TYPE_BIGINT;
        break;
    case LITERAL_BIGINT:
        type.kind = TYPE_BIGINT;
        break;
    case LITERAL_DOUBLE:
        type.kind = TYPE_DOUBLE;
        break;
    case LITERAL_DECIMAL:
        return decimal_literal_type(binder, literal, ret_type, err);
    case LITERAL_DATE:
        type.kind = TYPE_DATE;
        break;
    case LITERAL_DATETIME:
    case LITERAL_TIMESTAMP:
        type.kind = TYPE_DATETIME;
        break;
    }
    *ret_type = type;
    return ERR_OK;
}

enum err_code literal_bind(struct binder *binder, const struct literal *literal,
                           struct node **ret_node, struct err *err)
{
    struct node *node = NULL;
    struct err inner = {0};
    TRY(node_new(binder, NODE_LITERAL, literal->at, 0, &node, err));
    TRY(literal_type(binder, literal, &node->type, err));
    node->untyped = literal->kind == LITERAL_NULL;
    if (literal_value(literal, node->type, &node->value, &inner) != ERR_OK)
        return binder_fail(binder, inner.code, literal->at, err, "%s", inner.message);
    struct span copy = arena_copy(binder->arena, literal->text);
    if (copy.data == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    if (node->type.kind == TYPE_STRING && !node->value.null)
        node->value.text = copy;
    if (type_is_number(node->type))
        node->literal_text = copy;
    *ret_node = node;
    return ERR_OK;
}

/* ---- literals that take another type without loss ---- */

static bool exact_decimal(const struct node *literal, struct type to, struct value *value)
{
    struct type wide = {TYPE_DECIMAL, DECIMAL_PRECISION_MAX, DECIMAL_SCALE_MAX};
    bool exact;
    decimal128 from;
    unsigned scale = literal->type.scale;
    if (type_is_integer(literal->type)) {
        from = literal->value.i64;
    } else if (literal->type.kind == TYPE_DECIMAL) {
        from = literal->value.decimal;
    } else {
        struct span text =
            literal->type.kind == TYPE_STRING ? literal->value.text : literal->literal_text;
        const uint8_t *point = text.len == 0 ? NULL : memchr(text.data, '.', text.len);
        size_t behind = point == NULL ? 0 : (size_t)(text.data + text.len - point) - 1;
        struct value parsed;
        if (behind > DECIMAL_SCALE_MAX || value_parse(wide, text, &parsed, NULL) != ERR_OK)
            return false;
        from = parsed.decimal;
        scale = wide.scale;
    }
    return decimal_rescale(from, scale, to, &value->decimal, &exact) && exact;
}

static bool exact_integer(const struct node *literal, struct type to, struct value *value)
{
    switch (literal->type.kind) {
    case TYPE_BIGINT:
    case TYPE_INT:
        *value = literal->value;
        return true; /* one representation, whatever the range */
    case TYPE_DOUBLE: {
        double number = literal->value.f64;
        if (!(fabs(number) <= (double)DOUBLE_EXACT) || trunc(number) != number)
            return false;
        value->i64 = (int64_t)number;
        return true;
    }
    case TYPE_DECIMAL: {
        decimal128 unit = decimal_power(literal->type.scale);
        decimal128 whole = literal->value.decimal / unit;
        value->i64 = (int64_t)whole;
        return literal->value.decimal % unit == 0 && whole >= INT64_MIN && whole <= INT64_MAX;
    }
    case TYPE_STRING:
        return value_parse(to, literal->value.text, value, NULL) == ERR_OK;
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    return false;
}

static bool exact_double(const struct node *literal, struct type to, struct value *value)
{
    if (literal->type.kind == TYPE_STRING)
        return value_parse(to, literal->value.text, value, NULL) == ERR_OK;
    value->f64 = (double)literal->value.i64;
    return type_is_integer(literal->type) && literal->value.i64 <= DOUBLE_EXACT &&
           literal->value.i64 >= -DOUBLE_EXACT;
}

/* The literal's value in the other type, if that loses nothing. */
static bool literal_exact(const struct node *literal, struct type to, struct value *ret_value)
{
    struct value value = {0};
    bool exact = false;
    if (literal->value.null || type_equal(literal->type, to)) {
        *ret_value = literal->value;
        return true;
    }
    switch (to.kind) {
    case TYPE_BIGINT:
    case TYPE_INT:
        exact = exact_integer(literal, to, &value);
        break;
    case TYPE_DOUBLE:
        exact = exact_double(literal, to, &value);
        break;
    case TYPE_DECIMAL:
        exact = (type_is_number(literal->type) || literal->type.kind == TYPE_STRING) &&
                exact_decimal(literal, to, &value);
        break;
    case TYPE_BOOLEAN:
        exact = literal->type.kind == TYPE_STRING &&
                value_parse(to, literal->value.text, &value, NULL) == ERR_OK;
        break;
    case TYPE_DATE:
    case TYPE_DATETIME:
        if (literal->type.kind == TYPE_STRING)
            exact = value_cast(literal->type, to, literal->value, NULL, &value, NULL) == ERR_OK;
        else if (literal->type.kind == TYPE_DATE || literal->type.kind == TYPE_DATETIME)
            exact = value_cast(literal->type, to, literal->value, NULL, &value, NULL) == ERR_OK;
        if (exact && to.kind == TYPE_DATE && literal->type.kind != TYPE_DATE) {
            struct type time = {.kind = TYPE_DATETIME};
            struct value there, back;
            exact = value_cast(literal->type, time, literal->value, NULL, &there, NULL) == ERR_OK &&
                    value_cast(to, time, value, NULL, &back, NULL) == ERR_OK &&
                    there.i64 == back.i64; /* a time of day does not go into a DATE */
        }
        break;
    case TYPE_STRING:
        break;
    }
    if (exact)
        *ret_value = value;
    return exact;
}

/* ---- common types ---- */

static struct type as_decimal(struct type type)
{
    if (type.kind == TYPE_BIGINT)
        return (struct type){TYPE_DECIMAL, BIGINT_PRECISION, 0};
    if (type.kind == TYPE_INT)
        return (struct type){TYPE_DECIMAL, INT_PRECISION, 0};
    return type;
}

static struct type common_number(struct type a, struct type b)
{
    if (a.kind == TYPE_DOUBLE || b.kind == TYPE_DOUBLE)
        return (struct type){.kind = TYPE_DOUBLE};
    if (type_is_integer(a) && type_is_integer(b))
        return (struct type){.kind = TYPE_BIGINT};
    a = as_decimal(a);
    b = as_decimal(b);
    unsigned scale = a.scale > b.scale ? a.scale : b.scale;
    unsigned whole_a = (unsigned)(a.precision - a.scale);
    unsigned whole_b = (unsigned)(b.precision - b.scale);
    unsigned precision = (whole_a > whole_b ? whole_a : whole_b) + scale;
    if (precision > DECIMAL_PRECISION_MAX)
        precision = DECIMAL_PRECISION_MAX;
    return (struct type){TYPE_DECIMAL, (uint8_t)precision, (uint8_t)scale};
}

/* STRING gives way to the other type; False: they cannot be compared. */
static bool common_type(struct type a, struct type b, struct type *ret_type)
{
    if (type_equal(a, b)) {
        *ret_type = a;
        return true;
    }
    if (type_is_number(a) && type_is_number(b)) {
        *ret_type = common_number(a, b);
        return true;
    }
    struct type other = a.kind == TYPE_STRING ? b : a;
    if (a.kind == TYPE_STRING || b.kind == TYPE_STRING) {
        *ret_type = other;
        if (type_is_integer(other))
            ret_type->kind = TYPE_DOUBLE;
        else if (other.kind == TYPE_DECIMAL)
            *ret_type = (struct type){TYPE_DECIMAL, DECIMAL_PRECISION_MAX, DECIMAL_SCALE_MAX};
        return other.kind != TYPE_BOOLEAN;
    }
    *ret_type = (struct type){.kind = TYPE_DATETIME};
    return (a.kind == TYPE_DATE && b.kind == TYPE_DATETIME) ||
           (a.kind == TYPE_DATETIME && b.kind == TYPE_DATE);
}

/* SUM(text) that becomes a text at once, as in MD5(SUM(text)): all its digits, where a DOUBLE would have
 * seventeen. */
static bool is_text_sum(const struct node *node, struct type type)
{
    return node->kind == NODE_AGGREGATE && node->aggregate == AGGREGATE_SUM &&
           node->args[0]->type.kind == TYPE_STRING && type.kind == TYPE_STRING;
}

static enum err_code text_sum_cast(struct binder *binder, struct node **node, struct type type,
                                   struct err *err)
{
    struct node *sum = NULL;
    TRY(node_new(binder, NODE_AGGREGATE, (*node)->at, (*node)->arg_count, &sum, err));
    memcpy(sum, *node, sizeof(*sum) + (*node)->arg_count * sizeof(sum->args[0]));
    sum->type = type;
    *node = sum;
    return ERR_OK;
}

static enum err_code cast_to(struct binder *binder, struct node **node, struct type type,
                             bool lenient, struct err *err)
{
    struct node *inner = *node;
    struct node *cast = NULL;
    if (inner->untyped || same_representation(inner->type, type)) {
        if (inner->untyped)
            inner->type = type;
        return ERR_OK;
    }
    if (is_text_sum(inner, type))
        return text_sum_cast(binder, node, type, err);
    TRY(node_new(binder, NODE_CAST, inner->at, 1, &cast, err));
    cast->type = type;
    cast->lenient = lenient;
    cast->args[0] = inner;
    *node = cast;
    return node_fold(binder, node, err);
}

enum err_code node_cast(struct binder *binder, struct node **node, struct type type,
                        struct err *err)
{
    return cast_to(binder, node, type, binder->binding->rules.mode == SELECT_MODE_LENIENT, err);
}

enum err_code node_cast_summand(struct binder *binder, struct node **node, struct err *err)
{
    struct type type = {.kind = TYPE_DOUBLE};
    return cast_to(binder, node, type, binder->binding->rules.mode != SELECT_MODE_STRICT, err);
}

/* The type of the first that is not a literal, else of the first that is not NULL. */
static struct type unify_first(struct node *const *nodes, size_t count)
{
    const struct node *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i]->kind != NODE_LITERAL && !nodes[i]->untyped)
            return nodes[i]->type;
        if (first == NULL && !nodes[i]->untyped)
            first = nodes[i];
    }
    return first == NULL ? nodes[0]->type : first->type;
}

bool nodes_common_type(struct node *const *nodes, size_t count, struct type *ret_type,
                       size_t *ret_misfit)
{
    struct type type = unify_first(nodes, count);
    struct value value;
    bool fit = true;
    for (size_t i = 0; i < count && fit; i++) {
        const struct node *node = nodes[i];
        bool literal = node->kind == NODE_LITERAL;
        if (node->untyped || (literal && literal_exact(node, type, &value)))
            continue;
        struct type wider = type;
        struct type time = {.kind = TYPE_DATETIME};
        bool time_text = literal && node->type.kind == TYPE_STRING && type.kind == TYPE_DATE &&
                         literal_exact(node, time, &value);
        *ret_misfit = i;
        if (time_text)
            wider = time;
        else
            fit = common_type(type, node->type, &wider);
        type = fit ? wider : type;
    }
    *ret_type = type;
    return fit;
}

enum err_code nodes_cast(struct binder *binder, struct node **nodes, size_t count, struct type type,
                         struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct node *node = nodes[i];
        struct value value;
        if (node->kind == NODE_LITERAL && !node->untyped && literal_exact(node, type, &value)) {
            node->value = value;
            node->type = type;
        }
        TRY(node_cast(binder, &nodes[i], type, err));
    }
    return ERR_OK;
}

enum err_code nodes_unify(struct binder *binder, struct node **nodes, size_t count, struct err *err)
{
    struct type type;
    size_t misfit;
    if (!nodes_common_type(nodes, count, &type, &misfit)) {
        char a[TYPE_TEXT_BYTES], b[TYPE_TEXT_BYTES];
        return binder_fail(binder, ERR_SEMANTIC, nodes[misfit]->at, err,
                           "%s cannot be compared with %s", type_format(nodes[misfit]->type, b),
                           type_format(type, a));
    }
    return nodes_cast(binder, nodes, count, type, err);
}

/* STRING takes all but BOOLEAN; False: the two have no common type. */
static bool merged_type(struct type a, struct type b, struct type *ret_type)
{
    bool text = a.kind == TYPE_STRING || b.kind == TYPE_STRING;
    bool truth = a.kind == TYPE_BOOLEAN || b.kind == TYPE_BOOLEAN;
    if (text && !truth) {
        *ret_type = (struct type){.kind = TYPE_STRING};
        return true;
    }
    return common_type(a, b, ret_type);
}

enum err_code nodes_merge(struct binder *binder, const char *what, struct node **nodes,
                          size_t count, struct type *ret_type, struct err *err)
{
    struct type type = {.kind = TYPE_STRING};
    bool typed = false;
    for (size_t i = 0; i < count; i++) {
        char a[TYPE_TEXT_BYTES], b[TYPE_TEXT_BYTES];
        struct type merged = nodes[i]->type;
        if (nodes[i]->untyped)
            continue;
        if (typed && !merged_type(type, nodes[i]->type, &merged))
            return binder_fail(binder, ERR_SEMANTIC, nodes[i]->at, err,
                               "the results of %s have no common type: %s and %s", what,
                               type_format(type, a), type_format(nodes[i]->type, b));
        type = merged;
        typed = true;
    }
    for (size_t i = 0; i < count; i++)
        TRY(node_cast(binder, &nodes[i], type, err));
    *ret_type = type;
    return ERR_OK;
}

/* ---- arithmetic ---- */

enum err_code arithmetic_type(struct binder *binder, struct node *node, struct err *err)
{
    struct type types[2];
    for (size_t i = 0; i < 2; i++) {
        const struct node *arg = node->args[i];
        types[i] = arg->untyped ? (struct type){.kind = TYPE_BIGINT} : arg->type;
        if (types[i].kind == TYPE_STRING)
            types[i].kind = TYPE_DOUBLE;
        if (!type_is_number(types[i])) {
            char text[TYPE_TEXT_BYTES];
            return binder_fail(binder, ERR_SEMANTIC, arg->at, err,
                               "%s is no number: arithmetic needs numbers",
                               type_format(types[i], text));
        }
    }
    struct type common = common_number(types[0], types[1]);
    if (type_is_integer(common) && node->op == OP_DIVIDE)
        common.kind = TYPE_DOUBLE;
    node->type = common;
    if (common.kind != TYPE_DECIMAL) {
        TRY(node_cast(binder, &node->args[0], common, err));
        return node_cast(binder, &node->args[1], common, err);
    }
    for (size_t i = 0; i < 2; i++)
        TRY(node_cast(binder, &node->args[i], as_decimal(types[i]), err));
    node->type = decimal_result_type(node->op, node->args[0]->type, node->args[1]->type);
    return ERR_OK;
}
