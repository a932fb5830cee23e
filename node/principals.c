#include "node/principals.h"

#include <pthread.h>
#include <sodium.h>

#define SLOTS_MIN 64 /* a power of two */

/* An account or a user. */
struct holder {
    struct principal principal; /* its keys are filled in by who answers */
    struct public_identity *keys;
    size_t key_count;
};

/* What leads to a holder: its folded name, or a half of one of its keys. */
enum handle_kind { HANDLE_NAME, HANDLE_SIGNER, HANDLE_NOISE };

struct handle {
    struct handle *next;
    uint64_t hash;
    struct holder *holder;
    size_t key; /* of the holder's */
    enum handle_kind kind;
    size_t len;
    uint8_t text[LIMIT_PRINCIPAL_BYTES];
};

struct operator_key {
    struct public_identity keys;
    struct principal alone; /* when nobody holds the key */
};

struct operators {
    struct operator_key *items; /* owned */
    size_t count;
    uint64_t number_next; /* numbers go down, and are never another key's */
};

struct principals {
    uint8_t
        hash_key[crypto_shorthash_siphashx24_KEYBYTES]; /* names and keys are chosen by others */
    void (*on_drop)(void *context, const struct noise_key *key);
    void *on_drop_context;

    pthread_rwlock_t lock; /* all below */
    struct operators operators;
    struct public_identity *reserved;
    size_t reserved_count;
    struct handle **slots;
    size_t slot_count;
    size_t handle_count;
};

/* ---- handles ---- */

struct handle_key {
    enum handle_kind kind;
    size_t len;
    uint8_t text[LIMIT_PRINCIPAL_BYTES];
};

/* False: too long to be anybody's. */
static bool key_of_name(struct span name, struct handle_key *ret_key)
{
    if (name.len > sizeof(ret_key->text))
        return false;
    ret_key->kind = HANDLE_NAME;
    ret_key->len = name.len;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        ret_key->text[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
    }
    return true;
}

static struct handle_key key_of_half(enum handle_kind kind, const uint8_t half[32])
{
    struct handle_key key = {.kind = kind, .len = 32};
    memcpy(key.text, half, 32);
    return key;
}

static uint64_t key_hash(const struct principals *principals, const struct handle_key *key)
{
    uint8_t raw[1 + LIMIT_PRINCIPAL_BYTES];
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    raw[0] = (uint8_t)key->kind;
    memcpy(raw + 1, key->text, key->len);
    crypto_shorthash_siphashx24(hash, raw, 1 + key->len, principals->hash_key);
    return load_u64(hash);
}

/* What points to the handle of the key; to NULL when there is none. */
static struct handle **handle_place(const struct principals *principals,
                                    const struct handle_key *key)
{
    uint64_t hash = key_hash(principals, key);
    struct handle **at = &principals->slots[hash & (principals->slot_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || (*at)->kind != key->kind ||
                           (*at)->len != key->len || memcmp((*at)->text, key->text, key->len) != 0))
        at = &(*at)->next;
    return at;
}

static void slots_grow_locked(struct principals *principals)
{
    size_t count = 2 * principals->slot_count;
    struct handle **slots = mem_calloc(count, sizeof(struct handle *));
    for (size_t i = 0; i < principals->slot_count; i++) {
        for (struct handle *handle = principals->slots[i]; handle != NULL;) {
            struct handle *next = handle->next;
            struct handle **slot = &slots[handle->hash & (count - 1)];
            handle->next = *slot;
            *slot = handle;
            handle = next;
        }
    }
    mem_free(principals->slots);
    principals->slots = slots;
    principals->slot_count = count;
}

/* What somebody else has stays theirs. */
static void handle_add_locked(struct principals *principals, const struct handle_key *key,
                              struct holder *holder, size_t index)
{
    struct handle **place = handle_place(principals, key);
    if (*place != NULL)
        return;
    struct handle *handle = mem_calloc(1, sizeof(*handle));
    *handle = (struct handle){
        .hash = key_hash(principals, key),
        .holder = holder,
        .key = index,
        .kind = key->kind,
        .len = key->len,
    };
    memcpy(handle->text, key->text, key->len);
    *place = handle;
    if (++principals->handle_count > principals->slot_count)
        slots_grow_locked(principals);
}

static void handle_remove_locked(struct principals *principals, const struct handle_key *key,
                                 const struct holder *holder)
{
    struct handle **place = handle_place(principals, key);
    struct handle *handle = *place;
    if (handle == NULL || handle->holder != holder)
        return;
    *place = handle->next;
    principals->handle_count--;
    mem_free(handle);
}

/* ---- operators ---- */

static const struct operator_key *operator_find(const struct operators *operators,
                                                const struct handle_key *half)
{
    for (size_t i = 0; i < operators->count; i++) {
        const struct public_identity *keys = &operators->items[i].keys;
        const uint8_t *b = half->kind == HANDLE_NOISE ? keys->noise.b : keys->sign.b;
        if (memcmp(b, half->text, half->len) == 0)
            return &operators->items[i];
    }
    return NULL;
}

static bool operator_same(const struct operator_key *a, const struct operator_key *b)
{
    return noise_key_equal(&a->keys.noise, &b->keys.noise) &&
           identity_key_equal(&a->keys.sign, &b->keys.sign);
}

/* Who was an operator before has its number, and so what it began. */
static enum err_code operator_add(struct operators *operators, const struct operators *former,
                                  const char *text, struct err *err)
{
    struct public_identity keys;
    struct err reason;
    if (public_identity_parse(span_text(text), &keys, &reason) != ERR_OK)
        return err_set(err, ERR_CONFIG, "operator_keys: '%.24s...': %s", text, reason.message);
    const struct handle_key sign = key_of_half(HANDLE_SIGNER, keys.sign.b);
    const struct handle_key noise = key_of_half(HANDLE_NOISE, keys.noise.b);
    if (operator_find(operators, &noise) != NULL || operator_find(operators, &sign) != NULL)
        return err_set(err, ERR_CONFIG, "operator_keys: '%.24s...' is given twice", text);
    struct operator_key *added = &operators->items[operators->count++];
    added->keys = keys;
    const struct operator_key *before = operator_find(former, &sign);
    bool known = before != NULL && operator_same(before, added);
    added->alone = (struct principal){
        .number = known ? before->alone.number : operators->number_next--,
        .keys = keys,
        .operator= true,
    };
    snprintf(added->alone.name, sizeof(added->alone.name), "OPERATOR$%016" PRIx64,
             load_u64(keys.sign.b));
    return ERR_OK;
}

static enum err_code operators_make(const struct config_list *texts, const struct operators *former,
                                    struct operators *ret_operators, struct err *err)
{
    struct operators made = {.items = mem_calloc(texts->count + 1, sizeof(*made.items)),
                             .number_next = former->number_next};
    for (size_t i = 0; i < texts->count; i++) {
        enum err_code code = operator_add(&made, former, texts->items[i], err);
        if (code != ERR_OK) {
            mem_free(made.items);
            return code;
        }
    }
    *ret_operators = made;
    return ERR_OK;
}

enum err_code principals_operators_check(const struct config_list *operator_keys, struct err *err)
{
    struct operators made;
    TRY(operators_make(operator_keys, &(struct operators){0}, &made, err));
    mem_free(made.items);
    return ERR_OK;
}

/* One thread alone changes them, so that what is read here before the lock is as it will be. */
enum err_code principals_set_operators(struct principals *principals,
                                       const struct config_list *operator_keys, struct err *err)
{
    struct operators made, former = principals->operators;
    TRY(operators_make(operator_keys, &former, &made, err));
    pthread_rwlock_wrlock(&principals->lock);
    principals->operators = made;
    pthread_rwlock_unlock(&principals->lock);
    for (size_t i = 0; i < former.count; i++) {
        const struct handle_key sign = key_of_half(HANDLE_SIGNER, former.items[i].keys.sign.b);
        const struct operator_key *now = operator_find(&made, &sign);
        if (now != NULL && operator_same(now, &former.items[i]))
            continue;
        if (principals->on_drop != NULL)
            principals->on_drop(principals->on_drop_context, &former.items[i].keys.noise);
    }
    mem_free(former.items);
    return ERR_OK;
}

/* ---- making and freeing ---- */

enum err_code principals_new(const struct config_list *operator_keys,
                             struct principals **ret_principals, struct err *err)
{
    struct operators operators;
    TRY(operators_make(operator_keys, &(struct operators){.number_next = UINT64_MAX - 1},
                       &operators, err));
    struct principals *principals = mem_calloc(1, sizeof(*principals));
    principals->operators = operators;
    principals->slots = mem_calloc(SLOTS_MIN, sizeof(struct handle *));
    principals->slot_count = SLOTS_MIN;
    randombytes_buf(principals->hash_key, sizeof(principals->hash_key));
    pthread_rwlock_init(&principals->lock, NULL);
    *ret_principals = principals;
    return ERR_OK;
}

static void holder_free(struct holder *holder)
{
    mem_free(holder->keys);
    mem_free(holder);
}

void principals_free(struct principals *principals)
{
    if (principals == NULL)
        return;
    for (size_t i = 0; i < principals->slot_count; i++) {
        for (struct handle *handle = principals->slots[i]; handle != NULL;) {
            struct handle *next = handle->next;
            if (handle->kind == HANDLE_NAME) /* each holder has one */
                holder_free(handle->holder);
            mem_free(handle);
            handle = next;
        }
    }
    pthread_rwlock_destroy(&principals->lock);
    mem_free(principals->slots);
    mem_free(principals->operators.items);
    mem_free(principals->reserved);
    mem_free(principals);
}

/* ---- looking ---- */

static pthread_rwlock_t *lock_of(const struct principals *principals)
{
    return (pthread_rwlock_t *)(uintptr_t)&principals->lock;
}

static bool held_locked(const struct principals *principals, const struct handle_key *key,
                        struct principal *ret_principal)
{
    const struct handle *handle = *handle_place(principals, key);
    if (handle == NULL)
        return false;
    const struct holder *holder = handle->holder;
    *ret_principal = holder->principal;
    if (handle->key < holder->key_count)
        ret_principal->keys = holder->keys[handle->key];
    return true;
}

/* By one of the halves. */
static bool find_half(const struct principals *principals, const struct handle_key *half,
                      struct principal *ret_principal)
{
    pthread_rwlock_rdlock(lock_of(principals));
    const struct operator_key *found = operator_find(&principals->operators, half);
    bool held = held_locked(principals, half, ret_principal);
    if (held)
        ret_principal->operator= found != NULL;
    else if (found != NULL)
        *ret_principal = found->alone;
    pthread_rwlock_unlock(lock_of(principals));
    return held || found != NULL;
}

bool principals_find_noise(const struct principals *principals, const struct noise_key *key,
                           struct principal *ret_principal)
{
    const struct handle_key half = key_of_half(HANDLE_NOISE, key->b);
    return find_half(principals, &half, ret_principal);
}

bool principals_find_signer(const struct principals *principals, const struct identity_key *key,
                            struct principal *ret_principal)
{
    const struct handle_key half = key_of_half(HANDLE_SIGNER, key->b);
    return find_half(principals, &half, ret_principal);
}

bool principals_find_name(const struct principals *principals, struct span name,
                          struct principal *ret_principal)
{
    struct handle_key key;
    if (!key_of_name(name, &key))
        return false;
    pthread_rwlock_rdlock(lock_of(principals));
    bool held = held_locked(principals, &key, ret_principal);
    pthread_rwlock_unlock(lock_of(principals));
    return held;
}

bool principals_has_key(const struct principals *principals, const struct principal *principal)
{
    static const struct identity_key none;
    struct principal now;
    bool found = identity_key_equal(&principal->keys.sign, &none)
                     ? principals_find_name(principals, span_text(principal->name), &now)
                     : principals_find_signer(principals, &principal->keys.sign, &now);
    return found && now.number == principal->number;
}

static bool is_reserved(const struct principals *principals, const struct public_identity *key)
{
    bool reserved = false;
    pthread_rwlock_rdlock(lock_of(principals));
    for (size_t i = 0; i < principals->reserved_count && !reserved; i++)
        reserved = noise_key_equal(&principals->reserved[i].noise, &key->noise) ||
                   identity_key_equal(&principals->reserved[i].sign, &key->sign);
    pthread_rwlock_unlock(lock_of(principals));
    return reserved;
}

bool principals_key_known(const struct principals *principals, const struct public_identity *key)
{
    struct principal somebody;
    return is_reserved(principals, key) ||
           principals_find_noise(principals, &key->noise, &somebody) ||
           principals_find_signer(principals, &key->sign, &somebody);
}

/* ---- changing ---- */

void principals_reserve(struct principals *principals, const struct public_identity *key)
{
    pthread_rwlock_wrlock(&principals->lock);
    size_t count = principals->reserved_count++;
    principals->reserved =
        mem_realloc(principals->reserved, count + 1, sizeof(*principals->reserved));
    principals->reserved[count] = *key;
    pthread_rwlock_unlock(&principals->lock);
}

static void keys_add_locked(struct principals *principals, struct holder *holder)
{
    for (size_t i = 0; i < holder->key_count; i++) {
        struct handle_key sign = key_of_half(HANDLE_SIGNER, holder->keys[i].sign.b);
        struct handle_key noise = key_of_half(HANDLE_NOISE, holder->keys[i].noise.b);
        handle_add_locked(principals, &sign, holder, i);
        handle_add_locked(principals, &noise, holder, i);
    }
}

static void keys_remove_locked(struct principals *principals, const struct holder *holder)
{
    for (size_t i = 0; i < holder->key_count; i++) {
        struct handle_key sign = key_of_half(HANDLE_SIGNER, holder->keys[i].sign.b);
        struct handle_key noise = key_of_half(HANDLE_NOISE, holder->keys[i].noise.b);
        handle_remove_locked(principals, &sign, holder);
        handle_remove_locked(principals, &noise, holder);
    }
}

static bool keys_have(const struct principal_spec *spec, const struct public_identity *key)
{
    for (size_t i = 0; i < spec->key_count; i++) {
        if (noise_key_equal(&spec->keys[i].noise, &key->noise) &&
            identity_key_equal(&spec->keys[i].sign, &key->sign))
            return true;
    }
    return false;
}

/* Tells of those that `spec` has not. Without the lock. */
static void keys_drop(const struct principals *principals, const struct public_identity *keys,
                      size_t count, const struct principal_spec *spec)
{
    for (size_t i = 0; i < count && principals->on_drop != NULL; i++) {
        if (!keys_have(spec, &keys[i]))
            principals->on_drop(principals->on_drop_context, &keys[i].noise);
    }
}

static void holder_fill(struct holder *holder, const struct principal_spec *spec)
{
    holder->principal = (struct principal){
        .account = spec->account,
        .number = spec->number,
        .user = spec->user,
    };
    snprintf(holder->principal.name, sizeof(holder->principal.name), "%.*s",
             SPAN_PRINTF(spec->name));
    holder->keys = mem_calloc(spec->key_count + 1, sizeof(*holder->keys));
    holder->key_count = spec->key_count;
    for (size_t i = 0; i < spec->key_count; i++)
        holder->keys[i] = spec->keys[i];
}

void principals_put(struct principals *principals, const struct principal_spec *spec)
{
    struct handle_key name;
    bool fits = key_of_name(spec->name, &name);
    ASSERT(fits);
    pthread_rwlock_wrlock(&principals->lock);
    struct handle **place = handle_place(principals, &name);
    struct holder *holder = *place != NULL ? (*place)->holder : mem_calloc(1, sizeof(*holder));
    struct public_identity *former = holder->keys;
    size_t former_count = holder->key_count;
    keys_remove_locked(principals, holder);
    holder_fill(holder, spec);
    handle_add_locked(principals, &name, holder, 0);
    keys_add_locked(principals, holder);
    pthread_rwlock_unlock(&principals->lock);
    keys_drop(principals, former, former_count, spec);
    mem_free(former);
}

void principals_remove(struct principals *principals, struct span text)
{
    struct handle_key name;
    struct holder *holder = NULL;
    if (!key_of_name(text, &name))
        return;
    pthread_rwlock_wrlock(&principals->lock);
    struct handle *handle = *handle_place(principals, &name);
    if (handle != NULL) {
        holder = handle->holder;
        keys_remove_locked(principals, holder);
        handle_remove_locked(principals, &name, holder);
    }
    pthread_rwlock_unlock(&principals->lock);
    if (holder == NULL)
        return;
    keys_drop(principals, holder->keys, holder->key_count, &(struct principal_spec){0});
    holder_free(holder);
}

void principals_on_drop(struct principals *principals,
                        void (*on_drop)(void *context, const struct noise_key *key), void *context)
{
    principals->on_drop = on_drop;
    principals->on_drop_context = context;
}
