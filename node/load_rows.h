/* Where the rows of a tunnel load go: one table, some of its partition values named at begin.
 *
 *     load_rows_open ──► load_rows_append ... ──► load_rows_commit ──► load_rows_close
 *
 * Nothing is visible before the commit. Knows nothing of requests, chunk numbers and time-outs:
 * node/loads.h. Threads: one at a time; blocks on disk.
 */
#ifndef NODE_LOAD_ROWS_H
#define NODE_LOAD_ROWS_H

#include "node/statement/statement.h"
#include "proto/operator.h"

struct load_rows;

struct load_rows_options {
    const struct statement_services *services;
    const struct principal *principal;
    const struct operator_load_begin *begin;
    size_t memory_bytes; /* before it spills */
    const char *address; /* where it comes from, for the audit log */
};

/* Authorises. ERR_TABLE_NOT_FOUND, ERR_DENIED; ERR_SEMANTIC, ERR_PARAMETER, ERR_NOT_FOUND: the
 * partition named is none. The options are not needed afterwards. */
enum err_code load_rows_open(const struct load_rows_options *options, struct load_rows **ret_rows,
                             struct err *err);
void load_rows_close(struct load_rows *rows); /* NULL is fine; drops what was not committed */

/* What is appended: data columns, then the partition columns that were not named. Borrows. */
struct load_columns {
    struct column *columns;
    size_t count;
    size_t partition_count; /* of them */
};
struct load_columns load_rows_columns(const struct load_rows *rows);

/* An encoded batch of those columns (proto/vector.h). ERR_BAD_DATA; then it can only be closed. */
enum err_code load_rows_append(struct load_rows *rows, struct span encoded, struct err *err);

struct load_rows_commit {
    const struct principal *principal;
    struct statement_id id;
    struct digest content; /* of the begin, remembered with the outcome */
};
/* Once. Authorises again. */
enum err_code load_rows_commit(struct load_rows *rows, const struct load_rows_commit *commit,
                               struct outcome *ret_outcome, struct err *err);

#endif
