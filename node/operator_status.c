/* status, peers: what this node is, does and reaches. */
#include "node/operator.h"

#define VERSION_TEXT "0.1.0"

struct counters {
    struct operator_counter items[64];
    size_t count;
};

static void counter_add(struct counters *counters, enum counter_kind kind, const char *name,
                        const char *help, uint64_t value)
{
    ASSERT(counters->count < ARRAY_COUNT(counters->items));
    counters->items[counters->count++] = (struct operator_counter){
        .name = span_text(name),
        .help = span_text(help),
        .kind = kind,
        .value = value,
    };
}

static void listeners_count(const struct operator_services *services, struct counters *counters)
{
    uint64_t connections = 0;
    uint64_t accepted = 0;
    uint64_t refused = 0;
    uint64_t requests = 0;
    uint64_t received = 0;
    uint64_t sent = 0;
    for (size_t i = 0; i < services->listener_count; i++) {
        struct listener_status status;
        listener_status(services->listeners[i], &status);
        connections += status.connections;
        accepted += status.accepted;
        refused += status.refused_limit + status.refused_handshake;
        requests += status.requests;
        received += status.received_bytes;
        sent += status.sent_bytes;
    }
    counter_add(counters, COUNTER_GAUGE, "strait_connections", "authenticated connections",
                connections);
    counter_add(counters, COUNTER_TOTAL, "strait_accepted_total", "connections accepted", accepted);
    counter_add(counters, COUNTER_TOTAL, "strait_refused_total",
                "connections refused by a limit or in the handshake", refused);
    counter_add(counters, COUNTER_TOTAL, "strait_requests_total", "requests handed out", requests);
    counter_add(counters, COUNTER_TOTAL, "strait_listener_received_bytes_total",
                "sealed bytes received by the listeners", received);
    counter_add(counters, COUNTER_TOTAL, "strait_listener_sent_bytes_total",
                "sealed bytes sent by the listeners", sent);
}

static void links_count(const struct operator_services *services, struct counters *counters)
{
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t connected = 0;
    for (size_t i = 0; i < peers_count(services->peers); i++) {
        struct link_status status;
        link_status(peers_at(services->peers, i)->link, &status);
        received += status.received_bytes;
        sent += status.sent_bytes;
        connected += status.connected;
    }
    counter_add(counters, COUNTER_GAUGE, "strait_peers_connected", "peers reached now", connected);
    counter_add(counters, COUNTER_TOTAL, "strait_link_received_bytes_total",
                "sealed bytes received from peers that this node asked", received);
    counter_add(counters, COUNTER_TOTAL, "strait_link_sent_bytes_total",
                "sealed bytes sent to peers that this node asked", sent);
}

enum err_code handle_status(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)header;
    (void)err;
    const struct operator_services *services = call->services;
    struct counters counters = {0};
    listeners_count(services, &counters);
    links_count(services, &counters);
    counter_add(&counters, COUNTER_GAUGE, "strait_statements", "statements and open results",
                runs_count(services->runs));
    counter_add(&counters, COUNTER_GAUGE, "strait_loads", "loads under way",
                loads_count(services->loads));
    counter_add(&counters, COUNTER_GAUGE, "strait_tasks", "replication tasks that have not ended",
                tasks_active(services->statements->tasks));
    struct tasks_traffic traffic = tasks_traffic_get(services->statements->tasks);
    counter_add(&counters, COUNTER_TOTAL, "strait_xcopy_page_bytes_received_total",
                "bytes of manifest pages pulled from peers", traffic.page_bytes);
    counter_add(&counters, COUNTER_TOTAL, "strait_xcopy_file_bytes_received_total",
                "bytes of column files pulled from peers", traffic.file_bytes);
    counter_add(&counters, COUNTER_GAUGE, "strait_leases", "leases that peers hold here",
                source_leases(services->source));
    counter_add(&counters, COUNTER_GAUGE, "strait_jobs_waiting", "jobs that wait for a worker",
                workers_waiting(services->workers));
    struct store_usage usage;
    store_usage_get(services->statements->store, &usage);
    counter_add(&counters, COUNTER_GAUGE, "strait_packs", "live packs", usage.pack_count);
    counter_add(&counters, COUNTER_GAUGE, "strait_pack_bytes", "bytes of live packs",
                usage.pack_bytes);
    counter_add(&counters, COUNTER_GAUGE, "strait_pack_live_bytes", "indexed bytes in live packs",
                usage.pack_live_bytes);
    counter_add(&counters, COUNTER_GAUGE, "strait_small_bytes", "bytes in the nursery",
                usage.small_bytes);
    counter_add(&counters, COUNTER_TOTAL, "strait_collections_total", "clean-ups begun",
                usage.collection);
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    const struct operator_status status = {
        .region = span_text(services->region),
        .version = span_text(VERSION_TEXT),
        .key = span_text(public_identity_format(identity_public(services->identity), key)),
        .principal = span_text(call->principal->name),
        .uptime_ms = loop_now_ms() - services->started_ms,
        .counters = counters.items,
        .counter_count = counters.count,
    };
    operator_status_encode(&status, body);
    return ERR_OK;
}

static struct span addresses_join(const struct config_list *addresses, struct bytes *out)
{
    for (size_t i = 0; i < addresses->count; i++)
        bytes_printf(out, "%s%s", i == 0 ? "" : " ", addresses->items[i]);
    return bytes_span(out);
}

enum err_code handle_peers(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    (void)err;
    struct peers *peers = call->services->peers;
    size_t count = peers_count(peers);
    struct row {
        struct bytes addresses;
        char key[PUBLIC_IDENTITY_TEXT_BYTES];
    } *rows = mem_calloc(count + 1, sizeof(*rows));
    struct operator_peer *items = mem_calloc(count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const struct peer *peer = peers_at(peers, i);
        struct link_status status;
        link_status(peer->link, &status);
        items[i] = (struct operator_peer){
            .region = span_text(peer->region),
            .addresses = addresses_join(&peer->config->addresses, &rows[i].addresses),
            .key = span_text(public_identity_format(&peer->keys, rows[i].key)),
            .connected = status.connected,
            .last_heard_ms = status.connected ? 0 : UINT64_MAX,
            .error = status.last_error,
        };
    }
    operator_peers_encode(&(struct operator_peers){items, count}, body);
    for (size_t i = 0; i < count; i++)
        bytes_deinit(&rows[i].addresses);
    mem_free(rows);
    mem_free(items);
    return ERR_OK;
}
