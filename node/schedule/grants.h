/* What a CREATE SCHEDULE needs its creator's word for: a standing token for each XCOPY of its body, and one to
 * watch the source's table for its trigger.
 *
 *     XCOPY SNAPSHOT b.x_$[yyyymmdd] FROM a.x_$[yyyymmdd]    copies a.x_*          to b.x_*
 *     XCOPY SNAPSHOT b.x_1 FROM a.x_1                         copies a.x_1          to b.x_1
 *     ON SNAPSHOT OF a.t ... XCOPY SNAPSHOT b.${snapshot}     copies a.* OF t       to b.*
 *                            FROM a.${snapshot}
 *     ON SNAPSHOT OF a.t OPTIONS(src_region='r')              watches a.* OF t
 *
 * The literal text before a name's first parameter counts. A name that begins with one would be a grant for
 * every snapshot of a project: that is refused, but for a trigger's own table. The client signs what it
 * derives here, the node takes what it derives: neither believes the other. Nothing is looked up, signed or
 * stored here.
 *
 * Threads: none. Pure.
 */
#ifndef NODE_SCHEDULE_GRANTS_H
#define NODE_SCHEDULE_GRANTS_H

#include "node/sql/ast.h"
#include "proto/arena.h"
#include "proto/token.h"

/* Of a trigger's run, beside those of SET: parameters.h. */
#define SCHEDULE_VARIABLE_SNAPSHOT "snapshot" /* its name */
#define SCHEDULE_VARIABLE_CREATED                                                                  \
    "created" /* when it was made: 20260105010000, UTC, by the source's clock */

struct schedule_grant {
    uint16_t rights;                /* enum token_right */
    struct token_place source;      /* snapshot: a pattern (token.h) */
    struct token_place destination; /* without region: it is the node's */
    size_t step;                    /* of the body, from 1; 0: the trigger */
};

struct schedule_grants { /* in the arena */
    struct schedule_grant *list;
    size_t count; /* at most LIMIT_STATEMENT_TOKENS */
    uint32_t
        runs_a_day; /* at most LIMIT_TOKEN_RUNS_A_DAY: planned ones, tried again, and some by hand */
};

/* project: the schedule's, in which its body runs. ERR_SEMANTIC: which step cannot be granted, and why;
 * also of text that is none of ours. */
enum err_code schedule_grants_find(const struct create_schedule *create, struct span project,
                                   struct arena *arena, struct schedule_grants *ret_grants,
                                   struct err *err) MUST_USE;

/* Is it the token for that? Names and rights; not whose it is, nor how long. */
bool schedule_grant_fits(const struct schedule_grant *grant, struct span schedule,
                         const struct token *token);

#endif
