/* Records of the catalog, and the claim that a snapshot's maker signs. Digests and names only: what
 * is large (schemas, trees) is content and stands under a digest.
 *
 * Encodings are canonical protobuf (catalog.proto); decode refuses anything else with ERR_BAD_DATA.
 * Memory: decoded records borrow from the arena; CATALOG_ARENA_BYTES suffices for one record. Times
 * are milliseconds since 1970, UTC; 0 is never. No threads. Keys: docs/FORMATS.md, "Catalog records".
 */
#ifndef PROTO_CATALOG_H
#define PROTO_CATALOG_H

#include "proto/arena.h"
#include "proto/ids.h"
#include "proto/limits.h"
#include "proto/page.h"

#define CATALOG_ARENA_BYTES ((LIMIT_MESSAGE_ARENA_FACTOR + 4) * CATALOG_COMMIT_BYTES_MAX)
#define SIGNATURE_BYTES     64

struct public_key {
    struct identity_key identity; /* Ed25519 */
    uint8_t exchange[32];         /* X25519 */
};

/* May data of the account's projects leave the region by XCOPY? What the account last said. */
struct channel_switch {
    bool on;                /* it acknowledged to be responsible for that */
    uint64_t changed_ms;    /* 0: it never said anything, and the node's `gates` decides */
    struct span changed_by; /* principal; empty: as above */
};

struct account_record {
    struct account_id id;
    struct span name; /* ALIYUN$name */
    struct public_key *keys;
    size_t key_count;
    uint64_t created_ms;
    struct channel_switch channel;
};

struct user_record {
    struct user_id id;
    struct span name; /* RAM$account:user */
    struct account_id account;
    struct public_key *keys;
    size_t key_count;
    uint64_t created_ms;
};

/* Where data of a protected project may go all the same. */
struct trusted_project {
    struct span region;   /* empty: this one */
    struct project_id id; /* here; 0 in another region */
    struct span name;
};

struct project_record {
    struct project_id id;
    struct span name;
    struct account_id owner;
    uint64_t created_ms;
    bool xcopy_enabled;
    bool is_protected;               /* data does not leave it */
    struct trusted_project *trusted; /* at most LIMIT_TRUSTED_PROJECTS */
    size_t trusted_count;
};

/* ---- rights (store/rights.h) ---- */

/* A principal that was added to a project. */
struct member_record {
    struct project_id project;
    uint64_t id;        /* as a grantee */
    struct span name;   /* RAM$account:name */
    uint64_t principal; /* the account's or user's id: its name may be another's later */
    uint64_t added_ms;
    struct span added_by;
};

struct role_record {
    struct project_id project;
    uint64_t id; /* as a grantee; 0: admin, which has no record */
    struct span name;
    uint64_t created_ms;
    struct span created_by;
};

/* A user is in a role. */
struct role_member_record {
    struct project_id project;
    uint64_t member;
    uint64_t role; /* 0: admin */
    uint64_t given_ms;
    struct span given_by;
};

struct grant_record {
    struct project_id project;
    struct table_id object; /* 0: the project itself */
    uint64_t grantee;
    uint32_t action;     /* number of node/authorise.h, 1 to GRANT_ACTION_MAX */
    uint64_t expires_ms; /* 0: never */
    uint64_t given_ms;
    struct span given_by;
};
#define GRANT_ACTION_MAX 15
#define GRANT_ACTIONS    UINT64_C(0xfffe) /* all, as bits 1 << number */

/* What a version is kept by: its name to users, and the pages that clean-up must keep. */
struct version_ref {
    struct digest version;        /* DOMAIN_VERSION: equal where content is equal */
    struct digest page;           /* of the version record; the manifest tree hangs below it */
    struct digest attribute_root; /* not covered by the version */
    struct page_totals totals;
};

/* Where an external table's rows are: never here. */
struct table_external {
    struct span stored;   /* STORED BY | AS ... as written; never empty for an external table */
    struct span location; /* LOCATION '...' */
};

struct table_property { /* of TBLPROPERTIES: kept and shown, not acted on */
    struct span key;
    struct span value;
};

struct table_record {
    struct table_id id;
    struct project_id project;
    struct span name;
    struct span owner; /* principal */
    struct span comment;
    uint32_t lifecycle_days; /* 0: none */
    bool lifecycle_disabled; /* kept, and not acted on */
    uint64_t created_ms;
    uint64_t modified_ms; /* its rows, or by TOUCH */
    uint64_t ddl_ms;      /* its definition; 0: never since it was made */
    struct table_property *properties;
    size_t property_count;
    uint64_t sequence; /* of its last history record */
    struct version_ref version;
    struct table_external external; /* `stored` empty: a table whose rows are stored here */
};

/* What the maker of a snapshot says of it and signs: SNAPSHOT_SIGN_TEXT + these exact bytes. Replicas
 * keep bytes and signature as they came. */
#define SNAPSHOT_SIGN_TEXT "strait/1 snapshot"
struct snapshot_claim {
    struct span region; /* of the maker */
    struct span project;
    struct span name;
    struct digest version;
    struct digest attribute_root;
    struct table_id base_table;
    struct span base_table_name;
    uint64_t created_ms;
    uint64_t expires_ms; /* at its maker's */
    struct span description;
};

/* Keeps a snapshot from being dropped, expired or replaced, in this region. */
struct snapshot_hold {
    struct span by; /* principal; empty: not held */
    uint64_t since_ms;
};

/* VERIFY SNAPSHOT: when it was last proven here, and by whom. store/verify.h says what each depth proves. */
enum proof_depth { /* their order is that of the fields of the record */
                   PROOF_STORED,
                   PROOF_DEEP,
                   PROOF_DEPTHS,
};

struct snapshot_proof {
    uint64_t proven_ms; /* since 1970; 0: never */
    struct span by;     /* principal */
};

struct snapshot_record {
    struct table_id id; /* tables and snapshots: one sequence */
    struct project_id project;
    struct span name;  /* here; the claim has the name there */
    struct span owner; /* principal */
    struct version_ref version;
    uint64_t created_ms; /* here: when it was made or last replaced */
    uint64_t expires_ms; /* here */
    bool is_replica;
    struct span claim; /* snapshot_claim_decode */
    struct identity_key maker;
    uint8_t signature[SIGNATURE_BYTES];
    bool redescribed;        /* description was changed here; else it is the claim's */
    struct span description; /* redescribed; or empty */
    struct snapshot_hold hold;
    struct snapshot_proof proofs[PROOF_DEPTHS]; /* each the last of its depth */
};

/* As this region has it: the claim's, unless it was changed here. Borrows from both. */
struct span snapshot_description(const struct snapshot_record *snapshot,
                                 const struct snapshot_claim *claim);

/* Stored: never reuse a number. */
enum history_operation {
    OPERATION_CREATE = 1,
    OPERATION_LOAD = 2,
    OPERATION_INSERT = 3,
    OPERATION_OVERWRITE = 4,
    OPERATION_ADD_PARTITION = 5,
    OPERATION_DROP_PARTITION = 6,
    OPERATION_CLONE = 7,
    OPERATION_ALTER = 8,
    OPERATION_DROP = 9,
    OPERATION_TRUNCATE = 10,
    OPERATION_RESTORE = 11,
};
const char *history_operation_text(enum history_operation operation); /* "INSERT OVERWRITE" */

struct history_record {
    struct table_id table;
    uint64_t sequence; /* from 1 */
    uint64_t time_ms;
    enum history_operation operation;
    struct span principal;
    struct version_ref version; /* after the operation */
};

/* The remembered answer to a statement (24 h). */
struct outcome_record {
    uint64_t time_ms;
    struct span outcome; /* opaque here */
};

/* Pages that something outside of names keeps: a lease, a task. */
struct root_record {
    struct digest *pages;
    size_t page_count;
};

#define CATALOG_RECORDS(X)                                                                         \
    X(account_record)                                                                              \
    X(user_record)                                                                                 \
    X(project_record)                                                                              \
    X(member_record)                                                                               \
    X(role_record)                                                                                 \
    X(role_member_record)                                                                          \
    X(grant_record)                                                                                \
    X(table_record)                                                                                \
    X(snapshot_claim)                                                                              \
    X(snapshot_record)                                                                             \
    X(history_record)                                                                              \
    X(outcome_record)                                                                              \
    X(root_record)

#define X(record)                                                                                  \
    void record##_encode(const struct record *from, struct bytes *out);                            \
    enum err_code record##_decode(struct span encoded, struct arena *arena,                        \
                                  struct record *ret_record, struct err *err) MUST_USE;
CATALOG_RECORDS(X)
#undef X

bool version_ref_equal(const struct version_ref *a, const struct version_ref *b);

#endif
