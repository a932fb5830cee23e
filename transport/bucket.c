#include "transport/bucket.h"

#include <pthread.h>

#include "proto/bytes.h"

#define BURST_US 20000 /* of the rate may go at once after a pause */

struct bucket {
    pthread_mutex_t lock;
    uint64_t bits_per_second;
    /* When what was reserved will have gone at the present rate; below now - BURST_US it is now -
     * BURST_US: unused time is not saved up. In nanoseconds, for rates where a record takes less
     * than a microsecond. */
    uint64_t busy_until_ns;
    uint64_t bytes_total;
    unsigned refs;
};

static uint64_t rate_clamp(uint64_t bits_per_second)
{
    if (bits_per_second == 0)
        return BUCKET_DEFAULT_BITS_PER_SECOND;
    if (bits_per_second < BUCKET_MIN_BITS_PER_SECOND)
        return BUCKET_MIN_BITS_PER_SECOND;
    return bits_per_second;
}

struct bucket *bucket_new(uint64_t bits_per_second)
{
    struct bucket *bucket = mem_calloc(1, sizeof(*bucket));
    pthread_mutex_init(&bucket->lock, NULL);
    bucket->bits_per_second = rate_clamp(bits_per_second);
    bucket->refs = 1;
    return bucket;
}

struct bucket *bucket_ref(struct bucket *bucket)
{
    if (bucket != NULL) {
        pthread_mutex_lock(&bucket->lock);
        bucket->refs++;
        pthread_mutex_unlock(&bucket->lock);
    }
    return bucket;
}

void bucket_unref(struct bucket *bucket)
{
    if (bucket == NULL)
        return;
    pthread_mutex_lock(&bucket->lock);
    bool last = --bucket->refs == 0;
    pthread_mutex_unlock(&bucket->lock);
    if (last) {
        pthread_mutex_destroy(&bucket->lock);
        mem_free(bucket);
    }
}

void bucket_set_rate(struct bucket *bucket, uint64_t bits_per_second)
{
    pthread_mutex_lock(&bucket->lock);
    bucket->bits_per_second = rate_clamp(bits_per_second);
    pthread_mutex_unlock(&bucket->lock);
}

uint64_t bucket_rate(struct bucket *bucket)
{
    pthread_mutex_lock(&bucket->lock);
    uint64_t rate = bucket->bits_per_second;
    pthread_mutex_unlock(&bucket->lock);
    return rate;
}

uint64_t bucket_bytes_total(struct bucket *bucket)
{
    pthread_mutex_lock(&bucket->lock);
    uint64_t total = bucket->bytes_total;
    pthread_mutex_unlock(&bucket->lock);
    return total;
}

uint64_t bucket_reserve(struct bucket *bucket, uint64_t bytes, uint64_t now_us)
{
    if (bucket == NULL)
        return 0;
    uint64_t now_ns = now_us * 1000;
    uint64_t floor_ns = now_ns > BURST_US * UINT64_C(1000) ? now_ns - BURST_US * UINT64_C(1000) : 0;
    pthread_mutex_lock(&bucket->lock);
    uint64_t start_ns = bucket->busy_until_ns < floor_ns ? floor_ns : bucket->busy_until_ns;
    double duration_ns = (double)bytes * 8e9 / (double)bucket->bits_per_second;
    bucket->busy_until_ns = start_ns + (uint64_t)duration_ns;
    bucket->bytes_total += bytes;
    uint64_t wait_us = start_ns > now_ns ? (start_ns - now_ns) / 1000 : 0;
    pthread_mutex_unlock(&bucket->lock);
    return wait_us;
}
