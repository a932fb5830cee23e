#include "store/rights.h"

#include <sodium.h>
#include <time.h>

#include "store/catalog_keys.h"
#include "store/parts.h"
#include "store/rights_index.h"

#define SLOTS_MIN       64 /* a power of two, as all numbers of slots */
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

/* ---- chains: half as many as slots at most ---- */

struct rights_node **rights_chain_first(struct rights_chain *chain, uint64_t hash)
{
    return &chain->slots[hash & (chain->slot_count - 1)];
}

static void chain_init(struct rights_chain *chain)
{
    chain->slot_count = SLOTS_MIN;
    chain->slots = mem_calloc(SLOTS_MIN, sizeof(struct rights_node *));
}

static void chain_push(struct rights_chain *chain, struct rights_node *node)
{
    struct rights_node **first = rights_chain_first(chain, node->hash);
    node->next = *first;
    *first = node;
}

static void chain_grow(struct rights_chain *chain)
{
    const struct rights_chain old = *chain;
    chain->slot_count = 2 * old.slot_count;
    chain->slots = mem_calloc(chain->slot_count, sizeof(struct rights_node *));
    for (size_t i = 0; i < old.slot_count; i++) {
        for (struct rights_node *node = old.slots[i], *next; node != NULL; node = next) {
            next = node->next;
            chain_push(chain, node);
        }
    }
    mem_free(old.slots);
}

void rights_chain_add(struct rights_chain *chain, struct rights_node *node)
{
    if (++chain->used > chain->slot_count / 2)
        chain_grow(chain);
    chain_push(chain, node);
}

void rights_chain_remove(struct rights_chain *chain, struct rights_node **place)
{
    *place = (*place)->next;
    chain->used--;
}

typedef void node_free(struct rights_node *node);

static void chain_deinit(struct rights_chain *chain, node_free *each)
{
    for (size_t i = 0; i < chain->slot_count; i++) {
        for (struct rights_node *node = chain->slots[i], *next; node != NULL; node = next) {
            next = node->next;
            each(node);
        }
    }
    mem_free(chain->slots);
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
static struct rights_node **member_place(struct rights *rights, struct project_id project,
                                         const struct folded *name)
{
    uint64_t hash = member_hash(rights, project, name);
    struct rights_node **at = rights_chain_first(&rights->members, hash);
    for (; *at != NULL; at = &(*at)->next) {
        const struct rights_member *member = (const struct rights_member *)*at;
        if ((*at)->hash == hash && member->project.n == project.n &&
            member->name_bytes == name->len && memcmp(member->name, name->text, name->len) == 0)
            break;
    }
    return at;
}

struct rights_member *rights_member_find(struct rights *rights, struct project_id project,
                                         struct span name)
{
    struct folded folded;
    return fold(name, &folded) ? (struct rights_member *)*member_place(rights, project, &folded)
                               : NULL;
}

void rights_member_add(struct rights *rights, const struct member_record *record)
{
    struct folded name;
    bool fits = fold(record->name, &name);
    ASSERT(fits); /* its decoder and member_add limit it */
    ASSERT(*member_place(rights, record->project, &name) == NULL);
    struct rights_member *member = mem_calloc(1, sizeof(*member) + name.len);
    member->node.hash = member_hash(rights, record->project, &name);
    member->project = record->project;
    member->id = record->id;
    member->principal = record->principal;
    member->name_bytes = name.len;
    memcpy(member->name, name.text, name.len);
    rights_chain_add(&rights->members, &member->node);
}

static void member_free(struct rights_node *node)
{
    struct rights_member *member = (struct rights_member *)node;
    mem_free(member->roles);
    mem_free(member);
}

void rights_member_remove(struct rights *rights, struct project_id project, struct span name)
{
    struct folded folded;
    if (!fold(name, &folded))
        return;
    struct rights_node **place = member_place(rights, project, &folded), *node = *place;
    if (node == NULL)
        return;
    rights_chain_remove(&rights->members, place);
    member_free(node);
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

/* ---- asking ---- */

static bool granted_to(struct rights *rights, const struct rights_query *query, uint64_t grantee)
{
    const struct rights_key key = {.project = query->project, query->object, grantee};
    uint64_t until_ms = rights_granted_until(rights, &key, query->actions);
    return until_ms == UINT64_MAX || (until_ms > 0 && until_ms > rights_now_ms(rights));
}

struct rights_answer rights_ask(struct store *store, const struct rights_query *query)
{
    struct rights *rights = store->rights;
    struct rights_answer answer = {0};
    pthread_rwlock_rdlock(&rights->lock);
    const struct rights_member *member =
        rights_member_find(rights, query->project, query->principal);
    if (member != NULL && member->principal == query->number) {
        answer.is_user = true;
        answer.granted = granted_to(rights, query, member->id);
        for (size_t i = 0; i < member->role_count; i++) {
            answer.is_admin |= member->roles[i] == ROLE_ADMIN_ID;
            answer.granted |= member->roles[i] != ROLE_ADMIN_ID && !answer.granted &&
                              granted_to(rights, query, member->roles[i]);
        }
    }
    pthread_rwlock_unlock(&rights->lock);
    return answer;
}

uint64_t rights_clock_ms(struct store *store)
{
    return rights_now_ms(store->rights);
}

/* The first of all is known until a sweep; which comes next after one that has passed, is looked for. */
uint64_t rights_next_end_ms(struct store *store, uint64_t after_ms)
{
    struct rights *rights = store->rights;
    uint64_t ends_ms = atomic_load(&rights->ends_ms);
    if (ends_ms > after_ms)
        return ends_ms;
    pthread_rwlock_rdlock(&rights->lock);
    ends_ms = rights_ends_after(rights, after_ms);
    pthread_rwlock_unlock(&rights->lock);
    return ends_ms;
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
    return rights_grant_put(rights, &of, grant.expires_ms)
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "a grant of what cannot be granted");
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
        .list = mem_calloc(rights->members.used + 1, sizeof(struct rights_member *))};
    for (size_t i = 0; i < rights->members.slot_count; i++) {
        for (struct rights_node *at = rights->members.slots[i]; at != NULL; at = at->next)
            ids.list[ids.count++] = (struct rights_member *)at;
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
    chain_init(&rights->members);
    chain_init(&rights->grantees);
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

static void grantee_free(struct rights_node *node)
{
    rights_grantee_free((struct rights_grantee *)node);
}

void rights_close(struct rights *rights)
{
    if (rights == NULL)
        return;
    chain_deinit(&rights->members, member_free);
    chain_deinit(&rights->grantees, grantee_free);
    pthread_mutex_destroy(&rights->change);
    pthread_rwlock_destroy(&rights->lock);
    mem_free(rights);
}
