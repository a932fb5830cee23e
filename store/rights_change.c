/* Users, roles and grants in the catalog: each change is one commit, and is in the index before it is
 * acknowledged. What is given expects its project to be as it was: in one that is dropped nothing is left
 * behind. The first half of rights.h is rights.c. */
#include "store/rights.h"

#include "store/catalog_keys.h"
#include "store/parts.h"
#include "store/project.h"
#include "store/rights_index.h"

#define SEQUENCE_GRANTEE "grantee"

/* ---- keys ---- */

void rights_key_named(char kind, struct project_id project, struct span name, struct bytes *key)
{
    BYTES_CLEANUP struct bytes folded = {0};
    catalog_key_name(kind, name, &folded);
    catalog_key_id(kind, project.n, key);
    bytes_append(key, folded.data + 1, folded.len - 1);
}

void rights_key_role(struct project_id project, uint64_t member, uint64_t role, struct bytes *key)
{
    catalog_key_id('q', project.n, key);
    bytes_append_u64(key, member);
    bytes_append_u64(key, role);
}

void rights_key_grant(const struct rights_key *grant, struct bytes *key)
{
    catalog_key_id('g', grant->project.n, key);
    bytes_append_u64(key, grant->object.n);
    bytes_append_u64(key, grant->grantee);
    bytes_append_u8(key, (uint8_t)grant->action);
}

/* ---- one change at a time ---- */

/* Holds the order of changes until it is left. */
static struct rights *change_enter(struct store *store)
{
    pthread_mutex_lock(&store->rights->change);
    return store->rights;
}

static void change_leave(struct rights **rights)
{
    pthread_mutex_unlock(&(*rights)->change);
}
#define CHANGE_CLEANUP __attribute__((cleanup(change_leave)))

static enum err_code record_find(struct store *store, struct span key, struct arena *arena,
                                 struct span *ret_record, struct err *err)
{
    bool found = false;
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, key, arena, ret_record, &found, err));
    return found ? ERR_OK : err_set(err, ERR_NOT_FOUND, "no such record of rights");
}

/* The records of a kind of one project, in order of keys. */
typedef enum err_code each_record(void *context, struct span value, struct arena *arena,
                                  struct err *err);

static enum err_code records_each(struct store *store, struct span prefix, each_record *each,
                                  void *context, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, prefix, span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        TRY(each(context, value, &arena, err));
    }
}

/* ---- users ---- */

enum err_code member_find(struct store *store, struct project_id project, struct span name,
                          struct arena *arena, struct member_record *ret_member, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    rights_key_named('m', project, name, &key);
    TRY(record_find(store, bytes_span(&key), arena, &record, err));
    return member_record_decode(record, arena, ret_member, err);
}

/* Is the record of the same principal? Of one who was dropped, whose name it had, it may go. */
static enum err_code member_again(struct span record, const struct member_record *spec,
                                  bool *ret_again, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct member_record member;
    TRY(member_record_decode(record, &arena, &member, err));
    *ret_again = member.principal == spec->principal;
    return ERR_OK;
}

enum err_code member_add(struct store *store, const struct member_record *spec,
                         const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    struct member_record member = *spec;
    bool found = false, again = false;
    member.added_ms = note->now_ms;
    member.added_by = note->principal;
    TRY(catalog_name_check(spec->name, LIMIT_PRINCIPAL_BYTES, err));
    rights_key_named('m', spec->project, spec->name, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (found)
        TRY(member_again(bytes_span(&value), spec, &again, err));
    if (again)
        return err_set(err, ERR_EXISTS, "%.*s is a user of the project already",
                       SPAN_PRINTF(spec->name));
    TRY(project_expect(store, &change, spec->project, err));
    TRY(catalog_sequence_take(store, &change, SEQUENCE_GRANTEE, &member.id, err));
    if (found)
        catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    else
        catalog_expect_absent(&change, FAMILY_CATALOG, bytes_span(&key));
    bytes_clear(&value);
    member_record_encode(&member, &value);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    pthread_rwlock_wrlock(&rights->lock);
    rights_member_remove(rights, spec->project, spec->name);
    rights_member_add(rights, &member);
    pthread_rwlock_unlock(&rights->lock);
    if (found)
        rights_sweep_wish(store);
    return ERR_OK;
}

enum err_code member_remove(struct store *store, struct project_id project, struct span name,
                            const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    bool found = false;
    rights_key_named('m', project, name, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "%.*s is not a user of the project", SPAN_PRINTF(name));
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    const struct rights_member *member = rights_member_find(rights, project, name);
    for (size_t i = 0; member != NULL && i < member->role_count; i++) {
        rights_key_role(project, member->id, member->roles[i], &key);
        catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    }
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    pthread_rwlock_wrlock(&rights->lock);
    rights_member_remove(rights, project, name);
    pthread_rwlock_unlock(&rights->lock);
    rights_sweep_wish(store);
    return ERR_OK;
}

struct member_each {
    on_member *callback;
    void *context;
};

static enum err_code each_member(void *context, struct span value, struct arena *arena,
                                 struct err *err)
{
    const struct member_each *each = context;
    struct member_record member;
    TRY(member_record_decode(value, arena, &member, err));
    return each->callback(each->context, &member, err);
}

enum err_code member_each(struct store *store, struct project_id project, on_member *callback,
                          void *context, struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    struct member_each each = {callback, context};
    catalog_key_id('m', project.n, &prefix);
    return records_each(store, bytes_span(&prefix), each_member, &each, err);
}

/* ---- roles ---- */

static bool is_admin_name(struct span name)
{
    return name.len == 5 && strncasecmp((const char *)name.data, "admin", 5) == 0;
}

enum err_code role_find(struct store *store, struct project_id project, struct span name,
                        struct arena *arena, struct role_record *ret_role, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    if (is_admin_name(name)) {
        *ret_role = (struct role_record){
            .project = project, .id = ROLE_ADMIN_ID, .name = span_text("admin")};
        return ERR_OK;
    }
    rights_key_named('l', project, name, &key);
    TRY(record_find(store, bytes_span(&key), arena, &record, err));
    return role_record_decode(record, arena, ret_role, err);
}

enum err_code role_create(struct store *store, const struct role_record *spec,
                          const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    struct role_record role = *spec;
    bool found = false;
    (void)rights;
    role.created_ms = note->now_ms;
    role.created_by = note->principal;
    TRY(catalog_name_check(spec->name, LIMIT_NAME_BYTES, err));
    rights_key_named('l', spec->project, spec->name, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (found || is_admin_name(spec->name))
        return err_set(err, ERR_EXISTS, "role %.*s exists already", SPAN_PRINTF(spec->name));
    TRY(project_expect(store, &change, spec->project, err));
    TRY(catalog_sequence_take(store, &change, SEQUENCE_GRANTEE, &role.id, err));
    role_record_encode(&role, &value);
    catalog_expect_absent(&change, FAMILY_CATALOG, bytes_span(&key));
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

struct role_users {
    uint64_t role;
    size_t count;
};

static enum err_code role_user_count(void *context, const struct role_member_record *record,
                                     struct err *err)
{
    struct role_users *users = context;
    (void)err;
    users->count += record->role == users->role;
    return ERR_OK;
}

enum err_code role_drop(struct store *store, struct project_id project, struct span name,
                        const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    struct role_record role;
    (void)rights;
    rights_key_named('l', project, name, &key);
    TRY(record_find(store, bytes_span(&key), &arena, &record, err));
    TRY(role_record_decode(record, &arena, &role, err));
    struct role_users users = {.role = role.id};
    TRY(role_member_each(store, project, role_user_count, &users, err));
    if (users.count > 0)
        return err_set(err, ERR_PARAMETER, "%zu users have it", users.count);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), record);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    rights_sweep_wish(store);
    return ERR_OK;
}

struct role_each {
    on_role *callback;
    void *context;
};

static enum err_code each_role(void *context, struct span value, struct arena *arena,
                               struct err *err)
{
    const struct role_each *each = context;
    struct role_record role;
    TRY(role_record_decode(value, arena, &role, err));
    return each->callback(each->context, &role, err);
}

enum err_code role_each(struct store *store, struct project_id project, on_role *callback,
                        void *context, struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    struct role_each each = {callback, context};
    catalog_key_id('l', project.n, &prefix);
    return records_each(store, bytes_span(&prefix), each_role, &each, err);
}

/* ---- users in roles ---- */

struct role_member_each {
    on_role_member *callback;
    void *context;
};

static enum err_code each_role_member(void *context, struct span value, struct arena *arena,
                                      struct err *err)
{
    const struct role_member_each *each = context;
    struct role_member_record record;
    TRY(role_member_record_decode(value, arena, &record, err));
    return each->callback(each->context, &record, err);
}

enum err_code role_member_each(struct store *store, struct project_id project,
                               on_role_member *callback, void *context, struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    struct role_member_each each = {callback, context};
    catalog_key_id('q', project.n, &prefix);
    return records_each(store, bytes_span(&prefix), each_role_member, &each, err);
}

static enum err_code role_id_find(struct store *store, struct project_id project, struct span name,
                                  uint64_t *ret_id, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct role_record role;
    struct err reason;
    enum err_code code = role_find(store, project, name, &arena, &role, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "there is no role %.*s in the project; LIST ROLES shows them",
                       SPAN_PRINTF(name));
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    *ret_id = role.id;
    return ERR_OK;
}

/* Only who holds `change` changes the index, and so may read it without its lock. */
static enum err_code member_get(struct rights *rights, struct project_id project, struct span name,
                                const struct rights_member **ret_member, struct err *err)
{
    const struct rights_member *member = rights_member_find(rights, project, name);
    if (member == NULL)
        return err_set(err, ERR_NOT_FOUND, "%.*s is not a user of the project: ADD USER first",
                       SPAN_PRINTF(name));
    *ret_member = member;
    return ERR_OK;
}

static bool has_role(const struct rights_member *member, uint64_t role)
{
    for (size_t i = 0; i < member->role_count; i++) {
        if (member->roles[i] == role)
            return true;
    }
    return false;
}

static void role_step_add(struct catalog_change *change, const struct role_member_record *record,
                          bool give)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    rights_key_role(record->project, record->member, record->role, &key);
    role_member_record_encode(record, &value);
    if (give)
        catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    else
        catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
}

static enum err_code role_change_make(struct store *store, const struct role_change *spec,
                                      bool give, const struct change_note *note,
                                      struct catalog_change *change,
                                      uint64_t roles[LIMIT_ROLES_OF_MEMBER], struct err *err)
{
    const struct rights_member *member;
    TRY(member_get(store->rights, spec->project, spec->member, &member, err));
    if (spec->role_count + (give ? member->role_count : 0) > LIMIT_ROLES_OF_MEMBER)
        return err_set(err, ERR_LIMIT, "a user has at most %d roles", LIMIT_ROLES_OF_MEMBER);
    for (size_t i = 0; i < spec->role_count; i++) {
        TRY(role_id_find(store, spec->project, spec->roles[i], &roles[i], err));
        if (has_role(member, roles[i]) == give)
            return err_set(err, give ? ERR_EXISTS : ERR_NOT_FOUND, "%.*s %s the role %.*s",
                           SPAN_PRINTF(spec->member), give ? "has" : "does not have",
                           SPAN_PRINTF(spec->roles[i]));
        const struct role_member_record record = {.project = spec->project,
                                                  .member = member->id,
                                                  .role = roles[i],
                                                  .given_ms = note->now_ms,
                                                  .given_by = note->principal};
        role_step_add(change, &record, give);
    }
    return ERR_OK;
}

static enum err_code role_change(struct store *store, const struct role_change *spec, bool give,
                                 const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint64_t roles[LIMIT_ROLES_OF_MEMBER];
    TRY(role_change_make(store, spec, give, note, &change, roles, err));
    if (give)
        TRY(project_expect(store, &change, spec->project, err));
    TRY(catalog_commit_noted(store, &change, note,
                             give ? CATALOG_KEEP_RESERVE : CATALOG_USE_RESERVE, err));
    pthread_rwlock_wrlock(&rights->lock);
    struct rights_member *member = rights_member_find(rights, spec->project, spec->member);
    for (size_t i = 0; i < spec->role_count; i++) {
        if (give)
            rights_role_add(member, roles[i]);
        else
            rights_role_remove(member, roles[i]);
    }
    pthread_rwlock_unlock(&rights->lock);
    return ERR_OK;
}

enum err_code role_give(struct store *store, const struct role_change *spec,
                        const struct change_note *note, struct err *err)
{
    return role_change(store, spec, true, note, err);
}

enum err_code role_take(struct store *store, const struct role_change *spec,
                        const struct change_note *note, struct err *err)
{
    return role_change(store, spec, false, note, err);
}

/* ---- grants ---- */

static enum err_code grantee_find(struct store *store, struct project_id project,
                                  const struct grantee *grantee, uint64_t *ret_id, struct err *err)
{
    const struct rights_member *member;
    uint64_t id;
    if (!grantee->is_role) {
        TRY(member_get(store->rights, project, grantee->name, &member, err));
        *ret_id = member->id;
        return ERR_OK;
    }
    TRY(role_id_find(store, project, grantee->name, &id, err));
    if (id == ROLE_ADMIN_ID)
        return err_set(err, ERR_PARAMETER, "the role admin has all rights, and keeps them");
    *ret_id = id;
    return ERR_OK;
}

static void grant_step_add(struct catalog_change *change, const struct grant_record *record,
                           bool give)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    const struct rights_key of = {record->project, record->object, record->grantee, record->action};
    rights_key_grant(&of, &key);
    grant_record_encode(record, &value);
    if (give)
        catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    else
        catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
}

static void index_change(struct rights *rights, const struct grant_change *spec, uint64_t grantee,
                         bool give)
{
    pthread_rwlock_wrlock(&rights->lock);
    for (uint64_t left = spec->actions; left != 0; left &= left - 1) {
        const struct rights_key key = {spec->project, spec->object, grantee,
                                       (uint32_t)__builtin_ctzll(left)};
        if (give)
            rights_grant_put(rights, &key, spec->expires_ms);
        else
            rights_grant_remove(rights, &key);
    }
    pthread_rwlock_unlock(&rights->lock);
}

/* Adds the steps for all of the actions. */
static void grant_steps_add(struct catalog_change *change, const struct grant_change *spec,
                            uint64_t grantee, bool give, const struct change_note *note)
{
    for (uint64_t left = spec->actions; left != 0; left &= left - 1) {
        const struct grant_record record = {.project = spec->project,
                                            .object = spec->object,
                                            .grantee = grantee,
                                            .action = (uint32_t)__builtin_ctzll(left),
                                            .expires_ms = spec->expires_ms,
                                            .given_ms = note->now_ms,
                                            .given_by = note->principal};
        grant_step_add(change, &record, give);
    }
}

enum err_code grants_give(struct store *store, const struct grant_change *spec,
                          const struct change_note *note, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint64_t grantee;
    TRY(grantee_find(store, spec->project, &spec->grantee, &grantee, err));
    TRY(project_expect(store, &change, spec->project, err));
    grant_steps_add(&change, spec, grantee, true, note);
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    index_change(rights, spec, grantee, true);
    return ERR_OK;
}

enum err_code grants_take(struct store *store, const struct grant_change *spec,
                          const struct change_note *note, uint64_t *ret_missing, struct err *err)
{
    CHANGE_CLEANUP struct rights *rights = change_enter(store);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint64_t grantee;
    *ret_missing = 0;
    TRY(grantee_find(store, spec->project, &spec->grantee, &grantee, err));
    const struct rights_key key = {.project = spec->project, spec->object, grantee};
    for (uint64_t left = spec->actions; left != 0; left &= left - 1) {
        if (rights_granted_until(rights, &key, left & -left) == 0)
            *ret_missing |= left & -left;
    }
    if (*ret_missing != 0)
        return err_set(err, ERR_NOT_FOUND, "not granted");
    grant_steps_add(&change, spec, grantee, false, note);
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    index_change(rights, spec, grantee, false);
    return ERR_OK;
}

struct grant_each {
    on_grant *callback;
    void *context;
};

static enum err_code each_grant(void *context, struct span value, struct arena *arena,
                                struct err *err)
{
    const struct grant_each *each = context;
    struct grant_record grant;
    TRY(grant_record_decode(value, arena, &grant, err));
    return each->callback(each->context, &grant, err);
}

enum err_code grant_each(struct store *store, struct project_id project,
                         const struct table_id *object, on_grant *callback, void *context,
                         struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    struct grant_each each = {callback, context};
    catalog_key_id('g', project.n, &prefix);
    if (object != NULL)
        bytes_append_u64(&prefix, object->n);
    return records_each(store, bytes_span(&prefix), each_grant, &each, err);
}
