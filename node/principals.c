#include "node/principals.h"

struct principals {
    struct principal *items;
    size_t count;
};

static enum err_code keys_parse(const char *text, struct principals *principals, struct err *err)
{
    struct public_identity keys;
    if (public_identity_parse(span_text(text), &keys, err) != ERR_OK) {
        struct err reason = *err;
        return err_set(err, ERR_CONFIG, "operator_keys: '%.24s...': %s", text, reason.message);
    }
    if (principals_find_noise(principals, &keys.noise) != NULL ||
        principals_find_signer(principals, &keys.sign) != NULL)
        return err_set(err, ERR_CONFIG, "operator_keys: '%.24s...' is given twice", text);
    ASSERT(principals->items != NULL);
    struct principal *principal = &principals->items[principals->count++];
    *principal = (struct principal){
        .name = ROOT_ACCOUNT_NAME,
        .account = {ROOT_ACCOUNT_ID},
        .keys = keys,
        .operator= true,
    };
    return ERR_OK;
}

enum err_code principals_new(const struct config_list *operator_keys,
                             struct principals **ret_principals, struct err *err)
{
    struct err local;
    if (err == NULL)
        err = &local;
    struct principals *principals = mem_calloc(1, sizeof(*principals));
    principals->items = mem_calloc(operator_keys->count + 1, sizeof(*principals->items));
    for (size_t i = 0; i < operator_keys->count; i++) {
        if (keys_parse(operator_keys->items[i], principals, err) != ERR_OK) {
            principals_free(principals);
            return err->code;
        }
    }
    *ret_principals = principals;
    return ERR_OK;
}

void principals_free(struct principals *principals)
{
    if (principals == NULL)
        return;
    mem_free(principals->items);
    mem_free(principals);
}

const struct principal *principals_find_noise(const struct principals *principals,
                                              const struct noise_key *key)
{
    for (size_t i = 0; i < principals->count; i++) {
        if (noise_key_equal(&principals->items[i].keys.noise, key))
            return &principals->items[i];
    }
    return NULL;
}

const struct principal *principals_find_signer(const struct principals *principals,
                                               const struct identity_key *key)
{
    for (size_t i = 0; i < principals->count; i++) {
        if (identity_key_equal(&principals->items[i].keys.sign, key))
            return &principals->items[i];
    }
    return NULL;
}
