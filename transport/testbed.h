/* For the tests of this folder: a serving node with a few methods, askers that wait, and a relay
 * that can stop or cut what goes through it.
 *
 * Callbacks record under the bed's lock; only the test's own thread asserts.
 */
#ifndef TRANSPORT_TESTBED_H
#define TRANSPORT_TESTBED_H

#include <pthread.h>

#include "transport/link.h"

enum testbed_method {
    METHOD_ECHO = 1,  /* header and body come back */
    METHOD_BYTES = 2, /* header u32 n, u32 parts: n bytes of testbed_pattern in that many parts */
    METHOD_FAIL = 3,  /* ERR_NOT_FOUND */
    METHOD_HOLD = 4,  /* kept until testbed_let_go */
};

#define TESTBED_HELD_MAX 64

struct testbed {
    struct pool_options times;
    struct pool *pool;
    struct identity *node;
    struct identity *asker;
    struct listener *listener;
    char address[32];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool asker_unknown; /* find() says no */
    struct bucket *bucket;
    unsigned handed_out;
    unsigned released; /* reply bodies */
    struct request *held[TESTBED_HELD_MAX];
    unsigned held_count;
    struct session last_session;
    unsigned refused_count; /* on_refused came; of the last: */
    char refused_name[LIMIT_PRINCIPAL_BYTES + 1];
    struct err refused;
};

void testbed_open(struct testbed *bed, const struct pool_options *times,
                  const struct listener_limits *limits);
void testbed_listen(struct testbed *bed, uint16_t port, const struct listener_limits *limits);
void testbed_close(struct testbed *bed);
struct link *testbed_link(struct testbed *bed, const char *address, uint32_t data_connections);
void testbed_wait_held(struct testbed *bed, unsigned count);
void testbed_wait_refused(struct testbed *bed, unsigned count);
/* Answers all that is held, with an empty reply. */
void testbed_let_go(struct testbed *bed);
uint8_t testbed_pattern(size_t at);
unsigned testbed_descriptors(void); /* open in this process */

/* A request whose end is waited for. */
struct asked {
    pthread_mutex_t lock;
    pthread_cond_t replied;
    unsigned replies; /* callbacks so far */
    struct err err;
    bool from_peer;
    struct bytes header;
    struct bytes body;
    size_t body_bytes;
    uint64_t wire_bytes;
};

void asked_post(struct asked *asked, struct link *link, const struct link_request *request);
void asked_wait(struct asked *asked);
void asked_deinit(struct asked *asked);

/* A TCP relay to a port of this machine. */
struct relay {
    int listen_fd;
    uint16_t to_port;
    pthread_t thread;
    char address[32];
    pthread_mutex_t lock;
    bool ending;
    bool deaf;          /* takes and gives nothing, connections stay open */
    int64_t bytes_back; /* that may still come back before all is cut; negative: no limit */
};

void relay_open(struct relay *relay, uint16_t to_port);
void relay_set(struct relay *relay, bool deaf, int64_t bytes_back);
void relay_close(struct relay *relay);

#endif
