/* The client's signature under an XCOPY: the destination node may pull exactly this snapshot of
 * ours from the source region, once (the wire protocol, section 5); and under a schedule, what its runs
 * may pull.
 *
 * The names signed are those that the client itself parsed, with its own current project put in
 * where none is written: a node cannot have anything else signed.
 */
#ifndef NODE_CLIENT_DELEGATION_H
#define NODE_CLIENT_DELEGATION_H

#include "node/client/remote.h"
#include "node/sql/ast.h"

/* The region that the node says it is. */
enum err_code node_region_find(struct remote *remote, struct bytes *ret_region, struct err *err);

struct delegation {
    struct span source_region;
    const struct name *source;       /* without a project: of the destination's name */
    const struct name *snapshot;     /* here: the destination, or what is compared */
    bool looks_only;                 /* EXPLAIN, VERIFY: no right to the files */
    struct span project;             /* current one, for an unqualified snapshot; or empty */
    struct span region;              /* destination's */
    struct identity_key destination; /* its node's key */
    uint64_t now_s;                  /* since 1970 */
};

/* A schedule's standing tokens: for each of its XCOPYs, and for its trigger (node/schedule/grants.h). They end
 * with the schedule, at the latest after TOKEN_STANDING_LIFE_S. Owned. */
struct delegation_list {
    struct bytes bytes[LIMIT_STATEMENT_TOKENS];
    struct span tokens[LIMIT_STATEMENT_TOKENS];
    size_t count;
};
void delegation_list_deinit(struct delegation_list *list);
#define DELEGATION_LIST_CLEANUP __attribute__((cleanup(delegation_list_deinit)))

struct schedule_delegation {
    const struct create_schedule *create;
    struct span project;             /* current one, for an unqualified schedule; or empty */
    struct span region;              /* the node's, which is every copy's destination */
    struct identity_key destination; /* its key */
    uint64_t now_s;
};
/* Does it need any? Then the node's region has to be known. ERR_SEMANTIC: what cannot be signed. */
enum err_code delegation_sign_schedule(const struct schedule_delegation *delegation,
                                       const struct identity *signer,
                                       struct delegation_list *ret_list, struct err *err);

/* Appends the signed token. ERR_SEMANTIC: no project. */
enum err_code delegation_sign(const struct delegation *delegation, const struct identity *signer,
                              struct bytes *token, struct err *err);

#endif
