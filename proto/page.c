#include "proto/page.h"

#include "page.pb-c.h"
#include "proto/message.h"

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
 * square, so that page sizes crowd around 5.5 KiB. Part of the format (TREE_FORMAT). */
static const uint32_t cut_chance[LIMIT_PAGE_BYTES / KIB(1)] = {
    0,        131072,   364089,   713614,   1179648,  1762190,  2461241,  3276800,
    4208868,  5257444,  6422528,  7704121,  9102222,  10616832, 12247950, 13995577,
    15859712, 17840356, 19937508, 22151168, 24481337, 26928014, 29491200, 32170894,
    34967097, 37879808, 40909028, 44054756, 47316992, 50695737, 54190990, 57802752,
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

/* ---- entry -> message ---- */

/* The messages of one entry, for packing only; they borrow from the entry. */
struct entry_messages {
    Strait__LeafEntry leaf;
    Strait__PartitionEntry partition;
    Strait__AttributeEntry attribute;
    Strait__RowGroupEntry row_group;
    Strait__FileRecord files[LEAF_ENTRY_COLUMNS];
    Strait__FileRecord *file_list[LEAF_ENTRY_COLUMNS];
    Strait__ColumnPlaceRecord columns[LEAF_ENTRY_COLUMNS];
    Strait__ColumnPlaceRecord *column_list[LEAF_ENTRY_COLUMNS];
    Strait__StatisticsRecord statistics[LEAF_ENTRY_COLUMNS];
};

enum {
    STATISTICS_HAS_MIN = 1,
    STATISTICS_HAS_MAX = 2,
};

static void message_of_column(const struct page_column *column, Strait__ColumnPlaceRecord *record,
                              Strait__StatisticsRecord *statistics)
{
    strait__column_place_record__init(record);
    record->column_id = column->column_id;
    record->file = column->file;
    record->offset = column->offset;
    record->bytes = column->bytes;
    record->null_count = column->null_count;
    const struct page_statistics *from = &column->statistics;
    if (!from->has_min && !from->has_max && from->nan_count == 0)
        return;
    strait__statistics_record__init(statistics);
    statistics->flags =
        (from->has_min ? STATISTICS_HAS_MIN : 0U) | (from->has_max ? STATISTICS_HAS_MAX : 0U);
    if (from->has_min)
        statistics->minimum = message_data(from->min);
    if (from->has_max)
        statistics->maximum = message_data(from->max);
    statistics->nan_count = from->nan_count;
    record->statistics = statistics;
}

static void message_of_row_group(const struct page_row_group *group, struct entry_messages *m)
{
    strait__row_group_entry__init(&m->row_group);
    m->row_group.segment_kind = group->segment_kind;
    m->row_group.commit_sequence = group->commit_sequence;
    m->row_group.bucket = group->bucket;
    m->row_group.row_count = group->row_count;
    for (size_t i = 0; i < group->file_count; i++) {
        strait__file_record__init(&m->files[i]);
        m->files[i].digest = message_data(digest_span(&group->files[i].digest));
        m->files[i].bytes = group->files[i].bytes;
        m->file_list[i] = &m->files[i];
    }
    for (size_t i = 0; i < group->column_count; i++) {
        message_of_column(&group->columns[i], &m->columns[i], &m->statistics[i]);
        m->column_list[i] = &m->columns[i];
    }
    m->row_group.n_files = group->file_count;
    m->row_group.files = m->file_list;
    m->row_group.n_columns = group->column_count;
    m->row_group.columns = m->column_list;
}

static void message_of_partition(const struct page_partition *partition, struct entry_messages *m)
{
    strait__partition_entry__init(&m->partition);
    m->partition.clustering = partition->clustering;
    m->partition.segment_count = partition->segment_count;
    m->partition.row_count = partition->row_count;
    m->partition.byte_count = partition->byte_count;
    m->partition.row_checksum =
        message_data(span_of(partition->checksum.b, sizeof(partition->checksum.b)));
}

static void message_of_leaf(const struct page_entry *entry, struct entry_messages *m)
{
    strait__leaf_entry__init(&m->leaf);
    m->leaf.key = message_data(entry->key);
    switch (entry->kind) {
    case PAGE_ENTRY_PARTITION:
        message_of_partition(&entry->partition, m);
        m->leaf.content_case = STRAIT__LEAF_ENTRY__CONTENT_PARTITION;
        m->leaf.partition = &m->partition;
        break;
    case PAGE_ENTRY_ROW_GROUP:
        message_of_row_group(&entry->row_group, m);
        m->leaf.content_case = STRAIT__LEAF_ENTRY__CONTENT_ROW_GROUP;
        m->leaf.row_group = &m->row_group;
        break;
    case PAGE_ENTRY_ATTRIBUTE:
        strait__attribute_entry__init(&m->attribute);
        m->attribute.created_ms = entry->attribute.created_ms;
        m->attribute.modified_ms = entry->attribute.modified_ms;
        m->attribute.lifecycle_off = entry->attribute.lifecycle_off ? 1 : 0;
        m->leaf.content_case = STRAIT__LEAF_ENTRY__CONTENT_ATTRIBUTE;
        m->leaf.attribute = &m->attribute;
        break;
    case PAGE_ENTRY_CHILD:
        break;
    }
}

static void message_of_child(const struct page_entry *entry, Strait__InnerEntry *record)
{
    strait__inner_entry__init(record);
    record->last_key = message_data(entry->key);
    record->child = message_data(digest_span(&entry->child.digest));
    record->row_count = entry->child.totals.rows;
    record->byte_count = entry->child.totals.bytes;
    record->partition_count = entry->child.totals.partitions;
}

/* ---- rules of one entry ---- */

static enum err_code refuse(enum err_code code, const char *what, struct err *err)
{
    return err_set(err, code, "%s", what);
}

static enum err_code statistics_check(const struct page_statistics *statistics, uint64_t rows,
                                      struct err *err)
{
    if (statistics->min.len > STATISTICS_TEXT_BYTES || statistics->max.len > STATISTICS_TEXT_BYTES)
        return refuse(ERR_BAD_DATA, "statistics too long", err);
    if ((!statistics->has_min && statistics->min.len > 0) ||
        (!statistics->has_max && statistics->max.len > 0))
        return refuse(ERR_BAD_DATA, "statistics without their flag", err);
    if (statistics->nan_count > rows)
        return refuse(ERR_BAD_DATA, "more NaN than rows", err);
    return ERR_OK;
}

/* Files in order of first use, each used. */
static enum err_code row_group_files_check(const struct page_row_group *group, struct err *err)
{
    size_t used = 0;
    for (size_t i = 0; i < group->column_count; i++) {
        if (group->columns[i].file > used)
            return refuse(ERR_BAD_DATA, "files not in order of use", err);
        if (group->columns[i].file == used)
            used++;
    }
    if (used != group->file_count)
        return refuse(ERR_BAD_DATA, "a file without a column, or a column without its file", err);
    for (size_t i = 0; i < group->file_count; i++) {
        if (group->files[i].bytes == 0 || group->files[i].bytes > LIMIT_FILE_BYTES)
            return refuse(ERR_BAD_DATA, "length of a file out of range", err);
    }
    for (size_t i = 0; i < group->column_count; i++) {
        const struct page_column *column = &group->columns[i];
        if (column->bytes == 0 ||
            (uint64_t)column->offset + column->bytes > group->files[column->file].bytes)
            return refuse(ERR_BAD_DATA, "place of a column beyond its file", err);
    }
    return ERR_OK;
}

static enum err_code row_group_check(struct span key, const struct page_row_group *group,
                                     struct err *err)
{
    if (group->segment_kind != 0 || group->commit_sequence != 0 || group->bucket != 0)
        return refuse(ERR_VERSION, "a kind of segment from a later version", err);
    if (key.len < ROW_GROUP_KEY_BYTES)
        return refuse(ERR_BAD_DATA, "key too short for a row group", err);
    struct row_group_place place;
    row_group_key_split(key, &place);
    if (place.column_id == 0 || row_group_first_column(place.column_id) != place.column_id)
        return refuse(ERR_BAD_DATA, "first column of a row group entry is none", err);
    if (group->row_count == 0 || group->row_count > ROW_GROUP_ROWS_MAX)
        return refuse(ERR_BAD_DATA, "rows of a row group out of range", err);
    if (group->column_count == 0 || group->column_count > LEAF_ENTRY_COLUMNS ||
        group->file_count > LEAF_ENTRY_COLUMNS)
        return refuse(ERR_BAD_DATA, "number of columns out of range", err);
    uint64_t next = place.column_id;
    for (size_t i = 0; i < group->column_count; i++) {
        const struct page_column *column = &group->columns[i];
        if (column->column_id < next || column->column_id - place.column_id >= LEAF_ENTRY_COLUMNS)
            return refuse(ERR_BAD_DATA, "columns out of order or range", err);
        next = (uint64_t)column->column_id + 1;
        if (column->null_count > group->row_count)
            return refuse(ERR_BAD_DATA, "counts of a column out of range", err);
        TRY(statistics_check(&column->statistics, group->row_count, err));
    }
    return row_group_files_check(group, err);
}

static enum err_code entry_check(const struct page_entry *entry, struct err *err)
{
    if (entry->key.len > LIMIT_KEY_BYTES)
        return refuse(ERR_BAD_DATA, "key too long", err);
    switch (entry->kind) {
    case PAGE_ENTRY_PARTITION:
        if (entry->partition.clustering != 0)
            return refuse(ERR_VERSION, "a kind of clustering from a later version", err);
        break;
    case PAGE_ENTRY_ROW_GROUP:
        return row_group_check(entry->key, &entry->row_group, err);
    case PAGE_ENTRY_ATTRIBUTE:
    case PAGE_ENTRY_CHILD:
        break;
    }
    return ERR_OK;
}

/* ---- building ---- */

#define PAGE_FIELD_LEAVES   3U
#define PAGE_FIELD_CHILDREN 4U

static void append_varint(struct bytes *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        bytes_append_u8(out, (uint8_t)(value | 0x80));
    bytes_append_u8(out, (uint8_t)value);
}

void page_begin(enum tree_kind tree, uint32_t level, struct bytes *out)
{
    Strait__PageRecord record = STRAIT__PAGE_RECORD__INIT;
    record.tree = (uint32_t)tree;
    record.level = level;
    bytes_clear(out);
    message_pack(&record.base, out);
}

enum err_code page_entry_encode(const struct page_entry *entry, struct bytes *out, struct err *err)
{
    struct err broken = {0};
    if (entry_check(entry, &broken) != ERR_OK)
        return err_set(err, ERR_INTERNAL, "page entry: %s", broken.message);
    struct entry_messages messages;
    Strait__InnerEntry inner;
    const ProtobufCMessage *message = &messages.leaf.base;
    if (entry->kind == PAGE_ENTRY_CHILD) {
        message_of_child(entry, &inner);
        message = &inner.base;
    } else {
        message_of_leaf(entry, &messages);
    }
    size_t bytes = protobuf_c_message_get_packed_size(message);
    if (bytes > LIMIT_ENTRY_BYTES)
        return err_set(err, ERR_LIMIT, "page entry: %zu bytes, at most %zu", bytes,
                       LIMIT_ENTRY_BYTES);
    bool is_child = entry->kind == PAGE_ENTRY_CHILD;
    append_varint(out, (is_child ? PAGE_FIELD_CHILDREN : PAGE_FIELD_LEAVES) << 3 | 2U);
    append_varint(out, bytes);
    message_pack(message, out);
    return ERR_OK;
}

void page_append_raw(struct bytes *page, struct span raw)
{
    bytes_append_span(page, raw);
}

/* ---- message -> entry ---- */

static bool digest_take(ProtobufCBinaryData data, struct digest *ret_digest)
{
    if (data.len != DIGEST_BYTES)
        return false;
    memcpy(ret_digest->b, data.data, DIGEST_BYTES);
    return true;
}

static enum err_code out_of_arena(struct err *err)
{
    return refuse(ERR_LIMIT, "takes more memory than it may", err);
}

static enum err_code column_take(const Strait__ColumnPlaceRecord *record,
                                 struct page_column *column, struct err *err)
{
    column->column_id = record->column_id;
    column->file = record->file;
    column->offset = record->offset;
    column->bytes = record->bytes;
    column->null_count = record->null_count;
    const Strait__StatisticsRecord *from = record->statistics;
    if (from == NULL)
        return ERR_OK;
    if (from->flags > (STATISTICS_HAS_MIN | STATISTICS_HAS_MAX) ||
        (from->flags == 0 && from->nan_count == 0))
        return refuse(ERR_BAD_DATA, "statistics that say nothing", err);
    column->statistics = (struct page_statistics){
        .has_min = (from->flags & STATISTICS_HAS_MIN) != 0,
        .has_max = (from->flags & STATISTICS_HAS_MAX) != 0,
        .min = message_span(from->minimum),
        .max = message_span(from->maximum),
        .nan_count = from->nan_count,
    };
    return ERR_OK;
}

static enum err_code row_group_take(const Strait__RowGroupEntry *record, struct arena *arena,
                                    struct page_row_group *group, struct err *err)
{
    *group = (struct page_row_group){
        .segment_kind = record->segment_kind,
        .commit_sequence = record->commit_sequence,
        .bucket = record->bucket,
        .row_count = record->row_count,
        .file_count = record->n_files,
        .column_count = record->n_columns,
        .files = arena_alloc(arena, record->n_files, sizeof(*group->files)),
        .columns = arena_alloc(arena, record->n_columns, sizeof(*group->columns)),
    };
    if (group->files == NULL || group->columns == NULL)
        return out_of_arena(err);
    for (size_t i = 0; i < record->n_files; i++) {
        if (!digest_take(record->files[i]->digest, &group->files[i].digest))
            return refuse(ERR_BAD_DATA, "a file's digest is not 32 bytes", err);
        group->files[i].bytes = record->files[i]->bytes;
    }
    for (size_t i = 0; i < record->n_columns; i++)
        TRY(column_take(record->columns[i], &group->columns[i], err));
    return ERR_OK;
}

static enum err_code partition_take(const Strait__PartitionEntry *record,
                                    struct page_partition *partition, struct err *err)
{
    if (record->row_checksum.len != ROW_CHECKSUM_BYTES)
        return refuse(ERR_BAD_DATA, "a row checksum is not 16 bytes", err);
    *partition = (struct page_partition){
        .clustering = record->clustering,
        .segment_count = record->segment_count,
        .row_count = record->row_count,
        .byte_count = record->byte_count,
    };
    memcpy(partition->checksum.b, record->row_checksum.data, ROW_CHECKSUM_BYTES);
    return ERR_OK;
}

static enum err_code leaf_take(const Strait__LeafEntry *record, enum tree_kind tree,
                               struct arena *arena, struct page_entry *entry, struct err *err)
{
    bool is_attribute = record->content_case == STRAIT__LEAF_ENTRY__CONTENT_ATTRIBUTE;
    if (is_attribute != (tree == TREE_ATTRIBUTES))
        return refuse(ERR_BAD_DATA, "an entry of another kind of tree", err);
    entry->key = message_span(record->key);
    switch (record->content_case) {
    case STRAIT__LEAF_ENTRY__CONTENT_PARTITION:
        entry->kind = PAGE_ENTRY_PARTITION;
        return partition_take(record->partition, &entry->partition, err);
    case STRAIT__LEAF_ENTRY__CONTENT_ROW_GROUP:
        entry->kind = PAGE_ENTRY_ROW_GROUP;
        return row_group_take(record->row_group, arena, &entry->row_group, err);
    case STRAIT__LEAF_ENTRY__CONTENT_ATTRIBUTE:
        entry->kind = PAGE_ENTRY_ATTRIBUTE;
        entry->attribute = (struct page_attribute){
            .created_ms = record->attribute->created_ms,
            .modified_ms = record->attribute->modified_ms,
            .lifecycle_off = record->attribute->lifecycle_off == 1,
        };
        if (record->attribute->lifecycle_off > 1)
            return refuse(ERR_BAD_DATA, "a flag that is neither 0 nor 1", err);
        return ERR_OK;
    case STRAIT__LEAF_ENTRY__CONTENT__NOT_SET:
    case _STRAIT__LEAF_ENTRY__CONTENT__CASE_IS_INT_SIZE:
        break;
    }
    return refuse(ERR_BAD_DATA, "an entry without content", err);
}

static enum err_code child_take(const Strait__InnerEntry *record, struct page_entry *entry,
                                struct err *err)
{
    entry->kind = PAGE_ENTRY_CHILD;
    entry->key = message_span(record->last_key);
    if (!digest_take(record->child, &entry->child.digest))
        return refuse(ERR_BAD_DATA, "a child's digest is not 32 bytes", err);
    entry->child.totals = (struct page_totals){
        .rows = record->row_count,
        .bytes = record->byte_count,
        .partitions = record->partition_count,
    };
    return ERR_OK;
}

static enum err_code entries_take(const Strait__PageRecord *record, struct arena *arena,
                                  struct page *page, struct err *err)
{
    page->entry_count = page->level == 0 ? record->n_leaves : record->n_children;
    if (record->n_leaves + record->n_children != page->entry_count)
        return refuse(ERR_BAD_DATA, "entries of another level", err);
    page->entries = arena_alloc(arena, page->entry_count, sizeof(*page->entries));
    if (page->entries == NULL)
        return out_of_arena(err);
    for (size_t i = 0; i < page->entry_count; i++) {
        struct page_entry *entry = &page->entries[i];
        enum err_code code = page->level == 0
                                 ? leaf_take(record->leaves[i], page->tree, arena, entry, err)
                                 : child_take(record->children[i], entry, err);
        if (code == ERR_OK)
            code = entry_check(entry, err);
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
    if (!place->is_root && !span_equal(before, place->last))
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
    if (!place->is_root &&
        (totals.rows != place->totals.rows || totals.bytes != place->totals.bytes ||
         totals.partitions != place->totals.partitions))
        return refuse(ERR_BAD_DATA, "counts do not add up to the parent's", err);
    page->totals = totals;
    return ERR_OK;
}

struct page_totals page_entry_totals(const struct page_entry *entry)
{
    switch (entry->kind) {
    case PAGE_ENTRY_CHILD:
        return entry->child.totals;
    case PAGE_ENTRY_PARTITION:
        return (struct page_totals){.rows = entry->partition.row_count,
                                    .bytes = entry->partition.byte_count,
                                    .partitions = 1};
    case PAGE_ENTRY_ROW_GROUP:
    case PAGE_ENTRY_ATTRIBUTE:
        break;
    }
    return (struct page_totals){0};
}

static enum err_code head_take(const Strait__PageRecord *record, const struct page_place *place,
                               struct page *page, struct err *err)
{
    if (record->tree != (uint32_t)place->tree)
        return refuse(ERR_BAD_DATA, "a page of another kind of tree", err);
    if (record->level >= LIMIT_TREE_DEPTH)
        return refuse(ERR_BAD_DATA, "tree too deep", err);
    if (!place->is_root && record->level != place->level)
        return refuse(ERR_BAD_DATA, "not of the level below its parent's", err);
    page->tree = place->tree;
    page->level = record->level;
    return ERR_OK;
}

/* A root is the lowest level that has one page: one entry there would mean a lower one. */
static enum err_code count_check(const struct page *page, const struct page_place *place,
                                 struct err *err)
{
    if (page->entry_count == 0 && !(place->is_root && page->level == 0))
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
