#include "store/project.h"

#include "store/catalog_keys.h"

#define EXPIRE_RECORDS_MAX 250 /* of the longest principals: within one commit */

/* ---- outcomes ---- */

enum err_code outcome_find(struct store *store, struct span principal,
                           const struct statement_id *statement, struct arena *arena,
                           struct outcome_record *ret_record, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    bool found = false;
    catalog_key_outcome(principal, statement, &key);
    TRY(catalog_record_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such statement");
    return outcome_record_decode(record, arena, ret_record, err);
}

enum err_code outcome_remember(struct store *store, const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

static enum err_code outcome_expire_gather(struct store *store, uint64_t before_ms,
                                           struct catalog_change *change, size_t *count,
                                           struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(catalog_scan(store, NULL, FAMILY_CATALOG, span_text("o"), span_of(NULL, 0), &iter, err));
    while (*count < EXPIRE_RECORDS_MAX) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct outcome_record record;
        arena_reset(&arena);
        TRY(outcome_record_decode(value, &arena, &record, err));
        if (record.time_ms >= before_ms)
            continue;
        catalog_delete(change, FAMILY_CATALOG, key);
        (*count)++;
    }
    return ERR_OK;
}

enum err_code outcome_expire(struct store *store, uint64_t before_ms, bool *ret_more,
                             struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    size_t count = 0;
    TRY(outcome_expire_gather(store, before_ms, &change, &count, err));
    if (count > 0)
        TRY(catalog_commit(store, &change, CATALOG_USE_RESERVE, err));
    *ret_more = count == EXPIRE_RECORDS_MAX;
    return ERR_OK;
}

/* ---- accounts ---- */

static enum err_code account_put_keys(struct store *store, struct catalog_change *change,
                                      const struct account_record *account, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    for (size_t i = 0; i < 2 * account->key_count; i++) {
        const struct public_key *public = &account->keys[i / 2];
        uint64_t known = 0;
        bool found = false;
        if (i % 2 == 0)
            catalog_key_bytes('k', span_of(public->identity.b, 32), &key);
        else
            catalog_key_bytes('x', span_of(public->exchange, 32), &key);
        TRY(catalog_id_find(store, NULL, bytes_span(&key), &known, &found, err));
        if (found)
            return err_set(err, ERR_EXISTS, "the key is registered already");
        catalog_expect_absent(change, FAMILY_CATALOG, bytes_span(&key));
        catalog_put_id(change, bytes_span(&key), account->id.n);
    }
    return ERR_OK;
}

/* The name is free; the change expects and puts it. */
static enum err_code id_name_claim(struct store *store, struct catalog_change *change,
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

enum err_code account_create(struct store *store, const struct account_record *spec,
                             const struct change_note *note, struct account_id *ret_id,
                             struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct account_record account = *spec;
    account.created_ms = note->now_ms;
    TRY(catalog_name_check(spec->name, LIMIT_PRINCIPAL_BYTES, err));
    TRY(catalog_sequence_take(store, &change, "account", &account.id.n, err));
    catalog_key_name('A', spec->name, &key);
    TRY(id_name_claim(store, &change, bytes_span(&key), spec->name, account.id.n, err));
    TRY(account_put_keys(store, &change, &account, err));
    catalog_key_id('a', account.id.n, &key);
    account_record_encode(&account, &value);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = account.id;
    return ERR_OK;
}

enum err_code account_get(struct store *store, struct db_view *view, struct account_id id,
                          struct arena *arena, struct account_record *ret_account, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct span record;
    bool found = false;
    catalog_key_id('a', id.n, &key);
    TRY(catalog_record_find(store, view, FAMILY_CATALOG, bytes_span(&key), arena, &record, &found,
                            err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such account");
    return account_record_decode(record, arena, ret_account, err);
}

enum err_code account_find(struct store *store, struct db_view *view, struct span name,
                           struct arena *arena, struct account_record *ret_account, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct account_id id = {0};
    bool found = false;
    catalog_key_name('A', name, &key);
    TRY(catalog_id_find(store, view, bytes_span(&key), &id.n, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "account %.*s does not exist", SPAN_PRINTF(name));
    return account_get(store, view, id, arena, ret_account, err);
}

enum err_code account_find_key(struct store *store, const struct identity_key *identity,
                               struct arena *arena, struct account_record *ret_account,
                               struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct account_id id = {0};
    bool found = false;
    catalog_key_bytes('k', span_of(identity->b, sizeof(identity->b)), &key);
    TRY(catalog_id_find(store, NULL, bytes_span(&key), &id.n, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the key belongs to no account");
    return account_get(store, NULL, id, arena, ret_account, err);
}

/* ---- name -> id -> record, in order of names ---- */

struct named_scan {
    struct store *store;
    struct db_view *view;
    struct arena *arena; /* reset before each */
    enum err_code (*each)(const struct named_scan *scan, uint64_t id, struct err *err);
    void *context;
};

static enum err_code named_scan_run(const struct named_scan *scan, char kind, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    uint8_t prefix = (uint8_t)kind;
    TRY(catalog_scan(scan->store, scan->view, FAMILY_CATALOG, span_of(&prefix, 1), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key;
        struct span value;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (value.len != 8)
            return err_set(err, ERR_CORRUPT, "catalog: an id of %zu bytes", value.len);
        arena_reset(scan->arena);
        TRY(scan->each(scan, load_u64(value.data), err));
    }
}

struct account_scan {
    on_account *callback;
    void *context;
};

static enum err_code account_scan_each(const struct named_scan *scan, uint64_t id, struct err *err)
{
    const struct account_scan *accounts = scan->context;
    struct account_record account;
    TRY(account_get(scan->store, scan->view, (struct account_id){id}, scan->arena, &account, err));
    return accounts->callback(accounts->context, &account, err);
}

enum err_code account_each(struct store *store, struct db_view *view, on_account *callback,
                           void *context, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct account_scan accounts = {.callback = callback, .context = context};
    struct named_scan scan = {.store = store,
                              .view = view,
                              .arena = &arena,
                              .each = account_scan_each,
                              .context = &accounts};
    return named_scan_run(&scan, 'A', err);
}

/* ---- projects ---- */

/* The owner exists, and still does at the commit. */
static enum err_code owner_expect(struct store *store, struct catalog_change *change,
                                  struct account_id owner, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    catalog_key_id('a', owner.n, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such account");
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return ERR_OK;
}

enum err_code project_create(struct store *store, const struct project_spec *spec,
                             const struct change_note *note, struct project_id *ret_id,
                             struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct project_record project = {
        .name = spec->name,
        .owner = spec->owner,
        .created_ms = note->now_ms,
        .xcopy_enabled = spec->xcopy_enabled,
    };
    TRY(catalog_name_check(spec->name, LIMIT_NAME_BYTES, err));
    TRY(owner_expect(store, &change, spec->owner, err));
    TRY(catalog_sequence_take(store, &change, "project", &project.id.n, err));
    catalog_key_name('P', spec->name, &key);
    TRY(id_name_claim(store, &change, bytes_span(&key), spec->name, project.id.n, err));
    catalog_key_id('p', project.id.n, &key);
    project_record_encode(&project, &value);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = project.id;
    return ERR_OK;
}

static enum err_code project_read(struct store *store, struct db_view *view, struct project_id id,
                                  struct arena *arena, struct span *ret_record, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    bool found = false;
    catalog_key_id('p', id.n, &key);
    TRY(catalog_record_find(store, view, FAMILY_CATALOG, bytes_span(&key), arena, ret_record,
                            &found, err));
    return found ? ERR_OK : err_set(err, ERR_NOT_FOUND, "no such project");
}

enum err_code project_get(struct store *store, struct db_view *view, struct project_id id,
                          struct arena *arena, struct project_record *ret_project, struct err *err)
{
    struct span record;
    TRY(project_read(store, view, id, arena, &record, err));
    return project_record_decode(record, arena, ret_project, err);
}

enum err_code project_find(struct store *store, struct db_view *view, struct span name,
                           struct arena *arena, struct project_record *ret_project, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    struct project_id id = {0};
    bool found = false;
    catalog_key_name('P', name, &key);
    TRY(catalog_id_find(store, view, bytes_span(&key), &id.n, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "project %.*s does not exist", SPAN_PRINTF(name));
    return project_get(store, view, id, arena, ret_project, err);
}

enum err_code project_xcopy_set(struct store *store, struct project_id id, bool enabled,
                                const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span old;
    struct project_record project;
    TRY(project_read(store, NULL, id, &arena, &old, err));
    TRY(project_record_decode(old, &arena, &project, err));
    project.xcopy_enabled = enabled;
    project_record_encode(&project, &value);
    catalog_key_id('p', id.n, &key);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), old);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

struct project_scan {
    on_project *callback;
    void *context;
};

static enum err_code project_scan_each(const struct named_scan *scan, uint64_t id, struct err *err)
{
    const struct project_scan *projects = scan->context;
    struct project_record project;
    TRY(project_get(scan->store, scan->view, (struct project_id){id}, scan->arena, &project, err));
    return projects->callback(projects->context, &project, err);
}

enum err_code project_each(struct store *store, struct db_view *view, on_project *callback,
                           void *context, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct project_scan projects = {.callback = callback, .context = context};
    struct named_scan scan = {.store = store,
                              .view = view,
                              .arena = &arena,
                              .each = project_scan_each,
                              .context = &projects};
    return named_scan_run(&scan, 'P', err);
}
