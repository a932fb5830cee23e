/* CREATE TABLE in its forms; private to table.c and create_as.c. */
#ifndef NODE_STATEMENT_CREATE_TABLE_H
#define NODE_STATEMENT_CREATE_TABLE_H

#include "node/statement/new_table.h"

/* AS SELECT, of a name that is free or replaced: spec has all but the schema. */
enum err_code create_table_as(const struct statement_call *call, const struct new_table *new,
                              const struct table_spec *spec, struct err *err);

#endif
