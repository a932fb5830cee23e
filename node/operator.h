/* Requests of operators: decoded, authorised by whose key the connection is, answered.
 *
 *     listener ──► operator_on_request ──► table: limits ──► (link worker | worker) ──► handler ──► reply
 *
 * One request a file, operator_*.c. A handler is a function from the request's bytes to the reply's;
 * one that answers later takes the request out of the call.
 * Threads: quick handlers run on a link worker and only look at memory; the others on a worker, those
 * that stop something on one that has nothing else to do: long queries may have all the others.
 */
#ifndef NODE_OPERATOR_H
#define NODE_OPERATOR_H

#include "node/backups.h"
#include "node/loads.h"
#include "node/peers.h"
#include "node/replica_look.h"
#include "node/run.h"
#include "node/statement/statement.h"
#include "node/task/xcopy_source.h"
#include "node/watches.h"
#include "node/workers.h"

/* All that handlers use; constant once the listener is open. Borrowed. */
struct operator_services {
    struct backups *backups;
    struct statement_services *statements;
    struct runs *runs;
    struct loads *loads;
    struct watches *watches;
    struct workers *workers;
    struct workers *hurried; /* of what stops something, and waits for nothing long */
    const struct principals *principals;
    struct peers *peers;
    struct source *source;
    struct replica_looks *looks;       /* for metrics */
    struct listener *const *listeners; /* for counters: those that are open */
    atomic_size_t listener_count;
    const char *region;
    const struct identity *identity;
    uint64_t started_ms; /* loop_now_ms() of the start */
};

struct operator_call {
    const struct operator_services *services;
    struct principal principal; /* as the request came */
    struct request *request;    /* NULL: the handler took it and replies itself */
};

/* By its first word: CANCEL TASK is not to wait behind what it may be about. Link thread. */
bool execute_hurries(const struct request *request);
/* Where the request came from, for the audit log. */
void operator_address(const struct operator_call *call, struct statement_audit *audit);

/* Appends the reply's header and body. */
typedef enum err_code operator_handler(struct operator_call *call, struct bytes *header,
                                       struct bytes *body, struct err *err);

operator_handler handle_execute;
operator_handler handle_fetch;
operator_handler handle_close;
operator_handler handle_close_at_once; /* on a link thread */
operator_handler handle_export;
operator_handler handle_load_begin;
operator_handler handle_load_chunk;
operator_handler handle_load_commit;
operator_handler handle_load_abort;
operator_handler handle_tasks;
operator_handler handle_watch;
operator_handler handle_cancel;
operator_handler handle_status;
operator_handler handle_peers;
operator_handler handle_backup_begin;
operator_handler handle_backup_read;
operator_handler handle_backup_end;

/* struct listener_handler of the operators' listener; context is struct operator_services. */
bool operator_find(void *context, const struct noise_key *key, struct session *session);
void operator_on_request(void *context, struct request *request);

#endif
