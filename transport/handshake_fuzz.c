/* The first message of a stranger, and the answer of one, at fixed keys.
 *
 * Input: u8 what, then the message. mac1 is made right for half of the inputs, so that what lies
 * behind it is reached too. */
#include "transport/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *node;

static void mac_repair(uint8_t *message)
{
    uint8_t key[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(key));
    crypto_generichash_update(&state, (const uint8_t *)"strait/1 mac1", 13);
    crypto_generichash_update(&state, identity_public(node)->noise.b, 32);
    crypto_generichash_final(&state, key, sizeof(key));
    crypto_generichash(message + 164, 16, message, 164, key, sizeof(key));
}

static void read_request(struct span message)
{
    HANDSHAKE_CLEANUP struct handshake *handshake = NULL;
    struct handshake_hello hello;
    struct noise_key peer;
    struct err err;
    if (handshake_read(node, LISTENER_PEERS, message, &peer, &handshake, &err) == ERR_OK)
        (void)!handshake_accept(handshake, message, &hello, &err);
}

static void read_answer(struct span message)
{
    HANDSHAKE_CLEANUP struct handshake *handshake = NULL;
    struct handshake_hello hello = {.version_min = 1, .version_max = 1, .purpose = PURPOSE_DATA};
    struct handshake_welcome welcome;
    struct session_keys *keys;
    struct err err;
    uint8_t request[HANDSHAKE_REQUEST_BYTES];
    enum err_code code = handshake_begin(node, &identity_public(node)->noise, SUITE_CHACHAPOLY,
                                         LISTENER_PEERS, &hello, request, &handshake);
    ASSERT(code == ERR_OK);
    code = handshake_end(handshake, message, &welcome, &keys, &err);
    ASSERT(code != ERR_OK); /* nobody can answer without the key */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (node == NULL)
        node = identity_generate();
    if (size == 0)
        return 0;
    BYTES_CLEANUP struct bytes message = {0};
    bytes_append(&message, data + 1, size - 1);
    if (data[0] % 4 == 0) {
        read_answer(bytes_span(&message));
        return 0;
    }
    if (message.len == HANDSHAKE_REQUEST_BYTES && data[0] % 2 == 1)
        mac_repair(message.data);
    read_request(bytes_span(&message));
    return 0;
}
