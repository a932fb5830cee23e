/* Regular expressions over texts: PCRE2's, kept from hanging or filling the node.
 *
 *     patterns_new ──► pattern_find(pattern, text, from) ──► ... ──► patterns_free
 *
 * A backtracking matcher can take time that grows with the power of a text's length. So each pattern
 * is compiled twice: the quick form tries MATCH_STEPS_QUICK steps from each place, on a few thousand
 * places at a time; where that does not do, the other form goes on, which counts its steps and looks
 * at the meter (cancel, select_time) every few thousand, up to MATCH_STEPS_MAX from one place. Memory
 * for compiled patterns and matches is the query's (resources.h), each match at most MATCH_HEAP_KIB.
 *
 * Invariants: 1. a pattern of the last PATTERNS_KEPT is not compiled again. 2. no match goes on
 * for more than a moment without asking the meter. 3. patterns and texts are valid UTF-8, and
 * places are between characters.
 * Threads: one at a time. Here alone: pcre2.h. What functions make of it: function_pattern.c.
 */
#ifndef NODE_SQL_PATTERN_H
#define NODE_SQL_PATTERN_H

#include "node/sql/meter.h"

#define PATTERN_GROUPS_MAX 99

struct patterns;

struct patterns *patterns_new(struct meter *meter); /* borrowed until patterns_free */
void patterns_free(struct patterns *patterns);      /* NULL is fine */

struct pattern_match {
    bool found;
    size_t group_count;    /* of the pattern */
    const size_t *offsets; /* begin and end of the whole, then of each group; SIZE_MAX: it took no
                            * part. Borrows until the next call */
};

/* The first place at or behind byte `from` of the text where the pattern fits; `advance`: not with
 * an empty match at `from` itself. ERR_SEMANTIC: the pattern is none; ERR_LIMIT: too large, or too
 * many steps or memory for this text; ERR_CANCELLED, ERR_TIMEOUT. */
enum err_code pattern_find(struct patterns *patterns, struct span pattern, struct span text,
                           size_t from, bool advance, struct pattern_match *ret_match,
                           struct err *err);

/* Compiles only. ERR_SEMANTIC, ERR_LIMIT. */
enum err_code pattern_check(struct span pattern, size_t *ret_group_count, struct err *err);

#endif
