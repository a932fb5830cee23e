#include "store/rights.h"

#include <sodium.h>
#include <time.h>

#include "store/catalog_keys.h"
#include "store/hash.h"
#include "store/parts.h"
#include "store/rights_index.h"

#define SLOTS_MIN       64 /* a power of two, as all numbers of slots */
#define GRANT_ROOM      4  /* slots for each grant, at least: a look-up meets a free one soon */
#define NAME_BYTES_KEPT LIMIT_PRINCIPAL_BYTES

/* ---- the clock ---- */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Ahead of what was believed a grant ends early, which harms nobody for long; behind it none may
 * begin to count again. */
uint64_t rights_now_ms(const struct rights *rights)
{
    uint64_t wall_ms = clock_ms(CLOCK_REALTIME);
    uint64_t believed_ms = atomic_load(&rights->believed_ms);
    if (believed_ms == 0)
        return wall_ms;
    uint64_t due_ms = believed_ms + (clock_ms(CLOCK_MONOTONIC) - rights->believed_at_ms);
    return wall_ms > due_ms ? wall_ms : due_ms;
}

void rights_believe(struct store *store, uint64_t wall_ms)
{
    struct rights *rights = store->rights;
    pthread_rwlock_wrlock(&rights->lock);
    atomic_store(&rights->believed_at_ms, clock_ms(CLOCK_MONOTONIC));
    atomic_store(&rights->believed_ms, wall_ms);
    pthread_rwlock_unlock(&rights->lock);
}

/* ---- users ---- */

/* A principal's name as it is compared; longer ones are nobody's. */
struct folded {
    size_t len;
    uint8_t text[NAME_BYTES_KEPT];
};

static bool fold(struct span name, struct folded *ret_folded)
{
    if (name.len > sizeof(ret_folded->text))
        return false;
    ret_folded->len = name.len;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        ret_folded->text[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
    }
    return true;
}

static uint64_t member_hash(const struct rights *rights, struct project_id project,
                            const struct folded *name)
{
    uint8_t raw[8 + NAME_BYTES_KEPT], hash[crypto_shorthash_BYTES];
    store_u64(raw, project.n);
    memcpy(raw + 8, name->text, name->len);
    crypto_shorthash(hash, raw, 8 + name->len, rights->hash_key);
    return load_u64(hash);
}

/* What points to the user; to NULL when there is none. */
static struct rights_member **member_place(struct rights *rights, struct project_id project,
                                           const struct folded *name)
{
    uint64_t hash = member_hash(rights, project, name);
    struct rights_member **at = &rights->members[hash & (rights->member_slots - 1)];
    while (*at != NULL &&
           ((*at)->hash != hash || (*at)->project.n != project.n ||
            (*at)->name_bytes != name->len || memcmp((*at)->name, name->text, name->len) != 0))
        at = &(*at)->next;
    return at;
}

struct rights_member *rights_member_find(struct rights *rights, struct project_id project,
                                         struct span name)
{
    struct folded folded;
    return fold(name, &folded) ? *member_place(rights, project, &folded) : NULL;
}

static void members_grow(struct rights *rights)
{
    size_t slots = 2 * rights->member_slots;
    struct rights_member **grown = mem_calloc(slots, sizeof(struct rights_member *));
    for (size_t i = 0; i < rights->member_slots; i++) {
        for (struct rights_member *member = rights->members[i]; member != NULL;) {
            struct rights_member *next = member->next;
            member->next = grown[member->hash & (slots - 1)];
            grown[member->hash & (slots - 1)] = member;
            member = next;
        }
    }
    mem_free(rights->members);
    rights->members = grown;
    rights->member_slots = slots;
}

void rights_member_add(struct rights *rights, const struct member_record *record)
{
    struct folded name;
    bool fits = fold(record->name, &name);
    ASSERT(fits); /* its decoder and member_add limit it */
    struct rights_member **place = member_place(rights, record->project, &name);
    ASSERT(*place == NULL);
    struct rights_member *member = mem_calloc(1, sizeof(*member) + name.len);
    member->hash = member_hash(rights, record->project, &name);
    member->project = record->project;
    member->id = record->id;
    member->principal = record->principal;
    member->name_bytes = name.len;
    memcpy(member->name, name.text, name.len);
    *place = member;
    if (++rights->member_count > rights->member_slots / 2)
        members_grow(rights);
}

static void member_free(struct rights_member *member)
{
    mem_free(member->roles);
    mem_free(member);
}

void rights_member_remove(struct rights *rights, struct project_id project, struct span name)
{
    struct folded folded;
    if (!fold(name, &folded))
        return;
    struct rights_member **place = member_place(rights, project, &folded);
    struct rights_member *member = *place;
    if (member == NULL)
        return;
    *place = member->next;
    rights->member_count--;
    member_free(member);
}

void rights_role_add(struct rights_member *member, uint64_t role)
{
    member->roles = mem_realloc(member->roles, member->role_count + 1, sizeof(*member->roles));
    member->roles[member->role_count++] = role;
}

void rights_role_remove(struct rights_member *member, uint64_t role)
{
    for (size_t i = 0; i < member->role_count; i++) {
        if (member->roles[i] == role)
            member->roles[i--] = member->roles[--member->role_count];
    }
}

/* ---- grants ---- */

static size_t grant_slot(const struct rights *rights, uint64_t project, uint64_t object,
                         uint64_t grantee, uint64_t action)
{
    uint64_t hash = hash_mix(project, object) + hash_mix(grantee, action ^ HASH_NULL);
    return (size_t)hash_mix(hash, load_u64(rights->hash_key)) & (rights->grant_slots - 1);
}

static bool slot_is(const struct rights_slot *slot, const struct rights_key *key)
{
    return slot->grantee == key->grantee && slot->object == key->object.n &&
           slot->action == key->action && slot->project == key->project.n;
}

/* The grant's slot, or the free one where it would be. */
static size_t grant_place(const struct rights *rights, const struct rights_key *key, size_t *probes)
{
    size_t at = grant_slot(rights, key->project.n, key->object.n, key->grantee, key->action);
    for (*probes = 1; rights->grants[at].grantee != 0; ++*probes) {
        if (slot_is(&rights->grants[at], key))
            break;
        at = (at + 1) & (rights->grant_slots - 1);
    }
    return at;
}

const struct rights_slot *rights_grant_find(struct rights *rights, const struct rights_key *key)
{
    size_t probes;
    const struct rights_slot *slot = &rights->grants[grant_place(rights, key, &probes)];
    atomic_fetch_add_explicit(&rights->probes, probes, memory_order_relaxed);
    return slot->grantee != 0 ? slot : NULL;
}

static void grants_resize(struct rights *rights, size_t slots)
{
    struct rights_slot *old = rights->grants;
    size_t old_slots = rights->grant_slots, probes;
    rights->grants = mem_calloc(slots, sizeof(*rights->grants));
    rights->grant_slots = slots;
    for (size_t i = 0; i < old_slots; i++) {
        const struct rights_key key = {
            {old[i].project}, {old[i].object}, old[i].grantee, (uint32_t)old[i].action};
        if (old[i].grantee != 0)
            rights->grants[grant_place(rights, &key, &probes)] = old[i];
    }
    mem_free(old);
}

void rights_grant_put(struct rights *rights, const struct rights_key *key, uint64_t expires_ms)
{
    size_t probes;
    if ((rights->grant_count + 1) * GRANT_ROOM > rights->grant_slots)
        grants_resize(rights, 2 * rights->grant_slots);
    struct rights_slot *slot = &rights->grants[grant_place(rights, key, &probes)];
    rights->grant_count += slot->grantee == 0;
    *slot = (struct rights_slot){.project = key->project.n,
                                 .object = key->object.n,
                                 .grantee = key->grantee,
                                 .action = key->action,
                                 .expires_ms = expires_ms};
    if (expires_ms != 0 && expires_ms < atomic_load(&rights->ends_ms))
        atomic_store(&rights->ends_ms, expires_ms);
}

/* Those behind it move up, so that no search ends before it should (Knuth 6.4, algorithm R). */
void rights_grant_remove(struct rights *rights, const struct rights_key *key)
{
    size_t probes, mask = rights->grant_slots - 1;
    size_t hole = grant_place(rights, key, &probes);
    if (rights->grants[hole].grantee == 0)
        return;
    rights->grant_count--;
    for (size_t at = (hole + 1) & mask; rights->grants[at].grantee != 0; at = (at + 1) & mask) {
        const struct rights_slot *slot = &rights->grants[at];
        size_t home = grant_slot(rights, slot->project, slot->object, slot->grantee, slot->action);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        rights->grants[hole] = *slot;
        hole = at;
    }
    rights->grants[hole] = (struct rights_slot){0};
}

/* ---- asking ---- */

static bool granted_to(struct rights *rights, const struct rights_query *query, uint64_t grantee,
                       uint64_t *now_ms)
{
    for (uint64_t left = query->actions; left != 0; left &= left - 1) {
        const struct rights_key key = {query->project, query->object, grantee,
                                       (uint32_t)__builtin_ctzll(left)};
        const struct rights_slot *slot = rights_grant_find(rights, &key);
        if (slot == NULL)
            continue;
        if (slot->expires_ms != 0 && *now_ms == 0)
            *now_ms = rights_now_ms(rights);
        if (slot->expires_ms == 0 || slot->expires_ms > *now_ms)
            return true;
    }
    return false;
}

struct rights_answer rights_ask(struct store *store, const struct rights_query *query)
{
    struct rights *rights = store->rights;
    struct rights_answer answer = {0};
    uint64_t now_ms = 0;
    pthread_rwlock_rdlock(&rights->lock);
    const struct rights_member *member =
        rights_member_find(rights, query->project, query->principal);
    if (member != NULL && member->principal == query->number) {
        answer.is_user = true;
        answer.granted = granted_to(rights, query, member->id, &now_ms);
        for (size_t i = 0; i < member->role_count; i++) {
            answer.is_admin |= member->roles[i] == ROLE_ADMIN_ID;
            answer.granted |= member->roles[i] != ROLE_ADMIN_ID && !answer.granted &&
                              granted_to(rights, query, member->roles[i], &now_ms);
        }
    }
    pthread_rwlock_unlock(&rights->lock);
    return answer;
}

uint64_t rights_probes(struct store *store)
{
    return atomic_load(&store->rights->probes);
}

uint64_t rights_unreadable(struct store *store)
{
    return store->rights->unreadable;
}

/* ---- open, close ---- */

typedef enum err_code load_record(struct rights *rights, struct span key, struct span value,
                                  struct arena *arena, struct err *err);

static enum err_code key_expect(struct span key, const struct bytes *expected, struct err *err)
{
    return span_equal(key, bytes_span(expected))
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "a record of rights under another's key");
}

static enum err_code load_member(struct rights *rights, struct span key, struct span value,
                                 struct arena *arena, struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct member_record member;
    TRY(member_record_decode(value, arena, &member, err));
    rights_key_named('m', member.project, member.name, &own);
    TRY(key_expect(key, &own, err));
    rights_member_add(rights, &member);
    return ERR_OK;
}

static enum err_code load_grant(struct rights *rights, struct span key, struct span value,
                                struct arena *arena, struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct grant_record grant;
    TRY(grant_record_decode(value, arena, &grant, err));
    const struct rights_key of = {grant.project, grant.object, grant.grantee, grant.action};
    rights_key_grant(&of, &own);
    TRY(key_expect(key, &own, err));
    rights_grant_put(rights, &of, grant.expires_ms);
    return ERR_OK;
}

static enum err_code records_load(struct store *store, struct rights *rights, char kind,
                                  load_record *load, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_of(&kind, 1), span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        rights->unreadable += load(rights, key, value, &arena, NULL) != ERR_OK;
    }
}

/* Roles name users by id: looked up by a sorted list, for there may be many of both. */
struct member_ids {
    struct rights_member **list;
    size_t count;
};

static int member_compare(const void *a, const void *b)
{
    uint64_t x = (*(struct rights_member *const *)a)->id;
    uint64_t y = (*(struct rights_member *const *)b)->id;
    return (x > y) - (x < y);
}

static struct member_ids member_ids_new(const struct rights *rights)
{
    struct member_ids ids = {
        .list = mem_calloc(rights->member_count + 1, sizeof(struct rights_member *))};
    for (size_t i = 0; i < rights->member_slots; i++) {
        for (struct rights_member *at = rights->members[i]; at != NULL; at = at->next)
            ids.list[ids.count++] = at;
    }
    qsort(ids.list, ids.count, sizeof(struct rights_member *), member_compare);
    return ids;
}

static struct rights_member *member_ids_find(const struct member_ids *ids, uint64_t id)
{
    size_t low = 0, high = ids->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->list[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ids->count && ids->list[low]->id == id ? ids->list[low] : NULL;
}

static enum err_code roles_load(struct store *store, struct rights *rights,
                                const struct member_ids *ids, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("q"), span_of(NULL, 0), &iter, err));
    for (;;) {
        BYTES_CLEANUP struct bytes own = {0};
        struct role_member_record record;
        struct span key, value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        bool readable = role_member_record_decode(value, &arena, &record, NULL) == ERR_OK;
        if (readable)
            rights_key_role(record.project, record.member, record.role, &own);
        readable = readable && span_equal(key, bytes_span(&own));
        rights->unreadable += !readable;
        struct rights_member *member = readable ? member_ids_find(ids, record.member) : NULL;
        if (member != NULL && member->project.n == record.project.n)
            rights_role_add(member, record.role);
    }
}

static enum err_code rights_load(struct store *store, struct rights *rights, struct err *err)
{
    TRY(records_load(store, rights, 'm', load_member, err));
    struct member_ids ids = member_ids_new(rights);
    enum err_code code = roles_load(store, rights, &ids, err);
    mem_free(ids.list);
    TRY(code);
    return records_load(store, rights, 'g', load_grant, err);
}

enum err_code rights_open(struct store *store, struct rights **ret_rights, struct err *err)
{
    struct rights *rights = mem_calloc(1, sizeof(*rights));
    _Static_assert(sizeof(rights->hash_key) == crypto_shorthash_KEYBYTES, "hash key");
    pthread_mutex_init(&rights->change, NULL);
    pthread_rwlock_init(&rights->lock, NULL);
    randombytes_buf(rights->hash_key, sizeof(rights->hash_key));
    rights->member_slots = rights->grant_slots = SLOTS_MIN;
    rights->members = mem_calloc(SLOTS_MIN, sizeof(struct rights_member *));
    rights->grants = mem_calloc(SLOTS_MIN, sizeof(*rights->grants));
    atomic_init(&rights->ends_ms, UINT64_MAX);
    atomic_init(&rights->sweep_wished, true); /* what a crash left */
    enum err_code code = rights_load(store, rights, err);
    if (code != ERR_OK) {
        rights_close(rights);
        return code;
    }
    *ret_rights = rights;
    return ERR_OK;
}

void rights_close(struct rights *rights)
{
    if (rights == NULL)
        return;
    for (size_t i = 0; i < rights->member_slots; i++) {
        for (struct rights_member *member = rights->members[i]; member != NULL;) {
            struct rights_member *next = member->next;
            member_free(member);
            member = next;
        }
    }
    pthread_mutex_destroy(&rights->change);
    pthread_rwlock_destroy(&rights->lock);
    mem_free(rights->members);
    mem_free(rights->grants);
    mem_free(rights);
}
