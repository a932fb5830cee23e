/* Decoding a column: store/column.h. Nothing in the bytes is trusted: the header is checked against
 * their length, the zstd frame's size against the header and against what such a column can need,
 * and every array inside against what is left, before memory is taken. */
#include "store/column_codec.h"
#include "store/planes.h"

#include "proto/limits.h"

/* One decoding: where it reads, what it fills. The values without the NULLs are written to the
 * front of the new rows and spread at the end. */
struct decoding {
    struct column_codec *codec;
    struct reader reader;
    struct vector *vector;
    size_t base;   /* rows of the vector before */
    size_t stored; /* values, without the NULLs */
    size_t count;  /* of them wanted: the first */
};

size_t payload_bytes_max(struct type type, size_t rows)
{
    size_t text = type.kind == TYPE_STRING ? ROW_GROUP_COLUMN_BYTES_MAX : 0;
    /* validity, at worst 16 bytes of value and 8 of run length or index a row, and a few counts */
    return rows / 8 + 1 + rows * 24 + 64 + text;
}

/* ---- header ---- */

static bool header_valid(const struct column_header *header, size_t stored)
{
    return type_valid(header->type) && header->encoding >= ENCODING_FRAME &&
           header->encoding <= ENCODING_PLAIN && header->rows >= 1 &&
           header->rows <= ROW_GROUP_ROWS_MAX && header->nulls <= header->rows &&
           header->stored_bytes == stored &&
           header->plain_bytes <= payload_bytes_max(header->type, header->rows) &&
           (header->compressed ? header->stored_bytes < header->plain_bytes
                               : header->stored_bytes == header->plain_bytes);
}

static enum err_code header_read(struct reader *reader, struct column_header *ret_header,
                                 struct err *err)
{
    struct column_header header = {0};
    uint8_t format = reader_u8(reader);
    header.encoder = reader_u8(reader);
    header.type.kind = (enum type_kind)reader_u8(reader);
    header.type.precision = reader_u8(reader);
    header.type.scale = reader_u8(reader);
    header.encoding = (enum column_encoding)reader_u8(reader);
    uint8_t compression = reader_u8(reader);
    uint8_t reserved = reader_u8(reader);
    header.rows = reader_u32(reader);
    header.nulls = reader_u32(reader);
    header.plain_bytes = reader_u32(reader);
    header.stored_bytes = reader_u32(reader);
    if (!reader_ok(reader))
        return err_set(err, ERR_CORRUPT, "column: shorter than its header");
    if (format > COLUMN_FORMAT)
        return err_set(err, ERR_VERSION, "column: format %u, this node reads up to %u", format,
                       COLUMN_FORMAT);
    header.compressed = compression == 1;
    if (format != COLUMN_FORMAT || compression > 1 || reserved != 0)
        return err_set(err, ERR_CORRUPT, "column: malformed header");
    *ret_header = header;
    return ERR_OK;
}

enum err_code column_header_decode(struct span encoded, struct column_header *ret_header,
                                   struct err *err)
{
    struct reader reader = reader_of(encoded);
    struct column_header header;
    TRY(header_read(&reader, &header, err));
    if (!header_valid(&header, reader.left.len))
        return err_set(err, ERR_CORRUPT,
                       "column: header does not fit (%u rows, %u nulls, %u of %zu stored bytes)",
                       header.rows, header.nulls, header.stored_bytes, reader.left.len);
    *ret_header = header;
    return ERR_OK;
}

/* ---- payload ---- */

static bool decompress(struct column_codec *codec, const struct column_header *header,
                       struct span stored, struct span *ret_payload)
{
    if (!header->compressed) {
        *ret_payload = stored;
        return true;
    }
    unsigned long long claimed = ZSTD_getFrameContentSize(stored.data, stored.len);
    if (claimed != header->plain_bytes ||
        ZSTD_findFrameCompressedSize(stored.data, stored.len) != stored.len)
        return false;
    bytes_clear(&codec->payload);
    bytes_resize(&codec->payload, header->plain_bytes);
    size_t got = ZSTD_decompressDCtx(codec->decompressor, codec->payload.data, header->plain_bytes,
                                     stored.data, stored.len);
    if (ZSTD_isError(got) || got != header->plain_bytes)
        return false;
    *ret_payload = bytes_span(&codec->payload);
    return true;
}

/* ---- fixed widths ---- */

static uint64_t *decoding_words(const struct decoding *decoding)
{
    return (uint64_t *)decoding->vector->i64 + decoding->base;
}

static bool has_planes(struct type type)
{
    return type.kind != TYPE_DOUBLE && type.kind != TYPE_STRING;
}

static bool decode_integers(struct decoding *decoding, bool delta)
{
    bool wide = decoding->vector->type.kind == TYPE_DECIMAL;
    uint64_t *words =
        wide ? scratch_array(decoding->codec, 0, decoding->count, 8) : decoding_words(decoding);
    if (delta) {
        words[0] = reader_u64(&decoding->reader);
        if (!planes_read(&decoding->reader, decoding->stored - 1, decoding->count - 1, words + 1))
            return false;
        for (size_t i = 1; i < decoding->count; i++)
            words[i] += words[i - 1];
    } else if (!planes_read(&decoding->reader, decoding->stored, decoding->count, words)) {
        return false;
    }
    for (size_t i = 0; wide && i < decoding->count; i++)
        decoding->vector->decimal[decoding->base + i] = (int64_t)words[i];
    return true;
}

/* Values of a dictionary or of runs, `count` of 8 or 16 bytes each. */
static bool read_distinct(struct decoding *decoding, size_t count, uint8_t *values)
{
    struct type type = decoding->vector->type;
    if (has_planes(type) && type.kind != TYPE_DECIMAL)
        return planes_read(&decoding->reader, count, count, (uint64_t *)(void *)values);
    size_t bytes = count * (type.kind == TYPE_DECIMAL ? 16 : 8);
    struct span raw = reader_span(&decoding->reader, bytes);
    if (!reader_ok(&decoding->reader))
        return false;
    memcpy(values, raw.data, bytes);
    return true;
}

static bool decode_fixed_plain(struct decoding *decoding, size_t width, uint8_t *values)
{
    struct span raw = reader_span(&decoding->reader, decoding->stored * width);
    if (!reader_ok(&decoding->reader))
        return false;
    memcpy(values, raw.data, decoding->count * width);
    return true;
}

/* A count of distinct values or runs: 1 to the number of values. */
static bool read_count(struct decoding *decoding, size_t *ret_count)
{
    size_t count = reader_u32(&decoding->reader);
    if (count < 1 || count > decoding->stored)
        return false;
    *ret_count = count;
    return true;
}

/* Run lengths: each at least 1, together the number of values; what is behind the wanted ones is cut
 * off. */
static bool read_runs(struct decoding *decoding, size_t runs, uint32_t *ret_lengths)
{
    if (!planes_read_unsigned(&decoding->reader, runs, runs, ROW_GROUP_ROWS_MAX, ret_lengths))
        return false;
    uint64_t total = 0;
    for (size_t i = 0; i < runs; i++) {
        if (ret_lengths[i] == 0)
            return false;
        size_t left = total < decoding->count ? decoding->count - total : 0;
        total += ret_lengths[i];
        if (ret_lengths[i] > left)
            ret_lengths[i] = (uint32_t)left;
    }
    return total == decoding->stored;
}

/* For dictionaries an index a value, for runs a length a run. */
static bool read_picks(struct decoding *decoding, size_t distinct, bool runs, uint32_t *ret_numbers)
{
    return runs ? read_runs(decoding, distinct, ret_numbers)
                : planes_read_unsigned(&decoding->reader, decoding->stored, decoding->count,
                                       (uint32_t)distinct - 1, ret_numbers);
}

static bool decode_fixed_indirect(struct decoding *decoding, bool runs)
{
    size_t count;
    if (!read_count(decoding, &count))
        return false;
    bool wide = decoding->vector->type.kind == TYPE_DECIMAL;
    uint8_t *values = scratch_array(decoding->codec, 0, count, wide ? 16 : 8);
    uint32_t *numbers = scratch_array(decoding->codec, 1, runs ? count : decoding->count, 4);
    if (!read_distinct(decoding, count, values) || !read_picks(decoding, count, runs, numbers))
        return false;
    const uint64_t *words = (const uint64_t *)(const void *)values;
    const decimal128 *decimals = (const decimal128 *)(const void *)values;
    uint64_t *to_words = decoding_words(decoding);
    decimal128 *to_decimals = decoding->vector->decimal + (wide ? decoding->base : 0);
    for (size_t i = 0, run = 0; i < decoding->count; i++) {
        size_t pick = runs ? run : numbers[i];
        if (wide)
            to_decimals[i] = decimals[pick];
        else
            to_words[i] = words[pick];
        if (runs && --numbers[run] == 0)
            run++;
    }
    return true;
}

/* Every type's range is an interval: the smallest and the largest say it for all. */
static bool fixed_in_range(const struct decoding *decoding)
{
    const struct vector *vector = decoding->vector;
    struct value min = {0}, max = {0};
    if (vector->type.kind == TYPE_DOUBLE || vector->type.kind == TYPE_BIGINT)
        return true;
    if (vector->type.kind == TYPE_DECIMAL) {
        const decimal128 *values = vector->decimal + decoding->base;
        min.decimal = max.decimal = values[0];
        for (size_t i = 1; i < decoding->count; i++) {
            min.decimal = values[i] < min.decimal ? values[i] : min.decimal;
            max.decimal = values[i] > max.decimal ? values[i] : max.decimal;
        }
    } else {
        const int64_t *values = vector->i64 + decoding->base;
        min.i64 = max.i64 = values[0];
        for (size_t i = 1; i < decoding->count; i++) {
            min.i64 = values[i] < min.i64 ? values[i] : min.i64;
            max.i64 = values[i] > max.i64 ? values[i] : max.i64;
        }
    }
    return value_in_range(vector->type, min) && value_in_range(vector->type, max);
}

static bool decode_fixed(struct decoding *decoding, enum column_encoding encoding)
{
    struct type type = decoding->vector->type;
    size_t width = type.kind == TYPE_DECIMAL ? 16 : 8;
    uint8_t *values = (uint8_t *)decoding->vector->i64 + decoding->base * width;
    switch (encoding) {
    case ENCODING_FRAME:
    case ENCODING_DELTA:
        return has_planes(type) && decode_integers(decoding, encoding == ENCODING_DELTA);
    case ENCODING_DICTIONARY:
    case ENCODING_RUNS:
        return decode_fixed_indirect(decoding, encoding == ENCODING_RUNS);
    case ENCODING_PLAIN:
        return decode_fixed_plain(decoding, width, values);
    }
    return false;
}

/* ---- strings ---- */

/* The first `count` of `stored` strings: their ends into ret_ends (count + 1 of them, the first 0),
 * their text. */
static bool read_strings(struct decoding *decoding, size_t stored, size_t count, uint32_t *ret_ends,
                         struct span *ret_text)
{
    ret_ends[0] = 0;
    if (!planes_read_unsigned(&decoding->reader, stored, count, LIMIT_CELL_BYTES, ret_ends + 1))
        return false;
    uint64_t total = 0;
    for (size_t i = 1; i <= count; i++) {
        total += ret_ends[i];
        ret_ends[i] = (uint32_t)total; /* beyond 32 bits there is no such text: below */
    }
    struct span text = reader_span(&decoding->reader, total);
    if (!reader_ok(&decoding->reader) ||
        !text_ends_valid((const uint8_t *)(ret_ends + 1), count, text))
        return false;
    *ret_text = text;
    return true;
}

/* Room for the text in the vector is there only when all of it was counted. */
static bool reserve_text(struct decoding *decoding, uint64_t total)
{
    struct bytes *text = &decoding->vector->text;
    if (total > ROW_GROUP_COLUMN_BYTES_MAX || total > LIMIT_VECTOR_TEXT_BYTES - text->len)
        return false;
    bytes_reserve(text, total);
    return true;
}

static bool decode_strings_plain(struct decoding *decoding)
{
    uint32_t *ends = scratch_array(decoding->codec, 0, decoding->count, 4);
    struct span text;
    if (!read_strings(decoding, decoding->stored, decoding->count, ends, &text) ||
        !reserve_text(decoding, text.len))
        return false;
    struct vector *vector = decoding->vector;
    uint32_t start = (uint32_t)vector->text.len;
    for (size_t i = 0; i < decoding->count; i++)
        vector->text_end[decoding->base + i] = start + ends[i + 1];
    bytes_append_span(&vector->text, text);
    return true;
}

static bool decode_strings_indirect(struct decoding *decoding, bool runs)
{
    size_t count;
    if (!read_count(decoding, &count))
        return false;
    uint32_t *ends = scratch_array(decoding->codec, 0, count, 4);
    uint32_t *numbers = scratch_array(decoding->codec, 1, runs ? count : decoding->count, 4);
    struct span text;
    if (!read_strings(decoding, count, count, ends, &text) ||
        !read_picks(decoding, count, runs, numbers))
        return false;
    uint64_t total = 0;
    for (size_t i = 0; i < (runs ? count : decoding->count); i++) {
        size_t pick = runs ? i : numbers[i];
        total += (uint64_t)(ends[pick + 1] - ends[pick]) * (runs ? numbers[i] : 1);
    }
    if (!reserve_text(decoding, total))
        return false;
    struct vector *vector = decoding->vector;
    for (size_t i = 0, run = 0; i < decoding->count; i++) {
        size_t pick = runs ? run : numbers[i];
        if (ends[pick + 1] > ends[pick])
            bytes_append(&vector->text, text.data + ends[pick], ends[pick + 1] - ends[pick]);
        vector->text_end[decoding->base + i] = (uint32_t)vector->text.len;
        if (runs && --numbers[run] == 0)
            run++;
    }
    return true;
}

static bool decode_strings(struct decoding *decoding, enum column_encoding encoding)
{
    switch (encoding) {
    case ENCODING_FRAME:
    case ENCODING_DELTA:
        return false;
    case ENCODING_DICTIONARY:
    case ENCODING_RUNS:
        return decode_strings_indirect(decoding, encoding == ENCODING_RUNS);
    case ENCODING_PLAIN:
        return decode_strings_plain(decoding);
    }
    return false;
}

/* ---- the whole ---- */

/* From the front of the new rows to the rows that are valid, from the back; zero elsewhere. */
static void spread(const struct decoding *decoding, size_t rows)
{
    struct vector *vector = decoding->vector;
    const uint8_t *valid = vector->valid + decoding->base;
    size_t width = vector->type.kind == TYPE_DECIMAL  ? 16
                   : vector->type.kind == TYPE_STRING ? 4
                                                      : 8;
    uint8_t *values = (uint8_t *)vector->i64 + decoding->base * width;
    uint32_t text_start = decoding->base == 0 ? 0 : vector->text_end[decoding->base - 1];
    size_t from = decoding->count;
    for (size_t row = rows; row-- > 0;) {
        uint8_t *to = values + row * width;
        if (valid[row] != 0)
            memmove(to, values + --from * width, width);
        else if (vector->type.kind != TYPE_STRING)
            memset(to, 0, width);
        else if (from > 0)
            memcpy(to, values + (from - 1) * width, width); /* an empty text ends where it begins */
        else
            memcpy(to, &text_start, width);
    }
}

/* Which of the first `rows` rows are valid, and how many are not. */
static bool decode_validity(struct decoding *decoding, const struct column_header *header,
                            size_t rows, size_t *ret_nulls)
{
    uint8_t *valid = decoding->vector->valid + decoding->base;
    bool mixed = header->nulls > 0 && header->nulls < header->rows;
    memset(valid, header->nulls == 0 ? 1 : 0, rows);
    *ret_nulls = header->nulls == 0 ? 0 : rows;
    if (!mixed)
        return true;
    struct span bits = reader_span(&decoding->reader, (header->rows + 7) / 8);
    size_t counted;
    if (!reader_ok(&decoding->reader) || !validity_valid(bits, header->rows, &counted) ||
        counted != header->nulls)
        return false;
    validity_unpack(bits, rows, valid);
    for (size_t row = 0; row < rows; row++)
        *ret_nulls -= valid[row];
    return true;
}

static bool decode_values(struct decoding *decoding, const struct column_header *header,
                          size_t rows, size_t *ret_nulls)
{
    struct vector *vector = decoding->vector;
    size_t nulls;
    if (!decode_validity(decoding, header, rows, &nulls))
        return false;
    decoding->stored = header->rows - header->nulls;
    decoding->count = rows - nulls;
    if (decoding->count > 0) {
        bool good = vector->type.kind == TYPE_STRING
                        ? decode_strings(decoding, header->encoding)
                        : decode_fixed(decoding, header->encoding) && fixed_in_range(decoding);
        if (!good)
            return false;
    }
    if (nulls > 0)
        spread(decoding, rows);
    *ret_nulls = nulls;
    return rows < header->rows ? reader_ok(&decoding->reader) : reader_end(&decoding->reader);
}

enum err_code column_decode(struct column_codec *codec, struct span encoded, struct vector *vector,
                            struct err *err)
{
    return column_decode_front(codec, encoded, SIZE_MAX, vector, err);
}

enum err_code column_decode_front(struct column_codec *codec, struct span encoded, size_t rows,
                                  struct vector *vector, struct err *err)
{
    struct column_header header;
    ASSERT(rows > 0);
    TRY(column_header_decode(encoded, &header, err));
    if (!type_equal(header.type, vector->type)) {
        char stored[TYPE_TEXT_BYTES], wanted[TYPE_TEXT_BYTES];
        return err_set(err, ERR_CORRUPT, "column: holds %s, expected %s",
                       type_format(header.type, stored), type_format(vector->type, wanted));
    }
    struct span stored = span_slice(encoded, COLUMN_HEADER_BYTES, header.stored_bytes);
    struct span payload;
    if (!decompress(codec, &header, stored, &payload))
        return err_set(err, ERR_CORRUPT, "column: compressed frame is damaged");
    if (rows > header.rows)
        rows = header.rows;
    vector_reserve(vector, rows);
    size_t nulls, text_bytes = vector->text.len;
    struct decoding decoding = {
        .codec = codec, .reader = reader_of(payload), .vector = vector, .base = vector->rows};
    if (!decode_values(&decoding, &header, rows, &nulls)) {
        vector->text.len = text_bytes;
        return err_set(err, ERR_CORRUPT, "column: values are malformed (%u rows, encoding %u)",
                       header.rows, (unsigned)header.encoding);
    }
    vector->rows += rows;
    vector->null_count += nulls;
    return ERR_OK;
}
