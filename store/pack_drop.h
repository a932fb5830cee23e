/* Dropping packs: the only place where a pack's file goes while the store is open.
 *
 *     dying (batch) -> sync -> file gone -> record gone
 *
 * The sync also makes durable what moved their files elsewhere, or deleted them: an index that points
 * at a pack never outlives it. A crash on the way leaves dying packs: the next opening drops them.
 */
#ifndef STORE_PACK_DROP_H
#define STORE_PACK_DROP_H

#include "store/index.h"

/* The caller has seen, in the file index itself and not in a count, that no file record names these
 * packs; they are not busy. Without the lock. */
enum err_code packs_drop(struct index *index, const struct pack_id *ids, size_t count,
                         struct err *err);

#endif
