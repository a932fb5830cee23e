/* Projects of this region: who owns what. And what goes with every change: who made it (change_note).
 *
 * Names are unique without regard to (ASCII) case and keep the case they were made with. Every
 * change is one catalog_commit. Reading: view NULL is now, else one moment (catalog_view_open).
 * Records borrow from the arena. Threads: any. Rights are not asked here (node).
 */
#ifndef STORE_PROJECT_H
#define STORE_PROJECT_H

#include "store/account.h"
#include "store/audit.h"

/* Who changes something, when, and what else goes into the same commit. */
struct change_note {
    uint64_t now_ms;
    struct span principal;
    /* When not NULL: the statement's outcome is remembered with the change. ERR_EXISTS when there is
     * one already: somebody did it before. At most LIMIT_OUTCOME_BYTES. */
    const struct statement_id *statement;
    struct span outcome;
    const struct catalog_change *also; /* further steps, or NULL */
    /* Not 0: the principal's own, an account's or user's. ERR_CREDENTIALS when it is gone by the time
     * of the commit: nothing is owned by somebody who is not there. */
    uint64_t principal_id;
    const struct audit_record *audit; /* an entry of the audit log; NULL: this change has none */
};

/* The bytes that a principal's statement was answered with; ERR_NOT_FOUND. */
enum err_code outcome_find(struct store *store, struct span principal,
                           const struct statement_id *statement, struct arena *arena,
                           struct outcome_record *ret_record, struct err *err) MUST_USE;
/* A statement that changed nothing else. */
enum err_code outcome_remember(struct store *store, const struct change_note *note,
                               struct err *err) MUST_USE;
/* Forgets those older than before_ms; some at a time, *ret_more says whether any are left. */
enum err_code outcome_expire(struct store *store, uint64_t before_ms, bool *ret_more,
                             struct err *err) MUST_USE;

/* ---- projects ---- */

struct project_spec {
    struct span name;
    struct account_id owner; /* exists */
    bool xcopy_enabled;
};

/* ERR_EXISTS. */
enum err_code project_create(struct store *store, const struct project_spec *spec,
                             const struct change_note *note, struct project_id *ret_id,
                             struct err *err) MUST_USE;
/* ERR_NOT_FOUND. */
enum err_code project_find(struct store *store, struct db_view *view, struct span name,
                           struct arena *arena, struct project_record *ret_project,
                           struct err *err) MUST_USE;
enum err_code project_get(struct store *store, struct db_view *view, struct project_id id,
                          struct arena *arena, struct project_record *ret_project,
                          struct err *err) MUST_USE;
/* The change is made in a project that is there, and only if it still is as it was. ERR_NOT_FOUND. */
enum err_code project_expect(struct store *store, struct catalog_change *change,
                             struct project_id project, struct err *err) MUST_USE;
/* With its users, roles and grants, which count for nothing from then on (rights_sweep). ERR_NOT_FOUND;
 * ERR_EXISTS says how many tables and snapshots it still holds; ERR_CONFLICT: some table or snapshot was
 * made meanwhile. Its id is never given again. */
enum err_code project_drop(struct store *store, struct project_id id,
                           const struct change_note *note, struct err *err) MUST_USE;
/* The allow-list. */
enum err_code project_xcopy_set(struct store *store, struct project_id id, bool enabled,
                                const struct change_note *note, struct err *err) MUST_USE;
/* Instead of `old`, as it was read: ERR_CONFLICT when it has changed meanwhile. Name, owner and id
 * stay. */
enum err_code project_replace(struct store *store, const struct project_record *old,
                              const struct project_record *project, const struct change_note *note,
                              struct err *err) MUST_USE;
/* In order of folded names. */
typedef enum err_code on_project(void *context, const struct project_record *project,
                                 struct err *err);
enum err_code project_each(struct store *store, struct db_view *view, on_project *callback,
                           void *context, struct err *err) MUST_USE;

#endif
