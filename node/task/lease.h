/* The source's promise not to free what a task still needs, as a pure machine over all leases.
 *
 *     none --describe--> granting --granted--> alive --end, expiry, right or gate gone--> dropping
 *                                                ^ describe (same arguments), renew: a full period
 *     dropping --dropped--> none          describe meanwhile: BUSY
 *
 * It reads no clock and does no I/O: events bring the time (monotonic, ms) and the verdict of the
 * rights at that moment; actions say what to commit and how to answer. Whoever performs them:
 * xcopy_source.c, cluster-tests/sim.
 *
 * Invariants:
 * 1. SERVE is answered for a lease that is alive, with the peer it was granted to; everything else
 *    is ERR_LEASE_GONE, one answer for absent, foreign and expired.
 * 2. A reply to describe goes out only after the lease's record is durable.
 * 3. The same peer and task have one lease; other arguments under the same id are refused.
 * 4. A lease's record leaves the disk (DROP) only after it stopped being alive.
 * 5. GRANT and DROP of one id are never under way together, so their commits have one order. A DROP
 *    that failed is done again after LEASE_DROP_RETRY_MS.
 *
 * Memory: at most LEASES_MAX leases. One thread at a time. What is under a lease (pages, files by
 * place): xcopy_source.c.
 */
#ifndef NODE_TASK_LEASE_H
#define NODE_TASK_LEASE_H

#include "proto/bytes.h"
#include "proto/ids.h"
#include "proto/limits.h"

#define LEASES_MAX          4096
#define LEASES_PER_PEER_MAX 512
#define LEASE_DROP_RETRY_MS LEASE_RENEW_MS

enum lease_state {
    LEASE_NONE,
    LEASE_GRANTING,
    LEASE_ALIVE,
    LEASE_DROPPING,
};

struct lease {
    struct lease_id id;
    struct identity_key peer;
    struct digest arguments; /* over everything describe was asked with */
    enum lease_state state;
    uint64_t expires_ms;    /* DROPPING: when a failed DROP is done again */
    uint64_t grant_request; /* GRANTING: who waits */
    struct bytes subject;   /* owned; the caller's record: token, principal, snapshot, roots */
};

struct lease_table {
    struct lease *leases; /* unordered */
    size_t count, capacity;
    uint64_t lease_ms;
};

#define LEASE_EVENTS(X)                                                                            \
    X(LEASE_ON_LOADED, "loaded")     /* after a restart: a full period */                          \
    X(LEASE_ON_DESCRIBE, "describe") /* verdict, subject */                                        \
    X(LEASE_ON_GRANTED, "granted")   /* the GRANT's outcome in verdict */                          \
    X(LEASE_ON_RENEW, "renew")       /* verdict */                                                 \
    X(LEASE_ON_SERVE, "serve")       /* pages, files or a receipt are asked for; verdict */        \
    X(LEASE_ON_END, "end")                                                                         \
    X(LEASE_ON_REVOKED, "revoked") /* its token, a right or a gate went */                         \
    X(LEASE_ON_DROPPED, "dropped") /* the DROP's outcome in verdict */                             \
    X(LEASE_ON_TICK, "tick")

enum lease_event_kind {
#define X(event, name) event,
    LEASE_EVENTS(X)
#undef X
        LEASE_EVENT_COUNT
};

struct lease_event {
    enum lease_event_kind kind;
    uint64_t now_ms;
    uint64_t request;          /* echoed by REPLY, SERVE, GRANT; 0 where nobody asks */
    struct lease_id id;        /* all but TICK; describe: lease_id_of */
    struct identity_key peer;  /* who asks: the session's identity */
    struct digest arguments;   /* DESCRIBE, LOADED */
    struct span subject;       /* DESCRIBE, LOADED; copied */
    const struct err *verdict; /* NULL or ERR_OK: allowed */
};

#define LEASE_ACTIONS(X)                                                                           \
    X(LEASE_DO_GRANT, "grant") /* commit the record, if its roots still exist -> GRANTED */        \
    X(LEASE_DO_DROP, "drop")   /* delete the record -> DROPPED */                                  \
    X(LEASE_DO_SERVE, "serve") /* go down from its root and answer */                              \
    X(LEASE_DO_REPLY, "reply") /* answer with err */

enum lease_action_kind {
#define X(action, name) action,
    LEASE_ACTIONS(X)
#undef X
        LEASE_ACTION_COUNT
};

struct lease_action {
    enum lease_action_kind kind;
    uint64_t request;
    struct lease_id id;
    struct err err; /* REPLY: ERR_OK, or what the peer is told */
};

struct lease_actions {
    struct lease_action *list; /* owned */
    size_t count, capacity;
};

void lease_actions_clear(struct lease_actions *actions);
void lease_actions_deinit(struct lease_actions *actions);

/* From peer identity and task id, so that asking again gives the same lease. */
struct lease_id lease_id_of(const struct identity_key *peer, const struct task_id *task);

void lease_table_init(struct lease_table *table, uint64_t lease_ms);
void lease_table_deinit(struct lease_table *table);
/* Appends to `actions`. Never asserts on what an event says. */
void lease_step(struct lease_table *table, const struct lease_event *event,
                struct lease_actions *actions);
/* Alive or being granted; NULL when neither. Borrows until the next lease_step. */
const struct lease *lease_find(const struct lease_table *table, const struct lease_id *id);
/* Alive or being granted. */
size_t lease_count(const struct lease_table *table);
/* When the next one expires; UINT64_MAX: none. */
uint64_t lease_wake_ms(const struct lease_table *table);

#endif
