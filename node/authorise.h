/* The one question that every statement, load, export and delegation asks: may this principal do
 * this to that?
 *
 *     TRY(authorise(&principal, ACTION_SELECT, object_table(store, &project, &table), err));
 *
 * The rule, first match wins:
 *     1. of the region: its operators, by being that; they have no right to data
 *     2. the project's owner account may everything in it; its RAM users are users like others
 *     3. who is not a user of the project (ADD USER) may nothing in it
 *     4. the role admin may everything but what ACTION_OWN guards
 *     5. who made a table or snapshot may everything with it, while a user of the project
 *     6. a grant to the user, or to a role of the user, that has not expired (store/rights.h)
 *
 * Rights before names: a refusal says the same of what is not there as of what the principal may
 * not see. So what is not found is asked about as well (object_absent, object_absent_project), with
 * the name as it was written, and "not found" is for those whom object_seen lets know.
 *
 * Call sites are final: what changes about rights changes here. Threads: any; no I/O.
 */
#ifndef NODE_AUTHORISE_H
#define NODE_AUTHORISE_H

#include "node/principals.h"
#include "proto/catalog.h"
#include "store/rights.h"

/* X(enum, name as in GRANT, object it is asked on, number in a grant's record or 0: cannot be
 * granted). Numbers are stored: never reuse one. Names: the public permission lists; Write,
 * CreateFunction and CreateResource are granted and shown, and nothing asks for them yet. */
#define ACTIONS(X)                                                                                 \
    X(ACTION_OPERATE, "Operate", OBJECT_REGION, 0)   /* projects, accounts, channels */            \
    X(ACTION_OWN, "Own", OBJECT_PROJECT, 0)          /* protection, trusted projects, admin */     \
    X(ACTION_ADMINISTER, "Grant", OBJECT_PROJECT, 0) /* users, roles, grants */                    \
    X(ACTION_AUDIT, "Audit", OBJECT_PROJECT, 0)      /* read its part of the audit log */          \
    X(ACTION_ENTER, "Membership", OBJECT_PROJECT, 0) /* to be a user of the project: USE */        \
    X(ACTION_READ, "Read", OBJECT_PROJECT, 1)                                                      \
    X(ACTION_WRITE, "Write", OBJECT_PROJECT, 2)                                                    \
    X(ACTION_LIST, "List", OBJECT_PROJECT, 3)                                                      \
    X(ACTION_CREATE_TABLE, "CreateTable", OBJECT_PROJECT, 4)       /* tables and snapshots */      \
    X(ACTION_CREATE_INSTANCE, "CreateInstance", OBJECT_PROJECT, 5) /* run any job */               \
    X(ACTION_CREATE_FUNCTION, "CreateFunction", OBJECT_PROJECT, 6)                                 \
    X(ACTION_CREATE_RESOURCE, "CreateResource", OBJECT_PROJECT, 7)                                 \
    X(ACTION_DESCRIBE, "Describe", OBJECT_TABLE, 8)                                                \
    X(ACTION_SELECT, "Select", OBJECT_TABLE, 9)                                                    \
    X(ACTION_ALTER, "Alter", OBJECT_TABLE, 10)                                                     \
    X(ACTION_UPDATE, "Update", OBJECT_TABLE, 11)                                                   \
    X(ACTION_DROP, "Drop", OBJECT_TABLE, 12)                                                       \
    X(ACTION_DOWNLOAD, "Download", OBJECT_TABLE, 13)                                               \
    X(ACTION_SHOW_HISTORY, "ShowHistory", OBJECT_TABLE, 14)

enum object_kind { OBJECT_REGION, OBJECT_PROJECT, OBJECT_TABLE };

enum action {
#define X(action, name, object, number) action,
    ACTIONS(X)
#undef X
        ACTION_COUNT
};

/* What is asked about. Borrows. */
struct object {
    enum object_kind kind;
    struct store *store;     /* whose grants count */
    struct account_id owner; /* of the project; 0: nobody's, or no such project */
    struct project_id in;    /* the project's id */
    struct span project;     /* its name */
    struct span name;        /* OBJECT_TABLE: table or snapshot */
    struct table_id id;      /* OBJECT_TABLE; 0: there is none of that name */
    struct span creator;     /* OBJECT_TABLE: name of the principal who made it */
};

struct object object_region(void);
struct object object_project(struct store *store, const struct project_record *project);
struct object object_table(struct store *store, const struct project_record *project,
                           const struct table_record *table);
struct object object_snapshot(struct store *store, const struct project_record *project,
                              const struct snapshot_record *snapshot);
/* A table or snapshot that is not there, in a project that is. */
struct object object_absent(struct store *store, const struct project_record *project,
                            struct span name);
/* A project that is not there. With a name: a table or snapshot in it. */
struct object object_absent_project(struct span project);
struct object object_absent_in(struct span project, struct span name);

/* ERR_DENIED: the message names principal, the right that is missing, and on what. */
enum err_code authorise(const struct principal *principal, enum action action, struct object object,
                        struct err *err) MUST_USE;

/* For what takes long: ERR_DENIED when the key that it began with was dropped, whatever other keys the
 * principal has; or when the principal is gone. */
enum err_code authorise_key(const struct principals *principals, const struct principal *principal,
                            struct err *err) MUST_USE;

/* May the principal know whether the object is there? A project: its users and the region's
 * operators. A table or snapshot: who has List on the project or any right on the object. */
bool object_seen(const struct principal *principal, struct object object);

/* Data of `from` is about to be in `to`: CLONE TABLE, CREATE TABLE | SNAPSHOT of another project's,
 * INSERT ... SELECT across projects; NULL: it goes to the client (download). Asked after the right to
 * read. ERR_DENIED where `from` is protected (SET ProjectProtection=true) and `to` is neither itself
 * nor one of its trusted projects; its owner is no exception: the owner can lift it. */
enum err_code authorise_leave(const struct principal *principal, const struct project_record *from,
                              const struct project_record *to, struct err *err) MUST_USE;
/* The same to another region (XCOPY): a trusted project is written 'region.project' there. */
enum err_code authorise_leave_region(const struct principal *principal,
                                     const struct project_record *from, struct span region,
                                     struct span project, struct err *err) MUST_USE;
/* CLONE TABLE, and what comes to the same: a snapshot of another project's table, a table of its
 * snapshot. RAM users do not clone between projects of two accounts, main accounts do; and
 * authorise_leave. Select, CreateTable, CreateInstance and Update are asked before, one by one. */
enum err_code authorise_clone(const struct principal *principal, const struct project_record *from,
                              const struct project_record *to, struct err *err) MUST_USE;
/* XCOPY, at both ends: the key that signed is of the account that owns the project, or of a RAM user
 * of it. */
enum err_code authorise_same_account(const struct principal *principal,
                                     const struct project_record *project,
                                     struct err *err) MUST_USE;
/* A task of the account's, begun by the principal of that name: its main account and who began it may
 * see and cancel it. */
bool authorise_task(const struct principal *principal, struct account_id account,
                    struct span begun_by);

const char *action_name(enum action action);
/* Any case. False: no such action that could be granted on that kind of object. */
bool action_find(struct span name, enum object_kind kind, enum action *ret_action);
/* In a grant's record; 0: cannot be granted. */
uint8_t action_number(enum action action);
bool action_of_number(uint8_t number, enum action *ret_action);
enum object_kind action_object(enum action action);
uint64_t actions_of(enum object_kind kind); /* bits 1 << number of all that can be granted on it */

#endif
