/* Statements: from a parsed tree to an answer, by one table of {kind, function}.
 *
 *     statement_run: the table ──► show.c, table.c, insert.c, snapshot.c, xcopy.c, ...
 *
 * Each function looks names up, asks authorise(), and either reads or makes one commit that also
 * holds the outcome (outcome.h). What changed meanwhile (ERR_CONFLICT) is tried again here, a
 * bounded number of times.
 * Threads: a call belongs to one worker; services are shared and constant.
 */
#ifndef NODE_STATEMENT_STATEMENT_H
#define NODE_STATEMENT_STATEMENT_H

#include <stdatomic.h>

#include "node/answer.h"
#include "node/authorise.h"
#include "node/outcome.h"
#include "node/peers.h"
#include "node/sql/parser.h"
#include "node/sql/select.h"
#include "node/statement/audited.h"
#include "store/project.h"
#include "store/store.h"

#define STATEMENT_CONFLICT_TRIES 8

struct channels;
struct cleanup;
struct runner;
struct limits;
struct triggers;
struct scrubber;
struct source;
struct tasks;
struct tasks_order;

/* What statements work on; borrowed, constant. */
struct statement_services {
    struct store *store;
    struct principals *principals;
    struct peers *peers;
    struct tasks *tasks;
    struct source *source; /* NULL: nobody copies from here */
    struct rights_alarm *rights_alarm;
    struct channels *channels;
    struct cleanup *cleanup;
    struct scrubber *scrubber;
    struct auditor *auditor;
    struct runner *schedules;        /* hears of each that changes; NULL: nobody runs them */
    struct triggers *triggers;       /* the same, of those that wait for a snapshot */
    const struct identity *identity; /* of the node: signs snapshots */
    const char *region;
    bool gates; /* new projects are not on the allow-list, and channels off that nobody switched */
    struct err_counts *errors; /* of statements; NULL: nobody counts */
    struct limits *limits;     /* of loads and queries */
};

/* How far a long statement is: written by its worker, read by any thread. */
struct statement_progress {
    _Atomic(const char *) phase; /* static text; NULL: nothing to say */
    atomic_ullong bytes;         /* plain, of rows so far */
};

/* One statement of one principal. Borrows. */
struct statement_call {
    const struct statement_services *services;
    const struct principal *principal;
    struct statement_id id;
    struct digest content; /* text and project: what the id stands for */
    struct span project;   /* current; may be empty */
    const struct operator_pair *settings;
    size_t setting_count;
    struct span token;         /* XCOPY; or empty */
    const struct span *tokens; /* CREATE SCHEDULE, and the runs of one: standing ones */
    size_t token_count;
    struct span schedule; /* whose run it is; else empty */
    const struct statement *statement;
    struct arena *arena;
    atomic_bool *cancel;
    struct statement_progress *progress; /* or NULL */
    struct statement_audit *audit;
};

typedef enum err_code statement_function(const struct statement_call *call, struct answer *answer,
                                         struct err *err);

enum err_code statement_run(const struct statement_call *call, struct answer *answer,
                            struct err *err);

/* ---- for the statements ---- */

/* Time, principal, outcome and audit entry for the commit of a change; its parts live in the call's
 * arena and beside the call. */
struct change_note statement_note(const struct statement_call *call);
/* The same with a notice that is told again when the statement comes again: under 640 bytes. */
struct change_note statement_note_saying(const struct statement_call *call, const char *notice);
uint64_t statement_now_ms(void); /* since 1970 */
/* A copy in the call's arena; ERR_LIMIT. */
enum err_code statement_copy(const struct statement_call *call, struct span content,
                             struct span *ret_copy, struct err *err);

/* OPTIONS(expiration_timestamp=...): ms since 1970, later than now; NULL: 0, never; ERR_SEMANTIC.
 * snapshot.c */
enum err_code snapshot_expiration_parse(const struct option *option, uint64_t *ret_expires_ms,
                                        struct err *err);

/* What XCOPY, or EXPLAIN of it, asks node/task for; borrows from both. Asks for the right to make the
 * snapshot. xcopy.c */
enum err_code xcopy_order_make(const struct statement_call *call, const struct xcopy *xcopy,
                               struct tasks_order *ret_order, struct err *err);
enum err_code xcopy_explain(const struct statement_call *call, const struct xcopy *xcopy,
                            struct answer *answer, struct err *err); /* explain_xcopy.c */

struct schedule;
/* A schedule is its creator's, and who administers the project sees it; to others it is not there. schedule.c */
bool schedule_is_seen(const struct statement_call *call, const struct project_record *project,
                      const struct schedule *schedule);

/* The call's settings: the node's limits, lowered, and how strict it is. ERR_SEMANTIC: a limit is no number or above the
 * node's. select.c */
enum err_code select_settings_apply(const struct statement_call *call,
                                    struct select_options *options, struct err *err);
/* One setting; those that are none of SELECT's are left alone. */
enum err_code select_limit_set(struct select_limits *limits, struct span key, struct span value,
                               struct err *err);

/* ---- the statements, one file a group ---- */

statement_function statement_use;
statement_function statement_set;
statement_function statement_whoami;
statement_function statement_cleanup;
statement_function statement_create_account;
statement_function statement_create_user;
statement_function statement_alter_keys;
statement_function statement_drop_account;
statement_function statement_drop_user;
statement_function statement_alter_account_channel;
statement_function statement_show_accounts;
statement_function statement_show_ram_users;
statement_function statement_show_public_keys;
statement_function statement_show_xcopy_channel;
statement_function statement_create_project;
statement_function statement_drop_project;
statement_function statement_alter_project;
statement_function statement_create_table;
statement_function statement_drop_table;
statement_function statement_add_partitions;
statement_function statement_drop_partitions;
statement_function statement_alter_table;
statement_function statement_truncate_table;
statement_function statement_alter_clustering;
statement_function statement_insert;
statement_function statement_create_snapshot;
statement_function statement_alter_snapshot;
statement_function statement_drop_snapshot;
statement_function statement_restore_table;
statement_function statement_recover_table; /* of it: TIMESTAMP AS OF */
statement_function statement_clone_table;
statement_function statement_select;
statement_function statement_explain;
statement_function statement_show;
statement_function statement_show_tasks;
statement_function statement_alter_channel;
statement_function statement_show_channels;
statement_function statement_show_create;
statement_function statement_desc;
statement_function statement_xcopy;
statement_function statement_cancel_task;
statement_function statement_revoke_token;
statement_function statement_show_tokens;
statement_function statement_verify;
statement_function statement_verify_against; /* called by statement_verify */
statement_function statement_create_schedule;
statement_function statement_alter_schedule;
statement_function statement_drop_schedule;
statement_function statement_run_schedule;
statement_function statement_show_schedules;
statement_function statement_show_create_schedule;
statement_function statement_show_runs;
statement_function statement_scrub;
statement_function statement_add_user;
statement_function statement_remove_user;
statement_function statement_list_users;
statement_function statement_create_role;
statement_function statement_drop_role;
statement_function statement_list_roles;
statement_function statement_desc_role;
statement_function statement_grant_role;
statement_function statement_revoke_role;
statement_function statement_grant;
statement_function statement_revoke;
statement_function statement_set_protection;
statement_function statement_add_trusted;
statement_function statement_remove_trusted;
statement_function statement_list_trusted;
statement_function statement_show_grants;
statement_function statement_show_acl;

#endif
