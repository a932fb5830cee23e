#include "node/sql/summary.h"

#include "node/sql/evaluate.h"

/* ---- which queries ---- */

static bool is_bare_column(const struct node *node, const struct relation *relation)
{
    return node->kind == NODE_COLUMN && node->relation == relation;
}

/* Nothing of the table but COUNT, MIN and MAX of its columns. */
static bool aggregates_only(const struct node *node, const struct relation *relation)
{
    if (node == NULL)
        return true;
    if (node_is_subquery(node) || node->kind == NODE_COLUMN)
        return false;
    if (node->kind == NODE_AGGREGATE) {
        bool end = node->aggregate == AGGREGATE_MIN || node->aggregate == AGGREGATE_MAX;
        bool count = node->aggregate == AGGREGATE_COUNT && !node->distinct;
        return node->aggregate == AGGREGATE_COUNT_ALL ||
               ((end || count) && is_bare_column(node->args[0], relation));
    }
    for (size_t i = 0; i < node->arg_count; i++) {
        if (!aggregates_only(node->args[i], relation))
            return false;
    }
    return true;
}

/* column op literal, BETWEEN, IN, IS [NOT] NULL: what summary_satisfies decides. */
static const struct node *condition_column(const struct node *node)
{
    const struct node *column = NULL;
    if (node->kind != NODE_COMPARE && node->kind != NODE_IS_NULL &&
        (node->negated || (node->kind != NODE_BETWEEN && node->kind != NODE_IN)))
        return NULL;
    for (size_t i = 0; i < node->arg_count; i++) {
        const struct node *arg = node->args[i];
        bool place = column == NULL && (i == 0 || node->kind == NODE_COMPARE);
        if (arg->kind == NODE_COLUMN && place)
            column = arg;
        else if (arg->kind != NODE_LITERAL || arg->value.null)
            return NULL;
    }
    return column;
}

static bool where_is_decided(const struct node *node)
{
    if (node == NULL)
        return true;
    for (size_t i = 0; node->kind == NODE_AND && i < node->arg_count; i++) {
        if (!where_is_decided(node->args[i]))
            return false;
    }
    return node->kind == NODE_AND || condition_column(node) != NULL;
}

static bool is_summary(const struct query *query)
{
    if (query->branch_count > 0 || !query->aggregated || query->grouped ||
        query->relation_count != 1 || query->outer_count > 0)
        return false;
    const struct relation *relation = query->relations[0];
    if (relation->source == NULL || relation->materialized || relation->counted ||
        !where_is_decided(query->where) || !aggregates_only(query->having, relation))
        return false;
    for (size_t i = 0; i < query->item_count; i++) {
        if (!aggregates_only(query->items[i].node, relation))
            return false;
    }
    for (size_t i = 0; i < query->order_by_count; i++) {
        if (!aggregates_only(query->order_by[i].node, relation))
            return false;
    }
    return true;
}

static size_t place_of(const struct relation *relation, size_t column)
{
    size_t i = 0;
    while (i < relation->column_count && relation->columns[i] != column)
        i++;
    return i;
}

/* Which ends are asked for; COUNTs are told where they get their numbers from. */
static void aggregates_mark(struct node *node, struct relation *relation)
{
    for (size_t i = 0; node != NULL && i < node->arg_count && node->kind != NODE_AGGREGATE; i++)
        aggregates_mark(node->args[i], relation);
    if (node == NULL || node->kind != NODE_AGGREGATE)
        return;
    if (node->aggregate == AGGREGATE_COUNT || node->aggregate == AGGREGATE_COUNT_ALL) {
        node->relation = relation;
        return;
    }
    size_t place = place_of(relation, node->args[0]->column);
    if (place < relation->column_count) /* one that nobody wants is not printed */
        relation->summary_ends[place] |=
            node->aggregate == AGGREGATE_MIN ? SUMMARY_MIN : SUMMARY_MAX;
}

enum err_code summary_mark(struct arena *arena, struct query *query, struct err *err)
{
    if (!is_summary(query))
        return ERR_OK;
    struct relation *relation = query->relations[0];
    relation->summary_ends = arena_alloc(arena, relation->column_count + 1, sizeof(uint8_t));
    if (relation->summary_ends == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs too much memory");
    memset(relation->summary_ends, 0, relation->column_count + 1);
    relation->summarised = true;
    relation->summary_where = query->where;
    for (size_t i = 0; i < query->item_count; i++)
        aggregates_mark(query->items[i].node, relation);
    for (size_t i = 0; i < query->order_by_count; i++)
        aggregates_mark(query->order_by[i].node, relation);
    aggregates_mark(query->having, relation);
    return ERR_OK;
}

/* ---- whether they are enough ---- */

static bool in_list(const struct node *node, struct type type, struct value value)
{
    for (size_t i = 1; i < node->arg_count; i++) {
        if (value_compare(type, value, node->args[i]->value) == 0)
            return true;
    }
    return false;
}

/* Whether a value of the column, which is not NULL, satisfies the condition. */
static bool value_satisfies(const struct node *node, struct type type, struct value value)
{
    if (node->kind == NODE_IN)
        return in_list(node, type, value);
    if (node->kind == NODE_BETWEEN)
        return value_compare(type, value, node->args[1]->value) >= 0 &&
               value_compare(type, value, node->args[2]->value) <= 0;
    bool first = node->args[0]->kind == NODE_COLUMN;
    int order = value_compare(type, value, node->args[first ? 1 : 0]->value);
    return order_holds(node->op, first ? order : -order);
}

/* Whether all values do. Those of =, <, BETWEEN and their like are an interval: with both ends all
 * that is between them is in it. Of IN and <> that is so where both ends are one value. */
static bool summary_satisfies(const struct node *node, const struct select_summary *column,
                              uint64_t rows)
{
    struct type type = column->type;
    if (node->kind == NODE_IS_NULL)
        return column->null_count == (node->negated ? 0 : rows);
    if (column->null_count > 0 || column->bounds.has_nan || !column->bounds.has_min ||
        !column->bounds.has_max)
        return false;
    struct value min = column->bounds.min, max = column->bounds.max;
    bool interval =
        node->kind == NODE_BETWEEN || (node->kind == NODE_COMPARE && node->op != OP_NOT_EQUAL);
    return (interval || value_compare(type, min, max) == 0) && value_satisfies(node, type, min) &&
           value_satisfies(node, type, max);
}

static bool where_satisfied(const struct relation *relation, const struct node *node,
                            const struct select_summary *columns, uint64_t rows)
{
    if (node == NULL)
        return true;
    if (node->kind != NODE_AND) {
        size_t place = place_of(relation, condition_column(node)->column);
        return summary_satisfies(node, &columns[place], rows);
    }
    for (size_t i = 0; i < node->arg_count; i++) {
        if (!where_satisfied(relation, node->args[i], columns, rows))
            return false;
    }
    return true;
}

bool summary_enough(const void *context, const struct select_summary *columns, uint64_t rows)
{
    const struct relation *relation = context;
    for (size_t i = 0; i < relation->column_count; i++) {
        if (((relation->summary_ends[i] & SUMMARY_MIN) != 0 && !columns[i].exact_min) ||
            ((relation->summary_ends[i] & SUMMARY_MAX) != 0 && !columns[i].exact_max))
            return false;
    }
    return where_satisfied(relation, relation->summary_where, columns, rows);
}

/* Of a column without bounds whose values nobody asks for: any value that is not NULL. */
struct value summary_value(const struct select_summary *column, size_t row)
{
    const struct select_bounds *bounds = &column->bounds;
    if (!bounds->has_value)
        return (struct value){.null = true};
    if (row == 0 && bounds->has_min)
        return bounds->min;
    if (row > 0 && bounds->has_nan && column->exact_max)
        return (struct value){.f64 = NAN};
    if (row > 0 && bounds->has_max)
        return bounds->max;
    return bounds->has_nan ? (struct value){.f64 = NAN} : (struct value){0};
}
