#include "node/peers.h"

struct peers {
    struct peer *items;
    size_t count;
};

static enum err_code key_parse(const char *region, const char *text,
                               struct public_identity *ret_keys, struct err *err)
{
    struct err reason;
    if (public_identity_parse(span_text(text), ret_keys, &reason) != ERR_OK)
        return err_set(err, ERR_CONFIG, "peer %s: key '%.24s...': %s", region, text,
                       reason.message);
    return ERR_OK;
}

static enum err_code key_check_new(const struct peers *peers, const struct peer *peer,
                                   const struct public_identity *own, struct err *err)
{
    if (identity_key_equal(&peer->keys.sign, &own->sign) ||
        noise_key_equal(&peer->keys.noise, &own->noise))
        return err_set(err, ERR_CONFIG, "peer %s: that is this node's own key", peer->region);
    const struct peer *other = peers_find_noise(peers, &peer->keys.noise);
    if (other == NULL)
        other = peers_find_signer(peers, &peer->keys.sign);
    if (other != NULL)
        return err_set(err, ERR_CONFIG, "peer %s: peer %s has the same key", peer->region,
                       other->region);
    return ERR_OK;
}

static enum err_code peer_init(struct peer *peer, const struct config_peer *config,
                               struct pool *pool, const struct identity *identity, struct err *err)
{
    snprintf(peer->region, sizeof(peer->region), "%s", config->region);
    peer->config = config;
    TRY(key_parse(peer->region, config->key, &peer->keys, err));
    size_t former = config->former_keys.count;
    peer->former_keys = mem_calloc(former + 1, sizeof(*peer->former_keys));
    for (; peer->former_key_count < former; peer->former_key_count++) {
        size_t i = peer->former_key_count;
        TRY(key_parse(peer->region, config->former_keys.items[i], &peer->former_keys[i], err));
    }
    peer->bucket = bucket_new(0);
    peer->send_bucket = bucket_new(0);
    const struct window_limits limits = window_limits_default();
    window_init(&peer->window, &limits);
    const struct link_options options = {
        .kind = LISTENER_PEERS,
        .addresses = (const char *const *)config->addresses.items,
        .address_count = config->addresses.count,
        .identity = identity,
        .peer_key = peer->keys.noise,
        .bucket = peer->bucket,
    };
    return link_open(pool, &options, &peer->link, err);
}

enum err_code peers_new(const struct config *config, struct pool *pool,
                        const struct identity *identity, struct peers **ret_peers, struct err *err)
{
    struct peers *peers = mem_calloc(1, sizeof(*peers));
    peers->items = mem_calloc(config->peer_count + 1, sizeof(*peers->items));
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < config->peer_count && code == ERR_OK; i++) {
        struct peer peer = {0};
        code = peer_init(&peer, &config->peers[i], pool, identity, err);
        if (code == ERR_OK)
            code = key_check_new(peers, &peer, identity_public(identity), err);
        peers->items[peers->count++] = peer;
    }
    if (code != ERR_OK) {
        peers_free(peers);
        return code;
    }
    *ret_peers = peers;
    return ERR_OK;
}

void peers_close(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        link_close(peers->items[i].link);
        peers->items[i].link = NULL;
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    peers_close(peers);
    for (size_t i = 0; i < peers->count; i++) {
        bucket_unref(peers->items[i].bucket);
        bucket_unref(peers->items[i].send_bucket);
        mem_free(peers->items[i].former_keys);
    }
    mem_free(peers->items);
    mem_free(peers);
}

size_t peers_count(const struct peers *peers)
{
    return peers->count;
}

struct peer *peers_at(const struct peers *peers, size_t i)
{
    ASSERT(i < peers->count);
    return &peers->items[i];
}

struct peer *peers_find_region(const struct peers *peers, struct span region)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (span_equal(span_text(peers->items[i].region), region))
            return &peers->items[i];
    }
    return NULL;
}

enum err_code peers_unknown(const struct peers *peers, struct span region, struct err *err)
{
    BYTES_CLEANUP struct bytes known = {0};
    for (size_t i = 0; i < peers->count; i++)
        bytes_printf(&known, "%s%s", i == 0 ? "" : ", ", peers->items[i].region);
    return err_set(err, ERR_PARAMETER, "region %.*s is none of the peers configured here (%.*s)",
                   SPAN_PRINTF(region), SPAN_PRINTF(bytes_span(&known)));
}

struct peer *peers_find_noise(const struct peers *peers, const struct noise_key *key)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (noise_key_equal(&peers->items[i].keys.noise, key))
            return &peers->items[i];
    }
    return NULL;
}

struct peer *peers_find_signer(const struct peers *peers, const struct identity_key *key)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (identity_key_equal(&peers->items[i].keys.sign, key))
            return &peers->items[i];
    }
    return NULL;
}

bool peer_key_is_former(const struct peer *peer, const struct identity_key *key)
{
    for (size_t i = 0; i < peer->former_key_count; i++) {
        if (identity_key_equal(&peer->former_keys[i].sign, key))
            return true;
    }
    return false;
}
