/* Identities. Wrapped, so that two of them cannot be swapped. */
#ifndef PROTO_IDS_H
#define PROTO_IDS_H

#include "proto/digest.h"

/* Never reused within a region; from 1; 0 is none. */
struct account_id {
    uint64_t n;
};
struct user_id { /* RAM users and accounts: one sequence */
    uint64_t n;
};
struct project_id {
    uint64_t n;
};
struct table_id { /* tables and snapshots: one namespace, one sequence */
    uint64_t n;
};
struct pack_id {
    uint64_t n;
};

/* Random, chosen by who asks: the key under which an answer is remembered. */
struct statement_id {
    uint8_t b[16];
};
struct task_id {
    uint8_t b[16];
};
struct token_id {
    uint8_t b[16];
};

/* Derived: DOMAIN_LEASE over peer identity and task id. */
struct lease_id {
    struct digest digest;
};

/* A principal's or node's signing key (Ed25519): its identity everywhere. */
struct identity_key {
    uint8_t b[32];
};

#endif
