/* INFORMATION_SCHEMA.CATALOGS: projects, those that SHOW PROJECTS shows. */
#include "node/statement/lookup.h"
#include "node/statement/row_view.h"

static const struct system_view_column columns[] = {
    {"catalog_name", TYPE_STRING, true},
    {"region", TYPE_STRING, true},
    {"create_time", TYPE_DATETIME, false},
    {"settings", TYPE_STRING, false},
    /* ours */
    {"owner_name", TYPE_STRING, true},
    {"xcopy_enabled", TYPE_BOOLEAN, true},
};

struct gathering {
    const struct statement_call *call;
    struct row_view *rows;
    struct arena arena; /* of one project */
};

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct gathering *gathering = context;
    struct store *store = gathering->call->services->store;
    struct account_record owner;
    if (!object_seen(gathering->call->principal, object_project(store, project)))
        return ERR_OK;
    arena_reset(&gathering->arena);
    TRY(account_get(store, NULL, project->owner, &gathering->arena, &owner, err));
    const struct value values[] = {
        row_text(project->name),       row_text(span_text(gathering->call->services->region)),
        row_time(project->created_ms), {.null = true},
        row_text(owner.name),          row_boolean(project->xcopy_enabled),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(gathering->rows, values, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct gathering gathering = {.call = call, .rows = row_view_new(self)};
    arena_init(&gathering.arena, CATALOG_ARENA_BYTES);
    enum err_code code = project_each(call->services->store, NULL, project_take, &gathering, err);
    arena_deinit(&gathering.arena);
    if (code != ERR_OK) {
        row_view_free(gathering.rows);
        return code;
    }
    *ret_state = gathering.rows;
    return ERR_OK;
}

const struct system_view catalogs_view = {
    .name = "CATALOGS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
