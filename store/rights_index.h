/* The index in memory of who has which right. Private to rights.c, rights_grants.c, rights_change.c and
 * rights_sweep.c.
 *
 *     users      by project and folded name: id, roles
 *     grantees   by project and id, those that have grants: by object and action, when each ends
 *
 * Threads: those who change hold rights->change over commit and index both, so that both have one
 * order; rights->lock guards the index alone and is never held over I/O.
 */
#ifndef STORE_RIGHTS_INDEX_H
#define STORE_RIGHTS_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/rights.h"

/* What has a place in a chain: its first field. */
struct rights_node {
    struct rights_node *next;
    uint64_t hash;
};

struct rights_chain {
    struct rights_node **slots;
    size_t slot_count, used;
};

struct rights_member {
    struct rights_node node;
    struct project_id project;
    uint64_t id;
    uint64_t principal;
    uint64_t *roles;
    size_t role_count;
    size_t name_bytes;
    uint8_t name[]; /* folded */
};

/* Slots of `stride` words: see rights_grants.c. */
struct rights_table {
    void *memory; /* owns; words: the first cache line in it */
    uint64_t *words;
    size_t slots, used;
    uint8_t stride, shift;
};

struct rights_grantee {
    struct rights_node node;
    struct project_id project;
    uint64_t id;
    struct rights_table lasting, ending;
};

struct rights {
    pthread_mutex_t change;
    pthread_rwlock_t lock; /* all below, but what is atomic */
    struct rights_chain members, grantees;
    size_t grant_count;
    uint8_t hash_key[16];
    uint64_t unreadable;
    atomic_uint_fast64_t probes;
    atomic_uint_fast64_t believed_ms, believed_at_ms; /* wall clock; monotonic */
    atomic_bool sweep_wished;
    atomic_uint_fast64_t ends_ms; /* when the first of all grants expires; UINT64_MAX: none does */
};

/* A key of the grants. */
struct rights_key {
    struct project_id project;
    struct table_id object;
    uint64_t grantee;
    uint32_t action;
};

/* All with `lock` held for writing, but the find functions: for reading. */
struct rights_member *rights_member_find(struct rights *rights, struct project_id project,
                                         struct span name);
void rights_member_add(struct rights *rights, const struct member_record *member);
void rights_member_remove(struct rights *rights, struct project_id project, struct span name);
void rights_role_add(struct rights_member *member, uint64_t role);
void rights_role_remove(struct rights_member *member, uint64_t role);

/* Of the actions (bits 1 << number; key's is not looked at), when the last ends, in ms; UINT64_MAX: one
 * lasts; 0: none was given. */
uint64_t rights_granted_until(struct rights *rights, const struct rights_key *key,
                              uint64_t actions);
/* expires_ms 0: never. False: an id or action that no grant has. */
bool rights_grant_put(struct rights *rights, const struct rights_key *key, uint64_t expires_ms);
/* When the first grant ends after this; UINT64_MAX: none does. `lock` held for reading. */
uint64_t rights_ends_after(const struct rights *rights, uint64_t after_ms);
void rights_grant_remove(struct rights *rights, const struct rights_key *key);
void rights_grantee_free(struct rights_grantee *grantee);

/* Where those of that hash begin; and changing what there is, by its place in its chain. */
struct rights_node **rights_chain_first(struct rights_chain *chain, uint64_t hash);
void rights_chain_add(struct rights_chain *chain, struct rights_node *node);
void rights_chain_remove(struct rights_chain *chain, struct rights_node **place);

/* The clock that grants expire by. */
uint64_t rights_now_ms(const struct rights *rights);

/* Keys of the catalog; each replaces the content of key. */
void rights_key_named(char kind, struct project_id project, struct span name, struct bytes *key);
void rights_key_role(struct project_id project, uint64_t member, uint64_t role, struct bytes *key);
void rights_key_grant(const struct rights_key *grant, struct bytes *key);

#endif
