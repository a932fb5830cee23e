#include "transport/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void seals(struct seal *send, struct seal *receive)
{
    uint8_t key[SEAL_KEY_BYTES] = {7};
    seal_init(send, SUITE_CHACHAPOLY, SEAL_SEND, key);
    seal_init(receive, SUITE_CHACHAPOLY, SEAL_RECEIVE, key);
}

static void test_a_record_of_each_edge_size_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        1, 2, 24, 1000, RECORD_PLAIN_BYTES_MAX - 1, RECORD_PLAIN_BYTES_MAX};
    static uint8_t plain[RECORD_PLAIN_BYTES_MAX];
    static uint8_t record[RECORD_BYTES_MAX];
    struct seal send;
    struct seal receive;
    seals(&send, &receive);
    randombytes_buf(plain, sizeof(plain));
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct span sealed;
        size_t bytes = record_seal(&send, span_of(plain, sizes[i]), record);
        size_t found;
        assert_int_equal(bytes, sizes[i] + RECORD_OVERHEAD);
        assert_int_equal(record_find(span_of(record, bytes), &sealed, &found), RECORD_WHOLE);
        assert_int_equal(found, bytes);
        assert_true(seal_decrypt(&receive, sealed, record + RECORD_HEAD_BYTES));
        assert_memory_equal(record + RECORD_HEAD_BYTES, plain, sizes[i]);
    }
    seal_deinit(&send);
    seal_deinit(&receive);
    assert_int_equal(RECORD_BYTES_MAX, 65535 + 2);
}

static void test_every_cut_of_a_record_waits_for_more(void **state)
{
    (void)state;
    uint8_t record[100];
    struct seal send;
    struct seal receive;
    struct span sealed;
    size_t found;
    seals(&send, &receive);
    size_t bytes = record_seal(&send, span_text("some text"), record);
    for (size_t len = 0; len < bytes; len++)
        assert_int_equal(record_find(span_of(record, len), &sealed, &found), RECORD_PARTIAL);
    assert_int_equal(record_find(span_of(record, sizeof(record)), &sealed, &found), RECORD_WHOLE);
    assert_int_equal(found, bytes);
    seal_deinit(&send);
    seal_deinit(&receive);
}

static void test_lengths_that_no_record_has_are_bad_at_once(void **state)
{
    (void)state;
    struct span sealed;
    size_t found;
    for (uint16_t n = 0; n <= SEAL_TAG_BYTES; n++) {
        uint8_t head[2];
        store_u16(head, n);
        assert_int_equal(record_find(span_of(head, 2), &sealed, &found), RECORD_BAD);
    }
    uint8_t head[2] = {0, SEAL_TAG_BYTES + 1};
    assert_int_equal(record_find(span_of(head, 2), &sealed, &found), RECORD_PARTIAL);
}

static void test_sealed_sizes_of_messages_add_up(void **state)
{
    (void)state;
    assert_int_equal(record_bytes_of(1), 19);
    assert_int_equal(record_bytes_of(RECORD_PLAIN_BYTES_MAX), RECORD_BYTES_MAX);
    assert_int_equal(record_bytes_of(RECORD_PLAIN_BYTES_MAX + 1), RECORD_BYTES_MAX + 19);
    assert_int_equal(record_plain_next(5), 5);
    assert_int_equal(record_plain_next(UINT64_C(1) << 40), RECORD_PLAIN_BYTES_MAX);
}

int main(void)
{
    assert_true(sodium_init() >= 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_of_each_edge_size_comes_back),
        cmocka_unit_test(test_every_cut_of_a_record_waits_for_more),
        cmocka_unit_test(test_lengths_that_no_record_has_are_bad_at_once),
        cmocka_unit_test(test_sealed_sizes_of_messages_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
