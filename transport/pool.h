/* The threads of transport: link workers (handshake, sealing, opening), a clock (time limits,
 * pings, bandwidth) and a reaper (the only one that ends streams).
 *
 * One pool a process serves all its listeners and links. Callbacks that the other headers of this
 * folder name run on link workers unless said otherwise: they must not block.
 * Order of the end: links and listeners first, the pool last.
 */
#ifndef TRANSPORT_POOL_H
#define TRANSPORT_POOL_H

#include "proto/err.h"
#include "proto/limits.h"

/* A field that is 0 has the default of proto/limits.h. Tests shorten the times. */
struct pool_options {
    unsigned workers; /* 0: one a core, at least 2, at most 8 */
    uint32_t handshake_timeout_ms;
    uint32_t ping_after_ms;
    uint32_t silence_max_ms;
    uint32_t connection_life_ms;
    uint64_t connection_life_bytes;
};

struct pool;

/* Threads and libsodium started. options may be NULL. */
enum err_code pool_new(const struct pool_options *options, struct pool **ret_pool, struct err *err);
/* Stops and waits. All listeners and links on it are closed by now. */
void pool_free(struct pool *pool);

/* Monotonic. */
uint64_t pool_now_ms(void);
uint64_t pool_now_us(void);

#endif
