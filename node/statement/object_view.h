/* Views whose rows are of tables and snapshots, read as they go: a project, a table, a chunk of its rows
 * at a time, each as it is when it is reached.
 *
 *     SELECT: object_view_ops -> object_functions->rows, and again while it says more
 *
 * The first three columns are table_catalog (the project), table_schema ('default') and table_name;
 * conditions that name their values are looked up, others leave out before `rows` is asked. What the
 * principal may not know is for `rows` to leave out, with authorise(), each time it is asked.
 * Memory: 16 bytes for each name of one project, a record and a chunk, whatever the rows.
 * Not here: views that are made whole (row_view.h).
 */
#ifndef NODE_STATEMENT_OBJECT_VIEW_H
#define NODE_STATEMENT_OBJECT_VIEW_H

#include "node/statement/lookup.h"
#include "node/statement/opaque_id.h"
#include "node/statement/row_view.h"
#include "store/reader.h"

#define OBJECT_VIEW_CHUNK_ROWS 1024
#define OBJECT_VIEW_SCHEMA     "default" /* every table's: there are no schemas in projects */

enum { OBJECT_VIEW_CATALOG, OBJECT_VIEW_SCHEMA_NAME, OBJECT_VIEW_NAME, OBJECT_VIEW_REST };

struct object_pass;

/* What such a view adds. */
struct object_functions {
    /* Rows of the pass's object into its batch. *ret_more: there are more; it is asked again for them,
     * with an empty batch, or one that has room. */
    enum err_code (*rows)(struct object_pass *pass, bool *ret_more, struct err *err);
    /* Of a view that knows more than an object: made when the pass comes to a project, NULL at first,
     * and freed by `forget`. May be absent. */
    enum err_code (*project)(struct object_pass *pass, void **ret_own, struct err *err);
    void (*forget)(void *own);
};

/* As `rows` sees it. */
struct object_pass {
    const struct object_functions *functions;
    const struct statement_services *services;
    const struct principal *principal;
    struct lookup object; /* where the pass is; its project alone while `project` is called */
    void *own;
    struct reader_handle *reader;        /* object_pass_version */
    struct partition_cursor *partitions; /* of `rows`; closed with the reader */
    struct select_scan scan;
    struct batch batch;
    struct arena *arena; /* of the object */
};

enum err_code object_view_open(const struct system_view *view, const struct statement_call *call,
                               void **ret_state, struct err *err);
void object_view_free(void *state);
extern const struct select_source_ops object_view_ops;

/* ---- for `rows` ---- */

struct object object_pass_object(const struct object_pass *pass);
bool object_pass_may(const struct object_pass *pass, enum action action);
/* Does the query use the column, here and not in conditions alone that are pushed down? */
bool object_pass_wants(const struct object_pass *pass, size_t column);
/* The object's version, pinned while the pass is at the object. ERR_NOT_FOUND: dropped meanwhile. */
enum err_code object_pass_version(struct object_pass *pass,
                                  const struct version_record **ret_version, struct err *err);
/* The first three of the row's values. */
void object_pass_names(const struct object_pass *pass, struct value *values);
void object_pass_put(struct object_pass *pass, const struct value *values);

/* cluster_type and number_buckets; a range may have 0: as many as its rows ask for. */
void clustering_values(const struct clustering *clustering, struct value *ret_type,
                       struct value *ret_buckets);

#endif
