/* Values of CASE, COALESCE and calls: what decides which of its arguments are computed at all. */
#include "node/sql/evaluate.h"

#include "node/sql/function.h"

#define ARGS_HELD 4 /* more go to the scratch arena */

static bool case_matches(const struct node *node, struct value operand, size_t i,
                         struct value condition)
{
    if (condition.null)
        return false;
    if (!node->simple)
        return condition.i64 != 0;
    return !operand.null && value_compare(node->args[i]->type, operand, condition) == 0;
}

enum err_code evaluate_case(const struct node *node, const struct evaluation *evaluation,
                            struct value *ret_value, struct err *err)
{
    struct value operand = {0};
    size_t first = node->simple ? 1 : 0;
    size_t end = node->arg_count - (node->has_else ? 1 : 0);
    if (node->simple)
        TRY(node_evaluate(node->args[0], evaluation, &operand, err));
    for (size_t i = first; i < end; i += 2) {
        struct value condition = {0};
        TRY(node_evaluate(node->args[i], evaluation, &condition, err));
        if (case_matches(node, operand, i, condition))
            return node_evaluate(node->args[i + 1], evaluation, ret_value, err);
    }
    if (node->has_else)
        return node_evaluate(node->args[end], evaluation, ret_value, err);
    *ret_value = (struct value){.null = true};
    return ERR_OK;
}

enum err_code evaluate_coalesce(const struct node *node, const struct evaluation *evaluation,
                                struct value *ret_value, struct err *err)
{
    struct value value = {.null = true};
    for (size_t i = 0; i < node->arg_count && value.null; i++)
        TRY(node_evaluate(node->args[i], evaluation, &value, err));
    *ret_value = value;
    return ERR_OK;
}

enum err_code evaluate_function(const struct node *node, const struct evaluation *evaluation,
                                struct value *ret_value, struct err *err)
{
    struct value held[ARGS_HELD] = {0};
    struct value *args = held;
    if (node->arg_count > ARGS_HELD) {
        args = arena_alloc(evaluation->scratch, node->arg_count, sizeof(*args));
        if (args == NULL)
            return err_set(err, ERR_LIMIT, "%s needs too much memory", node->function->name);
    }
    bool null = false;
    for (size_t i = 0; i < node->arg_count; i++) {
        TRY(node_evaluate(node->args[i], evaluation, &args[i], err));
        null = null || args[i].null;
    }
    if (null && !function_sees_nulls(node->function)) {
        *ret_value = (struct value){.null = true};
        return ERR_OK;
    }
    struct function_call call = {node, args, node->arg_count, evaluation->scratch,
                                 evaluation->patterns};
    return node->function->evaluate(&call, ret_value, err);
}
