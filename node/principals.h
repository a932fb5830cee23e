/* Who may speak to this node: accounts, their RAM users, and operators, by key and by name.
 *
 *     account   ALIYUN$name          of the catalog; owns projects
 *     user      RAM$account:name     of the catalog; belongs to an account, owns no project
 *     operator  OPERATOR$1a2b...     a key of `operator_keys` that is nobody's: no account, no rights
 *                                    to data. One that an account holds too (the first start gives
 *                                    them to ALIYUN$root) is that account and an operator.
 *
 * An index in memory of what the catalog and the configuration say; principals_store.h fills it. A
 * look-up answers with a copy: what it tells was so at that moment, so ask at each request and keep
 * nothing (rights are looked up per request).
 *
 * Invariants: 1. a half of a key leads to one principal. 2. Who is gone is not found by anyone who
 * asks later, and on_drop hears of each of its keys.
 * Threads: any; look-ups do not wait for disk. One lock, held by nobody who calls out.
 */
#ifndef NODE_PRINCIPALS_H
#define NODE_PRINCIPALS_H

#include "node/config.h"
#include "transport/identity.h"

#define ROOT_ACCOUNT_NAME "ALIYUN$root"
#define ROOT_ACCOUNT_ID   1

struct principal {
    char name[LIMIT_PRINCIPAL_BYTES + 1]; /* as it was made: "ALIYUN$root", "RAM$root:u" */
    struct account_id account;            /* of a user: whose it is; 0: an operator's key alone */
    uint64_t
        number; /* an account's or user's id in the catalog, never another's; or an operator's */
    bool user;  /* RAM user: its account's rights are not its own */
    struct public_identity keys; /* that was asked for; by name: the first */
    bool operator; /* this key is an operator's: projects, accounts, channels, allow-list */
};

/* What changes in its name have to expect (struct change_note): its id, or 0 for an operator alone. */
static inline uint64_t principal_id(const struct principal *principal)
{
    return principal->account.n != 0 ? principal->number : 0;
}

struct principals;

/* Only operators at first. ERR_CONFIG: a key that is malformed or given twice; the message says
 * which. */
enum err_code principals_new(const struct config_list *operator_keys,
                             struct principals **ret_principals, struct err *err);
/* The same errors; nothing is made. */
enum err_code principals_operators_check(const struct config_list *operator_keys, struct err *err);
/* These are the operators from now on. Of each key that is none any more on_drop hears, though it may be
 * an account's. The errors of principals_new, and nothing has changed. One thread alone. */
enum err_code principals_set_operators(struct principals *principals,
                                       const struct config_list *operator_keys, struct err *err);
void principals_free(struct principals *principals); /* NULL is fine */

/* False: unknown, and *ret_principal is left alone. */
bool principals_find_noise(const struct principals *principals, const struct noise_key *key,
                           struct principal *ret_principal) MUST_USE;
bool principals_find_signer(const struct principals *principals, const struct identity_key *key,
                            struct principal *ret_principal) MUST_USE;
/* Accounts and users, without regard to (ASCII) case. */
bool principals_find_name(const struct principals *principals, struct span name,
                          struct principal *ret_principal) MUST_USE;

/* Is the key that it was found by its key still? Of one that was found by name, or made without a key:
 * is it still there? */
bool principals_has_key(const struct principals *principals,
                        const struct principal *principal) MUST_USE;

/* ---- filling it ---- */

struct principal_spec { /* an account or a user; borrows */
    struct span name;   /* at most LIMIT_PRINCIPAL_BYTES */
    struct account_id account;
    uint64_t number; /* its id */
    bool user;
    const struct public_identity *keys;
    size_t key_count;
};

/* Adds it, or gives the one of that name these keys and no others. A half that another principal
 * has stays the other's: the catalog does not let that be. */
void principals_put(struct principals *principals, const struct principal_spec *spec);
void principals_remove(struct principals *principals, struct span name);

/* Keys of nodes, this one's and its peers': nobody here may have them. They stay reserved. */
void principals_reserve(struct principals *principals, const struct public_identity *key);
/* Is one of its halves anybody's, reserved, or an operator's? */
bool principals_key_known(const struct principals *principals, const struct public_identity *key);

/* Called for each key that is nobody's way in any more, or another's than before, after it is not
 * found any more, on the thread that changed it. Set it before the first change. */
void principals_on_drop(struct principals *principals,
                        void (*on_drop)(void *context, const struct noise_key *key), void *context);

#endif
