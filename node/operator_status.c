/* status, peers: what this node is, does and reaches. */
#include "node/metrics.h"

/* Metrics are the region's operator's: they move with what every account does, so an account that watched
 * them would see others work. */
enum err_code handle_status(struct operator_call *call, struct bytes *header, struct bytes *body,
                            struct err *err)
{
    (void)header;
    (void)err;
    const struct operator_services *services = call->services;
    struct metric_list metrics METRIC_LIST_CLEANUP;
    metric_list_init(&metrics);
    const bool operates =
        authorise(&call->principal, ACTION_OPERATE, object_region(), NULL) == ERR_OK;
    if (operates)
        metrics_gather(services, &call->principal, &metrics);
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
        .counters = metrics.items,
        .counter_count = metrics.count,
    };
    operator_status_encode(&status, body);
    return ERR_OK;
}

enum err_code handle_peers(struct operator_call *call, struct bytes *header, struct bytes *body,
                           struct err *err)
{
    (void)header;
    (void)err;
    size_t count;
    MEM_CLEANUP struct peer **peers = peers_list(call->services->peers, &count);
    struct row {
        struct bytes addresses;
        char key[PUBLIC_IDENTITY_TEXT_BYTES];
    } *rows = mem_calloc(count + 1, sizeof(*rows));
    struct operator_peer *items = mem_calloc(count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const struct peer *peer = peers[i];
        const struct public_identity keys = peer_keys(peer);
        struct link_status status;
        link_status(peer->link, &status);
        peer_addresses(peer, &rows[i].addresses);
        items[i] = (struct operator_peer){
            .region = span_text(peer->region),
            .addresses = bytes_span(&rows[i].addresses),
            .key = span_text(public_identity_format(&keys, rows[i].key)),
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
