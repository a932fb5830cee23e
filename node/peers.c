#include "node/peers.h"

struct peers {
    struct pool *pool;
    const struct identity *identity;
    pthread_rwlock_t lock; /* items, count, and what of each peer is the lock's */
    struct peer **items;   /* in their places */
    size_t count;
    struct public_identity own;
    struct public_identity *own_former;
    size_t own_former_count;
};

static pthread_rwlock_t *lock_of(const struct peers *peers)
{
    return (pthread_rwlock_t *)(uintptr_t)&peers->lock;
}

/* ---- what a configuration says of one ---- */

struct peer_says {
    struct public_identity keys;
    struct public_identity *former_keys; /* owned */
};

static void says_deinit(struct peer_says *says)
{
    mem_free(says->former_keys);
}
#define SAYS_CLEANUP __attribute__((cleanup(says_deinit)))

static enum err_code key_parse(const char *region, const char *text,
                               struct public_identity *ret_keys, struct err *err)
{
    struct err reason;
    if (public_identity_parse(span_text(text), ret_keys, &reason) != ERR_OK)
        return err_set(err, ERR_CONFIG, "peer %s: key '%.24s...': %s", region, text,
                       reason.message);
    return ERR_OK;
}

static enum err_code former_parse(const char *region, const struct config_list *config,
                                  struct public_identity **ret_keys, struct err *err)
{
    *ret_keys = mem_calloc(config->count + 1, sizeof(**ret_keys));
    for (size_t i = 0; i < config->count; i++)
        TRY(key_parse(region, config->items[i], &(*ret_keys)[i], err));
    return ERR_OK;
}

static enum err_code says_parse(const struct config_peer *config, struct peer_says *ret_says,
                                struct err *err)
{
    SAYS_CLEANUP struct peer_says says = {0};
    TRY(key_parse(config->region, config->key, &says.keys, err));
    TRY(former_parse(config->region, &config->former_keys, &says.former_keys, err));
    *ret_says = says;
    says.former_keys = NULL;
    return ERR_OK;
}

static struct link_target target_of(const struct config_peer *config,
                                    const struct public_identity *keys)
{
    return (struct link_target){(const char *const *)config->addresses.items,
                                config->addresses.count, keys->noise};
}

static bool same_half(const struct public_identity *a, const struct public_identity *b)
{
    return identity_key_equal(&a->sign, &b->sign) || noise_key_equal(&a->noise, &b->noise);
}

static bool same_keys(const struct public_identity *a, const struct public_identity *b)
{
    return identity_key_equal(&a->sign, &b->sign) && noise_key_equal(&a->noise, &b->noise);
}

static enum err_code key_check(const struct config_peer *configs, size_t i,
                               const struct public_identity *keys,
                               const struct public_identity *own, struct err *err)
{
    if (same_half(keys, own))
        return err_set(err, ERR_CONFIG, "peer %s: that is this node's own key", configs[i].region);
    for (size_t other = 0; other < i; other++) {
        struct public_identity theirs;
        TRY(key_parse(configs[other].region, configs[other].key, &theirs, err));
        if (same_half(keys, &theirs))
            return err_set(err, ERR_CONFIG, "peer %s: peer %s has the same key", configs[i].region,
                           configs[other].region);
    }
    return ERR_OK;
}

/* A key that one has is nobody's of before: whose a snapshot is would be told by the order in the file. */
static enum err_code former_check(const struct config_peer *configs, size_t count, size_t i,
                                  const struct public_identity *former,
                                  const struct public_identity *own, struct err *err)
{
    if (same_half(former, own))
        return err_set(err, ERR_CONFIG, "peer %s: former_keys has this node's own key",
                       configs[i].region);
    for (size_t other = 0; other < count; other++) {
        struct public_identity theirs;
        TRY(key_parse(configs[other].region, configs[other].key, &theirs, err));
        if (same_half(former, &theirs))
            return err_set(err, ERR_CONFIG, "peer %s: former_keys has the key of peer %s",
                           configs[i].region, configs[other].region);
    }
    return ERR_OK;
}

enum err_code peers_check(const struct config_peer *configs, size_t count,
                          const struct public_identity *own, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        SAYS_CLEANUP struct peer_says says = {0};
        TRY(says_parse(&configs[i], &says, err));
        TRY(key_check(configs, i, &says.keys, own, err));
        for (size_t k = 0; k < configs[i].former_keys.count; k++)
            TRY(former_check(configs, count, i, &says.former_keys[k], own, err));
        const struct link_target target = target_of(&configs[i], &says.keys);
        if (link_target_check(&target, err) != ERR_OK)
            return err_wrap(err, "peer %s", configs[i].region);
    }
    return ERR_OK;
}

/* ---- one that is new ---- */

static void peer_free(struct peer *peer)
{
    link_close(peer->link);
    bucket_unref(peer->bucket);
    bucket_unref(peer->send_bucket);
    mem_free(peer->former_keys);
    config_peer_deinit(&peer->config);
    mem_free(peer);
}

static enum err_code peer_add(struct peers *peers, const struct config_peer *config,
                              struct peer **ret_peer, struct err *err)
{
    SAYS_CLEANUP struct peer_says says = {0};
    TRY(says_parse(config, &says, err));
    struct peer *peer = mem_calloc(1, sizeof(*peer));
    snprintf(peer->region, sizeof(peer->region), "%s", config->region);
    peer->lock = &peers->lock;
    peer->configured = true;
    peer->config = config_peer_copy(config);
    peer->keys = says.keys;
    peer->former_keys = says.former_keys;
    says.former_keys = NULL;
    peer->bucket = bucket_new(0);
    peer->send_bucket = bucket_new(0);
    const struct window_limits limits = window_limits_default();
    window_init(&peer->window, &limits);
    const struct link_options options = {
        .kind = LISTENER_PEERS,
        .addresses = (const char *const *)config->addresses.items,
        .address_count = config->addresses.count,
        .identity = peers->identity,
        .peer_key = peer->keys.noise,
        .bucket = peer->bucket,
    };
    enum err_code code = link_open(peers->pool, &options, &peer->link, err);
    if (code != ERR_OK) {
        peer_free(peer);
        return err_wrap(err, "peer %s", config->region);
    }
    pthread_rwlock_wrlock(&peers->lock);
    peers->items = mem_realloc(peers->items, peers->count + 1, sizeof(struct peer *));
    peer->place = peers->count;
    peers->items[peers->count++] = peer;
    pthread_rwlock_unlock(&peers->lock);
    *ret_peer = peer;
    return ERR_OK;
}

/* ---- making and freeing ---- */

enum err_code peers_new(const struct config *config, struct pool *pool,
                        const struct identity *identity, struct peers **ret_peers, struct err *err)
{
    TRY(peers_check(config->peers, config->peer_count, identity_public(identity), err));
    struct peers *peers = mem_calloc(1, sizeof(*peers));
    peers->pool = pool;
    peers->identity = identity;
    peers->own = *identity_public(identity);
    pthread_rwlock_init(&peers->lock, NULL);
    if (former_parse(config->region, &config->former_keys, &peers->own_former, err) != ERR_OK) {
        peers_free(peers);
        return ERR_CONFIG;
    }
    peers->own_former_count = config->former_keys.count;
    for (size_t i = 0; i < config->peer_count; i++) {
        struct peer *peer;
        enum err_code code = peer_add(peers, &config->peers[i], &peer, err);
        if (code != ERR_OK) {
            peers_free(peers);
            return code;
        }
    }
    *ret_peers = peers;
    return ERR_OK;
}

void peers_close(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        link_close(peers->items[i]->link);
        peers->items[i]->link = NULL;
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    for (size_t i = 0; i < peers->count; i++)
        peer_free(peers->items[i]);
    pthread_rwlock_destroy(&peers->lock);
    mem_free(peers->own_former);
    mem_free(peers->items);
    mem_free(peers);
}

/* ---- following the configuration ---- */

static bool same_config(const struct config_peer *a, const struct config_peer *b)
{
    return strcmp(a->key, b->key) == 0 && config_list_equal(&a->addresses, &b->addresses) &&
           config_list_equal(&a->former_keys, &b->former_keys);
}

static const struct config_peer *config_find(const struct config *config, const char *region)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        if (strcmp(config->peers[i].region, region) == 0)
            return &config->peers[i];
    }
    return NULL;
}

static void peer_remove(struct peer *peer, const struct peers_follow_options *options)
{
    pthread_rwlock_wrlock(peer->lock);
    peer->configured = false;
    struct noise_key key = peer->keys.noise;
    pthread_rwlock_unlock(peer->lock);
    link_redirect(peer->link, &(struct link_target){.peer_key = key});
    options->on_key_drop(options->context, &key);
    options->on_change(options->context, PEER_REMOVED, peer);
}

/* It stays, or comes back. */
static enum err_code peer_replace(struct peer *peer, const struct config_peer *config,
                                  const struct peers_follow_options *options, struct err *err)
{
    SAYS_CLEANUP struct peer_says says = {0};
    TRY(says_parse(config, &says, err));
    struct config_peer fresh = config_peer_copy(config);
    pthread_rwlock_wrlock(peer->lock);
    bool back = !peer->configured;
    struct config_peer former = peer->config;
    struct public_identity *former_keys = peer->former_keys;
    struct public_identity keys = peer->keys;
    peer->configured = true;
    peer->config = fresh;
    peer->keys = says.keys;
    peer->former_keys = says.former_keys;
    pthread_rwlock_unlock(peer->lock);
    says.former_keys = former_keys;
    bool other_key = !same_keys(&keys, &says.keys);
    if (back || other_key || !config_list_equal(&former.addresses, &fresh.addresses)) {
        const struct link_target target = target_of(config, &says.keys);
        link_redirect(peer->link, &target);
    }
    if (other_key && !back)
        options->on_key_drop(options->context, &keys.noise);
    config_peer_deinit(&former);
    options->on_change(options->context, back ? PEER_ADDED : PEER_CHANGED, peer);
    return ERR_OK;
}

/* One thread alone calls it, so what it reads without the lock is nobody's to change. */
enum err_code peers_follow(struct peers *peers, const struct peers_follow_options *options,
                           struct err *err)
{
    const struct config *config = options->config;
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->items[i];
        if (peer->configured && config_find(config, peer->region) == NULL)
            peer_remove(peer, options);
    }
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *wanted = &config->peers[i];
        struct peer *peer = NULL;
        for (size_t place = 0; place < peers->count && peer == NULL; place++) {
            if (strcmp(peers->items[place]->region, wanted->region) == 0)
                peer = peers->items[place];
        }
        if (peer != NULL && peer->configured && same_config(&peer->config, wanted))
            continue;
        if (peer != NULL) {
            TRY(peer_replace(peer, wanted, options, err));
        } else {
            TRY(peer_add(peers, wanted, &peer, err));
            options->on_change(options->context, PEER_ADDED, peer);
        }
    }
    return ERR_OK;
}

/* ---- looking ---- */

size_t peers_places(const struct peers *peers)
{
    pthread_rwlock_rdlock(lock_of(peers));
    size_t count = peers->count;
    pthread_rwlock_unlock(lock_of(peers));
    return count;
}

struct peer *peers_at(const struct peers *peers, size_t place)
{
    pthread_rwlock_rdlock(lock_of(peers));
    ASSERT(place < peers->count);
    struct peer *peer = peers->items[place];
    pthread_rwlock_unlock(lock_of(peers));
    return peer;
}

struct peer **peers_list(const struct peers *peers, size_t *ret_count)
{
    size_t count = 0;
    pthread_rwlock_rdlock(lock_of(peers));
    struct peer **list = mem_calloc(peers->count + 1, sizeof(struct peer *));
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->items[i]->configured)
            list[count++] = peers->items[i];
    }
    pthread_rwlock_unlock(lock_of(peers));
    *ret_count = count;
    return list;
}

bool peer_configured(const struct peer *peer)
{
    pthread_rwlock_rdlock(peer->lock);
    bool configured = peer->configured;
    pthread_rwlock_unlock(peer->lock);
    return configured;
}

struct public_identity peer_keys(const struct peer *peer)
{
    pthread_rwlock_rdlock(peer->lock);
    struct public_identity keys = peer->keys;
    pthread_rwlock_unlock(peer->lock);
    return keys;
}

static bool fits_former_signer(const struct peer *peer, const void *wanted)
{
    bool former = false;
    for (size_t i = 0; i < peer->config.former_keys.count && !former; i++)
        former = identity_key_equal(&peer->former_keys[i].sign, wanted);
    return former;
}

bool peer_key_is_former(const struct peer *peer, const struct identity_key *key)
{
    pthread_rwlock_rdlock(peer->lock);
    bool former = fits_former_signer(peer, key);
    pthread_rwlock_unlock(peer->lock);
    return former;
}

void peer_addresses(const struct peer *peer, struct bytes *out)
{
    pthread_rwlock_rdlock(peer->lock);
    for (size_t i = 0; i < peer->config.addresses.count; i++)
        bytes_printf(out, "%s%s", i == 0 ? "" : " ", peer->config.addresses.items[i]);
    pthread_rwlock_unlock(peer->lock);
}

typedef bool peer_fits(const struct peer *peer, const void *wanted);

static struct peer *peers_find(const struct peers *peers, peer_fits *fits, const void *wanted)
{
    struct peer *found = NULL;
    pthread_rwlock_rdlock(lock_of(peers));
    for (size_t i = 0; i < peers->count && found == NULL; i++) {
        if (peers->items[i]->configured && fits(peers->items[i], wanted))
            found = peers->items[i];
    }
    pthread_rwlock_unlock(lock_of(peers));
    return found;
}

static bool fits_region(const struct peer *peer, const void *wanted)
{
    return span_equal(span_text(peer->region), *(const struct span *)wanted);
}

static bool fits_noise(const struct peer *peer, const void *wanted)
{
    return noise_key_equal(&peer->keys.noise, wanted);
}

static bool fits_signer(const struct peer *peer, const void *wanted)
{
    return identity_key_equal(&peer->keys.sign, wanted);
}

struct peer *peers_find_region(const struct peers *peers, struct span region)
{
    return peers_find(peers, fits_region, &region);
}

struct peer *peers_find_noise(const struct peers *peers, const struct noise_key *key)
{
    return peers_find(peers, fits_noise, key);
}

struct peer *peers_find_signer(const struct peers *peers, const struct identity_key *key)
{
    return peers_find(peers, fits_signer, key);
}

struct peer *peers_find_maker(const struct peers *peers, const struct identity_key *key)
{
    struct peer *now = peers_find(peers, fits_signer, key);
    return now != NULL ? now : peers_find(peers, fits_former_signer, key);
}

enum err_code peers_unknown(const struct peers *peers, struct span region, struct err *err)
{
    BYTES_CLEANUP struct bytes known = {0};
    size_t count;
    MEM_CLEANUP struct peer **list = peers_list(peers, &count);
    for (size_t i = 0; i < count; i++)
        bytes_printf(&known, "%s%s", i == 0 ? "" : ", ", list[i]->region);
    if (count == 0)
        return err_set(err, ERR_PARAMETER, "region %.*s is not known: no peers are configured here",
                       SPAN_PRINTF(region));
    return err_set(err, ERR_PARAMETER, "region %.*s is none of the peers configured here (%.*s)",
                   SPAN_PRINTF(region), SPAN_PRINTF(bytes_span(&known)));
}

size_t peers_own_former_count(const struct peers *peers)
{
    return peers->own_former_count;
}

const struct public_identity *peers_own_former_at(const struct peers *peers, size_t i)
{
    ASSERT(i < peers->own_former_count);
    return &peers->own_former[i];
}

bool peers_key_is_own(const struct peers *peers, const struct identity_key *key)
{
    for (size_t i = 0; i < peers->own_former_count; i++) {
        if (identity_key_equal(&peers->own_former[i].sign, key))
            return true;
    }
    return identity_key_equal(&peers->own.sign, key);
}
