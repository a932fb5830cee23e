#include "node/channels.h"

#include <pthread.h>
#include <time.h>

#include "node/channel_keeping.h"
#include "node/log.h"
#include "proto/peer.h"
#include "store/catalog_commit.h"

#define RECORD_FORM      1
#define TELL_DEADLINE_MS 10000
#define DAY_MS           (UINT64_C(24) * 3600 * 1000)

struct channel {
    struct peer *peer;

    /* the lock's */
    uint64_t sequence; /* of the record; 0: none yet */
    bool damaged;      /* there is one that cannot be read */
    struct channel_schedule schedule;
    struct channel_status status; /* but region and schedule */
    uint64_t day;                 /* since 1970 */
    bool kept;                    /* status.bytes_today is in the store */

    /* the loop's */
    struct sample {
        uint64_t at_ms, bytes;
    } samples[CHANNELS_RATE_TICKS]; /* a ring */
    size_t sample_count;
    uint64_t received_bytes; /* of the link, counted so far */
    uint64_t looked_ms;
    struct channel_keeping keeping;
    uint64_t read_rate; /* of the bucket */
};

struct channels {
    struct channels_options options;
    pthread_mutex_t lock;
    struct loop_timer timer;
    bool stopped; /* the loop's */
    uint64_t kept_ms;
    /* the lock's; a channel's place is its peer's, and it stays where it is */
    struct channel **items;
    size_t count;
};

static size_t channels_places(struct channels *channels)
{
    pthread_mutex_lock(&channels->lock);
    size_t count = channels->count;
    pthread_mutex_unlock(&channels->lock);
    return count;
}

static struct channel *channel_at(struct channels *channels, size_t place)
{
    pthread_mutex_lock(&channels->lock);
    ASSERT(place < channels->count);
    struct channel *channel = channels->items[place];
    pthread_mutex_unlock(&channels->lock);
    return channel;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- records: 'c' region, in the catalog what was set, in the meter the bytes of a day ---- */

static void key_make(const struct channel *channel, struct bytes *out)
{
    bytes_clear(out);
    bytes_append_u8(out, 'c');
    bytes_append_span(out, span_text(channel->peer->region));
}

static enum err_code record_decode(struct span encoded, uint64_t *ret_sequence,
                                   struct channel_schedule *ret_schedule, struct err *err)
{
    struct reader reader = reader_of(encoded);
    uint8_t form = reader_u8(&reader);
    uint64_t sequence = reader_u64(&reader);
    if (!reader_ok(&reader) || form != RECORD_FORM || sequence == 0)
        return err_set(err, ERR_CORRUPT, "the record of a channel is damaged");
    TRY(schedule_decode(reader.left, ret_schedule, err));
    *ret_sequence = sequence;
    return ERR_OK;
}

static void record_encode(uint64_t sequence, const struct channel_schedule *schedule,
                          struct bytes *out)
{
    bytes_append_u8(out, RECORD_FORM);
    bytes_append_u64(out, sequence);
    schedule_encode(schedule, out);
}

static enum err_code schedule_load(struct channels *channels, struct channel *channel,
                                   struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found;
    struct err reason;
    key_make(channel, &key);
    TRY(catalog_find(channels->options.store, NULL, FAMILY_CATALOG, bytes_span(&key), &value,
                     &found, err));
    channel->damaged = found && record_decode(bytes_span(&value), &channel->sequence,
                                              &channel->schedule, &reason) != ERR_OK;
    if (channel->damaged)
        log_event(LOG_ERROR, "a channel's limit cannot be read: it has the default until it is set",
                  LOG_TEXT("region", channel->peer->region), LOG_TEXT("error", reason.message));
    return ERR_OK;
}

static enum err_code bytes_load(struct channels *channels, struct channel *channel, struct err *err)
{
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    bool found;
    key_make(channel, &key);
    TRY(catalog_find(channels->options.store, NULL, FAMILY_METER, bytes_span(&key), &value, &found,
                     err));
    channel->day = wall_ms() / DAY_MS;
    channel->kept = true;
    struct reader reader = reader_of(bytes_span(&value));
    uint64_t day = reader_u64(&reader);
    uint64_t bytes = reader_u64(&reader);
    if (found && reader_end(&reader) && day == channel->day)
        channel->status.bytes_today = bytes;
    return ERR_OK;
}

/* On a worker, or where no thread is left. */
static void bytes_keep(void *argument)
{
    struct channels *channels = argument;
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes value = {0};
    struct err err;
    size_t count = channels_places(channels);
    for (size_t i = 0; i < count; i++) {
        struct channel *channel = channel_at(channels, i);
        bytes_clear(&value);
        pthread_mutex_lock(&channels->lock);
        bool kept = channel->kept;
        channel->kept = true;
        bytes_append_u64(&value, channel->day);
        bytes_append_u64(&value, channel->status.bytes_today);
        pthread_mutex_unlock(&channels->lock);
        key_make(channel, &key);
        if (!kept)
            catalog_put(&change, FAMILY_METER, bytes_span(&key), bytes_span(&value));
    }
    if (change.bytes > 0 &&
        catalog_commit(channels->options.store, &change, CATALOG_KEEP_RESERVE, &err) != ERR_OK)
        log_error("the channels' bytes of today were not kept", &err);
}

/* ---- what holds ---- */

static void bucket_follow(struct channel *channel)
{
    uint64_t rate = keeping_read_rate(&channel->keeping);
    if (rate != channel->read_rate)
        bucket_set_rate(channel->peer->bucket, rate, pool_now_us());
    channel->read_rate = rate;
}

static void channel_apply(struct channels *channels, struct channel *channel, uint64_t now_ms)
{
    pthread_mutex_lock(&channels->lock);
    uint64_t bits = schedule_rate(&channel->schedule, now_ms);
    if (bits == 0)
        bits = BUCKET_DEFAULT_BITS_PER_SECOND;
    uint64_t before = channel->status.bits_per_second;
    channel->status.bits_per_second = bits;
    pthread_mutex_unlock(&channels->lock);
    if (bits == before)
        return;
    channel->peer->limit = bits / 8;
    keeping_limit(&channel->keeping, bits);
    bucket_follow(channel);
    if (before != 0 || bits != BUCKET_DEFAULT_BITS_PER_SECOND)
        log_event(LOG_INFO, "a channel's limit holds", LOG_TEXT("from", channel->peer->region),
                  LOG_NUMBER("bits_per_second", bits));
}

/* ---- what comes ---- */

static uint64_t rate_measure(struct channel *channel, uint64_t bytes)
{
    const uint64_t now_ms = loop_now_ms();
    size_t next = channel->sample_count % CHANNELS_RATE_TICKS;
    const struct sample oldest =
        channel->samples[channel->sample_count < CHANNELS_RATE_TICKS ? 0 : next];
    channel->samples[next] = (struct sample){now_ms, bytes};
    channel->sample_count++;
    bool measured = channel->sample_count > 1 && now_ms > oldest.at_ms;
    return measured ? (bytes - oldest.bytes) * 1000 / (now_ms - oldest.at_ms) : 0;
}

static void channel_count(struct channels *channels, struct channel *channel,
                          const struct link_status *link, uint64_t now_ms)
{
    uint64_t news = link->received_bytes - channel->received_bytes;
    channel->received_bytes = link->received_bytes;
    uint64_t rate = rate_measure(channel, link->received_bytes);
    uint64_t day = now_ms / DAY_MS;
    pthread_mutex_lock(&channels->lock);
    struct channel_status *status = &channel->status;
    if (day != channel->day)
        status->bytes_today = 0;
    channel->kept = channel->kept && news == 0 && day == channel->day;
    channel->day = day;
    status->bytes_today += news;
    status->bytes_per_second = rate;
    status->tasks = channel->peer->pulls;
    status->connected = link->connected;
    status->last_error = link->last_error;
    pthread_mutex_unlock(&channels->lock);
    const struct channel_seen seen = {news, loop_now_ms() - channel->looked_ms, rate};
    channel->looked_ms += seen.elapsed_ms;
    if (!keeping_sees(&channel->keeping, &seen))
        return;
    bucket_follow(channel);
    log_event(LOG_WARN, "a source sends more than it was told to: it is read slowly",
              LOG_TEXT("from", channel->peer->region), LOG_NUMBER("bytes_per_second", rate));
}

/* ---- what the source is told ---- */

struct telling {
    struct channels *channels;
    struct channel *channel;
    struct channel_told told;
};

static void told(void *argument)
{
    struct telling *telling = argument;
    keeping_told(&telling->channel->keeping, &telling->told);
    bucket_follow(telling->channel);
    mem_free(telling);
}

static void on_told(void *context, const struct link_reply *reply)
{
    struct telling *telling = context;
    telling->told.taken = reply->err.code == ERR_OK;
    telling->told.answered = telling->told.taken || reply->from_peer;
    if (!loop_post(telling->channels->options.loop, told, telling))
        mem_free(telling);
}

static void channel_tell(struct channels *channels, struct channel *channel,
                         const struct link_status *link)
{
    bool tells = keeping_tells(&channel->keeping, link->connected, link->boot_id);
    uint64_t bits = channel->keeping.bits;
    bucket_follow(channel);
    if (!tells)
        return;
    struct telling *telling = mem_calloc(1, sizeof(*telling));
    *telling = (struct telling){channels, channel, {.bits = bits}};
    memcpy(telling->told.boot, link->boot_id, sizeof(telling->told.boot));
    BYTES_CLEANUP struct bytes header = {0};
    peer_channel_encode(&(struct peer_channel){.bits_per_second = bits}, &header);
    link_post(channel->peer->link, &(struct link_request){.method = PEER_CHANNEL,
                                                          .header = bytes_span(&header),
                                                          .deadline_ms = TELL_DEADLINE_MS,
                                                          .on_reply = on_told,
                                                          .context = telling});
}

/* ---- the timer ---- */

static void channels_look(void *argument)
{
    struct channels *channels = argument;
    if (channels->stopped)
        return;
    uint64_t now_ms = wall_ms();
    size_t count = channels_places(channels);
    for (size_t i = 0; i < count; i++) {
        struct channel *channel = channel_at(channels, i);
        struct link_status link;
        link_status(channel->peer->link, &link);
        channel_apply(channels, channel, now_ms);
        channel_count(channels, channel, &link, now_ms);
        channel_tell(channels, channel, &link);
    }
}

static void on_timer(void *argument)
{
    struct channels *channels = argument;
    channels_look(channels);
    if (loop_now_ms() - channels->kept_ms >= CHANNELS_KEEP_MS) {
        channels->kept_ms = loop_now_ms();
        workers_post(channels->options.workers, bytes_keep, channels, NULL);
    }
    loop_timer_start(channels->options.loop, &channels->timer, CHANNELS_TICK_MS);
}

static void on_stop(void *argument)
{
    struct channels *channels = argument;
    channels->stopped = true;
    loop_timer_cancel(channels->options.loop, &channels->timer);
}

/* ---- life ---- */

static void channels_deinit(struct channels *channels)
{
    for (size_t i = 0; i < channels->count; i++)
        mem_free(channels->items[i]);
    pthread_mutex_destroy(&channels->lock);
    mem_free(channels->items);
    mem_free(channels);
}

enum err_code channels_add(struct channels *channels, struct peer *peer, struct err *err)
{
    if (peer->place < channels_places(channels))
        return ERR_OK; /* it was configured before */
    struct channel *channel = mem_calloc(1, sizeof(*channel));
    channel->peer = peer;
    channel->looked_ms = loop_now_ms();
    enum err_code code = schedule_load(channels, channel, err);
    if (code == ERR_OK)
        code = bytes_load(channels, channel, err);
    channel->damaged = channel->damaged || code != ERR_OK;
    pthread_mutex_lock(&channels->lock);
    ASSERT(peer->place == channels->count);
    channels->items = mem_realloc(channels->items, channels->count + 1, sizeof(struct channel *));
    channels->items[channels->count++] = channel;
    pthread_mutex_unlock(&channels->lock);
    return code;
}

enum err_code channels_open(const struct channels_options *options, struct channels **ret_channels,
                            struct err *err)
{
    struct channels *channels = mem_calloc(1, sizeof(*channels));
    channels->options = *options;
    channels->timer = (struct loop_timer){.run = on_timer, .argument = channels};
    channels->kept_ms = loop_now_ms();
    pthread_mutex_init(&channels->lock, NULL);
    enum err_code code = ERR_OK;
    size_t count = peers_places(options->peers);
    for (size_t i = 0; i < count && code == ERR_OK; i++)
        code = channels_add(channels, peers_at(options->peers, i), err);
    if (code != ERR_OK) {
        channels_deinit(channels);
        return code;
    }
    loop_call(options->loop, on_timer, channels);
    *ret_channels = channels;
    return ERR_OK;
}

void channels_stop(struct channels *channels)
{
    if (channels != NULL)
        loop_call(channels->options.loop, on_stop, channels);
}

void channels_free(struct channels *channels)
{
    if (channels == NULL)
        return;
    bytes_keep(channels);
    channels_deinit(channels);
}

/* ---- statements ---- */

static struct channel *channel_find(struct channels *channels, struct span region)
{
    const struct peer *peer = peers_find_region(channels->options.peers, region);
    return peer != NULL && peer->place < channels_places(channels)
               ? channel_at(channels, peer->place)
               : NULL;
}

static enum err_code record_replace(struct channels *channels, const struct channel *channel,
                                    uint64_t sequence, const struct channel_schedule *old,
                                    const struct channel_schedule *schedule,
                                    const struct change_note *note, struct err *err)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes key = {0};
    BYTES_CLEANUP struct bytes before = {0};
    BYTES_CLEANUP struct bytes after = {0};
    struct change_note with = *note;
    key_make(channel, &key);
    record_encode(sequence, old, &before);
    record_encode(sequence + 1, schedule, &after);
    if (sequence > 0)
        catalog_expect(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&before));
    else if (!channel->damaged)
        catalog_expect_absent(&change, FAMILY_CATALOG, bytes_span(&key));
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&after));
    with.also = &change;
    return outcome_remember(channels->options.store, &with, err);
}

enum err_code channels_alter(struct channels *channels, struct span region, channel_edit *edit,
                             void *context, const struct change_note *note, struct err *err)
{
    struct channel *channel = channel_find(channels, region);
    if (channel == NULL)
        return peers_unknown(channels->options.peers, region, err);
    pthread_mutex_lock(&channels->lock);
    uint64_t sequence = channel->sequence;
    const struct channel_schedule old = channel->schedule;
    pthread_mutex_unlock(&channels->lock);
    struct channel_schedule schedule = old;
    TRY(edit(context, &schedule, err));
    TRY(record_replace(channels, channel, sequence, &old, &schedule, note, err));
    pthread_mutex_lock(&channels->lock);
    if (channel->sequence < sequence + 1) { /* a later change may have come past this one */
        channel->sequence = sequence + 1;
        channel->schedule = schedule;
    }
    pthread_mutex_unlock(&channels->lock);
    loop_call(channels->options.loop, channels_look, channels);
    return ERR_OK;
}

size_t channels_count(struct channels *channels)
{
    return channels_places(channels);
}

bool channels_status(struct channels *channels, size_t i, struct channel_status *ret_status)
{
    struct channel *channel = channel_at(channels, i);
    if (!peer_configured(channel->peer))
        return false;
    pthread_mutex_lock(&channels->lock);
    *ret_status = channel->status;
    ret_status->schedule = channel->schedule;
    pthread_mutex_unlock(&channels->lock);
    ret_status->region = channel->peer->region;
    return true;
}
