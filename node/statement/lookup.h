/* Names in statements: found, and authorised on the way.
 *
 * The owner of the project is asked about before the name is looked up, so that nobody learns of
 * names where they may nothing. Records live in the call's arena.
 */
#ifndef NODE_STATEMENT_LOOKUP_H
#define NODE_STATEMENT_LOOKUP_H

#include "node/statement/statement.h"
#include "store/snapshot.h"
#include "store/table.h"

/* By name; empty: the current project. ERR_SEMANTIC without either; ERR_NOT_FOUND. */
enum err_code lookup_project(const struct statement_call *call, struct span name,
                             enum action action, struct project_record *ret_project,
                             struct err *err);

struct lookup {
    struct project_record project;
    struct span name; /* as written */
    enum name_kind kind;
    struct table_id id;
    struct table_record table;       /* NAME_TABLE */
    struct snapshot_record snapshot; /* NAME_SNAPSHOT */
};

/* A table or snapshot, with the action authorised on it. ERR_TABLE_NOT_FOUND. */
enum err_code lookup_any(const struct statement_call *call, const struct name *name,
                         enum action action, struct lookup *ret_lookup, struct err *err);
/* The same; of the other kind is an error that says what to write. */
enum err_code lookup_table(const struct statement_call *call, const struct name *name,
                           enum action action, struct lookup *ret_lookup, struct err *err);
enum err_code lookup_snapshot(const struct statement_call *call, const struct name *name,
                              enum action action, struct lookup *ret_lookup, struct err *err);

/* A new name: its project, with CreateTable authorised, and the rules for names. */
enum err_code lookup_new(const struct statement_call *call, const struct name *name,
                         struct project_record *ret_project, struct err *err);

/* The version record of a table or snapshot, pinned. */
const struct version_ref *lookup_version(const struct lookup *lookup);

#endif
