#include "proto/schema.h"

#include "proto/key.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "schema.pb-c.h"

/* ---- find, equal ---- */

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static int name_compare(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        if (fold(a.data[i]) != fold(b.data[i]))
            return fold(a.data[i]) < fold(b.data[i]) ? -1 : 1;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static const struct column *list_find(const struct column *list, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (name_compare(list[i].name, name) == 0)
            return &list[i];
    }
    return NULL;
}

const struct column *schema_find(const struct schema *schema, struct span name,
                                 bool *ret_is_partition)
{
    const struct column *column = list_find(schema->columns, schema->column_count, name);
    bool is_partition = column == NULL;
    if (column == NULL)
        column = list_find(schema->partition_columns, schema->partition_column_count, name);
    if (column != NULL && ret_is_partition != NULL)
        *ret_is_partition = is_partition;
    return column;
}

static bool column_equal(const struct column *a, const struct column *b)
{
    return a->id == b->id && span_equal(a->name, b->name) && type_equal(a->type, b->type) &&
           a->not_null == b->not_null && a->has_default == b->has_default &&
           span_equal(a->default_text, b->default_text) && span_equal(a->comment, b->comment);
}

static bool list_equal(const struct column *a, size_t a_count, const struct column *b,
                       size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++) {
        if (!column_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

bool schema_equal(const struct schema *a, const struct schema *b)
{
    return a->next_column_id == b->next_column_id &&
           list_equal(a->columns, a->column_count, b->columns, b->column_count) &&
           list_equal(a->partition_columns, a->partition_column_count, b->partition_columns,
                      b->partition_column_count);
}

/* ---- validate ---- */

static bool text_is_clean(struct span text, size_t bytes_max)
{
    if (text.len > bytes_max || !span_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == 0)
            return false;
    }
    return true;
}

static bool name_is_clean(struct span name)
{
    if (name.len == 0 || !text_is_clean(name, LIMIT_NAME_BYTES))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7F)
            return false;
    }
    return true;
}

static enum err_code column_validate(const struct column *column, const struct schema *schema,
                                     struct err *err)
{
    if (!name_is_clean(column->name))
        return err_set(err, ERR_SEMANTIC, "column %u: a name has 1 to %d bytes of clean text",
                       column->id, LIMIT_NAME_BYTES);
    if (column->id == 0 || column->id >= schema->next_column_id)
        return err_set(err, ERR_SEMANTIC, "column %.*s: id %u out of range",
                       SPAN_PRINTF(column->name), column->id);
    if (!type_valid(column->type))
        return err_set(err, ERR_SEMANTIC, "column %.*s: no such type", SPAN_PRINTF(column->name));
    if (!text_is_clean(column->comment, LIMIT_COMMENT_BYTES))
        return err_set(err, ERR_SEMANTIC, "column %.*s: a comment has at most %d bytes of text",
                       SPAN_PRINTF(column->name), LIMIT_COMMENT_BYTES);
    if (!column->has_default)
        return column->default_text.len == 0
                   ? ERR_OK
                   : err_set(err, ERR_SEMANTIC, "column %.*s: default without its flag",
                             SPAN_PRINTF(column->name));
    struct value ignored;
    if (!text_is_clean(column->default_text, LIMIT_COMMENT_BYTES) ||
        value_parse(column->type, column->default_text, &ignored, NULL) != ERR_OK)
        return err_set(err, ERR_SEMANTIC, "column %.*s: the default is no value of its type",
                       SPAN_PRINTF(column->name));
    return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
    const struct column *const *left = a;
    const struct column *const *right = b;
    return name_compare((*left)->name, (*right)->name);
}

static int compare_ids(const void *a, const void *b)
{
    const struct column *const *left = a;
    const struct column *const *right = b;
    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

/* Sorted, neighbours tell: 1,200 columns must not cost a million comparisons a page of results. */
static enum err_code columns_unique(const struct column **all, size_t count, struct err *err)
{
    qsort(all, count, sizeof(*all), compare_names);
    for (size_t i = 1; i < count; i++) {
        if (name_compare(all[i - 1]->name, all[i]->name) == 0)
            return err_set(err, ERR_SEMANTIC, "column %.*s is named twice",
                           SPAN_PRINTF(all[i]->name));
    }
    qsort(all, count, sizeof(*all), compare_ids);
    for (size_t i = 1; i < count; i++) {
        if (all[i - 1]->id == all[i]->id)
            return err_set(err, ERR_SEMANTIC, "columns %.*s and %.*s have one id",
                           SPAN_PRINTF(all[i - 1]->name), SPAN_PRINTF(all[i]->name));
    }
    return ERR_OK;
}

enum err_code schema_validate(const struct schema *schema, struct err *err)
{
    if (schema->column_count == 0 || schema->column_count > LIMIT_COLUMNS)
        return err_set(err, ERR_SEMANTIC, "a table has 1 to %d columns", LIMIT_COLUMNS);
    if (schema->partition_column_count > LIMIT_PARTITION_LEVELS)
        return err_set(err, ERR_SEMANTIC, "at most %d partition columns", LIMIT_PARTITION_LEVELS);
    size_t count = schema->column_count + schema->partition_column_count;
    MEM_CLEANUP const struct column **all = mem_calloc(count, sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        bool is_partition = i >= schema->column_count;
        all[i] = is_partition ? &schema->partition_columns[i - schema->column_count]
                              : &schema->columns[i];
        TRY(column_validate(all[i], schema, err));
        if (is_partition && !type_partitions(all[i]->type))
            return err_set(
                err, ERR_SEMANTIC,
                "column %.*s: its type cannot partition a table; BIGINT, INT, STRING and DATE can",
                SPAN_PRINTF(all[i]->name));
    }
    return columns_unique(all, count, err);
}

/* ---- encode, decode ---- */

static Strait__ColumnRecord **records_of(const struct column *columns, size_t count,
                                         struct arena *arena)
{
    Strait__ColumnRecord **list = arena_alloc(arena, count, sizeof(*list));
    Strait__ColumnRecord *records = arena_alloc(arena, count, sizeof(*records));
    ASSERT(list != NULL && records != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &columns[i];
        strait__column_record__init(&records[i]);
        records[i].id = column->id;
        records[i].name = message_data(column->name);
        records[i].type = (uint32_t)column->type.kind;
        records[i].precision = column->type.precision;
        records[i].scale = column->type.scale;
        records[i].not_null = column->not_null;
        records[i].has_default = column->has_default;
        records[i].default_text = message_data(column->default_text);
        records[i].comment = message_data(column->comment);
        list[i] = &records[i];
    }
    return list;
}

void schema_encode(const struct schema *schema, struct bytes *out)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, SIZE_MAX);
    Strait__SchemaRecord record = STRAIT__SCHEMA_RECORD__INIT;
    record.n_columns = schema->column_count;
    record.columns = records_of(schema->columns, schema->column_count, &arena);
    record.n_partition_columns = schema->partition_column_count;
    record.partition_columns =
        records_of(schema->partition_columns, schema->partition_column_count, &arena);
    record.next_column_id = schema->next_column_id;
    message_pack(&record.base, out);
}

static enum err_code columns_take(Strait__ColumnRecord *const *records, size_t count,
                                  struct arena *arena, struct column **ret_columns, struct err *err)
{
    struct column *columns = arena_alloc(arena, count, sizeof(*columns));
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "schema: takes more memory than it may");
    for (size_t i = 0; i < count; i++) {
        const Strait__ColumnRecord *record = records[i];
        if (record->type > TYPE_DATETIME || record->precision > UINT8_MAX ||
            record->scale > UINT8_MAX)
            return err_set(err, ERR_BAD_DATA, "schema: no such type");
        columns[i] = (struct column){
            .id = record->id,
            .name = message_span(record->name),
            .type = {.kind = (enum type_kind)record->type,
                     .precision = (uint8_t)record->precision,
                     .scale = (uint8_t)record->scale},
            .not_null = record->not_null,
            .has_default = record->has_default,
            .default_text = message_span(record->default_text),
            .comment = message_span(record->comment),
        };
    }
    *ret_columns = columns;
    return ERR_OK;
}

enum err_code schema_decode(struct span encoded, struct arena *arena, struct schema *ret_schema,
                            struct err *err)
{
    ProtobufCMessage *message = NULL;
    TRY(message_unpack_canonical(&strait__schema_record__descriptor, encoded, LIMIT_SCHEMA_BYTES,
                                 arena, &message, err));
    const Strait__SchemaRecord *record = (const Strait__SchemaRecord *)message;
    if (record->n_columns > LIMIT_COLUMNS || record->n_partition_columns > LIMIT_PARTITION_LEVELS)
        return err_set(err, ERR_BAD_DATA, "schema: too many columns");
    struct schema schema = {
        .column_count = record->n_columns,
        .partition_column_count = record->n_partition_columns,
        .next_column_id = record->next_column_id,
    };
    TRY(columns_take(record->columns, record->n_columns, arena, &schema.columns, err));
    TRY(columns_take(record->partition_columns, record->n_partition_columns, arena,
                     &schema.partition_columns, err));
    struct err broken = {0};
    if (schema_validate(&schema, &broken) != ERR_OK)
        return err_set(err, ERR_BAD_DATA, "schema: %s", broken.message);
    *ret_schema = schema;
    return ERR_OK;
}

/* ---- copy ---- */

static struct column *columns_copy(const struct column *columns, size_t count, struct arena *arena)
{
    struct column *copy = arena_alloc(arena, count, sizeof(*copy));
    ASSERT(copy != NULL);
    for (size_t i = 0; i < count; i++) {
        copy[i] = columns[i];
        copy[i].name = arena_copy(arena, columns[i].name);
        copy[i].default_text = arena_copy(arena, columns[i].default_text);
        copy[i].comment = arena_copy(arena, columns[i].comment);
    }
    return copy;
}

struct schema schema_copy(const struct schema *schema, struct arena *arena)
{
    struct schema copy = *schema;
    copy.columns = columns_copy(schema->columns, schema->column_count, arena);
    copy.partition_columns =
        columns_copy(schema->partition_columns, schema->partition_column_count, arena);
    return copy;
}

/* ---- partitions ---- */

enum err_code partition_format(const struct schema *schema, struct span key, struct bytes *out,
                               struct err *err)
{
    BYTES_CLEANUP struct bytes text = {0};
    struct reader reader = reader_of(key);
    for (size_t i = 0; i < schema->partition_column_count; i++) {
        const struct column *column = &schema->partition_columns[i];
        if (i > 0)
            bytes_append_u8(&text, '/');
        bytes_append_span(&text, column->name);
        bytes_append_u8(&text, '=');
        if (!reader_key_value_text(&reader, column->type, &text))
            return err_set(err, ERR_CORRUPT, "partition key does not fit its table");
    }
    if (!reader_end(&reader))
        return err_set(err, ERR_CORRUPT, "partition key is too long for its table");
    bytes_append_span(out, bytes_span(&text));
    return ERR_OK;
}
