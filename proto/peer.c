#include "proto/peer.h"

#include "peer.pb-c.h"
#include "proto/message.h"
#include "proto/token.h"

const char *peer_method_name(enum peer_method method)
{
    static const char *const names[] = {
        [PEER_DESCRIBE] = "describe",
        [PEER_GET_PAGES] = "get_pages",
        [PEER_GET_FILES] = "get_files",
        [PEER_RENEW] = "renew",
        [PEER_END] = "end",
        [PEER_RECEIPT] = "receipt",
        [PEER_WATCH] = "watch",
        [PEER_REPAIR] = "repair",
        [PEER_SETTLE] = "settle",
        [PEER_CHANNEL] = "channel",
    };
    return method >= PEER_DESCRIBE && method <= PEER_CHANNEL ? names[method] : "?";
}

/* ---- parts ---- */

/* A field of exactly this many bytes. */
/* Zero is written as nothing. */
static enum err_code take_digest(ProtobufCBinaryData data, bool may_be_zero,
                                 struct digest *ret_digest, struct err *err)
{
    *ret_digest = (struct digest){0};
    if (data.len == 0 && may_be_zero)
        return ERR_OK;
    return message_exact(data, "a digest", ret_digest->b, sizeof(ret_digest->b), err);
}

static enum err_code take_span(ProtobufCBinaryData data, size_t bytes_max, const char *what,
                               struct span *ret_span, struct err *err)
{
    if (data.len > bytes_max)
        return err_set(err, ERR_LIMIT, "%s has %zu bytes, at most %zu are taken", what, data.len,
                       bytes_max);
    *ret_span = message_span(data);
    return ERR_OK;
}

static void *take_array(struct arena *arena, size_t count, size_t bytes, struct err *err)
{
    void *array = arena_alloc(arena, count, bytes);
    if (array == NULL)
        err_set(err, ERR_LIMIT, "a message of %zu parts takes more memory than it may", count);
    return array;
}

static enum err_code take_name(ProtobufCBinaryData data, const char *what, struct span *ret_name,
                               struct err *err)
{
    struct span name;
    TRY(take_span(data, LIMIT_NAME_BYTES, what, &name, err));
    if (!span_is_utf8(name) || (name.len > 0 && memchr(name.data, 0, name.len) != NULL))
        return err_set(err, ERR_BAD_DATA, "%s is not text", what);
    *ret_name = name;
    return ERR_OK;
}

/* ---- describe ---- */

void peer_describe_encode(const struct peer_describe *describe, struct bytes *out)
{
    Strait__PeerDescribeRequest record = STRAIT__PEER_DESCRIBE_REQUEST__INIT;
    record.task = message_data(span_of(describe->task.b, sizeof(describe->task.b)));
    record.token = message_data(describe->token);
    record.snapshot = message_data(describe->snapshot);
    message_pack(&record.base, out);
}

enum err_code peer_describe_decode(struct span encoded, struct arena *arena,
                                   struct peer_describe *ret_describe, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_describe_request__descriptor, encoded, LIMIT_HEADER_BYTES,
                       arena, &message, err));
    const Strait__PeerDescribeRequest *record = (const Strait__PeerDescribeRequest *)message;
    struct peer_describe describe;
    TRY(message_exact(record->task, "a task id", describe.task.b, sizeof(describe.task.b), err));
    TRY(take_span(record->token, LIMIT_TOKEN_BYTES, "a token", &describe.token, err));
    TRY(take_name(record->snapshot, "a snapshot's name", &describe.snapshot, err));
    *ret_describe = describe;
    return ERR_OK;
}

void peer_described_encode(const struct peer_described *described, struct bytes *out)
{
    Strait__PeerDescribeReply record = STRAIT__PEER_DESCRIBE_REPLY__INIT;
    record.lease = message_data(digest_span(&described->lease.digest));
    record.version = message_data(described->version);
    record.claim = message_data(described->claim);
    record.maker = message_data(span_of(described->maker.b, sizeof(described->maker.b)));
    record.signature = message_data(span_of(described->signature, sizeof(described->signature)));
    record.row_count = described->row_count;
    record.byte_count = described->byte_count;
    record.partition_count = described->partition_count;
    message_pack(&record.base, out);
}

enum err_code peer_described_decode(struct span encoded, struct arena *arena,
                                    struct peer_described *ret_described, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_describe_reply__descriptor, encoded,
                       LIMIT_PEER_DESCRIBED_BYTES, arena, &message, err));
    const Strait__PeerDescribeReply *record = (const Strait__PeerDescribeReply *)message;
    struct peer_described described = {.row_count = record->row_count,
                                       .byte_count = record->byte_count,
                                       .partition_count = record->partition_count};
    TRY(take_digest(record->lease, false, &described.lease.digest, err));
    TRY(message_exact(record->maker, "a key", described.maker.b, sizeof(described.maker.b), err));
    TRY(message_exact(record->signature, "a signature", described.signature,
                      sizeof(described.signature), err));
    TRY(take_span(record->claim, LIMIT_PEER_SNAPSHOT_BYTES, "a snapshot's claim", &described.claim,
                  err));
    TRY(take_span(record->version, LIMIT_PEER_DESCRIBED_BYTES, "a version's record",
                  &described.version, err));
    *ret_described = described;
    return ERR_OK;
}

/* ---- under a lease ---- */

void peer_lease_encode(const struct peer_lease *lease, struct bytes *out)
{
    Strait__PeerLeaseRequest record = STRAIT__PEER_LEASE_REQUEST__INIT;
    record.lease = message_data(digest_span(&lease->lease.digest));
    record.receipt = message_data(lease->receipt);
    record.reply_bytes = lease->reply_bytes;
    message_pack(&record.base, out);
}

enum err_code peer_lease_decode(struct span encoded, struct arena *arena,
                                struct peer_lease *ret_lease, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_lease_request__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerLeaseRequest *record = (const Strait__PeerLeaseRequest *)message;
    struct peer_lease lease = {.reply_bytes = record->reply_bytes};
    TRY(take_digest(record->lease, false, &lease.lease.digest, err));
    TRY(take_span(record->receipt, RECEIPT_BYTES_MAX, "a receipt", &lease.receipt, err));
    *ret_lease = lease;
    return ERR_OK;
}

void peer_items_encode(const struct peer_item *items, size_t count, struct bytes *out)
{
    ASSERT(count <= LIMIT_REQUEST_ITEMS);
    Strait__PeerItem *records = mem_calloc(count, sizeof(*records));
    Strait__PeerItem **pointers = mem_calloc(count, sizeof(Strait__PeerItem *));
    for (size_t i = 0; i < count; i++) {
        strait__peer_item__init(&records[i]);
        records[i].key = message_data(items[i].key);
        records[i].digest = message_data(digest_span(&items[i].digest));
        records[i].tree = items[i].tree;
        records[i].level = items[i].level;
        records[i].column = items[i].column_id;
        pointers[i] = &records[i];
    }
    Strait__PeerItems record = STRAIT__PEER_ITEMS__INIT;
    record.n_items = count;
    record.items = pointers;
    message_pack(&record.base, out);
    mem_free(pointers);
    mem_free(records);
}

enum err_code peer_items_decode(struct span encoded, struct arena *arena,
                                struct peer_item **ret_items, size_t *ret_count, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_items__descriptor, encoded, LIMIT_PEER_ITEMS_BYTES, arena,
                       &message, err));
    const Strait__PeerItems *record = (const Strait__PeerItems *)message;
    if (record->n_items == 0 || record->n_items > LIMIT_REQUEST_ITEMS)
        return err_set(err, ERR_LIMIT, "%zu items in one request", record->n_items);
    struct peer_item *items = take_array(arena, record->n_items, sizeof(*items), err);
    if (items == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < record->n_items; i++) {
        const Strait__PeerItem *item = record->items[i];
        items[i] =
            (struct peer_item){.tree = item->tree, .level = item->level, .column_id = item->column};
        TRY(take_span(item->key, LIMIT_KEY_BYTES, "a key", &items[i].key, err));
        TRY(take_digest(item->digest, false, &items[i].digest, err));
    }
    *ret_items = items;
    *ret_count = record->n_items;
    return ERR_OK;
}

void peer_lengths_encode(const uint32_t *lengths, size_t count, struct bytes *out)
{
    BYTES_CLEANUP struct bytes packed = {0};
    for (size_t i = 0; i < count; i++)
        bytes_append_u32(&packed, lengths[i]);
    Strait__PeerLengths record = STRAIT__PEER_LENGTHS__INIT;
    record.lengths = message_data(bytes_span(&packed));
    message_pack(&record.base, out);
}

enum err_code peer_lengths_decode(struct span encoded, size_t count_max, uint32_t length_max,
                                  size_t body_bytes, struct arena *arena, uint32_t **ret_lengths,
                                  size_t *ret_count, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_lengths__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerLengths *record = (const Strait__PeerLengths *)message;
    size_t count = record->lengths.len / 4;
    if (record->lengths.len % 4 != 0 || count == 0 || count > count_max)
        return err_set(err, ERR_BAD_DATA, "a reply of %zu parts, %zu were asked for", count,
                       count_max);
    uint32_t *lengths = take_array(arena, count, sizeof(*lengths), err);
    if (lengths == NULL)
        return ERR_LIMIT;
    size_t left = body_bytes;
    for (size_t i = 0; i < count; i++) {
        lengths[i] = load_u32(record->lengths.data + 4 * i);
        if (lengths[i] == 0 || lengths[i] > length_max || lengths[i] > left)
            return err_set(err, ERR_BAD_DATA, "part %zu of a reply has %" PRIu32 " bytes", i,
                           lengths[i]);
        left -= lengths[i];
    }
    if (left != 0)
        return err_set(err, ERR_BAD_DATA, "a reply has %zu bytes beyond its parts", left);
    *ret_lengths = lengths;
    *ret_count = count;
    return ERR_OK;
}

/* ---- settle ---- */

/* X(name, and of the message) */
#define SETTLE_NUMBERS(X)                                                                          \
    X(day)                                                                                         \
    X(state)                                                                                       \
    X(wire_bytes)                                                                                  \
    X(page_bytes)                                                                                  \
    X(file_bytes)                                                                                  \
    X(kept_bytes)                                                                                  \
    X(saved_bytes)                                                                                 \
    X(newest_ms)

void peer_settle_encode(const struct peer_settle *settle, struct bytes *out)
{
    Strait__PeerSettle record = STRAIT__PEER_SETTLE__INIT;
    record.lease = message_data(digest_span(&settle->lease.digest));
#define X(name) record.name = settle->name;
    SETTLE_NUMBERS(X)
#undef X
    message_pack(&record.base, out);
}

enum err_code peer_settle_decode(struct span encoded, struct arena *arena,
                                 struct peer_settle *ret_settle, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_settle__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerSettle *record = (const Strait__PeerSettle *)message;
    struct peer_settle settle = {
#define X(name) .name = record->name,
        SETTLE_NUMBERS(X)
#undef X
    };
    TRY(take_digest(record->lease, false, &settle.lease.digest, err));
    *ret_settle = settle;
    return ERR_OK;
}

/* ---- watch ---- */

void peer_watch_encode(const struct peer_watch *watch, struct bytes *out)
{
    Strait__PeerWatch record = STRAIT__PEER_WATCH__INIT;
    record.token = message_data(watch->token);
    record.table = message_data(watch->table);
    record.after = watch->after;
    record.since_ms = watch->since_ms;
    record.wait_ms = watch->wait_ms;
    message_pack(&record.base, out);
}

enum err_code peer_watch_decode(struct span encoded, struct arena *arena,
                                struct peer_watch *ret_watch, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_watch__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerWatch *record = (const Strait__PeerWatch *)message;
    struct peer_watch watch = {
        .after = record->after, .since_ms = record->since_ms, .wait_ms = record->wait_ms};
    if (record->wait_ms > PEER_WATCH_WAIT_MAX_MS)
        return err_set(err, ERR_LIMIT, "a watch of %" PRIu32 " ms; at most %d", record->wait_ms,
                       PEER_WATCH_WAIT_MAX_MS);
    TRY(take_span(record->token, LIMIT_TOKEN_BYTES, "a token", &watch.token, err));
    TRY(take_name(record->table, "a table's name", &watch.table, err));
    if (watch.table.len == 0)
        return err_set(err, ERR_BAD_DATA, "a watch of no table");
    *ret_watch = watch;
    return ERR_OK;
}

void peer_watched_encode(const struct peer_watched *watched, struct bytes *out)
{
    ASSERT(watched->snapshot_count <= LIMIT_PEER_WATCHED);
    Strait__PeerWatchedSnapshot records[LIMIT_PEER_WATCHED];
    Strait__PeerWatchedSnapshot *pointers[LIMIT_PEER_WATCHED];
    for (size_t i = 0; i < watched->snapshot_count; i++) {
        const struct peer_watched_snapshot *snapshot = &watched->snapshots[i];
        strait__peer_watched_snapshot__init(&records[i]);
        records[i].name = message_data(snapshot->name);
        records[i].version = message_data(digest_span(&snapshot->version));
        records[i].number = snapshot->number;
        records[i].created_ms = snapshot->created_ms;
        pointers[i] = &records[i];
    }
    Strait__PeerWatched record = STRAIT__PEER_WATCHED__INIT;
    record.n_snapshots = watched->snapshot_count;
    record.snapshots = pointers;
    record.table = watched->table.n;
    record.newest_ms = watched->newest_ms;
    message_pack(&record.base, out);
}

static enum err_code take_watched(const Strait__PeerWatchedSnapshot *record, uint64_t after,
                                  struct peer_watched_snapshot *ret_snapshot, struct err *err)
{
    struct peer_watched_snapshot snapshot = {.number = record->number,
                                             .created_ms = record->created_ms};
    TRY(take_name(record->name, "a snapshot's name", &snapshot.name, err));
    TRY(take_digest(record->version, false, &snapshot.version, err));
    if (snapshot.name.len == 0 || snapshot.number <= after)
        return err_set(err, ERR_BAD_DATA, "snapshots that are not in order of their numbers");
    *ret_snapshot = snapshot;
    return ERR_OK;
}

enum err_code peer_watched_decode(struct span encoded, struct arena *arena,
                                  struct peer_watched *ret_watched, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_watched__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerWatched *record = (const Strait__PeerWatched *)message;
    struct peer_watched watched = {.snapshot_count = record->n_snapshots,
                                   .table = {record->table},
                                   .newest_ms = record->newest_ms};
    if (record->n_snapshots > LIMIT_PEER_WATCHED)
        return err_set(err, ERR_LIMIT, "%zu snapshots in one answer", record->n_snapshots);
    watched.snapshots =
        take_array(arena, watched.snapshot_count + 1, sizeof(*watched.snapshots), err);
    if (watched.snapshots == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < watched.snapshot_count; i++)
        TRY(take_watched(record->snapshots[i], i == 0 ? 0 : watched.snapshots[i - 1].number,
                         &watched.snapshots[i], err));
    *ret_watched = watched;
    return ERR_OK;
}

/* ---- channel ---- */

void peer_channel_encode(const struct peer_channel *channel, struct bytes *out)
{
    Strait__PeerChannel record = STRAIT__PEER_CHANNEL__INIT;
    record.bits_per_second = channel->bits_per_second;
    message_pack(&record.base, out);
}

enum err_code peer_channel_decode(struct span encoded, struct arena *arena,
                                  struct peer_channel *ret_channel, struct err *err)
{
    ProtobufCMessage *message;
    TRY(message_unpack(&strait__peer_channel__descriptor, encoded, LIMIT_HEADER_BYTES, arena,
                       &message, err));
    const Strait__PeerChannel *record = (const Strait__PeerChannel *)message;
    if (record->bits_per_second == 0)
        return err_set(err, ERR_BAD_DATA, "a channel's bandwidth of nothing");
    *ret_channel = (struct peer_channel){.bits_per_second = record->bits_per_second};
    return ERR_OK;
}
