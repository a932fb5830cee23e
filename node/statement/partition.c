/* ALTER TABLE ADD | DROP PARTITION, and partition specifications. */
#include "node/statement/partition.h"

#include "node/sql/lexer.h"
#include "node/statement/lookup.h"
#include "node/turn.h"
#include "proto/key.h"

#define VALUE_SHOWN_BYTES 40

/* What a message shows of a value: its first whole characters. */
static struct span span_shown(struct span text)
{
    size_t len = text.len < VALUE_SHOWN_BYTES ? text.len : VALUE_SHOWN_BYTES;
    while (len < text.len && len > 0 && (text.data[len] & 0xC0) == 0x80)
        len--;
    return span_slice(text, 0, len);
}

enum err_code partition_value_check(const struct column *column, struct value value,
                                    struct err *err)
{
    if (value.null)
        return err_set(err, ERR_SEMANTIC, "partition column %.*s cannot be NULL",
                       SPAN_PRINTF(column->name));
    if (column->type.kind != TYPE_STRING)
        return ERR_OK;
    if (value.text.len == 0 || value.text.len > LIMIT_PARTITION_VALUE_BYTES)
        return err_set(err, ERR_SEMANTIC,
                       "a value of partition column %.*s has 1 to %d bytes; '%.*s' has %zu",
                       SPAN_PRINTF(column->name), LIMIT_PARTITION_VALUE_BYTES,
                       SPAN_PRINTF(span_shown(value.text)), value.text.len);
    for (size_t i = 0; i < value.text.len; i++) {
        uint8_t c = value.text.data[i];
        if (c < ' ' || c == 0x7F || c == '/')
            return err_set(err, ERR_SEMANTIC,
                           "a value of partition column %.*s cannot hold '/' or control "
                           "characters: '%.*s'",
                           SPAN_PRINTF(column->name), SPAN_PRINTF(span_shown(value.text)));
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
    bool named[LIMIT_PARTITION_LEVELS] = {false};
    bool given[LIMIT_PARTITION_LEVELS] = {false};
    struct value values[LIMIT_PARTITION_LEVELS] = {{0}};
    for (size_t i = 0; i < spec->count; i++) {
        const struct partition_item *item = &spec->items[i];
        size_t level = level_find(schema, item->column);
        if (level == SIZE_MAX)
            return err_set(err, ERR_SEMANTIC, "%.*s is not a partition column",
                           SPAN_PRINTF(item->column));
        if (named[level])
            return err_set(err, ERR_SEMANTIC, "partition column %.*s is given twice",
                           SPAN_PRINTF(item->column));
        named[level] = true;
        if (item->dynamic)
            continue;
        const struct column *column = &schema->partition_columns[level];
        if (literal_value(&item->value, column->type, &values[level], err) != ERR_OK)
            return err_wrap(err, "partition column %.*s", SPAN_PRINTF(column->name));
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

enum err_code partition_spec_place(const struct statement_call *call, const struct schema *schema,
                                   const struct partition_spec *spec, struct span *ret_key,
                                   struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    if (partition_spec_key(schema, spec, &key, err) != ERR_OK) {
        struct position position = position_find(call->statement->text, spec->at);
        return err_wrap(err, "line %u, column %u", position.line, position.column);
    }
    return statement_copy(call, bytes_span(&key), ret_key, err);
}

enum err_code partition_list_make(const struct statement_call *call, const struct schema *schema,
                                  const struct partition_specs *specs, bool lenient,
                                  struct partition_list *ret_list, struct err *err)
{
    size_t count = specs->count;
    struct span *keys = arena_alloc(call->arena, count + 1, sizeof(*keys));
    if (keys == NULL)
        return err_set(err, ERR_LIMIT, "the statement needs more memory than it may");
    for (size_t i = 0; i < count; i++)
        TRY(partition_spec_place(call, schema, &specs->specs[i], &keys[i], err));
    qsort(keys, count, sizeof(*keys), key_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool repeat = kept > 0 && span_equal(keys[kept - 1], keys[i]);
        if (repeat && !lenient)
            return err_set(err, ERR_SEMANTIC, "a partition is named twice");
        if (!repeat)
            keys[kept++] = keys[i];
    }
    *ret_list = (struct partition_list){.keys = keys, .count = kept, .lenient = lenient};
    return ERR_OK;
}

typedef enum err_code partitions_change(struct table_write *write,
                                        const struct partition_list *list,
                                        const struct change_note *note, size_t *ret_changed,
                                        struct err *err);

enum err_code partition_blame(const struct table_write *write, const struct partition_list *list,
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
    return err_set(err, code, "partition %.*s does not exist; SHOW PARTITIONS lists them",
                   SPAN_PRINTF(bytes_span(&text)));
}

static enum err_code partitions_alter(const struct statement_call *call, partitions_change *change,
                                      struct err *err)
{
    const struct alter_partitions *alter = &call->statement->partitions;
    struct lookup lookup;
    TRY(lookup_table(call, &alter->table, ACTION_ALTER, &lookup, err));
    CONTENT_CLEANUP struct content *content = NULL;
    TRY(content_open(call->services->store, lookup.project.owner, &content, err));
    TABLE_TURN_CLEANUP struct table_id turn = {0};
    TRY(lookup_turn(call, &lookup, ACTION_ALTER, &turn, err));
    TABLE_WRITE_CLEANUP struct table_write *write = NULL;
    TRY(table_begin(content, lookup.id, &write, err));
    struct partition_list list;
    TRY(partition_list_make(call, &table_write_version(write)->schema, &alter->partitions,
                            alter->if_exists, &list, err));
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
