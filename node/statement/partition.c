/* ALTER TABLE ADD | DROP PARTITION, and partition specifications. */
#include "node/statement/partition.h"

#include "node/statement/lookup.h"
#include "proto/key.h"

enum err_code partition_value_check(const struct column *column, struct value value,
                                    struct err *err)
{
    if (value.null)
        return err_set(err, ERR_SEMANTIC, "partition column %.*s cannot be NULL",
                       SPAN_PRINTF(column->name));
    if (column->type.kind != TYPE_STRING)
        return ERR_OK;
    if (value.text.len == 0 || value.text.len > LIMIT_PARTITION_VALUE_BYTES)
        return err_set(err, ERR_SEMANTIC, "a value of partition column %.*s has 1 to %d bytes",
                       SPAN_PRINTF(column->name), LIMIT_PARTITION_VALUE_BYTES);
    for (size_t i = 0; i < value.text.len; i++) {
        uint8_t c = value.text.data[i];
        if (c < ' ' || c == 0x7F || c == '/')
            return err_set(err, ERR_SEMANTIC,
                           "a value of partition column %.*s cannot hold '/' or control characters",
                           SPAN_PRINTF(column->name));
    }
    return ERR_OK;
}

static size_t level_find(const struct schema *schema, struct span name)
{
    bool is_partition;
    const struct column *column = schema_find(schema, name, &is_partition);
    if (column == NULL || !is_partition)
        return SIZE_MAX;
    return (size_t)(column - schema->partition_columns);
}

enum err_code partition_spec_values(const struct schema *schema, const struct partition_spec *spec,
                                    struct value ret_values[LIMIT_PARTITION_LEVELS],
                                    bool ret_given[LIMIT_PARTITION_LEVELS], struct err *err)
{
    bool given[LIMIT_PARTITION_LEVELS] = {false};
    struct value values[LIMIT_PARTITION_LEVELS] = {{0}};
    for (size_t i = 0; i < spec->count; i++) {
        const struct partition_item *item = &spec->items[i];
        size_t level = level_find(schema, item->column);
        if (level == SIZE_MAX)
            return err_set(err, ERR_SEMANTIC, "%.*s is not a partition column",
                           SPAN_PRINTF(item->column));
        if (given[level])
            return err_set(err, ERR_SEMANTIC, "partition column %.*s is given twice",
                           SPAN_PRINTF(item->column));
        const struct column *column = &schema->partition_columns[level];
        TRY(literal_value(&item->value, column->type, &values[level], err));
        TRY(partition_value_check(column, values[level], err));
        given[level] = true;
    }
    memcpy(ret_values, values, sizeof(values));
    memcpy(ret_given, given, sizeof(given));
    return ERR_OK;
}

enum err_code partition_spec_key(const struct schema *schema, const struct partition_spec *spec,
                                 struct bytes *key, struct err *err)
{
    struct value values[LIMIT_PARTITION_LEVELS];
    bool given[LIMIT_PARTITION_LEVELS];
    if (schema->partition_column_count == 0)
        return err_set(err, ERR_SEMANTIC, "the table has no partitions");
    TRY(partition_spec_values(schema, spec, values, given, err));
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        if (!given[i])
            return err_set(err, ERR_SEMANTIC,
                           "PARTITION(...) lacks %.*s: all partition columns are needed",
                           SPAN_PRINTF(schema->partition_columns[i].name));
        key_append_value(key, schema->partition_columns[i].type, values[i]);
    }
    return ERR_OK;
}

static int key_compare(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

/* The keys of all specs, ascending; a repeat is an error unless `lenient`. */
static enum err_code keys_make(const struct statement_call *call, const struct schema *schema,
                               const struct alter_partitions *alter,
                               struct partition_list *ret_list, struct err *err)
{
    size_t count = alter->partitions.count;
    struct span *keys = arena_alloc(call->arena, count + 1, sizeof(*keys));
    if (keys == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < count; i++) {
        BYTES_CLEANUP struct bytes key = {0};
        TRY(partition_spec_key(schema, &alter->partitions.specs[i], &key, err));
        TRY(statement_copy(call, bytes_span(&key), &keys[i], err));
    }
    qsort(keys, count, sizeof(*keys), key_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool repeat = kept > 0 && span_equal(keys[kept - 1], keys[i]);
        if (repeat && !alter->if_exists)
            return err_set(err, ERR_SEMANTIC, "a partition is named twice");
        if (!repeat)
            keys[kept++] = keys[i];
    }
    *ret_list = (struct partition_list){.keys = keys, .count = kept, .lenient = alter->if_exists};
    return ERR_OK;
}

typedef enum err_code partitions_change(struct table_write *write,
                                        const struct partition_list *list,
                                        const struct change_note *note, size_t *ret_changed,
                                        struct err *err);

/* The first of the partitions that is there (or is not), for the message. */
static enum err_code partition_blame(struct table_write *write, const struct partition_list *list,
                                     enum err_code code, struct err *err)
{
    const struct schema *schema = &table_write_version(write)->schema;
    struct tree tree = table_write_tree(write);
    BYTES_CLEANUP struct bytes text = {0};
    for (size_t i = 0; i < list->count && text.len == 0; i++) {
        TREE_PAGE_CLEANUP struct tree_page page = {0};
        const struct page_entry *entry;
        bool there = tree_get(&tree, list->keys[i], &page, &entry, NULL) == ERR_OK;
        if (there == (code == ERR_EXISTS))
            TRY(partition_format(schema, list->keys[i], &text, err));
    }
    if (code == ERR_EXISTS)
        return err_set(err, code,
                       "AlreadyExistsException(message:Partition already exists, existed values: "
                       "[\"%.*s\"])",
                       SPAN_PRINTF(bytes_span(&text)));
    return err_set(err, code, "partition %.*s does not exist", SPAN_PRINTF(bytes_span(&text)));
}

static enum err_code partitions_alter(const struct statement_call *call, partitions_change *change,
                                      struct err *err)
{
    const struct alter_partitions *alter = &call->statement->partitions;
    struct lookup lookup;
    TRY(lookup_table(call, &alter->table, ACTION_ALTER, &lookup, err));
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, lookup.project.owner, &content, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(content, lookup.id, &write, err));
    struct partition_list list;
    TRY(keys_make(call, &table_write_version(write)->schema, alter, &list, err));
    struct change_note note = statement_note(call);
    size_t changed;
    struct err reason;
    enum err_code code = change(write, &list, &note, &changed, &reason);
    if (code == ERR_EXISTS || code == ERR_NOT_FOUND)
        return partition_blame(write, &list, code, err);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "%s", reason.message);
}

enum err_code statement_add_partitions(const struct statement_call *call, struct answer *answer,
                                       struct err *err)
{
    (void)answer;
    return partitions_alter(call, table_partitions_add, err);
}

enum err_code statement_drop_partitions(const struct statement_call *call, struct answer *answer,
                                        struct err *err)
{
    (void)answer;
    return partitions_alter(call, table_partitions_drop, err);
}
