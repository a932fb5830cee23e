/* Statement tree + schema -> typed query: names looked up, types given, constants folded, conjuncts
 * and columns collected. Type rules: bind_type.c. */
#ifndef NODE_SQL_BIND_H
#define NODE_SQL_BIND_H

#include "node/sql/query.h"

/* `schema` is NULL without FROM and is borrowed by the query. The query lives in the arena and owns
 * copies of all text. ERR_SEMANTIC, ERR_CAST with line and column in `text`; ERR_LIMIT. */
enum err_code query_bind(const struct select *select, struct span text, const struct schema *schema,
                         struct arena *arena, struct query **ret_query, struct err *err);

/* ---- between bind.c and bind_type.c ---- */

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
enum err_code node_new(struct binder *binder, enum node_kind kind, uint32_t at, size_t arg_count,
                       struct node **ret_node, struct err *err);
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
