/* A SELECT whose rows go into a table: INSERT ... SELECT, CREATE TABLE ... AS SELECT.
 *
 *     written_query_open ──► (plan, ingest_open) ──► written_query_run ──► ingest_commit
 *      sources pinned, Select asked                   a MiB at a time, from the engine to the ingest
 *
 * What is read is what was there when it was opened, also where the table that is written is read.
 * Memory: the engine's (select_memory), a MiB of rows, and the ingest's: all such statements
 * together gather rows in at most twice load_memory (and LOAD_MEMORY_BYTES_MIN each).
 * select_time is the time of the whole statement, up to its commit; select_rows and select_result
 * limit what clients are sent and nothing here.
 * Threads: one worker; `cancel` of the call is looked at between rows, files and pages.
 */
#ifndef NODE_STATEMENT_WRITTEN_QUERY_H
#define NODE_STATEMENT_WRITTEN_QUERY_H

#include "node/ingest.h"
#include "node/statement/catalog.h"
#include "node/statement/insert_plan.h"
#include "node/statement/lookup.h"

/* Zeroed is valid: nothing is open. Not to be moved while it is open. */
struct written_query {
    const struct statement_call *call;
    struct catalog_scope scope;
    const struct lookup *table; /* that the rows go into, borrowed; NULL: into one that is made */
    struct select_catalog catalog;
    struct select_options options;
    struct select_cursor *cursor;
    size_t memory_bytes;  /* for the ingest */
    uint64_t deadline_ms; /* by the monotonic clock; 0: none */
    struct arena scratch; /* of one value */
};

/* As select_open. project: into which the rows go; what is read has to be let go there. Borrowed. */
enum err_code written_query_open(struct written_query *query, const struct statement_call *call,
                                 const struct project_record *project, const struct select *select,
                                 struct err *err);
void written_query_close(struct written_query *query);
#define WRITTEN_QUERY_CLEANUP __attribute__((cleanup(written_query_close)))

/* Ends the ingest when the statement is cancelled or over its time: ERR_CANCELLED, ERR_TIMEOUT. */
struct ingest_watch written_query_watch(struct written_query *query);

/* All rows, by the plan, whose width is the query's. It may take hours: every right is asked again with
 * each block, and behind the last one (ERR_DENIED). ERR_CAST, ERR_SEMANTIC name column and value;
 * else as select_next and ingest_append. */
enum err_code written_query_run(struct written_query *query, const struct insert_plan *plan,
                                struct ingest *ingest, struct err *err);

#endif
