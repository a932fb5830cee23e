#include "transport/bucket.h"

#include <pthread.h>

#include "proto/bytes.h"

/* Of the rate, may go at once after a pause. A sender or reader that has to wait for its disk or for a
 * processor makes up for so much; 10 s hold at most 2 percent more by it, beside what framing is out. */
#define BURST_US  200000
#define CHANGE_US 250000 /* of a new rate: what was taken before it is paid for by then */

struct bucket {
    pthread_mutex_t lock;
    uint64_t bits_per_second;
    uint64_t bytes_total;
    uint64_t tickets; /* bytes taken so far, framing included: the next ticket */
    /* Of these, what has not gone at at_us. Down to minus what BURST_US bring: unused time is not
     * saved up beyond that. */
    double owed_bytes;
    uint64_t at_us;
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

static double bytes_in(const struct bucket *bucket, uint64_t us)
{
    return (double)bucket->bits_per_second * (double)us / 8e6;
}

static void saved_clamp_locked(struct bucket *bucket)
{
    if (bucket->owed_bytes < -bytes_in(bucket, BURST_US))
        bucket->owed_bytes = -bytes_in(bucket, BURST_US);
}

/* Lets go what has gone by now. Clocks of two threads may be read in one order and come in another. */
static void bucket_settle_locked(struct bucket *bucket, uint64_t now_us)
{
    if (now_us <= bucket->at_us)
        return;
    bucket->owed_bytes -= bytes_in(bucket, now_us - bucket->at_us);
    bucket->at_us = now_us;
    saved_clamp_locked(bucket);
}

void bucket_set_rate(struct bucket *bucket, uint64_t bits_per_second, uint64_t now_us)
{
    pthread_mutex_lock(&bucket->lock);
    bucket_settle_locked(bucket, now_us);
    bucket->bits_per_second = rate_clamp(bits_per_second);
    if (bucket->owed_bytes > bytes_in(bucket, CHANGE_US))
        bucket->owed_bytes = bytes_in(bucket, CHANGE_US);
    saved_clamp_locked(bucket);
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

uint64_t bucket_take(struct bucket *bucket, uint64_t bytes, uint64_t now_us)
{
    if (bucket == NULL)
        return 0;
    uint64_t framed = bytes + bytes * BUCKET_FRAMING_PERCENT / 100;
    pthread_mutex_lock(&bucket->lock);
    bucket_settle_locked(bucket, now_us);
    uint64_t ticket = bucket->tickets;
    bucket->tickets += framed;
    bucket->owed_bytes += (double)framed;
    bucket->bytes_total += bytes;
    pthread_mutex_unlock(&bucket->lock);
    return ticket;
}

uint64_t bucket_wait_us(struct bucket *bucket, uint64_t ticket, uint64_t now_us)
{
    if (bucket == NULL)
        return 0;
    pthread_mutex_lock(&bucket->lock);
    bucket_settle_locked(bucket, now_us);
    double ahead_bytes = bucket->owed_bytes - (double)(bucket->tickets - ticket);
    double wait_us = ahead_bytes * 8e6 / (double)bucket->bits_per_second;
    pthread_mutex_unlock(&bucket->lock);
    if (wait_us <= 0)
        return 0;
    return wait_us < (double)BUCKET_LOOK_US ? 1 + (uint64_t)wait_us : BUCKET_LOOK_US;
}
