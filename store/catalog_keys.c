#include "store/catalog_keys.h"

#include "proto/key.h"

/* ---- keys ---- */

static void append_folded(struct bytes *key, struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bytes_append_u8(key, c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c);
    }
}

static void key_begin(struct bytes *key, char kind)
{
    bytes_clear(key);
    bytes_append_u8(key, (uint8_t)kind);
}

void catalog_key_id(char kind, uint64_t id, struct bytes *key)
{
    key_begin(key, kind);
    bytes_append_u64(key, id);
}

void catalog_key_name(char kind, struct span name, struct bytes *key)
{
    key_begin(key, kind);
    append_folded(key, name);
}

void catalog_key_scoped(struct project_id project, struct span name, struct bytes *key)
{
    catalog_key_id('N', project.n, key);
    append_folded(key, name);
}

void catalog_key_bytes(char kind, struct span bytes, struct bytes *key)
{
    key_begin(key, kind);
    bytes_append_span(key, bytes);
}

void catalog_key_outcome(struct span principal, const struct statement_id *statement,
                         struct bytes *key)
{
    key_begin(key, 'o');
    key_append_text(key, principal);
    bytes_append(key, statement->b, sizeof(statement->b));
}

void catalog_key_history(struct table_id table, uint64_t sequence, struct bytes *key)
{
    bytes_clear(key);
    bytes_append_u64(key, table.n);
    bytes_append_u64(key, sequence);
}

enum err_code catalog_name_check(struct span name, size_t bytes_max, struct err *err)
{
    if (name.len == 0 || name.len > bytes_max || !span_is_utf8(name))
        return err_set(err, ERR_PARAMETER, "a name has 1 to %zu bytes of UTF-8", bytes_max);
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7F)
            return err_set(err, ERR_PARAMETER, "a name has no control characters");
    }
    return ERR_OK;
}

/* ---- reading ---- */

enum err_code catalog_record_find(struct store *store, struct db_view *view, enum family family,
                                  struct span key, struct arena *arena, struct span *ret_record,
                                  bool *ret_found, struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    TRY(catalog_find(store, view, family, key, &value, &found, err));
    if (found) {
        struct span record = arena_copy(arena, bytes_span(&value));
        if (record.data == NULL)
            return err_set(err, ERR_LIMIT, "catalog record: takes more memory than it may");
        *ret_record = record;
    }
    *ret_found = found;
    return ERR_OK;
}

enum err_code catalog_id_find(struct store *store, struct db_view *view, struct span key,
                              uint64_t *ret_id, bool *ret_found, struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    TRY(catalog_find(store, view, FAMILY_CATALOG, key, &value, &found, err));
    if (found && value.len != 8)
        return err_set(err, ERR_CORRUPT, "catalog: an id of %zu bytes", value.len);
    if (found)
        *ret_id = load_u64(value.data);
    *ret_found = found;
    return ERR_OK;
}

enum err_code catalog_named_each(struct store *store, struct db_view *view, struct span prefix,
                                 on_catalog_id *each, void *context, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, view, FAMILY_CATALOG, prefix, span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (value.len != 8)
            return err_set(err, ERR_CORRUPT, "catalog: an id of %zu bytes", value.len);
        arena_reset(&arena);
        TRY(each(context, load_u64(value.data), &arena, err));
    }
}

/* ---- writing ---- */

enum err_code catalog_name_claim(struct store *store, struct catalog_change *change,
                                 struct span key, struct span name, uint64_t id, struct err *err)
{
    uint64_t known = 0;
    bool found = false;
    TRY(catalog_id_find(store, NULL, key, &known, &found, err));
    if (found)
        return err_set(err, ERR_EXISTS, "%.*s exists already", SPAN_PRINTF(name));
    catalog_expect_absent(change, FAMILY_CATALOG, key);
    catalog_put_id(change, key, id);
    return ERR_OK;
}

void catalog_put_id(struct catalog_change *change, struct span key, uint64_t id)
{
    uint8_t raw[8];
    store_u64(raw, id);
    catalog_put(change, FAMILY_CATALOG, key, span_of(raw, sizeof(raw)));
}

static enum err_code outcome_add(struct store *store, struct catalog_change *change,
                                 const struct change_note *note, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    if (note->outcome.len > LIMIT_OUTCOME_BYTES)
        return err_set(err, ERR_LIMIT, "an outcome of %zu bytes; at most %zu", note->outcome.len,
                       LIMIT_OUTCOME_BYTES);
    catalog_key_outcome(note->principal, note->statement, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (found)
        return err_set(err, ERR_EXISTS, "the statement has been answered already");
    struct outcome_record record = {.time_ms = note->now_ms, .outcome = note->outcome};
    bytes_clear(&value);
    outcome_record_encode(&record, &value);
    catalog_expect_absent(change, FAMILY_CATALOG, bytes_span(&key));
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return ERR_OK;
}

enum err_code catalog_commit_noted(struct store *store, struct catalog_change *change,
                                   const struct change_note *note, enum catalog_space space,
                                   struct err *err)
{
    if (note->statement != NULL)
        TRY(outcome_add(store, change, note, err));
    if (note->principal_id != 0)
        TRY(principal_expect(store, change, note->principal, note->principal_id, err));
    if (note->audit != NULL)
        audit_put(change, note->audit);
    if (note->also != NULL) {
        bytes_append_span(&change->steps, bytes_span(&note->also->steps));
        change->bytes += note->also->bytes;
    }
    return catalog_commit(store, change, space, err);
}
