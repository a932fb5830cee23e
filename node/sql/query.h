/* A bound and typed SELECT: what the binder makes and the printer and the evaluator read.
 *
 * Invariants: 1. every node has its type; the arguments of a comparison, BETWEEN and IN have one
 * representation (equal types, or BIGINT and INT). 2. a node whose arguments are all literals is a
 * literal. 3. columns are numbers: data columns first, partition columns behind them.
 * Memory: all in the binder's arena, text too; nothing borrows from the statement.
 */
#ifndef NODE_SQL_QUERY_H
#define NODE_SQL_QUERY_H

#include "node/sql/select.h"

enum node_kind {
    NODE_LITERAL,
    NODE_COLUMN,
    NODE_AGGREGATE,
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_NEGATE,
    NODE_ARITHMETIC, /* op: OP_ADD to OP_MODULO */
    NODE_CONCAT,
    NODE_COMPARE, /* op: OP_EQUAL to OP_GREATER_EQUAL */
    NODE_IS_NULL,
    NODE_BETWEEN,
    NODE_IN,
    NODE_LIKE,
    NODE_CAST,
};

enum aggregate {
    AGGREGATE_COUNT_ALL, /* COUNT(*): no argument */
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_AVG, /* of BIGINT, DOUBLE; that of DECIMAL is a division of two others */
    AGGREGATE_MIN,
    AGGREGATE_MAX,
};

struct node {
    enum node_kind kind;
    enum binary_op op;
    enum aggregate aggregate;
    bool negated;  /* NODE_IS_NULL, NODE_BETWEEN, NODE_IN, NODE_LIKE */
    bool distinct; /* NODE_AGGREGATE */
    bool untyped;  /* NODE_LITERAL: NULL, which goes with every type */
    struct type type;
    struct value value;       /* NODE_LITERAL */
    struct span literal_text; /* NODE_LITERAL: a number as written, or empty */
    size_t column;            /* NODE_COLUMN */
    uint32_t at;
    uint32_t slot; /* NODE_COLUMN, NODE_AGGREGATE inside a program: its argument (print.h) */
    size_t arg_count;
    struct node *args[];
};

struct query_item {
    struct node *node;
    struct span name;
};

struct query_order {
    struct node *node;  /* NULL: item_number */
    size_t item_number; /* from 1 */
    bool descending;
};

struct query {
    bool distinct;
    struct query_item *items;
    size_t item_count;
    struct span table;           /* "project.table", empty without FROM */
    const struct schema *schema; /* borrowed, NULL without FROM */
    struct node *where;          /* or NULL */
    bool grouped;                /* GROUP BY was said */
    struct node **group_by;      /* without the constant ones */
    size_t group_by_count;
    struct node *having; /* or NULL */
    struct query_order *order_by;
    size_t order_by_count;
    bool has_limit;
    int64_t limit;
    int64_t offset;
    struct select_range *ranges; /* conjuncts of WHERE */
    size_t range_count;
    size_t *columns; /* used, ascending */
    size_t column_count;
};

/* Of column `column` of a schema: data columns, then partition columns. */
const struct column *query_column(const struct schema *schema, size_t column);

bool node_equal(const struct node *a, const struct node *b); /* same meaning, places aside */
bool type_is_integer(struct type type);                      /* BIGINT, INT: one representation */
bool type_is_number(struct type type);

#endif
