/* Closes that came before what they close: a statement waits for a worker, its close does not.
 *
 * The last ones are kept, by principal, statement id and the process that asked: another process with
 * the same id means it anew. No locks here (the registry of runs has one).
 */
#ifndef NODE_EARLY_CLOSES_H
#define NODE_EARLY_CLOSES_H

#include "node/run.h"

#define EARLY_CLOSES_MAX 64
#define RUN_ASKER_BYTES  16

/* Zeroed is empty. */
struct early_closes {
    struct early_close {
        char principal[LIMIT_PRINCIPAL_BYTES + 1]; /* empty: none */
        struct statement_id id;
        uint8_t asker[RUN_ASKER_BYTES];
    } ring[EARLY_CLOSES_MAX];
    size_t count; /* ever added */
};

/* A key without asker adds nothing, and is never there. */
void early_closes_add(struct early_closes *closes, const struct run_key *key);
bool early_closes_has(const struct early_closes *closes, const struct run_key *key);

#endif
