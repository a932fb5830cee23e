#include "proto/bytes.h"
#include "proto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_short_read_gives_zero_and_stays_failed(void **state)
{
    (void)state;
    const uint8_t raw[] = {1, 2, 3};
    struct reader reader = reader_of(span_of(raw, sizeof(raw)));
    assert_int_equal(reader_u16(&reader), 0x0102);
    assert_int_equal(reader_u32(&reader), 0);
    assert_false(reader_ok(&reader));
    assert_int_equal(reader_u8(&reader), 0); /* although one byte is left */
    assert_false(reader_end(&reader));
}

static void test_huge_length_is_compared_and_not_added(void **state)
{
    (void)state;
    const uint8_t raw[] = {1, 2, 3};
    struct reader reader = reader_of(span_of(raw, sizeof(raw)));
    reader_u8(&reader);
    assert_int_equal(reader_span(&reader, SIZE_MAX).len, 0);
    assert_false(reader_ok(&reader));
}

static void test_numbers_come_back(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes bytes = {0};
    bytes_append_u8(&bytes, 0xFE);
    bytes_append_u16(&bytes, 0xFEDC);
    bytes_append_u32(&bytes, 0xFEDCBA98);
    bytes_append_u64(&bytes, UINT64_C(0xFEDCBA9876543210));
    assert_int_equal(bytes.len, 15);
    struct reader reader = reader_of(bytes_span(&bytes));
    assert_int_equal(reader_u8(&reader), 0xFE);
    assert_int_equal(reader_u16(&reader), 0xFEDC);
    assert_int_equal(reader_u32(&reader), 0xFEDCBA98);
    assert_true(reader_u64(&reader) == UINT64_C(0xFEDCBA9876543210));
    assert_true(reader_end(&reader));
}

static void test_utf8_forms(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xC3\xA9",
                                       "\xE2\x82\xAC",
                                       "\xF0\x9F\x98\x80",
                                       "abcdefgh\xC3\xA9",
                                       "\xED\x9F\xBF",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC3",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "abcdefg\xFF",
                                      "\xE2\x82"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(span_is_utf8(span_text(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(span_is_utf8(span_text(bad[i])));
}

static void test_spans_compare_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(span_compare(span_text("a"), span_text("ab")) < 0);
    assert_true(span_compare(span_text("\x7F"), span_text("\x80")) < 0);
    assert_int_equal(span_compare(span_text("x"), span_text("x")), 0);
    assert_true(span_compare(span_of(NULL, 0), span_text("x")) < 0);
}

static void test_domains_separate_and_hex_round_trips(void **state)
{
    (void)state;
    struct digest a = digest_of(DOMAIN_PAGE, span_text("x"));
    struct digest b = digest_of(DOMAIN_FILE, span_text("x"));
    assert_false(digest_equal(&a, &b));
    char hex[DIGEST_HEX_BYTES];
    struct digest back;
    assert_true(digest_parse(digest_hex(&a, hex), &back));
    assert_true(digest_equal(&a, &back));
    hex[3] = 'g';
    assert_false(digest_parse(hex, &back));
    assert_false(digest_parse("ab", &back));
}

static void test_file_digest_is_plain_blake2b_256(void **state)
{
    (void)state;
    /* b2sum -l 256 of "abc" */
    struct digest digest = digest_of(DOMAIN_FILE, span_text("abc"));
    char hex[DIGEST_HEX_BYTES];
    assert_string_equal(digest_hex(&digest, hex),
                        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_read_gives_zero_and_stays_failed),
        cmocka_unit_test(test_huge_length_is_compared_and_not_added),
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_utf8_forms),
        cmocka_unit_test(test_spans_compare_by_bytes_then_length),
        cmocka_unit_test(test_domains_separate_and_hex_round_trips),
        cmocka_unit_test(test_file_digest_is_plain_blake2b_256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
