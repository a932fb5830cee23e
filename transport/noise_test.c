#include "transport/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/digest.h"
#include "transport/noise_vectors.h"

#define MESSAGE_BYTES_MAX 512

static size_t unhex(const char *hex, uint8_t *ret)
{
    size_t len = strlen(hex) / 2;
    assert_true(len <= MESSAGE_BYTES_MAX);
    assert_true(hex_decode(span_text(hex), ret, len));
    return len;
}

struct pair {
    struct noise *initiator;
    struct noise *responder;
    uint8_t init_static[32];
    uint8_t resp_static[32];
};

static void pair_of(const struct noise_vector *v, struct pair *pair)
{
    uint8_t prologue[MESSAGE_BYTES_MAX];
    uint8_t key[32];
    enum suite suite = strstr(v->protocol, "AESGCM") != NULL ? SUITE_AESGCM : SUITE_CHACHAPOLY;
    unhex(v->init_static, pair->init_static);
    unhex(v->resp_static, pair->resp_static);
    unhex(v->init_remote_static, key);
    size_t len = unhex(v->init_prologue, prologue);
    pair->initiator = noise_new_initiator(suite, pair->init_static, key, span_of(prologue, len));
    len = unhex(v->resp_prologue, prologue);
    pair->responder = noise_new_responder(suite, pair->resp_static, span_of(prologue, len));
    unhex(v->init_ephemeral, key);
    noise_set_ephemeral(pair->initiator, key);
    unhex(v->resp_ephemeral, key);
    noise_set_ephemeral(pair->responder, key);
}

/* Messages 0 and 1, byte for byte, in both directions. */
static void check_handshake(const struct noise_vector *v, struct pair *pair)
{
    uint8_t payload[MESSAGE_BYTES_MAX];
    uint8_t wanted[MESSAGE_BYTES_MAX];
    uint8_t made[MESSAGE_BYTES_MAX];
    uint8_t read[MESSAGE_BYTES_MAX];
    uint8_t remote[32];
    size_t payload_len = unhex(v->messages[0].payload, payload);
    size_t len = unhex(v->messages[0].ciphertext, wanted);
    assert_int_equal(len, payload_len + NOISE_REQUEST_BYTES);
    assert_true(noise_write_request(pair->initiator, span_of(payload, payload_len), made));
    assert_memory_equal(made, wanted, len);
    assert_true(
        noise_read_request_key(pair->responder, span_of(wanted, NOISE_REQUEST_KEY_BYTES), remote));
    assert_true(noise_read_request_payload(
        pair->responder, span_of(wanted + NOISE_REQUEST_KEY_BYTES, len - NOISE_REQUEST_KEY_BYTES),
        read));
    assert_memory_equal(read, payload, payload_len);
    crypto_scalarmult_base(made, pair->init_static);
    assert_memory_equal(remote, made, 32);

    payload_len = unhex(v->messages[1].payload, payload);
    len = unhex(v->messages[1].ciphertext, wanted);
    assert_int_equal(len, payload_len + NOISE_REPLY_BYTES);
    assert_true(noise_write_reply(pair->responder, span_of(payload, payload_len), made));
    assert_memory_equal(made, wanted, len);
    assert_true(noise_read_reply(pair->initiator, span_of(wanted, len), read));
    assert_memory_equal(read, payload, payload_len);
}

static void check_transport(const struct noise_vector *v, struct pair *pair)
{
    struct seal send[2]; /* by side: 0 initiator, 1 responder */
    struct seal receive[2];
    noise_split(pair->initiator, &send[0], &receive[0]);
    noise_split(pair->responder, &send[1], &receive[1]);
    for (int i = 2; i < NOISE_VECTOR_MESSAGES_MAX && v->messages[i].payload != NULL; i++) {
        uint8_t payload[MESSAGE_BYTES_MAX];
        uint8_t wanted[MESSAGE_BYTES_MAX];
        uint8_t made[MESSAGE_BYTES_MAX];
        size_t payload_len = unhex(v->messages[i].payload, payload);
        size_t len = unhex(v->messages[i].ciphertext, wanted);
        seal_encrypt(&send[i % 2], span_of(payload, payload_len), made);
        assert_memory_equal(made, wanted, len);
        assert_true(seal_decrypt(&receive[(i + 1) % 2], span_of(wanted, len), made));
        assert_memory_equal(made, payload, payload_len);
    }
    for (int side = 0; side < 2; side++) {
        seal_deinit(&send[side]);
        seal_deinit(&receive[side]);
    }
}

static void test_public_vectors_of_both_suites_match(void **state)
{
    (void)state;
    size_t tried[3] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(noise_vectors); i++) {
        const struct noise_vector *v = &noise_vectors[i];
        bool aes = strstr(v->protocol, "AESGCM") != NULL;
        if (aes && !suite_available(SUITE_AESGCM)) {
            print_message("skipped (no AES here): %s\n", v->source);
            continue;
        }
        struct pair pair;
        pair_of(v, &pair);
        check_handshake(v, &pair);
        assert_memory_equal(noise_hash(pair.initiator), noise_hash(pair.responder),
                            NOISE_HASH_BYTES);
        if (v->handshake_hash != NULL) {
            uint8_t hash[NOISE_HASH_BYTES];
            assert_true(hex_decode(span_text(v->handshake_hash), hash, sizeof(hash)));
            assert_memory_equal(noise_hash(pair.initiator), hash, sizeof(hash));
            tried[0]++;
        }
        check_transport(v, &pair);
        noise_free(pair.initiator);
        noise_free(pair.responder);
        tried[aes ? SUITE_AESGCM : SUITE_CHACHAPOLY]++;
    }
    assert_int_equal(tried[SUITE_CHACHAPOLY], 3);
    if (suite_available(SUITE_AESGCM)) {
        assert_int_equal(tried[SUITE_AESGCM], 3);
        assert_int_equal(tried[0], 4);
    }
}

static void test_every_changed_byte_of_a_message_is_refused(void **state)
{
    (void)state;
    const struct noise_vector *v = &noise_vectors[4]; /* ChaChaPoly */
    uint8_t message[MESSAGE_BYTES_MAX];
    size_t len = unhex(v->messages[0].ciphertext, message);
    for (size_t i = 0; i < len; i++) {
        struct pair pair;
        uint8_t remote[32];
        uint8_t payload[MESSAGE_BYTES_MAX];
        pair_of(v, &pair);
        message[i] ^= 0x20;
        assert_false(noise_read_request_key(pair.responder,
                                            span_of(message, NOISE_REQUEST_KEY_BYTES), remote) &&
                     noise_read_request_payload(
                         pair.responder,
                         span_of(message + NOISE_REQUEST_KEY_BYTES, len - NOISE_REQUEST_KEY_BYTES),
                         payload));
        message[i] ^= 0x20;
        noise_free(pair.initiator);
        noise_free(pair.responder);
    }
}

static void test_points_that_give_the_zero_secret_end_the_handshake(void **state)
{
    (void)state;
    static const uint8_t zero[32] = {0};
    static const uint8_t one[32] = {1};
    const uint8_t *points[] = {zero, one};
    uint8_t secret[32];
    uint8_t message[MESSAGE_BYTES_MAX] = {0};
    uint8_t remote[32];
    randombytes_buf(secret, sizeof(secret));
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct noise *initiator =
            noise_new_initiator(SUITE_CHACHAPOLY, secret, points[i], (struct span){0});
        assert_false(noise_write_request(initiator, (struct span){0}, message));
        noise_free(initiator);
        struct noise *responder = noise_new_responder(SUITE_CHACHAPOLY, secret, (struct span){0});
        memcpy(message, points[i], 32);
        assert_false(
            noise_read_request_key(responder, span_of(message, NOISE_REQUEST_KEY_BYTES), remote));
        noise_free(responder);
    }
}

static void test_a_seal_opens_in_order_only_and_in_place(void **state)
{
    (void)state;
    for (unsigned suite = SUITE_AESGCM; suite <= SUITE_CHACHAPOLY; suite++) {
        if (!suite_available(suite))
            continue;
        uint8_t key[SEAL_KEY_BYTES];
        struct seal send;
        struct seal receive;
        uint8_t first[32 + SEAL_TAG_BYTES] = "first";
        uint8_t second[32 + SEAL_TAG_BYTES] = "second";
        randombytes_buf(key, sizeof(key));
        seal_init(&send, (enum suite)suite, SEAL_SEND, key);
        seal_init(&receive, (enum suite)suite, SEAL_RECEIVE, key);
        seal_encrypt(&send, span_of(first, 32), first);
        seal_encrypt(&send, span_of(second, 32), second);
        uint8_t plain[32];
        assert_false(seal_decrypt(&receive, span_of(second, sizeof(second)), plain));
        assert_true(seal_decrypt(&receive, span_of(first, sizeof(first)), first));
        assert_string_equal((char *)first, "first");
        assert_true(seal_decrypt(&receive, span_of(second, sizeof(second)), second));
        assert_string_equal((char *)second, "second");
        assert_false(seal_decrypt(&receive, span_of(second, 3), second));
        seal_deinit(&send);
        seal_deinit(&receive);
    }
    assert_false(suite_available(0));
    assert_false(suite_available(3));
}

int main(void)
{
    assert_true(sodium_init() >= 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_vectors_of_both_suites_match),
        cmocka_unit_test(test_every_changed_byte_of_a_message_is_refused),
        cmocka_unit_test(test_points_that_give_the_zero_secret_end_the_handshake),
        cmocka_unit_test(test_a_seal_opens_in_order_only_and_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
