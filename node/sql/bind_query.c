/* Queries as scopes, the clauses of a block, and what must hold between them. */
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

static bool group_has(const struct query *query, const struct node *node)
{
    for (size_t i = 0; i < query->group_by_count; i++) {
        if (node_equal(node, query->group_by[i]))
            return true;
    }
    return false;
}

static enum err_code ungrouped_fail(const struct binder *binder, const struct node *column,
                                    struct err *err)
{
    return binder_fail(binder, ERR_SEMANTIC, column->at, err,
                       "column %.*s must be in GROUP BY or inside an aggregate",
                       SPAN_PRINTF(relation_column_name(column->relation, column->column)));
}

/* What a subquery uses of this query's columns. */
static enum err_code subquery_grouped_check(const struct binder *binder, const struct query *query,
                                            const struct query *inner, struct err *err)
{
    for (size_t i = 0; i < inner->outer_count; i++) {
        const struct node *column = inner->outer[i];
        if (column->relation->owner == query && !group_has(query, column))
            return ungrouped_fail(binder, column, err);
    }
    return ERR_OK;
}

/* Which columns stand below: of this query, of those around it. */
struct origin {
    bool here;
    bool around;
};

static void origin_collect(const struct query *query, const struct node *node,
                           struct origin *origin)
{
    if (node->kind == NODE_COLUMN) {
        origin->here = origin->here || node->relation->owner == query;
        origin->around = origin->around || node->relation->owner != query;
    }
    for (size_t i = 0; node_is_subquery(node) && i < node->query->outer_count; i++)
        origin_collect(query, node->query->outer[i], origin);
    for (size_t i = 0; i < node->arg_count; i++)
        origin_collect(query, node->args[i], origin);
}

/* By the standard such an aggregate would be one of the query around. */
static enum err_code aggregate_origin_check(const struct binder *binder, const struct query *query,
                                            const struct node *aggregate, struct err *err)
{
    struct origin origin = {0};
    origin_collect(query, aggregate, &origin);
    if (origin.here || !origin.around)
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, aggregate->at, err,
                       "an aggregate over columns of the query around alone belongs into that "
                       "query");
}

/* Outside aggregates only what GROUP BY names. */
static enum err_code grouped_check(const struct binder *binder, const struct query *query,
                                   const struct node *node, struct err *err)
{
    if (group_has(query, node))
        return ERR_OK;
    if (node->kind == NODE_AGGREGATE)
        return aggregate_origin_check(binder, query, node, err);
    if (node->kind == NODE_COLUMN && node->relation->owner == query)
        return ungrouped_fail(binder, node, err);
    if (node_is_subquery(node))
        TRY(subquery_grouped_check(binder, query, node->query, err));
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
        name = relation_column_name(node->relation, node->column);
    if (name.len == 0) {
        snprintf(text, sizeof(text), "_c%zu", number);
        name = span_text(text);
    }
    *ret_name = arena_copy(binder->arena, name);
    return ret_name->data == NULL ? memory_fail(err) : ERR_OK;
}

static enum err_code star_empty(const struct binder *binder, const struct select_item *item,
                                struct err *err)
{
    if (binder->select->from == NULL && item->qualifier.len == 0)
        return binder_fail(binder, ERR_SEMANTIC, item->at, err, "* needs a FROM");
    return binder_fail(binder, ERR_SEMANTIC, item->at, err, "there is no table or alias %.*s",
                       SPAN_PRINTF(item->qualifier));
}

/* All columns in sight, or those of the relations that the qualifier names. */
static enum err_code bind_star(struct binder *binder, const struct select_item *item,
                               struct bytes *items, struct err *err)
{
    size_t count;
    size_t found = 0;
    struct relation **relations = binder_relations(binder, &count);
    for (size_t i = 0; i < count; i++) {
        if (relations[i]->hidden || !relation_named(relations[i], item->project, item->qualifier))
            continue;
        found++;
        for (size_t k = 0; k < relations[i]->width; k++) {
            struct query_item out = {0};
            TRY(column_node(binder, relations[i], k, item->at, &out.node, err));
            out.name = arena_copy(binder->arena, relation_column_name(relations[i], k));
            if (out.name.data == NULL)
                return memory_fail(err);
            bytes_append(items, &out, sizeof(out));
        }
    }
    return found == 0 ? star_empty(binder, item, err) : ERR_OK;
}

static enum err_code bind_item(struct binder *binder, const struct select_item *item,
                               struct bytes *items, struct err *err)
{
    struct query_item out = {0};
    if (item->expr == NULL)
        return bind_star(binder, item, items, err);
    TRY(bind_expr(binder, item->expr, &out.node, err));
    TRY(item_name(binder, item, items->len / sizeof(out), out.node, &out.name, err));
    bytes_append(items, &out, sizeof(out));
    return ERR_OK;
}

static enum err_code bind_items(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    BYTES_CLEANUP struct bytes items = {0};
    for (size_t i = 0; i < select->item_count; i++) {
        TRY(bind_item(binder, &select->items[i], &items, err));
        size_t width = items.len / sizeof(struct query_item);
        if (width > LIMIT_COLUMNS + LIMIT_PARTITION_LEVELS)
            return binder_fail(binder, ERR_LIMIT, select->items[i].at, err,
                               "the result has %zu columns or more, at most %d are allowed", width,
                               LIMIT_COLUMNS + LIMIT_PARTITION_LEVELS);
    }
    return binder_array(binder, &items, sizeof(struct query_item), &query->items,
                        &query->item_count, err);
}

enum err_code item_number(const struct binder *binder, const struct query *query,
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

enum err_code bind_condition(struct binder *binder, const struct expr *expr, const char *where,
                             struct node **ret_node, struct err *err)
{
    if (expr == NULL)
        return ERR_OK;
    TRY(bind_expr(binder, expr, ret_node, err));
    TRY(boolean_check(binder, *ret_node, where, err));
    return node_cast(binder, ret_node, (struct type){.kind = TYPE_BOOLEAN}, err);
}

static enum err_code bind_block(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->distinct = select->distinct;
    if (select->from != NULL)
        TRY(bind_from(binder, select->from, &query->from, err));
    TRY(binder_array(binder, &binder->relations, sizeof(struct relation *), &query->relations,
                     &query->relation_count, err));
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
    query->aggregated = query->grouped || binder->has_aggregates;
    return all_grouped_check(binder, query, err);
}

/* ---- queries ---- */

enum err_code query_new(struct binder *binder, struct err *err)
{
    binder->query = arena_alloc(binder->arena, 1, sizeof(*binder->query));
    if (binder->query == NULL)
        return memory_fail(err);
    binder->query->depth = 1;
    binder->query->weight = 1;
    return ERR_OK;
}

enum err_code query_read(struct binder *binder, struct query *inner, uint32_t at, struct err *err)
{
    struct query *query = binder->query;
    inner->references++;
    query->weight += inner->weight;
    if (query->depth <= inner->depth)
        query->depth = inner->depth + 1;
    if (query->depth > LIMIT_QUERY_DEPTH)
        return binder_fail(binder, ERR_LIMIT, at, err, "queries are nested deeper than %d",
                           LIMIT_QUERY_DEPTH);
    if (query->weight > LIMIT_QUERY_WEIGHT)
        return binder_fail(binder, ERR_LIMIT, at, err,
                           "the statement reads more than %d queries and tables, counting those of "
                           "WITH as often as they are named",
                           LIMIT_QUERY_WEIGHT);
    return ERR_OK;
}

void outer_adopt(struct binder *binder, const struct query *inner)
{
    for (size_t i = 0; i < inner->outer_count; i++)
        bytes_append(&binder->outer_columns, &inner->outer[i], sizeof(struct node *));
}

void query_complete(struct binder *binder, struct query *query)
{
    struct bytes *queries = &binder->binding->queries;
    query->number = queries->len / sizeof(struct query *);
    bytes_append(queries, &query, sizeof(struct query *));
}

static enum err_code with_check(const struct binder *binder, size_t item, struct err *err)
{
    const struct with_item *items = binder->select->with;
    for (size_t i = 0; i < item; i++) {
        if (name_equal(items[i].name, items[item].name))
            return binder_fail(binder, ERR_SEMANTIC, items[item].at, err,
                               "%.*s stands twice in WITH", SPAN_PRINTF(items[item].name));
    }
    return ERR_OK;
}

/* Each name sees those before it, and nothing of the queries around. */
static enum err_code bind_with(struct binder *binder, struct err *err)
{
    const struct select *select = binder->select;
    for (size_t i = 0; i < select->with_count; i++) {
        struct with_scope *scope = arena_alloc(binder->arena, 1, sizeof(*scope));
        if (scope == NULL)
            return memory_fail(err);
        TRY(with_check(binder, i, err));
        TRY(bind_query(binder->binding, NULL, binder->with, select->with[i].query, &scope->query,
                       err));
        scope->name = select->with[i].name;
        scope->next = binder->with;
        binder->with = scope;
    }
    return ERR_OK;
}

static enum err_code bind_parts(struct binder *binder, struct query *query, struct err *err)
{
    const struct select *select = binder->select;
    query->has_limit = select->has_limit;
    query->limit = select->limit;
    query->offset = select->offset;
    TRY(bind_with(binder, err));
    if (select->branch_count > 0)
        TRY(bind_set(binder, query, err));
    else
        TRY(bind_block(binder, query, err));
    return binder_array(binder, &binder->outer_columns, sizeof(struct node *), &query->outer,
                        &query->outer_count, err);
}

enum err_code bind_query(struct binding *binding, struct binder *outer,
                         const struct with_scope *with, const struct select *select,
                         struct query **ret_query, struct err *err)
{
    struct binder binder = {.binding = binding,
                            .outer = outer,
                            .select = select,
                            .arena = binding->arena,
                            .with = with};
    TRY(query_new(&binder, err));
    enum err_code code = bind_parts(&binder, binder.query, err);
    bytes_deinit(&binder.relations);
    bytes_deinit(&binder.outer_columns);
    TRY(code);
    query_complete(&binder, binder.query);
    *ret_query = binder.query;
    return ERR_OK;
}

static enum err_code list_bind(struct binding *binding, const struct select *select,
                               struct query_list *ret_list, struct err *err)
{
    struct binder binder = {.binding = binding, .arena = binding->arena};
    struct query_list list = {0};
    struct query *query = NULL;
    TRY(bind_query(binding, NULL, NULL, select, &query, err));
    TRY(scans_collect(binding, err));
    TRY(binder_array(&binder, &binding->queries, sizeof(struct query *), &list.queries, &list.count,
                     err));
    TRY(binder_array(&binder, &binding->tables, sizeof(struct relation *), &list.tables,
                     &list.table_count, err));
    *ret_list = list;
    return ERR_OK;
}

enum err_code query_bind(const struct select *select, const struct bind_rules *rules,
                         struct pins *pins, struct arena *arena, struct query_list *ret_list,
                         struct err *err)
{
    struct binding binding = {.rules = *rules, .pins = pins, .arena = arena};
    enum err_code code = list_bind(&binding, select, ret_list, err);
    bytes_deinit(&binding.queries);
    bytes_deinit(&binding.tables);
    return code;
}
