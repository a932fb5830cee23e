/* INFORMATION_SCHEMA.ROLES and USER_ROLES: the roles of each project, and who has them.
 *
 *     owner and admins of the project      all roles, admin among them, and all that have one (LIST ROLES, DESC ROLE)
 *     other users of it                    their own roles (SHOW GRANTS)
 *     who is no user of it                 nothing
 */
#include "node/statement/grantee.h"
#include "node/statement/object_view.h"

static const struct system_view_column role_columns[] = {
    {"role_catalog", TYPE_STRING, true},
    {"role_schema", TYPE_STRING, true},
    {"role_name", TYPE_STRING, true},
    {"role_label", TYPE_STRING, false},
    {"comment", TYPE_STRING, false},
    /* ours */
    {"created", TYPE_DATETIME, false},
    {"created_by", TYPE_STRING, false},
};

static const struct system_view_column user_columns[] = {
    {"user_role_catalog", TYPE_STRING, true}, {"user_role_schema", TYPE_STRING, true},
    {"role_name", TYPE_STRING, true},         {"user_name", TYPE_STRING, true},
    {"user_id", TYPE_STRING, true},
};

struct holder {
    uint64_t id; /* as a grantee */
    uint64_t principal;
    struct span name;
};

struct held_role {
    uint64_t id;
    struct span name;
};

struct had {
    uint64_t member, role;
};

/* Of one project at a time. */
struct gathering {
    const struct system_view *view;
    const struct statement_call *call;
    struct row_view *rows;
    struct arena arena;
    const struct project_record *project;
    bool all;
    struct bytes holders; /* struct holder, by id; without `all` oneself alone */
    struct bytes roles;   /* struct held_role, by id */
    struct bytes had;     /* struct had; without `all` one's own */
};

/* ---- lists by their first field, an id ---- */

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void list_sort(struct bytes *list, size_t item_bytes)
{
    if (list->len > 0)
        qsort(list->data, list->len / item_bytes, item_bytes, by_id);
}

static const void *list_find(const struct bytes *list, size_t item_bytes, uint64_t id)
{
    return list->len == 0 ? NULL
                          : bsearch(&id, list->data, list->len / item_bytes, item_bytes, by_id);
}

/* ---- rows ---- */

static enum err_code role_put(struct gathering *gathering, const struct role_record *role,
                              struct err *err)
{
    const struct value values[] = {
        row_text(gathering->project->name),
        row_text(span_text(OBJECT_VIEW_SCHEMA)),
        row_text(role->name),
        {.null = true},
        {.null = true},
        row_time(role->created_ms),
        row_text(role->created_by),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(role_columns), "a value for each column");
    return row_view_add(gathering->rows, values, err);
}

static enum err_code holder_put(struct gathering *gathering, const struct held_role *role,
                                const struct holder *holder, struct err *err)
{
    char id[OPAQUE_ID_TEXT_BYTES];
    user_id_of(gathering->call->services, holder->principal, id);
    const struct value values[] = {
        row_text(gathering->project->name),
        row_text(span_text(OBJECT_VIEW_SCHEMA)),
        row_text(role->name),
        row_text(holder->name),
        row_text(span_text(id)),
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(user_columns), "a value for each column");
    return row_view_add(gathering->rows, values, err);
}

/* What was given to somebody or taken from him while it was gathered may be missing. */
static enum err_code holders_put(struct gathering *gathering, struct err *err)
{
    const struct had *had = (const void *)gathering->had.data;
    list_sort(&gathering->roles, sizeof(struct held_role));
    for (size_t i = 0; i < gathering->had.len / sizeof(*had); i++) {
        const struct held_role *role =
            list_find(&gathering->roles, sizeof(struct held_role), had[i].role);
        const struct holder *holder =
            list_find(&gathering->holders, sizeof(struct holder), had[i].member);
        if (role != NULL && holder != NULL)
            TRY(holder_put(gathering, role, holder, err));
    }
    return ERR_OK;
}

/* ---- a project ---- */

static enum err_code arena_check(const struct gathering *gathering, struct err *err)
{
    return gathering->arena.exhausted
               ? err_set(err, ERR_LIMIT, "%s has too many rows to be read at once",
                         gathering->view->name)
               : ERR_OK;
}

static enum err_code holder_take(void *context, const struct member_record *member, struct err *err)
{
    struct gathering *gathering = context;
    if (!gathering->all && member->principal != gathering->call->principal->number)
        return ERR_OK;
    const struct holder holder = {member->id, member->principal,
                                  arena_copy(&gathering->arena, member->name)};
    bytes_append(&gathering->holders, &holder, sizeof(holder));
    return arena_check(gathering, err);
}

static enum err_code had_take(void *context, const struct role_member_record *record,
                              struct err *err)
{
    struct gathering *gathering = context;
    const struct had had = {record->member, record->role};
    (void)err;
    if (list_find(&gathering->holders, sizeof(struct holder), record->member) != NULL)
        bytes_append(&gathering->had, &had, sizeof(had));
    return ERR_OK;
}

static bool is_seen(const struct gathering *gathering, uint64_t role)
{
    const struct had *had = (const void *)gathering->had.data;
    for (size_t i = 0; i < gathering->had.len / sizeof(*had) && !gathering->all; i++)
        if (had[i].role == role)
            return true;
    return gathering->all;
}

static enum err_code role_look(void *context, const struct role_record *role, struct err *err)
{
    struct gathering *gathering = context;
    if (!is_seen(gathering, role->id))
        return ERR_OK;
    if (gathering->view == &roles_view)
        return role_put(gathering, role, err);
    const struct held_role held = {role->id, arena_copy(&gathering->arena, role->name)};
    bytes_append(&gathering->roles, &held, sizeof(held));
    return arena_check(gathering, err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    static const struct role_record admin = {.name = {(const uint8_t *)"admin", 5},
                                             .id = ROLE_ADMIN_ID};
    struct gathering *gathering = context;
    struct store *store = gathering->call->services->store;
    struct object object = object_project(store, project);
    if (gathering->call->cancel != NULL && atomic_load(gathering->call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (authorise(gathering->call->principal, ACTION_ENTER, object, NULL) != ERR_OK)
        return ERR_OK;
    arena_reset(&gathering->arena);
    bytes_clear(&gathering->holders);
    bytes_clear(&gathering->roles);
    bytes_clear(&gathering->had);
    gathering->project = project;
    gathering->all =
        authorise(gathering->call->principal, ACTION_ADMINISTER, object, NULL) == ERR_OK;
    TRY(member_each(store, project->id, holder_take, gathering, err));
    list_sort(&gathering->holders, sizeof(struct holder));
    TRY(role_member_each(store, project->id, had_take, gathering, err));
    TRY(role_look(gathering, &admin, err));
    TRY(role_each(store, project->id, role_look, gathering, err));
    return holders_put(gathering, err);
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct gathering gathering = {.view = self, .call = call, .rows = row_view_new(self)};
    arena_init(&gathering.arena, ROW_VIEW_BYTES_MAX);
    enum err_code code = project_each(call->services->store, NULL, project_take, &gathering, err);
    arena_deinit(&gathering.arena);
    bytes_deinit(&gathering.holders);
    bytes_deinit(&gathering.roles);
    bytes_deinit(&gathering.had);
    if (code != ERR_OK) {
        row_view_free(gathering.rows);
        return code;
    }
    *ret_state = gathering.rows;
    return ERR_OK;
}

const struct system_view roles_view = {
    .name = "ROLES",
    .columns = role_columns,
    .column_count = ARRAY_COUNT(role_columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};

const struct system_view user_roles_view = {
    .name = "USER_ROLES",
    .columns = user_columns,
    .column_count = ARRAY_COUNT(user_columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
