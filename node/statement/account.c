/* Accounts, RAM users and their keys.
 *
 *     who                 may
 *     region's operator   CREATE | DROP ACCOUNT, LIST ACCOUNTS, drop keys and users of anybody, give a
 *                         key to an account that has none left
 *     account             CREATE | DROP USER, keys of its users and of itself, its XCOPY channel
 *
 * An operator gives no key to an account that has one: that would be a way to its data. Each change is
 * one commit; the index of principals follows it, and connections of what was dropped are closed.
 * Not here: users of a project, grants and roles; which key is an operator's (configuration).
 */
#include "node/principals_store.h"
#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "proto/principal_name.h"

/* ---- who may ---- */

static bool is_operator(const struct statement_call *call)
{
    return authorise(call->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
}

/* Is the caller the account itself, with its own key? */
static bool is_account(const struct statement_call *call, const struct principal_name *name)
{
    const struct principal *principal = call->principal;
    return principal->account.n != 0 && !principal->user &&
           name_equal(span_text(principal->name), span_text(name->account));
}

static enum err_code not_yours(const struct statement_call *call, const struct principal_name *name,
                               struct err *err)
{
    return err_set(err, ERR_DENIED, "%s may not change %s; %s may%s", call->principal->name,
                   name->text, name->account, name->user ? ", for its RAM users" : "");
}

/* ---- names and keys as written ---- */

static enum err_code name_parse(struct span text, bool user, struct principal_name *ret_name,
                                struct err *err)
{
    TRY(principal_name_parse(text, ret_name, err));
    if (ret_name->user == user)
        return ERR_OK;
    return user
               ? err_set(err, ERR_PARAMETER, "%s is an account; say ACCOUNT for it", ret_name->text)
               : err_set(err, ERR_PARAMETER, "%s is a RAM user; say USER for it", ret_name->text);
}

static struct public_key key_record(const struct public_identity *identity)
{
    struct public_key key = {.identity = identity->sign};
    memcpy(key.exchange, identity->noise.b, sizeof(key.exchange));
    return key;
}

/* Proved to be its holder's for this name here, and nobody's so far. */
static enum err_code key_new(const struct statement_call *call, struct span text,
                             const struct principal_name *name, struct public_key *ret_key,
                             struct err *err)
{
    struct public_identity identity;
    TRY(registration_parse(text, span_text(call->services->region), span_text(name->text),
                           &identity, err));
    if (principals_key_known(call->services->principals, &identity))
        return err_set(err, ERR_EXISTS,
                       "the key, or a half of it, is known to this region already; make one with "
                       "strait keygen");
    *ret_key = key_record(&identity);
    return ERR_OK;
}

/* With or without its proof. */
static enum err_code key_old(struct span text, struct public_identity *ret_identity,
                             struct err *err)
{
    const uint8_t *mark = text.len == 0 ? NULL : memchr(text.data, '.', text.len);
    size_t len = mark == NULL ? text.len : (size_t)(mark - text.data);
    return public_identity_parse(span_slice(text, 0, len), ret_identity, err);
}

/* What was committed is so from now on; what was not (`code`) changes nothing. */
static enum err_code followed(const struct statement_call *call, const char *name,
                              enum err_code code, const struct err *reason, struct err *err)
{
    const struct statement_services *services = call->services;
    enum err_code followed =
        principals_follow(services->principals, services->store, span_text(name), err);
    if (code != ERR_OK)
        return err_set(err, code, "%s", reason->message);
    return followed;
}

/* ---- CREATE ---- */

/* The name is taken: ERR_EXISTS, or done with IF NOT EXISTS, and it stays as it is. */
static enum err_code exists_already(const struct statement_call *call,
                                    const struct principal_name *name, struct answer *answer,
                                    bool *ret_done, struct err *err)
{
    struct principal known;
    *ret_done = principals_find_name(call->services->principals, span_text(name->text), &known);
    if (!*ret_done)
        return ERR_OK;
    if (!call->statement->create_account.if_not_exists)
        return err_set(err, ERR_EXISTS, "%s exists already", known.name);
    answer_set_notice(answer, "%s exists already and keeps the keys that it has", known.name);
    return ERR_OK;
}

enum err_code statement_create_account(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    const struct create_account *create = &call->statement->create_account;
    struct principal_name name;
    struct public_key key;
    bool done;
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    TRY(name_parse(create->account, false, &name, err));
    TRY(exists_already(call, &name, answer, &done, err));
    if (done)
        return ERR_OK;
    TRY(key_new(call, create->public_key, &name, &key, err));
    const struct account_record spec = {.name = span_text(name.text), .keys = &key, .key_count = 1};
    struct change_note note = statement_note(call);
    struct account_id id;
    struct err reason;
    enum err_code code = account_create(call->services->store, &spec, &note, &id, &reason);
    return followed(call, name.text, code, &reason, err);
}

enum err_code statement_create_user(const struct statement_call *call, struct answer *answer,
                                    struct err *err)
{
    const struct create_account *create = &call->statement->create_account;
    struct principal_name name;
    struct public_key key;
    bool done;
    TRY(name_parse(create->account, true, &name, err));
    if (!is_account(call, &name))
        return not_yours(call, &name, err);
    TRY(exists_already(call, &name, answer, &done, err));
    if (done)
        return ERR_OK;
    TRY(key_new(call, create->public_key, &name, &key, err));
    const struct user_record spec = {.name = span_text(name.text),
                                     .account = call->principal->account,
                                     .keys = &key,
                                     .key_count = 1};
    struct change_note note = statement_note(call);
    struct user_id id;
    struct err reason;
    enum err_code code = user_create(call->services->store, &spec, &note, &id, &reason);
    return followed(call, name.text, code, &reason, err);
}

/* ---- ALTER ... ADD | DROP PUBLIC KEY ---- */

/* The operator helps who lost every key, and no other: *ret_first_only. */
static enum err_code add_authorise(const struct statement_call *call,
                                   const struct principal_name *name, bool *ret_first_only,
                                   struct err *err)
{
    *ret_first_only = !is_account(call, name);
    return is_account(call, name) || (!name->user && is_operator(call))
               ? ERR_OK
               : not_yours(call, name, err);
}

static enum err_code drop_authorise(const struct statement_call *call,
                                    const struct principal_name *name, struct err *err)
{
    return is_account(call, name) || is_operator(call) ? ERR_OK : not_yours(call, name, err);
}

static enum err_code key_of_change(const struct statement_call *call,
                                   const struct principal_name *name, struct public_key *ret_key,
                                   struct err *err)
{
    const struct alter_keys *alter = &call->statement->alter_keys;
    struct public_identity identity;
    if (!alter->drop)
        return key_new(call, alter->public_key, name, ret_key, err);
    TRY(key_old(alter->public_key, &identity, err));
    if (identity_key_equal(&identity.sign, &call->principal->keys.sign))
        return err_set(err, ERR_PARAMETER,
                       "this statement comes with that very key; drop it with another key of %s",
                       call->principal->name);
    *ret_key = key_record(&identity);
    return ERR_OK;
}

enum err_code statement_alter_keys(const struct statement_call *call, struct answer *answer,
                                   struct err *err)
{
    (void)answer;
    const struct alter_keys *alter = &call->statement->alter_keys;
    struct principal_name name;
    TRY(name_parse(alter->name, alter->user, &name, err));
    struct key_change change = {
        .name = span_text(name.text), .drop = alter->drop, .last_too = alter->last};
    TRY(alter->drop ? drop_authorise(call, &name, err)
                    : add_authorise(call, &name, &change.first_only, err));
    TRY(key_of_change(call, &name, &change.key, err));
    struct change_note note = statement_note(call);
    struct err reason;
    enum err_code code = principal_change_key(call->services->store, &change, &note, &reason);
    return followed(call, name.text, code, &reason, err);
}

/* ---- DROP ---- */

static enum err_code drop(const struct statement_call *call, const struct principal_name *name,
                          struct err *err)
{
    if (name_equal(span_text(name->text), span_text(call->principal->name)))
        return err_set(err, ERR_PARAMETER, "%s cannot drop itself; another principal may",
                       name->text);
    struct change_note note = statement_note(call);
    struct err reason;
    enum err_code code =
        principal_drop(call->services->store, span_text(name->text), &note, &reason);
    if (code == ERR_NOT_FOUND && call->statement->drop_principal.if_exists)
        return ERR_OK;
    return followed(call, name->text, code, &reason, err);
}

enum err_code statement_drop_account(const struct statement_call *call, struct answer *answer,
                                     struct err *err)
{
    (void)answer;
    struct principal_name name;
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    TRY(name_parse(call->statement->drop_principal.name, false, &name, err));
    return drop(call, &name, err);
}

enum err_code statement_drop_user(const struct statement_call *call, struct answer *answer,
                                  struct err *err)
{
    (void)answer;
    struct principal_name name;
    TRY(name_parse(call->statement->drop_principal.name, true, &name, err));
    TRY(drop_authorise(call, &name, err));
    return drop(call, &name, err);
}

/* ---- ALTER ACCOUNT SET XCOPY CHANNEL ---- */

enum err_code statement_alter_account_channel(const struct statement_call *call,
                                              struct answer *answer, struct err *err)
{
    (void)answer;
    const struct principal *principal = call->principal;
    if (principal->account.n == 0 || principal->user)
        return err_set(err, ERR_DENIED,
                       "%s is no account: each account switches its own XCOPY channel, and answers "
                       "for the data; nobody else does",
                       principal->name);
    struct change_note note = statement_note(call);
    return account_channel_set(call->services->store, principal->account,
                               call->statement->alter_switch.on, &note, err);
}

static void add_channel(struct answer *answer, const struct statement_services *services,
                        const struct account_record *account)
{
    const struct channel_switch *channel = &account->channel;
    bool set = channel->changed_ms != 0;
    answer_add_text(answer, span_text((set ? channel->on : !services->gates) ? "ON" : "OFF"));
    answer_add_time(answer, channel->changed_ms);
    if (set)
        answer_add_text(answer, channel->changed_by);
    else
        answer_add_null(answer);
}

enum err_code statement_show_xcopy_channel(const struct statement_call *call, struct answer *answer,
                                           struct err *err)
{
    static const struct answer_column columns[] = {
        {"account", TYPE_STRING, true},       {"region", TYPE_STRING, true},
        {"xcopy_channel", TYPE_STRING, true}, {"changed", TYPE_DATETIME, false},
        {"changed_by", TYPE_STRING, false},
    };
    struct account_record account;
    if (call->principal->account.n == 0)
        return err_set(err, ERR_DENIED, "%s is no account and has no XCOPY channel",
                       call->principal->name);
    TRY(account_get(call->services->store, NULL, call->principal->account, call->arena, &account,
                    err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    answer_add_text(answer, account.name);
    answer_add_text(answer, span_text(call->services->region));
    add_channel(answer, call->services, &account);
    return ERR_OK;
}

/* ---- lists ---- */

static enum err_code add_row(struct answer *answer, struct span name, uint64_t created_ms,
                             size_t key_count, struct err *err)
{
    if (answer->rows.rows >= LIMIT_SCREEN_ROWS)
        return err_set(err, ERR_LIMIT, "there are more than %d", LIMIT_SCREEN_ROWS);
    answer_add_text(answer, name);
    answer_add_time(answer, created_ms);
    answer_add_number(answer, key_count);
    return ERR_OK;
}

struct accounts_listing {
    const struct statement_services *services;
    struct answer *answer;
};

static enum err_code add_account(void *context, const struct account_record *account,
                                 struct err *err)
{
    const struct accounts_listing *listing = context;
    TRY(add_row(listing->answer, account->name, account->created_ms, account->key_count, err));
    add_channel(listing->answer, listing->services, account);
    return ERR_OK;
}

static enum err_code add_user(void *context, const struct user_record *user, struct err *err)
{
    return add_row(context, user->name, user->created_ms, user->key_count, err);
}

enum err_code statement_show_accounts(const struct statement_call *call, struct answer *answer,
                                      struct err *err)
{
    static const struct answer_column columns[] = {
        {"account", TYPE_STRING, true},
        {"created", TYPE_DATETIME, true},
        {"public_keys", TYPE_BIGINT, true},
        {"xcopy_channel", TYPE_STRING, true},
        {"xcopy_channel_changed", TYPE_DATETIME, false},
        {"xcopy_channel_changed_by", TYPE_STRING, false},
    };
    struct accounts_listing listing = {call->services, answer};
    TRY(authorise(call->principal, ACTION_OPERATE, object_region(), err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return account_each(call->services->store, NULL, add_account, &listing, err);
}

enum err_code statement_show_ram_users(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    static const struct answer_column columns[] = {
        {"user", TYPE_STRING, true},
        {"created", TYPE_DATETIME, true},
        {"public_keys", TYPE_BIGINT, true},
    };
    const struct principal *principal = call->principal;
    if (principal->account.n == 0 || principal->user)
        return err_set(err, ERR_DENIED, "%s is no account: it has no RAM users", principal->name);
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    return user_each(call->services->store, NULL, span_text(principal->name), add_user, answer,
                     err);
}

static void add_keys(struct answer *answer, const struct public_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[PUBLIC_IDENTITY_TEXT_BYTES];
        struct public_identity identity = {.sign = keys[i].identity};
        memcpy(identity.noise.b, keys[i].exchange, sizeof(identity.noise.b));
        answer_add_text(answer, span_text(public_identity_format(&identity, text)));
    }
}

/* Of the caller, or of whom it may change. */
static enum err_code keys_authorise(const struct statement_call *call,
                                    const struct principal_name *name, struct err *err)
{
    if (name_equal(span_text(name->text), span_text(call->principal->name)))
        return ERR_OK;
    return drop_authorise(call, name, err);
}

enum err_code statement_show_public_keys(const struct statement_call *call, struct answer *answer,
                                         struct err *err)
{
    static const struct answer_column columns[] = {{"public_key", TYPE_STRING, true}};
    struct store *store = call->services->store;
    struct span of = call->statement->show.user;
    struct principal_name name;
    struct account_record account;
    struct user_record user;
    if (of.len == 0 && call->principal->account.n == 0)
        return err_set(err, ERR_NOT_FOUND, "%s has its key from the node's configuration only",
                       call->principal->name);
    TRY(principal_name_parse(of.len > 0 ? of : span_text(call->principal->name), &name, err));
    TRY(keys_authorise(call, &name, err));
    answer_columns(answer, columns, ARRAY_COUNT(columns));
    if (name.user) {
        TRY(user_find(store, NULL, span_text(name.text), call->arena, &user, err));
        add_keys(answer, user.keys, user.key_count);
    } else {
        TRY(account_find(store, NULL, span_text(name.text), call->arena, &account, err));
        add_keys(answer, account.keys, account.key_count);
    }
    return ERR_OK;
}
