#include "node/task/xcopy_serve.h"

#include "proto/token.h"
#include "store/files.h"
#include "store/pages.h"
#include "store/tree.h"

/* ---- subjects ---- */

static void append_digest(struct bytes *out, const struct digest *digest)
{
    bytes_append_span(out, digest_span(digest));
}

static void append_part(struct bytes *out, struct span part)
{
    bytes_append_u32(out, (uint32_t)part.len);
    bytes_append_span(out, part);
}

void lease_subject_encode(const struct lease_subject *subject, struct bytes *out)
{
    bytes_append(out, subject->task.b, sizeof(subject->task.b));
    append_digest(out, &subject->version.version);
    append_digest(out, &subject->version.page);
    append_digest(out, &subject->version.attribute_root);
    bytes_append_u64(out, subject->version.totals.rows);
    bytes_append_u64(out, subject->version.totals.bytes);
    bytes_append_u64(out, subject->version.totals.partitions);
    append_digest(out, &subject->manifest_root);
    bytes_append(out, subject->maker.b, sizeof(subject->maker.b));
    bytes_append(out, subject->signature, sizeof(subject->signature));
    append_part(out, subject->claim);
    append_part(out, subject->token);
    if (subject->receipt.len > 0 || subject->snapshot.len > 0)
        append_part(out, subject->receipt);
    if (subject->snapshot.len > 0)
        append_part(out, subject->snapshot);
}

enum err_code lease_subject_decode(struct span encoded, struct lease_subject *ret_subject,
                                   struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct lease_subject subject = {0};
    reader_copy(&reader, subject.task.b, sizeof(subject.task.b));
    reader_copy(&reader, subject.version.version.b, DIGEST_BYTES);
    reader_copy(&reader, subject.version.page.b, DIGEST_BYTES);
    reader_copy(&reader, subject.version.attribute_root.b, DIGEST_BYTES);
    subject.version.totals.rows = reader_u64(&reader);
    subject.version.totals.bytes = reader_u64(&reader);
    subject.version.totals.partitions = reader_u64(&reader);
    reader_copy(&reader, subject.manifest_root.b, DIGEST_BYTES);
    reader_copy(&reader, subject.maker.b, sizeof(subject.maker.b));
    reader_copy(&reader, subject.signature, sizeof(subject.signature));
    subject.claim = reader_span(&reader, reader_u32(&reader));
    subject.token = reader_span(&reader, reader_u32(&reader));
    if (reader.left.len > 0)
        subject.receipt = reader_span(&reader, reader_u32(&reader));
    if (reader.left.len > 0)
        subject.snapshot = reader_span(&reader, reader_u32(&reader));
    if (!reader_end(&reader))
        return err_set(err, ERR_CORRUPT, "the record of a lease is damaged");
    *ret_subject = subject;
    return ERR_OK;
}

bool lease_subject_looks(const struct lease_subject *subject)
{
    struct token token;
    return subject->receipt.len == 0 && token_decode(subject->token, &token, NULL) == ERR_OK &&
           (token.rights & TOKEN_FILES) == 0;
}

enum err_code lease_subject_grants(const struct lease_subject *subject, enum peer_method method,
                                   struct err *err)
{
    bool is_of_files = method == PEER_GET_FILES || method == PEER_RECEIPT;
    struct token token;
    if (!is_of_files || subject->receipt.len > 0 ||
        (token_decode(subject->token, &token, NULL) == ERR_OK && (token.rights & TOKEN_FILES) != 0))
        return ERR_OK;
    return err_set(err, ERR_DENIED, "the token grants no files: it is for EXPLAIN XCOPY");
}

/* ---- pages ---- */

/* Items of one request stand close together: the last pages read are kept. */
#define SERVE_CACHE_PAGES 16

struct page_cache {
    struct store *store;
    struct {
        struct digest digest;
        struct bytes page;
    } slots[SERVE_CACHE_PAGES];
    size_t used, next;
};

static void page_cache_deinit(struct page_cache *cache)
{
    for (size_t i = 0; i < cache->used; i++)
        bytes_deinit(&cache->slots[i].page);
}
#define PAGE_CACHE_CLEANUP __attribute__((cleanup(page_cache_deinit)))

static enum err_code cache_read(void *context, const struct digest *digest, struct bytes *ret_page,
                                struct err *err)
{
    struct page_cache *cache = context;
    bytes_clear(ret_page);
    for (size_t i = 0; i < cache->used; i++) {
        if (!digest_equal(&cache->slots[i].digest, digest))
            continue;
        bytes_append_span(ret_page, bytes_span(&cache->slots[i].page));
        return ERR_OK;
    }
    TRY(page_read(cache->store, digest, ret_page, err));
    size_t at = cache->next;
    cache->next = (cache->next + 1) % SERVE_CACHE_PAGES;
    cache->used += cache->used < SERVE_CACHE_PAGES;
    cache->slots[at].digest = *digest;
    bytes_clear(&cache->slots[at].page);
    bytes_append_span(&cache->slots[at].page, bytes_span(ret_page));
    return ERR_OK;
}

static enum err_code not_in_lease(const struct peer_item *item, struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    return err_set(err, ERR_NOT_IN_LEASE, "%.16s does not stand where it was asked for",
                   digest_hex(&item->digest, hex));
}

static enum err_code page_place_check(const struct serve *serve, const struct page_source *source,
                                      const struct peer_item *item, struct err *err)
{
    bool attributes = item->tree == TREE_ATTRIBUTES;
    if (!attributes && item->tree != TREE_MANIFEST)
        return not_in_lease(item, err);
    const struct tree tree = {.source = source,
                              .kind = attributes ? TREE_ATTRIBUTES : TREE_MANIFEST,
                              .root = attributes ? serve->subject->version.attribute_root
                                                 : serve->subject->manifest_root};
    if (digest_equal(&tree.root, &item->digest))
        return ERR_OK;
    struct digest found;
    struct err reason;
    enum err_code code = tree_get_page(&tree, item->level, item->key, &found, &reason);
    if (code == ERR_NOT_FOUND || (code == ERR_OK && !digest_equal(&found, &item->digest)))
        return not_in_lease(item, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

static enum err_code clustered_unknown(const struct session *peer, const char *what,
                                       struct err *err)
{
    return err_set(err, ERR_SEMANTIC, /* not ERR_VERSION, which is tried again */
                   "the table %s, which the program of region %s does not know yet: it is older "
                   "than the one here and has to be replaced first",
                   what, peer->name);
}

enum err_code serve_readable(const struct session *peer, const struct version_record *version,
                             struct err *err)
{
    if (version->clustering.kind != CLUSTERING_NONE && peer->version < PROTOCOL_VERSION_CLUSTERED)
        return clustered_unknown(peer, "is clustered", err);
    return ERR_OK;
}

/* Partitions keep the clustering that they were begun with, also when the table has none any more. */
static enum err_code page_readable(const struct serve *serve, const struct peer_item *item,
                                   struct span encoded, struct err *err)
{
    struct page page;
    if (serve->peer->version >= PROTOCOL_VERSION_CLUSTERED || item->tree != TREE_MANIFEST ||
        item->level > 0)
        return ERR_OK;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, PAGE_ARENA_BYTES);
    const struct page_place place = page_place_any(TREE_MANIFEST);
    TRY(page_decode(encoded, &place, &arena, &page, err));
    for (size_t i = 0; i < page.entry_count; i++)
        if (page.entries[i].kind == PAGE_ENTRY_PARTITION &&
            page.entries[i].partition.clustering.kind != CLUSTERING_NONE)
            return clustered_unknown(serve->peer, "has partitions that are clustered", err);
    return ERR_OK;
}

/* Whether one more part fits; the first always does. */
static bool part_fits(const struct serve *serve, const struct bytes *body, size_t count,
                      size_t bytes)
{
    return count == 0 || body->len + bytes <= serve->reply_bytes;
}

enum err_code serve_pages(const struct serve *serve, struct bytes *header, struct bytes *body,
                          struct err *err)
{
    PAGE_CACHE_CLEANUP struct page_cache cache = {.store = serve->store};
    const struct page_source source = {.read = cache_read, .context = &cache};
    uint32_t *lengths MEM_CLEANUP = mem_calloc(serve->item_count, sizeof(*lengths));
    BYTES_CLEANUP struct bytes page = {0};
    size_t count = 0;
    for (; count < serve->item_count; count++) {
        const struct peer_item *item = &serve->items[count];
        enum err_code code = page_place_check(serve, &source, item, err);
        if (code == ERR_OK)
            code = cache_read(&cache, &item->digest, &page, err);
        if (code == ERR_OK)
            code = page_readable(serve, item, bytes_span(&page), err);
        if ((code == ERR_CORRUPT || code == ERR_SEMANTIC) && count > 0)
            break; /* what comes before it is whole; asked for first, it is told */
        TRY(code);
        if (!part_fits(serve, body, count, page.len))
            break;
        bytes_append_span(body, bytes_span(&page));
        lengths[count] = (uint32_t)page.len;
    }
    peer_lengths_encode(lengths, count, header);
    return ERR_OK;
}

/* ---- files ---- */

/* The file that the entry has for this column, if it is the one named. */
static const struct page_file *entry_file(const struct page_entry *entry,
                                          const struct peer_item *item)
{
    if (entry == NULL || entry->kind != PAGE_ENTRY_ROW_GROUP)
        return NULL;
    const struct page_row_group *group = &entry->row_group;
    for (size_t i = 0; i < group->column_count; i++) {
        const struct page_file *file = &group->files[group->columns[i].file];
        if (group->columns[i].column_id == item->column_id &&
            digest_equal(&file->digest, &item->digest))
            return file;
    }
    return NULL;
}

/* The leaf that was looked up last: items follow each other in order of key. */
struct file_lookup {
    struct tree tree;
    struct tree_page leaf;
    const struct page_entry *entry; /* in leaf; NULL: nothing was looked up */
};

static void file_lookup_deinit(struct file_lookup *lookup)
{
    tree_page_deinit(&lookup->leaf);
}
#define FILE_LOOKUP_CLEANUP __attribute__((cleanup(file_lookup_deinit)))

static int entry_order(const void *key, const void *entry)
{
    return span_compare(*(const struct span *)key, ((const struct page_entry *)entry)->key);
}

static enum err_code entry_find(struct file_lookup *lookup, const struct peer_item *item,
                                struct err *err)
{
    const struct page *leaf = &lookup->leaf.page;
    if (lookup->entry != NULL)
        lookup->entry = bsearch(&item->key, leaf->entries, leaf->entry_count,
                                sizeof(*leaf->entries), entry_order);
    if (lookup->entry != NULL)
        return ERR_OK;
    struct err reason;
    enum err_code code = tree_get(&lookup->tree, item->key, &lookup->leaf, &lookup->entry, &reason);
    if (code == ERR_OK)
        return ERR_OK;
    lookup->entry = NULL;
    return code == ERR_NOT_FOUND ? not_in_lease(item, err)
                                 : err_set(err, code, "%s", reason.message);
}

static enum err_code file_find_by_place(struct file_lookup *lookup, const struct peer_item *item,
                                        uint64_t *ret_bytes, struct err *err)
{
    TRY(entry_find(lookup, item, err));
    const struct page_file *file = entry_file(lookup->entry, item);
    if (file == NULL)
        return not_in_lease(item, err);
    *ret_bytes = file->bytes;
    return ERR_OK;
}

enum err_code serve_files(const struct serve *serve, struct bytes *header, struct bytes *body,
                          struct err *err)
{
    PAGE_CACHE_CLEANUP struct page_cache cache = {.store = serve->store};
    const struct page_source source = {.read = cache_read, .context = &cache};
    FILE_LOOKUP_CLEANUP struct file_lookup lookup = {
        .tree = {.source = &source, .kind = TREE_MANIFEST, .root = serve->subject->manifest_root}};
    uint32_t *lengths MEM_CLEANUP = mem_calloc(serve->item_count, sizeof(*lengths));
    BYTES_CLEANUP struct bytes file = {0};
    size_t count = 0;
    for (; count < serve->item_count; count++) {
        const struct peer_item *item = &serve->items[count];
        uint64_t bytes;
        TRY(file_find_by_place(&lookup, item, &bytes, err));
        if (!part_fits(serve, body, count, bytes))
            break;
        struct bytes *into = count == 0 ? body : &file; /* one large file is not copied */
        enum err_code code = file_read(serve->store, &item->digest, FILE_CHECK_LENGTH, into, err);
        if (code == ERR_CORRUPT && count > 0)
            break; /* as in serve_pages */
        TRY(code);
        lengths[count] = (uint32_t)into->len;
        if (count > 0)
            bytes_append_span(body, bytes_span(&file));
    }
    peer_lengths_encode(lengths, count, header);
    return ERR_OK;
}
