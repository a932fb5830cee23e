/* A node for the client's tests: a real listener, with answers made up.
 *
 * Statements: "SELECT n" gives n rows in blocks of 10, "slow" is RUNNING twice before it is done,
 * "fail" FAILED, "task" RUNNING for ever with a task id, "INSERT ..." without one, "OK" and others nothing. Loads: columns id
 * BIGINT and note STRING; chunks are counted and their rows summed up.
 */
#ifndef NODE_CLIENT_FAKE_NODE_H
#define NODE_CLIENT_FAKE_NODE_H

#include "node/client/client_config.h"
#include "proto/operator.h"

struct fake_node;

enum fake_commit {
    FAKE_COMMIT_DONE,
    FAKE_COMMIT_RUNNING,
    FAKE_COMMIT_REFUSED, /* an error that says that there is no such load */
    FAKE_COMMIT_BUSY,    /* an error that says nothing of how the load ends */
    FAKE_COMMIT_SILENT,  /* done, and no answer while the node runs */
};

/* What happened; read it when nothing is under way. */
struct fake_seen {
    unsigned executes;
    char project[64];
    char settings[128]; /* k=v k=v */
    struct statement_id last_id;
    struct bytes token;  /* of the last XCOPY */
    struct bytes tokens; /* of the last schedule, each: u32 length, bytes */
    unsigned load_begins, chunks_taken, chunks_again, commits, aborts, closes;
    uint64_t rows;
    int64_t id_sum;
};

struct fake_node *
fake_node_start(struct client_config *ret_config); /* and a configuration for it */
void fake_node_stop(struct fake_node *node);
struct fake_seen *fake_node_seen(struct fake_node *node);
/* From now on the connection is closed instead of every n-th answer; 0: no longer. */
void fake_node_drop_every(struct fake_node *node, unsigned n);
void fake_node_commit_as(struct fake_node *node, enum fake_commit as);
/* The next request of this method is not answered: the client is sent SIGINT while it waits. */
void fake_node_interrupt_at(struct fake_node *node, enum operator_method method);

#endif
