/* Names in statements: found, and authorised on the way.
 *
 * What is not there is asked about all the same: who may not see it is refused in the words that they
 * would get if it were there (node/authorise.h). Records live in the call's arena.
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

/* For what reads or writes rows: ERR_SEMANTIC for an external table, which has none here. what: as
 * in "... is an external table: CLONE TABLE ...". */
enum err_code lookup_has_rows(const struct lookup *lookup, const char *what, struct err *err);
/* Its TBLPROPERTIES("transactional"="true"), or NULL: it is not a transactional table. */
const struct table_property *lookup_transactional(const struct lookup *lookup);
/* ERR_SEMANTIC for a transactional table. what: as above; instead: what to write. */
enum err_code lookup_not_transactional(const struct lookup *lookup, const char *what,
                                       const char *instead, struct err *err);

/* The rules for new names; ERR_SEMANTIC. */
enum err_code lookup_name_check(const struct name *name, struct err *err);
/* What has the name now and is about to be replaced may be dropped by the principal (or was made by
 * it): *ret_replaced, the only one that the change may replace. 0: the name is free. ERR_DENIED. */
enum err_code lookup_replaced(const struct statement_call *call,
                              const struct project_record *project, struct span name,
                              struct table_id *ret_replaced, struct err *err);

/* The right is asked again, on what was found then, for what takes long: ERR_DENIED also when the key
 * that the statement came with was dropped. What was dropped itself is read on by who is a user of its
 * project still. ret_project: as it is now, in the arena; or NULL. */
enum err_code lookup_again(const struct statement_call *call, const struct lookup *lookup,
                           enum action action, struct arena *arena,
                           struct project_record *ret_project, struct err *err);
/* authorise_leave of what was found: `now` is its project as it is now. */
enum err_code lookup_leave(const struct statement_call *call, const struct lookup *lookup,
                           const struct project_record *now, const struct project_record *into,
                           struct err *err);
/* Waits until it is the statement's turn to write the table (node/turn.h), and asks again: the writers
 * before it may have taken an hour. *ret_turn is for the caller to give, also when refused. */
enum err_code lookup_turn(const struct statement_call *call, const struct lookup *lookup,
                          enum action action, struct table_id *ret_turn, struct err *err);
/* The same of a right on a project. */
enum err_code lookup_project_again(const struct statement_call *call,
                                   const struct project_record *project, enum action action,
                                   struct err *err);

struct object lookup_object(const struct statement_call *call, const struct lookup *lookup);

/* A new name: its project, with CreateTable authorised, and the rules for names. */
enum err_code lookup_new(const struct statement_call *call, const struct name *name,
                         struct project_record *ret_project, struct err *err);

/* The rules for names of tables, snapshots and roles; and the error that says them. */
bool name_valid(struct span name);
enum err_code name_invalid(struct span name, struct err *err);

/* The version record of a table or snapshot, pinned. */
const struct version_ref *lookup_version(const struct lookup *lookup);

#endif
