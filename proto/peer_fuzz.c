/* All that a peer's bytes are decoded by: the first byte chooses. What decodes is encoded again and
 * must decode to the same bytes. */
#include "proto/peer.h"
#include "proto/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_items(struct span input, struct arena *arena)
{
    struct peer_item *items;
    size_t count;
    if (peer_items_decode(input, arena, &items, &count, NULL) != ERR_OK)
        return;
    BYTES_CLEANUP struct bytes again = {0};
    peer_items_encode(items, count, &again);
    ASSERT(peer_items_decode(bytes_span(&again), arena, &items, &count, NULL) != ERR_BAD_DATA);
}

static void fuzz_lengths(struct span input, struct arena *arena)
{
    uint32_t *lengths;
    size_t count;
    size_t body = input.len > 0 ? input.data[0] : 0;
    if (peer_lengths_decode(input, 64, 4096, body, arena, &lengths, &count, NULL) != ERR_OK)
        return;
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += lengths[i];
    ASSERT(sum == body && count <= 64);
}

static void fuzz_token(struct span input)
{
    struct token token;
    if (token_decode(input, &token, NULL) != ERR_OK)
        return;
    BYTES_CLEANUP struct bytes again = {0};
    ASSERT(token_encode(&token, &again, NULL) == ERR_OK);
    ASSERT(again.len + TOKEN_SIGNATURE_BYTES == input.len);
    ASSERT(memcmp(again.data, input.data, again.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span input = span_of(data + 1, size - 1);
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(2));
    struct peer_describe describe;
    struct peer_described described;
    struct peer_lease lease;
    struct peer_watch watch;
    struct peer_watched watched;
    struct peer_channel channel;
    struct peer_settle settle;
    struct receipt receipt;
    enum err_code ignored = ERR_OK;
    switch (data[0] % 11) {
    case 0:
        ignored = peer_describe_decode(input, &arena, &describe, NULL);
        break;
    case 1:
        ignored = peer_described_decode(input, &arena, &described, NULL);
        break;
    case 2:
        ignored = peer_lease_decode(input, &arena, &lease, NULL);
        break;
    case 3:
        fuzz_items(input, &arena);
        break;
    case 4:
        fuzz_lengths(input, &arena);
        break;
    case 5:
        ignored = peer_watch_decode(input, &arena, &watch, NULL);
        break;
    case 6:
        fuzz_token(input);
        break;
    case 10:
        ignored = peer_watched_decode(input, &arena, &watched, NULL);
        break;
    case 9:
        ignored = peer_settle_decode(input, &arena, &settle, NULL);
        break;
    case 8:
        ignored = peer_channel_decode(input, &arena, &channel, NULL);
        break;
    default:
        ignored = receipt_decode(input, &receipt, NULL);
        break;
    }
    (void)ignored;
    return 0;
}
