/* One entry of the audit log: who did what, when, from where, and how it ended.
 *
 * Canonical protobuf (audit.proto); decode refuses anything else with ERR_BAD_DATA. The chain that
 * holds entries together is the store's (store/audit.h); who may read which, the node's.
 * Memory: decoded records borrow from the arena; AUDIT_ARENA_BYTES suffices for one. No threads.
 */
#ifndef PROTO_AUDIT_H
#define PROTO_AUDIT_H

#include "proto/arena.h"
#include "proto/ids.h"
#include "proto/limits.h"

#define AUDIT_TEXT_BYTES_MAX 1024 /* of each text in an entry; longer ones are cut at a character */
#define AUDIT_RECORD_BYTES_MAX                                                                     \
    (KIB(16)) /* 11 texts, keys and numbers: what an encoded record never reaches */
#define AUDIT_ARENA_BYTES ((LIMIT_MESSAGE_ARENA_FACTOR + 4) * AUDIT_RECORD_BYTES_MAX)
#define AUDIT_KEY_BYTES   64 /* Ed25519 32 | X25519 32; or the first half alone */
#define AUDIT_OUTCOME_OK  "OK"

/* What an entry is about, as it was called then. All zero and empty: nothing. A name without a
 * project's id: there was no such project. */
struct audit_place {
    struct project_id project;
    struct account_id owner; /* of the project, then */
    struct span project_name;
    struct span name; /* table, snapshot, account ...; or empty */
};

struct audit_record {
    uint64_t time_ms;          /* since 1970, UTC, by the node's clock */
    struct span principal;     /* name; or what is known of it; never empty */
    struct span key;           /* AUDIT_KEY_BYTES, half of them, or empty: the node itself */
    struct account_id account; /* the principal's; 0: none */
    struct span address;       /* "127.0.0.1:40321", a peer's region; or empty */
    struct span action;        /* "CLONE TABLE", "DOWNLOAD" */
    struct audit_place object;
    struct audit_place source;
    struct span id;      /* of the statement or task, 16 bytes; or empty */
    struct span outcome; /* AUDIT_OUTCOME_OK, or the public code */
    struct span message; /* of an error; of a success what else there is to know; or empty */
    struct span text;    /* of the statement; or empty */
    uint64_t repeats;    /* as many more refusals like it had no entry of their own */
};

/* Appends. Texts that are too long are cut. */
void audit_record_encode(const struct audit_record *from, struct bytes *out);
enum err_code audit_record_decode(struct span encoded, struct arena *arena,
                                  struct audit_record *ret_record, struct err *err) MUST_USE;

bool audit_place_is_none(const struct audit_place *place);

#endif
