/* The clauses of a SELECT, and what must hold between them. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"
#include "proto/limits.h"

/* ---- what is grouped ---- */

static bool node_has_aggregate(const struct node *node)
{
    bool has = node->kind == NODE_AGGREGATE;
    for (size_t i = 0; i < node->arg_count && !has; i++)
        has = node_has_aggregate(node->args[i]);
    return has;
}

/* Outside aggregates only what GROUP BY names. */
static enum err_code grouped_check(const struct binder *binder, const struct query *query,
                                   const struct node *node, struct err *err)
{
    for (size_t i = 0; i < query->group_by_count; i++) {
        if (node_equal(node, query->group_by[i]))
            return ERR_OK;
    }
    if (node->kind == NODE_AGGREGATE)
        return ERR_OK;
    if (node->kind == NODE_COLUMN)
        return binder_fail(binder, ERR_SEMANTIC, node->at, err,
                           "column %.*s must be in GROUP BY or inside an aggregate",
                           SPAN_PRINTF(query_column(query->schema, node->column)->name));
    for (size_t i = 0; i < node->arg_count; i++)
        TRY(grouped_check(binder, query, node->args[i], err));
    return ERR_OK;
}

static enum err_code all_grouped_check(const struct binder *binder, const struct query *query,
                                       struct err *err)
{
    if (!query->grouped && !binder->has_aggregates)
        return ERR_OK;
    for (size_t i = 0; i < query->item_count; i++)
        TRY(grouped_check(binder, query, query->items[i].node, err));
    if (query->having != NULL)
        TRY(grouped_check(binder, query, query->having, err));
    for (size_t i = 0; i < query->order_by_count; i++) {
        if (query->order_by[i].node != NULL)
            TRY(grouped_check(binder, query, query->order_by[i].node, err));
    }
    return ERR_OK;
}

/* ---- clauses ---- */

static enum err_code item_name(struct binder *binder, const struct select_item *item, size_t number,
                               const struct node *node, struct span *ret_name, struct err *err)
{
    char text[32];
    struct span name = item->alias;
    if (name.len == 0 && item->expr->kind == EXPR_COLUMN && node->kind == NODE_COLUMN)
        name = query_column(binder->schema, node->column)->name;
    if (name.len == 0) {
        snprintf(text, sizeof(text), "_c%zu", number);
        name = span_text(text);
    }
    *ret_name = arena_copy(binder->arena, name);
    return ret_name->data == NULL ? memory_fail(err) : ERR_OK;
}

/* Fills items from *count on; a star becomes all columns. */
static enum err_code bind_item(struct binder *binder, const struct select_item *item,
                               struct query *query, struct err *err)
{
    struct query_item *out = &query->items[query->item_count];
    if (item->expr != NULL) {
        TRY(bind_expr(binder, item->expr, &out->node, err));
        TRY(item_name(binder, item, query->item_count, out->node, &out->name, err));
        query->item_count++;
        return ERR_OK;
    }
    TRY(qualifier_check(binder, item->qualifier, item->at, err));
    if (binder->schema == NULL)
        return binder_fail(binder, ERR_SEMANTIC, item->at, err, "* needs a FROM");
    for (size_t i = 0; i < schema_width(binder->schema); i++, out++) {
        TRY(column_node(binder, i, item->at, &out->node, err));
        out->name = arena_copy(binder->arena, query_column(binder->schema, i)->name);
        if (out->name.data == NULL)
            return memory_fail(err);
        query->item_count++;
    }
    return ERR_OK;
}

static enum err_code bind_items(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    size_t width = 0;
    for (size_t i = 0; i < select->item_count; i++)
        width += select->items[i].expr != NULL ? 1 : schema_width(binder->schema);
    if (width > LIMIT_COLUMNS + LIMIT_PARTITION_LEVELS)
        return err_set(err, ERR_LIMIT, "the result has %zu columns, at most %d are allowed", width,
                       LIMIT_COLUMNS + LIMIT_PARTITION_LEVELS);
    query->items = arena_alloc(binder->arena, width + 1, sizeof(*query->items));
    if (query->items == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < select->item_count; i++)
        TRY(bind_item(binder, &select->items[i], query, err));
    return ERR_OK;
}

/* A whole number in ORDER BY or GROUP BY is a result column's number; 0 where it is none. */
static enum err_code item_number(const struct binder *binder, const struct query *query,
                                 const struct expr *expr, size_t *ret_number, struct err *err)
{
    struct value value;
    *ret_number = 0;
    if (expr->kind != EXPR_LITERAL || expr->literal.kind != LITERAL_INTEGER)
        return ERR_OK;
    TRY(value_parse((struct type){.kind = TYPE_BIGINT}, expr->literal.text, &value, err));
    if (value.i64 < 1 || (uint64_t)value.i64 > query->item_count)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "there is no result column %" PRId64 ", there are %zu", value.i64,
                           query->item_count);
    *ret_number = (size_t)value.i64;
    return ERR_OK;
}

static enum err_code bind_group_by(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->grouped = select->group_by_count > 0;
    query->group_by = arena_alloc(binder->arena, select->group_by_count + 1, sizeof(struct node *));
    if (query->group_by == NULL)
        return memory_fail(err);
    binder->clause = "GROUP BY";
    for (size_t i = 0; i < select->group_by_count; i++) {
        struct node *node;
        size_t number;
        TRY(item_number(binder, query, select->group_by[i], &number, err));
        if (number > 0)
            node = query->items[number - 1].node;
        else
            TRY(bind_expr(binder, select->group_by[i], &node, err));
        if (node_has_aggregate(node))
            return binder_fail(binder, ERR_SEMANTIC, node->at, err,
                               "an aggregate cannot stand in GROUP BY");
        if (node->kind != NODE_LITERAL)
            query->group_by[query->group_by_count++] = node;
    }
    binder->clause = NULL;
    return ERR_OK;
}

/* A result column first: by number, by name, or as the same expression. */
static enum err_code bind_order(struct binder *binder, struct query *query,
                                const struct order_item *item, struct query_order *order,
                                struct err *err)
{
    const struct expr *expr = item->expr;
    *order = (struct query_order){.descending = item->descending};
    TRY(item_number(binder, query, expr, &order->item_number, err));
    bool bare = expr->kind == EXPR_COLUMN && expr->qualifier.len == 0;
    for (size_t i = 0; bare && order->item_number == 0 && i < query->item_count; i++) {
        if (name_equal(query->items[i].name, expr->name))
            order->item_number = i + 1;
    }
    if (order->item_number > 0)
        return ERR_OK;
    TRY(bind_expr(binder, expr, &order->node, err));
    for (size_t i = 0; i < query->item_count; i++) {
        if (node_equal(order->node, query->items[i].node)) {
            *order = (struct query_order){.item_number = i + 1, .descending = item->descending};
            return ERR_OK;
        }
    }
    if (query->distinct)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "with DISTINCT, ORDER BY takes result columns only");
    return ERR_OK;
}

static enum err_code bind_order_by(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->order_by =
        arena_alloc(binder->arena, select->order_by_count + 1, sizeof(*query->order_by));
    if (query->order_by == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < select->order_by_count; i++) {
        struct query_order order;
        TRY(bind_order(binder, query, &select->order_by[i], &order, err));
        if (order.item_number > 0 || order.node->kind != NODE_LITERAL)
            query->order_by[query->order_by_count++] = order;
    }
    return ERR_OK;
}

static enum err_code bind_condition(struct binder *binder, const struct expr *expr,
                                    const char *where, struct node **ret_node, struct err *err)
{
    if (expr == NULL)
        return ERR_OK;
    TRY(bind_expr(binder, expr, ret_node, err));
    TRY(boolean_check(binder, *ret_node, where, err));
    return node_cast(binder, ret_node, (struct type){.kind = TYPE_BOOLEAN}, err);
}

/* ---- the query ---- */

static enum err_code bind_clauses(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    TRY(bind_items(binder, query, err));
    binder->clause = "WHERE";
    TRY(bind_condition(binder, select->where, "WHERE", &query->where, err));
    binder->clause = NULL;
    binder->aliases = true;
    TRY(bind_group_by(binder, query, err));
    TRY(bind_condition(binder, select->having, "HAVING", &query->having, err));
    if (query->having != NULL && !query->grouped && !binder->has_aggregates)
        return binder_fail(binder, ERR_SEMANTIC, select->having->at, err,
                           "HAVING needs GROUP BY or an aggregate");
    TRY(bind_order_by(binder, query, err));
    return all_grouped_check(binder, query, err);
}

static enum err_code table_text(struct binder *binder, struct query *query, struct err *err)
{
    const struct name *from = &binder->select->from;
    BYTES_CLEANUP struct bytes text = {0};
    bytes_append_span(&text, from->project);
    bytes_append_text(&text, from->project.len > 0 ? "." : "");
    bytes_append_span(&text, from->object);
    query->table = arena_copy(binder->arena, bytes_span(&text));
    return query->table.data == NULL ? memory_fail(err) : ERR_OK;
}

enum err_code query_bind(const struct select *select, struct span text, const struct schema *schema,
                         struct arena *arena, struct query **ret_query, struct err *err)
{
    ASSERT(select->has_from == (schema != NULL));
    struct binder binder = {.text = text, .select = select, .schema = schema, .arena = arena};
    struct query *query = arena_alloc(arena, 1, sizeof(*query));
    if (query == NULL)
        return memory_fail(err);
    *query = (struct query){.distinct = select->distinct,
                            .schema = schema,
                            .has_limit = select->has_limit,
                            .limit = select->limit,
                            .offset = select->offset};
    if (schema != NULL)
        TRY(table_text(&binder, query, err));
    TRY(bind_clauses(&binder, query, err));
    TRY(columns_collect(&binder, query, err));
    TRY(ranges_collect(&binder, query, err));
    *ret_query = query;
    return ERR_OK;
}
