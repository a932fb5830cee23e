/* SHOW GRANTS, SHOW ACL, DESC ROLE: the documented text for a screen, rows for programs. */
#include "node/statement/grantee.h"

#include <time.h>

/* Actions that were granted to one grantee on one object and end together. */
struct shown {
    uint64_t grantee;
    uint64_t actions;
    uint64_t expires_ms;
    struct table_id object;
    struct span object_name; /* "projects/p/tables/t"; in the names */
    struct span who;         /* "user/RAM$a:u", "role/dev"; in the names; empty: nobody's */
};

/* One list being made: gathered, named, then written in both forms. */
struct rights_list {
    const struct statement_call *call;
    const struct project_record *project;
    const uint64_t *grantees; /* those that are wanted; NULL: all */
    size_t grantee_count;
    struct bytes items; /* struct shown, in order of object and grantee */
    struct arena names;
    struct arena record;
    struct bytes text;
    struct answer *answer;
};

#define LIST_NAMES_BYTES (64 * MIB(1))

static void list_init(struct rights_list *list, const struct statement_call *call,
                      const struct project_record *project, struct answer *answer)
{
    *list = (struct rights_list){.call = call, .project = project, .answer = answer};
    arena_init(&list->names, LIST_NAMES_BYTES);
    arena_init(&list->record, CATALOG_ARENA_BYTES);
}

static void list_deinit(struct rights_list *list)
{
    bytes_deinit(&list->items);
    bytes_deinit(&list->text);
    arena_deinit(&list->names);
    arena_deinit(&list->record);
}
#define LIST_CLEANUP __attribute__((cleanup(list_deinit)))

static struct shown *items_of(const struct rights_list *list, size_t *ret_count)
{
    *ret_count = list->items.len / sizeof(struct shown);
    return (struct shown *)(void *)list->items.data;
}

static enum err_code name_keep(struct rights_list *list, const struct bytes *text,
                               struct span *ret_name, struct err *err)
{
    struct span copy = arena_copy(&list->names, bytes_span(text));
    if (copy.data == NULL)
        return err_set(err, ERR_LIMIT, "too many grants to list");
    *ret_name = copy;
    return ERR_OK;
}

/* ---- gathering ---- */

static bool is_wanted(const struct rights_list *list, uint64_t grantee)
{
    for (size_t i = 0; i < list->grantee_count; i++) {
        if (list->grantees[i] == grantee)
            return true;
    }
    return list->grantees == NULL;
}

static enum err_code gather(void *context, const struct grant_record *grant, struct err *err)
{
    struct rights_list *list = context;
    size_t count;
    (void)err;
    uint64_t action = UINT64_C(1) << grant->action;
    if (!is_wanted(list, grant->grantee))
        return ERR_OK;
    struct shown *items = items_of(list, &count);
    for (size_t i = count;
         i-- > 0 && items[i].object.n == grant->object.n && items[i].grantee == grant->grantee;) {
        if (items[i].expires_ms != grant->expires_ms)
            continue;
        items[i].actions |= action;
        return ERR_OK;
    }
    const struct shown item = {.grantee = grant->grantee,
                               .actions = action,
                               .expires_ms = grant->expires_ms,
                               .object = grant->object};
    bytes_append(&list->items, &item, sizeof(item));
    return ERR_OK;
}

/* ---- names of objects ---- */

/* Empty: it is gone, and its grants wait to be swept. */
static enum err_code object_name(struct rights_list *list, struct table_id object,
                                 struct span *ret_name, struct err *err)
{
    struct store *store = list->call->services->store;
    BYTES_CLEANUP struct bytes text = {0};
    struct table_record table;
    struct snapshot_record snapshot;
    struct err reason;
    bytes_printf(&text, "projects/%.*s", SPAN_PRINTF(list->project->name));
    if (object.n == 0)
        return name_keep(list, &text, ret_name, err);
    arena_reset(&list->record);
    struct span name = {0};
    enum err_code code = table_get(store, NULL, object, &list->record, &table, &reason);
    if (code == ERR_OK) {
        name = table.name;
    } else if (code == ERR_TABLE_NOT_FOUND) {
        snapshot.name = (struct span){0};
        code = snapshot_get(store, NULL, object, &list->record, &snapshot, &reason);
        name = snapshot.name;
    }
    *ret_name = (struct span){0};
    if (code == ERR_TABLE_NOT_FOUND || code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    bytes_printf(&text, "/tables/%.*s", SPAN_PRINTF(name));
    return name_keep(list, &text, ret_name, err);
}

static enum err_code objects_name(struct rights_list *list, struct err *err)
{
    size_t count;
    struct shown *items = items_of(list, &count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && items[i].object.n == items[i - 1].object.n)
            items[i].object_name = items[i - 1].object_name;
        else
            TRY(object_name(list, items[i].object, &items[i].object_name, err));
    }
    return ERR_OK;
}

/* ---- names of grantees ---- */

static int by_grantee(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    if (x->grantee != y->grantee)
        return x->grantee > y->grantee ? 1 : -1;
    if (x->object.n != y->object.n)
        return x->object.n > y->object.n ? 1 : -1;
    return (x->expires_ms > y->expires_ms) - (x->expires_ms < y->expires_ms);
}

/* Users before roles, each by name. */
static int by_name(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    size_t len = x->who.len < y->who.len ? x->who.len : y->who.len;
    int kind = x->who.len == 0 || y->who.len == 0 ? 0 : y->who.data[0] - x->who.data[0];
    int order = kind != 0 || len == 0 ? kind : memcmp(x->who.data, y->who.data, len);
    if (order == 0)
        order = (x->who.len > y->who.len) - (x->who.len < y->who.len);
    return order != 0 ? order : by_grantee(a, b);
}

/* Of those sorted by grantee, all of this one. */
static enum err_code grantee_named(struct rights_list *list, uint64_t id, const char *kind,
                                   struct span name, struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    size_t count, low = 0;
    struct shown *items = items_of(list, &count);
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (items[middle].grantee < id)
            low = middle + 1;
        else
            high = middle;
    }
    struct span who;
    if (low == count || items[low].grantee != id)
        return ERR_OK;
    bytes_printf(&text, "%s/%.*s", kind, SPAN_PRINTF(name));
    TRY(name_keep(list, &text, &who, err));
    for (; low < count && items[low].grantee == id; low++)
        items[low].who = who;
    return ERR_OK;
}

static enum err_code name_member(void *context, const struct member_record *member, struct err *err)
{
    return grantee_named(context, member->id, "user", member->name, err);
}

static enum err_code name_role(void *context, const struct role_record *role, struct err *err)
{
    return grantee_named(context, role->id, "role", role->name, err);
}

static enum err_code list_gather(struct rights_list *list, const struct table_id *object,
                                 struct err *err)
{
    struct store *store = list->call->services->store;
    size_t count;
    TRY(grant_each(store, list->project->id, object, gather, list, err));
    TRY(objects_name(list, err));
    struct shown *items = items_of(list, &count);
    if (count > 0)
        qsort(items, count, sizeof(*items), by_grantee);
    TRY(role_each(store, list->project->id, name_role, list, err));
    TRY(member_each(store, list->project->id, name_member, list, err));
    if (count > 0)
        qsort(items, count, sizeof(*items), by_name);
    return ERR_OK;
}

/* ---- writing ---- */

static void time_print(uint64_t time_ms, struct bytes *out)
{
    char text[32];
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        bytes_append_text(out, text);
}

static void columns_set(struct answer *answer)
{
    static const struct answer_column columns[] = {{"grantee", TYPE_STRING, true},
                                                   {"object", TYPE_STRING, true},
                                                   {"actions", TYPE_STRING, true},
                                                   {"expires", TYPE_DATETIME, false}};
    answer_columns(answer, columns, ARRAY_COUNT(columns));
}

static void write_row(struct rights_list *list, struct span who, struct span object,
                      struct span actions, uint64_t expires_ms)
{
    answer_add_text(list->answer, who);
    answer_add_text(list->answer, object);
    answer_add_text(list->answer, actions);
    answer_add_time(list->answer, expires_ms);
    bytes_printf(&list->text, "A       %.*s: %.*s", SPAN_PRINTF(object), SPAN_PRINTF(actions));
    if (expires_ms != 0) {
        bytes_append_text(&list->text, "    Expires:");
        time_print(expires_ms, &list->text);
    }
    bytes_append_u8(&list->text, '\n');
}

static void write_head(struct rights_list *list, struct span who)
{
    bytes_printf(&list->text, "[%.*s]\n", SPAN_PRINTF(who));
}

static void list_write(struct rights_list *list)
{
    size_t count;
    const struct shown *items = items_of(list, &count);
    struct span who = {0};
    bytes_append_text(&list->text, "Authorization Type: ACL\n");
    for (size_t i = 0; i < count; i++) {
        const struct shown *item = &items[i];
        BYTES_CLEANUP struct bytes actions = {0};
        if (item->who.len == 0 || item->object_name.len == 0) /* gone */
            continue;
        if (!span_equal(who, item->who))
            write_head(list, item->who);
        who = item->who;
        actions_print(item->actions, item->object.n == 0 ? OBJECT_PROJECT : OBJECT_TABLE, &actions);
        write_row(list, who, item->object_name, bytes_span(&actions), item->expires_ms);
    }
}

/* Rows say it all: a text that is too long is left out. */
static enum err_code list_show(struct rights_list *list, struct err *err)
{
    if (list->text.len > LIMIT_DISPLAY_BYTES)
        return ERR_OK;
    return answer_set_display(list->answer, bytes_span(&list->text), err);
}

/* ---- SHOW GRANTS ---- */

/* The user's roles, by id; itself is first. */
struct grantee_ids {
    uint64_t member;
    uint64_t ids[1 + LIMIT_ROLES_OF_MEMBER];
    size_t count;
    bool is_admin;
};

static enum err_code add_role_id(void *context, const struct role_member_record *record,
                                 struct err *err)
{
    struct grantee_ids *ids = context;
    (void)err;
    if (record->member != ids->member)
        return ERR_OK;
    ids->is_admin |= record->role == ROLE_ADMIN_ID;
    if (record->role != ROLE_ADMIN_ID && ids->count < ARRAY_COUNT(ids->ids))
        ids->ids[ids->count++] = record->role;
    return ERR_OK;
}

struct roles_text {
    struct rights_list *list;
    const struct grantee_ids *ids;
};

static enum err_code write_role(void *context, const struct role_record *role, struct err *err)
{
    const struct roles_text *roles = context;
    (void)err;
    for (size_t i = 1; i < roles->ids->count; i++) {
        if (roles->ids->ids[i] == role->id)
            bytes_printf(&roles->list->text, "%.*s\n", SPAN_PRINTF(role->name));
    }
    return ERR_OK;
}

static enum err_code roles_write(struct rights_list *list, const struct grantee_ids *ids,
                                 struct err *err)
{
    struct roles_text roles = {list, ids};
    bytes_append_text(&list->text, "[roles]\n");
    if (ids->is_admin)
        bytes_append_text(&list->text, "admin\n");
    TRY(role_each(list->call->services->store, list->project->id, write_role, &roles, err));
    bytes_append_u8(&list->text, '\n');
    return ERR_OK;
}

static void admin_write(struct rights_list *list, const char *who)
{
    BYTES_CLEANUP struct bytes object = {0};
    bytes_printf(&object, "projects/%.*s/*", SPAN_PRINTF(list->project->name));
    write_head(list, span_text(who));
    write_row(list, span_text(who), bytes_span(&object), span_text("All"), 0);
}

static enum err_code grants_of_owner(struct rights_list *list, const struct principal *owner,
                                     struct err *err)
{
    BYTES_CLEANUP struct bytes object = {0};
    bytes_printf(&object, "projects/%.*s", SPAN_PRINTF(list->project->name));
    bytes_printf(&list->text, "[%s]\n%.*s: Project Owner\n", owner->name,
                 SPAN_PRINTF(bytes_span(&object)));
    answer_add_text(list->answer, span_text(owner->name));
    answer_add_text(list->answer, bytes_span(&object));
    answer_add_text(list->answer, span_text("Project Owner"));
    answer_add_null(list->answer);
    return list_show(list, err);
}

static enum err_code grants_of_user(struct rights_list *list, struct span name, struct err *err)
{
    struct store *store = list->call->services->store;
    struct member_record member;
    struct principal principal;
    struct err reason;
    if (principals_find_name(list->call->services->principals, name, &principal) &&
        !principal.user && principal.account.n == list->project->owner.n)
        return grants_of_owner(list, &principal, err);
    enum err_code code =
        member_find(store, list->project->id, name, list->call->arena, &member, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "%.*s is not a user of project %.*s; LIST USERS shows them",
                       SPAN_PRINTF(name), SPAN_PRINTF(list->project->name));
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason.message);
    struct grantee_ids ids = {.member = member.id, .ids = {member.id}, .count = 1};
    TRY(role_member_each(store, list->project->id, add_role_id, &ids, err));
    list->grantees = ids.ids;
    list->grantee_count = ids.count;
    TRY(list_gather(list, NULL, err));
    TRY(roles_write(list, &ids, err));
    list_write(list);
    if (ids.is_admin)
        admin_write(list, "role/admin");
    return list_show(list, err);
}

static enum err_code role_get(struct rights_list *list, struct span name,
                              struct role_record *ret_role, struct err *err)
{
    struct err reason;
    enum err_code code = role_find(list->call->services->store, list->project->id, name,
                                   list->call->arena, ret_role, &reason);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "there is no role %.*s in project %.*s; LIST ROLES shows them",
                       SPAN_PRINTF(name), SPAN_PRINTF(list->project->name));
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

static enum err_code grants_of_role(struct rights_list *list, const struct role_record *role,
                                    struct err *err)
{
    if (role->id == ROLE_ADMIN_ID) {
        bytes_append_text(&list->text, "Authorization Type: Implicit\n");
        admin_write(list, "role/admin");
        return list_show(list, err);
    }
    list->grantees = &role->id;
    list->grantee_count = 1;
    TRY(list_gather(list, NULL, err));
    list_write(list);
    return list_show(list, err);
}

/* Everybody may see their own grants. */
enum err_code statement_show_grants(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    const struct show *show = &call->statement->show;
    struct project_record project;
    struct span name = span_text(call->principal->name);
    if (show->user.len > 0 && !show->of_role)
        TRY(grantee_name(call, show->user, &name, err));
    bool own = !show->of_role && name_equal(name, span_text(call->principal->name));
    TRY(lookup_project(call, (struct span){0}, own ? ACTION_ENTER : ACTION_ADMINISTER, &project,
                       err));
    LIST_CLEANUP struct rights_list list;
    list_init(&list, call, &project, answer);
    columns_set(answer);
    if (!show->of_role)
        return grants_of_user(&list, name, err);
    struct role_record role;
    TRY(role_get(&list, show->user, &role, err));
    return grants_of_role(&list, &role, err);
}

/* ---- SHOW ACL ---- */

/* What nobody granted. */
static void implicit_write(struct rights_list *list, struct span object, struct span creator)
{
    bytes_append_text(&list->text, "Authorization Type: Implicit\n");
    const char *const grantees[] = {"role/project_owner", "role/admin", "user/object_creator"};
    for (size_t i = 0; i < ARRAY_COUNT(grantees); i++) {
        if (i == 2 && creator.len == 0)
            continue;
        write_head(list, span_text(grantees[i]));
        write_row(list, span_text(grantees[i]), object, span_text("All"), 0);
    }
}

enum err_code statement_show_acl(const struct statement_call *call, struct answer *answer,
                                 struct err *err)
{
    const struct show *show = &call->statement->show;
    bool whole = show->object == GRANT_ON_PROJECT;
    struct project_record project;
    struct lookup lookup = {0};
    struct span object, creator = {0};
    TRY(lookup_project(call, whole ? show->name.object : show->name.project, ACTION_ADMINISTER,
                       &project, err));
    if (!whole) {
        TRY(lookup_any(call, &show->name, ACTION_DESCRIBE, &lookup, err));
        creator = lookup_object(call, &lookup).creator;
    }
    LIST_CLEANUP struct rights_list list;
    list_init(&list, call, &project, answer);
    columns_set(answer);
    TRY(list_gather(&list, &lookup.id, err));
    TRY(object_name(&list, lookup.id, &object, err));
    list_write(&list);
    implicit_write(&list, object, creator);
    return list_show(&list, err);
}

/* ---- DESC ROLE ---- */

struct role_users {
    struct rights_list *list;
    uint64_t role;
    struct bytes members; /* u64 each, in order of ids */
};

static enum err_code add_member_id(void *context, const struct role_member_record *record,
                                   struct err *err)
{
    struct role_users *users = context;
    (void)err;
    if (record->role == users->role)
        bytes_append(&users->members, &record->member, sizeof(record->member));
    return ERR_OK;
}

static int id_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum err_code write_member(void *context, const struct member_record *member,
                                  struct err *err)
{
    struct role_users *users = context;
    size_t count = users->members.len / sizeof(uint64_t);
    (void)err;
    if (count > 0 &&
        bsearch(&member->id, users->members.data, count, sizeof(uint64_t), id_compare) != NULL)
        bytes_printf(&users->list->text, "%.*s\n", SPAN_PRINTF(member->name));
    return ERR_OK;
}

static enum err_code users_write(struct rights_list *list, const struct role_record *role,
                                 struct err *err)
{
    struct store *store = list->call->services->store;
    struct role_users users = {.list = list, .role = role->id};
    bytes_append_text(&list->text, "[users]\n");
    enum err_code code = role_member_each(store, list->project->id, add_member_id, &users, err);
    if (code == ERR_OK)
        code = member_each(store, list->project->id, write_member, &users, err);
    bytes_deinit(&users.members);
    bytes_append_u8(&list->text, '\n');
    return code;
}

enum err_code statement_desc_role(const struct statement_call *call, struct answer *answer,
                                  struct err *err)
{
    struct project_record project;
    struct role_record role;
    TRY(lookup_project(call, (struct span){0}, ACTION_ADMINISTER, &project, err));
    LIST_CLEANUP struct rights_list list;
    list_init(&list, call, &project, answer);
    columns_set(answer);
    TRY(role_get(&list, call->statement->role, &role, err));
    TRY(users_write(&list, &role, err));
    return grants_of_role(&list, &role, err);
}
