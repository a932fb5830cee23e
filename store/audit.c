#include "store/audit.h"

#include <stdarg.h>

#include "proto/limits.h"
#include "store/audit_chain.h"
#include "store/parts.h"

#define ENTRY_KEY_BYTES   8
#define END_BYTES         (8 + DIGEST_BYTES)
#define OPEN_CHECK_COUNT  1000 /* entries at the end that are checked when the store is opened */
#define COMPARE_WHY_BYTES ERR_MESSAGE_BYTES

static const char end_key[] = "audit";

/* ---- one entry ---- */

static struct digest entry_digest(uint64_t number, struct span value)
{
    struct digest_state state;
    digest_init(&state, DOMAIN_AUDIT);
    digest_update_u64(&state, number);
    digest_update(&state, value);
    return digest_final(&state);
}

static struct span entry_key(uint64_t number, uint8_t key[ENTRY_KEY_BYTES])
{
    store_u64(key, number);
    return span_of(key, ENTRY_KEY_BYTES);
}

/* Before and record of a value; false: it is too short to be one. */
static bool entry_split(struct span value, struct digest *ret_before, struct span *ret_record)
{
    if (value.len < DIGEST_BYTES)
        return false;
    memcpy(ret_before->b, value.data, DIGEST_BYTES);
    *ret_record = span_slice(value, DIGEST_BYTES, value.len - DIGEST_BYTES);
    return true;
}

/* ---- the end of the chain ---- */

void audit_chain_init(struct audit_chain *chain)
{
    pthread_mutex_init(&chain->lock, NULL);
}

void audit_chain_deinit(struct audit_chain *chain)
{
    pthread_mutex_destroy(&chain->lock);
}

void audit_chain_append(struct audit_head *end, struct span record, struct db_batch *batch)
{
    BYTES_CLEANUP struct bytes value = {0};
    uint8_t key[ENTRY_KEY_BYTES];
    uint64_t number = end->count + 1;
    bytes_append_span(&value, digest_span(&end->head));
    bytes_append_span(&value, record);
    db_batch_put(batch, FAMILY_AUDIT, entry_key(number, key), bytes_span(&value));
    *end = (struct audit_head){number, entry_digest(number, bytes_span(&value))};
}

void audit_chain_end_put(const struct audit_head *end, struct db_batch *batch)
{
    uint8_t value[END_BYTES];
    store_u64(value, end->count);
    memcpy(value + 8, end->head.b, DIGEST_BYTES);
    db_batch_put(batch, FAMILY_META, span_text(end_key), span_of(value, sizeof(value)));
}

void audit_chain_committed(struct audit_chain *chain, const struct audit_head *end)
{
    chain->end = *end;
    pthread_mutex_lock(&chain->lock);
    chain->seen = *end;
    pthread_mutex_unlock(&chain->lock);
}

static enum err_code end_read(struct db *db, struct db_view *view, struct audit_head *ret_end,
                              struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    bool found;
    TRY(db_find(db, view, FAMILY_META, span_text(end_key), &value, &found, err));
    *ret_end = (struct audit_head){0};
    if (!found)
        return ERR_OK;
    if (value.len != END_BYTES)
        return err_set(err, ERR_CORRUPT, "audit log: its count and head have %zu bytes", value.len);
    ret_end->count = load_u64(value.data);
    memcpy(ret_end->head.b, value.data + 8, DIGEST_BYTES);
    return ERR_OK;
}

enum err_code audit_chain_reload(struct audit_chain *chain, struct db *db, struct err *err)
{
    struct audit_head end;
    TRY(end_read(db, NULL, &end, err));
    audit_chain_committed(chain, &end);
    chain->stale = false;
    return ERR_OK;
}

/* ---- checking ---- */

struct check {
    struct audit_head end; /* what count and head say */
    struct audit_head at;  /* the entry that was met last, and its digest */
    bool follows;          /* `at` is known: the next one has to follow from it */
    struct arena arena;
    audit_on_fault *on_fault;
    void *context;
    uint64_t faults;
};

__attribute__((format(printf, 2, 3))) static void fault(struct check *check, const char *form, ...)
{
    char what[ERR_MESSAGE_BYTES];
    va_list values;
    va_start(values, form);
    vsnprintf(what, sizeof(what), form, values);
    va_end(values);
    check->faults++;
    if (check->on_fault != NULL)
        check->on_fault(check->context, what);
}

static void gap_check(struct check *check, uint64_t number)
{
    uint64_t wanted = check->at.count + 1;
    if (number == wanted)
        return;
    if (number == wanted + 1)
        fault(check, "audit log: entry %" PRIu64 " is missing: it was taken away", wanted);
    else
        fault(check,
              "audit log: entries %" PRIu64 " to %" PRIu64 " are missing: they were taken away",
              wanted, number - 1);
    check->follows = false;
}

static void entry_check(struct check *check, uint64_t number, struct span value)
{
    struct digest before;
    struct span record_bytes;
    struct audit_record record;
    struct err reason;
    gap_check(check, number);
    arena_reset(&check->arena);
    bool whole = entry_split(value, &before, &record_bytes);
    if (!whole)
        fault(check, "audit log: entry %" PRIu64 " has %zu bytes: it was changed", number,
              value.len);
    else if (check->follows && !digest_equal(&before, &check->at.head))
        fault(check,
              "audit log: entry %" PRIu64 " does not follow from entry %" PRIu64
              ": one of them was changed",
              number, check->at.count);
    if (whole && audit_record_decode(record_bytes, &check->arena, &record, &reason) != ERR_OK)
        fault(check, "audit log: entry %" PRIu64 " cannot be read: %s", number, reason.message);
    check->at = (struct audit_head){number, entry_digest(number, value)};
    check->follows = true;
}

static void end_check(struct check *check)
{
    if (check->at.count < check->end.count)
        fault(check,
              "audit log: it ends with entry %" PRIu64 ", its count is %" PRIu64
              ": the tail was cut off",
              check->at.count, check->end.count);
    else if (check->at.count > check->end.count)
        fault(check,
              "audit log: it ends with entry %" PRIu64 ", its count is %" PRIu64
              ": entries were added, or the count was set back",
              check->at.count, check->end.count);
    else if (check->follows && !digest_equal(&check->at.head, &check->end.head))
        fault(check, "audit log: the last entry, %" PRIu64 ", is not what its head says",
              check->at.count);
}

static enum err_code entries_check(struct check *check, struct db *db, struct db_view *view,
                                   struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    struct span key, value, none = {0};
    uint8_t from[ENTRY_KEY_BYTES];
    bool found;
    TRY(db_iter_open(db, view, FAMILY_AUDIT, none, entry_key(check->at.count + 1, from), &iter,
                     err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        if (key.len != ENTRY_KEY_BYTES)
            fault(check, "audit log: a key of %zu bytes", key.len);
        else
            entry_check(check, load_u64(key.data), value);
    }
    end_check(check);
    return ERR_OK;
}

/* From behind entry `after` on. */
static enum err_code check_run(struct check *check, struct db *db, uint64_t after, struct err *err)
{
    struct db_view *view;
    TRY(db_view_open(db, &view, err));
    enum err_code code = end_read(db, view, &check->end, err);
    check->at.count = after;
    check->follows = after == 0; /* from no entry at all: zeros */
    arena_init(&check->arena, AUDIT_ARENA_BYTES);
    if (code == ERR_OK)
        code = entries_check(check, db, view, err);
    arena_deinit(&check->arena);
    db_view_close(view);
    return code;
}

enum err_code audit_check(struct store *store, audit_on_fault *on_fault, void *context,
                          uint64_t *ret_faults, struct err *err)
{
    struct check check = {.on_fault = on_fault, .context = context};
    TRY(check_run(&check, store->db, 0, err));
    *ret_faults += check.faults;
    return ERR_OK;
}

/* ---- opening ---- */

static void opened_fault(void *context, const char *what)
{
    struct audit_chain *chain = context;
    if (chain->opened.code == ERR_OK) /* the first says most */
        err_set(&chain->opened, ERR_CORRUPT, "%s; straitd --fsck says more", what);
}

enum err_code audit_chain_open(struct audit_chain *chain, struct db *db, struct err *err)
{
    struct audit_head end;
    struct check check = {.on_fault = opened_fault, .context = chain};
    TRY(end_read(db, NULL, &end, err));
    uint64_t after = end.count > OPEN_CHECK_COUNT ? end.count - OPEN_CHECK_COUNT : 0;
    TRY(check_run(&check, db, after, err));
    if (check.at.count > end.count) /* no entry is ever written over */
        end.count = check.at.count;
    audit_chain_committed(chain, &end);
    return ERR_OK;
}

enum err_code audit_opened(struct store *store, struct err *err)
{
    const struct err *opened = &store->audit.opened;
    return opened->code == ERR_OK ? ERR_OK : err_set(err, opened->code, "%s", opened->message);
}

/* ---- adding ---- */

void audit_put(struct catalog_change *change, const struct audit_record *record)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    audit_record_encode(record, &encoded);
    catalog_audit(change, bytes_span(&encoded));
}

enum err_code audit_commit(struct store *store, const struct audit_record *record, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    audit_put(&change, record);
    return catalog_commit(store, &change, CATALOG_KEEP_RESERVE, err);
}

struct audit_head audit_head_get(struct store *store)
{
    pthread_mutex_lock(&store->audit.lock);
    struct audit_head seen = store->audit.seen;
    pthread_mutex_unlock(&store->audit.lock);
    return seen;
}

/* ---- reading ---- */

static enum err_code entry_decode(uint64_t number, struct span value, struct arena *arena,
                                  struct audit_entry *ret_entry, struct err *err)
{
    struct audit_entry entry = {.number = number, .digest = entry_digest(number, value)};
    struct digest before;
    struct span record;
    struct err reason;
    if (!entry_split(value, &before, &record))
        return err_set(err, ERR_CORRUPT, "audit log: entry %" PRIu64 " has %zu bytes", number,
                       value.len);
    if (audit_record_decode(record, arena, &entry.record, &reason) != ERR_OK)
        return err_set(err, ERR_CORRUPT, "audit log: entry %" PRIu64 ": %s", number,
                       reason.message);
    *ret_entry = entry;
    return ERR_OK;
}

enum err_code audit_each(struct store *store, uint64_t from, size_t count_max, on_audit *callback,
                         void *context, uint64_t *ret_next, struct err *err)
{
    DB_ITER_CLEANUP struct db_iter *iter = NULL;
    ARENA_CLEANUP struct arena arena;
    struct span key, value, none = {0};
    uint8_t first[ENTRY_KEY_BYTES];
    bool stop = false;
    arena_init(&arena, AUDIT_ARENA_BYTES);
    TRY(db_iter_open(store->db, NULL, FAMILY_AUDIT, none, entry_key(from, first), &iter, err));
    uint64_t next = from;
    for (size_t i = 0; i < count_max && !stop; i++) {
        bool found;
        struct audit_entry entry;
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            break;
        if (key.len != ENTRY_KEY_BYTES || load_u64(key.data) != next)
            return err_set(err, ERR_CORRUPT,
                           "audit log: entry %" PRIu64 " is missing; straitd --fsck says more",
                           next);
        arena_reset(&arena);
        TRY(entry_decode(next, value, &arena, &entry, err));
        TRY(callback(context, &entry, &stop, err));
        next++;
    }
    *ret_next = next;
    return ERR_OK;
}

/* ---- comparing ---- */

enum err_code audit_compare(struct store *store, const struct audit_head *known, bool *ret_is,
                            char *ret_why, struct err *err)
{
    BYTES_CLEANUP struct bytes value = {0};
    uint8_t key[ENTRY_KEY_BYTES];
    struct digest found_digest = {{0}};
    bool found = true;
    if (known->count > 0)
        TRY(db_find(store->db, NULL, FAMILY_AUDIT, entry_key(known->count, key), &value, &found,
                    err));
    if (found && known->count > 0)
        found_digest = entry_digest(known->count, bytes_span(&value));
    *ret_is = found && digest_equal(&found_digest, &known->head);
    char hex[DIGEST_HEX_BYTES];
    if (!found)
        snprintf(ret_why, COMPARE_WHY_BYTES,
                 "audit log: it had %" PRIu64 " entries once, and entry %" PRIu64
                 " is not there: the tail was cut off",
                 known->count, known->count);
    else if (!*ret_is)
        snprintf(ret_why, COMPARE_WHY_BYTES,
                 "audit log: entry %" PRIu64
                 " is not the one that was there: the head was %s, what is there was written later",
                 known->count, digest_hex(&known->head, hex));
    return ERR_OK;
}
