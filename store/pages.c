#include "store/pages.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/damage.h"
#include "store/parts.h"

/* ---- pages ---- */

static enum err_code page_check(const struct digest *digest, const struct bytes *page,
                                const char *where, struct err *err)
{
    struct digest found = digest_of(DOMAIN_PAGE, bytes_span(page));
    char hex[DIGEST_HEX_BYTES];
    if (!digest_equal(&found, digest))
        return err_set(err, ERR_CORRUPT, "page %s: the %s content has another digest",
                       digest_hex(digest, hex), where);
    return ERR_OK;
}

enum err_code page_read_stored(struct store *store, const struct digest *digest,
                               struct bytes *ret_page, struct err *err)
{
    bool found;
    char hex[DIGEST_HEX_BYTES];
    TRY(db_find(store->db, NULL, FAMILY_PAGES, digest_span(digest), ret_page, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "page %s is not here", digest_hex(digest, hex));
    if (ret_page->len < PAGE_STAMP_BYTES)
        return err_set(err, ERR_CORRUPT, "page %s: %zu bytes", digest_hex(digest, hex),
                       ret_page->len);
    memmove(ret_page->data, ret_page->data + PAGE_STAMP_BYTES, ret_page->len - PAGE_STAMP_BYTES);
    ret_page->len -= PAGE_STAMP_BYTES;
    return page_check(digest, ret_page, "stored", err);
}

enum err_code page_read(struct store *store, const struct digest *digest, struct bytes *ret_page,
                        struct err *err)
{
    if (damage_has(store, digest))
        return damage_refuse(DAMAGE_PAGE, digest, NULL, err);
    struct err cause;
    enum err_code code = page_read_stored(store, digest, ret_page, &cause);
    if (code == ERR_CORRUPT) {
        damage_note(store, digest, DAMAGE_PAGE, cause.message);
        return damage_refuse(DAMAGE_PAGE, digest, cause.message, err);
    }
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", cause.message);
}

enum err_code page_find(struct store *store, const struct digest *digest, bool *ret_found,
                        struct err *err)
{
    struct err cause;
    bool found = false;
    enum err_code code = db_has(store->db, FAMILY_PAGES, digest_span(digest), &found, &cause);
    if (code == ERR_CORRUPT)
        damage_note(store, digest, DAMAGE_PAGE, cause.message);
    else if (code != ERR_OK)
        return err_set(err, code, "%s", cause.message);
    *ret_found = found && !damage_has(store, digest);
    return ERR_OK;
}

/* ---- staged ---- */

enum err_code staged_put(struct store *store, const struct task_id *task,
                         const struct staged_page *pages, size_t page_count, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    TRY(space_check(&store->space, CONTENT_COMMIT_BYTES_MAX, err));
    for (size_t i = 0; i < page_count; i++) {
        uint8_t key[STAGED_KEY_BYTES];
        staged_key_encode(task, &pages[i].digest, key);
        db_batch_put(&batch, FAMILY_STAGED, span_of(key, sizeof(key)), pages[i].page);
        if (batch.steps.len >= CONTENT_COMMIT_BYTES_MAX) {
            TRY(db_write(store->db, &batch, false, err));
            db_batch_clear(&batch);
        }
    }
    TRY(db_write(store->db, &batch, false, err));
    CRASH_POINT(CRASH_STAGED_WRITTEN);
    return ERR_OK;
}

enum err_code staged_read(struct store *store, const struct task_id *task,
                          const struct digest *digest, struct bytes *ret_page, struct err *err)
{
    uint8_t key[STAGED_KEY_BYTES];
    bool found;
    char hex[DIGEST_HEX_BYTES];
    staged_key_encode(task, digest, key);
    TRY(db_find(store->db, NULL, FAMILY_STAGED, span_of(key, sizeof(key)), ret_page, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "page %s is not staged", digest_hex(digest, hex));
    return page_check(digest, ret_page, "staged", err);
}

enum err_code staged_each(struct store *store, const struct task_id *task, staged_on_page *on_page,
                          void *context, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span key, value;
    bool found;
    TRY(db_iter_open(store->db, NULL, FAMILY_STAGED, span_of(task->b, sizeof(task->b)),
                     span_of(NULL, 0), &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != STAGED_KEY_BYTES)
            return err_set(err, ERR_CORRUPT, "staged pages: a key of %zu bytes", key.len);
        struct digest digest;
        memcpy(digest.b, key.data + sizeof(task->b), DIGEST_BYTES);
        TRY(on_page(context, &digest, value, err));
    }
}

enum err_code staged_tasks_each(struct store *store, staged_on_task *on_task, void *context,
                                struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    struct task_id task = {{0}};
    bool found, first = true;
    TRY(db_iter_open(store->db, NULL, FAMILY_STAGED, none, none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        if (key.len != STAGED_KEY_BYTES)
            return err_set(err, ERR_CORRUPT, "staged pages: a key of %zu bytes", key.len);
        if (!first && memcmp(task.b, key.data, sizeof(task.b)) == 0)
            continue;
        first = false;
        memcpy(task.b, key.data, sizeof(task.b));
        TRY(on_task(context, &task, err));
    }
}

/* Up to INDEX_STEP_RECORDS keys of the task, as deletions. */
static enum err_code staged_drop_gather(struct store *store, const struct task_id *task,
                                        struct db_batch *batch, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span key, value;
    bool found = true;
    TRY(db_iter_open(store->db, NULL, FAMILY_STAGED, span_of(task->b, sizeof(task->b)),
                     span_of(NULL, 0), &iter, err));
    while (batch->count < INDEX_STEP_RECORDS) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        db_batch_delete(batch, FAMILY_STAGED, key);
    }
    return ERR_OK;
}

enum err_code staged_drop(struct store *store, const struct task_id *task, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    do {
        db_batch_clear(&batch);
        TRY(staged_drop_gather(store, task, &batch, err));
        TRY(db_write(store->db, &batch, false, err));
    } while (batch.count == INDEX_STEP_RECORDS);
    return ERR_OK;
}
