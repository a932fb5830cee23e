#include "node/outcome.h"

#include "proto/limits.h"

#define OUTCOME_FORMAT     1
#define OUTCOME_PREFIX     "outcome"
#define OUTCOME_STEP_ITEMS 256 /* deleted in one commit */

void outcome_deinit(struct outcome *outcome)
{
    bytes_deinit(&outcome->notice);
}

static void key_append(struct bytes *key, const char *principal, const struct statement_id *id)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_STATEMENT);
    digest_update_part(&state, span_text(principal));
    digest_update_part(&state, span_of(id->b, sizeof(id->b)));
    struct digest digest = digest_final(&state);
    bytes_append(key, OUTCOME_PREFIX, sizeof(OUTCOME_PREFIX)); /* with its zero */
    bytes_append_span(key, digest_span(&digest));
}

void outcome_remember(struct catalog_change *change, const char *principal,
                      const struct statement_id *id, const struct outcome *outcome)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    key_append(&key, principal, id);
    bytes_append_u8(&value, OUTCOME_FORMAT);
    bytes_append_u64(&value, outcome->time_ms);
    bytes_append_span(&value, digest_span(&outcome->content));
    bytes_append_u64(&value, outcome->rows);
    bytes_append_u64(&value, outcome->bytes);
    bytes_append_u64(&value, outcome->partitions);
    bytes_append_span(&value, digest_span(&outcome->version));
    bytes_append_span(&value, bytes_span(&outcome->notice));
    catalog_expect_absent(change, FAMILY_META, bytes_span(&key));
    catalog_put(change, FAMILY_META, bytes_span(&key), bytes_span(&value));
}

static enum err_code record_decode(struct span record, struct outcome *outcome, struct err *err)
{
    struct reader reader = reader_of(record);
    uint8_t format = reader_u8(&reader);
    outcome->time_ms = reader_u64(&reader);
    reader_copy(&reader, outcome->content.b, DIGEST_BYTES);
    outcome->rows = reader_u64(&reader);
    outcome->bytes = reader_u64(&reader);
    outcome->partitions = reader_u64(&reader);
    reader_copy(&reader, outcome->version.b, DIGEST_BYTES);
    if (!reader_ok(&reader) || format != OUTCOME_FORMAT)
        return err_set(err, ERR_CORRUPT, "record of a statement's outcome cannot be read");
    bytes_append_span(&outcome->notice, reader.left);
    return ERR_OK;
}

enum err_code outcome_find(struct store *store, const char *principal,
                           const struct statement_id *id, const struct digest *content,
                           struct outcome *ret_outcome, bool *ret_found, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    key_append(&key, principal, id);
    bool found;
    TRY(catalog_find(store, NULL, FAMILY_META, bytes_span(&key), &value, &found, err));
    if (!found) {
        *ret_found = false;
        return ERR_OK;
    }
    OUTCOME_CLEANUP struct outcome outcome = {0};
    TRY(record_decode(bytes_span(&value), &outcome, err));
    if (!digest_equal(&outcome.content, content))
        return err_set(err, ERR_PARAMETER, "this statement id belongs to another statement");
    *ret_outcome = outcome;
    *ret_found = true;
    outcome.notice = (struct bytes){0};
    return ERR_OK;
}

/* Collects up to OUTCOME_STEP_ITEMS deletions of old records; the last key seen says where to go
 * on. */
static enum err_code step_collect(struct store *store, uint64_t now_ms, struct bytes *from,
                                  struct catalog_change *change, bool *ret_end, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    struct span prefix = span_of(OUTCOME_PREFIX, sizeof(OUTCOME_PREFIX));
    TRY(catalog_scan(store, NULL, FAMILY_META, prefix, bytes_span(from), &iter, err));
    for (int i = 0; i < OUTCOME_STEP_ITEMS; i++) {
        struct span key;
        struct span value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        *ret_end = !found;
        if (!found)
            return ERR_OK;
        uint64_t time_ms = value.len >= 9 ? load_u64(value.data + 1) : 0;
        if (time_ms + STATEMENT_MEMORY_MS < now_ms)
            catalog_delete(change, FAMILY_META, key);
        bytes_clear(from);
        bytes_append_span(from, key);
        bytes_append_u8(from, 0);
    }
    return ERR_OK;
}

enum err_code outcomes_expire(struct store *store, uint64_t now_ms, struct err *err)
{
    BYTES_CLEANUP struct bytes from = {0};
    bool end = false;
    while (!end) {
        CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
        TRY(step_collect(store, now_ms, &from, &change, &end, err));
        if (change.bytes > 0)
            TRY(catalog_commit(store, &change, CATALOG_USE_RESERVE, err));
    }
    return ERR_OK;
}
