/* The two messages that open a connection.
 *
 *     1 -> u8 suite | u8 listener | u16 0 | e 32 | s 48 | payload 64+16 | mac1 16   = 180
 *     2 <- e 32 | payload 64+16                                                     = 112
 *     payload 1: u16 version min | u16 max | u8 purpose | 0[3] | boot id 16 | u32 reply bytes max | 0[36]
 *     payload 2: u16 version | u16 0 | u32 requests in flight | u32 request bytes | u32 reply bytes
 *                | boot id 16 | u64 clock ms | 0[24]
 *
 *     initiator: handshake_begin ............... handshake_end -> keys
 *     responder:     handshake_read -> key known? -> handshake_accept -> handshake_answer -> keys
 *
 * Payload 1 can be replayed: it carries versions and limits only, and whoever answers it does nothing
 * that lasts before a first record has opened. Any failure is ERR_PEER with a reason for our log; the
 * other side gets no byte.
 * Memory: a struct handshake is freed by handshake_free at any point. One thread at a time.
 */
#ifndef TRANSPORT_HANDSHAKE_H
#define TRANSPORT_HANDSHAKE_H

#include "transport/listener.h"
#include "transport/noise.h"

#define HANDSHAKE_PAYLOAD_BYTES 64
#define HANDSHAKE_MAC_BYTES     16
#define PROTOCOL_VERSION_MIN    1
#define PROTOCOL_VERSION_MAX    3 /* listener.h says what came with which */

struct handshake_hello { /* payload 1 */
    uint16_t version_min;
    uint16_t version_max;
    enum purpose purpose;
    uint8_t boot_id[16];
    uint32_t reply_bytes_max;
};

struct handshake_welcome { /* payload 2 */
    uint16_t version;
    uint32_t requests_in_flight;
    uint32_t request_bytes;
    uint32_t reply_bytes;
    uint8_t boot_id[16];
    uint64_t clock_ms;
};

struct session_keys {
    struct seal send;
    struct seal receive;
};

struct handshake;
void handshake_free(struct handshake *handshake); /* NULL is allowed */
void handshake_free_pointer(struct handshake **handshake);
#define HANDSHAKE_CLEANUP __attribute__((cleanup(handshake_free_pointer)))

/* Initiator. */
enum err_code handshake_begin(const struct identity *identity, const struct noise_key *peer,
                              enum suite suite, enum listener_kind kind,
                              const struct handshake_hello *hello,
                              uint8_t ret_message[HANDSHAKE_REQUEST_BYTES],
                              struct handshake **ret_handshake);
/* ERR_PEER_KEY: the answer was not made with the key we expect; ERR_PEER: an impossible one;
 * ERR_VERSION. Keys: session_keys_free. */
enum err_code handshake_end(struct handshake *handshake, struct span message,
                            struct handshake_welcome *ret_welcome, struct session_keys **ret_keys,
                            struct err *err);

/* Responder: the clear bytes and mac1, which cost a microsecond; handshake_read begins with it. */
enum err_code handshake_check(const struct identity *identity, enum listener_kind kind,
                              struct span message, struct err *err);
/* Responder: mac1, listener, suite, and whose key it is. */
enum err_code handshake_read(const struct identity *identity, enum listener_kind kind,
                             struct span message, struct noise_key *ret_peer,
                             struct handshake **ret_handshake, struct err *err);
/* The highest that both ends speak: what the answer says. */
uint16_t handshake_version(const struct handshake_hello *hello);
/* The payload, from the same message; ERR_VERSION when no version is common. */
enum err_code handshake_accept(struct handshake *handshake, struct span message,
                               struct handshake_hello *ret_hello, struct err *err);
enum err_code handshake_answer(struct handshake *handshake, const struct handshake_welcome *welcome,
                               uint8_t ret_message[HANDSHAKE_REPLY_BYTES],
                               struct session_keys **ret_keys, struct err *err);

void session_keys_free(struct session_keys *keys); /* wipes; NULL is allowed */

#endif
