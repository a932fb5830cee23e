/* May this XCOPY be? Asked at both ends, each by its own records and clock (the wire protocol,
 * section 5). Names of accounts are never compared between regions: the key that signed has to
 * belong, here, to the account that owns this side's project.
 *
 * Threads: any; reads the catalog. The words in err go to the caller; what the source tells a peer
 * is bounded by xcopy_source.c.
 */
#ifndef NODE_TASK_XCOPY_RIGHTS_H
#define NODE_TASK_XCOPY_RIGHTS_H

#include "node/authorise.h"
#include "node/peers.h"
#include "proto/token.h"
#include "store/snapshot.h"

struct xcopy_rights {
    struct store *store;
    const struct principals *principals;
    const struct peers *peers; /* source: whose key is which region's; NULL: nobody's */
    struct identity_key node;  /* this one's */
    const char *region;
    bool gates; /* the channel switch of an account that never set it is off */
};

/* As names of projects, tables and snapshots are compared. */
bool task_name_equal(struct span a, struct span b);

/* May data of the project leave this region by XCOPY: the channel switch of the account that owns it,
 * then the region's allow-list. ERR_GATE, with what to write. For those who may know of the project. */
enum err_code xcopy_gates(const struct xcopy_rights *rights, const struct project_record *project,
                          struct arena *arena, struct err *err) MUST_USE;

/* Destination, at the statement, when the task begins, and at publish: the token's form and
 * signature, that it is for this node, region and time, that its signer is a principal who may
 * create the snapshot (and replace what has its name). No gate is asked: gates are the source's.
 * ERR_DENIED, ERR_EXISTS (a table has the name), ERR_HELD (the snapshot that has it is), ERR_NOT_FOUND. */
struct xcopy_target {
    struct project_id project;
    struct account_id owner;  /* of the project: files are held for it */
    struct table_id replaces; /* the snapshot that has the name, and may be replaced; 0: none */
    struct principal principal;
};
/* Borrows. */
struct xcopy_copy {
    struct span token;
    struct span source, destination; /* names of this copy under a standing token; else empty */
};
enum err_code xcopy_rights_destination(const struct xcopy_rights *rights,
                                       const struct xcopy_copy *copy, struct arena *arena,
                                       struct xcopy_target *ret_target, struct err *err) MUST_USE;

/* The same for VERIFY SNAPSHOT ... AGAINST, of the snapshot here that is compared: its reader may. ERR_DENIED;
 * ERR_TABLE_NOT_FOUND: it is gone. */
enum err_code xcopy_rights_compare(const struct xcopy_rights *rights, struct span token,
                                   struct table_id snapshot, struct arena *arena,
                                   struct account_id *ret_owner, struct err *err) MUST_USE;

/* What a peer asks for at the source. Borrows. */
struct xcopy_ask {
    struct span token;
    struct span snapshot;     /* under a standing token: its name; else empty */
    struct identity_key peer; /* the session's identity */
};

/* Source, at describe and at each renewal: the same for pulling, or for looking (EXPLAIN XCOPY: a token
 * without the right to files; xcopy_serve.h keeps its lease from them).
 * Whoever may not see the snapshot gets ERR_NOT_FOUND in the same words as for an absent one; gates
 * (ERR_GATE) and time (ERR_CREDENTIALS) are told only after that. Whether the snapshot is there is
 * for the caller to look up. */
struct xcopy_origin {
    struct project_id project;
    struct token token;   /* borrows from the bytes */
    struct span snapshot; /* its name here */
    struct principal signer;
};
enum err_code xcopy_rights_source(const struct xcopy_rights *rights, const struct xcopy_ask *ask,
                                  struct arena *arena, struct xcopy_origin *ret_origin,
                                  struct err *err) MUST_USE;
/* The rest of both that and watch_look.h, for who may know of the project: the token is in time, the gates
 * are open, and the project's data may go to the token's destination. */
enum err_code xcopy_rights_leave(const struct xcopy_rights *rights, const struct token *token,
                                 const struct principal *signer,
                                 const struct project_record *project, struct arena *arena,
                                 struct err *err) MUST_USE;

/* For this side's own audit log: whose token it is, what it names here, and what the one answer keeps
 * from the peer. Does the same work whatever there is. Borrows from token and arena. */
struct xcopy_told {
    bool readable; /* and truly signed: token is set */
    struct token token;
    struct span snapshot; /* the token's, or the one asked for */
    bool known;           /* its signer: principal is set */
    struct principal principal;
    struct project_record project; /* id 0: there is none */
    struct err detail;             /* ERR_OK: the snapshot is there, and the principal may see it */
};
void xcopy_rights_tell(const struct xcopy_rights *rights, const struct xcopy_ask *ask,
                       struct arena *arena, struct xcopy_told *ret_told);
/* The one answer. */
enum err_code xcopy_unknown(const struct token *token, struct span snapshot, struct err *err);

#endif
