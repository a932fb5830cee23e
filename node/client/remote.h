/* The node that the client talks to: one link, requests and their answers.
 *
 *     remote_open -> remote_call ...                                 one after the other
 *                    remote_post, remote_post ... remote_wait ...    several in flight
 *                 -> remote_close
 *
 * Every request of proto/operator.h may be sent again under its ids and is then answered, not done
 * twice. So a lost connection, or a node that is busy, is nothing that the caller sees: the same
 * bytes go out again for up to REMOTE_RETRY_MS (or what remote_patience_set says). What fails in the end is told apart by remote_failure: the node said no, it
 * could not be reached (nothing was done), its answer was lost (it may have been done), or Ctrl-C.
 *
 * Threads: one caller; answers arrive on threads of the link.
 */
#ifndef NODE_CLIENT_REMOTE_H
#define NODE_CLIENT_REMOTE_H

#include "node/client/client_config.h"
#include "proto/operator.h"
#include "transport/identity.h"

#define REMOTE_RETRY_MS    10000
#define REMOTE_WORK_MS     60000
#define REMOTE_FAREWELL_MS 3000

enum remote_failure {
    REMOTE_FINE,
    REMOTE_REFUSED,     /* the node answered with an error */
    REMOTE_UNREACHABLE, /* nothing was sent */
    REMOTE_LOST,        /* sent, no answer */
    REMOTE_INTERRUPTED, /* Ctrl-C while waiting */
};

struct remote;
struct remote_call; /* one request in flight */

struct remote_answer {
    struct bytes header;
    struct bytes body;
};

/* Loads the key; dials nothing yet. ERR_CONFIG. Borrows the configuration until close. */
enum err_code remote_open(const struct client_config *config, struct remote **ret_remote,
                          struct err *err);
void remote_close(struct remote *remote); /* NULL too; ends what is in flight */

/* How long a request may take. Of a remote just opened: REMOTE_RETRY_MS, REMOTE_WORK_MS. */
struct remote_patience {
    uint32_t retry_ms; /* it is sent again so long; 0: not at all */
    uint32_t work_ms;  /* the node's time for it beside what it was told to wait, more than 0 */
};
void remote_patience_set(struct remote *remote, struct remote_patience patience);

/* Takes the memory of header and body (either may be NULL), which are empty afterwards. wait_ms:
 * what the request lets the node take beyond the time for working and travelling. */
struct remote_call *remote_post(struct remote *remote, enum operator_method method,
                                struct bytes *header, struct bytes *body, uint32_t wait_ms);
/* Waits for the answer and frees the call. answer's memory is used again; NULL: not wanted. */
enum err_code remote_wait(struct remote *remote, struct remote_call *call,
                          struct remote_answer *answer, struct err *err);
enum err_code remote_call(struct remote *remote, enum operator_method method, struct bytes *header,
                          struct bytes *body, uint32_t wait_ms, struct remote_answer *answer,
                          struct err *err);
/* Nobody waits for it any more. */
void remote_forget(struct remote *remote, struct remote_call *call);

/* Says something to which no answer is needed: waits at most REMOTE_FAREWELL_MS, Ctrl-C or not, and
 * leaves remote_failure as it is. Takes the header. */
void remote_farewell(struct remote *remote, enum operator_method method, struct bytes *header);
/* After Ctrl-C, one more question: the same wait. An answer that is an error: REMOTE_REFUSED. ERR_TIMEOUT, ERR_LOST: none
 * came, and remote_failure stays as it is, as it does where the answer is good. Takes the header. */
enum err_code remote_last_call(struct remote *remote, enum operator_method method,
                               struct bytes *header, struct remote_answer *answer, struct err *err);

/* For what is done between two waits: ERR_CANCELLED, REMOTE_INTERRUPTED, when Ctrl-C has come. */
enum err_code remote_interrupt_check(struct remote *remote, struct err *err);

/* Why the last remote_wait failed. */
enum remote_failure remote_failure(const struct remote *remote);

const struct identity *remote_identity(const struct remote *remote); /* ours */
const struct public_identity *remote_node_key(const struct remote *remote);

void remote_answer_deinit(struct remote_answer *answer);
#define REMOTE_ANSWER_CLEANUP __attribute__((cleanup(remote_answer_deinit)))

#endif
