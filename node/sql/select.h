/* SELECT: bound and typed here, executed by SQLite over our column files.
 *
 *     ast --bind.c--> typed tree --print.c--> SQLite SQL --execute.c--> rows in batches
 *                        |                                    |
 *                        | columns used, conjuncts            | one virtual table per source:
 *                        +------------> struct select_scan ---+ select_source.open / next / close
 *
 * Invariants: 1. SQLite never sees a name, function or type that the binder did not put there. 2.
 * what is pushed down only prunes: every row is still checked by SQLite, so a source may give out
 * more than asked. 3. one source is opened at one version and stays there. 4. a result's column
 * types come from the typed tree, never from SQLite. Threads: a cursor belongs to one thread at a
 * time; several cursors may run at once; `cancel` may be set by any thread.
 */
#ifndef NODE_SQL_SELECT_H
#define NODE_SQL_SELECT_H

#include <stdatomic.h>

#include "node/sql/ast.h"
#include "proto/vector.h"

/* ---- what a table looks like from here: implemented over store/scan.h by the daemon ---- */

/* "column op literal", one conjunct of WHERE. value is never NULL, of the column's type. */
struct select_range {
    size_t column;     /* as in struct select_scan */
    enum binary_op op; /* OP_EQUAL, OP_LESS, OP_LESS_EQUAL, OP_GREATER, OP_GREATER_EQUAL */
    struct value value;
};

/* What is known of the values of a column in some rows: nothing but NULL and NaN lies outside. */
struct select_bounds {
    bool has_min;
    bool has_max;
    bool has_nan; /* NaN is greater than every number */
    struct value min;
    struct value max;
};

/* False: no row of those can satisfy the range. */
bool select_range_possible(const struct select_range *range, struct type type,
                           const struct select_bounds *bounds);

/* What one pass over a table needs. Columns are counted over the data columns and, behind them, the
 * partition columns. Ranges on partition columns choose partitions; all are for pruning only. */
struct select_scan {
    const size_t *columns; /* ascending; none: only the number of rows is asked for */
    size_t column_count;
    const struct select_range *ranges; /* all must hold; on any column, used or not */
    size_t range_count;
};

struct select_source_ops {
    /* Starts a pass. The scan is borrowed until close. */
    enum err_code (*open)(void *table, const struct select_scan *scan, void **ret_pass,
                          struct err *err);
    /* The next rows: vectors in order of scan->columns; with no columns, rows alone is set.
     * Borrowed until the next call; NULL at the end. Never an empty batch. */
    enum err_code (*next)(void *pass, const struct batch **ret_batch, struct err *err);
    void (*close)(void *pass);
};

struct select_source {
    const struct select_source_ops *ops;
    void *table;                 /* pinned at one version until the catalog's release */
    const struct schema *schema; /* borrowed likewise */
};

/* Finds, authorises and pins. ERR_TABLE_NOT_FOUND, ERR_DENIED. */
struct select_catalog {
    void *context;
    enum err_code (*find)(void *context, const struct name *name, struct select_source *ret_source,
                          struct err *err);
    void (*release)(void *context, struct select_source *source);
};

/* ---- running one ---- */

struct select_options {
    const struct select_catalog *catalog; /* borrowed until select_close */
    atomic_bool *cancel;                  /* or NULL; borrowed until select_close */
    uint64_t time_ms_max;                 /* of execution, 0: none; then ERR_TIMEOUT */
};

struct result_column {
    struct span name;
    struct type type; /* of a NULL literal: STRING */
};

struct select_cursor;

/* Once in a process, before the first cursor: temporary files go to temp_dir (copied). */
enum err_code select_start(const char *temp_dir, struct err *err);

/* Binds, types, pins the sources and prepares. Nothing of the statement is needed afterwards. */
enum err_code select_open(const struct select *select, struct span text,
                          const struct select_options *options, struct select_cursor **ret_cursor,
                          struct err *err);
/* Borrows from the cursor. */
const struct result_column *select_columns(const struct select_cursor *cursor, size_t *ret_count);
/* An empty batch of the result's types; batch_deinit ends it. */
void select_batch_init(const struct select_cursor *cursor, struct batch *batch);
/* Clears `batch` and fills it with whole rows until it holds bytes_max plain bytes or more (at
 * least one row) or the result ends; *ret_end: no more rows after these. ERR_CANCELLED,
 * ERR_TIMEOUT, ERR_SEMANTIC (overflow), whatever the source gives. After an error only close. */
enum err_code select_next(struct select_cursor *cursor, size_t bytes_max, struct batch *batch,
                          bool *ret_end, struct err *err);
void select_close(struct select_cursor *cursor); /* NULL is fine */

#endif
