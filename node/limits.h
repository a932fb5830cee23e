/* What loads and queries may take, which a running node is told anew when its configuration is read again. Who
 * begins one asks once and keeps the answer: it goes by the limits that it began with.
 *
 * Not here: limits that one part of the node alone applies (tasks.h, expiry.h, scrubber.h, store.h: they are told).
 * Threads: any; one lock, a leaf, for as long as a copy takes.
 */
#ifndef NODE_LIMITS_H
#define NODE_LIMITS_H

#include <pthread.h>

#include "node/sql/select.h"

struct limit_values {
    size_t load_memory_bytes;
    struct select_limits select; /* of each query; SET may lower them */
};

struct limits {
    pthread_mutex_t lock;
    struct limit_values values;
};

#define LIMITS_OF(...)                                                                             \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .values = { __VA_ARGS__ }                               \
    }

struct limit_values limits_get(struct limits *limits);
void limits_set(struct limits *limits, const struct limit_values *values);

#endif
