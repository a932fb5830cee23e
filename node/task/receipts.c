#include "node/task/receipts.h"

#include "node/task/record_sweep.h"
#include "node/task/repair_grant.h"

#define KEPT_KEY_BYTES    (1 + 8 + DIGEST_BYTES + sizeof(struct identity_key))
#define KEPT_PREFIX_BYTES (1 + 8 + DIGEST_BYTES)

static struct span kept_key(struct project_id project, const struct digest *version,
                            const struct identity_key *signer, uint8_t key[KEPT_KEY_BYTES])
{
    key[0] = 'y';
    store_u64(key + 1, project.n);
    memcpy(key + 9, version->b, DIGEST_BYTES);
    memcpy(key + KEPT_PREFIX_BYTES, signer->b, sizeof(signer->b));
    return span_of(key, KEPT_KEY_BYTES);
}

void receipt_keep(struct catalog_change *change, struct project_id project,
                  const struct receipt *receipt, struct span encoded)
{
    uint8_t key[KEPT_KEY_BYTES];
    if (project.n == 0)
        return;
    catalog_put(change, FAMILY_LEASES, kept_key(project, &receipt->version, &receipt->signer, key),
                encoded);
}

/* ---- reading ---- */

struct kept_walk {
    struct store *store;
    struct project_id project;
    const struct digest *version;
    receipt_on_kept *on_kept;
    void *context;
};

/* What cannot be read is shown as what is not true: it was a receipt once. */
static enum err_code kept_tell(const struct kept_walk *walk, const struct identity_key *signer,
                               struct span encoded, struct err *err)
{
    struct receipt_kept kept = {.receipt = {.version = *walk->version, .signer = *signer}};
    struct receipt receipt;
    if (receipt_decode(encoded, &receipt, NULL) == ERR_OK) {
        kept.is_true = receipt_verify(encoded, NULL) == ERR_OK &&
                       digest_equal(&receipt.version, walk->version) &&
                       identity_key_equal(&receipt.signer, signer);
        kept.receipt = receipt;
        kept.receipt.signer = *signer;
    }
    return walk->on_kept(walk->context, &kept, err);
}

/* Taken before 'y' was written: what the grant still knows. */
static enum err_code grant_tell(void *context, const struct identity_key *peer,
                                const struct repair_grant *grant, struct err *err)
{
    const struct kept_walk *walk = context;
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[KEPT_KEY_BYTES];
    bool found = false;
    if (grant->project.n != walk->project.n)
        return ERR_OK;
    TRY(catalog_find(walk->store, NULL, FAMILY_LEASES,
                     kept_key(walk->project, walk->version, peer, key), &record, &found, err));
    return found ? ERR_OK : kept_tell(walk, peer, grant->receipt, err);
}

static enum err_code kept_each(const struct kept_walk *walk, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    static const struct identity_key none;
    uint8_t prefix[KEPT_KEY_BYTES];
    kept_key(walk->project, walk->version, &none, prefix);
    TRY(catalog_scan(walk->store, NULL, FAMILY_LEASES, span_of(prefix, KEPT_PREFIX_BYTES),
                     span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct identity_key signer;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != KEPT_KEY_BYTES)
            continue;
        memcpy(signer.b, key.data + KEPT_PREFIX_BYTES, sizeof(signer.b));
        TRY(kept_tell(walk, &signer, value, err));
    }
}

enum err_code receipts_each(struct store *store, struct project_id project,
                            const struct digest *version, receipt_on_kept *on_kept, void *context,
                            struct err *err)
{
    struct kept_walk walk = {.store = store,
                             .project = project,
                             .version = version,
                             .on_kept = on_kept,
                             .context = context};
    TRY(kept_each(&walk, err));
    return repair_taken_each(store, version, grant_tell, &walk, err);
}

/* ---- those that nobody is shown any more ---- */

struct kept_sweep {
    uint64_t before_ms;
    receipt_version_held *held;
    void *context;
};

static bool kept_goes(void *context, struct span key, struct span value)
{
    const struct kept_sweep *sweep = context;
    struct reader keys = reader_of(key);
    struct digest version;
    struct receipt receipt;
    (void)reader_u8(&keys);
    struct project_id project = {reader_u64(&keys)};
    reader_copy(&keys, version.b, DIGEST_BYTES);
    if (key.len != KEPT_KEY_BYTES || sweep->held(sweep->context, project, &version))
        return false;
    return receipt_decode(value, &receipt, NULL) != ERR_OK ||
           receipt.published_ms < sweep->before_ms;
}

enum err_code receipts_sweep(struct store *store, uint64_t before_ms, receipt_version_held *held,
                             void *context, struct err *err)
{
    struct kept_sweep sweep = {before_ms, held, context};
    return record_sweep(store, FAMILY_LEASES, span_text("y"), kept_goes, &sweep, err);
}
