#include "node/backup/manifest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t cut[BACKUP_MARK_DIGITS / 2] = {0xAB, 1, 2, 3, 4, 5, 6, 7};
static const char good_list[] = "000007.sst 1234 0011223344556677\nCURRENT 16 -\n";

static struct backup_manifest sample(void)
{
    struct backup_manifest manifest = {.cut_ms = 1700000000123, .audit_count = 9};
    struct err err;
    snprintf(manifest.region, sizeof(manifest.region), "ap-southeast-1");
    assert_int_equal(backup_list_decode(span_text(good_list), cut, &manifest, &err), ERR_OK);
    for (size_t i = 0; i < manifest.count; i++) {
        manifest.files[i].digest = digest_of(DOMAIN_FILE, span_text(manifest.files[i].name));
        manifest.files[i].has_digest = true;
    }
    return manifest;
}

static void a_list_gives_each_file_a_name_that_is_its_contents(void **state)
{
    (void)state;
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = sample();
    assert_int_equal(manifest.count, 2);
    assert_string_equal(manifest.files[0].name, "000007.sst.0011223344556677");
    assert_true(manifest.files[0].is_table);
    assert_string_equal(manifest.files[1].name, "CURRENT.ab01020304050607");
    assert_false(manifest.files[1].is_table);
    assert_int_equal(backup_bytes(&manifest), 1250);
    struct span name = backup_file_name(&manifest.files[0]);
    assert_true(span_equal(name, span_text("000007.sst")));
    assert_ptr_equal(backup_file_find(&manifest, "CURRENT.ab01020304050607"), &manifest.files[1]);
    assert_null(backup_file_find(&manifest, "CURRENT"));
}

static void lists_that_lead_elsewhere_or_say_a_file_twice_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "../000007.sst 1 0011223344556677\n",
        ".hidden 1 -\n",
        "a/b 1 -\n",
        "-c 1 -\n",
        "a b 1 -\n",
        "CURRENT 1\n",
        "CURRENT 01 -\n",
        "CURRENT 99999999999999999999 -\n",
        "CURRENT -1 -\n",
        "CURRENT 1 0011223344556677\n", /* no table */
        "000007.sst 1 -\n",
        "000007.sst 1 00112233445566\n",
        "000007.sst 1 001122334455667G\n",
        "000007.sst 1 00112233445566FF\n",
        "CURRENT 1 -\nCURRENT 1 -\n",
        "CURRENT 1 -\n000007.sst 1 0011223344556677\n",
        "CURRENT 1 -",
        "\n",
        "",
        "000007.sst 1 0011223344556677\n", /* no database */
        "CURRENT 8796093022209 -\n",       /* 2^43 + 1 */
        "000000000000000000000000000000000000000000000000000000000000000000000000 1 -\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
        struct err err;
        assert_int_equal(backup_list_decode(span_text(bad[i]), cut, &manifest, &err), ERR_BAD_DATA);
        assert_int_equal(manifest.count, 0);
    }
}

static void a_manifest_is_read_as_it_was_written(void **state)
{
    (void)state;
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = sample(), read = {0};
    struct bytes text BYTES_CLEANUP = {0};
    struct bytes again BYTES_CLEANUP = {0};
    struct err err;
    backup_manifest_encode(&manifest, &text);
    assert_int_equal(backup_manifest_decode(bytes_span(&text), &read, &err), ERR_OK);
    assert_string_equal(read.region, "ap-southeast-1");
    assert_int_equal(read.cut_ms, 1700000000123);
    assert_int_equal(read.audit_count, 9);
    assert_int_equal(read.count, 2);
    assert_true(read.files[0].is_table);
    backup_manifest_encode(&read, &again);
    assert_true(span_equal(bytes_span(&again), bytes_span(&text)));
}

static void a_region_has_a_name_of_any_length_that_nodes_have(void **state)
{
    (void)state;
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = sample(), read = {0};
    struct bytes text BYTES_CLEANUP = {0};
    char region[LIMIT_REGION_BYTES + 1] = {0};
    struct err err;
    memset(region, 'r', LIMIT_REGION_BYTES);
    snprintf(manifest.region, sizeof(manifest.region), "%s", region);
    backup_manifest_encode(&manifest, &text);
    assert_int_equal(backup_manifest_decode(bytes_span(&text), &read, &err), ERR_OK);
    assert_string_equal(read.region, region);
}

static void every_flipped_bit_and_every_cut_of_a_manifest_is_found(void **state)
{
    (void)state;
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = sample();
    struct bytes text BYTES_CLEANUP = {0};
    struct err err;
    backup_manifest_encode(&manifest, &text);
    for (size_t i = 0; i < text.len; i++) {
        BACKUP_MANIFEST_CLEANUP struct backup_manifest read = {0};
        for (int bit = 0; bit < 8; bit++) {
            text.data[i] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(backup_manifest_decode(bytes_span(&text), &read, &err), ERR_OK);
            text.data[i] ^= (uint8_t)(1 << bit);
        }
        assert_int_equal(backup_manifest_decode(span_slice(bytes_span(&text), 0, i), &read, &err),
                         ERR_CORRUPT);
    }
}

/* Its end is right: what stands before is looked at all the same. */
static enum err_code decode_ended(const char *lines, struct err *err)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest read = {0};
    struct bytes text BYTES_CLEANUP = {0};
    bytes_append_text(&text, lines);
    struct digest digest = digest_of(DOMAIN_FILE, bytes_span(&text));
    bytes_append_text(&text, "end ");
    bytes_append_hex(&text, digest_span(&digest));
    bytes_append_u8(&text, '\n');
    return backup_manifest_decode(bytes_span(&text), &read, err);
}

#define HEX_32 "0000000000000000000000000000000000000000000000000000000000000000"
#define HEAD   "region here\ncut 1\naudit 1:" HEX_32 "\n"

#define CURRENT "file " HEX_32 " 16 CURRENT.0011223344556677\n"

static void manifests_that_somebody_made_up_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "strait backup 1\n" HEAD,
        "strait backup 1\n" HEAD CURRENT CURRENT,
        "strait backup 1\n" HEAD "file " HEX_32 " 9999999999999999999 CURRENT.0011223344556677\n",
        "strait backup 1\n" HEAD "file " HEX_32 " 1 ../x.0011223344556677\n",
        "strait backup 1\n" HEAD "file " HEX_32 " 1 x/y.0011223344556677\n",
        "strait backup 1\n" HEAD "file " HEX_32 " 1 0011223344556677\n",
        "strait backup 1\n" HEAD "file " HEX_32 " 1 .0011223344556677\n",
        "strait backup 1\n" HEAD "file " HEX_32 " 1 b.0011223344556677\nfile " HEX_32
        " 1 a.0011223344556677\n",
        "strait backup 1\nregion ../x\ncut 1\naudit 1:" HEX_32 "\n",
        "strait backup 1\n" HEAD "more\n",
    };
    struct err err;
    assert_int_equal(decode_ended("strait backup 1\n" HEAD CURRENT, &err), ERR_OK);
    assert_int_equal(decode_ended("strait backup 2\n" HEAD CURRENT, &err), ERR_VERSION);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(decode_ended(bad[i], &err), ERR_CORRUPT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_gives_each_file_a_name_that_is_its_contents),
        cmocka_unit_test(lists_that_lead_elsewhere_or_say_a_file_twice_are_refused),
        cmocka_unit_test(a_manifest_is_read_as_it_was_written),
        cmocka_unit_test(a_region_has_a_name_of_any_length_that_nodes_have),
        cmocka_unit_test(every_flipped_bit_and_every_cut_of_a_manifest_is_found),
        cmocka_unit_test(manifests_that_somebody_made_up_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
