/* Queries in expressions: a value, IN, EXISTS; and the fitting of a query's columns to types. */
#include "node/sql/bind.h"
#include "node/sql/lexer.h"

/* Whether a column can be cast where it stands: nothing in the query looks at its value again. */
static bool columns_are_open(const struct query *query)
{
    return query->branch_count == 0 && !query->distinct && !query->has_limit &&
           query->order_by_count == 0;
}

enum err_code query_column_node(struct binder *binder, struct query *query, size_t item,
                                struct node **ret_node, struct err *err)
{
    struct node *node = query->items[item].node;
    if (!columns_are_open(query)) {
        struct node *placeholder = NULL;
        TRY(node_new(binder, NODE_COLUMN, node->at, 0, &placeholder, err));
        placeholder->type = node->type;
        placeholder->untyped = node->untyped;
        node = placeholder;
    }
    *ret_node = node;
    return ERR_OK;
}

/* SELECT CAST(c0 AS ...), c1, ... FROM (query) */
static enum err_code query_enclose(struct binder *binder, struct query **query,
                                   struct node *const *nodes, struct err *err)
{
    struct query *inner = *query;
    struct binder around = {.binding = binder->binding, .arena = binder->arena};
    TRY(query_new(&around, err));
    TRY(query_read(&around, inner, inner->items[0].node->at, err));
    struct query *outer = around.query;
    struct relation *relation = NULL;
    TRY(relation_new(&around, inner->item_count, &relation, err));
    relation->query = inner;
    outer->from = arena_alloc(binder->arena, 1, sizeof(*outer->from));
    outer->relations = arena_alloc(binder->arena, 1, sizeof(struct relation *));
    outer->items = arena_alloc(binder->arena, inner->item_count, sizeof(*outer->items));
    if (outer->from == NULL || outer->relations == NULL || outer->items == NULL)
        return memory_fail(err);
    outer->from->relation = relation;
    outer->relations[outer->relation_count++] = relation;
    for (size_t i = 0; i < inner->item_count; i++) {
        struct query_item *item = &outer->items[outer->item_count++];
        item->name = inner->items[i].name;
        TRY(column_node(binder, relation, i, inner->items[i].node->at, &item->node, err));
        TRY(node_cast(binder, &item->node, nodes[i]->type, err));
    }
    outer->outer = inner->outer;
    outer->outer_count = inner->outer_count;
    query_complete(binder, outer);
    *query = outer;
    return ERR_OK;
}

enum err_code query_cast(struct binder *binder, struct query **query, struct node *const *nodes,
                         struct err *err)
{
    bool changed = false;
    bool open = columns_are_open(*query);
    for (size_t i = 0; i < (*query)->item_count; i++) {
        if (open)
            (*query)->items[i].node = nodes[i];
        changed = changed || nodes[i]->kind == NODE_CAST;
    }
    return open || !changed ? ERR_OK : query_enclose(binder, query, nodes, err);
}

static enum err_code one_column_check(const struct binder *binder, const struct expr *expr,
                                      const struct query *query, struct err *err)
{
    if (query->item_count == 1)
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, expr->query->at, err,
                       "a subquery that stands for a value has one column, this one has %zu",
                       query->item_count);
}

static enum err_code bind_in_query(struct binder *binder, const struct expr *expr,
                                   struct node *node, struct err *err)
{
    struct node *sides[2] = {NULL, NULL};
    TRY(bind_expr(binder, expr->args[0], &sides[0], err));
    TRY(bind_query(binder->binding, binder, binder->with, expr->query, &node->query, err));
    TRY(one_column_check(binder, expr, node->query, err));
    TRY(query_column_node(binder, node->query, 0, &sides[1], err));
    TRY(nodes_unify(binder, sides, 2, err));
    TRY(query_cast(binder, &node->query, &sides[1], err));
    node->args[0] = sides[0];
    node->negated = expr->negated;
    node->type.kind = TYPE_BOOLEAN;
    return ERR_OK;
}

/* The run no longer has the statement. */
static enum err_code where_note(struct binder *binder, struct node *node, struct err *err)
{
    char text[48];
    struct position position = position_find(binder->binding->rules.text, node->at);
    int len = snprintf(text, sizeof(text), "line %u, column %u", position.line, position.column);
    uint8_t *copy = arena_alloc(binder->arena, (size_t)len, 1);
    if (copy == NULL)
        return memory_fail(err);
    memcpy(copy, text, (size_t)len);
    node->where = span_of(copy, (size_t)len);
    return ERR_OK;
}

enum err_code bind_subquery(struct binder *binder, const struct expr *expr, struct node **ret_node,
                            struct err *err)
{
    struct node *node = NULL;
    bool in = expr->kind == EXPR_IN_QUERY;
    TRY(node_new(binder, NODE_EXISTS, expr->at, in ? 1 : 0, &node, err));
    if (in) {
        node->kind = NODE_IN_QUERY;
        TRY(bind_in_query(binder, expr, node, err));
    } else {
        TRY(bind_query(binder->binding, binder, binder->with, expr->query, &node->query, err));
        node->type.kind = TYPE_BOOLEAN;
    }
    if (expr->kind == EXPR_QUERY) {
        TRY(one_column_check(binder, expr, node->query, err));
        node->kind = NODE_QUERY;
        node->type = node->query->items[0].node->type;
        TRY(where_note(binder, node, err));
    }
    *ret_node = node;
    return query_read(binder, node->query, expr->query->at, err);
}
