/* What ends by the wall clock: outcomes of statements, history, snapshots and grants with an expiry,
 * and once a day tables and partitions with a lifecycle (node/lifecycle.h).
 *
 *     expiry_open -> expiry_tick, expiry_run ... -> expiry_stop -> expiry_free
 *
 * Nothing is deleted while the clock is doubted (node/clock_watch.h). The last time that was believed
 * is kept in the store (`meta` "clock", at most CLOCK_RECORD_MS old), so that a node whose clock is
 * wrong when it starts is not believed either. What it cost to be wrong is written to the log, once.
 *
 * Threads: open and free on one each, not at once; the others any.
 */
#ifndef NODE_EXPIRY_H
#define NODE_EXPIRY_H

#include "node/workers.h"
#include "store/store.h"

#define CLOCK_RECORD_MS (3600 * 1000)

struct expiry;

struct expiry_options {
    struct store *store;           /* borrowed until expiry_free, as what follows */
    struct workers *workers;       /* for ticks; they have stopped before expiry_free */
    uint64_t history_retention_ms; /* versions of tables are kept so long */
};

enum err_code expiry_open(const struct expiry_options *options, struct expiry **ret_expiry,
                          struct err *err);
/* A run under way ends soon, none begins. Any thread; NULL is fine. */
void expiry_stop(struct expiry *expiry);
void expiry_free(struct expiry *expiry); /* NULL is fine */
/* From the next run on. */
void expiry_set_history(struct expiry *expiry, uint64_t history_retention_ms);

/* Looks at the clock, and posts expiry_run unless it is doubted. */
void expiry_tick(struct expiry *expiry);
/* All that has expired by now, unless the clock is doubted. What fails is logged, and tried again
 * the next time. Blocks on the store. */
void expiry_run(struct expiry *expiry);
/* Looks at the clock now. */
bool expiry_clock_look(struct expiry *expiry);
bool expiry_clock_believed(const struct expiry *expiry); /* at the last look */

#endif
