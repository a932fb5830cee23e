#include "node/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/channels.h"
#include "node/cleanup.h"
#include "node/metrics_replicas.h"
#include "node/scrubber.h"
#include "node/sql/resources.h"
#include "node/table_source.h"
#include "store/damage.h"

/* ---- parts ---- */

static void listeners_count(const struct operator_services *services, struct metric_list *list)
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
    metric_add(list, COUNTER_GAUGE, "strait_connections", "authenticated connections", connections);
    metric_add(list, COUNTER_TOTAL, "strait_accepted_total", "connections accepted", accepted);
    metric_add(list, COUNTER_TOTAL, "strait_refused_total",
               "connections refused by a limit or in the handshake", refused);
    metric_add(list, COUNTER_TOTAL, "strait_requests_total", "requests handed out", requests);
    metric_add(list, COUNTER_TOTAL, "strait_listener_received_bytes_total",
               "sealed bytes received by the listeners", received);
    metric_add(list, COUNTER_TOTAL, "strait_listener_sent_bytes_total",
               "sealed bytes sent by the listeners", sent);
}

static void links_count(const struct operator_services *services, struct metric_list *list)
{
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t connected = 0;
    for (size_t i = 0; i < peers_places(services->peers); i++) {
        struct link_status status;
        link_status(peers_at(services->peers, i)->link, &status);
        received += status.received_bytes;
        sent += status.sent_bytes;
        connected += status.connected;
    }
    metric_add(list, COUNTER_GAUGE, "strait_peers_connected", "peers reached now", connected);
    metric_add(list, COUNTER_TOTAL, "strait_link_received_bytes_total",
               "sealed bytes received from peers that this node asked", received);
    metric_add(list, COUNTER_TOTAL, "strait_link_sent_bytes_total",
               "sealed bytes sent to peers that this node asked", sent);
}

static void store_count(const struct statement_services *services, struct metric_list *list)
{
    struct store_usage usage;
    struct cleanup_status cleanup;
    store_usage_get(services->store, &usage);
    cleanup_status_get(services->cleanup, &cleanup);
    metric_add(list, COUNTER_GAUGE, "strait_disk_reserve_bytes",
               "what new data leaves free of the disk", store_disk_reserve_bytes(services->store));
    metric_add(list, COUNTER_GAUGE, "strait_packs", "live packs", usage.pack_count);
    metric_add(list, COUNTER_GAUGE, "strait_pack_bytes", "bytes of live packs", usage.pack_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_pack_live_bytes", "indexed bytes in live packs",
               usage.pack_live_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_pack_dead_bytes",
               "bytes in live packs that clean-up has found dead and not given back",
               usage.pack_bytes - usage.pack_live_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_small_bytes", "bytes in the nursery",
               usage.small_bytes);
    metric_add(list, COUNTER_GAUGE, "strait_commit_lock_held_us_max",
               "longest step that content commits waited for, in microseconds", usage.lock_us_max);
    metric_add(list, COUNTER_TOTAL, "strait_collections_total", "clean-ups begun",
               usage.collection);
    metric_add(list, COUNTER_GAUGE, "strait_cleanup_last_ms",
               "end of the last clean-up that did not fail, or the start; ms since 1970",
               cleanup.last_ms);
    metric_add(list, COUNTER_TOTAL, "strait_cleanup_deleted_bytes_total",
               "bytes of column files deleted", cleanup.deleted_bytes_total);
    metric_add(list, COUNTER_TOTAL, "strait_cleanup_copied_bytes_total",
               "bytes of column files copied out of thin packs", cleanup.copied_bytes_total);
    metric_add(list, COUNTER_GAUGE, "strait_cleanup_skipped_packs",
               "thin packs that the last clean-up had no room to copy",
               cleanup.last.repack.packs_skipped);
}

static void counters_all(const struct operator_services *services, struct metric_list *list)
{
    listeners_count(services, list);
    links_count(services, list);
    metric_add(list, COUNTER_GAUGE, "strait_statements", "statements and open results",
               runs_count(services->runs));
    metric_add(list, COUNTER_GAUGE, "strait_loads", "loads under way",
               loads_count(services->loads));
    metric_add(list, COUNTER_GAUGE, "strait_tasks", "replication tasks that have not ended",
               tasks_active(services->statements->tasks));
    struct tasks_traffic traffic = tasks_traffic_get(services->statements->tasks);
    metric_add(list, COUNTER_TOTAL, "strait_xcopy_page_bytes_received_total",
               "bytes of manifest pages pulled from peers", traffic.page_bytes);
    metric_add(list, COUNTER_TOTAL, "strait_xcopy_file_bytes_received_total",
               "bytes of column files pulled from peers", traffic.file_bytes);
    metric_add(list, COUNTER_TOTAL, "strait_xcopy_file_bytes_served_total",
               "bytes of column files that peers pulled from here",
               source_file_bytes(services->source));
    metric_add(list, COUNTER_GAUGE, "strait_leases", "leases that peers hold here",
               source_leases(services->source));
    metric_add(list, COUNTER_GAUGE, "strait_jobs_waiting", "jobs that wait for a worker",
               workers_waiting(services->workers));
    store_count(services->statements, list);
    struct scrubber_totals scrubbed = scrubber_totals_get(services->statements->scrubber);
    metric_add(list, COUNTER_GAUGE, "strait_damaged_items",
               "files and pages that are damaged and not repaired; SCRUB tells what they hurt",
               damage_count(services->statements->store));
    metric_add(list, COUNTER_GAUGE, "strait_damaged_records",
               "records that the last scrub could not read", scrubbed.faults);
    metric_add(list, COUNTER_TOTAL, "strait_scrub_bytes_total",
               "bytes of column files read again and hashed", scrubbed.bytes);
    const struct table_scan_totals scans = table_scan_totals();
    metric_add(list, COUNTER_GAUGE, "strait_pinned_versions",
               "tables and snapshots that queries and downloads read", scans.sources_open);
    metric_add(list, COUNTER_GAUGE, "strait_select_memory_bytes",
               "memory reserved by queries; select_memory_total is its limit",
               (uint64_t)resources_memory_total());
    metric_add(list, COUNTER_GAUGE, "strait_select_temp_bytes", "temporary files of queries",
               (uint64_t)resources_temp_total());
    metric_add(list, COUNTER_TOTAL, "strait_scan_row_groups_total",
               "row groups read by queries and downloads that ended", scans.row_groups);
    metric_add(list, COUNTER_TOTAL, "strait_scan_file_bytes_total",
               "bytes of column files read by them", scans.file_bytes);
    metric_add(list, COUNTER_TOTAL, "strait_audit_entries_total", "entries of the audit log",
               audit_head_get(services->statements->store).count);
}

/* ---- errors ---- */

static void errors_count(const uint64_t counts[ERR_CODE_COUNT], struct metric_list *list)
{
    for (size_t code = ERR_OK + 1; code < ERR_CODE_COUNT; code++)
        metric_labelled(list, counts[code],
                        METRIC_LABELS({"code", span_text(err_odps((enum err_code)code))},
                                      {"name", span_text(err_name((enum err_code)code))}));
}

static void counts_read(const struct err_counts *counts, uint64_t ret_counts[ERR_CODE_COUNT])
{
    for (size_t code = 0; code < ERR_CODE_COUNT; code++)
        ret_counts[code] = atomic_load_explicit(&counts->of[code], memory_order_relaxed);
}

static void refusals_count(const struct operator_services *services, enum listener_kind kind,
                           struct metric_list *list)
{
    uint64_t counts[ERR_CODE_COUNT] = {0};
    size_t listeners = atomic_load(&services->listener_count);
    for (size_t i = 0; i < listeners; i++) {
        struct listener_status status;
        listener_status(services->listeners[i], &status);
        for (size_t code = 0; code < ERR_CODE_COUNT && status.kind == kind; code++)
            counts[code] += status.errors[code];
    }
    errors_count(counts, list);
}

static void all_errors_count(const struct operator_services *services, struct metric_list *list)
{
    uint64_t counts[ERR_CODE_COUNT];
    counts_read(services->statements->errors, counts);
    metric_family(list, COUNTER_TOTAL, "strait_statement_errors_total",
                  "statements that failed, of clients and of schedules");
    errors_count(counts, list);
    counts_read(tasks_errors(services->statements->tasks), counts);
    metric_family(list, COUNTER_TOTAL, "strait_task_errors_total",
                  "copies and repairs that failed");
    errors_count(counts, list);
    metric_family(list, COUNTER_TOTAL, "strait_peer_request_errors_total",
                  "requests of peers that were answered with an error");
    refusals_count(services, LISTENER_PEERS, list);
    metric_family(list, COUNTER_TOTAL, "strait_operator_request_errors_total",
                  "requests of clients that were answered with an error; failed statements have "
                  "their own");
    refusals_count(services, LISTENER_OPERATORS, list);
}

/* ---- tasks, by peer ---- */

static void states_count(const struct tasks_of_peer *of, struct span region, bool ended,
                         struct metric_list *list)
{
    for (size_t state = ended ? TASK_DONE : TASK_QUEUED; state < TASK_STATES; state++)
        metric_labelled(
            list, ended ? of->ended[state] : of->now[state],
            METRIC_LABELS({"peer", region},
                          {"state", span_text(task_state_name((enum task_state)state))}));
}

static void tasks_count(const struct operator_services *services, struct metric_list *list)
{
    struct tasks_of_peer all[TASKS_PEERS_MAX + 1];
    tasks_by_peer(services->statements->tasks, all);
    size_t count = peers_places(services->peers);
    size_t shown = count < METRICS_PEERS_MAX ? count : METRICS_PEERS_MAX;
    metric_family(
        list, COUNTER_GAUGE, "strait_tasks_listed",
        "copies and repairs from a peer, by state; ended ones as long as they are listed. "
        "Peer \"\": regions that were not configured since the start, or beyond the first 100");
    for (size_t i = 0; i < shown; i++)
        states_count(&all[i], span_text(peers_at(services->peers, i)->region), false, list);
    states_count(&all[TASKS_PEERS_MAX], span_text(""), false, list);
    metric_family(list, COUNTER_TOTAL, "strait_tasks_ended_total",
                  "copies and repairs from a peer that ended");
    for (size_t i = 0; i < shown; i++)
        states_count(&all[i], span_text(peers_at(services->peers, i)->region), true, list);
    uint64_t now_ms = statement_now_ms();
    metric_family(list, COUNTER_GAUGE, "strait_xcopy_last_success_age_seconds",
                  "since the last copy from the peer that was DONE; absent where none is known");
    for (size_t i = 0; i < shown; i++) {
        const struct peer *peer = peers_at(services->peers, i);
        if (all[i].done_ms > 0 && peer_configured(peer))
            metric_labelled(list, now_ms > all[i].done_ms ? (now_ms - all[i].done_ms) / 1000 : 0,
                            METRIC_LABELS({"peer", span_text(peer->region)}));
    }
}

/* ---- peers, channels ---- */

static void peers_bytes_count(const struct operator_services *services, size_t shown,
                              struct metric_list *list)
{
    metric_family(
        list, COUNTER_TOTAL, "strait_peer_bytes_total",
        "sealed bytes of a channel: received from the peer as this node asked, sent as the "
        "peer asked");
    for (size_t i = 0; i < shown; i++) {
        const struct peer *peer = peers_at(services->peers, i);
        struct link_status link;
        link_status(peer->link, &link);
        metric_labelled(
            list, link.received_bytes,
            METRIC_LABELS({"peer", span_text(peer->region)}, {"direction", span_text("received")}));
        metric_labelled(
            list, bucket_bytes_total(peer->send_bucket),
            METRIC_LABELS({"peer", span_text(peer->region)}, {"direction", span_text("sent")}));
    }
    metric_family(list, COUNTER_GAUGE, "strait_peer_connected",
                  "1: this node reaches the peer; 0: not now, or it has nothing to ask");
    for (size_t i = 0; i < shown; i++) {
        const struct peer *peer = peers_at(services->peers, i);
        struct link_status link;
        if (!peer_configured(peer))
            continue;
        link_status(peer->link, &link);
        metric_labelled(list, link.connected, METRIC_LABELS({"peer", span_text(peer->region)}));
    }
}

static void channels_count_all(const struct operator_services *services, struct metric_list *list)
{
    struct channels *channels = services->statements->channels;
    size_t count = channels_count(channels);
    size_t shown = count < METRICS_PEERS_MAX ? count : METRICS_PEERS_MAX;
    struct channel_status status;
    metric_family(list, COUNTER_GAUGE, "strait_channel_bytes_per_second",
                  "sealed bytes that come from the peer now: the mean of five seconds");
    for (size_t i = 0; i < shown; i++)
        if (channels_status(channels, i, &status))
            metric_labelled(list, status.bytes_per_second,
                            METRIC_LABELS({"peer", span_text(status.region)}));
    metric_family(list, COUNTER_GAUGE, "strait_channel_limit_bytes_per_second",
                  "what may come from the peer now");
    for (size_t i = 0; i < shown; i++)
        if (channels_status(channels, i, &status))
            metric_labelled(list, status.bits_per_second / 8,
                            METRIC_LABELS({"peer", span_text(status.region)}));
    peers_bytes_count(services, shown, list);
}

/* ---- the process ---- */

static uint64_t resident_bytes(void)
{
    char line[128] = "", *at = line; /* pages: of all, in memory, ... */
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fgets(line, sizeof(line), file) != NULL)
        (void)strtoull(line, &at, 10);
    if (file != NULL)
        fclose(file);
    return strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Without the one that reads them. */
static uint64_t descriptors_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", "..", the folder's own */
}

static void process_count(const struct operator_services *services, struct metric_list *list)
{
    struct rlimit limit = {0};
    struct rusage usage = {0};
    uint64_t up_ms = loop_now_ms() - services->started_ms, now_ms = statement_now_ms();
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    (void)getrusage(RUSAGE_SELF, &usage);
    metric_family(list, COUNTER_GAUGE, "strait_build_info", "always 1");
    metric_labelled(list, 1,
                    METRIC_LABELS({"version", span_text(VERSION_TEXT)},
                                  {"region", span_text(services->region)}));
    metric_add(list, COUNTER_GAUGE, "process_start_time_seconds", "since 1970",
               now_ms > up_ms ? (now_ms - up_ms) / 1000 : 0);
    metric_add(list, COUNTER_TOTAL, "process_cpu_seconds_total", "whole seconds, user and system",
               (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec));
    metric_add(list, COUNTER_GAUGE, "process_resident_memory_bytes", "memory that is in use",
               resident_bytes());
    metric_add(list, COUNTER_GAUGE, "process_open_fds", "descriptors that are open",
               descriptors_open());
    metric_add(list, COUNTER_GAUGE, "process_max_fds", "descriptors that may be open",
               (uint64_t)limit.rlim_cur);
}

/* ---- all ---- */

void metrics_gather(const struct operator_services *services, const struct principal *principal,
                    struct metric_list *list)
{
    process_count(services, list);
    counters_all(services, list);
    channels_count_all(services, list);
    tasks_count(services, list);
    all_errors_count(services, list);
    replica_look_ask(services->looks);
    struct replica_look *look = replica_look_take(services->looks);
    if (look != NULL)
        metrics_of_look(services->statements, look, principal, list);
    replica_look_give(services->looks, look);
    metric_list_end(list);
}
