/* One direction of a link, as a pure machine: packets in, packets out when they are due.
 *
 *     put -> [cut? lost? queue full?] -> queue at the rate -> delay (some held back) -> take
 *
 * The rate is kept by a virtual sender: a packet leaves when those before it have left and its own
 * bits are through; it is dropped when it would wait longer than queue_ns. Held-back packets are
 * overtaken by those behind them. The same seed and the same calls lose and hold back the same.
 *
 * No clock, no I/O, no threads: callers bring the time in ns. A wire owns the packets on it.
 */
#ifndef CLUSTER_TESTS_LINK_WIRE_H
#define CLUSTER_TESTS_LINK_WIRE_H

#include "proto/bytes.h"

#define WIRE_PACKETS_MAX (1u << 20) /* on one wire at once; more are dropped */
#define WIRE_PER_MILLION 1000000u

struct wire_options {
    uint64_t rate_bits; /* of IP packets a second; 0: unlimited */
    uint64_t delay_ns;
    uint64_t queue_ns;    /* the longest wait for the rate; ignored without one */
    uint32_t loss_ppm;    /* of packets, at random */
    uint32_t reorder_ppm; /* of packets are held back... */
    uint64_t reorder_ns;  /* ...by so much */
};

struct wire_counters { /* packets, but for the bytes */
    uint64_t in, in_bytes;
    uint64_t out, out_bytes;
    uint64_t lost; /* by loss_ppm */
    uint64_t full; /* no place in the queue, or on the wire */
    uint64_t cut;  /* while or because it was cut */
    uint64_t held_back;
};

struct wire_packet {
    uint64_t due_ns;
    uint64_t number; /* equal times keep their order */
    uint32_t bytes;
    uint8_t data[];
};

struct wire {
    struct wire_options options;
    struct wire_counters counters;
    bool is_cut;
    uint64_t random;
    uint64_t free_ns; /* when the virtual sender is through */
    uint64_t numbers;
    struct wire_packet **heap; /* owned; earliest first */
    size_t count, capacity;
};

void wire_init(struct wire *wire, const struct wire_options *options, uint64_t seed);
void wire_deinit(struct wire *wire);
/* What is on the wire already stays as it was put. */
void wire_set(struct wire *wire, const struct wire_options *options);
/* A cut drops what is on the wire and what is put until it is restored. */
void wire_cut(struct wire *wire, bool is_cut);
void wire_put(struct wire *wire, uint64_t now_ns, struct span packet);
/* When the next packet is due; UINT64_MAX: none is on the wire. */
uint64_t wire_due_ns(const struct wire *wire);
/* A packet that is due, the caller's to mem_free; NULL: none is. */
struct wire_packet *wire_take(struct wire *wire, uint64_t now_ns);

#endif
