#include "node/task/look.h"

#define FILES_FIRST 1024 /* slots; a power of two */

struct look_limits look_limits_default(void)
{
    return (struct look_limits){
        .items_max = 4096, .files_max = 6 * MIB(1), .held_pages_max = 16384};
}

/* ---- files that were counted ---- */

static uint64_t file_hash(const struct look *look, const struct digest *digest)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, digest->b, sizeof(digest->b), look->limits.seed);
    return load_u64(hash) | 1; /* 0 is a free slot */
}

static uint64_t *file_slot(uint64_t *files, size_t capacity, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & (capacity - 1);
    while (files[at] != 0 && files[at] != hash)
        at = (at + 1) & (capacity - 1);
    return &files[at];
}

/* A quarter of the slots stays free. */
static void files_grow(struct look *look)
{
    bool is_full = look->file_count >= look->limits.files_max;
    if (look->file_capacity > 0 &&
        (is_full || 4 * (look->file_count + 1) <= 3 * look->file_capacity))
        return;
    size_t capacity = look->file_capacity == 0 ? FILES_FIRST : 2 * look->file_capacity;
    uint64_t *files = mem_calloc(capacity, sizeof(*files));
    for (size_t i = 0; i < look->file_capacity; i++)
        if (look->files[i] != 0)
            *file_slot(files, capacity, look->files[i]) = look->files[i];
    mem_free(look->files);
    look->files = files;
    look->file_capacity = capacity;
}

/* Whether it is the first time, as far as is remembered. */
static bool file_is_first(struct look *look, const struct digest *digest)
{
    files_grow(look);
    uint64_t hash = file_hash(look, digest);
    uint64_t *slot = file_slot(look->files, look->file_capacity, hash);
    if (*slot != 0)
        return false;
    if (look->file_count >= look->limits.files_max) {
        look->counts.at_most = true;
        return true;
    }
    *slot = hash;
    look->file_count++;
    return true;
}

/* ---- items ---- */

static struct look_item *item_new(const struct digest *digest, const struct page_place *place,
                                  bool is_held)
{
    struct look_item *item = mem_calloc(1, sizeof(*item) + place->after.len + place->last.len);
    item->digest = *digest;
    item->is_held = is_held;
    item->place = *place;
    if (place->after.len > 0)
        memcpy(item->keys, place->after.data, place->after.len);
    if (place->last.len > 0)
        memcpy(item->keys + place->after.len, place->last.data, place->last.len);
    item->place.after = span_of(item->keys, place->after.len);
    item->place.last = span_of(item->keys + place->after.len, place->last.len);
    return item;
}

static void item_remove(struct look *look, struct look_item *item)
{
    TAILQ_REMOVE(&look->items, item, link);
    look->item_count--;
    mem_free(item);
}

static void items_clear(struct look *look)
{
    while (!TAILQ_EMPTY(&look->items))
        item_remove(look, TAILQ_FIRST(&look->items));
}

/* Of one request. A root stands alone: between the trees, of a level that is not known before it is read. */
static bool items_alike(const struct look_item *a, const struct look_item *b)
{
    return a->is_held == b->is_held && a->place.level == b->place.level && !a->place.is_root &&
           !b->place.is_root;
}

size_t look_batch(const struct look *look, struct look_item *ret_items[LOOK_BATCH])
{
    struct look_item *first = TAILQ_FIRST(&look->items);
    if (first == NULL)
        return 0;
    size_t max = first->place.level == 0 && !first->place.is_root ? LOOK_BATCH
                 : look->item_count < look->limits.items_max      ? LOOK_BATCH_INNER
                                                                  : 1;
    size_t count = 0;
    struct look_item *item = first;
    do {
        ret_items[count++] = item;
        item = TAILQ_NEXT(item, link);
    } while (item != NULL && count < max && items_alike(first, item));
    return count;
}

/* ---- pages ---- */

/* What is held below is read as long as that lasts. */
static bool child_is_wanted(struct look *look, bool is_held)
{
    if (!is_held || look->held_pages < look->limits.held_pages_max) {
        look->held_pages += is_held;
        return true;
    }
    look->counts.files_unknown = true;
    return false;
}

static enum err_code child_add(struct look *look, struct look_item *parent,
                               const struct digest *digest, const struct page_place *place,
                               struct err *err)
{
    bool is_held = parent->is_held;
    if (!is_held)
        TRY(look->store.has_page(look->store.context, digest, &is_held, err));
    if (is_held && place->tree == TREE_ATTRIBUTES) /* names no files */
        return ERR_OK;
    if (!child_is_wanted(look, is_held))
        return ERR_OK;
    struct look_item *item = item_new(digest, place, is_held);
    TAILQ_INSERT_BEFORE(parent, item, link);
    look->item_count++;
    return ERR_OK;
}

static enum err_code partition_moves(struct look *look, struct span partition, struct err *err)
{
    bool in_base;
    if (look->has_moving && span_equal(partition, bytes_span(&look->moving)))
        return ERR_OK;
    TRY(look->store.base_has(look->store.context, partition, &in_base, err));
    look->fate = in_base ? LOOK_CHANGED : LOOK_NEW;
    look->counts.of[look->fate].partitions++;
    look->has_moving = true;
    bytes_clear(&look->moving);
    bytes_append_span(&look->moving, partition);
    return ERR_OK;
}

static enum err_code row_group_count(struct look *look, const struct look_item *item,
                                     const struct page_entry *entry, struct err *err)
{
    struct row_group_place group;
    struct span partition = row_group_key_split(entry->key, &group);
    for (size_t i = 0; i < entry->row_group.file_count; i++) {
        const struct page_file *file = &entry->row_group.files[i];
        bool is_held = item->is_held;
        if (!is_held)
            TRY(look->store.has_file(look->store.context, &file->digest, &is_held, err));
        if (!is_held)
            TRY(partition_moves(look, partition, err));
        enum look_fate fate = is_held ? LOOK_HELD : look->fate;
        struct look_tally *tally =
            &look->counts.of[file_is_first(look, &file->digest) ? fate : LOOK_AGAIN];
        tally->files++;
        tally->bytes += file->bytes;
    }
    return ERR_OK;
}

enum err_code look_take(struct look *look, struct look_item *item, const struct page *page,
                        size_t page_bytes, struct err *err)
{
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        if (entry->kind == PAGE_ENTRY_ROW_GROUP)
            TRY(row_group_count(look, item, entry, err));
        if (entry->kind != PAGE_ENTRY_CHILD)
            continue;
        struct page_place child = page_place_child(page, &item->place, i);
        TRY(child_add(look, item, &entry->child.digest, &child, err));
    }
    if (item->place.is_root && page->tree == TREE_MANIFEST)
        look->totals = page->totals;
    look->counts.pages += !item->is_held;
    look->counts.page_bytes += item->is_held ? 0 : page_bytes;
    item_remove(look, item);
    return ERR_OK;
}

void look_missed(struct look_item *item)
{
    item->is_held = false;
}

/* ---- life ---- */

void look_init(struct look *look, const struct look_limits *limits, const struct look_store *store)
{
    *look = (struct look){.limits = *limits, .store = *store};
    TAILQ_INIT(&look->items);
}

void look_deinit(struct look *look)
{
    items_clear(look);
    bytes_deinit(&look->moving);
    mem_free(look->files);
    look->files = NULL;
}

/* The manifest's is read though it is held: it has the table's totals. */
static enum err_code root_add(struct look *look, enum tree_kind tree, const struct digest *digest,
                              struct err *err)
{
    struct page_place place = page_place_root(tree);
    bool is_held;
    TRY(look->store.has_page(look->store.context, digest, &is_held, err));
    if (is_held && tree == TREE_ATTRIBUTES)
        return ERR_OK;
    struct look_item *item = item_new(digest, &place, is_held);
    TAILQ_INSERT_TAIL(&look->items, item, link);
    look->item_count++;
    return ERR_OK;
}

enum err_code look_begin(struct look *look, const struct digest *manifest,
                         const struct digest *attributes, struct err *err)
{
    items_clear(look);
    if (look->files != NULL)
        memset(look->files, 0, look->file_capacity * sizeof(*look->files));
    look->file_count = 0;
    look->held_pages = 0;
    look->has_moving = false;
    look->totals = (struct page_totals){0};
    look->counts = (struct look_counts){0};
    TRY(root_add(look, TREE_MANIFEST, manifest, err));
    return root_add(look, TREE_ATTRIBUTES, attributes, err);
}

/* ---- what was found ---- */

struct look_counts look_counts_get(const struct look *look)
{
    struct look_counts counts = look->counts;
    const struct page_totals *totals = &look->totals;
    uint64_t partitions = counts.of[LOOK_NEW].partitions + counts.of[LOOK_CHANGED].partitions;
    uint64_t bytes =
        counts.of[LOOK_NEW].bytes + counts.of[LOOK_CHANGED].bytes + counts.of[LOOK_AGAIN].bytes;
    struct look_tally *held = &counts.of[LOOK_HELD];
    held->partitions = totals->partitions > partitions ? totals->partitions - partitions : 0;
    held->bytes = totals->bytes > bytes ? totals->bytes - bytes : 0;
    counts.rows = totals->rows;
    return counts;
}
