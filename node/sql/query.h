/* A bound and typed SELECT: what the binder makes and the printer and the evaluator read.
 *
 * Queries and relations alternate: a query reads from relations, a relation is a table or a query.
 *
 *     WITH w AS (SELECT a FROM p.t)             query 2 -- join -- relation 1 "w" -- query 0
 *     SELECT w.a FROM w LEFT JOIN                   |         `--- relation 3 "d" -- query 1
 *         (SELECT b FROM p.u WHERE b > 7) d         |                                   |
 *         ON a = b                                  |              relation 2 "u" = p.u, b > 7
 *     WHERE EXISTS (SELECT 1 FROM p.t x         `-- node -- query 3 -- relation 4 "x" = p.t
 *                   WHERE x.c = w.a)                           `-- uses relation 1: correlated
 *
 * A query is a block (items, from, where ... having) or a set operation of queries (branches); both
 * may have ORDER BY and LIMIT. A column is a pair of relation and number, whatever query it stands
 * in. A name of WITH is one query to which several relations may refer; a derived table is referred
 * to once. A subquery is a leaf of an expression, like a column or an aggregate.
 *
 * Invariants: 1. every node has its type; the arguments of a comparison, BETWEEN and IN have one
 * representation (equal types, or BIGINT and INT), and so have a column's branches in a set
 * operation and the results of CASE and COALESCE. 2. a node whose arguments are all literals is a
 * literal, unless computing it fails where it may never be computed (a branch of CASE) or may take
 * long (function.h, unfolded). 3. columns of
 * a table are numbers: data columns first, partition columns behind them. 4. the list of all queries
 * is ordered: what a query reads or contains stands before it. 5. filters and domains of a relation
 * hold for every row of it that can have a part in the result: leaving out others changes nothing.
 * Memory: all in the binder's arena, text too; nothing borrows from the statement.
 */
#ifndef NODE_SQL_QUERY_H
#define NODE_SQL_QUERY_H

#include "node/sql/select.h"

enum node_kind {
    NODE_LITERAL,
    NODE_COLUMN,
    NODE_AGGREGATE,
    NODE_QUERY,    /* the one value of a subquery */
    NODE_EXISTS,   /* a subquery has rows */
    NODE_IN_QUERY, /* args[0] IN the column of a subquery; negated */
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
    NODE_DISTINCT, /* 2: never NULL; negated: <=> */
    NODE_CASE,     /* [operand,] condition, result, ... [, else]: simple, has_else */
    NODE_COALESCE,
    NODE_FUNCTION, /* function: function.h */
};

struct function;

enum aggregate {
    AGGREGATE_COUNT_ALL, /* COUNT(*): no argument */
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_AVG, /* of BIGINT, DOUBLE; that of DECIMAL is a division of two others */
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_MEDIAN,
    AGGREGATE_STDDEV, /* of the whole population */
    AGGREGATE_STDDEV_SAMPLE,
    AGGREGATE_VARIANCE,
    AGGREGATE_VARIANCE_SAMPLE,
    AGGREGATE_WM_CONCAT, /* value: the separator; args: text, then the keys of WITHIN GROUP */
};

struct node {
    enum node_kind kind;
    enum binary_op op;
    enum aggregate aggregate;
    bool negated;        /* NODE_IS_NULL, _BETWEEN, _IN, _LIKE, _DISTINCT, _IN_QUERY */
    bool distinct;       /* NODE_AGGREGATE */
    bool untyped;        /* NODE_LITERAL: NULL, which goes with every type */
    bool simple;         /* NODE_CASE: the first argument is compared with the conditions */
    bool has_else;       /* NODE_CASE */
    bool apart;          /* NODE_CASE, NODE_COALESCE: see node_apart_mark */
    bool lenient;        /* NODE_CAST, NODE_FUNCTION: what has no value is NULL and no error */
    bool ordered;        /* AGGREGATE_WM_CONCAT: by its keys, then by the text itself */
    uint32_t descending; /* AGGREGATE_WM_CONCAT: bit i: key i falls; the text is the last key */
    struct type type;
    const struct function *function; /* NODE_FUNCTION */
    struct value value;              /* NODE_LITERAL, AGGREGATE_WM_CONCAT */
    struct span literal_text;        /* NODE_LITERAL: a number as written, or empty */
    struct relation *relation;       /* NODE_COLUMN; NULL: a placeholder that only has a type;
                                      * AGGREGATE_COUNT_ALL, AGGREGATE_COUNT: the one that is counted
                                      * or summarised, or NULL */
    size_t column;                   /* NODE_COLUMN */
    struct query *query;             /* NODE_QUERY, NODE_EXISTS, NODE_IN_QUERY */
    struct span where;               /* NODE_QUERY: "line 1, column 9", for errors of the run */
    uint32_t at;
    uint32_t slot; /* what node_is_slot says, inside a program: its argument (print.h) */
    size_t arg_count;
    struct node *args[];
};

/* A conjunct over one column and literals that no row with NULL in the column satisfies. */
struct filter {
    struct node *node;
    struct filter *next;
};

enum { SUMMARY_MIN = 1, SUMMARY_MAX = 2 };

/* Something in FROM that has columns. */
struct relation {
    size_t number;                      /* in the statement */
    struct span name;                   /* the alias, or the table's or query's name */
    bool aliased;                       /* the table's own name does not name it */
    bool hidden;                        /* the right side of a semi or anti join, seen in ON only */
    bool materialized;                  /* read more than once in a run */
    const struct select_source *source; /* of a table, else NULL */
    struct query *query;                /* of WITH or in parentheses, else NULL */
    struct query *owner;                /* in whose FROM it stands */
    size_t width;                       /* columns */
    bool *used;                         /* of each column */
    size_t *columns;                    /* of a table: used, ascending */
    size_t column_count;
    struct filter *filters;        /* of a table; evaluating them never fails */
    struct select_domain *domains; /* of a table: what WHERE and the filters leave (domain.h) */
    size_t domain_count;
    bool limited;          /* of a table: a LIMIT may end its pass after a few rows */
    bool summarised;       /* of a table: read for COUNT, MIN, MAX alone (summary.h) */
    uint8_t *summary_ends; /* of each of `columns`: SUMMARY_MIN, SUMMARY_MAX: it is asked for */
    const struct node *summary_where; /* or NULL */
    bool counted;  /* of a table: read for COUNT(*) alone, so a batch is one row: its number */
    size_t wrap;   /* the printer's: in SQL it is a part of this subquery; 0: of none */
    bool prepared; /* the printer's */
};

struct join {
    enum join_kind kind;       /* of two sides */
    struct relation *relation; /* a leaf, else NULL */
    struct join *left, *right;
    struct node *on; /* or NULL */
};

struct query_item {
    struct node *node; /* in a set operation a placeholder with the type */
    struct span name;
    bool needed; /* by someone outside, or by the query itself */
};

struct query_order {
    struct node *node;  /* NULL: item_number */
    size_t item_number; /* from 1 */
    bool descending;
};

struct query {
    size_t number;
    struct query_item *items;
    size_t item_count;
    struct query **branches;     /* of a set operation */
    size_t branch_count;         /* 0: a block */
    enum set_op *ops;            /* branch_count - 1 */
    bool distinct;               /* from here to `having`: of a block */
    bool aggregated;             /* has aggregates or GROUP BY */
    struct join *from;           /* or NULL */
    struct relation **relations; /* of FROM, from left to right */
    size_t relation_count;
    struct node *where;     /* or NULL */
    bool grouped;           /* GROUP BY was said */
    struct node **group_by; /* without the constant ones */
    size_t group_by_count;
    struct node *having; /* or NULL */
    struct query_order *order_by;
    size_t order_by_count;
    bool has_limit;
    int64_t limit;
    int64_t offset;
    struct node **outer;   /* columns used here, or further in, that belong to queries around */
    size_t outer_count;    /* 0: not correlated */
    size_t references;     /* by relations, nodes and branches */
    size_t depth;          /* 1 + that of the deepest query read */
    size_t weight;         /* queries and tables, each as often as it is read */
    bool branch;           /* of a set operation */
    bool materialized;     /* read more than once in a run */
    struct filter *pushed; /* the binder's: filters from outside, over its columns' nodes */
};

/* A whole statement. The last query is the statement's own. */
struct query_list {
    struct query **queries;
    size_t count;
    struct relation **tables; /* relations that are tables, in order of their numbers */
    size_t table_count;
};

/* Of column `column` of a schema: data columns, then partition columns. */
const struct column *query_column(const struct schema *schema, size_t column);
struct span relation_column_name(const struct relation *relation, size_t column);
struct type relation_column_type(const struct relation *relation, size_t column);

/* Whether aggregate.h computes it; else SQLite or execute.c does. */
bool aggregate_has_state(const struct node *node);

/* Whether rows of a right side without a match are kept: RIGHT and FULL JOIN somewhere in it. */
bool join_keeps_right(const struct join *join);
bool node_equal(const struct node *a, const struct node *b); /* same meaning, places aside */
bool node_is_subquery(const struct node *node);
/* Columns, aggregates, subqueries and what stands apart: what a program is given the values of. */
bool node_is_slot(const struct node *node);
/* A finished CASE or COALESCE with a subquery in it stands apart: it is SQLite's own, which computes
 * only what it reaches, where a program is given all its values. In one another at most
 * `levels_max` deep (SQLite's parser): those around are programs. */
#define APART_LEVELS_MAX       3
#define APART_INNER_LEVELS_MAX 1   /* in a query within another */
#define APART_COALESCE_MAX     127 /* arguments of SQLite's functions */
void node_apart_mark(struct node *node, unsigned levels_max);
bool type_is_integer(struct type type); /* BIGINT, INT: one representation */
bool type_is_number(struct type type);

#endif
