/* Statement tree + schema -> typed query: names looked up, types given, constants folded, conjuncts
 * and columns collected.
 *
 *     bind_query.c   clauses      bind_aggregate.c   calls      bind_scan.c   what the source is told
 *     bind.c         names, operators                bind_type.c   types, casts, literals
 */
#ifndef NODE_SQL_BIND_H
#define NODE_SQL_BIND_H

#include "node/sql/query.h"

/* `schema` is NULL without FROM and is borrowed by the query. The query lives in the arena and owns
 * copies of all text. ERR_SEMANTIC, ERR_CAST with line and column in `text`; ERR_LIMIT. */
enum err_code query_bind(const struct select *select, struct span text, const struct schema *schema,
                         struct arena *arena, struct query **ret_query, struct err *err);

/* ---- among the binder's files ---- */

struct binder {
    struct span text;
    const struct select *select;
    const struct schema *schema;
    struct arena *arena;
    const char *clause;  /* where aggregates are refused: "WHERE"; NULL where they are allowed */
    bool in_aggregate;   /* inside an aggregate's argument */
    bool aliases;        /* names of result columns may stand for them */
    bool has_aggregates; /* some were met */
};

/* "line L, column C: ..." */
enum err_code binder_fail(const struct binder *binder, enum err_code code, uint32_t at,
                          struct err *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum err_code memory_fail(struct err *err);
enum err_code node_new(struct binder *binder, enum node_kind kind, uint32_t at, size_t arg_count,
                       struct node **ret_node, struct err *err);
size_t schema_width(const struct schema *schema); /* data and partition columns; of NULL 0 */
enum err_code column_node(struct binder *binder, size_t column, uint32_t at, struct node **ret_node,
                          struct err *err);
/* ERR_SEMANTIC unless it is empty or names the table. */
enum err_code qualifier_check(const struct binder *binder, struct span qualifier, uint32_t at,
                              struct err *err);
/* ERR_SEMANTIC "<where> needs a BOOLEAN, ..." */
enum err_code boolean_check(const struct binder *binder, const struct node *node, const char *where,
                            struct err *err);
enum err_code bind_expr(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err);
enum err_code bind_call(struct binder *binder, const struct expr *expr, struct node **ret_node,
                        struct err *err);
enum err_code columns_collect(struct binder *binder, struct query *query, struct err *err);
enum err_code ranges_collect(struct binder *binder, struct query *query, struct err *err);
/* A node whose arguments are all literals becomes one, in place of *node. */
enum err_code node_fold(struct binder *binder, struct node **node, struct err *err);
/* A literal of the statement. */
enum err_code literal_bind(struct binder *binder, const struct literal *literal,
                           struct node **ret_node, struct err *err);
/* *node becomes its CAST to the type; nothing where the representation is the same. */
enum err_code node_cast(struct binder *binder, struct node **node, struct type type,
                        struct err *err);
/* Gives all of them one representation, as comparisons need it. Literals take the others' type where
 * they fit it exactly, so that a column stays bare. */
enum err_code nodes_unify(struct binder *binder, struct node **nodes, size_t count,
                          struct err *err);
/* node->op and node->args are set: casts the arguments and gives the node its type. */
enum err_code arithmetic_type(struct binder *binder, struct node *node, struct err *err);

#endif
