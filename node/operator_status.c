/* status, peers: what this node is, does and reaches. */
#include "node/cleanup.h"
#include "node/operator.h"
#include "node/scrubber.h"
#include "store/damage.h"
#include "node/sql/resources.h"
#include "node/table_source.h"

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

static void store_count(const struct statement_services *services, struct counters *counters)
{
    struct store_usage usage;
    struct cleanup_status cleanup;
    store_usage_get(services->store, &usage);
    cleanup_status_get(services->cleanup, &cleanup);
    counter_add(counters, COUNTER_GAUGE, "strait_packs", "live packs", usage.pack_count);
    counter_add(counters, COUNTER_GAUGE, "strait_pack_bytes", "bytes of live packs",
                usage.pack_bytes);
    counter_add(counters, COUNTER_GAUGE, "strait_pack_live_bytes", "indexed bytes in live packs",
                usage.pack_live_bytes);
    counter_add(counters, COUNTER_GAUGE, "strait_pack_dead_bytes",
                "bytes in live packs that clean-up has found dead and not given back",
                usage.pack_bytes - usage.pack_live_bytes);
    counter_add(counters, COUNTER_GAUGE, "strait_small_bytes", "bytes in the nursery",
                usage.small_bytes);
    counter_add(counters, COUNTER_GAUGE, "strait_commit_lock_held_us_max",
                "longest step that content commits waited for, in microseconds", usage.lock_us_max);
    counter_add(counters, COUNTER_TOTAL, "strait_collections_total", "clean-ups begun",
                usage.collection);
    counter_add(counters, COUNTER_GAUGE, "strait_cleanup_last_ms",
                "end of the last clean-up, ms since 1970; 0: none since the start",
                cleanup.last_ms);
    counter_add(counters, COUNTER_TOTAL, "strait_cleanup_deleted_bytes_total",
                "bytes of column files deleted", cleanup.deleted_bytes_total);
    counter_add(counters, COUNTER_TOTAL, "strait_cleanup_copied_bytes_total",
                "bytes of column files copied out of thin packs", cleanup.copied_bytes_total);
    counter_add(counters, COUNTER_GAUGE, "strait_cleanup_skipped_packs",
                "thin packs that the last clean-up had no room to copy",
                cleanup.last.repack.packs_skipped);
}

/* Of the whole node. They move with what every account does, so an account that watched them would see
 * others work: they are the region's operator's. */
static void counters_all(const struct operator_services *services, struct counters *counters)
{
    listeners_count(services, counters);
    links_count(services, counters);
    counter_add(counters, COUNTER_GAUGE, "strait_statements", "statements and open results",
                runs_count(services->runs));
    counter_add(counters, COUNTER_GAUGE, "strait_loads", "loads under way",
                loads_count(services->loads));
    counter_add(counters, COUNTER_GAUGE, "strait_tasks", "replication tasks that have not ended",
                tasks_active(services->statements->tasks));
    struct tasks_traffic traffic = tasks_traffic_get(services->statements->tasks);
    counter_add(counters, COUNTER_TOTAL, "strait_xcopy_page_bytes_received_total",
                "bytes of manifest pages pulled from peers", traffic.page_bytes);
    counter_add(counters, COUNTER_TOTAL, "strait_xcopy_file_bytes_received_total",
                "bytes of column files pulled from peers", traffic.file_bytes);
    counter_add(counters, COUNTER_TOTAL, "strait_xcopy_file_bytes_served_total",
                "bytes of column files that peers pulled from here",
                source_file_bytes(services->source));
    counter_add(counters, COUNTER_GAUGE, "strait_leases", "leases that peers hold here",
                source_leases(services->source));
    counter_add(counters, COUNTER_GAUGE, "strait_jobs_waiting", "jobs that wait for a worker",
                workers_waiting(services->workers));
    store_count(services->statements, counters);
    struct scrubber_totals scrubbed = scrubber_totals_get(services->statements->scrubber);
    counter_add(counters, COUNTER_GAUGE, "strait_damaged_items",
                "files and pages that are damaged and not repaired; SCRUB tells what they hurt",
                damage_count(services->statements->store));
    counter_add(counters, COUNTER_GAUGE, "strait_damaged_records",
                "records that the last scrub could not read", scrubbed.faults);
    counter_add(counters, COUNTER_TOTAL, "strait_scrub_bytes_total",
                "bytes of column files read again and hashed", scrubbed.bytes);
    const struct table_scan_totals scans = table_scan_totals();
    counter_add(counters, COUNTER_GAUGE, "strait_pinned_versions",
                "tables and snapshots that queries and downloads read", scans.sources_open);
    counter_add(counters, COUNTER_GAUGE, "strait_select_memory_bytes",
                "memory reserved by queries; select_memory_total is its limit",
                (uint64_t)resources_memory_total());
    counter_add(counters, COUNTER_GAUGE, "strait_select_temp_bytes", "temporary files of queries",
                (uint64_t)resources_temp_total());
    counter_add(counters, COUNTER_TOTAL, "strait_scan_row_groups_total",
                "row groups read by queries and downloads that ended", scans.row_groups);
    counter_add(counters, COUNTER_TOTAL, "strait_scan_file_bytes_total",
                "bytes of column files read by them", scans.file_bytes);
    counter_add(counters, COUNTER_TOTAL, "strait_audit_entries_total", "entries of the audit log",
                audit_head_get(services->statements->store).count);
}

enum err_code handle_status(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)header;
    (void)err;
    const struct operator_services *services = call->services;
    struct counters counters = {0};
    const bool operates =
        authorise(&call->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
    if (operates)
        counters_all(services, &counters);
    char key[PUBLIC_IDENTITY_TEXT_BYTES];
    char head[DIGEST_HEX_BYTES];
    struct audit_head audit = audit_head_get(services->statements->store);
    const struct operator_status status = {
        .region = span_text(services->region),
        .version = span_text(VERSION_TEXT),
        .key = span_text(public_identity_format(identity_public(services->identity), key)),
        .principal = span_text(call->principal.name),
        .uptime_ms = loop_now_ms() - services->started_ms,
        .audit_count = operates ? audit.count : 0,
        .audit_head = span_text(operates ? digest_hex(&audit.head, head) : ""),
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
