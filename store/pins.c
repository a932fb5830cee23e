#include "store/pins.h"

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

struct pin *pin_map_add(struct pin_map *map, const struct digest *digest, enum pin_kind kind)
{
    if (map->count + map->count / 2 >= map->capacity)
        pin_map_grow(map);
    struct pin *pin = pin_slot(map, digest);
    if (pin_empty(pin)) {
        *pin = (struct pin){.digest = *digest, .kind = (uint8_t)kind};
        map->count++;
    }
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

void pin_map_settle(struct pin_map *map, const struct digest *digest, const struct pack *pack)
{
    struct pin *pin = pin_map_find(map, digest);
    if (pin == NULL || pin->pending != pack)
        return;
    if (pin->count == 0)
        pin_drop(map, pin);
    else
        pin->pending = NULL;
}

const struct pin *pin_map_next(const struct pin_map *map, size_t *at)
{
    while (*at < map->capacity) {
        const struct pin *pin = &map->slots[(*at)++];
        if (!pin_empty(pin))
            return pin;
    }
    return NULL;
}
