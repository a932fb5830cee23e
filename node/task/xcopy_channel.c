#include "node/task/xcopy_channel.h"

#include "node/log.h"
#include "proto/peer.h"

void channel_request(struct peers *peers, struct request *request)
{
    struct peer_channel channel;
    struct err err;
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, LIMIT_HEADER_BYTES);
    if (peer_channel_decode(request_header(request), &arena, &channel, &err) != ERR_OK) {
        request_reply_error(request, &err);
        return;
    }
    struct peer *peer = peers_at(peers, request_session(request)->entry - 1);
    bucket_set_rate(peer->send_bucket, channel.bits_per_second, pool_now_us());
    log_event(LOG_INFO, "a peer said how fast it is to be sent to", LOG_TEXT("peer", peer->region),
              LOG_NUMBER("bits_per_second", channel.bits_per_second));
    request_reply(request, &(struct reply){0});
}
