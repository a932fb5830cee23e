/* Who may come in: counts of one listener.
 *
 *     arrive -> (handshake) -> prove | leave          arrived: unauthenticated, counted by address
 *                              prove -> depart        proved: counted by entry (peer or principal)
 *
 * Memory: bounded by the limits themselves; addresses and entries without a connection are not kept.
 * Threads: none of its own; the listener's lock.
 */
#ifndef TRANSPORT_LIMITS_H
#define TRANSPORT_LIMITS_H

#include "transport/listener.h"

struct limits_address {
    uint8_t block[16];
    uint32_t count;
};

struct limits_entry {
    uint64_t entry;
    uint32_t count;
};

struct limits {
    struct listener_limits max;
    uint32_t unauthenticated;
    uint32_t connections;
    struct limits_address *addresses; /* up to max.unauthenticated */
    uint32_t address_count;
    struct limits_entry *entries; /* up to max.connections */
    uint32_t entry_count;
    /* handshakes: tokens in thousandths, up to a second's worth */
    uint64_t handshake_tokens;
    uint64_t handshake_refill_us;
};

/* Zero fields of max get their defaults. */
void limits_init(struct limits *limits, const struct listener_limits *max, enum listener_kind kind);
void limits_deinit(struct limits *limits);

/* A connection was accepted. False: it must be closed, and was not counted. */
MUST_USE bool limits_arrive(struct limits *limits, const uint8_t block[16]);
/* Is it its own address that has too many, rather than all together? */
bool limits_address_full(const struct limits *limits, const uint8_t block[16]);
/* It ends without having proved itself. */
void limits_leave(struct limits *limits, const uint8_t block[16]);
/* May another handshake be computed now? */
MUST_USE bool limits_handshake(struct limits *limits, uint64_t now_us);
/* Is there room for one more of this entry? Counts nothing. */
MUST_USE bool limits_room(const struct limits *limits, uint64_t entry);
/* Its first record opened: no longer unauthenticated. False: no room; it still has to leave. */
MUST_USE bool limits_prove(struct limits *limits, const uint8_t block[16], uint64_t entry);
void limits_depart(struct limits *limits, uint64_t entry);

#endif
