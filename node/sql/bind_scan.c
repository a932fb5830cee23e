/* What the source is told: the columns that are used and the conjuncts that prune. */
#include "node/sql/bind.h"

/* ---- columns ---- */

static void columns_mark(const struct node *node, bool *used)
{
    if (node == NULL)
        return;
    if (node->kind == NODE_COLUMN)
        used[node->column] = true;
    for (size_t i = 0; i < node->arg_count; i++)
        columns_mark(node->args[i], used);
}

enum err_code columns_collect(struct binder *binder, struct query *query, struct err *err)
{
    size_t width = schema_width(query->schema);
    bool *used = arena_alloc(binder->arena, width + 1, sizeof(bool));
    query->columns = arena_alloc(binder->arena, width + 1, sizeof(size_t));
    if (used == NULL || query->columns == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < query->item_count; i++)
        columns_mark(query->items[i].node, used);
    columns_mark(query->where, used);
    for (size_t i = 0; i < query->group_by_count; i++)
        columns_mark(query->group_by[i], used);
    columns_mark(query->having, used);
    for (size_t i = 0; i < query->order_by_count; i++)
        columns_mark(query->order_by[i].node, used);
    for (size_t i = 0; i < width; i++) {
        if (used[i])
            query->columns[query->column_count++] = i;
    }
    return ERR_OK;
}

/* ---- ranges ---- */

static void range_add(struct bytes *ranges, const struct node *column, enum binary_op op,
                      const struct node *literal)
{
    if (column->kind != NODE_COLUMN || literal->kind != NODE_LITERAL || literal->value.null)
        return;
    struct select_range range = {.column = column->column, .op = op, .value = literal->value};
    bytes_append(ranges, &range, sizeof(range));
}

/* The operator with its sides exchanged. */
static enum binary_op op_mirrored(enum binary_op op)
{
    switch (op) {
    case OP_LESS:
        return OP_GREATER;
    case OP_LESS_EQUAL:
        return OP_GREATER_EQUAL;
    case OP_GREATER:
        return OP_LESS;
    case OP_GREATER_EQUAL:
        return OP_LESS_EQUAL;
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO:
    case OP_CONCAT:
        break;
    }
    return op;
}

/* column IN (literals): the least and the greatest. */
static void in_range_add(struct bytes *ranges, const struct node *in)
{
    const struct node *least = NULL, *greatest = NULL;
    for (size_t i = 1; i < in->arg_count; i++) {
        const struct node *item = in->args[i];
        if (item->kind != NODE_LITERAL)
            return;
        if (item->value.null)
            continue;
        if (least == NULL || value_compare(item->type, item->value, least->value) < 0)
            least = item;
        if (greatest == NULL || value_compare(item->type, item->value, greatest->value) > 0)
            greatest = item;
    }
    if (least == NULL)
        return;
    if (value_compare(least->type, least->value, greatest->value) == 0) {
        range_add(ranges, in->args[0], OP_EQUAL, least);
        return;
    }
    range_add(ranges, in->args[0], OP_GREATER_EQUAL, least);
    range_add(ranges, in->args[0], OP_LESS_EQUAL, greatest);
}

static void ranges_add(struct bytes *ranges, const struct node *node)
{
    if (node->kind == NODE_AND) {
        for (size_t i = 0; i < node->arg_count; i++)
            ranges_add(ranges, node->args[i]);
    } else if (node->kind == NODE_COMPARE && node->op != OP_NOT_EQUAL) {
        range_add(ranges, node->args[0], node->op, node->args[1]);
        range_add(ranges, node->args[1], op_mirrored(node->op), node->args[0]);
    } else if (node->kind == NODE_BETWEEN && !node->negated) {
        range_add(ranges, node->args[0], OP_GREATER_EQUAL, node->args[1]);
        range_add(ranges, node->args[0], OP_LESS_EQUAL, node->args[2]);
    } else if (node->kind == NODE_IN && !node->negated) {
        in_range_add(ranges, node);
    }
}

enum err_code ranges_collect(struct binder *binder, struct query *query, struct err *err)
{
    BYTES_CLEANUP struct bytes ranges = {0};
    if (query->where != NULL)
        ranges_add(&ranges, query->where);
    query->ranges = arena_alloc(binder->arena, 1, ranges.len);
    if (query->ranges == NULL)
        return memory_fail(err);
    if (ranges.len > 0)
        memcpy(query->ranges, ranges.data, ranges.len);
    query->range_count = ranges.len / sizeof(struct select_range);
    return ERR_OK;
}
