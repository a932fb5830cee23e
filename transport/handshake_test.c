#include "transport/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct ends {
    struct identity *initiator;
    struct identity *responder;
    struct handshake_hello hello;
    uint8_t request[HANDSHAKE_REQUEST_BYTES];
    struct handshake *begun;
};

static void begin(struct ends *ends, enum suite suite)
{
    *ends = (struct ends){
        .initiator = identity_generate(),
        .responder = identity_generate(),
        .hello = {.version_min = 1,
                  .version_max = 1,
                  .purpose = PURPOSE_DATA,
                  .boot_id = "initiator boot!",
                  .reply_bytes_max = 12345},
    };
    assert_int_equal(handshake_begin(ends->initiator, &identity_public(ends->responder)->noise,
                                     suite, LISTENER_PEERS, &ends->hello, ends->request,
                                     &ends->begun),
                     ERR_OK);
}

static void end(struct ends *ends)
{
    identity_free(ends->initiator);
    identity_free(ends->responder);
    handshake_free(ends->begun);
}

/* The responder's side; ERR_OK when the answer was made. */
static enum err_code respond(const struct ends *ends, struct span request,
                             uint8_t ret_answer[HANDSHAKE_REPLY_BYTES],
                             struct handshake_hello *ret_hello, struct noise_key *ret_peer,
                             struct session_keys **ret_keys, struct err *err)
{
    HANDSHAKE_CLEANUP struct handshake *handshake = NULL;
    struct handshake_welcome welcome = {.version = 1,
                                        .requests_in_flight = 3,
                                        .request_bytes = 4,
                                        .reply_bytes = 5,
                                        .boot_id = "responder boot!",
                                        .clock_ms = 6};
    TRY(handshake_read(ends->responder, LISTENER_PEERS, request, ret_peer, &handshake, err));
    TRY(handshake_accept(handshake, request, ret_hello, err));
    return handshake_answer(handshake, &welcome, ret_answer, ret_keys, err);
}

static void check_keys(struct session_keys *from, struct session_keys *to)
{
    uint8_t sealed[5 + SEAL_TAG_BYTES];
    uint8_t plain[5];
    seal_encrypt(&from->send, span_text("hello"), sealed);
    assert_true(seal_decrypt(&to->receive, span_of(sealed, sizeof(sealed)), plain));
    assert_memory_equal(plain, "hello", 5);
}

static void test_both_ends_agree_in_both_suites(void **state)
{
    (void)state;
    for (unsigned suite = SUITE_AESGCM; suite <= SUITE_CHACHAPOLY; suite++) {
        if (!suite_available(suite))
            continue;
        struct ends ends;
        struct err err;
        struct handshake_hello hello = {0};
        struct handshake_welcome welcome = {0};
        struct noise_key peer = {0};
        struct session_keys *mine = NULL;
        struct session_keys *theirs = NULL;
        uint8_t answer[HANDSHAKE_REPLY_BYTES] = {0};
        begin(&ends, (enum suite)suite);
        assert_int_equal(ends.request[0], suite);
        assert_int_equal(respond(&ends, span_of(ends.request, sizeof(ends.request)), answer, &hello,
                                 &peer, &theirs, &err),
                         ERR_OK);
        assert_true(noise_key_equal(&peer, &identity_public(ends.initiator)->noise));
        assert_int_equal(hello.purpose, PURPOSE_DATA);
        assert_int_equal(hello.reply_bytes_max, 12345);
        assert_string_equal((char *)hello.boot_id, "initiator boot!");
        assert_int_equal(
            handshake_end(ends.begun, span_of(answer, sizeof(answer)), &welcome, &mine, &err),
            ERR_OK);
        assert_int_equal(welcome.requests_in_flight, 3);
        assert_int_equal(welcome.request_bytes, 4);
        assert_int_equal(welcome.reply_bytes, 5);
        assert_int_equal(welcome.clock_ms, 6);
        assert_string_equal((char *)welcome.boot_id, "responder boot!");
        check_keys(mine, theirs);
        check_keys(theirs, mine);
        session_keys_free(mine);
        session_keys_free(theirs);
        end(&ends);
    }
}

static void test_every_changed_byte_of_the_request_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    begin(&ends, SUITE_CHACHAPOLY);
    for (size_t i = 0; i < HANDSHAKE_REQUEST_BYTES; i++) {
        struct handshake_hello hello = {0};
        struct noise_key peer = {0};
        struct session_keys *keys = NULL;
        uint8_t answer[HANDSHAKE_REPLY_BYTES] = {0};
        ends.request[i] ^= 3;
        assert_int_equal(respond(&ends, span_of(ends.request, sizeof(ends.request)), answer, &hello,
                                 &peer, &keys, NULL),
                         ERR_PEER);
        assert_null(keys);
        ends.request[i] ^= 3;
    }
    for (size_t len = 0; len < HANDSHAKE_REQUEST_BYTES; len += 7) {
        struct noise_key peer = {0};
        struct handshake *handshake;
        assert_int_equal(handshake_read(ends.responder, LISTENER_PEERS, span_of(ends.request, len),
                                        &peer, &handshake, NULL),
                         ERR_PEER);
    }
    end(&ends);
}

static void test_a_request_for_another_node_or_listener_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    struct noise_key peer = {0};
    struct err err;
    struct handshake *handshake;
    begin(&ends, SUITE_CHACHAPOLY);
    struct span request = span_of(ends.request, sizeof(ends.request));
    assert_int_equal(
        handshake_read(ends.initiator, LISTENER_PEERS, request, &peer, &handshake, &err), ERR_PEER);
    assert_non_null(strstr(err.message, "not made for this node's key"));
    assert_int_equal(
        handshake_read(ends.responder, LISTENER_OPERATORS, request, &peer, &handshake, &err),
        ERR_PEER);
    assert_non_null(strstr(err.message, "not for this listener"));
    end(&ends);
}

static void test_every_changed_byte_of_the_answer_names_the_key(void **state)
{
    (void)state;
    struct ends ends;
    struct handshake_hello hello = {0};
    struct noise_key peer = {0};
    struct session_keys *keys = NULL;
    uint8_t answer[HANDSHAKE_REPLY_BYTES] = {0};
    begin(&ends, SUITE_CHACHAPOLY);
    assert_int_equal(respond(&ends, span_of(ends.request, sizeof(ends.request)), answer, &hello,
                             &peer, &keys, NULL),
                     ERR_OK);
    session_keys_free(keys);
    answer[40] ^= 1;
    struct handshake_welcome welcome = {0};
    assert_int_equal(
        handshake_end(ends.begun, span_of(answer, sizeof(answer)), &welcome, &keys, NULL),
        ERR_PEER_KEY);
    assert_int_equal(handshake_end(ends.begun, span_of(answer, 111), &welcome, &keys, NULL),
                     ERR_PEER);
    end(&ends);
}

static void test_no_common_version_and_reserved_bytes_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    struct noise_key peer = {0};
    struct handshake_hello hello = {0};
    struct err err;
    begin(&ends, SUITE_CHACHAPOLY);
    const struct handshake_hello hellos[] = {
        {.version_min = PROTOCOL_VERSION_MAX + 1, .version_max = 9, .purpose = PURPOSE_CONTROL},
        {.version_min = 0, .version_max = 0, .purpose = PURPOSE_CONTROL},
        {.version_min = 1, .version_max = 1, .purpose = (enum purpose)3},
    };
    static const enum err_code codes[] = {ERR_VERSION, ERR_VERSION, ERR_PEER};
    for (size_t i = 0; i < ARRAY_COUNT(hellos); i++) {
        HANDSHAKE_CLEANUP struct handshake *begun = NULL;
        HANDSHAKE_CLEANUP struct handshake *read = NULL;
        uint8_t message[HANDSHAKE_REQUEST_BYTES];
        assert_int_equal(handshake_begin(ends.initiator, &identity_public(ends.responder)->noise,
                                         SUITE_CHACHAPOLY, LISTENER_PEERS, &hellos[i], message,
                                         &begun),
                         ERR_OK);
        struct span span = span_of(message, sizeof(message));
        assert_int_equal(handshake_read(ends.responder, LISTENER_PEERS, span, &peer, &read, &err),
                         ERR_OK);
        assert_int_equal(handshake_accept(read, span, &hello, &err), codes[i]);
    }
    end(&ends);
}

int main(void)
{
    assert_true(sodium_init() >= 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ends_agree_in_both_suites),
        cmocka_unit_test(test_every_changed_byte_of_the_request_is_refused),
        cmocka_unit_test(test_a_request_for_another_node_or_listener_is_refused),
        cmocka_unit_test(test_every_changed_byte_of_the_answer_names_the_key),
        cmocka_unit_test(test_no_common_version_and_reserved_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
