#include "cluster-tests/sim/model.h"

/* ---- chance (splitmix64) ---- */

uint64_t chance_next(struct chance *chance)
{
    uint64_t z = (chance->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t chance_below(struct chance *chance, uint64_t limit)
{
    return chance_next(chance) % limit;
}

bool chance_percent(struct chance *chance, unsigned percent)
{
    return chance_below(chance, 100) < percent;
}

/* ---- map ---- */

#define MAP_BUCKETS 256

static struct map_entry **map_slot(const struct map *map, const struct digest *digest, uint64_t tag)
{
    struct map_entry **at = &map->buckets[(load_u64(digest->b) + tag) % map->bucket_count];
    while (*at != NULL && ((*at)->tag != tag || !digest_equal(&(*at)->digest, digest)))
        at = &(*at)->next;
    return at;
}

struct map_entry *map_find(const struct map *map, const struct digest *digest, uint64_t tag)
{
    return map->bucket_count == 0 ? NULL : *map_slot(map, digest, tag);
}

struct map_entry *map_put(struct map *map, const struct digest *digest, uint64_t tag,
                          struct span bytes)
{
    if (map->bucket_count == 0) {
        map->bucket_count = MAP_BUCKETS;
        map->buckets = mem_calloc(MAP_BUCKETS, sizeof(struct map_entry *));
    }
    struct map_entry **at = map_slot(map, digest, tag);
    if (*at == NULL) {
        *at = mem_calloc(1, sizeof(**at));
        (*at)->digest = *digest;
        (*at)->tag = tag;
        map->count++;
    }
    bytes_clear(&(*at)->bytes);
    bytes_append_span(&(*at)->bytes, bytes);
    return *at;
}

static void map_remove(struct map *map, struct map_entry **at)
{
    struct map_entry *entry = *at;
    *at = entry->next;
    bytes_deinit(&entry->bytes);
    mem_free(entry);
    map->count--;
}

void map_delete(struct map *map, const struct digest *digest, uint64_t tag)
{
    if (map->bucket_count == 0)
        return;
    struct map_entry **at = map_slot(map, digest, tag);
    if (*at != NULL)
        map_remove(map, at);
}

void map_delete_tag(struct map *map, uint64_t tag)
{
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_entry **at = &map->buckets[i];
        while (*at != NULL) {
            if ((*at)->tag == tag)
                map_remove(map, at);
            else
                at = &(*at)->next;
        }
    }
}

void map_clear(struct map *map)
{
    for (size_t i = 0; i < map->bucket_count; i++)
        while (map->buckets[i] != NULL)
            map_remove(map, &map->buckets[i]);
    mem_free(map->buckets);
    *map = (struct map){0};
}

void map_each(const struct map *map, map_function *function, void *context)
{
    for (size_t i = 0; i < map->bucket_count; i++)
        for (struct map_entry *entry = map->buckets[i]; entry != NULL; entry = entry->next)
            function(context, entry);
}

/* ---- pages ---- */

bool model_page_decode(struct span bytes, struct model_page *ret_page)
{
    struct reader reader = reader_of(bytes);
    if (reader_u8(&reader) != 'P')
        return false;
    struct model_page page = {.level = reader_u8(&reader)};
    page.count = reader_u16(&reader);
    page.first = reader_u32(&reader);
    if (page.level > MODEL_ROOT_LEVEL || page.count > ARRAY_COUNT(page.entries))
        return false;
    for (size_t i = 0; i < page.count; i++) {
        struct model_entry *entry = &page.entries[i];
        entry->partition = reader_u32(&reader);
        if (page.level == 0) {
            entry->index = reader_u32(&reader);
            entry->bytes = reader_u32(&reader);
        }
        reader_copy(&reader, entry->digest.b, DIGEST_BYTES);
    }
    if (!reader_end(&reader))
        return false;
    *ret_page = page;
    return true;
}

static void page_encode(const struct model_page *page, struct bytes *out)
{
    bytes_append_u8(out, 'P');
    bytes_append_u8(out, (uint8_t)page->level);
    bytes_append_u16(out, (uint16_t)page->count);
    bytes_append_u32(out, page->first);
    for (size_t i = 0; i < page->count; i++) {
        const struct model_entry *entry = &page->entries[i];
        bytes_append_u32(out, entry->partition);
        if (page->level == 0) {
            bytes_append_u32(out, entry->index);
            bytes_append_u32(out, entry->bytes);
        }
        bytes_append_span(out, digest_span(&entry->digest));
    }
}

struct digest model_page_digest(struct span bytes)
{
    return digest_of(DOMAIN_PAGE, bytes);
}

struct digest model_file_digest(struct span bytes)
{
    return digest_of(DOMAIN_FILE, bytes);
}

/* ---- storing and relying ---- */

void model_store_crash(struct model_store *store)
{
    map_clear(&store->pins);
    map_clear(&store->marked);
    while (store->doomed != NULL) {
        struct map_entry *entry = store->doomed;
        store->doomed = entry->next;
        mem_free(entry);
    }
    store->collecting = false;
}

void model_store_deinit(struct model_store *store)
{
    model_store_crash(store);
    map_clear(&store->pages);
    map_clear(&store->files);
    map_clear(&store->held);
    map_clear(&store->staged);
}

static const struct span nothing;

void model_file_put(struct model_store *store, struct span bytes, const struct digest *digest,
                    uint64_t account)
{
    map_put(&store->files, digest, 0, bytes)->stamp = store->collection;
    map_put(&store->held, digest, account, nothing);
}

void model_page_put(struct model_store *store, struct span bytes, const struct digest *digest,
                    uint64_t account)
{
    map_put(&store->pages, digest, 0, bytes)->stamp = store->collection;
    map_put(&store->held, digest, account, nothing);
}

bool model_file_rely(struct model_store *store, const struct digest *digest, uint64_t account,
                     uint64_t task)
{
    struct map_entry *file = map_find(&store->files, digest, 0);
    if (file == NULL || map_find(&store->held, digest, account) == NULL)
        return false;
    map_put(&store->pins, digest, task, nothing);
    if (!store->plant_no_pins)
        file->stamp = store->collection;
    return true;
}

bool model_page_rely(struct model_store *store, const struct digest *digest, uint64_t account,
                     uint64_t task)
{
    struct map_entry *page = map_find(&store->pages, digest, 0);
    if (page == NULL || map_find(&store->held, digest, account) == NULL)
        return false;
    bool doomed = store->collecting && page->stamp < store->collection &&
                  map_find(&store->marked, digest, 0) == NULL;
    if (doomed && !store->plant_no_pins)
        return false; /* what is below it goes too */
    map_put(&store->pins, digest, task, nothing);
    return true;
}

bool model_page_promote(struct model_store *store, const struct digest *digest, uint64_t account,
                        uint64_t task, bool trust)
{
    if (map_find(&store->pages, digest, 0) != NULL && model_page_rely(store, digest, account, task))
        return true;
    struct map_entry *staged = map_find(&store->staged, digest, task);
    struct model_page page;
    if (staged == NULL || !model_page_decode(bytes_span(&staged->bytes), &page))
        return false;
    for (size_t i = 0; i < page.count && !trust; i++) {
        const struct digest *below = &page.entries[i].digest;
        bool here = page.level == 0 ? model_file_rely(store, below, account, task)
                                    : model_page_rely(store, below, account, task);
        if (!here)
            return false;
    }
    map_put(&store->pins, digest, task, nothing);
    model_page_put(store, bytes_span(&staged->bytes), digest, account);
    map_delete(&store->staged, digest, task);
    return true;
}

/* ---- by place ---- */

static bool page_load(const struct model_store *store, const struct digest *digest,
                      struct model_page *ret_page)
{
    struct map_entry *entry = map_find(&store->pages, digest, 0);
    return entry != NULL && model_page_decode(bytes_span(&entry->bytes), ret_page);
}

bool model_find_page(const struct model_store *store, const struct digest *root, unsigned level,
                     uint32_t partition, struct digest *ret_digest)
{
    struct digest at = *root;
    struct model_page page;
    while (page_load(store, &at, &page)) {
        if (page.level == level) {
            *ret_digest = at;
            return true;
        }
        size_t i = 0;
        while (i < page.count && page.entries[i].partition < partition)
            i++;
        if (page.level < level || i == page.count)
            return false;
        at = page.entries[i].digest;
    }
    return false;
}

bool model_find_file(const struct model_store *store, const struct digest *root, uint32_t partition,
                     uint32_t index, struct digest *ret_digest)
{
    struct digest leaf;
    struct model_page page;
    if (!model_find_page(store, root, 0, partition, &leaf) || !page_load(store, &leaf, &page))
        return false;
    for (size_t i = 0; i < page.count; i++) {
        if (page.entries[i].partition == partition && page.entries[i].index == index) {
            *ret_digest = page.entries[i].digest;
            return true;
        }
    }
    return false;
}

bool model_whole(const struct model_store *store, const struct digest *root)
{
    struct map_entry *entry = map_find(&store->pages, root, 0);
    struct model_page page;
    if (entry == NULL || !model_page_decode(bytes_span(&entry->bytes), &page))
        return false;
    struct digest is = model_page_digest(bytes_span(&entry->bytes));
    if (!digest_equal(&is, root))
        return false;
    for (size_t i = 0; i < page.count; i++) {
        const struct digest *below = &page.entries[i].digest;
        if (page.level > 0 && !model_whole(store, below))
            return false;
        if (page.level > 0)
            continue;
        struct map_entry *file = map_find(&store->files, below, 0);
        if (file == NULL)
            return false;
        is = model_file_digest(bytes_span(&file->bytes));
        if (!digest_equal(&is, below))
            return false;
    }
    return true;
}

/* ---- clean-up ---- */

static void mark_page(struct model_store *store, struct span bytes);

static void mark(struct model_store *store, const struct digest *digest, bool is_page)
{
    if (map_find(&store->marked, digest, 0) != NULL)
        return;
    map_put(&store->marked, digest, 0, nothing);
    struct map_entry *entry = is_page ? map_find(&store->pages, digest, 0) : NULL;
    if (entry != NULL)
        mark_page(store, bytes_span(&entry->bytes));
}

static void mark_page(struct model_store *store, struct span bytes)
{
    struct model_page page;
    if (!model_page_decode(bytes, &page))
        return;
    for (size_t i = 0; i < page.count; i++)
        mark(store, &page.entries[i].digest, page.level > 0);
}

static void mark_staged(void *context, struct map_entry *entry)
{
    mark_page(context, bytes_span(&entry->bytes));
}

static void mark_pin(void *context, struct map_entry *entry)
{
    mark(context, &entry->digest, true);
}

static void doom(struct model_store *store, struct map_entry *entry, uint64_t level)
{
    if (map_find(&store->marked, &entry->digest, 0) != NULL)
        return;
    struct map_entry *doomed = mem_calloc(1, sizeof(*doomed));
    doomed->digest = entry->digest;
    doomed->tag = level;
    struct map_entry **at = &store->doomed; /* highest level first */
    while (*at != NULL && (*at)->tag > level)
        at = &(*at)->next;
    doomed->next = *at;
    *at = doomed;
}

static void doom_page(void *context, struct map_entry *entry)
{
    struct model_page page = {0};
    bool is_page = model_page_decode(bytes_span(&entry->bytes), &page);
    ASSERT(is_page);
    doom(context, entry, 1 + page.level);
}

static void doom_file(void *context, struct map_entry *entry)
{
    doom(context, entry, 0);
}

void model_collect_begin(struct model_store *store, const struct digest *roots, size_t root_count)
{
    if (store->collecting)
        return;
    store->collecting = true;
    store->collection++;
    map_clear(&store->marked);
    for (size_t i = 0; i < MODEL_NAMES; i++)
        if (store->snapshots[i].present)
            mark(store, &store->snapshots[i].root, true);
    for (size_t i = 0; i < root_count; i++)
        mark(store, &roots[i], true);
    if (!store->plant_no_pins) {
        map_each(&store->staged, mark_staged, store);
        map_each(&store->pins, mark_pin, store);
    }
    map_each(&store->pages, doom_page, store);
    map_each(&store->files, doom_file, store);
}

static void delete_content(struct model_store *store, struct map *map, const struct digest *digest)
{
    struct map_entry *entry = map_find(map, digest, 0);
    bool pinned = false;
    for (uint64_t task = 1; task <= 8 && !store->plant_no_pins; task++)
        pinned = pinned || map_find(&store->pins, digest, task) != NULL;
    if (entry == NULL || entry->stamp >= store->collection || pinned)
        return;
    map_delete(map, digest, 0);
    for (uint64_t account = 0; account <= 2; account++)
        map_delete(&store->held, digest, account);
}

bool model_collect_step(struct model_store *store, size_t records)
{
    while (store->doomed != NULL && records-- > 0) {
        struct map_entry *entry = store->doomed;
        store->doomed = entry->next;
        delete_content(store, entry->tag > 0 ? &store->pages : &store->files, &entry->digest);
        mem_free(entry);
    }
    store->collecting = store->doomed != NULL;
    return store->collecting;
}

/* ---- source tables ---- */

void model_table_change(struct model_table *table, struct chance *chance, size_t changes)
{
    for (size_t i = 0; i < changes; i++) {
        size_t partition = chance_below(chance, MODEL_PARTITIONS);
        size_t files = chance_below(chance, MODEL_FILES + 1);
        for (size_t f = 0; f < MODEL_FILES; f++) /* few contents: partitions share some */
            table->content[partition][f] =
                f < files ? (uint16_t)(1 + chance_below(chance, 400)) : 0;
    }
}

static void file_content(uint16_t content, struct bytes *out)
{
    size_t words = 1 + content % 5;
    for (size_t i = 0; i < words; i++)
        bytes_append_u64(out, content * UINT64_C(0x9E3779B97F4A7C15) + i);
}

static void leaf_fill(struct model_store *store, const struct model_table *table, size_t first,
                      struct model_page *page, uint64_t *bytes)
{
    for (size_t p = first; p < first + MODEL_LEAF_PARTITIONS; p++) {
        for (size_t f = 0; f < MODEL_FILES && table->content[p][f] != 0; f++) {
            BYTES_CLEANUP struct bytes content = {0};
            file_content(table->content[p][f], &content);
            struct digest digest = model_file_digest(bytes_span(&content));
            model_file_put(store, bytes_span(&content), &digest, 0);
            page->entries[page->count++] = (struct model_entry){.partition = (uint32_t)p,
                                                                .index = (uint32_t)f,
                                                                .bytes = (uint32_t)content.len,
                                                                .digest = digest};
            *bytes += content.len;
        }
    }
}

static struct digest page_make(struct model_store *store, const struct model_table *table,
                               unsigned level, size_t first, uint64_t *bytes)
{
    struct model_page page = {.level = level, .first = (uint32_t)first};
    if (level == 0) {
        leaf_fill(store, table, first, &page, bytes);
    } else {
        size_t below = MODEL_LEAF_PARTITIONS;
        for (unsigned i = 1; i < level; i++)
            below *= MODEL_FANOUT;
        for (size_t at = first; at < first + below * MODEL_FANOUT && at < MODEL_PARTITIONS;
             at += below)
            page.entries[page.count++] =
                (struct model_entry){.partition = (uint32_t)(at + below - 1),
                                     .digest = page_make(store, table, level - 1, at, bytes)};
    }
    BYTES_CLEANUP struct bytes encoded = {0};
    page_encode(&page, &encoded);
    struct digest digest = model_page_digest(bytes_span(&encoded));
    model_page_put(store, bytes_span(&encoded), &digest, 0);
    return digest;
}

struct digest model_snapshot_make(struct model_store *store, const struct model_table *table,
                                  uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    return page_make(store, table, MODEL_ROOT_LEVEL, 0, ret_bytes);
}
