/* What a table was: one record for each change of it, kept for the node's history_retention.
 *
 * Key: table id | sequence. A record names the version after its operation. Threads: any.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "store/project.h"

/* Newest first; stops when on_history sets *ret_stop. */
typedef enum err_code on_history(void *context, const struct history_record *record, bool *ret_stop,
                                 struct err *err);
enum err_code history_each(struct store *store, struct db_view *view, struct table_id table,
                           on_history *callback, void *context, struct err *err) MUST_USE;
/* The version at that moment. ERR_NOT_FOUND: not kept, or before the table. */
enum err_code history_at(struct store *store, struct table_id table, uint64_t time_ms,
                         struct arena *arena, struct history_record *ret_record,
                         struct err *err) MUST_USE;
/* Removes what nobody can ask for any more: records with a successor from before before_ms, and all
 * of dropped tables from before it. At most 1,000 a call. */
enum err_code history_expire(struct store *store, uint64_t before_ms, size_t *ret_removed,
                             struct err *err) MUST_USE;

#endif
