#include "store/catalog_commit.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/family.h"
#include "store/parts.h"

enum step_kind {
    STEP_EXPECT = 1,
    STEP_EXPECT_ABSENT = 2,
    STEP_PUT = 3,
    STEP_DELETE = 4,
    STEP_AUDIT = 5,
};

struct step {
    enum step_kind kind;
    enum family family;
    struct span key;
    struct span value;
};

/* ---- building a change ---- */

void catalog_change_deinit(struct catalog_change *change)
{
    bytes_deinit(&change->steps);
    change->bytes = 0;
}

void catalog_change_clear(struct catalog_change *change)
{
    bytes_clear(&change->steps);
    change->bytes = 0;
}

static void step_add(struct catalog_change *change, enum step_kind kind, enum family family,
                     struct span key, struct span value)
{
    ASSERT(family >= FAMILY_CATALOG && family < FAMILY_COUNT);
    ASSERT(kind == STEP_AUDIT || family != FAMILY_AUDIT); /* added to, and in no other way */
    ASSERT(key.len <= UINT16_MAX && value.len <= UINT32_MAX);
    bytes_append_u8(&change->steps, (uint8_t)kind);
    bytes_append_u8(&change->steps, (uint8_t)family);
    bytes_append_u16(&change->steps, (uint16_t)key.len);
    bytes_append_span(&change->steps, key);
    bytes_append_u32(&change->steps, (uint32_t)value.len);
    bytes_append_span(&change->steps, value);
    if (kind == STEP_PUT || kind == STEP_DELETE)
        change->bytes += key.len + value.len;
}

void catalog_expect(struct catalog_change *change, enum family family, struct span key,
                    struct span value)
{
    step_add(change, STEP_EXPECT, family, key, value);
}

void catalog_expect_absent(struct catalog_change *change, enum family family, struct span key)
{
    step_add(change, STEP_EXPECT_ABSENT, family, key, span_of(NULL, 0));
}

void catalog_put(struct catalog_change *change, enum family family, struct span key,
                 struct span value)
{
    step_add(change, STEP_PUT, family, key, value);
}

void catalog_delete(struct catalog_change *change, enum family family, struct span key)
{
    step_add(change, STEP_DELETE, family, key, span_of(NULL, 0));
}

void catalog_audit(struct catalog_change *change, struct span record)
{
    step_add(change, STEP_AUDIT, FAMILY_AUDIT, span_of(NULL, 0), record);
    change->bytes += record.len + AUDIT_ENTRY_BYTES;
}

static bool step_next(struct reader *reader, struct step *ret_step)
{
    if (reader->left.len == 0)
        return false;
    ret_step->kind = (enum step_kind)reader_u8(reader);
    ret_step->family = (enum family)reader_u8(reader);
    ret_step->key = reader_span(reader, reader_u16(reader));
    ret_step->value = reader_span(reader, reader_u32(reader));
    ASSERT(reader_ok(reader));
    return true;
}

/* ---- sequences ---- */

/* What the change itself puts under the key; the last one counts. */
static bool change_find_put(const struct catalog_change *change, enum family family,
                            struct span key, struct span *ret_value)
{
    struct reader reader = reader_of(bytes_span(&change->steps));
    struct step step;
    bool found = false;
    while (step_next(&reader, &step)) {
        if (step.kind == STEP_PUT && step.family == family && span_equal(step.key, key)) {
            *ret_value = step.value;
            found = true;
        }
    }
    return found;
}

/* *ret_stored is empty when none was taken ever. */
static enum err_code sequence_expect(struct store *store, struct catalog_change *change,
                                     struct span name, struct bytes *ret_stored, struct err *err)
{
    bool found;
    TRY(db_find(store->db, NULL, FAMILY_META, name, ret_stored, &found, err));
    if (found)
        catalog_expect(change, FAMILY_META, name, bytes_span(ret_stored));
    else
        catalog_expect_absent(change, FAMILY_META, name);
    return ERR_OK;
}

enum err_code catalog_sequence_expect(struct store *store, struct catalog_change *change,
                                      const char *sequence, struct err *err)
{
    struct bytes key BYTES_CLEANUP = {0};
    struct bytes stored BYTES_CLEANUP = {0};
    bytes_printf(&key, "sequence/%s", sequence);
    return sequence_expect(store, change, bytes_span(&key), &stored, err);
}

enum err_code catalog_sequence_take(struct store *store, struct catalog_change *change,
                                    const char *sequence, uint64_t *ret_number, struct err *err)
{
    struct bytes key BYTES_CLEANUP = {0};
    struct bytes stored BYTES_CLEANUP = {0};
    struct span last = {0};
    bytes_printf(&key, "sequence/%s", sequence);
    struct span name = bytes_span(&key);
    if (!change_find_put(change, FAMILY_META, name, &last)) {
        TRY(sequence_expect(store, change, name, &stored, err));
        last = bytes_span(&stored);
    }
    if (last.len != 0 && last.len != 8)
        return err_set(err, ERR_CORRUPT, "sequence %s: a record of %zu bytes", sequence, last.len);
    uint64_t number = last.len == 0 ? 1 : load_u64(last.data) + 1;
    uint8_t raw[8];
    store_u64(raw, number);
    catalog_put(change, FAMILY_META, name, span_of(raw, sizeof(raw)));
    *ret_number = number;
    return ERR_OK;
}

/* ---- commit ---- */

/* A key for people: text as it is, the rest in hex; cut. */
static void key_print(struct span key, struct bytes *out)
{
    for (size_t i = 0; i < key.len && i < 64; i++) {
        uint8_t byte = key.data[i];
        if (byte > ' ' && byte < 0x7F)
            bytes_append_u8(out, byte);
        else
            bytes_printf(out, "\\%02x", byte);
    }
    bytes_append_u8(out, 0);
}

/* What the changes before it make of the key, else what the database has. */
static enum err_code expected_find(struct db *db, const struct db_batch *before,
                                   const struct step *step, struct bytes *scratch, bool *ret_found,
                                   struct err *err)
{
    struct span value;
    if (!db_batch_find(before, step->family, step->key, &value, ret_found))
        return db_find(db, NULL, step->family, step->key, scratch, ret_found, err);
    bytes_clear(scratch);
    bytes_append_span(scratch, value);
    return ERR_OK;
}

static enum err_code expectation_check(struct db *db, const struct db_batch *before,
                                       const struct step *step, struct bytes *scratch,
                                       struct err *err)
{
    bool found;
    TRY(expected_find(db, before, step, scratch, &found, err));
    bool met =
        step->kind == STEP_EXPECT ? found && span_equal(bytes_span(scratch), step->value) : !found;
    if (met)
        return ERR_OK;
    struct bytes key BYTES_CLEANUP = {0};
    key_print(step->key, &key);
    return err_set(err, ERR_CONFLICT, "%s %s %s", family_name(step->family), (const char *)key.data,
                   step->kind == STEP_EXPECT_ABSENT ? "exists meanwhile"
                   : found                          ? "has changed meanwhile"
                                                    : "is gone meanwhile");
}

/* Expectations are of the state before the change, wherever they stand in it. */
static enum err_code change_check(struct db *db, const struct catalog_change *change,
                                  const struct db_batch *before, struct err *err)
{
    struct bytes scratch BYTES_CLEANUP = {0};
    struct reader reader = reader_of(bytes_span(&change->steps));
    struct step step;
    while (step_next(&reader, &step)) {
        if (step.kind == STEP_EXPECT || step.kind == STEP_EXPECT_ABSENT)
            TRY(expectation_check(db, before, &step, &scratch, err));
    }
    CRASH_POINT(CRASH_CATALOG_CHECKED);
    return ERR_OK;
}

static void change_add(const struct catalog_change *change, struct audit_head *end,
                       struct db_batch *batch)
{
    struct reader reader = reader_of(bytes_span(&change->steps));
    struct step step;
    while (step_next(&reader, &step)) {
        if (step.kind == STEP_PUT)
            db_batch_put(batch, step.family, step.key, step.value);
        else if (step.kind == STEP_DELETE)
            db_batch_delete(batch, step.family, step.key);
        else if (step.kind == STEP_AUDIT)
            audit_chain_append(end, step.value, batch);
    }
}

/* ---- the line: who comes while a write runs goes into the next, with all others ---- */

void catalog_line_init(struct catalog_line *line)
{
    *line = (struct catalog_line){0};
    line->last = &line->first;
    pthread_mutex_init(&line->lock, NULL);
    pthread_cond_init(&line->moved, NULL);
}

void catalog_line_deinit(struct catalog_line *line)
{
    pthread_cond_destroy(&line->moved);
    pthread_mutex_destroy(&line->lock);
}

static void line_enter(struct catalog_line *line, struct catalog_wait *wait)
{
    pthread_mutex_lock(&line->lock);
    *line->last = wait;
    line->last = &wait->next;
    pthread_mutex_unlock(&line->lock);
}

/* Until it is done (false), or nobody leads: then the caller does. */
static bool line_lead(struct catalog_line *line, const struct catalog_wait *wait)
{
    pthread_mutex_lock(&line->lock);
    while (!wait->done && line->led)
        pthread_cond_wait(&line->moved, &line->lock);
    bool leads = !wait->done;
    if (leads)
        line->led = true;
    pthread_mutex_unlock(&line->lock);
    return leads;
}

/* The leader gives up, and leaves: another one may do better. */
static void line_leave(struct catalog_line *line, const struct catalog_wait *wait)
{
    pthread_mutex_lock(&line->lock);
    struct catalog_wait **at = &line->first;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    if (wait->next == NULL)
        line->last = at;
    line->led = false;
    pthread_cond_broadcast(&line->moved);
    pthread_mutex_unlock(&line->lock);
}

/* The first in line, as many as go into one write. */
static struct catalog_wait *group_take(struct catalog_line *line)
{
    pthread_mutex_lock(&line->lock);
    struct catalog_wait *group = line->first, **at = &line->first;
    for (size_t bytes = 0; *at != NULL && bytes < CATALOG_GROUP_BYTES_MAX; at = &(*at)->next)
        bytes += (*at)->change->steps.len;
    line->first = *at;
    if (line->first == NULL)
        line->last = &line->first;
    *at = NULL;
    line->writes++;
    pthread_mutex_unlock(&line->lock);
    return group;
}

static void group_end(struct catalog_line *line, struct catalog_wait *group)
{
    pthread_mutex_lock(&line->lock);
    for (struct catalog_wait *wait = group; wait != NULL; wait = wait->next)
        wait->done = true;
    line->led = false;
    pthread_cond_broadcast(&line->moved);
    pthread_mutex_unlock(&line->lock);
}

/* The leader's. One write in the order of the line; each expects what those before it leave. */
static void group_write(struct store *store, struct catalog_wait *group)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    struct audit_head end = store->audit.end;
    struct err failure = {0};
    bool any = false, sync = false;
    for (struct catalog_wait *wait = group; wait != NULL; wait = wait->next) {
        wait->code = change_check(store->db, wait->change, &batch, wait->err);
        if (wait->code == ERR_OK)
            change_add(wait->change, &end, &batch);
        any = any || wait->code == ERR_OK;
        sync = sync || (wait->code == ERR_OK && !wait->change->later);
    }
    bool audited = end.count != store->audit.end.count;
    if (audited)
        audit_chain_end_put(&end, &batch);
    enum err_code code = any ? db_write(store->db, &batch, sync, &failure) : ERR_OK;
    if (audited && code == ERR_OK)
        audit_chain_committed(&store->audit, &end);
    else if (audited)
        store->audit.stale = true;
    for (struct catalog_wait *wait = group; wait != NULL && code != ERR_OK; wait = wait->next) {
        if (wait->code == ERR_OK)
            wait->code = err_set(wait->err, code, "%s", failure.message);
    }
}

/* The leader's: the database in order and the end of the audit log known. What a failed write left
 * is open until the database was opened anew. */
static enum err_code lead_ready(struct store *store, struct err *err)
{
    TRY(db_recover(store->db, err));
    while (store->audit.stale) {
        if (!db_latched(store->db))
            return audit_chain_reload(&store->audit, store->db, err);
        TRY(db_recover(store->db, err));
    }
    return ERR_OK;
}

static enum err_code line_commit(struct store *store, const struct catalog_change *change,
                                 struct err *err)
{
    struct catalog_line *line = &store->catalog_line;
    struct catalog_wait wait = {.change = change, .err = err};
    line_enter(line, &wait);
    while (line_lead(line, &wait)) {
        enum err_code code = lead_ready(store, err);
        if (code != ERR_OK) {
            line_leave(line, &wait);
            return code;
        }
        struct catalog_wait *group = group_take(line);
        group_write(store, group);
        group_end(line, group);
    }
    return wait.code;
}

enum err_code catalog_commit(struct store *store, const struct catalog_change *change,
                             enum catalog_space space, struct err *err)
{
    if (change->bytes > CATALOG_COMMIT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a catalog change of %zu bytes; at most %zu", change->bytes,
                       (size_t)CATALOG_COMMIT_BYTES_MAX);
    if (space == CATALOG_KEEP_RESERVE)
        TRY(space_check(&store->space, change->bytes, err));
    TRY(line_commit(store, change, err));
    CRASH_POINT(CRASH_CATALOG_WRITTEN);
    return ERR_OK;
}

/* ---- reading ---- */

enum err_code catalog_view_open(struct store *store, struct db_view **ret_view, struct err *err)
{
    return db_view_open(store->db, ret_view, err);
}

void catalog_view_close(struct db_view *view)
{
    db_view_close(view);
}

void catalog_view_close_pointer(struct db_view **view)
{
    db_view_close(*view);
}

enum err_code catalog_find(struct store *store, struct db_view *view, enum family family,
                           struct span key, struct bytes *ret_value, bool *ret_found,
                           struct err *err)
{
    return db_find(store->db, view, family, key, ret_value, ret_found, err);
}

enum err_code catalog_scan(struct store *store, struct db_view *view, enum family family,
                           struct span prefix, struct span from, struct db_iter **ret_iter,
                           struct err *err)
{
    return db_iter_open(store->db, view, family, prefix, from, ret_iter, err);
}
