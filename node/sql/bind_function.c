/* CASE and calls of what is no aggregate: arguments counted, converted, and the call typed. */
#include "node/sql/bind.h"

#include "node/sql/function.h"
#include "node/sql/lexer.h"

/* ---- CASE ---- */

/* The arguments behind the first condition may never be computed. */
static enum err_code bind_lazy(struct binder *binder, const struct expr *expr, struct node **args,
                               size_t eager, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < expr->arg_count && code == ERR_OK; i++) {
        binder->lazy += i >= eager ? 1 : 0;
        code = bind_expr(binder, expr->args[i], &args[i], err);
        binder->lazy -= i >= eager ? 1 : 0;
    }
    return code;
}

/* Conditions of a searched CASE are BOOLEAN, those of a simple one go with the operand. */
static enum err_code case_conditions(struct binder *binder, struct node *node, const char *what,
                                     struct err *err)
{
    size_t first = node->simple ? 1 : 0;
    size_t count = (node->arg_count - first - (node->has_else ? 1 : 0)) / 2;
    struct node **all = arena_alloc(binder->arena, count + 1, sizeof(struct node *));
    if (all == NULL)
        return memory_fail(err);
    all[0] = node->args[0];
    for (size_t i = 0; i < count; i++)
        all[first + i] = node->args[first + 2 * i];
    for (size_t i = 0; i < count && !node->simple; i++) {
        TRY(boolean_check(binder, all[i], what, err));
        TRY(node_cast(binder, &all[i], (struct type){.kind = TYPE_BOOLEAN}, err));
    }
    if (node->simple)
        TRY(nodes_unify(binder, all, count + 1, err));
    node->args[0] = all[0];
    for (size_t i = 0; i < count; i++)
        node->args[first + 2 * i] = all[first + i];
    return ERR_OK;
}

static enum err_code case_results(struct binder *binder, struct node *node, const char *what,
                                  struct err *err)
{
    size_t first = node->simple ? 1 : 0;
    size_t count = 0;
    struct node **results = arena_alloc(binder->arena, node->arg_count, sizeof(struct node *));
    if (results == NULL)
        return memory_fail(err);
    for (size_t i = first + 1; i < node->arg_count; i += 2)
        results[count++] = node->args[i];
    if (node->has_else)
        results[count++] = node->args[node->arg_count - 1];
    TRY(nodes_merge(binder, what, results, count, &node->type, err));
    for (size_t i = 0; i < count; i++) {
        bool otherwise = node->has_else && i == count - 1;
        node->args[otherwise ? node->arg_count - 1 : first + 1 + 2 * i] = results[i];
    }
    return ERR_OK;
}

static enum err_code case_type(struct binder *binder, struct node *node, const char *what,
                               struct err *err)
{
    TRY(case_conditions(binder, node, what, err));
    return case_results(binder, node, what, err);
}

/* CASE, or IF(condition, result, else). */
static enum err_code case_build(struct binder *binder, const struct expr *expr, const char *what,
                                struct node **ret_node, struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_CASE, expr->at, expr->arg_count, &node, err));
    bool call = expr->kind == EXPR_CALL;
    node->simple = expr->simple;
    node->has_else = call || expr->has_else;
    TRY(bind_lazy(binder, expr, node->args, node->simple ? 2 : 1, err));
    binder->lazy++;
    enum err_code code = case_type(binder, node, what, err);
    binder->lazy--;
    TRY(code);
    node_apart_mark(node, binder->outer == NULL ? APART_LEVELS_MAX : APART_INNER_LEVELS_MAX);
    *ret_node = node;
    return node_fold(binder, ret_node, err);
}

enum err_code bind_case(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err)
{
    return case_build(binder, expr, "CASE", ret_node, err);
}

/* ---- forms: calls that are no function of values ---- */

static enum err_code bind_if(struct binder *binder, const struct expr *expr, struct node **ret_node,
                             struct err *err)
{
    return case_build(binder, expr, "IF", ret_node, err);
}

static enum err_code bind_coalesce(struct binder *binder, const struct expr *expr,
                                   struct node **ret_node, struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_COALESCE, expr->at, expr->arg_count, &node, err));
    TRY(bind_lazy(binder, expr, node->args, 1, err));
    binder->lazy++;
    enum err_code code =
        nodes_merge(binder, "COALESCE", node->args, node->arg_count, &node->type, err);
    binder->lazy--;
    TRY(code);
    node_apart_mark(node, binder->outer == NULL ? APART_LEVELS_MAX : APART_INNER_LEVELS_MAX);
    *ret_node = node;
    return node_fold(binder, ret_node, err);
}

static enum err_code bind_modulo(struct binder *binder, const struct expr *expr,
                                 struct node **ret_node, struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_ARITHMETIC, expr->at, 2, &node, err));
    node->op = OP_MODULO;
    for (size_t i = 0; i < 2; i++)
        TRY(bind_expr(binder, expr->args[i], &node->args[i], err));
    TRY(arithmetic_type(binder, node, err));
    *ret_node = node;
    return node_fold(binder, ret_node, err);
}

#define DAY_MS INT64_C(86400000)

/* One instant for the whole statement, and so a literal. */
static enum err_code instant_node(struct binder *binder, const struct expr *expr,
                                  enum type_kind kind, int64_t number, struct node **ret_node,
                                  struct err *err)
{
    TRY(node_new(binder, NODE_LITERAL, expr->at, 0, ret_node, err));
    (*ret_node)->type.kind = kind;
    (*ret_node)->value.i64 = number;
    return ERR_OK;
}

static enum err_code bind_now(struct binder *binder, const struct expr *expr,
                              struct node **ret_node, struct err *err)
{
    return instant_node(binder, expr, TYPE_DATETIME, binder->binding->rules.now_ms, ret_node, err);
}

static enum err_code bind_today(struct binder *binder, const struct expr *expr,
                                struct node **ret_node, struct err *err)
{
    return instant_node(binder, expr, TYPE_DATE, binder->binding->rules.now_ms / DAY_MS, ret_node,
                        err);
}

static enum err_code bind_now_seconds(struct binder *binder, const struct expr *expr,
                                      struct node **ret_node, struct err *err)
{
    return instant_node(binder, expr, TYPE_BIGINT, binder->binding->rules.now_ms / 1000, ret_node,
                        err);
}

static const struct form_row {
    const char *name;
    size_t args_min;
    size_t args_max;
    enum err_code (*bind)(struct binder *binder, const struct expr *expr, struct node **ret_node,
                          struct err *err);
} forms[] = {
    {"IF", 3, 3, bind_if},
    {"COALESCE", 1, SIZE_MAX, bind_coalesce},
    {"NVL", 2, 2, bind_coalesce},
    {"IFNULL", 2, 2, bind_coalesce},
    {"MOD", 2, 2, bind_modulo},
    {"GETDATE", 0, 0, bind_now},
    {"NOW", 0, 0, bind_now},
    {"CURRENT_TIMESTAMP", 0, 0, bind_now},
    {"CURRENT_DATE", 0, 0, bind_today},
    {"UNIX_TIMESTAMP", 0, 0, bind_now_seconds},
};

/* ---- functions ---- */

static enum err_code argument_refused(struct binder *binder, const struct node *node, size_t i,
                                      const char *wanted, struct err *err)
{
    char text[TYPE_TEXT_BYTES];
    return binder_fail(binder, ERR_SEMANTIC, node->args[i]->at, err,
                       "%s: argument %zu needs %s, found %s", node->function->name, i + 1, wanted,
                       type_format(node->args[i]->type, text));
}

/* *node becomes what the letter stands for. */
static enum err_code argument_type(struct binder *binder, struct node *node, size_t i,
                                   struct err *err)
{
    struct node **arg = &node->args[i];
    struct type type = (*arg)->type;
    bool text = type.kind == TYPE_STRING;
    switch (function_arg_letter(node->function->args, i)) {
    case 't':
        if (type.kind == TYPE_BOOLEAN)
            return argument_refused(binder, node, i, "a text", err);
        return node_cast(binder, arg, (struct type){.kind = TYPE_STRING}, err);
    case 'i':
        if (!type_is_integer(type) && !text)
            return argument_refused(binder, node, i, "a whole number", err);
        return node_cast(binder, arg, (struct type){.kind = TYPE_BIGINT}, err);
    case 'd':
        if (!type_is_number(type) && !text)
            return argument_refused(binder, node, i, "a number", err);
        return node_cast(binder, arg, (struct type){.kind = TYPE_DOUBLE}, err);
    case 'n':
        if (!type_is_number(type) && !text)
            return argument_refused(binder, node, i, "a number", err);
        return text ? node_cast(binder, arg, (struct type){.kind = TYPE_DOUBLE}, err) : ERR_OK;
    case 'y':
        if (type.kind != TYPE_DATE && type.kind != TYPE_DATETIME && !text)
            return argument_refused(binder, node, i, "a DATE or DATETIME", err);
        return text ? node_cast(binder, arg, (struct type){.kind = TYPE_DATETIME}, err) : ERR_OK;
    case 'k':
        if ((*arg)->kind != NODE_LITERAL || !text)
            return argument_refused(binder, node, i, "a constant text", err);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err_code arguments_type(struct binder *binder, struct node *node, struct err *err)
{
    if (function_unifies(node->function))
        TRY(nodes_unify(binder, node->args, node->arg_count, err));
    for (size_t i = 0; i < node->arg_count; i++)
        TRY(argument_type(binder, node, i, err));
    struct err inner = {0};
    if (node->function->check != NULL && node->function->check(node, &inner) != ERR_OK)
        return binder_fail(binder, inner.code, node->at, err, "%s", inner.message);
    node->type.kind = node->function->result;
    if (node->function->type_of != NULL)
        node->type = node->function->type_of(node);
    return ERR_OK;
}

enum err_code bind_rlike(struct binder *binder, struct node *node, struct err *err)
{
    node->kind = NODE_FUNCTION;
    node->function = function_find(span_text(node->negated ? "NOT RLIKE" : "RLIKE"), 2);
    node->negated = false;
    return arguments_type(binder, node, err);
}

static enum err_code count_refused(struct binder *binder, const struct expr *expr, size_t min,
                                   size_t max, struct err *err)
{
    char wanted[64];
    if (max == SIZE_MAX)
        snprintf(wanted, sizeof(wanted), "%zu or more arguments", min);
    else if (min == max)
        snprintf(wanted, sizeof(wanted), "%zu argument%s", min, min == 1 ? "" : "s");
    else
        snprintf(wanted, sizeof(wanted), "%zu to %zu arguments", min, max);
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s takes %s, found %zu",
                       SPAN_PRINTF(expr->name), wanted, expr->arg_count);
}

static void nearest_look(const char *name, struct span wanted, const char **best, size_t *distance)
{
    size_t found = name_distance(span_text(name), wanted);
    if (found < *distance && found < wanted.len) {
        *best = name;
        *distance = found;
    }
}

static enum err_code function_unknown(struct binder *binder, const struct expr *expr,
                                      struct err *err)
{
    const char *best = NULL;
    size_t distance = SUGGESTION_DISTANCE_MAX + 1;
    for (size_t i = 0; function_at(i) != NULL; i++)
        nearest_look(function_at(i)->name, expr->name, &best, &distance);
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        nearest_look(forms[i].name, expr->name, &best, &distance);
    for (size_t i = 0; aggregate_name(i) != NULL; i++)
        nearest_look(aggregate_name(i), expr->name, &best, &distance);
    int shown = expr->name.len < 60 ? (int)expr->name.len : 60;
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "there is no function %.*s%s%s%s",
                       shown, (const char *)expr->name.data, best == NULL ? "" : ", did you mean ",
                       best == NULL ? "" : best, best == NULL ? "" : "?");
}

static enum err_code function_build(struct binder *binder, const struct expr *expr,
                                    const struct function *function, struct node **ret_node,
                                    struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_FUNCTION, expr->at, expr->arg_count, &node, err));
    node->function = function;
    node->lenient = binder->binding->rules.mode == SELECT_MODE_LENIENT;
    for (size_t i = 0; i < expr->arg_count; i++)
        TRY(bind_expr(binder, expr->args[i], &node->args[i], err));
    TRY(arguments_type(binder, node, err));
    *ret_node = node;
    return node_fold(binder, ret_node, err);
}

enum err_code bind_function(struct binder *binder, const struct expr *expr, struct node **ret_node,
                            struct err *err)
{
    const struct form_row *known = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (!name_equal(expr->name, span_text(forms[i].name)))
            continue;
        known = &forms[i];
        if (expr->arg_count >= known->args_min && expr->arg_count <= known->args_max &&
            !expr->distinct && expr->within_count == 0)
            return known->bind(binder, expr, ret_node, err);
    }
    const struct function *function = function_find(expr->name, FUNCTION_ARGS_ANY);
    if (function == NULL && known == NULL)
        return function_unknown(binder, expr, err);
    if (expr->distinct || expr->within_count > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%.*s is no aggregate: DISTINCT and WITHIN GROUP do not go with it",
                           SPAN_PRINTF(expr->name));
    if (function_find(expr->name, expr->arg_count) != NULL)
        return function_build(binder, expr, function_find(expr->name, expr->arg_count), ret_node,
                              err);
    size_t min = 0, max = 0;
    if (function != NULL)
        function_arg_count(function->args, &min, &max);
    else
        min = known->args_min, max = known->args_max;
    return count_refused(binder, expr, min, max, err);
}
