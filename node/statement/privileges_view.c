/* INFORMATION_SCHEMA.TABLE_PRIVILEGES: what was granted on tables and snapshots, a row an action: of all to who
 * may SHOW ACL of the project, else one's own and of one's own roles, as SHOW GRANTS. A role's rows have
 * 'role/name' as their user. What nobody granted (the owner's, an admin's, the maker's rights) has no row. */
#include "node/statement/grantee.h"
#include "node/statement/object_view.h"

static const struct system_view_column columns[] = {
    {"table_catalog", TYPE_STRING, true},  {"table_schema", TYPE_STRING, true},
    {"table_name", TYPE_STRING, true},     {"user_name", TYPE_STRING, true},
    {"user_id", TYPE_STRING, false},       {"grantor", TYPE_STRING, false},
    {"privilege_type", TYPE_STRING, true}, {"user_schema", TYPE_STRING, false},
    {"expired", TYPE_DATETIME, false},
};

enum { USER_ID = OBJECT_VIEW_REST + 1 };

#define GRANTEES_BYTES (64 * MIB(1))

/* Somebody whose grants the principal may know; texts are in the arena. */
struct grantee_named {
    uint64_t id;
    struct span name, user_id, account;
};

/* Of one project; by id once they are all there. */
struct grantees {
    const struct object_pass *pass;
    bool all; /* else those of `own`, and the roles that it is in */
    struct member_record own;
    uint64_t roles[LIMIT_ROLES_OF_MEMBER];
    size_t role_count;
    struct grantee_named *list;
    size_t count, capacity;
    struct arena arena;
};

/* ---- who may be named ---- */

static enum err_code grantee_add(struct grantees *grantees, const struct grantee_named *grantee,
                                 struct err *err)
{
    if (grantees->count == grantees->capacity) {
        grantees->capacity = grantees->capacity == 0 ? 64 : 2 * grantees->capacity;
        grantees->list = mem_realloc(grantees->list, grantees->capacity, sizeof(*grantees->list));
    }
    struct grantee_named *copy = &grantees->list[grantees->count++];
    *copy = (struct grantee_named){grantee->id, arena_copy(&grantees->arena, grantee->name),
                                   arena_copy(&grantees->arena, grantee->user_id),
                                   arena_copy(&grantees->arena, grantee->account)};
    return grantees->arena.exhausted
               ? err_set(err, ERR_LIMIT,
                         "a project has more users and roles than are listed at once")
               : ERR_OK;
}

static enum err_code member_take(void *context, const struct member_record *member, struct err *err)
{
    struct grantees *grantees = context;
    BYTES_CLEANUP struct bytes account = {0};
    char id[OPAQUE_ID_TEXT_BYTES];
    if (!grantees->all && member->id != grantees->own.id)
        return ERR_OK;
    grantee_account_append(member->name, &account);
    const struct grantee_named grantee = {
        .id = member->id,
        .name = member->name,
        .user_id = object_pass_wants(grantees->pass, USER_ID)
                       ? user_id_format(grantees->pass->services, member->name, id)
                       : (struct span){0},
        .account = bytes_span(&account),
    };
    return grantee_add(grantees, &grantee, err);
}

static enum err_code role_take_name(void *context, const struct role_record *role, struct err *err)
{
    struct grantees *grantees = context;
    BYTES_CLEANUP struct bytes name = {0};
    bool wanted = grantees->all;
    for (size_t i = 0; i < grantees->role_count && !wanted; i++)
        wanted = grantees->roles[i] == role->id;
    bytes_printf(&name, "role/%.*s", SPAN_PRINTF(role->name));
    const struct grantee_named grantee = {.id = role->id, .name = bytes_span(&name)};
    return wanted ? grantee_add(grantees, &grantee, err) : ERR_OK;
}

static enum err_code own_role_take(void *context, const struct role_member_record *record,
                                   struct err *err)
{
    struct grantees *grantees = context;
    (void)err;
    if (record->member == grantees->own.id && grantees->role_count < ARRAY_COUNT(grantees->roles))
        grantees->roles[grantees->role_count++] = record->role;
    return ERR_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct grantee_named *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static enum err_code grantees_gather(struct grantees *grantees, struct err *err)
{
    const struct object_pass *pass = grantees->pass;
    struct store *store = pass->services->store;
    struct project_id project = pass->object.project.id;
    if (!grantees->all) {
        TRY(member_find(store, project, span_text(pass->principal->name), &grantees->arena,
                        &grantees->own, err));
        TRY(role_member_each(store, project, own_role_take, grantees, err));
    }
    TRY(member_each(store, project, member_take, grantees, err));
    TRY(role_each(store, project, role_take_name, grantees, err));
    if (grantees->count > 0)
        qsort(grantees->list, grantees->count, sizeof(*grantees->list), by_id);
    return ERR_OK;
}

static void grantees_free(void *own)
{
    struct grantees *grantees = own;
    mem_free(grantees->list);
    arena_deinit(&grantees->arena);
    mem_free(grantees);
}

/* Once a project: who was added, or made admin, since then is in the next statement. */
static enum err_code project(struct object_pass *pass, void **ret_own, struct err *err)
{
    struct object object = object_project(pass->services->store, &pass->object.project);
    struct grantees *grantees = mem_calloc(1, sizeof(*grantees));
    arena_init(&grantees->arena, GRANTEES_BYTES);
    grantees->pass = pass;
    grantees->all = authorise(pass->principal, ACTION_ADMINISTER, object, NULL) == ERR_OK;
    enum err_code code = grantees_gather(grantees, err);
    if (code == ERR_OK || code == ERR_NOT_FOUND) /* removed meanwhile: nothing is one's own */
        *ret_own = grantees;
    else
        grantees_free(grantees);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* ---- rows ---- */

static enum err_code grant_put(void *context, const struct grant_record *grant, struct err *err)
{
    struct object_pass *pass = context;
    const struct grantees *grantees = pass->own;
    const struct grantee_named key = {.id = grant->grantee};
    const struct grantee_named *grantee =
        grantees->count == 0 ? NULL
                             : bsearch(&key, grantees->list, grantees->count, sizeof(key), by_id);
    enum action action;
    (void)err;
    if (grantee == NULL || !action_of_number((uint8_t)grant->action, &action))
        return ERR_OK;
    struct value values[ARRAY_COUNT(columns)];
    size_t at = OBJECT_VIEW_REST;
    object_pass_names(pass, values);
    values[at++] = row_text(grantee->name);
    values[at++] = row_text(grantee->user_id);
    values[at++] = (struct value){.null = true};
    values[at++] = row_text(span_text(action_name(action)));
    values[at++] = row_text(grantee->account);
    values[at++] = row_time(grant->expires_ms);
    ASSERT(at == ARRAY_COUNT(columns));
    object_pass_put(pass, values);
    return ERR_OK;
}

/* An object's grants at once: a hundred thousand of them are some 20 MB. */
static enum err_code rows(struct object_pass *pass, bool *ret_more, struct err *err)
{
    const struct grantees *grantees = pass->own;
    struct object object = object_project(pass->services->store, &pass->object.project);
    (void)ret_more;
    if (authorise(pass->principal, grantees->all ? ACTION_ADMINISTER : ACTION_ENTER, object,
                  NULL) != ERR_OK)
        return ERR_OK;
    return grant_each(pass->services->store, pass->object.project.id, &pass->object.id, grant_put,
                      pass, err);
}

static const struct object_functions functions = {
    .rows = rows,
    .project = project,
    .forget = grantees_free,
};

const struct system_view privileges_view = {
    .name = "TABLE_PRIVILEGES",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &object_view_ops,
    .open = object_view_open,
    .close = object_view_free,
    .object = &functions,
};
