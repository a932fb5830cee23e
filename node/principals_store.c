#include "node/principals_store.h"

#include <pthread.h>

#include "store/crash.h"

/* Whoever reads last puts last. */
static pthread_mutex_t following = PTHREAD_MUTEX_INITIALIZER;

static void put(struct principals *principals, struct principal_spec spec,
                const struct public_key *keys, size_t key_count)
{
    MEM_CLEANUP struct public_identity *identities = mem_calloc(key_count + 1, sizeof(*identities));
    for (size_t i = 0; i < key_count; i++) {
        identities[i].sign = keys[i].identity;
        memcpy(identities[i].noise.b, keys[i].exchange, sizeof(identities[i].noise.b));
    }
    spec.keys = identities;
    spec.key_count = key_count;
    principals_put(principals, &spec);
}

static enum err_code account_put(void *context, const struct account_record *account,
                                 struct err *err)
{
    (void)err;
    const struct principal_spec spec = {
        .name = account->name, .account = account->id, .number = account->id.n};
    put(context, spec, account->keys, account->key_count);
    return ERR_OK;
}

static enum err_code user_put(void *context, const struct user_record *user, struct err *err)
{
    (void)err;
    const struct principal_spec spec = {
        .name = user->name, .account = user->account, .number = user->id.n, .user = true};
    put(context, spec, user->keys, user->key_count);
    return ERR_OK;
}

enum err_code principals_load(struct principals *principals, struct store *store, struct err *err)
{
    TRY(account_each(store, NULL, account_put, principals, err));
    return user_each(store, NULL, (struct span){0}, user_put, principals, err);
}

static enum err_code follow(struct principals *principals, struct store *store, struct span name,
                            struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct account_record account;
    struct user_record user;
    struct err reason;
    bool is_user = name_is_user(name);
    enum err_code code = is_user ? user_find(store, NULL, name, &arena, &user, &reason)
                                 : account_find(store, NULL, name, &arena, &account, &reason);
    if (code == ERR_NOT_FOUND) {
        principals_remove(principals, name);
        return ERR_OK;
    }
    if (code != ERR_OK) { /* what cannot be read lets nobody in */
        principals_remove(principals, name);
        return err_set(err, code, "%s", reason.message);
    }
    return is_user ? user_put(principals, &user, err) : account_put(principals, &account, err);
}

enum err_code principals_follow(struct principals *principals, struct store *store,
                                struct span name, struct err *err)
{
    CRASH_POINT(CRASH_PRINCIPAL_COMMITTED);
    pthread_mutex_lock(&following);
    enum err_code code = follow(principals, store, name, err);
    pthread_mutex_unlock(&following);
    return code;
}
