/* INFORMATION_SCHEMA.USERS: accounts and RAM users that the principal may know, each once:
 *
 *     itself and its account                                everybody
 *     the account's RAM users                               the account (SHOW RAM USERS)
 *     users of projects that it owns or is an admin of      LIST USERS
 *     accounts                                              the region's operators (SHOW ACCOUNTS)
 */
#include "node/statement/grantee.h"
#include "node/statement/opaque_id.h"
#include "node/statement/row_view.h"

static const struct system_view_column columns[] = {
    {"user_catalog", TYPE_STRING, true}, {"user_schema", TYPE_STRING, false},
    {"user_name", TYPE_STRING, true},    {"user_id", TYPE_STRING, true},
    {"user_label", TYPE_STRING, false},
};

struct known {
    uint64_t number;
    struct span name; /* in the arena */
    bool user;
};

struct knowns {
    const struct statement_call *call;
    struct arena arena;
    struct known *list;
    size_t count, capacity;
};

/* ---- who is known ---- */

static enum err_code known_add(struct knowns *knowns, uint64_t number, struct span name, bool user,
                               struct err *err)
{
    if (knowns->count == knowns->capacity) {
        knowns->capacity = knowns->capacity == 0 ? 64 : 2 * knowns->capacity;
        knowns->list = mem_realloc(knowns->list, knowns->capacity, sizeof(*knowns->list));
    }
    knowns->list[knowns->count] = (struct known){number, arena_copy(&knowns->arena, name), user};
    if (knowns->list[knowns->count++].name.data == NULL)
        return err_set(err, ERR_LIMIT, "USERS has too many rows to be read at once");
    return ERR_OK;
}

static enum err_code account_take(void *context, const struct account_record *account,
                                  struct err *err)
{
    return known_add(context, account->id.n, account->name, false, err);
}

static enum err_code user_take(void *context, const struct user_record *user, struct err *err)
{
    return known_add(context, user->id.n, user->name, true, err);
}

/* Not one who had the name before. */
static enum err_code member_take(void *context, const struct member_record *member, struct err *err)
{
    struct knowns *knowns = context;
    struct principal principal;
    if (!principals_find_name(knowns->call->services->principals, member->name, &principal) ||
        principal.number != member->principal)
        return ERR_OK;
    return known_add(knowns, principal.number, span_text(principal.name), principal.user, err);
}

static enum err_code project_take(void *context, const struct project_record *project,
                                  struct err *err)
{
    struct knowns *knowns = context;
    struct store *store = knowns->call->services->store;
    if (knowns->call->cancel != NULL && atomic_load(knowns->call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (authorise(knowns->call->principal, ACTION_ADMINISTER, object_project(store, project),
                  NULL) != ERR_OK)
        return ERR_OK;
    return member_each(store, project->id, member_take, knowns, err);
}

static enum err_code own_take(struct knowns *knowns, struct err *err)
{
    const struct principal *self = knowns->call->principal;
    struct store *store = knowns->call->services->store;
    struct account_record account;
    ARENA_CLEANUP struct arena arena;
    if (self->account.n == 0) /* an operator's key alone */
        return ERR_OK;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    TRY(account_get(store, NULL, self->account, &arena, &account, err));
    TRY(account_take(knowns, &account, err));
    if (self->user)
        return known_add(knowns, self->number, span_text(self->name), true, err);
    return user_each(store, NULL, account.name, user_take, knowns, err);
}

static enum err_code knowns_gather(struct knowns *knowns, struct err *err)
{
    struct store *store = knowns->call->services->store;
    TRY(own_take(knowns, err));
    TRY(project_each(store, NULL, project_take, knowns, err));
    if (authorise(knowns->call->principal, ACTION_OPERATE, object_region(), NULL) != ERR_OK)
        return ERR_OK;
    return account_each(store, NULL, account_take, knowns, err);
}

/* ---- rows ---- */

static int by_number(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int by_name(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return span_compare(x->name, y->name);
}

static enum err_code known_put(const struct knowns *knowns, const struct known *known,
                               struct row_view *rows, struct err *err)
{
    BYTES_CLEANUP struct bytes account = {0};
    char id[OPAQUE_ID_TEXT_BYTES];
    user_id_of(knowns->call->services, known->number, id);
    grantee_account_append(known->name, &account);
    const struct value values[] = {
        row_text(span_text(known->user ? "RAM" : "ALIYUN")),
        row_text(bytes_span(&account)),
        row_text(known->name),
        row_text(span_text(id)),
        {.null = true},
    };
    _Static_assert(ARRAY_COUNT(values) == ARRAY_COUNT(columns), "a value for each column");
    return row_view_add(rows, values, err);
}

static enum err_code knowns_put(struct knowns *knowns, struct row_view *rows, struct err *err)
{
    size_t once = 0;
    if (knowns->count > 0)
        qsort(knowns->list, knowns->count, sizeof(*knowns->list), by_number);
    for (size_t i = 0; i < knowns->count; i++)
        if (i == 0 || knowns->list[i].number != knowns->list[i - 1].number)
            knowns->list[once++] = knowns->list[i];
    if (once > 0)
        qsort(knowns->list, once, sizeof(*knowns->list), by_name);
    for (size_t i = 0; i < once; i++)
        TRY(known_put(knowns, &knowns->list[i], rows, err));
    return ERR_OK;
}

static enum err_code view_open(const struct system_view *self, const struct statement_call *call,
                               void **ret_state, struct err *err)
{
    struct knowns knowns = {.call = call};
    struct row_view *rows = row_view_new(self);
    arena_init(&knowns.arena, ROW_VIEW_BYTES_MAX);
    enum err_code code = knowns_gather(&knowns, err);
    if (code == ERR_OK)
        code = knowns_put(&knowns, rows, err);
    arena_deinit(&knowns.arena);
    mem_free(knowns.list);
    if (code != ERR_OK) {
        row_view_free(rows);
        return code;
    }
    *ret_state = rows;
    return ERR_OK;
}

const struct system_view users_view = {
    .name = "USERS",
    .columns = columns,
    .column_count = ARRAY_COUNT(columns),
    .ops = &row_view_ops,
    .open = view_open,
    .close = row_view_free,
};
