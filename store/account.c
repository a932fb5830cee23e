#include "store/account.h"

#include "store/catalog_keys.h"
#include "store/rights.h"

/* An account or a user, as it stands in the catalog: an account is read as a user of its own. */
struct holder {
    struct user_record record;
    bool user;
    struct channel_switch channel; /* an account's */
    struct span encoded;
};

/* ---- keys of the catalog ---- */

bool name_is_user(struct span name)
{
    return name.len > 0 && (name.data[0] == 'R' || name.data[0] == 'r');
}

static void holder_key(const struct holder *holder, struct bytes *key)
{
    catalog_key_id(holder->user ? 'u' : 'a', holder->record.id.n, key);
}

static void holder_name_key(struct span name, struct bytes *key)
{
    catalog_key_name(name_is_user(name) ? 'U' : 'A', name, key);
}

/* Of a public key: its first half, then its second. */
static void half_key(const struct public_key *public, int half, struct bytes *key)
{
    if (half == 0)
        catalog_key_bytes('k', span_of(public->identity.b, sizeof(public->identity.b)), key);
    else
        catalog_key_bytes('x', span_of(public->exchange, sizeof(public->exchange)), key);
}

/* ---- records ---- */

static void holder_encode(const struct holder *holder, struct bytes *out)
{
    const struct user_record *record = &holder->record;
    if (holder->user) {
        user_record_encode(record, out);
        return;
    }
    const struct account_record account = {
        .id = {record->id.n},
        .name = record->name,
        .keys = record->keys,
        .key_count = record->key_count,
        .created_ms = record->created_ms,
        .channel = holder->channel,
    };
    account_record_encode(&account, out);
}

static struct holder holder_of_account(const struct account_record *account)
{
    return (struct holder){
        .record = {.id = {account->id.n},
                   .name = account->name,
                   .account = account->id,
                   .keys = account->keys,
                   .key_count = account->key_count,
                   .created_ms = account->created_ms},
        .channel = account->channel,
    };
}

static enum err_code holder_get(struct store *store, struct db_view *view, bool user, uint64_t id,
                                struct arena *arena, struct holder *ret_holder, struct err *err)
{
    struct holder holder = {.record.id.n = id, .user = user};
    BYTES_CLEANUP struct bytes key = {0};
    bool found = false;
    holder_key(&holder, &key);
    TRY(catalog_record_find(store, view, FAMILY_CATALOG, bytes_span(&key), arena, &holder.encoded,
                            &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such %s", user ? "RAM user" : "account");
    if (user) {
        TRY(user_record_decode(holder.encoded, arena, &holder.record, err));
    } else {
        struct span encoded = holder.encoded;
        struct account_record account;
        TRY(account_record_decode(encoded, arena, &account, err));
        holder = holder_of_account(&account);
        holder.encoded = encoded;
    }
    *ret_holder = holder;
    return ERR_OK;
}

static enum err_code holder_find(struct store *store, struct db_view *view, struct span name,
                                 struct arena *arena, struct holder *ret_holder, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    uint64_t id = 0;
    bool found = false;
    bool user = name_is_user(name);
    holder_name_key(name, &key);
    TRY(catalog_id_find(store, view, bytes_span(&key), &id, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "%s %.*s does not exist", user ? "RAM user" : "account",
                       SPAN_PRINTF(name));
    return holder_get(store, view, user, id, arena, ret_holder, err);
}

static struct account_record account_of(const struct holder *holder)
{
    const struct user_record *record = &holder->record;
    return (struct account_record){
        .id = {record->id.n},
        .name = record->name,
        .keys = record->keys,
        .key_count = record->key_count,
        .created_ms = record->created_ms,
        .channel = holder->channel,
    };
}

/* ---- changes ---- */

/* Neither half is anybody's; the change expects that and puts them. */
static enum err_code key_claim(struct store *store, struct catalog_change *change,
                               const struct public_key *public, uint64_t id, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    for (int half = 0; half < 2; half++) {
        uint64_t known = 0;
        bool found = false;
        half_key(public, half, &key);
        TRY(catalog_id_find(store, NULL, bytes_span(&key), &known, &found, err));
        if (found)
            return err_set(err, ERR_EXISTS,
                           "the key, or a half of it, is known to this region already; make one "
                           "with strait keygen");
        catalog_expect_absent(change, FAMILY_CATALOG, bytes_span(&key));
        catalog_put_id(change, bytes_span(&key), id);
    }
    return ERR_OK;
}

static void key_release(struct catalog_change *change, const struct public_key *public)
{
    BYTES_CLEANUP struct bytes key = {0};
    for (int half = 0; half < 2; half++) {
        half_key(public, half, &key);
        catalog_delete(change, FAMILY_CATALOG, bytes_span(&key));
    }
}

static enum err_code keys_check(const struct user_record *record, struct err *err)
{
    if (record->key_count > LIMIT_PRINCIPAL_KEYS)
        return err_set(err, ERR_LIMIT, "%.*s would have %zu keys; at most %d are allowed",
                       SPAN_PRINTF(record->name), record->key_count, LIMIT_PRINCIPAL_KEYS);
    return ERR_OK;
}

/* A new one, in `change`; its id is filled in. */
static enum err_code holder_create(struct store *store, struct catalog_change *change,
                                   struct holder *holder, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct user_record *record = &holder->record;
    TRY(catalog_name_check(record->name, LIMIT_PRINCIPAL_BYTES, err));
    TRY(keys_check(record, err));
    TRY(catalog_sequence_take(store, change, "account", &record->id.n, err));
    holder_name_key(record->name, &key);
    TRY(catalog_name_claim(store, change, bytes_span(&key), record->name, record->id.n, err));
    for (size_t i = 0; i < record->key_count; i++)
        TRY(key_claim(store, change, &record->keys[i], record->id.n, err));
    holder_key(holder, &key);
    holder_encode(holder, &value);
    catalog_put(change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    return ERR_OK;
}

enum err_code principal_expect(struct store *store, struct catalog_change *change, struct span name,
                               uint64_t id, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    uint8_t value[8];
    uint64_t known = 0;
    bool found = false;
    holder_name_key(name, &key);
    TRY(catalog_id_find(store, NULL, bytes_span(&key), &known, &found, err));
    if (!found || known != id)
        return err_set(err, ERR_CREDENTIALS, "%.*s was dropped meanwhile", SPAN_PRINTF(name));
    store_u64(value, id);
    catalog_expect(change, FAMILY_CATALOG, bytes_span(&key), span_of(value, sizeof(value)));
    return ERR_OK;
}

/* ---- accounts ---- */

enum err_code account_create(struct store *store, const struct account_record *spec,
                             const struct change_note *note, struct account_id *ret_id,
                             struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    struct holder holder = holder_of_account(spec);
    holder.record.created_ms = note->now_ms;
    TRY(holder_create(store, &change, &holder, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = (struct account_id){holder.record.id.n};
    return ERR_OK;
}

enum err_code account_get(struct store *store, struct db_view *view, struct account_id id,
                          struct arena *arena, struct account_record *ret_account, struct err *err)
{
    struct holder holder;
    TRY(holder_get(store, view, false, id.n, arena, &holder, err));
    *ret_account = account_of(&holder);
    return ERR_OK;
}

enum err_code account_find(struct store *store, struct db_view *view, struct span name,
                           struct arena *arena, struct account_record *ret_account, struct err *err)
{
    struct holder holder;
    TRY(holder_find(store, view, name, arena, &holder, err));
    if (holder.user)
        return err_set(err, ERR_NOT_FOUND, "%.*s is a RAM user, not an account", SPAN_PRINTF(name));
    *ret_account = account_of(&holder);
    return ERR_OK;
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

enum err_code account_any(struct store *store, bool *ret_any, struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    return catalog_find(store, NULL, FAMILY_META, span_text("sequence/account"), &value, ret_any,
                        err);
}

enum err_code account_channel_set(struct store *store, struct account_id id, bool on,
                                  const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct holder holder;
    TRY(holder_get(store, NULL, false, id.n, &arena, &holder, err));
    holder.channel = (struct channel_switch){
        .on = on, .changed_ms = note->now_ms, .changed_by = note->principal};
    holder_key(&holder, &key);
    holder_encode(&holder, &value);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), holder.encoded);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    enum catalog_space space = on ? CATALOG_KEEP_RESERVE : CATALOG_USE_RESERVE;
    return catalog_commit_noted(store, &change, note, space, err);
}

/* ---- lists ---- */

struct holder_scan {
    struct store *store;
    struct db_view *view;
    on_account *on_account;
    on_user *on_user;
    void *context;
};

static enum err_code account_scan_each(void *context, uint64_t id, struct arena *arena,
                                       struct err *err)
{
    const struct holder_scan *scan = context;
    struct account_record account;
    TRY(account_get(scan->store, scan->view, (struct account_id){id}, arena, &account, err));
    return scan->on_account(scan->context, &account, err);
}

enum err_code account_each(struct store *store, struct db_view *view, on_account *callback,
                           void *context, struct err *err)
{
    struct holder_scan scan = {
        .store = store, .view = view, .on_account = callback, .context = context};
    return catalog_named_each(store, view, span_text("A"), account_scan_each, &scan, err);
}

static enum err_code user_scan_each(void *context, uint64_t id, struct arena *arena,
                                    struct err *err)
{
    const struct holder_scan *scan = context;
    struct holder holder;
    TRY(holder_get(scan->store, scan->view, true, id, arena, &holder, err));
    return scan->on_user(scan->context, &holder.record, err);
}

/* Of the names of an account's users: "ALIYUN$a" has those that begin with "RAM$a:". */
static void users_prefix(struct span account, struct bytes *key)
{
    BYTES_CLEANUP struct bytes name = {0};
    const uint8_t *dollar = account.len == 0 ? NULL : memchr(account.data, '$', account.len);
    size_t at = dollar == NULL ? account.len : (size_t)(dollar - account.data) + 1;
    bytes_append_text(&name, "RAM$");
    bytes_append_span(&name, span_slice(account, at, account.len - at));
    bytes_append_text(&name, ":");
    catalog_key_name('U', bytes_span(&name), key);
}

enum err_code user_each(struct store *store, struct db_view *view, struct span account,
                        on_user *callback, void *context, struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    struct holder_scan scan = {
        .store = store, .view = view, .on_user = callback, .context = context};
    bytes_append_text(&prefix, "U");
    if (account.len > 0)
        users_prefix(account, &prefix);
    return catalog_named_each(store, view, bytes_span(&prefix), user_scan_each, &scan, err);
}

/* ---- users ---- */

static enum err_code user_count_each(void *context, uint64_t id, struct arena *arena,
                                     struct err *err)
{
    (void)id;
    (void)arena;
    (void)err;
    (*(size_t *)context)++;
    return ERR_OK;
}

static enum err_code user_count(struct store *store, struct span account, size_t *ret_count,
                                struct err *err)
{
    BYTES_CLEANUP struct bytes prefix = {0};
    *ret_count = 0;
    users_prefix(account, &prefix);
    return catalog_named_each(store, NULL, bytes_span(&prefix), user_count_each, ret_count, err);
}

enum err_code user_create(struct store *store, const struct user_record *spec,
                          const struct change_note *note, struct user_id *ret_id, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct holder holder = {.record = *spec, .user = true};
    struct holder account;
    size_t users;
    holder.record.created_ms = note->now_ms;
    TRY(holder_create(store, &change, &holder, err)); /* from here on no other comes unnoticed */
    TRY(holder_get(store, NULL, false, spec->account.n, &arena, &account, err));
    TRY(user_count(store, account.record.name, &users, err));
    if (users >= LIMIT_ACCOUNT_USERS)
        return err_set(err, ERR_LIMIT, "%.*s has %zu RAM users; at most %d are allowed",
                       SPAN_PRINTF(account.record.name), users, LIMIT_ACCOUNT_USERS);
    TRY(principal_expect(store, &change, account.record.name, spec->account.n, err));
    TRY(catalog_commit_noted(store, &change, note, CATALOG_KEEP_RESERVE, err));
    *ret_id = holder.record.id;
    return ERR_OK;
}

enum err_code user_find(struct store *store, struct db_view *view, struct span name,
                        struct arena *arena, struct user_record *ret_user, struct err *err)
{
    struct holder holder;
    TRY(holder_find(store, view, name, arena, &holder, err));
    if (!holder.user)
        return err_set(err, ERR_NOT_FOUND, "%.*s is an account, not a RAM user", SPAN_PRINTF(name));
    *ret_user = holder.record;
    return ERR_OK;
}

/* ---- keys ---- */

static bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
    return memcmp(a->identity.b, b->identity.b, sizeof(a->identity.b)) == 0 &&
           memcmp(a->exchange, b->exchange, sizeof(a->exchange)) == 0;
}

/* Into `keys`, which has room for one more than it has now. */
static enum err_code key_add(struct store *store, struct catalog_change *change,
                             const struct public_key *key, struct user_record *record,
                             struct public_key *keys, struct err *err)
{
    TRY(key_claim(store, change, key, record->id.n, err));
    memcpy(keys, record->keys, record->key_count * sizeof(*keys));
    keys[record->key_count] = *key;
    record->keys = keys;
    record->key_count++;
    return keys_check(record, err);
}

static enum err_code key_drop(struct catalog_change *change, const struct key_change *what,
                              struct user_record *record, struct public_key *keys, struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < record->key_count; i++) {
        if (!public_key_equal(&record->keys[i], &what->key))
            keys[kept++] = record->keys[i];
    }
    if (kept == record->key_count)
        return err_set(err, ERR_NOT_FOUND, "%.*s has no such key", SPAN_PRINTF(record->name));
    if (kept == 0 && !what->last_too)
        return err_set(err, ERR_EXISTS,
                       "it is the last key of %.*s, who could not come in any more; add another "
                       "one first, or say DROP LAST PUBLIC KEY",
                       SPAN_PRINTF(record->name));
    key_release(change, &what->key);
    record->keys = keys;
    record->key_count = kept;
    return ERR_OK;
}

enum err_code principal_change_key(struct store *store, const struct key_change *what,
                                   const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct holder holder;
    TRY(holder_find(store, NULL, what->name, &arena, &holder, err));
    if (what->first_only && holder.record.key_count > 0)
        return err_set(err, ERR_DENIED,
                       "%.*s has keys: it adds others itself; an operator gives one to an account "
                       "that has none left",
                       SPAN_PRINTF(holder.record.name));
    MEM_CLEANUP struct public_key *keys = mem_calloc(holder.record.key_count + 1, sizeof(*keys));
    if (what->drop)
        TRY(key_drop(&change, what, &holder.record, keys, err));
    else
        TRY(key_add(store, &change, &what->key, &holder.record, keys, err));
    holder_key(&holder, &key);
    holder_encode(&holder, &value);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), holder.encoded);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    enum catalog_space space = what->drop ? CATALOG_USE_RESERVE : CATALOG_KEEP_RESERVE;
    return catalog_commit_noted(store, &change, note, space, err);
}

/* ---- DROP ---- */

/* Looking for something that a principal owns. */
struct search {
    struct store *store;
    struct user_record owner;
};

static enum err_code owned(const struct search *search, const char *what, struct span name,
                           struct err *err)
{
    return err_set(err, ERR_EXISTS, "%.*s still owns %s %.*s; drop that first",
                   SPAN_PRINTF(search->owner.name), what, SPAN_PRINTF(name));
}

static enum err_code owned_project(void *context, const struct project_record *project,
                                   struct err *err)
{
    const struct search *search = context;
    return project->owner.n == search->owner.id.n ? owned(search, "project", project->name, err)
                                                  : ERR_OK;
}

static enum err_code owned_user(void *context, const struct user_record *user, struct err *err)
{
    return owned(context, "RAM user", user->name, err);
}

static enum err_code owned_object(const struct search *search, struct span owner,
                                  struct project_id id, struct arena *arena, struct err *err)
{
    struct project_record project;
    if (!span_equal(owner, search->owner.name))
        return ERR_OK;
    TRY(project_get(search->store, NULL, id, arena, &project, err));
    return owned(search, "tables or snapshots in project", project.name, err);
}

/* Of the records of one kind: 't' or 's'. */
static enum err_code owned_objects(const struct search *search, char kind, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, 2 * CATALOG_ARENA_BYTES);
    TRY(catalog_scan(search->store, NULL, FAMILY_CATALOG, span_of(&kind, 1), span_of(NULL, 0),
                     &iter, err));
    for (;;) {
        struct span key, value;
        struct table_record table;
        struct snapshot_record snapshot;
        bool found = false;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        arena_reset(&arena);
        if (kind == 't') {
            TRY(table_record_decode(value, &arena, &table, err));
            TRY(owned_object(search, table.owner, table.project, &arena, err));
        } else {
            TRY(snapshot_record_decode(value, &arena, &snapshot, err));
            TRY(owned_object(search, snapshot.owner, snapshot.project, &arena, err));
        }
    }
}

/* Nothing is owned, and (the sequences) nothing comes to be until the commit: whatever is made or
 * changes hands takes a number. */
static enum err_code nothing_owned(struct store *store, struct catalog_change *change,
                                   const struct holder *holder, struct err *err)
{
    struct search search = {.store = store, .owner = holder->record};
    TRY(catalog_sequence_expect(store, change, "account", err));
    TRY(catalog_sequence_expect(store, change, "project", err));
    TRY(catalog_sequence_expect(store, change, "table", err));
    if (!holder->user) {
        TRY(project_each(store, NULL, owned_project, &search, err));
        TRY(user_each(store, NULL, holder->record.name, owned_user, &search, err));
    }
    TRY(owned_objects(&search, 't', err));
    return owned_objects(&search, 's', err);
}

enum err_code principal_drop(struct store *store, struct span name, const struct change_note *note,
                             struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, CATALOG_ARENA_BYTES);
    struct holder holder;
    TRY(holder_find(store, NULL, name, &arena, &holder, err));
    TRY(nothing_owned(store, &change, &holder, err));
    holder_key(&holder, &key);
    catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), holder.encoded);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    holder_name_key(holder.record.name, &key);
    catalog_delete(&change, FAMILY_CATALOG, bytes_span(&key));
    for (size_t i = 0; i < holder.record.key_count; i++)
        key_release(&change, &holder.record.keys[i]);
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    rights_sweep_wish(store); /* it is nowhere a user any more */
    return ERR_OK;
}
