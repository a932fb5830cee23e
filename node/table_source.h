/* A table or snapshot being read: its version pinned, and scans over it with what can be skipped.
 *
 *     table_source_open ──► table_source_scan ──► scan_next ...      any number of scans
 *
 * Threads: a source and its scans belong to one thread at a time.
 */
#ifndef NODE_TABLE_SOURCE_H
#define NODE_TABLE_SOURCE_H

#include "node/sql/select.h"
#include "store/reader.h"
#include "store/scan.h"

struct table_source;

/* ERR_NOT_FOUND: gone meanwhile. */
enum err_code table_source_open(struct store *store, struct table_id table,
                                struct table_source **ret_source, struct err *err);
void table_source_close(struct table_source *source); /* NULL is fine; scans are closed before */

const struct schema *table_source_schema(const struct table_source *source); /* borrows */
const struct reader_handle *table_source_reader(const struct table_source *source);

/* Columns count over the data columns and, behind them, the partition columns. Domains only prune:
 * borrowed until the scan is closed. */
struct table_scan;
enum err_code table_scan_open(struct table_source *source, const struct select_scan *what,
                              struct table_scan **ret_scan, struct err *err);
/* Valid until the next call; NULL at the end. */
enum err_code table_scan_next(struct table_scan *scan, const struct batch **ret_batch,
                              struct err *err);
void table_scan_close(struct table_scan *scan); /* NULL is fine */

/* What all scans that were closed have read since the process began. Any thread. */
struct table_scan_totals {
    uint64_t sources_open; /* now: each pins a version */
    uint64_t row_groups;
    uint64_t rows;
    uint64_t files;
    uint64_t file_bytes;
};
struct table_scan_totals table_scan_totals(void);

/* For struct select_source: `table` is a struct table_source. */
extern const struct select_source_ops table_source_ops;

#endif
