/* The threads of transport: link workers (handshake, sealing, opening), a clock (time limits, pings,
 * bandwidth) and a reaper (the only one that ends streams).
 *
 * One pool a process serves all its listeners and links. Callbacks that the other headers of this
 * folder name run on link workers unless said otherwise: they must not block.
 * Order of the end: links and listeners first, the pool last.
 */
#ifndef TRANSPORT_POOL_H
#define TRANSPORT_POOL_H

#include <stdatomic.h>

#include "proto/bytes.h"
#include "proto/limits.h"

/* A field that is 0 has the default of proto/limits.h. Tests shorten the times. */
struct pool_options {
    unsigned workers; /* 0: one a core, at least 2, at most 8 */
    uint32_t handshake_timeout_ms;
    uint32_t ping_after_ms;
    uint32_t silence_max_ms;
    uint32_t connection_life_ms;
    uint64_t connection_life_bytes;
    size_t bodies_bytes_max; /* replies on data connections, from their head until they are freed */
};

struct pool;

/* Threads and libsodium started. options may be NULL. */
enum err_code pool_new(const struct pool_options *options, struct pool **ret_pool, struct err *err);
/* Stops and waits. All listeners and links on it are closed by now. NULL is allowed. */
void pool_free(struct pool *pool);

/* Monotonic. */
uint64_t pool_now_ms(void);
uint64_t pool_now_us(void);

/* --- for this folder --- */

const struct pool_options *pool_options(const struct pool *pool); /* defaults filled in */
const uint8_t *pool_boot_id(const struct pool *pool);             /* 16 random bytes */

/* An actor runs its step on one link worker at a time, whenever it was poked since the step began or
 * its time has come. When a step returns true the actor is over: it never runs again, and the reaper
 * calls finish, which may free it. Pokes before finish are harmless whenever they come; after it
 * nobody may hold the actor: its owner's references see to that. */
struct actor {
    struct actor *next; /* in one of the pool's queues */
    struct pool *pool;
    bool (*step)(struct actor *actor);
    void (*finish)(struct actor *actor);
    atomic_int state;
    bool awaits_memory;          /* pool's lock: in its list */
    struct actor *awaiting_next; /* pool's lock */
    uint64_t due_us;             /* pool's lock; UINT64_MAX: none */
    size_t heap_index;           /* pool's lock; valid while due_us is set */
};

void actor_init(struct actor *actor, struct pool *pool, bool (*step)(struct actor *),
                void (*finish)(struct actor *));
void actor_poke(struct actor *actor);
/* Pokes at due_us at the latest: the earliest of all times set since it last came counts. */
void actor_wake_at(struct actor *actor, uint64_t due_us);

/* Memory of replies that no asker reserved. A connection begins to read one only while less than
 * bodies_bytes_max is in use: so at most that and one body a connection. False: it is used up; the
 * actor is poked when some comes back. */
bool actor_has_memory(struct actor *actor);
void pool_bodies_take(struct pool *pool, size_t bytes);
void pool_bodies_give(struct pool *pool, size_t bytes);

/* Streams that were accepted, have no place any more and wait for the reaper. Whoever is accepted
 * faster than the reaper closes costs descriptors: false when LIMIT_STREAMS_LEAVING are waiting. Any
 * thread. */
void pool_leaving_begin(struct pool *pool);
void pool_leaving_end(struct pool *pool);
bool pool_may_accept(const struct pool *pool);

#endif
