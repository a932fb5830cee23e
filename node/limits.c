#include "node/limits.h"

struct limit_values limits_get(struct limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    struct limit_values values = limits->values;
    pthread_mutex_unlock(&limits->lock);
    return values;
}

void limits_set(struct limits *limits, const struct limit_values *values)
{
    pthread_mutex_lock(&limits->lock);
    limits->values = *values;
    pthread_mutex_unlock(&limits->lock);
}
