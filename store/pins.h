/* What clean-up leaves alone because somebody works with it: digests with a count. And, in a map of
 * their own, claims: in which pack an account's file is on its way, written but not indexed yet.
 *
 * A claim is an account's, as what is held: who finds one knows that the bytes need not be written
 * again, so nobody finds a stranger's.
 *
 * Invariant: a pin is in the map while it is counted or pending. The caller locks (index.h).
 */
#ifndef STORE_PINS_H
#define STORE_PINS_H

#include "proto/digest.h"
#include "proto/ids.h"

struct pack;

enum pin_kind {
    PIN_FILE,
    PIN_PAGE,
};

struct pin {
    struct digest digest;
    struct pack *pending; /* of a claim: in this pack, not indexed yet */
    uint32_t count;
    uint8_t kind; /* enum pin_kind */
};

struct pin_map {
    struct pin *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

void pin_map_deinit(struct pin_map *map);
/* NULL when absent. Pointers into the map hold until the next add or release. */
struct pin *pin_map_find(struct pin_map *map, const struct digest *digest);
/* One more count. */
struct pin *pin_map_add(struct pin_map *map, const struct digest *digest, enum pin_kind kind);
/* One count less; it is there. */
void pin_map_release(struct pin_map *map, const struct digest *digest);
/* The pack that has the account's file on its way; NULL: none. */
struct pack *pin_map_claimed(struct pin_map *claims, const struct digest *digest,
                             struct account_id account);
/* The same, and `pack` has it from now on when none had. */
struct pack *pin_map_claim(struct pin_map *claims, const struct digest *digest,
                           struct account_id account, struct pack *pack);
/* No longer on its way in this pack, if it is. */
void pin_map_settle(struct pin_map *claims, const struct digest *digest, struct account_id account,
                    const struct pack *pack);
/* Steps over all pins; start with *at = 0; NULL at the end. The map does not change meanwhile. */
const struct pin *pin_map_next(const struct pin_map *map, size_t *at);

#endif
