/* Bandwidth of one channel: a token bucket that all its connections share.
 *
 * Reservations are granted in order of arrival: a reservation always succeeds and says how long its
 * bytes have to wait, so connections of one bucket share its rate evenly, whatever their number.
 *
 * Memory: counted references; every connection that uses a bucket holds one.
 * Threads: any.
 */
#ifndef TRANSPORT_BUCKET_H
#define TRANSPORT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_DEFAULT_BITS_PER_SECOND UINT64_C(10000000000)
#define BUCKET_MIN_BITS_PER_SECOND     UINT64_C(1000000)

struct bucket;

/* Rates below BUCKET_MIN_BITS_PER_SECOND are raised to it; 0 means the default. */
struct bucket *bucket_new(uint64_t bits_per_second);
struct bucket *bucket_ref(struct bucket *bucket); /* NULL in, NULL out */
void bucket_unref(struct bucket *bucket);         /* NULL is allowed */
/* For reservations from now on; what is reserved already waits as it was told. */
void bucket_set_rate(struct bucket *bucket, uint64_t bits_per_second);
uint64_t bucket_rate(struct bucket *bucket);
uint64_t bucket_bytes_total(struct bucket *bucket); /* reserved since the start */

/* Takes `bytes` out at time now_us (monotonic); returns the microseconds that they have to wait.
 * A NULL bucket never waits. */
uint64_t bucket_reserve(struct bucket *bucket, uint64_t bytes, uint64_t now_us);

#endif
