/* Receipts as grants: who may fetch again what of a version from whom (the wire protocol, section 4).
 *
 *     leases family   'r' version 32 | signer 32 -> grant    source: the signer has a replica
 *                     'g' version 32 | peer 32   -> grant    destination: given to that peer
 *     grant           receipt | project u64 | version page 32 | attribute root 32
 *
 * A receipt makes both ends replicas of one version, and either may ask the other for what it has lost.
 * repair(id, receipt) is answered like describe. Who answers checks, by its own records: the receipt's
 * form and signature; that it took this receipt from the session's identity, or gave it to it; that the
 * project it was of still has a snapshot of this very version; and the gates of this region: what is
 * repaired leaves it, whichever end it was copied from.
 * Checked again at every renewal and request. No principal is asked: nothing is given that the peer did
 * not have under its receipt.
 *
 * Threads: any; reads the catalog.
 */
#ifndef NODE_TASK_REPAIR_GRANT_H
#define NODE_TASK_REPAIR_GRANT_H

#include "node/task/xcopy_rights.h"
#include "proto/catalog.h"
#include "proto/token.h"
#include "store/catalog_commit.h"

struct store;

struct repair_grant {
    struct span receipt; /* of either form */
    struct project_id project;
    struct digest page; /* of the version record */
    struct digest attribute_root;
};

enum repair_side {
    REPAIR_TOOK, /* source: other is the receipt's signer */
    REPAIR_GAVE, /* destination: other is whom it was given to */
};

/* Remembers the receipt's grant in a change. */
void repair_grant_put(struct catalog_change *change, enum repair_side side,
                      const struct identity_key *other, const struct digest *version,
                      const struct repair_grant *grant);

/* May the peer repair from here under this receipt? ERR_DENIED: not its receipt;
 * ERR_NOT_FOUND: the snapshot is gone here; ERR_GATE. */
struct repair_origin {
    struct repair_grant grant;       /* borrows from the arena */
    struct snapshot_record snapshot; /* one that has the version; borrows from the arena */
};
enum err_code repair_rights(const struct xcopy_rights *rights, struct span receipt,
                            const struct identity_key *peer, struct arena *arena,
                            struct repair_origin *ret_origin, struct err *err) MUST_USE;

/* Every receipt that was given to a peer and is remembered; a record that cannot be read is left
 * out. Stops at the first error. */
typedef enum err_code repair_on_receipt(void *context, const struct receipt *receipt,
                                        struct err *err);
enum err_code repair_given_each(struct store *store, repair_on_receipt *on_receipt, void *context,
                                struct err *err) MUST_USE;

/* Whom this node may ask for the version; stops at the first error. */
typedef enum err_code repair_on_peer(void *context, const struct identity_key *peer,
                                     const struct repair_grant *grant, struct err *err);
enum err_code repair_peers_each(struct store *store, const struct digest *version,
                                repair_on_peer *on_peer, void *context, struct err *err) MUST_USE;

/* Of the receipts that were taken for the version: who has a replica. */
enum err_code repair_taken_each(struct store *store, const struct digest *version,
                                repair_on_peer *on_peer, void *context, struct err *err) MUST_USE;

#endif
