#include "store/history.h"

#include "store/catalog_keys.h"

#define EXPIRE_RECORDS_MAX 1000

/* ---- reading ---- */

/* Sequence numbers have no gaps but at the old end, where expiry takes them. So going down from the
 * newest ends at the first that is absent. */
static enum err_code newest_sequence(struct store *store, struct db_view *view,
                                     struct table_id table, uint64_t *ret_sequence, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    uint8_t prefix[8];
    store_u64(prefix, table.n);
    TRY(catalog_scan(store, view, FAMILY_HISTORY, span_of(prefix, sizeof(prefix)), span_of(NULL, 0),
                     &iter, err));
    *ret_sequence = 0;
    for (;;) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != 16)
            return err_set(err, ERR_CORRUPT, "history: a key of %zu bytes", key.len);
        *ret_sequence = load_u64(key.data + 8);
    }
}

static enum err_code history_find(struct store *store, struct db_view *view, struct table_id table,
                                  uint64_t sequence, struct arena *arena,
                                  struct history_record *ret_record, bool *ret_found,
                                  struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    catalog_key_history(table, sequence, &key);
    TRY(catalog_record_find(store, view, FAMILY_HISTORY, bytes_span(&key), arena, &record,
                            ret_found, err));
    return *ret_found ? history_record_decode(record, arena, ret_record, err) : ERR_OK;
}

enum err_code history_each(struct store *store, struct db_view *view, struct table_id table,
                           on_history *callback, void *context, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    uint64_t sequence = 0;
    TRY(newest_sequence(store, view, table, &sequence, err));
    for (bool stop = false; sequence > 0 && !stop; sequence--) {
        struct history_record record;
        bool found = false;
        arena_reset(&arena);
        TRY(history_find(store, view, table, sequence, &arena, &record, &found, err));
        if (!found)
            break;
        TRY(callback(context, &record, &stop, err));
    }
    return ERR_OK;
}

enum err_code history_at(struct store *store, struct table_id table, uint64_t time_ms,
                         struct arena *arena, struct history_record *ret_record, struct err *err)
{
    uint64_t sequence = 0;
    TRY(newest_sequence(store, NULL, table, &sequence, err));
    for (; sequence > 0; sequence--) {
        struct history_record record;
        bool found = false;
        TRY(history_find(store, NULL, table, sequence, arena, &record, &found, err));
        if (!found)
            break;
        if (record.time_ms > time_ms)
            continue;
        if (record.operation == OPERATION_DROP)
            break;
        *ret_record = record;
        return ERR_OK;
    }
    return err_set(err, ERR_NOT_FOUND, "no version of the table is kept from that time");
}

/* ---- expiry ---- */

struct expiry {
    uint64_t before_ms;
    struct catalog_change change;
    size_t removed;
    bool has_last; /* the record before the one looked at */
    uint8_t last_key[16];
    uint64_t last_table;
    bool last_is_drop;
    uint64_t last_ms;
};

static void expiry_remove_last(struct expiry *expiry)
{
    catalog_delete(&expiry->change, FAMILY_HISTORY,
                   span_of(expiry->last_key, sizeof(expiry->last_key)));
    expiry->removed++;
}

/* The record before goes when this one, of the same table, is old enough itself; a table's last one
 * goes when it says that the table was dropped, long ago. */
static void expiry_look(struct expiry *expiry, struct span key, const struct history_record *record)
{
    bool same_table = expiry->has_last && record != NULL && record->table.n == expiry->last_table;
    if (same_table && record->time_ms < expiry->before_ms)
        expiry_remove_last(expiry);
    if (expiry->has_last && !same_table && expiry->last_is_drop &&
        expiry->last_ms < expiry->before_ms)
        expiry_remove_last(expiry);
    expiry->has_last = record != NULL;
    if (record == NULL)
        return;
    memcpy(expiry->last_key, key.data, sizeof(expiry->last_key));
    expiry->last_table = record->table.n;
    expiry->last_is_drop = record->operation == OPERATION_DROP;
    expiry->last_ms = record->time_ms;
}

static enum err_code expiry_gather(struct store *store, struct expiry *expiry, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_HISTORY, span_of(NULL, 0), span_of(NULL, 0), &iter, err));
    while (expiry->removed < EXPIRE_RECORDS_MAX) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        struct history_record record;
        arena_reset(&arena);
        TRY(history_record_decode(value, &arena, &record, err));
        if (key.len != sizeof(expiry->last_key))
            return err_set(err, ERR_CORRUPT, "history: a key of %zu bytes", key.len);
        expiry_look(expiry, key, &record);
    }
    if (expiry->removed < EXPIRE_RECORDS_MAX)
        expiry_look(expiry, span_of(NULL, 0), NULL);
    return ERR_OK;
}

enum err_code history_expire(struct store *store, uint64_t before_ms, size_t *ret_removed,
                             struct err *err)
{
    struct expiry expiry = {.before_ms = before_ms};
    enum err_code code = expiry_gather(store, &expiry, err);
    if (code == ERR_OK && expiry.removed > 0)
        code = catalog_commit(store, &expiry.change, CATALOG_USE_RESERVE, err);
    catalog_change_deinit(&expiry.change);
    if (code == ERR_OK)
        *ret_removed = expiry.removed;
    return code;
}
