/* Since when an account holds what is here, and how much of it a task brought.
 *
 *     held    digest 32 | account u64      -> period u64 (empty: 0)      column files and pages alike
 *     meta    "holding"                    -> u64: the period that runs
 *             "tally/" task id 16          -> u64 files | u64 bytes
 *
 * Periods are counted, not timed: whoever wants to know later what was not held at some moment
 * begins a period then. What an account came to hold since bears it or a later one, and keeps the
 * first as long as it is held.
 *
 * A tally grows in the very batch that makes a column file held by a content of that task
 * (content_count_for): it counts each once, and what a crash takes away was never in it.
 * Threads: any.
 */
#ifndef STORE_HELD_H
#define STORE_HELD_H

#include "proto/ids.h"

struct store;

/* Durable with the next commit, and before anything that is held in it: the log has one order. */
enum err_code holding_begin(struct store *store, uint64_t *ret_period, struct err *err);
/* *ret_period: valid if held. Does not pin. */
enum err_code held_since(struct store *store, const struct digest *digest,
                         struct account_id account, bool *ret_held, uint64_t *ret_period,
                         struct err *err);

/* Whether a page with all below it, or a column file, is here for the account, and nothing of it is
 * listed as damaged: what content_rely_page and content_rely_file decide by. Pins nothing, so it may
 * be gone a moment later. */
enum err_code held_find_page(struct store *store, const struct digest *digest,
                             struct account_id account, bool *ret_held, struct err *err) MUST_USE;
enum err_code held_find_file(struct store *store, const struct digest *digest,
                             struct account_id account, bool *ret_held, struct err *err) MUST_USE;

/* How many partitions of a manifest tree name a file that the account did not hold before the
 * period began. Subtrees that it held whole then are not read. */
enum err_code partitions_held_since(struct store *store, struct account_id account,
                                    const struct digest *root, uint64_t period,
                                    uint64_t *ret_partitions, struct err *err);

struct tally {
    uint64_t files, bytes;
};

/* Goes on where it stood, after a restart too; to be called before content_count_for. */
enum err_code tally_begin(struct store *store, const struct task_id *task, struct err *err);
/* Zero for a task without one. */
enum err_code tally_read(struct store *store, const struct task_id *task, struct tally *ret_tally,
                         struct err *err);
/* Forgets it; durable with the next commit. No content of the task is open. */
enum err_code tally_end(struct store *store, const struct task_id *task, struct err *err);

#endif
