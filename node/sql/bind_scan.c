/* What the sources are told: the columns that are used, and filters that prune.
 *
 * From the statement's query inwards, so that each query knows what is wanted of it before it says
 * what it wants itself.
 *
 * A filter is a conjunct over one column that NULL in the column does not satisfy. That is why one of
 * WHERE may go down to its table through every join: rows of the table that fail it could only give
 * rows in which it fails, and without them there are at most new rows with NULLs in their place,
 * which fail it too. One of ON may go down to a side whose rows without a match are not kept.
 */
#include "node/sql/bind.h"
#include "node/sql/domain.h"
#include "node/sql/pass.h"
#include "node/sql/summary.h"

/* ---- columns ---- */

static void item_need(struct query *query, size_t item)
{
    query->items[item].needed = true;
}

static void columns_mark(const struct node *node)
{
    if (node == NULL)
        return;
    if (node->kind == NODE_COLUMN) {
        node->relation->used[node->column] = true;
        if (node->relation->query != NULL)
            item_need(node->relation->query, node->column);
    }
    if (node->kind == NODE_QUERY || node->kind == NODE_IN_QUERY)
        item_need(node->query, 0);
    for (size_t i = 0; i < node->arg_count; i++)
        columns_mark(node->args[i]);
}

static void join_columns_mark(const struct join *join)
{
    if (join == NULL || join->relation != NULL)
        return;
    columns_mark(join->on);
    join_columns_mark(join->left);
    join_columns_mark(join->right);
}

/* Whether a column that nobody wants could change how many rows there are. */
static bool all_needed(const struct query *query)
{
    for (size_t i = 0; i + 1 < query->branch_count; i++) {
        if (query->ops[i] != SET_UNION_ALL)
            return true;
    }
    return query->distinct || (query->aggregated && !query->grouped);
}

static void query_columns_mark(struct query *query)
{
    bool all = all_needed(query);
    for (size_t i = 0; i < query->order_by_count; i++) {
        columns_mark(query->order_by[i].node);
        if (query->order_by[i].item_number > 0)
            item_need(query, query->order_by[i].item_number - 1);
    }
    for (size_t i = 0; i < query->item_count; i++) {
        query->items[i].needed = query->items[i].needed || all;
        if (!query->items[i].needed)
            continue;
        if (query->branch_count == 0)
            columns_mark(query->items[i].node);
        for (size_t k = 0; k < query->branch_count; k++)
            item_need(query->branches[k], i);
    }
    columns_mark(query->where);
    for (size_t i = 0; i < query->group_by_count; i++)
        columns_mark(query->group_by[i]);
    columns_mark(query->having);
    join_columns_mark(query->from);
}

/* ---- what is read more than once ---- */

bool join_keeps_right(const struct join *join)
{
    if (join->relation != NULL)
        return false;
    return join->kind == JOIN_RIGHT || join->kind == JOIN_FULL || join_keeps_right(join->left) ||
           join_keeps_right(join->right);
}

/* Every table of a join but the first, and all of a query that runs for each row of another. */
static void materialized_mark(const struct query *query)
{
    bool all = query->outer_count > 0 || (query->from != NULL && join_keeps_right(query->from));
    for (size_t i = 0; i < query->relation_count; i++) {
        struct relation *relation = query->relations[i];
        relation->materialized = all || i > 0;
        if (relation->query != NULL && relation->materialized)
            relation->query->materialized = true;
    }
}

/* ---- filters ---- */

/* column op literals: the column, or NULL. */
static const struct node *filter_column(const struct node *node)
{
    const struct node *column = NULL;
    bool known = node->kind == NODE_COMPARE || node->kind == NODE_BETWEEN ||
                 node->kind == NODE_IN || (node->kind == NODE_IS_NULL && node->negated);
    for (size_t i = 0; known && i < node->arg_count; i++) {
        const struct node *arg = node->args[i];
        if (arg->kind == NODE_LITERAL)
            continue;
        bool first = i == 0 || node->kind == NODE_COMPARE;
        if (arg->kind != NODE_COLUMN || column != NULL || !first)
            return NULL;
        column = arg;
    }
    return column;
}

static enum err_code filter_push(struct binder *binder, struct filter **list, struct node *node,
                                 struct err *err)
{
    struct filter *filter = arena_alloc(binder->arena, 1, sizeof(*filter));
    if (filter == NULL)
        return memory_fail(err);
    *filter = (struct filter){.node = node, .next = *list};
    *list = filter;
    return ERR_OK;
}

/* The filter over another column. */
static enum err_code filter_move(struct binder *binder, const struct node *filter,
                                 struct node *column, struct node **ret_filter, struct err *err)
{
    struct node *moved = NULL;
    TRY(node_new(binder, filter->kind, filter->at, filter->arg_count, &moved, err));
    memcpy(moved, filter, sizeof(*filter) + filter->arg_count * sizeof(struct node *));
    for (size_t i = 0; i < moved->arg_count; i++) {
        if (moved->args[i]->kind == NODE_COLUMN)
            moved->args[i] = column;
    }
    *ret_filter = moved;
    return ERR_OK;
}

/* A filter over column `item` of a query that nobody else reads. What groups, and what compares whole
 * rows, keeps or drops all rows with one value of the column; LIMIT does not. */
static enum err_code query_filter(struct binder *binder, struct query *query, size_t item,
                                  const struct node *filter, struct err *err)
{
    if (query->references != 1 || query->has_limit)
        return ERR_OK;
    for (size_t i = 0; i < query->branch_count; i++)
        TRY(query_filter(binder, query->branches[i], item, filter, err));
    struct node *column = query->items[item].node;
    if (query->branch_count > 0 || column->kind != NODE_COLUMN || column->relation->owner != query)
        return ERR_OK;
    struct node *moved = NULL;
    TRY(filter_move(binder, filter, column, &moved, err));
    return filter_push(binder, &query->pushed, moved, err);
}

static enum err_code relation_filter(struct binder *binder, struct relation *relation,
                                     struct node *filter, struct err *err)
{
    if (relation->query == NULL)
        return filter_push(binder, &relation->filters, filter, err);
    return query_filter(binder, relation->query, filter_column(filter)->column, filter, err);
}

static bool join_has(const struct join *join, const struct relation *relation)
{
    if (join->relation != NULL)
        return join->relation == relation;
    return join_has(join->left, relation) || join_has(join->right, relation);
}

/* The sides of a join whose rows without a match are dropped. */
static bool on_filters(const struct join *join, const struct relation *relation)
{
    static const struct {
        bool left, right;
    } sides[] = {
        [JOIN_CROSS] = {true, true},  [JOIN_INNER] = {true, true},  [JOIN_LEFT] = {false, true},
        [JOIN_RIGHT] = {true, false}, [JOIN_FULL] = {false, false}, [JOIN_SEMI] = {true, true},
        [JOIN_ANTI] = {false, true}};
    return (sides[join->kind].left && join_has(join->left, relation)) ||
           (sides[join->kind].right && join_has(join->right, relation));
}

/* The conjuncts of a condition: of WHERE (join NULL) or of a join's ON. */
static enum err_code condition_filters(struct binder *binder, const struct query *query,
                                       const struct join *join, struct node *node, struct err *err)
{
    if (node == NULL)
        return ERR_OK;
    for (size_t i = 0; node->kind == NODE_AND && i < node->arg_count; i++)
        TRY(condition_filters(binder, query, join, node->args[i], err));
    const struct node *column = filter_column(node);
    if (column == NULL || column->relation->owner != query)
        return ERR_OK;
    if (join != NULL && !on_filters(join, column->relation))
        return ERR_OK;
    return relation_filter(binder, column->relation, node, err);
}

static enum err_code join_filters(struct binder *binder, const struct query *query,
                                  const struct join *join, struct err *err)
{
    if (join == NULL || join->relation != NULL)
        return ERR_OK;
    TRY(condition_filters(binder, query, join, join->on, err));
    TRY(join_filters(binder, query, join->left, err));
    return join_filters(binder, query, join->right, err);
}

static enum err_code query_filters(struct binder *binder, struct query *query, struct err *err)
{
    for (const struct filter *filter = query->pushed; filter != NULL; filter = filter->next)
        TRY(condition_filters(binder, query, NULL, filter->node, err));
    TRY(condition_filters(binder, query, NULL, query->where, err));
    return join_filters(binder, query, query->from, err);
}

/* ---- the whole ---- */

/* They were put before one another: back into the order written. */
static struct filter *filters_reversed(struct filter *filters)
{
    struct filter *first = NULL;
    while (filters != NULL) {
        struct filter *next = filters->next;
        filters->next = first;
        first = filters;
        filters = next;
    }
    return first;
}

static enum err_code domains_collect(struct binder *binder, struct relation *relation,
                                     struct err *err)
{
    relation->domains =
        arena_alloc(binder->arena, relation->column_count + 1, sizeof(*relation->domains));
    if (relation->domains == NULL)
        return memory_fail(err);
    for (size_t i = 0; i < relation->column_count; i++) {
        bool limits = false;
        TRY(domain_find(binder->arena, relation, relation->columns[i],
                        &relation->domains[relation->domain_count], &limits, err));
        relation->domain_count += limits;
    }
    return ERR_OK;
}

static enum err_code table_collect(struct binder *binder, struct relation *relation,
                                   struct err *err)
{
    BYTES_CLEANUP struct bytes columns = {0};
    relation->filters = filters_reversed(relation->filters);
    for (size_t i = 0; i < relation->width; i++) {
        if (relation->used[i])
            bytes_append(&columns, &i, sizeof(i));
    }
    TRY(binder_array(binder, &columns, sizeof(size_t), &relation->columns, &relation->column_count,
                     err));
    return domains_collect(binder, relation, err);
}

/* SELECT COUNT(*) FROM table: nothing looks at single rows. */
static bool counts_only(const struct query *query)
{
    if (query->branch_count > 0 || !query->aggregated || query->grouped || query->where != NULL ||
        query->having != NULL || query->order_by_count > 0 || query->relation_count != 1)
        return false;
    for (size_t i = 0; i < query->item_count; i++) {
        const struct node *node = query->items[i].node;
        if (node->kind != NODE_AGGREGATE || node->aggregate != AGGREGATE_COUNT_ALL)
            return false;
    }
    const struct relation *relation = query->relations[0];
    return relation->source != NULL && !relation->materialized && relation->column_count == 0 &&
           relation->filters == NULL;
}

static void counted_mark(struct query *query)
{
    if (!counts_only(query))
        return;
    query->relations[0]->counted = true;
    for (size_t i = 0; i < query->item_count; i++)
        query->items[i].node->relation = query->relations[0];
}

/* Few rows of what the query reads first, in the order in which it comes. */
static void limited_mark(struct query *query)
{
    bool any_rows = query->has_limit && query->branch_count == 0 && query->order_by_count == 0 &&
                    !query->aggregated && !query->distinct && query->relation_count > 0;
    if (any_rows && query->limit <= PASS_FRONT_ROWS && query->offset <= PASS_FRONT_ROWS)
        query->relations[0]->limited = !query->relations[0]->materialized;
}

enum err_code scans_collect(struct binding *binding, struct err *err)
{
    struct binder binder = {.binding = binding, .arena = binding->arena};
    struct query **queries = (struct query **)(void *)binding->queries.data;
    size_t count = binding->queries.len / sizeof(struct query *);
    struct relation **tables = (struct relation **)(void *)binding->tables.data;
    size_t table_count = binding->tables.len / sizeof(struct relation *);
    struct query *whole = queries[count - 1];
    for (size_t i = 0; i < whole->item_count; i++)
        item_need(whole, i);
    for (size_t i = count; i > 0; i--) {
        query_columns_mark(queries[i - 1]);
        materialized_mark(queries[i - 1]);
        TRY(query_filters(&binder, queries[i - 1], err));
    }
    for (size_t i = 0; i < table_count; i++)
        TRY(table_collect(&binder, tables[i], err));
    for (size_t i = 0; i < count; i++) {
        counted_mark(queries[i]);
        limited_mark(queries[i]);
        TRY(summary_mark(binder.arena, queries[i], err));
    }
    return ERR_OK;
}
