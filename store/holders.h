/* What an account holds ends with what it has: a part of every collection.
 *
 *     roots of each account ──► walk ──► marks (digest, account) ──► `held` without a mark is deleted
 *
 * Without it, bytes that an account dropped and a stranger keeps would stay held for it, and a copy
 * that moves nothing would tell it of the stranger. Held stays what the account's own tables,
 * snapshots and history reach; what leases, tasks, staged pages and open contents need, whoever asks;
 * and what was stored again since the collection began. A dropped table's history keeps bytes here
 * and holds nothing for anybody.
 *
 * What loses its holder gets the holder 0, which is no account: kept here for clones of others, and
 * to be pulled by whoever asks for it. A region of one account has nothing to keep apart and pays
 * nothing; others pay for a second walk of their pages.
 *
 * Invariants: 1. CLOSED does not depend on it: only records of `held` are written. 2. What an account
 * loses wrongly, because it came to rely on it meanwhile, it pulls and counts once more.
 * Threads: as collect.h; called between its sweep and its packs.
 */
#ifndef STORE_HOLDERS_H
#define STORE_HOLDERS_H

#include "store/collect.h"

struct store;

/* number: of the collection that runs. *ret_deleted: records of `held`. */
enum err_code holders_sweep(struct store *store, const struct collect_tree *tree, uint64_t number,
                            uint64_t *ret_deleted, struct err *err) MUST_USE;

#endif
