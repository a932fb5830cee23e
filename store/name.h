/* Names of tables and snapshots: one namespace a project, without regard to (ASCII) case.
 *
 * A name gives a kind and an id; records keep the name in the case it was made with. The second half
 * serves table.c and snapshot.c, which change names in their own catalog changes. Threads: any.
 */
#ifndef STORE_NAME_H
#define STORE_NAME_H

#include "store/project.h"

enum name_kind {
    NAME_TABLE = 1,
    NAME_SNAPSHOT = 2,
};

struct name_target {
    enum name_kind kind;
    struct table_id id;
};

/* What a name stands for: a table or a snapshot. ERR_TABLE_NOT_FOUND. */
enum err_code name_find(struct store *store, struct db_view *view, struct project_id project,
                        struct span name, struct name_target *ret_target, struct err *err) MUST_USE;
/* In order of folded names. */
typedef enum err_code on_name(void *context, struct name_target target, struct err *err);
enum err_code name_each(struct store *store, struct db_view *view, struct project_id project,
                        on_name *callback, void *context, struct err *err) MUST_USE;

/* ---- in a catalog change ---- */

/* What the name stands for at the moment; *ret_found false: it is free. */
enum err_code name_look(struct store *store, struct db_view *view, struct project_id project,
                        struct span name, struct name_target *ret_target, bool *ret_found,
                        struct err *err) MUST_USE;
/* The change expects the name to be free, in a project that stays, and gives it. ERR_EXISTS. */
enum err_code name_claim(struct store *store, struct catalog_change *change,
                         struct project_id project, struct span name, struct name_target target,
                         struct err *err) MUST_USE;
/* The change expects the name to stand for `old` and gives it to `target`. */
void name_replace(struct catalog_change *change, struct project_id project, struct span name,
                  struct name_target old, struct name_target target);
/* The change expects the name to stand for target and frees it. */
void name_release(struct catalog_change *change, struct project_id project, struct span name,
                  struct name_target target);

#endif
