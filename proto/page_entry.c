#include "proto/page_entry.h"

#include "proto/message.h"

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
    struct bytes clustering;
};

static void entry_messages_deinit(struct entry_messages *messages)
{
    bytes_deinit(&messages->clustering);
}

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
    m->row_group.sort_first = message_data(group->sort_first);
    m->row_group.sort_last = message_data(group->sort_last);
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
    m->partition.clustering = (uint32_t)partition->clustering.kind;
    clustering_encode(&partition->clustering, &m->clustering);
    m->partition.clustering_columns = message_data(bytes_span(&m->clustering));
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
    if (group->segment_kind != 0 || group->commit_sequence != 0)
        return refuse(ERR_VERSION, "a kind of segment from a later version", err);
    if (group->bucket >= LIMIT_BUCKETS)
        return refuse(ERR_BAD_DATA, "bucket of a row group out of range", err);
    if (group->sort_first.len > SORT_KEY_BYTES_MAX || group->sort_last.len > SORT_KEY_BYTES_MAX ||
        (group->sort_first.len > 0) != (group->sort_last.len > 0))
        return refuse(ERR_BAD_DATA, "length of a sort key out of range", err);
    if (span_compare(group->sort_first, group->sort_last) > 0)
        return refuse(ERR_BAD_DATA, "a row group's first sort key is above its last", err);
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
        break; /* clustering_decode has looked at what it consists of */
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

enum err_code page_entry_encode(const struct page_entry *entry, struct bytes *out, struct err *err)
{
    struct err broken = {0};
    if (entry_check(entry, &broken) != ERR_OK)
        return err_set(err, ERR_INTERNAL, "page entry: %s", broken.message);
    __attribute__((cleanup(entry_messages_deinit))) struct entry_messages messages;
    messages.clustering = (struct bytes){0};
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
        .sort_first = message_span(record->sort_first),
        .sort_last = message_span(record->sort_last),
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
        .segment_count = record->segment_count,
        .row_count = record->row_count,
        .byte_count = record->byte_count,
    };
    memcpy(partition->checksum.b, record->row_checksum.data, ROW_CHECKSUM_BYTES);
    return clustering_decode(record->clustering, message_span(record->clustering_columns),
                             &partition->clustering, err);
}

static enum err_code leaf_content_take(const Strait__LeafEntry *record, struct arena *arena,
                                       struct page_entry *entry, struct err *err)
{
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

enum err_code page_leaf_take(const Strait__LeafEntry *record, enum tree_kind tree,
                             struct arena *arena, struct page_entry *entry, struct err *err)
{
    bool is_attribute = record->content_case == STRAIT__LEAF_ENTRY__CONTENT_ATTRIBUTE;
    if (is_attribute != (tree == TREE_ATTRIBUTES))
        return refuse(ERR_BAD_DATA, "an entry of another kind of tree", err);
    entry->key = message_span(record->key);
    TRY(leaf_content_take(record, arena, entry, err));
    return entry_check(entry, err);
}
enum err_code page_child_take(const Strait__InnerEntry *record, struct page_entry *entry,
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
    return entry_check(entry, err);
}

/* ---- totals ---- */

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
