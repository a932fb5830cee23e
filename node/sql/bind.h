/* Statement tree + tables -> typed query: names looked up, types given, constants folded, conjuncts
 * and columns collected.
 *
 *     bind_query.c   clauses of a block     bind_from.c       tables, joins, WITH
 *     bind_set.c     UNION and the like     bind_subquery.c   queries in expressions
 *     bind_name.c    columns                bind_scan.c       what the sources are told
 *     bind.c         operators              bind_aggregate.c  calls
 *     bind_type.c    types, casts, literals
 */
#ifndef NODE_SQL_BIND_H
#define NODE_SQL_BIND_H

#include "node/sql/pins.h"
#include "node/sql/query.h"
#include "proto/limits.h"

#define BIND_ARENA_BYTES (256 * MIB(1)) /* budget of a query's arena */

/* What holds for the whole statement. */
struct bind_rules {
    struct span text; /* for lines and columns */
    enum select_mode mode;
    int64_t now_ms;
};

/* The tables are found through `pins` and borrowed from it. The queries live in the arena and own
 * copies of all other text. ERR_SEMANTIC, ERR_CAST with line and column in the text; ERR_LIMIT; what
 * the catalog says. */
enum err_code query_bind(const struct select *select, const struct bind_rules *rules,
                         struct pins *pins, struct arena *arena, struct query_list *ret_list,
                         struct err *err);

/* ---- among the binder's files ---- */

/* A name of WITH in sight. */
struct with_scope {
    struct span name;
    struct query *query;
    const struct with_scope *next; /* said before, or further out */
};

/* What all binders of a statement share. */
struct binding {
    struct bind_rules rules;
    struct pins *pins;
    struct arena *arena;
    struct bytes queries; /* struct query *, in the order in which they are complete */
    struct bytes tables;  /* struct relation * */
    size_t relation_count;
};

/* One query being bound: a scope of names. Further out are those around it. */
struct binder {
    struct binding *binding;
    struct binder *outer; /* or NULL */
    const struct select *select;
    struct arena *arena;
    struct query *query;
    const struct with_scope *with;
    struct bytes relations;     /* struct relation *, of FROM so far */
    size_t visible_from;        /* relations before are not in sight: ON sees its own sides */
    struct bytes outer_columns; /* struct node *, those that belong to outer binders */
    const char *clause;  /* where aggregates are refused: "WHERE"; NULL where they are allowed */
    bool in_aggregate;   /* inside an aggregate's argument */
    bool aliases;        /* names of result columns may stand for them */
    bool has_aggregates; /* some were met */
    unsigned lazy;       /* above 0: inside what may never be computed */
};

/* "line L, column C: ..." */
enum err_code binder_fail(const struct binder *binder, enum err_code code, uint32_t at,
                          struct err *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum err_code memory_fail(struct err *err);
enum err_code node_new(struct binder *binder, enum node_kind kind, uint32_t at, size_t arg_count,
                       struct node **ret_node, struct err *err);
/* What was collected, in the arena. */
enum err_code binder_array(struct binder *binder, const struct bytes *items, size_t item_bytes,
                           void *ret_items, size_t *ret_count, struct err *err);
enum err_code column_node(struct binder *binder, struct relation *relation, size_t column,
                          uint32_t at, struct node **ret_node, struct err *err);
struct relation **binder_relations(const struct binder *binder, size_t *ret_count);
/* Whether the qualifier of a column or a star means this relation. */
bool relation_named(const struct relation *relation, struct span project, struct span qualifier);
/* A column's name -> column, or what a result column's alias stands for. */
enum err_code bind_column(struct binder *binder, const struct expr *expr, struct node **ret_node,
                          struct err *err);
/* The column's relation belongs to a binder further out: all between use it. */
void outer_note(struct binder *binder, const struct binder *owner, struct node *column);
/* `inner`, which does not see this binder, uses columns of queries around: so does this one. */
void outer_adopt(struct binder *binder, const struct query *inner);
/* EXPR_QUERY, EXPR_EXISTS, EXPR_IN_QUERY */
enum err_code bind_subquery(struct binder *binder, const struct expr *expr, struct node **ret_node,
                            struct err *err);
/* A query within the scope of `outer` (or NULL). */
enum err_code bind_query(struct binding *binding, struct binder *outer,
                         const struct with_scope *with, const struct select *select,
                         struct query **ret_query, struct err *err);
enum err_code query_new(struct binder *binder, struct err *err); /* binder->query */
/* All is known of it: it takes its place in the list. */
void query_complete(struct binder *binder, struct query *query);
/* `inner` is read by binder->query. ERR_LIMIT. */
enum err_code query_read(struct binder *binder, struct query *inner, uint32_t at, struct err *err);
enum err_code relation_new(struct binder *binder, size_t width, struct relation **ret_relation,
                           struct err *err);
enum err_code bind_from(struct binder *binder, const struct from *from, struct join **ret_join,
                        struct err *err);
enum err_code bind_condition(struct binder *binder, const struct expr *expr, const char *where,
                             struct node **ret_node, struct err *err);
/* A whole number in ORDER BY or GROUP BY is a result column's number; 0 where it is none. */
enum err_code item_number(const struct binder *binder, const struct query *query,
                          const struct expr *expr, size_t *ret_number, struct err *err);
/* Branches, types and ORDER BY of a set operation. */
enum err_code bind_set(struct binder *binder, struct query *query, struct err *err);
/* What unification made of the nodes of query_column_node, one for each column, is made so in the
 * query, or *query becomes one around it. */
enum err_code query_cast(struct binder *binder, struct query **query, struct node *const *nodes,
                         struct err *err);
/* A node for a column of a query, to be unified with others and given to query_cast. */
enum err_code query_column_node(struct binder *binder, struct query *query, size_t item,
                                struct node **ret_node, struct err *err);
/* ERR_SEMANTIC "<where> needs a BOOLEAN, ..." */
enum err_code boolean_check(const struct binder *binder, const struct node *node, const char *where,
                            struct err *err);
enum err_code bind_expr(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err);
enum err_code bind_call(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err);
/* bind_function.c: CASE, and calls of what is no aggregate. */
/* `node` has the two operands. */
enum err_code bind_rlike(struct binder *binder, struct node *node, struct err *err);
enum err_code bind_case(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err);
enum err_code bind_function(struct binder *binder, const struct expr *expr, struct node **ret_node,
                            struct err *err);
const char *aggregate_name(size_t i); /* NULL behind the last: for suggestions */
/* Edits from one name to the other, letters' case aside; above the maximum it does not matter. */
size_t name_distance(struct span a, struct span b);
#define SUGGESTION_DISTANCE_MAX 2
/* Of the whole statement: columns, filters, domains, what is materialized. */
enum err_code scans_collect(struct binding *binding, struct err *err);
/* A node whose arguments are all literals becomes one, in place of *node. What fails stays as it is
 * where it may never be computed. */
enum err_code node_fold(struct binder *binder, struct node **node, struct err *err);
/* A literal of the statement. */
enum err_code literal_bind(struct binder *binder, const struct literal *literal,
                           struct node **ret_node, struct err *err);
/* *node becomes its CAST to the type; nothing where the representation is the same. */
enum err_code node_cast(struct binder *binder, struct node **node, struct type type,
                        struct err *err);
/* The same where the value is only a number's text: read leniently unless the mode is strict. */
enum err_code node_cast_summand(struct binder *binder, struct node **node, struct err *err);
/* Gives results of one expression (CASE, COALESCE) one type: STRING if one is, else the wider. */
enum err_code nodes_merge(struct binder *binder, const char *what, struct node **nodes,
                          size_t count, struct type *ret_type, struct err *err);
/* Gives all of them one representation, as comparisons need it. Literals take the others' type where
 * they fit it exactly, so that a column stays bare. */
enum err_code nodes_unify(struct binder *binder, struct node **nodes, size_t count,
                          struct err *err);
/* The same in two steps. False: nodes[*ret_misfit] does not go with *ret_type, that of those before. */
bool nodes_common_type(struct node *const *nodes, size_t count, struct type *ret_type,
                       size_t *ret_misfit);
enum err_code nodes_cast(struct binder *binder, struct node **nodes, size_t count, struct type type,
                         struct err *err);
/* node->op and node->args are set: casts the arguments and gives the node its type. */
enum err_code arithmetic_type(struct binder *binder, struct node *node, struct err *err);

#endif
