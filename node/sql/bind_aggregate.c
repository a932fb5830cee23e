/* Calls: COUNT, SUM, AVG, MIN, MAX and what they give. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"

#define DECIMAL_SUM_PRECISION 38
#define DECIMAL_AVG_DIGITS    4 /* more behind the point than the column has */

static const struct function_row {
    const char *name;
    enum aggregate aggregate;
} functions[] = {{"COUNT", AGGREGATE_COUNT},
                 {"SUM", AGGREGATE_SUM},
                 {"AVG", AGGREGATE_AVG},
                 {"MIN", AGGREGATE_MIN},
                 {"MAX", AGGREGATE_MAX}};

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

/* SUM and AVG: text is summed as DOUBLE. */
static enum err_code sum_type(struct binder *binder, const struct expr *expr, struct node *node,
                              struct err *err)
{
    struct node *arg = node->args[0];
    if (arg->type.kind == TYPE_STRING) {
        TRY(node_cast(binder, &node->args[0], (struct type){.kind = TYPE_DOUBLE}, err));
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

static enum err_code bind_aggregate(struct binder *binder, const struct expr *expr,
                                    enum aggregate aggregate, struct node **ret_node,
                                    struct err *err)
{
    struct node *node = NULL;
    bool star = expr->arg_count == 1 && expr->args[0]->kind == EXPR_STAR;
    TRY(aggregate_place(binder, expr, err));
    if (expr->arg_count != 1 || (star && aggregate != AGGREGATE_COUNT))
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s needs one argument",
                           SPAN_PRINTF(expr->name));
    TRY(node_new(binder, NODE_AGGREGATE, expr->at, star ? 0 : 1, &node, err));
    node->aggregate = star ? AGGREGATE_COUNT_ALL : aggregate;
    node->distinct = expr->distinct;
    if (!star) {
        binder->in_aggregate = true;
        enum err_code code = bind_expr(binder, expr->args[0], &node->args[0], err);
        binder->in_aggregate = false;
        TRY(code);
    }
    if (aggregate == AGGREGATE_COUNT)
        node->type.kind = TYPE_BIGINT;
    else if (aggregate == AGGREGATE_MIN || aggregate == AGGREGATE_MAX)
        node->type = node->args[0]->type;
    else
        TRY(sum_type(binder, expr, node, err));
    *ret_node = node;
    if (aggregate == AGGREGATE_AVG && node->type.kind == TYPE_DECIMAL)
        return decimal_average(binder, ret_node, err);
    return ERR_OK;
}

enum err_code bind_call(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++) {
        if (name_equal(expr->name, span_text(functions[i].name)))
            return bind_aggregate(binder, expr, functions[i].aggregate, ret_node, err);
    }
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                       "there is no function %.*s (yet); there are COUNT, SUM, AVG, MIN, MAX",
                       expr->name.len < 60 ? (int)expr->name.len : 60,
                       (const char *)expr->name.data);
}
