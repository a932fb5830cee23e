#include "node/sql/bind.h"

#include "node/sql/evaluate.h"
#include "node/sql/lexer.h"
#include "proto/limits.h"

#define SUGGESTION_DISTANCE_MAX 2
#define DECIMAL_SUM_PRECISION   38
#define DECIMAL_AVG_DIGITS      4 /* more behind the point than the column has */

static enum err_code bind_expr(struct binder *binder, const struct expr *expr,
                               struct node **ret_node, struct err *err);

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

static enum err_code memory_fail(struct err *err)
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

static size_t schema_width(const struct schema *schema)
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

static enum err_code qualifier_check(const struct binder *binder, struct span qualifier,
                                     uint32_t at, struct err *err)
{
    const struct select *select = binder->select;
    struct span known = select->from_alias.len > 0 ? select->from_alias : select->from.object;
    if (qualifier.len == 0 || (select->has_from && name_equal(qualifier, known)))
        return ERR_OK;
    return binder_fail(binder, ERR_SEMANTIC, at, err, "there is no table or alias %.*s",
                       SPAN_PRINTF(qualifier));
}

static enum err_code column_node(struct binder *binder, size_t column, uint32_t at,
                                 struct node **ret_node, struct err *err)
{
    struct node *node;
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

static enum err_code boolean_check(const struct binder *binder, const struct node *node,
                                   const char *where, struct err *err)
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

/* ---- aggregates ---- */

static const struct function_row {
    const char *name;
    enum aggregate aggregate;
} functions[] = {{"COUNT", AGGREGATE_COUNT},
                 {"SUM", AGGREGATE_SUM},
                 {"AVG", AGGREGATE_AVG},
                 {"MIN", AGGREGATE_MIN},
                 {"MAX", AGGREGATE_MAX}};

static enum err_code aggregate_place(struct binder *binder, const struct expr *expr,
                                     struct err *err)
{
    if (binder->in_aggregate)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%.*s stands inside another aggregate", SPAN_PRINTF(expr->name));
    if (binder->clause != NULL)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s cannot stand in %s",
                           SPAN_PRINTF(expr->name), binder->clause);
    binder->has_aggregates = true;
    return ERR_OK;
}

/* SUM and AVG: text is summed as DOUBLE. */
static enum err_code sum_type(struct binder *binder, const struct expr *expr, struct node *node,
                              struct err *err)
{
    struct node *arg = node->args[0];
    if (arg->type.kind == TYPE_STRING) {
        TRY(node_cast(binder, &node->args[0], (struct type){.kind = TYPE_DOUBLE}, err));
        arg = node->args[0];
    }
    node->type = arg->type;
    if (!type_is_number(arg->type)) {
        char text[TYPE_TEXT_BYTES];
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s needs numbers, found %s",
                           SPAN_PRINTF(expr->name), type_format(arg->type, text));
    }
    if (node->type.kind == TYPE_DECIMAL)
        node->type.precision = DECIMAL_SUM_PRECISION;
    else if (type_is_integer(node->type))
        node->type.kind = node->aggregate == AGGREGATE_AVG ? TYPE_DOUBLE : TYPE_BIGINT;
    return ERR_OK;
}

/* AVG of DECIMAL: SUM / COUNT, exact, rounded once. */
static enum err_code decimal_average(struct binder *binder, struct node **node, struct err *err)
{
    struct node *sum = *node;
    struct node *count, *division;
    sum->aggregate = AGGREGATE_SUM;
    TRY(node_new(binder, NODE_AGGREGATE, sum->at, 1, &count, err));
    count->aggregate = AGGREGATE_COUNT;
    count->distinct = sum->distinct;
    count->type.kind = TYPE_BIGINT;
    count->args[0] = sum->args[0];
    TRY(node_new(binder, NODE_ARITHMETIC, sum->at, 2, &division, err));
    division->op = OP_DIVIDE;
    division->args[0] = sum;
    division->args[1] = count;
    TRY(arithmetic_type(binder, division, err));
    struct type type = sum->type;
    unsigned scale = type.scale + DECIMAL_AVG_DIGITS;
    type.scale = (uint8_t)(scale > division->type.scale ? division->type.scale : scale);
    *node = division;
    return node_cast(binder, node, type, err);
}

static enum err_code bind_aggregate(struct binder *binder, const struct expr *expr,
                                    enum aggregate aggregate, struct node **ret_node,
                                    struct err *err)
{
    struct node *node;
    bool star = expr->arg_count == 1 && expr->args[0]->kind == EXPR_STAR;
    TRY(aggregate_place(binder, expr, err));
    if (expr->arg_count != 1 || (star && aggregate != AGGREGATE_COUNT))
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "%.*s needs one argument",
                           SPAN_PRINTF(expr->name));
    TRY(node_new(binder, NODE_AGGREGATE, expr->at, star ? 0 : 1, &node, err));
    node->aggregate = star ? AGGREGATE_COUNT_ALL : aggregate;
    node->distinct = expr->distinct;
    if (!star) {
        binder->in_aggregate = true;
        enum err_code code = bind_expr(binder, expr->args[0], &node->args[0], err);
        binder->in_aggregate = false;
        TRY(code);
    }
    if (aggregate == AGGREGATE_COUNT)
        node->type.kind = TYPE_BIGINT;
    else if (aggregate == AGGREGATE_MIN || aggregate == AGGREGATE_MAX)
        node->type = node->args[0]->type;
    else
        TRY(sum_type(binder, expr, node, err));
    *ret_node = node;
    if (aggregate == AGGREGATE_AVG && node->type.kind == TYPE_DECIMAL)
        return decimal_average(binder, ret_node, err);
    return ERR_OK;
}

static enum err_code bind_call(struct binder *binder, const struct expr *expr,
                               struct node **ret_node, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++) {
        if (name_equal(expr->name, span_text(functions[i].name)))
            return bind_aggregate(binder, expr, functions[i].aggregate, ret_node, err);
    }
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                       "there is no function %.*s (yet); there are COUNT, SUM, AVG, MIN, MAX",
                       expr->name.len < 60 ? (int)expr->name.len : 60,
                       (const char *)expr->name.data);
}

static enum err_code bind_expr(struct binder *binder, const struct expr *expr,
                               struct node **ret_node, struct err *err)
{
    struct node *node;
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

/* ---- what the source is told ---- */

static void columns_mark(const struct node *node, bool *used)
{
    if (node == NULL)
        return;
    if (node->kind == NODE_COLUMN)
        used[node->column] = true;
    for (size_t i = 0; i < node->arg_count; i++)
        columns_mark(node->args[i], used);
}

static enum err_code columns_collect(struct binder *binder, struct query *query, struct err *err)
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

static enum err_code ranges_collect(struct binder *binder, struct query *query, struct err *err)
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
