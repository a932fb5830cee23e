/* Tunnel loads under way: begun, fed chunk by chunk, committed in one step.
 *
 *     begin ──► columns ; chunk 0, 1, 2 ... (in order; a few may overtake) ; commit ──► outcome
 *
 * Invariants: 1. Nothing of a load is visible before its commit, and all of it after. 2. A chunk is
 * taken once: one that comes again is answered. 3. A load that is silent for LOAD_IDLE_MS is
 * dropped; what it stored is left to clean-up. 4. The commit also writes the outcome (outcome.h).
 * 5. All loads together gather rows in at most twice load_memory (and LOAD_MEMORY_BYTES_MIN each).
 * Threads: any worker; one at a time is in a load, chunks that come meanwhile are parked, at most
 * LOAD_PARKED_MAX. Elsewhere: where rows go (node/load_rows.h).
 */
#ifndef NODE_LOADS_H
#define NODE_LOADS_H

#include "node/loop.h"
#include "node/statement/statement.h"
#include "transport/listener.h"

#define LOADS_MAX               64
#define LOADS_PER_PRINCIPAL_MAX 32
#define LOAD_PARKED_MAX         16

struct loads;

enum err_code loads_new(const struct statement_services *services, struct loop *loop,
                        struct loads **ret_loads, struct err *err);
/* First half of stopping: drops all loads, answers parked chunks, begins no more. */
void loads_stop(struct loads *loads);
void loads_free(struct loads *loads); /* NULL is fine */
size_t loads_count(struct loads *loads);

struct load_asker {
    const struct principal *principal;
    const char *address; /* of the connection */
};
/* Begins, or joins what was begun under the id. The columns live in the arena. OPERATOR_DONE, without columns: it takes no
 * rows any more, and the answer to a commit of next_chunk chunks says how it ended, or waits for that. */
enum err_code loads_begin(struct loads *loads, const struct load_asker *asker,
                          const struct operator_load_begin *begin, struct arena *arena,
                          struct operator_load_state *ret_state, struct err *err);
/* Replies to the request, now or when its turn comes. Works on the caller's thread. */
void loads_chunk(struct loads *loads, const struct principal *principal, struct request *request);
/* Replies to the request: with the outcome, or with RUNNING after wait_ms. Works on the caller's
 * thread. */
void loads_commit(struct loads *loads, const struct principal *principal, struct request *request);
/* Nothing where it is being committed. */
void loads_abort(struct loads *loads, const struct principal *principal,
                 const struct statement_id *id);

#endif
