/* Calls of aggregates, and what they give. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"

#define DECIMAL_SUM_PRECISION 38
#define DECIMAL_SCALE_MAX     18
#define DECIMAL_AVG_DIGITS    4 /* more behind the point than the column has */

static const struct name_row {
    const char *name;
    enum aggregate aggregate;
} names[] = {{"COUNT", AGGREGATE_COUNT},
             {"SUM", AGGREGATE_SUM},
             {"AVG", AGGREGATE_AVG},
             {"MIN", AGGREGATE_MIN},
             {"MAX", AGGREGATE_MAX},
             {"ANY_VALUE", AGGREGATE_MIN}, /* any: so the same one every time */
             {"MEDIAN", AGGREGATE_MEDIAN},
             {"STDDEV", AGGREGATE_STDDEV},
             {"STDDEV_POP", AGGREGATE_STDDEV},
             {"STDDEV_SAMP", AGGREGATE_STDDEV_SAMPLE},
             {"VARIANCE", AGGREGATE_VARIANCE},
             {"VAR_POP", AGGREGATE_VARIANCE},
             {"VAR_SAMP", AGGREGATE_VARIANCE_SAMPLE}};

#define COUNT_IF  "COUNT_IF"
#define WM_CONCAT "WM_CONCAT"

const char *aggregate_name(size_t i)
{
    if (i < ARRAY_COUNT(names))
        return names[i].name;
    return i == ARRAY_COUNT(names) ? COUNT_IF : i == ARRAY_COUNT(names) + 1 ? WM_CONCAT : NULL;
}

static enum err_code aggregate_place(struct binder *binder, const struct expr *expr,
                                     struct err *err)
{
    if (binder->in_aggregate)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%.*s stands inside another aggregate", SPAN_PRINTF(expr->name));
    if (binder->clause != NULL)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s cannot stand in %s",
                           SPAN_PRINTF(expr->name), binder->clause);
    binder->has_aggregates = true;
    return ERR_OK;
}

/* SUM and AVG of text give DOUBLE. What the texts begin with is summed in decimal (text_sum.h); where that
 * would be an error, and of DISTINCT, which compares numbers, they are DOUBLEs first. */
static enum err_code sum_type(struct binder *binder, const struct expr *expr, struct node *node,
                              struct err *err)
{
    struct node *arg = node->args[0];
    bool sum = node->aggregate == AGGREGATE_SUM || node->aggregate == AGGREGATE_AVG;
    if (arg->type.kind == TYPE_STRING && !arg->untyped && sum && !node->distinct &&
        binder->binding->rules.mode != SELECT_MODE_STRICT) {
        node->type = (struct type){.kind = TYPE_DOUBLE};
        return ERR_OK;
    }
    if (arg->type.kind == TYPE_STRING) {
        TRY(node_cast_summand(binder, &node->args[0], err));
        arg = node->args[0];
    }
    node->type = arg->type;
    if (!type_is_number(arg->type)) {
        char text[TYPE_TEXT_BYTES];
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s needs numbers, found %s",
                           SPAN_PRINTF(expr->name), type_format(arg->type, text));
    }
    if (node->type.kind == TYPE_DECIMAL)
        node->type.precision = DECIMAL_SUM_PRECISION;
    else if (type_is_integer(node->type))
        node->type.kind = node->aggregate == AGGREGATE_AVG ? TYPE_DOUBLE : TYPE_BIGINT;
    return ERR_OK;
}

/* AVG of DECIMAL: SUM / COUNT, exact, rounded once. */
static enum err_code decimal_average(struct binder *binder, struct node **node, struct err *err)
{
    struct node *sum = *node;
    struct node *count = NULL;
    struct node *division = NULL;
    sum->aggregate = AGGREGATE_SUM;
    TRY(node_new(binder, NODE_AGGREGATE, sum->at, 1, &count, err));
    count->aggregate = AGGREGATE_COUNT;
    count->distinct = sum->distinct;
    count->type.kind = TYPE_BIGINT;
    count->args[0] = sum->args[0];
    TRY(node_new(binder, NODE_ARITHMETIC, sum->at, 2, &division, err));
    division->op = OP_DIVIDE;
    division->args[0] = sum;
    division->args[1] = count;
    TRY(arithmetic_type(binder, division, err));
    struct type type = sum->type;
    unsigned scale = type.scale + DECIMAL_AVG_DIGITS;
    type.scale = (uint8_t)(scale > division->type.scale ? division->type.scale : scale);
    *node = division;
    return node_cast(binder, node, type, err);
}

/* MEDIAN of DECIMAL is exact, of others DOUBLE, as STDDEV and VARIANCE of all are. */
static enum err_code spread_type(struct binder *binder, const struct expr *expr, struct node *node,
                                 struct err *err)
{
    TRY(sum_type(binder, expr, node, err)); /* numbers only */
    if (node->aggregate == AGGREGATE_MEDIAN && node->type.kind == TYPE_DECIMAL) {
        unsigned scale = node->type.scale + 1U;
        node->type.scale = (uint8_t)(scale > DECIMAL_SCALE_MAX ? DECIMAL_SCALE_MAX : scale);
        return ERR_OK;
    }
    node->type = (struct type){.kind = TYPE_DOUBLE};
    if (node->aggregate == AGGREGATE_MEDIAN)
        return ERR_OK;
    return node_cast(binder, &node->args[0], node->type, err);
}

static enum err_code bind_argument(struct binder *binder, const struct expr *expr,
                                   struct node **ret_node, struct err *err)
{
    binder->in_aggregate = true;
    enum err_code code = bind_expr(binder, expr, ret_node, err);
    binder->in_aggregate = false;
    return code;
}

static enum err_code bind_aggregate(struct binder *binder, const struct expr *expr,
                                    enum aggregate aggregate, struct node **ret_node,
                                    struct err *err)
{
    struct node *node = NULL;
    bool star = expr->arg_count == 1 && expr->args[0]->kind == EXPR_STAR;
    TRY(aggregate_place(binder, expr, err));
    if (expr->within_count > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "WITHIN GROUP goes with WM_CONCAT only");
    if (expr->arg_count != 1 || (star && aggregate != AGGREGATE_COUNT))
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s needs one argument",
                           SPAN_PRINTF(expr->name));
    TRY(node_new(binder, NODE_AGGREGATE, expr->at, star ? 0 : 1, &node, err));
    node->aggregate = star ? AGGREGATE_COUNT_ALL : aggregate;
    node->distinct = expr->distinct;
    if (!star)
        TRY(bind_argument(binder, expr->args[0], &node->args[0], err));
    if (aggregate == AGGREGATE_COUNT)
        node->type.kind = TYPE_BIGINT;
    else if (aggregate == AGGREGATE_MIN || aggregate == AGGREGATE_MAX)
        node->type = node->args[0]->type;
    else if (aggregate >= AGGREGATE_MEDIAN)
        TRY(spread_type(binder, expr, node, err));
    else
        TRY(sum_type(binder, expr, node, err));
    *ret_node = node;
    if (aggregate == AGGREGATE_AVG && node->type.kind == TYPE_DECIMAL)
        return decimal_average(binder, ret_node, err);
    return ERR_OK;
}

/* COUNT_IF(c) is COUNT(CASE WHEN c THEN TRUE END). */
static enum err_code bind_count_if(struct binder *binder, const struct expr *expr,
                                   struct node **ret_node, struct err *err)
{
    struct type truth = {.kind = TYPE_BOOLEAN};
    struct node *node = NULL, *choice = NULL;
    TRY(aggregate_place(binder, expr, err));
    if (expr->arg_count != 1 || expr->distinct || expr->within_count > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           COUNT_IF " needs one argument, without DISTINCT");
    TRY(node_new(binder, NODE_CASE, expr->at, 2, &choice, err));
    TRY(bind_argument(binder, expr->args[0], &choice->args[0], err));
    TRY(boolean_check(binder, choice->args[0], COUNT_IF, err));
    TRY(node_cast(binder, &choice->args[0], truth, err));
    TRY(node_new(binder, NODE_LITERAL, expr->at, 0, &choice->args[1], err));
    choice->args[1]->type = truth;
    choice->args[1]->value.i64 = 1;
    choice->type = truth;
    TRY(node_fold(binder, &choice, err));
    TRY(node_new(binder, NODE_AGGREGATE, expr->at, 1, &node, err));
    node->aggregate = AGGREGATE_COUNT;
    node->type.kind = TYPE_BIGINT;
    node->args[0] = choice;
    *ret_node = node;
    return ERR_OK;
}

/* ---- WM_CONCAT ---- */

static enum err_code text_check(struct binder *binder, const struct node *node, struct err *err)
{
    if (node->type.kind != TYPE_BOOLEAN)
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, node->at, err,
                       WM_CONCAT " needs texts, found BOOLEAN");
}

/* The keys in front of the one that is the text itself, which sorts last in any case. */
static enum err_code concat_keys(struct binder *binder, const struct expr *expr, struct node *node,
                                 const struct node *text, struct err *err)
{
    size_t count = 0;
    node->ordered = expr->within_count > 0;
    for (size_t i = 0; i < expr->within_count; i++) {
        struct node *key = NULL;
        bool descending = (expr->descending >> i & 1) != 0;
        TRY(bind_argument(binder, expr->within[i], &key, err));
        if (key->kind == NODE_LITERAL)
            continue;
        node->descending |= descending ? UINT32_C(1) << count : 0;
        if (node_equal(key, text))
            break;
        node->args[++count] = key;
    }
    node->arg_count = 1 + count;
    if (node->distinct && count > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "with DISTINCT, " WM_CONCAT " is ordered by its own argument only");
    return ERR_OK;
}

/* WM_CONCAT(separator, text) [WITHIN GROUP (ORDER BY ...)] */
static enum err_code bind_concat(struct binder *binder, const struct expr *expr,
                                 struct node **ret_node, struct err *err)
{
    struct node *node = NULL, *separator = NULL;
    TRY(aggregate_place(binder, expr, err));
    if (expr->arg_count != 2)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           WM_CONCAT " needs a separator and a text");
    TRY(bind_argument(binder, expr->args[0], &separator, err));
    if (separator->kind != NODE_LITERAL || separator->type.kind != TYPE_STRING ||
        separator->value.null)
        return binder_fail(binder, ERR_SEMANTIC, expr->args[0]->at, err,
                           "the separator of " WM_CONCAT " must be a constant text");
    TRY(node_new(binder, NODE_AGGREGATE, expr->at, 1 + expr->within_count, &node, err));
    node->aggregate = AGGREGATE_WM_CONCAT;
    node->distinct = expr->distinct;
    node->type.kind = TYPE_STRING;
    node->value = separator->value;
    TRY(bind_argument(binder, expr->args[1], &node->args[0], err));
    TRY(text_check(binder, node->args[0], err));
    const struct node *text = node->args[0];
    TRY(concat_keys(binder, expr, node, text, err));
    *ret_node = node;
    return node_cast(binder, &node->args[0], node->type, err);
}

enum err_code bind_call(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (name_equal(expr->name, span_text(names[i].name)))
            return bind_aggregate(binder, expr, names[i].aggregate, ret_node, err);
    }
    if (name_equal(expr->name, span_text(COUNT_IF)))
        return bind_count_if(binder, expr, ret_node, err);
    if (name_equal(expr->name, span_text(WM_CONCAT)))
        return bind_concat(binder, expr, ret_node, err);
    return bind_function(binder, expr, ret_node, err);
}
