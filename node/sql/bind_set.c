/* UNION, INTERSECT, EXCEPT: as many columns in each query, of types that go together. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"

static enum err_code branch_bind(struct binder *binder, const struct select *select,
                                 struct query *query, struct err *err)
{
    struct query *branch = NULL;
    TRY(bind_query(binder->binding, binder->outer, binder->with, select, &branch, err));
    outer_adopt(binder, branch);
    query->branches[query->branch_count++] = branch;
    if (branch->item_count != query->branches[0]->item_count)
        return binder_fail(binder, ERR_SEMANTIC, select->at, err,
                           "query %zu of a set operation has %zu columns, the first has %zu",
                           query->branch_count, branch->item_count, query->branches[0]->item_count);
    return ERR_OK;
}

/* Column `item` of all branches, nodes[branch][item]. */
static enum err_code column_unify(struct binder *binder, struct query *query, size_t item,
                                  struct node **nodes, struct node **column, struct err *err)
{
    size_t width = query->item_count, misfit;
    struct type type;
    for (size_t i = 0; i < query->branch_count; i++)
        TRY(query_column_node(binder, query->branches[i], item, &column[i], err));
    if (!nodes_common_type(column, query->branch_count, &type, &misfit)) {
        char a[TYPE_TEXT_BYTES], b[TYPE_TEXT_BYTES];
        return binder_fail(binder, ERR_SEMANTIC, column[misfit]->at, err,
                           "column %zu, %.*s, is %s in query %zu of a set operation and %s before",
                           item + 1, SPAN_PRINTF(query->branches[0]->items[item].name),
                           type_format(column[misfit]->type, a), misfit + 1, type_format(type, b));
    }
    TRY(nodes_cast(binder, column, query->branch_count, type, err));
    for (size_t i = 0; i < query->branch_count; i++)
        nodes[i * width + item] = column[i];
    struct node *placeholder = NULL;
    TRY(node_new(binder, NODE_COLUMN, query->branches[0]->items[item].node->at, 0, &placeholder,
                 err));
    placeholder->type = type;
    query->items[item].node = placeholder;
    query->items[item].name = query->branches[0]->items[item].name;
    return ERR_OK;
}

static enum err_code columns_unify(struct binder *binder, struct query *query, struct err *err)
{
    size_t width = query->branches[0]->item_count;
    query->items = arena_alloc(binder->arena, width, sizeof(*query->items));
    struct node **nodes =
        arena_alloc(binder->arena, (width + 1) * query->branch_count, sizeof(struct node *));
    if (query->items == NULL || nodes == NULL)
        return memory_fail(err);
    query->item_count = width;
    struct node **column = nodes + width * query->branch_count;
    for (size_t i = 0; i < width; i++)
        TRY(column_unify(binder, query, i, nodes, column, err));
    for (size_t i = 0; i < query->branch_count; i++) {
        TRY(query_cast(binder, &query->branches[i], nodes + i * width, err));
        query->branches[i]->branch = true;
        TRY(query_read(binder, query->branches[i], binder->select->branches[i]->at, err));
    }
    return ERR_OK;
}

/* By number or name of a result column. */
static enum err_code bind_set_order(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->order_by =
        arena_alloc(binder->arena, select->order_by_count + 1, sizeof(*query->order_by));
    if (query->order_by == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < select->order_by_count; i++) {
        const struct expr *expr = select->order_by[i].expr;
        struct query_order *order = &query->order_by[query->order_by_count++];
        order->descending = select->order_by[i].descending;
        TRY(item_number(binder, query, expr, &order->item_number, err));
        bool bare = expr->kind == EXPR_COLUMN && expr->qualifier.len == 0;
        for (size_t k = query->item_count; bare && k > 0; k--) {
            if (name_equal(query->items[k - 1].name, expr->name))
                order->item_number = k;
        }
        if (order->item_number == 0)
            return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                               "ORDER BY of a set operation takes names and numbers of result "
                               "columns only");
    }
    return ERR_OK;
}

enum err_code bind_set(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->branches = arena_alloc(binder->arena, select->branch_count, sizeof(struct query *));
    query->ops = arena_alloc(binder->arena, select->branch_count, sizeof(enum set_op));
    if (query->branches == NULL || query->ops == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < select->branch_count; i++)
        TRY(branch_bind(binder, select->branches[i], query, err));
    if (select->branch_count > 1)
        memcpy(query->ops, select->ops, (select->branch_count - 1) * sizeof(enum set_op));
    TRY(columns_unify(binder, query, err));
    return bind_set_order(binder, query, err);
}
