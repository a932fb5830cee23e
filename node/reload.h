/* The configuration read again, as SIGHUP asks for.
 *
 *     read ► check all of it ► tell each part what is new ► "reloaded"
 *
 * One table says of each setting whether a running node takes it up or a restart does; those that wait for one are
 * named in the log each time. Invariants: 1. a file that is not good changes nothing; the log says where and why.
 * 2. What is taken up is what --check would find good. 3. A setting that is as it was is not applied.
 *
 * A peer that is gone: its connections end, leases that it holds end (source_recheck), tasks that pull from it wait
 * and say why; they go on when it is back. Threads: the main thread alone, between node_start and node_stop.
 */
#ifndef NODE_RELOAD_H
#define NODE_RELOAD_H

#include "node/channels.h"
#include "node/expiry.h"
#include "node/limits.h"
#include "node/own_files.h"
#include "node/peers.h"
#include "node/principals.h"
#include "node/scrubber.h"
#include "node/task/xcopy_destination.h"
#include "node/task/xcopy_source.h"

/* Whom it tells; borrowed. */
struct reload_parts {
    const struct identity *identity;
    struct principals
        *principals; /* its on_drop ends connections of operators that are none any more */
    struct store *store;
    struct peers *peers;
    struct tasks *tasks;
    struct source *source;
    struct channels *channels;
    struct scrubber *scrubber;
    struct expiry *expiry;
    struct limits *limits;
    struct own_files *own;
    void (*on_clean_up_interval)(void *context, uint32_t interval_ms);
    void (*on_key_drop)(void *context, const struct noise_key *key); /* of a peer that it was */
    void *context;
};

/* What loads and queries may take by this configuration. */
struct limit_values reload_limits(const struct config *config);

/* `started`: as the node runs; borrowed. *taken: what was taken up last; replaced. Logs what it did. An error: the file is
 * not good, and nothing was taken up. */
enum err_code reload_run(const struct reload_parts *parts, const struct config *started,
                         struct config *taken, struct err *err);

/* Of a setting's name. */
enum reload_when { RELOAD_UNKNOWN, RELOAD_AT_ONCE, RELOAD_AT_RESTART };
enum reload_when reload_when(const char *setting);

#endif
