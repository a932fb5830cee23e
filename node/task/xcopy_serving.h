/* One request of a peer at the source, and what is done for it on a worker: rights, the lease's record, its
 * entry in the audit log, the answer. Private to xcopy_source.c, which carries requests between threads
 * and runs the lease machine, and xcopy_serving.c.
 *
 * Threads: workers, one at a time for each serving; what is the loop's is said.
 */
#ifndef NODE_TASK_XCOPY_SERVING_H
#define NODE_TASK_XCOPY_SERVING_H

#include <stdatomic.h>

#include "node/task/meters.h"
#include "node/task/peer_watches.h"
#include "node/task/token_use.h"
#include "node/task/xcopy_recheck.h"
#include "node/task/xcopy_serve.h"
#include "node/task/xcopy_source.h"
#include "store/roots.h"

struct source {
    struct source_options options;
    struct xcopy_rights rights;
    struct lease_table table; /* the loop's */
    struct lease_actions actions;
    struct loop_timer timer;
    struct recheck recheck;
    uint64_t serving_last;
    struct serving *servings; /* the loop's: those that wait for a lease step or a grant */
    struct meters *meters;
    struct peer_watches *watches;
    atomic_size_t alive;
    _Atomic uint64_t file_bytes; /* of replies */
};

/* One request from its arrival to its reply. */
struct serving {
    struct source *source;
    struct request *request; /* NULL: replied */
    struct serving *next;    /* in source->servings */
    uint64_t number;
    uint64_t rechecks; /* begun before its grant */
    enum peer_method method;
    struct identity_key peer;
    struct arena arena;
    struct err err;
    struct lease_id lease;
    struct peer_lease header;
    struct peer_item *items;
    size_t item_count;
    struct peer_describe describe;
    struct peer_settle settle; /* as told */
    struct peer_settle both;   /* and as it is counted then */
    bool settled;              /* both is set */
    struct bytes subject;      /* describe: built here; else a copy of the lease's */
    struct bytes version;      /* describe: the record's bytes */
    struct digest arguments;
    bool absent;          /* describe: allowed, but there is no such snapshot (any more) */
    struct token_use use; /* of its token; borrows from the arena */
};

/* ---- records ---- */

/* leases family: 'l' lease id -> peer 32 | arguments 32 | subject. Uses of tokens: token_use.h. */
#define LEASE_KEY_BYTES (1 + DIGEST_BYTES)
struct span lease_record_key(const struct lease_id *id, uint8_t key[LEASE_KEY_BYTES]);
struct root_name lease_root_name(const struct lease_id *id);

/* ---- describe ---- */

/* Decodes the request, asks for the rights, and makes the lease's subject: of a token, of a receipt. */
enum err_code serving_describe(struct serving *serving, struct err *err) MUST_USE;
enum err_code serving_repair(struct serving *serving, struct err *err) MUST_USE;
/* The lease's record, in one commit with its token's use, roots and entry. */
enum err_code serving_grant(struct serving *serving, struct err *err) MUST_USE;
/* What describe answers under the lease. */
enum err_code serving_described(struct serving *serving, struct bytes *body,
                                struct err *err) MUST_USE;
/* Entries of the audit log, if serving->err is a refusal: of a lease, and of a right that a lease had. */
void serving_describe_refused(struct serving *serving);
void serving_lease_refused(struct serving *serving);

/* ---- under a lease ---- */

/* By the token or the receipt of the lease. *ret_snapshot: the one that it is of, as it is now; may be NULL. */
enum err_code serving_rights(struct serving *serving, const struct lease_subject *subject,
                             struct snapshot_record *ret_snapshot, struct err *err) MUST_USE;
enum err_code serving_rights_now(struct serving *serving, struct err *err) MUST_USE;
/* Is it for pages or files? What was received is told and counted also by who may have no more. */
bool serving_serves(const struct serving *serving);
enum err_code serving_answer(struct serving *serving, struct bytes *header, struct bytes *body,
                             struct err *err) MUST_USE;
/* Counts a reply that is about to go out. Any thread. */
void serving_count(struct serving *serving, size_t header_bytes, size_t body_bytes);

#endif
