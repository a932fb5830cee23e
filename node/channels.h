/* The channels to this region, one from each other region: what ALTER CHANNEL set, applied, and what
 * comes over them, counted.
 *
 *     statement ─► channels_alter ─► catalog ─┐
 *     timer ─► what holds now (channel_schedule.h) ─► peer->bucket, peer->limit ─► told to the source
 *
 * A limit is kept at the source, which is told on its control connection (PEER_CHANNEL), by sending
 * later; and here by reading later, how much later channel_keeping.h decides.
 *
 * The clock may jump: what holds is looked up anew each CHANNELS_TICK_MS. "Today" is a day of UTC;
 * its bytes are kept in the store each CHANNELS_KEEP_MS and at the end, so that a crash loses that much.
 *
 * Threads: functions from any but the loop; the timer is the loop's; one lock, a leaf, guards what both see.
 */
#ifndef NODE_CHANNELS_H
#define NODE_CHANNELS_H

#include "node/channel_schedule.h"
#include "node/loop.h"
#include "node/peers.h"
#include "node/workers.h"
#include "store/project.h"

#define CHANNELS_TICK_MS    100
#define CHANNELS_KEEP_MS    30000
#define CHANNELS_RATE_TICKS 50 /* the current rate is that of so many */

struct channels;

struct channels_options { /* borrowed until channels_free */
    struct store *store;
    struct loop *loop;
    struct workers *workers; /* for the store */
    struct peers *peers;
};

/* A record that cannot be read counts as none, and is logged. */
enum err_code channels_open(const struct channels_options *options, struct channels **ret_channels,
                            struct err *err) MUST_USE;
/* Of a peer that was configured since; nothing for one that has a channel. In order of their places, by one thread.
 * An error: it is there all the same, and has the default limit until it is set. */
enum err_code channels_add(struct channels *channels, struct peer *peer, struct err *err) MUST_USE;
/* Before the links are closed. NULL is fine. */
void channels_stop(struct channels *channels);
/* After loop and workers have ended, before the store is closed. NULL is fine. */
void channels_free(struct channels *channels);

/* Changes a schedule; on an error it stays as it was. */
typedef enum err_code channel_edit(void *context, struct channel_schedule *schedule,
                                   struct err *err);
/* Durable on return; what holds by it is applied at once. ERR_PARAMETER: no such region; ERR_CONFLICT: somebody
 * else changed it meanwhile; the edit's own errors. */
enum err_code channels_alter(struct channels *channels, struct span region, channel_edit *edit,
                             void *context, const struct change_note *note,
                             struct err *err) MUST_USE;

struct channel_status {
    const char *region; /* the source */
    struct channel_schedule schedule;
    uint64_t bits_per_second;               /* that holds now */
    uint64_t bytes_per_second, bytes_today; /* sealed, received */
    size_t tasks;                           /* that run */
    bool connected;
    struct err last_error; /* ERR_OK: none since it last worked */
};

/* With those of peers that are configured no more. */
size_t channels_count(struct channels *channels);
/* As of the last tick. False: its peer is configured no more. */
bool channels_status(struct channels *channels, size_t i,
                     struct channel_status *ret_status) MUST_USE;

#endif
