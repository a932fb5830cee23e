#include "node/store_setup.h"

/* What it signs would count as this node's own. */
static enum err_code no_peers_key(const struct config *config, const char *former,
                                  const struct public_identity *keys, struct err *err)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        struct public_identity theirs;
        if (public_identity_parse(span_text(config->peers[i].key), &theirs, NULL) == ERR_OK &&
            identity_key_equal(&theirs.sign, &keys->sign))
            return err_set(err, ERR_CONFIG, "former_keys: '%.24s...' is the key of peer %s", former,
                           config->peers[i].region);
    }
    return ERR_OK;
}

static enum err_code former_parse(const struct config *config, size_t i,
                                  struct public_identity *ret_keys, struct err *err)
{
    struct err reason;
    const char *text = config->former_keys.items[i];
    if (public_identity_parse(span_text(text), ret_keys, &reason) != ERR_OK)
        return err_set(err, ERR_CONFIG, "former_keys: '%.24s...': %s", text, reason.message);
    return ERR_OK;
}

enum err_code former_keys_check(const struct config *config, struct err *err)
{
    struct public_identity keys;
    if (config->former_keys.count > LIMIT_FORMER_KEYS)
        return err_set(err, ERR_CONFIG, "former_keys: %zu, at most %d", config->former_keys.count,
                       LIMIT_FORMER_KEYS);
    for (size_t i = 0; i < config->former_keys.count; i++) {
        TRY(former_parse(config, i, &keys, err));
        TRY(no_peers_key(config, config->former_keys.items[i], &keys, err));
    }
    return ERR_OK;
}

static enum err_code former_key(const struct config *config, const struct identity *identity,
                                size_t i, struct identity_key *ret_key, struct err *err)
{
    struct public_identity keys;
    TRY(former_parse(config, i, &keys, err));
    if (memcmp(keys.sign.b, identity_public(identity)->sign.b, sizeof(keys.sign.b)) == 0)
        return err_set(err, ERR_CONFIG,
                       "former_keys: '%.24s...' is the key of key_file; take it out of the list",
                       config->former_keys.items[i]);
    *ret_key = keys.sign;
    return ERR_OK;
}

enum err_code store_setup_make(const struct config *config, const struct identity *identity,
                               struct store_setup *ret_setup, struct err *err)
{
    struct store_setup *setup = ret_setup;
    TRY(former_keys_check(config, err));
    for (size_t i = 0; i < config->former_keys.count; i++)
        TRY(former_key(config, identity, i, &setup->former[i], err));
    setup->options = (struct store_options){
        .data_dir = config->data_dir,
        .region = config->region,
        .identity = identity_public(identity)->sign,
        .former = setup->former,
        .former_count = config->former_keys.count,
        .disk_reserve_bytes = config->disk_reserve_bytes,
    };
    return ERR_OK;
}
