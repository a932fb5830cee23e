/* Encoding a column: store/column.h. The order of work: take the NULLs out, measure, choose the
 * encoding with the smallest estimate, write, compress. */
#include "store/column_codec.h"
#include "store/planes.h"

#include "proto/limits.h"

#define SMALLER_BY           16 /* compression is kept when it saves 1 / SMALLER_BY */
#define ZSTD_FRAME_BYTES_MIN 10 /* of a frame that is not empty: magic 4, header 2, block 3 + 1 */

/* ---- codec ---- */

struct column_codec *column_codec_new(void)
{
    struct column_codec *codec = mem_calloc(1, sizeof(*codec));
    codec->compressor = ZSTD_createCCtx();
    codec->decompressor = ZSTD_createDCtx();
    ASSERT(codec->compressor != NULL && codec->decompressor != NULL);
    return codec;
}

void column_codec_free(struct column_codec *codec)
{
    if (codec == NULL)
        return;
    ZSTD_freeCCtx(codec->compressor);
    ZSTD_freeDCtx(codec->decompressor);
    bytes_deinit(&codec->payload);
    bytes_deinit(&codec->compressed);
    dictionary_deinit(&codec->dictionary);
    for (size_t i = 0; i < ARRAY_COUNT(codec->scratch); i++)
        bytes_deinit(&codec->scratch[i]);
    mem_free(codec);
}

void column_codec_free_pointer(struct column_codec **codec)
{
    column_codec_free(*codec);
}

void *scratch_array(struct column_codec *codec, size_t which, size_t count, size_t item_bytes)
{
    ASSERT(which < ARRAY_COUNT(codec->scratch));
    bytes_clear(&codec->scratch[which]);
    bytes_resize(&codec->scratch[which], (count + 1) * item_bytes);
    return codec->scratch[which].data;
}

/* ---- the values without the NULLs ---- */

static struct dense dense_fixed(struct column_codec *codec, const struct vector *vector, size_t at,
                                size_t rows, size_t nulls)
{
    bool wide = vector->type.kind == TYPE_DECIMAL;
    struct dense dense = {.class = wide ? DENSE_WIDE : DENSE_WORDS, .count = rows - nulls};
    if (wide && nulls == 0) {
        dense.wide = vector->decimal + at;
        return dense;
    }
    if (vector->type.kind != TYPE_DOUBLE && nulls == 0) {
        dense.words = (const uint64_t *)vector->i64 + at;
        return dense;
    }
    size_t width = wide ? sizeof(decimal128) : sizeof(uint64_t);
    const uint8_t *from = wide ? (const uint8_t *)vector->decimal : (const uint8_t *)vector->i64;
    uint8_t *to = scratch_array(codec, 0, dense.count, width);
    dense.words = wide ? NULL : (const uint64_t *)(const void *)to;
    dense.wide = wide ? (const decimal128 *)(const void *)to : NULL;
    for (size_t row = at; row < at + rows; row++) {
        memcpy(to, from + row * width, width); /* there is room for one more */
        to += vector->valid[row] * width;
    }
    return dense;
}

static struct dense dense_strings(struct column_codec *codec, const struct vector *vector,
                                  size_t at, size_t rows, size_t nulls)
{
    uint32_t *starts = scratch_array(codec, 0, rows - nulls, 4);
    uint32_t *lengths = scratch_array(codec, 1, rows - nulls, 4);
    uint32_t start = at == 0 ? 0 : vector->text_end[at - 1];
    for (size_t row = at, i = 0; row < at + rows; row++) {
        starts[i] = start;
        lengths[i] = vector->text_end[row] - start;
        start = vector->text_end[row];
        i += vector->valid[row];
    }
    return (struct dense){.class = DENSE_TEXT,
                          .count = rows - nulls,
                          .text = vector->text.data,
                          .starts = starts,
                          .lengths = lengths};
}

/* ---- measuring ---- */

/* What the estimates are made of. */
struct measure {
    bool integers;         /* `words` holds them: frame and delta are possible */
    const uint64_t *words; /* DECIMALs that fit 64 bits too */
    uint64_t smallest;
    unsigned width; /* of words, or of lengths of strings */
    uint64_t smallest_step;
    unsigned step_width;
    size_t text_bytes;
    size_t runs;
    size_t runs_text_bytes;
    uint32_t longest_run;
    size_t distinct; /* 0: too many */
    size_t distinct_text_bytes;
};

static bool words_of_decimals(struct column_codec *codec, const struct dense *dense,
                              const uint64_t **ret_words)
{
    uint64_t *words = scratch_array(codec, 2, dense->count, 8);
    for (size_t i = 0; i < dense->count; i++) {
        decimal128 value = dense->wide[i];
        if (value < INT64_MIN || value > INT64_MAX)
            return false;
        words[i] = (uint64_t)(int64_t)value;
    }
    *ret_words = words;
    return true;
}

static void measure_integers(struct measure *measure, size_t count)
{
    const int64_t *values = (const int64_t *)measure->words;
    int64_t min = values[0], max = values[0];
    for (size_t i = 1; i < count; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    measure->smallest = (uint64_t)min;
    measure->width = planes_width((uint64_t)max - (uint64_t)min);
    if (count < 2)
        return;
    int64_t step_min = INT64_MAX, step_max = INT64_MIN;
    for (size_t i = 1; i < count; i++) {
        int64_t step = (int64_t)(measure->words[i] - measure->words[i - 1]);
        step_min = step < step_min ? step : step_min;
        step_max = step > step_max ? step : step_max;
    }
    measure->smallest_step = (uint64_t)step_min;
    measure->step_width = planes_width((uint64_t)step_max - (uint64_t)step_min);
}

static void measure_lengths(struct measure *measure, const struct dense *dense)
{
    uint32_t min = dense->lengths[0], max = min;
    for (size_t i = 0; i < dense->count; i++) {
        min = dense->lengths[i] < min ? dense->lengths[i] : min;
        max = dense->lengths[i] > max ? dense->lengths[i] : max;
        measure->text_bytes += dense->lengths[i];
    }
    measure->width = planes_width(max - min);
}

static void measure_runs(struct measure *measure, const struct dense *dense)
{
    size_t start = 0;
    for (size_t i = 1; i <= dense->count; i++) {
        if (i < dense->count && dense_equal(dense, i - 1, i))
            continue;
        uint32_t length = (uint32_t)(i - start);
        measure->longest_run = length > measure->longest_run ? length : measure->longest_run;
        measure->runs++;
        if (dense->class == DENSE_TEXT)
            measure->runs_text_bytes += dense->lengths[start];
        start = i;
    }
}

static struct measure measure_column(struct column_codec *codec, const struct dense *dense,
                                     struct type type)
{
    struct measure measure = {.words = dense->words};
    if (dense->class == DENSE_WIDE)
        measure.integers = words_of_decimals(codec, dense, &measure.words);
    else
        measure.integers = dense->class == DENSE_WORDS && type.kind != TYPE_DOUBLE;
    if (measure.integers)
        measure_integers(&measure, dense->count);
    if (dense->class == DENSE_TEXT)
        measure_lengths(&measure, dense);
    measure_runs(&measure, dense);
    /* One or two bytes a value cannot be beaten by two bytes of index and the values. */
    bool hopeless = measure.integers && (measure.width <= 1 || measure.step_width == 0);
    if (!hopeless && dictionary_build(&codec->dictionary, dense)) {
        measure.distinct = codec->dictionary.count;
        for (size_t i = 0; dense->class == DENSE_TEXT && i < measure.distinct; i++)
            measure.distinct_text_bytes += dense->lengths[codec->dictionary.firsts[i]];
    }
    return measure;
}

/* ---- estimates and choice ---- */

/* Bytes of `count` values written by append_values. */
static size_t values_bytes(const struct measure *measure, const struct dense *dense, size_t count,
                           size_t text_bytes)
{
    if (dense->class == DENSE_WIDE)
        return count * 16;
    if (dense->class == DENSE_TEXT)
        return planes_bytes(count, measure->width) + text_bytes;
    return measure->integers ? planes_bytes(count, measure->width) : count * 8;
}

static size_t estimate(const struct measure *measure, const struct dense *dense,
                       enum column_encoding encoding)
{
    size_t n = dense->count;
    switch (encoding) {
    case ENCODING_FRAME:
        return measure->integers ? planes_bytes(n, measure->width) : SIZE_MAX;
    case ENCODING_DELTA:
        return measure->integers ? 8 + planes_bytes(n - 1, measure->step_width) : SIZE_MAX;
    case ENCODING_DICTIONARY:
        if (measure->distinct == 0)
            return SIZE_MAX;
        return 4 + values_bytes(measure, dense, measure->distinct, measure->distinct_text_bytes) +
               planes_bytes(n, planes_width(measure->distinct - 1));
    case ENCODING_RUNS:
        return 4 + values_bytes(measure, dense, measure->runs, measure->runs_text_bytes) +
               planes_bytes(measure->runs, planes_width(measure->longest_run));
    case ENCODING_PLAIN:
        if (measure->integers && dense->class == DENSE_WORDS)
            return n * 8;
        return values_bytes(measure, dense, n, measure->text_bytes);
    }
    return SIZE_MAX;
}

static enum column_encoding choose(const struct measure *measure, const struct dense *dense)
{
    enum column_encoding best = ENCODING_PLAIN;
    size_t best_bytes = SIZE_MAX;
    for (int e = ENCODING_FRAME; e <= ENCODING_PLAIN; e++) {
        size_t bytes = estimate(measure, dense, (enum column_encoding)e);
        if (bytes < best_bytes) {
            best = (enum column_encoding)e;
            best_bytes = bytes;
        }
    }
    return best;
}

/* ---- writing ---- */

/* Which values: those at `picks`, or the first `count`. */
struct selection {
    const uint32_t *picks; /* NULL: all in order */
    size_t count;
};

static size_t selected(const struct selection *selection, size_t i)
{
    return selection->picks == NULL ? i : selection->picks[i];
}

static void append_words(const struct dense *dense, const struct selection *selection,
                         struct bytes *out)
{
    size_t at = out->len;
    bytes_resize(out, at + selection->count * 8);
    for (size_t i = 0; i < selection->count; i++)
        memcpy(out->data + at + i * 8, &dense->words[selected(selection, i)], 8);
}

static void append_integers(const struct dense *dense, const struct selection *selection,
                            struct bytes *out)
{
    MEM_CLEANUP uint64_t *values = mem_calloc(selection->count, sizeof(uint64_t));
    uint64_t min = UINT64_MAX, max = 0; /* of the values with the sign bit flipped */
    for (size_t i = 0; i < selection->count; i++) {
        values[i] = dense->words[selected(selection, i)];
        uint64_t order = values[i] ^ UINT64_C(1) << 63;
        min = order < min ? order : min;
        max = order > max ? order : max;
    }
    planes_append(values, selection->count, min ^ UINT64_C(1) << 63, planes_width(max - min), out);
}

static void append_strings(const struct dense *dense, const struct selection *selection,
                           struct bytes *out)
{
    MEM_CLEANUP uint32_t *lengths = mem_calloc(selection->count, sizeof(uint32_t));
    for (size_t i = 0; i < selection->count; i++)
        lengths[i] = dense->lengths[selected(selection, i)];
    planes_append_unsigned(lengths, selection->count, out);
    for (size_t i = 0; i < selection->count; i++)
        bytes_append_span(out, dense_text(dense, selected(selection, i)));
}

/* Values of dictionaries, runs and (but for integers) plain columns. */
static void append_values(const struct measure *measure, const struct dense *dense,
                          const struct selection *selection, struct bytes *out)
{
    if (dense->class == DENSE_TEXT) {
        append_strings(dense, selection, out);
    } else if (dense->class == DENSE_WIDE) {
        for (size_t i = 0; i < selection->count; i++)
            bytes_append(out, &dense->wide[selected(selection, i)], 16);
    } else if (measure->integers) {
        append_integers(dense, selection, out);
    } else {
        append_words(dense, selection, out);
    }
}

static void append_delta(struct column_codec *codec, const struct measure *measure, size_t count,
                         struct bytes *out)
{
    ASSERT(measure->words != NULL && count > 0);
    uint64_t *steps = scratch_array(codec, 3, count, 8);
    for (size_t i = 1; i < count; i++)
        steps[i - 1] = measure->words[i] - measure->words[i - 1];
    bytes_append_u64(out, measure->words[0]);
    planes_append(steps, count - 1, measure->smallest_step, measure->step_width, out);
}

static void append_runs(struct column_codec *codec, const struct measure *measure,
                        const struct dense *dense, struct bytes *out)
{
    uint32_t *starts = scratch_array(codec, 3, 2 * measure->runs, 4);
    uint32_t *lengths = starts + measure->runs;
    size_t run = 0;
    for (size_t i = 0; i < dense->count; i++) {
        if (i == 0 || !dense_equal(dense, i - 1, i)) {
            starts[run] = (uint32_t)i;
            lengths[run++] = 0;
        }
        lengths[run - 1]++;
    }
    ASSERT(run == measure->runs);
    bytes_append_u32(out, (uint32_t)run);
    append_values(measure, dense, &(struct selection){starts, run}, out);
    planes_append_unsigned(lengths, run, out);
}

static void append_encoded(struct column_codec *codec, const struct measure *measure,
                           const struct dense *dense, enum column_encoding encoding,
                           struct bytes *out)
{
    const struct dictionary *dictionary = &codec->dictionary;
    switch (encoding) {
    case ENCODING_FRAME:
        planes_append(measure->words, dense->count, measure->smallest, measure->width, out);
        return;
    case ENCODING_DELTA:
        append_delta(codec, measure, dense->count, out);
        return;
    case ENCODING_DICTIONARY:
        bytes_append_u32(out, (uint32_t)dictionary->count);
        append_values(measure, dense, &(struct selection){dictionary->firsts, dictionary->count},
                      out);
        planes_append_unsigned(dictionary->indexes, dense->count, out);
        return;
    case ENCODING_RUNS:
        append_runs(codec, measure, dense, out);
        return;
    case ENCODING_PLAIN:
        if (measure->integers && dense->class == DENSE_WORDS)
            append_words(dense, &(struct selection){NULL, dense->count}, out);
        else
            append_values(measure, dense, &(struct selection){NULL, dense->count}, out);
        return;
    }
}

/* ---- header and compression ---- */

static void header_append(const struct column_header *header, struct bytes *out)
{
    bytes_append_u8(out, COLUMN_FORMAT);
    bytes_append_u8(out, header->encoder);
    bytes_append_u8(out, (uint8_t)header->type.kind);
    bytes_append_u8(out, header->type.precision);
    bytes_append_u8(out, header->type.scale);
    bytes_append_u8(out, (uint8_t)header->encoding);
    bytes_append_u8(out, header->compressed ? 1 : 0);
    bytes_append_u8(out, 0);
    bytes_append_u32(out, header->rows);
    bytes_append_u32(out, header->nulls);
    bytes_append_u32(out, header->plain_bytes);
    bytes_append_u32(out, header->stored_bytes);
}

static struct span compress(struct column_codec *codec, struct span payload, bool *ret_compressed)
{
    struct bytes *to = &codec->compressed;
    *ret_compressed = false;
    if (payload.len <= ZSTD_FRAME_BYTES_MIN) /* nothing to be saved */
        return payload;
    bytes_clear(to);
    size_t bound = ZSTD_compressBound(payload.len); /* not the capacity: it would shape the frame */
    bytes_reserve(to, bound);
    size_t got = ZSTD_compressCCtx(codec->compressor, to->data, bound, payload.data, payload.len,
                                   COLUMN_ZSTD_LEVEL);
    ASSERT(!ZSTD_isError(got));
    to->len = got;
    *ret_compressed = got <= payload.len - payload.len / SMALLER_BY && got < payload.len;
    return *ret_compressed ? bytes_span(to) : payload;
}

static size_t count_nulls(const struct vector *vector, size_t at, size_t rows)
{
    if (vector->null_count == 0)
        return 0;
    size_t ones = 0;
    for (size_t row = at; row < at + rows; row++)
        ones += vector->valid[row];
    return rows - ones;
}

void column_encode(struct column_codec *codec, const struct vector *vector, size_t at, size_t rows,
                   struct bytes *out)
{
    ASSERT(rows >= 1 && rows <= ROW_GROUP_ROWS_MAX && at + rows <= vector->rows);
    size_t nulls = count_nulls(vector, at, rows);
    struct column_header header = {.encoder = COLUMN_ENCODER,
                                   .type = vector->type,
                                   .encoding = ENCODING_PLAIN,
                                   .rows = (uint32_t)rows,
                                   .nulls = (uint32_t)nulls};
    struct bytes *payload = &codec->payload;
    bytes_clear(payload);
    if (nulls > 0 && nulls < rows)
        validity_append(vector->valid + at, rows, payload);
    if (nulls < rows) {
        struct dense dense = vector->type.kind == TYPE_STRING
                                 ? dense_strings(codec, vector, at, rows, nulls)
                                 : dense_fixed(codec, vector, at, rows, nulls);
        struct measure measure = measure_column(codec, &dense, vector->type);
        header.encoding = choose(&measure, &dense);
        append_encoded(codec, &measure, &dense, header.encoding, payload);
    }
    struct span stored = bytes_span(payload);
    if (payload->len > 0)
        stored = compress(codec, bytes_span(payload), &header.compressed);
    ASSERT(payload->len <= payload_bytes_max(vector->type, rows));
    header.plain_bytes = (uint32_t)payload->len;
    header.stored_bytes = (uint32_t)stored.len;
    header_append(&header, out);
    bytes_append_span(out, stored);
}
