/* Who may speak to this node: keys of operators, by both of their halves.
 *
 * At first there is one account, ALIYUN$root: every key of `operator_keys` is its, and each is an
 * operator of the region too. Accounts of their own keys come with CREATE ACCOUNT.
 *
 * Threads: any; a filled table is never changed.
 */
#ifndef NODE_PRINCIPALS_H
#define NODE_PRINCIPALS_H

#include "node/config.h"
#include "transport/identity.h"

#define ROOT_ACCOUNT_NAME "ALIYUN$root"
#define ROOT_ACCOUNT_ID   1

struct principal {
    char name[LIMIT_PRINCIPAL_BYTES + 1]; /* "ALIYUN$root" */
    struct account_id account;
    struct public_identity keys;
    bool operator; /* of the region: projects, accounts, channels, allow-list */
};

struct principals;

/* ERR_CONFIG: a key that is malformed or given twice; the message says which. */
enum err_code principals_new(const struct config_list *operator_keys,
                             struct principals **ret_principals, struct err *err);
void principals_free(struct principals *principals); /* NULL is fine */

/* NULL: unknown. Borrowed until principals_free. */
const struct principal *principals_find_noise(const struct principals *principals,
                                              const struct noise_key *key);
const struct principal *principals_find_signer(const struct principals *principals,
                                               const struct identity_key *key);

#endif
