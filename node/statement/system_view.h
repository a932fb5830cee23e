/* Views of SYSTEM_CATALOG.INFORMATION_SCHEMA: tables for SELECT that are made as they are read.
 *
 *     catalog.c --name.system--> system_view_find --table--> audit_view.c, ...
 *
 * A view is a row source like a table's (node/sql/select.h): it gives out what the principal may
 * know, decided by authorise(), in bounded memory. One view a file; the table is in system_view.c.
 */
#ifndef NODE_STATEMENT_SYSTEM_VIEW_H
#define NODE_STATEMENT_SYSTEM_VIEW_H

#include "node/sql/select.h"
#include "node/statement/statement.h"

#define SYSTEM_VIEW_SCHEMA "SYSTEM_CATALOG.INFORMATION_SCHEMA"

struct object_functions;

struct system_view_column {
    const char *name;
    enum type_kind kind; /* not DECIMAL */
    bool not_null;
};

/* What a view is. */
struct system_view {
    const char *name;
    const struct system_view_column *columns;
    size_t column_count;
    const struct select_source_ops *ops;
    /* What `ops` take as the table: as of now, for this principal. Outlives the call; close ends it. */
    enum err_code (*open)(const struct system_view *view, const struct statement_call *call,
                          void **ret_state, struct err *err);
    void (*close)(void *state);
    const struct object_functions *object; /* of those of object_view.h */
};

extern const struct system_view audit_view, catalogs_view, columns_view, lag_view, partitions_view,
    privileges_view, receipts_view, roles_view, runs_view, tables_view, tasks_view, usage_view,
    user_roles_view, users_view;

struct snapshot_record;
/* How many receipts are shown for it, and are true. receipts_view.c */
enum err_code receipts_count(struct store *store, const struct snapshot_record *snapshot,
                             uint64_t *ret_count, struct err *err) MUST_USE;

/* For struct select_catalog. ERR_TABLE_NOT_FOUND names the views that there are. */
enum err_code system_view_find(const struct statement_call *call, const struct name *name,
                               struct select_source *ret_source, struct err *err) MUST_USE;
void system_view_close(void *table);

/* ---- for the views ---- */

/* The state that the view's open made, of what the ops were given as table. */
void *system_view_state(void *table);
/* One row into a batch of the wanted columns: values for all columns of the view. */
void system_view_row(const struct select_scan *scan, const struct value *values,
                     struct batch *batch);
void system_view_batch_init(const struct system_view *view, const struct select_scan *scan,
                            struct batch *batch);

#endif
