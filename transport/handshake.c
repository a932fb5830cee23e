#include "transport/handshake.h"

#define CLEAR_BYTES  4
#define MAC_AT       (HANDSHAKE_REQUEST_BYTES - HANDSHAKE_MAC_BYTES)
#define PAYLOAD_AT   (CLEAR_BYTES + NOISE_REQUEST_KEY_BYTES)
#define PROLOGUE     "strait/1"
#define MAC_KEY_TEXT "strait/1 mac1"

_Static_assert(CLEAR_BYTES + NOISE_REQUEST_BYTES + HANDSHAKE_PAYLOAD_BYTES + HANDSHAKE_MAC_BYTES ==
                   HANDSHAKE_REQUEST_BYTES,
               "message 1");
_Static_assert(NOISE_REPLY_BYTES + HANDSHAKE_PAYLOAD_BYTES == HANDSHAKE_REPLY_BYTES, "message 2");

struct handshake {
    struct noise *noise;
};

/* --- parts of the messages --- */

static void prologue_of(const uint8_t clear[CLEAR_BYTES], uint8_t *ret_prologue)
{
    memcpy(ret_prologue, PROLOGUE, strlen(PROLOGUE));
    memcpy(ret_prologue + strlen(PROLOGUE), clear, CLEAR_BYTES);
}
#define PROLOGUE_BYTES (sizeof(PROLOGUE) - 1 + CLEAR_BYTES)

/* Proves only that the sender knows our public key: what scans addresses gets no further. */
static void mac_of(const uint8_t *message, const uint8_t responder[32],
                   uint8_t ret_mac[HANDSHAKE_MAC_BYTES])
{
    uint8_t key[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(key));
    crypto_generichash_update(&state, (const uint8_t *)MAC_KEY_TEXT, strlen(MAC_KEY_TEXT));
    crypto_generichash_update(&state, responder, 32);
    crypto_generichash_final(&state, key, sizeof(key));
    crypto_generichash(ret_mac, HANDSHAKE_MAC_BYTES, message, MAC_AT, key, sizeof(key));
}

static bool all_zero(struct span span)
{
    return span.len == 0 || sodium_is_zero(span.data, span.len) == 1;
}

static void hello_encode(const struct handshake_hello *hello, uint8_t *ret_payload)
{
    memset(ret_payload, 0, HANDSHAKE_PAYLOAD_BYTES);
    store_u16(ret_payload, hello->version_min);
    store_u16(ret_payload + 2, hello->version_max);
    ret_payload[4] = (uint8_t)hello->purpose;
    memcpy(ret_payload + 8, hello->boot_id, 16);
    store_u32(ret_payload + 24, hello->reply_bytes_max);
}

static enum err_code hello_decode(struct span payload, struct handshake_hello *ret_hello,
                                  struct err *err)
{
    struct reader reader = reader_of(payload);
    struct handshake_hello hello = {.version_min = reader_u16(&reader)};
    hello.version_max = reader_u16(&reader);
    uint8_t purpose = reader_u8(&reader);
    bool clear = all_zero(reader_span(&reader, 3));
    reader_copy(&reader, hello.boot_id, 16);
    hello.reply_bytes_max = reader_u32(&reader);
    clear = all_zero(reader_span(&reader, 36)) && clear;
    if (!reader_end(&reader) || !clear || (purpose != PURPOSE_CONTROL && purpose != PURPOSE_DATA))
        return err_set(err, ERR_PEER, "handshake: malformed payload");
    hello.purpose = (enum purpose)purpose;
    if (hello.version_min > PROTOCOL_VERSION_MAX || hello.version_max < PROTOCOL_VERSION_MIN)
        return err_set(err, ERR_VERSION, "peer speaks protocol %u to %u, this node %u to %u",
                       hello.version_min, hello.version_max, PROTOCOL_VERSION_MIN,
                       PROTOCOL_VERSION_MAX);
    *ret_hello = hello;
    return ERR_OK;
}

static void welcome_encode(const struct handshake_welcome *welcome, uint8_t *ret_payload)
{
    memset(ret_payload, 0, HANDSHAKE_PAYLOAD_BYTES);
    store_u16(ret_payload, welcome->version);
    store_u32(ret_payload + 4, welcome->requests_in_flight);
    store_u32(ret_payload + 8, welcome->request_bytes);
    store_u32(ret_payload + 12, welcome->reply_bytes);
    memcpy(ret_payload + 16, welcome->boot_id, 16);
    store_u64(ret_payload + 32, welcome->clock_ms);
}

static enum err_code welcome_decode(struct span payload, struct handshake_welcome *ret_welcome,
                                    struct err *err)
{
    struct reader reader = reader_of(payload);
    struct handshake_welcome welcome = {.version = reader_u16(&reader)};
    bool clear = reader_u16(&reader) == 0;
    welcome.requests_in_flight = reader_u32(&reader);
    welcome.request_bytes = reader_u32(&reader);
    welcome.reply_bytes = reader_u32(&reader);
    reader_copy(&reader, welcome.boot_id, 16);
    welcome.clock_ms = reader_u64(&reader);
    clear = all_zero(reader_span(&reader, 24)) && clear;
    if (!reader_end(&reader) || !clear || welcome.requests_in_flight == 0)
        return err_set(err, ERR_PEER, "handshake: malformed answer");
    if (welcome.version < PROTOCOL_VERSION_MIN || welcome.version > PROTOCOL_VERSION_MAX)
        return err_set(err, ERR_VERSION, "peer chose protocol %u, which this node does not speak",
                       welcome.version);
    *ret_welcome = welcome;
    return ERR_OK;
}

/* --- life --- */

static struct handshake *handshake_of(struct noise *noise)
{
    struct handshake *handshake = mem_alloc(sizeof(*handshake));
    handshake->noise = noise;
    return handshake;
}

void handshake_free(struct handshake *handshake)
{
    if (handshake == NULL)
        return;
    noise_free(handshake->noise);
    mem_free(handshake);
}

void handshake_free_pointer(struct handshake **handshake)
{
    handshake_free(*handshake);
}

static struct session_keys *keys_split(struct noise *noise)
{
    struct session_keys *keys = mem_calloc(1, sizeof(*keys));
    noise_split(noise, &keys->send, &keys->receive);
    return keys;
}

void session_keys_free(struct session_keys *keys)
{
    if (keys == NULL)
        return;
    seal_deinit(&keys->send);
    seal_deinit(&keys->receive);
    mem_free(keys);
}

/* --- initiator --- */

enum err_code handshake_begin(const struct identity *identity, const struct noise_key *peer,
                              enum suite suite, enum listener_kind kind,
                              const struct handshake_hello *hello,
                              uint8_t ret_message[HANDSHAKE_REQUEST_BYTES],
                              struct handshake **ret_handshake)
{
    uint8_t prologue[PROLOGUE_BYTES];
    uint8_t payload[HANDSHAKE_PAYLOAD_BYTES];
    uint8_t message[HANDSHAKE_REQUEST_BYTES] = {(uint8_t)suite, (uint8_t)kind, 0, 0};
    prologue_of(message, prologue);
    hello_encode(hello, payload);
    NOISE_CLEANUP struct noise *noise = noise_new_initiator(
        suite, identity_noise_secret(identity), peer->b, span_of(prologue, sizeof(prologue)));
    if (!noise_write_request(noise, span_of(payload, sizeof(payload)), message + CLEAR_BYTES))
        return ERR_PEER_KEY; /* a key that is no point: nobody holds it */
    mac_of(message, peer->b, message + MAC_AT);
    memcpy(ret_message, message, sizeof(message));
    *ret_handshake = handshake_of(noise);
    noise = NULL;
    return ERR_OK;
}

enum err_code handshake_end(struct handshake *handshake, struct span message,
                            struct handshake_welcome *ret_welcome, struct session_keys **ret_keys,
                            struct err *err)
{
    uint8_t payload[HANDSHAKE_PAYLOAD_BYTES];
    if (message.len != HANDSHAKE_REPLY_BYTES)
        return err_set(err, ERR_PEER, "handshake: answer of %zu bytes", message.len);
    if (!noise_read_reply(handshake->noise, message, payload))
        return err_set(err, ERR_PEER_KEY, "the peer's answer was not made with the key expected");
    TRY(welcome_decode(span_of(payload, sizeof(payload)), ret_welcome, err));
    *ret_keys = keys_split(handshake->noise);
    return ERR_OK;
}

/* --- responder --- */

enum err_code handshake_check(const struct identity *identity, enum listener_kind kind,
                              struct span message, struct err *err)
{
    uint8_t mac[HANDSHAKE_MAC_BYTES];
    if (message.len != HANDSHAKE_REQUEST_BYTES)
        return err_set(err, ERR_PEER, "handshake of %zu bytes", message.len);
    mac_of(message.data, identity_public(identity)->noise.b, mac);
    if (sodium_memcmp(mac, message.data + MAC_AT, sizeof(mac)) != 0)
        return err_set(err, ERR_PEER, "handshake: not made for this node's key");
    if (message.data[1] != (uint8_t)kind || message.data[2] != 0 || message.data[3] != 0)
        return err_set(err, ERR_PEER, "handshake: not for this listener");
    if (!suite_available(message.data[0]))
        return err_set(err, ERR_PEER, "handshake: suite %u is not available", message.data[0]);
    return ERR_OK;
}

enum err_code handshake_read(const struct identity *identity, enum listener_kind kind,
                             struct span message, struct noise_key *ret_peer,
                             struct handshake **ret_handshake, struct err *err)
{
    TRY(handshake_check(identity, kind, message, err));
    uint8_t prologue[PROLOGUE_BYTES];
    prologue_of(message.data, prologue);
    NOISE_CLEANUP struct noise *noise =
        noise_new_responder((enum suite)message.data[0], identity_noise_secret(identity),
                            span_of(prologue, sizeof(prologue)));
    if (!noise_read_request_key(noise, span_slice(message, CLEAR_BYTES, NOISE_REQUEST_KEY_BYTES),
                                ret_peer->b))
        return err_set(err, ERR_PEER, "handshake: does not open");
    *ret_handshake = handshake_of(noise);
    noise = NULL;
    return ERR_OK;
}

uint16_t handshake_version(const struct handshake_hello *hello)
{
    return hello->version_max < PROTOCOL_VERSION_MAX ? hello->version_max : PROTOCOL_VERSION_MAX;
}

enum err_code handshake_accept(struct handshake *handshake, struct span message,
                               struct handshake_hello *ret_hello, struct err *err)
{
    uint8_t payload[HANDSHAKE_PAYLOAD_BYTES];
    struct span sealed = span_slice(message, PAYLOAD_AT, MAC_AT - PAYLOAD_AT);
    if (!noise_read_request_payload(handshake->noise, sealed, payload))
        return err_set(err, ERR_PEER, "handshake: does not open");
    return hello_decode(span_of(payload, sizeof(payload)), ret_hello, err);
}

enum err_code handshake_answer(struct handshake *handshake, const struct handshake_welcome *welcome,
                               uint8_t ret_message[HANDSHAKE_REPLY_BYTES],
                               struct session_keys **ret_keys, struct err *err)
{
    uint8_t payload[HANDSHAKE_PAYLOAD_BYTES];
    welcome_encode(welcome, payload);
    if (!noise_write_reply(handshake->noise, span_of(payload, sizeof(payload)), ret_message))
        return err_set(err, ERR_PEER, "handshake: a key that is no point");
    *ret_keys = keys_split(handshake->noise);
    return ERR_OK;
}
