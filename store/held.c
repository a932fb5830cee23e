#include "store/held.h"

#include "store/damage.h"
#include "store/pages.h"
#include "store/parts.h"
#include "store/tree_path.h"

#define TALLY_PREFIX       "tally/"
#define TALLY_PREFIX_BYTES (sizeof(TALLY_PREFIX) - 1)
#define TALLY_KEY_BYTES    (TALLY_PREFIX_BYTES + 16)
#define TALLY_BYTES        16

/* ---- periods ---- */

enum err_code holding_begin(struct store *store, uint64_t *ret_period, struct err *err)
{
    struct index *index = &store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    index_lock(index);
    index_put_number(&batch, "holding", index->holding + 1);
    enum err_code code = db_write(index->db, &batch, false, err);
    if (code == ERR_OK)
        *ret_period = ++index->holding;
    index_unlock(index);
    return code;
}

static enum err_code held_read(struct db *db, const struct digest *digest,
                               struct account_id account, bool *ret_held, uint64_t *ret_period,
                               struct err *err)
{
    uint8_t key[HELD_KEY_BYTES];
    struct bytes value BYTES_CLEANUP = {0};
    bool held;
    held_key_encode(digest, account, key);
    TRY(db_find(db, NULL, FAMILY_HELD, span_of(key, sizeof(key)), &value, &held, err));
    if (held && value.len != 0 && value.len != 8)
        return err_set(err, ERR_CORRUPT, "held: a record of %zu bytes", value.len);
    if (held)
        *ret_period = value.len == 8 ? load_u64(value.data) : 0;
    *ret_held = held;
    return ERR_OK;
}

enum err_code held_since(struct store *store, const struct digest *digest,
                         struct account_id account, bool *ret_held, uint64_t *ret_period,
                         struct err *err)
{
    return held_read(store->db, digest, account, ret_held, ret_period, err);
}

/* ---- what is here for an account ---- */

enum err_code held_find_page(struct store *store, const struct digest *digest,
                             struct account_id account, bool *ret_held, struct err *err)
{
    bool held, damaged = false;
    uint64_t period;
    TRY(held_read(store->db, digest, account, &held, &period, err));
    if (held)
        TRY(page_find(store, digest, &held, err));
    if (held)
        TRY(damage_below(store, digest, &damaged, err));
    *ret_held = held && !damaged;
    return ERR_OK;
}

enum err_code held_find_file(struct store *store, const struct digest *digest,
                             struct account_id account, bool *ret_held, struct err *err)
{
    struct file_record record;
    bool held;
    uint64_t period;
    TRY(held_read(store->db, digest, account, &held, &period, err));
    if (held)
        TRY(index_find_file(&store->index, digest, &record, &held, err));
    *ret_held = held && !damage_has(store, digest);
    return ERR_OK;
}

/* ---- partitions ---- */

static enum err_code page_source_read(void *context, const struct digest *digest,
                                      struct bytes *ret_page, struct err *err)
{
    return page_read(context, digest, ret_page, err);
}

struct since {
    struct store *store;
    struct account_id account;
    uint64_t period;
};

static enum err_code is_since(const struct since *since, const struct digest *digest, bool *ret_is,
                              struct err *err)
{
    bool held;
    uint64_t period = 0;
    TRY(held_read(since->store->db, digest, since->account, &held, &period, err));
    *ret_is = !held || period >= since->period;
    return ERR_OK;
}

static enum err_code group_is_since(const struct since *since, const struct page_row_group *group,
                                    bool *ret_is, struct err *err)
{
    *ret_is = false;
    for (size_t i = 0; i < group->file_count && !*ret_is; i++)
        TRY(is_since(since, &group->files[i].digest, ret_is, err));
    return ERR_OK;
}

enum err_code partitions_held_since(struct store *store, struct account_id account,
                                    const struct digest *root, uint64_t period,
                                    uint64_t *ret_partitions, struct err *err)
{
    const struct since since = {.store = store, .account = account, .period = period};
    const struct page_source source = {.read = page_source_read, .context = store};
    TREE_PATH_CLEANUP struct tree_path path = {
        .tree = {.source = &source, .kind = TREE_MANIFEST, .root = *root}};
    BYTES_CLEANUP struct bytes counted = {0}; /* the last one: keys come in order */
    uint64_t partitions = 0;
    bool is;
    TRY(is_since(&since, root, &is, err));
    if (is)
        TRY(tree_path_start(&path, err));
    for (const struct page_entry *item; is && (item = tree_path_item(&path)) != NULL;) {
        bool wanted = false;
        if (item->kind == PAGE_ENTRY_CHILD) {
            TRY(is_since(&since, &item->child.digest, &wanted, err));
            if (wanted) {
                TRY(tree_path_push(&path, err));
                continue;
            }
        } else if (item->kind == PAGE_ENTRY_ROW_GROUP) {
            struct row_group_place place;
            struct span key = row_group_key_split(item->key, &place);
            bool again = partitions > 0 && span_equal(key, bytes_span(&counted));
            if (!again)
                TRY(group_is_since(&since, &item->row_group, &wanted, err));
            if (wanted) {
                partitions++;
                bytes_clear(&counted);
                bytes_append_span(&counted, key);
            }
        }
        tree_path_step(&path);
    }
    *ret_partitions = partitions;
    return ERR_OK;
}

/* ---- tallies ---- */

static struct span tally_key(const struct task_id *task, uint8_t ret_key[TALLY_KEY_BYTES])
{
    memcpy(ret_key, TALLY_PREFIX, TALLY_PREFIX_BYTES);
    memcpy(ret_key + TALLY_PREFIX_BYTES, task->b, sizeof(task->b));
    return span_of(ret_key, TALLY_KEY_BYTES);
}

static bool task_equal(const struct task_id *a, const struct task_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static struct index_tally *tally_find_locked(struct index *index, const struct task_id *task)
{
    for (size_t i = 0; i < index->tally_count; i++)
        if (task_equal(&index->tallies[i].task, task))
            return &index->tallies[i];
    return NULL;
}

enum err_code tally_read(struct store *store, const struct task_id *task, struct tally *ret_tally,
                         struct err *err)
{
    uint8_t key[TALLY_KEY_BYTES];
    struct bytes value BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(store->db, NULL, FAMILY_META, tally_key(task, key), &value, &found, err));
    if (found && value.len != TALLY_BYTES)
        return err_set(err, ERR_CORRUPT, "a tally of %zu bytes", value.len);
    *ret_tally = (struct tally){0};
    if (found)
        *ret_tally =
            (struct tally){.files = load_u64(value.data), .bytes = load_u64(value.data + 8)};
    return ERR_OK;
}

enum err_code tally_begin(struct store *store, const struct task_id *task, struct err *err)
{
    struct index *index = &store->index;
    struct tally tally;
    TRY(tally_read(store, task, &tally, err));
    index_lock(index);
    if (tally_find_locked(index, task) == NULL) {
        index->tallies =
            mem_realloc(index->tallies, index->tally_count + 1, sizeof(*index->tallies));
        index->tallies[index->tally_count++] =
            (struct index_tally){.task = *task, .files = tally.files, .bytes = tally.bytes};
    }
    index_unlock(index);
    return ERR_OK;
}

enum err_code tally_end(struct store *store, const struct task_id *task, struct err *err)
{
    struct index *index = &store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    uint8_t key[TALLY_KEY_BYTES];
    db_batch_delete(&batch, FAMILY_META, tally_key(task, key));
    index_lock(index);
    enum err_code code = db_write(index->db, &batch, false, err);
    struct index_tally *tally = tally_find_locked(index, task);
    if (code == ERR_OK && tally != NULL)
        *tally = index->tallies[--index->tally_count];
    index_unlock(index);
    return code;
}

/* ---- within a batch of content ---- */

void index_batch_begin(struct index *index)
{
    for (size_t i = 0; i < index->tally_count; i++)
        index->tallies[i].files_more = index->tallies[i].bytes_more = 0;
}

enum err_code index_hold(struct index *index, struct db_batch *batch, const struct digest *digest,
                         const struct holder *holder, uint64_t file_bytes, struct err *err)
{
    bool held;
    uint64_t period;
    TRY(held_read(index->db, digest, holder->account, &held, &period, err));
    if (held && !index_damaged(index, digest)) /* what is damaged comes to be held again now */
        return ERR_OK;
    uint8_t key[HELD_KEY_BYTES], raw[8];
    held_key_encode(digest, holder->account, key);
    store_u64(raw, index->holding);
    db_batch_put(batch, FAMILY_HELD, span_of(key, sizeof(key)), span_of(raw, sizeof(raw)));
    struct index_tally *tally =
        holder->counts && file_bytes > 0 ? tally_find_locked(index, &holder->task) : NULL;
    if (tally != NULL) {
        tally->files_more++;
        tally->bytes_more += file_bytes;
    }
    return ERR_OK;
}

enum err_code index_batch_write(struct index *index, struct db_batch *batch, struct err *err)
{
    for (size_t i = 0; i < index->tally_count; i++) {
        const struct index_tally *tally = &index->tallies[i];
        uint8_t key[TALLY_KEY_BYTES], raw[TALLY_BYTES];
        if (tally->files_more == 0)
            continue;
        store_u64(raw, tally->files + tally->files_more);
        store_u64(raw + 8, tally->bytes + tally->bytes_more);
        db_batch_put(batch, FAMILY_META, tally_key(&tally->task, key), span_of(raw, sizeof(raw)));
    }
    TRY(db_write(index->db, batch, false, err));
    for (size_t i = 0; i < index->tally_count; i++) {
        struct index_tally *tally = &index->tallies[i];
        tally->files += tally->files_more;
        tally->bytes += tally->bytes_more;
        tally->files_more = tally->bytes_more = 0;
    }
    return ERR_OK;
}
