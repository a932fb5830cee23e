#include "store/catalog_check.h"

#include <stdarg.h>

#include "store/catalog_keys.h"
#include "store/name.h"
#include "store/rights_index.h"

struct check {
    struct store *store;
    struct db_view *view;
    struct arena arena;
    fsck_on_fault *on_fault;
    void *fault_context;
    uint64_t *faults;
};

__attribute__((format(printf, 2, 3))) static void check_report(struct check *check,
                                                               const char *form, ...)
{
    static const struct digest none;
    char what[ERR_MESSAGE_BYTES];
    va_list values;
    va_start(values, form);
    vsnprintf(what, sizeof(what), form, values);
    va_end(values);
    (*check->faults)++;
    if (check->on_fault != NULL)
        check->on_fault(check->fault_context, &none, what);
}

/* Calls on_record for each record of a kind; it may fail only where the database does. */
typedef enum err_code check_record(struct check *check, struct span key, struct span value,
                                   struct err *err);

static enum err_code records_each(struct check *check, char kind, check_record *on_record,
                                  struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    struct span prefix = span_of(&kind, 1), key, value;
    bool found;
    TRY(catalog_scan(check->store, check->view, FAMILY_CATALOG, prefix, span_of(NULL, 0), &iter,
                     err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&check->arena);
        TRY(on_record(check, key, value, err));
    }
}

/* ---- names lead to records ---- */

static enum err_code name_check(struct check *check, struct span key, struct span value,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes record_key = {0};
    BYTES_CLEANUP struct bytes record = {0};
    bool found;
    if (key.len < 9 || value.len != 9 ||
        (value.data[0] != NAME_TABLE && value.data[0] != NAME_SNAPSHOT)) {
        check_report(check, "a name's record of %zu bytes cannot be read", value.len);
        return ERR_OK;
    }
    bool is_table = value.data[0] == NAME_TABLE;
    uint64_t id = load_u64(value.data + 1);
    catalog_key_id(is_table ? 't' : 's', id, &record_key);
    TRY(catalog_find(check->store, check->view, FAMILY_CATALOG, bytes_span(&record_key), &record,
                     &found, err));
    if (!found)
        check_report(
            check,
            "name %.*s of project %" PRIu64 " leads to %s %" PRIu64
            ", which is not there; restore the data directory from a copy, or load it again "
            "under another name",
            (int)(key.len - 9), (const char *)key.data + 9, load_u64(key.data + 1),
            is_table ? "table" : "snapshot", id);
    return ERR_OK;
}

/* ---- records have their name ---- */

static enum err_code named_check(struct check *check, struct project_id project, struct span name,
                                 struct name_target target, struct err *err)
{
    struct name_target there = {0};
    bool found = false;
    TRY(name_look(check->store, check->view, project, name, &there, &found, err));
    if (!found || there.kind != target.kind || there.id.n != target.id.n)
        check_report(check,
                     "%s %" PRIu64
                     " (%.*s) cannot be reached: its name leads %s; it keeps its space "
                     "until the data directory is made anew",
                     target.kind == NAME_TABLE ? "table" : "snapshot", target.id.n,
                     SPAN_PRINTF(name), found ? "elsewhere" : "nowhere");
    return ERR_OK;
}

/* The newest record of a table's history is what the table is. */
static enum err_code newest_check(struct check *check, const struct table_record *table,
                                  struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct history_record history;
    struct err broken;
    bool found = false;
    catalog_key_history(table->id, table->sequence, &key);
    TRY(catalog_find(check->store, check->view, FAMILY_HISTORY, bytes_span(&key), &value, &found,
                     err));
    if (!found) {
        check_report(check,
                     "table %.*s: its last change, %" PRIu64
                     ", is not in the history; the next change of the table mends it",
                     SPAN_PRINTF(table->name), table->sequence);
        return ERR_OK;
    }
    if (history_record_decode(bytes_span(&value), &check->arena, &history, &broken) != ERR_OK)
        check_report(check, "table %.*s: history %" PRIu64 ": %s", SPAN_PRINTF(table->name),
                     table->sequence, broken.message);
    else if (!digest_equal(&history.version.version, &table->version.version))
        check_report(check,
                     "table %.*s: its history says another version at change %" PRIu64
                     "; compare both before the next change of the table",
                     SPAN_PRINTF(table->name), table->sequence);
    return ERR_OK;
}

static enum err_code table_check(struct check *check, struct span key, struct span value,
                                 struct err *err)
{
    struct table_record table;
    struct err broken;
    if (table_record_decode(value, &check->arena, &table, &broken) != ERR_OK || key.len != 9 ||
        table.id.n != load_u64(key.data + 1)) {
        check_report(check, "a table's record cannot be read, or is another's");
        return ERR_OK;
    }
    TRY(named_check(check, table.project, table.name, (struct name_target){NAME_TABLE, table.id},
                    err));
    return newest_check(check, &table, err);
}

static enum err_code snapshot_check(struct check *check, struct span key, struct span value,
                                    struct err *err)
{
    struct snapshot_record snapshot;
    struct err broken;
    if (snapshot_record_decode(value, &check->arena, &snapshot, &broken) != ERR_OK ||
        key.len != 9 || snapshot.id.n != load_u64(key.data + 1)) {
        check_report(check, "a snapshot's record cannot be read, or is another's");
        return ERR_OK;
    }
    return named_check(check, snapshot.project, snapshot.name,
                       (struct name_target){NAME_SNAPSHOT, snapshot.id}, err);
}

/* ---- rights ---- */

static void rights_unread(struct check *check, const char *what)
{
    check_report(check,
                 "a record of a project's rights (%s) cannot be read, or is another's: it gives no "
                 "right; its owner may grant again",
                 what);
}

static enum err_code member_check(struct check *check, struct span key, struct span value,
                                  struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct member_record member;
    (void)err;
    bool readable = member_record_decode(value, &check->arena, &member, NULL) == ERR_OK;
    if (readable)
        rights_key_named('m', member.project, member.name, &own);
    if (!readable || !span_equal(key, bytes_span(&own)))
        rights_unread(check, "a user");
    return ERR_OK;
}

static enum err_code role_check(struct check *check, struct span key, struct span value,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct role_record role;
    (void)err;
    bool readable = role_record_decode(value, &check->arena, &role, NULL) == ERR_OK;
    if (readable)
        rights_key_named('l', role.project, role.name, &own);
    if (!readable || !span_equal(key, bytes_span(&own)))
        rights_unread(check, "a role");
    return ERR_OK;
}

static enum err_code role_member_check(struct check *check, struct span key, struct span value,
                                       struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct role_member_record record;
    (void)err;
    bool readable = role_member_record_decode(value, &check->arena, &record, NULL) == ERR_OK;
    if (readable)
        rights_key_role(record.project, record.member, record.role, &own);
    if (!readable || !span_equal(key, bytes_span(&own)))
        rights_unread(check, "a user's role");
    return ERR_OK;
}

static enum err_code grant_check(struct check *check, struct span key, struct span value,
                                 struct err *err)
{
    BYTES_CLEANUP struct bytes own = {0};
    struct grant_record grant = {0};
    (void)err;
    bool readable = grant_record_decode(value, &check->arena, &grant, NULL) == ERR_OK;
    const struct rights_key of = {grant.project, grant.object, grant.grantee, grant.action};
    if (readable)
        rights_key_grant(&of, &own);
    if (!readable || !span_equal(key, bytes_span(&own)))
        rights_unread(check, "a grant");
    return ERR_OK;
}

/* ---- accounts and users: names and keys lead to records, and those have them ---- */

/* The id under a key is the one expected. */
static enum err_code leads_check(struct check *check, struct span key, uint64_t id,
                                 struct span name, const char *what, struct err *err)
{
    uint64_t there = 0;
    bool found = false;
    TRY(catalog_id_find(check->store, check->view, key, &there, &found, err));
    if (!found || there != id)
        check_report(check, "%.*s: its %s leads %s; drop it and make it again", SPAN_PRINTF(name),
                     what, found ? "to somebody else" : "nowhere");
    return ERR_OK;
}

static enum err_code holder_check(struct check *check, const struct user_record *holder, bool user,
                                  struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    catalog_key_name(user ? 'U' : 'A', holder->name, &key);
    TRY(leads_check(check, bytes_span(&key), holder->id.n, holder->name, "name", err));
    for (size_t i = 0; i < holder->key_count; i++) {
        const struct public_key *public = &holder->keys[i];
        catalog_key_bytes('k', span_of(public->identity.b, sizeof(public->identity.b)), &key);
        TRY(leads_check(check, bytes_span(&key), holder->id.n, holder->name, "public key", err));
        catalog_key_bytes('x', span_of(public->exchange, sizeof(public->exchange)), &key);
        TRY(leads_check(check, bytes_span(&key), holder->id.n, holder->name, "public key", err));
    }
    return ERR_OK;
}

static enum err_code account_check(struct check *check, struct span key, struct span value,
                                   struct err *err)
{
    struct account_record account;
    struct err broken;
    if (account_record_decode(value, &check->arena, &account, &broken) != ERR_OK || key.len != 9 ||
        account.id.n != load_u64(key.data + 1)) {
        check_report(check, "an account's record cannot be read, or is another's");
        return ERR_OK;
    }
    const struct user_record holder = {.id = {account.id.n},
                                       .name = account.name,
                                       .keys = account.keys,
                                       .key_count = account.key_count};
    return holder_check(check, &holder, false, err);
}

static enum err_code user_check(struct check *check, struct span key, struct span value,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes account = {0};
    BYTES_CLEANUP struct bytes record = {0};
    struct user_record user;
    struct err broken;
    bool found;
    if (user_record_decode(value, &check->arena, &user, &broken) != ERR_OK || key.len != 9 ||
        user.id.n != load_u64(key.data + 1)) {
        check_report(check, "a RAM user's record cannot be read, or is another's");
        return ERR_OK;
    }
    catalog_key_id('a', user.account.n, &account);
    TRY(catalog_find(check->store, check->view, FAMILY_CATALOG, bytes_span(&account), &record,
                     &found, err));
    if (!found)
        check_report(check, "%.*s: its account is not there; drop it", SPAN_PRINTF(user.name));
    return holder_check(check, &user, true, err);
}

/* Of a name (A, U) or a half of a key (k, x): the id is somebody's. */
static enum err_code id_check(struct check *check, struct span key, struct span value,
                              struct err *err)
{
    BYTES_CLEANUP struct bytes record_key = {0};
    BYTES_CLEANUP struct bytes record = {0};
    uint64_t id = value.len == 8 ? load_u64(value.data) : 0;
    bool found = false;
    for (size_t i = 0; i < 2 && !found; i++) {
        catalog_key_id("au"[i], id, &record_key);
        TRY(catalog_find(check->store, check->view, FAMILY_CATALOG, bytes_span(&record_key),
                         &record, &found, err));
    }
    if (!found)
        check_report(check, "a %s leads to account or user %" PRIu64 ", which is not there",
                     key.data[0] == 'A' || key.data[0] == 'U' ? "name" : "public key", id);
    return ERR_OK;
}

static enum err_code principals_check(struct check *check, struct err *err)
{
    static const char ids[] = {'A', 'U', 'k', 'x'};
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        TRY(records_each(check, ids[i], id_check, err));
    TRY(records_each(check, 'a', account_check, err));
    return records_each(check, 'u', user_check, err);
}

static enum err_code check_all(struct check *check, struct err *err)
{
    TRY(catalog_view_open(check->store, &check->view, err));
    TRY(principals_check(check, err));
    TRY(records_each(check, 'N', name_check, err));
    TRY(records_each(check, 't', table_check, err));
    TRY(records_each(check, 's', snapshot_check, err));
    TRY(records_each(check, 'm', member_check, err));
    TRY(records_each(check, 'l', role_check, err));
    TRY(records_each(check, 'q', role_member_check, err));
    return records_each(check, 'g', grant_check, err);
}

enum err_code catalog_check(struct store *store, fsck_on_fault *on_fault, void *fault_context,
                            uint64_t *faults, struct err *err)
{
    struct check check = {
        .store = store, .on_fault = on_fault, .fault_context = fault_context, .faults = faults};
    arena_init(&check.arena, CATALOG_ARENA_BYTES);
    enum err_code code = check_all(&check, err);
    catalog_view_close(check.view);
    arena_deinit(&check.arena);
    return code;
}
