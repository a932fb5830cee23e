#include "node/task/token_use.h"

#include "node/task/lease.h"
#include "store/catalog_keys.h"
#include "store/restored.h"

#define KEY_USE    'u'
#define KEY_RUN    'v'
#define KEY_REVOKE 'x'

#define USE_FORM      2
#define USE_BYTES_OLD (16 + 8) /* form 1 */
#define DAY_S         86400
#define RUN_KEPT_S    (TOKEN_ONCE_LIFE_S + DAY_S) /* no run takes longer */
#define ID_BYTES      sizeof(struct token_id)
#define KEY_BYTES_MAX (1 + 8 + 8 + ID_BYTES)
#define REVOKE_BYTES  (8 + 8) /* before the name */
#define CLOCK_AHEAD_S 300     /* a token may be that much from the future (xcopy_rights.c) */
#define UNSEEN_LIFE_S (TOKEN_STANDING_LIFE_S + CLOCK_AHEAD_S)

/* ---- ids as text ---- */

const char *token_id_format(const struct token_id *id, char ret_text[TOKEN_ID_TEXT_BYTES])
{
    sodium_bin2hex(ret_text, TOKEN_ID_TEXT_BYTES, id->b, sizeof(id->b));
    return ret_text;
}

bool token_id_parse(struct span text, struct token_id *ret_id)
{
    return hex_decode(text, ret_id->b, sizeof(ret_id->b));
}

/* ---- records ---- */

static struct span use_key(const struct token_id *id, uint8_t key[KEY_BYTES_MAX])
{
    key[0] = KEY_USE;
    memcpy(key + 1, id->b, ID_BYTES);
    return span_of(key, 1 + ID_BYTES);
}

/* Tasks have the ids that their node gives them: so a run is of one snapshot, too. */
static void run_key(const struct token_use *use, struct bytes *key)
{
    bytes_append_u8(key, KEY_RUN);
    bytes_append(key, use->token.id.b, ID_BYTES);
    bytes_append(key, use->task.b, sizeof(use->task.b));
    bytes_append_span(key, use->snapshot);
}

struct revoker {
    struct account_id account;
    uint64_t number; /* a RAM user's; 0: the account itself */
};

static struct revoker revoker_of(const struct principal *principal)
{
    return (struct revoker){principal->account, principal->user ? principal->number : 0};
}

#define REVOKER_BYTES (1 + 8 + 8)
static struct span revoke_key(struct revoker by, const struct token_id *id,
                              uint8_t key[KEY_BYTES_MAX])
{
    key[0] = KEY_REVOKE;
    store_u64(key + 1, by.account.n);
    store_u64(key + 9, by.number);
    memcpy(key + REVOKER_BYTES, id->b, ID_BYTES);
    return span_of(key, KEY_BYTES_MAX);
}

struct use_record {
    bool listed; /* false: of form 1, of which only task and not_after_s are known */
    struct account_id account;
    uint64_t number;
    struct span signer;
    uint64_t used_ms;
    struct task_id task;
    uint64_t day;
    uint32_t runs;
    uint64_t not_after_s;
    struct token token;
    struct span encoded;
};

static void use_encode(const struct use_record *use, struct bytes *out)
{
    bytes_append_u8(out, USE_FORM);
    bytes_append_u64(out, use->account.n);
    bytes_append_u64(out, use->number);
    bytes_append_u32(out, (uint32_t)use->signer.len);
    bytes_append_span(out, use->signer);
    bytes_append_u64(out, use->used_ms);
    bytes_append(out, use->task.b, sizeof(use->task.b));
    bytes_append_u64(out, use->day);
    bytes_append_u32(out, use->runs);
    bytes_append_u32(out, (uint32_t)use->encoded.len);
    bytes_append_span(out, use->encoded);
}

static enum err_code use_decode(struct span record, struct use_record *ret_use, struct err *err)
{
    struct reader reader = reader_of(record);
    struct use_record use = {.listed = record.len != USE_BYTES_OLD};
    if (!use.listed) {
        reader_copy(&reader, use.task.b, sizeof(use.task.b));
        use.not_after_s = reader_u64(&reader);
        *ret_use = use;
        return ERR_OK;
    }
    uint8_t form = reader_u8(&reader);
    use.account.n = reader_u64(&reader);
    use.number = reader_u64(&reader);
    use.signer = reader_span(&reader, reader_u32(&reader));
    use.used_ms = reader_u64(&reader);
    reader_copy(&reader, use.task.b, sizeof(use.task.b));
    use.day = reader_u64(&reader);
    use.runs = reader_u32(&reader);
    use.encoded = reader_span(&reader, reader_u32(&reader));
    if (!reader_end(&reader) || form != USE_FORM ||
        token_decode(use.encoded, &use.token, NULL) != ERR_OK)
        return err_set(err, ERR_CORRUPT, "the record of a token's use is damaged");
    use.not_after_s = use.token.not_after_s;
    *ret_use = use;
    return ERR_OK;
}

/* *ret_use borrows from `record`. */
static enum err_code use_find(struct store *store, const struct token_id *id, struct bytes *record,
                              struct use_record *ret_use, bool *ret_found, struct err *err)
{
    uint8_t key[KEY_BYTES_MAX];
    TRY(catalog_find(store, NULL, FAMILY_LEASES, use_key(id, key), record, ret_found, err));
    return *ret_found ? use_decode(bytes_span(record), ret_use, err) : ERR_OK;
}

/* ---- using ---- */

/* Whether it was used after the backup that this node was restored from is not known here. */
static enum err_code not_before_restore(struct store *store, const struct token *token,
                                        struct err *err)
{
    struct restored restored;
    TRY(restored_get(store, &restored, err));
    if (token->issued_s >= restored.restored_ms / 1000)
        return ERR_OK;
    return err_set(err, ERR_DENIED,
                   "the token was signed before this region was restored from a backup, and may "
                   "have been used since that was cut: start the XCOPY again");
}

static bool task_equal(const struct task_id *a, const struct task_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* A run of a standing token: counts unless the task has had it before, for this snapshot. */
static enum err_code run_check(struct store *store, const struct token_use *use,
                               struct use_record *record, struct catalog_change *change,
                               struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0}, value = {0};
    bool had;
    run_key(use, &key);
    TRY(catalog_find(store, NULL, FAMILY_LEASES, bytes_span(&key), &value, &had, err));
    uint64_t now_s = use->now_ms / 1000;
    uint32_t most = use->token.runs_a_day < LIMIT_TOKEN_RUNS_A_DAY ? use->token.runs_a_day
                                                                   : LIMIT_TOKEN_RUNS_A_DAY;
    if (had)
        return ERR_OK;
    if (record->day != now_s / DAY_S)
        record->runs = 0;
    record->day = now_s / DAY_S;
    if (record->runs >= most)
        return err_set(err, ERR_DENIED,
                       "the token of schedule %.*s has had its %" PRIu32 " runs of today (UTC)",
                       SPAN_PRINTF(use->token.schedule), most);
    record->runs++;
    if (change == NULL)
        return ERR_OK;
    uint8_t when[8];
    store_u64(when, now_s);
    catalog_put(change, FAMILY_LEASES, bytes_span(&key), span_of(when, sizeof(when)));
    return ERR_OK;
}

enum err_code token_use_check(struct store *store, const struct token_use *use,
                              struct catalog_change *change, struct err *err)
{
    BYTES_CLEANUP struct bytes old = {0};
    BYTES_CLEANUP struct bytes new = {0};
    uint8_t raw[KEY_BYTES_MAX];
    struct span key = use_key(&use->token.id, raw);
    struct use_record record = {0};
    bool found;
    TRY(use_find(store, &use->token.id, &old, &record, &found, err));
    if (use->token.kind == TOKEN_STANDING)
        TRY(run_check(store, use, &record, change, err));
    else if (found && !task_equal(&record.task, &use->task))
        return err_set(err, ERR_DENIED, "the token was used by another task");
    else if (!found)
        TRY(not_before_restore(store, &use->token, err));
    if (change == NULL)
        return ERR_OK;
    if (found)
        catalog_expect(change, FAMILY_LEASES, key, bytes_span(&old));
    else
        catalog_expect_absent(change, FAMILY_LEASES, key);
    record.account = use->signer.account;
    record.number = use->signer.number;
    record.signer = span_text(use->signer.name);
    record.used_ms = record.listed ? record.used_ms : use->now_ms;
    record.task = use->task;
    record.encoded = use->encoded;
    use_encode(&record, &new);
    catalog_put(change, FAMILY_LEASES, key, bytes_span(&new));
    return ERR_OK;
}

/* ---- revoking ---- */

struct revocation {
    uint64_t kept_until_s;
    uint64_t revoked_ms; /* 0: none */
    struct span by;
};

static enum err_code revocation_decode(struct span record, struct revocation *ret, struct err *err)
{
    struct reader reader = reader_of(record);
    struct revocation revocation;
    if (record.len <= REVOKE_BYTES)
        return err_set(err, ERR_CORRUPT, "the record of a revoked token is damaged");
    revocation.kept_until_s = reader_u64(&reader);
    revocation.revoked_ms = reader_u64(&reader);
    revocation.by = reader.left;
    *ret = revocation;
    return ERR_OK;
}

/* *ret borrows from `record`; revoked_ms 0: neither the account nor the user. */
static enum err_code revocation_find(struct store *store, struct revoker by,
                                     const struct token_id *id, struct bytes *record,
                                     struct revocation *ret, struct err *err)
{
    const struct revoker who[] = {{by.account, 0}, by};
    *ret = (struct revocation){0};
    for (size_t i = 0; i < (by.number != 0 ? 2 : 1); i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool found;
        TRY(catalog_find(store, NULL, FAMILY_LEASES, revoke_key(who[i], id, key), record, &found,
                         err));
        if (found)
            return revocation_decode(bytes_span(record), ret, err);
    }
    return ERR_OK;
}

enum err_code token_not_revoked(struct store *store, const struct principal *signer,
                                const struct token_id *id, struct err *err)
{
    BYTES_CLEANUP struct bytes record = {0};
    struct revocation revocation;
    TRY(revocation_find(store, revoker_of(signer), id, &record, &revocation, err));
    if (revocation.revoked_ms == 0)
        return ERR_OK;
    return err_set(err, ERR_DENIED, "the token was revoked by %.*s", SPAN_PRINTF(revocation.by));
}

static enum err_code revocations_check(struct store *store, const struct principal *principal,
                                       struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    static const struct token_id none;
    uint8_t key[KEY_BYTES_MAX];
    struct span prefix = revoke_key(revoker_of(principal), &none, key);
    prefix.len = REVOKER_BYTES;
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, prefix, span_of(NULL, 0), &iter, err));
    for (size_t count = 0; count < LIMIT_TOKEN_REVOCATIONS; count++) {
        struct span at, value;
        bool found;
        TRY(db_iter_next(iter, &at, &value, &found, err));
        if (!found)
            return ERR_OK;
    }
    return err_set(err, ERR_LIMIT,
                   "%s has revoked %d tokens that may still come; DROP PUBLIC KEY of the key that "
                   "signed ends all of its tokens",
                   principal->name, LIMIT_TOKEN_REVOCATIONS);
}

/* Whose the token is decides what is told, and how long the revocation is kept. */
static bool use_is_of(const struct use_record *use, const struct principal *principal)
{
    return use->listed && use->account.n == principal->account.n &&
           (!principal->user || use->number == principal->number);
}

enum err_code token_revoke(struct store *store, const struct principal *principal,
                           const struct token_id *id, const struct change_note *note,
                           bool *ret_seen, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes old = {0};
    BYTES_CLEANUP struct bytes value = {0};
    uint8_t raw[KEY_BYTES_MAX];
    struct span key = revoke_key(revoker_of(principal), id, raw);
    struct use_record use;
    bool found, revoked;
    TRY(use_find(store, id, &value, &use, &found, err));
    bool seen = found && use_is_of(&use, principal);
    uint64_t until_s = seen ? use.not_after_s : note->now_ms / 1000 + UNSEEN_LIFE_S;
    TRY(catalog_find(store, NULL, FAMILY_LEASES, key, &old, &revoked, err));
    if (!revoked) {
        TRY(revocations_check(store, principal, err));
        bytes_clear(&value);
        bytes_append_u64(&value, until_s);
        bytes_append_u64(&value, note->now_ms);
        bytes_append_text(&value, principal->name);
        catalog_expect_absent(&change, FAMILY_LEASES, key);
        catalog_put(&change, FAMILY_LEASES, key, bytes_span(&value));
    }
    TRY(catalog_commit_noted(store, &change, note, CATALOG_USE_RESERVE, err));
    *ret_seen = seen;
    return ERR_OK;
}

/* ---- listing ---- */

struct found_token {
    uint64_t when_ms; /* it was used first, or revoked */
    struct token_id id;
    bool used;
    struct revoker revoker; /* of one that was not used */
};

struct found_list {
    struct found_token *items; /* owned */
    size_t count, capacity;
};

static void found_list_deinit(struct found_list *list)
{
    mem_free(list->items);
}
#define FOUND_LIST_CLEANUP __attribute__((cleanup(found_list_deinit)))

static int newer_first(const void *a, const void *b)
{
    const struct found_token *x = a, *y = b;
    if (x->when_ms != y->when_ms)
        return x->when_ms > y->when_ms ? -1 : 1;
    return memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

/* The newest stay. */
static void found_list_cut(struct found_list *list)
{
    if (list->count > 0)
        qsort(list->items, list->count, sizeof(*list->items), newer_first);
    if (list->count > LIMIT_SCREEN_ROWS)
        list->count = LIMIT_SCREEN_ROWS;
}

static void found_list_add(struct found_list *list, struct found_token token)
{
    if (list->count == list->capacity && list->capacity >= 2 * LIMIT_SCREEN_ROWS)
        found_list_cut(list);
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = mem_realloc(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = token;
}

static enum err_code used_find(struct store *store, const struct principal *reader,
                               struct found_list *list, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, span_text("u"), span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct use_record use;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != 1 + ID_BYTES || use_decode(value, &use, NULL) != ERR_OK ||
            !use_is_of(&use, reader))
            continue;
        struct found_token token = {.when_ms = use.used_ms, .used = true};
        memcpy(token.id.b, key.data + 1, ID_BYTES);
        found_list_add(list, token);
    }
}

/* Of the reader, or (an account's) of its users too. */
static enum err_code revoked_find(struct store *store, const struct principal *reader,
                                  struct found_list *list, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    static const struct token_id none;
    uint8_t raw[KEY_BYTES_MAX];
    struct span prefix = revoke_key(revoker_of(reader), &none, raw);
    prefix.len = reader->user ? REVOKER_BYTES : 1 + 8;
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, prefix, span_of(NULL, 0), &iter, err));
    for (;;) {
        struct span key, value;
        struct revocation revocation;
        BYTES_CLEANUP struct bytes record = {0};
        struct use_record use;
        struct found_token token = {0};
        bool found, used;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != KEY_BYTES_MAX || revocation_decode(value, &revocation, NULL) != ERR_OK)
            continue;
        token.revoker = (struct revoker){reader->account, load_u64(key.data + 9)};
        memcpy(token.id.b, key.data + REVOKER_BYTES, ID_BYTES);
        token.when_ms = revocation.revoked_ms;
        TRY(use_find(store, &token.id, &record, &use, &used, err));
        if (!used || !use_is_of(&use, reader)) /* else it is listed as used */
            found_list_add(list, token);
    }
}

static enum err_code is_leased(struct store *store, const struct use_record *use, bool *ret_leased,
                               struct err *err)
{
    BYTES_CLEANUP struct bytes record = {0};
    uint8_t key[1 + DIGEST_BYTES] = {'l'};
    struct lease_id lease = lease_id_of(&use->token.destination_node, &use->task);
    memcpy(key + 1, lease.digest.b, DIGEST_BYTES);
    return catalog_find(store, NULL, FAMILY_LEASES, span_of(key, sizeof(key)), &record, ret_leased,
                        err);
}

static enum err_code row_of_use(struct store *store, const struct use_record *use, uint64_t now_s,
                                struct token_row *row, struct err *err)
{
    bool leased;
    TRY(is_leased(store, use, &leased, err));
    row->used = true;
    row->token = use->token;
    row->signer = use->signer;
    row->task = use->task;
    row->used_ms = use->used_ms;
    row->runs_today = use->day == now_s / DAY_S ? use->runs : 0;
    if (now_s > use->not_after_s)
        row->state = TOKEN_STATE_ENDED;
    else
        row->state = leased ? TOKEN_STATE_LEASED : TOKEN_STATE_USED;
    return ERR_OK;
}

/* What a row borrows from. */
struct row_records {
    struct bytes use, revocation;
};

static void row_records_deinit(struct row_records *records)
{
    bytes_deinit(&records->use);
    bytes_deinit(&records->revocation);
}

static enum err_code row_find(struct store *store, const struct found_token *token, uint64_t now_s,
                              struct row_records *records, struct token_row *row, struct err *err)
{
    struct use_record use;
    struct revocation revocation;
    struct revoker revoker = token->revoker;
    bool found = false;
    *row = (struct token_row){.id = token->id, .state = TOKEN_STATE_ENDED};
    if (token->used)
        TRY(use_find(store, &token->id, &records->use, &use, &found, err));
    if (found) {
        TRY(row_of_use(store, &use, now_s, row, err));
        revoker = (struct revoker){use.account, use.number == use.account.n ? 0 : use.number};
    }
    TRY(revocation_find(store, revoker, &token->id, &records->revocation, &revocation, err));
    row->revoked_ms = revocation.revoked_ms;
    row->revoked_by = revocation.by;
    if (revocation.revoked_ms != 0)
        row->state = TOKEN_STATE_REVOKED;
    return ERR_OK;
}

enum err_code token_each(struct store *store, const struct principal *reader, uint64_t now_s,
                         on_token *callback, void *context, struct err *err)
{
    FOUND_LIST_CLEANUP struct found_list list = {0};
    TRY(used_find(store, reader, &list, err));
    TRY(revoked_find(store, reader, &list, err));
    found_list_cut(&list);
    for (size_t i = 0; i < list.count; i++) {
        __attribute__((cleanup(row_records_deinit))) struct row_records records = {0};
        struct token_row row;
        TRY(row_find(store, &list.items[i], now_s, &records, &row, err));
        TRY(callback(context, &row, err));
    }
    return ERR_OK;
}

const char *token_state_name(enum token_state state)
{
    static const char *const names[] = {[TOKEN_STATE_USED] = "USED",
                                        [TOKEN_STATE_LEASED] = "LEASED",
                                        [TOKEN_STATE_REVOKED] = "REVOKED",
                                        [TOKEN_STATE_ENDED] = "ENDED"};
    return names[state];
}

/* ---- forgetting ---- */

typedef uint64_t kept_until(struct span value);

static uint64_t use_kept_until(struct span value)
{
    struct use_record use;
    return use_decode(value, &use, NULL) == ERR_OK ? use.not_after_s : UINT64_MAX;
}

static uint64_t run_kept_until(struct span value)
{
    return value.len == 8 ? load_u64(value.data) + RUN_KEPT_S : UINT64_MAX;
}

static uint64_t revocation_kept_until(struct span value)
{
    return value.len > REVOKE_BYTES ? load_u64(value.data) : UINT64_MAX;
}

static enum err_code forget(struct store *store, const char *prefix, kept_until *until,
                            uint64_t now_s, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    TRY(catalog_scan(store, NULL, FAMILY_LEASES, span_text(prefix), span_of(NULL, 0), &iter, err));
    while (change.bytes < CATALOG_COMMIT_BYTES_MAX / 2) {
        struct span key, value;
        bool found;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        if (until(value) < now_s)
            catalog_delete(&change, FAMILY_LEASES, key);
    }
    db_iter_close(iter);
    iter = NULL;
    return change.bytes == 0 ? ERR_OK : catalog_commit(store, &change, CATALOG_USE_RESERVE, err);
}

enum err_code token_uses_forget(struct store *store, uint64_t now_s, struct err *err)
{
    TRY(forget(store, "u", use_kept_until, now_s, err));
    TRY(forget(store, "v", run_kept_until, now_s, err));
    return forget(store, "x", revocation_kept_until, now_s, err);
}
