#include "proto/clustering.h"

#include <math.h>

#include "proto/digest.h"
#include "proto/key.h"

#define NAN_BITS UINT64_C(0x7ff8000000000000)
#define SIGN_BIT (UINT64_C(1) << 63)

bool clustering_equal(const struct clustering *a, const struct clustering *b)
{
    if (a->kind != b->kind || a->bucket_count != b->bucket_count ||
        a->column_count != b->column_count || a->sort_count != b->sort_count)
        return false;
    for (size_t i = 0; i < a->column_count; i++) {
        if (a->columns[i] != b->columns[i])
            return false;
    }
    for (size_t i = 0; i < a->sort_count; i++) {
        if (a->sort_columns[i] != b->sort_columns[i] ||
            a->sort_descending[i] != b->sort_descending[i])
            return false;
    }
    return true;
}

bool clustering_is_sorted(const struct clustering *clustering)
{
    return clustering->kind == CLUSTERING_RANGE || clustering->sort_count > 0;
}

uint32_t clustering_bucket_limit(const struct clustering *clustering)
{
    if (clustering->kind == CLUSTERING_NONE)
        return 1;
    return clustering->bucket_count == 0 ? LIMIT_BUCKETS : clustering->bucket_count;
}

/* ---- encode, decode ---- */

void clustering_encode(const struct clustering *clustering, struct bytes *out)
{
    if (clustering->kind == CLUSTERING_NONE)
        return;
    bytes_append_u16(out, (uint16_t)clustering->bucket_count);
    bytes_append_u8(out, (uint8_t)clustering->column_count);
    for (size_t i = 0; i < clustering->column_count; i++)
        bytes_append_u32(out, clustering->columns[i]);
    bytes_append_u8(out, (uint8_t)clustering->sort_count);
    for (size_t i = 0; i < clustering->sort_count; i++) {
        bytes_append_u32(out, clustering->sort_columns[i]);
        bytes_append_u8(out, clustering->sort_descending[i] ? 1 : 0);
    }
}

static bool list_has(const uint32_t *ids, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* An id that is none or stands in the list before it. */
static bool list_repeats(const uint32_t *ids, size_t at)
{
    return ids[at] == 0 || list_has(ids, at, ids[at]);
}

/* SORTED BY of a range names its columns first: else buckets would not be ranges. */
static bool range_leads_sort(const struct clustering *clustering)
{
    if (clustering->kind != CLUSTERING_RANGE || clustering->sort_count == 0)
        return true;
    if (clustering->sort_count < clustering->column_count)
        return false;
    for (size_t i = 0; i < clustering->column_count; i++) {
        if (clustering->sort_columns[i] != clustering->columns[i])
            return false;
    }
    return true;
}

enum err_code clustering_decode(uint32_t kind, struct span encoded,
                                struct clustering *ret_clustering, struct err *err)
{
    if (kind > CLUSTERING_RANGE)
        return err_set(err, ERR_VERSION, "clustering of kind %u, from a later version", kind);
    struct clustering clustering = {.kind = (enum clustering_kind)kind};
    struct reader reader = reader_of(encoded);
    if (kind != CLUSTERING_NONE) {
        clustering.bucket_count = reader_u16(&reader);
        clustering.column_count = reader_u8(&reader);
        if (clustering.column_count == 0 || clustering.column_count > LIMIT_CLUSTERING_COLUMNS)
            return err_set(err, ERR_BAD_DATA, "clustering by %u columns", clustering.column_count);
        for (size_t i = 0; i < clustering.column_count; i++) {
            clustering.columns[i] = reader_u32(&reader);
            if (list_repeats(clustering.columns, i))
                return err_set(err, ERR_BAD_DATA, "clustering by a column that is none or twice");
        }
        clustering.sort_count = reader_u8(&reader);
        if (clustering.sort_count > LIMIT_CLUSTERING_COLUMNS)
            return err_set(err, ERR_BAD_DATA, "sorted by %u columns", clustering.sort_count);
        for (size_t i = 0; i < clustering.sort_count; i++) {
            clustering.sort_columns[i] = reader_u32(&reader);
            uint8_t descending = reader_u8(&reader);
            clustering.sort_descending[i] = descending == 1;
            if (descending > 1 || list_repeats(clustering.sort_columns, i))
                return err_set(err, ERR_BAD_DATA, "sorted by a column that is none or twice");
        }
    }
    if (!reader_end(&reader))
        return err_set(err, ERR_BAD_DATA, "clustering of a wrong length");
    if (clustering.bucket_count > LIMIT_BUCKETS ||
        (kind == CLUSTERING_HASH && clustering.bucket_count == 0))
        return err_set(err, ERR_BAD_DATA, "clustering into %u buckets", clustering.bucket_count);
    if (!range_leads_sort(&clustering))
        return err_set(err, ERR_BAD_DATA, "range clustering that is sorted by other columns first");
    *ret_clustering = clustering;
    return ERR_OK;
}

/* ---- against a schema ---- */

static const struct column *column_by_id(const struct column *columns, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (columns[i].id == id)
            return &columns[i];
    }
    return NULL;
}

static enum err_code columns_validate(const uint32_t *ids, size_t count, const char *clause,
                                      const struct schema *schema, struct err *err)
{
    if (count > LIMIT_CLUSTERING_COLUMNS)
        return err_set(err, ERR_SEMANTIC, "%s names %zu columns, at most %d are allowed", clause,
                       count, LIMIT_CLUSTERING_COLUMNS);
    for (size_t i = 0; i < count; i++) {
        const struct column *column =
            column_by_id(schema->partition_columns, schema->partition_column_count, ids[i]);
        if (column != NULL)
            return err_set(err, ERR_SEMANTIC,
                           "%s: %.*s is a partition column and the same in all rows of a "
                           "partition; name data columns",
                           clause, SPAN_PRINTF(column->name));
        column = column_by_id(schema->columns, schema->column_count, ids[i]);
        if (column == NULL)
            return err_set(err, ERR_SEMANTIC, "%s: the table has no column with id %u", clause,
                           ids[i]);
        if (list_has(ids, i, ids[i]))
            return err_set(err, ERR_SEMANTIC, "%s: column %.*s is named twice", clause,
                           SPAN_PRINTF(column->name));
    }
    return ERR_OK;
}

enum err_code clustering_validate(const struct clustering *clustering, const struct schema *schema,
                                  struct err *err)
{
    bool is_hash = clustering->kind == CLUSTERING_HASH;
    if (clustering->kind == CLUSTERING_NONE)
        return ERR_OK;
    if (clustering->column_count == 0)
        return err_set(err, ERR_SEMANTIC, "CLUSTERED BY names no column");
    TRY(columns_validate(clustering->columns, clustering->column_count,
                         is_hash ? "CLUSTERED BY" : "RANGE CLUSTERED BY", schema, err));
    TRY(columns_validate(clustering->sort_columns, clustering->sort_count, "SORTED BY", schema,
                         err));
    if (clustering->bucket_count > LIMIT_BUCKETS || (is_hash && clustering->bucket_count == 0))
        return err_set(err, ERR_SEMANTIC, "CLUSTERED BY: INTO %u BUCKETS, 1 to %d are allowed",
                       clustering->bucket_count, LIMIT_BUCKETS);
    if (!range_leads_sort(clustering))
        return err_set(err, ERR_SEMANTIC,
                       "SORTED BY of a RANGE CLUSTERED table names the columns of RANGE CLUSTERED "
                       "BY first, in their order; others may follow");
    return ERR_OK;
}

static void columns_format(const uint32_t *ids, const bool *descending, size_t count,
                           const struct schema *schema, struct bytes *out)
{
    bytes_append_text(out, " (");
    for (size_t i = 0; i < count; i++) {
        const struct column *column = column_by_id(schema->columns, schema->column_count, ids[i]);
        bytes_printf(out, "%s`%.*s`", i > 0 ? ", " : "", column != NULL ? (int)column->name.len : 1,
                     column != NULL ? (const char *)column->name.data : "?");
        if (descending != NULL)
            bytes_append_text(out, descending[i] ? " DESC" : " ASC");
    }
    bytes_append_text(out, ")");
}

void clustering_format(const struct clustering *clustering, const struct schema *schema,
                       struct bytes *out)
{
    if (clustering->kind == CLUSTERING_NONE)
        return;
    bytes_append_text(out,
                      clustering->kind == CLUSTERING_RANGE ? "RANGE CLUSTERED BY" : "CLUSTERED BY");
    columns_format(clustering->columns, NULL, clustering->column_count, schema, out);
    if (clustering->sort_count > 0) {
        bytes_append_text(out, " SORTED BY");
        columns_format(clustering->sort_columns, clustering->sort_descending,
                       clustering->sort_count, schema, out);
    }
    if (clustering->bucket_count > 0)
        bytes_printf(out, " INTO %u BUCKETS", clustering->bucket_count);
}

static bool position_of(const struct schema *schema, uint32_t id, size_t *ret_position)
{
    const struct column *column = column_by_id(schema->columns, schema->column_count, id);
    if (column != NULL)
        *ret_position = (size_t)(column - schema->columns);
    return column != NULL;
}

bool cluster_layout_of(const struct clustering *clustering, const struct schema *schema,
                       struct cluster_layout *ret_layout)
{
    bool own_order = clustering->sort_count == 0 && clustering->kind == CLUSTERING_RANGE;
    struct cluster_layout layout = {
        .kind = clustering->kind,
        .bucket_count = clustering->bucket_count,
        .key_count = clustering->column_count,
        .sort_count = own_order ? clustering->column_count : clustering->sort_count,
    };
    for (size_t i = 0; i < layout.key_count; i++) {
        if (!position_of(schema, clustering->columns[i], &layout.keys[i]))
            return false;
    }
    for (size_t i = 0; i < layout.sort_count; i++) {
        uint32_t id = own_order ? clustering->columns[i] : clustering->sort_columns[i];
        layout.descending[i] = !own_order && clustering->sort_descending[i];
        if (!position_of(schema, id, &layout.sort[i]))
            return false;
    }
    *ret_layout = layout;
    return true;
}

/* ---- buckets ---- */

static uint64_t double_bits(double value)
{
    uint64_t bits;
    if (isnan(value))
        return NAN_BITS;
    value += 0.0; /* -0.0 becomes +0.0 */
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

void cluster_key_append(struct bytes *key, struct type type, struct value value)
{
    bytes_append_u8(key, value.null ? 0 : 1);
    if (value.null)
        return;
    if (type.kind == TYPE_STRING) {
        bytes_append_u32(key, (uint32_t)value.text.len);
        bytes_append_span(key, value.text);
    } else if (type.kind == TYPE_DECIMAL) {
        bytes_append_u64(key, (uint64_t)(value.decimal >> 64));
        bytes_append_u64(key, (uint64_t)value.decimal);
    } else if (type.kind == TYPE_DOUBLE) {
        bytes_append_u64(key, double_bits(value.f64));
    } else {
        bytes_append_u64(key, (uint64_t)value.i64);
    }
}

uint32_t cluster_bucket(struct span key, uint32_t bucket_count)
{
    static const uint8_t hash_key[crypto_shorthash_KEYBYTES] = "strait/1 bucket";
    static const uint8_t nothing;
    uint8_t hash[crypto_shorthash_BYTES];
    ASSERT(bucket_count > 0);
    crypto_shorthash(hash, key.len > 0 ? key.data : &nothing, key.len, hash_key);
    return (uint32_t)(load_u64(hash) % bucket_count);
}

uint32_t cluster_row_bucket(const struct cluster_layout *layout, const struct batch *batch,
                            size_t row, struct bytes *key)
{
    bytes_clear(key);
    for (size_t i = 0; i < layout->key_count; i++) {
        const struct vector *vector = &batch->vectors[layout->keys[i]];
        cluster_key_append(key, vector->type, vector_value(vector, row));
    }
    return cluster_bucket(bytes_span(key), layout->bucket_count);
}

/* ---- order ---- */

void sort_key_append(struct bytes *key, struct type type, struct value value, bool descending)
{
    size_t start = key->len;
    bytes_append_u8(key, value.null ? 0 : 1);
    if (!value.null && type.kind == TYPE_STRING) {
        key_append_text(key, value.text);
    } else if (!value.null && type.kind == TYPE_DECIMAL) {
        bytes_append_u64(key, (uint64_t)(value.decimal >> 64) ^ SIGN_BIT);
        bytes_append_u64(key, (uint64_t)value.decimal);
    } else if (!value.null && type.kind == TYPE_DOUBLE) {
        uint64_t bits = double_bits(value.f64);
        bytes_append_u64(key, (bits & SIGN_BIT) != 0 ? ~bits : bits | SIGN_BIT);
    } else if (!value.null) {
        key_append_i64(key, value.i64);
    }
    for (size_t i = start; descending && i < key->len; i++)
        key->data[i] ^= 0xFF;
}

void sort_key_of(const struct cluster_layout *layout, const struct batch *batch, size_t row,
                 struct bytes *key)
{
    bytes_clear(key);
    for (size_t i = 0; i < layout->sort_count && key->len < SORT_KEY_BYTES_MAX; i++) {
        const struct vector *vector = &batch->vectors[layout->sort[i]];
        struct value value = vector_value(vector, row);
        if (vector->type.kind == TYPE_STRING && !value.null && value.text.len > SORT_KEY_BYTES_MAX)
            value.text.len = SORT_KEY_BYTES_MAX; /* what is behind would be cut anyway */
        sort_key_append(key, vector->type, value, layout->descending[i]);
    }
    if (key->len > SORT_KEY_BYTES_MAX)
        key->len = SORT_KEY_BYTES_MAX;
}

int cluster_rows_compare(const struct cluster_layout *layout, size_t count, const struct batch *a,
                         size_t a_row, const struct batch *b, size_t b_row)
{
    for (size_t i = 0; i < count; i++) {
        const struct vector *vector = &a->vectors[layout->sort[i]];
        int order = value_compare(vector->type, vector_value(vector, a_row),
                                  vector_value(&b->vectors[layout->sort[i]], b_row));
        if (order != 0)
            return layout->descending[i] ? -order : order;
    }
    return 0;
}
