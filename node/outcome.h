/* What a statement or load that changed something answered, kept for 24 h under (principal,
 * statement id): sent again it answers the same and does nothing twice.
 *
 *     meta   "outcome" 00 | digest 32     -> u8 1 | u64 time ms | content 32 | rows u64 | bytes u64
 *                                            | partitions u64 | version 32 | notice
 *     (digest: DOMAIN_STATEMENT over principal, id)
 *
 * Invariant: the record is part of the very commit that makes the change visible; so a change and
 * the memory of it are both there or both not. Threads: any.
 */
#ifndef NODE_OUTCOME_H
#define NODE_OUTCOME_H

#include "proto/ids.h"
#include "store/catalog_commit.h"

struct outcome {
    struct digest content; /* of the request: the same id with other content is refused */
    uint64_t time_ms;      /* since 1970 */
    uint64_t rows;         /* loads */
    uint64_t bytes;
    uint64_t partitions;
    struct digest version; /* loads; of the table after it */
    struct bytes notice;   /* owns */
};

void outcome_deinit(struct outcome *outcome);
#define OUTCOME_CLEANUP __attribute__((cleanup(outcome_deinit)))

/* Adds to the change: expect that it is not there yet, and put it. */
void outcome_remember(struct catalog_change *change, const char *principal,
                      const struct statement_id *id, const struct outcome *outcome);
/* ERR_PARAMETER when the id belongs to other content. */
enum err_code outcome_find(struct store *store, const char *principal,
                           const struct statement_id *id, const struct digest *content,
                           struct outcome *ret_outcome, bool *ret_found, struct err *err);
/* Forgets what is older than STATEMENT_MEMORY_MS. */
enum err_code outcomes_expire(struct store *store, uint64_t now_ms, struct err *err);

#endif
