/* Rows into a table: the one way for INSERT and for tunnel loads.
 *
 *     ingest_open ──► ingest_append ... ──► ingest_commit ──► ingest_close
 *                     (column files flow into the store)      edits of the manifest tree, one commit
 *
 * Nothing is visible before ingest_commit, all of it after. The table is read at open for its
 * schema; the commit builds on the table as it is then, and fails with ERR_CONFLICT when its schema
 * has changed meanwhile. Threads: one at a time for an ingest; blocks on disk.
 */
#ifndef NODE_INGEST_H
#define NODE_INGEST_H

#include "node/authorise.h"
#include "node/outcome.h"
#include "proto/operator.h"
#include "proto/vector.h"
#include "store/table.h"

struct ingest;

/* Asked often, on the ingest's thread, until the commit is about to be made: anything but ERR_OK
 * ends it. NULL: nobody is asked. */
struct ingest_watch {
    enum err_code (*look)(void *context, struct err *err);
    void *context;
};

struct ingest_options {
    struct store *store;
    struct account_id account; /* owner of the project */
    struct table_id table;
    /* A table that the commit makes, with the rows in it, in place of `table`; or NULL. Borrowed. */
    const struct table_spec *create;
    enum upload_mode mode;
    size_t memory_bytes; /* before it spills */
    struct ingest_watch watch;
};

enum err_code ingest_open(const struct ingest_options *options, struct ingest **ret_ingest,
                          struct err *err);
void ingest_close(struct ingest *ingest); /* NULL is fine; drops what was not committed */
void ingest_close_pointer(struct ingest **ingest);
#define INGEST_CLEANUP __attribute__((cleanup(ingest_close_pointer)))

const struct schema *ingest_schema(const struct ingest *ingest); /* borrows */
/* Whether the table has this partition. */
enum err_code ingest_has_partition(const struct ingest *ingest, struct span key, bool *ret_has,
                                   struct err *err);
/* Data columns, then partition columns (batch_init_all). ERR_BAD_DATA. */
enum err_code ingest_append(struct ingest *ingest, const struct batch *batch, struct err *err);
/* The partition is there afterwards, even without a row. */
enum err_code ingest_touch(struct ingest *ingest, struct span key, struct err *err);

struct ingest_commit {
    enum history_operation operation;
    uint64_t now_ms;
    const struct principals *principals;
    const struct principal *principal;
    struct statement_id statement;
    struct digest content; /* for the outcome that is remembered */
};

/* Once. ret_outcome's notice is empty. ERR_EXISTS: of a table that it makes. Rows may have come for hours,
 * so rights are asked again, last of all: ERR_DENIED, also when the key of the principal was dropped;
 * ERR_CREDENTIALS: the principal is gone. */
enum err_code ingest_commit(struct ingest *ingest, const struct ingest_commit *commit,
                            struct outcome *ret_outcome, struct err *err);

#endif
