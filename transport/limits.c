#include "transport/limits.h"

#define TOKEN 1000

static uint32_t default_to(uint32_t value, size_t standard)
{
    return value != 0 ? value : (uint32_t)standard;
}

void limits_init(struct limits *limits, const struct listener_limits *max, enum listener_kind kind)
{
    bool peers = kind == LISTENER_PEERS;
    *limits = (struct limits){.max = *max};
    struct listener_limits *m = &limits->max;
    m->unauthenticated = default_to(m->unauthenticated, LIMIT_UNAUTHENTICATED);
    m->unauthenticated_per_address =
        default_to(m->unauthenticated_per_address, LIMIT_UNAUTHENTICATED_PER_ADDRESS);
    m->handshakes_per_second = default_to(m->handshakes_per_second, LIMIT_HANDSHAKES_PER_SECOND);
    m->connections = default_to(m->connections, LIMIT_CONNECTIONS);
    m->connections_per_entry =
        default_to(m->connections_per_entry,
                   peers ? LIMIT_CONNECTIONS_PER_PEER : LIMIT_CONNECTIONS_PER_PRINCIPAL);
    m->requests_in_flight = default_to(m->requests_in_flight, LIMIT_REQUESTS_IN_FLIGHT);
    m->request_body_bytes =
        default_to(m->request_body_bytes, peers ? LIMIT_PEER_REQUEST_BYTES : LIMIT_BODY_BYTES);
    limits->addresses = mem_calloc(m->unauthenticated, sizeof(*limits->addresses));
    limits->entries = mem_calloc(m->connections, sizeof(*limits->entries));
    limits->handshake_tokens = (uint64_t)m->handshakes_per_second * TOKEN;
}

void limits_deinit(struct limits *limits)
{
    mem_free(limits->addresses);
    mem_free(limits->entries);
    *limits = (struct limits){0};
}

static struct limits_address *address_find(const struct limits *limits, const uint8_t block[16])
{
    for (uint32_t i = 0; i < limits->address_count; i++) {
        if (memcmp(limits->addresses[i].block, block, 16) == 0)
            return &limits->addresses[i];
    }
    return NULL;
}

bool limits_address_full(const struct limits *limits, const uint8_t block[16])
{
    const struct limits_address *address = address_find(limits, block);
    return address != NULL && address->count >= limits->max.unauthenticated_per_address;
}

bool limits_arrive(struct limits *limits, const uint8_t block[16])
{
    struct limits_address *address = address_find(limits, block);
    if (limits->unauthenticated >= limits->max.unauthenticated)
        return false;
    if (limits_address_full(limits, block))
        return false;
    if (address == NULL) {
        /* as many addresses as connections at most: there is a place */
        address = &limits->addresses[limits->address_count++];
        memcpy(address->block, block, 16);
        address->count = 0;
    }
    address->count++;
    limits->unauthenticated++;
    return true;
}

void limits_leave(struct limits *limits, const uint8_t block[16])
{
    struct limits_address *address = address_find(limits, block);
    ASSERT(address != NULL && limits->unauthenticated > 0);
    limits->unauthenticated--;
    if (--address->count == 0)
        *address = limits->addresses[--limits->address_count];
}

bool limits_handshake(struct limits *limits, uint64_t now_us)
{
    uint64_t full = (uint64_t)limits->max.handshakes_per_second * TOKEN;
    uint64_t passed_us = now_us - limits->handshake_refill_us;
    if (limits->handshake_refill_us == 0 || passed_us > 1000000)
        passed_us = 1000000;
    uint64_t more = passed_us * full / 1000000;
    if (more > 0) { /* else the time keeps adding up */
        limits->handshake_tokens += more;
        if (limits->handshake_tokens > full)
            limits->handshake_tokens = full;
        limits->handshake_refill_us = now_us;
    }
    if (limits->handshake_tokens < TOKEN)
        return false;
    limits->handshake_tokens -= TOKEN;
    return true;
}

static struct limits_entry *entry_find(const struct limits *limits, uint64_t entry)
{
    for (uint32_t i = 0; i < limits->entry_count; i++) {
        if (limits->entries[i].entry == entry)
            return &limits->entries[i];
    }
    return NULL;
}

bool limits_room(const struct limits *limits, uint64_t entry)
{
    const struct limits_entry *found = entry_find(limits, entry);
    return limits->connections < limits->max.connections &&
           (found == NULL || found->count < limits->max.connections_per_entry);
}

bool limits_prove(struct limits *limits, const uint8_t block[16], uint64_t entry)
{
    if (!limits_room(limits, entry))
        return false;
    struct limits_entry *found = entry_find(limits, entry);
    if (found == NULL) {
        found = &limits->entries[limits->entry_count++];
        *found = (struct limits_entry){.entry = entry};
    }
    found->count++;
    limits->connections++;
    limits_leave(limits, block);
    return true;
}

void limits_depart(struct limits *limits, uint64_t entry)
{
    struct limits_entry *found = entry_find(limits, entry);
    ASSERT(found != NULL && limits->connections > 0);
    limits->connections--;
    if (--found->count == 0)
        *found = limits->entries[--limits->entry_count];
}
