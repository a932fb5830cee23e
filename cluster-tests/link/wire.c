#include "cluster-tests/link/wire.h"

#define NS_PER_SECOND UINT64_C(1000000000)

void wire_init(struct wire *wire, const struct wire_options *options, uint64_t seed)
{
    *wire = (struct wire){.options = *options, .random = seed};
}

static void wire_clear(struct wire *wire)
{
    for (size_t i = 0; i < wire->count; i++)
        mem_free(wire->heap[i]);
    wire->count = 0;
}

void wire_deinit(struct wire *wire)
{
    wire_clear(wire);
    mem_free(wire->heap);
    wire->heap = NULL;
}

void wire_set(struct wire *wire, const struct wire_options *options)
{
    wire->options = *options;
}

void wire_cut(struct wire *wire, bool is_cut)
{
    wire->is_cut = is_cut;
    if (!is_cut)
        return;
    wire->counters.cut += wire->count;
    wire_clear(wire);
    wire->free_ns = 0;
}

static bool chance(struct wire *wire, uint32_t per_million)
{
    uint64_t z = wire->random += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (z ^ z >> 31) % WIRE_PER_MILLION < per_million;
}

/* ---- the heap, by time, then number ---- */

static bool packet_before(const struct wire_packet *a, const struct wire_packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void heap_add(struct wire *wire, struct wire_packet *packet)
{
    if (wire->count == wire->capacity) {
        wire->capacity = wire->capacity == 0 ? 1024 : 2 * wire->capacity;
        wire->heap = mem_realloc(wire->heap, wire->capacity, sizeof(struct wire_packet *));
    }
    size_t at = wire->count++;
    while (at > 0 && packet_before(packet, wire->heap[(at - 1) / 2])) {
        wire->heap[at] = wire->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    wire->heap[at] = packet;
}

static struct wire_packet *heap_pop(struct wire *wire)
{
    struct wire_packet *first = wire->heap[0];
    struct wire_packet *last = wire->heap[--wire->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= wire->count)
            break;
        if (child + 1 < wire->count && packet_before(wire->heap[child + 1], wire->heap[child]))
            child++;
        if (!packet_before(wire->heap[child], last))
            break;
        wire->heap[at] = wire->heap[child];
        at = child;
    }
    if (wire->count > 0)
        wire->heap[at] = last;
    return first;
}

/* ---- packets ---- */

/* Takes the packet's turn at the rate; false when the queue is full. */
static bool turn_take(struct wire *wire, uint64_t now_ns, size_t bytes, uint64_t *ret_through_ns)
{
    const struct wire_options *options = &wire->options;
    uint64_t begin_ns = wire->free_ns > now_ns ? wire->free_ns : now_ns;
    if (options->rate_bits == 0) {
        *ret_through_ns = now_ns;
        return true;
    }
    if (begin_ns - now_ns > options->queue_ns)
        return false;
    wire->free_ns = begin_ns + bytes * 8 * NS_PER_SECOND / options->rate_bits;
    *ret_through_ns = wire->free_ns;
    return true;
}

void wire_put(struct wire *wire, uint64_t now_ns, struct span packet)
{
    struct wire_counters *counters = &wire->counters;
    counters->in++;
    counters->in_bytes += packet.len;
    if (wire->is_cut) {
        counters->cut++;
        return;
    }
    bool lost = chance(wire, wire->options.loss_ppm);
    bool held_back = chance(wire, wire->options.reorder_ppm);
    uint64_t through_ns;
    if (wire->count >= WIRE_PACKETS_MAX || !turn_take(wire, now_ns, packet.len, &through_ns)) {
        counters->full++;
        return;
    }
    if (lost) { /* behind the queue: it took its turn */
        counters->lost++;
        return;
    }
    struct wire_packet *copy = mem_alloc(sizeof(*copy) + packet.len);
    copy->due_ns = through_ns + wire->options.delay_ns;
    copy->number = wire->numbers++;
    copy->bytes = (uint32_t)packet.len;
    memcpy(copy->data, packet.data, packet.len);
    if (held_back) {
        copy->due_ns += wire->options.reorder_ns;
        counters->held_back++;
    }
    heap_add(wire, copy);
}

uint64_t wire_due_ns(const struct wire *wire)
{
    return wire->count > 0 ? wire->heap[0]->due_ns : UINT64_MAX;
}

struct wire_packet *wire_take(struct wire *wire, uint64_t now_ns)
{
    if (wire_due_ns(wire) > now_ns || wire->count == 0)
        return NULL;
    struct wire_packet *packet = heap_pop(wire);
    wire->counters.out++;
    wire->counters.out_bytes += packet->bytes;
    return packet;
}
