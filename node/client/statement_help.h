/* What `help` in the shell and `strait sql --help` say of the statements: the form of each kind. */
#ifndef NODE_CLIENT_STATEMENT_HELP_H
#define NODE_CLIENT_STATEMENT_HELP_H

#include "proto/bytes.h"

#include <stdio.h>

/* A line, or some; NULL: the grammar knows it, and no node does it yet. Static text. kind: an enum
 * statement_kind; node/sql/ast.h is not included here, its options are others than getopt's. */
const char *statement_help_form(unsigned kind);
/* Those that have all of the words, in whatever letters; no word: all of them. Returns how many. */
size_t statement_help_print(FILE *out, struct span words);

#endif
