/* A bound statement -> SQLite SQL, and the programs that the SQL calls.
 *
 *     SELECT id, amount / 2 FROM p.t JOIN p.u ON k = id WHERE region LIKE 'a%' AND d > 7
 *
 *     WITH "s1" AS MATERIALIZED(SELECT "c0","c3" FROM "p.u 1" AS "s1" WHERE ("s1"."c3">7))
 *     SELECT "s0"."c0" AS "c0","evaluate"(0,"s0"."c1") AS "c1"
 *         FROM "p.t 0" AS "s0" JOIN "s1" ON ("s1"."c0"="s0"."c0")
 *         WHERE ("evaluate"(1,"s0"."c2") AND ("s1"."c3">7))
 *
 * s1, a relation; c1, a column of a table or query; q1, a query; j1, a part of a FROM that is printed
 * as a query of its own. A table has one virtual table for each place in a FROM: "project.table 0".
 * What is read more than once is materialized, and SQLite makes an index of it where it looks for
 * equal values; it does not for a virtual table. Queries that use nothing of those around are all
 * named side by side in WITH, as SQLite's parser cannot take them one in the other.
 *
 * Invariants: 1. identifiers are double-quoted, numbers of type DOUBLE are parameters, texts are
 * single-quoted; nothing of the user's text stands outside quotes. 2. values have one form in SQLite,
 * which compares in our order: form.h. 3. parentheses and calls nest at most PRINT_DEPTH_MAX deep
 * (SQLite's parser ends near thirty calls), PRINT_INNER_DEPTH_MAX in a query within another; what is
 * deeper is a program.
 */
#ifndef NODE_SQL_PRINT_H
#define NODE_SQL_PRINT_H

#include "node/sql/query.h"

#define PRINT_DEPTH_MAX       6
#define PRINT_INNER_DEPTH_MAX 2
/* SQLite's functions take 127 arguments. Of a program's slots the first go by themselves, the others
 * in packs (slots.h); the number stands before both, and before a pack the number of its first. */
#define PROGRAM_DIRECT_SLOTS 110
#define PROGRAM_PACK_SLOTS   125
#define PROGRAM_PACKS_MAX    16
#define PROGRAM_SLOTS_MAX    (PROGRAM_DIRECT_SLOTS + PROGRAM_PACKS_MAX * PROGRAM_PACK_SLOTS)
#define PRINT_DOUBLES_MAX    100000

/* An expression that SQLite calls as "evaluate"(number, slots..., packs...). */
struct program {
    const struct node *root;
    struct node **slots; /* node_is_slot: root's node.slot is the index here */
    size_t slot_count;
};

struct printed {
    struct bytes sql;
    struct bytes programs;   /* struct program */
    struct bytes doubles;    /* parameters ?1, ?2, ... */
    struct bytes aggregates; /* struct node *, called as "aggregate_0"(...), "aggregate_1"(...) */
};

void printed_deinit(struct printed *printed);
size_t printed_program_count(const struct printed *printed);
const struct program *printed_program(const struct printed *printed, size_t i);

size_t printed_aggregate_count(const struct printed *printed);
const struct node *printed_aggregate(const struct printed *printed, size_t i);
#define AGGREGATE_PREFIX     "aggregate_"
#define AGGREGATE_NAME       AGGREGATE_PREFIX "%zu"
#define AGGREGATE_NAME_BYTES 32

/* Slots live in the arena. ERR_LIMIT: an expression over too many columns, correlated queries too
 * deep. */
enum err_code query_print(const struct query_list *list, struct arena *arena,
                          struct printed *ret_printed, struct err *err);
/* Appends the name of a table's virtual table; quoted. Its columns are "c<number>" for each of
 * relation->columns. */
void table_name_append(const struct relation *relation, struct bytes *out);
void table_name_print(const struct relation *relation, struct bytes *out);
/* Whether it is a virtual table's, or one of the printer's WITH: there are no others. */
bool table_name_is_known(const struct query_list *list, struct span name);

/* ---- among the printer's files ---- */

struct printer {
    struct arena *arena;
    struct printed *out;
    struct bytes *sql; /* what is being written */
    struct bytes with; /* "name" AS (query), ... */
    unsigned inside;   /* queries that are printed within one another */
    size_t wraps;
};

/* print.c: expressions */
enum err_code print_node(struct printer *printer, struct node *node, unsigned depth,
                         struct err *err);
/* print_from.c */
enum err_code print_from(struct printer *printer, const struct query *query, struct err *err);
/* print_query.c: what stands for a query in a FROM: its name, or itself in parentheses */
enum err_code print_reference(struct printer *printer, const struct query *query, struct err *err);
/* Around a query that is printed within another. ERR_LIMIT. */
enum err_code print_enter(struct printer *printer, struct err *err);
void print_leave(struct printer *printer);
/* NODE_QUERY, NODE_EXISTS, NODE_IN_QUERY */
enum err_code print_subquery(struct printer *printer, struct node *node, unsigned depth,
                             struct err *err);

#endif
