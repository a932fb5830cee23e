#include "store/mark.h"

#include <stdatomic.h>
#include <sys/random.h>

#include "store/collect.h"

#define SET_CAPACITY_MIN 1024

/* ---- set ---- */

static uint64_t spread_factor(void)
{
    static _Atomic uint64_t factor;
    uint64_t drawn = atomic_load_explicit(&factor, memory_order_relaxed);
    if (drawn == 0) {
        uint64_t none = 0;
        ASSERT(getrandom(&drawn, sizeof(drawn), 0) == sizeof(drawn));
        drawn |= 1;
        if (!atomic_compare_exchange_strong(&factor, &none, drawn))
            drawn = none;
    }
    return drawn;
}

uint64_t mark_spread(const uint8_t mark[MARK_BYTES])
{
    uint64_t factor = spread_factor();
    uint64_t mixed = (load_u64(mark) ^ load_u64(mark + 8) * factor) * factor;
    return mixed >> 32 ^ mixed;
}

static size_t set_slot(const struct digest_set *set, const uint8_t mark[MARK_BYTES])
{
    static const uint8_t empty[MARK_BYTES];
    size_t at = (size_t)mark_spread(mark) & (set->capacity - 1);
    while (memcmp(set->slots[at], empty, MARK_BYTES) != 0 &&
           memcmp(set->slots[at], mark, MARK_BYTES) != 0)
        at = (at + 1) & (set->capacity - 1);
    return at;
}

static void set_grow(struct digest_set *set)
{
    struct digest_set wide = {
        .capacity = set->capacity == 0 ? SET_CAPACITY_MIN : 2 * set->capacity,
        .count = set->count,
    };
    wide.slots = mem_calloc(wide.capacity, MARK_BYTES);
    static const uint8_t empty[MARK_BYTES];
    for (size_t i = 0; i < set->capacity; i++) {
        if (memcmp(set->slots[i], empty, MARK_BYTES) != 0)
            memcpy(wide.slots[set_slot(&wide, set->slots[i])], set->slots[i], MARK_BYTES);
    }
    mem_free(set->slots);
    *set = wide;
}

/* The digest that begins with 16 zero bytes has no mark of its own. */
static void mark_of(const struct digest *digest, uint8_t ret_mark[MARK_BYTES])
{
    static const uint8_t empty[MARK_BYTES];
    memcpy(ret_mark, digest->b, MARK_BYTES);
    if (memcmp(ret_mark, empty, MARK_BYTES) == 0)
        ret_mark[0] = 1;
}

void digest_set_deinit(struct digest_set *set)
{
    mem_free(set->slots);
    *set = (struct digest_set){0};
}

bool digest_set_add(struct digest_set *set, const struct digest *digest)
{
    if (set->count + set->count / 2 >= set->capacity)
        set_grow(set);
    uint8_t mark[MARK_BYTES];
    mark_of(digest, mark);
    size_t at = set_slot(set, mark);
    if (memcmp(set->slots[at], mark, MARK_BYTES) == 0)
        return false;
    memcpy(set->slots[at], mark, MARK_BYTES);
    set->count++;
    return true;
}

bool digest_set_has(const struct digest_set *set, const struct digest *digest)
{
    if (set->capacity == 0)
        return false;
    uint8_t mark[MARK_BYTES];
    mark_of(digest, mark);
    return memcmp(set->slots[set_slot(set, mark)], mark, MARK_BYTES) == 0;
}

/* ---- list ---- */

void digest_list_deinit(struct digest_list *list)
{
    mem_free(list->digests);
    *list = (struct digest_list){0};
}

void digest_list_push(struct digest_list *list, const struct digest *digest)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->digests = mem_realloc(list->digests, list->capacity, sizeof(*list->digests));
    }
    list->digests[list->count++] = *digest;
}

/* ---- marks ---- */

void collect_mark_deinit(struct collect_mark *mark)
{
    digest_set_deinit(&mark->marked);
    digest_list_deinit(&mark->walk);
    digest_list_deinit(&mark->extra);
}

void collect_mark_page(struct collect_mark *mark, const struct digest *digest)
{
    if (mark->mute || !digest_set_add(&mark->marked, digest))
        return;
    mark->pages++;
    digest_list_push(&mark->walk, digest);
}

void collect_mark_file(struct collect_mark *mark, const struct digest *digest)
{
    if (mark->mute || !digest_set_add(&mark->marked, digest))
        return;
    mark->files++;
    if (mark->on_file != NULL)
        mark->on_file(mark->on_file_context, digest);
}
