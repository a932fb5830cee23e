#include "proto/clustering.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <math.h>

static struct column data_columns[] = {
    {.id = 1, .name = {(const uint8_t *)"id", 2}, .type = {.kind = TYPE_BIGINT}},
    {.id = 7, .name = {(const uint8_t *)"name", 4}, .type = {.kind = TYPE_STRING}},
    {.id = 3, .name = {(const uint8_t *)"ratio", 5}, .type = {.kind = TYPE_DOUBLE}},
    {.id = 4,
     .name = {(const uint8_t *)"price", 5},
     .type = {.kind = TYPE_DECIMAL, .precision = 20, .scale = 2}},
};
static struct column partition_columns[] = {
    {.id = 5, .name = {(const uint8_t *)"ds", 2}, .type = {.kind = TYPE_STRING}},
};
static const struct schema schema = {
    .columns = data_columns,
    .column_count = ARRAY_COUNT(data_columns),
    .partition_columns = partition_columns,
    .partition_column_count = 1,
    .next_column_id = 8,
};

static struct clustering hash_of(void)
{
    return (struct clustering){
        .kind = CLUSTERING_HASH,
        .bucket_count = 16,
        .column_count = 2,
        .columns = {7, 1},
        .sort_count = 2,
        .sort_columns = {1, 3},
        .sort_descending = {true, false},
    };
}

static struct clustering range_of(void)
{
    return (struct clustering){.kind = CLUSTERING_RANGE, .column_count = 1, .columns = {1}};
}

/* ---- the record ---- */

static enum err_code decode(uint32_t kind, const struct bytes *encoded, struct clustering *ret)
{
    struct err err;
    return clustering_decode(kind, bytes_span(encoded), ret, &err);
}

static void test_a_clustering_comes_back_as_it_went(void **state)
{
    (void)state;
    struct clustering all[] = {hash_of(), range_of(), {0}, hash_of(), range_of()};
    all[3].sort_count = 0;
    all[4].sort_count = 2;
    all[4].sort_columns[0] = 1;
    all[4].sort_columns[1] = 7;
    all[4].bucket_count = LIMIT_BUCKETS;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        BYTES_CLEANUP struct bytes encoded = {0};
        struct clustering back;
        clustering_encode(&all[i], &encoded);
        assert_int_equal(encoded.len == 0, all[i].kind == CLUSTERING_NONE);
        assert_int_equal(decode((uint32_t)all[i].kind, &encoded, &back), ERR_OK);
        assert_true(clustering_equal(&all[i], &back));
        for (size_t cut = 0; cut < encoded.len; cut++) {
            struct bytes part = encoded;
            part.len = cut;
            assert_int_equal(decode((uint32_t)all[i].kind, &part, &back), ERR_BAD_DATA);
        }
        bytes_append_u8(&encoded, 0);
        assert_int_equal(decode((uint32_t)all[i].kind, &encoded, &back), ERR_BAD_DATA);
    }
}

static void test_its_bytes_are_part_of_the_format(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0, 16, 2, 0, 0, 0, 7, 0, 0, 0, 1,
                                       2, 0,  0, 0, 1, 1, 0, 0, 0, 3, 0};
    BYTES_CLEANUP struct bytes encoded = {0};
    struct clustering clustering = hash_of();
    clustering_encode(&clustering, &encoded);
    assert_int_equal(encoded.len, sizeof(expected));
    assert_memory_equal(encoded.data, expected, sizeof(expected));
}

static void test_hostile_records_are_refused(void **state)
{
    (void)state;
    struct clustering good = hash_of(), back;
    for (unsigned broken = 0; broken < 9; broken++) {
        struct clustering bad = good;
        uint32_t kind = CLUSTERING_HASH;
        enum err_code expected = ERR_BAD_DATA;
        switch (broken) {
        case 0:
            kind = 3;
            expected = ERR_VERSION;
            break;
        case 1:
            bad.bucket_count = 0;
            break;
        case 2:
            bad.bucket_count = LIMIT_BUCKETS + 1;
            break;
        case 3:
            bad.column_count = 0;
            break;
        case 4:
            bad.columns[1] = 7;
            break;
        case 5:
            bad.columns[0] = 0;
            break;
        case 6:
            bad.sort_columns[1] = 1;
            break;
        case 7:
            kind = CLUSTERING_RANGE; /* sorted by other columns than its own */
            break;
        default:
            kind = CLUSTERING_NONE; /* with columns */
            break;
        }
        BYTES_CLEANUP struct bytes encoded = {0};
        clustering_encode(&bad, &encoded);
        if (decode(kind, &encoded, &back) != expected)
            fail_msg("broken record %u", broken);
    }
    BYTES_CLEANUP struct bytes encoded = {0};
    clustering_encode(&good, &encoded);
    encoded.data[16] = 2; /* neither ASC nor DESC */
    assert_int_equal(decode(CLUSTERING_HASH, &encoded, &back), ERR_BAD_DATA);
    encoded.data[16] = 1;
    encoded.data[2] = LIMIT_CLUSTERING_COLUMNS + 1;
    assert_int_equal(decode(CLUSTERING_HASH, &encoded, &back), ERR_BAD_DATA);
}

static void refused(const struct clustering *clustering, const char *words)
{
    struct err err = {0};
    assert_int_equal(clustering_validate(clustering, &schema, &err), ERR_SEMANTIC);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_the_schema_says_what_may_be_clustered(void **state)
{
    (void)state;
    struct clustering clustering = hash_of();
    assert_int_equal(clustering_validate(&clustering, &schema, NULL), ERR_OK);
    clustering.columns[1] = 5;
    refused(&clustering, "ds is a partition column");
    clustering.columns[1] = 6;
    refused(&clustering, "no column");
    clustering.columns[1] = 7;
    refused(&clustering, "name is named twice");
    clustering = hash_of();
    clustering.bucket_count = 0;
    refused(&clustering, "1 to 4096");
    clustering = hash_of();
    clustering.kind = CLUSTERING_RANGE;
    refused(&clustering, "RANGE CLUSTERED BY first");
    clustering = range_of();
    assert_int_equal(clustering_validate(&clustering, &schema, NULL), ERR_OK);
}

static void test_its_text_is_that_of_the_statement(void **state)
{
    (void)state;
    struct clustering hash = hash_of(), range = range_of();
    BYTES_CLEANUP struct bytes text = {0};
    clustering_format(&hash, &schema, &text);
    bytes_append_text(&text, "\n");
    clustering_format(&range, &schema, &text);
    bytes_append_u8(&text, 0);
    assert_string_equal((const char *)text.data,
                        "CLUSTERED BY (`name`, `id`) SORTED BY (`id` DESC, `ratio` ASC) INTO 16 "
                        "BUCKETS\nRANGE CLUSTERED BY (`id`)");
}

/* ---- buckets ---- */

static uint32_t bucket_of(struct type type, struct value value)
{
    BYTES_CLEANUP struct bytes key = {0};
    cluster_key_append(&key, type, value);
    return cluster_bucket(bytes_span(&key), LIMIT_BUCKETS);
}

/* Golden, docs/FORMATS.md: rows are where this says, for ever. */
static void test_buckets_stay_what_they_are(void **state)
{
    (void)state;
    const struct type bigint = {.kind = TYPE_BIGINT}, integer = {.kind = TYPE_INT},
                      real = {.kind = TYPE_DOUBLE}, text = {.kind = TYPE_STRING},
                      date = {.kind = TYPE_DATE},
                      decimal = {.kind = TYPE_DECIMAL, .precision = 20, .scale = 2};
    const struct {
        struct type type;
        struct value value;
        uint32_t bucket;
    } all[] = {
        {bigint, {.null = true}, 1291},
        {bigint, {.i64 = 0}, 11},
        {bigint, {.i64 = 1}, 2408},
        {integer, {.i64 = 1}, 2408},
        {bigint, {.i64 = -1}, 3044},
        {date, {.i64 = 20000}, 746},
        {real, {.f64 = 0.0}, 11},
        {real, {.f64 = -0.0}, 11},
        {real, {.f64 = 1.5}, 3261},
        {real, {.f64 = (double)NAN}, 264},
        {decimal, {.decimal = -29900}, 251},
        {text, {.text = span_text("")}, 3407},
        {text, {.text = span_text("cn-hongkong")}, 3161},
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        assert_int_equal(bucket_of(all[i].type, all[i].value), all[i].bucket);
    BYTES_CLEANUP struct bytes key = {0};
    cluster_key_append(&key, text, (struct value){.text = span_text("cn-hongkong")});
    cluster_key_append(&key, bigint, (struct value){.i64 = 42});
    assert_int_equal(cluster_bucket(bytes_span(&key), LIMIT_BUCKETS), 199);
    for (uint32_t n = 1; n <= LIMIT_BUCKETS; n *= 2) /* halves of a bucket come from it */
        assert_int_equal(cluster_bucket(bytes_span(&key), n),
                         cluster_bucket(bytes_span(&key), LIMIT_BUCKETS) % n);
}

static void test_values_that_compare_as_equal_share_a_bucket(void **state)
{
    (void)state;
    const struct type real = {.kind = TYPE_DOUBLE};
    assert_int_equal(bucket_of(real, (struct value){.f64 = 0.0}),
                     bucket_of(real, (struct value){.f64 = -0.0}));
    assert_int_equal(bucket_of(real, (struct value){.f64 = (double)NAN}),
                     bucket_of(real, (struct value){.f64 = -(double)NAN}));
}

/* ---- order ---- */

static int keys_compare(struct type type, struct value a, struct value b, bool descending)
{
    BYTES_CLEANUP struct bytes left = {0}, right = {0};
    sort_key_append(&left, type, a, descending);
    sort_key_append(&right, type, b, descending);
    int order = span_compare(bytes_span(&left), bytes_span(&right));
    return (order > 0) - (order < 0);
}

static void order_agrees(struct type type, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            int order = value_compare(type, values[i], values[k]);
            order = (order > 0) - (order < 0);
            assert_int_equal(keys_compare(type, values[i], values[k], false), order);
            assert_int_equal(keys_compare(type, values[i], values[k], true), -order);
        }
    }
}

static void test_sort_keys_order_as_values_do(void **state)
{
    (void)state;
    const struct value numbers[] = {{.null = true}, {.i64 = INT64_MIN}, {.i64 = -300},
                                    {.i64 = -1},    {.i64 = 0},         {.i64 = 255},
                                    {.i64 = 256},   {.i64 = INT64_MAX}};
    const struct value reals[] = {{.null = true},      {.f64 = -(double)INFINITY},
                                  {.f64 = -1.5},       {.f64 = -0.0},
                                  {.f64 = 0.0},        {.f64 = 1e-300},
                                  {.f64 = 2.0},        {.f64 = (double)INFINITY},
                                  {.f64 = (double)NAN}};
    const struct value texts[] = {{.null = true},
                                  {.text = span_text("")},
                                  {.text = span_of("\0", 1)},
                                  {.text = span_of("\0a", 2)},
                                  {.text = span_text("a")},
                                  {.text = span_text("aa")},
                                  {.text = span_text("ab")},
                                  {.text = span_text("\xc3\xa4")}};
    const struct value decimals[] = {
        {.null = true}, {.decimal = -((decimal128)1 << 100)},   {.decimal = -1},
        {.decimal = 0}, {.decimal = ((decimal128)1 << 64) - 1}, {.decimal = (decimal128)1 << 64}};
    order_agrees((struct type){.kind = TYPE_BIGINT}, numbers, ARRAY_COUNT(numbers));
    order_agrees((struct type){.kind = TYPE_DOUBLE}, reals, ARRAY_COUNT(reals));
    order_agrees((struct type){.kind = TYPE_STRING}, texts, ARRAY_COUNT(texts));
    order_agrees((struct type){.kind = TYPE_DECIMAL, .precision = 38}, decimals,
                 ARRAY_COUNT(decimals));
}

static void test_a_sort_key_is_cut_and_still_bounds(void **state)
{
    (void)state;
    struct clustering clustering = {.kind = CLUSTERING_RANGE, .column_count = 1, .columns = {7}};
    struct cluster_layout layout;
    assert_true(cluster_layout_of(&clustering, &schema, &layout));
    assert_int_equal(layout.sort_count, 1); /* a range is in order of its columns */
    BATCH_CLEANUP struct batch batch;
    batch_init(&batch, &schema);
    for (size_t i = 0; i < batch.vector_count; i++) {
        struct value value = {.null = i != 1};
        if (i == 1)
            value.text = span_text("0123456789012345678901234567890123456789");
        vector_append(&batch.vectors[i], value);
    }
    batch.rows = 1;
    BYTES_CLEANUP struct bytes cut = {0}, whole = {0};
    sort_key_of(&layout, &batch, 0, &cut);
    sort_key_append(&whole, schema.columns[1].type, vector_value(&batch.vectors[1], 0), false);
    assert_int_equal(cut.len, SORT_KEY_BYTES_MAX);
    assert_true(whole.len > cut.len);
    assert_memory_equal(cut.data, whole.data, cut.len);
    clustering.columns[0] = 6;
    assert_false(cluster_layout_of(&clustering, &schema, &layout));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clustering_comes_back_as_it_went),
        cmocka_unit_test(test_its_bytes_are_part_of_the_format),
        cmocka_unit_test(test_hostile_records_are_refused),
        cmocka_unit_test(test_the_schema_says_what_may_be_clustered),
        cmocka_unit_test(test_its_text_is_that_of_the_statement),
        cmocka_unit_test(test_buckets_stay_what_they_are),
        cmocka_unit_test(test_values_that_compare_as_equal_share_a_bucket),
        cmocka_unit_test(test_sort_keys_order_as_values_do),
        cmocka_unit_test(test_a_sort_key_is_cut_and_still_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
