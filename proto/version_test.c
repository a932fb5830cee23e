#include "proto/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct column column;

static struct version_record sample(void)
{
    column = (struct column){.id = 1, .name = span_text("id"), .type = {.kind = TYPE_BIGINT}};
    return (struct version_record){
        .schema = {.columns = &column, .column_count = 1, .next_column_id = 2},
        .kind = TABLE_STANDARD,
        .root = digest_of(DOMAIN_PAGE, span_text("root")),
    };
}

static struct clustering clustering_sample(void)
{
    return (struct clustering){
        .kind = CLUSTERING_HASH, .bucket_count = 4, .column_count = 1, .columns = {1}};
}

static struct digest version_of(const struct version_record *version)
{
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(version_encode(version, &encoded, NULL), ERR_OK);
    return version_names_of(bytes_span(&encoded)).version;
}

static void test_version_comes_back(void **state)
{
    (void)state;
    struct version_record version = sample();
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(version_encode(&version, &encoded, NULL), ERR_OK);
    assert_true(version_is(bytes_span(&encoded)));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, version_arena_bytes(encoded.len));
    struct version_record back;
    assert_int_equal(version_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_OK);
    assert_true(digest_equal(&version.root, &back.root));
    assert_true(schema_equal(&version.schema, &back.schema));
}

static enum err_code decode(const struct bytes *encoded, struct version_record *ret_version)
{
    static struct arena arena;
    arena_deinit(&arena);
    arena_init(&arena, version_arena_bytes(encoded->len));
    enum err_code code = version_decode(bytes_span(encoded), &arena, ret_version, NULL);
    arena_deinit(&arena);
    return code;
}

static void test_a_field_of_a_later_version_is_said_to_be_one(void **state)
{
    (void)state;
    struct version_record version = sample(), back;
    BYTES_CLEANUP struct bytes encoded = {0};
    ARENA_CLEANUP struct arena arena;
    struct err err;
    assert_int_equal(version_encode(&version, &encoded, NULL), ERR_OK);
    bytes_append(&encoded, "\x7A", 2); /* field 15, no bytes */
    arena_init(&arena, version_arena_bytes(encoded.len));
    assert_int_equal(version_decode(bytes_span(&encoded), &arena, &back, &err), ERR_BAD_DATA);
    assert_non_null(strstr(err.message, "unknown field 15: damaged, or of a later version"));
}

static void test_a_default_clustering_comes_back_and_fits_its_schema(void **state)
{
    (void)state;
    struct version_record version = sample(), back;
    version.clustering = clustering_sample();
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(version_encode(&version, &encoded, NULL), ERR_OK);
    assert_int_equal(decode(&encoded, &back), ERR_OK);
    assert_true(clustering_equal(&version.clustering, &back.clustering));
    size_t kind_at = 6; /* tree 3, format 1, kind 1, then field 5 */
    assert_int_equal(encoded.data[kind_at], 5 << 3);
    encoded.data[kind_at + 1] = 3;
    assert_int_equal(decode(&encoded, &back), ERR_VERSION);
    version.clustering.columns[0] = 2; /* the schema does not have it */
    bytes_clear(&encoded);
    assert_int_equal(version_encode(&version, &encoded, NULL), ERR_OK);
    assert_int_equal(decode(&encoded, &back), ERR_BAD_DATA);
}

static void test_all_that_a_version_covers_changes_it(void **state)
{
    (void)state;
    struct version_record version = sample();
    struct digest before = version_of(&version);
    version.root.b[31] ^= 1;
    struct digest after = version_of(&version);
    assert_false(digest_equal(&before, &after));
    version = sample();
    column.name = span_text("di");
    after = version_of(&version);
    assert_false(digest_equal(&before, &after));
    version = sample();
    version.schema.next_column_id = 3;
    after = version_of(&version);
    assert_false(digest_equal(&before, &after));
    version = sample();
    version.clustering = clustering_sample();
    after = version_of(&version);
    assert_false(digest_equal(&before, &after));
}

static void test_other_formats_are_told_apart_from_damage(void **state)
{
    (void)state;
    struct version_record version = sample();
    BYTES_CLEANUP struct bytes encoded = {0};
    assert_int_equal(version_encode(&version, &encoded, NULL), ERR_OK);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, version_arena_bytes(encoded.len));
    struct version_record back;
    encoded.data[3]++; /* the tree's format */
    assert_int_equal(version_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_VERSION);
    encoded.data[3]--;
    encoded.data[5]++; /* the kind of table */
    assert_int_equal(version_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_VERSION);
    encoded.data[5]--;
    encoded.len--;
    assert_int_equal(version_decode(bytes_span(&encoded), &arena, &back, NULL), ERR_BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_comes_back),
        cmocka_unit_test(test_a_field_of_a_later_version_is_said_to_be_one),
        cmocka_unit_test(test_a_default_clustering_comes_back_and_fits_its_schema),
        cmocka_unit_test(test_all_that_a_version_covers_changes_it),
        cmocka_unit_test(test_other_formats_are_told_apart_from_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
