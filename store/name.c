#include "store/name.h"

#include "store/catalog_keys.h"

#define TARGET_BYTES 9

static void target_encode(struct name_target target, uint8_t ret_raw[TARGET_BYTES])
{
    ret_raw[0] = (uint8_t)target.kind;
    store_u64(ret_raw + 1, target.id.n);
}

static enum err_code target_decode(struct span raw, struct name_target *ret_target, struct err *err)
{
    if (raw.len != TARGET_BYTES || (raw.data[0] != NAME_TABLE && raw.data[0] != NAME_SNAPSHOT))
        return err_set(err, ERR_CORRUPT, "catalog: a name that stands for nothing known");
    *ret_target =
        (struct name_target){.kind = (enum name_kind)raw.data[0], .id = {load_u64(raw.data + 1)}};
    return ERR_OK;
}

enum err_code name_look(struct store *store, struct db_view *view, struct project_id project,
                        struct span name, struct name_target *ret_target, bool *ret_found,
                        struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    catalog_key_scoped(project, name, &key);
    TRY(catalog_find(store, view, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (found)
        TRY(target_decode(bytes_span(&value), ret_target, err));
    *ret_found = found;
    return ERR_OK;
}

enum err_code name_find(struct store *store, struct db_view *view, struct project_id project,
                        struct span name, struct name_target *ret_target, struct err *err)
{
    bool found = false;
    TRY(name_look(store, view, project, name, ret_target, &found, err));
    if (!found)
        return err_set(err, ERR_TABLE_NOT_FOUND, "%.*s does not exist", SPAN_PRINTF(name));
    return ERR_OK;
}

enum err_code name_each(struct store *store, struct db_view *view, struct project_id project,
                        on_name *callback, void *context, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    BYTES_CLEANUP struct bytes prefix = {0};
    catalog_key_id('N', project.n, &prefix);
    TRY(catalog_scan(store, view, FAMILY_CATALOG, bytes_span(&prefix), span_of(NULL, 0), &iter,
                     err));
    for (;;) {
        struct span key;
        struct span value;
        struct name_target target;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        TRY(target_decode(value, &target, err));
        TRY(callback(context, target, err));
    }
}

/* ---- in a change ---- */

enum err_code name_claim(struct store *store, struct catalog_change *change,
                         struct project_id project, struct span name, struct name_target target,
                         struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct name_target known;
    bool found = false;
    uint8_t raw[TARGET_BYTES];
    TRY(catalog_name_check(name, LIMIT_NAME_BYTES, err));
    TRY(name_look(store, NULL, project, name, &known, &found, err));
    if (found)
        return err_set(err, ERR_EXISTS, "%s %.*s exists already",
                       known.kind == NAME_TABLE ? "table" : "snapshot", SPAN_PRINTF(name));
    TRY(project_expect(store, change, project, err));
    catalog_key_scoped(project, name, &key);
    target_encode(target, raw);
    catalog_expect_absent(change, FAMILY_CATALOG, bytes_span(&key));
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), span_of(raw, sizeof(raw)));
    return ERR_OK;
}

static void name_expect(struct catalog_change *change, struct span key, struct name_target target)
{
    uint8_t raw[TARGET_BYTES];
    target_encode(target, raw);
    catalog_expect(change, FAMILY_CATALOG, key, span_of(raw, sizeof(raw)));
}

void name_replace(struct catalog_change *change, struct project_id project, struct span name,
                  struct name_target old, struct name_target target)
{
    BYTES_CLEANUP struct bytes key = {0};
    uint8_t raw[TARGET_BYTES];
    catalog_key_scoped(project, name, &key);
    name_expect(change, bytes_span(&key), old);
    target_encode(target, raw);
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), span_of(raw, sizeof(raw)));
}

void name_release(struct catalog_change *change, struct project_id project, struct span name,
                  struct name_target target)
{
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_scoped(project, name, &key);
    name_expect(change, bytes_span(&key), target);
    catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
}
