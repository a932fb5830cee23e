/* This node as a source: answers the requests of peers (proto/peer.h) under leases.
 *
 *     listener of peers --source_find, source_on_request--> decode -> rights -> lease machine -> serve
 *
 * Pages and files are served by place: down from the lease's root by key; the digest that stands
 * there must be the one named; only then is the file index asked.
 *
 * Threads: the lease machine belongs to the loop; reading and rights run on the workers; requests
 * come in on link workers. Order of the end: listener_close, workers_stop, loop_stop, source_free.
 */
#ifndef NODE_TASK_XCOPY_SOURCE_H
#define NODE_TASK_XCOPY_SOURCE_H

#include "node/auditor.h"
#include "node/loop.h"
#include "node/peers.h"
#include "node/task/lease.h"
#include "node/task/xcopy_rights.h"
#include "node/workers.h"
#include "transport/listener.h"

struct source;

struct source_options { /* all borrowed until source_free */
    struct store *store;
    struct loop *loop;
    struct workers *workers, *commits; /* commits: what waits for the disk */
    struct peers *peers;
    const struct principals *principals;
    const struct identity *identity;
    const char *region;
    struct auditor *auditor;
    bool gates;         /* of the configuration */
    bool clock_doubted; /* at the start: then no use of a token is forgotten */
};

/* Leases of before a restart get a full period. */
enum err_code source_open(const struct source_options *options, struct source **ret_source,
                          struct err *err);
/* First half of stopping: who waits here for a snapshot is told. NULL is fine. Not on the loop. */
void source_stop(struct source *source);
void source_free(struct source *source); /* NULL is fine */

/* struct listener_handler of the peers' listener; context is the source. */
bool source_find(void *context, const struct noise_key *key, struct session *session);
void source_on_request(void *context, struct request *request);

/* A right, a key, a gate or a token may have gone: leases that stood on it end at once, and their
 * peers are told why when they describe again. Any thread; does not wait. */
void source_recheck(struct source *source);
/* A snapshot was made here, and its commit is durable: whoever waits for it is told. Any thread; does not
 * wait. */
void source_snapshot_made(struct source *source);
size_t source_watches(struct source *source); /* that wait; any thread */
size_t source_leases(struct source *source);  /* alive; any thread */
/* Bytes of column files in replies since the start, before sealing. Any thread. */
uint64_t source_file_bytes(struct source *source);

#endif
