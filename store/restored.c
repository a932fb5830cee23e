#include "store/restored.h"

#include "store/audit.h"
#include "store/parts.h"

static const char record_key[] = "restored";
static const char sequence_prefix[] = "sequence/";

enum err_code restored_get(struct store *store, struct restored *ret_restored, struct err *err)
{
    struct bytes record BYTES_CLEANUP = {0};
    bool found;
    TRY(catalog_find(store, NULL, FAMILY_META, span_text(record_key), &record, &found, err));
    if (found && record.len != 16)
        return err_set(err, ERR_CORRUPT, "the record of a restore has %zu bytes", record.len);
    *ret_restored = (struct restored){0};
    if (found)
        *ret_restored = (struct restored){load_u64(record.data), load_u64(record.data + 8)};
    return ERR_OK;
}

/* Those of which none was taken before the cut may have begun since. */
static enum err_code sequences_begin(struct store *store, struct catalog_change *change,
                                     struct err *err)
{
    static const char *const names[] = {"sequence/project", "sequence/table", "sequence/grantee",
                                        "sequence/schedule"};
    struct bytes value BYTES_CLEANUP = {0};
    uint8_t raw[8];
    store_u64(raw, RESTORED_STRIDE);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        bool found;
        TRY(catalog_find(store, NULL, FAMILY_META, span_text(names[i]), &value, &found, err));
        if (!found)
            catalog_put(change, FAMILY_META, span_text(names[i]), span_of(raw, sizeof(raw)));
    }
    return ERR_OK;
}

static enum err_code behind(struct span name, uint64_t number, uint64_t *ret_next, struct err *err)
{
    if (number > UINT64_MAX - RESTORED_STRIDE)
        return err_set(err, ERR_CORRUPT, "%.*s stands at %" PRIu64 ", where none follows",
                       SPAN_PRINTF(name), number);
    *ret_next = number + RESTORED_STRIDE;
    return ERR_OK;
}

/* Nobody else writes: what is read here is still so when it is committed. */
static enum err_code sequences_skip(struct store *store, struct catalog_change *change,
                                    struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_META, span_text(sequence_prefix), span_of(NULL, 0), &iter,
                     err));
    for (;;) {
        struct span key, value;
        uint8_t raw[8];
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (value.len != sizeof(raw))
            return err_set(err, ERR_CORRUPT, "%.*s: a record of %zu bytes", SPAN_PRINTF(key),
                           value.len);
        uint64_t next;
        TRY(behind(key, load_u64(value.data), &next, err));
        store_u64(raw, next);
        catalog_put(change, FAMILY_META, key, span_of(raw, sizeof(raw)));
    }
}

static enum err_code packs_skip(struct store *store, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    struct index *index = &store->index;
    uint64_t next;
    index_lock(index);
    enum err_code code = behind(span_text("pack_next"), index->pack_next, &next, err);
    if (code == ERR_OK) {
        index_put_number(&batch, "pack_next", next);
        code = db_write(store->db, &batch, true, err);
    }
    if (code == ERR_OK)
        index->pack_next = next;
    index_unlock(index);
    return code;
}

enum err_code restored_settle(struct store *store, const struct restored *restored,
                              const struct audit_record *audit, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    uint8_t raw[16];
    TRY(packs_skip(store, err));
    TRY(sequences_begin(store, &change, err));
    TRY(sequences_skip(store, &change, err));
    store_u64(raw, restored->cut_ms);
    store_u64(raw + 8, restored->restored_ms);
    catalog_put(&change, FAMILY_META, span_text(record_key), span_of(raw, sizeof(raw)));
    audit_put(&change, audit);
    return catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}
