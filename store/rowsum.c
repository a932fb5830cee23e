#include "store/rowsum.h"

#define COLUMN_HEAD_BYTES 8

struct rowsum_column {
    size_t index; /* in the schema and in batches */
    enum type_kind kind;
    uint8_t head[COLUMN_HEAD_BYTES]; /* id, type; the last byte tells NULL */
};

/* Public: it spreads rows over 128 bits, it hides nothing. */
static const uint8_t rowsum_key[crypto_shorthash_siphashx24_KEYBYTES] = "strait/1 rowsum";

static int compare_ids(const void *a, const void *b)
{
    const struct rowsum_column *left = a;
    const struct rowsum_column *right = b;
    return memcmp(left->head, right->head, sizeof(left->head));
}

void rowsum_init(struct rowsum *rowsum, const struct schema *schema)
{
    *rowsum = (struct rowsum){.column_count = schema->column_count};
    rowsum->columns = mem_calloc(schema->column_count, sizeof(*rowsum->columns));
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        struct rowsum_column *out = &rowsum->columns[i];
        out->index = i;
        out->kind = column->type.kind;
        store_u32(out->head, column->id);
        out->head[4] = (uint8_t)column->type.kind;
        out->head[5] = column->type.precision;
        out->head[6] = column->type.scale;
    }
    qsort(rowsum->columns, rowsum->column_count, sizeof(*rowsum->columns), compare_ids);
}

void rowsum_deinit(struct rowsum *rowsum)
{
    mem_free(rowsum->columns);
    bytes_deinit(&rowsum->row);
    *rowsum = (struct rowsum){0};
}

static uint8_t *put_decimal(uint8_t *at, decimal128 value)
{
    unsigned __int128 raw = (unsigned __int128)value;
    store_u64(at, (uint64_t)(raw >> 64));
    store_u64(at + 8, (uint64_t)raw);
    return at + 16;
}

static uint8_t *put_text(uint8_t *at, const struct vector *vector, size_t row)
{
    uint32_t begin = row == 0 ? 0 : vector->text_end[row - 1];
    uint32_t len = vector->text_end[row] - begin;
    store_u32(at, len);
    if (len > 0)
        memcpy(at + 4, vector->text.data + begin, len);
    return at + 4 + len;
}

static uint8_t *put_value(uint8_t *at, const struct vector *vector, size_t row)
{
    uint64_t bits;
    switch (vector->type.kind) {
    case TYPE_DOUBLE:
        memcpy(&bits, &vector->f64[row], sizeof(bits));
        store_u64(at, bits);
        return at + 8;
    case TYPE_DECIMAL:
        return put_decimal(at, vector->decimal[row]);
    case TYPE_STRING:
        return put_text(at, vector, row);
    case TYPE_BIGINT:
    case TYPE_INT:
    case TYPE_BOOLEAN:
    case TYPE_DATE:
    case TYPE_DATETIME:
        break;
    }
    store_u64(at, (uint64_t)vector->i64[row]);
    return at + 8;
}

static size_t row_bytes_max(const struct rowsum *rowsum, const struct batch *batch, size_t row)
{
    size_t bytes = rowsum->column_count * (COLUMN_HEAD_BYTES + 16);
    for (size_t i = 0; i < rowsum->column_count; i++) {
        if (rowsum->columns[i].kind == TYPE_STRING) {
            const struct vector *vector = &batch->vectors[rowsum->columns[i].index];
            bytes += vector->text_end[row] - (row == 0 ? 0 : vector->text_end[row - 1]);
        }
    }
    return bytes;
}

static unsigned __int128 row_hash(struct rowsum *rowsum, const struct batch *batch, size_t row)
{
    bytes_clear(&rowsum->row);
    bytes_reserve(&rowsum->row, row_bytes_max(rowsum, batch, row));
    uint8_t *at = rowsum->row.data;
    for (size_t i = 0; i < rowsum->column_count; i++) {
        const struct rowsum_column *column = &rowsum->columns[i];
        const struct vector *vector = &batch->vectors[column->index];
        memcpy(at, column->head, COLUMN_HEAD_BYTES);
        bool is_null = vector->valid[row] == 0;
        at[COLUMN_HEAD_BYTES - 1] = is_null;
        at += COLUMN_HEAD_BYTES;
        if (!is_null)
            at = put_value(at, vector, row);
    }
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    crypto_shorthash_siphashx24(hash, rowsum->row.data, (size_t)(at - rowsum->row.data),
                                rowsum_key);
    return (unsigned __int128)load_u64(hash) << 64 | load_u64(hash + 8);
}

void rowsum_add(struct rowsum *rowsum, const struct batch *batch, size_t at, size_t rows)
{
    ASSERT(batch->vector_count >= rowsum->column_count && at + rows <= batch->rows);
    for (size_t row = at; row < at + rows; row++)
        rowsum->sum += row_hash(rowsum, batch, row);
}

static struct row_checksum checksum_of(unsigned __int128 sum)
{
    struct row_checksum checksum;
    store_u64(checksum.b, (uint64_t)(sum >> 64));
    store_u64(checksum.b + 8, (uint64_t)sum);
    return checksum;
}

struct row_checksum rowsum_get(const struct rowsum *rowsum)
{
    return checksum_of(rowsum->sum);
}

void rowsum_reset(struct rowsum *rowsum)
{
    rowsum->sum = 0;
}

struct row_checksum row_checksum_add(struct row_checksum a, struct row_checksum b)
{
    unsigned __int128 left = (unsigned __int128)load_u64(a.b) << 64 | load_u64(a.b + 8);
    unsigned __int128 right = (unsigned __int128)load_u64(b.b) << 64 | load_u64(b.b + 8);
    return checksum_of(left + right);
}

bool row_checksum_equal(struct row_checksum a, struct row_checksum b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}
