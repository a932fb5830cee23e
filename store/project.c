#include "store/project.h"

#include "store/catalog_keys.h"
#include "store/name.h"
#include "store/rights.h"

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
    TRY(catalog_name_claim(store, &change, bytes_span(&key), spec->name, project.id.n, err));
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
    return found ? ERR_OK : err_set(err, ERR_NOT_FOUND, "the project was dropped meanwhile");
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

enum err_code project_expect(struct store *store, struct catalog_change *change,
                             struct project_id project, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found = false;
    catalog_key_id('p', project.n, &key);
    TRY(catalog_find(store, NULL, FAMILY_CATALOG, bytes_span(&key), &value, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the project was dropped meanwhile");
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return ERR_OK;
}

/* ---- drop ---- */

struct content_count {
    uint64_t tables, snapshots;
};

static enum err_code content_count_each(void *context, struct name_target target, struct err *err)
{
    (void)err;
    struct content_count *count = context;
    count->tables += target.kind == NAME_TABLE;
    count->snapshots += target.kind == NAME_SNAPSHOT;
    return ERR_OK;
}

static enum err_code not_empty(const struct project_record *project,
                               const struct content_count *count, struct err *err)
{
    const int name_len = (int)project->name.len;
    const char *name = (const char *)project->name.data;
    char tables[40] = "", snapshots[40] = "";
    if (count->tables > 0)
        snprintf(tables, sizeof(tables), "%" PRIu64 " table%s", count->tables,
                 count->tables == 1 ? "" : "s");
    if (count->snapshots > 0)
        snprintf(snapshots, sizeof(snapshots), "%" PRIu64 " snapshot%s", count->snapshots,
                 count->snapshots == 1 ? "" : "s");
    return err_set(err, ERR_EXISTS,
                   "project %.*s still holds %s%s%s: drop them first; SHOW TABLES IN %.*s and "
                   "SHOW SNAPSHOT TABLES IN %.*s list them",
                   name_len, name, tables, count->tables > 0 && count->snapshots > 0 ? " and " : "",
                   snapshots, name_len, name, name_len, name);
}

/* Whatever is made takes a number of the tables' sequence in the commit that names it, and expects its
 * project to be as it was: of a drop and something new at once one is done. */
enum err_code project_drop(struct store *store, struct project_id id,
                           const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct span record;
    struct project_record project;
    struct content_count count = {0};
    TRY(project_read(store, NULL, id, &arena, &record, err));
    TRY(project_record_decode(record, &arena, &project, err));
    TRY(catalog_sequence_expect(store, &change, "table", err));
    TRY(name_each(store, NULL, id, content_count_each, &count, err));
    if (count.tables + count.snapshots > 0)
        return not_empty(&project, &count, err);
    catalog_key_id('p', id.n, &key);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), record);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    catalog_key_name('P', project.name, &key);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    rights_sweep_wish(store); /* nobody is a user of it any more */
    return ERR_OK;
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

enum err_code project_replace(struct store *store, const struct project_record *old,
                              const struct project_record *project, const struct change_note *note,
                              struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes before = {0};
    BYTES_CLEANUP struct bytes after = {0};
    ASSERT(old->id.n == project->id.n && old->owner.n == project->owner.n);
    project_record_encode(old, &before);
    project_record_encode(project, &after);
    catalog_key_id('p', project->id.n, &key);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&before));
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&after));
    return catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err);
}

struct project_scan {
    struct store *store;
    struct db_view *view;
    on_project *callback;
    void *context;
};

static enum err_code project_scan_each(void *context, uint64_t id, struct arena *arena,
                                       struct err *err)
{
    const struct project_scan *scan = context;
    struct project_record project;
    TRY(project_get(scan->store, scan->view, (struct project_id){id}, arena, &project, err));
    return scan->callback(scan->context, &project, err);
}

enum err_code project_each(struct store *store, struct db_view *view, on_project *callback,
                           void *context, struct err *err)
{
    struct project_scan scan = {store, view, callback, context};
    return catalog_named_each(store, view, span_text("P"), project_scan_each, &scan, err);
}
