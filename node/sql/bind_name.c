/* Names of columns: which of them is meant, and what to say when it is none or more than one. */
#include "node/sql/bind.h"

#include "node/sql/lexer.h"
#include "proto/limits.h"

#define LISTED_BYTES 160 /* of names in a message */

const struct column *query_column(const struct schema *schema, size_t column)
{
    if (column < schema->column_count)
        return &schema->columns[column];
    column -= schema->column_count;
    ASSERT(column < schema->partition_column_count);
    return &schema->partition_columns[column];
}

struct span relation_column_name(const struct relation *relation, size_t column)
{
    if (relation->query != NULL)
        return relation->query->items[column].name;
    return query_column(relation->source->schema, column)->name;
}

struct type relation_column_type(const struct relation *relation, size_t column)
{
    if (relation->query != NULL)
        return relation->query->items[column].node->type;
    return query_column(relation->source->schema, column)->type;
}

struct relation **binder_relations(const struct binder *binder, size_t *ret_count)
{
    *ret_count = binder->relations.len / sizeof(struct relation *);
    return (struct relation **)(void *)binder->relations.data;
}

bool relation_named(const struct relation *relation, struct span project, struct span qualifier)
{
    if (qualifier.len == 0)
        return true;
    if (!name_equal(relation->name, qualifier))
        return false;
    return project.len == 0 || (relation->source != NULL && !relation->aliased &&
                                name_equal(relation->source->project, project));
}

enum err_code column_node(struct binder *binder, struct relation *relation, size_t column,
                          uint32_t at, struct node **ret_node, struct err *err)
{
    struct node *node = NULL;
    TRY(node_new(binder, NODE_COLUMN, at, 0, &node, err));
    node->relation = relation;
    node->column = column;
    node->type = relation_column_type(relation, column);
    *ret_node = node;
    return ERR_OK;
}

/* ---- looking ---- */

struct match {
    struct relation *relation; /* the first, NULL: none */
    size_t column;
    const struct relation *other; /* another, or NULL */
    bool qualified;               /* the qualifier is known here */
    bool hidden;                  /* only behind a semi or anti join */
};

static void relation_match(struct relation *relation, const struct expr *expr, struct match *match)
{
    for (size_t i = 0; i < relation->width; i++) {
        if (!name_equal(relation_column_name(relation, i), expr->name))
            continue;
        if (relation->hidden) {
            match->hidden = true;
        } else if (match->relation == NULL) {
            match->relation = relation;
            match->column = i;
        } else if (match->other == NULL) {
            match->other = relation;
        }
    }
}

static struct match scope_match(const struct binder *binder, const struct expr *expr)
{
    struct match match = {0};
    size_t count;
    struct relation **relations = binder_relations(binder, &count);
    for (size_t i = binder->visible_from; i < count; i++) {
        if (!relation_named(relations[i], expr->project, expr->qualifier))
            continue;
        match.qualified = match.qualified || expr->qualifier.len > 0;
        relation_match(relations[i], expr, &match);
    }
    return match;
}

/* The expression that a result column's name stands for, or NULL. */
static const struct expr *alias_find(const struct binder *binder, const struct expr *expr)
{
    if (!binder->aliases || expr->qualifier.len > 0 || binder->in_aggregate)
        return NULL;
    for (size_t i = 0; i < binder->select->item_count; i++) {
        const struct select_item *item = &binder->select->items[i];
        if (item->alias.len > 0 && name_equal(item->alias, expr->name))
            return item->expr;
    }
    return NULL;
}

/* ---- what to say ---- */

/* Edits from one name to the other, letters' case aside; above the maximum it does not matter. */
size_t name_distance(struct span a, struct span b)
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

/* "p.t" or its alias */
static void relation_print(const struct relation *relation, struct bytes *out)
{
    if (relation->source != NULL && !relation->aliased && relation->source->project.len > 0)
        bytes_printf(out, "%.*s.", SPAN_PRINTF(relation->source->project));
    bytes_printf(out, "%.*s", SPAN_PRINTF(relation->name));
}

static enum err_code column_ambiguous(const struct binder *binder, const struct expr *expr,
                                      const struct match *match, struct err *err)
{
    BYTES_CLEANUP struct bytes first = {0};
    BYTES_CLEANUP struct bytes second = {0};
    if (match->other == match->relation)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%.*s has more than one column %.*s", SPAN_PRINTF(match->relation->name),
                           SPAN_PRINTF(expr->name));
    relation_print(match->relation, &first);
    relation_print(match->other, &second);
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                       "column %.*s could be %.*s.%.*s or %.*s.%.*s: say which",
                       SPAN_PRINTF(expr->name), SPAN_PRINTF(bytes_span(&first)),
                       SPAN_PRINTF(expr->name), SPAN_PRINTF(bytes_span(&second)),
                       SPAN_PRINTF(expr->name));
}

/* Those among which the name was looked for. */
struct candidates {
    const struct relation *best_relation;
    struct span best;
    size_t best_distance;
    const struct relation *only; /* the one that was looked at, NULL: several */
    size_t relation_count;
    struct bytes names;
};

static void candidates_add(struct candidates *candidates, const struct relation *relation,
                           const struct expr *expr)
{
    candidates->only = candidates->relation_count++ == 0 ? relation : NULL;
    for (size_t i = 0; i < relation->width; i++) {
        struct span name = relation_column_name(relation, i);
        size_t distance = name_distance(name, expr->name);
        if (distance < candidates->best_distance && distance < expr->name.len) {
            candidates->best = name;
            candidates->best_distance = distance;
            candidates->best_relation = relation;
        }
        if (candidates->names.len < LISTED_BYTES)
            bytes_printf(&candidates->names, "%s%.*s", candidates->names.len > 0 ? ", " : "",
                         SPAN_PRINTF(name));
    }
}

static const char *relation_noun(const struct relation *relation)
{
    return relation->source != NULL ? "table " : "";
}

static enum err_code candidates_fail(const struct binder *binder, const struct expr *expr,
                                     const struct candidates *candidates, struct err *err)
{
    const struct relation *only = candidates->only;
    if (candidates->relation_count == 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "there is no column %.*s: the statement has no FROM",
                           SPAN_PRINTF(expr->name));
    if (only != NULL && candidates->best.len > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%s%.*s has no column %.*s, did you mean %.*s?", relation_noun(only),
                           SPAN_PRINTF(only->name), SPAN_PRINTF(expr->name),
                           SPAN_PRINTF(candidates->best));
    if (only != NULL)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "%s%.*s has no column %.*s; it has %.*s", relation_noun(only),
                           SPAN_PRINTF(only->name), SPAN_PRINTF(expr->name),
                           SPAN_PRINTF(bytes_span(&candidates->names)));
    if (candidates->best.len > 0)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                           "no table has a column %.*s, did you mean %.*s.%.*s?",
                           SPAN_PRINTF(expr->name), SPAN_PRINTF(candidates->best_relation->name),
                           SPAN_PRINTF(candidates->best));
    return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                       "no table has a column %.*s; there are %.*s", SPAN_PRINTF(expr->name),
                       SPAN_PRINTF(bytes_span(&candidates->names)));
}

/* Looked for in all scopes from `binder` out, or in the one that knows the qualifier. */
static enum err_code column_unknown(const struct binder *binder, const struct binder *known,
                                    const struct expr *expr, struct err *err)
{
    struct candidates candidates = {.best_distance = SUGGESTION_DISTANCE_MAX + 1};
    if (expr->qualifier.len > 0 && known == NULL)
        return binder_fail(binder, ERR_SEMANTIC, expr->at, err, "there is no table or alias %.*s",
                           SPAN_PRINTF(expr->qualifier));
    const struct binder *scope = known != NULL ? known : binder;
    for (; scope != NULL; scope = known != NULL ? NULL : scope->outer) {
        size_t count;
        struct relation **relations = binder_relations(scope, &count);
        for (size_t i = scope->visible_from; i < count; i++) {
            if (!relations[i]->hidden &&
                relation_named(relations[i], expr->project, expr->qualifier))
                candidates_add(&candidates, relations[i], expr);
        }
    }
    enum err_code code = candidates_fail(binder, expr, &candidates, err);
    bytes_deinit(&candidates.names);
    return code;
}

/* ---- columns ---- */

void outer_note(struct binder *binder, const struct binder *owner, struct node *column)
{
    for (; binder != owner; binder = binder->outer)
        bytes_append(&binder->outer_columns, &column, sizeof(struct node *));
}

static enum err_code alias_bind(struct binder *binder, const struct expr *meant,
                                struct node **ret_node, struct err *err)
{
    binder->aliases = false; /* a name in a result column is never another result column */
    enum err_code code = bind_expr(binder, meant, ret_node, err);
    binder->aliases = true;
    return code;
}

enum err_code bind_column(struct binder *binder, const struct expr *expr, struct node **ret_node,
                          struct err *err)
{
    for (struct binder *scope = binder; scope != NULL; scope = scope->outer) {
        struct match match = scope_match(scope, expr);
        if (match.other != NULL)
            return column_ambiguous(binder, expr, &match, err);
        if (match.relation != NULL) {
            TRY(column_node(binder, match.relation, match.column, expr->at, ret_node, err));
            outer_note(binder, scope, *ret_node);
            return ERR_OK;
        }
        const struct expr *meant = scope == binder ? alias_find(binder, expr) : NULL;
        if (meant != NULL)
            return alias_bind(binder, meant, ret_node, err);
        if (match.hidden)
            return binder_fail(binder, ERR_SEMANTIC, expr->at, err,
                               "%.*s belongs to the right side of a semi or anti join, whose "
                               "columns stand only in its ON",
                               SPAN_PRINTF(expr->name));
        if (match.qualified)
            return column_unknown(binder, scope, expr, err);
    }
    return column_unknown(binder, NULL, expr, err);
}
