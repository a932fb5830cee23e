/* The one question that every statement, load, export and delegation asks: may this principal do
 * this to that?
 *
 *     TRY(authorise(&principal, ACTION_SELECT, object_table(owner, project, table), err));
 *
 * The rule while the operators are the one account: an account may do everything in the
 * projects that it owns, and the region's
 * operators what concerns the region. Call sites are final; grants, roles and RAM users change
 * authorise.c alone. The message of ERR_DENIED names principal, action and object.
 * Threads: any; no I/O.
 */
#ifndef NODE_AUTHORISE_H
#define NODE_AUTHORISE_H

#include "node/principals.h"

/* X(enum, name as in GRANT, object it is asked on). Names: the public permission lists. */
#define ACTIONS(X)                                                                                 \
    X(ACTION_OPERATE, "Operate", OBJECT_REGION) /* projects, accounts, channels, allow-list */     \
    X(ACTION_LIST, "List", OBJECT_PROJECT)                                                         \
    X(ACTION_READ, "Read", OBJECT_PROJECT)                                                         \
    X(ACTION_CREATE_TABLE, "CreateTable", OBJECT_PROJECT)       /* tables and snapshots */         \
    X(ACTION_CREATE_INSTANCE, "CreateInstance", OBJECT_PROJECT) /* run any job */                  \
    X(ACTION_DESCRIBE, "Describe", OBJECT_TABLE)                                                   \
    X(ACTION_SELECT, "Select", OBJECT_TABLE)                                                       \
    X(ACTION_ALTER, "Alter", OBJECT_TABLE)                                                         \
    X(ACTION_UPDATE, "Update", OBJECT_TABLE)                                                       \
    X(ACTION_DROP, "Drop", OBJECT_TABLE)                                                           \
    X(ACTION_DOWNLOAD, "Download", OBJECT_TABLE)                                                   \
    X(ACTION_SHOW_HISTORY, "ShowHistory", OBJECT_TABLE)

enum object_kind { OBJECT_REGION, OBJECT_PROJECT, OBJECT_TABLE };

enum action {
#define X(action, name, object) action,
    ACTIONS(X)
#undef X
};

struct object {
    enum object_kind kind;
    struct account_id owner; /* of the project */
    struct span project;
    struct span name; /* OBJECT_TABLE: table or snapshot */
};

struct object object_region(void);
struct object object_project(struct account_id owner, struct span project);
struct object object_table(struct account_id owner, struct span project, struct span name);

/* ERR_DENIED. */
enum err_code authorise(const struct principal *principal, enum action action, struct object object,
                        struct err *err) MUST_USE;

const char *action_name(enum action action);

#endif
