#include "node/task/repair_grant.h"

#include "store/project.h"
#include "store/snapshot.h"

#define GRANT_KEY_BYTES  (1 + 2 * DIGEST_BYTES)
#define GRANT_REST_BYTES (8 + 2 * DIGEST_BYTES) /* behind the receipt */

static struct span grant_key(enum repair_side side, const struct digest *version,
                             const struct identity_key *other, uint8_t key[GRANT_KEY_BYTES])
{
    key[0] = side == REPAIR_TOOK ? 'r' : 'g';
    memcpy(key + 1, version->b, DIGEST_BYTES);
    memcpy(key + 1 + DIGEST_BYTES, other->b, sizeof(other->b));
    return span_of(key, GRANT_KEY_BYTES);
}

void repair_grant_put(struct catalog_change *change, enum repair_side side,
                      const struct identity_key *other, const struct digest *version,
                      const struct repair_grant *grant)
{
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[GRANT_KEY_BYTES];
    ASSERT(grant->receipt.len <= RECEIPT_BYTES_MAX);
    bytes_append_span(&record, grant->receipt);
    bytes_append_u64(&record, grant->project.n);
    bytes_append_span(&record, digest_span(&grant->page));
    bytes_append_span(&record, digest_span(&grant->attribute_root));
    catalog_put(change, FAMILY_LEASES, grant_key(side, version, other, key), bytes_span(&record));
}

static enum err_code grant_decode(struct span record, struct repair_grant *ret_grant,
                                  struct err *err)
{
    if (record.len < GRANT_REST_BYTES || record.len > GRANT_REST_BYTES + RECEIPT_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "the record of a receipt is damaged");
    struct reader reader = reader_of(record);
    struct repair_grant grant = {.receipt = reader_span(&reader, record.len - GRANT_REST_BYTES)};
    grant.project.n = reader_u64(&reader);
    reader_copy(&reader, grant.page.b, DIGEST_BYTES);
    reader_copy(&reader, grant.attribute_root.b, DIGEST_BYTES);
    if (!reader_end(&reader))
        return err_set(err, ERR_CORRUPT, "the record of a receipt is damaged");
    *ret_grant = grant;
    return ERR_OK;
}

/* ---- rights ---- */

static enum err_code receipt_refuse(struct err *err)
{
    return err_set(err, ERR_DENIED, "the receipt is not one between this node and the peer");
}

/* The record of a receipt of the same version and root between the same two: which of several copies of
 * one version it was signed for makes no difference. */
static enum err_code grant_find(struct store *store, const struct identity_key *node,
                                struct span shown, const struct identity_key *peer,
                                struct arena *arena, struct repair_grant *ret_grant,
                                struct err *err)
{
    struct receipt receipt;
    if (receipt_decode(shown, &receipt, NULL) != ERR_OK || receipt_verify(shown, NULL) != ERR_OK)
        return receipt_refuse(err);
    bool took = memcmp(receipt.signer.b, peer->b, sizeof(peer->b)) == 0;
    if (!took && memcmp(receipt.signer.b, node->b, sizeof(node->b)) != 0)
        return receipt_refuse(err);
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[GRANT_KEY_BYTES];
    bool found = false;
    TRY(catalog_find(store, NULL, FAMILY_LEASES,
                     grant_key(took ? REPAIR_TOOK : REPAIR_GAVE, &receipt.version, peer, key),
                     &record, &found, err));
    if (!found)
        return receipt_refuse(err);
    struct span kept = arena_copy(arena, bytes_span(&record));
    if (kept.data == NULL)
        return err_set(err, ERR_LIMIT, "a request that needs too much memory");
    TRY(grant_decode(kept, ret_grant, err));
    struct receipt recorded;
    TRY(receipt_decode(ret_grant->receipt, &recorded, err));
    return digest_equal(&recorded.root, &receipt.root) ? ERR_OK : receipt_refuse(err);
}

struct snapshot_search {
    struct store *store;
    const struct repair_grant *grant;
    struct arena *arena;
    struct snapshot_record *ret_snapshot;
    bool found;
};

static enum err_code snapshot_look(void *context, struct name_target target, struct err *err)
{
    struct snapshot_search *search = context;
    struct snapshot_record snapshot;
    if (search->found || target.kind != NAME_SNAPSHOT)
        return ERR_OK;
    enum err_code code =
        snapshot_get(search->store, NULL, target.id, search->arena, &snapshot, err);
    if (code == ERR_NOT_FOUND || code == ERR_TABLE_NOT_FOUND)
        return ERR_OK; /* dropped meanwhile */
    TRY(code);
    search->found = digest_equal(&snapshot.version.page, &search->grant->page) &&
                    digest_equal(&snapshot.version.attribute_root, &search->grant->attribute_root);
    if (search->found)
        *search->ret_snapshot = snapshot;
    return ERR_OK;
}

enum err_code repair_rights(const struct xcopy_rights *rights, struct span receipt,
                            const struct identity_key *peer, struct arena *arena,
                            struct repair_origin *ret_origin, struct err *err)
{
    struct store *store = rights->store;
    struct repair_origin origin;
    struct project_record project;
    struct err reason;
    TRY(grant_find(store, &rights->node, receipt, peer, arena, &origin.grant, err));
    struct snapshot_search search = {
        .store = store, .grant = &origin.grant, .arena = arena, .ret_snapshot = &origin.snapshot};
    enum err_code code = project_get(store, NULL, origin.grant.project, arena, &project, &reason);
    if (code == ERR_OK)
        code = name_each(store, NULL, project.id, snapshot_look, &search, &reason);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return err_set(err, code, "%s", reason.message);
    if (!search.found)
        return err_set(err, ERR_NOT_FOUND, "the snapshot of this receipt was dropped here");
    TRY(xcopy_gates(rights, &project, arena, err));
    *ret_origin = origin;
    return ERR_OK;
}

/* ---- whom to ask ---- */

static enum err_code side_each(struct store *store, enum repair_side side,
                               const struct digest *version, repair_on_peer *on_peer, void *context,
                               struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    static const struct identity_key none;
    uint8_t prefix[GRANT_KEY_BYTES];
    grant_key(side, version, &none, prefix);
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, span_of(prefix, 1 + DIGEST_BYTES),
                     span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct identity_key peer;
        struct repair_grant grant;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != GRANT_KEY_BYTES || grant_decode(value, &grant, NULL) != ERR_OK)
            continue; /* scrub tells */
        memcpy(peer.b, key.data + 1 + DIGEST_BYTES, sizeof(peer.b));
        TRY(on_peer(context, &peer, &grant, err));
    }
}

enum err_code repair_given_each(struct store *store, repair_on_receipt *on_receipt, void *context,
                                struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, span_text("g"), span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct repair_grant grant;
        struct receipt receipt;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (grant_decode(value, &grant, NULL) == ERR_OK &&
            receipt_decode(grant.receipt, &receipt, NULL) == ERR_OK)
            TRY(on_receipt(context, &receipt, err));
    }
}

enum err_code repair_peers_each(struct store *store, const struct digest *version,
                                repair_on_peer *on_peer, void *context, struct err *err)
{
    TRY(side_each(store, REPAIR_GAVE, version, on_peer, context, err));
    return side_each(store, REPAIR_TOOK, version, on_peer, context, err);
}

enum err_code repair_taken_each(struct store *store, const struct digest *version,
                                repair_on_peer *on_peer, void *context, struct err *err)
{
    return side_each(store, REPAIR_TOOK, version, on_peer, context, err);
}
