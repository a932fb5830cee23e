/* A right, a key, a gate or a token may have gone: every lease is asked about again, at once.
 *
 *     recheck_request ──► loop: on_gather ──► worker: rights of each ──► loop: on_refused, of each that went
 *           └ while one runs: once more after it
 *
 * Renewals and requests ask as well; this is for a lease whose peer is busy with something else.
 * Invariants: 1. One runs at a time, over at most LEASES_MAX leases. 2. What changed before
 * recheck_request is seen by a look at rights that begins after it. 3. A lease that is being granted
 * meanwhile is asked about by who grants it (recheck_begun).
 * Threads: recheck_request from any; the callbacks run on the loop, the rights on a worker.
 */
#ifndef NODE_TASK_XCOPY_RECHECK_H
#define NODE_TASK_XCOPY_RECHECK_H

#include <stdatomic.h>

#include "node/auditor.h"
#include "node/loop.h"
#include "node/task/lease.h"
#include "node/task/xcopy_rights.h"
#include "node/task/xcopy_serve.h"
#include "node/workers.h"

struct recheck_options { /* all borrowed */
    struct loop *loop;
    struct workers *workers;
    const struct xcopy_rights *rights;
    struct auditor *auditor;
    /* The leases that are alive. */
    const struct lease_table *table;
    /* This one's rights have gone. */
    void (*on_refused)(void *context, const struct lease_id *id);
    void *context;
};

struct recheck {
    struct recheck_options options;
    atomic_bool wanted;
    /* the loop's */
    bool running;
    uint64_t begun; /* how many */
    struct loop_timer timer;
    /* whoever's turn it is */
    struct bytes leases;  /* u32 length, id, peer, subject; of each */
    struct bytes refused; /* ids */
};

void recheck_init(struct recheck *recheck, const struct recheck_options *options);
void recheck_deinit(struct recheck *recheck); /* after workers and loop have stopped */
void recheck_request(struct recheck *recheck);
/* Changes with each one that begins. Loop. */
uint64_t recheck_begun(const struct recheck *recheck);

/* What a lease stands on, as it is now: its token's or its receipt's rights. *ret_snapshot: the one
 * that it is of, by name; may be NULL. */
enum err_code lease_rights(const struct xcopy_rights *rights, const struct lease_subject *subject,
                           const struct identity_key *peer, struct arena *arena,
                           struct snapshot_record *ret_snapshot, struct err *err) MUST_USE;

#endif
