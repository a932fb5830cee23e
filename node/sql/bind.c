#include "node/sql/bind.h"

#include "node/sql/evaluate.h"
#include "node/sql/lexer.h"

/* ---- errors and memory ---- */

enum err_code binder_fail(const struct binder *binder, enum err_code code, uint32_t at,
                          struct err *err, const char *format, ...)
{
    char what[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    struct position position = position_find(binder->binding->rules.text, at);
    return err_set(err, code, "line %u, column %u: %s", position.line, position.column, what);
}

enum err_code memory_fail(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the statement needs too much memory");
}

enum err_code node_new(struct binder *binder, enum node_kind kind, uint32_t at, size_t arg_count,
                       struct node **ret_node, struct err *err)
{
    struct node *node =
        arena_alloc(binder->arena, 1, sizeof(*node) + arg_count * sizeof(struct node *));
    if (node == NULL)
        return memory_fail(err);
    node->kind = kind;
    node->at = at;
    node->arg_count = arg_count;
    *ret_node = node;
    return ERR_OK;
}

enum err_code binder_array(struct binder *binder, const struct bytes *items, size_t item_bytes,
                           void *ret_items, size_t *ret_count, struct err *err)
{
    void *array = arena_alloc(binder->arena, 1, items->len + 1);
    if (array == NULL)
        return memory_fail(err);
    if (items->len > 0)
        memcpy(array, items->data, items->len);
    memcpy(ret_items, &array, sizeof(array));
    *ret_count = items->len / item_bytes;
    return ERR_OK;
}

bool node_is_subquery(const struct node *node)
{
    return node->kind == NODE_QUERY || node->kind == NODE_EXISTS || node->kind == NODE_IN_QUERY;
}

bool node_is_slot(const struct node *node)
{
    return node->kind == NODE_COLUMN || node->kind == NODE_AGGREGATE || node_is_subquery(node) ||
           node->apart;
}

static bool has_subquery(const struct node *node)
{
    bool has = node_is_subquery(node);
    for (size_t i = 0; !has && i < node->arg_count && node->kind != NODE_AGGREGATE; i++)
        has = has_subquery(node->args[i]);
    return has;
}

static unsigned apart_levels(const struct node *node)
{
    unsigned levels = 0;
    for (size_t i = 0; i < node->arg_count && node->kind != NODE_AGGREGATE; i++) {
        unsigned below = apart_levels(node->args[i]);
        levels = below > levels ? below : levels;
    }
    return levels + (node->apart ? 1 : 0);
}

void node_apart_mark(struct node *node, unsigned levels_max)
{
    bool takes = node->kind == NODE_CASE || node->arg_count <= APART_COALESCE_MAX;
    node->apart = takes && has_subquery(node) && apart_levels(node) < levels_max;
}

bool node_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->op != b->op || a->aggregate != b->aggregate ||
        a->negated != b->negated || a->distinct != b->distinct || a->column != b->column ||
        a->relation != b->relation || a->query != b->query || a->arg_count != b->arg_count ||
        !type_equal(a->type, b->type) || a->simple != b->simple || a->has_else != b->has_else ||
        a->lenient != b->lenient || a->descending != b->descending || a->ordered != b->ordered ||
        a->function != b->function)
        return false;
    bool separator = a->kind == NODE_AGGREGATE && a->aggregate == AGGREGATE_WM_CONCAT;
    if ((a->kind == NODE_LITERAL || separator) &&
        (a->value.null != b->value.null || value_compare(a->type, a->value, b->value) != 0))
        return false;
    for (size_t i = 0; i < a->arg_count; i++) {
        if (!node_equal(a->args[i], b->args[i]))
            return false;
    }
    return true;
}

/* ---- operators ---- */

static bool takes_boolean(const struct node *node)
{
    return node->untyped || node->type.kind == TYPE_BOOLEAN;
}

enum err_code boolean_check(const struct binder *binder, const struct node *node, const char *where,
                            struct err *err)
{
    char text[TYPE_TEXT_BYTES];
    if (takes_boolean(node))
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, node->at, err, "%s needs a BOOLEAN, found %s", where,
                       type_format(node->type, text));
}

static enum err_code bind_logic(struct binder *binder, struct node *node, struct err *err)
{
    static const char *const names[] = {[NODE_AND] = "AND", [NODE_OR] = "OR", [NODE_NOT] = "NOT"};
    node->type.kind = TYPE_BOOLEAN;
    for (size_t i = 0; i < node->arg_count; i++) {
        TRY(boolean_check(binder, node->args[i], names[node->kind], err));
        TRY(node_cast(binder, &node->args[i], node->type, err));
    }
    return ERR_OK;
}

static enum err_code bind_negate(struct binder *binder, struct node *node, struct err *err)
{
    struct type type = node->args[0]->type;
    if (type.kind == TYPE_STRING)
        type.kind = node->args[0]->untyped ? TYPE_BIGINT : TYPE_DOUBLE;
    if (type.kind == TYPE_INT)
        type.kind = TYPE_BIGINT;
    if (!type_is_number(type)) {
        char text[TYPE_TEXT_BYTES];
        return binder_fail(binder, ERR_SEMANTIC, node->at, err, "- needs a number, found %s",
                           type_format(type, text));
    }
    node->type = type;
    return node_cast(binder, &node->args[0], type, err);
}

static enum err_code bind_texts(struct binder *binder, struct node *node, struct err *err)
{
    struct type text = {.kind = TYPE_STRING};
    for (size_t i = 0; i < node->arg_count; i++)
        TRY(node_cast(binder, &node->args[i], text, err));
    node->type.kind = node->kind == NODE_CONCAT ? TYPE_STRING : TYPE_BOOLEAN;
    return ERR_OK;
}

static enum err_code bind_comparison(struct binder *binder, struct node *node, struct err *err)
{
    node->type.kind = TYPE_BOOLEAN;
    return nodes_unify(binder, node->args, node->arg_count, err);
}

static enum err_code bind_cast(struct binder *binder, const struct expr *expr, struct node *node,
                               struct err *err)
{
    struct type from = node->args[0]->type;
    node->type = expr->type;
    node->lenient = binder->binding->rules.mode == SELECT_MODE_LENIENT;
    if (node->args[0]->kind == NODE_AGGREGATE && expr->type.kind == TYPE_STRING)
        return node_cast(binder, &node->args[0], expr->type, err); /* a sum of texts: all digits */
    if (node->args[0]->untyped || cast_exists(from, expr->type))
        return ERR_OK;
    char a[TYPE_TEXT_BYTES], b[TYPE_TEXT_BYTES];
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%s cannot be cast to %s",
                       type_format(from, a), type_format(expr->type, b));
}

static enum err_code bind_binary(struct binder *binder, const struct expr *expr, struct node *node,
                                 struct err *err)
{
    node->op = expr->op;
    if (expr->op == OP_CONCAT) {
        node->kind = NODE_CONCAT;
        return bind_texts(binder, node, err);
    }
    if (expr->op < OP_CONCAT) {
        node->kind = NODE_ARITHMETIC;
        return arithmetic_type(binder, node, err);
    }
    node->kind = NODE_COMPARE;
    return bind_comparison(binder, node, err);
}

/* The arguments are bound: what the operator makes of them. */
static enum err_code bind_operator(struct binder *binder, const struct expr *expr,
                                   struct node *node, struct err *err)
{
    switch (expr->kind) {
    case EXPR_AND:
        node->kind = NODE_AND;
        return bind_logic(binder, node, err);
    case EXPR_OR:
        node->kind = NODE_OR;
        return bind_logic(binder, node, err);
    case EXPR_NOT:
        node->kind = NODE_NOT;
        return bind_logic(binder, node, err);
    case EXPR_NEGATE:
        node->kind = NODE_NEGATE;
        return bind_negate(binder, node, err);
    case EXPR_BINARY:
        return bind_binary(binder, expr, node, err);
    case EXPR_IS_NULL:
        node->kind = NODE_IS_NULL;
        node->type.kind = TYPE_BOOLEAN;
        return ERR_OK;
    case EXPR_BETWEEN:
        node->kind = NODE_BETWEEN;
        return bind_comparison(binder, node, err);
    case EXPR_IN:
        node->kind = NODE_IN;
        return bind_comparison(binder, node, err);
    case EXPR_LIKE:
        node->kind = NODE_LIKE;
        return bind_texts(binder, node, err);
    case EXPR_CAST:
        node->kind = NODE_CAST;
        return bind_cast(binder, expr, node, err);
    case EXPR_DISTINCT:
        node->kind = NODE_DISTINCT;
        return bind_comparison(binder, node, err);
    case EXPR_RLIKE:
        return bind_rlike(binder, node, err);
    case EXPR_CASE:
    case EXPR_LITERAL:
    case EXPR_COLUMN:
    case EXPR_STAR:
    case EXPR_CALL:
    case EXPR_QUERY:
    case EXPR_EXISTS:
    case EXPR_IN_QUERY:
        break;
    }
    ASSERT(false);
    return ERR_INTERNAL;
}

enum err_code bind_expr(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err)
{
    struct node *node = NULL;
    if (expr->kind == EXPR_LITERAL)
        return literal_bind(binder, &expr->literal, ret_node, err);
    if (expr->kind == EXPR_COLUMN)
        return bind_column(binder, expr, ret_node, err);
    if (expr->kind == EXPR_CALL)
        return bind_call(binder, expr, ret_node, err);
    if (expr->kind == EXPR_CASE)
        return bind_case(binder, expr, ret_node, err);
    if (expr->kind == EXPR_QUERY || expr->kind == EXPR_EXISTS || expr->kind == EXPR_IN_QUERY)
        return bind_subquery(binder, expr, ret_node, err);
    if (expr->kind == EXPR_STAR)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "* stands only in COUNT(*)");
    TRY(node_new(binder, NODE_NOT, expr->at, expr->arg_count, &node, err));
    for (size_t i = 0; i < expr->arg_count; i++)
        TRY(bind_expr(binder, expr->args[i], &node->args[i], err));
    node->negated = expr->negated;
    TRY(bind_operator(binder, expr, node, err));
    *ret_node = node;
    return node_fold(binder, ret_node, err);
}
