/* What a configuration says of the store, for all that open one: the node, --fsck, --mend, --restore. */
#ifndef NODE_STORE_SETUP_H
#define NODE_STORE_SETUP_H

#include "node/config.h"
#include "store/store.h"
#include "transport/identity.h"

/* Borrows from configuration and itself: stays where it is made. */
struct store_setup {
    struct store_options options;
    struct identity_key former[LIMIT_FORMER_KEYS];
};

/* ERR_CONFIG: a former key that is none or a peer's, or too many. */
enum err_code former_keys_check(const struct config *config, struct err *err) MUST_USE;
/* The same; or one of them is the present one. */
enum err_code store_setup_make(const struct config *config, const struct identity *identity,
                               struct store_setup *ret_setup, struct err *err) MUST_USE;

#endif
