/* A view whose rows are all made when it is opened: for what fits in memory (ROW_VIEW_BYTES_MAX).
 *
 *     open: row_view_new -> row_view_add ... -> SELECT: row_view_ops
 *
 * Not here: views that are read as they go (audit_view.c).
 */
#ifndef NODE_STATEMENT_ROW_VIEW_H
#define NODE_STATEMENT_ROW_VIEW_H

#include "node/statement/system_view.h"

#define ROW_VIEW_BYTES_MAX (64 * MIB(1))

struct row_view;

struct row_view *row_view_new(const struct system_view *view);
void row_view_free(void *view); /* the view's close; NULL is fine */
/* One for each column of the view; text is copied. ERR_LIMIT. */
enum err_code row_view_add(struct row_view *view, const struct value *values,
                           struct err *err) MUST_USE;

extern const struct select_source_ops row_view_ops;

/* ---- values ---- */

struct value row_text(struct span text);  /* NULL when empty or not UTF-8 */
struct value row_number(uint64_t number); /* at most INT64_MAX */
struct value row_time(uint64_t time_ms);  /* DATETIME; 0: NULL */
struct value row_boolean(bool truth);
struct value row_real(double number, bool null); /* DOUBLE */

#endif
