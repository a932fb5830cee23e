#include "store/damage.h"

#include <time.h>

#include "store/pages.h"
#include "store/parts.h"
#include "store/roots.h"

#define DAMAGE_FIXED_BYTES 9

/* ---- the set ---- */

static int digest_order(const void *a, const void *b)
{
    return digest_compare(a, b);
}

static size_t set_count(const struct damage_set *set)
{
    return atomic_load_explicit(&set->count, memory_order_relaxed);
}

static struct digest *set_find(const struct damage_set *set, const struct digest *digest)
{
    size_t count = set_count(set);
    if (count == 0)
        return NULL;
    return bsearch(digest, set->digests, count, sizeof(*digest), digest_order);
}

static bool set_add(struct damage_set *set, const struct digest *digest)
{
    size_t count = set_count(set), at = 0;
    if (set_find(set, digest) != NULL)
        return false;
    if (count == set->capacity) {
        set->capacity = set->capacity == 0 ? 16 : 2 * set->capacity;
        set->digests = mem_realloc(set->digests, set->capacity, sizeof(*set->digests));
    }
    while (at < count && digest_compare(&set->digests[at], digest) < 0)
        at++;
    memmove(&set->digests[at + 1], &set->digests[at], (count - at) * sizeof(*set->digests));
    set->digests[at] = *digest;
    atomic_store_explicit(&set->count, count + 1, memory_order_relaxed);
    return true;
}

static void set_remove(struct damage_set *set, const struct digest *digest)
{
    struct digest *found = set_find(set, digest);
    if (found == NULL)
        return;
    size_t count = set_count(set), at = (size_t)(found - set->digests);
    memmove(found, found + 1, (count - at - 1) * sizeof(*found));
    atomic_store_explicit(&set->count, count - 1, memory_order_relaxed);
}

/* ---- under the index's lock ---- */

bool index_damaged(const struct index *index, const struct digest *digest)
{
    return set_find(&index->damage, digest) != NULL;
}

/* The replaced bytes are taken from their pack now, and given back if the batch is not written. */
static void heal_take(struct index *index, struct db_batch *batch, struct heal *heal,
                      const struct file_record *replaced)
{
    if (replaced == NULL || replaced->place != PLACE_PACK)
        return;
    struct pack_record *pack = index_pack_find(index, replaced->pack);
    if (pack == NULL || pack->live_bytes < replaced->file_bytes)
        return; /* fsck tells */
    pack->live_bytes -= replaced->file_bytes;
    pack->thinned = true;
    index_put_pack(batch, pack);
    heal->pack = replaced->pack;
    heal->bytes = replaced->file_bytes;
}

void index_replace(struct index *index, struct db_batch *batch, const struct digest *digest,
                   const struct file_record *replaced)
{
    struct damage_set *set = &index->damage;
    if (set->heal_count == set->heal_capacity) {
        set->heal_capacity = set->heal_capacity == 0 ? 16 : 2 * set->heal_capacity;
        set->heals = mem_realloc(set->heals, set->heal_capacity, sizeof(*set->heals));
    }
    struct heal *heal = &set->heals[set->heal_count++];
    *heal = (struct heal){.digest = *digest};
    heal_take(index, batch, heal, replaced);
}

void index_heal(struct index *index, struct db_batch *batch, const struct digest *digest,
                const struct file_record *replaced)
{
    struct damage_set *set = &index->damage;
    for (size_t i = 0; i < set->heal_count; i++) {
        if (digest_equal(&set->heals[i].digest, digest))
            return; /* twice in one batch */
    }
    index_replace(index, batch, digest, replaced);
    db_batch_delete(batch, FAMILY_DAMAGED, digest_span(digest));
}

void index_heals_end(struct index *index, bool ok)
{
    struct damage_set *set = &index->damage;
    for (size_t i = 0; i < set->heal_count; i++) {
        const struct heal *heal = &set->heals[i];
        struct pack_record *pack = ok ? NULL : index_pack_find(index, heal->pack);
        if (ok)
            set_remove(set, &heal->digest);
        else if (pack != NULL)
            pack->live_bytes += heal->bytes;
    }
    set->heal_count = 0;
}

enum err_code index_damage_load(struct index *index, struct err *err)
{
    struct db_iter *iter DB_ITER_CLEANUP = NULL;
    struct span none = {0}, key, value;
    bool found;
    TRY(db_iter_open(index->db, NULL, FAMILY_DAMAGED, none, none, &iter, err));
    for (;;) {
        TRY(db_iter_next(iter, &key, &value, &found, err));
        if (!found)
            return ERR_OK;
        struct digest digest;
        if (key.len != DIGEST_BYTES)
            return err_set(err, ERR_CORRUPT, "list of damage: a key of %zu bytes", key.len);
        memcpy(digest.b, key.data, DIGEST_BYTES);
        set_add(&index->damage, &digest);
    }
}

void index_damage_deinit(struct index *index)
{
    struct damage_set *set = &index->damage;
    digest_set_deinit(&set->clean);
    mem_free(set->digests);
    mem_free(set->heals);
}

/* ---- the list ---- */

bool damage_has(struct store *store, const struct digest *digest)
{
    struct index *index = &store->index;
    if (set_count(&index->damage) == 0)
        return false;
    index_lock(index);
    bool has = index_damaged(index, digest);
    index_unlock(index);
    return has;
}

size_t damage_count(struct store *store)
{
    return set_count(&store->index.damage);
}

enum err_code damage_refuse(enum damage_kind kind, const struct digest *digest, const char *cause,
                            struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    return err_set(err, ERR_CORRUPT,
                   "%s %.16s is damaged; SCRUB lists what that hurts and repairs%s%s",
                   kind == DAMAGE_FILE ? "file" : "page", digest_hex(digest, hex),
                   cause != NULL ? ": " : "", cause != NULL ? cause : "");
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void damage_note(struct store *store, const struct digest *digest, enum damage_kind kind,
                 const char *reason)
{
    struct index *index = &store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    struct bytes record BYTES_CLEANUP = {0};
    bytes_append_u8(&record, (uint8_t)kind);
    bytes_append_u64(&record, now_ms());
    bytes_append(&record, reason, strnlen(reason, sizeof(((struct damage *)0)->reason) - 1));
    db_batch_put(&batch, FAMILY_DAMAGED, digest_span(digest), bytes_span(&record));
    index_lock(index);
    if (set_add(&index->damage, digest)) {
        index->damage.generation++;
        digest_set_deinit(&index->damage.clean);
        (void)!db_write(index->db, &batch, true, NULL); /* in memory it holds: invariant 1 */
    }
    index_unlock(index);
}

enum err_code damage_forget(struct store *store, const struct digest *digest, struct err *err)
{
    struct index *index = &store->index;
    struct db_batch batch DB_BATCH_CLEANUP = {0};
    db_batch_delete(&batch, FAMILY_DAMAGED, digest_span(digest));
    index_lock(index);
    enum err_code code = db_write(index->db, &batch, true, err);
    if (code == ERR_OK)
        set_remove(&index->damage, digest);
    index_unlock(index);
    return code;
}

static enum err_code damage_get(struct store *store, const struct digest *digest,
                                struct damage *ret_damage, struct err *err)
{
    struct bytes record BYTES_CLEANUP = {0};
    bool found = false;
    TRY(db_find(store->db, NULL, FAMILY_DAMAGED, digest_span(digest), &record, &found, err));
    *ret_damage = (struct damage){.digest = *digest, .kind = DAMAGE_FILE};
    if (!found || record.len < DAMAGE_FIXED_BYTES) /* it could not be written */
        return ERR_OK;
    ret_damage->kind = record.data[0] == DAMAGE_PAGE ? DAMAGE_PAGE : DAMAGE_FILE;
    ret_damage->found_ms = load_u64(record.data + 1);
    snprintf(ret_damage->reason, sizeof(ret_damage->reason), "%.*s",
             (int)(record.len - DAMAGE_FIXED_BYTES), record.data + DAMAGE_FIXED_BYTES);
    return ERR_OK;
}

enum err_code damage_list(struct store *store, struct damage **ret_list, size_t *ret_count,
                          struct err *err)
{
    struct index *index = &store->index;
    index_lock(index);
    size_t count = set_count(&index->damage);
    struct damage *list MEM_CLEANUP = mem_calloc(count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i].digest = index->damage.digests[i];
    index_unlock(index);
    for (size_t i = 0; i < count; i++) {
        struct digest digest = list[i].digest;
        TRY(damage_get(store, &digest, &list[i], err));
    }
    *ret_list = list;
    list = NULL;
    *ret_count = count;
    return ERR_OK;
}

/* ---- below a page ---- */

struct below {
    struct store *store;
    uint64_t generation;
    bool file_damaged; /* of the page at hand */
};

static void below_file(void *context, const struct digest *digest)
{
    struct below *below = context;
    below->file_damaged = below->file_damaged || damage_has(below->store, digest);
}

static bool clean_has(struct below *below, const struct digest *page)
{
    struct index *index = &below->store->index;
    index_lock(index);
    below->generation = index->damage.generation;
    bool has = digest_set_has(&index->damage.clean, page);
    index_unlock(index);
    return has;
}

/* Unless something was listed since it was looked at. */
static void clean_add(struct below *below, uint64_t generation, const struct digest *page)
{
    struct index *index = &below->store->index;
    index_lock(index);
    if (index->damage.generation == generation)
        digest_set_add(&index->damage.clean, page);
    index_unlock(index);
}

/* As deep as the tree. A page that is not here is as bad as a damaged one (CLOSED). */
static enum err_code below_page(struct below *below, const struct digest *digest, bool *ret_damaged,
                                struct err *err)
{
    *ret_damaged = false;
    if (clean_has(below, digest))
        return ERR_OK;
    uint64_t generation = below->generation;
    struct bytes page BYTES_CLEANUP = {0};
    struct collect_mark mark = {.on_file = below_file, .on_file_context = below};
    struct err cause;
    uint32_t level;
    below->file_damaged = false;
    enum err_code code = page_read(below->store, digest, &page, &cause);
    if (code == ERR_OK)
        code = catalog_tree()->children(catalog_tree()->context, bytes_span(&page), &mark, &level,
                                        &cause);
    *ret_damaged = code == ERR_CORRUPT || code == ERR_NOT_FOUND || below->file_damaged;
    if (code != ERR_OK && !*ret_damaged) {
        collect_mark_deinit(&mark);
        return err_set(err, code, "%s", cause.message);
    }
    code = ERR_OK;
    for (size_t i = 0; i < mark.walk.count && code == ERR_OK && !*ret_damaged; i++)
        code = below_page(below, &mark.walk.digests[i], ret_damaged, err);
    collect_mark_deinit(&mark);
    if (code == ERR_OK && !*ret_damaged)
        clean_add(below, generation, digest);
    return code;
}

enum err_code damage_below(struct store *store, const struct digest *page, bool *ret_damaged,
                           struct err *err)
{
    *ret_damaged = false;
    if (damage_count(store) == 0)
        return ERR_OK;
    struct below below = {.store = store};
    return below_page(&below, page, ret_damaged, err);
}

enum err_code damage_of_version(struct store *store, const struct version_ref *version,
                                bool *ret_damaged, struct err *err)
{
    TRY(damage_below(store, &version->page, ret_damaged, err));
    return *ret_damaged ? ERR_OK : damage_below(store, &version->attribute_root, ret_damaged, err);
}
