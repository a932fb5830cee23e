/* SELECT: bound and typed here, executed by SQLite over our column files.
 *
 *     ast --bind*.c--> typed tree --print*.c--> SQLite SQL --execute.c--> rows in batches
 *                        |                                    |
 *                        | columns used, conjuncts            | one virtual table per place of a
 *                        | of each place in a FROM            | table in a FROM:
 *                        +------------> struct select_scan ---+ select_source.open / next / close
 *
 * Invariants: 1. SQLite never sees a name, function or type that the binder did not put there. 2.
 * what is pushed down only prunes: every row is still checked by SQLite, so a source may give out
 * more than asked. 3. a table is pinned once at one
 * version, however often it is named. 4. a result's column
 * types come from the typed tree, never from SQLite. Threads: a cursor belongs to one thread at a
 * time; several cursors may run at once; `cancel` may be set by any thread.
 */
#ifndef NODE_SQL_SELECT_H
#define NODE_SQL_SELECT_H

#include <stdatomic.h>

#include "node/sql/ast.h"
#include "proto/vector.h"

/* ---- what a table looks like from here: implemented over store/scan.h by the daemon ---- */

/* Values of a column; the ends are of its type and never NULL. */
struct select_interval {
    bool has_low; /* false: unbounded; NaN is greater than every number */
    bool has_high;
    bool low_open; /* the end itself is outside */
    bool high_open;
    struct value low;
    struct value high;
};

/* What WHERE leaves of one column: a row that has there neither a value of the intervals nor a NULL
 * that is allowed cannot be in the result. */
struct select_domain {
    size_t column; /* as in struct select_scan */
    bool null;
    const struct select_interval *intervals; /* ascending, apart */
    size_t interval_count;                   /* at most SELECT_INTERVALS_MAX */
};

/* What is known of the values of a column in some rows: nothing but NULL and NaN lies outside min
 * and max. */
struct select_bounds {
    bool has_null;
    bool has_value; /* false: all are NULL */
    bool has_nan;
    bool has_min;
    bool has_max;
    struct value min;
    struct value max;
};

void select_bounds_add(struct select_bounds *bounds, struct type type, struct value value);

/* False: no row of those can satisfy the domain. */
bool select_domain_possible(const struct select_domain *domain, struct type type,
                            const struct select_bounds *bounds);

/* What is known of a column in a row group without reading it. Texts borrow as the bounds do. */
struct select_summary {
    struct type type;
    uint64_t null_count;
    struct select_bounds bounds;
    bool exact_min; /* the least value is bounds.min; NaN where all are; NULL without a value */
    bool exact_max; /* the greatest is NaN if there is one, else bounds.max; NULL likewise */
};

/* What one pass over a table needs. Columns are counted over the data columns and, behind them, the
 * partition columns. Domains of partition columns choose partitions; all are for pruning only. */
struct select_scan {
    const size_t *columns; /* ascending; none: only the number of rows is asked for */
    size_t column_count;
    const struct select_domain *domains; /* all must hold; each of another column, used or not */
    size_t domain_count;
    /* NULL, or asked before a row group is read, with a summary of each column: true when that is
     * enough, and no vector of it will be fetched. */
    bool (*enough)(const void *context, const struct select_summary *columns, uint64_t rows);
    const void *context;
};

/* Why a pass leaves rows out. */
enum select_reason {
    SELECT_READ,       /* it does not */
    SELECT_SUMMARISED, /* it does not, but for these the statistics are enough */
    SELECT_PARTITION,  /* the partition's value is not in the column's domain */
    SELECT_BOUNDS,     /* min .. max of the column is outside its domain */
    SELECT_ALL_NULL,   /* the column has NULLs only, and its domain none */
    SELECT_NO_NULL,    /* the other way round */
    SELECT_IMPOSSIBLE, /* the domain is empty: no value satisfies the condition */
    SELECT_BUCKET,     /* no value of the clustering columns' domains is in the bucket */
    SELECT_SORT_KEYS,  /* first .. last sort key is outside what the domains leave */
};

/* A part of a table that a pass reads or leaves out as one: a row group, or a whole partition. */
struct select_part {
    enum select_reason reason;
    bool whole_partition;      /* its row groups are not looked at */
    struct span partition_key; /* partition_format gives the text; borrows during the call */
    size_t column;             /* whose domain decided, as in struct select_scan */
    struct value min, max;     /* SELECT_BOUNDS; NULL: not known. Borrow likewise */
    bool is_clustered;         /* the row group is in this bucket of this segment */
    uint32_t segment;
    uint32_t bucket;
    uint64_t rows; /* 0 for a whole partition, as what follows */
    uint64_t files;
    uint64_t file_bytes;
};
typedef enum err_code select_part_function(void *context, const struct select_part *part,
                                           struct err *err);

struct select_source_ops {
    /* Starts a pass. What the scan points to is borrowed until close. */
    enum err_code (*open)(void *table, const struct select_scan *scan, void **ret_pass,
                          struct err *err);
    /* The next rows: vectors in order of scan->columns; with no columns, rows alone is set. A vector
     * has the rows that were fetched, at first none. Borrowed until the next call; NULL at the end.
     * Never an empty batch. */
    enum err_code (*next)(void *pass, const struct batch **ret_batch, struct err *err);
    /* Brings at least the first `rows` rows of vector `column` into the batch at hand; not asked for
     * rows that are there. */
    enum err_code (*fetch)(void *pass, size_t column, size_t rows, struct err *err);
    /* Of the batch at hand, one for each column, where scan->enough said so, else NULL. Borrowed like
     * the batch. May be absent: scan->enough is not asked. */
    const struct select_summary *(*summary)(void *pass);
    void (*close)(void *pass);
    /* What a pass to its end would read and leave out, in its order; opens no column file. */
    enum err_code (*explain)(void *table, const struct select_scan *scan,
                             select_part_function *on_part, void *context, struct err *err);
};

struct select_source {
    const struct select_source_ops *ops;
    void *table;                 /* pinned at one version until the catalog's release */
    const struct schema *schema; /* borrowed likewise */
    struct span project; /* the table's full name, borrowed while select_open runs: what is */
    struct span object;  /* equal here, letters' case aside, is one table */
};

/* Finds, authorises and pins. Asked for every table of a statement, wherever it stands; of those
 * that are one table only the first is kept. ERR_TABLE_NOT_FOUND, ERR_DENIED. */
struct select_catalog {
    void *context;
    enum err_code (*find)(void *context, const struct name *name, struct select_source *ret_source,
                          struct err *err);
    void (*release)(void *context, struct select_source *source);
};

/* ---- running one ---- */

/* What a text without a value becomes where a number or a day is wanted, and what a function does
 * outside its domain: odps.function.strictmode, odps.sql.udf.strict.mode. */
enum select_mode {
    SELECT_MODE_DEFAULT, /* an error; but SUM, AVG and their like read a text's leading number */
    SELECT_MODE_STRICT,  /* an error, everywhere */
    SELECT_MODE_LENIENT, /* CAST reads a leading number; the rest is NULL */
};

/* Takes one of a request's settings: changes *mode if it is about it. ERR_PARAMETER: neither true
 * nor false. */
enum err_code select_mode_set(struct span key, struct span value, enum select_mode *mode,
                              struct err *err);

/* Of one query; 0: no limit. */
struct select_limits {
    uint64_t time_ms_max;        /* of execution; then ERR_TIMEOUT */
    uint64_t memory_bytes_max;   /* of the engine; then ERR_LIMIT, as what follows */
    uint64_t temp_bytes_max;     /* of temporary files at one time */
    uint64_t disk_reserve_bytes; /* that they leave free; else ERR_NO_SPACE */
    uint64_t rows_max;           /* of the result */
    uint64_t result_bytes_max;   /* plain bytes of it */
};

struct select_options {
    const struct select_catalog *catalog; /* borrowed until select_close */
    atomic_bool *cancel;                  /* or NULL; borrowed until select_close */
    struct select_limits limits;
    enum select_mode mode;
    int64_t now_ms; /* since 1970: what GETDATE() and its like say, all of them the same */
};

/* A table of a query and what is asked of it; borrows during the call. */
struct select_use {
    struct span alias; /* or empty */
    const struct select_source *source;
    const struct select_scan *scan;
};
typedef enum err_code select_use_function(void *context, const struct select_use *use,
                                          struct err *err);

/* Binds a SELECT and gives out its sources without running it. Of the options only what
 * binding needs. As select_open. */
enum err_code select_explain(const struct select *select, struct span text,
                             const struct select_options *options, select_use_function *on_use,
                             void *context, struct err *err);

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
 * ERR_TIMEOUT, ERR_LIMIT, ERR_NO_SPACE, ERR_SEMANTIC (overflow), whatever the source gives. After an error only close. */
enum err_code select_next(struct select_cursor *cursor, size_t bytes_max, struct batch *batch,
                          bool *ret_end, struct err *err);
void select_close(struct select_cursor *cursor); /* NULL is fine */

#endif
