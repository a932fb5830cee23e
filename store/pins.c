#include "store/pins.h"

#include "proto/bytes.h"
#include "store/mark.h"

#define PIN_CAPACITY_MIN 256

static bool pin_empty(const struct pin *pin)
{
    return pin->count == 0 && pin->pending == NULL;
}

static size_t pin_home(const struct pin_map *map, const struct digest *digest)
{
    return (size_t)mark_spread(digest->b) & (map->capacity - 1);
}

/* The digest's slot, or the empty one where it would stand. */
static struct pin *pin_slot(struct pin_map *map, const struct digest *digest)
{
    size_t at = pin_home(map, digest);
    while (!pin_empty(&map->slots[at]) && !digest_equal(&map->slots[at].digest, digest))
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

static void pin_map_grow(struct pin_map *map)
{
    struct pin_map wide = {.capacity = map->capacity == 0 ? PIN_CAPACITY_MIN : 2 * map->capacity};
    wide.slots = mem_calloc(wide.capacity, sizeof(*wide.slots));
    for (size_t i = 0; i < map->capacity; i++) {
        if (!pin_empty(&map->slots[i]))
            *pin_slot(&wide, &map->slots[i].digest) = map->slots[i];
    }
    wide.count = map->count;
    mem_free(map->slots);
    *map = wide;
}

/* Empties a slot and closes the gap, so that probing needs no tombstones. */
static void pin_drop(struct pin_map *map, struct pin *pin)
{
    size_t mask = map->capacity - 1;
    size_t gap = (size_t)(pin - map->slots);
    for (size_t at = (gap + 1) & mask; !pin_empty(&map->slots[at]); at = (at + 1) & mask) {
        size_t home = pin_home(map, &map->slots[at].digest);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            map->slots[gap] = map->slots[at];
            gap = at;
        }
    }
    map->slots[gap] = (struct pin){0};
    map->count--;
}

void pin_map_deinit(struct pin_map *map)
{
    mem_free(map->slots);
    *map = (struct pin_map){0};
}

struct pin *pin_map_find(struct pin_map *map, const struct digest *digest)
{
    if (map->capacity == 0)
        return NULL;
    struct pin *pin = pin_slot(map, digest);
    return pin_empty(pin) ? NULL : pin;
}

/* The digest's slot; an empty one is to be filled at once. */
static struct pin *pin_take(struct pin_map *map, const struct digest *digest, enum pin_kind kind)
{
    if (map->count + map->count / 2 >= map->capacity)
        pin_map_grow(map);
    struct pin *pin = pin_slot(map, digest);
    if (pin_empty(pin)) {
        *pin = (struct pin){.digest = *digest, .kind = (uint8_t)kind};
        map->count++;
    }
    return pin;
}

struct pin *pin_map_add(struct pin_map *map, const struct digest *digest, enum pin_kind kind)
{
    struct pin *pin = pin_take(map, digest, kind);
    ASSERT(pin->count < UINT32_MAX);
    pin->count++;
    return pin;
}

void pin_map_release(struct pin_map *map, const struct digest *digest)
{
    struct pin *pin = pin_map_find(map, digest);
    ASSERT(pin != NULL && pin->count > 0);
    if (pin->count == 1 && pin->pending == NULL)
        pin_drop(map, pin);
    else
        pin->count--;
}

/* ---- claims ---- */

/* Of one file two accounts have two keys. Two files with one key would be digests that are alike in all
 * but these 8 bytes. */
static struct digest claim_key(const struct digest *digest, struct account_id account)
{
    struct digest key = *digest;
    uint8_t *end = key.b + DIGEST_BYTES - 8;
    store_u64(end, load_u64(end) ^ account.n);
    return key;
}

struct pack *pin_map_claimed(struct pin_map *claims, const struct digest *digest,
                             struct account_id account)
{
    struct digest key = claim_key(digest, account);
    struct pin *claim = pin_map_find(claims, &key);
    return claim == NULL ? NULL : claim->pending;
}

struct pack *pin_map_claim(struct pin_map *claims, const struct digest *digest,
                           struct account_id account, struct pack *pack)
{
    struct digest key = claim_key(digest, account);
    struct pin *claim = pin_take(claims, &key, PIN_FILE);
    if (claim->pending == NULL)
        claim->pending = pack;
    return claim->pending;
}

void pin_map_settle(struct pin_map *claims, const struct digest *digest, struct account_id account,
                    const struct pack *pack)
{
    struct digest key = claim_key(digest, account);
    struct pin *claim = pin_map_find(claims, &key);
    if (claim != NULL && claim->pending == pack)
        pin_drop(claims, claim);
}

/* ---- all of them ---- */

const struct pin *pin_map_next(const struct pin_map *map, size_t *at)
{
    while (*at < map->capacity) {
        const struct pin *pin = &map->slots[(*at)++];
        if (!pin_empty(pin))
            return pin;
    }
    return NULL;
}
