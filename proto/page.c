#include "proto/page.h"

#include "proto/message.h"
#include "proto/page_entry.h"

/* ---- digests, keys ---- */

struct digest page_digest(struct span encoded)
{
    return digest_of(DOMAIN_PAGE, encoded);
}

void row_group_key(struct span partition, struct row_group_place place, struct bytes *out)
{
    bytes_append_span(out, partition);
    bytes_append_u32(out, place.segment);
    bytes_append_u32(out, place.row_group);
    bytes_append_u32(out, place.column_id);
}

struct span row_group_key_split(struct span key, struct row_group_place *ret_place)
{
    ASSERT(key.len >= ROW_GROUP_KEY_BYTES);
    const uint8_t *at = key.data + key.len - ROW_GROUP_KEY_BYTES;
    *ret_place = (struct row_group_place){
        .segment = load_u32(at), .row_group = load_u32(at + 4), .column_id = load_u32(at + 8)};
    return span_slice(key, 0, key.len - ROW_GROUP_KEY_BYTES);
}

uint32_t row_group_first_column(uint32_t column_id)
{
    ASSERT(column_id > 0);
    return (column_id - 1) / LEAF_ENTRY_COLUMNS * LEAF_ENTRY_COLUMNS + 1;
}

/* ---- places ---- */

struct page_place page_place_root(enum tree_kind tree)
{
    return (struct page_place){.tree = tree, .is_root = true, .is_rightmost = true};
}

struct page_place page_place_any(enum tree_kind tree)
{
    return (struct page_place){.tree = tree, .is_any = true, .is_rightmost = true};
}

enum tree_kind page_tree_of(struct span encoded)
{
    bool is_attributes =
        encoded.len >= 2 && encoded.data[0] == 0x08 && encoded.data[1] == TREE_ATTRIBUTES;
    return is_attributes ? TREE_ATTRIBUTES : TREE_MANIFEST;
}

struct page_place page_place_child(const struct page *page, const struct page_place *place,
                                   size_t index)
{
    ASSERT(page->level > 0 && index < page->entry_count);
    const struct page_entry *entry = &page->entries[index];
    struct page_place child = {
        .tree = page->tree,
        .is_rightmost = place->is_rightmost && index + 1 == page->entry_count,
        .level = page->level - 1,
        .has_after = index > 0 || place->has_after,
        .after = index > 0 ? page->entries[index - 1].key : place->after,
        .last = entry->key,
        .totals = entry->child.totals,
    };
    return child;
}

/* ---- the cut rule ---- */

/* Chance to end a page, per byte of the entry, times 2^32, by KiB of the page so far: grows with the
 * square, so that page sizes crowd around 4 KiB. Part of the format (TREE_FORMAT). */
static const uint32_t cut_chance[LIMIT_PAGE_BYTES / KIB(1)] = {
    0,        310689,   863026,   1691530,   2796203,   4177043,   5834052,   7767230,
    9976575,  12462088, 15223770, 18261620,  21575638,  25165824,  29032178,  33174701,
    37593391, 42288250, 47259277, 52506472,  58029836,  63829367,  69905067,  76256934,
    82884970, 89789175, 96969547, 104426087, 112158796, 120167673, 128452718, 137013931,
};

bool page_cuts(const struct page_cut *cut, struct span key)
{
    if (cut->page_bytes < PAGE_BYTES_MIN || (cut->level > 0 && cut->entries < 2))
        return false;
    if (cut->page_bytes >= LIMIT_PAGE_BYTES)
        return true;
    /* The level goes into the hash: a key that cuts on one level would cut on all. */
    uint8_t hash_key[crypto_shorthash_KEYBYTES] = "strait/1 cut";
    hash_key[sizeof(hash_key) - 1] = (uint8_t)cut->level;
    static const uint8_t nothing;
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key.len > 0 ? key.data : &nothing, key.len, hash_key);
    uint64_t chance = (uint64_t)cut_chance[cut->page_bytes / KIB(1)] * cut->entry_bytes;
    return load_u32(hash) < chance;
}

/* ---- building ---- */

void page_begin(enum tree_kind tree, uint32_t level, struct bytes *out)
{
    Strait__PageRecord record = STRAIT__PAGE_RECORD__INIT;
    record.tree = (uint32_t)tree;
    record.level = level;
    bytes_clear(out);
    message_pack(&record.base, out);
}

void page_append_raw(struct bytes *page, struct span raw)
{
    bytes_append_span(page, raw);
}

/* ---- decoding ---- */

static enum err_code refuse(enum err_code code, const char *what, struct err *err)
{
    return err_set(err, code, "%s", what);
}

static enum err_code entries_take(const Strait__PageRecord *record, struct arena *arena,
                                  struct page *page, struct err *err)
{
    page->entry_count = page->level == 0 ? record->n_leaves : record->n_children;
    if (record->n_leaves + record->n_children != page->entry_count)
        return refuse(ERR_BAD_DATA, "entries of another level", err);
    page->entries = arena_alloc(arena, page->entry_count, sizeof(*page->entries));
    if (page->entries == NULL)
        return refuse(ERR_LIMIT, "takes more memory than it may", err);
    for (size_t i = 0; i < page->entry_count; i++) {
        struct page_entry *entry = &page->entries[i];
        enum err_code code = page->level == 0
                                 ? page_leaf_take(record->leaves[i], page->tree, arena, entry, err)
                                 : page_child_take(record->children[i], entry, err);
        if (code != ERR_OK)
            return err_wrap(err, "entry %zu", i);
    }
    return ERR_OK;
}

/* ---- rules of a page ---- */

/* The bytes are canonical by now: after the head, nothing but entries. */
static void entries_split(struct span encoded, struct page *page)
{
    BYTES_CLEANUP struct bytes head = {0};
    page_begin(page->tree, page->level, &head);
    size_t at = head.len;
    for (size_t i = 0; i < page->entry_count; i++) {
        size_t body_at = at + 1; /* the tag takes one byte */
        size_t body_bytes = 0;
        unsigned shift = 0;
        uint8_t byte;
        do {
            byte = encoded.data[body_at++];
            body_bytes |= (size_t)(byte & 0x7F) << shift;
            shift += 7;
        } while (byte >= 0x80);
        page->entries[i].raw = span_slice(encoded, at, body_at + body_bytes - at);
        at = body_at + body_bytes;
    }
    ASSERT(at == encoded.len);
}

static enum err_code order_check(const struct page *page, const struct page_place *place,
                                 struct err *err)
{
    bool has_before = place->has_after;
    struct span before = place->after;
    for (size_t i = 0; i < page->entry_count; i++) {
        if (has_before && span_compare(before, page->entries[i].key) >= 0)
            return err_set(err, ERR_BAD_DATA, "entry %zu: keys out of order or range", i);
        has_before = true;
        before = page->entries[i].key;
    }
    if (!place->is_root && !place->is_any && !span_equal(before, place->last))
        return refuse(ERR_BAD_DATA, "last key is not the parent's", err);
    return ERR_OK;
}

static enum err_code cut_check(const struct page *page, const struct page_place *place,
                               struct err *err)
{
    struct page_cut cut = {.level = page->level};
    for (size_t i = 0; i < page->entry_count; i++) {
        const struct page_entry *entry = &page->entries[i];
        cut.entries++;
        cut.entry_bytes = entry->raw.len;
        cut.page_bytes += entry->raw.len;
        bool is_last = i + 1 == page->entry_count;
        if (is_last && (place->is_root || place->is_rightmost))
            break;
        if (page_cuts(&cut, entry->key) != is_last)
            return refuse(ERR_BAD_DATA, "not cut where the rule cuts", err);
    }
    return ERR_OK;
}

static enum err_code totals_add(struct page_totals *totals, struct page_totals more,
                                struct err *err)
{
    if (__builtin_add_overflow(totals->rows, more.rows, &totals->rows) ||
        __builtin_add_overflow(totals->bytes, more.bytes, &totals->bytes) ||
        __builtin_add_overflow(totals->partitions, more.partitions, &totals->partitions))
        return refuse(ERR_BAD_DATA, "counts overflow", err);
    return ERR_OK;
}

static enum err_code totals_check(struct page *page, const struct page_place *place,
                                  struct err *err)
{
    struct page_totals totals = {0};
    for (size_t i = 0; i < page->entry_count; i++) {
        struct page_totals more = page_entry_totals(&page->entries[i]);
        TRY(totals_add(&totals, more, err));
    }
    if (page->tree == TREE_ATTRIBUTES && (totals.rows | totals.bytes | totals.partitions) != 0)
        return refuse(ERR_BAD_DATA, "counts in an attribute tree", err);
    if (!place->is_root && !place->is_any &&
        (totals.rows != place->totals.rows || totals.bytes != place->totals.bytes ||
         totals.partitions != place->totals.partitions))
        return refuse(ERR_BAD_DATA, "counts do not add up to the parent's", err);
    page->totals = totals;
    return ERR_OK;
}

static enum err_code head_take(const Strait__PageRecord *record, const struct page_place *place,
                               struct page *page, struct err *err)
{
    if (record->tree != (uint32_t)place->tree)
        return refuse(ERR_BAD_DATA, "a page of another kind of tree", err);
    if (record->level >= LIMIT_TREE_DEPTH)
        return refuse(ERR_BAD_DATA, "tree too deep", err);
    if (!place->is_root && !place->is_any && record->level != place->level)
        return refuse(ERR_BAD_DATA, "not of the level below its parent's", err);
    page->tree = place->tree;
    page->level = record->level;
    return ERR_OK;
}

/* A root is the lowest level that has one page: one entry there would mean a lower one. */
static enum err_code count_check(const struct page *page, const struct page_place *place,
                                 struct err *err)
{
    bool may_be_root = place->is_root || place->is_any;
    if (page->entry_count == 0 && !(may_be_root && page->level == 0))
        return refuse(ERR_BAD_DATA, "no entries", err);
    if (page->level > 0 && page->entry_count < 2 && (place->is_root || !place->is_rightmost))
        return refuse(ERR_BAD_DATA, "an inner page with one entry", err);
    return ERR_OK;
}

static enum err_code decode(struct span encoded, const struct page_place *place,
                            struct arena *arena, struct page *page, struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(message_unpack_canonical(&strait__page_record__descriptor, encoded,
                                 LIMIT_PAGE_MESSAGE_BYTES, arena, &message, err));
    const Strait__PageRecord *record = (const Strait__PageRecord *)message;
    TRY(head_take(record, place, page, err));
    TRY(entries_take(record, arena, page, err));
    entries_split(encoded, page);
    TRY(count_check(page, place, err));
    TRY(order_check(page, place, err));
    TRY(cut_check(page, place, err));
    return totals_check(page, place, err);
}

enum err_code page_decode(struct span encoded, const struct page_place *place, struct arena *arena,
                          struct page *ret_page, struct err *err)
{
    struct page page = {0};
    struct err refused = {0};
    enum err_code code = decode(encoded, place, arena, &page, &refused);
    if (code != ERR_OK)
        return err_set(err, code, "page: %s", refused.message);
    *ret_page = page;
    return ERR_OK;
}
