/* The grants in the index: of each grantee a table of words, an object and its actions in one.
 *
 *     grantee ──► lasting   object << 16 | actions                        one word a slot
 *                 ending    object << 16 | action, when it ends in ms      two words
 *
 * A search begins at a cache line, of eight slots of `lasting`, and seldom leaves it; grants on
 * 100,000 objects are 1 MiB. So a question among many costs about what one among ten does while that
 * stays in a processor's second cache (cluster-tests/bench/rights.c). An action is in one of the two
 * tables.
 *
 * Threads: as rights_index.h says; nothing here locks.
 */
#include "store/hash.h"
#include "store/rights_index.h"

#define LINE_WORDS      ((size_t)8)
#define LINE_BYTES      (LINE_WORDS * 8)
#define TABLE_SLOTS_MIN 8
#define ACTION_BITS     16
#define OBJECT_BITS     (64 - ACTION_BITS)

_Static_assert(GRANT_ACTION_MAX < ACTION_BITS, "actions in a word");

/* ---- a table: open addressing, at most seven eighths full ---- */

/* Keys are the high bits of a slot's first word, which is 0 where it is free. */
static uint64_t slot_key(const struct rights_table *table, size_t at)
{
    return table->words[at * table->stride] >> table->shift;
}

static bool slot_is_free(const struct rights_table *table, size_t at)
{
    return table->words[at * table->stride] == 0;
}

static size_t slot_home(const struct rights *rights, const struct rights_table *table, uint64_t key)
{
    size_t in_line = LINE_WORDS / table->stride - 1;
    uint64_t hash = hash_mix(key, load_u64(rights->hash_key));
    hash = hash_mix(hash, HASH_NULL); /* ids follow each other, and one product keeps their order */
    return (size_t)hash & (table->slots - 1) & ~in_line;
}

/* The key's slot, or the free one where it would be. lines: looked at, added up. */
static size_t slot_place(const struct rights *rights, const struct rights_table *table,
                         uint64_t key, size_t *lines)
{
    size_t home = slot_home(rights, table, key), at = home;
    while (!slot_is_free(table, at) && slot_key(table, at) != key)
        at = (at + 1) & (table->slots - 1);
    *lines += 1 + ((at - home) & (table->slots - 1)) * table->stride / LINE_WORDS;
    return at;
}

/* Its words; NULL: not there. */
static uint64_t *slot_find(const struct rights *rights, const struct rights_table *table,
                           uint64_t key, size_t *lines)
{
    if (table->used == 0)
        return NULL;
    size_t at = slot_place(rights, table, key, lines);
    return slot_is_free(table, at) ? NULL : &table->words[at * table->stride];
}

static void table_alloc(struct rights_table *table, size_t slots)
{
    size_t bytes = slots * table->stride * sizeof(*table->words);
    table->memory = mem_calloc(1, bytes + LINE_BYTES);
    table->words = (uint64_t *)(((uintptr_t)table->memory + LINE_BYTES - 1) & ~(LINE_BYTES - 1));
    table->slots = slots;
}

static void table_grow(const struct rights *rights, struct rights_table *table)
{
    const struct rights_table old = *table;
    size_t lines = 0;
    table_alloc(table, old.slots == 0 ? TABLE_SLOTS_MIN : 2 * old.slots);
    for (size_t i = 0; i < old.slots; i++) {
        if (slot_is_free(&old, i))
            continue;
        size_t at = slot_place(rights, table, slot_key(&old, i), &lines);
        memcpy(&table->words[at * table->stride], &old.words[i * old.stride],
               old.stride * sizeof(*old.words));
    }
    mem_free(old.memory);
}

/* Its words, free ones if it is new: the caller fills the first. */
static uint64_t *slot_take(const struct rights *rights, struct rights_table *table, uint64_t key)
{
    size_t lines = 0;
    if (8 * (table->used + 1) > 7 * table->slots)
        table_grow(rights, table);
    size_t at = slot_place(rights, table, key, &lines);
    table->used += slot_is_free(table, at);
    return &table->words[at * table->stride];
}

/* Those behind it move up, so that no search ends before it should (Knuth 6.4, algorithm R). */
static void slot_free(const struct rights *rights, struct rights_table *table, uint64_t *words)
{
    size_t mask = table->slots - 1, hole = (size_t)(words - table->words) / table->stride;
    size_t bytes = table->stride * sizeof(*table->words);
    table->used--;
    for (size_t at = (hole + 1) & mask; !slot_is_free(table, at); at = (at + 1) & mask) {
        size_t home = slot_home(rights, table, slot_key(table, at));
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        memcpy(&table->words[hole * table->stride], &table->words[at * table->stride], bytes);
        hole = at;
    }
    memset(&table->words[hole * table->stride], 0, bytes);
}

/* ---- grantees: those that have grants ---- */

static struct rights_node **grantee_place(struct rights *rights, const struct rights_key *key)
{
    uint64_t hash = hash_mix(key->grantee, key->project.n ^ load_u64(rights->hash_key));
    struct rights_node **at = rights_chain_first(&rights->grantees, hash);
    while (*at != NULL) {
        const struct rights_grantee *grantee = (const struct rights_grantee *)*at;
        if (grantee->id == key->grantee && grantee->project.n == key->project.n)
            break;
        at = &(*at)->next;
    }
    return at;
}

static struct rights_grantee *grantee_make(struct rights *rights, const struct rights_key *key)
{
    struct rights_grantee *grantee = mem_calloc(1, sizeof(*grantee));
    grantee->node.hash = hash_mix(key->grantee, key->project.n ^ load_u64(rights->hash_key));
    grantee->project = key->project;
    grantee->id = key->grantee;
    grantee->lasting = (struct rights_table){.stride = 1, .shift = ACTION_BITS};
    grantee->ending = (struct rights_table){.stride = 2, .shift = 0};
    rights_chain_add(&rights->grantees, &grantee->node);
    return grantee;
}

void rights_grantee_free(struct rights_grantee *grantee)
{
    mem_free(grantee->lasting.memory);
    mem_free(grantee->ending.memory);
    mem_free(grantee);
}

/* ---- grants ---- */

static uint64_t ending_key(const struct rights_key *key)
{
    return key->object.n << ACTION_BITS | key->action;
}

static bool key_fits(const struct rights_key *key)
{
    return key->object.n >> OBJECT_BITS == 0 && key->action > 0 && key->action <= GRANT_ACTION_MAX;
}

/* True: it was there. */
static bool grant_take(struct rights *rights, struct rights_grantee *grantee,
                       const struct rights_key *key)
{
    size_t lines = 0;
    uint64_t bit = UINT64_C(1) << key->action;
    uint64_t *ending = slot_find(rights, &grantee->ending, ending_key(key), &lines);
    uint64_t *lasting = slot_find(rights, &grantee->lasting, key->object.n, &lines);
    bool lasts = lasting != NULL && (*lasting & bit) != 0;
    if (ending != NULL)
        slot_free(rights, &grantee->ending, ending);
    if (lasts && (*lasting & GRANT_ACTIONS) == bit)
        slot_free(rights, &grantee->lasting, lasting);
    else if (lasts)
        *lasting &= ~bit;
    rights->grant_count -= ending != NULL || lasts;
    return ending != NULL || lasts;
}

bool rights_grant_put(struct rights *rights, const struct rights_key *key, uint64_t expires_ms)
{
    if (!key_fits(key))
        return false;
    struct rights_grantee *grantee = (struct rights_grantee *)*grantee_place(rights, key);
    if (grantee == NULL)
        grantee = grantee_make(rights, key);
    grant_take(rights, grantee, key);
    rights->grant_count++;
    if (expires_ms == 0) {
        *slot_take(rights, &grantee->lasting, key->object.n) |=
            key->object.n << ACTION_BITS | UINT64_C(1) << key->action;
        return true;
    }
    uint64_t *words = slot_take(rights, &grantee->ending, ending_key(key));
    words[0] = ending_key(key);
    words[1] = expires_ms;
    if (expires_ms < atomic_load(&rights->ends_ms))
        atomic_store(&rights->ends_ms, expires_ms);
    return true;
}

void rights_grant_remove(struct rights *rights, const struct rights_key *key)
{
    struct rights_node **place = grantee_place(rights, key);
    struct rights_grantee *grantee = (struct rights_grantee *)*place;
    if (!key_fits(key) || grantee == NULL || !grant_take(rights, grantee, key) ||
        grantee->lasting.used + grantee->ending.used > 0)
        return;
    rights_chain_remove(&rights->grantees, place);
    rights_grantee_free(grantee);
}

uint64_t rights_ends_after(const struct rights *rights, uint64_t after_ms)
{
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < rights->grantees.slot_count; i++)
        for (const struct rights_node *at = rights->grantees.slots[i]; at != NULL; at = at->next) {
            const struct rights_table *ending = &((const struct rights_grantee *)at)->ending;
            for (size_t slot = 0; slot < ending->slots; slot++) {
                uint64_t ends_ms = ending->words[slot * ending->stride + 1];
                if (!slot_is_free(ending, slot) && ends_ms > after_ms && ends_ms < first_ms)
                    first_ms = ends_ms;
            }
        }
    return first_ms;
}

/* ---- asking ---- */

/* When the last of these actions ends; 0: none was given. */
static uint64_t ends_at(const struct rights *rights, const struct rights_grantee *grantee,
                        struct rights_key key, uint64_t actions, size_t *lines)
{
    uint64_t ends_ms = 0;
    for (uint64_t left = grantee->ending.used > 0 ? actions : 0; left != 0; left &= left - 1) {
        key.action = (uint32_t)__builtin_ctzll(left);
        const uint64_t *words = slot_find(rights, &grantee->ending, ending_key(&key), lines);
        if (words != NULL && words[1] > ends_ms)
            ends_ms = words[1];
    }
    return ends_ms;
}

uint64_t rights_granted_until(struct rights *rights, const struct rights_key *key, uint64_t actions)
{
    const struct rights_grantee *grantee =
        (const struct rights_grantee *)*grantee_place(rights, key);
    actions &= GRANT_ACTIONS;
    if (grantee == NULL || key->object.n >> OBJECT_BITS != 0)
        return 0;
    size_t lines = 0;
    const uint64_t *lasting = slot_find(rights, &grantee->lasting, key->object.n, &lines);
    uint64_t until_ms = lasting != NULL && (*lasting & actions) != 0
                            ? UINT64_MAX
                            : ends_at(rights, grantee, *key, actions, &lines);
    atomic_fetch_add_explicit(&rights->probes, lines, memory_order_relaxed);
    return until_ms;
}
