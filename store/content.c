#include "store/content.h"

#include "proto/limits.h"
#include "store/crash.h"
#include "store/damage.h"
#include "store/held.h"
#include "store/mark.h"
#include "store/pages.h"
#include "store/parts.h"

#define DEPENDS_PRUNE 64

/* A file or page that waits in memory. */
struct held_back {
    struct digest digest;
    size_t at, len; /* in its bytes */
};

struct held_back_list {
    struct bytes bytes;
    struct held_back *items;
    size_t count;
    size_t capacity;
};

struct content {
    struct store *store;
    struct holder holder;
    atomic_bool in_company; /* packs_join */

    pthread_mutex_t lock; /* the fields below, but pages */
    struct digest_list pinned;
    struct digest_list known; /* stored before: to be recorded as held, with a fresh stamp */
    struct pack **depends;    /* packs with files of ours; each a reference */
    size_t depends_count;
    size_t depends_capacity;
    size_t depends_prune_at;
    struct held_back_list small; /* until there is 1 MiB; each digest once */
    struct pin_map small_digests;
    bool flowing;       /* there was: files go to packs at once */
    struct err failure; /* code ERR_OK: none */
    struct content_counts counts;

    struct held_back_list pages; /* the owner's thread only */
};

/* ---- what waits in memory ---- */

static void held_back_deinit(struct held_back_list *list)
{
    bytes_deinit(&list->bytes);
    mem_free(list->items);
    *list = (struct held_back_list){0};
}

static void held_back_clear(struct held_back_list *list)
{
    bytes_clear(&list->bytes);
    list->count = 0;
}

static void held_back_add(struct held_back_list *list, const struct digest *digest,
                          struct span content)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        list->items = mem_realloc(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] =
        (struct held_back){.digest = *digest, .at = list->bytes.len, .len = content.len};
    bytes_append_span(&list->bytes, content);
}

static struct span held_back_span(const struct held_back_list *list, size_t i)
{
    return span_slice(bytes_span(&list->bytes), list->items[i].at, list->items[i].len);
}

/* ---- open, close ---- */

enum err_code content_open(struct store *store, struct account_id account,
                           struct content **ret_content, struct err *err)
{
    (void)err;
    struct content *content = mem_calloc(1, sizeof(*content));
    content->store = store;
    content->holder.account = account;
    content->depends_prune_at = DEPENDS_PRUNE;
    pthread_mutex_init(&content->lock, NULL);
    *ret_content = content;
    return ERR_OK;
}

void content_count_for(struct content *content, const struct task_id *task)
{
    ASSERT(!content->holder.counts);
    content->holder.counts = true;
    content->holder.task = *task;
    atomic_store(&content->in_company, true);
    packs_join(content->store->packs);
}

static void company_leave(struct content *content)
{
    if (atomic_exchange(&content->in_company, false))
        packs_leave(content->store->packs);
}

static void content_unpin_all(struct content *content)
{
    struct index *index = &content->store->index;
    for (size_t i = 0; i < content->pinned.count;) {
        index_lock(index);
        for (size_t end = i + INDEX_STEP_RECORDS; i < content->pinned.count && i < end; i++)
            pin_map_release(&index->pins, &content->pinned.digests[i]);
        index_unlock(index);
    }
}

void content_close(struct content *content)
{
    if (content == NULL)
        return;
    company_leave(content);
    content_unpin_all(content);
    for (size_t i = 0; i < content->depends_count; i++)
        pack_unref(content->depends[i]);
    mem_free(content->depends);
    digest_list_deinit(&content->pinned);
    digest_list_deinit(&content->known);
    held_back_deinit(&content->small);
    pin_map_deinit(&content->small_digests);
    held_back_deinit(&content->pages);
    pthread_mutex_destroy(&content->lock);
    mem_free(content);
}

void content_close_pointer(struct content **content)
{
    content_close(*content);
}

struct store *content_store(const struct content *content)
{
    return content->store;
}

void content_counts_get(struct content *content, struct content_counts *ret_counts)
{
    pthread_mutex_lock(&content->lock);
    *ret_counts = content->counts;
    pthread_mutex_unlock(&content->lock);
}

/* Remembers the first failure: what was added may be lost with it. */
static enum err_code content_fail(struct content *content, const struct err *failure,
                                  struct err *err)
{
    pthread_mutex_lock(&content->lock);
    if (content->failure.code == ERR_OK)
        content->failure = *failure;
    pthread_mutex_unlock(&content->lock);
    return err_set(err, failure->code, "%s", failure->message);
}

static enum err_code content_failed(struct content *content, struct err *err)
{
    pthread_mutex_lock(&content->lock);
    struct err failure = content->failure;
    pthread_mutex_unlock(&content->lock);
    return failure.code == ERR_OK ? ERR_OK : err_set(err, failure.code, "%s", failure.message);
}

/* Before anything is added: a latched database is opened again here, where no lock is held. Not in
 * content_open: a content that only pins belongs to a reader, who needs no space. */
static enum err_code content_ready(struct content *content, struct err *err)
{
    TRY(content_failed(content, err));
    return db_recover(content->store->db, err);
}

/* ---- pins and packs depended on ---- */

static void content_note_pin(struct content *content, const struct digest *digest)
{
    pthread_mutex_lock(&content->lock);
    digest_list_push(&content->pinned, digest);
    pthread_mutex_unlock(&content->lock);
}

static void content_note_known(struct content *content, const struct digest *digest)
{
    pthread_mutex_lock(&content->lock);
    digest_list_push(&content->known, digest);
    content->counts.files_known++;
    pthread_mutex_unlock(&content->lock);
}

/* Takes the reference. */
static void content_depend(struct content *content, struct pack *pack)
{
    pthread_mutex_lock(&content->lock);
    bool there = false;
    for (size_t i = content->depends_count; i-- > 0 && !there;)
        there = content->depends[i] == pack;
    if (!there) {
        if (content->depends_count == content->depends_capacity) {
            content->depends_capacity += content->depends_capacity / 2 + 8;
            content->depends =
                mem_realloc(content->depends, content->depends_capacity, sizeof(struct pack *));
        }
        content->depends[content->depends_count++] = pack;
    }
    pthread_mutex_unlock(&content->lock);
    if (there)
        pack_unref(pack);
}

/* Gives all packs depended on to the caller. */
static struct pack **content_take_depends(struct content *content, size_t *ret_count)
{
    pthread_mutex_lock(&content->lock);
    struct pack **taken = content->depends;
    *ret_count = content->depends_count;
    content->depends = NULL;
    content->depends_count = content->depends_capacity = 0;
    pthread_mutex_unlock(&content->lock);
    return taken;
}

/* Forgets packs that are done, so that a long content stays small. */
static enum err_code content_prune(struct content *content, struct err *err)
{
    pthread_mutex_lock(&content->lock);
    bool due = content->depends_count >= content->depends_prune_at;
    pthread_mutex_unlock(&content->lock);
    if (!due)
        return ERR_OK;
    size_t count;
    struct pack **taken = content_take_depends(content, &count);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count; i++) {
        bool done = true;
        enum err_code one = pack_done(content->store->packs, taken[i], &done, err);
        if (one != ERR_OK)
            code = one;
        if (one == ERR_OK && !done)
            content_depend(content, taken[i]);
        else
            pack_unref(taken[i]);
    }
    mem_free(taken);
    return code;
}

/* ---- files ---- */

/* Whether the account holds what is under the digest. */
static enum err_code account_holds(struct content *content, const struct digest *digest,
                                   bool *ret_held, struct err *err)
{
    uint8_t key[HELD_KEY_BYTES];
    struct bytes value BYTES_CLEANUP = {0};
    held_key_encode(digest, content->holder.account, key);
    return db_find(content->store->db, NULL, FAMILY_HELD, span_of(key, sizeof(key)), &value,
                   ret_held, err);
}

/* Pins the file; *ret_known: it is indexed and the account holds it, or it is on its way for the
 * account in a pack that we depend on now. What strangers have is written like what nobody has: else
 * the time that takes would tell of them. */
static enum err_code file_pin(struct content *content, const struct digest *digest, bool *ret_known,
                              struct err *err)
{
    struct index *index = &content->store->index;
    index_lock(index);
    pin_map_add(&index->pins, digest, PIN_FILE);
    struct pack *pending = pin_map_claimed(&index->claims, digest, content->holder.account);
    if (pending != NULL)
        pack_ref(pending);
    index_unlock(index);
    content_note_pin(content, digest);
    if (pending != NULL) {
        content_depend(content, pending);
        *ret_known = true;
        return ERR_OK;
    }
    struct file_record record;
    TRY(account_holds(content, digest, ret_known, err));
    if (*ret_known)
        TRY(index_find_file(index, digest, &record, ret_known, err));
    if (damage_has(content->store, digest))
        *ret_known = false; /* these bytes replace it */
    return ERR_OK;
}

/* Says that `pack` will have the file, unless another pack has it on the way for the account already:
 * then that one is depended on, and the answer is false. */
static bool file_claim(struct content *content, const struct digest *digest, struct pack *pack)
{
    struct index *index = &content->store->index;
    index_lock(index);
    struct account_id account = content->holder.account;
    bool ours = pin_map_claimed(&index->claims, digest, account) == NULL;
    struct pack *has = pin_map_claim(&index->claims, digest, account, pack);
    pack_ref(has);
    index_unlock(index);
    content_depend(content, has);
    return ours;
}

static void file_unclaim(struct content *content, const struct digest *digest,
                         const struct pack *pack)
{
    struct index *index = &content->store->index;
    index_lock(index);
    pin_map_settle(&index->claims, digest, content->holder.account, pack);
    index_unlock(index);
}

static enum err_code file_flow(struct content *content, const struct digest *digest,
                               struct span file, struct err *err)
{
    struct packs *packs = content->store->packs;
    struct pack *pack;
    TRY(packs_take(packs, file.len, &pack, err));
    if (!file_claim(content, digest, pack)) {
        packs_give_back(packs, pack, NULL);
        content_note_known(content, digest);
        return ERR_OK;
    }
    struct err failure = {0};
    enum err_code code = pack_append(pack, digest, &content->holder, file, &failure);
    if (code != ERR_OK)
        file_unclaim(content, digest,
                     pack); /* not among the pack's files: it would not be settled */
    packs_give_back(packs, pack, code == ERR_OK ? NULL : &failure);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", failure.message);
}

/* Keeps the file back if it is still within the first MiB (or kept back already); else *ret_before has what was kept back
 * until now and has to flow first. */
static bool file_keep_back(struct content *content, const struct digest *digest, struct span file,
                           struct held_back_list *ret_before)
{
    pthread_mutex_lock(&content->lock);
    bool twice = pin_map_find(&content->small_digests, digest) != NULL;
    bool keep = !content->flowing && content->small.bytes.len + file.len < SMALL_COMMIT_BYTES_MAX;
    if (keep && !twice) {
        pin_map_add(&content->small_digests, digest, PIN_FILE);
        held_back_add(&content->small, digest, file);
    } else if (!twice) {
        content->flowing = true;
        *ret_before = content->small;
        content->small = (struct held_back_list){0};
        pin_map_deinit(&content->small_digests);
    }
    content->counts.files_known += twice;
    content->counts.files_stored += !twice;
    pthread_mutex_unlock(&content->lock);
    return keep || twice;
}

static enum err_code file_store(struct content *content, const struct digest *digest,
                                struct span file, struct err *err)
{
    bool known;
    TRY(content_prune(content, err));
    TRY(file_pin(content, digest, &known, err));
    if (known) {
        content_note_known(content, digest);
        return ERR_OK;
    }
    struct held_back_list before = {0};
    if (file_keep_back(content, digest, file, &before))
        return ERR_OK;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < before.count && code == ERR_OK; i++)
        code = file_flow(content, &before.items[i].digest, held_back_span(&before, i), err);
    held_back_deinit(&before);
    return code == ERR_OK ? file_flow(content, digest, file, err) : code;
}

enum err_code content_add_file(struct content *content, const struct digest *digest,
                               struct span file, enum content_hash hash, struct err *err)
{
    TRY(content_ready(content, err));
    if (file.len > LIMIT_FILE_BYTES)
        return err_set(err, ERR_LIMIT, "a column file of %zu bytes; at most %zu", file.len,
                       (size_t)LIMIT_FILE_BYTES);
    if (hash == CONTENT_HASH) {
        struct digest found = digest_of(DOMAIN_FILE, file);
        char hex[DIGEST_HEX_BYTES];
        if (!digest_equal(&found, digest))
            return err_set(err, ERR_CORRUPT, "file %s: the content has another digest",
                           digest_hex(digest, hex));
    }
    struct err failure = {0};
    if (file_store(content, digest, file, &failure) != ERR_OK)
        return content_fail(content, &failure, err);
    return ERR_OK;
}

static void content_unpin(struct content *content, const struct digest *digest)
{
    struct index *index = &content->store->index;
    index_lock(index);
    pin_map_release(&index->pins, digest);
    index_unlock(index);
}

enum err_code content_rely_file(struct content *content, const struct digest *digest,
                                bool *ret_held, struct err *err)
{
    struct index *index = &content->store->index;
    index_lock(index);
    pin_map_add(&index->pins, digest, PIN_FILE);
    index_unlock(index);
    bool held = false;
    enum err_code code =
        held_find_file(content->store, digest, content->holder.account, &held, err);
    if (code != ERR_OK || !held) {
        content_unpin(content, digest);
        *ret_held = false;
        return code;
    }
    pthread_mutex_lock(&content->lock);
    digest_list_push(&content->pinned, digest);
    digest_list_push(&content->known, digest);
    pthread_mutex_unlock(&content->lock);
    *ret_held = true;
    return ERR_OK;
}

/* ---- pages ---- */

static enum err_code page_stamp_find(struct index *index, const struct digest *digest,
                                     uint64_t *ret_stamp, bool *ret_found, struct err *err)
{
    struct bytes raw BYTES_CLEANUP = {0};
    bool found;
    TRY(db_find(index->db, NULL, FAMILY_PAGES, digest_span(digest), &raw, &found, err));
    if (found && raw.len < PAGE_STAMP_BYTES)
        return err_set(err, ERR_CORRUPT, "pages: a record of %zu bytes", raw.len);
    if (found)
        *ret_stamp = load_u64(raw.data);
    *ret_found = found;
    return ERR_OK;
}

/* Pins a page of `pages` such that all below it stays as well: not while a sweep may be deleting
 * just that (a page is safe then that is marked, or was stored since the collection began). */
static enum err_code page_pin_locked(struct index *index, const struct digest *digest,
                                     bool *ret_pinned, struct err *err)
{
    struct collect_mark *mark = index->mark;
    bool safe = true;
    if (mark != NULL && !mark->sweeping) {
        digest_list_push(&mark->extra, digest);
    } else if (mark != NULL && !digest_set_has(&mark->marked, digest)) {
        uint64_t stamp = 0;
        bool found;
        TRY(page_stamp_find(index, digest, &stamp, &found, err));
        safe = found && stamp >= index->collection;
    }
    if (safe)
        pin_map_add(&index->pins, digest, PIN_PAGE);
    *ret_pinned = safe;
    return ERR_OK;
}

static enum err_code page_pin(struct content *content, const struct digest *digest,
                              bool *ret_pinned, struct err *err)
{
    struct index *index = &content->store->index;
    index_lock(index);
    enum err_code code = page_pin_locked(index, digest, ret_pinned, err);
    index_unlock(index);
    return code;
}

enum err_code content_rely_page(struct content *content, const struct digest *digest,
                                bool *ret_held, struct err *err)
{
    bool pinned, held = false;
    TRY(page_pin(content, digest, &pinned, err));
    if (!pinned) {
        *ret_held = false;
        return ERR_OK;
    }
    enum err_code code =
        held_find_page(content->store, digest, content->holder.account, &held, err);
    if (code == ERR_OK && held)
        content_note_pin(content, digest);
    else
        content_unpin(content, digest);
    *ret_held = code == ERR_OK && held;
    return code;
}

enum err_code content_pin_page(struct content *content, const struct digest *digest,
                               struct err *err)
{
    bool pinned;
    TRY(page_pin(content, digest, &pinned, err));
    if (pinned)
        content_note_pin(content, digest);
    return ERR_OK;
}

enum err_code content_add_page(struct content *content, const struct digest *digest,
                               struct span page, struct err *err)
{
    TRY(content_ready(content, err));
    if (page.len > LIMIT_VERSION_BYTES)
        return err_set(err, ERR_LIMIT, "a page of %zu bytes; at most %zu", page.len,
                       (size_t)LIMIT_VERSION_BYTES);
    struct index *index = &content->store->index;
    index_lock(index);
    pin_map_add(&index->pins, digest, PIN_PAGE);
    index_unlock(index);
    content_note_pin(content, digest);
    held_back_add(&content->pages, digest, page);
    pthread_mutex_lock(&content->lock);
    content->counts.pages_added++;
    pthread_mutex_unlock(&content->lock);
    return content->pages.bytes.len < CONTENT_COMMIT_BYTES_MAX ? ERR_OK
                                                               : content_commit(content, err);
}

enum err_code content_page_read(struct content *content, const struct digest *digest,
                                struct bytes *ret_page, struct err *err)
{
    for (size_t i = content->pages.count; i-- > 0;) {
        if (digest_equal(&content->pages.items[i].digest, digest)) {
            bytes_clear(ret_page);
            bytes_append_span(ret_page, held_back_span(&content->pages, i));
            return ERR_OK;
        }
    }
    return page_read(content->store, digest, ret_page, err);
}

/* ---- commit ---- */

/* Steps through n records, at most INDEX_STEP_RECORDS and about 4 MiB to a hold of the lock. */
typedef enum err_code step_one(struct content *content, struct db_batch *batch, size_t i,
                               struct err *err);

static enum err_code commit_steps(struct content *content, size_t count, step_one *one,
                                  struct err *err)
{
    struct index *index = &content->store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    for (size_t i = 0; i < count;) {
        db_batch_clear(&batch);
        enum err_code code = ERR_OK;
        index_lock(index);
        uint64_t small_bytes = index->small_bytes;
        index_batch_begin(index);
        for (size_t end = i + INDEX_STEP_RECORDS;
             code == ERR_OK && i < count && i < end && batch.steps.len < CONTENT_COMMIT_BYTES_MAX;
             i++)
            code = one(content, &batch, i, err);
        if (code == ERR_OK)
            code = index_batch_write(index, &batch, err);
        if (code != ERR_OK)
            index->small_bytes = small_bytes;
        index_heals_end(index, code == ERR_OK);
        index_unlock(index);
        TRY(code);
        CRASH_POINT(CRASH_CONTENT_STEP);
    }
    return ERR_OK;
}

static enum err_code commit_known(struct content *content, struct db_batch *batch, size_t i,
                                  struct err *err)
{
    struct index *index = &content->store->index;
    const struct digest *digest = &content->known.digests[i];
    struct file_record record;
    bool found;
    char hex[DIGEST_HEX_BYTES];
    TRY(index_find_file(index, digest, &record, &found, err));
    if (!found)
        return err_set(err, ERR_CORRUPT, "file %s was indexed and is gone",
                       digest_hex(digest, hex));
    if (record.stamp < index->collection) {
        record.stamp = index->collection;
        index_put_file(batch, digest, &record);
    }
    return index_hold(index, batch, digest, &content->holder, record.file_bytes, err);
}

/* What a stranger has is written like what nobody has, and lives here from now on: it counts for the
 * nursery, as it would, and its bytes in a pack are dead. */
static enum err_code commit_small(struct content *content, struct db_batch *batch, size_t i,
                                  struct err *err)
{
    struct index *index = &content->store->index;
    const struct digest *digest = &content->small.items[i].digest;
    struct span file = held_back_span(&content->small, i);
    struct file_record record;
    bool found;
    TRY(index_find_file(index, digest, &record, &found, err));
    bool damaged = index_damaged(index, digest);
    bool counted = found && record.place == PLACE_SMALL, held = false;
    if (found && !damaged)
        TRY(account_holds(content, digest, &held, err));
    if (damaged)
        index_heal(index, batch, digest, found ? &record : NULL);
    else if (found && !held)
        index_replace(index, batch, digest, &record);
    if (!held) {
        record = (struct file_record){.place = PLACE_SMALL, .file_bytes = (uint32_t)file.len};
        db_batch_put(batch, FAMILY_SMALL, digest_span(digest), file);
        index->small_bytes += counted ? 0 : file.len;
        index_put_number(batch, "small_bytes", index->small_bytes);
    }
    record.stamp = index->collection;
    index_put_file(batch, digest, &record);
    return index_hold(index, batch, digest, &content->holder, file.len, err);
}

/* Puts a page, if it is new to the account, or damaged, or not of this collection; and that the account
 * holds it. */
static enum err_code page_put(struct content *content, struct db_batch *batch,
                              const struct digest *digest, struct span page, struct err *err)
{
    struct index *index = &content->store->index;
    uint64_t stamp = 0;
    bool found = false, held = false;
    enum err_code code = page_stamp_find(index, digest, &stamp, &found, err);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return code;
    bool damaged = code == ERR_CORRUPT || index_damaged(index, digest);
    if (damaged)
        index_heal(index, batch, digest, NULL);
    if (found && !damaged && stamp >= index->collection)
        TRY(account_holds(content, digest, &held, err));
    if (!held) {
        uint8_t raw[PAGE_STAMP_BYTES];
        store_u64(raw, index->collection);
        db_batch_put_parts(batch, FAMILY_PAGES, digest_span(digest), span_of(raw, sizeof(raw)),
                           page);
    }
    return index_hold(index, batch, digest, &content->holder, 0, err);
}

static enum err_code commit_page(struct content *content, struct db_batch *batch, size_t i,
                                 struct err *err)
{
    return page_put(content, batch, &content->pages.items[i].digest,
                    held_back_span(&content->pages, i), err);
}

static enum err_code commit_packs(struct content *content, struct err *err)
{
    size_t count;
    struct pack **depends = content_take_depends(content, &count);
    company_leave(content);
    enum err_code code = packs_finish(content->store->packs, depends, count, err);
    for (size_t i = 0; i < count; i++)
        pack_unref(depends[i]);
    mem_free(depends);
    return code;
}

static enum err_code commit_all(struct content *content, struct err *err)
{
    struct store *store = content->store;
    TRY(commit_packs(content, err));
    if (content->known.count + content->small.count + content->pages.count == 0)
        return ERR_OK;
    TRY(space_check(&store->space, content->small.bytes.len + content->pages.bytes.len, err));
    TRY(commit_steps(content, content->known.count, commit_known, err));
    TRY(commit_steps(content, content->small.count, commit_small, err));
    TRY(commit_steps(content, content->pages.count, commit_page, err));
    CRASH_POINT(CRASH_CONTENT_WRITTEN);
    TRY(db_sync(store->db, err));
    CRASH_POINT(CRASH_CONTENT_SYNCED);
    content->known.count = 0;
    held_back_clear(&content->small);
    pin_map_deinit(&content->small_digests);
    held_back_clear(&content->pages);
    return ERR_OK;
}

enum err_code content_commit(struct content *content, struct err *err)
{
    TRY(content_ready(content, err));
    struct err failure = {0};
    if (commit_all(content, &failure) != ERR_OK)
        return content_fail(content, &failure, err);
    /* The commit stands whatever becomes of the move; a failing disk meets the next write. */
    (void)!nursery_move(content->store, NULL);
    return ERR_OK;
}

/* ---- staged pages move up ---- */

static enum err_code promote_one(struct content *content, struct db_batch *batch,
                                 const struct task_id *task, const struct digest *digest,
                                 struct err *err)
{
    struct index *index = &content->store->index;
    uint8_t key[STAGED_KEY_BYTES];
    struct bytes page BYTES_CLEANUP = {0};
    bool found;
    staged_key_encode(task, digest, key);
    TRY(db_find(index->db, NULL, FAMILY_STAGED, span_of(key, sizeof(key)), &page, &found, err));
    if (found) {
        db_batch_delete(batch, FAMILY_STAGED, span_of(key, sizeof(key)));
    } else {
        char hex[DIGEST_HEX_BYTES];
        uint8_t stamp[PAGE_STAMP_BYTES];
        TRY(db_find(index->db, NULL, FAMILY_PAGES, digest_span(digest), &page, &found, err));
        if (!found || page.len < sizeof(stamp) || index_damaged(index, digest))
            return err_set(err, ERR_NOT_FOUND, "page %s is neither staged nor stored",
                           digest_hex(digest, hex));
        memmove(page.data, page.data + sizeof(stamp), page.len - sizeof(stamp));
        page.len -= sizeof(stamp);
    }
    pin_map_add(&index->pins, digest, PIN_PAGE);
    digest_list_push(&content->pinned, digest); /* the owner's thread: no other is in here */
    return page_put(content, batch, digest, bytes_span(&page), err);
}

static enum err_code promote_step(struct content *content, const struct task_id *task,
                                  const struct digest *digests, size_t digest_count, size_t *at,
                                  struct err *err)
{
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    struct index *index = &content->store->index;
    enum err_code code = ERR_OK;
    index_lock(index);
    index_batch_begin(index);
    for (size_t end = *at + INDEX_STEP_RECORDS; code == ERR_OK && *at < digest_count && *at < end &&
                                                batch.steps.len < CONTENT_COMMIT_BYTES_MAX;
         (*at)++)
        code = promote_one(content, &batch, task, &digests[*at], err);
    if (code == ERR_OK)
        code = index_batch_write(index, &batch, err);
    index_heals_end(index, code == ERR_OK);
    index_unlock(index);
    return code;
}

enum err_code staged_promote(struct content *content, const struct task_id *task,
                             const struct digest *digests, size_t digest_count, struct err *err)
{
    TRY(content_ready(content, err));
    TRY(content_commit(content, err)); /* files first: invariant 2 */
    for (size_t at = 0; at < digest_count;) {
        TRY(space_check(&content->store->space, CONTENT_COMMIT_BYTES_MAX, err));
        TRY(promote_step(content, task, digests, digest_count, &at, err));
        CRASH_POINT(CRASH_STAGED_STEP);
    }
    return ERR_OK;
}

enum err_code content_sync(struct content *content, struct err *err)
{
    TRY(content_ready(content, err));
    return db_sync(content->store->db, err);
}
