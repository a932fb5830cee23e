/* Deletes what no longer gives a right: grants that have expired, and records of who or what is gone.
 * None of it counts meanwhile: ids are never given again. */
#include "store/catalog_keys.h"
#include "store/parts.h"
#include "store/rights_index.h"

/* Ids that are alive, ascending. */
struct ids {
    uint64_t *list;
    size_t count, capacity;
};

struct sweep {
    struct store *store;
    struct db_view *view;
    uint64_t now_ms;
    struct ids grantees;
    struct catalog_change change;
    struct bytes keys; /* struct rights_key of each grant in the change */
    size_t in_change;  /* records that it deletes */
    size_t deleted;
    uint64_t ends_ms;       /* of the grants that stay, the first to expire */
    struct rights_key seen; /* the grant looked at before, and whether its object is there */
    bool seen_there;
    struct arena arena;
};

void rights_sweep_wish(struct store *store)
{
    atomic_store(&store->rights->sweep_wished, true);
}

/* ---- who is there ---- */

static void ids_add(struct ids *ids, uint64_t id)
{
    if (ids->count == ids->capacity) {
        ids->capacity = ids->capacity == 0 ? 64 : 2 * ids->capacity;
        ids->list = mem_realloc(ids->list, ids->capacity, sizeof(*ids->list));
    }
    ids->list[ids->count++] = id;
}

static int id_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool ids_has(const struct ids *ids, uint64_t id)
{
    return ids->count > 0 && bsearch(&id, ids->list, ids->count, sizeof(id), id_compare) != NULL;
}

/* Commits what the change has. */
static enum err_code sweep_flush(struct sweep *sweep, struct err *err)
{
    struct rights *rights = sweep->store->rights;
    const struct rights_key *keys = (const struct rights_key *)(const void *)sweep->keys.data;
    if (sweep->in_change == 0)
        return ERR_OK;
    TRY(catalog_commit(sweep->store, &sweep->change, CATALOG_USE_RESERVE, err));
    pthread_rwlock_wrlock(&rights->lock);
    for (size_t i = 0; i < sweep->keys.len / sizeof(*keys); i++)
        rights_grant_remove(rights, &keys[i]);
    pthread_rwlock_unlock(&rights->lock);
    sweep->deleted += sweep->in_change;
    sweep->in_change = 0;
    bytes_clear(&sweep->keys);
    catalog_change_clear(&sweep->change);
    return ERR_OK;
}

static enum err_code sweep_delete(struct sweep *sweep, struct span key, struct err *err)
{
    catalog_delete(&sweep->change, FAMILY_CATALOG, key);
    return ++sweep->in_change < RIGHTS_SWEEP_RECORDS ? ERR_OK : sweep_flush(sweep, err);
}

typedef enum err_code sweep_record(struct sweep *sweep, struct span key, struct span value,
                                   struct err *err);

static enum err_code sweep_each(struct sweep *sweep, char kind, sweep_record *each, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(sweep->store, sweep->view, FAMILY_CATALOG, span_of(&kind, 1), span_of(NULL, 0),
                     &iter, err));
    while (sweep->deleted < RIGHTS_SWEEP_RECORDS_MAX) {
        struct span key, value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&sweep->arena);
        TRY(each(sweep, key, value, err));
    }
    return ERR_OK;
}

static enum err_code there(struct sweep *sweep, char kind, uint64_t id, bool *ret_there,
                           struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    catalog_key_id(kind, id, &key);
    return catalog_find(sweep->store, sweep->view, FAMILY_CATALOG, bytes_span(&key), &value,
                        ret_there, err);
}

/* Who was dropped from the region, or whose project was. */
static enum err_code member_delete(struct sweep *sweep, const struct member_record *member,
                                   struct span key, struct err *err)
{
    struct rights *rights = sweep->store->rights;
    pthread_rwlock_wrlock(&rights->lock); /* it counts for nothing: before the commit is as well */
    rights_member_remove(rights, member->project, member->name);
    pthread_rwlock_unlock(&rights->lock);
    return sweep_delete(sweep, key, err);
}

/* What cannot be read stays for fsck to tell of, here and below. */
static enum err_code member_sweep(struct sweep *sweep, struct span key, struct span value,
                                  struct err *err)
{
    struct member_record member;
    if (member_record_decode(value, &sweep->arena, &member, NULL) != ERR_OK)
        return ERR_OK;
    bool is_there;
    TRY(there(sweep, 'a', member.principal, &is_there, err));
    if (!is_there)
        TRY(there(sweep, 'u', member.principal, &is_there, err));
    if (is_there)
        TRY(there(sweep, 'p', member.project.n, &is_there, err));
    if (!is_there)
        return member_delete(sweep, &member, key, err);
    ids_add(&sweep->grantees, member.id);
    return ERR_OK;
}

static enum err_code role_sweep(struct sweep *sweep, struct span key, struct span value,
                                struct err *err)
{
    struct role_record role;
    if (role_record_decode(value, &sweep->arena, &role, NULL) != ERR_OK)
        return ERR_OK;
    bool is_there;
    TRY(there(sweep, 'p', role.project.n, &is_there, err));
    if (!is_there)
        return sweep_delete(sweep, key, err);
    ids_add(&sweep->grantees, role.id);
    return ERR_OK;
}

static enum err_code role_member_sweep(struct sweep *sweep, struct span key, struct span value,
                                       struct err *err)
{
    struct role_member_record record;
    if (role_member_record_decode(value, &sweep->arena, &record, NULL) != ERR_OK ||
        ids_has(&sweep->grantees, record.member))
        return ERR_OK;
    return sweep_delete(sweep, key, err);
}

/* ---- grants ---- */

static enum err_code object_there(struct sweep *sweep, const struct rights_key *grant,
                                  bool *ret_there, struct err *err)
{
    bool same =
        sweep->seen.object.n == grant->object.n && sweep->seen.project.n == grant->project.n;
    if (!same) { /* in order of objects: each is looked up once */
        bool is_there;
        TRY(there(sweep, 'p', grant->project.n, &is_there, err));
        bool in_project = is_there;
        if (in_project && grant->object.n != 0)
            TRY(there(sweep, 't', grant->object.n, &is_there, err));
        if (in_project && !is_there)
            TRY(there(sweep, 's', grant->object.n, &is_there, err));
        sweep->seen = *grant;
        sweep->seen_there = is_there;
    }
    *ret_there = sweep->seen_there;
    return ERR_OK;
}

static enum err_code grant_sweep(struct sweep *sweep, struct span key, struct span value,
                                 struct err *err)
{
    struct grant_record grant;
    bool is_there = false;
    if (grant_record_decode(value, &sweep->arena, &grant, NULL) != ERR_OK)
        return ERR_OK;
    const struct rights_key of = {grant.project, grant.object, grant.grantee, grant.action};
    bool expired = grant.expires_ms != 0 && grant.expires_ms <= sweep->now_ms;
    if (!expired && ids_has(&sweep->grantees, grant.grantee))
        TRY(object_there(sweep, &of, &is_there, err));
    if (is_there) {
        if (grant.expires_ms != 0 && grant.expires_ms < sweep->ends_ms)
            sweep->ends_ms = grant.expires_ms;
        return ERR_OK;
    }
    bytes_append(&sweep->keys, &of, sizeof(of));
    return sweep_delete(sweep, key, err);
}

/* ---- the sweep ---- */

static enum err_code sweep_gather(struct sweep *sweep, struct err *err)
{
    TRY(catalog_view_open(sweep->store, &sweep->view, err));
    TRY(sweep_each(sweep, 'm', member_sweep, err));
    TRY(sweep_each(sweep, 'l', role_sweep, err));
    if (sweep->grantees.count > 0)
        qsort(sweep->grantees.list, sweep->grantees.count, sizeof(uint64_t), id_compare);
    TRY(sweep_each(sweep, 'q', role_member_sweep, err));
    TRY(sweep_each(sweep, 'g', grant_sweep, err));
    return sweep_flush(sweep, err);
}

enum err_code rights_sweep(struct store *store, uint64_t now_ms, size_t *ret_deleted,
                           bool *ret_more, struct err *err)
{
    struct rights *rights = store->rights;
    struct sweep sweep = {.store = store, .now_ms = now_ms, .ends_ms = UINT64_MAX};
    *ret_deleted = 0;
    *ret_more = false;
    if (!atomic_exchange(&rights->sweep_wished, false) && atomic_load(&rights->ends_ms) > now_ms)
        return ERR_OK;
    arena_init(&sweep.arena, CATALOG_ARENA_BYTES);
    pthread_mutex_lock(&rights->change); /* what it saw stays so until it is deleted */
    enum err_code code = sweep_gather(&sweep, err);
    bool whole = code == ERR_OK && sweep.deleted < RIGHTS_SWEEP_RECORDS_MAX;
    if (whole)
        atomic_store(&rights->ends_ms, sweep.ends_ms);
    else
        rights_sweep_wish(store);
    pthread_mutex_unlock(&rights->change);
    *ret_deleted = sweep.deleted;
    *ret_more = code == ERR_OK && !whole;
    catalog_view_close(sweep.view);
    catalog_change_deinit(&sweep.change);
    bytes_deinit(&sweep.keys);
    mem_free(sweep.grantees.list);
    arena_deinit(&sweep.arena);
    return code;
}
