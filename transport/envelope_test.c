#include "transport/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static enum err_code decode(const struct head *head, size_t body_max, struct head *ret,
                            struct err *err)
{
    uint8_t encoded[ENVELOPE_HEAD_BYTES];
    head_encode(head, encoded);
    return head_decode(span_of(encoded, sizeof(encoded)), body_max, ret, err);
}

static const struct head request = {.kind = ENVELOPE_REQUEST,
                                    .method = 9,
                                    .header_bytes = 100,
                                    .body_bytes = 2000,
                                    .request_id = UINT64_C(0x0102030405060708),
                                    .deadline_ms = 5000};
static const struct head reply = {
    .kind = ENVELOPE_REPLY, .header_bytes = 1, .body_bytes = 2, .request_id = 3};

static void test_heads_of_every_kind_come_back(void **state)
{
    (void)state;
    const struct head heads[] = {request,
                                 reply,
                                 {.kind = ENVELOPE_REPLY, .status = 7, .request_id = 3},
                                 {.kind = ENVELOPE_PING, .request_id = 3},
                                 {.kind = ENVELOPE_PONG, .request_id = 0}};
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        struct head decoded;
        assert_int_equal(decode(&heads[i], 2000, &decoded, NULL), ERR_OK);
        assert_int_equal(decoded.kind, heads[i].kind);
        assert_int_equal(decoded.method, heads[i].method);
        assert_int_equal(decoded.status, heads[i].status);
        assert_int_equal(decoded.header_bytes, heads[i].header_bytes);
        assert_int_equal(decoded.body_bytes, heads[i].body_bytes);
        assert_int_equal(decoded.request_id, heads[i].request_id);
        assert_int_equal(decoded.deadline_ms, heads[i].deadline_ms);
    }
}

static void test_the_head_has_the_bytes_of_the_protocol(void **state)
{
    (void)state;
    static const uint8_t wanted[ENVELOPE_HEAD_BYTES] = {1, 9, 0, 0, 0, 0, 0, 100, 0, 0, 7,    0xD0,
                                                        1, 2, 3, 4, 5, 6, 7, 8,   0, 0, 0x13, 0x88};
    uint8_t encoded[ENVELOPE_HEAD_BYTES];
    head_encode(&request, encoded);
    assert_memory_equal(encoded, wanted, sizeof(wanted));
}

static void test_lengths_above_the_limits_are_refused_on_the_head(void **state)
{
    (void)state;
    struct head decoded;
    struct err err;
    struct head head = request;
    assert_int_equal(decode(&head, 1999, &decoded, &err), ERR_PEER);
    assert_non_null(strstr(err.message, "2000"));
    head.body_bytes = UINT32_C(1) << 31;
    assert_int_equal(decode(&head, LIMIT_BODY_BYTES, &decoded, &err), ERR_PEER);
    head.body_bytes = UINT32_MAX;
    assert_int_equal(decode(&head, LIMIT_BODY_BYTES, &decoded, &err), ERR_PEER);
    head = request;
    head.header_bytes = LIMIT_HEADER_BYTES;
    assert_int_equal(decode(&head, 2000, &decoded, &err), ERR_OK);
    head.header_bytes = LIMIT_HEADER_BYTES + 1;
    assert_int_equal(decode(&head, 2000, &decoded, &err), ERR_PEER);
}

static void test_unknown_kinds_and_foreign_fields_are_refused(void **state)
{
    (void)state;
    struct head decoded;
    uint8_t encoded[ENVELOPE_HEAD_BYTES];
    head_encode(&request, encoded);
    for (int kind = 0; kind < 256; kind++) {
        encoded[0] = (uint8_t)kind;
        if (kind != ENVELOPE_REQUEST)
            assert_int_equal(
                head_decode(span_of(encoded, sizeof(encoded)), LIMIT_BODY_BYTES, &decoded, NULL),
                ERR_PEER);
    }
    struct head wrong[] = {request,
                           request,
                           request,
                           reply,
                           reply,
                           reply,
                           reply,
                           {.kind = ENVELOPE_PING, .header_bytes = 1},
                           {.kind = ENVELOPE_PONG, .body_bytes = 1},
                           {.kind = ENVELOPE_PING, .deadline_ms = 1},
                           {.kind = ENVELOPE_PING, .method = 1}};
    wrong[0].status = 1;
    wrong[1].request_id = 0;
    wrong[2].deadline_ms = 0;
    wrong[3].method = 1;
    wrong[4].deadline_ms = 1;
    wrong[5].request_id = 0;
    wrong[6].status = 1; /* with a body */
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(decode(&wrong[i], LIMIT_BODY_BYTES, &decoded, NULL), ERR_PEER);
    for (size_t len = 0; len < ENVELOPE_HEAD_BYTES; len++) {
        head_encode(&request, encoded);
        assert_int_equal(head_decode(span_of(encoded, len), LIMIT_BODY_BYTES, &decoded, NULL),
                         ERR_PEER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_of_every_kind_come_back),
        cmocka_unit_test(test_the_head_has_the_bytes_of_the_protocol),
        cmocka_unit_test(test_lengths_above_the_limits_are_refused_on_the_head),
        cmocka_unit_test(test_unknown_kinds_and_foreign_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
