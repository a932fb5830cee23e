#include "store/column.h"
#include "store/dictionary.h"
#include "store/planes.h"

#include <zstd.h>

#include "proto/digest.h"
#include "proto/limits.h"
#include "proto/random_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The first rows alone, of the column that holds `rows` rows of the vector. */
static void check_fronts(struct column_codec *codec, struct span encoded,
                         const struct vector *vector, size_t at, size_t rows)
{
    const size_t fronts[] = {1, rows / 3 + 1, (rows + 1) / 2, rows, rows + 1};
    for (size_t i = 0; i < ARRAY_COUNT(fronts); i++) {
        VECTOR_CLEANUP struct vector expected, back;
        struct err err = {0};
        vector_init(&expected, vector->type);
        vector_init(&back, vector->type);
        vector_append_range(&expected, vector, at, fronts[i] < rows ? fronts[i] : rows);
        if (column_decode_front(codec, encoded, fronts[i], &back, &err) != ERR_OK)
            fail_msg("%s", err.message);
        assert_true(vectors_equal(&expected, &back));
    }
}

static void check_round_trip(struct column_codec *codec, const struct vector *vector, size_t at,
                             size_t rows)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    VECTOR_CLEANUP struct vector expected, back;
    struct err err = {0};
    vector_init(&expected, vector->type);
    vector_init(&back, vector->type);
    for (int twice = 0; twice < 2; twice++) { /* the second goes behind what is there */
        vector_append_range(&expected, vector, at, rows);
        bytes_clear(&encoded);
        column_encode(codec, vector, at, rows, &encoded);
        if (column_decode(codec, bytes_span(&encoded), &back, &err) != ERR_OK)
            fail_msg("%s", err.message);
        assert_true(vectors_equal(&expected, &back));
    }
    check_fronts(codec, bytes_span(&encoded), vector, at, rows);
}

static void test_every_type_shape_and_density_comes_back_bit_by_bit(void **state)
{
    (void)state;
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    struct random random = random_start();
    static const unsigned null_percents[] = {0, 1, 50, 100};
    for (size_t round = 0; round < ARRAY_COUNT(random_types) * SHAPE_COUNT * 4 * 3; round++) {
        VECTOR_CLEANUP struct vector vector;
        vector_init(&vector, random_types[round % ARRAY_COUNT(random_types)]);
        size_t rows = 1 + random_below(&random, round % 7 == 0 ? 20000 : 300);
        random_vector(&random, &vector, rows,
                      (enum random_shape)(round / ARRAY_COUNT(random_types) % SHAPE_COUNT),
                      null_percents[round / ARRAY_COUNT(random_types) / SHAPE_COUNT % 4]);
        check_round_trip(codec, &vector, 0, rows);
        size_t at = random_below(&random, rows);
        check_round_trip(codec, &vector, at, 1 + random_below(&random, rows - at));
    }
}

/* ---- choice ---- */

static struct column_header encode_header(const struct vector *vector, struct bytes *encoded)
{
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    struct column_header header;
    bytes_clear(encoded);
    column_encode(codec, vector, 0, vector->rows, encoded);
    assert_int_equal(column_header_decode(bytes_span(encoded), &header, NULL), ERR_OK);
    check_round_trip(codec, vector, 0, vector->rows);
    return header;
}

static enum column_encoding encoding_of(int64_t (*value)(int64_t i), size_t rows)
{
    VECTOR_CLEANUP struct vector vector;
    BYTES_CLEANUP struct bytes encoded = {0};
    vector_init(&vector, (struct type){.kind = TYPE_BIGINT});
    for (size_t i = 0; i < rows; i++)
        vector_append(&vector, (struct value){.i64 = value((int64_t)i)});
    return encode_header(&vector, &encoded).encoding;
}

static int64_t same(int64_t i)
{
    (void)i;
    return -7;
}
static int64_t rising(int64_t i)
{
    return i * INT64_C(1000000007);
}
static int64_t scattered(int64_t i)
{
    return i * 7919 % 10007;
}
static int64_t few(int64_t i)
{
    return i * 7919 % 13 * INT64_C(700000000000000000);
}
static int64_t long_runs(int64_t i)
{
    uint64_t run = (uint64_t)i / 500; /* steps of all sizes, back and forth */
    return (int64_t)(run * run * UINT64_C(0x9E3779B97F4A7C15));
}
static int64_t noise(int64_t i)
{
    return (int64_t)((uint64_t)(i + 1) * (uint64_t)(i + 1) * UINT64_C(0x9E3779B97F4A7C15));
}

static void test_the_smallest_estimate_wins(void **state)
{
    (void)state;
    assert_int_equal(encoding_of(same, 5000), ENCODING_FRAME); /* ties in order of number */
    assert_int_equal(encoding_of(rising, 5000), ENCODING_DELTA);
    assert_int_equal(encoding_of(scattered, 5000), ENCODING_FRAME);
    assert_int_equal(encoding_of(few, 5000), ENCODING_DICTIONARY);
    assert_int_equal(encoding_of(long_runs, 5000), ENCODING_RUNS);
    assert_int_equal(encoding_of(noise, 5000), ENCODING_PLAIN);
}

/* `count` words: `early` distinct ones among the first DICTIONARY_PROBE_VALUES, `distinct` in all. */
static bool dictionary_made(size_t count, size_t early, size_t distinct)
{
    MEM_CLEANUP uint64_t *words = mem_calloc(count, sizeof(*words));
    for (size_t i = 0; i < count; i++)
        words[i] = i < DICTIONARY_PROBE_VALUES ? i % early : i % distinct;
    struct dictionary dictionary = {0};
    struct dense dense = {.class = DENSE_WORDS, .count = count, .words = words};
    bool made = dictionary_build(&dictionary, &dense);
    dictionary_deinit(&dictionary);
    return made;
}

static void test_dictionaries_give_up_by_counts_alone(void **state)
{
    (void)state;
    assert_true(dictionary_made(10000, 4096, 5000));
    assert_false(dictionary_made(10000, 4097, 5000));
    assert_true(dictionary_made(190000, 10, DICTIONARY_VALUES_MAX));
    assert_false(dictionary_made(190000, 10, DICTIONARY_VALUES_MAX + 1));
}

static void test_frames_are_kept_only_when_they_save_a_sixteenth(void **state)
{
    (void)state;
    VECTOR_CLEANUP struct vector vector;
    BYTES_CLEANUP struct bytes encoded = {0};
    vector_init(&vector, (struct type){.kind = TYPE_BIGINT});
    for (int64_t i = 0; i < 5000; i++)
        vector_append(&vector, (struct value){.i64 = noise(i)});
    struct column_header header = encode_header(&vector, &encoded);
    assert_false(header.compressed);
    assert_int_equal(encoded.len, COLUMN_HEADER_BYTES + 5000 * 8);
    vector_clear(&vector);
    for (int64_t i = 0; i < 5000; i++)
        vector_append(&vector, (struct value){.i64 = scattered(i % 100)});
    header = encode_header(&vector, &encoded);
    assert_true(header.compressed);
    assert_true(header.stored_bytes <= header.plain_bytes - header.plain_bytes / 16);
}

static void test_steps_that_wrap_around_come_back(void **state)
{
    (void)state;
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    VECTOR_CLEANUP struct vector vector;
    vector_init(&vector, (struct type){.kind = TYPE_BIGINT});
    for (int i = 0; i < 100; i++)
        vector_append(&vector, (struct value){.i64 = i % 2 == 0 ? INT64_MIN : INT64_MAX});
    check_round_trip(codec, &vector, 0, 100);
    check_round_trip(codec, &vector, 1, 1);
}

static void test_the_largest_cell_comes_back(void **state)
{
    (void)state;
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    struct random random = random_start();
    VECTOR_CLEANUP struct vector vector;
    BYTES_CLEANUP struct bytes text = {0};
    BYTES_CLEANUP struct bytes encoded = {0};
    vector_init(&vector, (struct type){.kind = TYPE_STRING});
    bytes_resize(&text, LIMIT_CELL_BYTES);
    for (size_t i = 0; i < text.len; i++)
        text.data[i] = (uint8_t)(random_next(&random) & 0x7F);
    vector_append(&vector, (struct value){.text = bytes_span(&text)});
    check_round_trip(codec, &vector, 0, 1);
    column_encode(codec, &vector, 0, 1, &encoded);
    assert_true(encoded.len <= LIMIT_FILE_BYTES);
}

static void test_bytes_do_not_depend_on_what_was_encoded_before(void **state)
{
    (void)state;
    COLUMN_CODEC_CLEANUP struct column_codec *fresh = column_codec_new();
    COLUMN_CODEC_CLEANUP struct column_codec *used = column_codec_new();
    struct random random = random_start();
    VECTOR_CLEANUP struct vector vector, other;
    vector_init(&vector, (struct type){.kind = TYPE_STRING});
    vector_init(&other, (struct type){.kind = TYPE_DOUBLE});
    random_vector(&random, &vector, 3000, SHAPE_WIDE, 10);
    random_vector(&random, &other, 30000, SHAPE_NARROW, 0);
    BYTES_CLEANUP struct bytes a = {0}, b = {0}, ignored = {0};
    column_encode(fresh, &vector, 0, 3000, &a);
    column_encode(used, &other, 0, 30000, &ignored);
    column_encode(used, &vector, 0, 3000, &b);
    assert_true(span_equal(bytes_span(&a), bytes_span(&b)));
}

/* ---- golden bytes: docs/FORMATS.md shows these; a change here is a new encoder version ---- */

static void assert_golden(const struct vector *vector, const char *hex)
{
    BYTES_CLEANUP struct bytes encoded = {0}, text = {0};
    encode_header(vector, &encoded);
    if (encoded.len > 100) { /* long ones by their name */
        struct digest digest = digest_of(DOMAIN_FILE, bytes_span(&encoded));
        bytes_append_hex(&text, digest_span(&digest));
    } else {
        bytes_append_hex(&text, bytes_span(&encoded));
    }
    bytes_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, hex);
}

static void test_golden_bytes(void **state)
{
    (void)state;
    VECTOR_CLEANUP struct vector integers, strings, doubles, decimals, many;
    vector_init(&integers, (struct type){.kind = TYPE_BIGINT});
    vector_init(&strings, (struct type){.kind = TYPE_STRING});
    vector_init(&doubles, (struct type){.kind = TYPE_DOUBLE});
    vector_init(&decimals, (struct type){.kind = TYPE_DECIMAL, .precision = 10, .scale = 2});
    vector_init(&many, (struct type){.kind = TYPE_STRING});
    static const char *const regions[] = {"ap-southeast-1", "cn-hongkong"};
    for (int i = 0; i < 4; i++) {
        struct value null = {.null = true};
        vector_append(&integers, i == 1 ? null : (struct value){.i64 = 1000 + i * i * i});
        vector_append(&strings, (struct value){.text = span_text(regions[i % 2])});
        vector_append(&doubles, (struct value){.f64 = i == 3 ? -0.0 : 0.5 * i});
        vector_append(&decimals, (struct value){.decimal = i == 2 ? -29900 : 100});
    }
    for (int i = 0; i < 40000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "order %d of %d", i * 7919 % 40000, i / 100);
        vector_append(&many, (struct value){.text = span_text(text)});
    }
    assert_golden(&integers,
                  "010101000001000000000004000000010000000d0000000d0d0100000000000003e800081b");
    assert_golden(&strings,
                  "0101050000030000000000040000000000000035000000350000000201000000000000000b030061"
                  "702d736f757468656173742d31636e2d686f6e676b6f6e6701000000000000000000010001");
    assert_golden(&doubles, "01010300000501000000000400000000000000200000001b28b52ffd20209500004000"
                            "00e03f00f0008003002b29403b388005");
    assert_golden(
        &decimals,
        "0101040a020100000000000400000000000000110000001102ffffffffffff8b343030003075750075");
    assert_golden(&many, "d3bbcbc2bffc78e83b20e35ba2788a4d7572608254a70ca68380f853a8716c9b");
}

/* ---- hostile bytes ---- */

static void test_cut_and_flipped_columns_fail_or_decode_within_limits(void **state)
{
    (void)state;
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    struct random random = random_start();
    for (size_t round = 0; round < ARRAY_COUNT(random_types) * SHAPE_COUNT; round++) {
        VECTOR_CLEANUP struct vector vector, back;
        BYTES_CLEANUP struct bytes encoded = {0};
        vector_init(&vector, random_types[round % ARRAY_COUNT(random_types)]);
        vector_init(&back, vector.type);
        random_vector(&random, &vector, 60, (enum random_shape)(round % SHAPE_COUNT), 20);
        column_encode(codec, &vector, 0, 60, &encoded);
        for (size_t len = 0; len < encoded.len; len++)
            assert_int_not_equal(column_decode(codec, span_of(encoded.data, len), &back, NULL),
                                 ERR_OK);
        assert_int_equal(back.rows, 0);
        for (size_t i = 0; i < 300; i++) {
            size_t bit = random_below(&random, encoded.len * 8);
            encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            vector_clear(&back);
            if (column_decode(codec, bytes_span(&encoded), &back, NULL) == ERR_OK)
                assert_true(back.rows <= ROW_GROUP_ROWS_MAX);
            else
                assert_true(back.rows == 0 && back.text.len == 0);
            encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

struct forged {
    uint8_t format, kind, encoding, compression;
    uint32_t rows, nulls, plain_bytes;
};

static enum err_code decode_forged(const struct forged *forged, struct span payload,
                                   enum type_kind kind)
{
    COLUMN_CODEC_CLEANUP struct column_codec *codec = column_codec_new();
    BYTES_CLEANUP struct bytes encoded = {0};
    VECTOR_CLEANUP struct vector vector;
    vector_init(&vector, (struct type){.kind = kind});
    const uint8_t head[] = {forged->format,      1, forged->kind, 0, 0, forged->encoding,
                            forged->compression, 0};
    bytes_append(&encoded, head, sizeof(head));
    bytes_append_u32(&encoded, forged->rows);
    bytes_append_u32(&encoded, forged->nulls);
    bytes_append_u32(&encoded, forged->plain_bytes);
    bytes_append_u32(&encoded, (uint32_t)payload.len);
    bytes_append_span(&encoded, payload);
    return column_decode(codec, bytes_span(&encoded), &vector, NULL);
}

static void test_a_frame_that_claims_more_than_the_header_is_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes plain = {0}, frame = {0};
    bytes_resize(&plain, 800);
    memset(plain.data, 0, 800);
    bytes_resize(&frame, ZSTD_compressBound(plain.len));
    frame.len = ZSTD_compress(frame.data, frame.len, plain.data, plain.len, 3);
    struct forged forged = {1, TYPE_BIGINT, ENCODING_PLAIN, 1, 100, 0, 800};
    assert_int_equal(decode_forged(&forged, bytes_span(&frame), TYPE_BIGINT), ERR_OK);
    forged.plain_bytes = 799;
    assert_int_equal(decode_forged(&forged, bytes_span(&frame), TYPE_BIGINT), ERR_CORRUPT);
    forged.plain_bytes = 800;
    bytes_append_u8(&frame, 0); /* something behind the frame */
    assert_int_equal(decode_forged(&forged, bytes_span(&frame), TYPE_BIGINT), ERR_CORRUPT);
    bytes_append(&frame, "\x2A\x4D\x18\0\0\0\0", 7); /* or another frame, an empty one */
    frame.data[frame.len - 8] = 0x50;
    assert_int_equal(decode_forged(&forged, bytes_span(&frame), TYPE_BIGINT), ERR_CORRUPT);
}

static void test_a_frame_that_hides_its_size_is_refused(void **state)
{
    (void)state;
    const uint8_t plain[800] = {0};
    uint8_t frame[200];
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    size_t len = ZSTD_compress2(context, frame, sizeof(frame), plain, sizeof(plain));
    ZSTD_freeCCtx(context);
    assert_false(ZSTD_isError(len));
    const struct forged forged = {1, TYPE_BIGINT, ENCODING_PLAIN, 1, 100, 0, 800};
    assert_int_equal(decode_forged(&forged, span_of(frame, len), TYPE_BIGINT), ERR_CORRUPT);
}

static void test_a_payload_beyond_what_its_rows_can_need_is_not_unpacked(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes encoded = {0};
    bytes_append(&encoded, "\1\1\1\0\0\5\1\0", 8);
    bytes_append_u32(&encoded, 100);
    bytes_append_u32(&encoded, 0);
    size_t at = encoded.len;
    bytes_append_u32(&encoded, 2400);
    bytes_append_u32(&encoded, 4);
    bytes_append(&encoded, "....", 4);
    struct column_header header;
    assert_int_equal(column_header_decode(bytes_span(&encoded), &header, NULL), ERR_OK);
    store_u32(encoded.data + at, MIB(1));
    assert_int_equal(column_header_decode(bytes_span(&encoded), &header, NULL), ERR_CORRUPT);
}

static void test_bytes_behind_the_values_are_refused(void **state)
{
    (void)state;
    const uint8_t values[17] = {0};
    const struct forged forged = {1, TYPE_BIGINT, ENCODING_PLAIN, 0, 2, 0, 17};
    assert_int_equal(decode_forged(&forged, span_of(values, 17), TYPE_BIGINT), ERR_CORRUPT);
}

static void test_run_lengths_add_up_to_the_rows(void **state)
{
    (void)state;
    for (uint32_t last = 0; last < 4; last++) {
        BYTES_CLEANUP struct bytes payload = {0};
        const uint64_t values[2] = {7, 9};
        const uint32_t lengths[2] = {3, last};
        bytes_append_u32(&payload, 2);
        planes_append(values, 2, 7, 1, &payload);
        planes_append_unsigned(lengths, 2, &payload);
        struct forged forged = {1, TYPE_BIGINT, ENCODING_RUNS, 0, 5, 0, (uint32_t)payload.len};
        assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_BIGINT),
                         last == 2 ? ERR_OK : ERR_CORRUPT);
        forged.rows = 3; /* a run of none */
        assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_BIGINT), ERR_CORRUPT);
    }
}

static void test_a_dictionary_that_would_unfold_to_gigabytes_is_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes payload = {0};
    uint32_t length = 1 << 20;
    bytes_append_u32(&payload, 1);
    planes_append_unsigned(&length, 1, &payload);
    size_t text = payload.len;
    bytes_resize(&payload, text + length);
    memset(payload.data + text, 'x', length);
    uint32_t zero = 0;
    planes_append_unsigned(&zero, 1, &payload); /* width 0: any number of indexes */
    struct forged forged = {1, TYPE_STRING, ENCODING_DICTIONARY, 0, 8, 0, (uint32_t)payload.len};
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_STRING), ERR_OK);
    forged.rows = 9;
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_STRING), ERR_CORRUPT);
    forged.rows = ROW_GROUP_ROWS_MAX;
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_STRING), ERR_CORRUPT);
}

static void test_forged_headers_are_refused(void **state)
{
    (void)state;
    const uint8_t values[16] = {0};
    struct span payload = span_of(values, 16);
    const struct forged good = {1, TYPE_BIGINT, ENCODING_PLAIN, 0, 2, 0, 16};
    assert_int_equal(decode_forged(&good, payload, TYPE_BIGINT), ERR_OK);
    assert_int_equal(decode_forged(&good, payload, TYPE_DATE), ERR_CORRUPT);
    struct forged bad = good;
    bad.format = 2;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_VERSION);
    bad = good;
    bad.kind = 9;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad = good;
    bad.encoding = 6;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad = good;
    bad.compression = 2;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad = good;
    bad.rows = 0;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad.rows = ROW_GROUP_ROWS_MAX + 1;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad = good;
    bad.nulls = 3;
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
    bad.nulls = 1; /* the validity is missing */
    assert_int_equal(decode_forged(&bad, payload, TYPE_BIGINT), ERR_CORRUPT);
}

static void test_values_beyond_their_type_are_refused(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes payload = {0};
    uint64_t values[2] = {0, 2};
    planes_append(values, 2, 0, 1, &payload);
    struct forged forged = {1, TYPE_BOOLEAN, ENCODING_FRAME, 0, 2, 0, (uint32_t)payload.len};
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_BOOLEAN), ERR_CORRUPT);
    forged.kind = TYPE_INT; /* two is no boolean, but an integer */
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_INT), ERR_OK);
    bytes_clear(&payload);
    values[1] = UINT64_C(1) << 31;
    planes_append(values, 2, 0, 4, &payload);
    forged.plain_bytes = (uint32_t)payload.len;
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_INT), ERR_CORRUPT);
    forged.kind = TYPE_DOUBLE; /* has no frames */
    assert_int_equal(decode_forged(&forged, bytes_span(&payload), TYPE_DOUBLE), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_shape_and_density_comes_back_bit_by_bit),
        cmocka_unit_test(test_the_smallest_estimate_wins),
        cmocka_unit_test(test_frames_are_kept_only_when_they_save_a_sixteenth),
        cmocka_unit_test(test_steps_that_wrap_around_come_back),
        cmocka_unit_test(test_the_largest_cell_comes_back),
        cmocka_unit_test(test_bytes_do_not_depend_on_what_was_encoded_before),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_cut_and_flipped_columns_fail_or_decode_within_limits),
        cmocka_unit_test(test_a_frame_that_claims_more_than_the_header_is_refused),
        cmocka_unit_test(test_a_frame_that_hides_its_size_is_refused),
        cmocka_unit_test(test_a_payload_beyond_what_its_rows_can_need_is_not_unpacked),
        cmocka_unit_test(test_bytes_behind_the_values_are_refused),
        cmocka_unit_test(test_run_lengths_add_up_to_the_rows),
        cmocka_unit_test(test_dictionaries_give_up_by_counts_alone),
        cmocka_unit_test(test_a_dictionary_that_would_unfold_to_gigabytes_is_refused),
        cmocka_unit_test(test_forged_headers_are_refused),
        cmocka_unit_test(test_values_beyond_their_type_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
