#include "store/holders.h"

#include "store/crash.h"
#include "store/mark_walk.h"
#include "store/parts.h"

#define NOBODY                                                                                     \
    (struct account_id)                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

struct owned_root {
    struct account_id account; /* 0: counts for all */
    struct digest page;
};

struct collect_owned {
    struct owned_root *roots;
    size_t count, capacity;
    struct digest_set seen; /* (page, account) */
};

struct holders {
    struct store *store;
    const struct collect_tree *tree;
    uint64_t number;
    struct collect_owned owned;
    struct digest_set held; /* (digest, account) that stays */
    struct bytes dead;      /* keys of `held`, of one piece */
    struct bytes scratch;
    uint64_t deleted;
};

static void holders_deinit(struct holders *holders)
{
    mem_free(holders->owned.roots);
    digest_set_deinit(&holders->owned.seen);
    digest_set_deinit(&holders->held);
    bytes_deinit(&holders->dead);
    bytes_deinit(&holders->scratch);
}

/* Sets know the first MARK_BYTES of a digest; the account goes into the last 8 of them. */
static struct digest pair(const uint8_t mark[MARK_BYTES], struct account_id account)
{
    struct digest pair = {{0}};
    memcpy(pair.b, mark, MARK_BYTES);
    store_u64(pair.b + MARK_BYTES - 8, load_u64(pair.b + MARK_BYTES - 8) ^ account.n);
    return pair;
}

/* ---- roots ---- */

void collect_own_root(struct collect_owned *owned, struct account_id account,
                      const struct digest *page)
{
    struct digest key = pair(page->b, account);
    if (!digest_set_add(&owned->seen, &key))
        return;
    if (owned->count == owned->capacity) {
        owned->capacity = owned->capacity == 0 ? 64 : 2 * owned->capacity;
        owned->roots = mem_realloc(owned->roots, owned->capacity, sizeof(*owned->roots));
    }
    owned->roots[owned->count++] = (struct owned_root){.account = account, .page = *page};
}

static int root_compare(const void *a, const void *b)
{
    uint64_t first = ((const struct owned_root *)a)->account.n;
    uint64_t second = ((const struct owned_root *)b)->account.n;
    return (first > second) - (first < second);
}

/* ---- marks ---- */

static void held_add(struct holders *holders, const struct collect_mark *mark,
                     struct account_id account)
{
    static const uint8_t empty[MARK_BYTES];
    for (size_t i = 0; i < mark->marked.capacity; i++) {
        if (memcmp(mark->marked.slots[i], empty, MARK_BYTES) == 0)
            continue;
        struct digest key = pair(mark->marked.slots[i], account);
        digest_set_add(&holders->held, &key);
    }
}

static void pins_mark(struct index *index, struct collect_mark *mark)
{
    index_lock(index);
    size_t at = 0;
    for (const struct pin *pin; (pin = pin_map_next(&index->pins, &at)) != NULL;)
        if (pin->kind == PIN_PAGE)
            collect_mark_page(mark, &pin->digest);
    index_unlock(index);
}

/* The roots [from, to) are of one account. */
static enum err_code account_mark(struct holders *holders, size_t from, size_t to, struct err *err)
{
    __attribute__((cleanup(collect_mark_deinit))) struct collect_mark mark = {0};
    struct mark_walk walk = {.store = holders->store, .tree = holders->tree, .mark = &mark};
    struct account_id account = holders->owned.roots[from].account;
    for (size_t i = from; i < to; i++)
        collect_mark_page(&mark, &holders->owned.roots[i].page);
    TRY(mark_walk_drain(&walk, account.n == 0 ? MARK_WALK_ABSENT_SKIPS : MARK_WALK_ABSENT_FAILS,
                        err));
    held_add(holders, &mark, account);
    return ERR_OK;
}

/* What is under way counts for all: whose it is, the store does not know. */
static enum err_code unfinished_mark(struct holders *holders, struct err *err)
{
    __attribute__((cleanup(collect_mark_deinit))) struct collect_mark mark = {0};
    struct mark_walk walk = {.store = holders->store, .tree = holders->tree, .mark = &mark};
    pins_mark(&holders->store->index, &mark);
    TRY(mark_walk_drain(&walk, MARK_WALK_ABSENT_SKIPS, err));
    TRY(mark_walk_staged(&walk, err));
    held_add(holders, &mark, NOBODY);
    return ERR_OK;
}

static enum err_code mark_all(struct holders *holders, struct err *err)
{
    struct collect_owned *owned = &holders->owned;
    TRY(unfinished_mark(holders, err));
    if (owned->count > 0)
        qsort(owned->roots, owned->count, sizeof(*owned->roots), root_compare);
    for (size_t from = 0, to; from < owned->count; from = to) {
        for (to = from + 1; to < owned->count; to++)
            if (owned->roots[to].account.n != owned->roots[from].account.n)
                break;
        TRY(account_mark(holders, from, to, err));
    }
    return ERR_OK;
}

/* ---- sweep ---- */

static enum err_code held_consider(void *context, struct span key, struct span value,
                                   struct err *err)
{
    struct holders *holders = context;
    (void)value;
    if (key.len != HELD_KEY_BYTES)
        return err_set(err, ERR_CORRUPT, "held: a key of %zu bytes", key.len);
    struct account_id account = {load_u64(key.data + DIGEST_BYTES)};
    struct digest own = pair(key.data, account), any = pair(key.data, NOBODY);
    if (account.n != 0 && !digest_set_has(&holders->held, &own) &&
        !digest_set_has(&holders->held, &any))
        bytes_append_span(&holders->dead, key);
    return ERR_OK;
}

static enum err_code stamp_find(struct holders *holders, const struct digest *digest,
                                uint64_t *ret_stamp, bool *ret_found, struct err *err)
{
    struct index *index = &holders->store->index;
    struct file_record record;
    TRY(index_find_file(index, digest, &record, ret_found, err));
    if (*ret_found) {
        *ret_stamp = record.stamp;
        return ERR_OK;
    }
    TRY(db_find(index->db, NULL, FAMILY_PAGES, digest_span(digest), &holders->scratch, ret_found,
                err));
    if (*ret_found && holders->scratch.len < PAGE_STAMP_BYTES)
        return err_set(err, ERR_CORRUPT, "pages: a record of %zu bytes", holders->scratch.len);
    if (*ret_found)
        *ret_stamp = load_u64(holders->scratch.data);
    return ERR_OK;
}

/* Under the lock of content commits, which give what they store or rely on the number that runs. */
static enum err_code held_delete_locked(struct holders *holders, struct db_batch *batch,
                                        struct span key, struct err *err)
{
    struct index *index = &holders->store->index;
    struct digest digest;
    uint8_t kept[HELD_KEY_BYTES];
    uint64_t stamp = 0;
    bool found;
    memcpy(digest.b, key.data, DIGEST_BYTES);
    TRY(stamp_find(holders, &digest, &stamp, &found, err));
    if (!found || stamp >= holders->number || pin_map_find(&index->pins, &digest) != NULL)
        return ERR_OK;
    held_key_encode(&digest, NOBODY, kept);
    db_batch_delete(batch, FAMILY_HELD, key);
    db_batch_put(batch, FAMILY_HELD, span_of(kept, sizeof(kept)), (struct span){0});
    holders->deleted++;
    return ERR_OK;
}

static enum err_code step_locked(struct holders *holders, struct span keys, struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t at = 0; at < keys.len; at += HELD_KEY_BYTES)
        TRY(held_delete_locked(holders, &batch, span_slice(keys, at, HELD_KEY_BYTES), err));
    return db_write(holders->store->db, &batch, false, err);
}

static enum err_code dead_delete(struct holders *holders, struct err *err)
{
    struct index *index = &holders->store->index;
    struct span dead = bytes_span(&holders->dead);
    size_t most = COLLECT_DELETE_RECORDS * HELD_KEY_BYTES;
    for (size_t at = 0; at < dead.len; at += most) {
        size_t len = dead.len - at < most ? dead.len - at : most;
        index_lock(index);
        enum err_code code = step_locked(holders, span_slice(dead, at, len), err);
        index_unlock(index);
        TRY(code);
        CRASH_POINT(CRASH_COLLECT_HOLDER_STEP);
    }
    return ERR_OK;
}

static enum err_code sweep(struct holders *holders, struct err *err)
{
    struct bytes after BYTES_CLEANUP = {0};
    bool end = false;
    while (!end) {
        bytes_clear(&holders->dead);
        TRY(mark_walk_piece(holders->store->db, FAMILY_HELD, &after, held_consider, holders, &end,
                            err));
        TRY(dead_delete(holders, err));
    }
    return ERR_OK;
}

enum err_code holders_sweep(struct store *store, const struct collect_tree *tree, uint64_t number,
                            uint64_t *ret_deleted, struct err *err)
{
    __attribute__((cleanup(holders_deinit))) struct holders holders = {
        .store = store, .tree = tree, .number = number};
    bool several;
    TRY(tree->owners(tree->context, store, &holders.owned, &several, err));
    if (several) {
        TRY(mark_all(&holders, err));
        TRY(sweep(&holders, err));
    }
    *ret_deleted = holders.deleted;
    return ERR_OK;
}
