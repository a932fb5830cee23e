/* A CLUSTERED BY clause and the columns that it names. */
#ifndef NODE_STATEMENT_CLUSTER_H
#define NODE_STATEMENT_CLUSTER_H

#include "node/sql/ast.h"
#include "proto/clustering.h"

/* Without a clause: not clustered. ERR_SEMANTIC: a column is not there, is a partition column, is
 * named twice; SORTED BY of a range that begins with other columns. */
enum err_code clustering_make(const struct cluster_clause *clause, const struct schema *schema,
                              struct clustering *ret_clustering, struct err *err);

#endif
