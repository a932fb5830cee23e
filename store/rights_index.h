/* The index in memory of who has which right. Private to rights.c, rights_change.c and rights_sweep.c.
 *
 *     users    by project and folded name: id, roles              (chains)
 *     grants   by project, object, grantee, action: when it ends  (open addressing, a quarter full)
 *
 * Threads: those who change hold rights->change over commit and index both, so that both have one
 * order; rights->lock guards the index alone and is never held over I/O.
 */
#ifndef STORE_RIGHTS_INDEX_H
#define STORE_RIGHTS_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/rights.h"

struct rights_member {
    struct rights_member *next; /* in its slot */
    uint64_t hash;
    struct project_id project;
    uint64_t id;
    uint64_t principal;
    uint64_t *roles;
    size_t role_count;
    size_t name_bytes;
    uint8_t name[]; /* folded */
};

struct rights_slot {
    uint64_t project;
    uint64_t object;
    uint64_t grantee; /* 0: free */
    uint64_t expires_ms;
    uint64_t action;
};

struct rights {
    pthread_mutex_t change;
    pthread_rwlock_t lock; /* all below, but what is atomic */
    struct rights_member **members;
    size_t member_slots, member_count;
    struct rights_slot *grants;
    size_t grant_slots, grant_count;
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

const struct rights_slot *rights_grant_find(struct rights *rights, const struct rights_key *key);
void rights_grant_put(struct rights *rights, const struct rights_key *key, uint64_t expires_ms);
void rights_grant_remove(struct rights *rights, const struct rights_key *key);

/* The clock that grants expire by. */
uint64_t rights_now_ms(const struct rights *rights);

/* Keys of the catalog; each replaces the content of key. */
void rights_key_named(char kind, struct project_id project, struct span name, struct bytes *key);
void rights_key_role(struct project_id project, uint64_t member, uint64_t role, struct bytes *key);
void rights_key_grant(const struct rights_key *grant, struct bytes *key);

#endif
