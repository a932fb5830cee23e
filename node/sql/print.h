/* A bound query -> SQLite SQL, and the programs that the SQL calls.
 *
 *     SELECT id, amount / 2 FROM p.t WHERE region LIKE 'a%' AND day > DATE '2024-01-01'
 *     SELECT "id", "evaluate"(0,"amount") FROM "p.t"
 *         WHERE "evaluate"(1,"region") AND ("day">19723)
 *
 * Invariants: 1. identifiers are double-quoted, numbers of type DOUBLE are parameters, texts are
 * single-quoted; nothing of the user's text stands outside quotes. 2. values have one form in SQLite,
 * which compares in our order: see value forms in execute.c. 3. parentheses and calls nest at most
 * PRINT_DEPTH_MAX deep (SQLite's parser ends near thirty calls); what is deeper is a program.
 */
#ifndef NODE_SQL_PRINT_H
#define NODE_SQL_PRINT_H

#include "node/sql/query.h"

#define PRINT_DEPTH_MAX   6
#define PROGRAM_SLOTS_MAX 126 /* SQLite's functions take 127 arguments; the first is the number */
#define PRINT_DOUBLES_MAX 100000

/* An expression that SQLite calls as "evaluate"(number, slots...). */
struct program {
    const struct node *root;
    struct node **slots; /* columns and aggregates: root's node.slot is the index here */
    size_t slot_count;
};

struct printed {
    struct bytes sql;
    struct bytes programs; /* struct program */
    struct bytes doubles;  /* parameters ?1, ?2, ... */
};

void printed_deinit(struct printed *printed);
size_t printed_program_count(const struct printed *printed);
const struct program *printed_program(const struct printed *printed, size_t i);

/* Slots live in the arena. ERR_LIMIT: an expression over too many columns. */
enum err_code query_print(struct query *query, struct arena *arena, struct printed *ret_printed,
                          struct err *err);
/* Appends "name" with its quotes doubled. */
void identifier_print(struct span name, struct bytes *out);

#endif
