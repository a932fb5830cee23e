/* Who has which right in a project: users, roles and grants, in the catalog and in memory.
 *
 *     user      `m` project, name      -> id            a principal that was added to the project
 *     role      `l` project, name      -> id
 *     in a role `q` project, user, role                 role 0 is admin, which every project has
 *     grant     `g` project, object, grantee, action    object 0 is the project itself
 *
 * A user's and a role's id (a grantee's) is given once, ever, as ids of tables are: when one goes,
 * its grants count for nothing at once, in one commit of one record; their records are deleted later
 * (rights_sweep). A principal who is dropped from the region is nowhere a user any more. So a user who is added again, a table that is made again and a role that is made
 * again begin without rights, and RENAME keeps them.
 *
 * The index in memory is read by rights_held: a look-up touches a line or two however many grants
 * there are. It is filled when the store is opened, and changed by each commit before that is
 * acknowledged.
 *
 * Invariants: 1. changes of rights have one order, the same in the catalog and in the index. 2. What
 * cannot be read gives no right.
 * Threads: any. Who may change rights, and what an action's number means: node/authorise.h.
 */
#ifndef STORE_RIGHTS_H
#define STORE_RIGHTS_H

#include "proto/catalog.h"
#include "store/project.h"

#define ROLE_ADMIN_ID 0 /* of every project; has no record */

struct store;
struct rights;

/* ---- asking ---- */

struct rights_query {
    struct project_id project;
    struct table_id object; /* 0: the project itself */
    struct span principal;  /* its name, any case */
    uint64_t number;        /* its id: another of that name is another */
    uint64_t actions;       /* bits 1 << number: any of them */
};

struct rights_answer {
    bool is_user;
    bool is_admin;
    bool granted; /* to it, or to a role of it; not expired */
};

/* No I/O. */
struct rights_answer rights_ask(struct store *store, const struct rights_query *query);

/* The wall clock, as it was last believed (node/expiry.h): a grant that has expired does not count
 * again because the clock is set back. */
void rights_believe(struct store *store, uint64_t wall_ms);

/* The clock that grants end by, and when the next one does after a time of it; UINT64_MAX: none does. A grant
 * that was taken away or swept meanwhile may be named. No I/O. */
uint64_t rights_clock_ms(struct store *store);
uint64_t rights_next_end_ms(struct store *store, uint64_t after_ms);

/* Cache lines of grants that look-ups have looked at so far. */
uint64_t rights_probes(struct store *store);
/* Records that could not be read when the store was opened. */
uint64_t rights_unreadable(struct store *store);

/* ---- users ---- */

/* ERR_EXISTS. spec's id is given by the store; project, name and principal are the spec's. One of that
 * name who was dropped from the region makes room. */
enum err_code member_add(struct store *store, const struct member_record *spec,
                         const struct change_note *note, struct err *err) MUST_USE;
/* With all its grants and roles in the project. ERR_NOT_FOUND. */
enum err_code member_remove(struct store *store, struct project_id project, struct span name,
                            const struct change_note *note, struct err *err) MUST_USE;
/* ERR_NOT_FOUND. */
enum err_code member_find(struct store *store, struct project_id project, struct span name,
                          struct arena *arena, struct member_record *ret_member,
                          struct err *err) MUST_USE;
/* In order of folded names. */
typedef enum err_code on_member(void *context, const struct member_record *member, struct err *err);
enum err_code member_each(struct store *store, struct project_id project, on_member *callback,
                          void *context, struct err *err) MUST_USE;
/* ---- roles ---- */

/* ERR_EXISTS, also for admin. */
enum err_code role_create(struct store *store, const struct role_record *spec,
                          const struct change_note *note, struct err *err) MUST_USE;
/* ERR_NOT_FOUND. ERR_PARAMETER: users have it. */
enum err_code role_drop(struct store *store, struct project_id project, struct span name,
                        const struct change_note *note, struct err *err) MUST_USE;
/* ERR_NOT_FOUND. "admin", any case, is there without a record. */
enum err_code role_find(struct store *store, struct project_id project, struct span name,
                        struct arena *arena, struct role_record *ret_role,
                        struct err *err) MUST_USE;
/* Without admin. */
typedef enum err_code on_role(void *context, const struct role_record *role, struct err *err);
enum err_code role_each(struct store *store, struct project_id project, on_role *callback,
                        void *context, struct err *err) MUST_USE;

/* A user into roles and out of them, all in one commit. ERR_EXISTS, ERR_NOT_FOUND (no such user, no
 * such role, not in it): nothing has changed; the message says which. ERR_LIMIT: above
 * LIMIT_ROLES_OF_MEMBER. */
struct role_change {
    struct project_id project;
    struct span member; /* its name */
    const struct span *roles;
    size_t role_count; /* none twice */
};
enum err_code role_give(struct store *store, const struct role_change *spec,
                        const struct change_note *note, struct err *err) MUST_USE;
enum err_code role_take(struct store *store, const struct role_change *spec,
                        const struct change_note *note, struct err *err) MUST_USE;
typedef enum err_code on_role_member(void *context, const struct role_member_record *record,
                                     struct err *err);
enum err_code role_member_each(struct store *store, struct project_id project,
                               on_role_member *callback, void *context, struct err *err) MUST_USE;

/* ---- grants ---- */

struct grantee {
    bool is_role;
    struct span name;
};

struct grant_change {
    struct project_id project;
    struct table_id object; /* 0: the project */
    struct grantee grantee;
    uint64_t actions;    /* bits 1 << number */
    uint64_t expires_ms; /* 0: never; grants only */
};

/* What is granted again ends anew. ERR_NOT_FOUND: no such user or role; ERR_PARAMETER: admin. */
enum err_code grants_give(struct store *store, const struct grant_change *spec,
                          const struct change_note *note, struct err *err) MUST_USE;
/* Also ERR_NOT_FOUND: *ret_missing are those of the actions that were not granted, and nothing has
 * changed. What has expired can be taken until it is swept. */
enum err_code grants_take(struct store *store, const struct grant_change *spec,
                          const struct change_note *note, uint64_t *ret_missing,
                          struct err *err) MUST_USE;
/* Of one object, or (object NULL) of all in the project; in order of object, grantee, action.
 * Grants of who and what is gone are among them until the next sweep. */
typedef enum err_code on_grant(void *context, const struct grant_record *grant, struct err *err);
enum err_code grant_each(struct store *store, struct project_id project,
                         const struct table_id *object, on_grant *callback, void *context,
                         struct err *err) MUST_USE;

/* ---- clean-up ---- */

/* Deletes grants that have expired at now_ms, and grants and roles of who or what is gone: some of
 * them, in one commit; again while *ret_more. Reads all that there are, so it does nothing while
 * nothing can be found: nothing has expired, or gone since the last time. */
enum err_code rights_sweep(struct store *store, uint64_t now_ms, size_t *ret_deleted,
                           bool *ret_more, struct err *err) MUST_USE;
/* Something went that may have had grants. */
void rights_sweep_wish(struct store *store);

/* ---- for store.c ---- */

enum err_code rights_open(struct store *store, struct rights **ret_rights,
                          struct err *err) MUST_USE;
void rights_close(struct rights *rights); /* NULL is fine */

#endif
