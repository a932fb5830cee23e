/* How much one pull asks for at once: its share of its peer's window (window.h). On the loop; what a
 * reply may hold and how requests are made up belongs to the walk. */
#include "node/task/xcopy_pull.h"

/* The peer's window is measured on all that it sends and shared evenly by the pulls that run. */
static void window_share(struct pull *pull)
{
    struct peer *peer = pull->peer;
    const struct window *window = &peer->window;
    size_t bytes = window->bytes / peer->pulls;
    size_t batch_bytes = window->batch_bytes;
    size_t requests = 2 * bytes / batch_bytes;
    if (requests < WINDOW_REQUESTS_MIN)
        requests = WINDOW_REQUESTS_MIN;
    walk_set_window(&pull->machine.walk, bytes, batch_bytes, requests);
}

void pull_window_update(struct pull *pull)
{
    struct peer *peer = pull->peer;
    if (!pull->counted || pull->options->walk.window_bytes > 0)
        return;
    struct link_status status;
    link_status(peer->link, &status);
    const struct window_event event = {.now_us = pool_now_us(),
                                       .received_bytes = status.received_bytes,
                                       .round_trip_us = status.round_trip_us,
                                       .reply_bytes = walk_reply_bytes(&pull->machine.walk),
                                       .limited = walk_wants_window(&pull->machine.walk),
                                       .limit = peer->limit};
    uint32_t connections = peer->window.connections;
    window_step(&peer->window, &event);
    if (peer->window.connections != connections)
        link_set_data_connections(peer->link, peer->window.connections);
    link_set_depth(peer->link, peer->window.depth);
    window_share(pull);
}

void pull_count(struct pull *pull, bool runs)
{
    if (pull->peer == NULL || pull->peer->link == NULL || pull->counted == runs)
        return;
    pull->counted = runs;
    if (runs)
        pull->peer->pulls++;
    else
        pull->peer->pulls--;
}

void pull_dial_early(struct pull *pull, uint64_t bytes)
{
    struct peer *peer = pull->peer;
    if (peer == NULL || peer->link == NULL || pull->options->walk.window_bytes > 0)
        return;
    uint64_t most = WINDOW_CONNECTIONS_EARLY + bytes / WINDOW_CONNECTION_BYTES;
    uint32_t early = peer->window.connections_early;
    link_dial_early(peer->link, early < most ? early : (uint32_t)most);
}
