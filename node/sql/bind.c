#include "node/sql/bind.h"

#include "node/sql/evaluate.h"
#include "node/sql/lexer.h"
#include "proto/limits.h"

#define SUGGESTION_DISTANCE_MAX 2

/* ---- errors and memory ---- */

enum err_code binder_fail(const struct binder *binder, enum err_code code, uint32_t at,
                          struct err *err, const char *format, ...)
{
    char what[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    struct position position = position_find(binder->text, at);
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

bool node_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->op != b->op || a->aggregate != b->aggregate ||
        a->negated != b->negated || a->distinct != b->distinct || a->column != b->column ||
        a->arg_count != b->arg_count || !type_equal(a->type, b->type))
        return false;
    if (a->kind == NODE_LITERAL &&
        (a->value.null != b->value.null || value_compare(a->type, a->value, b->value) != 0))
        return false;
    for (size_t i = 0; i < a->arg_count; i++) {
        if (!node_equal(a->args[i], b->args[i]))
            return false;
    }
    return true;
}

/* ---- columns ---- */

const struct column *query_column(const struct schema *schema, size_t column)
{
    if (column < schema->column_count)
        return &schema->columns[column];
    column -= schema->column_count;
    ASSERT(column < schema->partition_column_count);
    return &schema->partition_columns[column];
}

size_t schema_width(const struct schema *schema)
{
    return schema == NULL ? 0 : schema->column_count + schema->partition_column_count;
}

/* Edits from one name to the other, letters' case aside; above the maximum it does not matter. */
static size_t name_distance(struct span a, struct span b)
{
    size_t row[LIMIT_NAME_BYTES + 1];
    if (a.len > LIMIT_NAME_BYTES || b.len > LIMIT_NAME_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = (a.data[i - 1] | 32) == (b.data[j - 1] | 32);
            size_t replace = diagonal + (same ? 0 : 1);
            diagonal = row[j];
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            row[j] = replace < shorter + 1 ? replace : shorter + 1;
        }
    }
    return row[b.len];
}

static enum err_code column_unknown(const struct binder *binder, const struct expr *expr,
                                    struct err *err)
{
    struct span best = {0};
    size_t best_distance = SUGGESTION_DISTANCE_MAX + 1;
    BYTES_CLEANUP struct bytes names = {0};
    if (binder->schema == NULL)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "there is no column %.*s: the statement has no FROM",
                           SPAN_PRINTF(expr->name));
    for (size_t i = 0; i < schema_width(binder->schema); i++) {
        struct span name = query_column(binder->schema, i)->name;
        size_t distance = name_distance(name, expr->name);
        if (distance < best_distance && distance < expr->name.len) {
            best = name;
            best_distance = distance;
        }
        bytes_printf(&names, "%s%.*s", i > 0 ? ", " : "", SPAN_PRINTF(name));
    }
    if (best.len > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "table %.*s has no column %.*s, did you mean %.*s?",
                           SPAN_PRINTF(binder->select->from.object), SPAN_PRINTF(expr->name),
                           SPAN_PRINTF(best));
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                       "table %.*s has no column %.*s; it has %.*s",
                       SPAN_PRINTF(binder->select->from.object), SPAN_PRINTF(expr->name),
                       SPAN_PRINTF(bytes_span(&names)));
}

static bool column_find(const struct schema *schema, struct span name, size_t *ret_column)
{
    for (size_t i = 0; i < schema_width(schema); i++) {
        if (name_equal(query_column(schema, i)->name, name)) {
            *ret_column = i;
            return true;
        }
    }
    return false;
}

enum err_code qualifier_check(const struct binder *binder, struct span qualifier, uint32_t at,
                              struct err *err)
{
    const struct select *select = binder->select;
    struct span known = select->from_alias.len > 0 ? select->from_alias : select->from.object;
    if (qualifier.len == 0 || (select->has_from && name_equal(qualifier, known)))
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, at, err, "there is no table or alias %.*s",
                       SPAN_PRINTF(qualifier));
}

enum err_code column_node(struct binder *binder, size_t column, uint32_t at, struct node **ret_node,
                          struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_COLUMN, at, 0, &node, err));
    node->column = column;
    node->type = query_column(binder->schema, column)->type;
    *ret_node = node;
    return ERR_OK;
}

/* The expression that a result column's name stands for, or NULL. */
static const struct expr *alias_find(const struct binder *binder, struct span name)
{
    for (size_t i = 0; i < binder->select->item_count; i++) {
        const struct select_item *item = &binder->select->items[i];
        if (item->alias.len > 0 && name_equal(item->alias, name))
            return item->expr;
    }
    return NULL;
}

static enum err_code bind_column(struct binder *binder, const struct expr *expr,
                                 struct node **ret_node, struct err *err)
{
    size_t column;
    TRY(qualifier_check(binder, expr->qualifier, expr->at, err));
    if (column_find(binder->schema, expr->name, &column))
        return column_node(binder, column, expr->at, ret_node, err);
    const struct expr *meant = NULL;
    if (binder->aliases && expr->qualifier.len == 0 && !binder->in_aggregate)
        meant = alias_find(binder, expr->name);
    if (meant == NULL)
        return column_unknown(binder, expr, err);
    binder->aliases = false; /* a name in a result column is never another result column */
    enum err_code code = bind_expr(binder, meant, ret_node, err);
    binder->aliases = true;
    return code;
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
    node->type.kind = node->kind == NODE_LIKE ? TYPE_BOOLEAN : TYPE_STRING;
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
    case EXPR_LITERAL:
    case EXPR_COLUMN:
    case EXPR_STAR:
    case EXPR_CALL:
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
