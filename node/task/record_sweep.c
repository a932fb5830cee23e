#include "node/task/record_sweep.h"

#include "proto/limits.h"

#define STEPS_BYTES_MAX KIB(32) /* of one commit, about: half of what it may have */

struct sweep {
    struct store *store;
    enum family family;
    struct span prefix;
    record_goes *goes;
    void *context;
    struct bytes from; /* where it goes on; empty: at the first, and at the end */
};

static enum err_code sweep_collect(struct sweep *sweep, struct catalog_change *change,
                                   struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(sweep->store, NULL, sweep->family, sweep->prefix, bytes_span(&sweep->from),
                     &iter, err));
    for (;;) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        bytes_clear(&sweep->from);
        if (!found)
            return ERR_OK;
        if (change->steps.len > STEPS_BYTES_MAX) {
            bytes_append_span(&sweep->from, key);
            return ERR_OK;
        }
        if (!sweep->goes(sweep->context, key, value))
            continue;
        catalog_expect(change, sweep->family, key, value);
        catalog_delete(change, sweep->family, key);
    }
}

static enum err_code sweep_all(struct sweep *sweep, struct err *err)
{
    do {
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        TRY(sweep_collect(sweep, &change, err));
        if (change.steps.len == 0)
            continue;
        enum err_code code = catalog_commit(sweep->store, &change, CATALOG_USE_RESERVE, err);
        if (code != ERR_OK && code != ERR_CONFLICT)
            return code;
    } while (sweep->from.len > 0);
    return ERR_OK;
}

enum err_code record_sweep(struct store *store, enum family family, struct span prefix,
                           record_goes *goes, void *context, struct err *err)
{
    struct sweep sweep = {store, family, prefix, goes, context, {0}};
    enum err_code code = sweep_all(&sweep, err);
    bytes_deinit(&sweep.from);
    return code;
}
