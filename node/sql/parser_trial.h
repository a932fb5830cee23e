/* What the tests of statement text share: a text parsed, and what it says compared. Trees live in
 * parser_trial_arena, which each program inits. */
#ifndef NODE_SQL_PARSER_TRIAL_H
#define NODE_SQL_PARSER_TRIAL_H

#include "node/sql/parser.h"

extern struct arena parser_trial_arena;

const struct statement *parse(const char *sql); /* the test fails where it does not */
void span_is(struct span span, const char *text);
void name_is(struct name name, const char *project, const char *object);
/* It does not parse, and this is why. */
void error_is(const char *sql, enum err_code code, const char *message);

#endif
